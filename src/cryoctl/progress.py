"""Shows a run while it goes on: a live table on a terminal, plain lines everywhere else."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any, Final

from cryoctl.alarm_board import AlarmLine, AlarmView
from cryoctl.alarm_text import Bell, ShownLine, alarm_text, is_lit, shown_lines
from cryoctl.clock import monotonic_s
from cryoctl.core import Controller
from cryoctl.cycle_table import Phase
from cryoctl.runner import Progress

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

_REFRESH_S: Final = 0.1
_SPARK_WIDTH: Final = 48
_SPARK_EVERY_S: Final = 2.0
_SPARKS: Final = "▁▂▃▄▅▆▇█"
_BAR_WIDTH: Final = 20


@contextmanager
def make_progress(stream: IO[str]) -> Iterator[Progress]:
    """Yield what a run calls after every tick: live on a terminal, lines on a pipe or file."""
    if not stream.isatty():
        yield PlainProgress(stream)
        return
    with live_on(stream) as live:
        yield LiveProgress(live)


@contextmanager
def live_on(stream: IO[str]) -> Iterator[Live]:
    """Yield a region of the terminal that is drawn over and over."""
    from rich.console import Console
    from rich.live import Live

    live = Live(console=Console(file=stream), auto_refresh=False)
    live.start()
    try:
        yield live
    finally:
        with suppress(OSError):  # The terminal may have gone; the result must not go with it.
            live.stop()


async def show_while(
    listening: Coroutine[Any, Any, None],
    show: Callable[[float], None],
    period_s: float,
    seconds: float | None,
) -> None:
    """Listen, and call ``show`` with the time every ``period_s``.

    Args:
        listening: Goes on by itself; what it raises ends all.
        show: Called once more at the end.
        period_s: Between two calls.
        seconds: Ends after so long of the loop's time; None never does.
    """
    loop = asyncio.get_running_loop()
    listener = loop.create_task(listening)
    try:
        until_s = float("inf") if seconds is None else seconds
        while loop.time() < until_s:
            await asyncio.wait([listener], timeout=min(period_s, until_s - loop.time()))
            if listener.done():
                listener.result()
            show(loop.time())
    finally:
        listener.cancel()


def two_columns() -> Table:
    """Return a table of names and what they are, without lines."""
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column(justify="right", style="dim")
    table.add_column()
    return table


class PlainProgress:
    """Prints a line at each change of phase, and for each alarm."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._phase: Phase | None = None
        self._told: set[tuple[str, float]] = set()

    def __call__(self, controller: Controller, now_s: float) -> None:
        """Print what has changed."""
        self._print_phase(controller, now_s)
        if not controller.board.is_empty:
            self._print_alarms(controller.board.view(now_s), now_s)

    def _print_alarms(self, alarms: AlarmView, now_s: float) -> None:
        for line in alarms.lines:
            self._print_alarm(line, "", now_s)
            for one in line.consequences:
                self._print_alarm(one, "    ", now_s)

    def _print_alarm(self, line: AlarmLine, indent: str, now_s: float) -> None:
        if (line.alarm.id, line.since_s) not in self._told:
            self._told.add((line.alarm.id, line.since_s))
            self._stream.write(f"{now_s:8.2f} s  {indent}{alarm_text(line)}\n")

    def _print_phase(self, controller: Controller, now_s: float) -> None:
        phase = controller.phase
        if phase is self._phase:
            return
        self._phase = phase
        sample = controller.sample
        tip_c = None if sample is None else sample.tip_temp_c
        tip = "" if tip_c is None else f"  tip {tip_c:6.1f} °C"
        cycle = controller.state.cycle
        count = controller.treatment.cycles.count
        number = f"  cycle {cycle}/{count}" if cycle else ""
        if phase is Phase.PLACEMENT:
            number = f"  placement {controller.placement}"
        self._stream.write(f"{now_s:8.2f} s  {phase.value:<10}{tip}{number}\n")


class LiveProgress:
    """Redraws a table of phase, progress and tip temperature ten times a second."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._drawn_s = float("-inf")
        self._tips_c: deque[float] = deque(maxlen=_SPARK_WIDTH)
        self._next_tip_s = 0.0
        self._bell = Bell()

    def __call__(self, controller: Controller, now_s: float) -> None:
        """Take in a tick; redraw if it is time or the run has ended."""
        sample = controller.sample
        if now_s >= self._next_tip_s and sample is not None and sample.tip_temp_c is not None:
            self._next_tip_s = now_s + _SPARK_EVERY_S
            self._tips_c.append(sample.tip_temp_c)
        wall_s = monotonic_s()
        if wall_s - self._drawn_s < _REFRESH_S and not controller.finished:
            return
        self._drawn_s = wall_s
        alarms = controller.board.view(now_s)
        if self._bell.rings(alarms.burst):
            self._live.console.bell()
        table = two_columns()
        shown_s = 0.0 if controller.finished else wall_s  # The last picture is not a dark one.
        for line in shown_lines(alarms):  # On top, where no small window cuts them off.
            table.add_row(*alarm_row(line, shown_s))
        self._draw(table, controller, now_s)
        self._live.update(table, refresh=True)

    def _draw(self, table: Table, controller: Controller, now_s: float) -> None:
        from rich.text import Text

        cycle, count = controller.state.cycle, controller.treatment.cycles.count
        table.add_row("phase", Text(controller.phase.value, style=_style(controller.phase)))
        if controller.placements or controller.later_treatments:
            to_come = len(controller.later_treatments)
            table.add_row("placement", f"{controller.placement}, {to_come} to come")
        table.add_row("cycle", f"{bar(cycle, count)} {cycle} of {count}")
        elapsed_s = now_s - controller.state.since_s
        planned_s = planned_phase_s(controller)
        if planned_s:
            table.add_row("", f"{bar(elapsed_s, planned_s)} {elapsed_s:5.1f} of {planned_s:.0f} s")
        else:
            table.add_row("", f"{'':{_BAR_WIDTH}} {elapsed_s:5.1f} s")
        sample = controller.sample
        if sample is not None and sample.tip_temp_c is not None:
            setpoint_c = controller.treatment.cycles.setpoint_c
            table.add_row("tip", f"{sample.tip_temp_c:6.1f} °C   set-point {setpoint_c:g} °C")
        estimate = controller.observer.estimate
        if estimate is not None:
            radius = f"{estimate.radius_minus20_mm:6.2f} ±{estimate.sigma_mm:.2f} mm"
            table.add_row("-20 °C", f"{radius}   radius, an estimate")
        vented_g = controller.measures.vented.g_per_h
        table.add_row("room", f"{vented_g:6.2f} g of gas within the last hour")
        table.add_row("", sparkline(list(self._tips_c)))


def alarm_row(line: ShownLine, wall_s: float) -> tuple[Text, Text]:
    """Return a line of the alarms in its colour; its mark flashes while it wants an answer."""
    from rich.text import Text

    mark = line.mark if is_lit(line, wall_s) else " " * len(line.mark)
    style = f"not dim {'bold ' if line.is_on else ''}{line.colour}"
    return Text(mark, style=style), Text(line.text, style=style)


def bar(done: float, whole: float) -> str:
    """Return a progress bar of fixed width."""
    filled = round(_BAR_WIDTH * min(1.0, max(0.0, done / whole)))
    return "█" * filled + "░" * (_BAR_WIDTH - filled)


def sparkline(values: list[float]) -> str:
    """Return the course of ``values`` as one line of block characters."""
    if not values:
        return ""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    top = len(_SPARKS) - 1
    line = "".join(_SPARKS[round(top * (value - low) / span)] for value in values)
    return f"{line}  {low:.0f} to {high:.0f} °C"


def planned_phase_s(controller: Controller) -> float | None:
    """Return how long the present phase is planned to last at most, or None if nobody knows."""
    treatment = controller.treatment
    return {
        Phase.LEAK_TEST: 10.0,
        Phase.PREWARM: treatment.prewarm.duration_s,
        Phase.COOLING: controller.profile.limits.reach_s_max,
        Phase.HOLD: treatment.cycles.hold_s,
        Phase.THAWING: treatment.thaw.timeout_s,
        Phase.PAUSE: treatment.cycles.pause_s,
    }.get(controller.phase)


def _style(phase: Phase) -> str:
    if phase in (Phase.SAFE, Phase.FAULT):
        return "bold red"
    return "bold cyan" if phase in (Phase.COOLING, Phase.HOLD) else "bold"
