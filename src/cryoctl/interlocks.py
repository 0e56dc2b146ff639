"""The host's interlocks: first on every sample, most dangerous first, independent of the probe's.

Every check is a list of early returns with one condition each: covering its branches covers its
decisions. A check returns the first limit that is broken, or None.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from cryoctl.sample import Sample, sensor_names
from cryoctl.saturation import saturation_temp_c
from cryoctl_protocol.codes import DeviceState, Sensor, Trip
from cryoctl_protocol.profile import Limits
from cryoctl_protocol.wrapping import until_ms

TIP_MIN_PLAUSIBLE_C: Final = -92.0  # SR-11: colder than N2O can make; a broken sensor.
TIP_MAX_PLAUSIBLE_C: Final = 80.0  # SR-11
BELOW_SATURATION_C: Final = 4.0  # SR-11: margin below the boiling point at exhaust pressure.
STEP_MAX_C_PER_S: Final = 250.0  # SR-11: real rates reach 120 C/s at valve transitions.
BAD_SAMPLES: Final = 3  # SR-11: this many of the last five.
_FIVE_SAMPLES: Final = 0b11111
FLOW_STOPPED_FRACTION: Final = 0.10  # SR-07: of nominal flow.
FALLING_C_PER_S: Final = -1.0  # SR-07
COLD_TIP_C: Final = -10.0  # Warmer than this a tip may cool by itself after an active thaw.
CLOSE_MARGIN_S: Final = 0.3  # SR-07: beyond the profile's coast.
LEAK_FRACTION: Final = 0.05  # SR-08: of nominal flow.
LEAK_S: Final = 1.0  # SR-08
STILL_C: Final = 0.05  # SR-12: a real sensor's noise moves more.
STILL_S: Final = 1.0  # SR-12
RESIDUAL_C: Final = 8.0  # SR-12: heat drawn by the gas against a model of the ice.
RESIDUAL_S: Final = 1.0  # SR-12
COOLING_PROOF_S: Final = 3.0  # A probe falls tens of degrees in this time.
COOLING_PROOF_C: Final = 5.0
SKIN_COLD_S: Final = 0.5  # SR-17
SKIN_HOT_C: Final = 43.0  # SR-42: what skin bears for as long as a treatment lasts.
SKIN_HOT_S: Final = 0.1  # SR-42: two readings of a slow sensor.
GUARD_STILL_S: Final = 2.0  # SR-43: a hundred samples without a change of the last digit.
SKIN_STILL_S: Final = 5.0  # SR-43: a slow sensor's; fifty readings.
FLOW_HIGH_FRACTION: Final = 1.30  # SR-20: of nominal flow.
FLOW_HIGH_S: Final = 0.3  # SR-20
GUARDS_OPEN_S: Final = 0.1  # Longer than a contact that bounces.
REJECTS_MAX: Final = 5  # SR-23, within 1 s.
TICK_AGE_MAX_S: Final = 0.15  # SR-35
HEATER_ENERGY_MARGIN_J: Final = 0.25  # Over the device's own budget, which trips first.
_PROVED_C: Final = float("-inf")  # Began cold enough: nothing to ask until the next freeze.
VALVE_OPEN: Final = 0.05  # Duty from which a valve counts as open.
_FILTER_TAU_S: Final = 0.3
_RATE_SPAN_S: Final = 0.5

# Plain integers: an enumeration's own operators take ten times as long, and this is every sample.
_TIP: Final = int(Sensor.TIP)
_SKIN: Final = int(Sensor.SKIN)
_GUARDS: Final = int(Sensor.SUPPLY_PRESSURE | Sensor.EXHAUST_PRESSURE | Sensor.EXHAUST_FLOW)
_FREEZE: Final = int(DeviceState.FREEZE)
_GUARD_READINGS: Final = (
    ("supply pressure", GUARD_STILL_S),
    ("exhaust pressure", GUARD_STILL_S),
    ("exhaust flow", GUARD_STILL_S),
    ("skin", SKIN_STILL_S),
)
"""What moves while gas flows, and how long it may read the very same."""


class TripNotice(NamedTuple):
    """A broken limit: what, the value seen, the limit, their unit, and what else to say."""

    trip: Trip
    value: float
    limit: float
    unit: str
    detail: str = ""


def command_failed(detail: str) -> TripNotice:
    """Return the trip of a command that did not have its effect; ``detail`` says which and why."""
    return TripNotice(Trip.COMMAND_FAILED, 0.0, 0.0, "", detail)


@dataclass(slots=True)
class Memory:
    """What the checks must remember between samples."""

    last_s: float | None = None
    last_tip_c: float | None = None
    last_device_ms: int = 0
    bad_history: int = 0
    tip_good: bool = False
    valve_shut_s: float | None = None
    filtered_tip_c: float | None = None
    rate_from_c: float = 0.0
    rate_from_s: float = 0.0
    tip_rate_c_per_s: float = 0.0
    leak_s: float | None = None
    still_tip_c: float | None = None
    still_s: float = 0.0
    residual_c: float | None = None
    residual_s: float | None = None
    open_s: float | None = None
    open_tip_c: float = 0.0
    skin_cold_s: float | None = None
    skin_hot_s: float | None = None
    guards: tuple[float | None, ...] = (None, None, None, None)
    guards_moved_s: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    flow_high_s: float | None = None
    guards_open_s: float | None = None
    heater_on_s: float | None = None


Check = Callable[[Sample, Memory, Limits, float], TripNotice | None]


@dataclass(slots=True)
class Interlocks:
    """All host interlocks over the samples of one session; ``extra`` ones come after ours."""

    limits: Limits
    gas: str
    memory: Memory = field(default_factory=Memory)
    extra: tuple[Check, ...] = ()

    def check(self, sample: Sample, now_s: float, *, rejects: int) -> list[TripNotice]:
        """Return every limit that ``sample`` breaks, most dangerous first.

        Args:
            sample: The newest valid telemetry.
            now_s: When it arrived.
            rejects: Frames rejected in the last second.
        """
        memory = self.memory
        limits = self.limits
        remember(memory, sample, now_s, self.gas, limits.exhaust_trip_bar)
        # All of them, always: one that lasts must neither hide another nor stop its clock.
        broken = []
        for check in (*_CHECKS, *self.extra):
            notice = check(sample, memory, limits, now_s)
            if notice is not None:
                broken.append(notice)
        notice = too_many_rejects(sample, rejects)
        if notice is not None:
            broken.append(notice)
        return broken

    @property
    def valve_is_proved(self) -> bool:
        """True once the valve has been shut for so long that SR-07 would have found it stuck."""
        last_s = self.memory.last_s
        if last_s is None:
            return False
        return not is_coasting(self.memory, self.limits, last_s)


def remember(
    memory: Memory, sample: Sample, now_s: float, gas: str, exhaust_trip_bar: float
) -> None:
    """Bring the memory up to this sample; plausibility is judged before anything else."""
    tip_c = sample.tip_temp_c
    if tip_c is not None:
        bad = is_implausible(sample, tip_c, memory, gas, exhaust_trip_bar)
        memory.tip_good = not bad
        memory.bad_history = (memory.bad_history << 1 | bad) & _FIVE_SAMPLES
        memory.last_tip_c = tip_c
        memory.last_device_ms = sample.device_ms
        if not bad:  # A spike would look like a fall of a hundred degrees a second.
            _follow_rate(memory, tip_c, now_s)
        elif memory.bad_history.bit_count() >= BAD_SAMPLES:
            memory.filtered_tip_c = None  # A rate of before the sensor broke is no rate of now.
            memory.tip_rate_c_per_s = 0.0
    memory.last_s = now_s
    if sample.valve > 0.0:
        memory.valve_shut_s = None
        memory.leak_s = None
    elif memory.valve_shut_s is None:
        memory.valve_shut_s = now_s
    if sample.tip_heater <= 0.0:
        memory.heater_on_s = None
    elif memory.heater_on_s is None:
        memory.heater_on_s = now_s


def is_implausible(
    sample: Sample, tip_c: float, memory: Memory, gas: str, exhaust_trip_bar: float
) -> bool:
    """Return True if no tip can have this temperature now (SR-11)."""
    if sample.open_circuit & _TIP:
        return True
    if tip_c < TIP_MIN_PLAUSIBLE_C:
        return True
    if tip_c > TIP_MAX_PLAUSIBLE_C:
        return True
    exhaust_bar = sample.exhaust_pressure_bar
    if exhaust_bar is not None:
        # A blocked exhaust has an interlock of its own and must not make the tip look false.
        exhaust_bar = min(exhaust_bar, exhaust_trip_bar)
        if tip_c < saturation_temp_c(gas, exhaust_bar) - BELOW_SATURATION_C:
            return True
    last_tip_c = memory.last_tip_c
    if last_tip_c is None:
        return False
    # By the device's clock: samples that a link delivers in one bunch were still taken apart.
    span_s = until_ms(memory.last_device_ms, sample.device_ms) / 1000.0
    return abs(tip_c - last_tip_c) > STEP_MAX_C_PER_S * span_s


def _follow_rate(memory: Memory, tip_c: float, now_s: float) -> None:
    """Filter the tip and take its slope over half a second: noise must not look like cooling."""
    filtered_c = memory.filtered_tip_c
    if filtered_c is None:
        memory.filtered_tip_c = memory.rate_from_c = tip_c
        memory.rate_from_s = now_s
        return
    assert memory.last_s is not None
    step_s = now_s - memory.last_s
    filtered_c += (tip_c - filtered_c) * (step_s / (_FILTER_TAU_S + step_s))
    memory.filtered_tip_c = filtered_c
    span_s = now_s - memory.rate_from_s
    if span_s >= _RATE_SPAN_S:
        memory.tip_rate_c_per_s = (filtered_c - memory.rate_from_c) / span_s
        memory.rate_from_c = filtered_c
        memory.rate_from_s = now_s


# -- the checks, one for each requirement ---


def tip_sensor(sample: Sample, memory: Memory, limits: Limits, now_s: float) -> TripNotice | None:
    """SR-11: three implausible samples in five mean a broken sensor."""
    if memory.bad_history.bit_count() < BAD_SAMPLES:
        return None
    if sample.open_circuit & _TIP:
        return TripNotice(Trip.TIP_SENSOR, 0.0, 0.0, "", "open circuit")
    tip_c = 0.0 if sample.tip_temp_c is None else sample.tip_temp_c
    detail = "3 of 5 samples impossible"
    return TripNotice(Trip.TIP_SENSOR, tip_c, TIP_MIN_PLAUSIBLE_C, "°C", detail)


def tip_floor(sample: Sample, memory: Memory, limits: Limits, now_s: float) -> TripNotice | None:
    """SR-05: the first plausible sample at or below the profile's floor."""
    tip_c = sample.tip_temp_c
    if tip_c is None:
        return None
    if tip_c > limits.tip_floor_c:
        return None
    if not memory.tip_good:
        return None
    return TripNotice(Trip.TIP_FLOOR, tip_c, limits.tip_floor_c, "°C")


def overpressure(sample: Sample, memory: Memory, limits: Limits, now_s: float) -> TripNotice | None:
    """SR-18: supply pressure above the profile's trip value."""
    pressure_bar = sample.supply_pressure_bar
    if pressure_bar is None:
        return None
    if pressure_bar <= limits.pressure_trip_bar:
        return None
    return TripNotice(Trip.OVERPRESSURE, pressure_bar, limits.pressure_trip_bar, "bar")


def exhaust_blocked(
    sample: Sample, memory: Memory, limits: Limits, now_s: float
) -> TripNotice | None:
    """SR-18: a blocked exhaust warms the tip while the supply looks normal."""
    pressure_bar = sample.exhaust_pressure_bar
    if pressure_bar is None:
        return None
    if pressure_bar <= limits.exhaust_trip_bar:
        return None
    return TripNotice(Trip.EXHAUST_BLOCKED, pressure_bar, limits.exhaust_trip_bar, "bar")


def outputs_overlap(
    sample: Sample, memory: Memory, limits: Limits, now_s: float
) -> TripNotice | None:
    """SR-15, SR-41: two of valve, tip heater and stimulator are never on together."""
    if sample.stimulus_ma > 0.0:
        if sample.valve > 0.0:
            return TripNotice(Trip.OUTPUTS_OVERLAP, sample.stimulus_ma, 0.0, "mA")
        if sample.tip_heater > 0.0:
            return TripNotice(Trip.OUTPUTS_OVERLAP, sample.stimulus_ma, 0.0, "mA")
    if sample.valve <= 0.0:
        return None
    if sample.tip_heater <= 0.0:
        return None
    return TripNotice(Trip.OUTPUTS_OVERLAP, sample.tip_heater, 0.0, "fraction")


def heater(sample: Sample, memory: Memory, limits: Limits, now_s: float) -> TripNotice | None:
    """SR-16: tip too hot, more heater energy than one thaw may take, or heater on too long."""
    tip_c = sample.tip_temp_c
    if tip_c is not None:
        if tip_c > limits.heater_tip_max_c:
            if memory.tip_good:
                return TripNotice(Trip.HEATER, tip_c, limits.heater_tip_max_c, "°C")
    energy_max_j = limits.thaw_energy_j_max + HEATER_ENERGY_MARGIN_J
    if sample.thaw_energy_j > energy_max_j:
        return TripNotice(Trip.HEATER, sample.thaw_energy_j, energy_max_j, "J")
    if memory.heater_on_s is None:
        return None
    heating_s = now_s - memory.heater_on_s
    if heating_s <= limits.heater_on_s_max:
        return None
    return TripNotice(Trip.HEATER, heating_s, limits.heater_on_s_max, "s")


def valve_stuck(sample: Sample, memory: Memory, limits: Limits, now_s: float) -> TripNotice | None:
    """SR-07: flow or cooling goes on although the valve is shut and the line has emptied."""
    if is_coasting(memory, limits, now_s):
        return None
    flow_mg_s = sample.exhaust_flow_mg_s
    if flow_mg_s is not None:
        flow_max_mg_s = FLOW_STOPPED_FRACTION * limits.nominal_flow_mg_s
        if flow_mg_s > flow_max_mg_s:
            return TripNotice(Trip.VALVE_STUCK, flow_mg_s, flow_max_mg_s, "mg/s")
    filtered_c = memory.filtered_tip_c
    if filtered_c is None:
        return None
    if filtered_c >= COLD_TIP_C:
        return None
    if memory.tip_rate_c_per_s >= FALLING_C_PER_S:
        return None
    return TripNotice(Trip.VALVE_STUCK, memory.tip_rate_c_per_s, FALLING_C_PER_S, "°C/s")


def is_coasting(memory: Memory, limits: Limits, now_s: float) -> bool:
    """Return True while the valve is open, or so lately shut that gas may still flow (SR-07)."""
    if memory.valve_shut_s is None:
        return True
    return now_s - memory.valve_shut_s <= limits.coast_s + CLOSE_MARGIN_S


def leak(sample: Sample, memory: Memory, limits: Limits, now_s: float) -> TripNotice | None:
    """SR-08: a little flow for a second although the valve is shut."""
    if memory.valve_shut_s is None:
        return None
    if now_s - memory.valve_shut_s <= limits.coast_s:
        return None
    flow_mg_s = sample.exhaust_flow_mg_s
    if flow_mg_s is None:
        memory.leak_s = None
        return None
    flow_max_mg_s = LEAK_FRACTION * limits.nominal_flow_mg_s
    if flow_mg_s <= flow_max_mg_s:
        memory.leak_s = None
        return None
    if memory.leak_s is None:
        memory.leak_s = now_s
    if now_s - memory.leak_s < LEAK_S:
        return None
    return TripNotice(Trip.LEAK, flow_mg_s, flow_max_mg_s, "mg/s")


def skin_cold(sample: Sample, memory: Memory, limits: Limits, now_s: float) -> TripNotice | None:
    """SR-17: skin below its limit for half a second while freezing."""
    if sample.state != _FREEZE:
        memory.skin_cold_s = None
        return None
    skin_c = sample.skin_temp_c
    if skin_c is None:
        if not sample.open_circuit & _SKIN:  # Not fitted; else nobody knows how cold it is.
            return None
    elif skin_c >= limits.skin_min_c:
        memory.skin_cold_s = None
        return None
    if memory.skin_cold_s is None:
        memory.skin_cold_s = now_s
    if now_s - memory.skin_cold_s < SKIN_COLD_S:
        return None
    if skin_c is None:
        return TripNotice(Trip.SKIN_COLD, 0.0, 0.0, "", "skin sensor open")
    return TripNotice(Trip.SKIN_COLD, skin_c, limits.skin_min_c, "°C")


def skin_hot(sample: Sample, memory: Memory, limits: Limits, now_s: float) -> TripNotice | None:
    """SR-42: skin above 43 C at any time, or warmed while nobody can measure it."""
    skin_c = sample.skin_temp_c
    if skin_c is None:
        if sample.skin_warmer <= 0.0:
            memory.skin_hot_s = None
            return None
    elif skin_c <= SKIN_HOT_C:
        memory.skin_hot_s = None
        return None
    if memory.skin_hot_s is None:
        memory.skin_hot_s = now_s
    if now_s - memory.skin_hot_s < SKIN_HOT_S:
        return None
    if skin_c is None:
        return TripNotice(Trip.SKIN_HOT, 0.0, 0.0, "", "skin warmed while its sensor is open")
    return TripNotice(Trip.SKIN_HOT, skin_c, SKIN_HOT_C, "°C")


def frozen_reading(
    sample: Sample, memory: Memory, limits: Limits, now_s: float
) -> TripNotice | None:
    """SR-12: with the valve open a live sensor always moves, if only by its noise."""
    tip_c = sample.tip_temp_c
    if tip_c is None:
        return None
    if sample.valve <= VALVE_OPEN:
        memory.still_tip_c = None
        return None
    if memory.still_tip_c is None:
        memory.still_tip_c = tip_c
        memory.still_s = now_s
        return None
    if abs(tip_c - memory.still_tip_c) >= STILL_C:
        memory.still_tip_c = tip_c
        memory.still_s = now_s
        return None
    if now_s - memory.still_s <= STILL_S:
        return None
    return TripNotice(Trip.TIP_FROZEN_READING, abs(tip_c - memory.still_tip_c), STILL_C, "°C")


def frozen_guard(sample: Sample, memory: Memory, limits: Limits, now_s: float) -> TripNotice | None:
    """SR-43: while gas flows, the last digit of pressures, flow and skin moves."""
    if sample.valve <= VALVE_OPEN:
        memory.guards = (None, None, None, None)
        return None
    guards = (
        sample.supply_pressure_bar,
        sample.exhaust_pressure_bar,
        sample.exhaust_flow_mg_s,
        sample.skin_temp_c,
    )
    before, moved_s = memory.guards, memory.guards_moved_s
    memory.guards = guards
    memory.guards_moved_s = tuple(
        since_s if value == last else now_s
        for value, last, since_s in zip(guards, before, moved_s, strict=True)
    )
    for (name, longest_s), value, since_s in zip(
        _GUARD_READINGS, guards, memory.guards_moved_s, strict=True
    ):
        if value is None:
            continue
        still_s = now_s - since_s
        if still_s > longest_s:
            return TripNotice(Trip.READING_FROZEN, still_s, longest_s, "s", name)
    return None


def unexplained_reading(
    sample: Sample, memory: Memory, limits: Limits, now_s: float
) -> TripNotice | None:
    """SR-12: a tip that is not as cold as it reads, or colder, draws another heat."""
    residual_c = memory.residual_c
    if residual_c is None:
        memory.residual_s = None
        return None
    detail = _why_unexplained(residual_c)
    if not detail:
        memory.residual_s = None
        return None
    if memory.residual_s is None:
        memory.residual_s = now_s
    if now_s - memory.residual_s < RESIDUAL_S:
        return None
    return TripNotice(Trip.TIP_SENSOR, residual_c, RESIDUAL_C, "°C", detail)


def _why_unexplained(residual_c: float) -> str:
    if residual_c > RESIDUAL_C:
        return "warmer than the heat drawn explains"
    if residual_c < -RESIDUAL_C:
        return "colder than the heat drawn explains, or the needle has left the tissue"
    return ""


def no_cooling(sample: Sample, memory: Memory, limits: Limits, now_s: float) -> TripNotice | None:
    """SR-12: a freeze that began warm must show in the tip within three seconds."""
    tip_c = memory.filtered_tip_c
    if tip_c is None:
        return None
    if sample.state != _FREEZE:
        memory.open_s = None
        return None
    if memory.open_s is None:
        memory.open_s = now_s
        memory.open_tip_c = tip_c
    if memory.open_tip_c < COLD_TIP_C:
        return None
    if now_s - memory.open_s < COOLING_PROOF_S:
        return None
    warmest_c = memory.open_tip_c - COOLING_PROOF_C
    if tip_c <= warmest_c:
        memory.open_tip_c = _PROVED_C
        return None
    return TripNotice(Trip.NO_COOLING, tip_c, warmest_c, "°C")


def flow_high(sample: Sample, memory: Memory, limits: Limits, now_s: float) -> TripNotice | None:
    """SR-20: more gas than the needle can pass, for 300 ms, means it goes elsewhere."""
    flow_mg_s = sample.exhaust_flow_mg_s
    if flow_mg_s is None:
        memory.flow_high_s = None
        return None
    flow_max_mg_s = FLOW_HIGH_FRACTION * limits.nominal_flow_mg_s
    if flow_mg_s <= flow_max_mg_s:
        memory.flow_high_s = None
        return None
    if memory.flow_high_s is None:
        memory.flow_high_s = now_s
    if now_s - memory.flow_high_s < FLOW_HIGH_S:
        return None
    return TripNotice(Trip.FLOW_HIGH, flow_mg_s, flow_max_mg_s, "mg/s")


def sensor_open(sample: Sample, memory: Memory, limits: Limits, now_s: float) -> TripNotice | None:
    """SR-18: gas is let through only while its pressures and its flow can be seen."""
    guards = sample.open_circuit & _GUARDS
    if not guards:
        memory.guards_open_s = None
        return None
    if sample.state != _FREEZE:
        memory.guards_open_s = None
        return None
    if memory.guards_open_s is None:
        memory.guards_open_s = now_s
    if now_s - memory.guards_open_s < GUARDS_OPEN_S:
        return None
    return TripNotice(Trip.SENSOR_OPEN, 0.0, 0.0, "", f"{sensor_names(guards)} open")


def too_many_rejects(sample: Sample, rejects: int) -> TripNotice | None:
    """SR-23: a line that damages frames cannot be commanded over, if an output is on."""
    if rejects <= REJECTS_MAX:
        return None
    if sample.valve > 0.0:
        return TripNotice(Trip.INTEGRITY, rejects, REJECTS_MAX, "frames/s")
    if sample.tip_heater > 0.0:
        return TripNotice(Trip.INTEGRITY, rejects, REJECTS_MAX, "frames/s")
    if sample.stimulus_ma > 0.0:
        return TripNotice(Trip.INTEGRITY, rejects, REJECTS_MAX, "frames/s")
    return None


def tick_late(age_s: float) -> TripNotice | None:
    """SR-35: a loop that comes so late cannot be relied on; ``age_s`` is that of its last turn."""
    if age_s <= TICK_AGE_MAX_S:
        return None
    return TripNotice(Trip.TICK_LATE, age_s, TICK_AGE_MAX_S, "s")


def link_lost(age_s: float, lost_s: float) -> TripNotice | None:
    """SR-03: nobody knows what a probe does that has been silent for this long."""
    if age_s <= lost_s:
        return None
    return TripNotice(Trip.LINK, age_s, lost_s, "s")


_CHECKS: Final[tuple[Check, ...]] = (
    tip_sensor,
    tip_floor,
    overpressure,
    exhaust_blocked,
    outputs_overlap,
    heater,
    valve_stuck,
    leak,
    skin_cold,
    skin_hot,
    frozen_reading,
    frozen_guard,
    unexplained_reading,
    no_cooling,
    flow_high,
    sensor_open,
)
