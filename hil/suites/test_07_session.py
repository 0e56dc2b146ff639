"""Who may command the probe, and what it makes of frames that are old, foreign or false."""

from __future__ import annotations

import pytest

from cryoctl_hil.evidence.measure import Measure
from cryoctl_hil.evidence.measurement import when
from cryoctl_hil.rigs.answer_check import AnswerCheck
from cryoctl_hil.rigs.injector import Injector
from cryoctl_hil.rigs.probe import Probe
from cryoctl_hil.rigs.states import bring_to
from cryoctl_protocol.auth import session_keys
from cryoctl_protocol.codes import Answer, DeviceState, Op, SafeAction, ThawMode, Trip
from cryoctl_protocol.framing import Reject, build, message_in, parse
from cryoctl_protocol.host_session import HostSession
from cryoctl_protocol.messages import ID_OF, Ack, Command, Hello, Lease, Message

FREEZE = {"setpoint_mdegc": -40_000, "duration_ms": 20_000}
OUTPUTS = ("valve", "shutoff_open", "skin_warmer", "stimulus_ma")


def frames_of(probe: Probe, kind: type[Message]) -> list[bytes]:
    """Return the frames of a kind that the bench has sent lately, the oldest first."""
    return [body for body in probe.host.sent if message_id(body) == ID_OF[kind]]


def message_id(body: bytes) -> int:
    parsed = parse(body)
    return 0 if isinstance(parsed, Reject) else parsed.message_id


def heard_ack(probe: Probe, counter: int) -> list[Answer]:
    """Return the answers to a command that came lately, wanted or not."""
    told = [message_in(body) for body in probe.host.received]
    return [Answer(m.answer) for m in told if isinstance(m, Ack) and m.counter == counter]


@pytest.mark.requirement("SR-24")
def test_a_copy_of_a_command_is_answered_and_not_repeated(probe: Probe, measure: Measure) -> None:
    """A copy of FREEZE in the thaw after it begins no second freeze."""
    probe.freeze(duration_s=20.0)
    copy = frames_of(probe, Command)[-1]
    probe.command(Op.THAW, mode=ThawMode.PASSIVE)
    probe.wait_for_state(DeviceState.THAW, within_s=1.0)

    again = probe.mark("again")
    probe.drive.send_raw(copy)
    probe.let_pass(0.3)

    end = probe.mark("end")
    shut = when("valve", "==", 0.0, after=again)
    measure.reading("valve", "valve", "max", shut, end, at_most=0.0)
    measure.reading("state", "state", "last", again, end, at_least=7.0, at_most=7.0)


@pytest.mark.requirement("SR-24")
def test_a_counter_that_is_over_is_refused(probe: Probe, measure: Measure) -> None:
    """A command whose answer nobody keeps any more is refused for its counter."""
    bring_to(probe, DeviceState.STARTED)
    old = frames_of(probe, Command)[-1]
    counter = max(probe.host.results)
    for _ in range(20):
        probe.ask(Op.CLEAR)  # Refused; the probe keeps 16 answers.

    probe.drive.send_raw(old)
    probe.let_pass(0.2)

    last = heard_ack(probe, counter)[-1]
    measure.value("answer", last.name, exactly="OLD_COUNTER")
    assert probe.state is DeviceState.STARTED


@pytest.mark.requirement("SR-24")
def test_a_command_that_waited_is_not_carried_out(probe: Probe, measure: Measure) -> None:
    """A FREEZE that arrives 400 ms after it was made is refused as stale."""
    bring_to(probe, DeviceState.STARTED)
    asked = probe.mark("FREEZE is made")
    probe.drive.cuts.to_device = True
    counter = probe.send(Op.FREEZE, **FREEZE)
    late = frames_of(probe, Command)[-1]
    probe.call(lambda _now_s: probe.host.session.abandon())
    probe.let_pass(0.4)
    probe.drive.cuts.to_device = False

    probe.drive.send_raw(late)
    probe.let_pass(0.2)

    measure.value("answer", heard_ack(probe, counter)[-1].name, exactly="STALE")
    end = probe.mark("end")
    measure.reading("valve", "valve", "max", asked, end, at_most=0.0)


@pytest.mark.requirement("SR-01")
@pytest.mark.requirement("SR-24")
def test_a_lease_that_waited_prolongs_nothing(probe: Probe, measure: Measure) -> None:
    """A lease that comes 150 ms late is good for what is left of it, and copies for nothing."""
    probe.freeze(duration_s=20.0)
    probe.let_pass(0.3)
    probe.drive.cuts.to_device = True
    cut = probe.mark("cut")
    last = frames_of(probe, Lease)[-1]
    while (kept := frames_of(probe, Lease)[-1]) == last:
        probe.let_pass(0.01)  # One is made every 0.1 s, and none gets through.
    made = probe.mark("lease made")
    probe.let_pass(0.15)
    for _ in range(3):
        probe.drive.send_raw(kept)
    probe.wait_for_state(DeviceState.FAULT, within_s=1.0)
    probe.drive.cuts.to_device = False
    probe.let_pass(0.1)

    shut = when("valve", "==", 0.0, after=cut)
    measure.time("lease made to shut", made, shut, at_most_s=0.37, requirement="SR-01")
    measure.said("cause", "device", "trip", "LEASE", cut, event="TRIP", requirement="SR-01")


@pytest.mark.requirement("SR-25")
@pytest.mark.requirement("SR-24")
def test_a_second_controller_reads_and_stops(probe: Probe, measure: Measure) -> None:
    """A second controller with the key gets no session while the first one leases; it may STOP."""
    probe.freeze(duration_s=20.0)
    second = HostSession(probe.host.key, nonce_seed=b"a second controller")
    begun = probe.mark("a second controller greets")
    probe.call(second.open)
    for body in second.outgoing():
        probe.drive.send_raw(body)
    probe.let_pass(0.3)
    told = [m for m in map(message_in, probe.host.received) if isinstance(m, Hello)]
    for body in list(probe.host.received):
        second.on_body(body, probe.now_s)
    measure.value("owned", told[-1].owned, exactly=1, requirement="SR-25")
    measure.value("session given", int(second.phase.name == "OPEN"), exactly=0, requirement="SR-25")
    assert probe.state is DeviceState.FREEZE

    second.stop(SafeAction.THAW, Trip.OPERATOR_STOP)
    stopped = probe.mark("it stops")
    for body in second.outgoing():
        probe.drive.send_raw(body)
    probe.wait_for_state(DeviceState.SAFE, within_s=1.0)
    probe.let_pass(0.1)
    shut = when("valve", "==", 0.0, after=stopped)
    measure.time("STOP to shut", stopped, shut, at_most_s=0.1, requirement="SR-24")
    measure.count("trips", "device", begun, event="TRIP", at_most=0.0, requirement="SR-25")


@pytest.mark.requirement("SR-24")
@pytest.mark.time_limit(300)
def test_wrong_keys_command_nothing_and_end_the_session(
    probe: Probe, measure: Measure, answered: AnswerCheck
) -> None:
    """A command under a wrong key is not carried out; three end the session for 2 s."""
    bring_to(probe, DeviceState.STARTED)
    asked = probe.mark("under a wrong key")
    for _ in range(3):
        probe.drive.send_raw(forged(frames_of(probe, Lease)[-1]))
    probe.let_pass(0.3)

    end = probe.mark("end")
    measure.reading("valve", "valve", "max", asked, end, at_most=0.0)
    measure.count("session dropped", "device", asked, event="SESSION_DROPPED", at_least=1.0)
    probe.wait(lambda _: probe.host.is_open, within_s=5.0, step="a session opens again")
    answered("WRONG_STATE", Op.FREEZE, FREEZE, name="nothing is authorised afterwards")


def forged(body: bytes) -> bytes:
    """Return a frame with another tag, whose checksum is right."""
    parsed = parse(body)
    assert not isinstance(parsed, Reject)
    keys = session_keys(b"not the key" + bytes(21), host_nonce=1, device_nonce=2)
    return build(
        parsed.message_id, parsed.payload, seq=parsed.seq, session=parsed.session, key=keys.down
    )


@pytest.mark.requirement("SR-24")
@pytest.mark.needs("faults")
def test_a_freeze_that_a_broker_kept_is_not_carried_out(
    probe: Probe, inject: Injector, measure: Measure
) -> None:
    """A FREEZE of a session that is long over changes nothing."""
    bring_to(probe, DeviceState.STARTED)
    begun = inject("mqtt_retained")
    probe.let_pass(0.5)

    end = probe.mark("end")
    for signal in OUTPUTS:
        measure.reading(signal, signal, "max", begun, end, at_most=0.0)
    assert probe.state is DeviceState.STARTED


@pytest.mark.requirement("SR-26")
def test_an_owner_that_falls_silent_loses_its_authority(
    probe: Probe, answered: AnswerCheck
) -> None:
    """Armed or started, without a lease for 1 s nothing is authorised any more."""
    for state in (DeviceState.ARMED, DeviceState.STARTED):
        bring_to(probe, state)
        set_silent(probe, silent=True)
        probe.wait_for_state(DeviceState.IDLE, within_s=1.3)
        set_silent(probe, silent=False)
        probe.let_pass(0.3)
        answered("WRONG_STATE", Op.FREEZE, FREEZE, name=f"FREEZE after {state.name}")


def set_silent(probe: Probe, *, silent: bool) -> None:
    host = probe.host
    probe.call(lambda _now_s: setattr(host, "leasing", not silent))


@pytest.mark.requirement("SR-26")
def test_a_freeze_does_not_go_on_after_a_lost_link(
    probe: Probe, measure: Measure, answered: AnswerCheck
) -> None:
    """1.5 s without a link end a freeze for good: the probe is in FAULT, and refuses FREEZE."""
    probe.freeze(duration_s=20.0)
    cut = probe.mark("cut")
    cuts = probe.drive.cuts
    cuts.to_device = cuts.to_host = True
    probe.let_pass(1.5)
    cuts.to_device = cuts.to_host = False
    probe.connect()
    back = probe.mark("back")
    assert probe.state is DeviceState.FAULT

    probe.let_pass(0.5)
    end = probe.mark("end")
    for signal in OUTPUTS:
        measure.reading(signal, signal, "max", back, end, at_most=0.0)
    measure.reading("cause", "trip", "last", back, end, at_least=14.0, at_most=14.0)
    measure.time("cut and back", cut, back, at_least_s=1.0)
    answered("FAULT_LATCHED", Op.FREEZE, FREEZE)
