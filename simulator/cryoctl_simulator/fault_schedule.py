"""Which faults are waiting, present and over, tick by tick, and all that they do at this tick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryoctl_protocol.codes import DeviceState
from cryoctl_protocol.peer import FaultNote
from cryoctl_simulator.fault_intruders import Intruder
from cryoctl_simulator.fault_row import Present
from cryoctl_simulator.faults import Injection, find_fault, parse_fault
from cryoctl_simulator.firmware import Firmware
from cryoctl_simulator.firmware_config import TICK_MS
from cryoctl_simulator.firmware_state import Outputs
from cryoctl_simulator.instruments import Readings
from cryoctl_simulator.link_weather import FAIR, LinkWeather
from cryoctl_simulator.plant import Actuators, Plant

# Streams of numbers of one device; the sensors' noise has stream 1.
_UP_STREAM: Final = 100
_DOWN_STREAM: Final = 101
_FAULT_STREAM: Final = 1000
"""Of the first fault asked for; each has one of its own."""


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
    present: Present
    intruder: Intruder | None = None
    due_tick: int | None = None
    began_tick: int | None = None
    ended_tick: int | None = None


class FaultSchedule:
    """All faults of one device; the device calls it once a tick while ``is_busy``."""

    def __init__(self, seed: int) -> None:
        self.is_busy = False
        self._seed = seed
        self._asked: list[Scheduled] = []
        self._items: list[Scheduled] = []
        self._present: list[Scheduled] = []
        self._last_state: int = DeviceState.IDLE
        self._up = LinkWeather(seed, _UP_STREAM)
        self._down = LinkWeather(seed, _DOWN_STREAM)

    def inject(self, text: str, state: int) -> None:
        """Schedule a fault, in the grammar of ``faults``; raises ValueError."""
        injection = parse_fault(text)
        present = Present(injection.values, self._seed, _FAULT_STREAM + len(self._asked))
        make = injection.fault.intruder
        item = Scheduled(text, injection, present, None if make is None else make(self._seed))
        if injection.state is None and injection.condition is None:
            item.due_tick = injection.ticks
        if not self.is_busy:
            self._last_state = state
        self._asked.append(item)
        self._items.append(item)
        self.is_busy = True

    def clear(self, fault_id: str, tick: int, plant: Plant) -> int:
        """End every fault of this id that waits or is present; return how many those were.

        Raises:
            ValueError: No fault has this id.
        """
        find_fault(fault_id)
        over = [item for item in self._items if item.injection.fault.fault_id == fault_id]
        self._end(over, tick, plant)
        return len(over)

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
        self._end([item for item in self._items if _is_over(item, tick)], tick, plant)
        for item in self._present:
            assert item.began_tick is not None
            item.present.age_ticks = tick - item.began_tick
        self._last_state = state
        self.is_busy = bool(self._items) or not (self._up.is_empty and self._down.is_empty)

    def _watch(self, item: Scheduled, tick: int, state: int, plant: Plant) -> None:
        injection = item.injection
        if item.due_tick is None:
            if injection.condition is not None:
                if injection.condition.holds(plant):
                    item.due_tick = tick
            elif state == injection.state and self._last_state != state:
                item.due_tick = tick + injection.ticks
        if item.due_tick is not None and tick >= item.due_tick:
            item.began_tick = tick
            self._present.append(item)
            if injection.fault.begin is not None:
                injection.fault.begin(plant, item.present)

    def _end(self, over: list[Scheduled], tick: int, plant: Plant) -> None:
        for item in over:
            self._items.remove(item)
            if item.began_tick is None:
                continue
            self._present.remove(item)
            item.ended_tick = tick
            if item.injection.fault.mend is not None:
                item.injection.fault.mend(plant)

    # -- what the present faults do --------------------------------------------------------------

    def hold(self, plant: Plant) -> None:
        """Keep the hardware broken, whatever else has changed it."""
        for item in self._present:
            if item.injection.fault.hold is not None:
                item.injection.fault.hold(plant, item.present)

    def falsify(self, readings: Readings) -> None:
        """Let sensor faults change ``readings``."""
        for item in self._present:
            if item.injection.fault.readings is not None:
                item.injection.fault.readings(readings, item.present)

    def drive(self, actuators: Actuators, outputs: Outputs) -> None:
        """Let actuator faults change what the firmware's outputs come to."""
        for item in self._present:
            if item.injection.fault.outputs is not None:
                item.injection.fault.outputs(actuators, outputs, item.present)

    def change(self, firmware: Firmware) -> None:
        """Let faults of the device's software change it before its tick."""
        for item in self._present:
            if item.injection.fault.firmware is not None:
                item.injection.fault.firmware(firmware, item.present)

    def has_power(self) -> bool:
        """Return False while a fault takes the power away."""
        found = [(item.injection.fault.power, item.present) for item in self._present]
        return all(power is None or power(present) for power, present in found)

    def runs(self, boots: int) -> bool:
        """Return False where the firmware misses this tick; ``boots`` counts its boots."""
        found = [(item.injection.fault.runs, item.present) for item in self._present]
        return all(runs is None or runs(present, boots) for runs, present in found)

    def clock_ms(self) -> float:
        """Return what the device's clock gains at this tick."""
        found = [(item.injection.fault.clock_ms, item.present) for item in self._present]
        return sum(gain(present) for gain, present in found if gain is not None)

    # -- the link --------------------------------------------------------------------------------

    def to_probe(self, tick: int, sent: bytes) -> bytes:
        """Return what reaches the probe at this tick of what the controller sent, and others."""
        weather = FAIR
        said = b""
        for item in self._items:
            if item.intruder is not None:
                item.intruder.hear(sent, b"", tick * TICK_MS)
        for item in self._present:
            present = item.present
            if item.injection.fault.weather is not None:
                weather = weather.worst(item.injection.fault.weather(present)[1])
            if item.intruder is not None:
                age_ms = present.age_ticks * TICK_MS
                said += item.intruder.speak(present.values, age_ms, tick * TICK_MS)
        return self._down.carry(sent, tick * TICK_MS, weather) + said

    def to_controller(self, tick: int, sent: bytes) -> bytes:
        """Return what reaches the controller at this tick of what the probe sent."""
        weather = FAIR
        for item in self._items:
            if item.intruder is not None:
                item.intruder.hear(b"", sent, tick * TICK_MS)
        for item in self._present:
            if item.injection.fault.weather is not None:
                weather = weather.worst(item.injection.fault.weather(item.present)[0])
        return self._up.carry(sent, tick * TICK_MS, weather)


def _is_over(item: Scheduled, tick: int) -> bool:
    duration_ticks = item.injection.duration_ticks
    if item.began_tick is None or duration_ticks is None:
        return False
    return tick >= item.began_tick + duration_ticks
