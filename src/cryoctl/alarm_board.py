"""Which alarms stand, what is shown of them, and which sound is due.

A state machine without a clock: everything comes in with its time. Condition and signal of an alarm
are two things: a cause may have gone while its alarm still stands, and an alarm may be quiet while
its cause is there. Whoever shows alarms draws ``view`` and decides nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

from cryoctl.alarms import ALARMS, LOOKS, Alarm, Latching, Priority

AUDIO_PAUSE_S: Final = 120.0  # SR-32
CAUSE_GONE_S: Final = 1.0  # SR-27
LOG_KEPT: Final = 1000
"""Changes that the board itself remembers; the recording keeps all."""
_NEVER_S: Final = float("-inf")
_RANK: Final = {priority: index for index, priority in enumerate(Priority)}


class Signal(StrEnum):
    """What is made of an alarm that stands."""

    ON = "on"
    TEXT = "text"
    ACKNOWLEDGED = "acknowledged"


class Change(StrEnum):
    """What can happen to an alarm."""

    RAISED = "raised"
    GONE = "gone"
    ACKNOWLEDGED = "acknowledged"
    RESET = "reset"
    CLEARED = "cleared"


class AlarmChange(NamedTuple):
    """One line of the board's log."""

    at_s: float
    id: str
    change: Change


class AlarmLine(NamedTuple):
    """One alarm as it is shown.

    Attributes:
        present: Its condition is there; False: it was, and the alarm latches.
        held: It is a trip that has not been reset.
        first_out: It is the first trip since the last reset.
        since_s: When it was raised last.
        consequences: Alarms that this one explains; none is more urgent.
    """

    alarm: Alarm
    present: bool
    signal: Signal
    held: bool
    first_out: bool
    since_s: float
    consequences: tuple[AlarmLine, ...]


class Burst(NamedTuple):
    """The sound that is due: play it once, as soon as ``at_s`` is another than the last one's."""

    priority: Priority
    pulses: int
    at_s: float


class AlarmView(NamedTuple):
    """All that there is to show and to hear.

    Attributes:
        lines: Most urgent first; among equals the first one first.
        burst: The last one that came due; None: there is to be silence.
        pause_left_s: Until the sound comes back; 0: it is not paused.
        audio_off: It is off for good, which has to be shown as long as that is so.
    """

    lines: tuple[AlarmLine, ...]
    burst: Burst | None
    pause_left_s: float
    audio_off: bool


@dataclass(slots=True)
class _Standing:
    """An alarm that has been raised and not cleared."""

    alarm: Alarm
    since_s: float
    seen_s: float
    first_out: bool
    held: bool
    present: bool = True
    signal: Signal = Signal.ON


class AlarmBoard:
    """The alarms of one controller.

    Args:
        audio_off: No sound, by configuration.

    Attributes:
        log: The last changes, oldest first.
    """

    def __init__(self, *, audio_off: bool = False) -> None:
        self.log: deque[AlarmChange] = deque(maxlen=LOG_KEPT)
        self._audio_off = audio_off
        self._standing: dict[str, _Standing] = {}
        self._cause_seen_s = _NEVER_S
        self._paused_until_s = _NEVER_S

    @property
    def is_empty(self) -> bool:
        """True if no alarm stands."""
        return not self._standing

    def is_present(self, alarm_id: str) -> bool:
        """Return True if an alarm stands whose condition is there."""
        standing = self._standing.get(alarm_id)
        return standing is not None and standing.present

    # -- conditions ------------------------------------------------------------------------------

    def raise_(self, alarm_id: str, now_s: float) -> list[AlarmChange]:
        """Take note that a condition has come, or a trip; nothing is new about one that is there.

        A trip that was reset and is taken again is new, though its cause may never have gone.
        """
        alarm, standing = ALARMS[alarm_id], self._standing.get(alarm_id)
        is_first = alarm.is_trip and not any(other.held for other in self._standing.values())
        if standing is None:
            standing = _Standing(alarm, now_s, now_s, first_out=is_first, held=alarm.is_trip)
            self._standing[alarm_id] = standing
        elif standing.present and standing.held is alarm.is_trip:
            standing.seen_s = now_s
            return []
        else:
            standing.present, standing.signal, standing.held = True, Signal.ON, alarm.is_trip
            standing.since_s = standing.seen_s = now_s
            standing.first_out = standing.first_out or is_first
        self.end_pause(now_s)
        return [self._note(now_s, alarm_id, Change.RAISED)]

    def see_cause(self, alarm_id: str, now_s: float) -> list[AlarmChange]:
        """Take note that the cause of a trip is there, if the trip itself was taken or not."""
        self._cause_seen_s = now_s
        standing = self._standing.get(alarm_id)
        if standing is None:
            return []
        if not standing.present:
            return self.raise_(alarm_id, now_s)
        standing.seen_s = now_s
        return []

    def gone(self, alarm_id: str, now_s: float) -> list[AlarmChange]:
        """Take note that a condition has gone; what latches stands on."""
        standing = self._standing.get(alarm_id)
        if standing is None or not standing.present:
            return []
        standing.present = False
        changes = [self._note(now_s, alarm_id, Change.GONE)]
        if standing.alarm.latching is Latching.NONE:
            return changes + self._clear(standing, now_s)
        if standing.signal is Signal.ACKNOWLEDGED:
            return changes + self._clear_if_settled(standing, now_s)
        if standing.alarm.latching is Latching.TEXT:
            standing.signal = Signal.TEXT
        return changes

    def settle(self, now_s: float) -> list[AlarmChange]:
        """Let the condition of each trip go whose cause has not been seen for a second."""
        changes = []
        for alarm_id, standing in tuple(self._standing.items()):
            if standing.alarm.is_trip and now_s - standing.seen_s >= CAUSE_GONE_S:
                changes += self.gone(alarm_id, now_s)
        return changes

    # -- what people do --------------------------------------------------------------------------

    def acknowledge(self, now_s: float) -> list[AlarmChange]:
        """Quiet the alarms that stand now, and none that comes later; resets nothing."""
        changes = []
        for alarm_id, standing in tuple(self._standing.items()):
            if standing.signal is Signal.ACKNOWLEDGED:
                continue
            standing.signal = Signal.ACKNOWLEDGED
            changes.append(self._note(now_s, alarm_id, Change.ACKNOWLEDGED))
            changes += self._clear_if_settled(standing, now_s)
        return changes

    def may_reset(self, now_s: float) -> bool:
        """Return True if no cause of a trip has been seen for a second (SR-27)."""
        return now_s - self._cause_seen_s >= CAUSE_GONE_S

    def reset(self, now_s: float) -> list[AlarmChange]:
        """Take note that the controller's trips were reset; an alarm still has to be acknowledged.

        One whose cause has not gone for a second stands on as long as that is so.
        """
        changes = []
        for alarm_id, standing in tuple(self._standing.items()):
            if not standing.held:
                continue
            standing.held = standing.first_out = False
            changes.append(self._note(now_s, alarm_id, Change.RESET))
            if standing.signal is Signal.ACKNOWLEDGED:
                changes += self._clear_if_settled(standing, now_s)
        return changes

    def pause_audio(self, now_s: float) -> bool:
        """Silence what sounds for two minutes (SR-32); return False if nothing does."""
        if self._burst(now_s) is None:
            return False
        self._paused_until_s = now_s + AUDIO_PAUSE_S
        return True

    def end_pause(self, now_s: float) -> None:
        """Let the sound come back, as at any new alarm and when the link is lost."""
        self._paused_until_s = min(self._paused_until_s, now_s)

    # -- what is shown ---------------------------------------------------------------------------

    def view(self, now_s: float) -> AlarmView:
        """Return what is to be shown and heard at ``now_s``."""
        below: dict[str, list[_Standing]] = {}
        standing = tuple(self._standing.values())
        for one in standing:
            below.setdefault(self._root(one).alarm.id, []).append(one)
        lines = []
        for one in sorted(standing, key=_urgency):
            if one.alarm.id in below:
                others = [other for other in below[one.alarm.id] if other is not one]
                lines.append(_line(one, sorted(others, key=_urgency)))
        return AlarmView(
            tuple(lines),
            self._burst(now_s),
            max(0.0, self._paused_until_s - now_s),
            self._audio_off,
        )

    def _root(self, standing: _Standing) -> _Standing:
        """Return the first cause that explains an alarm; itself if none does."""
        for alarm_id in standing.alarm.follows:
            cause = self._standing.get(alarm_id)
            if cause is not None and _explains(cause, standing):
                return self._root(cause)
        return standing

    def _burst(self, now_s: float) -> Burst | None:
        sounding = [one for one in tuple(self._standing.values()) if one.signal is Signal.ON]
        if self._audio_off or not sounding or now_s < self._paused_until_s:
            return None
        priority = min((one.alarm.priority for one in sounding), key=_RANK.__getitem__)
        newest_s = max(one.since_s for one in sounding if one.alarm.priority is priority)
        from_s = max(newest_s, self._paused_until_s)
        look = LOOKS[priority]
        period_s = look.burst_period_s
        played = 0 if period_s is None else max(0, int((now_s - from_s) // period_s))
        return Burst(priority, look.pulses, from_s + played * (period_s or 0.0))

    # -- what the others share -------------------------------------------------------------------

    def _clear_if_settled(self, standing: _Standing, now_s: float) -> list[AlarmChange]:
        """Clear an alarm that was acknowledged, unless condition or trip is still there."""
        if standing.present or standing.held:
            return []
        return self._clear(standing, now_s)

    def _clear(self, standing: _Standing, now_s: float) -> list[AlarmChange]:
        del self._standing[standing.alarm.id]
        return [self._note(now_s, standing.alarm.id, Change.CLEARED)]

    def _note(self, now_s: float, alarm_id: str, change: Change) -> AlarmChange:
        noted = AlarmChange(now_s, alarm_id, change)
        self.log.append(noted)
        return noted

    def __getstate__(self) -> dict[str, Any]:
        """Save everything but a pause of the sound, which outlives nothing (SR-32)."""
        return vars(self) | {"_paused_until_s": _NEVER_S}


def _urgency(standing: _Standing) -> tuple[int, float]:
    return _RANK[standing.alarm.priority], standing.since_s


def _explains(cause: _Standing, effect: _Standing) -> bool:
    """Return True for a cause that is more urgent than its effect, or came no later."""
    if _RANK[cause.alarm.priority] < _RANK[effect.alarm.priority]:
        return True
    return cause.since_s <= effect.since_s


def _line(standing: _Standing, consequences: list[_Standing]) -> AlarmLine:
    return AlarmLine(
        alarm=standing.alarm,
        present=standing.present,
        signal=standing.signal,
        held=standing.held,
        first_out=standing.first_out,
        since_s=standing.since_s,
        consequences=tuple(_line(one, []) for one in consequences),
    )
