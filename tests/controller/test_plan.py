"""Plans: timeline, gas, margin, curve, and what speaks against ARM."""

from __future__ import annotations

import itertools

import pytest

from cryoctl.arming import Blocker
from cryoctl.plan import Plan, PlannedPhase, make_plan, render_text
from cryoctl.treatment import default_treatment, default_treatment_text, load_treatment
from cryoctl_protocol.profile import load_profile, profile_names

LIMITS = load_profile("n2o-20g").limits


def plan(*settings: str, cartridge_g: float | None = None) -> Plan:
    text, source = default_treatment_text("n2o-20g")
    return make_plan(load_treatment(text, source, settings), LIMITS, cartridge_g)


def test_the_timeline_has_every_phase_with_expected_and_longest_time() -> None:
    found = plan("cycles.count=2", "thaw.mode=passive").phases

    thaw_s = 49.0 + 0.68 * 75.0 + 2.0  # ice gone by warmth alone, and the dwell before release
    assert found == (
        PlannedPhase("PREWARM", 0, 0.0, 5.0, 5.0),
        PlannedPhase("COOLING", 1, 5.0, 15.0, 25.0),
        PlannedPhase("HOLD", 1, 20.0, 60.0, 60.0),
        PlannedPhase("THAWING", 1, 80.0, thaw_s, 400.0),
        PlannedPhase("PAUSE", 1, 80.0 + thaw_s, 10.0, 10.0),
        PlannedPhase("COOLING", 2, 90.0 + thaw_s, 15.0, 25.0),
        PlannedPhase("HOLD", 2, 105.0 + thaw_s, 60.0, 60.0),
        PlannedPhase("THAWING", 2, 165.0 + thaw_s, thaw_s, 400.0),
    )


def test_an_active_thaw_is_as_long_as_its_energy_and_the_dwell() -> None:
    thawing = plan("cycles.count=1", "thaw.mode=active").phases[-1]

    assert thawing.expected_s == pytest.approx(5.0 / 1.5 + 2.0)


def test_no_prewarm_means_no_such_phase() -> None:
    assert plan("prewarm.duration_s=0").phases[0].phase == "COOLING"


def test_no_thaw_is_expected_to_last_longer_than_its_timeout() -> None:
    found = plan("thaw.mode=passive", "thaw.timeout_s=30", "cycles.count=1").phases[-1]

    assert (found.expected_s, found.maximum_s) == (30.0, 30.0)


def test_gas_is_planned_for_the_longest_way_to_the_set_point_at_full_cold() -> None:
    found = plan()

    assert found.gas_cycle_g == pytest.approx(0.036 * 85.0)
    assert found.gas_all_g == pytest.approx(9.18)
    assert found.gas_with_reserve_g == pytest.approx(11.016)
    assert found.gas_usable_g == pytest.approx(12.8)
    assert found.blockers == ()


@pytest.mark.requirement("SR-22")
def test_a_treatment_that_needs_more_gas_than_there_is_would_not_be_armed() -> None:
    assert plan("cycles.count=4").blockers == (
        Blocker(
            "SR-22",
            "12.8 g usable",
            "14.7 g",
            "enough for 3 of 4 cycles: fewer cycles, a shorter hold or a new cartridge",
        ),
    )


@pytest.mark.requirement("SR-22")
def test_the_reserve_is_20_percent_of_the_whole_need() -> None:
    # One cycle of 85 s at 36 mg/s is 3.06 g; 3.672 g with reserve; 80 % of 4.59 g can be used.
    assert plan("cycles.count=1", cartridge_g=4.5901).blockers == ()
    (blocker,) = plan("cycles.count=1", cartridge_g=4.5899).blockers
    assert blocker.text.startswith("not enough for one")


@pytest.mark.requirement("SR-06")
def test_the_margin_to_the_coldest_set_point_is_shown_with_its_numbers() -> None:
    found = plan()

    assert found.setpoint_margin_c == 21.8
    assert "21.8 C above -85 + 2 + 0.2 s x 6 C/s = -81.8 C (SR-06)" in render_text(found)


def test_the_curve_falls_to_the_band_by_the_expected_end_of_cooling_and_stays() -> None:
    found = plan("prewarm.duration_s=0", "thaw.mode=active", "cycles.count=1")

    at = {point.at_s: point.tip_temp_c for point in found.curve}
    assert at[0.0] == 37.0
    cooling_c = [at[float(second)] for second in range(15)]
    assert all(later < earlier for earlier, later in itertools.pairwise(cooling_c))
    assert cooling_c[-1] > -58.0
    assert {at[float(second)] for second in range(15, 75)} == {-60.0}
    assert at[75.0] == -60.0
    assert at[79.0] > at[78.0]


@pytest.mark.parametrize("name", profile_names())
def test_every_shipped_treatment_has_gas_for_all_its_cycles(name: str) -> None:
    assert make_plan(default_treatment(name), load_profile(name).limits).blockers == ()


@pytest.mark.parametrize("settings", [(), ("cycles.count=10",), ("cycles.hold_s=1",)])
def test_the_text_fits_80_columns_of_ascii(settings: tuple[str, ...]) -> None:
    text = render_text(plan(*settings))

    assert max(map(len, text.split("\n"))) <= 80
    assert text.isascii()
    assert [line for line in text.split("\n") if line != line.rstrip()] == []


def test_the_text_reads_like_this() -> None:
    assert render_text(plan("cycles.count=1", "thaw.mode=passive", cartridge_g=4.0)) == EXPECTED


EXPECTED = """\
Three cycles at -60 C (profile n2o-20g)

phase      cycle    starts   expected    at most
PREWARM        -     0.0 s      5.0 s     5.0 s
COOLING        1     5.0 s     15.0 s    25.0 s
HOLD           1    20.0 s     60.0 s    60.0 s
THAWING        1    80.0 s    102.0 s   400.0 s
whole                         182.0 s    490.0 s

Tip temperature, planned, not simulated
   +37 C |***
   +23 C |  *
    +9 C |  *                                                               **
    -5 C |  **                                                       ********
   -18 C |   *                                              **********
   -32 C |   **                                     *********
   -46 C |    ***                           *********
   -60 C |      *****************************
         0 s                                                          182.0 s

set-point    -60 C, band +-2 C, reached within 25.0 s (SR-13)
trip margin  21.8 C above -85 + 2 + 0.2 s x 6 C/s = -81.8 C (SR-06)
one freeze   85.0 s of 180.0 s at most (SR-09)
gas          3.1 g a cycle, 3.1 g in all
             3.7 g with reserve, 3.2 g are usable (SR-22)
             3.1 g within an hour, scavenging on above 16 g (SR-21)

Would not be armed:
  SR-22: 3.2 g usable, needs 3.7 g
    not enough for one: fewer cycles, a shorter hold or a new cartridge
"""
