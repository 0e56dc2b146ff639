"""Somebody on the line without the key: nothing they can make of what they hear is believed."""

from __future__ import annotations

import pickle
from collections import Counter
from typing import Any

import pytest

from cryoctl_protocol.auth import SessionKeys, TagKey, stop_key
from cryoctl_protocol.codec import encode
from cryoctl_protocol.codes import Answer, DeviceState, EventCode, HostMode, Op, SafeAction, Trip
from cryoctl_protocol.device_session import DeviceSession
from cryoctl_protocol.framing import Reject, build, wrap
from cryoctl_protocol.host_session import HostSession
from cryoctl_protocol.messages import (
    ID_OF,
    MESSAGES,
    Ack,
    Command,
    Done,
    Event,
    Message,
    MessageType,
    Stop,
    Telemetry,
)
from tests.support.protocol_builders import (
    BOOT_ID,
    KEY,
    Bench,
    command,
    identity,
    lease,
    plain,
    telemetry,
)

LATER_MS = 400  # Ahead of everything that the opened session has heard.


def opened() -> Bench:
    """An open session with one command in flight and another whose end is awaited."""
    bench = Bench()
    bench.connect()
    bench.step(10)
    return bench


BENCH = pickle.dumps(opened())


def fresh() -> Bench:
    bench: Bench = pickle.loads(BENCH)
    return bench


def keys_of(bench: Bench) -> SessionKeys:
    assert bench.host._keys is not None
    return bench.host._keys


def tagged(message: Message, session: int, key: TagKey) -> bytes:
    return build(ID_OF[type(message)], encode(message), seq=900, session=session, key=key)


DOWN: dict[str, Message] = {
    "COMMAND": command(Op.FREEZE, counter=50, deadline_ms=10_000, setpoint_mdegc=-60_000),
    "LEASE": lease(500, 10_000, HostMode.FREEZE),
    "STOP": Stop(50, BOOT_ID, SafeAction.THAW, Trip.OPERATOR_STOP),
}
UP: dict[str, Message] = {
    "TELEMETRY": telemetry(LATER_MS, tip_mdegc=-60_000, state=DeviceState.FREEZE, event_count=40),
    "EVENT": Event(LATER_MS, 40, EventCode.TRIP, DeviceState.FAULT, Trip.TIP_FLOOR, -86_000, 0),
    "ACK": Ack(50, Op.STOP, Answer.ACCEPTED),
    "DONE": Done(50, Op.LEAK_TEST, 0, 120),
}


def down_body(bench: Bench, name: str) -> bytes:
    if name == "STOP":
        return tagged(DOWN[name], 0, stop_key(KEY, BOOT_ID))
    return tagged(DOWN[name], keys_of(bench).session, keys_of(bench).down)


def device_state(session: DeviceSession) -> dict[str, Any]:
    """All that a device knows, but for what it counts of frames that it did not take."""
    counts = ("rejects", "_reject_ms", "_bad_tag_ms", "_deframer", "_deframer_rejects")
    return {
        name: value
        for name, value in vars(session).items()
        if name not in counts and "_keys" not in name and name != "_pending"
    }


def host_state(session: HostSession) -> dict[str, Any]:
    """All that a controller knows, but for what it counts of frames that it did not take."""
    counts = ("rejects", "_reject_times_s")
    return {
        name: value
        for name, value in vars(session).items()
        if name not in (*counts, "_keys", "_stop_key", "_ring")
    }


def flips(body: bytes) -> list[bytes]:
    """The body with one bit changed, for every bit of header, payload and tag."""
    return [
        body[: place // 8] + bytes([body[place // 8] ^ 1 << place % 8]) + body[place // 8 + 1 :]
        for place in range(8 * len(body))
    ]


# -- what is tagged ------------------------------------------------------------------------------


@pytest.mark.requirement("SR-24")
def test_all_that_commands_or_alarms_is_tagged_by_the_table() -> None:
    plain_ones = {row.name for row in MESSAGES if not row.tagged}

    # The first three are frozen for ever and carry no decision; a sample is tagged in a session.
    assert plain_ones == {"HELLO_HOST", "HELLO", "VITALS", "TELEMETRY"}
    assert {row.name for row in MESSAGES if row.tagged and row.direction is MessageType.DOWN} == {
        *DOWN
    }
    assert {row.name for row in MESSAGES if row.tagged and row.direction is MessageType.UP} == {
        "EVENT", "ACK", "DONE",
    }  # fmt: skip


@pytest.mark.requirement("SR-24")
@pytest.mark.parametrize("name", DOWN)
def test_a_command_lease_or_stop_without_its_tag_is_refused(name: str) -> None:
    bench = fresh()
    session = bench.probe.session

    assert bench.probe.hear(wrap(plain(DOWN[name])), bench.now_ms) == []

    assert session.rejects == Counter({Reject.UNTAGGED: 1})


@pytest.mark.requirement("SR-24")
@pytest.mark.parametrize("name", UP)
def test_a_sample_alarm_or_answer_without_its_tag_is_not_believed_in_a_session(name: str) -> None:
    bench = fresh()
    before = host_state(bench.host)

    assert bench.host.on_body(plain(UP[name]), bench.now_s) is None

    assert host_state(bench.host) == {**before, "_device_seq": bench.host._device_seq}
    assert bench.host.rejects == Counter({} if name == "TELEMETRY" else {Reject.UNTAGGED: 1})


# -- forged --------------------------------------------------------------------------------------


@pytest.mark.requirement("SR-24")
@pytest.mark.parametrize("name", DOWN)
def test_no_single_bit_of_what_goes_to_the_device_may_change(name: str) -> None:
    bench = fresh()
    session = bench.probe.session
    body = down_body(bench, name)
    before = device_state(session)

    for forged in flips(body):
        session._bad_tag_ms.clear()  # Else the session would end, as it should.
        assert bench.probe.hear(wrap(forged), bench.now_ms) == []

    assert session.rejects.total() == 8 * len(body)
    assert device_state(session) == before
    bench.probe.hear(wrap(body), bench.now_ms)
    assert device_state(session) != before  # The genuine frame is taken.


@pytest.mark.requirement("SR-24")
@pytest.mark.parametrize("under_stop_key", [False, True])
@pytest.mark.parametrize("name", UP)
def test_no_single_bit_of_what_comes_from_the_device_may_change(
    name: str, under_stop_key: bool
) -> None:
    if under_stop_key and name not in ("EVENT", "ACK"):
        return  # Only these two go outside a session.
    bench = fresh()
    keys = keys_of(bench)
    key, number = (stop_key(KEY, BOOT_ID), 0) if under_stop_key else (keys.up, keys.session)
    bench.host._awaiting_done[50] = _accepted()
    body = tagged(UP[name], number, key)
    before = host_state(bench.host)

    for forged in flips(body):
        assert bench.host.on_body(forged, bench.now_s) is None

    assert bench.host.rejects.total() == 8 * len(body)
    assert host_state(bench.host) == before
    assert bench.host.on_body(body, bench.now_s) == UP[name]


def _accepted() -> Any:
    from cryoctl_protocol.host_session import _Accepted

    return _Accepted(Op.LEAK_TEST, 1e9, b"")


@pytest.mark.requirement("SR-24")
@pytest.mark.parametrize("name", DOWN)
def test_the_keys_of_the_device_sign_nothing_that_it_would_obey(name: str) -> None:
    bench = fresh()
    keys = keys_of(bench)
    session = 0 if name == "STOP" else keys.session

    assert bench.probe.hear(wrap(tagged(DOWN[name], session, keys.up)), bench.now_ms) == []

    assert bench.probe.session.rejects == Counter({Reject.TAG: 1})


# -- played again --------------------------------------------------------------------------------


@pytest.mark.requirement("SR-24")
@pytest.mark.parametrize("under_stop_key", [False, True])
def test_an_event_is_taken_once_in_its_session_and_not_in_the_next(under_stop_key: bool) -> None:
    bench = fresh()
    keys = keys_of(bench)
    key, number = (stop_key(KEY, BOOT_ID), 0) if under_stop_key else (keys.up, keys.session)
    body = tagged(UP["EVENT"], number, key)

    assert bench.host.on_body(body, bench.now_s) == UP["EVENT"]
    assert bench.host.on_body(body, bench.now_s) is None
    assert bench.host.rejects == Counter({Reject.REPLAY: 1})

    bench.leases = False
    bench.step(120)  # Until nobody owns the probe any more.
    bench.leases = True
    bench.connect()
    assert bench.host.on_body(body, bench.now_s) is None


@pytest.mark.requirement("SR-24")
def test_an_event_from_before_the_controller_came_is_no_news_to_it() -> None:
    probe = fresh().probe
    dropped = tagged(Event(10, 1, EventCode.SESSION_DROPPED, 0, 0, 0, 0), 0, stop_key(KEY, BOOT_ID))
    bench = Bench(probe=probe)
    bench.step_count = 200
    bench.host = HostSession(KEY, nonce_seed=b"a newcomer")
    probe.session.event_count = 5
    bench.connect()

    assert bench.host.on_body(dropped, bench.now_s) is None


@pytest.mark.requirement("SR-24")
@pytest.mark.parametrize(("last", "number", "taken"), [(0xFFFF, 0, True), (0, 0xFFFF, False)])
def test_the_number_of_an_event_wraps(last: int, number: int, taken: bool) -> None:
    bench = fresh()
    bench.host._event_number = last
    event = Event(LATER_MS, number, EventCode.STATE, 0, 0, 0, 0)

    body = tagged(event, keys_of(bench).session, keys_of(bench).up)

    assert (bench.host.on_body(body, bench.now_s) == event) is taken


@pytest.mark.requirement("SR-24")
def test_a_device_that_restarted_counts_its_events_anew() -> None:
    bench = fresh()
    bench.host._event_number = 40
    host_nonce = bench.host._host_nonce

    bench.host.open(bench.now_s)
    greeting = identity(boot_id=BOOT_ID + 1, host_nonce=bench.host._host_nonce, device_nonce=5)
    bench.host.on_body(plain(greeting), bench.now_s)
    event = Event(10, 1, EventCode.BOOT, 0, 0, 0, 0)

    assert bench.host._host_nonce != host_nonce
    assert bench.host.on_body(tagged(event, 0, stop_key(KEY, BOOT_ID + 1)), bench.now_s) == event


@pytest.mark.requirement("SR-24")
def test_commands_in_another_order_are_not_carried_out_again_or_late() -> None:
    bench = fresh()
    keys = keys_of(bench)
    bodies = [
        tagged(command(Op.SETPOINT, counter=n, deadline_ms=10_000), keys.session, keys.down)
        for n in (51, 52, 53)
    ]

    for body in (bodies[2], bodies[0], bodies[1], bodies[2]):
        bench.probe.hear(wrap(body), bench.now_ms)

    assert [r.counter for r in bench.probe.executed if isinstance(r, Command)] == [53]


@pytest.mark.requirement("SR-24")
def test_samples_in_another_order_do_not_go_back_in_time() -> None:
    bench = fresh()
    keys = keys_of(bench)
    times = (LATER_MS + 40, LATER_MS, LATER_MS + 20, LATER_MS + 60)
    bodies = [tagged(telemetry(at_ms), keys.session, keys.up) for at_ms in times]

    taken = [bench.host.on_body(body, bench.now_s) for body in bodies]

    assert [m.device_ms for m in taken if isinstance(m, Telemetry)] == [440, 460]
