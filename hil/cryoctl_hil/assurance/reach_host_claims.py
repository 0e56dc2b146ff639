"""What must hold in every step of the controller, in the figures of the requirements.

The judge sees what anybody outside could: telemetry, answers and requests that go in, frames that
come out, and the phase that is shown. It keeps a ledger of its own, and shares no constant with
the controller.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from cryoctl.cycle_table import Phase
from cryoctl_protocol.codes import DeviceState, Op
from cryoctl_protocol.messages import Command, Telemetry

TICK_S: Final = 0.05
_ROUNDING_S: Final = 1e-6
_NEVER_S: Final = -1e9
_LATCHED: Final = (Phase.SAFE, Phase.FAULT)
_QUIET: Final = (Phase.DISCONNECTED, Phase.CONNECTING)


class Sent(NamedTuple):
    """What one call of the controller sent.

    Attributes:
        commands: New ones.
        repeats: Those that nobody had answered, sent again.
        stops: How many.
        leases: How many.
    """

    commands: tuple[Command, ...]
    repeats: tuple[Command, ...]
    stops: int
    leases: int

    def has(self, op: Op) -> bool:
        """Return True if ``op`` went out."""
        return any(command.op == op for command in self.commands)


class Before(NamedTuple):
    """How the controller stood before a call, and how it stands now."""

    phase: Phase
    trips: tuple[int, ...]
    failed: bool


class Call(NamedTuple):
    """One call of the controller.

    Attributes:
        name: Of the input, or ``sample`` or ``tick``.
        taken: A request that was not refused.
        telemetry: What was shown, in a ``sample``.
        rejected: Frames rejected in the last second.
    """

    name: str
    taken: bool = False
    telemetry: Telemetry | None = None


class Ledger(NamedTuple):
    """What an observer knows of one controller; times are on its clock.

    Attributes:
        armed_s: When ARM was asked for and taken.
        freezes_left: Those that ARM and START still allow.
        cause_s: When a limit was last seen broken that trips at once.
        warm_s: Since when the tip is warm in this thaw.
        bad_samples: Without a tip, in a row.
        heard_s: When the last sample came.
        stop_s: When the last STOP went out.
        unsafe_s: Since when a trip has not been seen to be obeyed.
        reset_asked: RESET was taken and has not been followed yet.
        shown: The last sample.
    """

    armed_s: float = _NEVER_S
    freezes_left: int = 0
    cause_s: float = _NEVER_S
    warm_s: float = _NEVER_S
    bad_samples: int = 0
    heard_s: float = _NEVER_S
    stop_s: float = _NEVER_S
    unsafe_s: float = _NEVER_S
    reset_asked: bool = False
    shown: Telemetry | None = None


def shows_safe(shown: Telemetry) -> bool:
    """Return True if nothing is on and the probe says that it holds its safe state."""
    on = shown.valve_permille + shown.shutoff_open + shown.stimulus_ua
    return on == 0 and shown.state in (DeviceState.SAFE, DeviceState.FAULT)


def followed(  # noqa: PLR0917
    ledger: Ledger, call: Call, before: Before, after: Before, sent: Sent, now_s: float
) -> Ledger:
    """Return the ledger after a call."""
    if call.telemetry is not None:
        ledger = _seen(ledger, call.telemetry, now_s)
    if call.taken:
        ledger = _asked(ledger, call.name, now_s)
    if sent.has(Op.FREEZE):
        ledger = ledger._replace(freezes_left=ledger.freezes_left - 1)
    is_first_greeting = call.name == "greeted" and ledger.stop_s == _NEVER_S
    if sent.stops or is_first_greeting:  # Nobody could be told before.
        ledger = ledger._replace(stop_s=now_s)
    if after.phase is Phase.THAWING and before.phase is not Phase.THAWING:
        ledger = ledger._replace(warm_s=_NEVER_S)
    if after.phase in (*_QUIET, Phase.IDLE, Phase.COMPLETE, *_LATCHED):
        ledger = ledger._replace(armed_s=_NEVER_S, freezes_left=0)
    return _safing(ledger, before, after, now_s)


def _safing(ledger: Ledger, before: Before, after: Before, now_s: float) -> Ledger:
    if after.phase not in _LATCHED:
        return ledger._replace(unsafe_s=_NEVER_S, reset_asked=False)
    if before.phase is not Phase.SAFE and after.phase is Phase.SAFE:
        return ledger._replace(unsafe_s=now_s)
    return ledger


def _seen(ledger: Ledger, shown: Telemetry, now_s: float) -> Ledger:
    bad = ledger.bad_samples + 1 if shown.open_circuit & 1 else 0
    warm_s = ledger.warm_s
    if not bad:
        warm_s = max(warm_s, now_s) if warm_s == _NEVER_S else warm_s
        if shown.tip_mdegc <= 5_000:
            warm_s = _NEVER_S
    if bad >= 3:
        warm_s = _NEVER_S
    # One sample alone may be a false one (SR-11): a tip counts as hot from its second.
    was_hot = ledger.shown is not None and ledger.shown.tip_mdegc > 43_000
    is_hot = was_hot and shown.tip_mdegc > 43_000 and not bad
    has_cause = shown.supply_mbar > 68_000 or is_hot
    unsafe_s = ledger.unsafe_s
    if shows_safe(shown):
        unsafe_s = _NEVER_S
    elif unsafe_s == _NEVER_S:
        unsafe_s = now_s
    return ledger._replace(
        cause_s=now_s if has_cause else ledger.cause_s,
        warm_s=warm_s, bad_samples=bad, heard_s=now_s, unsafe_s=unsafe_s, shown=shown,
    )  # fmt: skip


def _asked(ledger: Ledger, request: str, now_s: float) -> Ledger:
    if request == "ARM":
        return ledger._replace(armed_s=now_s, freezes_left=0)
    if request == "START":
        return ledger._replace(armed_s=_NEVER_S, freezes_left=2)
    if request == "RESET":
        return ledger._replace(reset_asked=True)
    return ledger


class Step(NamedTuple):
    """One call as the claims see it."""

    call: Call
    before: Before
    after: Before
    sent: Sent
    was: Ledger
    ledger: Ledger
    knows_probe: bool
    pause_s: float
    raised: bool
    now_s: float


def _freeze_is_authorised(t: Step) -> bool:
    left = 2 if t.call.name == "START" and t.call.taken else t.was.freezes_left
    return not t.sent.has(Op.FREEZE) or left >= 1


def _start_follows_arm(t: Step) -> bool:
    if t.call.name != "START" or not t.call.taken:
        return True
    return t.now_s - t.was.armed_s <= 10.0 + _ROUNDING_S


def _arm_and_start_are_asked_for(t: Step) -> bool:
    if t.sent.has(Op.ARM) and t.before.phase is not Phase.READY:
        return False
    return not t.sent.has(Op.START) or t.before.phase is Phase.ARMED


def _nothing_while_stale(t: Step) -> bool:
    # The age is looked at with every tick: 50 ms, and a tick.
    is_silent = not t.sent.commands and not t.sent.repeats
    return is_silent or t.now_s - t.ledger.heard_s <= 0.05 + TICK_S + _ROUNDING_S


def _safe_leads_to_fault(t: Step) -> bool:
    return t.before.phase is not Phase.SAFE or t.after.phase in _LATCHED


def _fault_ends_by_request(t: Step) -> bool:
    if t.before.phase is not Phase.FAULT or t.after.phase in _LATCHED:
        return True
    if t.after.phase is Phase.DISCONNECTED:
        return t.call.name == "CLOSE"
    reset = t.call.name == "RESET" or t.was.reset_asked
    return reset and t.after.phase is Phase.IDLE


def _reset_only_when_quiet(t: Step) -> bool:
    if t.before.phase is not Phase.FAULT or t.after.phase is not Phase.IDLE:
        return True
    return t.now_s - t.ledger.cause_s >= 1.0 - _ROUNDING_S


def _first_cause_stays(t: Step) -> bool:
    if t.before.phase not in _LATCHED or t.after.phase not in _LATCHED:
        return True
    return t.after.trips[:1] == t.before.trips[:1]


def _a_trip_is_told(t: Step) -> bool:
    if t.after.phase is not Phase.SAFE or t.before.phase is Phase.SAFE:
        return True
    return t.sent.stops > 0 or not t.knows_probe


def _stop_is_repeated(t: Step) -> bool:
    if t.call.name != "tick" or t.after.phase is not Phase.SAFE:
        return True
    shown = t.ledger.shown
    is_fresh = t.now_s - t.ledger.heard_s <= 0.05 + _ROUNDING_S
    if is_fresh and shown is not None and shows_safe(shown):
        return True
    return t.now_s - t.ledger.stop_s <= 0.06 + 2 * TICK_S or not t.knows_probe or t.after.failed


def _operators_stop_goes_out(t: Step) -> bool:
    if t.call.name != "STOP" or t.before.failed or t.before.phase in _QUIET:
        return True
    if not t.knows_probe or t.sent.stops:
        return True
    if t.before.phase not in _LATCHED:
        return False
    # It was told already; a repeat is due 60 ms after the last one, or the safe state shows.
    shown = t.ledger.shown
    is_safe = shown is not None and shows_safe(shown)
    return is_safe or t.now_s - t.ledger.stop_s <= 0.06 + 2 * TICK_S


def _leases_end(t: Step) -> bool:
    if t.after.phase is not Phase.SAFE or not t.sent.leases or t.ledger.unsafe_s == _NEVER_S:
        return True
    return t.now_s - t.ledger.unsafe_s <= 1.0 + TICK_S + _ROUNDING_S


def _released_when_warm(t: Step) -> bool:
    if t.before.phase is not Phase.THAWING or t.after.phase is not Phase.RELEASE:
        return True
    return t.now_s - t.ledger.warm_s >= 2.0 - _ROUNDING_S and t.ledger.warm_s > _NEVER_S


def _stimulates_in_placement(t: Step) -> bool:
    # The probe judges a repeat; its bytes are void 250 ms after they were made.
    if not any(c.op == Op.STIMULATE and c.stimulus_ua > 0 for c in t.sent.commands):
        return True
    shown = t.ledger.shown
    if t.before.phase is not Phase.PLACEMENT or shown is None:
        return False
    is_shut = shown.valve_permille == 0 and shown.shutoff_open == 0
    return is_shut and shown.tip_heater_permille == 0 and shown.tip_mdegc > 20_000


def _safe_state_asks_for_nothing(t: Step) -> bool:
    if t.after.phase not in _LATCHED:
        return True
    return all(command.op == Op.CLEAR for command in t.sent.commands + t.sent.repeats)


def _pause_is_short(t: Step) -> bool:
    return t.pause_s <= 120.0 + _ROUNDING_S


def _alarm_ends_pause(t: Step) -> bool:
    return not t.raised or t.pause_s <= 0.0 or t.call.name == "PAUSE_AUDIO"


CLAIMS: Final[tuple[tuple[str, str, Callable[[Step], bool]], ...]] = (
    ("SR-26", "FREEZE is one of those that ARM and START allowed", _freeze_is_authorised),
    ("SR-26", "START is taken 10 s after ARM at the latest", _start_follows_arm),
    ("SR-26", "ARM goes out in READY alone, START in ARMED", _arm_and_start_are_asked_for),
    ("SR-03", "no command goes out while telemetry is stale", _nothing_while_stale),
    ("SR-27", "SAFE leads to FAULT alone", _safe_leads_to_fault),
    ("SR-27", "FAULT ends with RESET or CLOSE alone", _fault_ends_by_request),
    ("SR-27", "RESET is done 1 s after the last cause at the earliest", _reset_only_when_quiet),
    ("SR-27", "the first cause stays", _first_cause_stays),
    ("SR-27", "after a trip no command but CLEAR goes out", _safe_state_asks_for_nothing),
    ("SR-29", "a trip sends STOP in its own step", _a_trip_is_told),
    ("SR-29", "STOP is repeated until the safe state shows", _stop_is_repeated),
    ("SR-29", "the operator's STOP goes out at once", _operators_stop_goes_out),
    ("SR-01", "leases end 1 s after a STOP that is not obeyed", _leases_end),
    ("SR-14", "RELEASE needs a tip above 5 C for 2 s", _released_when_warm),
    ("SR-41", "STIMULATE needs PLACEMENT, a shut valve, a warm tip", _stimulates_in_placement),
    ("SR-32", "the sound pauses for 120 s at the most", _pause_is_short),
    ("SR-32", "a new alarm ends the pause", _alarm_ends_pause),
)


def broken_claims(step: Step) -> list[str]:
    """Return every claim that this call breaks."""
    return [f"{requirement}: {text}" for requirement, text, holds in CLAIMS if not holds(step)]
