"""``cryoctl assure losses``: a link that goes in a freeze, and comes back, on every kind of link.

Each trial is three or four processes in real time: a simulated probe, a controller, and what is
between them: a cable (``pulled_cable``), a broker, a gateway. What is between them is killed, and
started again a second later. What counts is what the probe says, by its own log.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

from cryoctl.clock import monotonic_s
from cryoctl.exit_codes import EXIT_LINK
from cryoctl_hil.assurance.freeze_trials import (
    ENDS_S,
    PROBE_PERIOD_MS,
    SAFE_MS,
    frozen,
    is_whole,
    recording_in,
    try_often,
    wait,
)
from cryoctl_hil.assurance.program import Measure, Outcome, Say
from cryoctl_hil.real_links import KINDS, lay
from cryoctl_hil.wire_logs import commands_sent_after, telemetry_in
from cryoctl_protocol.codes import DeviceState

assert sys.platform != "win32"  # It has no pseudo-terminals.

LOSSES: Final = 200
"""On each kind of link."""
AT_ONCE: Final = 8
"""They wait more than they work."""
SEED: Final = 20_261_122
MOMENT_S: Final = (0.2, 12.0)
"""From the beginning of the first freeze."""
BUSY_MAX: Final = 0.5
"""Share of a core that a controller without its probe may use: it waits."""
_AWAY_S: Final = 1.0
_LOOK_S: Final = 0.01


class Lost(NamedTuple):
    """What one trial came to; times by the probe's clock, in ms.

    Attributes:
        late_ms: How long the valve was open after the loss, at most.
        frozen_again: The probe froze again after it had been safe.
        commands: Commands that the controller sent after the loss; STOP is none.
        exit_code: Of the controller; None if it did not end.
        busy: Share of a core that it used from the loss to its end.
        is_whole: Its recording is complete.
    """

    kind: str
    late_ms: int
    frozen_again: bool
    commands: int
    exit_code: int | None
    busy: float
    is_whole: bool

    @property
    def faults(self) -> list[str]:
        """What is not as required."""
        found = {
            f"the valve was open for {self.late_ms} ms": self.late_ms > SAFE_MS,
            "the probe froze again": self.frozen_again,
            f"{self.commands} commands were sent after the loss": self.commands > 0,
            f"the controller ended with {self.exit_code}": self.exit_code != EXIT_LINK,
            f"the controller used {self.busy:.0%} of a core": self.busy > BUSY_MAX,
            "the recording is not whole": not self.is_whole,
        }
        return [fault for fault, is_so in found.items() if is_so]


def lose(folder: Path, kind: str, wait_s: float) -> Lost | None:
    """Lose the link of a freeze ``wait_s`` after its begin, give it back, look.

    Returns:
        None if there was no freeze any more when the moment came: nothing was tried.
    """
    with ExitStack() as stack:
        between = lay(kind, stack, folder)
        middle = between.start()
        stack.callback(middle.kill)
        run = stack.enter_context(frozen(folder, between.address))
        wait(wait_s)
        lost_s, used_s = monotonic_s(), _used_s(run.pid)
        middle.kill()
        middle.wait()
        wait(_AWAY_S)
        stack.callback(between.start().kill)
        ended = _end_of(run, lost_s, used_s)
    before = [sample for at_s, sample in telemetry_in(folder / "log") if at_s <= lost_s]
    if not before or before[-1].state != DeviceState.FREEZE:
        return None
    return _judge(folder, kind, lost_s, ended)


def _judge(folder: Path, kind: str, lost_s: float, ended: tuple[int | None, float]) -> Lost:
    exit_code, busy = ended
    told = telemetry_in(folder / "log")
    lost_ms = max(sample.device_ms for at_s, sample in told if at_s <= lost_s)
    open_ms = max(sample.device_ms for _, sample in told if sample.valve_permille > 0)
    safe_ms = [
        sample.device_ms
        for _, sample in told
        if sample.device_ms > lost_ms and sample.state != DeviceState.FREEZE
    ]
    recorded = recording_in(folder)
    events = [] if recorded is None else recorded.events
    trips_s = [event["at_s"] for event in events if event["kind"] == "trip"]
    return Lost(
        kind,
        late_ms=open_ms - lost_ms + PROBE_PERIOD_MS,
        frozen_again=any(
            sample.state == DeviceState.FREEZE and sample.device_ms > min(safe_ms, default=lost_ms)
            for _, sample in told
        ),
        commands=commands_sent_after(folder / "run" / "run.mcap", min(trips_s)) if trips_s else 0,
        exit_code=exit_code,
        busy=busy,
        is_whole=is_whole(recorded),
    )


def _end_of(run: subprocess.Popen[str], lost_s: float, used_s: float) -> tuple[int | None, float]:
    """Wait for a controller; return how it ended, and its share of a core since the loss."""
    until_s = monotonic_s() + ENDS_S
    while monotonic_s() < until_s:
        pid, status, used = os.wait4(run.pid, os.WNOHANG)
        if pid:
            spent_s = used.ru_utime + used.ru_stime - used_s
            return os.waitstatus_to_exitcode(status), spent_s / (monotonic_s() - lost_s)
        wait(_LOOK_S)
    return None, 1.0


def _used_s(pid: int) -> float:
    """Return the processor time that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system = int(fields[11]), int(fields[12])  # Behind the name: utime and stime, proc(5).
    return (user + system) / os.sysconf("SC_CLK_TCK")


# -- many of them ---------------------------------------------------------------------------------


def run(scale: float, say: Say) -> Outcome:
    """Lose ``scale`` times 200 links of each kind."""
    ways = [*KINDS] * max(1, round(LOSSES * scale))
    lost, void = try_often(lose, ways, MOMENT_S, seed=SEED, at_once=AT_ONCE, say=say)
    failures = [f"{one.kind}: {fault}" for one in lost for fault in one.faults]
    details = {
        "trials": len(lost),
        "repeated, no freeze any more": void,
        "rows": [one._asdict() for one in lost],
    }
    return Outcome([_late(kind, lost) for kind in KINDS] + _others(lost), details, failures)


def _late(kind: str, lost: list[Lost]) -> Measure:
    late_ms = [one.late_ms for one in lost if one.kind == kind]
    longest_ms = max(late_ms)
    return Measure(
        f"link lost, {kind}: valve open for at most", "<= 500 ms",
        f"{longest_ms} ms ({len(late_ms)} times)", longest_ms <= SAFE_MS,
        ("SR-01",), float(longest_ms), SAFE_MS, "ms",
    )  # fmt: skip


def _others(lost: list[Lost]) -> list[Measure]:
    carried = sum(one.commands > 0 or one.frozen_again for one in lost)
    ended = sum(one.exit_code != EXIT_LINK or not one.is_whole for one in lost)
    busiest = max(one.busy for one in lost)
    return [
        Measure("links lost: commands carried over, or frozen again", "0",
                f"{carried} of {len(lost)}", carried == 0, ("SR-25",), float(carried), 0.0),
        Measure("links lost: controllers that did not end as they should", "0",
                f"{ended} of {len(lost)}", ended == 0, ("SR-03",), float(ended), 0.0),
        Measure("links lost: share of a core used afterwards, at most", "<= 50 %",
                f"{busiest:.0%}", busiest <= BUSY_MAX, (), busiest, BUSY_MAX),
    ]  # fmt: skip
