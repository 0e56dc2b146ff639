"""The controller's end: greeting, retries, and what it believes."""

from __future__ import annotations

import math
import pickle
from collections import Counter
from typing import Any

import pytest

from cryoctl_protocol.auth import SessionKeys, TagKey, session_keys, stop_key
from cryoctl_protocol.codec import SCHEMA_HASH, decode, encode
from cryoctl_protocol.codes import Answer, EventCode, HostMode, Op, Result, SafeAction, Trip
from cryoctl_protocol.framing import Parsed, Reject, build, parse
from cryoctl_protocol.host_session import (
    CommandFailed,
    HostSession,
    Phase,
    Received,
    VendorFrame,
)
from cryoctl_protocol.messages import (
    ID_OF,
    Ack,
    Command,
    Done,
    Event,
    Hello,
    HelloHost,
    Lease,
    Message,
    Stop,
    Vitals,
)
from tests.support.protocol_builders import (
    BOOT_ID,
    KEY,
    OTHER_KEY,
    command,
    identity,
    plain,
    telemetry,
)

DEVICE_NONCE = 0xD0D0


class Host:
    """A host session and a device that can also do wrong."""

    def __init__(self) -> None:
        self.session = HostSession(KEY, nonce_seed=b"host")
        self.keys: SessionKeys = session_keys(KEY, 0, 0)
        self.seq = 0

    def said(self) -> list[Message]:
        return [decode(each.message_id, each.payload) for each in self.said_frames()]

    def said_frames(self) -> list[Parsed]:
        return [p for p in map(parse, self.session.outgoing()) if isinstance(p, Parsed)]

    def hear(self, body: bytes, now_s: float = 0.0) -> Received | None:
        return self.session.on_body(body, now_s)

    def up(self, message: Message, *, key: TagKey | None = None, session: int = -1) -> bytes:
        """A tagged body of the device."""
        self.seq += 1
        return build(
            ID_OF[type(message)],
            encode(message),
            seq=self.seq,
            session=self.keys.session if session < 0 else session,
            key=key or self.keys.up,
        )

    def greet(self, now_s: float = 0.0, **changes: Any) -> Hello:
        self.session.open(now_s)
        (hello_host,) = self.said()
        assert isinstance(hello_host, HelloHost)
        hello = identity(host_nonce=hello_host.host_nonce, device_nonce=DEVICE_NONCE, **changes)
        self.keys = session_keys(KEY, hello_host.host_nonce, DEVICE_NONCE)
        assert self.hear(plain(hello), now_s) == hello
        return hello

    def open(self, device_ms: int = 1000) -> None:
        self.greet()
        self.hear(self.up(telemetry(device_ms)))
        assert self.session.phase is Phase.OPEN


def opened(device_ms: int = 1000) -> Host:
    host = Host()
    host.open(device_ms)
    return host


# -- greeting ------------------------------------------------------------------------------------


def test_the_greeting_is_repeated_every_200_ms_until_answered() -> None:
    host = Host()
    host.session.open(0.0)
    (first,) = host.said()
    for now_s in (0.1, 0.19, 0.2, 0.3, 0.4):
        host.session.poll(now_s)

    assert host.said() == [first, first]


def test_the_session_is_open_when_the_device_has_proved_its_key() -> None:
    host = Host()
    host.greet()
    phases = [host.session.phase]

    host.hear(host.up(telemetry(5)))

    phases.append(host.session.phase)
    assert phases == [Phase.PROVING, Phase.OPEN]


def test_telemetry_with_a_wrong_key_proves_nothing() -> None:
    host = Host()
    host.greet()

    assert host.hear(host.up(telemetry(5), key=TagKey(OTHER_KEY))) is None
    assert host.hear(plain(telemetry(5))) is None
    assert host.session.phase is Phase.PROVING
    assert host.session.rejects == Counter({Reject.TAG: 1})


def test_a_late_proof_still_opens_the_session() -> None:
    host = Host()
    host.greet()
    host.session.poll(0.25)
    phases = [host.session.phase]

    host.hear(host.up(telemetry(5)), 0.26)

    phases.append(host.session.phase)
    assert phases == [Phase.GREETING, Phase.OPEN]


def test_each_opening_has_another_nonce_and_forgets_what_was_outstanding() -> None:
    host = opened()
    host.session.command(command(), 0.0)
    host.said()

    host.session.open(1.0)

    (again,) = host.said()
    assert isinstance(again, HelloHost)
    assert not host.session.busy
    other = HostSession(KEY, nonce_seed=b"host")
    other.open(0.0)
    assert decode(0x01, other.outgoing()[0][8:]) != again


@pytest.mark.requirement("SR-28")
@pytest.mark.parametrize(
    ("changes", "theirs"),
    [
        ({"schema_hash": 0xDEADBEEF}, "protocol 1.0 with message table deadbeef"),
        ({"major": 2}, f"protocol 2.0 with message table {SCHEMA_HASH:08x}"),
    ],
)
def test_another_message_table_allows_telemetry_only_and_says_so(
    changes: dict[str, int], theirs: str
) -> None:
    host = Host()
    host.greet(**changes)

    assert host.session.phase is Phase.TELEMETRY_ONLY
    assert host.session.mismatch == (
        f"device speaks {theirs}, this program 1.0 with {SCHEMA_HASH:08x}: "
        "telemetry only; update the older side"
    )
    host.session.lease(HostMode.IDLE, 0.0)
    host.session.poll(5.0)
    assert host.said() == []


@pytest.mark.requirement("SR-28")
def test_with_another_table_only_frozen_messages_are_read() -> None:
    host = Host()
    host.greet(schema_hash=1)
    vitals = Vitals(5, 99, -60_000, 50_000, 700, 0, 1)

    assert host.hear(plain(telemetry(5, tip_mdegc=-1))) is None
    assert host.hear(plain(vitals)) == vitals


def test_a_monitor_without_a_session_reads_plain_telemetry_once_it_knows_the_table() -> None:
    host = Host()
    sample = telemetry(5)

    assert host.hear(plain(sample)) is None
    assert host.hear(plain(identity(schema_hash=1))) == identity(schema_hash=1)
    assert host.hear(plain(sample)) is None
    assert host.hear(plain(identity())) == identity()
    assert host.hear(plain(sample)) == sample


@pytest.mark.requirement("SR-25")
def test_an_owned_device_is_greeted_again_and_sent_no_lease() -> None:
    host = Host()
    host.greet(owned=1)
    host.session.lease(HostMode.IDLE, 0.0)
    assert host.said() == []

    host.session.poll(0.2)

    assert [type(message) for message in host.said()] == [HelloHost]


def test_a_hello_for_somebody_else_is_ignored() -> None:
    host = Host()
    host.session.open(0.0)

    assert host.hear(plain(identity(host_nonce=1, device_nonce=2))) is None
    assert host.session.phase is Phase.GREETING


def test_a_restart_of_the_device_is_reported_within_a_session() -> None:
    host = opened()

    assert host.hear(plain(identity(boot_id=5))) == identity(boot_id=5)


# -- receiving -----------------------------------------------------------------------------------


@pytest.mark.requirement("SR-24")
@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("reflected command", Reject.DIRECTION),
        ("untagged event", Reject.UNTAGGED),
        ("wrong key", Reject.TAG),
        ("key of the other direction", Reject.TAG),
        ("foreign session", Reject.SESSION),
        ("telemetry under the stop key", Reject.SESSION),
        ("out of range", Reject.RANGE),
        ("broken", Reject.SHORT),
    ],
)
def test_what_the_device_cannot_have_said_is_refused(what: str, reason: Reject) -> None:
    host = opened()
    event = Event(5, 1, EventCode.TRIP, 9, Trip.LEAK, 0, 0)
    host.session.command(command(), 0.0)
    bodies = {
        "reflected command": host.session.outgoing()[0],
        "untagged event": plain(event),
        "wrong key": host.up(event, key=TagKey(OTHER_KEY)),
        "key of the other direction": host.up(event, key=host.keys.down),
        "foreign session": host.up(event, session=5),
        "telemetry under the stop key": host.up(
            telemetry(2000), key=stop_key(KEY, BOOT_ID), session=0
        ),
        "out of range": host.up(event._replace(code=9)),
        "broken": b"\x10",
    }

    assert host.hear(bodies[what]) is None
    assert host.session.rejects == Counter({reason: 1})


def test_events_come_under_the_session_key_or_the_stop_key() -> None:
    host = opened()
    event = Event(5, 1, EventCode.TRIP, 9, Trip.LEAK, 0, 0)

    later = event._replace(number=2)

    assert host.hear(host.up(event)) == event
    assert host.hear(host.up(later, key=stop_key(KEY, BOOT_ID), session=0)) == later


@pytest.mark.requirement("SR-03")
def test_plain_telemetry_feeds_nothing_in_a_session() -> None:
    host = opened()

    assert host.hear(plain(telemetry(2000)), 1.0) is None
    assert host.session.device_ms(1.0) == 2000


@pytest.mark.requirement("SR-03")
@pytest.mark.parametrize(
    ("first_ms", "second_ms", "taken"),
    [(1000, 1001, True), (1000, 1000, False), (1000, 999, False), (2**32 - 1, 0, True)],
)
def test_replayed_telemetry_does_not_pass_for_a_sample(
    first_ms: int, second_ms: int, taken: bool
) -> None:
    host = opened(first_ms)
    sample = telemetry(second_ms)

    assert host.hear(host.up(sample), 0.1) == (sample if taken else None)
    assert host.session.rejects == (Counter() if taken else Counter({Reject.REPLAY: 1}))


def test_vendor_frames_come_through_unread() -> None:
    host = opened()
    body = build(0xC5, b"abc", seq=0, session=0, key=None)

    assert host.hear(body) == VendorFrame(0xC5, b"abc")


def test_lost_frames_are_counted_by_sequence_number_across_the_wrap() -> None:
    host = opened()
    host.session.lost_frames = 0
    host.session._device_seq = 0xFFFD

    def vitals(seq: int) -> bytes:
        return plain(Vitals(0, 0, 0, 0, 0, 0, 0), seq=seq)

    for seq in (0xFFFE, 0xFFFE, 1, 0xFFFC, 2):
        host.hear(vitals(seq))

    assert host.session.lost_frames == 2


@pytest.mark.requirement("SR-23")
def test_rejects_count_for_one_second() -> None:
    host = opened()
    for now_s in (0.0, 0.5, 1.0):
        host.hear(b"", now_s)

    assert host.session.rejects_within_window(1.0) == 3
    assert host.session.rejects_within_window(1.01) == 2


# -- commands ------------------------------------------------------------------------------------


@pytest.mark.requirement("SR-24")
@pytest.mark.parametrize(
    ("device_ms", "deadline_ms"), [(1000, 1350), (2**32 - 200, 150), (2**32 - 350, 0)]
)
def test_a_deadline_lies_250_ms_ahead_on_the_clock_of_the_device(
    device_ms: int, deadline_ms: int
) -> None:
    host = opened(device_ms)

    counter = host.session.command(command(Op.FREEZE, setpoint_mdegc=-60_000), 0.1)

    assert host.said() == [
        command(Op.FREEZE, setpoint_mdegc=-60_000, counter=counter, deadline_ms=deadline_ms)
    ]


def test_a_retry_is_the_same_bytes_and_there_are_four_in_all() -> None:
    host = opened()
    counter = host.session.command(command(), 0.0)
    (first,) = host.session.outgoing()
    failed: list[CommandFailed] = []
    copies = []
    for tick in range(1, 40):
        failed += host.session.poll(tick * 0.01)
        copies += host.session.outgoing()

    assert copies == [first] * 3
    assert failed == [CommandFailed(counter, Op.ARM, "no answer to 4 tries")]
    assert not host.session.busy


def test_an_ack_frees_the_line_and_a_late_copy_is_ignored() -> None:
    host = opened()
    counter = host.session.command(command(), 0.0)
    ack = Ack(counter, Op.ARM, Answer.ACCEPTED)
    assert host.session.busy

    assert host.hear(host.up(ack)) == ack
    assert not host.session.busy
    assert host.hear(host.up(ack)) is None


def test_an_ack_for_another_command_is_ignored() -> None:
    host = opened()
    counter = host.session.command(command(), 0.0)

    assert host.hear(host.up(Ack(counter + 1, Op.ARM, Answer.ACCEPTED))) is None
    assert host.session.busy


def test_done_is_taken_once_and_only_for_the_accepted_operation() -> None:
    host = opened()
    counter = host.session.command(command(Op.LEAK_TEST), 0.0)
    done = Done(counter, Op.LEAK_TEST, Result.OK, 12)
    assert host.hear(host.up(done)) is None
    host.hear(host.up(Ack(counter, Op.LEAK_TEST, Answer.ACCEPTED)))

    assert host.hear(host.up(done._replace(op=Op.SELF_TEST))) is None
    assert host.hear(host.up(done)) == done
    assert host.hear(host.up(done)) is None


@pytest.mark.parametrize(
    ("op", "life_s"), [(Op.LEAK_TEST, 30.0), (Op.ARM, 30.0), (Op.FREEZE, math.inf)]
)
def test_an_end_that_never_comes_is_a_failure_unless_the_tissue_decides(
    op: Op, life_s: float
) -> None:
    host = opened()
    counter = host.session.command(command(op), 0.0)
    host.hear(host.up(Ack(counter, op, Answer.ACCEPTED)))

    assert host.session.poll(30.0) == []
    failed = host.session.poll(30.01)
    expected = [CommandFailed(counter, op, "accepted, but its end was never reported")]
    assert failed == (expected if life_s == 30.0 else [])
    assert host.session.poll(1e6) == []


def test_a_refused_command_waits_for_no_end() -> None:
    host = opened()
    counter = host.session.command(command(), 0.0)
    host.hear(host.up(Ack(counter, Op.ARM, Answer.WRONG_STATE)))

    assert host.session.poll(31.0) == []


def test_counters_grow_across_sessions() -> None:
    host = opened()
    first = host.session.command(command(), 0.0)
    host.open()

    assert host.session.command(command(), 0.0) > first


# -- lease and stop ------------------------------------------------------------------------------


@pytest.mark.requirement("SR-01")
def test_a_lease_lives_300_ms_of_the_device_clock_from_now() -> None:
    host = opened(2**32 - 100)
    host.session.lease(HostMode.FREEZE, 0.05)
    host.session.lease(HostMode.THAW, 0.15)

    assert host.said() == [Lease(1, HostMode.FREEZE, 250), Lease(2, HostMode.THAW, 350)]


@pytest.mark.requirement("SR-24")
def test_stop_goes_out_first_without_session_under_the_stop_key() -> None:
    host = opened()
    host.session.lease(HostMode.FREEZE, 0.0)
    host.session.command(command(), 0.0)

    counter = host.session.stop(SafeAction.THAW, Trip.OPERATOR_STOP)

    first, *others = host.said_frames()
    assert counter == 1
    assert first.session == 0
    assert stop_key(KEY, BOOT_ID).verify(first.signed, first.tag or b"")
    assert decode(first.message_id, first.payload) == Stop(
        1, BOOT_ID, SafeAction.THAW, Trip.OPERATOR_STOP
    )
    assert [type(decode(p.message_id, p.payload)) for p in others] == [Lease, Command]


@pytest.mark.requirement("SR-25")
def test_stop_is_possible_on_a_probe_that_somebody_else_owns() -> None:
    host = Host()
    host.greet(owned=1)

    assert host.session.stop(SafeAction.OFF, Trip.OPERATOR_STOP) == 1
    assert [type(message) for message in host.said()] == [Stop]


def test_stop_before_any_hello_says_that_it_cannot() -> None:
    assert Host().session.stop(SafeAction.OFF, Trip.OPERATOR_STOP) is None


def test_the_answer_to_stop_comes_without_session() -> None:
    host = opened()
    ack = Ack(1, Op.STOP, Answer.ACCEPTED)

    assert host.hear(host.up(ack, key=stop_key(KEY, BOOT_ID), session=0)) == ack


def test_a_loaded_copy_goes_on_like_the_original() -> None:
    host = opened()
    counter = host.session.command(command(), 0.0)
    host.session.lease(HostMode.IDLE, 0.0)
    copy = pickle.loads(pickle.dumps(host.session))
    body = host.up(Ack(counter, Op.ARM, Answer.ACCEPTED))

    def go_on(session: HostSession) -> Any:
        before = session.outgoing()
        failed = session.poll(0.1)
        ack = session.on_body(body, 0.1)
        session.lease(HostMode.FREEZE, 0.2)
        return before, failed, ack, session.outgoing(), session.device_ms(0.2), session.busy

    assert go_on(copy) == go_on(host.session)


def test_an_abandoned_command_is_not_sent_again_and_nobody_waits_for_it() -> None:
    host = opened()
    first = host.session.command(command(Op.LEAK_TEST), 0.0)
    host.hear(host.up(Ack(first, Op.LEAK_TEST, Answer.ACCEPTED)))
    host.said()
    second = host.session.command(command(Op.SETPOINT), 0.0)
    host.session.lease(HostMode.IDLE, 0.0)

    host.session.abandon()

    assert [type(message) for message in host.said()] == [Lease]
    assert not host.session.busy
    assert host.session.poll(100.0) == []
    assert host.hear(host.up(Ack(second, Op.SETPOINT, Answer.ACCEPTED))) is None
    assert host.hear(host.up(Done(first, Op.LEAK_TEST, Result.OK, 0))) is None


def test_an_event_before_any_hello_is_no_sign_of_damage() -> None:
    host = Host()
    host.hear(plain(identity()))
    event = Event(5, 1, EventCode.BOOT, 0, 0, 0, 0)

    assert host.hear(host.up(event, key=stop_key(KEY, BOOT_ID), session=0)) is None
    assert host.session.rejects == Counter()
