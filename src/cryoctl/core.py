"""The whole controller as one synchronous object: frames, requests, time in; frames, records out.

No clock, no await, no file. Two shells drive it: the asyncio supervisor on links that live in real
time, the lock-step runner on peers that live in ours. Nothing decides anything in a shell.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from cryoctl import alarm_conditions, answers, operator_requests, phases
from cryoctl.alarm_board import AlarmBoard
from cryoctl.arming import (
    ArmCheck,
    ArmingView,
    Blocker,
    arm_blockers,
    gas_need_g,
    usable_gas_g,
)
from cryoctl.commands import NOTHING, SEND_WITHIN_S, CommandDesk
from cryoctl.cycle_table import ENDED, MODES, QUIET, Phase, PhaseMachine, Trigger
from cryoctl.cycles import CycleRecord, Verdict
from cryoctl.device_clock import DeviceClock
from cryoctl.interlocks import (
    Check,
    Interlocks,
    TripNotice,
    command_failed,
    link_lost,
    tick_late,
)
from cryoctl.journal import Journal
from cryoctl.measures import Measures
from cryoctl.observer import Observer
from cryoctl.operator_requests import Request
from cryoctl.permits import Refusal
from cryoctl.placements import PlacementRecord, worst
from cryoctl.records import Control, RecordSink
from cryoctl.safing import SAFE_STATES, Safing, TripRecord, shows_safe_state
from cryoctl.sample import Sample, to_sample
from cryoctl.stimulation import STIMULUS_OFF, Stimulation, Stimulus
from cryoctl.storage import FINE
from cryoctl.tick_ages import LATE_LOGGED_MS, TickAges
from cryoctl.treatment import Treatment
from cryoctl.vented_gas import VENTED_G_PER_H_MAX
from cryoctl_protocol.codes import (
    TRIP_RULES,
    DeviceState,
    HostMode,
    Op,
    Result,
    SafeAction,
    ThawMode,
    Trip,
)
from cryoctl_protocol.device_keys import KeyRing
from cryoctl_protocol.framing import Reject
from cryoctl_protocol.host_session import CommandFailed, HostSession, VendorFrame
from cryoctl_protocol.host_session import Phase as SessionPhase
from cryoctl_protocol.link_limits import STREAM_LIMITS, LinkLimits
from cryoctl_protocol.messages import Ack, Done, Event, Hello, Telemetry, Vitals
from cryoctl_protocol.profile import Limits, Profile

TICK_S: Final = 0.05
"""The control loop's period: 20 Hz."""
UNHEARD_STOP_S: Final = 1.0
"""A probe that has not obeyed STOP for this long gets no more leases: its watchdog then acts."""
LEASE_TICKS: Final = 2
"""One lease every so many ticks: 10 Hz, from the same tick as control (SR-02)."""
TICK_OFFSET_S: Final = 0.0005
"""Ticks stand this long after whole steps, so that in virtual time no sample and tick are ever due
at the same instant and both shells take them in the same order."""
_HALF_MS_PER_S: Final = 2000

_MACHINE: Final = PhaseMachine()
_FINISHED: Final = frozenset({Phase.DISCONNECTED, *ENDED})
_LINK_LOSS: Final = frozenset({Trip.LINK, Trip.DEVICE_RESTART})
"""Of no consequence once a treatment is complete: nothing is on, and the next one begins anew."""
_FREEZING: Final = frozenset({Phase.COOLING, Phase.HOLD})
_PLACEMENT: Final = Phase.PLACEMENT
# Taken out of their classes once: in Python 3.11 getting a member takes as long as ten other steps.
_FREEZE: Final = int(DeviceState.FREEZE)
_STIMULATE: Final = int(DeviceState.STIMULATE)
_OPEN: Final = SessionPhase.OPEN
_PHASE_NUMBER: Final = {phase: index for index, phase in enumerate(Phase)}


def tick_time_s(count: int) -> float:
    """Return when control tick ``count`` is due.

    Reckoned in whole half milliseconds and rounded once: a time read back from a recording, which
    keeps nanoseconds, is then the very same number.
    """
    return (count * round(TICK_S * _HALF_MS_PER_S) + 1) / _HALF_MS_PER_S


class ShellInput(StrEnum):
    """What the shell around the controller can tell it, beside frames, ticks and requests."""

    CONNECT = "connect"
    LINK_GONE = "link_gone"
    LINK_BACK = "link_back"
    GIVE_UP = "give_up"
    CRASH = "crash"
    LEAVE = "leave"


@dataclass(frozen=True, slots=True)
class Settings:
    """How a controller is run, beside the treatment.

    Attributes:
        key: Shared key of the device, or the ring that chooses it once the device has said HELLO.
        nonce_seed: Random bytes; fixed only where a run must repeat.
        link: How old telemetry may be on the link in use.
        bench_waiver: A written reason to command a device without own protection.
        cartridge_g: Gas in the cartridge at the start, by the operator's word.
        audio_off: Alarms make no sound, which is shown as long as the run lasts.
        limits: What to go by instead of the profile's own; the probe keeps those.
        extra_interlocks: Of plug-ins, looked at after ours.
        extra_checks: Of plug-ins, before ARM.
        scavenging: The room's gas is drawn off, by the operator's word.
    """

    key: bytes | KeyRing = field(repr=False)
    nonce_seed: bytes
    link: LinkLimits = STREAM_LIMITS
    bench_waiver: str = ""
    cartridge_g: float | None = None
    audio_off: bool = False
    limits: Limits | None = None
    extra_interlocks: tuple[Check, ...] = ()
    extra_checks: tuple[ArmCheck, ...] = ()
    scavenging: bool = False


@dataclass(frozen=True, slots=True)
class CycleState:
    """Where the treatment stands; replaced, never changed."""

    phase: Phase
    since_s: float
    cycle: int


class Controller:
    """Drives treatments on one probe, one at each placement.

    Args:
        treatment: What to do; already checked against the profile.
        profile: The probe's limits as this program knows them.
        settings: Keys, link limits and waivers.
        sink: Takes every record, in order.
        later: What to do at the placements after the first; without them, the same again.
    """

    def __init__(
        self,
        treatment: Treatment,
        profile: Profile,
        settings: Settings,
        sink: RecordSink,
        later: Sequence[Treatment] = (),
    ) -> None:
        self.treatment = treatment
        self.placements: list[PlacementRecord] = []
        """Those that are over and have been followed by another."""
        self._later = list(later)
        self._placement_s = 0.0
        self._placement_from_g = 0.0
        self.profile = profile
        self.settings = settings
        self.session = HostSession(settings.key, nonce_seed=settings.nonce_seed)
        self.limits = settings.limits or profile.limits
        """What the controller goes by: the profile's, or tighter."""
        self.interlocks = Interlocks(
            self.limits, profile.probe.gas, extra=settings.extra_interlocks
        )
        self.board = AlarmBoard(audio_off=settings.audio_off)
        self.journal = Journal(sink, self.board)
        self.desk = CommandDesk(self.session, self.journal, profile.hash32, settings.bench_waiver)
        self.measures = Measures(self.limits)
        self.observer = Observer(profile)
        self.safing = Safing()
        self.state = CycleState(Phase.DISCONNECTED, 0.0, 0)
        self.cycles: list[CycleRecord] = []
        self.stimulation = Stimulation(result=Result.OK)
        """The last stimulus of the nerve, and what it did; at first none."""
        self.failure = ""
        """Why the treatment could not be done; empty if it could."""
        self.link_failure = False
        self.aborted = False
        self._sink = sink
        self._storage = FINE
        self.ticks = TickAges()
        """How late control ticks came."""
        self.device_clock = DeviceClock()
        """Whether the probe's clock keeps time with ours."""
        self._tick_s: float | None = None
        self._ticks = 0
        self._heard_since_s = float("-inf")
        self.leak_tested_s: float | None = None
        """When this probe passed its leak test in this session."""
        self.device_id = b""
        """Of the probe that the controller has met first."""
        self.arm_asked_s = float("-inf")
        """When the operator asked for ARM; START must follow soon."""
        self.cartridge_changes = 0
        self._cartridge_g = settings.cartridge_g
        self._cartridge_from_g = 0.0

    # -- what anybody may look at ----------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        """Where the session with the probe stands."""
        return self.state.phase

    @property
    def trips(self) -> list[TripRecord]:
        """Every trip so far, the first cause first."""
        return self.safing.trips

    @property
    def alarms(self) -> list[str]:
        """Id of every alarm raised so far, the first one first; ``board`` says which stand."""
        return self.journal.alarms

    @property
    def sample(self) -> Sample | None:
        """The newest sample of the session, however old."""
        return self.desk.sample

    @property
    def fresh_sample(self) -> Sample | None:
        """The newest sample of the session, or None if it is too old to rely on (SR-03)."""
        return None if self.desk.stale else self.sample

    @property
    def gas_used_g(self) -> float:
        """Gas that left the exhaust since connecting, by the host's own ledger."""
        return self.measures.gas_used_g

    @property
    def gas_left_g(self) -> float:
        """Gas in the cartridge that can still cool, by the host's own ledger."""
        usable_g = usable_gas_g(self.limits, self._cartridge_g)
        return usable_g - (self.gas_used_g - self._cartridge_from_g)

    @property
    def wants_cartridge(self) -> bool:
        """True if only a new cartridge has the gas for what is to be done next (SR-22)."""
        need_g = gas_need_g(self.next_treatment, self.limits)
        return self.gas_left_g < need_g <= usable_gas_g(self.limits, None)

    @property
    def next_treatment(self) -> Treatment:
        """What the next BEGIN is for."""
        return self._later[0] if self._later and self._has_begun else self.treatment

    @property
    def later_treatments(self) -> tuple[Treatment, ...]:
        """What is to be done at the placements to come."""
        return tuple(self._later)

    @property
    def placement(self) -> int:
        """Number of the present placement, from 1."""
        return len(self.placements) + 1

    @property
    def events_sha256(self) -> str:
        """Running hash over the event log: same run, same hash."""
        return self.journal.sha256

    @property
    def finished(self) -> bool:
        """True once nothing more will happen without an operator."""
        return self.state.phase in _FINISHED or bool(self.failure)

    @property
    def made_safe(self) -> bool:
        """True once a trip's safe state has been seen and the valve has proved to be shut.

        The needle may still be frozen in; what heats it stops when the leases do.
        """
        if self.finished:
            sample = self.fresh_sample
            seen_safe = sample is not None and shows_safe_state(sample)
            return self.safing.unsafe_since_s is None or seen_safe
        return self.safing.confirmed and self.interlocks.valve_is_proved

    @property
    def session_verdict(self) -> Verdict:
        """The worst of all placements; FAIL if some were not come to."""
        verdicts = [record.verdict for record in self.begun_placements()]
        return worst([*verdicts, Verdict.FAIL] if self._later else verdicts)

    @property
    def _has_begun(self) -> bool:
        """True once something has happened at the present placement."""
        return bool(self.cycles or self.trips)

    @property
    def verdict(self) -> Verdict:
        """How the treatment of the present placement ended, or FAIL while it has not."""
        if self.aborted:
            return Verdict.ABORTED
        cause = self.safing.cause
        if cause is not None:
            return Verdict.ABORTED if cause is Trip.OPERATOR_STOP else Verdict.SAFETY_TRIP
        verdicts = [record.verdict for record in self.cycles]
        if Verdict.NOT_EFFECTIVE in verdicts:
            return Verdict.NOT_EFFECTIVE
        if verdicts.count(Verdict.PASS) == self.treatment.cycles.count:
            return Verdict.PASS
        return Verdict.FAIL

    def can(self, trigger: Trigger) -> bool:
        """Return True if the table knows where ``trigger`` leads from here."""
        return _MACHINE.knows(self.phase, trigger)

    def arm_blockers(self, now_s: float) -> list[Blocker]:
        """Return every reason why ARM is refused now; none hides another."""
        hello, tested_s = self.session.hello, self.leak_tested_s
        return arm_blockers(
            ArmingView(
                treatment=self.treatment,
                profile=self.profile,
                limits=self.limits,
                sample=self.fresh_sample,
                probe_profile_hash=0 if hello is None else hello.profile_hash,
                leak_test_age_s=None if tested_s is None else now_s - tested_s,
                cartridge_g=self._cartridge_g,
                gas_used_g=self.gas_used_g - self._cartridge_from_g,
                storage=self._storage,
            ),
            self.settings.extra_checks,
        )

    # -- inputs ----------------------------------------------------------------------------------

    def connect(self, now_s: float) -> None:
        """Begin to talk to the device."""
        self._note(ShellInput.CONNECT, now_s)
        self.fire(Trigger.CONNECT, now_s)
        self.measures.sample_s = None
        self.begin_session(now_s)

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
            answers.on_ack(self, message, now_s)
        elif isinstance(message, Done):
            answers.on_done(self, message, now_s)
        elif isinstance(message, Event):
            answers.on_event(self, message, now_s)
        elif isinstance(message, Hello):
            answers.on_hello(self, message, now_s)
        else:
            assert isinstance(message, CommandFailed)

    def on_line_errors(self, count: int, now_s: float) -> None:
        """Note that the link saw ``count`` frames that were none (CRC, COBS, size)."""
        for _ in range(count):
            self._sink.received(b"", now_s)
            self.session.reject(Reject.CRC, now_s)

    def on_link_gone(self, reason: str, now_s: float) -> None:
        """Note that the link itself is gone; the probe's own lease makes it safe."""
        self._note(ShellInput.LINK_GONE, now_s, why=reason)
        self.board.end_pause(now_s)
        if self.phase in QUIET:
            self.fail(f"the link is gone: {reason}", now_s, link=True)
        else:
            self._give_up_commands(now_s)
            self.trip(TripNotice(Trip.LINK, 0.0, self.settings.link.lost_s, "s"), now_s)

    def on_link_back(self, now_s: float) -> None:
        """Take note that the link is there again: a new session, and nothing of the old one."""
        self._note(ShellInput.LINK_BACK, now_s)
        self.begin_session(now_s)

    def give_up(self, why: str, now_s: float, *, link: bool = False) -> None:
        """End a run that whoever drives it cannot or will not go on with."""
        self._note(ShellInput.GIVE_UP, now_s, why=why, link=link)
        self.fail(why, now_s, link=link)

    def crash(self, now_s: float) -> list[bytes]:
        """Make the probe safe after an error in the program itself; return the frames to send."""
        try:
            self._note(ShellInput.CRASH, now_s)
            self.trip(TripNotice(Trip.INTERNAL, 0.0, 0.0, ""), now_s)
            return self.outgoing(now_s)
        except Exception:  # noqa: BLE001  # The error may be in what keeps records: STOP needs none.
            self.session.stop(SafeAction.THAW, Trip.INTERNAL)
            return self.session.outgoing()

    def leave(self, now_s: float) -> None:
        """Take note that nobody watches any more, although the needle may be frozen in."""
        self._note(ShellInput.LEAVE, now_s)
        if self.phase is Phase.SAFE:
            self.journal.alarm("NOT_RELEASED", now_s)

    def request(
        self, request: Request, now_s: float, stimulus: Stimulus = STIMULUS_OFF
    ) -> Refusal | None:
        """Do what an operator asks, or say why not.

        Args:
            request: What is asked for.
            now_s: When.
            stimulus: What STIMULATE shall do; off ends it.
        """
        refusal = operator_requests.do(self, request, now_s, stimulus)
        self.journal.log(
            "operator",
            now_s,
            request=request.value,
            refused="" if refusal is None else refusal.reason,
            **(stimulus._asdict() if request is Request.STIMULATE else {}),
        )
        return refusal

    def tick(self, now_s: float) -> None:
        """Run the control loop once: ages, retries, lease, phase timers."""
        self._check_tick(now_s)
        self._check_age(now_s)
        self._check_storage(now_s)
        alarm_conditions.look(self, now_s)
        if self._ticks % LEASE_TICKS == 0 and self._leases(now_s):
            self.session.lease(self._claimed_mode(), now_s)
        self._ticks += 1
        self._step(now_s)
        self._sink.control(
            Control(
                _PHASE_NUMBER[self.phase],
                self.state.cycle,
                self.treatment.cycles.setpoint_c,
                -1.0 if self.measures.sample_s is None else now_s - self.measures.sample_s,
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
        if self.session.phase is not _OPEN:
            self._sink.sample(sample, now_s)  # Of nobody knows whom: nothing rests on it.
            return
        self.desk.sample = sample
        if self.desk.stale:
            self.desk.stale = False
            self._heard_since_s = now_s
            self.journal.alarm_gone("LINK_STALE", now_s)
        for notice in self.interlocks.check(
            sample, now_s, rejects=self.session.rejects_within_window(now_s)
        ):
            self._see_cause(notice, now_s)
        if sample.state in SAFE_STATES:
            self._adopt_device_trip(sample, now_s)
        elif sample.state == _FREEZE:
            if self.state.phase not in _FREEZING:
                self._check_could_obey("the probe freezes unasked", now_s)
        elif sample.state == _STIMULATE:
            self.stimulation.take_response(sample.stimulus_response)
            if self.state.phase is not _PLACEMENT:
                self._check_could_obey("the probe stimulates unasked", now_s)
        self.measures.take(
            sample,
            now_s,
            tip_good=self.interlocks.memory.tip_good,
            phase=self.state.phase,
            cycle=self.cycles[-1] if self.cycles else None,
        )
        self._check_room(now_s)
        self._check_device_clock(sample, now_s)
        memory = self.interlocks.memory
        if self.observer.take(sample, memory.filtered_tip_c, now_s):
            assert self.observer.estimate is not None
            self._sink.estimate(self.observer.estimate, now_s)
        memory.residual_c = self.observer.residual_c
        self._step(now_s)
        self._sink.sample(sample, now_s)

    def _see_cause(self, notice: TripNotice, now_s: float) -> None:
        """Trip on a cause that can be seen, and remember when it was: RESET waits for it to go."""
        self.journal.log_alarms(self.board.see_cause(notice.trip.name, now_s))
        self.trip(notice, now_s)

    def _check_could_obey(self, what: str, now_s: float) -> None:
        """Trip if the probe does something although it was told to stop, or not told at all."""
        # A probe that was silent may have heard nothing either.
        could_obey_since_s = max(self.state.since_s, self._heard_since_s)
        if now_s - could_obey_since_s > SEND_WITHIN_S:
            self.trip(command_failed(what), now_s)

    def _adopt_device_trip(self, sample: Sample, now_s: float) -> None:
        """Follow a probe that made itself safe, should its event have been lost."""
        if self.phase in (Phase.IDLE, *QUIET):
            return  # It held a trip before we came; ARM is blocked until it is cleared.
        trip = Trip(sample.trip) if sample.trip else Trip.OPERATOR_STOP
        self.trip(TripNotice(trip, 0.0, 0.0, ""), now_s, layer="device")

    def _check_storage(self, now_s: float) -> None:
        storage = self._sink.storage
        if storage == self._storage:
            return
        if self._storage.alarm not in ("", storage.alarm):
            self.journal.alarm_gone(self._storage.alarm, now_s)
        self._storage = storage
        self.journal.log("storage", now_s, **storage._asdict())
        if storage.alarm:
            self.journal.alarm(storage.alarm, now_s)

    def _check_room(self, now_s: float) -> None:
        """SR-21: an alarm, and no trip: the gas is in the room already."""
        if self.settings.scavenging:
            return
        vented_g = self.measures.vented.g_per_h
        if vented_g > VENTED_G_PER_H_MAX:
            self.journal.alarm("GAS_IN_ROOM", now_s, g_per_h=round(vented_g, 2))

    def _check_device_clock(self, sample: Sample, now_s: float) -> None:
        """SR-44: an alarm, no trip: phases go by our clock, outputs by ticks as well."""
        clock = self.device_clock
        clock.take(sample.device_ms, now_s)
        if clock.is_off:
            self.journal.alarm("CLOCK_DRIFT", now_s, drift=round(clock.drift, 3))

    def _check_age(self, now_s: float) -> None:
        sample_s = self.measures.sample_s
        if sample_s is None or self.phase in QUIET:
            return
        age_s = now_s - sample_s
        if age_s > self.settings.link.stale_s and not self.desk.stale:
            self.desk.stale = True
            self.journal.alarm("LINK_STALE", now_s, age_s=round(age_s, 3))
        notice = link_lost(age_s, self.settings.link.lost_s)
        if notice is not None:
            self._see_cause(notice, now_s)

    def _check_tick(self, now_s: float) -> None:
        last_s, self._tick_s = self._tick_s, now_s
        if last_s is None:
            return
        notice = tick_late(now_s - last_s)
        if notice is not None:
            self.trip(notice, now_s)
        late_ms = self.ticks.take(now_s - last_s - TICK_S)
        if late_ms > LATE_LOGGED_MS:
            self.journal.log("tick_late", now_s, late_ms=late_ms)

    # -- what the phases may do ------------------------------------------------------------------

    def _step(self, now_s: float) -> None:
        """Carry out what the present phase waits for; runs after every sample and every tick."""
        if self.failure:
            return
        # A repeat is a command like any other: none while telemetry is stale (SR-03). A greeting is
        # none.
        held = self.desk.stale and self.session.phase is _OPEN
        for failed in () if held else self.session.poll(now_s):
            self.journal.log("unanswered", now_s, op=Op(failed.op).name, reason=failed.reason)
            self.trip(command_failed(f"{Op(failed.op).name}: {failed.reason}"), now_s)
        self._flush(now_s)
        phases.step(self, now_s)

    def begin_session(self, now_s: float) -> None:
        """Greet the probe anew; what was tested and commanded before is another session's."""
        self.leak_tested_s = None
        self.device_clock.forget()
        self._give_up_commands(now_s)
        self.session.open(now_s)

    def _give_up_commands(self, now_s: float) -> None:
        self.desk.drop()
        for failed in self.session.abandon():
            self.journal.log("unanswered", now_s, op=Op(failed.op).name, reason=failed.reason)

    def _flush(self, now_s: float) -> None:
        refusal = self.desk.flush(self.state.phase, now_s)
        if refusal is not None:
            self.trip(command_failed(refusal.reason), now_s)

    def plan_command(
        self,
        op: Op,
        now_s: float,
        *,
        mode: ThawMode = ThawMode.PASSIVE,
        setpoint_mdegc: int = 0,
        duration_ms: int = 0,
        energy_mj: int = 0,
        stimulus: Stimulus = STIMULUS_OFF,
    ) -> None:
        """Have ``op`` sent as soon as the line is free and the gate allows it."""
        authorises = op in (Op.ARM, Op.START)
        command = NOTHING._replace(
            op=op,
            mode=mode,
            cycles=self.treatment.cycles.count if op is Op.ARM else 0,
            treatment_hash=self.treatment.hash32 if authorises else 0,
            setpoint_mdegc=setpoint_mdegc,
            duration_ms=duration_ms,
            energy_mj=energy_mj,
            stimulus_ua=round(stimulus.amplitude_ma * 1000.0),
            stimulus_hz=round(stimulus.frequency_hz),
            stimulus_pulse_us=round(stimulus.pulse_ms * 1000.0),
        )
        self.desk.plan(command, now_s)
        self._flush(now_s)

    def begin_placement(self, now_s: float) -> None:
        """Put by what was measured and what tripped: from here on it is another placement."""
        if self._has_begun:
            self.placements.append(self._present_placement())
            self.treatment = self._later.pop(0) if self._later else self.treatment
        self._placement_s, self._placement_from_g = now_s, self.gas_used_g
        self.cycles = []
        self.safing = Safing()
        self.observer.forget()
        self.state = CycleState(self.phase, now_s, 0)

    def begun_placements(self) -> list[PlacementRecord]:
        """Return every placement so far; the present one if anything has come of it."""
        is_idle = not (self._has_begun or self.failure or self.aborted)
        if is_idle and self.placements:
            return list(self.placements)
        return [*self.placements, self._present_placement()]

    def _present_placement(self) -> PlacementRecord:
        return PlacementRecord(
            treatment=self.treatment,
            cycles=tuple(self.cycles),
            trips=tuple(self.trips),
            cause=self.safing.cause,
            verdict=self.verdict,
            began_s=self._placement_s,
            gas_used_g=self.gas_used_g - self._placement_from_g,
        )

    def take_new_cartridge(self) -> None:
        """Begin the ledger anew: a full cartridge has been put in."""
        self.cartridge_changes += 1
        self._cartridge_g = None
        self._cartridge_from_g = self.gas_used_g

    def begin_cycle(self, record: CycleRecord) -> None:
        """Open the next freeze/thaw cycle."""
        self.journal.alarm_gone("NOT_EFFECTIVE", record.began_s)
        self.cycles.append(record)
        self.state = CycleState(self.phase, self.state.since_s, record.index)

    def reset(self, now_s: float) -> None:
        """Leave a treatment's end, or a trip, behind; what is alarmed stands until acknowledged."""
        self.fire(Trigger.RESET, now_s)
        self.journal.alarm_gone("NOT_EFFECTIVE", now_s)
        self.journal.log_alarms(self.board.reset(now_s))

    def fire(self, trigger: Trigger, now_s: float) -> None:
        """Go where the table says that ``trigger`` leads from here."""
        source = self.phase
        target = _MACHINE.fire(source, trigger)
        self.state = CycleState(target, now_s, self.state.cycle)
        self.journal.log(
            "phase",
            now_s,
            source=source.value,
            trigger=trigger.value,
            target=target.value,
            cycle=self.state.cycle,
        )

    def trip(self, notice: TripNotice, now_s: float, *, layer: str = "host") -> None:
        """Make the probe safe, if there is something to make safe; the first cause stays first."""
        if self.phase is Phase.SAFE:
            if self.safing.join(notice, layer, self.phase, now_s):
                self._log_trip(notice, layer, now_s)
                self.safing.repeat_stop(self.session, now_s)
            return
        if not self.can(Trigger.TRIP) or self._is_settled(notice.trip):
            return
        self.safing.begin(notice, layer, self.phase, now_s)
        self._log_trip(notice, layer, now_s)
        if self.cycles and self.cycles[-1].freed_s is None:
            self.cycles[-1].break_off(notice.trip, now_s, self.observer.estimate)
        self.desk.drop()
        self.session.abandon()
        self.stimulation.end(Result.ABORTED)
        self.measures.begin_thaw()
        self.fire(Trigger.TRIP, now_s)
        self.safing.repeat_stop(self.session, now_s)

    def _is_settled(self, trip: Trip) -> bool:
        """Return True for a trip after a treatment's end that there is nothing to do about."""
        if self.phase is Phase.FAULT:
            sample = self.fresh_sample  # The cause is known; is anything on all the same?
            return sample is None or not (sample.valve > 0.0 or sample.shutoff_open > 0)
        return self.phase is Phase.COMPLETE and trip in _LINK_LOSS

    def _log_trip(self, notice: TripNotice, layer: str, now_s: float) -> None:
        self.journal.log(
            "trip",
            now_s,
            id=notice.trip.name,
            requirement=TRIP_RULES[notice.trip].requirement,
            layer=layer,
            value=round(notice.value, 3),
            limit=round(notice.limit, 3),
            unit=notice.unit,
            detail=notice.detail,
        )
        self.journal.alarm(notice.trip.name, now_s)

    def fail(self, why: str, now_s: float, *, link: bool = False) -> None:
        """End a run that cannot be done; whatever is on goes off."""
        if self.failure:
            return
        self.failure = why
        self.link_failure = link
        self.desk.drop()
        self.journal.log("failed", now_s, why=why)
        if self.phase not in (*QUIET, Phase.IDLE):  # Else the probe may be at another's command.
            self.session.stop(SafeAction.THAW, Trip.OPERATOR_STOP)

    def _note(self, told: ShellInput, now_s: float, **data: Any) -> None:
        self.journal.log("shell", now_s, told=told.value, **data)

    def _leases(self, now_s: float) -> bool:
        """Return True while the probe may rely on this controller."""
        if self.session.phase is not _OPEN:
            # The first lease of a session proves who we are; it opens no valve.
            return self.session.phase is SessionPhase.PROVING
        unsafe_since_s = self.safing.unsafe_since_s if self.phase is Phase.SAFE else None
        return unsafe_since_s is None or now_s - unsafe_since_s <= UNHEARD_STOP_S

    def _claimed_mode(self) -> HostMode:
        mode = MODES[self.phase]
        sample = self.sample
        if mode is HostMode.FREEZE and sample is not None and sample.state != DeviceState.FREEZE:
            return HostMode.IDLE  # Not told yet: claiming more than is so proves nothing.
        return mode

    # -- save and load ---------------------------------------------------------------------------

    def save(self) -> bytes:
        """Return the whole state but the sink; valid for this version of the program only."""
        return pickle.dumps({name: value for name, value in vars(self).items() if name != "_sink"})

    def load(self, data: bytes) -> None:
        """Take over a state that ``save`` returned; the sink stays this controller's own."""
        state: dict[str, Any] = pickle.loads(data)
        vars(self).update(state)
        self.journal.sink = self._sink
