"""Controller and probe on lines that lose, double, delay and reorder what they say."""

from __future__ import annotations

from collections import Counter

import pytest

from cryoctl_protocol.auth import stop_key
from cryoctl_protocol.codec import encode
from cryoctl_protocol.codes import Answer, HostMode, Op, SafeAction, Trip
from cryoctl_protocol.framing import DELIMITER, Reject, build, wrap
from cryoctl_protocol.host_session import Phase
from cryoctl_protocol.messages import ID_OF, Ack, Command, Done, Hello, Stop, Telemetry
from tests.support.protocol_builders import BOOT_ID, KEY, OTHER_KEY, Bench, Probe, command

BAD_LINES = [
    pytest.param({}, id="perfect"),
    pytest.param({"byte_by_byte": True}, id="byte by byte"),
    pytest.param({"loss": 0.2}, id="a fifth lost"),
    pytest.param({"doubled": 0.5}, id="half doubled"),
    pytest.param({"delay_steps": 3}, id="up to 30 ms late, out of order"),
    pytest.param({"loss": 0.1, "doubled": 0.3, "delay_steps": 3}, id="all of it"),
    pytest.param(
        {"loss": 0.1, "doubled": 0.3, "delay_steps": 3, "byte_by_byte": True},
        id="all of it, byte by byte",
    ),
]
STOPPED = (SafeAction.THAW, Trip.OPERATOR_STOP)


def stop_frame(key: bytes = KEY, boot_id: int = BOOT_ID) -> bytes:
    stop = Stop(9, boot_id, *STOPPED)
    return wrap(build(ID_OF[Stop], encode(stop), seq=0, session=0, key=stop_key(key, boot_id)))


# -- a bad line ----------------------------------------------------------------------------------


@pytest.mark.requirement("SR-24")
@pytest.mark.parametrize("line", BAD_LINES)
@pytest.mark.parametrize("seed", range(5))
def test_a_command_is_executed_at_most_once_and_exactly_once_if_answered(
    line: dict[str, float], seed: int
) -> None:
    bench = Bench(seed=seed, **line)  # type: ignore[arg-type]
    bench.connect()
    sent = []
    for _ in range(40):
        sent.append(bench.host.command(command(Op.SETPOINT), bench.now_s))
        while bench.host.busy:
            bench.step()
    bench.step(20)

    executed = Counter(r.counter for r in bench.probe.executed if isinstance(r, Command))
    answered = [ack.counter for ack in bench.of(Ack) if ack.answer == Answer.ACCEPTED]
    unanswered = {failed.counter for failed in bench.failed}
    assert set(executed.values()) == {1}
    assert answered == sorted(set(answered))
    assert set(answered) <= set(executed) <= set(sent)
    assert set(sent) == set(answered) | unanswered | {a.counter for a in bench.of(Ack)}
    if not line.get("loss"):
        assert answered == sent


@pytest.mark.parametrize("line", BAD_LINES)
def test_a_bad_line_changes_no_value(line: dict[str, float]) -> None:
    bench = Bench(seed=1, **line)  # type: ignore[arg-type]
    bench.connect()
    bench.step(500)

    times = [sample.device_ms for sample in bench.of(Telemetry)]
    assert times == sorted(set(times))
    assert all(device_ms % 20 == 0 for device_ms in times)
    assert len(times) > 150
    assert bench.host.rejects.keys() <= {Reject.REPLAY}
    assert bench.probe.session.rejects.keys() <= {Reject.REPLAY, Reject.SESSION}


@pytest.mark.requirement("SR-24")
def test_a_lost_answer_is_repeated_byte_for_byte() -> None:
    bench = Bench()
    bench.connect()
    counter = bench.host.command(command(Op.SETPOINT), bench.now_s)
    bench.up.loss = 1.0
    bench.step(2)
    bench.up.loss = 0.0
    bench.step(8)

    assert [ack.counter for ack in bench.of(Ack)] == [counter]
    assert [done.counter for done in bench.of(Done)] == [counter]
    assert len(bench.probe.executed) == 1


@pytest.mark.requirement("SR-24")
def test_a_command_that_waited_past_its_deadline_is_not_executed() -> None:
    bench = Bench()
    bench.connect()
    bench.host.command(command(Op.FREEZE), bench.now_s)
    held = [wrap(body) for body in bench.host.outgoing()]
    bench.down.loss = 1.0
    bench.step(23)
    assert bench.host.busy
    bench.step(3)

    bench.probe.hear(b"".join(held), bench.now_ms)
    bench.step(2)

    assert bench.probe.executed == []
    assert bench.probe.session._answers.keys() == {1}
    assert bench.of(Ack) == []  # It had been given up by then.
    assert [failed.counter for failed in bench.failed] == [1]


@pytest.mark.requirement("SR-24")
@pytest.mark.parametrize("before_wrap_ms", [10, 50, 100, 200, 240])
def test_a_command_whose_deadline_lies_beyond_the_wrap_is_executed(before_wrap_ms: int) -> None:
    bench = Bench(start_ms=2**32 - 1000)
    bench.connect()
    while bench.now_ms > 2**31 and bench.now_ms < 2**32 - before_wrap_ms:
        bench.step()
    counter = bench.host.command(command(Op.FREEZE), bench.now_s)
    bench.step(40)

    (executed,) = bench.probe.executed
    assert isinstance(executed, Command)
    assert (executed.counter, executed.deadline_ms < 250) == (counter, True)
    assert bench.failed == []


# -- eavesdroppers -------------------------------------------------------------------------------


@pytest.mark.requirement("SR-24")
def test_a_conversation_replayed_at_once_executes_nothing_twice() -> None:
    bench = Bench()
    bench.connect()
    for _ in range(3):
        bench.host.command(command(Op.FREEZE), bench.now_s)
        bench.step(10)
    before = list(bench.probe.executed)

    bench.probe.hear(b"".join(bench.down_log), bench.now_ms)

    assert bench.probe.executed == before
    assert len(before) == 3


@pytest.mark.requirement("SR-24")
@pytest.mark.parametrize("boot_id", [BOOT_ID, BOOT_ID + 1])
def test_a_conversation_replayed_after_a_restart_executes_nothing(boot_id: int) -> None:
    bench = Bench()
    bench.connect()
    bench.host.command(command(Op.FREEZE), bench.now_s)
    bench.step(10)
    restarted = Probe(boot_id=boot_id)
    if boot_id == BOOT_ID:
        restarted.session._nonce_seed = b"a random generator that does not repeat"

    restarted.hear(b"".join(bench.down_log), 0)

    assert restarted.executed == []
    assert not restarted.session.is_open
    assert restarted.session.lease_left_ms(0) == 0


@pytest.mark.requirement("SR-24")
def test_whatever_is_reflected_to_its_sender_is_refused() -> None:
    bench = Bench()
    bench.connect()
    bench.host.command(command(Op.FREEZE), bench.now_s)
    bench.step(3)
    for frame in bench.down_log:
        bench.up.send([frame], bench.step_count)
    bench.step()
    reflected = len(bench.down_log)
    assert bench.host.rejects == Counter({Reject.DIRECTION: reflected})

    bench.probe.session.send_telemetry(bench.of(Telemetry)[-1])
    bench.probe.hear(bench.probe.session.outgoing(), bench.now_ms)
    assert bench.probe.session.rejects == Counter({Reject.DIRECTION: 1})


@pytest.mark.requirement("SR-24")
def test_three_forged_frames_end_the_session_and_the_lease() -> None:
    bench = Bench()
    bench.connect()
    bench.step(20)
    assert bench.probe.session.lease_left_ms(bench.now_ms) > 0
    forger = Bench(key=OTHER_KEY, probe=Probe())
    forger.host._keys = bench.host._keys
    forger.host.lease(HostMode.FREEZE, 0.0)
    forged = bytearray(forger.host.outgoing()[0])
    forged[-1] ^= 1

    for _ in range(3):
        bench.probe.hear(wrap(bytes(forged)), bench.now_ms)

    assert not bench.probe.session.is_open
    assert bench.probe.session.lease_left_ms(bench.now_ms) == 0


@pytest.mark.requirement("SR-24")
def test_a_controller_without_the_key_gets_nowhere() -> None:
    bench = Bench(key=OTHER_KEY)
    bench.host.open(0.0)
    bench.step(300)

    assert bench.host.phase is not Phase.OPEN
    assert not bench.probe.session.is_open
    assert bench.probe.executed == []


# -- lease and ownership -------------------------------------------------------------------------


@pytest.mark.requirement("SR-01")
def test_the_lease_never_ends_while_the_controller_lives() -> None:
    bench = Bench()
    bench.connect()
    bench.step(10)
    for _ in range(300):
        bench.step()
        assert 0 < bench.probe.session.lease_left_ms(bench.now_ms) <= 300


@pytest.mark.requirement("SR-01")
@pytest.mark.parametrize("after_steps", range(0, 20, 3))
def test_the_lease_ends_within_300_ms_of_the_last_word(after_steps: int) -> None:
    bench = Bench()
    bench.connect()
    bench.step(20 + after_steps)
    bench.leases = False
    bench.step(30)

    assert bench.probe.session.lease_left_ms(bench.now_ms) == 0


@pytest.mark.requirement("SR-01")
def test_leases_held_up_on_the_line_prolong_nothing_when_they_come_at_once() -> None:
    bench = Bench()
    bench.connect()
    bench.step(20)
    held: list[bytes] = []
    for _ in range(10):
        bench.host.lease(HostMode.FREEZE, bench.now_s)
        held += [wrap(body) for body in bench.host.outgoing()]
    bench.leases = False
    bench.step(25)
    bench.probe.hear(b"".join(held), bench.now_ms)
    assert bench.probe.session.lease_left_ms(bench.now_ms) <= 50

    bench.step(6)
    assert bench.probe.session.lease_left_ms(bench.now_ms) == 0


@pytest.mark.requirement("SR-25")
def test_a_second_controller_waits_until_the_first_has_been_silent_for_a_second() -> None:
    probe = Probe()
    first = Bench(probe=probe)
    first.connect()
    first.step(20)
    second = Bench(probe=probe)
    second.step_count = first.step_count
    second.host = type(second.host)(KEY, nonce_seed=b"second")
    second.host.open(second.now_s)
    second.step(5)
    assert [hello.owned for hello in second.of(Hello)] == [1]

    last_lease_ms = first.step_count // 10 * 100
    while second.host.phase is not Phase.OPEN:  # The first one says nothing all the while.
        second.step()
        assert second.now_ms < last_lease_ms + 1500

    assert second.now_ms >= last_lease_ms + 1000


@pytest.mark.requirement("SR-25")
def test_the_owner_keeps_the_probe_against_a_second_controller() -> None:
    probe = Probe()
    owner = Bench(probe=probe)
    owner.connect()
    other = Bench(probe=probe)
    other.host = type(other.host)(KEY, nonce_seed=b"other")
    other.step_count = owner.step_count
    other.host.open(other.now_s)
    for _ in range(300):
        owner.step()
        frames = [wrap(body) for body in other.host.outgoing()]
        other.step_count = owner.step_count
        other.host.poll(other.now_s)
        probe.hear(b"".join(frames), owner.now_ms)

    assert other.host.phase is not Phase.OPEN
    assert owner.host.phase is Phase.OPEN
    assert 0 < probe.session.lease_left_ms(owner.now_ms) <= 300


# -- stop ----------------------------------------------------------------------------------------


@pytest.mark.requirement("SR-24")
@pytest.mark.parametrize("when", ["before any session", "owned", "long after"])
def test_stop_works_from_anybody_with_the_key(when: str) -> None:
    bench = Bench()
    if when != "before any session":
        bench.connect()
    if when == "long after":
        bench.leases = False
        bench.step(500)

    (request,) = bench.probe.hear(stop_frame(), bench.now_ms)

    assert request == Stop(9, BOOT_ID, *STOPPED)


@pytest.mark.requirement("SR-24")
def test_a_stop_recorded_long_ago_still_stops() -> None:
    bench = Bench()
    bench.connect()
    recorded = stop_frame()
    bench.probe.hear(recorded, bench.now_ms)
    bench.step(3000)

    assert len(bench.probe.hear(recorded, bench.now_ms)) == 1


@pytest.mark.requirement("SR-24")
def test_stop_comes_through_while_the_line_is_full_of_babble() -> None:
    bench = Bench()
    bench.connect()

    requests = bench.probe.hear(b"\x55" * 5000 + DELIMITER + stop_frame(), bench.now_ms)

    assert [type(request) for request in requests] == [Stop]


@pytest.mark.requirement("SR-24")
def test_stop_of_a_controller_is_answered_to_it_in_and_outside_a_session() -> None:
    bench = Bench()
    bench.connect()
    bench.host.stop(*STOPPED)
    bench.step(2)
    bench.probe.session.drop(bench.now_ms)
    bench.host.stop(*STOPPED)
    bench.step(2)

    assert bench.of(Ack) == [Ack(1, Op.STOP, Answer.ACCEPTED), Ack(2, Op.STOP, Answer.ACCEPTED)]


# -- versions ------------------------------------------------------------------------------------


@pytest.mark.requirement("SR-28")
def test_a_probe_with_another_table_is_only_watched() -> None:
    bench = Bench(probe=Probe(schema_hash=0x12345678))
    bench.host.open(0.0)
    bench.step(100)

    assert bench.host.phase is Phase.TELEMETRY_ONLY
    assert "12345678" in bench.host.mismatch
    assert "telemetry only" in bench.host.mismatch
    assert not bench.probe.session.is_open
    assert bench.of(Telemetry) == []
