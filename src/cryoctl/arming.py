"""Why a probe must not be armed now: the full list of reasons, none hiding another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from cryoctl.battery_charge import battery_left_j, battery_need_j
from cryoctl.sample import Sample, sensor_names
from cryoctl.storage import Storage
from cryoctl.treatment import Treatment
from cryoctl_protocol.codes import DeviceState, Sensor, Trip
from cryoctl_protocol.profile import Limits, Profile

RESERVE: Final = 1.2  # SR-22: gas and charge for the whole treatment, and 20 % more.
LEAK_TEST_LIFE_S: Final = 1800.0  # SR-19
_REQUIREMENT_OF: Final = {
    Sensor.SKIN: "SR-17",
    Sensor.SUPPLY_PRESSURE: "SR-18",
    Sensor.EXHAUST_PRESSURE: "SR-18",
    Sensor.EXHAUST_FLOW: "SR-20",
    Sensor.BATTERY: "SR-36",
}
"""What rests on a sensor; the others tell temperatures."""


class Blocker(NamedTuple):
    """One reason why ARM is not possible now: requirement, value seen, limit, what to do."""

    id: str
    value: str
    limit: str
    text: str


@dataclass(frozen=True, slots=True)
class ArmingView:
    """What the reasons are judged by.

    Attributes:
        limits: What the controller goes by: the profile's, or tighter.
        sample: Fresh telemetry, or None.
        probe_profile_hash: By the probe's HELLO.
        leak_test_age_s: Since a passed leak test of this probe in this session, or None.
        cartridge_g: Fill by the operator's word; None is a new cartridge.
        gas_used_g: Out of that cartridge, by the host's ledger.
        storage: How the recording stands.
    """

    treatment: Treatment
    profile: Profile
    limits: Limits
    sample: Sample | None
    probe_profile_hash: int
    leak_test_age_s: float | None
    cartridge_g: float | None
    gas_used_g: float
    storage: Storage


ArmCheck = Callable[[ArmingView], Iterable[Blocker]]


def planned_gas_g(treatment: Treatment, limits: Limits) -> float:
    """Return the gas a whole treatment needs at the profile's planning figure."""
    plan = treatment.cycles
    return plan.count * (plan.hold_s + limits.reach_s_max) * limits.gas_use_mg_s / 1000.0


def gas_need_g(treatment: Treatment, limits: Limits) -> float:
    """Return the gas that ARM asks for: what a whole treatment needs, and the reserve."""
    return RESERVE * planned_gas_g(treatment, limits)


def usable_gas_g(limits: Limits, cartridge_g: float | None) -> float:
    """Return the gas that can cool in a cartridge filled with ``cartridge_g``; None is full."""
    fill_g = limits.cartridge_fill_g if cartridge_g is None else cartridge_g
    return fill_g * limits.cartridge_usable_fraction


def arm_blockers(view: ArmingView, extra: Sequence[ArmCheck] = ()) -> list[Blocker]:
    """Return every reason why ARM is refused; ``extra`` checks can only add to ours."""
    if view.sample is None:
        return [Blocker("SR-03", "stale", "fresh", "no fresh telemetry")]
    return [
        *_session_reasons(view),
        *_gas_reasons(view, view.sample),
        *_battery_reasons(view, view.sample),
        *_probe_reasons(view.limits, view.sample),
        *(blocker for check in extra for blocker in check(view)),
    ]


def _session_reasons(view: ArmingView) -> Iterator[Blocker]:
    ours = view.profile.hash32
    if view.probe_profile_hash != ours:
        yield Blocker(
            "SR-28",
            f"{view.probe_profile_hash:08x}",
            f"{ours:08x}",
            "the probe's profile is not the one of this treatment",
        )
    age_s = view.leak_test_age_s
    if age_s is None:
        yield Blocker("SR-19", "none", "within 30 min", "no passed leak test")
    elif age_s > LEAK_TEST_LIFE_S:
        yield Blocker("SR-19", f"{age_s / 60.0:.0f} min", "within 30 min", "leak test too old")
    if view.storage.refuses_arming:
        yield Blocker("SR-33", view.storage.alarm, "recording", view.storage.text)


def _gas_reasons(view: ArmingView, sample: Sample) -> Iterator[Blocker]:
    limits = view.limits
    pressure_bar = sample.supply_pressure_bar
    if pressure_bar is not None and pressure_bar > limits.pressure_warn_bar:
        yield Blocker(
            "SR-18",
            f"{pressure_bar:.1f} bar",
            f"{limits.pressure_warn_bar:.1f} bar",
            "supply pressure too high: let the cartridge cool",
        )
    if pressure_bar is not None and pressure_bar < limits.pressure_low_bar:
        yield Blocker(
            "SR-22",
            f"{pressure_bar:.1f} bar",
            f"{limits.pressure_low_bar:.1f} bar",
            "supply pressure too low: change or warm the cartridge",
        )
    usable_g = usable_gas_g(limits, view.cartridge_g) - view.gas_used_g
    need_g = gas_need_g(view.treatment, limits)
    if usable_g < need_g:
        yield Blocker(
            "SR-22",
            f"{usable_g:.1f} g usable",
            f"{need_g:.1f} g",
            "not enough gas for all cycles: fewer cycles, a shorter hold or a new cartridge",
        )


def _battery_reasons(view: ArmingView, sample: Sample) -> Iterator[Blocker]:
    """SR-22: the charge of the whole treatment and 20 % more, by the voltage at rest."""
    battery, limits = view.profile.battery, view.limits
    if battery is None or sample.battery_v is None:
        return
    if sample.battery_v < limits.battery_min_mv / 1000.0:
        return  # Told as SR-36, with the same remedy.
    need_j = RESERVE * battery_need_j(view.treatment, limits, battery)
    left_j = battery_left_j(sample.battery_v, limits, battery)
    if left_j < need_j:
        yield Blocker(
            "SR-22",
            f"{left_j:.0f} J left at {sample.battery_v:.2f} V",
            f"{need_j:.0f} J",
            "not enough charge for all cycles: charge the handpiece, or plan fewer cycles",
        )


def _probe_reasons(limits: Limits, sample: Sample) -> Iterator[Blocker]:
    battery_v, battery_min_v = sample.battery_v, limits.battery_min_mv / 1000.0
    if battery_v is not None and battery_v < battery_min_v:
        yield Blocker(
            "SR-36",
            f"{battery_v:.2f} V",
            f"{battery_min_v:.2f} V",
            "battery too low: charge the handpiece",
        )
    if sample.tip_temp_c is None:
        yield Blocker("SR-11", "none", "fitted", "no tip sensor: nothing could be controlled by")
    for sensor in Sensor:
        if sample.open_circuit & sensor:
            name = sensor_names(sensor)
            yield Blocker(
                _REQUIREMENT_OF.get(sensor, "SR-11"),
                "open",
                "connected",
                f"{name} sensor open: mend its connection or use another probe",
            )
    if sample.state in (DeviceState.SAFE, DeviceState.FAULT):
        yield Blocker("SR-27", Trip(sample.trip).name, "none", "the probe holds a trip: clear it")
