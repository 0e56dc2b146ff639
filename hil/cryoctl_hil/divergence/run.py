"""Drives several rigs through the scenarios and compares what their recordings hold."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from cryoctl.recording import load_recording
from cryoctl_hil.divergence.compare import Comparison, compare
from cryoctl_hil.divergence.scenarios import drive
from cryoctl_hil.evidence.trace import Trace
from cryoctl_hil.rigs.bench import Bench
from cryoctl_hil.rigs.rig import Rig


class Compared(NamedTuple):
    """One rig beside the first."""

    rig: Rig
    recording: Path
    comparison: Comparison


def record(rig: Rig, path: Path, *, seed: int, keys: Path | None, bench_waiver: str) -> None:
    """Take the probe of a rig through every scenario; its recording is ``path`` afterwards.

    Raises:
        LinkError: The probe is not there.
        UnsafeProbeError: It could not be left safe.
        AssertionError: It did not do what every probe has to.
    """
    bench = Bench(rig, seed=seed, keys=keys, bench_waiver=bench_waiver)
    try:
        probe = bench.begin(path, test="divergence")
        try:
            drive(probe, bench.faults)
        finally:
            bench.finish({"test": "divergence"})
    finally:
        bench.close()


def compare_recordings(rigs: list[Rig], paths: list[Path]) -> list[Compared]:
    """Return every rig but the first, beside the first."""
    first, *others = [Trace.of(load_recording(path)) for path in paths]
    return [
        Compared(rig, path, compare(first, trace, is_virtual=rigs[0].is_virtual and rig.is_virtual))
        for rig, path, trace in zip(rigs[1:], paths[1:], others, strict=True)
    ]
