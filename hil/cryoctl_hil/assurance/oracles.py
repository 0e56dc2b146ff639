"""Two oracles over a controller and a simulated probe: is it ever unsafe, and does it still treat?

They look at what the firmware drives, at what its sensors told it and at the plant's truth, never
at what an interlock has found: a broken interlock must show here. Their numbers are literals of
the requirements, not those that the code under watch decides by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from cryoctl.core import Controller
from cryoctl.cycle_table import Phase
from cryoctl_protocol.codes import DeviceState, Sensor
from cryoctl_simulator.device import SimulatedDevice
from cryoctl_simulator.firmware import Firmware

TRUE_TIP_COLDEST_C: Final = -100.0
"""Below this the injury of a nerve turns towards irreversible; no cell may come to it."""
TRUE_TIP_HOTTEST_C: Final = 60.0
"""43 C of SR-16, and 0.25 s of sensor lag and 0.2 s to act at the 30 C/s of 1.5 W in air."""
UNLEASED_S_MAX: Final = 0.36
"""SR-01: 300 ms of the last lease that was taken, 50 ms to act, and the tick that heard it."""
_EPSILON_S: Final = 1e-6

_IDLE: Final = int(DeviceState.IDLE)
_ARMED: Final = int(DeviceState.ARMED)
_STARTED: Final = int(DeviceState.STARTED)
_FREEZE: Final = int(DeviceState.FREEZE)
_THAW: Final = int(DeviceState.THAW)
_STIMULATE: Final = int(DeviceState.STIMULATE)
_LATCHED: Final = (int(DeviceState.SAFE), int(DeviceState.FAULT))
_AUTHORISED: Final = (_STARTED, int(DeviceState.PREWARM), _FREEZE, _THAW)
_TRIPPED: Final = (Phase.SAFE, Phase.FAULT)
_TIP: Final = int(Sensor.TIP)
_SUPPLY: Final = int(Sensor.SUPPLY_PRESSURE)


class Rule(NamedTuple):
    """Something that may hold for so long and no longer.

    Attributes:
        requirement: Whose bound it is.
        text: What must not go on, for people.
        within_s: How long it may hold; 0 is not at all.
        holds: Whether it holds after this tick, of a probe that has power.
    """

    requirement: str
    text: str
    within_s: float
    holds: Callable[[Controller, SimulatedDevice, Firmware], bool]


def _is_too_cold(c: Controller, device: SimulatedDevice, firmware: Firmware) -> bool:
    out, reading = firmware.state.outputs, device.instruments.readings
    return out.valve_permille > 0 and reading.tip_mdegc <= c.profile.limits.tip_floor_c * 1000.0


def _freezes_blind(c: Controller, device: SimulatedDevice, firmware: Firmware) -> bool:
    reading = device.instruments.readings
    return firmware.state.outputs.valve_permille > 0 and bool(reading.open_circuit & _TIP)


def _drains_too_long(c: Controller, device: SimulatedDevice, firmware: Firmware) -> bool:
    s = firmware.state
    if not s.outputs.shutoff_open or s.state != _THAW:
        return False
    return s.valve_shut_ms > c.profile.limits.coast_s * 1000.0 + 1_500


def _two_outputs(c: Controller, device: SimulatedDevice, firmware: Firmware) -> bool:
    out = firmware.state.outputs
    on = (out.valve_permille > 0) + (out.tip_heater_permille > 0) + (out.stimulus_ua > 0)
    return on > 1


def _heats_hot(c: Controller, device: SimulatedDevice, firmware: Firmware) -> bool:
    if firmware.state.outputs.tip_heater_permille <= 0:
        return False
    return device.instruments.readings.tip_mdegc > 43_000


def _heats_blind(c: Controller, device: SimulatedDevice, firmware: Firmware) -> bool:
    if firmware.state.outputs.tip_heater_permille <= 0:
        return False
    return bool(device.instruments.readings.open_circuit & _TIP)


def _heats(c: Controller, device: SimulatedDevice, firmware: Firmware) -> bool:
    return firmware.state.outputs.tip_heater_permille > 0


def _heats_too_much(c: Controller, device: SimulatedDevice, firmware: Firmware) -> bool:
    s = firmware.state
    return s.outputs.tip_heater_permille > 0 and s.heater_energy_uj > 5_250_000


def _feeds_under_pressure(c: Controller, device: SimulatedDevice, firmware: Firmware) -> bool:
    reading = device.instruments.readings
    if not firmware.state.outputs.shutoff_open or reading.open_circuit & _SUPPLY:
        return False
    return reading.supply_mbar > c.profile.limits.pressure_trip_bar * 1000.0


def _is_driven(firmware: Firmware) -> bool:
    out = firmware.state.outputs
    return out.valve_permille > 0 or out.tip_heater_permille > 0 or out.stimulus_ua > 0


def _freezes(c: Controller, device: SimulatedDevice, firmware: Firmware) -> bool:
    return firmware.state.state == _FREEZE and not device.research


def _valve_out_of_freeze(c: Controller, device: SimulatedDevice, firmware: Firmware) -> bool:
    s = firmware.state
    return s.outputs.valve_permille > 0 and s.state != _FREEZE


def _stimulates_elsewhere(c: Controller, device: SimulatedDevice, firmware: Firmware) -> bool:
    s = firmware.state
    return s.outputs.stimulus_ua > 0 and s.state != _STIMULATE


def _cools_after_trip(c: Controller, device: SimulatedDevice, firmware: Firmware) -> bool:
    return firmware.state.outputs.valve_permille > 0 and c.phase in _TRIPPED


RULES: Final = (
    Rule("SR-05", "valve open with the tip's reading at or below the floor", 0.10, _is_too_cold),
    Rule("SR-11", "valve open with the tip's sensor open", 0.10, _freezes_blind),
    Rule("SR-07", "second shut-off open long after the valve was shut", 0.0, _drains_too_long),
    Rule("SR-15", "two of valve, tip heater and stimulator on together", 0.0, _two_outputs),
    Rule("SR-16", "tip heater on with the tip's reading above 43 C", 0.20, _heats_hot),
    Rule("SR-16", "tip heater on with the tip's sensor open", 0.20, _heats_blind),
    Rule("SR-16", "tip heater on for more than 20 s", 20.2, _heats),
    Rule("SR-16", "tip heater on after 5 J in one thaw", 0.20, _heats_too_much),
    Rule(
        "SR-18", "supply open with its pressure above the trip value", 0.05, _feeds_under_pressure
    ),
    Rule("SR-09", "one freeze longer than 180 s", 180.1, _freezes),
    Rule("SR-26", "valve open outside FREEZE", 0.0, _valve_out_of_freeze),
    Rule("SR-41", "stimulator on outside STIMULATE", 0.0, _stimulates_elsewhere),
    # STOP may be lost on the way; then leases end after 1 s, the last one lasts 300 ms and 50 more.
    Rule("SR-26", "valve open after the controller has tripped", 1.40, _cools_after_trip),
)


class SafetyWatch:
    """Watches a running world: ``look`` after every step of 10 ms, ``violations`` at the end.

    A world that was forked or loaded may be looked at by a new watch, or by the old one: it then
    takes what it finds as authorised.

    Attributes:
        violations: ``REQUIREMENT at TIME s: what``, each once for as long as it lasts.
    """

    def __init__(self) -> None:
        self.violations: list[str] = []
        self._since_s: list[float | None] = [None] * len(RULES)
        self._told = [False] * len(RULES)
        self._tick_count = -1
        self._state = _IDLE
        self._trip = 0
        self._authorised = True
        self._phase = Phase.DISCONNECTED
        self._was_too_cold = False
        self._was_too_hot = False
        self._leases = -1
        self._leased_s = 0.0
        self._told_unleased = False

    def look(self, controller: Controller, device: SimulatedDevice, now_s: float) -> None:
        """Judge the world as it is after a step."""
        self._look_at_tip(device.plant.tip_temp_c, now_s)
        firmware = device.firmware
        if firmware is None:
            self._tick_count = 0
        else:
            self._look_at_rules(controller, device, firmware, now_s)
            self._look_at_leases(firmware, now_s)
            self._follow_state(firmware, now_s)
        phase = controller.phase
        if phase is not self._phase:
            self._follow_phase(controller, phase, now_s)
            self._phase = phase

    def _look_at_tip(self, tip_c: float, now_s: float) -> None:
        is_too_cold, is_too_hot = tip_c <= TRUE_TIP_COLDEST_C, tip_c > TRUE_TIP_HOTTEST_C
        if is_too_cold and not self._was_too_cold:
            self._violate("SR-05", now_s, f"true tip at {tip_c:.1f} C, coldest allowed -100 C")
        if is_too_hot and not self._was_too_hot:
            self._violate("SR-16", now_s, f"true tip at {tip_c:.1f} C, hottest allowed 60 C")
        self._was_too_cold, self._was_too_hot = is_too_cold, is_too_hot

    def _look_at_leases(self, firmware: Firmware, now_s: float) -> None:
        """Count from the lease that was taken, not by what the firmware makes of it."""
        count = firmware.state.leases_seen
        if count != self._leases:
            self._leases, self._leased_s = count, now_s
        elif _is_driven(firmware) and now_s - self._leased_s > UNLEASED_S_MAX + _EPSILON_S:
            if not self._told_unleased:
                self._violate("SR-01", now_s, "an output on 0.36 s after the last lease")
            self._told_unleased = True
            return
        self._told_unleased = False

    def _look_at_rules(
        self, controller: Controller, device: SimulatedDevice, firmware: Firmware, now_s: float
    ) -> None:
        for index, rule in enumerate(RULES):
            if not rule.holds(controller, device, firmware):
                self._since_s[index] = None
                self._told[index] = False
                continue
            since_s = self._since_s[index]
            if since_s is None:
                self._since_s[index] = since_s = now_s
            if now_s - since_s + _EPSILON_S < rule.within_s or self._told[index]:
                continue
            self._told[index] = True
            for_s = f" for {now_s - since_s:.2f} s" if rule.within_s else ""
            self._violate(rule.requirement, now_s, f"{rule.text}{for_s}")

    def _follow_state(self, firmware: Firmware, now_s: float) -> None:
        """SR-26 and SR-27: how a probe may come to freeze, and how it may leave a trip."""
        s = firmware.state
        is_boot = s.tick_count == 1
        is_next = s.tick_count == self._tick_count + 1
        self._tick_count = s.tick_count
        was, trip = self._state, self._trip
        self._state, self._trip = s.state, s.trip
        if is_boot:
            self._authorised = False
        elif not is_next:
            self._authorised = True  # Another world: nobody saw how it came about.
        else:
            self._judge_change(firmware, was, trip, now_s)
        if s.state not in _AUTHORISED:
            self._authorised = False

    def _judge_change(self, firmware: Firmware, was: int, trip: int, now_s: float) -> None:
        s = firmware.state
        if was == _ARMED and s.state == _STARTED:
            self._authorised = True
        if s.state == _FREEZE and not self._authorised:
            self._violate("SR-26", now_s, "FREEZE without ARM and START")
        if was not in _LATCHED:
            return
        if s.state not in (*_LATCHED, _IDLE):
            self._violate("SR-27", now_s, f"a trip was left for {DeviceState(s.state).name}")
        # A CLEAR and a STOP of another cause in one tick leave nothing of the old one.
        was_cleared = not s.trips_seen >> trip & 1
        if s.state in _LATCHED and s.trip != trip and not was_cleared:
            self._violate("SR-27", now_s, f"the first cause {trip} became {s.trip}")

    def _follow_phase(self, controller: Controller, phase: Phase, now_s: float) -> None:
        if self._phase is Phase.SAFE and phase not in (Phase.FAULT, Phase.DISCONNECTED):
            self._violate("SR-27", now_s, f"SAFE was left for {phase}")
        if self._phase is Phase.FAULT and phase in (Phase.COOLING, Phase.HOLD, Phase.ARMED):
            self._violate("SR-26", now_s, f"FAULT was left for {phase}")
        if phase is Phase.RELEASE:
            sample = controller.sample
            tip_c = None if sample is None else sample.tip_temp_c
            if tip_c is None or tip_c <= 0.0:
                self._violate("SR-14", now_s, f"RELEASE with the tip's reading at {tip_c} C")

    def _violate(self, requirement: str, now_s: float, text: str) -> None:
        self.violations.append(f"{requirement} at {now_s:.2f} s: {text}")


class GoldenCycle(NamedTuple):
    """How one freeze of a healthy probe goes, as a range of what the plant's truth may be.

    Attributes:
        verdict: Of the cycle.
        reach_s: Valve open to band.
        held_fraction: Least share of the hold within the band.
        radius_minus20_mm: True radius at -20 C when the freeze ends.
        thaw_s: Valve shut to RELEASE.
    """

    verdict: str
    reach_s: tuple[float, float]
    held_fraction: float
    radius_minus20_mm: tuple[float, float]
    thaw_s: tuple[float, float]


def does_not_treat(
    controller: Controller, radius_minus20_mm: Sequence[float], golden: Sequence[GoldenCycle]
) -> list[str]:
    """Return how a finished run falls short of the golden trace of its treatment; else nothing.

    Args:
        controller: At the end of the run.
        radius_minus20_mm: True radius at the end of each freeze.
        golden: One row a cycle.
    """
    wrong = []
    if controller.trips:
        causes = ", ".join(record.notice.trip.name for record in controller.trips)
        wrong.append(f"tripped: {causes}")
    if controller.phase is not Phase.COMPLETE:
        wrong.append(f"ended in {controller.phase}, not in COMPLETE: {controller.failure}")
    if len(controller.cycles) != len(golden):
        wrong.append(f"{len(controller.cycles)} cycles of {len(golden)}")
    for cycle, radius_mm, row in zip(controller.cycles, radius_minus20_mm, golden, strict=False):
        seen: Mapping[str, tuple[float | None, tuple[float, float]]] = {
            "time to band in s": (cycle.time_to_setpoint_s, row.reach_s),
            "share of the hold in band": (cycle.hold_in_band_fraction, (row.held_fraction, 1.0)),
            "radius at -20 C in mm": (radius_mm, row.radius_minus20_mm),
            "thaw in s": (cycle.thaw_s, row.thaw_s),
        }
        verdict = "none" if cycle.verdict is None else cycle.verdict.value
        if verdict != row.verdict:
            wrong.append(f"cycle {cycle.index}: verdict {verdict}, not {row.verdict}")
        for name, (value, (low, high)) in seen.items():
            if value is None or not low <= value <= high:
                wrong.append(f"cycle {cycle.index}: {name} {value}, not {low} to {high}")
    return wrong
