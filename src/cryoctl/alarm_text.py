"""Alarms as lines of text for a terminal, and when its bell rings."""

from __future__ import annotations

from typing import NamedTuple

from cryoctl.alarm_board import AlarmLine, AlarmView, Burst, Signal
from cryoctl.alarms import LOOKS, Look, Priority


class ShownLine(NamedTuple):
    """One line.

    Attributes:
        is_on: It wants an answer: bold, and the mark flashes as ``look`` says.
    """

    mark: str
    text: str
    colour: str
    is_on: bool
    look: Look


def shown_lines(view: AlarmView) -> list[ShownLine]:
    """Return the alarms, most urgent first; what follows from one is told in one line below it."""
    lines = []
    for line in view.lines:
        look = line.alarm.look
        is_on = any(one.signal is Signal.ON for one in (line, *line.consequences))
        lines.append(ShownLine(look.mark, _told(line), look.colour, is_on, look))
        if line.consequences:
            names = ", ".join(_name(other) for other in line.consequences)
            lines.append(ShownLine("", f"    and so {names}", look.colour, is_on, look))
    sound = _sound(view)
    if sound:
        look = LOOKS[Priority.LOW]
        lines.append(ShownLine("", sound, look.colour, is_on=False, look=look))
    return lines


def alarm_text(line: AlarmLine) -> str:
    """Return an alarm with its mark as one line of plain text."""
    return f"{line.alarm.look.mark:<3} {_told(line)}"


def _told(line: AlarmLine) -> str:
    first = "first cause, " if line.first_out else ""
    return f"{_name(line)}: {first}{line.alarm.text}. {line.alarm.action}"


def _name(line: AlarmLine) -> str:
    """Return the id of an alarm and how it stands."""
    states = [] if line.present else ["over"]
    if line.signal is Signal.ACKNOWLEDGED:
        states.append("acknowledged")
    return f"{line.alarm.id} ({', '.join(states)})" if states else line.alarm.id


def _sound(view: AlarmView) -> str:
    if view.audio_off:
        return "ALARM SOUND OFF"
    return f"alarm sound paused, {view.pause_left_s:.0f} s left" if view.pause_left_s else ""


def is_lit(line: ShownLine, wall_s: float) -> bool:
    """Return False in the dark part of a flash."""
    if not line.is_on:
        return True
    return wall_s * line.look.flash_hz % 1.0 < line.look.flash_duty


class Bell:
    """Rings once for each burst; a terminal has one tone for all of them."""

    def __init__(self) -> None:
        self._last_s: float | None = None

    def rings(self, burst: Burst | None) -> bool:
        """Return True if ``burst`` is due and has not been heard yet."""
        if burst is None or burst.at_s == self._last_s:
            return False
        self._last_s = burst.at_s
        return True
