"""The nerve: where it runs, what cold does to it, and the current it answers to."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest

from cryoctl_protocol.codes import StimulusResponse
from cryoctl_protocol.toml_text import FileError
from cryoctl_protocol.truth import NerveInjury, NerveOutcome
from cryoctl_simulator.nerve import Nerve, TempAt
from cryoctl_simulator.plant import Actuators, Plant
from cryoctl_simulator.plant_parameters import shipped_plant_parameters
from cryoctl_simulator.reference_tissue import ReferenceTissue
from cryoctl_simulator.scenario import NerveTable, Scenario, load_scenario
from cryoctl_simulator.tissue import Tissue

BODY_C = 37.0


def nerve(**table: Any) -> Nerve:
    """Return a nerve beside a needle of 0.91 x 8 mm."""
    return Nerve(NerveTable(**table), needle_od_mm=0.91, active_length_mm=8.0, temp_c=BODY_C)


def cold_within(radius_mm: float, temp_c: float) -> TempAt:
    """Return tissue that is at ``temp_c`` up to a radius, all along the needle."""

    def temp_at_c(radial_mm: float, _axial_mm: float) -> float:
        return temp_c if radial_mm <= radius_mm else BODY_C

    return temp_at_c


def chilled(subject: Nerve, temp_c: float, seconds: float, radius_mm: float = 100.0) -> Nerve:
    """Keep the tissue around a nerve at a temperature."""
    for _ in range(round(seconds * 10)):
        subject.update(0.1, cold_within(radius_mm, temp_c))
    return subject


# -- geometry ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "first", "last"),
    [
        # Side by side: all nodes at the distance, their middles 0.25 mm from the ends.
        ({"distance_mm": 2.0, "length_mm": 10.0}, (2.0, -4.75), (2.0, 4.75)),
        (
            {"distance_mm": 2.0, "length_mm": 10.0, "axial_offset_mm": 3.0},
            (2.0, -1.75),
            (2.0, 7.75),
        ),
        # Straight across, 3 mm from where the axes are nearest: the 3-4-5 triangle.
        (
            {"distance_mm": 4.0, "length_mm": 6.5, "angle_deg": 90.0},
            (5.0, 0.0),
            (5.0, 0.0),
        ),
        # At 30 degrees a node 4 mm along is 2 mm aside and 3.4641 mm ahead.
        (
            {"distance_mm": 1.5, "length_mm": 8.5, "angle_deg": 30.0},
            (2.5, -3.4641),
            (2.5, 3.4641),
        ),
        # No node is looked at inside the needle.
        ({"distance_mm": 0.0, "length_mm": 1.0}, (0.455, -0.25), (0.455, 0.25)),
    ],
)
def test_the_nodes_are_where_geometry_puts_them(
    table: dict[str, float], first: tuple[float, float], last: tuple[float, float]
) -> None:
    nodes = nerve(**table).nodes

    places = [(node.radial_mm, node.axial_mm) for node in (nodes[0], nodes[-1])]
    assert places == [pytest.approx(first, abs=1e-4), pytest.approx(last, abs=1e-4)]


@pytest.mark.parametrize(("length_mm", "count"), [(20.0, 40), (0.3, 1), (1.1, 3), (100.0, 200)])
def test_nodes_are_at_most_half_a_millimetre_long(length_mm: float, count: int) -> None:
    assert len(nerve(length_mm=length_mm).nodes) == count


@pytest.mark.parametrize(
    ("table", "distance_mm"),
    [
        ({"distance_mm": 2.0}, 2.0),  # It runs past the tip.
        ({"distance_mm": 3.0, "length_mm": 0.5}, math.hypot(3.0, 3.75)),  # It ends before it.
        ({"distance_mm": 3.0, "angle_deg": 90.0}, 5.0),  # It crosses 4 mm behind the tip.
        ({"distance_mm": 3.0, "angle_deg": 90.0, "axial_offset_mm": 4.0}, 3.0),
        ({"distance_mm": 3.0, "angle_deg": 90.0, "axial_offset_mm": 8.0}, 5.0),  # Not deep enough.
        ({"distance_mm": 1.0, "angle_deg": 30.0}, math.hypot(1.0, 2.0)),
    ],
)
def test_the_tip_is_as_far_from_the_nerve_as_geometry_says(
    table: dict[str, float], distance_mm: float
) -> None:
    assert nerve(**table).tip_distance_mm == pytest.approx(distance_mm, abs=1e-9)


# -- injury --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("temp_c", "seconds", "injury"),
    [
        (-4.99, 300.0, NerveInjury.NONE),
        (-5.0, 1.0, NerveInjury.UNCERTAIN),
        (-19.99, 300.0, NerveInjury.UNCERTAIN),
        (-20.0, 59.0, NerveInjury.UNCERTAIN),
        (-20.0, 60.0, NerveInjury.AXONOTMESIS),
        (-100.0, 60.0, NerveInjury.AXONOTMESIS),
        (-100.01, 1.0, NerveInjury.TOWARDS_IRREVERSIBLE),
        (-140.0, 60.0, NerveInjury.TOWARDS_IRREVERSIBLE),
        (-140.01, 1.0, NerveInjury.NOT_REACHABLE),
    ],
)
def test_cold_and_time_decide_the_class(temp_c: float, seconds: float, injury: NerveInjury) -> None:
    findings = chilled(nerve(), temp_c, seconds).findings

    assert (findings["nerve_injury"], findings["nerve_min_temp_c"]) == (injury, temp_c)


def test_freezes_of_one_placement_count_together_and_warmth_between_them_does_not() -> None:
    subject = chilled(nerve(), -30.0, 30.0)
    chilled(subject, 10.0, 60.0)
    chilled(subject, -30.0, 29.0)
    before = subject.findings["nerve_injury"]

    chilled(subject, -30.0, 1.0)

    assert (before, subject.findings["nerve_injury"]) == (1, 2)
    assert subject.findings["nerve_below_minus20_s"] == pytest.approx(60.0)


@pytest.mark.parametrize(
    ("table", "radius_mm", "seconds", "outcome", "stretches_mm"),
    [
        ({}, 2.0, 61.0, NerveOutcome.COVERED, (20.0, 20.0)),
        # The zone ends before a nerve that a better freeze could reach, or that none could.
        ({}, 0.99, 61.0, NerveOutcome.ZONE_TOO_SMALL, (0.0, 0.0)),
        ({"distance_mm": 2.4}, 2.3, 61.0, NerveOutcome.ZONE_TOO_SMALL, (0.0, 0.0)),
        ({"distance_mm": 2.5}, 2.3, 61.0, NerveOutcome.MISPLACED, (0.0, 0.0)),
        ({"axial_offset_mm": 20.0}, 0.99, 61.0, NerveOutcome.MISPLACED, (0.0, 0.0)),
        # Straight across through the axis: 4 mm are within 2 mm of it, 3 mm within 1.5 mm.
        ({"distance_mm": 0.0, "angle_deg": 90.0}, 2.0, 61.0, NerveOutcome.COVERED, (4.0, 4.0)),
        (
            {"distance_mm": 0.0, "angle_deg": 90.0},
            1.5,
            61.0,
            NerveOutcome.ZONE_TOO_SMALL,
            (3.0, 3.0),
        ),
        ({}, 2.0, 59.0, NerveOutcome.TOO_SHORT, (20.0, 0.0)),
        ({}, 0.1, 61.0, NerveOutcome.NOT_COLD, (0.0, 0.0)),
    ],
)
def test_the_cause_of_a_failed_treatment_is_named(
    table: dict[str, float],
    radius_mm: float,
    seconds: float,
    outcome: NerveOutcome,
    stretches_mm: tuple[float, float],
) -> None:
    findings = chilled(nerve(**table), -30.0, seconds, radius_mm).findings

    assert findings["nerve_outcome"] == outcome
    told_mm = findings["nerve_touched_mm"], findings["nerve_covered_mm"]
    assert told_mm == pytest.approx(stretches_mm)


def test_only_the_longest_unbroken_stretch_counts() -> None:
    subject = nerve(length_mm=10.0)

    for _ in range(610):
        subject.update(0.1, lambda _, axial_mm: 37.0 if 0.0 < axial_mm < 0.6 else -30.0)

    assert subject.findings["nerve_covered_mm"] == pytest.approx(5.0)


@pytest.mark.parametrize(("seconds", "days"), [(61.0, (75.0, 150.0)), (30.0, (0.0, 0.0))])
def test_regrowth_takes_1_to_2_mm_a_day_if_there_is_anything_to_regrow(
    seconds: float, days: tuple[float, float]
) -> None:
    findings = chilled(nerve(end_organ_mm=150.0), -30.0, seconds).findings

    assert (findings["nerve_regrowth_days_low"], findings["nerve_regrowth_days_high"]) == days


def test_the_tissue_is_looked_at_once_a_second() -> None:
    subject, looks = nerve(length_mm=0.5), []

    def temp_at_c(radial_mm: float, axial_mm: float) -> float:
        looks.append((radial_mm, axial_mm))
        return 0.0

    for _ in range(100):
        subject.update(0.1, temp_at_c)

    assert looks == [(0.455, 0.0), (1.0, 0.0)] * 10


# -- stimulation ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("distance_mm", "threshold_ma"), [(0.0, 0.2), (1.0, 0.4), (2.0, 1.0), (5.0, 5.2)]
)
def test_the_threshold_grows_with_the_square_of_the_distance(
    distance_mm: float, threshold_ma: float
) -> None:
    subject = nerve(distance_mm=distance_mm)

    def response(amplitude_ma: float) -> StimulusResponse:
        return subject.response(amplitude_ma, pulse_ms=0.1, frequency_hz=2)

    assert response(threshold_ma - 1e-6) is StimulusResponse.NONE
    assert response(threshold_ma + 1e-6) is StimulusResponse.MOTOR


def test_farther_is_never_easier_and_longer_pulses_never_harder() -> None:
    by_distance = [
        nerve(distance_mm=0.5 * step).threshold_ma(pulse_ms=0.1, chronaxie_ms=0.1)
        for step in range(41)
    ]
    by_pulse = [
        nerve().threshold_ma(pulse_ms=0.05 * step, chronaxie_ms=0.17) for step in range(1, 21)
    ]

    assert all(farther > nearer for nearer, farther in pairwise(by_distance))
    assert all(longer < shorter for shorter, longer in pairwise(by_pulse))


@pytest.mark.parametrize(
    ("fibres", "frequency_hz", "pulse_ms", "amplitude_ma", "response"),
    [
        # 1 mm away, pulses of 0.1 ms: both kinds of fibre answer from 0.4 mA on.
        ("mixed", 2, 0.1, 0.41, StimulusResponse.MOTOR),
        ("mixed", 10, 0.1, 0.41, StimulusResponse.MOTOR),
        ("mixed", 11, 0.1, 0.41, StimulusResponse.SENSORY),
        ("mixed", 50, 0.1, 0.41, StimulusResponse.SENSORY),
        ("mixed", 50, 0.1, 0.39, StimulusResponse.NONE),
        ("sensory", 2, 0.1, 0.41, StimulusResponse.SENSORY),
        # Pulses of 1 ms: 0.4 x 1.17 / 2.7 = 0.173 mA is felt, 0.4 x 1.1 / 2 = 0.22 mA moves.
        ("mixed", 2, 1.0, 0.18, StimulusResponse.SENSORY),
        ("mixed", 2, 1.0, 0.23, StimulusResponse.MOTOR),
        ("mixed", 2, 1.0, 0.17, StimulusResponse.NONE),
        ("mixed", 2, 1.0, 0.0, StimulusResponse.NONE),
    ],
)
def test_what_a_stimulus_does_depends_on_fibres_frequency_and_pulse(
    fibres: str,
    frequency_hz: int,
    pulse_ms: float,
    amplitude_ma: float,
    response: StimulusResponse,
) -> None:
    subject = nerve(distance_mm=1.0, fibres=fibres)

    assert subject.response(amplitude_ma, pulse_ms=pulse_ms, frequency_hz=frequency_hz) is response


def test_the_scenario_may_set_the_thresholds() -> None:
    deaf = nerve(distance_mm=1.0, threshold_ma=1.0, threshold_ma_mm2=2.0)

    assert deaf.threshold_ma(pulse_ms=0.1, chronaxie_ms=0.1) == pytest.approx(3.0)


# -- in the plant --------------------------------------------------------------------------------


def probe(text: str = "", profile: str = "n2o-20g") -> Plant:
    return Plant(shipped_plant_parameters(profile), load_scenario(text, "test.toml"))


def run(plant: Plant, actuators: Actuators, seconds: float) -> None:
    for _ in range(round(seconds * 100)):
        plant.step(actuators)


@pytest.mark.parametrize("text", ['[tissue]\npreset = "air"', "[nerve]\npresent = false"])
def test_there_may_be_no_nerve_and_in_air_there_is_none(text: str) -> None:
    plant = probe(text)
    run(plant, Actuators(stimulus_ma=10.0, stimulus_hz=2, stimulus_pulse_ms=1.0), 1.0)

    truth = plant.truth()

    assert (plant.nerve, truth.nerve_min_temp_c, truth.nerve_outcome) == (None, None, 0)
    assert (plant.stimulus_response, truth.stimulus_ratio) == (0, 0.0)


def test_a_freeze_chills_the_nerve_and_rest_leaves_it_alone() -> None:
    plant = probe("[nerve]\ndistance_mm = 1.0")
    run(plant, Actuators(), 5.0)
    before = plant.truth()
    run(plant, Actuators(valve=1.0, shutoff_open=True), 75.0)
    after = plant.truth()

    assert (before.nerve_min_temp_c, before.nerve_outcome) == (37.0, NerveOutcome.NOT_COLD)
    assert after.nerve_min_temp_c is not None
    assert after.nerve_min_temp_c < -25.0
    assert after.nerve_injury == NerveInjury.AXONOTMESIS


def test_the_nerve_answers_while_the_stimulator_is_on_and_not_after() -> None:
    plant = probe("[nerve]\ndistance_mm = 1.0")
    run(plant, Actuators(stimulus_ma=0.8, stimulus_hz=2, stimulus_pulse_ms=0.1), 0.5)
    during = plant.stimulus_response, plant.truth().stimulus_ratio
    run(plant, Actuators(), 0.2)

    assert during == pytest.approx((2, 2.0))
    assert (plant.stimulus_response, plant.truth().stimulus_ratio) == (0, 0.0)


def test_a_forked_plant_goes_on_with_the_same_nerve() -> None:
    first, second = probe(), probe()
    cold = Actuators(valve=1.0, shutoff_open=True)
    run(first, cold, 20.55)
    second.load(first.save())

    run(first, cold, 20.0)
    run(second, cold, 20.0)

    assert first.truth() == second.truth()
    assert first.nerve is not second.nerve


# -- the tissue's side of the seam ---------------------------------------------------------------


def frozen_tissue() -> Tissue | ReferenceTissue:
    """Return tissue after a minute at -60 C."""
    plant = probe()
    run(plant, Actuators(valve=1.0, shutoff_open=True), 60.0)
    return plant.tissue


def test_the_tissue_is_coldest_at_the_needle_and_undisturbed_far_away() -> None:
    tissue = frozen_tissue()
    radii_mm = [0.455 + 0.1 * step for step in range(200)]

    temps_c = [tissue.temp_at_c(radius_mm, 0.0) for radius_mm in radii_mm]

    assert temps_c[0] < -60.0
    assert temps_c[-1] > 34.0
    assert all(outer_c >= inner_c for inner_c, outer_c in pairwise(temps_c))


def test_the_isotherm_lies_where_the_tissue_says_it_does() -> None:
    tissue = frozen_tissue()

    assert tissue.temp_at_c(tissue.radius_minus20_mm, 0.0) == pytest.approx(-20.0, abs=0.5)


def test_ahead_of_the_needle_it_is_warmer_than_beside_its_middle() -> None:
    tissue = frozen_tissue()

    assert tissue.temp_at_c(1.0, 6.5) > tissue.temp_at_c(1.0, 0.0) + 20.0
    assert tissue.temp_at_c(1.0, -6.5) == pytest.approx(tissue.temp_at_c(1.0, 6.5))


# -- the file ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "distance_mm = -0.1",
        "distance_mm = nan",
        "angle_deg = 91",
        "length_mm = 0",
        'fibres = "motor"',
        "threshold_ma = 0",
        "axial_offset_mm = 51",
        "end_organ_mm = 1501",
    ],
)
def test_a_nerve_that_cannot_be_is_refused_by_line_and_key(text: str) -> None:
    with pytest.raises(FileError) as caught:
        load_scenario(f"[nerve]\n{text}", "mine.toml")

    assert "mine.toml:2" in str(caught.value)
    assert text.split(maxsplit=1)[0] in str(caught.value)


def test_without_a_word_the_nerve_lies_1_mm_beside_the_needle() -> None:
    table = Scenario().nerve

    assert (table.present, table.distance_mm, table.angle_deg, table.axial_offset_mm) == (
        True,
        1.0,
        0.0,
        0.0,
    )
