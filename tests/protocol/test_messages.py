"""The message table: what may never change, and what must hold of every row."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import pytest

from cryoctl_protocol.codec import PACKERS, PAYLOAD_SIZE
from cryoctl_protocol.codes import ENUMERATIONS, TRIP_RULES, Op, SafeAction, Trip
from cryoctl_protocol.framing import BODY_SIZE_MAX, HEADER_SIZE
from cryoctl_protocol.messages import (
    ID_OF,
    MESSAGES,
    VENDOR_ID_FIRST,
    VENDOR_ID_LAST,
    Ack,
    Command,
    Done,
    Event,
    Hello,
    HelloHost,
    Lease,
    MessageType,
    Stop,
    Telemetry,
    Vitals,
    code,
)

# Literals on purpose: devices in the field have these layouts in their flash.
FROZEN_LAYOUTS = {
    HelloHost: (
        0x01,
        14,
        [("major", 0), ("minor", 1), ("schema_hash", 2), ("host_nonce", 6)],
    ),
    Hello: (
        0x02,
        90,
        [
            ("major", 0),
            ("minor", 1),
            ("schema_hash", 2),
            ("profile_hash", 6),
            ("boot_id", 10),
            ("host_nonce", 14),
            ("device_nonce", 22),
            ("key_id", 30),
            ("owned", 31),
            ("capabilities", 32),
            ("sensors", 36),
            ("telemetry_period_ms", 40),
            ("device_id", 42),
            ("firmware_id", 58),
            ("profile_id", 74),
        ],
    ),
    Vitals: (
        0x03,
        18,
        [
            ("device_ms", 0),
            ("state", 4),
            ("tip_mdegc", 5),
            ("supply_mbar", 9),
            ("valve_permille", 13),
            ("tip_heater_permille", 15),
            ("shutoff_open", 17),
        ],
    ),
}
FROZEN_FORMATS = {
    HelloHost: "<BBLQ",
    Hello: "<BBLLLQQBBLLH16s16s16s",
    Vitals: "<LBllHHB",
}


def row_of(cls: type[Any]) -> MessageType:
    return next(row for row in MESSAGES if row.cls is cls)


@pytest.mark.requirement("SR-28")
@pytest.mark.parametrize("cls", FROZEN_LAYOUTS)
def test_hello_and_vitals_keep_their_layout_for_ever(cls: type[Any]) -> None:
    row = row_of(cls)
    offset = 0
    layout = []
    for name, field in row.fields:
        layout.append((name, offset))
        offset += field.kind.sizeof()

    assert (row.message_id, offset, layout) == FROZEN_LAYOUTS[cls]
    assert PACKERS[row.message_id].format == FROZEN_FORMATS[cls]


def test_exactly_the_messages_that_two_versions_need_are_frozen() -> None:
    assert {row.cls for row in MESSAGES if row.frozen} == set(FROZEN_LAYOUTS)


def test_each_message_has_its_id_and_direction() -> None:
    ids = {
        HelloHost: 0x01,
        Hello: 0x02,
        Vitals: 0x03,
        Telemetry: 0x10,
        Event: 0x11,
        Command: 0x20,
        Lease: 0x21,
        Stop: 0x22,
        Ack: 0x30,
        Done: 0x31,
    }
    assert dict(ID_OF) == ids
    down = {row.cls for row in MESSAGES if row.direction is MessageType.DOWN}
    assert down == {HelloHost, Command, Lease, Stop}


@pytest.mark.requirement("SR-24")
def test_whatever_moves_or_answers_for_the_probe_needs_a_tag() -> None:
    plain = {row.cls for row in MESSAGES if not row.tagged}

    assert plain == {HelloHost, Hello, Vitals, Telemetry}


def test_no_message_lies_in_the_vendor_range() -> None:
    assert (VENDOR_ID_FIRST, VENDOR_ID_LAST) == (0xC0, 0xEF)
    assert not [row for row in MESSAGES if 0xC0 <= row.message_id <= 0xEF]


def test_every_message_fits_a_frame_with_its_tag() -> None:
    assert max(PAYLOAD_SIZE.values()) + HEADER_SIZE + 8 <= BODY_SIZE_MAX


def test_names_are_those_of_the_specification() -> None:
    assert [row.name for row in MESSAGES] == [
        "HELLO_HOST",
        "HELLO",
        "VITALS",
        "TELEMETRY",
        "EVENT",
        "COMMAND",
        "LEASE",
        "STOP",
        "ACK",
        "DONE",
    ]


def test_every_field_says_what_it_means() -> None:
    undocumented = [
        f"{row.name}.{name}" for row in MESSAGES for name, field in row.fields if not field.doc
    ]

    assert undocumented == []


def test_every_enumeration_on_the_wire_is_listed() -> None:
    names = {choices.__name__ for choices in ENUMERATIONS}
    mentioned = {
        field.doc.split("`")[1].removesuffix(" bits")
        for row in MESSAGES
        for _, field in row.fields
        if "`" in field.doc
    }

    assert mentioned <= names


def test_every_trip_has_a_rule_with_its_requirement() -> None:
    assert set(TRIP_RULES) == set(Trip) - {Trip.NONE}
    assert all(rule.requirement.startswith("SR-") for rule in TRIP_RULES.values())


def test_trips_that_cannot_trust_tip_or_heater_switch_everything_off() -> None:
    off = {trip for trip, rule in TRIP_RULES.items() if rule.action is SafeAction.OFF}

    assert off == {
        Trip.TIP_SENSOR,
        Trip.TIP_FROZEN_READING,
        Trip.HEATER,
        Trip.LEASE,
        Trip.BATTERY,
        Trip.THAW_TIMEOUT,
        Trip.OUTPUTS_OVERLAP,
        Trip.SKIN_HOT,
    }


def test_an_enumeration_with_holes_is_refused_as_a_code() -> None:

    class Holey(IntEnum):
        ONE = 1
        THREE = 3

    with pytest.raises(AssertionError):
        code(Holey, "would let 2 through")
    assert (code(Op, "operation").low, code(Op, "operation").high) == (1, 12)
