"""Everything the firmware remembers, in one struct of integers.

Counters that grow while something lasts are in ms or in ticks of 10 ms, and start again at 0.
In C they are 32 bits wide and stay at their largest value after 24 days, far beyond every limit.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cryoctl_protocol.codes import DeviceState, SafeAction, Trip


@dataclass(slots=True)
class Outputs:
    """What the firmware drives; the hardware takes it over at the end of each tick."""

    valve_permille: int = 0
    shutoff_open: bool = False
    tip_heater_permille: int = 0
    heater_supply_on: bool = False
    """Switch in series with the heater's own: a driver that is stuck on heats nothing alone."""
    skin_warmer_permille: int = 0
    warmer_supply_on: bool = False
    """The same in series with the warmer's."""
    led: bool = False
    beeper: bool = False
    stimulus_ua: int = 0
    stimulus_hz: int = 0
    stimulus_pulse_us: int = 0


@dataclass(slots=True)
class FirmwareState:
    """The firmware's memory; the session keeps its own."""

    outputs: Outputs = field(default_factory=Outputs)
    now_ms: int = 0
    step_ms: int = 10
    """Since the last tick by the clock, and never less than a tick should take."""
    tick_count: int = 0
    greeted: bool = False

    # Sequence.
    state: int = int(DeviceState.IDLE)
    state_since_ms: int = 0
    trip: int = int(Trip.NONE)
    """First cause, kept until cleared."""
    trips_seen: int = 0
    """Bit per cause since the first, so that each is reported once."""
    action: int = int(SafeAction.OFF)
    quiet_ms: int = 0
    """How long no cause has been present while SAFE or FAULT."""
    pending_op: int = 0
    """Command whose second answer is owed; 0 for none."""
    pending_counter: int = 0

    # What the operator has authorised.
    treatment_hash: int = 0
    cycles_armed: int = 0
    cycles_left: int = 0
    leak_test_passed: bool = False
    leak_test_ms: int = 0

    # Tests.
    test_start_mbar: int = 0
    test_sum_mbar: int = 0
    test_samples: int = 0
    test_last_mbar: int = 0
    test_still_ms: int = 0
    """How long the pressure has read the very same."""
    test_failed: bool = False

    # Prewarm, freeze and thaw.
    prewarm_ms: int = 0
    """Counted in ticks, as the freeze is."""
    setpoint_mdegc: int = 0
    phase_limit_ms: int = 0
    freeze_ms: int = 0
    """Counted in ticks, not by the clock that the sequence ends a freeze by."""
    approaching: bool = False
    """The valve is fully open until the tip nears the set-point."""
    integral_upermille: int = 0
    heating: bool = False
    heater_budget_uj: int = 0
    heater_energy_uj: int = 0
    heater_on_ms: int = 0
    warm_ms: int = 0

    # Stimulation, as it was asked for.
    stimulus_ua: int = 0
    stimulus_hz: int = 0
    stimulus_pulse_us: int = 0
    stimulus_ms: int = 0
    """Counted in ticks, as the freeze is."""
    stimulus_since_ms: int = 0

    # Controller.
    lease_left_ms: int = 0
    leases_seen: int = 0
    mode_mismatches: int = 0
    owned: bool = False
    frames_rejected: int = 0
    """Within the last second."""
    driving: bool = False
    """An output is on that must not stay on without a lease."""

    # Sensing.
    tip_seen: bool = False
    tip_raw_mdegc: int = 0
    tip_mdegc: int = 0
    """Last plausible sample."""
    tip_plausible: bool = False
    tip_history: int = 0
    """Last five samples, newest in bit 0, 1 for bad."""
    tip_bad_samples: int = 0
    tip_fast: int = 0
    """Filtered tip, 80 ms, in 1/256 milli-degree."""
    tip_slow: int = 0
    tip_rate_mdegc_s: int = 0
    tip_rated: bool = False
    """The filters follow the tip; False until a plausible sample starts them anew."""
    valve_shut_ms: int = 0
    """Since power-up at the most: nobody knows what the valve did before."""
    flow_stuck_ticks: int = 0
    falling_ticks: int = 0
    leak_ms: int = 0
    overpressure_ticks: int = 0
    exhaust_ticks: int = 0
    guards_open_ticks: int = 0
    skin_hot_ticks: int = 0
    battery_low_ms: int = 0
