"""The whole controller as one synchronous object: frames, requests, time in; frames, records out.

No clock, no await, no file. Two shells drive it: the asyncio supervisor on links that live in real
time, the lock-step runner on peers that live in ours. Nothing decides anything in a shell.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

from cryoctl import permits
from cryoctl.arming import ArmingView, Blocker, arm_blockers
from cryoctl.cycle_table import MODES, Phase, PhaseMachine, Trigger
from cryoctl.cycles import HOLD_FRACTION_MIN, CycleRecord, Verdict
from cryoctl.interlocks import Interlocks, TripNotice
from cryoctl.permits import PermitContext, Refusal
from cryoctl.records import Control, LogEvent, RecordSink
from cryoctl.sample import Sample, to_sample
from cryoctl.treatment import Treatment
from cryoctl_protocol.codes import (
    TRIP_RULES,
    Answer,
    DeviceState,
    EventCode,
    HostMode,
    Op,
    Result,
    SafeAction,
    ThawMode,
    Trip,
)
from cryoctl_protocol.framing import Reject
from cryoctl_protocol.host_session import CommandFailed, HostSession, VendorFrame
from cryoctl_protocol.host_session import Phase as SessionPhase
from cryoctl_protocol.messages import Ack, Command, Done, Event, Hello, Telemetry, Vitals
from cryoctl_protocol.profile import Profile

TICK_S: Final = 0.05
"""The control loop's period: 20 Hz."""
LEASE_TICKS: Final = 2
"""One lease every so many ticks: 10 Hz, from the same tick as control (SR-02)."""
TICK_AGE_MAX_S: Final = 0.15  # SR-35
CONNECT_S: Final = 5.0
START_WITHIN_S: Final = 10.0  # SR-26: ARM and START at most this far apart.
RELEASE_ABOVE_C: Final = 5.0  # SR-14
RELEASE_AFTER_S: Final = 2.0  # SR-14
RELEASE_SHOWN_S: Final = 1.0  # Time for people to see that the needle is free.
GAS_LOW_S: Final = 0.5  # One noisy sample must not end a freeze.
STOP_RETRY_S: Final = 0.06
SILENT_SAFE_S: Final = 5.0  # A lost probe has made itself safe long before (SR-01).
SEND_WITHIN_S: Final = 1.0
TICK_OFFSET_S: Final = 0.0005
"""Ticks stand this long after whole steps, so that in virtual time no sample and tick are ever due
at the same instant and both shells take them in the same order."""


class Request(StrEnum):
    """What an operator can ask for."""

    BEGIN = "begin"
    PLACE = "place"
    PLACED = "placed"
    ARM = "arm"
    START = "start"
    STOP = "stop"
    ACKNOWLEDGE = "acknowledge"


@dataclass(slots=True)
class TripRecord:
    """A trip as it happened.

    Attributes:
        layer: ``host`` or ``device``, whoever saw it first.
        phase: In which it struck.
        time_to_safe_ms: From detection to the first sample that shows the safe state.
    """

    notice: TripNotice
    layer: str
    phase: Phase
    at_s: float
    first_out: bool
    time_to_safe_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """How a controller is run, beside the treatment.

    Attributes:
        key: Shared key of the device.
        nonce_seed: Random bytes; fixed only where a run must repeat.
        stale_s: Telemetry older than this allows STOP only; a property of the link.
        lost_s: Telemetry older than this trips.
        bench_waiver: A written reason to command a device without own protection.
        cartridge_g: Gas in the cartridge at the start, by the operator's word.
    """

    key: bytes
    nonce_seed: bytes
    stale_s: float = 0.05
    lost_s: float = 0.15
    bench_waiver: str = ""
    cartridge_g: float | None = None


@dataclass(frozen=True, slots=True)
class CycleState:
    """Where the treatment stands; replaced, never changed."""

    phase: Phase
    since_s: float
    cycle: int


_MACHINE: Final = PhaseMachine()
_QUIET: Final = frozenset({Phase.DISCONNECTED, Phase.CONNECTING})
_ENDED: Final = frozenset({Phase.COMPLETE, Phase.FAULT})
_SAFE_STATES: Final = (DeviceState.SAFE, DeviceState.FAULT)
_PHASE_NUMBER: Final = {phase: index for index, phase in enumerate(Phase)}


class Controller:
    """Drives one treatment on one probe.

    Args:
        treatment: What to do; already checked against the profile.
        profile: The probe's limits as this program knows them.
        settings: Keys, link limits and waivers.
        sink: Takes every record, in order.
    """

    def __init__(
        self, treatment: Treatment, profile: Profile, settings: Settings, sink: RecordSink
    ) -> None:
        self.treatment = treatment
        self.profile = profile
        self.settings = settings
        self.session = HostSession(settings.key, nonce_seed=settings.nonce_seed)
        self.interlocks = Interlocks(profile.limits, profile.probe.gas)
        self.state = CycleState(Phase.DISCONNECTED, 0.0, 0)
        self.cycles: list[CycleRecord] = []
        self.trips: list[TripRecord] = []
        self.alarms: list[str] = []
        self.failure = ""
        """Why the treatment could not be done; empty if it could."""
        self.link_failure = False
        self.aborted = False
        self.gas_used_g = 0.0
        self.sample: Sample | None = None
        self._sink = sink
        self._sample_s: float | None = None
        self._tick_s: float | None = None
        self._ticks = 0
        self._stale = False
        self._warm_s: float | None = None
        self._gas_low_s: float | None = None
        self._leak_tested_s: float | None = None
        self._arm_asked_s = float("-inf")
        self._todo: Command | None = None
        self._todo_s = 0.0
        self._stop_sent_s = float("-inf")
        self._stop_trip = Trip.NONE
        self._stop_confirmed = False
        self._event_digest = b""

    # -- what anybody may look at ----------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        """Where the session with the probe stands."""
        return self.state.phase

    @property
    def finished(self) -> bool:
        """True once nothing more will happen without an operator."""
        return self.state.phase in _ENDED or bool(self.failure)

    @property
    def made_safe(self) -> bool:
        """True once a trip's safe state has been seen in telemetry; a thaw may still run."""
        return self._stop_confirmed or self.finished

    @property
    def verdict(self) -> Verdict:
        """How the run ended, or FAIL while it has not."""
        if self.aborted:
            return Verdict.ABORTED
        if self.trips:
            stopped = self.trips[0].notice.trip is Trip.OPERATOR_STOP
            return Verdict.ABORTED if stopped else Verdict.SAFETY_TRIP
        verdicts = [record.verdict for record in self.cycles]
        if Verdict.NOT_EFFECTIVE in verdicts:
            return Verdict.NOT_EFFECTIVE
        if verdicts.count(Verdict.PASS) == self.treatment.cycles.count:
            return Verdict.PASS
        return Verdict.FAIL

    @property
    def events_sha256(self) -> str:
        """Running hash over the event log: same run, same hash."""
        return self._event_digest.hex()

    def arm_blockers(self, now_s: float) -> list[Blocker]:
        """Return every reason why ARM is refused now; none hides another."""
        return arm_blockers(
            ArmingView(
                treatment=self.treatment,
                profile=self.profile,
                sample=None if self._stale else self.sample,
                probe_profile_hash=0
                if self.session.hello is None
                else self.session.hello.profile_hash,
                leak_test_age_s=None
                if self._leak_tested_s is None
                else now_s - self._leak_tested_s,
                cartridge_g=self.settings.cartridge_g,
                gas_used_g=self.gas_used_g,
                recording=self._sink.ready,
            )
        )

    # -- inputs ----------------------------------------------------------------------------------

    def connect(self, now_s: float) -> None:
        """Begin to talk to the device."""
        self._fire(Trigger.CONNECT, now_s)
        self._sample_s = None
        self.session.open(now_s)

    def on_body(self, body: bytes, now_s: float) -> None:
        """Take one frame off the link: interlocks first, then everything else."""
        self._sink.received(body, now_s)
        message = self.session.on_body(body, now_s)
        if message is None:
            return
        if isinstance(message, Telemetry):
            self._on_telemetry(message, now_s)
        elif isinstance(message, Vitals):
            pass  # Telemetry says more; VITALS are for monitors that cannot read it.
        elif isinstance(message, VendorFrame):
            self._sink.vendor(message.message_id, message.payload, now_s)
        elif isinstance(message, Ack):
            self._on_ack(message, now_s)
        elif isinstance(message, Done):
            self._on_done(message, now_s)
        elif isinstance(message, Event):
            self._on_event(message, now_s)
        elif isinstance(message, Hello):
            self._on_hello(message, now_s)
        else:
            assert isinstance(message, CommandFailed)

    def on_line_errors(self, count: int, now_s: float) -> None:
        """Note that the link saw ``count`` frames that were none (CRC, COBS, size)."""
        self._sink.received(b"", now_s)
        for _ in range(count):
            self.session.reject(Reject.CRC, now_s)

    def on_link_gone(self, reason: str, now_s: float) -> None:
        """Note that the link itself is gone; the probe's own lease makes it safe."""
        self._log("link", now_s, gone=reason)
        if self.phase in _QUIET:
            self._fail(f"the link is gone: {reason}", now_s, link=True)
        else:
            self._trip_if_live(TripNotice(Trip.LINK, 0.0, self.settings.lost_s, "s"), now_s)

    def request(self, request: Request, now_s: float) -> Refusal | None:
        """Do what an operator asks, or say why not."""
        refusal = self._do(request, now_s)
        self._log(
            "operator",
            now_s,
            request=request.value,
            refused="" if refusal is None else refusal.reason,
        )
        return refusal

    def tick(self, now_s: float) -> None:
        """Run the control loop once: ages, retries, lease, phase timers."""
        if self._tick_s is not None and now_s - self._tick_s > TICK_AGE_MAX_S:
            self._trip_if_live(
                TripNotice(Trip.TICK_LATE, now_s - self._tick_s, TICK_AGE_MAX_S, "s"), now_s
            )
        self._tick_s = now_s
        self._check_age(now_s)
        # A repeat is a command like any other: none while telemetry is stale (SR-03).
        for failed in () if self._stale else self.session.poll(now_s):
            self._log("unanswered", now_s, op=Op(failed.op).name, reason=failed.reason)
            self._trip_if_live(TripNotice(Trip.COMMAND_FAILED, failed.op, 0.0, "op"), now_s)
        if self._ticks % LEASE_TICKS == 0 and self.session.phase in (
            SessionPhase.OPEN,
            SessionPhase.PROVING,
        ):
            self.session.lease(self._claimed_mode(), now_s)
        self._ticks += 1
        self._step(now_s)
        self._sink.control(
            Control(
                _PHASE_NUMBER[self.phase],
                self.state.cycle,
                self.treatment.cycles.setpoint_c,
                -1.0 if self._sample_s is None else now_s - self._sample_s,
                self.gas_used_g,
            ),
            now_s,
        )

    def outgoing(self, now_s: float) -> list[bytes]:
        """Return the frames to send, STOP first, and forget them."""
        bodies = self.session.outgoing()
        for body in bodies:
            self._sink.sent(body, now_s)
        return bodies

    # -- samples ---------------------------------------------------------------------------------

    def _on_telemetry(self, telemetry: Telemetry, now_s: float) -> None:
        hello = self.session.hello
        sample = to_sample(telemetry, 0 if hello is None else hello.sensors)
        previous_s = self._sample_s
        self._sample_s = now_s
        self.sample = sample
        self._stale = False
        if self.session.phase is not SessionPhase.OPEN:
            self._sink.sample(sample, now_s)
            return
        notice = self.interlocks.check(
            sample, now_s, rejects=self.session.rejects_within_window(now_s)
        )
        if notice is not None:
            self._trip_if_live(notice, now_s)
        if sample.state in _SAFE_STATES:
            self._adopt_device_trip(sample, now_s)
        if sample.state == DeviceState.FREEZE:
            self._check_freeze_is_asked_for(sample, now_s)
        if previous_s is not None:
            self._measure(sample, now_s, now_s - previous_s)
        self._step(now_s)
        self._sink.sample(sample, now_s)

    def _check_freeze_is_asked_for(self, sample: Sample, now_s: float) -> None:
        """Trip if the probe freezes although it was told to thaw, or not told at all."""
        if self.phase in (Phase.COOLING, Phase.HOLD):
            return
        if now_s - self.state.since_s > SEND_WITHIN_S:
            notice = TripNotice(Trip.COMMAND_FAILED, sample.state, 0.0, "state")
            self._trip_if_live(notice, now_s)

    def _measure(self, sample: Sample, now_s: float, span_s: float) -> None:
        used_g = 0.0
        if sample.exhaust_flow_mg_s is not None and sample.exhaust_flow_mg_s > 0.0:
            used_g = sample.exhaust_flow_mg_s * span_s / 1000.0
        self.gas_used_g += used_g
        tip_c = sample.tip_temp_c
        if tip_c is not None and tip_c > RELEASE_ABOVE_C and self.interlocks.memory.tip_good:
            if self._warm_s is None:
                self._warm_s = now_s
        else:
            self._warm_s = None
        pressure_bar = sample.supply_pressure_bar
        if pressure_bar is not None and pressure_bar < self.profile.limits.pressure_low_bar:
            if self._gas_low_s is None:
                self._gas_low_s = now_s
        else:
            self._gas_low_s = None
        if not self.cycles or self.phase not in (Phase.COOLING, Phase.HOLD, Phase.THAWING):
            return
        record = self.cycles[-1]
        record.gas_used_g += used_g
        if tip_c is None or not self.interlocks.memory.tip_good:
            return
        if record.tip_min_c is None or tip_c < record.tip_min_c:
            record.tip_min_c = tip_c
        if self.phase is Phase.HOLD and self._in_band(tip_c):
            record.in_band_s += span_s

    def _in_band(self, tip_c: float) -> bool:
        return abs(tip_c - self.treatment.cycles.setpoint_c) <= self.profile.limits.band_c

    def _check_age(self, now_s: float) -> None:
        if self._sample_s is None or self.phase in _QUIET:
            return
        age_s = now_s - self._sample_s
        if age_s > self.settings.stale_s and not self._stale:
            self._stale = True
            self._alarm("LINK_STALE", now_s, age_s=round(age_s, 3))
        if age_s > self.settings.lost_s:
            self._trip_if_live(TripNotice(Trip.LINK, age_s, self.settings.lost_s, "s"), now_s)

    # -- answers and events ----------------------------------------------------------------------

    def _on_hello(self, hello: Hello, now_s: float) -> None:
        self._log(
            "hello",
            now_s,
            device=_text(hello.device_id),
            firmware=_text(hello.firmware_id),
            profile=_text(hello.profile_id),
            boot_id=hello.boot_id,
            owned=hello.owned,
        )
        if self.session.phase is SessionPhase.TELEMETRY_ONLY:
            self._fail(self.session.mismatch, now_s, link=True)
        if hello.host_nonce == 0 and self.phase not in _QUIET:
            # The probe says that it has just started: nothing it was told still holds.
            self._trip_if_live(TripNotice(Trip.DEVICE_RESTART, 0.0, 0.0, ""), now_s)

    def _on_ack(self, ack: Ack, now_s: float) -> None:
        op, answer = Op(ack.op), Answer(ack.answer)
        self._log("answer", now_s, op=op.name, counter=ack.counter, answer=answer.name)
        if op is Op.STOP:
            return
        if answer is not Answer.ACCEPTED:
            if op in (Op.ARM, Op.START) and self.phase in (Phase.READY, Phase.ARMED):
                self._fail(f"the probe refused {op.name}: {answer.name}", now_s)
            elif op is not Op.CLEAR:
                self._trip_if_live(TripNotice(Trip.COMMAND_FAILED, answer, 0.0, "answer"), now_s)
            return
        if op is Op.ARM and self.phase is Phase.READY:
            self._fire(Trigger.ARM, now_s)
        elif op is Op.START and self.phase is Phase.ARMED:
            self._fire(Trigger.START, now_s)
            self._begin_prewarm(now_s)
        elif op is Op.END and self.phase is Phase.RELEASE:
            self._fire(Trigger.FINISH, now_s)

    def _on_done(self, done: Done, now_s: float) -> None:
        op, result = Op(done.op), Result(done.result)
        self._log(
            "done", now_s, op=op.name, counter=done.counter, result=result.name, detail=done.detail
        )
        testing = self.phase in (Phase.SELF_TEST, Phase.LEAK_TEST)  # Else a trip has ended it.
        if op in (Op.SELF_TEST, Op.LEAK_TEST) and testing and result is not Result.OK:
            detail = f" (pressure fell {done.detail} mbar)" if op is Op.LEAK_TEST else ""
            self._fail(f"{op.name} failed{detail}: do not use this probe", now_s)
        elif op is Op.SELF_TEST and self.phase is Phase.SELF_TEST:
            self._fire(Trigger.PASSED, now_s)
            self._plan_command(Op.LEAK_TEST, now_s)
        elif op is Op.LEAK_TEST and self.phase is Phase.LEAK_TEST:
            self._leak_tested_s = now_s
            self._fire(Trigger.PASSED, now_s)
        elif op is Op.PREWARM and self.phase is Phase.PREWARM:
            if result is Result.OK:
                self._begin_freeze(Trigger.WARMED, now_s)
            else:
                self._trip(TripNotice(Trip.COMMAND_FAILED, result, 0.0, "result"), "host", now_s)

    def _on_event(self, event: Event, now_s: float) -> None:
        code = EventCode(event.code)
        self._log(
            "device",
            now_s,
            event=code.name,
            state=DeviceState(event.state).name,
            trip=Trip(event.trip).name,
            value=event.value,
            limit=event.limit,
            device_ms=event.device_ms,
        )
        if code is EventCode.TRIP:
            trip = Trip(event.trip) if event.trip else Trip.INTERNAL
            notice = TripNotice(trip, event.value, event.limit, "device units")
            self._trip_if_live(notice, now_s, layer="device")

    # -- operator --------------------------------------------------------------------------------

    def _do(self, request: Request, now_s: float) -> Refusal | None:
        if request is Request.STOP:
            if self.phase in _QUIET:
                self.aborted = True
                self._fail("stopped before a session with the device was open", now_s)
            if not _MACHINE.knows(self.phase, Trigger.TRIP) or self.failure:
                return None  # Nothing runs; STOP is never an error.
            self._trip(TripNotice(Trip.OPERATOR_STOP, 0.0, 0.0, ""), "host", now_s)
            return None
        if request is Request.BEGIN:
            refusal = self._gate(Op.SELF_TEST, Phase.SELF_TEST)
            return refusal or self._move(Trigger.BEGIN, Op.SELF_TEST, now_s)
        if request is Request.ARM:
            return self._arm(now_s)
        if request is Request.START:
            return self._start(now_s)
        if request is Request.ACKNOWLEDGE:
            return self._acknowledge(now_s)
        trigger = Trigger.PLACE if request is Request.PLACE else Trigger.PLACED
        return self._move(trigger, None, now_s)

    def _move(self, trigger: Trigger, op: Op | None, now_s: float) -> Refusal | None:
        if not _MACHINE.knows(self.phase, trigger):
            return Refusal(f"{trigger} is not possible in {self.phase}")
        self._fire(trigger, now_s)
        if op is not None:
            self._plan_command(op, now_s)
        return None

    def _arm(self, now_s: float) -> Refusal | None:
        blockers = self.arm_blockers(now_s)
        if blockers:
            return Refusal("; ".join(f"{b.id}: {b.text}" for b in blockers))
        refusal = self._ask(Phase.READY, Op.ARM, now_s)
        if refusal is None:
            self._arm_asked_s = now_s
        return refusal

    def _start(self, now_s: float) -> Refusal | None:
        # From one act of the operator to the other, however long the probe took to answer.
        if now_s - self._arm_asked_s > START_WITHIN_S:
            return Refusal(f"START must follow ARM within {START_WITHIN_S:g} s (SR-26)")
        return self._ask(Phase.ARMED, Op.START, now_s)

    def _ask(self, phase: Phase, op: Op, now_s: float) -> Refusal | None:
        if self.phase is not phase:
            return Refusal(f"{op.name} is not possible in {self.phase}")
        if self._todo is not None or self.session.busy:
            return Refusal("the probe has not answered the last command yet")
        refusal = self._gate(op, phase)
        if refusal is None:
            self._plan_command(op, now_s)
        return refusal

    def _acknowledge(self, now_s: float) -> Refusal | None:
        if self.phase not in _ENDED:
            return Refusal(f"nothing to acknowledge in {self.phase}")
        if self.phase is Phase.FAULT:
            refusal = self._gate(Op.CLEAR, self.phase)
            if refusal is not None:
                return refusal
            self._send(Command(0, 0, Op.CLEAR, 0, 0, 0, 0, 0, 0), now_s)
        self._fire(Trigger.ACKNOWLEDGE, now_s)
        return None

    # -- the treatment, phase by phase -----------------------------------------------------------

    def _step(self, now_s: float) -> None:
        """Carry out what the present phase waits for; runs after every sample and every tick."""
        if self.failure:
            return
        self._flush_todo(now_s)
        handler = _HANDLERS.get(self.phase)
        if handler is not None:
            handler(self, now_s, now_s - self.state.since_s)

    def _while_connecting(self, now_s: float, elapsed_s: float) -> None:
        if self.session.phase is SessionPhase.OPEN:
            self._fire(Trigger.LINKED, now_s)
        elif elapsed_s > CONNECT_S:
            hello = self.session.hello
            why = "another controller holds it" if hello and hello.owned else "no answer"
            self._fail(
                f"no session with the device within {CONNECT_S:g} s: {why}", now_s, link=True
            )

    def _while_armed(self, now_s: float, elapsed_s: float) -> None:
        if elapsed_s > START_WITHIN_S:
            self._todo = None
            self._fire(Trigger.DISARM, now_s)

    def _while_prewarm(self, now_s: float, elapsed_s: float) -> None:
        duration_s = self.treatment.prewarm.duration_s
        if duration_s == 0.0:
            self._begin_freeze(Trigger.WARMED, now_s)
        elif elapsed_s > duration_s + SEND_WITHIN_S:
            self._trip(
                TripNotice(Trip.COMMAND_FAILED, elapsed_s, duration_s + SEND_WITHIN_S, "s"),
                "host",
                now_s,
            )

    def _while_cooling(self, now_s: float, elapsed_s: float) -> None:
        sample, record = self.sample, self.cycles[-1]
        if sample is None or self._stale or not self._freeze_runs(sample, now_s, elapsed_s):
            return
        tip_c = sample.tip_temp_c
        if elapsed_s > self.profile.limits.reach_s_max:
            self._end_freeze(Trigger.MISSED, now_s)
        elif tip_c is not None and self._in_band(tip_c) and self.interlocks.memory.tip_good:
            record.reached_s = now_s
            self._fire(Trigger.REACHED, now_s)
        elif self._gas_is_low(now_s):
            self._end_freeze(Trigger.MISSED, now_s)

    def _while_hold(self, now_s: float, elapsed_s: float) -> None:
        sample, record = self.sample, self.cycles[-1]
        if sample is None or self._stale or not self._freeze_runs(sample, now_s, elapsed_s):
            return
        hold_s = self.treatment.cycles.hold_s
        if elapsed_s >= hold_s:
            self._end_freeze(Trigger.HELD, now_s)
        elif self._gas_is_low(now_s):
            self._end_freeze(Trigger.MISSED, now_s)
        elif elapsed_s - record.in_band_s > (1.0 - HOLD_FRACTION_MIN) * hold_s + 1.0:
            # The verdict is settled: cooling on would use gas and freeze without effect.
            self._end_freeze(Trigger.MISSED, now_s)

    def _freeze_runs(self, sample: Sample, now_s: float, elapsed_s: float) -> bool:
        """Return True while the probe freezes as told; trips if it stopped by itself."""
        if sample.state == DeviceState.FREEZE:
            return True
        if self.phase is Phase.HOLD or elapsed_s > SEND_WITHIN_S:
            self._trip(
                TripNotice(Trip.COMMAND_FAILED, sample.state, DeviceState.FREEZE, "state"),
                "host",
                now_s,
            )
        return False

    def _gas_is_low(self, now_s: float) -> bool:
        if self._gas_low_s is None or now_s - self._gas_low_s < GAS_LOW_S:
            return False
        self._alarm("GAS_LOW", now_s)
        self.cycles[-1].reason = "supply pressure too low to go on freezing"
        return True

    def _while_thawing(self, now_s: float, elapsed_s: float) -> None:
        if self._is_free():
            record = self.cycles[-1]
            record.freed_s = now_s
            self._log_cycle(record, now_s)
            self._fire(Trigger.FREED, now_s)
        elif elapsed_s > self.treatment.thaw.timeout_s:
            limit_s = self.treatment.thaw.timeout_s
            self._trip(TripNotice(Trip.THAW_TIMEOUT, elapsed_s, limit_s, "s"), "host", now_s)

    def _is_free(self) -> bool:
        """Return True if samples have shown a warm tip for long enough (SR-14)."""
        if self._warm_s is None or self._sample_s is None:
            return False
        return self._sample_s - self._warm_s >= RELEASE_AFTER_S

    def _while_release(self, now_s: float, elapsed_s: float) -> None:
        if elapsed_s < RELEASE_SHOWN_S:
            return
        plan = self.treatment.cycles
        effective = self.cycles[-1].verdict is Verdict.PASS
        goes_on = effective or plan.on_not_effective == "continue"
        if len(self.cycles) < plan.count and goes_on:
            self._fire(Trigger.REST, now_s)
        elif self._todo is None and not self.session.busy:
            self._plan_command(Op.END, now_s)

    def _while_pause(self, now_s: float, elapsed_s: float) -> None:
        if elapsed_s >= self.treatment.cycles.pause_s:
            self._begin_freeze(Trigger.AGAIN, now_s)

    def _while_safe(self, now_s: float, elapsed_s: float) -> None:
        sample = self.sample
        silent_s = elapsed_s if self._sample_s is None else now_s - self._sample_s
        if self._stale or sample is None:
            if silent_s > SILENT_SAFE_S:
                self._alarm("SAFE_NOT_CONFIRMED", now_s)
                self._fire(Trigger.MADE_SAFE, now_s)
            else:
                self._repeat_stop(now_s)
            return
        if not self._stop_confirmed:
            if not _is_safe(sample):
                self._repeat_stop(now_s)
                if elapsed_s > SILENT_SAFE_S:
                    self._alarm("SAFE_NOT_CONFIRMED", now_s)
                return
            self._stop_confirmed = True
            trip = self.trips[-1]
            trip.time_to_safe_ms = round((now_s - trip.at_s) * 1000.0, 1)
            self._log("safe", now_s, time_to_safe_ms=trip.time_to_safe_ms)
        if self._is_free() or elapsed_s > self.profile.limits.thaw_s_max:
            self._fire(Trigger.MADE_SAFE, now_s)

    def _begin_prewarm(self, now_s: float) -> None:
        duration_s = self.treatment.prewarm.duration_s
        if duration_s > 0.0:
            self._plan_command(Op.PREWARM, now_s, duration_ms=round(duration_s * 1000.0))

    def _begin_freeze(self, trigger: Trigger, now_s: float) -> None:
        plan, limits = self.treatment.cycles, self.profile.limits
        record = CycleRecord(len(self.cycles) + 1, plan.setpoint_c, plan.hold_s, now_s)
        self.cycles.append(record)
        self.state = CycleState(self.phase, self.state.since_s, record.index)
        self._fire(trigger, now_s)
        # The probe's own timer ends the freeze should we not: two seconds after we would have.
        duration_s = min(limits.reach_s_max + plan.hold_s + 2.0, limits.freeze_s_max)
        self._plan_command(
            Op.FREEZE,
            now_s,
            setpoint_mdegc=round(plan.setpoint_c * 1000.0),
            duration_ms=round(duration_s * 1000.0),
        )

    def _end_freeze(self, trigger: Trigger, now_s: float) -> None:
        record = self.cycles[-1]
        record.freeze_ended_s = now_s
        record.judge_freeze()
        if record.verdict is Verdict.NOT_EFFECTIVE:
            self._alarm("NOT_EFFECTIVE", now_s, cycle=record.index, reason=record.reason)
        self._warm_s = None
        self._fire(trigger, now_s)
        active = self.treatment.thaw.mode == "active"
        self._plan_command(
            Op.THAW,
            now_s,
            mode=ThawMode.ACTIVE if active else ThawMode.PASSIVE,
            energy_mj=round(self.profile.limits.thaw_energy_j_max * 1000.0) if active else 0,
        )

    # -- commands --------------------------------------------------------------------------------

    def _context(self, phase: Phase) -> PermitContext:
        hello = self.session.hello
        return PermitContext(
            phase=phase,
            session_open=self.session.phase is SessionPhase.OPEN,
            stale=self._stale,
            capabilities=0 if hello is None else hello.capabilities,
            profile_matches=hello is not None and hello.profile_hash == self.profile.hash32,
            bench_waiver=self.settings.bench_waiver,
        )

    def _gate(self, op: Op, phase: Phase) -> Refusal | None:
        return permits.check(op, self._context(phase))

    def _plan_command(
        self,
        op: Op,
        now_s: float,
        *,
        mode: ThawMode = ThawMode.PASSIVE,
        setpoint_mdegc: int = 0,
        duration_ms: int = 0,
        energy_mj: int = 0,
    ) -> None:
        """Have ``op`` sent as soon as the line is free and the gate allows it."""
        authorises = op in (Op.ARM, Op.START)
        self._todo = Command(
            counter=0,
            deadline_ms=0,
            op=op,
            mode=mode,
            cycles=self.treatment.cycles.count if op is Op.ARM else 0,
            treatment_hash=self.treatment.hash32 if authorises else 0,
            setpoint_mdegc=setpoint_mdegc,
            duration_ms=duration_ms,
            energy_mj=energy_mj,
        )
        self._todo_s = now_s
        self._flush_todo(now_s)

    def _flush_todo(self, now_s: float) -> None:
        command = self._todo
        if command is None or self.session.busy:
            return
        refusal = self._gate(Op(command.op), self.phase)
        if refusal is None:
            self._todo = None
            self._send(command, now_s)
        elif now_s - self._todo_s > SEND_WITHIN_S:
            self._todo = None
            self._log("refused", now_s, op=Op(command.op).name, reason=refusal.reason)
            self._trip_if_live(TripNotice(Trip.COMMAND_FAILED, command.op, 0.0, "op"), now_s)

    def _send(self, command: Command, now_s: float) -> None:
        counter = self.session.command(command, now_s)
        self._log(
            "command",
            now_s,
            op=Op(command.op).name,
            counter=counter,
            setpoint_c=command.setpoint_mdegc / 1000.0,
            duration_s=command.duration_ms / 1000.0,
        )

    # -- trips -----------------------------------------------------------------------------------

    def _trip_if_live(self, notice: TripNotice, now_s: float, *, layer: str = "host") -> None:
        """Trip where there is something to make safe; once safe, only the first cause counts."""
        if _MACHINE.knows(self.phase, Trigger.TRIP):
            self._trip(notice, layer, now_s)

    def _trip(self, notice: TripNotice, layer: str, now_s: float) -> None:
        rule = TRIP_RULES[notice.trip]
        record = TripRecord(notice, layer, self.phase, now_s, first_out=not self.trips)
        self.trips.append(record)
        self._log(
            "trip",
            now_s,
            id=notice.trip.name,
            requirement=rule.requirement,
            layer=layer,
            value=round(notice.value, 3),
            limit=round(notice.limit, 3),
            unit=notice.unit,
        )
        self._alarm(notice.trip.name, now_s)
        if self.cycles and self.cycles[-1].freed_s is None:
            cycle = self.cycles[-1]
            cycle.freeze_ended_s = cycle.freeze_ended_s or now_s
            stopped = notice.trip is Trip.OPERATOR_STOP
            cycle.verdict = Verdict.ABORTED if stopped else Verdict.SAFETY_TRIP
            cycle.reason = rule.text
        self._todo = None
        self.session.abandon()
        self._warm_s = None
        self._stop_trip = notice.trip
        self._stop_confirmed = False
        self._stop_sent_s = float("-inf")
        self._fire(Trigger.TRIP, now_s)
        self._repeat_stop(now_s)

    def _adopt_device_trip(self, sample: Sample, now_s: float) -> None:
        """Follow a probe that made itself safe, should its event have been lost."""
        if self.phase in (Phase.IDLE, *_QUIET):
            return  # It held a trip before we came; ARM is blocked until it is cleared.
        trip = Trip(sample.trip) if sample.trip else Trip.OPERATOR_STOP
        self._trip_if_live(TripNotice(trip, 0.0, 0.0, ""), now_s, layer="device")

    def _repeat_stop(self, now_s: float) -> None:
        if now_s - self._stop_sent_s < STOP_RETRY_S:
            return
        self._stop_sent_s = now_s
        self.session.stop(TRIP_RULES[self._stop_trip].action, self._stop_trip)

    def give_up(self, why: str, now_s: float) -> None:
        """End a run that its operator cannot carry out."""
        self._fail(why, now_s)

    def _fail(self, why: str, now_s: float, *, link: bool = False) -> None:
        """End a run that cannot be done; whatever is on goes off."""
        if self.failure:
            return
        self.failure = why
        self.link_failure = link
        self._todo = None
        self._log("failed", now_s, why=why)
        if self.phase not in (*_QUIET, Phase.IDLE):  # Else the probe may be at another's command.
            self.session.stop(SafeAction.THAW, Trip.OPERATOR_STOP)

    # -- bookkeeping -----------------------------------------------------------------------------

    def _claimed_mode(self) -> HostMode:
        mode = MODES[self.phase]
        sample = self.sample
        if mode is HostMode.FREEZE and sample is not None and sample.state != DeviceState.FREEZE:
            return HostMode.IDLE  # Not told yet: claiming more than is so proves nothing.
        return mode

    def _fire(self, trigger: Trigger, now_s: float) -> None:
        source = self.phase
        target = _MACHINE.fire(source, trigger)
        self.state = CycleState(target, now_s, self.state.cycle)
        self._log(
            "phase",
            now_s,
            source=source.value,
            trigger=trigger.value,
            target=target.value,
            cycle=self.state.cycle,
        )

    def _log_cycle(self, record: CycleRecord, now_s: float) -> None:
        self._log(
            "cycle",
            now_s,
            index=record.index,
            verdict=None if record.verdict is None else record.verdict.value,
            tip_min_c=None if record.tip_min_c is None else round(record.tip_min_c, 3),
            in_band_fraction=round(record.hold_in_band_fraction, 4),
            gas_used_g=round(record.gas_used_g, 4),
        )

    def _alarm(self, alarm: str, now_s: float, **data: Any) -> None:
        if alarm not in self.alarms:
            self.alarms.append(alarm)
            self._log("alarm", now_s, id=alarm, **data)

    def _log(self, kind: str, now_s: float, **data: Any) -> None:
        event = LogEvent(now_s, kind, data)
        self._event_digest = sha256(self._event_digest + event.to_json().encode()).digest()
        self._sink.event(event)

    # -- save and load ---------------------------------------------------------------------------

    def save(self) -> bytes:
        """Return the whole state but the sink; valid for this version of the program only."""
        return pickle.dumps({name: value for name, value in vars(self).items() if name != "_sink"})

    def load(self, data: bytes) -> None:
        """Take over a state that ``save`` returned; the sink stays this controller's own."""
        vars(self).update(pickle.loads(data))  # noqa: S301  # Our own bytes, never a file's.


def _is_safe(sample: Sample) -> bool:
    """Return True if the sample shows the safe state: valve and supply shut, state latched."""
    if sample.valve > 0.0:
        return False
    if sample.shutoff_open:
        return False
    return sample.state in _SAFE_STATES


def _text(padded: bytes) -> str:
    return padded.rstrip(b"\0").decode("ascii", "replace")


_HANDLERS: Final[dict[Phase, Callable[[Controller, float, float], None]]] = {
    Phase.CONNECTING: Controller._while_connecting,
    Phase.ARMED: Controller._while_armed,
    Phase.PREWARM: Controller._while_prewarm,
    Phase.COOLING: Controller._while_cooling,
    Phase.HOLD: Controller._while_hold,
    Phase.THAWING: Controller._while_thawing,
    Phase.RELEASE: Controller._while_release,
    Phase.PAUSE: Controller._while_pause,
    Phase.SAFE: Controller._while_safe,
}
