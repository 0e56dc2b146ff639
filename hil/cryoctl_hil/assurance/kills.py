"""``cryoctl assure kills``: controllers and probes that are killed or stopped in a freeze.

Each trial is two processes and a pseudo-terminal in real time: ``cryoctl sim`` and ``cryoctl run``.
What counts is the wire: the log of what the probe sent.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Final, NamedTuple

from cryoctl.audit_folder import check
from cryoctl.clock import monotonic_s
from cryoctl.recording import RecordingError, load_recording, recover_recording
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
from cryoctl_hil.bench_probe import program
from cryoctl_hil.wire_logs import telemetry_in
from cryoctl_protocol.codes import DeviceState

assert sys.platform != "win32"  # It has neither pseudo-terminals nor these signals.

KILLS: Final = 100
AT_ONCE: Final = 4
"""They wait more than they work."""
SEED: Final = 20_261_121
MOMENT_S: Final = (0.2, 15.0)
"""From the beginning of the first freeze."""
LOST_MS: Final = 100.0  # SR-34
EXIT_TRIP: Final = 3
NOT_CLOSED: Final = "NOT CLOSED"
_AFTERWARDS_MS: Final = 1000
_LOOK_S: Final = 0.2


class Blow(Enum):
    """What befalls a process."""

    KILLED = signal.SIGKILL
    STOPPED = signal.SIGSTOP


class Struck(NamedTuple):
    """What one trial came to; times by the probe's clock, in ms.

    Attributes:
        struck_ms: The newest telemetry on the line when the signal was sent.
        open_ms: The last telemetry that shows the valve open.
        recorded_ms: The last telemetry in the recovered recording; None if it cannot be read.
        ended_shut: The valve was shut at the end.
        trail: What the audit trail was judged to be.
        unaudited: Events of the recording that the trail lacks.
    """

    blow: Blow
    struck_ms: int
    open_ms: int
    recorded_ms: int | None
    ended_shut: bool
    trail: str
    unaudited: int

    @property
    def late_ms(self) -> int:
        """How long the valve was open after the blow, at the most."""
        return self.open_ms - self.struck_ms + PROBE_PERIOD_MS

    @property
    def lost_ms(self) -> int:
        """How much telemetry from before the blow is not in the recording."""
        return 0 if self.recorded_ms is None else self.struck_ms - self.recorded_ms


@contextmanager
def _freezing(folder: Path) -> Iterator[tuple[subprocess.Popen[str], subprocess.Popen[str]]]:
    """Yield probe and controller in their first freeze; the port between them stays open.

    So the probe goes on telling when its controller is gone, and no other trial gets a port of the
    same name, which a controller would open in search of its probe.
    """
    with program("cryoctl", "sim", "--pty", "--log", "log", folder=str(folder)) as (probe, told):
        address = next(line.split()[1] for line in told if line.startswith("at "))
        port = os.open(address.removeprefix("serial:"), os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            with frozen(folder, address) as run:
                yield probe, run
        finally:
            os.close(port)


def strike(folder: Path, blow: Blow, wait_s: float) -> Struck | None:
    """Start a freeze over a pseudo-terminal, strike the controller after ``wait_s``, look.

    Returns:
        None if there was no freeze any more when the moment came: nothing was tried.
    """
    with _freezing(folder) as (probe, run):
        wait(wait_s)
        struck_s = monotonic_s()
        run.send_signal(blow.value)
        newest = [one for at_s, one in telemetry_in(folder / "log") if at_s <= struck_s][-1]
        # By the probe's own clock, which stands still while its process gets no processor.
        while _newest_ms(folder) - newest.device_ms < _AFTERWARDS_MS:
            assert monotonic_s() - struck_s < ENDS_S, "the probe's clock stands still"
            wait(_LOOK_S)
        probe.send_signal(signal.SIGINT)
        probe.communicate()
    if newest.state != DeviceState.FREEZE:
        return None
    return _judge(folder, blow, newest.device_ms)


def _newest_ms(folder: Path) -> int:
    return telemetry_in(folder / "log")[-1][1].device_ms


class Bereft(NamedTuple):
    """What became of a controller whose probe was struck.

    Attributes:
        exit_code: Of ``cryoctl run``; None if it did not end.
        is_whole: Its recording is complete.
    """

    blow: Blow
    exit_code: int | None
    is_whole: bool

    @property
    def fault(self) -> str:
        """What is not as required; empty if nothing is."""
        if self.exit_code != EXIT_TRIP:
            return f"the controller ended with {self.exit_code}, not {EXIT_TRIP}"
        return "" if self.is_whole else "the recording is not whole"


def strike_probe(folder: Path, blow: Blow, wait_s: float) -> Bereft | None:
    """Strike the probe's process ``wait_s`` into a freeze, and wait for the controller's end."""
    with _freezing(folder) as (probe, run):
        wait(wait_s)
        samples = telemetry_in(folder / "log")
        if samples[-1][1].state != DeviceState.FREEZE:
            return None
        probe.send_signal(blow.value)
        try:
            run.communicate(timeout=ENDS_S)
        except subprocess.TimeoutExpired:
            return Bereft(blow, None, is_whole=False)
        exit_code = run.returncode
    return Bereft(blow, exit_code, is_whole(recording_in(folder)))


def _judge(folder: Path, blow: Blow, struck_ms: int) -> Struck:
    told = telemetry_in(folder / "log")
    recovered = folder / "recovered.mcap"
    trail = check(folder / "run").judgement
    audited = {record["at_s"] for record in trail.records}
    recorded_ms, events = None, []
    try:
        with (folder / "run" / "run.mcap").open("rb") as left, recovered.open("wb") as saved:
            recover_recording(left, "run.mcap", saved)
        loaded = load_recording(recovered)
        recorded_ms, events = int(loaded.telemetry["device_ms"][-1]), loaded.events
    except (OSError, ValueError, IndexError, RecordingError):
        pass  # Counted as unreadable.
    return Struck(
        blow,
        struck_ms=struck_ms,
        open_ms=max(
            (sample.device_ms for _, sample in told if sample.valve_permille > 0), default=0
        ),
        recorded_ms=recorded_ms,
        ended_shut=told[-1][1].valve_permille == 0,
        trail=trail.verdict.value,
        unaudited=sum(event["at_s"] not in audited for event in events),
    )


def run(scale: float, say: Say) -> Outcome:
    """Kill ``scale`` times 100 controllers and 100 probes, and stop as many of each."""
    ways = [*Blow] * max(1, round(KILLS * scale))
    struck, void = try_often(strike, ways, MOMENT_S, seed=SEED, at_once=AT_ONCE, say=say)
    bereft, void_too = try_often(strike_probe, ways, MOMENT_S, seed=SEED, at_once=AT_ONCE, say=say)
    failures = [
        f"controller {one.blow.name.lower()}: {fault}" for one in struck for fault in _faults(one)
    ]
    failures += [f"probe {one.blow.name.lower()}: {one.fault}" for one in bereft if one.fault]
    details = {"trials": 2 * len(ways), "repeated, no freeze any more": void + void_too}
    return Outcome([*_measures(struck), _left_alone(bereft)], details, failures)


def _measures(struck: list[Struck]) -> list[Measure]:
    measures = []
    for blow in Blow:
        late_ms = [one.late_ms for one in struck if one.blow is blow]
        name, longest_ms = f"controller {blow.name.lower()}: valve open for at most", max(late_ms)
        measures.append(
            Measure(name, "<= 500 ms", f"{longest_ms} ms ({len(late_ms)} times)",
                    longest_ms <= SAFE_MS, ("SR-01",), float(longest_ms), SAFE_MS, "ms")
        )  # fmt: skip
    killed = [one for one in struck if one.blow is Blow.KILLED]
    unreadable = sum(one.recorded_ms is None for one in killed)
    lost_ms = max(one.lost_ms for one in killed)
    misjudged = sum(one.trail != NOT_CLOSED for one in struck)
    unaudited = sum(one.unaudited for one in struck)
    return [
        *measures,
        Measure("recordings unreadable after a kill", "0", f"{unreadable} of {len(killed)}",
                unreadable == 0, ("SR-34",), float(unreadable), 0.0),
        Measure("telemetry lost by a kill, at most", "<= 100 ms", f"{lost_ms} ms",
                lost_ms <= LOST_MS, ("SR-34",), float(lost_ms), LOST_MS, "ms"),
        Measure("audit trails not judged NOT CLOSED", "0", f"{misjudged} of {len(struck)}",
                misjudged == 0, ("SR-34",), float(misjudged), 0.0),
        Measure("recorded events that a trail lacks", "0", str(unaudited),
                unaudited == 0, ("SR-34",), float(unaudited), 0.0),
    ]  # fmt: skip


def _left_alone(bereft: list[Bereft]) -> Measure:
    wrong = sum(bool(one.fault) for one in bereft)
    name, found = "probe killed or stopped: runs that did not end with a trip", f"{wrong} of"
    return Measure(name, "0", f"{found} {len(bereft)}", wrong == 0, ("SR-03",), float(wrong), 0.0)


def _faults(struck: Struck) -> list[str]:
    """Return what is not as required of one trial."""
    found = {
        f"the valve was open for {struck.late_ms} ms": struck.late_ms > SAFE_MS,
        "the valve was open at the end": not struck.ended_shut,
        "the recording cannot be read": struck.recorded_ms is None,
        f"{struck.lost_ms} ms of telemetry were lost": struck.lost_ms > LOST_MS,
        f"the audit trail was judged {struck.trail}": struck.trail != NOT_CLOSED,
        f"the trail lacks {struck.unaudited} events": struck.unaudited > 0,
    }
    return [fault for fault, is_so in found.items() if is_so]
