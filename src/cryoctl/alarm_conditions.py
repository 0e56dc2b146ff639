"""When the condition of an alarm has gone that no message tells of: looked at with every tick."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from cryoctl.safing import shows_safe_state
from cryoctl.vented_gas import VENTED_G_PER_H_MAX
from cryoctl_protocol.host_session import Phase as SessionPhase

if TYPE_CHECKING:
    from cryoctl.core import Controller


def look(c: Controller, now_s: float) -> None:
    """Take conditions off the board that are there no more."""
    if c.board.is_empty:
        return
    c.journal.log_alarms(c.board.settle(now_s))
    for alarm, has_gone in _GONE.items():
        if c.board.is_present(alarm) and has_gone(c, now_s):
            c.journal.alarm_gone(alarm, now_s)


def _is_safe(c: Controller, _now_s: float) -> bool:
    if c.failure:
        return False  # It may be another probe that says so.
    sample = c.fresh_sample
    return sample is not None and shows_safe_state(sample)


def _is_free(c: Controller, _now_s: float) -> bool:
    return c.measures.is_free


def _has_gas(c: Controller, now_s: float) -> bool:
    return not c.measures.gas_is_low(now_s)


def _room_is_aired(c: Controller, _now_s: float) -> bool:
    return c.measures.vented.g_per_h <= VENTED_G_PER_H_MAX


def _keeps_time(c: Controller, _now_s: float) -> bool:
    return not c.device_clock.is_off


def _is_open(c: Controller, _now_s: float) -> bool:
    return c.session.phase is SessionPhase.OPEN


_GONE: Final[dict[str, Callable[[Controller, float], bool]]] = {
    "SAFE_NOT_CONFIRMED": _is_safe,
    "NOT_RELEASED": _is_free,
    "GAS_LOW": _has_gas,
    "GAS_IN_ROOM": _room_is_aired,
    "CLOCK_DRIFT": _keeps_time,
    "SESSION_DROPPED": _is_open,
}
