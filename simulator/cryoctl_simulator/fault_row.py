"""What a row of the fault catalogue says: what breaks, what it changes, and what should find it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final

from cryoctl_protocol.codes import DeviceState, Trip
from cryoctl_simulator.fault_intruders import Intruder
from cryoctl_simulator.firmware import Firmware
from cryoctl_simulator.firmware_state import Outputs
from cryoctl_simulator.instruments import Readings
from cryoctl_simulator.link_weather import Weather
from cryoctl_simulator.noise import chances
from cryoctl_simulator.plant import Actuators, Plant

TICKS_PER_S: Final = 100


class Group(Enum):
    """Where a fault sits."""

    SENSORS = "sensors"
    ACTUATORS = "actuators"
    GAS = "gas"
    USE = "tissue and use"
    POWER = "power"
    DEVICE = "device software"
    LINK = "link"
    HOST = "host"


class Observable(StrEnum):
    """What a fault is seen by at once, whether or not anything finds it."""

    TIP_READING = "tip reading"
    SKIN_READING = "skin reading"
    SUPPLY_READING = "supply pressure reading"
    EXHAUST_READING = "exhaust pressure reading"
    FLOW_READING = "exhaust flow reading"
    BATTERY_READING = "battery reading"
    BUTTON = "button reading"
    OPEN_CIRCUIT = "open-circuit flag"
    TIP = "true tip temperature"
    SKIN = "true skin temperature"
    FLOW = "true flow through the needle"
    SHUTOFF = "position of the second shut-off"
    VENTED = "gas that has left the probe"
    CARTRIDGE = "true content or temperature of the cartridge"
    HEATER = "power of the tip heater"
    STIMULUS = "current of the stimulator"
    BOOTS = "number of boots"
    TICKS = "ticks of the firmware"
    CLOCK = "clock of the device"
    SEQUENCE = "time in the present state, by the sequence's count"
    MEMORY = "memory of the firmware"
    IDENTITY = "identity in HELLO"
    FRAMES_UP = "frames that reach the controller"
    FRAMES_DOWN = "frames that reach the probe"
    PROCESS = "the controller's process"
    DISK = "the controller's disk"
    HOST_CLOCK = "the computer's clock"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number that a fault may be given: ``ID(name=value)@WHEN``."""

    name: str
    unit: str
    default: float
    low: float
    high: float


class Outcome(StrEnum):
    """What becomes of a fault that begins in one state."""

    DETECTED = "detected"
    LATENT = "latent"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of a fault that begins in one of ``states``; declared before any run.

    Attributes:
        by: Who finds it: ``probe``, ``controller`` or ``either``; empty where nobody does.
        answers: What finds it, any of these: a trip's name, ``FAILED`` (a test), ``REFUSED`` (ARM),
            ``NOT_EFFECTIVE`` (a cycle), or an alarm's name.
        within_ms: From the fault's beginning to that; 0 where it waits for what comes next, such as
            ARM, a test's or a cycle's end.
        reason: Why nothing finds it, or why it does nothing, or under which condition it is found.
    """

    outcome: Outcome
    states: frozenset[DeviceState]
    by: str = ""
    answers: tuple[str, ...] = ()
    within_ms: int = 0
    reason: str = ""


IDLE: Final = frozenset({DeviceState.IDLE})
SELF_TEST: Final = frozenset({DeviceState.SELF_TEST})
LEAK_TEST: Final = frozenset({DeviceState.LEAK_TEST})
ARMED: Final = frozenset({DeviceState.ARMED})
STARTED: Final = frozenset({DeviceState.STARTED})
PREWARM: Final = frozenset({DeviceState.PREWARM})
FREEZE: Final = frozenset({DeviceState.FREEZE})
THAW: Final = frozenset({DeviceState.THAW})
STIMULATE: Final = frozenset({DeviceState.STIMULATE})
LATCHED: Final = frozenset({DeviceState.SAFE, DeviceState.FAULT})
TESTS: Final = SELF_TEST | LEAK_TEST
READY: Final = ARMED | STARTED | PREWARM
EVERY: Final = frozenset(DeviceState)

PROBE: Final = "probe"
CONTROLLER: Final = "controller"
EITHER: Final = "either"


def found(
    states: Iterable[DeviceState], by: str, within_ms: int, *answers: str, only: str = ""
) -> Expected:
    """Return that the fault is found in these states, by any of the answers."""
    return Expected(Outcome.DETECTED, frozenset(states), by, answers, within_ms, only)


def latent(states: Iterable[DeviceState], reason: str) -> Expected:
    """Return that the fault acts in these states and nothing finds it there."""
    return Expected(Outcome.LATENT, frozenset(states), reason=reason)


def nothing(states: Iterable[DeviceState], reason: str) -> Expected:
    """Return that the fault has nothing to act on in these states."""
    return Expected(Outcome.NOT_APPLICABLE, frozenset(states), reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRow:
    """What is said of a fault, wherever it is injected.

    Attributes:
        fault_id: Stable name.
        group: Where it sits.
        text: One line for people.
        acts_on: Sensor, actuator or part.
        hazards: Hazard ids it can lead to.
        requirement: Safety requirement that answers it.
        observable: What it changes at once.
        expected: What is expected of it, every state of the probe once.
        parameters: What it may be given.
        trip: What the probe is expected to trip with by itself, in the phase that shows the fault;
            NONE where the controller answers, or where nothing may trip.
        planned: Why nothing injects it by its id yet; empty if ``--fault`` does.
    """

    fault_id: str
    group: Group
    text: str
    acts_on: str
    hazards: tuple[str, ...]
    requirement: str
    observable: Observable
    expected: tuple[Expected, ...]
    parameters: tuple[Parameter, ...] = ()
    trip: Trip = Trip.NONE
    planned: str = ""

    def expected_in(self, state: DeviceState) -> Expected:
        """Return what is expected of the fault if it begins in ``state``."""
        (expected,) = (row for row in self.expected if state in row.states)
        return expected


@dataclass(slots=True)
class Present:
    """A fault that has begun: its numbers, its age, and what it remembers.

    Attributes:
        values: By the name of the parameter.
        seed: Of the device.
        stream: Differs from fault to fault of one device.
        age_ticks: Since it began.
        kept: What the effect keeps from tick to tick.
    """

    values: dict[str, float]
    seed: int
    stream: int
    age_ticks: int = 0
    kept: float | None = None

    def chances(self) -> tuple[float, float]:
        """Return two numbers from 0 to 1 that depend on seed, fault and age alone."""
        first, second = chances(self.seed, self.stream, self.age_ticks, 2)
        return first, second


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault(FaultRow):
    """A row with what the simulator does; hooks that are None leave things alone.

    Attributes:
        begin: Changes the hardware once.
        hold: Keeps the hardware broken, once a tick.
        mend: Mends what ``hold`` broke.
        readings: Falsifies one set of readings.
        outputs: Changes what the firmware's outputs come to at the actuators.
        firmware: Changes the firmware, before each of its ticks.
        runs: Whether the firmware gets its tick; told how often the device has booted.
        power: Whether there is power.
        clock_ms: How much the device's clock gains with this tick.
        weather: What happens to frames towards the controller, and towards the probe.
        intruder: Makes who else sends to the probe.
    """

    begin: Callable[[Plant, Present], None] | None = None
    hold: Callable[[Plant, Present], None] | None = None
    mend: Callable[[Plant], None] | None = None
    readings: Callable[[Readings, Present], None] | None = None
    outputs: Callable[[Actuators, Outputs, Present], None] | None = None
    firmware: Callable[[Firmware, Present], None] | None = None
    runs: Callable[[Present, int], bool] | None = None
    power: Callable[[Present], bool] | None = None
    clock_ms: Callable[[Present], float] | None = None
    weather: Callable[[Present], tuple[Weather, Weather]] | None = None
    intruder: Callable[[int], Intruder] | None = None


def mends(name: str, healthy: float | None) -> Callable[[Plant], None]:
    """Return what gives one of the plant's fault attributes its healthy value."""

    def mend(plant: Plant) -> None:
        setattr(plant, name, healthy)

    return mend


def ticks(seconds: float) -> int:
    """Return whole ticks, at least one."""
    return max(1, round(seconds * TICKS_PER_S))
