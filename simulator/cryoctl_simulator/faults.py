"""The fault catalogue, and the grammar by which a fault is asked for.

``ID[(NAME=NUMBER,...)]@WHEN[:DURATION]``. The catalogue is data: the reference pages, the command
line's listing and the fault matrix are made from it. Its rows stand beside what they do, in the
modules of their groups.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from cryoctl_protocol.codes import DeviceState
from cryoctl_protocol.peer import KnownFault
from cryoctl_simulator.fault_actuators import ACTUATOR_FAULTS
from cryoctl_simulator.fault_device import DEVICE_FAULTS, POWER_FAULTS
from cryoctl_simulator.fault_gas import GAS_FAULTS, USE_FAULTS
from cryoctl_simulator.fault_link import LINK_FAULTS
from cryoctl_simulator.fault_row import TICKS_PER_S, Fault
from cryoctl_simulator.fault_sensors import SENSOR_FAULTS
from cryoctl_simulator.plant import Plant

CATALOGUE: Final[dict[str, Fault]] = {
    fault.fault_id: fault
    for fault in (
        *SENSOR_FAULTS,
        *ACTUATOR_FAULTS,
        *GAS_FAULTS,
        *USE_FAULTS,
        *POWER_FAULTS,
        *DEVICE_FAULTS,
        *LINK_FAULTS,
    )
}
"""What ``--fault`` can ask for, by id."""
OF_THE_COMPUTER: Final = frozenset({
    "host_dead", "host_stopped", "loop_stall", "clock_jump", "disk_full", "disk_slow", "torn_write",
})  # fmt: skip
"""In the catalogue, and no business of a probe."""

QUANTITIES: Final[dict[str, str]] = {
    "tip_c": "tip_temp_c",
    "skin_c": "skin_temp_c",
    "supply_bar": "supply_pressure_bar",
    "exhaust_bar": "exhaust_pressure_bar",
    "flow_mg_s": "exhaust_flow_mg_s",
    "cartridge_c": "cartridge_temp_c",
    "liquid_g": "liquid_g",
    "battery_mv": "battery_mv",
}
"""What a condition may name, and the attribute of the plant that holds the true value."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A true quantity of the plant beyond a limit."""

    quantity: str
    is_below: bool
    limit: float

    def holds(self, plant: Plant) -> bool:
        """Return True if the plant is there."""
        value: float = getattr(plant, QUANTITIES[self.quantity])
        return value < self.limit if self.is_below else value > self.limit


@dataclass(frozen=True, slots=True)
class Injection:
    """A fault and when it happens: at a time, after the next entry into a state, or by a condition.

    Attributes:
        ticks: Virtual time; with ``state``, the delay after its entry.
        state: Whose next entry is waited for.
        condition: What is waited for.
        duration_ticks: How long it lasts; None for good.
        values: Every parameter of the fault, by name.
    """

    fault: Fault
    ticks: int = 0
    state: DeviceState | None = None
    condition: Condition | None = None
    duration_ticks: int | None = None
    values: dict[str, float] = field(default_factory=dict)

    def __reduce__(self) -> tuple[Callable[..., Injection], tuple[Any, ...]]:
        """Save with the fault's id: functions cannot be pickled."""
        moment = (self.ticks, self.state, self.condition)
        return _again, (self.fault.fault_id, *moment, self.duration_ticks, self.values)


def _again(fault_id: str, *others: Any) -> Injection:
    return Injection(CATALOGUE[fault_id], *others)


_STATES: Final = {state.name.lower(): state for state in DeviceState}
GRAMMAR: Final = (
    "ID@WHEN[:DURATION] or ID(NAME=NUMBER,...)@WHEN[:DURATION], where WHEN is a time such as 12s, "
    "a state of the probe such as freeze+3s or thaw+1s, or a condition such as tip_c<-60 or "
    "supply_bar>60, and DURATION a time such as 5s"
)
_NUMBER: Final = r"-?\d{1,6}(?:\.\d{1,3})?"
_SECONDS: Final = r"(\d{1,6}(?:\.\d{1,3})?)s"
_SPEC: Final = re.compile(r"([^@:()]+)(?:\(([^()]*)\))?@([^:]+)(?::(.+))?")
_TIME: Final = re.compile(_SECONDS)
_STATE: Final = re.compile(rf"({'|'.join(_STATES)})(?:\+{_SECONDS})?")
_CONDITION: Final = re.compile(rf"({'|'.join(QUANTITIES)})([<>])({_NUMBER})")
_VALUE: Final = re.compile(rf"\s*([a-z0-9_]+)\s*=\s*({_NUMBER})\s*")


def parse_fault(text: str) -> Injection:
    """Read a fault as it is asked for; raises ValueError with what is wrong and what is allowed."""
    parts = _SPEC.fullmatch(text.strip())
    if parts is None:
        raise ValueError(f"fault '{text}': expected {GRAMMAR}")
    fault_id, numbers, when, duration = parts.groups()
    try:
        fault = find_fault(fault_id)
    except ValueError as error:
        raise ValueError(f"fault '{text}': {error}") from None
    values = _values(text, fault, numbers)
    duration_ticks = None if duration is None else _duration(text, duration)
    if match := _TIME.fullmatch(when):
        return Injection(fault, _ticks(match[1]), None, None, duration_ticks, values)
    if match := _STATE.fullmatch(when):
        delay_ticks = _ticks(match[2] or "0")
        return Injection(fault, delay_ticks, _STATES[match[1]], None, duration_ticks, values)
    if match := _CONDITION.fullmatch(when):
        condition = Condition(match[1], match[2] == "<", float(match[3]))
        return Injection(fault, 0, None, condition, duration_ticks, values)
    raise ValueError(f"fault '{text}': '{when}' is no moment; expected {GRAMMAR}")


def known_faults() -> list[KnownFault]:
    """Return the catalogue as others see it."""
    return [
        KnownFault(
            fault.fault_id,
            fault.group.value,
            fault.text,
            tuple(f"{row.name}={row.default:g} {row.unit}".rstrip() for row in fault.parameters),
        )
        for fault in CATALOGUE.values()
    ]


def find_fault(fault_id: str) -> Fault:
    """Return a fault that can be injected; raises ValueError for another id."""
    fault = CATALOGUE.get(fault_id)
    if fault is not None:
        return fault
    if fault_id in OF_THE_COMPUTER:
        raise ValueError(f"'{fault_id}' befalls the computer, and no probe can be given it")
    close = difflib.get_close_matches(fault_id.lower(), CATALOGUE, n=1)
    meant = f"did you mean '{close[0]}'?" if close else "`cryoctl faults` lists them"
    raise ValueError(f"unknown fault '{fault_id}'; {meant}")


def _values(text: str, fault: Fault, numbers: str | None) -> dict[str, float]:
    """Return every parameter of a fault: those given, within their ranges, and the defaults."""
    values = {parameter.name: parameter.default for parameter in fault.parameters}
    known = {parameter.name: parameter for parameter in fault.parameters}
    given: set[str] = set()
    for part in [] if numbers is None else numbers.split(","):
        match = _VALUE.fullmatch(part)
        if match is None:
            raise ValueError(f"fault '{text}': '{part}' is no NAME=NUMBER")
        parameter = known.get(match[1])
        if parameter is None:
            told = _nearest(match[1], known) if known else "; it has none"
            raise ValueError(f"fault '{text}': {fault.fault_id} has no '{match[1]}'{told}")
        if match[1] in given:
            raise ValueError(f"fault '{text}': {match[1]} is given twice")
        given.add(match[1])
        value = float(match[2])
        if not parameter.low <= value <= parameter.high:
            raise ValueError(
                f"fault '{text}': {match[1]} {match[2]} is out of range "
                f"({parameter.low:g} to {parameter.high:g} {parameter.unit})"
            )
        values[match[1]] = value
    return values


def _duration(text: str, duration: str) -> int:
    lasting = _TIME.fullmatch(duration)
    if lasting is None or _ticks(lasting[1]) < 1:
        raise ValueError(
            f"fault '{text}': '{duration}' is no duration; write one such as 5s, at least 0.01s"
        )
    return _ticks(lasting[1])


def _ticks(seconds: str) -> int:
    return round(float(seconds) * TICKS_PER_S)


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known: {', '.join(known)}"
