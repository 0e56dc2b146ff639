"""Level 2: the lease and the freeze timer, which make a probe safe with nobody in command."""

from __future__ import annotations

from typing import Final

from cryoctl_protocol.codes import Answer, Capability, DeviceState, HostMode, Op, Trip
from cryoctl_protocol.conformance.bench import Bench, NotRunError, Steps
from cryoctl_protocol.conformance.checks import Check, Need, expect
from cryoctl_protocol.conformance.level_1 import (
    CLEAR_S,
    QUIET_S,
    SOUND,
    answer_to,
    expect_answer,
    idle,
    require,
    stopped,
)
from cryoctl_protocol.messages import Lease, Telemetry, unpadded
from cryoctl_protocol.profile import load_profile, profile_names
from cryoctl_protocol.wrapping import add_ms, until_ms

LEASE_MS_MAX: Final = 300
OFF_MS: Final = 50
"""A further 50 ms within which a device is safe (SR-01)."""
OWNER_MS: Final = 1000
TEST_S: Final = 30.0
FREEZE_S: Final = 1.5
GAS_S: Final = 1.0
HASH: Final = 0xC0FFEE
_ROOM_MS: Final = 40
"""Two samples of telemetry, and the tick of the device."""
_GENTLE_MDEGC: Final = -30_000


def _room_ms(bench: Bench) -> float:
    """Return what link and sampling may add to a time seen in telemetry."""
    return _ROOM_MS + bench.limits.stale_s * 1000.0


# -- without gas ----------------------------------------------------------------------------------


def shows_the_lease(bench: Bench) -> Steps:
    """``lease_left_ms`` shows what is left, never more than 300 ms."""
    since_s = bench.now_s
    yield QUIET_S * 2
    samples = bench.since(since_s, Telemetry)
    for sample in samples:
        left_ms = sample.lease_left_ms
        expect(0 < left_ms <= LEASE_MS_MAX, "TELEMETRY.lease_left_ms",
               f"1 to {LEASE_MS_MAX} while leases come", left_ms)  # fmt: skip
    expect(samples, "TELEMETRY", "some", "none")


def cuts_a_long_lease(bench: Bench) -> Steps:
    """A lease that claims more is cut to 300 ms."""
    bench.leasing = None
    since_s = bench.now_s
    bench.say(bench.lease(HostMode.IDLE, 60_000))
    yield QUIET_S / 2
    for sample in bench.since(since_s, Telemetry):
        expect(sample.lease_left_ms <= LEASE_MS_MAX, "TELEMETRY.lease_left_ms",
               f"{LEASE_MS_MAX} at most", sample.lease_left_ms)  # fmt: skip
    yield from _runs_out(bench)


def _runs_out(bench: Bench) -> Steps:
    """See a lease end that nobody renews."""
    said_ms = bench.device_ms()
    yield from bench.until(lambda: bench.last(Telemetry).lease_left_ms == 0, 1.0)
    sample = bench.last(Telemetry)
    took_ms = until_ms(said_ms, sample.device_ms)
    expect(
        sample.lease_left_ms == 0 and took_ms <= LEASE_MS_MAX + _room_ms(bench),
        "TELEMETRY.lease_left_ms",
        f"0 within {LEASE_MS_MAX} ms of the last lease",
        f"{sample.lease_left_ms} after {took_ms} ms",
    )


def ignores_a_lease_again(bench: Bench) -> Steps:
    """A lease whose counter does not grow prolongs nothing."""
    bench.leasing = None
    body = bench.lease(HostMode.IDLE)
    bench.say(body)
    yield 0.15
    before = bench.last(Telemetry).lease_left_ms
    until = add_ms(bench.device_ms(), LEASE_MS_MAX)
    bench.note_reject()
    bench.say(bench.tagged(Lease(bench.lease_counter, HostMode.IDLE, until)))
    yield 0.06 + bench.limits.stale_s
    after = bench.last(Telemetry).lease_left_ms
    expect(after < before, "TELEMETRY.lease_left_ms",
           f"less than {before}: LEASE.counter did not grow", after)  # fmt: skip


def ignores_a_lease_that_has_passed(bench: Bench) -> Steps:
    """A lease that waited until it was void prolongs nothing."""
    yield QUIET_S
    bench.leasing = None
    yield 0.1
    before = bench.last(Telemetry).lease_left_ms
    bench.say(bench.lease(HostMode.IDLE, -1000))
    yield 0.06 + bench.limits.stale_s
    after = bench.last(Telemetry).lease_left_ms
    expect(after < before or after == 0, "TELEMETRY.lease_left_ms",
           f"less than {before}: LEASE.valid_until_ms has passed", after)  # fmt: skip


def lets_a_lease_lapse(bench: Bench) -> Steps:
    """A lease ends within 300 ms, ownership 1 s after the last one."""
    bench.leasing = None
    yield from _runs_out(bench)
    said_s = bench.now_s
    hello = yield from bench.greet(bench.new_nonce())
    expect(hello.owned == 1, "HELLO.owned", "1 within 1 s of the last lease", hello.owned)
    yield from bench.until(lambda: bench.now_s - said_s > OWNER_MS / 1000 + QUIET_S, OWNER_MS)
    hello = yield from bench.greet(bench.new_nonce())
    expect(hello.owned == 0, "HELLO.owned", f"0 {OWNER_MS} ms after the last lease", hello.owned)


# -- with gas -------------------------------------------------------------------------------------


def armed(bench: Bench) -> Steps:
    """Bring the device to STARTED, the leak test passed before."""
    assert bench.hello is not None
    for needed in (Capability.LEASE, Capability.FREEZE_TIMER):
        require(bench, needed)
    yield from idle(bench)
    if not bench.leak_tested and bench.hello.capabilities & Capability.LEAK_TEST:
        since_s = bench.now_s
        yield from _taken(bench, Op.LEAK_TEST)
        done = yield from bench.done(bench.counter, since_s, TEST_S)
        if done is None or done.result:
            raise NotRunError(f"LEAK_TEST ended with {done}")
        bench.leak_tested = True
    yield from _taken(bench, Op.ARM, cycles=2, treatment_hash=HASH)
    yield from _taken(bench, Op.START, treatment_hash=HASH)


def _taken(bench: Bench, op: Op, **values: int) -> Steps:
    ack = yield from bench.ask(op, **values)
    if ack is None or ack.answer != Answer.ACCEPTED:
        answer = "not at all" if ack is None else Answer(ack.answer).name
        raise NotRunError(f"it cannot be brought to freeze: {op.name} is answered {answer}")


def freezing(bench: Bench, duration_s: float = 5.0) -> Steps:
    """Have gas flow, for a short time."""
    yield from armed(bench)
    ack = yield from bench.ask(
        Op.FREEZE, setpoint_mdegc=_setpoint_mdegc(bench), duration_ms=round(duration_s * 1000)
    )
    bench.leasing = HostMode.FREEZE
    if ack is None or ack.answer != Answer.ACCEPTED:
        answer = "not at all" if ack is None else Answer(ack.answer).name
        raise NotRunError(f"FREEZE is answered {answer}")
    yield from bench.until(lambda: bench.last(Telemetry).valve_permille, 1.0)
    if not bench.last(Telemetry).valve_permille:
        raise NotRunError("the valve does not open")


def _setpoint_mdegc(bench: Bench) -> int:
    """Return the warmest set-point of the device's profile."""
    assert bench.hello is not None
    name = unpadded(bench.hello.profile_id)
    if name not in profile_names():
        return _GENTLE_MDEGC
    return round(load_profile(name).limits.setpoint_max_c * 1000.0)


def _sees_off(bench: Bench, since_ms: int, within_ms: float, why: str) -> Steps:
    """See every output go off within a time on the device's clock."""
    yield from bench.until(lambda: not _is_on(bench.last(Telemetry)), within_ms / 1000.0 + 1.0)
    sample = bench.last(Telemetry)
    name = _is_on(sample)
    took_ms = until_ms(since_ms, sample.device_ms)
    expect(
        not name and took_ms <= within_ms,
        f"TELEMETRY.{name or 'valve_permille'}",
        f"0 within {within_ms:.0f} ms of {why}",
        f"{getattr(sample, name or 'valve_permille')} after {took_ms} ms",
    )


def _is_on(sample: Telemetry) -> str:
    """Return the first output that is on, or nothing."""
    for name in ("valve_permille", "tip_heater_permille", "stimulus_ua"):
        if getattr(sample, name):
            return name
    return ""


def needs_a_lease_to_arm(bench: Bench) -> Steps:
    """ARM without a lease is NOT_AUTHORISED."""
    yield from armed(bench)
    yield from idle(bench)
    bench.leasing = None
    yield from bench.until(lambda: bench.last(Telemetry).lease_left_ms == 0, 1.0)
    body = bench.command(Op.ARM, cycles=1, treatment_hash=HASH)
    ack = yield from answer_to(bench, body, bench.counter)
    expect_answer(ack, Answer.NOT_AUTHORISED)


def needs_two_actions(bench: Bench) -> Steps:
    """FREEZE without ARM and START before it is WRONG_STATE."""
    yield from idle(bench)
    body = bench.command(Op.FREEZE, setpoint_mdegc=_setpoint_mdegc(bench), duration_ms=1000)
    ack = yield from answer_to(bench, body, bench.counter)
    expect_answer(ack, Answer.WRONG_STATE)


def ends_with_its_lease(bench: Bench) -> Steps:
    """A freeze ends with its lease, without asking anybody."""
    yield from freezing(bench)
    yield GAS_S / 2
    bench.leasing = None
    said_ms = bench.last(Telemetry).device_ms
    bench.say(bench.lease(HostMode.FREEZE))
    within_ms = LEASE_MS_MAX + OFF_MS + _room_ms(bench)
    yield from _sees_off(bench, said_ms, within_ms, "the last LEASE")
    sample = bench.last(Telemetry)
    expect(sample.trip == Trip.LEASE, "TELEMETRY.trip", "LEASE", Trip(sample.trip).name)
    expect(sample.shutoff_open == 0, "TELEMETRY.shutoff_open", 0, sample.shutoff_open)


def ends_with_its_timer(bench: Bench) -> Steps:
    """A freeze ends after the time it was asked for, whoever still leases."""
    yield from freezing(bench, FREEZE_S)
    began_ms = bench.last(Telemetry).device_ms
    yield FREEZE_S / 2
    sample = bench.last(Telemetry)
    passed_ms = until_ms(began_ms, sample.device_ms)
    expect(abs(sample.freeze_ms - passed_ms) <= _room_ms(bench) + OFF_MS,
           "TELEMETRY.freeze_ms", f"about {passed_ms}", sample.freeze_ms)  # fmt: skip
    within_ms = FREEZE_S * 1000.0 + OFF_MS + _room_ms(bench)
    yield from _sees_off(bench, began_ms, within_ms, f"FREEZE of {FREEZE_S * 1000:.0f} ms")
    took_ms = until_ms(began_ms, bench.last(Telemetry).device_ms)
    expect(took_ms >= FREEZE_S * 1000.0 - _room_ms(bench) - OFF_MS,
           "TELEMETRY.state", f"FREEZE for {FREEZE_S * 1000:.0f} ms", f"{took_ms} ms")  # fmt: skip


def ends_with_a_contradiction(bench: Bench) -> Steps:
    """Three leases that claim something else end a freeze."""
    yield from freezing(bench)
    yield QUIET_S
    bench.leasing = HostMode.IDLE
    said_ms = bench.last(Telemetry).device_ms
    within_ms = 4 * 100 + OFF_MS + _room_ms(bench)
    yield from _sees_off(bench, said_ms, within_ms, "the first LEASE of three with mode IDLE")
    trip = bench.last(Telemetry).trip
    expect(trip == Trip.MODE_MISMATCH, "TELEMETRY.trip", "MODE_MISMATCH", Trip(trip).name)


def ends_with_stop(bench: Bench) -> Steps:
    """STOP ends a freeze at once."""
    yield from freezing(bench)
    yield QUIET_S
    said_ms = bench.last(Telemetry).device_ms
    yield from stopped(bench)
    yield from _sees_off(bench, said_ms, 2 * OFF_MS + _room_ms(bench), "STOP")
    state = bench.last(Telemetry).state
    expect(state == DeviceState.SAFE, "TELEMETRY.state", "SAFE", DeviceState(state).name)
    yield CLEAR_S


_H: Final = Need.SESSION
_F: Final = Need.SESSION | Need.FREEZE
CHECKS: Final = (
    Check("left", "lease", "lease_left_ms shows the lease", shows_the_lease, _H),
    Check("long", "lease", "a long lease is cut to 300 ms", cuts_a_long_lease, _H),
    Check("again", "lease", "a lease again prolongs nothing", ignores_a_lease_again, _H),
    Check("void", "lease", "a lease that has passed prolongs nothing",
          ignores_a_lease_that_has_passed, _H),
    Check("lapse", "lease", "lease and ownership end by themselves", lets_a_lease_lapse, _H),
    Check("arm", "allowed-in-each-state", "ARM needs a lease", needs_a_lease_to_arm, _F),
    Check("two-actions", "allowed-in-each-state", "FREEZE needs ARM and START",
          needs_two_actions, _F),
    Check("lease-off", "lease", "a freeze ends with its lease", ends_with_its_lease, _F),
    Check("timer-off", "what-a-device-must-have", "a freeze ends by its timer",
          ends_with_its_timer, _F),
    Check("mode-off", "lease", "a freeze ends where the modes contradict",
          ends_with_a_contradiction, _F),
    Check("stop-off", "stop", "STOP ends a freeze", ends_with_stop, _F),
    SOUND,
)  # fmt: skip
