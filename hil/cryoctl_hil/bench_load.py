"""What the controller takes of a machine: processor time and memory, seen from outside."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple

from cryoctl_hil.bench_probe import program

TREATMENT_S: Final = 600.0
"""So much of the built-in treatment is there to be watched; it takes a little longer."""
SAMPLE_S: Final = 1.0
_RUN: Final = ("run", "--arm-and-start", "--device")
_MIB: Final = 1024.0 * 1024.0
_CPU_FIELDS: Final = slice(11, 13)
"""Time in user and in kernel mode, among what follows the name in ``/proc/PID/stat``."""


class Usage(NamedTuple):
    """What a process has used so far, and holds now."""

    at_s: float
    cpu_s: float
    memory_mib: float


class Load(NamedTuple):
    """What a process took while it was watched.

    Attributes:
        cpu_percent: Of one core.
        settled_mib: Memory after a tenth of the time.
    """

    watched_s: float
    cpu_percent: float
    start_mib: float
    settled_mib: float
    end_mib: float

    @property
    def growth_mib_per_min(self) -> float:
        """Slope of the memory over the other nine tenths.

        The packed index of the recording explains 0.03: 20 entries a second.
        """
        return (self.end_mib - self.settled_mib) / (0.9 * self.watched_s / 60.0)


def controller_load(address: str, *, duration_s: float) -> Load:
    """Run the built-in treatment on a probe and watch the controller; on Linux.

    Args:
        address: Of a probe that nobody else talks to.
        duration_s: Up to ``TREATMENT_S``; then the controller is killed, and the probe makes
            itself safe.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        program("cryoctl", *_RUN, address, folder=folder) as (process, said),
    ):
        assert "CONNECTING" in next(said), "the controller did not start"
        samples = _watch(process, duration_s)
    return _load(samples)


def _watch(process: subprocess.Popen[str], duration_s: float) -> list[Usage]:
    began_s = time.monotonic()
    samples = []
    for number in range(round(duration_s / SAMPLE_S) + 1):
        time.sleep(max(0.0, began_s + number * SAMPLE_S - time.monotonic()))
        assert process.poll() is None, "the treatment was over before it had been watched"
        samples.append(usage(process.pid))
    return samples


def usage(pid: int) -> Usage:
    """Return what the process has used so far; on Linux."""
    if sys.platform == "win32":
        raise OSError("only Linux tells in /proc what a process uses")
    process = Path("/proc") / str(pid)
    # The name before the bracket may hold blanks.
    fields = (process / "stat").read_text("ascii", "replace").rpartition(")")[2].split()
    ticks = sum(int(field) for field in fields[_CPU_FIELDS])
    pages = int((process / "statm").read_text("ascii").split()[1])
    return Usage(
        at_s=time.monotonic(),
        cpu_s=ticks / os.sysconf("SC_CLK_TCK"),
        memory_mib=pages * os.sysconf("SC_PAGE_SIZE") / _MIB,
    )


def _load(samples: list[Usage]) -> Load:
    start, end = samples[0], samples[-1]
    watched_s = end.at_s - start.at_s
    return Load(
        watched_s=watched_s,
        cpu_percent=100.0 * (end.cpu_s - start.cpu_s) / watched_s,
        start_mib=start.memory_mib,
        settled_mib=samples[len(samples) // 10].memory_mib,
        end_mib=end.memory_mib,
    )
