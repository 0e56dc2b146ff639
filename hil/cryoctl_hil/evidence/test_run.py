"""What is known of a test while it runs, and the record that is made of it."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path
from typing import Final

import pytest

from cryoctl.clock import monotonic_s
from cryoctl.interlocks import TripNotice
from cryoctl_hil.evidence.measurement import Measurement, Verdict
from cryoctl_hil.evidence.plan import Budget
from cryoctl_hil.evidence.record import RECORDINGS, Cost, ProbeRecord, TestRecord, Told
from cryoctl_hil.requirement_markers import requirements_of
from cryoctl_hil.rigs.probe import Probe
from cryoctl_hil.rigs.rig import MEANS_TEXT, Means, Rig
from cryoctl_protocol.messages import Hello, unpadded

RIG: Final = pytest.StashKey[Rig]()
"""What a session runs on; not there in one without a rig."""
BUDGET: Final = pytest.StashKey[Budget]()
TIME_LIMIT_S: Final = 120.0
OPERATOR_STEPS: Final = "operator_steps"
"""Marker that names what somebody has to do by hand."""


class TestRun:
    """One test from its set-up to its end.

    Args:
        item: The test.
        folder: Of the evidence.
    """

    __test__ = False

    def __init__(self, item: pytest.Item, folder: Path) -> None:
        self.id = id_of(item)
        self.title = title_of(item)
        self.requirements = requirements_of(item)
        self.operator_steps = operator_steps_of(item)
        self.needs = needs_of(item)
        marker = item.get_closest_marker("time_limit")
        self.time_limit_s = TIME_LIMIT_S if marker is None else float(marker.args[0])
        self.measurements: list[Measurement] = []
        self.steps_done: list[str] = []
        self.probe: Probe | None = None
        self.hello: Hello | None = None
        self.guarded: list[TripNotice] = []
        self.began_s = 0.0
        self.cost = Cost()
        self.began_wall_s = monotonic_s()
        self.verdict = Verdict.NOT_RUN
        self.why = ""
        self.step = ""
        self.unsafe = ""
        self._folder = folder
        self._path: Path | None = None

    def path(self) -> Path:
        """Return where its recording goes: a file that is not there yet."""
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", self.id).strip("-")
        folder = self._folder / RECORDINGS
        number = 1
        self._path = folder / f"{name}.mcap"
        while self._path.exists():
            number += 1
            self._path = folder / f"{name}-{number}.mcap"
        return self._path

    def fail_measurements(self) -> str:
        """Return what is wrong with the measurements and the guard; empty if nothing is."""
        lines = [f"{m.name}: {m.why}" for m in self.measurements if m.verdict is Verdict.FAIL]
        lines += [
            f"the bench's guard had to send STOP: {notice.trip.name} {notice.detail}".rstrip()
            for notice in (self.guarded or (self.probe.host.guarded if self.probe else ()))
        ]
        return "\n".join(lines)

    def end(self, now_s: float) -> None:
        """Note what it took: it is over, and the probe has been left."""
        if self.probe is not None:
            trace = self.probe.trace
            self.cost = Cost(
                rig_s=round(now_s - self.began_s, 3),
                gas_g=trace.gas_g(),
                freezes=trace.freezes(),
                opens_gas=trace.opens_gas(),
            )

    def told(self) -> Told:
        """Return what it came to, for whoever keeps the evidence."""
        hello = self.hello
        who = None if hello is None else probe_record(hello)
        return Told(test=self._record(), probe=who, unsafe=self.unsafe)

    def _record(self) -> TestRecord:
        path = self._path if self._path is not None and self._path.exists() else None
        return TestRecord(
            id=self.id,
            title=self.title,
            requirements=self.requirements,
            verdict=self.verdict,
            why=self.why,
            step=self.step,
            measurements=tuple(self.measurements),
            recording="" if path is None else f"{RECORDINGS}/{path.name}",
            recording_sha256="" if path is None else sha256(path.read_bytes()).hexdigest(),
            cost=self.cost,
            wall_s=round(monotonic_s() - self.began_wall_s, 3),
            operator_steps=tuple(self.steps_done),
        )


def id_of(item: pytest.Item) -> str:
    """Return a test's id, the same wherever the suite lies: ``test_file::test_name``."""
    path, _, name = item.nodeid.partition("::")
    return f"{path.rpartition('/')[2].removesuffix('.py')}::{name}"


def title_of(item: pytest.Item) -> str:
    """Return the first line of a test's docstring."""
    text = str(getattr(getattr(item, "function", None), "__doc__", None) or "")
    return (text.strip().splitlines() or [""])[0]


def needs_of(item: pytest.Item) -> tuple[Means, ...]:
    """Return what a rig must be able to do for a test; each once."""
    named = [Means(each) for mark in item.iter_markers("needs") for each in mark.args]
    if operator_steps_of(item):
        named.append(Means.OPERATOR)
    return tuple(dict.fromkeys(named))


def operator_steps_of(item: pytest.Item) -> tuple[str, ...]:
    """Return what somebody has to do by hand in a test."""
    return tuple(step for mark in item.iter_markers(OPERATOR_STEPS) for step in mark.args)


def why_not_begun(item: pytest.Item) -> str:
    """Return why a test is not begun on this session's rig; empty if it is."""
    config = item.config
    means = config.stash[RIG].means
    lacking = [MEANS_TEXT[each] for each in needs_of(item) if each not in means]
    if lacking:
        return f"this rig cannot {'; '.join(lacking)}"
    steps = operator_steps_of(item)
    if steps and config.getoption("--rig-unattended"):
        return f"needs somebody by: {'; '.join(steps)}"
    return config.stash[BUDGET].why_not(id_of(item))


def probe_record(hello: Hello) -> ProbeRecord:
    """Return who a probe says it is."""
    return ProbeRecord(
        device=unpadded(hello.device_id),
        firmware=unpadded(hello.firmware_id),
        profile=unpadded(hello.profile_id),
        profile_hash=f"{hello.profile_hash:08x}",
        capabilities=hello.capabilities,
        sensors=hello.sensors,
    )
