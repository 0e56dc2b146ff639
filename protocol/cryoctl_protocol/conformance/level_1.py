"""Level 1: session, commands and their answers. Nothing here lets gas flow."""

from __future__ import annotations

import itertools
from collections.abc import Generator
from typing import Final

from cryoctl_protocol.codec import SCHEMA_HASH
from cryoctl_protocol.codes import Answer, Capability, DeviceState, Op, Result, Trip
from cryoctl_protocol.conformance.bench import (
    ANSWER_S,
    Bench,
    CheckFailedError,
    Heard,
    NotRunError,
    Steps,
)
from cryoctl_protocol.conformance.checks import Check, Need, expect, refuse
from cryoctl_protocol.conformance.flaws import hexed
from cryoctl_protocol.device_session import ANSWERS_KEPT, RESULTS_KEPT
from cryoctl_protocol.messages import Ack, Done, Event, Telemetry

TEST_S: Final = 30.0
"""A controller waits this long for a DONE (SPEC.md, Timing)."""
QUIET_S: Final = 0.3
CLEAR_S: Final = 1.4
"""CLEAR works when the cause has been gone for 1 s (SR-27)."""
EARLY_S: Final = 0.7
_OTHER_TABLE: Final = SCHEMA_HASH ^ 0xFFFFFFFF
STATE_EVENTS: Final = 2
"""Into a state, and out of it."""
_NO_OP: Final = 99
_NO_MODE: Final = 7
_JUDGED: Final = (Answer.STALE, Answer.OLD_COUNTER)
"""Answers of the session, given before the firmware is asked."""


# -- what checks share ----------------------------------------------------------------------------


def require(bench: Bench, capability: Capability) -> None:
    """Leave a check out that needs what the device has not got."""
    if bench.hello is None or not bench.hello.capabilities & capability:
        raise NotRunError(f"the device has no {capability.name}")


def state_of(bench: Bench) -> int:
    """Return the state in the newest telemetry."""
    sample = bench.last(Telemetry)
    return DeviceState.FAULT if sample is None else int(sample.state)


def idle(bench: Bench) -> Steps:
    """Bring the device to IDLE, from wherever a check has left it.

    Raises:
        NotRunError: It does not go there.
    """
    for op, pause_s in ((Op.END, 0.0), (Op.CLEAR, CLEAR_S), (Op.CLEAR, CLEAR_S), (Op.END, 0.0)):
        yield QUIET_S / 3
        if state_of(bench) == DeviceState.IDLE:
            return
        yield pause_s
        yield from bench.ask(op)
        yield from bench.until(lambda: state_of(bench) == DeviceState.IDLE, ANSWER_S)
    if state_of(bench) != DeviceState.IDLE:
        raise NotRunError(f"it does not go to IDLE: {DeviceState(state_of(bench)).name}")


def carried_out(
    bench: Bench, op: Op, **values: int
) -> Generator[float, None, tuple[bytes, list[Heard]]]:
    """Have a command carried out to its end; return its body, and its answers.

    Raises:
        CheckFailedError: It is not answered as it should be.
    """
    since_s = bench.now_s
    body = bench.command(op, **values)
    counter = bench.counter
    bench.say(body)
    yield from bench.until(lambda: bench.answers(counter, since_s), bench.answer_s)
    answers = bench.answers(counter, since_s)
    if not answers or not isinstance(answers[0].message, Ack):
        seen = hexed(answers[0].body) if answers else "none"
        raise CheckFailedError("ACK", f"ACK of counter {counter}, before any DONE", seen)
    ack = answers[0].message
    expect(ack.op == op, "ACK.op", f"{int(op)} ({op.name})", ack.op)
    expect(ack.answer == Answer.ACCEPTED, "ACK.answer", "ACCEPTED", Answer(ack.answer).name)
    done = yield from bench.done(counter, since_s, TEST_S)
    expect(done, "DONE", f"the end of {op.name} within {TEST_S:g} s", "none")
    yield QUIET_S
    return body, bench.answers(counter, since_s)


def silent_about(bench: Bench, body: bytes, counter: int, why: str) -> Steps:
    """Send something that is to be dropped, and see that it is, and that the session goes on."""
    yield from bench.calm()
    since_s = bench.now_s
    if bench.is_stream:
        bench.note_reject()
    bench.say(body)
    yield bench.answer_s
    answers = bench.answers(counter, since_s)
    expect(not answers, "ACK", f"none to {why}", hexed(answers[0].body) if answers else "")
    yield from bench.alive()


def answer_to(bench: Bench, body: bytes, counter: int) -> Generator[float, None, Ack]:
    """Send a command once and return its ACK; raises CheckFailedError without one."""
    since_s = bench.now_s
    bench.say(body)
    yield from bench.until(lambda: bench.answers(counter, since_s), bench.answer_s)
    answers = bench.answers(counter, since_s)
    if not answers or not isinstance(answers[0].message, Ack):
        raise CheckFailedError("ACK", f"an ACK of counter {counter}", "none")
    return answers[0].message


def expect_answer(ack: Ack, *allowed: Answer) -> None:
    """Hold an ACK to one of some answers."""
    names = " or ".join(answer.name for answer in allowed)
    expect(ack.answer in allowed, "ACK.answer", names, Answer(ack.answer).name)


# -- the checks -----------------------------------------------------------------------------------


def opens_a_session(bench: Bench) -> Steps:
    """A valid tag opens a session, and telemetry is tagged from then on."""
    yield from bench.open_session()
    since_s = bench.now_s
    yield QUIET_S
    for frame in bench.heard:
        if frame.at_s > since_s and isinstance(frame.message, Telemetry):
            expect(
                frame.parsed.tag,
                "TELEMETRY flags, byte 0",
                "a tag: a session is open",
                hexed(frame.body),
            )


def opens_none_for_another_table(bench: Bench) -> Steps:
    """A controller with another message table gets no session."""
    bench.leasing = None
    yield 1.0 + QUIET_S
    nonce = bench.new_nonce()
    since_s = bench.now_s
    bench.say(bench.greeting(nonce, _OTHER_TABLE))
    yield from bench.until(lambda: bench.hello_for(nonce, since_s), bench.answer_s)
    hello = bench.hello_for(nonce, since_s)
    expect(hello, "HELLO", "an answer, whatever the hash", "none")
    assert hello is not None
    expect(hello.device_nonce == 0, "HELLO.device_nonce", "0: no session for another table",
           hello.device_nonce)  # fmt: skip


def acknowledges(bench: Bench) -> Steps:
    """A command is taken with an ACK, and its end told with a DONE."""
    require(bench, Capability.SELF_TEST)
    yield from idle(bench)
    _, answers = yield from carried_out(bench, Op.SELF_TEST)
    done = answers[-1].message
    assert isinstance(done, Done)
    expect(done.op == Op.SELF_TEST, "DONE.op", int(Op.SELF_TEST), done.op)
    expect(done.result == Result.OK, "DONE.result", "OK", Result(done.result).name)
    expect(len(answers) == ANSWERS_KEPT, "DONE", "one ACK and one DONE", f"{len(answers)} answers")


def repeats_its_answers(bench: Bench) -> Steps:
    """The same bytes again get the same answers, and nothing is carried out again."""
    require(bench, Capability.SELF_TEST)
    yield from idle(bench)
    body, answers = yield from carried_out(bench, Op.SELF_TEST)
    counter = bench.counter
    since_s = bench.now_s
    events = bench.last(Telemetry).event_count
    bench.say(body)
    yield bench.answer_s
    again = bench.answers(counter, since_s)
    expect(len(again) == len(answers), "ACK", f"{len(answers)} answers to the same bytes again",
           f"{len(again)}")  # fmt: skip
    for first, second in zip(answers, again, strict=True):
        expect(first.body == second.body, type(first.message).__name__.upper(),
               f"byte for byte {hexed(first.body)}", hexed(second.body))  # fmt: skip
    for sample in bench.since(since_s, Telemetry):
        expect(
            sample.state != DeviceState.SELF_TEST and sample.event_count == events,
            "TELEMETRY.state",
            "IDLE: a repeat is only answered",
            DeviceState(sample.state).name,
        )


def takes_two_copies_as_one(bench: Bench) -> Steps:
    """Two copies of a command at once are one command."""
    require(bench, Capability.SELF_TEST)
    yield from idle(bench)
    since_s = bench.now_s
    events = bench.last(Telemetry).event_count
    body = bench.command(Op.SELF_TEST)
    counter = bench.counter
    bench.say(body)
    bench.say(body)
    yield from bench.done(counter, since_s, TEST_S)
    yield QUIET_S
    answers = bench.answers(counter, since_s)
    for kind in (Ack, Done):
        different = {frame.body for frame in answers if isinstance(frame.message, kind)}
        expect(len(different) == 1, kind.__name__.upper(), "one to two copies of a command",
               f"{len(different)} different ones")  # fmt: skip
    started = bench.last(Telemetry).event_count - events & 0xFFFF
    expect(started <= STATE_EVENTS, "TELEMETRY.event_count", "2: into SELF_TEST and out of it",
           started)  # fmt: skip


def keeps_sixteen(bench: Bench) -> Steps:
    """The answers to the last commands are kept for a retry."""
    yield from idle(bench)
    since_s = bench.now_s
    body = bench.command(Op.END)
    counter = bench.counter
    yield from answer_to(bench, body, counter)
    first = bench.answers(counter, since_s)[0].body
    for _ in range(RESULTS_KEPT - 1):
        expect((yield from bench.ask(Op.END)), "ACK", "an answer to each of 16 commands", "none")
    again_s = bench.now_s
    bench.say(body)
    yield from bench.until(lambda: bench.answers(counter, again_s), bench.answer_s)
    again = bench.answers(counter, again_s)
    expect(again, "ACK", f"the first of {RESULTS_KEPT} commands is remembered", "none")
    expect(again[0].body == first, "ACK", f"byte for byte {hexed(first)}", hexed(again[0].body))


def refuses_an_old_counter(bench: Bench) -> Steps:
    """A counter that does not grow is OLD_COUNTER, whatever its deadline."""
    yield from idle(bench)
    low = bench.counter + 1
    bench.counter += 5
    expect((yield from bench.ask(Op.END)), "ACK", "an answer to a sound command", "none")
    for life_ms in (250, -1000):
        body = bench.tagged(bench.request(Op.END, low, life_ms=life_ms))
        ack = yield from answer_to(bench, body, low)
        expect_answer(ack, Answer.OLD_COUNTER)
        low += 1


def refuses_what_is_stale(bench: Bench) -> Steps:
    """A deadline that has passed is STALE."""
    yield from idle(bench)
    body = bench.command(Op.END, life_ms=-1000)
    ack = yield from answer_to(bench, body, bench.counter)
    expect_answer(ack, Answer.STALE)
    expect(ack.counter == bench.counter, "ACK.counter", bench.counter, ack.counter)


def refuses_in_the_wrong_state(bench: Bench) -> Steps:
    """What a state does not allow is WRONG_STATE."""
    yield from idle(bench)
    for op in (Op.END, Op.START, Op.CLEAR):
        body = bench.command(op)
        ack = yield from answer_to(bench, body, bench.counter)
        try:
            expect_answer(ack, Answer.WRONG_STATE)
        except CheckFailedError as error:
            observed = f"{error.observed} to {op.name} in IDLE"
            raise CheckFailedError(error.field, error.expected, observed) from None


def drops_an_unknown_op(bench: Bench) -> Steps:
    """An operation outside its enumeration is dropped."""
    body = bench.command(_NO_OP)
    yield from silent_about(bench, body, bench.counter, f"op {_NO_OP}")


def drops_what_is_out_of_range(bench: Bench) -> Steps:
    """A field outside its range is dropped."""
    body = bench.command(Op.END, mode=_NO_MODE)
    yield from silent_about(bench, body, bench.counter, f"COMMAND.mode {_NO_MODE}")


def drops_another_size(bench: Bench) -> Steps:
    """A command with a byte more is dropped, whatever its tag."""
    bench.counter += 1
    request = bench.request(Op.END, bench.counter)
    yield from silent_about(
        bench, bench.tagged(request, b"\x01"), bench.counter, "COMMAND of 33 bytes"
    )


def drops_what_has_no_tag(bench: Bench) -> Steps:
    """A command without a tag is dropped."""
    assert bench.keys is not None
    bench.counter += 1
    body = bench.body(bench.request(Op.END, bench.counter), session=bench.keys.session)
    yield from silent_about(bench, body, bench.counter, "COMMAND without a tag")


def counts_events(bench: Bench) -> Steps:
    """Events count one by one, and TELEMETRY.event_count is the number of the last."""
    yield QUIET_S
    numbers = [event.number for event in bench.since(float("-inf"), Event)]
    if not numbers:
        raise NotRunError("no EVENT was heard")
    for before, after in itertools.pairwise(numbers):
        expect(after == before + 1 & 0xFFFF, "EVENT.number", before + 1 & 0xFFFF, after)
    count = bench.last(Telemetry).event_count
    expect(count == numbers[-1], "TELEMETRY.event_count", numbers[-1], count)


def tells_a_newcomer(bench: Bench) -> Steps:
    """While somebody holds the probe a newcomer gets HELLO with ``owned``, and no session."""
    since_s = bench.now_s
    hello = yield from bench.greet(bench.new_nonce())
    expect(hello.owned == 1, "HELLO.owned", "1 while a lease is alive", hello.owned)
    yield QUIET_S
    expect(bench.is_in_session, "TELEMETRY session, bytes 4 to 7", "that of the owner, as before",
           hexed(bench.heard[-1].body))  # fmt: skip
    assert since_s < bench.now_s


def begins_anew(bench: Bench) -> Steps:
    """A new session begins its counters anew."""
    bench.counter += 7
    yield from bench.ask(Op.END)
    yield from bench.open_session()
    body = bench.command(Op.END)
    ack = yield from answer_to(bench, body, bench.counter)
    expect(ack.answer not in _JUDGED, "ACK.answer", "no OLD_COUNTER to 1 in a new session",
           Answer(ack.answer).name)  # fmt: skip


def ignores_a_stop_for_another_boot(bench: Bench) -> Steps:
    """STOP for another boot is dropped."""
    yield from idle(bench)
    assert bench.hello is not None
    yield from bench.calm()
    since_s = bench.now_s
    bench.note_reject()
    bench.say(bench.stop_for(bench.hello.boot_id ^ 1))
    yield bench.answer_s
    acks = [ack for ack in bench.since(since_s, Ack) if ack.op == Op.STOP]
    expect(not acks, "ACK", "none to a STOP for another boot", "ACK of STOP")
    expect(state_of(bench) == DeviceState.IDLE, "TELEMETRY.state", "IDLE, as before",
           DeviceState(state_of(bench)).name)  # fmt: skip


def stops(bench: Bench) -> Steps:
    """STOP is acknowledged under the stop key, and leaves the device SAFE until CLEAR."""
    yield from idle(bench)
    since_s = bench.now_s
    yield from stopped(bench)
    sample = bench.last(Telemetry)
    expect(sample.state == DeviceState.SAFE, "TELEMETRY.state", "SAFE after STOP",
           DeviceState(sample.state).name)  # fmt: skip
    expect(sample.trip == Trip.OPERATOR_STOP, "TELEMETRY.trip", "OPERATOR_STOP, as STOP says",
           Trip(sample.trip).name)  # fmt: skip
    body = bench.command(Op.SELF_TEST)
    ack = yield from answer_to(bench, body, bench.counter)
    expect_answer(ack, Answer.FAULT_LATCHED)
    body = bench.command(Op.CLEAR)
    ack = yield from answer_to(bench, body, bench.counter)
    if bench.now_s - since_s < EARLY_S:  # Else the machine was too busy to ask so early.
        expect_answer(ack, Answer.FAULT_LATCHED)


def stopped(bench: Bench) -> Steps:
    """Say STOP and see it acknowledged and told in telemetry; raises CheckFailedError."""
    since_s = bench.now_s
    said = bench.stop()
    assert said is not None
    counter, body = said
    bench.say(body)

    def acks() -> list[Heard]:
        found = bench.answers(counter, since_s, session=0)
        return [frame for frame in found if isinstance(frame.message, Ack)]

    yield from bench.until(acks, bench.answer_s)
    expect(acks(), "ACK", f"ACK of STOP {counter}, session 0, under the stop key", "none")
    message = acks()[0].message
    assert isinstance(message, Ack)
    expect(message.op == Op.STOP, "ACK.op", f"{int(Op.STOP)} (STOP)", message.op)
    expect_answer(message, Answer.ACCEPTED)
    heard_s = bench.now_s
    yield from bench.until(lambda: len(bench.since(heard_s, Telemetry)) > 1, bench.answer_s)


def clears(bench: Bench) -> Steps:
    """CLEAR works once the cause has been gone for 1 s, and leaves IDLE behind."""
    if state_of(bench) != DeviceState.SAFE:  # It is, where the check of STOP has been made.
        yield from idle(bench)
        yield from stopped(bench)
    yield CLEAR_S
    yield from carried_out(bench, Op.CLEAR)
    sample = bench.last(Telemetry)
    expect(sample.state == DeviceState.IDLE, "TELEMETRY.state", "IDLE after CLEAR",
           DeviceState(sample.state).name)  # fmt: skip
    expect(sample.trip == Trip.NONE, "TELEMETRY.trip", "NONE after CLEAR", Trip(sample.trip).name)


def stays_sound(bench: Bench) -> Steps:
    """Everything heard since the level began is sound, tags included."""
    yield QUIET_S
    refuse(bench.take_flaw())


_H: Final = Need.SESSION
SOUND: Final = Check(
    "frames", "frames", "all frames since were sound, tags included", stays_sound, _H
)
CHECKS: Final = (
    Check("session", "opening-a-session", "a valid tag opens a session", opens_a_session, Need.KEY),
    Check("other-table", "versions", "another message table gets no session",
          opens_none_for_another_table, Need.KEY),
    Check("done", "commands", "a command gets ACK and DONE", acknowledges, _H),
    Check("retry", "commands", "a repeat gets the same answers and does nothing",
          repeats_its_answers, _H),
    Check("two-copies", "commands", "two copies at once are one command",
          takes_two_copies_as_one, _H),
    Check("kept", "bounds", "the answers to 16 commands are kept", keeps_sixteen, _H),
    Check("old-counter", "commands", "a counter that does not grow is OLD_COUNTER",
          refuses_an_old_counter, _H),
    Check("stale", "commands", "a deadline that has passed is STALE", refuses_what_is_stale, _H),
    Check("wrong-state", "allowed-in-each-state", "what a state does not allow is WRONG_STATE",
          refuses_in_the_wrong_state, _H),
    Check("unknown-op", "what-is-rejected", "an unknown operation is dropped",
          drops_an_unknown_op, _H),
    Check("range", "what-is-rejected", "a field out of its range is dropped",
          drops_what_is_out_of_range, _H),
    Check("size", "what-is-rejected", "a command of another size is dropped",
          drops_another_size, _H | Need.STREAM),
    Check("untagged", "what-is-rejected", "a command without a tag is dropped",
          drops_what_has_no_tag, _H),
    Check("newcomer", "opening-a-session", "a newcomer is told that the probe is held",
          tells_a_newcomer, _H),
    Check("anew", "opening-a-session", "a new session begins its counters anew", begins_anew, _H),
    Check("other-boot", "stop", "STOP for another boot is dropped",
          ignores_a_stop_for_another_boot, _H),
    Check("stop", "stop", "STOP is acknowledged and latches", stops, _H),
    Check("clear", "allowed-in-each-state", "CLEAR works after 1 s", clears, _H),
    Check("events", "telemetry-and-events", "events count one by one", counts_events, _H),
    SOUND,
)  # fmt: skip
