"""Every profile's own treatment, whole: verdicts, physics and ice against literal figures."""

from __future__ import annotations

from itertools import pairwise

import pytest

from cryoctl.cycle_table import Phase
from cryoctl.cycles import Verdict
from cryoctl.plan import make_plan
from cryoctl.treatment import load_treatment, shipped_treatment_text, shipped_treatments
from cryoctl_protocol.profile import profile_names
from cryoctl_simulator.scenario import shipped_scenarios
from tests.support.stack import Stack, build_stack, treatment

# 2-D reference: ice radius of a 20G x 8 mm needle after 60 s, by constant tip temperature.
ICE_60_S_MM = ((-80.0, 3.96), (-70.0, 3.72), (-55.0, 3.32))


# In groups, so that no two processes do the same treatment.
@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in profile_names()],
)
def finished(request: pytest.FixtureRequest) -> Stack:
    stack = build_stack(request.param)
    stack.run()
    return stack


def test_every_built_in_treatment_passes(finished: Stack) -> None:
    controller = finished.controller

    assert controller.verdict is Verdict.PASS
    assert [record.verdict for record in controller.cycles] == [
        Verdict.PASS
    ] * controller.treatment.cycles.count
    assert controller.phase is Phase.COMPLETE
    assert controller.trips == []
    assert controller.alarms == []


@pytest.mark.requirement("SR-13")
def test_every_cycle_reaches_its_band_within_20_s_and_holds_it(finished: Stack) -> None:
    for record in finished.controller.cycles:
        assert record.time_to_setpoint_s is not None
        assert record.time_to_setpoint_s <= 20.0
        assert record.time_to_setpoint_s <= finished.controller.profile.limits.reach_s_max - 4.0
        assert record.hold_in_band_fraction >= 0.95


def test_the_tip_is_never_colder_than_its_gas_can_make_it(finished: Stack) -> None:
    margin_c = min(truth.tip_temp_c - truth.saturation_temp_c for _, truth in finished.sink.truth)
    coldest_c = min(truth.tip_temp_c for _, truth in finished.sink.truth)

    assert margin_c >= 0.0
    assert coldest_c > (-78.5 if finished.controller.profile.probe.gas == "CO2" else -88.5)


@pytest.mark.requirement("SR-12")
def test_the_heat_of_a_healthy_probe_explains_what_its_tip_reads(finished: Stack) -> None:
    residuals_c = [
        abs(estimate.residual_c)
        for _, estimate in finished.sink.estimates
        if estimate.residual_c is not None
    ]

    assert len(residuals_c) > 10
    assert max(residuals_c) < 4.0


def test_gas_in_the_ledger_is_the_gas_that_left_the_cartridge(finished: Stack) -> None:
    vented_g = finished.sink.truth[-1][1].vented_g

    assert finished.controller.gas_used_g == pytest.approx(vented_g, rel=0.03)


# What a profile's own cycle comes to in each shipped scenario.
SCENARIOS = {
    "air-check": Verdict.NOT_EFFECTIVE,  # Air takes too little heat for the regulator to hold.
    "fat": Verdict.PASS,
    "gel-bench": Verdict.PASS,
    "high-perfusion": Verdict.PASS,
    "misplaced": Verdict.PASS,  # By the tip; only the truth knows where the nerve is.
    "muscle": Verdict.PASS,
    "oblique-nerve": Verdict.PASS,
    "warm-room": Verdict.PASS,
}


# A heavy tip is slow enough to be held in air as well.
HELD_IN_AIR = {"n2o-console-2mm"}
# The built-in probe in all of them, each other one in the two that differ most from muscle; every
# pair is run for hours by `cryoctl assure falsetrips`.
OTHERS = ("n2o-27gx3", "co2-20g", "n2o-console-2mm", "co2-double-18g", "gel-bench-17g")
PAIRS = [
    *((scenario, "n2o-20g") for scenario in SCENARIOS),
    *((scenario, profile) for scenario in ("air-check", "fat") for profile in OTHERS),
]


@pytest.mark.parametrize(("scenario", "profile"), PAIRS)
def test_a_cycle_in_each_shipped_scenario_ends_as_it_should(scenario: str, profile: str) -> None:
    # The bench probe's own hold takes minutes of computing.
    changes = {"hold_s": 30.0} if profile == "gel-bench-17g" else {}
    plan = treatment(profile, count=1, **changes)
    stack = build_stack(profile, query=f"scenario={scenario}", plan=plan)

    stack.run()

    in_air = scenario == "air-check" and profile in HELD_IN_AIR
    assert stack.controller.verdict is (Verdict.PASS if in_air else SCENARIOS[scenario])
    assert stack.controller.trips == []


PRESETS = {
    "intercostal": "n2o-20g",
    "knee-genicular": "n2o-20g",
    "lumbar-facet": "n2o-console-2mm",
    "occipital": "n2o-20g",
    "phantom-limb": "n2o-console-2mm",
}


def test_every_shipped_treatment_is_a_profile_s_own_or_a_preset() -> None:
    assert set(shipped_treatments()) == {*profile_names(), *PRESETS}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_cycle_of_every_preset_passes_on_its_probe(preset: str) -> None:
    plan = load_treatment(shipped_treatment_text(preset), preset, ["cycles.count=1"])
    stack = build_stack(PRESETS[preset], plan=plan)

    stack.run()

    assert plan.profile == PRESETS[preset]
    assert stack.controller.verdict is Verdict.PASS
    assert stack.controller.alarms == []


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_names_its_sources_and_a_full_cartridge_is_enough(preset: str) -> None:
    text = shipped_treatment_text(preset)
    plan = load_treatment(text, preset)

    assert "# Sources:" in text
    assert "not medical advice" in text
    assert make_plan(plan, plan.probe_profile.limits).blockers == ()


@pytest.mark.requirement("SR-09")
def test_a_research_profile_freezes_longer_than_180_s_on_the_simulator() -> None:
    stack = build_stack("gel-bench-17g", query="scenario=gel-bench")

    stack.lockstep().run(until_s=240.0)

    assert stack.sink.samples[-1][1].freeze_s > 200.0
    assert stack.controller.phase is Phase.HOLD
    assert stack.controller.trips == []


def test_a_cartridge_that_runs_out_is_told_by_the_valve() -> None:
    stack = build_stack(query="scenario=low-gas")

    stack.run()

    first, second = stack.controller.cycles
    assert (first.verdict, second.verdict) == (Verdict.PASS, Verdict.NOT_EFFECTIVE)
    assert second.reason.endswith(
        "the valve fully open: gas used up, a blockage, too much heat or a false tip reading"
    )


def test_every_shipped_scenario_is_run_here() -> None:
    assert {*SCENARIOS, "low-gas"} == set(shipped_scenarios())


def test_the_thaw_stands_still_while_ice_melts() -> None:
    stack = build_stack()
    stack.run()
    record = stack.controller.cycles[0]
    assert record.freeze_ended_s is not None
    ended_s = record.freeze_ended_s
    plateau = [
        truth.tip_temp_c
        for at_s, truth in stack.sink.truth
        if ended_s + 15.0 <= at_s <= ended_s + 70.0
    ]

    assert all(-9.0 < tip_c < -1.0 for tip_c in plateau)
    assert all(later_c >= earlier_c - 0.05 for earlier_c, later_c in pairwise(plateau))


def test_ice_after_60_s_is_what_the_reference_has_for_this_tip_temperature() -> None:
    stack = build_stack()
    stack.run()
    began_s = stack.controller.cycles[0].began_s
    _, truth = min(stack.sink.truth, key=lambda row: abs(row[0] - began_s - 60.0))

    expected_mm = _interpolated(truth.tip_temp_c)

    assert truth.ice_radius_mm == pytest.approx(expected_mm, rel=0.10)


def _interpolated(tip_c: float) -> float:
    for (cold_c, cold_mm), (warm_c, warm_mm) in pairwise(ICE_60_S_MM):
        if cold_c <= tip_c <= warm_c:
            return cold_mm + (warm_mm - cold_mm) * (tip_c - cold_c) / (warm_c - cold_c)
    raise AssertionError(tip_c)
