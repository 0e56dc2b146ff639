"""The fault catalogue, and the small grammar by which a fault is asked for: ``ID@WHEN[:DURATION]``.

The catalogue is data: the reference page, the command line's listing and the matrix tests are
made from it. What a fault does is one to three functions that act on hardware, readings or link.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from cryoctl_protocol.codes import Sensor, Trip
from cryoctl_simulator.firmware_state import Outputs
from cryoctl_simulator.instruments import Readings
from cryoctl_simulator.plant import Actuators, Plant

TICKS_PER_S: Final = 100


class Group(Enum):
    """Where a fault sits."""

    SENSORS = "sensors"
    ACTUATORS = "actuators"
    GAS = "gas"
    USE = "tissue and use"
    POWER = "power"
    LINK = "link"


class LinkEffect(Enum):
    """What a fault does to the bytes."""

    NONE = auto()
    CUT = auto()
    BABBLE = auto()
    POWER_OFF = auto()


@dataclass(slots=True)
class Held:
    """What a sensor fault remembers from its first tick."""

    mdegc: int | None = None


PlantEffect = Callable[[Plant], None]
ReadingsEffect = Callable[[Readings, Held, int], None]
"""Changes one set of readings; the number is the fault's age in ticks."""
OutputsEffect = Callable[[Actuators, Outputs], None]
"""Changes what the firmware's outputs come to at the actuators."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the catalogue.

    Attributes:
        fault_id: Stable name.
        text: One line for people.
        acts_on: Sensor, actuator or part.
        hazards: Hazard ids it can lead to.
        requirement: Safety requirement that answers it; empty where none must.
        trip: What the probe is expected to trip with by itself, in the phase that shows the fault;
            NONE where the controller answers, or where nothing may trip.
        begin: Breaks the hardware.
        end: Mends it.
        readings: Falsifies one set of readings.
        outputs: Changes what reaches the actuators.
        link: What happens to the bytes.
    """

    fault_id: str
    group: Group
    text: str
    acts_on: str
    hazards: tuple[str, ...]
    requirement: str
    trip: Trip = Trip.NONE
    begin: PlantEffect | None = None
    end: PlantEffect | None = None
    readings: ReadingsEffect | None = None
    outputs: OutputsEffect | None = None
    link: LinkEffect = LinkEffect.NONE

    def __reduce__(self) -> tuple[Callable[[str], Fault], tuple[str]]:
        """Save as the id: functions cannot be pickled."""
        return _by_id, (self.fault_id,)


DRIFT_MDEGC_PER_TICK: Final = 5  # 0.5 C/s: slow enough to pass every step and range check
DRIFT_MDEGC_MAX: Final = 40_000
SPIKE_MDEGC: Final = -40_000
SPIKE_PERIOD_TICKS: Final = 100
SKIN_FALL_MDEGC_PER_TICK: Final = 100  # 10 C/s
SKIN_COLDEST_MDEGC: Final = -5_000
LEAK_MG_S: Final = 5.0
LOW_LIQUID_G: Final = 0.5
HOT_CARTRIDGE_C: Final = 40.0  # Above both gases' critical temperature: far over any trip.
BABBLE_TICKS: Final = 8
"""Noise this often: it spoils one frame in four, so that the link is noisy rather than dead."""
BATTERY_SAG_MV: Final = 1_500.0


def _tc_open(readings: Readings, _held: Held, _age: int) -> None:
    readings.open_circuit |= Sensor.TIP
    readings.tip_mdegc = 0  # An amplifier's rest position.


def _tc_drift(readings: Readings, _held: Held, age: int) -> None:
    readings.tip_mdegc += min(DRIFT_MDEGC_PER_TICK * age, DRIFT_MDEGC_MAX)


def _tc_frozen(readings: Readings, held: Held, _age: int) -> None:
    if held.mdegc is None:
        held.mdegc = readings.tip_mdegc
    readings.tip_mdegc = held.mdegc


def _tc_spike(readings: Readings, _held: Held, age: int) -> None:
    if age % SPIKE_PERIOD_TICKS == 0:
        readings.tip_mdegc += SPIKE_MDEGC


def _open(sensor: Sensor) -> ReadingsEffect:
    """Return an effect that opens a sensor; its reading stays believable: only the flag tells."""

    def effect(readings: Readings, _held: Held, _age: int) -> None:
        readings.open_circuit |= sensor

    return effect


def _skin_cold(readings: Readings, held: Held, age: int) -> None:
    if held.mdegc is None:
        held.mdegc = readings.skin_mdegc
    falling_mdegc = held.mdegc - SKIN_FALL_MDEGC_PER_TICK * age
    readings.skin_mdegc = max(falling_mdegc, SKIN_COLDEST_MDEGC)


def _heater_stuck_on(actuators: Actuators, outputs: Outputs) -> None:
    # The supply switch in series still works.
    actuators.tip_heater = 1.0 if outputs.heater_supply_on else 0.0


def _set(name: str, value: float | None) -> PlantEffect:
    """Return an effect that sets one of the plant's fault attributes."""

    def effect(plant: Plant) -> None:
        setattr(plant, name, value)

    return effect


def _drain(plant: Plant) -> None:
    plant.drain_to(0.0)


def _drain_low(plant: Plant) -> None:
    plant.drain_to(LOW_LIQUID_G)


def _heat_cartridge(plant: Plant) -> None:
    plant.cartridge_temp_c = HOT_CARTRIDGE_C


def _sag_battery(plant: Plant) -> None:
    plant.battery.sag_mv = BATTERY_SAG_MV


def _mend_battery(plant: Plant) -> None:
    plant.battery.sag_mv = 0.0


_G = Group
_ROWS: Final = (
    Fault(
        "tc_open", _G.SENSORS, "tip thermocouple open", "tip", ("H-05", "H-08"), "SR-11",
        Trip.TIP_SENSOR, readings=_tc_open,
    ),
    Fault(
        "tc_drift", _G.SENSORS, "tip reads ever warmer, 0.5 C/s", "tip", ("H-06", "H-02"),
        "SR-12", readings=_tc_drift,
    ),
    Fault(
        "tc_frozen", _G.SENSORS, "tip reading stands still", "tip", ("H-06", "H-02"), "SR-12",
        readings=_tc_frozen,
    ),
    Fault(
        "tc_spike", _G.SENSORS, "one sample a second is 40 C too cold", "tip", ("H-05",), "SR-11",
        readings=_tc_spike,
    ),
    Fault(
        "skin_open", _G.SENSORS, "skin sensor open", "skin", ("H-09",), "SR-17",
        readings=_open(Sensor.SKIN),
    ),
    Fault(
        "pressure_open", _G.SENSORS, "supply pressure sensor open", "supply", ("H-10",), "SR-18",
        Trip.SENSOR_OPEN, readings=_open(Sensor.SUPPLY_PRESSURE),
    ),
    Fault(
        "flow_open", _G.SENSORS, "exhaust flow sensor open", "exhaust", ("H-01", "H-11"), "SR-18",
        Trip.SENSOR_OPEN, readings=_open(Sensor.EXHAUST_FLOW),
    ),
    Fault(
        "skin_cold", _G.SENSORS, "skin reading falls below freezing", "skin", ("H-09",), "SR-17",
        readings=_skin_cold,
    ),
    Fault(
        "valve_stuck_open", _G.ACTUATORS, "valve stays open", "valve", ("H-01", "H-02"), "SR-07",
        Trip.VALVE_STUCK, _set("valve_held", 1.0), _set("valve_held", None),
    ),
    Fault(
        "valve_stuck_closed", _G.ACTUATORS, "valve stays shut", "valve", ("H-04",), "SR-13",
        Trip.NONE, _set("valve_held", 0.0), _set("valve_held", None),
    ),
    Fault(
        "heater_stuck_on", _G.ACTUATORS, "the tip heater's driver stays on at full power",
        "tip_heater", ("H-08",), "SR-16", Trip.HEATER, outputs=_heater_stuck_on,
    ),
    Fault(
        "gas_empty", _G.GAS, "the cartridge loses its last liquid", "cartridge", ("H-13", "H-04"),
        "SR-22", Trip.NONE, _drain,
    ),
    Fault(
        "gas_low", _G.GAS, "half a gram of liquid is left", "cartridge", ("H-04", "H-13"), "SR-22",
        Trip.NONE, _drain_low,
    ),
    Fault(
        "cartridge_hot", _G.GAS, "cartridge at 40 C: overpressure", "cartridge", ("H-10",),
        "SR-18", Trip.OVERPRESSURE, _heat_cartridge,
    ),
    Fault(
        "exhaust_blocked", _G.GAS, "exhaust shut", "exhaust", ("H-10",), "SR-18",
        Trip.EXHAUST_BLOCKED,
        _set("exhaust_open_fraction", 0.0), _set("exhaust_open_fraction", 1.0),
    ),
    Fault(
        "orifice_blocked", _G.GAS, "orifice plugged by ice", "orifice", ("H-04",), "SR-13",
        Trip.NONE, _set("orifice_open_fraction", 0.0), _set("orifice_open_fraction", 1.0),
    ),
    Fault(
        "leak_supply", _G.GAS, "gas leaks to the room between shut-off and valve, 5 mg/s",
        "supply", ("H-12",), "SR-19", Trip.NONE,
        _set("supply_leak_mg_s", LEAK_MG_S), _set("supply_leak_mg_s", 0.0),
    ),
    Fault(
        "no_contact", _G.USE, "the needle is in air", "tip", ("H-04",), "SR-13",
        Trip.NONE, _set("contact", 0.0), _set("contact", 1.0),
    ),
    Fault(
        "vbat_low", _G.POWER, "battery sags by 1.5 V", "battery", ("H-23",), "SR-36", Trip.BATTERY,
        _sag_battery, _mend_battery,
    ),
    Fault(
        "power_cut", _G.POWER, "no power; boots anew when it comes back", "device",
        ("H-14", "H-18"), "SR-26", link=LinkEffect.POWER_OFF,
    ),
    Fault(
        "disconnect", _G.LINK, "the link is silent both ways", "link", ("H-14",), "SR-01",
        Trip.LEASE, link=LinkEffect.CUT,
    ),
    Fault(
        "babble", _G.LINK, "noise on the line towards the controller", "link", ("H-15",), "SR-23",
        link=LinkEffect.BABBLE,
    ),
)  # fmt: skip
CATALOGUE: Final[dict[str, Fault]] = {fault.fault_id: fault for fault in _ROWS}


def _by_id(fault_id: str) -> Fault:
    return CATALOGUE[fault_id]


class Moment(Enum):
    """What an injection waits for."""

    TIME = auto()
    FREEZE = auto()
    THAW = auto()
    TIP_BELOW = auto()


@dataclass(frozen=True, slots=True)
class Injection:
    """A fault and when it happens.

    Attributes:
        ticks: Virtual time for TIME, delay after entering the phase for FREEZE and THAW.
        below_c: True tip temperature for TIP_BELOW.
        duration_ticks: How long it lasts; None for good.
    """

    fault: Fault
    moment: Moment
    ticks: int = 0
    below_c: float = 0.0
    duration_ticks: int | None = None


GRAMMAR: Final = (
    "ID@WHEN[:DURATION], where WHEN is a time such as 12s, a phase such as freeze+3s or thaw+1s, "
    "or a tip temperature such as tip_c<-60, and DURATION a time such as 5s"
)
_SECONDS: Final = r"(\d{1,6}(?:\.\d{1,3})?)s"
_SPEC: Final = re.compile(r"([^@:]+)@([^:]+)(?::(.+))?")
_TIME: Final = re.compile(_SECONDS)
_PHASE: Final = re.compile(rf"(freeze|thaw)(?:\+{_SECONDS})?")
_TIP: Final = re.compile(r"tip_c<(-?\d{1,3}(?:\.\d{1,3})?)")


def parse_fault(text: str) -> Injection:
    """Read ``ID@WHEN[:DURATION]``; raises ValueError with what is wrong and what is allowed."""
    parts = _SPEC.fullmatch(text.strip())
    if parts is None:
        raise ValueError(f"fault '{text}': expected {GRAMMAR}")
    fault_id, when, duration = parts.groups()
    fault = CATALOGUE.get(fault_id)
    if fault is None:
        raise ValueError(f"fault '{text}': unknown fault '{fault_id}'{_nearest(fault_id)}")
    duration_ticks = None
    if duration is not None:
        lasting = _TIME.fullmatch(duration)
        if lasting is None or _ticks(lasting[1]) < 1:
            raise ValueError(
                f"fault '{text}': '{duration}' is no duration; write one such as 5s, at least 0.01s"
            )
        duration_ticks = _ticks(lasting[1])
    if match := _TIME.fullmatch(when):
        return Injection(fault, Moment.TIME, _ticks(match[1]), 0.0, duration_ticks)
    if match := _PHASE.fullmatch(when):
        moment = Moment.FREEZE if match[1] == "freeze" else Moment.THAW
        return Injection(fault, moment, _ticks(match[2] or "0"), 0.0, duration_ticks)
    if match := _TIP.fullmatch(when):
        return Injection(fault, Moment.TIP_BELOW, 0, float(match[1]), duration_ticks)
    raise ValueError(f"fault '{text}': '{when}' is no moment; expected {GRAMMAR}")


def _ticks(seconds: str) -> int:
    return round(float(seconds) * TICKS_PER_S)


def _nearest(fault_id: str) -> str:
    close = difflib.get_close_matches(fault_id, CATALOGUE, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known: {', '.join(CATALOGUE)}"
