"""Level 3: who may command. Tags that are wrong, old, or somebody else's."""

from __future__ import annotations

from typing import Final

from cryoctl_protocol.auth import TAG_SIZE, TagKey
from cryoctl_protocol.codes import EventCode, HostMode, Op
from cryoctl_protocol.conformance.bench import Bench, CheckFailedError, Steps
from cryoctl_protocol.conformance.checks import Check, Need, expect
from cryoctl_protocol.conformance.flaws import hexed
from cryoctl_protocol.conformance.level_1 import QUIET_S, SOUND, idle, stopped
from cryoctl_protocol.framing import HEADER_SIZE
from cryoctl_protocol.messages import Ack, Event, Stop, Telemetry

LOCK_OUT_S: Final = 2.0
BAD_TAGS: Final = 3


def _is_dropped(bench: Bench, body: bytes, counter: int, why: str) -> Steps:
    """See a frame dropped, and the session go on; one bad tag is no reason to end it."""
    since_s = bench.now_s
    bench.say(body)
    yield bench.answer_s
    answers = bench.answers(counter, since_s)
    expect(not answers, "ACK", f"none to {why}", hexed(answers[0].body) if answers else "")
    expect(bench.is_in_session, "TELEMETRY session, bytes 4 to 7", f"as before {why}",
           hexed(bench.heard[-1].body))  # fmt: skip
    yield from bench.alive()


def finds_a_turned_bit(bench: Bench) -> Steps:
    """A command with one bit of its payload turned is dropped."""
    yield from bench.room_for_bad_tag()
    body = bytearray(bench.command(Op.END))
    body[HEADER_SIZE + 11] ^= 1  # COMMAND.treatment_hash, which END leaves unused.
    yield from _is_dropped(bench, bytes(body), bench.counter, "COMMAND with a bit turned")


def finds_a_turned_header(bench: Bench) -> Steps:
    """The tag covers the header, too."""
    yield from bench.room_for_bad_tag()
    body = bytearray(bench.command(Op.END))
    body[2] ^= 0x80  # The sequence number, which no other check looks at.
    yield from _is_dropped(
        bench, bytes(body), bench.counter, "COMMAND with a bit of its header turned"
    )


def finds_a_cut_tag(bench: Bench) -> Steps:
    """Every byte of the tag is compared, the last one as the first."""
    yield from bench.room_for_bad_tag()
    body = bytearray(bench.command(Op.END))
    body[-1] ^= 1
    yield from _is_dropped(bench, bytes(body), bench.counter, "a tag with its last byte wrong")


def takes_no_other_key(bench: Bench) -> Steps:
    """A command under another key is dropped."""
    assert bench.keys is not None
    yield from bench.room_for_bad_tag()
    yield from _is_dropped(bench, _under(bench, bench.wrong_key()), bench.counter, "another key")


def takes_no_reflection(bench: Bench) -> Steps:
    """What the device's own key tags is worth nothing to it."""
    assert bench.keys is not None
    yield from bench.room_for_bad_tag()
    body = _under(bench, bench.keys.up)
    yield from _is_dropped(bench, body, bench.counter, "the key of the other direction")


def _under(bench: Bench, key: TagKey) -> bytes:
    assert bench.keys is not None
    bench.counter += 1
    request = bench.request(Op.END, bench.counter)
    return bench.body(request, session=bench.keys.session, key=key)


def takes_no_echo(bench: Bench) -> Steps:
    """Its own frames, sent back, are dropped."""
    yield from bench.calm()
    own = next(f.body for f in reversed(bench.heard) if isinstance(f.message, Telemetry))
    bench.note_reject()
    bench.say(own)
    yield QUIET_S
    yield from bench.alive()


def takes_nothing_of_an_old_session(bench: Bench) -> Steps:
    """A command recorded in one session is dropped in the next."""
    old = bench.command(Op.END)
    counter = bench.counter
    bench.say(old)
    yield QUIET_S
    yield from bench.open_session()
    since_s = bench.now_s
    yield from bench.calm()
    bench.note_reject()
    bench.say(old)
    yield bench.answer_s
    acks = [ack for ack in bench.since(since_s, Ack) if ack.counter == counter]
    expect(not acks, "ACK", "none to a command of the session before", "ACK")
    yield from bench.alive()


def takes_no_forged_stop(bench: Bench) -> Steps:
    """STOP under another key is dropped."""
    yield from idle(bench)
    yield from bench.room_for_bad_tag()
    said = bench.stop()
    assert said is not None
    counter, body = said
    since_s = bench.now_s
    forged = body[:-TAG_SIZE] + bench.wrong_key().tag(body[:-TAG_SIZE])
    assert len(forged) == HEADER_SIZE + len(Stop._fields) + 6 + TAG_SIZE
    bench.say(forged)
    yield bench.answer_s
    acks = bench.answers(counter, since_s, session=0)
    expect(not acks, "ACK", "none to STOP under another key", hexed(acks[0].body) if acks else "")
    yield from idle(bench)


def locks_out(bench: Bench) -> Steps:
    """Three bad tags end the session for 2 s; STOP works all the while."""
    assert bench.keys is not None
    yield from bench.room_for_bad_tag(most=0)
    since_s = bench.now_s
    for _ in range(BAD_TAGS):
        bench.say(_under(bench, bench.wrong_key()))
        yield 0.05
    bench.forget_bad_tags()
    bench.leasing = None
    locked_s = bench.now_s
    yield from bench.until(lambda: not bench.is_in_session, bench.answer_s)
    expect(not bench.is_in_session, "TELEMETRY flags, byte 0",
           f"plain: {BAD_TAGS} bad tags end the session", "a tag of the same session")  # fmt: skip
    codes = [event.code for event in bench.since(since_s, Event)]
    expect(EventCode.SESSION_DROPPED in codes, "EVENT.code", "SESSION_DROPPED", codes)
    yield from _stays_shut(bench, locked_s)
    yield from stopped(bench)
    yield from bench.until(lambda: bench.now_s - locked_s > LOCK_OUT_S + QUIET_S, LOCK_OUT_S + 1)
    try:
        yield from bench.open_session()
    except CheckFailedError as error:
        raise CheckFailedError(
            "HELLO.device_nonce", f"a session {LOCK_OUT_S:g} s after the lock-out", str(error)
        ) from error
    bench.leasing = HostMode.IDLE


def _stays_shut(bench: Bench, locked_s: float) -> Steps:
    while bench.now_s - locked_s < LOCK_OUT_S - 0.5:
        hello = yield from bench.greet(bench.new_nonce())
        if bench.now_s - locked_s > LOCK_OUT_S - 0.2:
            return  # The machine was too busy to ask in time.
        expect(hello.device_nonce == 0, "HELLO.device_nonce",
               f"0 for {LOCK_OUT_S:g} s after {BAD_TAGS} bad tags", hello.device_nonce)  # fmt: skip
        yield QUIET_S


_H: Final = Need.SESSION
CHECKS: Final = (
    Check("bit", "keys", "a turned bit is found", finds_a_turned_bit, _H),
    Check("header", "keys", "the tag covers the header", finds_a_turned_header, _H),
    Check("whole-tag", "keys", "the whole tag is compared", finds_a_cut_tag, _H),
    Check("wrong-key", "keys", "another key is worth nothing", takes_no_other_key, _H),
    Check("reflection", "keys", "the other direction's key is worth nothing",
          takes_no_reflection, _H),
    Check("echo", "what-is-rejected", "its own frames, sent back, are dropped", takes_no_echo, _H),
    Check("old-session", "what-is-rejected", "a command of the session before is dropped",
          takes_nothing_of_an_old_session, _H),
    Check("forged-stop", "stop", "STOP under another key is dropped", takes_no_forged_stop, _H),
    Check("lock-out", "keys", "three bad tags lock for 2 s, STOP excepted", locks_out, _H),
    SOUND,
)  # fmt: skip
