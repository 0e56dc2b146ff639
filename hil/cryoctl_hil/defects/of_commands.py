"""Defects of the device model in what it takes for a command, and in its latch and session."""

from __future__ import annotations

from typing import Any, Final

from cryoctl_hil.defects.defect import Defect, allowed, always, constant, defect, instead
from cryoctl_protocol.codes import Answer, DeviceState, EventCode, Op, SafeAction, Trip
from cryoctl_protocol.device_session import LEASE_LIFE_MS_MAX, DeviceSession
from cryoctl_protocol.messages import Command, Hello, Lease, Stop
from cryoctl_protocol.wrapping import add_ms, until_ms
from cryoctl_simulator import firmware_checks, firmware_commands, firmware_model, firmware_safety
from cryoctl_simulator.firmware_config import FirmwareConfig
from cryoctl_simulator.firmware_identity import Boot
from cryoctl_simulator.firmware_model import FirmwareModel

_STOP_LATE_TICKS: Final = 30
_FORGETS_MS: Final = 3_000
_ON_STOP: Final = vars(FirmwareModel)["_on_stop"]
_S: Final = DeviceState
_LATCHED: Final = (_S.SAFE, _S.FAULT)


# -- commands ---


def _freeze_without_start(judge_freeze: Any) -> Any:
    def changed(limits: Any, s: Any, r: Any, command: Command) -> Answer:
        s.cycles_left = max(s.cycles_left, 1)
        return Answer(judge_freeze(limits, s, r, command))

    return changed


def _start_any_treatment(judge_start: Any) -> Any:
    def changed(s: Any, command: Command) -> Answer:
        return Answer(judge_start(s, command._replace(treatment_hash=s.treatment_hash)))

    return changed


def _arm_untested(judge_arm: Any) -> Any:
    def changed(limits: Any, s: Any, r: Any, command: Command) -> Answer:
        s.leak_test_passed = True
        return Answer(judge_arm(limits, s, r, command))

    return changed


def _prewarm_unseen(judge_prewarm: Any) -> Any:
    def changed(limits: Any, s: Any, r: Any, command: Command) -> Answer:
        answer = Answer(judge_prewarm(limits, s, r, command))
        return Answer.ACCEPTED if answer is Answer.SENSOR else answer

    return changed


def _setpoint_kept(on_setpoint: Any) -> Any:
    def changed(self: FirmwareModel, command: Command) -> None:
        on_setpoint(self, command._replace(setpoint_mdegc=self.state.setpoint_mdegc))

    return changed


def _clear_to_started(on_clear: Any) -> Any:
    """Have CLEAR lead back to where the freeze began, with cycles left."""

    def changed(self: FirmwareModel, command: Command) -> None:
        on_clear(self, command)
        self.state.cycles_left = 1
        self._enter(_S.STARTED)

    return changed


# -- the latch ---


def _clears_itself(advance: Any) -> Any:
    def changed(self: FirmwareModel, readings: Any) -> None:
        s = self.state
        if s.state in _LATCHED and s.quiet_ms >= _FORGETS_MS:
            s.heating = False
            s.trip = s.trips_seen = 0
            self._enter(_S.IDLE)
        else:
            advance(self, readings)

    return changed


def _last_cause(make_safe: Any) -> Any:
    def changed(
        self: FirmwareModel, target: int, code: int, cause: Trip, *a: Any, **n: Any
    ) -> None:
        make_safe(self, target, code, cause, *a, **n)
        self.state.trip = int(cause)

    return changed


def _does_not_latch(make_safe: Any) -> Any:
    """Have a trip end what runs, and be IDLE again in the same tick."""

    def changed(self: FirmwareModel, *args: Any, **named: Any) -> None:
        make_safe(self, *args, **named)
        self.state.heating = False
        self.state.trip = self.state.trips_seen = 0
        self._enter(_S.IDLE)

    return changed


# -- STOP ---


def _stop_remembered(_on_stop: Any) -> Any:
    def changed(self: FirmwareModel, stop: Stop) -> None:
        vars(self).setdefault("stops", []).append((self.state.tick_count, stop))

    return changed


def _stop_late(watch: Any) -> Any:
    def changed(self: FirmwareModel) -> None:
        watch(self)
        stops = vars(self).get("stops", [])
        while stops and self.state.tick_count - stops[0][0] >= _STOP_LATE_TICKS:
            _ON_STOP(self, stops.pop(0)[1])

    return changed


def _stop_always(action: SafeAction) -> Any:
    def make(on_stop: Any) -> Any:
        def changed(self: FirmwareModel, stop: Stop) -> None:
            on_stop(self, stop._replace(action=int(action)))

        return changed

    return make


def _stop_in_freeze_alone(on_stop: Any) -> Any:
    def changed(self: FirmwareModel, stop: Stop) -> None:
        if self.state.state == _S.FREEZE:
            on_stop(self, stop)

    return changed


# -- the session ---


def _counter_unchecked(on_command: Any) -> Any:
    def changed(self: DeviceSession, command: Command, now_ms: int) -> Any:
        self._answers.pop(command.counter, None)
        self._command_counter = 0
        return on_command(self, command, now_ms)

    return changed


def _deadline_unchecked(on_command: Any) -> Any:
    def changed(self: DeviceSession, command: Command, now_ms: int) -> Any:
        return on_command(self, command._replace(deadline_ms=now_ms), now_ms)

    return changed


def _tag_unchecked(_proved_by: Any) -> Any:
    def changed(self: DeviceSession, parsed: Any, now_ms: int) -> Any:
        candidates = self._sessions_of(parsed, now_ms)
        return candidates[0] if candidates else _proved_by(self, parsed, now_ms)

    return changed


def _lease_lasts(life_ms: int) -> Any:
    """Have a lease count from its arrival, however long it was on its way."""

    def make(on_lease: Any) -> Any:
        def changed(self: DeviceSession, lease: Lease, now_ms: int) -> Any:
            return on_lease(self, lease._replace(valid_until_ms=add_ms(now_ms, life_ms)), now_ms)

        return changed

    return make


def _leases_add_up(on_lease: Any) -> Any:
    """Have every lease give its whole life on top of what is left."""

    def changed(self: DeviceSession, lease: Lease, now_ms: int) -> Any:
        before_ms = self._lease_until_ms
        refused = on_lease(self, lease, now_ms)
        if refused is None and before_ms is not None and until_ms(now_ms, before_ms) > 0:
            self._lease_until_ms = add_ms(before_ms, LEASE_LIFE_MS_MAX)
        return refused

    return changed


def _lease_as_it_says(_lease_left_ms: Any) -> Any:
    def changed(self: DeviceSession, now_ms: int) -> int:
        until = self._lease_until_ms
        return 0 if until is None else min(max(until_ms(now_ms, until), 0), 60_000)

    return changed


def _owner_for_good(session_on_bytes: Any) -> Any:
    """Have a host own the probe until the power goes, leases or not."""

    def changed(self: DeviceSession, data: bytes, now_ms: int) -> Any:
        if self.owner_until_ms is not None:
            self.owner_until_ms = add_ms(now_ms, 1_000)
        return session_on_bytes(self, data, now_ms)

    return changed


def _says_other_profile(identity: Any) -> Any:
    def changed(config: FirmwareConfig, boot: Boot) -> Hello:
        hello: Hello = identity(config, boot)
        return hello._replace(profile_hash=hello.profile_hash ^ 1)

    return changed


def _no_event(code: EventCode) -> Any:
    def make(report: Any) -> Any:
        def changed(self: FirmwareModel, told: EventCode, *args: Any) -> None:
            if told is not code:
                report(self, told, *args)

        return changed

    return make


def _other_cause(report: Any) -> Any:
    def changed(self: FirmwareModel, code: EventCode, cause: Trip, *args: Any) -> None:
        report(self, code, Trip.INTERNAL if code is EventCode.TRIP else cause, *args)

    return changed


def _resumes(init: Any) -> Any:
    """Have a reset in a treatment go on where it was, as a probe with a memory would."""
    last: dict[str, Any] = {"boots": set()}

    def changed(self: FirmwareModel, config: FirmwareConfig, boot: Boot) -> None:
        init(self, config, boot)
        before = last.get("firmware")
        if boot.boot_id in last["boots"]:
            last["boots"].clear()  # A new probe, with the same boots to come.
        elif before is not None and before.state.state == _S.FREEZE:
            self.state.state = self.session.state = _S.STARTED
            self.state.cycles_left = 1
        last["boots"].add(boot.boot_id)
        last["firmware"] = self

    return changed


# fmt: off
COMMANDS: Final[tuple[Defect, ...]] = (
    # Commands in wrong states, out of range, or unauthorised.
    defect("freeze-without-arm", "FREEZE is accepted from IDLE, without ARM and START", "SR-26",
        allowed(Op.FREEZE, _S.IDLE),
        instead(firmware_commands, "_judge_freeze", _freeze_without_start)),
    defect("freeze-without-start", "FREEZE is accepted from ARMED, without START", "SR-26",
        allowed(Op.FREEZE, _S.ARMED),
        instead(firmware_commands, "_judge_freeze", _freeze_without_start)),
    defect("more-cycles", "more cycles are frozen than were armed", "SR-26",
        instead(firmware_commands, "_judge_freeze", _freeze_without_start)),
    defect("arm-untested", "ARM is accepted without a leak test", "SR-19",
        instead(firmware_commands, "_judge_arm", _arm_untested)),
    defect("arm-unfit", "ARM looks at no sensor, pressure or battery", "SR-18 SR-11 SR-36",
        always(firmware_commands, "_judge_hardware", Answer.ACCEPTED)),
    defect("start-60s-after-arm", "START is accepted 60 s after ARM", "SR-26",
        constant("START_MS", 60_000)),
    defect("start-any-treatment", "START is accepted for another treatment", "SR-26",
        instead(firmware_commands, "_judge_start", _start_any_treatment)),
    defect("setpoint-any", "any set-point is accepted", "SR-06",
        always(firmware_commands, "_judge_setpoint", Answer.ACCEPTED)),
    defect("setpoint-kept", "a new set-point in a freeze is accepted and not gone by", "SR-13",
        instead(FirmwareModel, "_on_setpoint", _setpoint_kept)),
    defect("stimulate-anywhere", "the nerve is stimulated after START and in a thaw", "SR-41",
        allowed(Op.STIMULATE, _S.STARTED, _S.THAW, _S.FREEZE, _S.ARMED)),
    defect("stimulate-unproved", "the nerve is stimulated before the valve is proved shut", "SR-41",
        always(firmware_commands, "valve_is_proved_shut", value=True),
        always(firmware_safety, "valve_is_proved_shut", value=True)),
    defect("stimulus-endless", "a stimulus does not end by itself", "SR-41",
        always(firmware_model, "stimulus_is_over", value=False)),
    defect("prewarm-endless", "prewarming does not end by itself", "SR-42",
        always(firmware_model, "prewarm_is_over", value=False)),
    defect("prewarm-unseen", "the skin is warmed without its sensor", "SR-42",
        instead(firmware_commands, "_judge_prewarm", _prewarm_unseen)),
    # Tests that the probe runs on itself.
    defect("leak-test-passes", "the leak test always passes", "SR-19",
        always(firmware_checks, "leak_test_is_ok", value=True)),
    defect("leak-test-still", "the leak test believes a pressure that stands still", "SR-19",
        constant("STILL_MS_MAX", 100_000)),
    defect("self-test-passes", "the self-test always passes", "SR-11 SR-36",
        always(firmware_checks, "watch_self_test", None)),
    # The latch.
    defect("no-latch", "a trip does not latch", "SR-27",
        instead(FirmwareModel, "_make_safe", _does_not_latch)),
    defect("clears-itself", "a trip clears itself after 3 s", "SR-27",
        instead(FirmwareModel, "_advance", _clears_itself)),
    defect("clear-at-once", "CLEAR is accepted as soon as the cause has gone", "SR-27",
        constant("QUIET_MS", 0)),
    defect("last-cause", "a later cause overwrites the first", "SR-27",
        instead(FirmwareModel, "_make_safe", _last_cause)),
    defect("clear-to-started", "CLEAR leads back to STARTED: a trip takes nothing back", "SR-26",
        instead(FirmwareModel, "_on_clear", _clear_to_started)),
    defect("resumes", "a reset in a freeze comes back STARTED", "SR-26",
        instead(FirmwareModel, "__init__", _resumes)),
    # STOP.
    defect("no-stop", "STOP is answered and ignored", "SR-24 SR-29",
        always(FirmwareModel, "_on_stop", None)),
    defect("stop-late", "STOP is carried out 300 ms late", "SR-24 SR-29",
        instead(FirmwareModel, "_on_stop", _stop_remembered),
        instead(FirmwareModel, "_watch_controller", _stop_late)),
    defect("stop-off-thaws", "STOP with all off heats a frozen tip", "SR-24 SR-16",
        instead(FirmwareModel, "_on_stop", _stop_always(SafeAction.THAW))),
    defect("stop-thaw-off", "STOP with a thaw leaves the tip frozen", "SR-24",
        instead(FirmwareModel, "_on_stop", _stop_always(SafeAction.OFF))),
    defect("stop-in-freeze", "STOP is obeyed in a freeze alone", "SR-24 SR-29",
        instead(FirmwareModel, "_on_stop", _stop_in_freeze_alone)),
    # The session.
    defect("counter-unchecked", "a command that comes again is carried out again", "SR-24",
        instead(DeviceSession, "_on_command", _counter_unchecked)),
    defect("deadline-unchecked", "a command is carried out past its deadline", "SR-24",
        instead(DeviceSession, "_on_command", _deadline_unchecked)),
    defect("tag-unchecked", "a command without the key's tag is carried out", "SR-24 SR-04",
        instead(DeviceSession, "_proved_by", _tag_unchecked)),
    defect("owner-unchecked", "a second controller takes the probe over", "SR-25",
        always(DeviceSession, "owned", value=False)),
    defect("owner-for-good", "ownership does not lapse without leases", "SR-26 SR-25",
        instead(DeviceSession, "on_bytes", _owner_for_good)),
    defect("lease-2s", "a lease lasts 2 s", "SR-01",
        constant("LEASE_LIFE_MS_MAX", 2_000),
        instead(DeviceSession, "_on_lease", _lease_lasts(2_000))),
    defect("lease-from-queue", "a lease that waited in a queue prolongs", "SR-01",
        instead(DeviceSession, "_on_lease", _lease_lasts(300))),
    defect("leases-add-up", "leases add up", "SR-01",
        instead(DeviceSession, "_on_lease", _leases_add_up),
        instead(DeviceSession, "lease_left_ms", _lease_as_it_says)),
    defect("profile-hash", "the probe says another profile's hash", "SR-28",
        instead(firmware_model, "identity", _says_other_profile)),
    defect("trip-untold", "no event tells of a trip", "SR-27",
        instead(FirmwareModel, "_report", _no_event(EventCode.TRIP))),
    defect("trip-mistold", "the event of a trip tells another cause", "SR-27",
        instead(FirmwareModel, "_report", _other_cause)),
)
# fmt: on
