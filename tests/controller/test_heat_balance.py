"""What the heat drawn says against the heat of the model."""

from __future__ import annotations

import pytest

from cryoctl.heat_balance import HeatBalance, Moment

STEP_S = 0.5
GAS_PER_K = 0.08


def held(balance: HeatBalance, drawn_w: float, *, from_s: float, for_s: float) -> HeatBalance:
    """Hold -60 C with the ice giving 3.6 W by the model, and ``drawn_w`` by the gas."""
    for step in range(1, round(for_s / STEP_S) + 1):
        at_s = from_s + step * STEP_S
        balance.add(drawn_w, 3.6, GAS_PER_K, Moment(-60.0, 0.0, -60.0, at_s, STEP_S))
    return balance


def test_the_tip_alone_tells_the_radius_at_first() -> None:
    balance = held(HeatBalance(), 3.6, from_s=0.0, for_s=29.0)

    assert balance.correction(29.0) == (1.0, 0.024)


def test_a_tissue_of_which_the_heat_has_told_nothing_yet_may_be_fat() -> None:
    balance = held(HeatBalance(), 3.6, from_s=0.0, for_s=19.5)

    assert balance.correction(19.5) == (1.0, 0.2)


def test_more_heat_than_usual_is_a_larger_radius() -> None:
    usual, _ = held(HeatBalance(), 3.6, from_s=0.0, for_s=60.0).correction(60.0)
    more, _ = held(HeatBalance(), 3.96, from_s=0.0, for_s=60.0).correction(60.0)

    assert more / usual == pytest.approx(1.02, abs=0.001)


def test_less_heat_before_than_now_is_a_larger_radius() -> None:
    even, _ = held(HeatBalance(), 3.6, from_s=0.0, for_s=60.0).correction(60.0)
    rising = held(HeatBalance(), 3.58, from_s=0.0, for_s=30.0)
    factor, _ = held(rising, 3.6, from_s=30.0, for_s=30.0).correction(60.0)

    assert factor > even


def test_a_tissue_unlike_any_that_is_known_makes_the_radius_uncertain() -> None:
    _, usual = held(HeatBalance(), 3.6, from_s=0.0, for_s=60.0).correction(60.0)
    _, fat = held(HeatBalance(), 1.2, from_s=0.0, for_s=60.0).correction(60.0)

    assert usual == pytest.approx(0.016)
    assert fat > 0.4


def test_no_heat_at_all_says_nothing_about_the_radius() -> None:
    assert held(HeatBalance(), -0.1, from_s=0.0, for_s=60.0).correction(60.0) == (1.0, 0.5)


def test_a_tip_is_judged_by_what_was_usual_before() -> None:
    balance = held(HeatBalance(), 3.6, from_s=10.0, for_s=20.0)
    quiet_c = balance.residual_c
    held(balance, 4.7, from_s=30.0, for_s=STEP_S)

    # 1.1 W over (3.6 W / 55.5 K + 0.08 W/K).
    assert quiet_c == pytest.approx(0.0, abs=0.5)
    assert balance.residual_c == pytest.approx(7.6, abs=0.5)


def test_less_heat_than_usual_is_a_tip_that_reads_too_cold() -> None:
    balance = held(HeatBalance(), 3.6, from_s=10.0, for_s=20.0)

    held(balance, 2.0, from_s=30.0, for_s=STEP_S)

    assert balance.residual_c is not None
    assert balance.residual_c < -8.0


def test_nothing_is_unusual_before_8_s_of_a_quiet_hold() -> None:
    balance = held(HeatBalance(), 3.6, from_s=10.0, for_s=7.5)

    held(balance, 9.0, from_s=17.5, for_s=STEP_S)

    assert balance.residual_c is None


@pytest.mark.parametrize(
    ("tip_c", "rate_c_per_s"), [(-60.0, 2.1), (-60.0, -2.1), (-47.9, 0.0), (-72.1, 0.0)]
)
def test_a_tip_that_moves_or_is_far_off_is_not_judged(tip_c: float, rate_c_per_s: float) -> None:
    balance = held(HeatBalance(), 3.6, from_s=10.0, for_s=20.0)

    balance.add(9.0, 3.6, GAS_PER_K, Moment(tip_c, rate_c_per_s, -60.0, 31.0, STEP_S))

    assert balance.residual_c is None
