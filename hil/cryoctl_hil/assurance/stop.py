"""``cryoctl assure stop``: from STOP on a page to the frame at the probe's end of the wire (SR-29).

A dashboard as people start it, in real time, whose recorder is blocked for 1 s again and again, and
four pages that read nothing. Beside them a timer tells how late this machine wakes somebody who
only sleeps: a press that took over 100 ms while the timer was not late as well is our fault.
Nothing is run again.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from cryoctl.clock import monotonic_s
from cryoctl_hil.assurance.program import Measure, Outcome, Say
from cryoctl_hil.bench_probe import prompt_probe
from cryoctl_hil.dashboard_server import (
    Server,
    StalledPages,
    blocked_times,
    dashboard_server,
)
from cryoctl_hil.idle_timer import Wake, idle_timer, read_trace

PRESSES: Final = 1000
STALLED: Final = 4
BLOCKED_EVERY_S: Final = 5.0
P99_MS: Final = 50.0  # SR-29, as is the next one
MAX_S: Final = 0.1
SPREAD_S: Final = 0.1309
"""Between two presses: early, late and in the middle between two control ticks of 50 ms. Less than
60 ms after another no STOP is sent."""
LOST_S: Final = 5.0
"""A STOP that has not come by then is taken for lost."""
_TOLD: Final = 20
_SAFE_S: Final = 60.0
_STOP: Final = "stop "
_LOOK_S: Final = 0.002
_MS: Final = 1000.0


class Press(NamedTuple):
    """One STOP.

    Attributes:
        at_s: When it was pressed, on the machine's monotonic clock.
        came_s: When its frame was at the probe's end; None if it never came.
    """

    at_s: float
    came_s: float | None

    @property
    def took_s(self) -> float:
        """From one to the other; of one that never came, how long it was waited for."""
        return LOST_S if self.came_s is None else self.came_s - self.at_s


def run(scale: float, say: Say) -> Outcome:
    """Press STOP ``scale`` times 1,000 times."""
    count = max(2, round(PRESSES * scale))
    with tempfile.TemporaryDirectory(prefix="cryoctl-stop-") as folder, ExitStack() as stack:
        trace = Path(folder) / "trace"
        served = stack.enter_context(prompt_probe("tcp"))
        server = stack.enter_context(
            dashboard_server(folder, served.address, blocked_every_s=BLOCKED_EVERY_S)
        )
        came = _Came(served.said)
        _to_fault(server)
        pages = stack.enter_context(StalledPages(server, STALLED))
        with idle_timer(trace):
            presses = _press(server, came, count, say)
        late = read_trace(trace)
        asked, reopened = len(came.times_s), pages.reopened
        blocked = blocked_times(folder)
    outcome = judge(presses, late, blocked)
    outcome.details |= {
        "frames in all, those before the first press included": asked,
        "stalled pages": STALLED,
        "stalled pages that the server gave up and that came again": reopened,
    }
    return outcome


class _Came:
    """When each STOP came to the probe, by what it prints."""

    def __init__(self, said: IO[str]) -> None:
        self.times_s: list[float] = []
        self._said = said
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._said:
            if line.startswith(_STOP):
                self.times_s.append(float(line.removeprefix(_STOP)))

    def after(self, at_s: float) -> float | None:
        """Wait for the first one after ``at_s``; None if it does not come."""
        while monotonic_s() < at_s + LOST_S:
            if self.times_s and self.times_s[-1] > at_s:
                return next(came_s for came_s in self.times_s if came_s > at_s)
            time.sleep(_LOOK_S)  # noqa: TID251 (another process in real time)
        return None


def _to_fault(server: Server) -> None:
    """Stop a session that stands idle: from then on each STOP that is asked for is sent, once."""
    from websockets.sync.client import connect
    from websockets.typing import Origin

    phase, until_s = "", monotonic_s() + _SAFE_S
    with (
        connect(server.socket_url("/stop"), origin=Origin(server.origin), proxy=None) as stop,
        connect(
            server.socket_url(f"/live?page={'looking':0<16}"),
            origin=Origin(server.origin),
            proxy=None,
        ) as live,
    ):
        stop.send("STOP")
        while phase != "FAULT":
            picture: dict[str, Any] = json.loads(live.recv(timeout=_SAFE_S))
            phase = picture.get("phase", {}).get("phase", phase)
            assert monotonic_s() < until_s, f"STOP of an idle probe ended in {phase}, not in FAULT"


def _press(server: Server, came: _Came, count: int, say: Say) -> list[Press]:
    """Press as the page does, on the socket that is open for nothing else."""
    from websockets.sync.client import connect
    from websockets.typing import Origin

    presses: list[Press] = []
    with connect(server.socket_url("/stop"), origin=Origin(server.origin), proxy=None) as stop:
        while len(presses) < count:
            at_s = monotonic_s()
            stop.send("STOP")
            presses.append(Press(at_s, came.after(at_s)))
            stop.recv(timeout=LOST_S)  # That it was heard.
            time.sleep(max(0.0, at_s + SPREAD_S - monotonic_s()))  # noqa: TID251 (as a person does)
            if len(presses) % (PRESSES // 10) == 0:
                say(f"{len(presses)} of {count} pressed")
    return presses


# -- what is made of them -------------------------------------------------------------------------


def judge(
    presses: Sequence[Press], late: Sequence[Wake], blocked: Sequence[tuple[float, float]]
) -> Outcome:
    """Return what two or more presses came to.

    Args:
        presses: All of them.
        late: Of the timer that ran meanwhile.
        blocked: From when until when the recorder was blocked.
    """
    took_ms = sorted(press.took_s * _MS for press in presses)
    p99_ms = percentile_99(took_ms)
    slow = [press for press in presses if press.took_s > MAX_S]
    ours = [press for press in slow if not is_machine(press, late)]
    latest_ms = max((wake.late_s * _MS for wake in late), default=0.0)
    blocked_presses = [
        press for press in presses if any(began <= press.at_s < ended for began, ended in blocked)
    ]
    failures = [] if blocked else ["the recorder was never blocked"]
    failures += [_about(press, presses[0].at_s, late) for press in ours]
    return Outcome(
        [
            Measure(
                "STOP to wire: presses, with 4 stalled pages and a blocked recorder", "",
                f"{len(presses)}, {len(blocked_presses)} of them while the recorder was blocked",
                bool(blocked_presses), ("SR-29",),
            ),
            Measure(
                "STOP to wire: 99 of 100 within", "<= 50 ms",
                f"{p99_ms:.1f} ms (half within {statistics.median(took_ms):.1f} ms)",
                p99_ms <= P99_MS, ("SR-29",), p99_ms, P99_MS, "ms",
            ),
            Measure(
                "STOP to wire: at most", "",
                f"{took_ms[-1]:.1f} ms; the idle timer woke up to {latest_ms:.1f} ms late",
                ok=not ours, requirements=("SR-29",),
            ),
            Measure(
                "STOP to wire: over 100 ms with no stall of the machine", "0",
                f"{len(ours)}; with one {len(slow) - len(ours)}", not ours,
                ("SR-29",), float(len(ours)), 0.0,
            ),
        ],
        {
            "slowest presses, ms": [round(took, 1) for took in took_ms[: -_TOLD - 1 : -1]],
            "p99 while the recorder was blocked, ms": _p99_of(blocked_presses),
            "times that the recorder was blocked": len(blocked),
            "idle timer: wakes over 10 ms late": len(late),
            "idle timer: latest wakes, ms": sorted(
                (round(wake.late_s * _MS, 1) for wake in late), reverse=True
            )[:_TOLD],
        },
        failures,
    )  # fmt: skip


def percentile_99(took_ms: Sequence[float]) -> float:
    """Return the smallest figure that 99 of 100 do not exceed."""
    ordered = sorted(took_ms)
    return ordered[-(-99 * len(ordered) // 100) - 1]


def _p99_of(presses: Sequence[Press]) -> float | None:
    return round(percentile_99([p.took_s * _MS for p in presses]), 1) if presses else None


def is_machine(press: Press, late: Sequence[Wake]) -> bool:
    """Return True if the timer was over 100 ms late, too, while the press was under way."""
    return press.came_s is not None and any(
        wake.late_s > MAX_S and wake.due_s < press.came_s and wake.woke_s > press.at_s
        for wake in late
    )


def _about(press: Press, first_s: float, late: Sequence[Wake]) -> str:
    when = f"the STOP {press.at_s - first_s:.1f} s after the first"
    if press.came_s is None:
        return f"{when} never came to the probe"
    beside_ms = [
        wake.late_s * _MS for wake in late if wake.due_s < press.came_s and wake.woke_s > press.at_s
    ]
    return (
        f"{when} took {press.took_s * _MS:.1f} ms; the idle timer was late by "
        f"{max(beside_ms, default=0.0):.1f} ms at most meanwhile"
    )
