"""Each of the probe's own interlocks while gas flows: it acts in time, and says why."""

from __future__ import annotations

from math import sqrt

import pytest

from cryoctl_hil.evidence.measure import Measure
from cryoctl_hil.evidence.measurement import when
from cryoctl_hil.rigs.injector import Injector
from cryoctl_hil.rigs.probe import Probe
from cryoctl_hil.rigs.rig import Rig
from cryoctl_hil.rigs.trip_check import TripCheck
from cryoctl_protocol.codes import DeviceState, HostMode, Op, SafeAction, ThawMode, Trip

faults = pytest.mark.needs("faults")
OPEN_AIR_BAR = 1.013
BOUNCE_S = 0.15
"""Long enough for every cause that counts samples, too short for the bench's own guard."""


def freeze(probe: Probe, *, duration_s: float = 60.0) -> None:
    """Freeze, and return with the valve open: a tip that stays warm is soon free again."""
    probe.freeze(duration_s=duration_s)
    probe.wait(lambda s: s.valve > 0.9, within_s=2.0, step="the valve opens")


def reading(value: float | None) -> float:
    assert value is not None, "the sensor has no reading"
    return value


def goes_on(probe: Probe, name: str, *, for_s: float = BOUNCE_S) -> None:
    """Fail if the probe trips within a while."""
    probe.let_pass(for_s)
    assert probe.state is DeviceState.FREEZE, f"{name}: tripped with {probe.trip.name}"


# -- the tip ---


@faults
@pytest.mark.requirement("SR-05")
def test_a_tip_at_the_floor_shuts_the_valve(
    probe: Probe, inject: Injector, tripped: TripCheck
) -> None:
    """A tip 1 °C above its floor goes on; half a degree below it the valve shuts in 100 ms."""
    floor_c = probe.profile.limits.tip_floor_c
    probe.freeze()
    probe.cool_to(-20.0)

    inject(shift(floor_c + 1.2 - reading(probe.sample.tip_temp_c)))
    goes_on(probe, "above the floor", for_s=0.06)
    below = inject(shift(floor_c - 0.5 - reading(probe.sample.tip_temp_c)))

    tripped(
        Trip.TIP_FLOOR,
        below,
        requirement="SR-05",
        action=SafeAction.THAW,
        seen=when("tip_temp_c", "<=", floor_c, after=below),
        safe_within_s=0.1,
    )


def shift(offset_c: float) -> str:
    """Return the fault that has the tip read so much too warm, at once."""
    return f"tc_spike(size_c={offset_c:.2f},period_s=0.01)"


@faults
@pytest.mark.requirement("SR-11")
def test_an_open_thermocouple_makes_safe(
    probe: Probe, inject: Injector, tripped: TripCheck
) -> None:
    """An open thermocouple leads to a safe probe within 100 ms, without heat."""
    freeze(probe)

    fault = inject("tc_open")

    seen = when("open_circuit", ">", 0.0, after=fault)
    tripped(
        Trip.TIP_SENSOR,
        fault,
        requirement="SR-11",
        action=SafeAction.OFF,
        seen=seen,
        safe_within_s=0.1,
    )


@faults
@pytest.mark.requirement("SR-11")
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param("tc_spike(size_c=-40,period_s=0.03)", id="steps"),
        pytest.param("tc_spike(size_c=100,period_s=0.01)", id="above_80"),
        pytest.param("tc_noise(rms_c=20)", id="noise"),
    ],
)
def test_a_tip_that_cannot_be_believed_makes_safe(
    probe: Probe, inject: Injector, tripped: TripCheck, fault: str
) -> None:
    """Three impossible samples of five, by their steps or their range, lead to a safe probe."""
    freeze(probe)
    probe.cool_to(-10.0)  # A warm tip with so much noise may be a hot one first.

    begun = inject(fault)

    tripped(Trip.TIP_SENSOR, begun, requirement="SR-11", action=SafeAction.OFF, safe_within_s=0.2)


@faults
@pytest.mark.requirement("SR-11")
def test_a_tip_colder_than_its_boiling_gas_is_not_believed(
    probe: Probe, inject: Injector, tripped: TripCheck
) -> None:
    """A reading far below what the gas can make is a broken sensor, not a tip at its floor."""
    freeze(probe)
    probe.cool_to(0.0)

    begun = inject(shift(-95.0 - reading(probe.sample.tip_temp_c)))

    tripped(Trip.TIP_SENSOR, begun, requirement="SR-11", action=SafeAction.OFF, safe_within_s=0.2)


@faults
@pytest.mark.requirement("SR-11")
def test_one_bad_sample_of_the_tip_is_passed_over(
    probe: Probe, inject: Injector, measure: Measure
) -> None:
    """Single bad samples of the tip, one in 100 ms, do not end a freeze."""
    freeze(probe)

    begun = inject("tc_spike(size_c=-40,period_s=0.1)")
    goes_on(probe, "single bad samples", for_s=1.0)

    measure.count("trips", "device", begun, event="TRIP", at_most=0.0)


# -- pressures and flow ---


@faults
@pytest.mark.requirement("SR-18")
def test_overpressure_shuts_the_supply(probe: Probe, inject: Injector, tripped: TripCheck) -> None:
    """1 bar below the trip pressure the freeze goes on; above it the supply shuts in 50 ms."""
    trip_bar = probe.profile.limits.pressure_trip_bar
    freeze(probe)

    inject(more_bar(trip_bar - 1.0 - reading(probe.sample.supply_pressure_bar)))
    goes_on(probe, "below the trip pressure")
    above = inject("pressure_offset(offset_bar=2.0)")

    tripped(
        Trip.OVERPRESSURE,
        above,
        requirement="SR-18",
        action=SafeAction.THAW,
        seen=when("supply_pressure_bar", ">", trip_bar, after=above),
        safe_within_s=0.05,
    )


def more_bar(offset_bar: float) -> str:
    """Return the fault that has the supply pressure read so much too high."""
    return f"pressure_offset(offset_bar={offset_bar:.2f})"


@faults
@pytest.mark.requirement("SR-18")
def test_a_blocked_exhaust_shuts_the_supply(
    probe: Probe, inject: Injector, tripped: TripCheck
) -> None:
    """0.3 bar below its trip pressure the freeze goes on; above it the supply shuts in 50 ms."""
    trip_bar = probe.profile.limits.exhaust_trip_bar
    freeze(probe)
    goes_on(probe, "an open exhaust", for_s=0.6)
    drop_bar = reading(probe.sample.exhaust_pressure_bar) - OPEN_AIR_BAR

    inject(narrowed(drop_bar, trip_bar - 0.3))
    goes_on(probe, "below the trip pressure", for_s=0.6)
    begun = inject(narrowed(drop_bar, trip_bar + 0.7))

    tripped(
        Trip.EXHAUST_BLOCKED,
        begun,
        requirement="SR-18",
        action=SafeAction.THAW,
        seen=when("exhaust_pressure_bar", ">", trip_bar, after=begun),
        safe_within_s=0.05,
    )


def narrowed(drop_bar: float, exhaust_bar: float) -> str:
    """Return the fault that has an exhaust with this drop come to a pressure, by its square."""
    opening = sqrt(drop_bar / (exhaust_bar - OPEN_AIR_BAR))
    return f"exhaust_blocked(open_fraction={opening:.3f})"


@faults
@pytest.mark.requirement("SR-18")
@pytest.mark.parametrize("fault", ["pressure_open", "flow_open"])
def test_gas_flows_only_while_it_is_seen(
    probe: Probe, inject: Injector, tripped: TripCheck, fault: str
) -> None:
    """A contact that bounces for 50 ms is passed over; one that stays open ends the freeze."""
    freeze(probe)

    inject(f"{fault}:0.05s")
    goes_on(probe, "a contact that bounces", for_s=0.2)
    begun = inject(fault)

    tripped(Trip.SENSOR_OPEN, begun, requirement="SR-18", action=SafeAction.THAW, safe_within_s=0.2)


# -- valve ---


@faults
@pytest.mark.requirement("SR-07")
def test_a_valve_that_stays_open_has_the_second_shut_off_close(
    probe: Probe, inject: Injector, tripped: TripCheck, measure: Measure
) -> None:
    """A stuck valve shuts the second shut-off coast_s + 300 ms after closing, or 200 ms later."""
    coast_s = probe.profile.limits.coast_s
    nominal_mg_s = probe.profile.limits.nominal_flow_mg_s
    freeze(probe)
    opened = probe.mark("valve open")
    probe.let_pass(1.0)
    measure.reading(
        "flow through the open valve", "exhaust_flow_mg_s", "max", opened, probe.mark("it flows"),
        at_least=0.5 * nominal_mg_s, at_most=1.3 * nominal_mg_s, unit="mg/s",
    )  # fmt: skip

    inject("valve_stuck_open")
    told = probe.mark("told to shut")
    probe.command(Op.THAW, mode=ThawMode.PASSIVE)

    shut = when("valve", "==", 0.0, after=told)
    tripped(Trip.VALVE_STUCK, told, requirement="SR-07", action=SafeAction.THAW)
    closed = when("shutoff_open", "==", 0.0, after=shut)
    measure.time("told to second shut-off", shut, closed, at_most_s=coast_s + 0.5)
    measure.time("and not before the line is empty", shut, closed, at_least_s=coast_s)


@faults
@pytest.mark.requirement("SR-07")
def test_a_tip_that_goes_on_falling_is_a_stuck_valve(
    probe: Probe, inject: Injector, tripped: TripCheck
) -> None:
    """A cold tip that falls by more than 1 °C/s although the valve is shut is a stuck valve."""
    coast_s = probe.profile.limits.coast_s
    probe.freeze()
    probe.cool_to(-25.0)

    told = probe.mark("told to shut")
    probe.command(Op.THAW, mode=ThawMode.PASSIVE)
    inject("tc_drift(rate_c_per_s=-14,max_c=55)")

    tripped(
        Trip.VALVE_STUCK,
        told,
        requirement="SR-07",
        action=SafeAction.THAW,
        within_s=coast_s + 2.0,
    )


@faults
@pytest.mark.requirement("SR-07")
def test_flow_alone_shows_a_stuck_valve(
    probe: Probe, inject: Injector, tripped: TripCheck, measure: Measure
) -> None:
    """A valve that lets through a fifth of the flow is stuck, however warm the tip is."""
    coast_s = probe.profile.limits.coast_s
    freeze(probe)

    inject("valve_leak(opening=0.2)")
    told = probe.mark("told to shut")
    probe.command(Op.THAW, mode=ThawMode.PASSIVE)

    shut = when("valve", "==", 0.0, after=told)
    latched = tripped(Trip.VALVE_STUCK, told, requirement="SR-07", action=SafeAction.THAW)
    measure.time("shut to told", shut, latched, at_most_s=coast_s + 0.5)


@faults
@pytest.mark.requirement("SR-08")
def test_a_little_flow_for_a_second_is_a_leak(
    probe: Probe, inject: Injector, tripped: TripCheck, measure: Measure
) -> None:
    """Between 5 and 10 % of flow with the valve shut are told as a leak within 2 s."""
    limits = probe.profile.limits
    freeze(probe)

    inject("valve_leak(opening=0.045)")
    told = probe.mark("told to shut")
    probe.command(Op.THAW, mode=ThawMode.PASSIVE)

    shut = when("valve", "==", 0.0, after=told)
    latched = tripped(Trip.LEAK, told, requirement="SR-08", action=SafeAction.THAW)
    measure.time("shut to leak told", shut, latched, at_most_s=limits.coast_s + 2.0)
    measure.time("and not in the first second", shut, latched, at_least_s=limits.coast_s + 0.9)


@faults
@pytest.mark.requirement("SR-08")
def test_less_flow_is_no_leak(probe: Probe, inject: Injector, measure: Measure) -> None:
    """Flow well below 5 % with the valve shut is noise, and no leak."""
    freeze(probe)

    begun = inject("valve_leak(opening=0.02)")
    probe.command(Op.THAW, mode=ThawMode.PASSIVE)
    probe.let_pass(probe.profile.limits.coast_s + 1.6)

    measure.count("trips", "device", begun, event="TRIP", at_most=0.0)


# -- time ---


@pytest.mark.requirement("SR-09")
def test_the_probe_ends_a_freeze_by_itself(probe: Probe, measure: Measure) -> None:
    """A freeze of 2 s that nobody ends is over after 2.0 to 2.1 s."""
    probe.start()
    asked = probe.mark("freeze")
    probe.freeze(duration_s=2.0, begun=True)
    probe.wait_for_state(DeviceState.THAW, within_s=3.0)
    probe.let_pass(0.1)

    begun = when("state", "==", float(DeviceState.FREEZE), after=asked)
    ended = when("state", "==", float(DeviceState.THAW), after=begun)
    measure.time("freeze", begun, ended, at_least_s=1.9, at_most_s=2.1)
    end = probe.mark("end")
    measure.reading(
        "by its own count", "freeze_s", "max", begun, end, at_least=1.9, at_most=2.1, unit="s"
    )
    measure.reading("valve", "valve", "max", ended, end, at_most=0.0)


@faults
@pytest.mark.requirement("SR-09")
def test_a_sequence_that_stands_still_is_ended_by_the_freeze_timer(
    probe: Probe, inject: Injector, tripped: TripCheck, measure: Measure
) -> None:
    """A freeze of 1 s whose sequence hangs trips the freeze timer within 100 ms more."""
    probe.start()
    inject("stuck_scheduler")
    asked = probe.mark("freeze")
    probe.freeze(duration_s=1.0, begun=True)

    latched = tripped(Trip.FREEZE_TIMER, asked, requirement="SR-09", action=SafeAction.THAW)

    begun = when("state", "==", float(DeviceState.FREEZE), after=asked)
    measure.time("freeze", begun, latched, at_least_s=0.9, at_most_s=1.1)


@faults
@pytest.mark.requirement("SR-09")
@pytest.mark.time_limit(400)
def test_no_freeze_is_longer_than_180_s(
    probe: Probe, rig: Rig, inject: Injector, tripped: TripCheck, measure: Measure
) -> None:
    """A freeze of 180 s whose sequence hangs is over after 180.1 s at the most."""
    if rig.table.quick:
        pytest.skip("takes 180 s and 5 g of gas: not in a quick run")
    probe.start()
    inject("stuck_scheduler")
    asked = probe.mark("freeze")
    probe.freeze(probe.profile.limits.setpoint_max_c, duration_s=180.0, begun=True)

    latched = tripped(
        Trip.FREEZE_TIMER, asked, requirement="SR-09", action=SafeAction.THAW, within_s=182.0
    )

    begun = when("state", "==", float(DeviceState.FREEZE), after=asked)
    measure.time("freeze", begun, latched, at_most_s=180.1)


# -- power, skin ---


@faults
@pytest.mark.requirement("SR-36")
def test_a_low_battery_ends_the_freeze(probe: Probe, inject: Injector, tripped: TripCheck) -> None:
    """50 mV above its limit the freeze goes on; below it the probe is safe within 500 ms."""
    min_v = probe.profile.limits.battery_min_mv / 1000.0
    freeze(probe)
    full_v = reading(probe.sample.battery_v)

    inject(sag(full_v - min_v - 0.05))
    goes_on(probe, "above the limit", for_s=0.25)
    begun = inject(sag(full_v - min_v + 0.05))

    tripped(
        Trip.BATTERY,
        begun,
        requirement="SR-36",
        action=SafeAction.OFF,
        seen=when("battery_v", "<", min_v, after=begun),
        safe_within_s=0.5,
    )


def sag(sag_v: float) -> str:
    """Return the fault that takes so much off the battery."""
    return f"vbat_low(sag_mv={sag_v * 1000.0:.0f})"


@faults
@pytest.mark.requirement("SR-42")
def test_hot_skin_ends_the_freeze(probe: Probe, inject: Injector, tripped: TripCheck) -> None:
    """Skin at 42 °C is borne; above 43 °C for 100 ms warmer and freeze end within 200 ms."""
    freeze(probe)

    inject(warm_skin(42.0 - reading(probe.sample.skin_temp_c)))
    goes_on(probe, "skin below 43 °C", for_s=0.6)
    begun = inject(warm_skin(44.5 - reading(probe.sample.skin_temp_c)))

    tripped(
        Trip.SKIN_HOT,
        begun,
        requirement="SR-42",
        action=SafeAction.OFF,
        seen=when("skin_temp_c", ">", 43.0, after=begun),
        safe_within_s=0.3,
    )


def warm_skin(offset_c: float) -> str:
    """Return the fault that has the skin read so much too warm, within half a second."""
    rate = 50.0 if offset_c > 0.0 else -50.0
    return f"skin_drift(rate_c_per_s={rate:g},max_c={abs(offset_c):.2f})"


# -- who is in charge ---


@pytest.mark.requirement("SR-01")
def test_a_silent_controller_ends_the_freeze(
    probe: Probe, tripped: TripCheck, measure: Measure
) -> None:
    """One lost lease is passed over; without any the valve is shut within 500 ms."""
    freeze(probe)

    set_leasing(probe, leases=False)
    probe.let_pass(0.1)
    set_leasing(probe, leases=True)
    goes_on(probe, "one lost lease", for_s=0.3)
    silent = probe.mark("silent")
    set_leasing(probe, leases=False)

    latched = tripped(
        Trip.LEASE, silent, requirement="SR-01", action=SafeAction.OFF, safe_within_s=0.4
    )
    over = when("lease_left_s", "<=", 0.0, after=silent)
    measure.time("lease over to safe", over, latched, at_most_s=0.05)
    measure.time("the lease lasts", silent, latched, at_least_s=0.2)


def set_leasing(probe: Probe, *, leases: bool) -> None:
    host = probe.host
    probe.call(lambda _now_s: setattr(host, "leasing", leases))


def set_claim(probe: Probe, claim: HostMode | None) -> None:
    host = probe.host
    probe.call(lambda _now_s: setattr(host, "claim", claim))


@pytest.mark.requirement("SR-01")
def test_a_controller_that_knows_of_no_freeze_ends_it(probe: Probe, tripped: TripCheck) -> None:
    """One lease that claims another mode is passed over; three end the freeze."""
    freeze(probe)

    set_claim(probe, HostMode.IDLE)
    probe.let_pass(0.1)
    set_claim(probe, HostMode.FREEZE)
    goes_on(probe, "one wrong claim", for_s=0.3)
    wrong = probe.mark("claims IDLE")
    set_claim(probe, HostMode.IDLE)

    tripped(
        Trip.MODE_MISMATCH,
        wrong,
        requirement="SR-01",
        action=SafeAction.THAW,
        safe_within_s=0.5,
    )


@pytest.mark.requirement("SR-23")
def test_a_line_that_spoils_frames_ends_the_freeze(probe: Probe, tripped: TripCheck) -> None:
    """Five spoilt frames in a second are passed over; the sixth ends the freeze."""
    freeze(probe)

    spoil(probe, 5)
    goes_on(probe, "five spoilt frames", for_s=1.2)
    spoil(probe, 5)
    goes_on(probe, "five spoilt frames again")
    sixth = probe.mark("sixth")
    spoil(probe, 1)

    tripped(Trip.INTEGRITY, sixth, requirement="SR-23", action=SafeAction.THAW, safe_within_s=0.2)


def spoil(probe: Probe, count: int) -> None:
    """Send so many frames whose checksum is none."""
    for _ in range(count):
        probe.drive.send_raw(b"\x7fno frame of ours")
