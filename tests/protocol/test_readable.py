"""Messages as people read them, and what of them goes into the JSON tree of a broker."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from cryoctl_protocol.codes import Answer, Capability, DeviceState, EventCode, Op, Sensor, Trip
from cryoctl_protocol.framing import Parsed, parse
from cryoctl_protocol.messages import MESSAGES, Ack, Event, Message, MessageType
from cryoctl_protocol.mqtt.json_tree import JsonTree
from cryoctl_protocol.readable import readable
from tests.support.protocol_builders import identity, plain, telemetry, valid_values


def test_figures_have_the_units_people_read_and_codes_their_names() -> None:
    sample = telemetry(
        1000,
        state=DeviceState.FREEZE,
        trip=Trip.LEASE,
        open_circuit=int(Sensor.TIP_2),
        tip_mdegc=-41_250,
        supply_mbar=52_800,
        exhaust_flow_ug_s=12_345,
        battery_mv=4105,
        valve_permille=455,
        stimulus_ua=1500,
        stimulus_pulse_us=200,
        thaw_energy_mj=3100,
    )

    read = readable(sample)

    assert read["device_ms"] == 1000
    assert read["state"] == "FREEZE"
    assert read["trip"] == "LEASE"
    assert read["open_circuit"] == ["TIP_2"]
    assert read["tip_c"] == -41.25
    assert read["supply_bar"] == 52.8
    assert read["exhaust_flow_mg_s"] == 12.345
    assert read["battery_v"] == 4.105
    assert read["valve_percent"] == 45.5
    assert read["stimulus_ma"] == 1.5
    assert read["stimulus_pulse_us"] == 200
    assert read["shutoff_open"] is False
    assert read["thaw_energy_j"] == 3.1


def test_an_identity_is_told_by_words() -> None:
    hello = identity(capabilities=int(Capability.LEASE | Capability.LED), sensors=int(Sensor.TIP))

    read = readable(hello)

    assert read["device_id"] == "BENCH"
    assert read["capabilities"] == ["LEASE", "LED"]
    assert read["sensors"] == ["TIP"]


def test_an_answer_names_operation_and_answer() -> None:
    assert readable(Ack(7, Op.FREEZE, Answer.STALE)) == {
        "counter": 7,
        "op": "FREEZE",
        "answer": "STALE",
    }


@pytest.mark.parametrize("row", MESSAGES, ids=lambda row: row.name)
def test_every_message_becomes_json_with_all_its_fields(row: MessageType) -> None:
    @given(valid_values(row))
    def holds(values: tuple[Any, ...]) -> None:
        read = readable(row.cls(*values))

        assert len(read) == len(row.fields)
        assert json.loads(json.dumps(read)) == read

    holds()


def parsed(message: Message) -> Parsed:
    found = parse(plain(message))
    assert isinstance(found, Parsed)
    return found


def test_samples_go_into_the_tree_five_times_a_second() -> None:
    tree = JsonTree()

    posts = [tree.post_of(parsed(telemetry(20 * n)), 0.02 * n) for n in range(100)]  # 2 s

    kept = [post for post in posts if post is not None]
    assert len(kept) == 10
    assert {post.leaf for post in kept} == {"json/telemetry"}
    assert not any(post.retain for post in kept)


def test_every_event_and_the_last_identity_go_into_the_tree() -> None:
    tree = JsonTree()
    event = Event(5, 1, EventCode.TRIP, DeviceState.FAULT, Trip.LEASE, 301, 300)

    told = [tree.post_of(parsed(event), 0.0) for _ in range(3)]
    hello = tree.post_of(parsed(identity()), 0.0)

    assert [post is not None and post.leaf for post in told] == ["json/event"] * 3
    assert hello is not None
    assert hello.leaf == "json/hello"
    assert hello.retain


def test_answers_are_nobodys_business_in_the_tree() -> None:
    assert JsonTree().post_of(parsed(Ack(1, Op.STOP, Answer.ACCEPTED)), 0.0) is None
