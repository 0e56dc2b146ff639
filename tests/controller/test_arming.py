"""Every reason against ARM: at its boundary, alone, and all of them together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cryoctl.arming import ArmingView, Blocker, arm_blockers, planned_gas_g
from cryoctl.storage import FINE, not_kept
from cryoctl.treatment import default_treatment
from cryoctl_protocol.codes import DeviceState, Sensor, Trip
from cryoctl_protocol.profile import load_profile
from tests.support.builders import a_sample, a_treatment, n2o_profile

NOT_KEPT = not_kept("the recording failed")
READY = ArmingView(
    treatment=a_treatment(count=3, hold_s=60.0),
    profile=n2o_profile(),
    limits=n2o_profile().limits,
    sample=a_sample(),
    probe_profile_hash=n2o_profile().hash32,
    leak_test_age_s=5.0,
    cartridge_g=None,
    gas_used_g=0.0,
    storage=FINE,
)


def ids(view: ArmingView) -> list[str]:
    """Return the requirements that speak against ARM."""
    return [blocker.id for blocker in arm_blockers(view)]


def with_sample(**changes: Any) -> ArmingView:
    """Return the ready view with another sample."""
    return replace(READY, sample=a_sample(**changes))


def test_a_ready_probe_has_no_reason_against_it() -> None:
    assert arm_blockers(READY) == []


@pytest.mark.requirement("SR-03")
def test_without_fresh_telemetry_nothing_else_can_be_judged() -> None:
    blockers = arm_blockers(replace(READY, sample=None, probe_profile_hash=0, storage=NOT_KEPT))

    assert blockers == [Blocker("SR-03", "stale", "fresh", "no fresh telemetry")]


@pytest.mark.requirement("SR-28")
def test_another_profile_is_named_with_both_hashes() -> None:
    ours = n2o_profile().hash32

    blockers = arm_blockers(replace(READY, probe_profile_hash=ours ^ 1))

    assert blockers == [
        Blocker(
            "SR-28",
            f"{ours ^ 1:08x}",
            f"{ours:08x}",
            "the probe's profile is not the one of this treatment",
        )
    ]


@pytest.mark.requirement("SR-19")
@pytest.mark.parametrize(
    ("age_s", "expected"), [(0.0, []), (1800.0, []), (1800.1, ["SR-19"]), (None, ["SR-19"])]
)
def test_a_leak_test_is_good_for_30_minutes(age_s: float | None, expected: list[str]) -> None:
    assert ids(replace(READY, leak_test_age_s=age_s)) == expected


@pytest.mark.requirement("SR-33")
def test_a_recorder_that_does_not_record_blocks() -> None:
    assert ids(replace(READY, storage=NOT_KEPT)) == ["SR-33"]


@pytest.mark.parametrize(
    ("pressure_bar", "expected"),
    [
        (62.0, []),
        (62.001, ["SR-18"]),
        (40.0, []),
        (39.999, ["SR-22"]),
        (None, []),
    ],
)
@pytest.mark.requirement("SR-18")
@pytest.mark.requirement("SR-22")
def test_supply_pressure_must_lie_between_low_and_warning(
    pressure_bar: float | None, expected: list[str]
) -> None:
    assert ids(with_sample(supply_pressure_bar=pressure_bar)) == expected


@pytest.mark.requirement("SR-22")
def test_the_need_of_a_treatment_is_all_cycles_reach_and_hold_at_the_planning_figure() -> None:
    limits = n2o_profile().limits

    # 36 mg/s, 25 s to reach, 60 s to hold.
    assert planned_gas_g(a_treatment(count=1, hold_s=60.0), limits) == pytest.approx(3.06)
    assert planned_gas_g(a_treatment(count=3, hold_s=60.0), limits) == pytest.approx(9.18)


@pytest.mark.requirement("SR-22")
@pytest.mark.parametrize(
    ("cartridge_g", "gas_used_g", "expected"),
    [
        # Three cycles need 9.18 g, with the reserve 11.016 g; 80 % of a fill can cool.
        (13.771, 0.0, []),
        (13.769, 0.0, ["SR-22"]),
        (None, 1.783, []),  # A new cartridge: 12.8 g.
        (None, 1.785, ["SR-22"]),
        (16.0, 1.785, ["SR-22"]),
        (0.0, 0.0, ["SR-22"]),
    ],
)
def test_the_gas_must_be_enough_for_the_treatment_and_a_fifth_more(
    cartridge_g: float | None, gas_used_g: float, expected: list[str]
) -> None:
    assert ids(replace(READY, cartridge_g=cartridge_g, gas_used_g=gas_used_g)) == expected


@pytest.mark.requirement("SR-36")
@pytest.mark.parametrize(
    ("battery_v", "expected"), [(3.3, ["SR-22"]), (3.299, ["SR-36"]), (None, []), (0.0, ["SR-36"])]
)
def test_a_battery_below_its_limit_blocks(battery_v: float | None, expected: list[str]) -> None:
    assert ids(with_sample(battery_v=battery_v)) == expected


@pytest.mark.requirement("SR-11")
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"open_circuit": int(Sensor.TIP)}, ["SR-11"]),
        ({"open_circuit": int(Sensor.TIP_2)}, ["SR-11"]),
        ({"open_circuit": int(Sensor.SKIN)}, ["SR-17"]),
        ({"open_circuit": int(Sensor.SUPPLY_PRESSURE | Sensor.EXHAUST_FLOW)}, ["SR-18", "SR-20"]),
        ({"open_circuit": int(Sensor.EXHAUST_PRESSURE)}, ["SR-18"]),
        ({"open_circuit": int(Sensor.BATTERY)}, ["SR-36"]),
        ({"tip_temp_c": None}, ["SR-11"]),
        ({"tip_2_temp_c": None}, []),
    ],
)
def test_a_sensor_that_is_open_blocks_and_so_does_a_missing_tip(
    changes: dict[str, Any], expected: list[str]
) -> None:
    assert ids(with_sample(**changes)) == expected


@pytest.mark.requirement("SR-27")
@pytest.mark.parametrize("state", list(DeviceState))
def test_a_probe_that_holds_a_trip_blocks_and_names_it(state: DeviceState) -> None:
    blockers = arm_blockers(with_sample(state=state, trip=Trip.SKIN_COLD))

    latched = state in (DeviceState.SAFE, DeviceState.FAULT)
    expected = [Blocker("SR-27", "SKIN_COLD", "none", "the probe holds a trip: clear it")]
    assert blockers == (expected if latched else [])


def test_a_blocker_tells_value_limit_and_what_to_do() -> None:
    assert arm_blockers(with_sample(battery_v=3.1)) == [
        Blocker("SR-36", "3.10 V", "3.30 V", "battery too low: charge the handpiece")
    ]


def test_no_reason_hides_another() -> None:
    view = replace(
        READY,
        probe_profile_hash=0,
        leak_test_age_s=None,
        storage=NOT_KEPT,
        gas_used_g=12.0,
        sample=a_sample(
            supply_pressure_bar=30.0,
            battery_v=3.0,
            open_circuit=int(Sensor.TIP),
            state=DeviceState.FAULT,
            trip=Trip.TIP_SENSOR,
        ),
    )

    found = ids(view)

    assert found == [
        "SR-28",
        "SR-19",
        "SR-33",
        "SR-22",
        "SR-22",
        "SR-36",
        "SR-11",
        "SR-27",
    ]


def test_each_profile_lets_its_own_default_treatment_begin_on_a_new_cartridge() -> None:
    for name, bar in (("n2o-20g", 50.6), ("n2o-27gx3", 50.6), ("co2-20g", 57.3)):
        profile = load_profile(name)
        view = replace(
            READY,
            profile=profile,
            probe_profile_hash=profile.hash32,
            treatment=default_treatment(name),
            sample=a_sample(supply_pressure_bar=bar),
        )

        assert arm_blockers(view) == []


@pytest.mark.requirement("SR-22")
@pytest.mark.parametrize(
    ("battery_v", "blocked"), [(3.50, True), (3.55, True), (3.56, False), (4.10, False)]
)
def test_the_battery_must_last_for_the_whole_treatment(battery_v: float, blocked: bool) -> None:
    # Three cycles of 85 s at 2.1 W and 400 s at 0.3 W, and 20 % more: about 1.1 kJ.
    view = replace(with_sample(battery_v=battery_v), treatment=default_treatment("n2o-20g"))

    assert ids(view) == (["SR-22"] if blocked else [])


@pytest.mark.requirement("SR-22")
def test_a_probe_on_the_mains_needs_no_charge() -> None:
    mains = n2o_profile().model_copy(update={"battery": None})

    assert ids(replace(with_sample(battery_v=3.4), profile=mains)) == []


@pytest.mark.requirement("SR-19")
def test_an_old_leak_test_is_told_in_minutes() -> None:
    assert arm_blockers(replace(READY, leak_test_age_s=3_000.0)) == [
        Blocker("SR-19", "50 min", "within 30 min", "leak test too old")
    ]


@pytest.mark.requirement("SR-22")
@pytest.mark.parametrize(("cartridge_g", "expected"), [(12.0, []), (11.999, ["SR-22"])])
def test_exactly_as_much_gas_as_is_asked_for_is_enough(
    cartridge_g: float, expected: list[str]
) -> None:
    # 100 s at 100 mg/s and a fifth more are 12 g, in binary fractions too.
    limits = READY.limits.model_copy(
        update={"cartridge_usable_fraction": 1.0, "reach_s_max": 40.0, "gas_use_mg_s": 100.0}
    )
    view = replace(READY, treatment=a_treatment(count=1, hold_s=60.0), limits=limits)

    assert ids(replace(view, cartridge_g=cartridge_g)) == expected
