"""Bytes that nobody should send: no end of a session raises, executes or changes anything."""

from __future__ import annotations

import pickle
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoctl_protocol.auth import TagKey
from cryoctl_protocol.codec import PAYLOAD_SIZE
from cryoctl_protocol.codes import Op
from cryoctl_protocol.device_session import DeviceSession
from cryoctl_protocol.framing import DELIMITER, build, unwrap, wrap
from cryoctl_protocol.host_session import HostSession, Phase
from tests.support.protocol_builders import Bench, command, telemetry

MUTATIONS = 20_000  # Per run here; a campaign of millions belongs to the assurance run.


def busy_bench() -> Bench:
    """A session with a command in flight and every kind of frame on record."""
    bench = Bench()
    bench.connect()
    bench.host.command(command(Op.SETPOINT), bench.now_s)
    bench.step(10)
    return bench


BENCH = pickle.dumps(busy_bench())


def fresh() -> Bench:
    bench: Bench = pickle.loads(BENCH)
    return bench


def device_state(session: DeviceSession, now_ms: int) -> tuple[object, ...]:
    """Whatever an intruder might want to change; counts of rejects are none of it."""
    return (
        session.is_open,
        session.lease_left_ms(now_ms),
        session.owned(now_ms),
        session.claimed_mode,
        session.lease_count,
        session._command_counter,
        session._lease_counter,
        dict(session._answers),
    )


def host_state(session: HostSession) -> tuple[object, ...]:
    return (
        session.phase,
        session.busy,
        session.hello,
        session._device_clock,
        session._sampled_ms,
        dict(session._awaiting_done),
    )


def mutated(random: Random, frame: bytes) -> bytes:
    """A frame with one to four bytes changed, dropped, doubled or inserted."""
    data = bytearray(frame)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(data))
        kind = random.randrange(4)
        if kind == 0:
            data[at] ^= 1 << random.randrange(8)
        elif kind == 1:
            del data[at]
        elif kind == 2:
            data.insert(at, data[at])
        else:
            data.insert(at, random.randrange(256))
        if not data:
            break
    return bytes(data)


@pytest.mark.requirement("SR-04")
def test_mutated_frames_change_nothing_at_the_device() -> None:
    bench = fresh()
    random = Random(4)
    session, now_ms = bench.probe.session, bench.now_ms
    originals = {frame[:-1] for frame in bench.down_log}
    before = device_state(session, now_ms)
    refused = 0
    for _ in range(MUTATIONS):
        data = mutated(random, random.choice(bench.down_log))
        if originals & set(data.split(DELIMITER)):
            continue  # Still a valid frame among the rest.
        refused += 1
        assert bench.probe.hear(data + DELIMITER, now_ms) == []
    session.outgoing()

    assert device_state(session, now_ms) == before
    assert refused > 0.9 * MUTATIONS
    assert session.rejects.total() + session._deframer.rejects.total() >= refused


@pytest.mark.requirement("SR-04")
def test_mutated_bodies_change_nothing_at_the_device_even_with_a_valid_crc() -> None:
    bench = fresh()
    random = Random(5)
    session, now_ms = bench.probe.session, bench.now_ms
    bodies = [unwrap(frame[:-1]) for frame in bench.down_log]
    known = [body for body in bodies if isinstance(body, bytes) and body[1] != 0x01]
    before = device_state(session, now_ms)
    for _ in range(MUTATIONS):
        body = mutated(random, random.choice(known))
        if body in known or body[1:2] == b"\x01":
            continue
        session._bad_tag_ms.clear()  # Else the session would end, as it should.
        assert bench.probe.hear(wrap(body), now_ms) == []
    session.outgoing()

    assert device_state(session, now_ms) == before


@pytest.mark.requirement("SR-04")
def test_mutated_bodies_change_nothing_at_the_controller() -> None:
    bench = fresh()
    random = Random(6)
    bench.probe.session.send_telemetry(telemetry(bench.now_ms + 20, tip_mdegc=-60_000))
    (sample,) = [unwrap(chunk) for chunk in bench.probe.session.outgoing().split(DELIMITER)[:-1]]
    assert isinstance(sample, bytes)
    before = host_state(bench.host)
    for _ in range(MUTATIONS):
        body = mutated(random, sample)
        if body == sample or body[1:2] in (b"\x02", b"\x03"):
            continue  # HELLO and VITALS are believed by nobody who has a session.
        message = bench.host.on_body(body, bench.now_s)
        assert message is None or 0xC0 <= body[1] <= 0xEF
    assert host_state(bench.host) == before

    assert bench.host.on_body(sample, bench.now_s) is not None


@pytest.mark.requirement("SR-04")
@given(st.lists(st.binary(max_size=300), max_size=5))
def test_arbitrary_bytes_never_raise_at_the_device(pieces: list[bytes]) -> None:
    bench = fresh()
    before = device_state(bench.probe.session, bench.now_ms)

    for data in pieces:
        assert bench.probe.hear(data, bench.now_ms) == []

    assert device_state(bench.probe.session, bench.now_ms) == before


def tagged_bodies() -> st.SearchStrategy[tuple[int, bytes]]:
    """Any id with a payload of the right size, or any size for other ids."""
    return st.integers(0, 255).flatmap(
        lambda number: st.tuples(
            st.just(number),
            st.binary(min_size=PAYLOAD_SIZE[number], max_size=PAYLOAD_SIZE[number])
            if number in PAYLOAD_SIZE
            else st.binary(max_size=200),
        )
    )


@pytest.mark.requirement("SR-04")
@settings(max_examples=300)
@given(tagged_bodies(), st.booleans())
def test_even_a_holder_of_the_key_cannot_make_the_device_raise(
    body: tuple[int, bytes], under_stop_key: bool
) -> None:
    bench = fresh()
    session = bench.probe.session
    assert session._keys is not None
    key: TagKey = session._stop_keys[0] if under_stop_key else session._keys.down
    number = 0 if under_stop_key else session._keys.session

    bench.probe.hear(wrap(build(*body, seq=0, session=number, key=key)), bench.now_ms)

    session.outgoing()


@pytest.mark.requirement("SR-04")
@settings(max_examples=300)
@given(tagged_bodies(), st.sampled_from(["session", "stop", "plain"]))
def test_even_a_holder_of_the_key_cannot_make_the_controller_raise(
    body: tuple[int, bytes], how: str
) -> None:
    bench = fresh()
    keys = bench.host._keys
    assert keys is not None
    key = {"session": keys.up, "stop": bench.host._stop_key, "plain": None}[how]
    number = keys.session if how == "session" else 0

    bench.host.on_body(build(*body, seq=0, session=number, key=key), bench.now_s)

    bench.host.poll(bench.now_s + 1.0)
    bench.host.outgoing()
    assert bench.host.phase is Phase.OPEN


@pytest.mark.requirement("SR-04")
@given(st.binary(max_size=300))
def test_arbitrary_bodies_never_raise_at_the_controller(body: bytes) -> None:
    bench = fresh()

    bench.host.on_body(body, bench.now_s)

    assert bench.host.phase is Phase.OPEN
