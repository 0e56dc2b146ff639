"""Numbers with a name on the wire: device states, operations, answers, capabilities, trips."""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final, NamedTuple


class DeviceState(IntEnum):
    """What the probe is doing, by its own account."""

    IDLE = 0
    SELF_TEST = 1
    LEAK_TEST = 2
    ARMED = 3
    STARTED = 4
    PREWARM = 5
    FREEZE = 6
    THAW = 7
    SAFE = 8
    FAULT = 9
    STIMULATE = 10


class HostMode(IntEnum):
    """What the controller claims, with every lease, that the probe should be doing."""

    IDLE = 0
    FREEZE = 1
    THAW = 2


class Op(IntEnum):
    """Operations a command can ask for; STOP has a message of its own."""

    SELF_TEST = 1
    LEAK_TEST = 2
    ARM = 3
    START = 4
    PREWARM = 5
    FREEZE = 6
    SETPOINT = 7
    THAW = 8
    END = 9
    CLEAR = 10
    STOP = 11
    STIMULATE = 12


class Answer(IntEnum):
    """First stage of an answer: whether the command was taken."""

    ACCEPTED = 0
    WRONG_STATE = 1
    OUT_OF_RANGE = 2
    NOT_AUTHORISED = 3
    STALE = 4
    OLD_COUNTER = 5
    FAULT_LATCHED = 6
    NOT_PROVIDED = 7
    PRESSURE = 8
    BATTERY = 9
    SENSOR = 10
    TIP_COLD = 11


class Result(IntEnum):
    """Second stage of an answer: how the actuation ended."""

    OK = 0
    FAILED = 1
    ABORTED = 2


class SafeAction(IntEnum):
    """What a probe does when it is made safe: all outputs off, or a thaw it runs by itself."""

    OFF = 0
    THAW = 1


class ThawMode(IntEnum):
    """How a thaw warms the tip: by the tissue alone, or with the tip heater."""

    PASSIVE = 0
    ACTIVE = 1


class StimulusResponse(IntEnum):
    """What a stimulus of the nerve does: nothing, something felt, a muscle's twitch."""

    NONE = 0
    SENSORY = 1
    MOTOR = 2


class Capability(IntFlag):
    """What a device says it has."""

    LEASE = 1
    FREEZE_TIMER = 2
    SECOND_SHUTOFF = 4
    AUTHENTICATION = 8
    TIP_HEATER = 16
    SKIN_WARMER = 32
    INNER_LOOP = 64
    SELF_TEST = 128
    LEAK_TEST = 256
    BEEPER = 512
    LED = 1024
    STIMULATOR = 2048


class Sensor(IntFlag):
    """Sensors a device says it has; the same bits mark an open circuit in telemetry."""

    TIP = 1
    TIP_2 = 2
    SKIN = 4
    SUPPLY_PRESSURE = 8
    EXHAUST_PRESSURE = 16
    EXHAUST_FLOW = 32
    CARTRIDGE_TEMP = 64
    BATTERY = 128
    BUTTON = 256
    RESPONSE = 512


class EventCode(IntEnum):
    """What an EVENT message reports."""

    BOOT = 1
    SESSION_OPENED = 2
    SESSION_DROPPED = 3
    STATE = 4
    TRIP = 5
    STOPPED = 6
    CLEARED = 7
    OWNER_LAPSED = 8


class Trip(IntEnum):
    """Causes that make a probe safe; the first one stays on record until cleared."""

    NONE = 0
    TIP_FLOOR = 1
    VALVE_STUCK = 2
    LEAK = 3
    FREEZE_TIMER = 4
    TIP_SENSOR = 5
    TIP_FROZEN_READING = 6
    NO_COOLING = 7
    HEATER = 8
    SKIN_COLD = 9
    OVERPRESSURE = 10
    EXHAUST_BLOCKED = 11
    FLOW_HIGH = 12
    INTEGRITY = 13
    LEASE = 14
    BATTERY = 15
    MODE_MISMATCH = 16
    LINK = 17
    TICK_LATE = 18
    COMMAND_FAILED = 19
    OPERATOR_STOP = 20
    INTERNAL = 21
    THAW_TIMEOUT = 22
    DEVICE_RESTART = 23
    SENSOR_OPEN = 24
    OUTPUTS_OVERLAP = 25
    SKIN_HOT = 26
    READING_FROZEN = 27


ENUMERATIONS: Final[tuple[type[IntEnum | IntFlag], ...]] = (
    DeviceState,
    HostMode,
    Op,
    Answer,
    Result,
    SafeAction,
    ThawMode,
    StimulusResponse,
    EventCode,
    Trip,
    Capability,
    Sensor,
)
"""Every number with a name; part of the schema hash, as much as the fields that carry them."""


class TripRule(NamedTuple):
    """What a trip stands for.

    Attributes:
        requirement: The safety requirement it carries out.
        action: How the probe is made safe. OFF where heater or tip sensor cannot be trusted.
        text: One line for people.
    """

    requirement: str
    action: SafeAction
    text: str


_OFF, _THAW = SafeAction.OFF, SafeAction.THAW
# fmt: off
TRIP_RULES: Final[dict[Trip, TripRule]] = {
    Trip.TIP_FLOOR:          TripRule("SR-05", _THAW, "tip at or below the profile's floor"),
    Trip.VALVE_STUCK:        TripRule("SR-07", _THAW, "cooling or flow after the valve was shut"),
    Trip.LEAK:               TripRule("SR-08", _THAW, "gas flows although the valve is shut"),
    Trip.FREEZE_TIMER:       TripRule("SR-09", _THAW, "freeze lasted longer than allowed"),
    Trip.TIP_SENSOR:         TripRule("SR-11", _OFF,  "tip temperature is not believable"),
    Trip.TIP_FROZEN_READING: TripRule("SR-12", _OFF,  "tip reading stands still, valve open"),
    Trip.NO_COOLING:         TripRule("SR-12", _THAW, "valve open but the tip does not cool"),
    Trip.HEATER:             TripRule("SR-16", _OFF,  "heater too hot, too long or over energy"),
    Trip.SKIN_COLD:          TripRule("SR-17", _THAW, "skin too cold"),
    Trip.OVERPRESSURE:       TripRule("SR-18", _THAW, "supply pressure above its trip value"),
    Trip.EXHAUST_BLOCKED:    TripRule("SR-18", _THAW, "exhaust pressure above its trip value"),
    Trip.FLOW_HIGH:          TripRule("SR-20", _THAW, "more gas flows than the needle can pass"),
    Trip.INTEGRITY:          TripRule("SR-23", _THAW, "too many rejected frames"),
    Trip.LEASE:              TripRule("SR-01", _OFF,  "the controller fell silent"),
    Trip.BATTERY:            TripRule("SR-36", _OFF,  "battery too low"),
    Trip.MODE_MISMATCH:      TripRule("SR-01", _THAW, "controller and probe disagree on the mode"),
    Trip.LINK:               TripRule("SR-03", _THAW, "no valid telemetry"),
    Trip.TICK_LATE:          TripRule("SR-35", _THAW, "the controller's own tick came too late"),
    Trip.COMMAND_FAILED:     TripRule("SR-26", _THAW, "a command was refused or not answered"),
    Trip.OPERATOR_STOP:      TripRule("SR-29", _THAW, "stopped by the operator"),
    Trip.INTERNAL:           TripRule("SR-39", _THAW, "internal error"),
    Trip.THAW_TIMEOUT:       TripRule("SR-14", _OFF,  "the tip did not come free in time"),
    Trip.DEVICE_RESTART:     TripRule("SR-26", _THAW, "the probe restarted"),
    Trip.SENSOR_OPEN:        TripRule("SR-18", _THAW, "pressure or flow cannot be seen"),
    Trip.OUTPUTS_OVERLAP:    TripRule("SR-15", _OFF,  "two of valve, heater, stimulator on"),
    Trip.SKIN_HOT:           TripRule("SR-42", _OFF,  "skin too hot, or warmed unseen"),
    Trip.READING_FROZEN:     TripRule("SR-43", _THAW, "a reading stands still while gas flows"),
}
# fmt: on
