"""Which faults are waiting, present and over, tick by tick."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryoctl_protocol.codes import DeviceState
from cryoctl_protocol.peer import FaultNote
from cryoctl_simulator.faults import Held, Injection, LinkEffect, Moment, parse_fault
from cryoctl_simulator.firmware_state import Outputs
from cryoctl_simulator.instruments import Readings
from cryoctl_simulator.plant import Actuators, Plant

_PHASES = {Moment.FREEZE: DeviceState.FREEZE, Moment.THAW: DeviceState.THAW}


@dataclass(slots=True)
class Scheduled:
    """One injection's progress.

    Attributes:
        due_tick: When it begins, once that is known.
        began_tick: When it began; None while it waits.
        ended_tick: When it was over; None before that.
    """

    text: str
    injection: Injection
    due_tick: int | None = None
    began_tick: int | None = None
    ended_tick: int | None = None
    held: Held = field(default_factory=Held)


class FaultSchedule:
    """All faults of one device; the device calls it once a tick while ``is_busy``."""

    def __init__(self) -> None:
        self.is_busy = False
        self._asked: list[Scheduled] = []
        self._items: list[Scheduled] = []
        self._last_state: int = DeviceState.IDLE

    def inject(self, text: str, state: int) -> None:
        """Schedule ``ID@WHEN[:DURATION]``; raises ValueError."""
        injection = parse_fault(text)
        item = Scheduled(text, injection)
        if injection.moment is Moment.TIME:
            item.due_tick = injection.ticks
        if not self.is_busy:
            self._last_state = state
        self._asked.append(item)
        self._items.append(item)
        self.is_busy = True

    def history(self, ticks_per_s: int) -> list[FaultNote]:
        """Return every fault asked for, in that order, and what became of it."""

        def seconds(tick: int | None) -> float | None:
            return None if tick is None else tick / ticks_per_s

        return [
            FaultNote(item.text, seconds(item.began_tick), seconds(item.ended_tick))
            for item in self._asked
        ]

    def move(self, tick: int, state: int, plant: Plant) -> None:
        """Begin and end what is due at ``tick``; ``state`` is the firmware's."""
        for item in self._items:
            if item.began_tick is None:
                self._watch(item, tick, state, plant)
        for item in [item for item in self._items if _is_over(item, tick)]:
            self._items.remove(item)
            item.ended_tick = tick
            if item.injection.fault.end is not None:
                item.injection.fault.end(plant)
        self._last_state = state
        self.is_busy = bool(self._items)

    def _watch(self, item: Scheduled, tick: int, state: int, plant: Plant) -> None:
        injection = item.injection
        phase = _PHASES.get(injection.moment)
        if item.due_tick is None:
            if phase is not None:
                if state == phase and self._last_state != phase:
                    item.due_tick = tick + injection.ticks
            elif plant.tip_temp_c < injection.below_c:
                item.due_tick = tick
        if item.due_tick is not None and tick >= item.due_tick:
            item.began_tick = tick
            if injection.fault.begin is not None:
                injection.fault.begin(plant)

    def falsify(self, tick: int, readings: Readings) -> None:
        """Let the present sensor faults change ``readings``."""
        for item in self._items:
            effect = item.injection.fault.readings
            if effect is not None and item.began_tick is not None:
                effect(readings, item.held, tick - item.began_tick)

    def drive(self, actuators: Actuators, outputs: Outputs) -> None:
        """Let the present actuator faults change what the firmware's outputs come to."""
        for item in self._items:
            effect = item.injection.fault.outputs
            if effect is not None and item.began_tick is not None:
                effect(actuators, outputs)

    def has(self, fault_id: str) -> bool:
        """Return True while this fault is present."""
        return any(
            item.injection.fault.fault_id == fault_id and item.began_tick is not None
            for item in self._items
        )

    def link_has(self, effect: LinkEffect) -> bool:
        """Return True while a present fault has ``effect`` on the link."""
        return any(
            item.injection.fault.link is effect and item.began_tick is not None
            for item in self._items
        )


def _is_over(item: Scheduled, tick: int) -> bool:
    duration_ticks = item.injection.duration_ticks
    if item.began_tick is None or duration_ticks is None:
        return False
    return tick >= item.began_tick + duration_ticks
