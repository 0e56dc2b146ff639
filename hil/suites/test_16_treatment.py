"""Whole treatments by the production controller: what a patient's probe would do."""

from __future__ import annotations

import pytest

from cryoctl.core import Controller
from cryoctl.cycle_table import Phase
from cryoctl.treatment import Cycles, Prewarm, Thaw, Treatment
from cryoctl_hil.evidence.measure import Measure
from cryoctl_hil.rigs.injector import Injector
from cryoctl_hil.rigs.probe import Probe
from cryoctl_hil.rigs.rig import Rig

pytestmark = pytest.mark.requirement("SR-13")
LONG_HOLD_S = 60.0


def short_treatment(probe: Probe, *, count: int, hold_s: float) -> Treatment:
    """Return a treatment at the profile's own set-point, thawed by the heater."""
    setpoint_c = probe.treatment.cycles.setpoint_c
    return Treatment(
        schema=1,
        profile=probe.profile.probe.id,
        cycles=Cycles(count=count, setpoint_c=setpoint_c, hold_s=hold_s, pause_s=2.0),
        thaw=Thaw(mode="active"),
        prewarm=Prewarm(duration_s=2.0),
    )


def check_cycles(probe: Probe, measure: Measure, controller: Controller) -> None:
    """Measure each cycle against what SR-13 and the profile ask for."""
    limits = probe.profile.limits
    sr = "SR-13"
    measure.value("verdict", controller.verdict.value, exactly="PASS", requirement=sr)
    measure.value("phase", controller.phase.value, exactly=Phase.COMPLETE.value, requirement=sr)
    measure.value("trips", len(controller.trips), at_most=0, requirement=sr)
    for cycle in controller.cycles:
        of = f"cycle {cycle.index}:"
        verdict = "none" if cycle.verdict is None else cycle.verdict.value
        measure.value(f"{of} verdict", verdict, exactly="PASS", requirement=sr)
        to_band_s = cycle.time_to_setpoint_s
        assert to_band_s is not None
        assert cycle.tip_min_c is not None
        measure.value(
            f"{of} to the band", to_band_s, at_most=limits.reach_s_max, unit="s", requirement=sr
        )
        in_band = 100.0 * cycle.hold_in_band_fraction
        measure.value(f"{of} in the band", in_band, at_least=90.0, unit="%", requirement=sr)
        coldest_c = cycle.setpoint_c - limits.band_c
        measure.value(
            f"{of} coldest", cycle.tip_min_c, at_least=coldest_c, unit="°C", requirement=sr
        )
        assert cycle.thaw_s is not None
        measure.value(f"{of} thaw", cycle.thaw_s, at_least=2.0, unit="s", requirement="SR-14")


@pytest.mark.requirement("SR-14")
@pytest.mark.time_limit(300)
def test_a_short_treatment_passes(probe: Probe, rig: Rig, measure: Measure) -> None:
    """Two cycles of 10 s at the set-point (3 s in a quick run), thawed by the heater, pass."""
    treatment = short_treatment(probe, count=2, hold_s=3.0 if rig.table.quick else 10.0)
    controller = probe.treat(treatment, within_s=250.0)
    measure.value("cycles", len(controller.cycles), exactly=2, requirement="SR-13")
    check_cycles(probe, measure, controller)


@pytest.mark.requirement("SR-14")
@pytest.mark.time_limit(1500)
def test_the_built_in_treatment_passes(probe: Probe, rig: Rig, measure: Measure) -> None:
    """The profile's own treatment, 60 s a cycle and thawed by tissue, passes."""
    if rig.table.quick:
        pytest.skip("takes ten minutes and 7 g of gas: not in a quick run")
    controller = probe.treat(probe.treatment, within_s=1400.0)
    count = probe.treatment.cycles.count
    measure.value("cycles", len(controller.cycles), exactly=count, requirement="SR-13")
    check_cycles(probe, measure, controller)


@pytest.mark.requirement("SR-12")
@pytest.mark.requirement("SR-17")
@pytest.mark.requirement("SR-43")
@pytest.mark.needs("faults")
@pytest.mark.time_limit(400)
@pytest.mark.parametrize(
    "case",
    [
        ("tc_frozen:5s", "TIP_FROZEN_READING", "SR-12"),
        ("skin_cold", "SKIN_COLD", "SR-17"),
        ("pressure_frozen", "READING_FROZEN", "SR-43"),
    ],
    ids=lambda case: case[1],
)
def test_the_controller_finds_what_the_probe_cannot(
    probe: Probe, rig: Rig, inject: Injector, measure: Measure, case: tuple[str, str, str]
) -> None:
    """A reading that stands still, and cold skin, end a freeze by the controller."""
    fault, trip, requirement = case
    if rig.table.quick and requirement != "SR-12":
        pytest.skip("takes 80 s a cause: one of them in a quick run")
    treatment = short_treatment(probe, count=1, hold_s=10.0)

    controller = probe.treat(treatment, within_s=250.0, while_freezing=lambda: inject(fault))

    first = controller.trips[0].notice.trip.name if controller.trips else "none"
    measure.value("first cause", first, exactly=trip, requirement=requirement)
    verdict = controller.verdict.value
    measure.value("verdict", verdict, exactly="SAFETY_TRIP", requirement=requirement)
