"""The message table: the one place that says what is on the wire.

Each message is a flat ``NamedTuple`` whose annotations carry construct fields. From them come the
construct ``Struct`` (the readable oracle), the fast codec, the numpy dtype, the tables of SPEC.md,
the C header and the hash by which probe and controller know that they mean the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, NamedTuple, get_type_hints

from construct import (
    Bytes,
    Int8ul,
    Int16ul,
    Int32sl,
    Int32ul,
    Int64ul,
    Struct,
)

from cryoctl_protocol.codes import (
    Answer,
    Capability,
    DeviceState,
    EventCode,
    HostMode,
    Op,
    Result,
    SafeAction,
    Sensor,
    StimulusResponse,
    ThawMode,
    Trip,
)

PROTOCOL_MAJOR: Final = 1
PROTOCOL_MINOR: Final = 0
VENDOR_ID_FIRST: Final = 0xC0
VENDOR_ID_LAST: Final = 0xEF
"""Message ids outside the table's hash, free for a maker's own data; never used by interlocks."""
_UNPRINTABLE: Final = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True)
class WireField:
    """How one value stands on the wire.

    Attributes:
        kind: A construct integer or ``Bytes(n)``.
        unit: Unit of the integer, empty for counts and codes.
        low: Smallest valid value, or None where the type is the limit.
        high: Largest valid value, or None.
        doc: One line for SPEC.md.
        choices: The enumeration that names its values or bits, ``bool`` for no and yes, or None.
    """

    kind: Any
    unit: str = ""
    low: int | None = None
    high: int | None = None
    doc: str = ""
    choices: type[Any] | None = None


def wire(
    kind: Any,
    unit: str = "",
    doc: str = "",
    *,
    low: int | None = None,
    high: int | None = None,
    choices: type[Any] | None = None,
) -> WireField:
    """Describe one field; see ``WireField``."""
    return WireField(kind, unit, low, high, doc, choices)


def code(choices: type[Any], doc: str) -> WireField:
    """Describe a one-byte code whose values are those of an enumeration without holes."""
    values = [int(choice) for choice in choices]
    assert sorted(values) == list(range(min(values), max(values) + 1)), choices
    text = f"{doc} (`{choices.__name__}`)"
    return WireField(Int8ul, "", min(values), max(values), text, choices)


def bits(kind: Any, choices: type[Any], doc: str) -> WireField:
    """Describe a set of flags; a bit without a name is no error."""
    return WireField(kind, doc=f"{doc} (`{choices.__name__}` bits)", choices=choices)


def flag(doc: str) -> WireField:
    """Describe a byte that is 0 or 1."""
    return WireField(Int8ul, "", 0, 1, doc, bool)


class HelloHost(NamedTuple):
    """Controller greets, before any session. Layout frozen for ever."""

    major: Annotated[int, wire(Int8ul, doc="protocol major version")]
    minor: Annotated[int, wire(Int8ul, doc="protocol minor version")]
    schema_hash: Annotated[int, wire(Int32ul, doc="hash of this message table")]
    host_nonce: Annotated[int, wire(Int64ul, doc="fresh random number of the controller")]


class Hello(NamedTuple):
    """Device says who it is, on boot and in answer to HELLO_HOST. Layout frozen for ever."""

    major: Annotated[int, wire(Int8ul, doc="protocol major version")]
    minor: Annotated[int, wire(Int8ul, doc="protocol minor version")]
    schema_hash: Annotated[int, wire(Int32ul, doc="hash of this message table")]
    profile_hash: Annotated[int, wire(Int32ul, doc="hash of the probe profile's limits")]
    boot_id: Annotated[int, wire(Int32ul, doc="differs after every restart")]
    host_nonce: Annotated[int, wire(Int64ul, doc="echo of the nonce answered, 0 on boot")]
    device_nonce: Annotated[int, wire(Int64ul, doc="fresh random number of the device")]
    key_id: Annotated[int, wire(Int8ul, doc="which key it holds; 0 is the public demo key")]
    owned: Annotated[int, flag("1 while another controller's lease is alive")]
    capabilities: Annotated[int, bits(Int32ul, Capability, "what it has")]
    sensors: Annotated[int, bits(Int32ul, Sensor, "sensors it has")]
    telemetry_period_ms: Annotated[int, wire(Int16ul, "ms", "time between TELEMETRY frames")]
    device_id: Annotated[bytes, wire(Bytes(16), doc="serial number, ASCII, zero padded")]
    firmware_id: Annotated[bytes, wire(Bytes(16), doc="firmware build, ASCII, zero padded")]
    profile_id: Annotated[bytes, wire(Bytes(16), doc="probe profile, ASCII, zero padded")]


class Vitals(NamedTuple):
    """The least a monitor needs, readable with any message table. Layout frozen for ever."""

    device_ms: Annotated[int, wire(Int32ul, "ms", "device clock, wraps")]
    state: Annotated[int, wire(Int8ul, doc="device state (`DeviceState`)", choices=DeviceState)]
    tip_mdegc: Annotated[int, wire(Int32sl, "m°C", "tip temperature")]
    supply_mbar: Annotated[int, wire(Int32sl, "mbar", "supply pressure, absolute")]
    valve_permille: Annotated[int, wire(Int16ul, "‰", "valve duty")]
    tip_heater_permille: Annotated[int, wire(Int16ul, "‰", "tip heater duty")]
    shutoff_open: Annotated[int, wire(Int8ul, doc="second shut-off open", choices=bool)]


class Telemetry(NamedTuple):
    """One sample of everything, at a fixed period."""

    device_ms: Annotated[int, wire(Int32ul, "ms", "device clock when the sensors were read, wraps")]
    state: Annotated[int, code(DeviceState, "device state")]
    trip: Annotated[int, code(Trip, "first cause of being safe, kept until cleared")]
    open_circuit: Annotated[int, bits(Int16ul, Sensor, "sensors found open")]
    tip_mdegc: Annotated[int, wire(Int32sl, "m°C", "tip temperature")]
    tip_2_mdegc: Annotated[int, wire(Int32sl, "m°C", "second tip thermocouple")]
    skin_mdegc: Annotated[int, wire(Int32sl, "m°C", "skin at the needle's base")]
    supply_mbar: Annotated[int, wire(Int32sl, "mbar", "supply pressure, absolute")]
    exhaust_mbar: Annotated[int, wire(Int32sl, "mbar", "exhaust pressure, absolute")]
    exhaust_flow_ug_s: Annotated[int, wire(Int32sl, "µg/s", "gas leaving the exhaust")]
    cartridge_mdegc: Annotated[int, wire(Int32sl, "m°C", "cartridge temperature")]
    battery_mv: Annotated[int, wire(Int16ul, "mV", "battery voltage")]
    button: Annotated[int, flag("handpiece button pressed")]
    setpoint_mdegc: Annotated[int, wire(Int32sl, "m°C", "set-point of the inner loop")]
    valve_permille: Annotated[int, wire(Int16ul, "‰", "valve duty", low=0, high=1000)]
    shutoff_open: Annotated[int, flag("second shut-off open")]
    tip_heater_permille: Annotated[int, wire(Int16ul, "‰", "tip heater duty", low=0, high=1000)]
    skin_warmer_permille: Annotated[int, wire(Int16ul, "‰", "skin warmer duty", low=0, high=1000)]
    led: Annotated[int, flag("handpiece light on")]
    beeper: Annotated[int, flag("handpiece beeper on")]
    stimulus_ua: Annotated[int, wire(Int16ul, "µA", "stimulator output, 0: off", low=0, high=10000)]
    stimulus_hz: Annotated[int, wire(Int8ul, "Hz", "pulses a second", low=0, high=100)]
    stimulus_pulse_us: Annotated[int, wire(Int16ul, "µs", "width of a pulse", low=0, high=1000)]
    stimulus_response: Annotated[int, code(StimulusResponse, "to the present stimulus")]
    freeze_ms: Annotated[int, wire(Int32ul, "ms", "length of the present or last freeze")]
    thaw_energy_mj: Annotated[int, wire(Int32ul, "mJ", "tip heater energy of this thaw")]
    lease_left_ms: Annotated[int, wire(Int16ul, "ms", "life left in the controller's lease")]
    event_count: Annotated[int, wire(Int16ul, doc="EVENT messages sent since boot, wraps")]


class Event(NamedTuple):
    """Something happened at the device."""

    device_ms: Annotated[int, wire(Int32ul, "ms", "device clock, wraps")]
    number: Annotated[int, wire(Int16ul, doc="counts events since boot, wraps; a gap is a loss")]
    code: Annotated[int, code(EventCode, "what happened")]
    state: Annotated[int, code(DeviceState, "device state afterwards")]
    trip: Annotated[int, code(Trip, "cause, for TRIP and STOPPED")]
    value: Annotated[int, wire(Int32sl, doc="measured value in the unit of its telemetry field")]
    limit: Annotated[int, wire(Int32sl, doc="the limit it broke")]


class Command(NamedTuple):
    """Controller asks for one operation; the same bytes again are a retry. Unused fields are 0."""

    counter: Annotated[int, wire(Int32ul, doc="grows by at least 1 with each new command")]
    deadline_ms: Annotated[int, wire(Int32ul, "ms", "device clock after which it is void")]
    op: Annotated[int, code(Op, "operation")]
    mode: Annotated[int, code(ThawMode, "THAW: how to warm")]
    cycles: Annotated[int, wire(Int8ul, doc="ARM: freezes to authorise", low=0, high=20)]
    treatment_hash: Annotated[int, wire(Int32ul, doc="ARM, START: treatment authorised")]
    setpoint_mdegc: Annotated[int, wire(Int32sl, "m°C", "FREEZE, SETPOINT: tip set-point")]
    duration_ms: Annotated[int, wire(Int32ul, "ms", "FREEZE, PREWARM, STIMULATE: at most")]
    energy_mj: Annotated[int, wire(Int32ul, "mJ", "THAW: tip heater energy allowed")]
    stimulus_ua: Annotated[
        int, wire(Int16ul, "µA", "STIMULATE: amplitude, 0 turns it off", low=0, high=10000)
    ]
    stimulus_hz: Annotated[int, wire(Int8ul, "Hz", "STIMULATE: pulses a second", low=0, high=100)]
    stimulus_pulse_us: Annotated[
        int, wire(Int16ul, "µs", "STIMULATE: width of a pulse", low=0, high=1000)
    ]


class Lease(NamedTuple):
    """Controller is alive and holds the probe; needs no answer."""

    counter: Annotated[int, wire(Int32ul, doc="grows with each lease")]
    mode: Annotated[int, code(HostMode, "what the controller thinks the probe is doing")]
    valid_until_ms: Annotated[int, wire(Int32ul, "ms", "device clock; capped at now + 300 ms")]


class Stop(NamedTuple):
    """Make the probe safe now. Session 0, stop key, no deadline, accepted from any key holder."""

    counter: Annotated[int, wire(Int32ul, doc="names this stop in its answer")]
    boot_id: Annotated[int, wire(Int32ul, doc="boot id of the device meant")]
    action: Annotated[int, code(SafeAction, "outputs off, or device-run thaw if frozen")]
    trip: Annotated[int, code(Trip, "why")]


class Ack(NamedTuple):
    """First answer to a command or stop: taken or refused. Accepted never means cold."""

    counter: Annotated[int, wire(Int32ul, doc="counter of the command answered")]
    op: Annotated[int, code(Op, "operation answered")]
    answer: Annotated[int, code(Answer, "taken, or why not")]


class Done(NamedTuple):
    """Second answer to a command: its actuation ended."""

    counter: Annotated[int, wire(Int32ul, doc="counter of the command answered")]
    op: Annotated[int, code(Op, "operation ended")]
    result: Annotated[int, code(Result, "how it ended")]
    detail: Annotated[int, wire(Int32sl, doc="LEAK_TEST: pressure decay in mbar; else 0")]


Message = HelloHost | Hello | Vitals | Telemetry | Event | Command | Lease | Stop | Ack | Done


@dataclass(frozen=True, slots=True)
class MessageType:
    """One row of the message table.

    Attributes:
        message_id: The byte that names it in a frame's header.
        cls: Its NamedTuple.
        fields: Name and wire field, in wire order.
        tagged: True if it is valid only with an authentication tag.
        frozen: True if its layout may never change.
    """

    message_id: int
    cls: type[Any]
    fields: tuple[tuple[str, WireField], ...]
    tagged: bool
    frozen: bool
    direction: str

    DOWN: ClassVar = "controller to device"
    UP: ClassVar = "device to controller"

    @property
    def name(self) -> str:
        """The message's name as SPEC.md and the C header write it."""
        return "".join(
            f"_{c}" if c.isupper() and i else c for i, c in enumerate(self.cls.__name__)
        ).upper()

    @property
    def struct(self) -> Any:
        """The construct ``Struct``: the declarative form, and the oracle of the fast codec."""
        return Struct(*(name / field.kind for name, field in self.fields))


def _row(
    message_id: int, cls: type[Any], direction: str, *, tagged: bool = True, frozen: bool = False
) -> MessageType:
    hints = get_type_hints(cls, include_extras=True)
    fields = tuple((name, hints[name].__metadata__[0]) for name in cls._fields)
    return MessageType(message_id, cls, fields, tagged, frozen, direction)


_DOWN, _UP = MessageType.DOWN, MessageType.UP
# fmt: off
MESSAGES: Final[tuple[MessageType, ...]] = (
    _row(0x01, HelloHost, _DOWN, tagged=False, frozen=True),
    _row(0x02, Hello,     _UP,   tagged=False, frozen=True),
    _row(0x03, Vitals,    _UP,   tagged=False, frozen=True),
    _row(0x10, Telemetry, _UP,   tagged=False),  # Tagged within a session, plain outside one.
    _row(0x11, Event,     _UP),
    _row(0x20, Command,   _DOWN),
    _row(0x21, Lease,     _DOWN),
    _row(0x22, Stop,      _DOWN),
    _row(0x30, Ack,       _UP),
    _row(0x31, Done,      _UP),
)
# fmt: on
MESSAGE_BY_ID: Final = {row.message_id: row for row in MESSAGES}
ID_OF: Final[dict[type[Any], int]] = {row.cls: row.message_id for row in MESSAGES}


def unpadded(text: bytes) -> str:
    """Return a text field without its padding; what no terminal should get is replaced."""
    return printable(text.rstrip(b"\0").decode("ascii", "replace"))


def printable(text: str) -> str:
    """Return a stranger's text without what would move, colour or hide other text."""
    return "".join(char if char.isprintable() else _UNPRINTABLE for char in text)
