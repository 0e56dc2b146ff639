"""The device's end: who may command it, what is a repeat, what came too late."""

from __future__ import annotations

import pickle
from collections import Counter
from typing import Any

import pytest

from cryoctl_protocol.auth import SessionKeys, TagKey, session_keys, stop_key
from cryoctl_protocol.codec import SCHEMA_HASH, decode, encode
from cryoctl_protocol.codes import Answer, EventCode, HostMode, Op, Result, SafeAction, Trip
from cryoctl_protocol.device_session import DeviceSession
from cryoctl_protocol.framing import DELIMITER, Deframer, Parsed, Reject, build, parse, wrap
from cryoctl_protocol.messages import (
    ID_OF,
    Ack,
    Command,
    Done,
    Event,
    Hello,
    HelloHost,
    Message,
    Stop,
    Telemetry,
    Vitals,
)
from tests.support.protocol_builders import (
    BOOT_ID,
    KEY,
    OTHER_KEY,
    command,
    identity,
    lease,
    plain,
    telemetry,
)

STOP_KEY = stop_key(KEY, BOOT_ID)
LATE = 0xFFFF_FFFF


class Device:
    """A device session and a controller that can also do wrong."""

    def __init__(self, now_ms: int = 0) -> None:
        self.session = DeviceSession(identity(), KEY, nonce_seed=b"device")
        self.session.on_bytes(DELIMITER, now_ms)
        self._deframer = Deframer()
        self._deframer.feed(DELIMITER)

    def hear(self, body: bytes, now_ms: int) -> list[Command | Stop]:
        return self.session.on_bytes(wrap(body), now_ms)

    def said(self) -> list[Message]:
        return [decode(each.message_id, each.payload) for each in self.said_frames()]

    def said_frames(self) -> list[Parsed]:
        bodies = self._deframer.feed(self.session.outgoing())
        return [each for each in map(parse, bodies) if isinstance(each, Parsed)]

    def greet(self, host_nonce: int = 1, now_ms: int = 0, **changes: int) -> Hello:
        self.said()
        hello_host = HelloHost(1, 0, SCHEMA_HASH, host_nonce)._replace(**changes)
        self.hear(plain(hello_host), now_ms)
        (answer,) = (message for message in self.said() if isinstance(message, Hello))
        return answer

    def prepare(self, host_nonce: int = 1, now_ms: int = 0) -> SessionKeys:
        return session_keys(KEY, host_nonce, self.greet(host_nonce, now_ms).device_nonce)

    def open(self, now_ms: int = 0) -> SessionKeys:
        keys = self.prepare(now_ms=now_ms)
        self.hear(down(keys, lease(1, (now_ms + 300) % 2**32)), now_ms)
        assert self.session.is_open
        self.said()
        return keys


def down(keys: SessionKeys, message: Message, *, key: TagKey | None = None) -> bytes:
    return build(
        ID_OF[type(message)], encode(message), seq=0, session=keys.session, key=key or keys.down
    )


def stop_body(counter: int = 1, *, key: TagKey = STOP_KEY, **changes: Any) -> bytes:
    stop = Stop(counter, BOOT_ID, SafeAction.THAW, Trip.OPERATOR_STOP)._replace(**changes)
    return build(ID_OF[Stop], encode(stop), seq=0, session=0, key=key)


# -- greeting ------------------------------------------------------------------------------------


def test_hello_echoes_the_nonce_and_brings_a_fresh_one() -> None:
    device = Device()

    first, again, other = device.greet(1), device.greet(1), device.greet(2)

    assert (first.host_nonce, again.host_nonce, other.host_nonce) == (1, 1, 2)
    assert first == again
    assert first.device_nonce != other.device_nonce
    assert first == identity(host_nonce=1, device_nonce=first.device_nonce)


def test_another_boot_has_other_nonces() -> None:
    def nonce(boot_id: int) -> int:
        device = Device()
        device.session = DeviceSession(identity(boot_id=boot_id), KEY, nonce_seed=b"device")
        device.session.on_bytes(DELIMITER, 0)
        return device.greet().device_nonce

    assert nonce(1) == nonce(1)
    assert nonce(1) != nonce(2)


@pytest.mark.requirement("SR-28")
@pytest.mark.parametrize("changes", [{"schema_hash": SCHEMA_HASH ^ 1}, {"major": 2}])
def test_a_controller_with_another_table_learns_who_we_are_and_opens_nothing(
    changes: dict[str, int],
) -> None:
    device = Device()

    answer = device.greet(1, **changes)

    assert answer == identity(host_nonce=1)
    device.hear(down(session_keys(KEY, 1, answer.device_nonce), lease(1, 300)), 0)
    assert not device.session.is_open


def test_the_first_tagged_frame_opens_the_session_even_if_its_lease_is_void() -> None:
    device = Device()
    keys = device.prepare(now_ms=5000)

    device.hear(down(keys, lease(1, 4000)), 5000)

    assert (device.session.is_open, device.session.lease_left_ms(5000)) == (True, 0)
    (event,) = device.said()
    assert event == Event(5000, 1, EventCode.SESSION_OPENED, 0, 0, 0, 0)


def test_a_wrong_key_opens_nothing() -> None:
    device = Device()
    nonce = device.greet().device_nonce
    keys = session_keys(OTHER_KEY, 1, nonce)

    device.hear(down(keys, lease(1, 300)), 0)

    assert not device.session.is_open
    assert device.session.rejects == Counter({Reject.TAG: 1})


# -- commands ------------------------------------------------------------------------------------


def test_a_command_reaches_the_firmware_with_all_its_fields() -> None:
    device = Device()
    keys = device.open()
    sent = command(Op.FREEZE, counter=1, deadline_ms=250, setpoint_mdegc=-60_000, duration_ms=9)

    assert device.hear(down(keys, sent), 100) == [sent]


@pytest.mark.requirement("SR-24")
@pytest.mark.parametrize(
    ("now_ms", "deadline_ms", "executed"),
    [
        (1000, 1000, True),
        (1001, 1000, False),
        (LATE, LATE, True),
        (0, LATE, False),
        (LATE - 5, 20, True),  # The deadline lies beyond the wrap of the clock.
        (21, 20, False),
    ],
)
def test_a_command_is_executed_up_to_its_deadline_and_not_after(
    now_ms: int, deadline_ms: int, executed: bool
) -> None:
    device = Device(now_ms)
    keys = device.open(now_ms)

    requests = device.hear(down(keys, command(counter=1, deadline_ms=deadline_ms)), now_ms)

    assert bool(requests) is executed
    if not executed:
        assert device.said() == [Ack(1, Op.ARM, Answer.STALE)]


@pytest.mark.requirement("SR-24")
def test_a_retry_gets_the_same_bytes_and_is_not_executed_again() -> None:
    device = Device()
    keys = device.open()
    body = down(keys, command(counter=1, deadline_ms=250))
    assert len(device.hear(body, 0)) == 1
    device.session.answer(1, Op.ARM, Answer.ACCEPTED)
    device.session.done(1, Op.ARM, Result.OK)
    answers = device.session.outgoing()

    assert device.hear(body, 900) == []
    assert device.session.outgoing() == answers


@pytest.mark.requirement("SR-24")
def test_two_copies_in_one_read_are_one_command_without_a_refusal() -> None:
    device = Device()
    keys = device.open()
    body = down(keys, command(counter=1, deadline_ms=250))

    requests = device.session.on_bytes(wrap(body) + wrap(body), 0)

    assert len(requests) == 1
    assert device.said() == []


@pytest.mark.requirement("SR-24")
def test_a_replay_older_than_the_kept_answers_is_refused() -> None:
    device = Device()
    keys = device.open()
    bodies = [down(keys, command(counter=n, deadline_ms=250)) for n in range(1, 19)]
    for counter, body in enumerate(bodies, start=1):
        assert len(device.hear(body, 0)) == 1
        device.session.answer(counter, Op.ARM, Answer.ACCEPTED)
    device.said()

    assert [device.hear(body, 0) for body in bodies] == [[]] * 18
    answers = [message.answer for message in device.said() if isinstance(message, Ack)]
    assert answers == [Answer.OLD_COUNTER] * 2 + [Answer.ACCEPTED] * 16


def test_replays_do_not_push_out_answers_that_a_retry_may_ask_for() -> None:
    device = Device()
    keys = device.open()
    bodies = [down(keys, command(counter=n, deadline_ms=250)) for n in range(1, 40)]
    for counter, body in enumerate(bodies, start=1):
        device.hear(body, 0)
        device.session.answer(counter, Op.ARM, Answer.ACCEPTED)
    for body in bodies[:20]:
        device.hear(body, 0)
    device.said()

    device.hear(bodies[-1], 0)

    assert device.said() == [Ack(39, Op.ARM, Answer.ACCEPTED)]


@pytest.mark.requirement("SR-24")
def test_no_more_than_16_commands_are_remembered_even_before_any_is_answered() -> None:
    device = Device()
    keys = device.open()
    bodies = [down(keys, command(counter=n, deadline_ms=250)) for n in range(1, 18)]

    requests = device.session.on_bytes(b"".join(map(wrap, bodies)), 0)

    assert len(requests) == 17
    assert len(device.session._answers) == 16
    device.hear(bodies[1], 0)
    assert device.said() == []  # The second is remembered, and waits for its answer.
    device.hear(bodies[0], 0)
    assert device.said() == [Ack(1, Op.ARM, Answer.OLD_COUNTER)]


def test_a_retry_gets_two_answers_at_most() -> None:
    device = Device()
    keys = device.open()
    body = down(keys, command(counter=1, deadline_ms=250))
    device.hear(body, 0)
    device.session.answer(1, Op.ARM, Answer.ACCEPTED)
    device.session.done(1, Op.ARM, Result.OK)
    device.session.answer(1, Op.ARM, Answer.WRONG_STATE)  # No firmware should.
    assert len(device.said()) == 3

    device.hear(body, 0)

    assert device.said() == [Ack(1, Op.ARM, Answer.ACCEPTED), Done(1, Op.ARM, Result.OK, 0)]


def test_of_more_than_64_commands_without_an_end_the_oldest_are_forgotten() -> None:
    device = Device()
    keys = device.open()
    for counter in range(1, 66):
        device.hear(down(keys, command(counter=counter, deadline_ms=250)), 0)
        device.session.answer(counter, Op.ARM, Answer.ACCEPTED)
        device.said()

    for counter in range(1, 66):
        device.session.done(counter, Op.ARM, Result.OK)

    assert [done.counter for done in device.said() if isinstance(done, Done)] == [*range(2, 66)]


def test_what_does_not_fit_into_4096_bytes_is_dropped_frame_by_frame() -> None:
    device = Device()
    for _ in range(60):
        device.session.send_telemetry(telemetry(0))
    device.session.send_plain(Vitals(0, 0, 0, 0, 0, 0, 0))

    out = device.session.outgoing()
    device.session.send_plain(Vitals(0, 0, 0, 0, 0, 0, 0))
    afterwards = device.session.outgoing()

    assert len(out) == 48 * 84 + 32
    assert 4096 - 48 * 84 >= 32
    frames = [parse(body) for body in Deframer().feed(b"\0" + out + afterwards)]
    seqs = [frame.seq for frame in frames if isinstance(frame, Parsed)]
    assert seqs == [*range(48), 60, 61]  # What was dropped shows as a gap.


def test_retries_cannot_make_a_device_say_more_than_4096_bytes_at_once() -> None:
    device = Device()
    keys = device.open()
    body = down(keys, command(counter=1, deadline_ms=250))
    device.hear(body, 0)
    device.session.answer(1, Op.ARM, Answer.ACCEPTED)
    device.said()

    device.session.on_bytes(wrap(body) * 1000, 0)

    assert len(device.session.outgoing()) == 146 * 28  # 4088; one more would be 4116.


def test_a_refused_command_has_no_end_to_report() -> None:
    device = Device()
    keys = device.open()
    device.hear(down(keys, command(counter=1, deadline_ms=250)), 0)
    device.session.answer(1, Op.ARM, Answer.WRONG_STATE)

    device.session.done(1, Op.ARM, Result.FAILED)

    assert device.said() == [Ack(1, Op.ARM, Answer.WRONG_STATE)]


def test_the_end_of_what_an_earlier_session_began_is_not_reported() -> None:
    device = Device()
    keys = device.open()
    device.hear(down(keys, command(Op.LEAK_TEST, counter=3, deadline_ms=250)), 0)
    device.session.answer(3, Op.LEAK_TEST, Answer.ACCEPTED)
    device.session.on_bytes(b"", 1000)
    newer = device.prepare(2, 1000)
    device.hear(down(newer, lease(1, 1300)), 1000)
    device.said()

    device.session.done(3, Op.LEAK_TEST, Result.OK)

    assert device.said() == []
    fresh = command(counter=3, deadline_ms=1250)
    assert device.hear(down(newer, fresh), 1000) == [fresh]


@pytest.mark.requirement("SR-24")
@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("untagged", Reject.UNTAGGED),
        ("foreign session", Reject.SESSION),
        ("wrong key", Reject.TAG),
        ("reflected key", Reject.TAG),
        ("stop key", Reject.TAG),
        ("out of range", Reject.RANGE),
        ("upwards", Reject.DIRECTION),
        ("vendor", Reject.DIRECTION),
    ],
)
def test_whatever_is_not_a_command_of_this_session_is_not_executed(
    what: str, reason: Reject
) -> None:
    device = Device()
    keys = device.open()
    asked = command(counter=1, deadline_ms=250)
    bodies = {
        "untagged": plain(asked),
        "foreign session": down(session_keys(KEY, 8, 9), asked),
        "wrong key": down(keys, asked, key=TagKey(OTHER_KEY)),
        "reflected key": down(keys, asked, key=keys.up),
        "stop key": down(keys, asked, key=STOP_KEY),
        "out of range": down(keys, asked._replace(op=13)),
        "upwards": down(keys, telemetry(), key=keys.up),
        "vendor": build(0xC0, b"", seq=0, session=keys.session, key=keys.down),
    }

    assert device.hear(bodies[what], 0) == []
    assert device.session.rejects == Counter({reason: 1})
    assert device.said() == []


# -- lease and ownership -------------------------------------------------------------------------


@pytest.mark.requirement("SR-01")
@pytest.mark.parametrize(
    ("ahead_ms", "left_ms"), [(300, 300), (301, 300), (60_000, 300), (299, 299), (1, 1), (0, 0)]
)
def test_a_lease_lives_300_ms_at_most(ahead_ms: int, left_ms: int) -> None:
    device = Device()
    keys = device.prepare()

    device.hear(down(keys, lease(1, 5000 + ahead_ms)), 5000)

    assert device.session.lease_left_ms(5000) == left_ms


@pytest.mark.requirement("SR-01")
def test_a_lease_ends_to_the_millisecond_across_the_wrap() -> None:
    device = Device(LATE - 99)
    keys = device.prepare(now_ms=LATE - 99)
    device.hear(down(keys, lease(1, 200)), LATE - 99)

    assert device.session.lease_left_ms(LATE - 99) == 300
    assert device.session.lease_left_ms(199) == 1
    assert device.session.lease_left_ms(200) == 0
    assert device.session.lease_left_ms(201) == 0


@pytest.mark.requirement("SR-01")
def test_leases_that_waited_in_a_queue_prolong_nothing() -> None:
    device = Device()
    keys = device.open()
    made = [down(keys, lease(n, 300 + 100 * n)) for n in range(2, 12)]
    for body in made:
        device.hear(body, 1000)

    # The last of them was valid until 1400 when it was made; all arrive at 1000.
    assert device.session.lease_left_ms(1000) == 300
    late = [down(keys, lease(n, 300 + 100 * n)) for n in range(12, 22)]
    for body in late:
        device.hear(body, 2500)
    assert device.session.lease_left_ms(2500) == 0


@pytest.mark.requirement("SR-24")
def test_a_replayed_lease_prolongs_nothing() -> None:
    device = Device()
    keys = device.open()
    body = down(keys, lease(2, 500))
    device.hear(body, 250)
    device.hear(body, 400)

    assert device.session.lease_left_ms(400) == 100
    assert device.session.rejects == Counter({Reject.REPLAY: 1})


@pytest.mark.requirement("SR-01")
@pytest.mark.parametrize("days", [24.8, 24.9, 40.0, 49.7, 60.0])
def test_an_old_lease_does_not_come_back_when_the_clock_wraps(days: float) -> None:
    device = Device()
    device.open()
    device.session.on_bytes(b"", 301)
    device.session.on_bytes(b"", 1001)

    later_ms = round(days * 86_400_000) % 2**32

    assert device.session.lease_left_ms(later_ms) == 0
    assert not device.session.owned(later_ms)


def test_old_rejects_and_bad_tags_do_not_come_back_when_the_clock_wraps() -> None:
    device = Device()
    keys = device.open()
    forged = down(keys, command(counter=1, deadline_ms=2**31), key=TagKey(OTHER_KEY))
    for _ in range(2):
        device.hear(forged, 0)
    assert device.session.rejects_within_window(1000) == 2
    assert device.session.rejects_within_window(1001) == 0

    device.hear(forged, 2**31 + 5000)

    assert device.session.rejects_within_window(2**31 + 5000) == 1
    assert device.session.is_open


@pytest.mark.requirement("SR-25")
def test_ownership_lapses_one_second_after_the_last_accepted_lease() -> None:
    device = Device()
    keys = device.open()
    device.hear(down(keys, lease(2, 800)), 500)
    device.hear(down(keys, lease(3, 900)), 1400)  # Void: it does not count.

    assert (device.session.owned(1499), device.session.owned(1500)) == (True, False)
    device.session.on_bytes(b"", 1500)
    assert [m.code for m in device.said() if isinstance(m, Event)] == [EventCode.OWNER_LAPSED]


@pytest.mark.requirement("SR-25")
def test_a_second_controller_is_told_that_the_probe_is_owned_and_gets_no_session() -> None:
    device = Device()
    owner = device.open()

    answer = device.greet(2, 500)

    assert answer == identity(host_nonce=2, owned=1)
    device.hear(down(session_keys(KEY, 2, answer.device_nonce), lease(1, 800)), 500)
    assert device.session.rejects == Counter({Reject.SESSION: 1})
    device.hear(down(owner, lease(2, 800)), 500)
    assert device.session.lease_left_ms(500) == 300


@pytest.mark.requirement("SR-25")
def test_after_one_second_of_silence_a_second_controller_takes_over() -> None:
    device = Device()
    owner = device.open()

    newcomer = device.prepare(2, 1000)
    device.hear(down(newcomer, lease(1, 1300)), 1000)

    assert device.session.lease_left_ms(1000) == 300
    device.hear(down(owner, lease(2, 1300)), 1000)
    assert device.session.rejects == Counter({Reject.SESSION: 1})


@pytest.mark.requirement("SR-24")
@pytest.mark.parametrize("ends", ["by another session", "by guesses at its tags"])
def test_a_command_whose_session_ends_within_the_same_bytes_is_not_carried_out(ends: str) -> None:
    device = Device()
    owner = device.open()
    newcomer = device.prepare(2, 1000)
    asked = down(owner, command(counter=1, deadline_ms=1250))
    guess = down(owner, command(counter=2, deadline_ms=1250), key=TagKey(OTHER_KEY))
    end = [down(newcomer, lease(1, 1300))] if ends == "by another session" else 3 * [guess]

    requests = device.session.on_bytes(b"".join(map(wrap, [asked, stop_body(), *end])), 1000)

    assert [type(request) for request in requests] == [Stop]
    if ends == "by another session":
        asked_anew = command(counter=1, deadline_ms=1260)
        assert device.hear(down(newcomer, asked_anew), 1010) == [asked_anew]


@pytest.mark.requirement("SR-25")
def test_an_owner_who_comes_back_in_time_keeps_the_probe() -> None:
    device = Device()
    owner = device.open()
    newcomer = device.prepare(2, 1000)
    device.hear(down(owner, lease(2, 1400)), 1100)

    device.hear(down(newcomer, lease(1, 1500)), 1200)

    assert device.session.rejects == Counter({Reject.SESSION: 1})
    assert device.hear(down(owner, command(counter=1, deadline_ms=1400)), 1200)


def test_the_claimed_mode_is_that_of_the_last_accepted_lease() -> None:
    device = Device()
    keys = device.open()
    device.hear(down(keys, lease(2, 400, HostMode.FREEZE)), 100)
    device.hear(down(keys, lease(3, 100, HostMode.THAW)), 200)

    assert (device.session.claimed_mode, device.session.lease_count) == (HostMode.FREEZE, 2)


# -- bad tags ------------------------------------------------------------------------------------


@pytest.mark.requirement("SR-24")
@pytest.mark.parametrize(("third_ms", "still_open"), [(10_000, False), (10_001, True)])
def test_three_bad_tags_in_ten_seconds_end_session_and_lease(
    third_ms: int, still_open: bool
) -> None:
    device = Device()
    keys = device.open()
    forged = down(keys, command(counter=1, deadline_ms=60_000), key=TagKey(OTHER_KEY))
    device.hear(forged, 0)
    device.hear(forged, 5000)
    device.hear(down(keys, lease(2, third_ms + 300)), third_ms)
    device.said()

    device.hear(forged, third_ms)

    assert device.session.is_open is still_open
    assert device.session.lease_left_ms(third_ms) == (300 if still_open else 0)
    if not still_open:
        (event,) = device.said_frames()
        assert event.session == 0
        assert STOP_KEY.verify(event.signed, event.tag or b"")
        dropped = decode(event.message_id, event.payload)
        assert isinstance(dropped, Event)
        assert (dropped.device_ms, dropped.code) == (third_ms, EventCode.SESSION_DROPPED)


@pytest.mark.requirement("SR-24")
def test_guessing_at_stop_ends_the_session_too() -> None:
    device = Device()
    device.open()
    for _ in range(3):
        assert device.hear(stop_body(key=stop_key(OTHER_KEY, BOOT_ID)), 10) == []

    assert not device.session.is_open


def test_a_command_after_the_drop_is_not_executed_and_answered_by_nobody() -> None:
    device = Device()
    keys = device.open()
    device.session.drop(10)
    device.said()

    assert device.hear(down(keys, command(counter=1, deadline_ms=250)), 10) == []
    assert device.said() == []


# -- locked after bad tags -----------------------------------------------------------------------


def locked(now_ms: int = 0) -> Device:
    """A device that has just ended its session because of three bad tags."""
    device = Device(now_ms)
    keys = device.open(now_ms)
    forged = down(keys, command(counter=1, deadline_ms=250), key=TagKey(OTHER_KEY))
    for _ in range(3):
        device.hear(forged, now_ms)
    assert not device.session.is_open
    device.said()
    return device


@pytest.mark.requirement("SR-24")
@pytest.mark.parametrize(("after_ms", "opens"), [(0, False), (1999, False), (2000, True)])
@pytest.mark.parametrize("at_ms", [0, LATE - 500])
def test_after_bad_tags_no_session_begins_for_two_seconds(
    at_ms: int, after_ms: int, opens: bool
) -> None:
    device = locked(at_ms)
    now_ms = (at_ms + after_ms) % 2**32

    answer = device.greet(7, now_ms)
    device.hear(down(session_keys(KEY, 7, answer.device_nonce), lease(1, now_ms + 300)), now_ms)

    assert (answer.device_nonce != 0) is opens
    assert device.session.is_open is opens


@pytest.mark.requirement("SR-24")
def test_a_session_that_was_prepared_before_the_lock_is_void() -> None:
    device = Device()
    prepared = device.prepare()
    forged = down(prepared, lease(1, 300), key=TagKey(OTHER_KEY))
    for _ in range(3):
        device.hear(forged, 0)

    device.hear(down(prepared, lease(1, 300)), 10)

    assert not device.session.is_open


@pytest.mark.requirement("SR-24")
def test_stop_works_while_the_device_is_locked() -> None:
    device = locked()

    assert len(device.hear(stop_body(), 10)) == 1
    assert device.said() == [Ack(1, Op.STOP, Answer.ACCEPTED)]


@pytest.mark.requirement("SR-24")
def test_who_goes_on_guessing_while_it_is_locked_does_not_make_it_longer() -> None:
    device = locked()
    for now_ms in range(0, 2000, 10):
        device.hear(stop_body(key=stop_key(OTHER_KEY, BOOT_ID)), now_ms)

    assert device.said() == []
    assert device.greet(7, 2000).device_nonce != 0


@pytest.mark.requirement("SR-24")
def test_the_lock_does_not_come_back_when_the_clock_wraps() -> None:
    device = locked()
    device.session.on_bytes(b"", 2000)
    device.session.on_bytes(b"", 2**31)

    assert device.greet(7, 1000).device_nonce != 0


@pytest.mark.requirement("SR-24")
def test_a_stop_from_before_a_restart_is_no_guess() -> None:
    device = Device()
    device.open()
    for counter in range(10):
        body = stop_body(counter, key=stop_key(KEY, BOOT_ID - 1), boot_id=BOOT_ID - 1)
        assert device.hear(body, 10) == []

    assert device.session.is_open
    assert device.session.rejects == Counter({Reject.SESSION: 10})


# -- two keys ------------------------------------------------------------------------------------

FORMER_KEY = bytes(range(64, 96))


def with_two_keys() -> Device:
    device = Device()
    device.session = DeviceSession(
        identity(key_id=2), KEY, nonce_seed=b"device", former_key=FORMER_KEY
    )
    device.session.on_bytes(DELIMITER, 0)
    return device


@pytest.mark.requirement("SR-24")
@pytest.mark.parametrize(("used", "other"), [(KEY, FORMER_KEY), (FORMER_KEY, KEY)])
def test_the_first_tagged_frame_decides_which_key_a_session_uses(used: bytes, other: bytes) -> None:
    device = with_two_keys()
    hello = device.greet()
    keys, rest = (session_keys(key, 1, hello.device_nonce) for key in (used, other))
    asked = command(counter=1, deadline_ms=250)

    device.hear(down(keys, lease(1, 300)), 0)

    assert hello.key_id == 2
    assert keys.session == rest.session
    assert device.hear(down(rest, asked), 10) == []
    assert device.session.rejects == Counter({Reject.TAG: 1})
    assert device.hear(down(keys, asked), 20) == [asked]
    device.session.send_telemetry(telemetry(30))
    sample = device.said_frames()[-1]
    assert keys.up.verify(sample.signed, sample.tag or b"")


@pytest.mark.requirement("SR-24")
def test_a_device_with_two_keys_takes_no_third() -> None:
    device = with_two_keys()
    nonce = device.greet().device_nonce

    device.hear(down(session_keys(OTHER_KEY, 1, nonce), lease(1, 300)), 0)

    assert not device.session.is_open
    assert device.session.rejects == Counter({Reject.TAG: 1})


@pytest.mark.requirement("SR-24")
@pytest.mark.parametrize("key", [KEY, FORMER_KEY])
def test_stop_is_taken_under_either_key_and_answered_under_the_same(key: bytes) -> None:
    device = with_two_keys()
    used = stop_key(key, BOOT_ID)

    assert len(device.hear(stop_body(7, key=used), 0)) == 1

    (answer,) = device.said_frames()
    assert decode(answer.message_id, answer.payload) == Ack(7, Op.STOP, Answer.ACCEPTED)
    assert used.verify(answer.signed, answer.tag or b"")


def test_events_outside_a_session_go_under_the_announced_key() -> None:
    device = with_two_keys()
    nonce = device.greet().device_nonce
    device.hear(down(session_keys(FORMER_KEY, 1, nonce), lease(1, 300)), 0)
    device.said()

    device.session.drop(10)

    (event,) = device.said_frames()
    assert STOP_KEY.verify(event.signed, event.tag or b"")


# -- stop ----------------------------------------------------------------------------------------


@pytest.mark.requirement("SR-24")
@pytest.mark.parametrize("now_ms", [0, 5, 2**31 - 1, 2**31, LATE])
def test_stop_is_executed_at_any_age_and_as_often_as_it_comes(now_ms: int) -> None:
    device = Device()
    for _ in range(2):
        (request,) = device.hear(stop_body(7), now_ms)

        assert request == Stop(7, BOOT_ID, SafeAction.THAW, Trip.OPERATOR_STOP)
        (answer,) = device.said_frames()
        assert decode(answer.message_id, answer.payload) == Ack(7, Op.STOP, Answer.ACCEPTED)
        assert STOP_KEY.verify(answer.signed, answer.tag or b"")


@pytest.mark.requirement("SR-24")
def test_stop_needs_no_session_and_does_not_ask_who_owns_the_probe() -> None:
    device = Device()
    assert device.hear(stop_body(), 0)

    keys = device.open(100)
    assert device.hear(stop_body(), 100)
    assert device.hear(down(keys, lease(2, 500)), 200) == []
    assert device.session.is_open


@pytest.mark.requirement("SR-24")
def test_stop_of_another_boot_or_key_is_refused() -> None:
    device = Device()

    assert device.hear(stop_body(key=stop_key(KEY, BOOT_ID - 1)), 0) == []
    assert device.hear(stop_body(key=stop_key(OTHER_KEY, BOOT_ID)), 0) == []
    assert device.session.rejects == Counter({Reject.TAG: 2})


@pytest.mark.requirement("SR-24")
def test_stop_with_a_code_that_is_none_is_refused() -> None:
    device = Device()

    assert device.hear(stop_body(trip=28), 0) == []
    assert device.hear(stop_body(action=2), 0) == []
    assert device.session.rejects == Counter({Reject.RANGE: 2})


# -- counting and saving -------------------------------------------------------------------------


@pytest.mark.requirement("SR-23")
def test_broken_frames_count_in_the_window_of_one_second() -> None:
    device = Device()
    device.session.on_bytes(b"\x05abc\0" * 4, 100)
    device.hear(b"\x10\x7f" + bytes(6), 600)

    assert device.session.rejects_within_window(600) == 5
    assert device.session.rejects_within_window(1100) == 5
    assert device.session.rejects_within_window(1101) == 1
    assert device.session.rejects_within_window(1601) == 0


def test_telemetry_is_tagged_within_a_session_and_plain_outside_one() -> None:
    device = Device()
    device.session.send_telemetry(telemetry(1))
    (outside,) = device.said_frames()
    keys = device.open()
    device.session.send_telemetry(telemetry(2))
    device.session.send_plain(Vitals(2, 0, 0, 0, 0, 0, 0))
    inside, vitals = device.said_frames()

    assert (outside.session, outside.tag) == (0, None)
    assert inside.session == keys.session
    assert keys.up.verify(inside.signed, inside.tag or b"")
    assert (vitals.session, vitals.tag) == (0, None)
    assert isinstance(decode(inside.message_id, inside.payload), Telemetry)


def test_sequence_numbers_count_every_frame_and_wrap() -> None:
    device = Device()
    device.session._seq = 0xFFFE
    for _ in range(3):
        device.session.send_telemetry(telemetry(1))

    assert [frame.seq for frame in device.said_frames()] == [0xFFFE, 0xFFFF, 0]


def test_a_loaded_copy_goes_on_like_the_original() -> None:
    device = Device()
    keys = device.open()
    body = down(keys, command(counter=1, deadline_ms=250))
    device.hear(body, 0)
    device.session.answer(1, Op.ARM, Answer.ACCEPTED)
    device.said()
    copy = pickle.loads(pickle.dumps(device.session))
    more = wrap(body) + wrap(down(keys, lease(2, 350))) + wrap(stop_body())

    def go_on(session: DeviceSession) -> Any:
        requests = session.on_bytes(more, 50)
        session.done(1, Op.ARM, Result.OK)
        session.send_telemetry(telemetry(50))
        return requests, session.outgoing(), session.lease_left_ms(50), session.rejects

    assert go_on(copy) == go_on(device.session)
