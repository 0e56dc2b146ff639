"""What must hold in every step of the probe's firmware, in the figures of the requirements.

The judge sees what anybody outside could: readings, requests, answers, outputs. It keeps a ledger
of its own, and shares no constant with the firmware.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, Self

from cryoctl_protocol.codes import Answer, DeviceState, Op, SafeAction
from cryoctl_protocol.messages import Command, Stop
from cryoctl_simulator.firmware_state import FirmwareState

_LATCHED: Final = (DeviceState.SAFE, DeviceState.FAULT)
_TICK_MS: Final = 10


class Around(NamedTuple):
    """What is so around the probe, in the words of the inputs, and since when."""

    tip: str
    gas: str
    lease: str
    now_ms: int


class Heard(NamedTuple):
    """What went in and came out in one tick.

    Attributes:
        answers: Operation and answer.
        tripped: The probe told of a trip.
    """

    request: Command | Stop | None
    answers: tuple[tuple[int, int], ...]
    tripped: bool

    def took(self, op: Op) -> bool:
        """Return True if the probe accepted ``op`` in this tick."""
        return (op, Answer.ACCEPTED) in self.answers


class Before(NamedTuple):
    """How the firmware stood before a tick."""

    state: int
    trip: int
    valve_open: bool

    @classmethod
    def of(cls, s: FirmwareState) -> Self:
        """Return how it stands now."""
        return cls(s.state, s.trip, s.outputs.valve_permille > 0)


class Ledger(NamedTuple):
    """What an observer knows of one probe; times are on its clock, -1 is never.

    Attributes:
        armed_ms: When ARM was taken.
        cycles_armed: What it named.
        cycles_left: Freezes that ARM and START still allow (SR-26).
        freeze_until_ms: When the freeze that was taken must have ended.
        valve_off_ms: Since when the valve is off.
        quiet_ms: Since when no cause of a trip has been there for 50 ms.
        tip_ms: Since when the tip reads what it reads.
        gas_ms: Since when the gas side does.
    """

    armed_ms: int = -1
    cycles_armed: int = 0
    cycles_left: int = 0
    freeze_until_ms: int = -1
    valve_off_ms: int = 0
    quiet_ms: int = 0
    tip_ms: int = 0
    gas_ms: int = 0


_TIP_CAUSES: Final = ("tip at its floor", "tip at 44 C", "tip at 90 C", "tip sensor open")
_GAS_CAUSES: Final = ("supply at 68.1 bar", "exhaust at 2.51 bar")


def followed(ledger: Ledger, s: FirmwareState, heard: Heard, around: Around) -> Ledger:
    """Return the ledger after a tick."""
    now_ms = around.now_ms
    armed_ms, cycles_armed, cycles_left = ledger.armed_ms, ledger.cycles_armed, ledger.cycles_left
    freeze_until_ms, quiet_ms = ledger.freeze_until_ms, ledger.quiet_ms
    request = heard.request
    if isinstance(request, Command):
        if heard.took(Op.ARM):
            armed_ms, cycles_armed = now_ms, request.cycles
        elif heard.took(Op.START):
            armed_ms, cycles_left = -1, cycles_armed
        elif heard.took(Op.FREEZE):
            cycles_left -= 1
            freeze_until_ms = now_ms + request.duration_ms + 100  # SR-09
        elif heard.took(Op.THAW):
            freeze_until_ms = -1
        elif heard.took(Op.END):
            armed_ms, cycles_left, freeze_until_ms = -1, 0, -1
    if _ends_all(heard, around):
        armed_ms, cycles_left, freeze_until_ms = -1, 0, -1
    if isinstance(request, Stop) or heard.tripped or _has_cause(ledger, around):
        quiet_ms = now_ms
    return Ledger(
        armed_ms, cycles_armed, cycles_left, freeze_until_ms,
        now_ms if s.outputs.valve_permille > 0 else ledger.valve_off_ms,
        quiet_ms, ledger.tip_ms, ledger.gas_ms,
    )  # fmt: skip


def _ends_all(heard: Heard, around: Around) -> bool:
    if isinstance(heard.request, Stop):
        return True
    if heard.tripped:
        return True
    return around.lease == "owner gone"


def _has_cause(ledger: Ledger, around: Around) -> bool:
    """Return True while a cause is there for longer than any debouncing takes."""
    if around.tip in _TIP_CAUSES:
        return around.now_ms - ledger.tip_ms >= 50
    if around.gas in _GAS_CAUSES:
        return around.now_ms - ledger.gas_ms >= 50
    return False


class Step(NamedTuple):
    """One tick as the claims see it."""

    before: Before
    s: FirmwareState
    heard: Heard
    around: Around
    was: Ledger
    ledger: Ledger

    @property
    def tip_for_ms(self) -> int:
        """How long the tip has read the same."""
        return self.around.now_ms - self.ledger.tip_ms

    @property
    def gas_for_ms(self) -> int:
        """How long the gas side has read the same."""
        return self.around.now_ms - self.ledger.gas_ms

    @property
    def off_for_ms(self) -> int:
        """How long the valve has been off."""
        return self.around.now_ms - self.ledger.valve_off_ms


def _is_driven(s: FirmwareState) -> bool:
    """Return True if an output is on that must not stay on without a lease."""
    out = s.outputs
    on = out.valve_permille + out.tip_heater_permille + out.skin_warmer_permille + out.stimulus_ua
    return on > 0


def _is_shut(s: FirmwareState) -> bool:
    return s.outputs.valve_permille == 0 and not s.outputs.shutoff_open


def _never_two(t: Step) -> bool:
    out = t.s.outputs
    on = (out.valve_permille > 0) + (out.tip_heater_permille > 0) + (out.stimulus_ua > 0)
    return on <= 1


def _valve_is_authorised(t: Step) -> bool:
    return t.s.outputs.valve_permille == 0 or t.ledger.freeze_until_ms >= 0


def _freeze_is_counted(t: Step) -> bool:
    return not t.heard.took(Op.FREEZE) or t.was.cycles_left >= 1


def _start_follows_arm(t: Step) -> bool:
    if not t.heard.took(Op.START):
        return True
    return t.was.armed_ms >= 0 and t.around.now_ms - t.was.armed_ms <= 10_000


def _freeze_ends(t: Step) -> bool:
    return t.s.outputs.valve_permille == 0 or t.around.now_ms <= t.ledger.freeze_until_ms


def _latched_until_clear(t: Step) -> bool:
    if t.before.state not in _LATCHED:
        return True
    return t.s.state in _LATCHED or t.heard.took(Op.CLEAR)


def _first_cause_stays(t: Step) -> bool:
    if t.before.trip == 0 or t.heard.took(Op.CLEAR):
        return True
    return t.s.trip == t.before.trip


def _clear_only_when_quiet(t: Step) -> bool:
    return not t.heard.took(Op.CLEAR) or t.around.now_ms - t.ledger.quiet_ms >= 1_000


def _off_without_lease(t: Step) -> bool:
    return t.around.lease in ("lease, idle", "lease, freezing") or not _is_driven(t.s)


def _nothing_left_without_owner(t: Step) -> bool:
    if t.around.lease != "owner gone":
        return True
    return t.s.cycles_left == 0 and t.s.state not in (DeviceState.ARMED, DeviceState.STARTED)


def _stop_is_obeyed(t: Step) -> bool:
    if not isinstance(t.heard.request, Stop):
        return True
    out = t.s.outputs
    if t.heard.request.action == SafeAction.OFF and out.tip_heater_permille > 0:
        return False
    off = out.skin_warmer_permille == 0 and out.stimulus_ua == 0
    return off and _is_shut(t.s) and t.s.state in _LATCHED


def _latched_is_safe(t: Step) -> bool:
    if t.s.state not in _LATCHED:
        return True
    return _is_shut(t.s) and t.s.outputs.stimulus_ua == 0


def _shuts_on_pressure(t: Step) -> bool:
    return t.around.gas not in _GAS_CAUSES or t.gas_for_ms < 50 or _is_shut(t.s)


def _shuts_at_floor(t: Step) -> bool:
    # The fall to the floor is one impossible step; the sample after it counts.
    return t.around.tip != "tip at its floor" or t.tip_for_ms < 20 or _is_shut(t.s)


def _safe_without_tip(t: Step) -> bool:
    if t.around.tip not in ("tip sensor open", "tip at 90 C") or t.tip_for_ms < 50:
        return True
    return not _is_driven(t.s) or t.s.state == DeviceState.PREWARM


def _heater_off_when_hot(t: Step) -> bool:
    hot = t.around.tip == "tip at 44 C" and t.tip_for_ms >= 50
    return not hot or t.s.outputs.tip_heater_permille == 0


def _heater_within_limits(t: Step) -> bool:
    if t.s.outputs.tip_heater_permille == 0:
        return True
    return t.s.heater_energy_uj <= 5_000_000 and t.s.heater_on_ms <= 20_000


def _stops_on_leak(t: Step) -> bool:
    leaks = t.around.gas in ("flow of 2.5 mg/s", "flow of 5 mg/s")
    # 2 s of coast, 1 s of flow, and one tick at each end.
    both_ms = min(t.off_for_ms - 2_000, t.gas_for_ms)
    return not leaks or both_ms < 1_000 + 2 * _TICK_MS or t.s.state in _LATCHED


def _stops_on_stuck_valve(t: Step) -> bool:
    flows = t.around.gas == "flow of 5 mg/s"
    both_ms = min(t.off_for_ms - 2_300, t.gas_for_ms)
    return not flows or both_ms < 200 or (_is_shut(t.s) and t.s.state in _LATCHED)


def _stops_on_battery(t: Step) -> bool:
    low = t.around.gas == "battery at 3.2 V" and t.gas_for_ms >= 500
    # A thaw in the safe state goes on: it spends less than the freeze that it ends.
    return not low or t.s.outputs.valve_permille == 0


def _stops_on_rejects(t: Step) -> bool:
    rejected = t.around.gas == "6 frames rejected" and t.before.valve_open
    return not rejected or t.s.outputs.valve_permille == 0


def _stops_blind(t: Step) -> bool:
    blind = t.around.gas == "flow sensor open" and t.gas_for_ms >= 120
    return not blind or t.s.outputs.valve_permille == 0


def _stimulates_when_proved(t: Step) -> bool:
    if t.s.outputs.stimulus_ua == 0:
        return True
    # The counter of the firmware runs one tick ahead of the outputs that it judges.
    warm = t.around.tip == "tip at 36 C" or t.tip_for_ms < 50
    return warm and t.off_for_ms + _TICK_MS > 2_300 and not t.s.outputs.shutoff_open


CLAIMS: Final[tuple[tuple[str, str, Callable[[Step], bool]], ...]] = (
    ("SR-15", "no two of valve, tip heater and stimulator are on", _never_two),
    ("SR-26", "the valve is on by an accepted FREEZE alone", _valve_is_authorised),
    ("SR-26", "each FREEZE is one of those that ARM and START allowed", _freeze_is_counted),
    ("SR-26", "START follows ARM within 10 s", _start_follows_arm),
    ("SR-26", "without an owner nothing is authorised", _nothing_left_without_owner),
    ("SR-09", "a freeze ends 100 ms after its time at the latest", _freeze_ends),
    ("SR-27", "SAFE and FAULT end with CLEAR alone", _latched_until_clear),
    ("SR-27", "the first cause stays", _first_cause_stays),
    ("SR-27", "CLEAR is taken 1 s after the last cause at the earliest", _clear_only_when_quiet),
    ("SR-01", "nothing is on without a lease", _off_without_lease),
    ("SR-24", "STOP makes safe in its own tick", _stop_is_obeyed),
    ("SR-26", "a latched probe passes no gas and does not stimulate", _latched_is_safe),
    ("SR-18", "overpressure and a blocked exhaust shut both valves in 50 ms", _shuts_on_pressure),
    ("SR-05", "a tip at its floor shuts both valves", _shuts_at_floor),
    ("SR-11", "without a believable tip nothing cools, heats or stimulates", _safe_without_tip),
    ("SR-16", "no heat above 43 C", _heater_off_when_hot),
    ("SR-16", "no heat beyond 5 J or 20 s", _heater_within_limits),
    ("SR-08", "flow with the valve shut is found in a second", _stops_on_leak),
    ("SR-07", "a stuck valve is found 300 ms after its coast", _stops_on_stuck_valve),
    ("SR-36", "a low battery ends a freeze in 500 ms", _stops_on_battery),
    ("SR-23", "6 rejected frames end a freeze", _stops_on_rejects),
    ("SR-18", "no gas flows unseen for longer than 100 ms", _stops_blind),
    ("SR-41", "stimulation needs a shut valve and a warm tip", _stimulates_when_proved),
)


def broken_claims(step: Step) -> list[str]:
    """Return every claim that this step breaks."""
    return [f"{requirement}: {text}" for requirement, text, holds in CLAIMS if not holds(step)]
