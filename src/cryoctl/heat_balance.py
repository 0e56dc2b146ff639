"""Heat drawn by the gas against heat that the ice should give, through one freeze.

The level of their ratio and how it changes tell which tissue this is. A ratio that leaves its level
in the middle of a hold tells that the tip is not as cold as it reads, or colder.
"""

from __future__ import annotations

from math import exp, log
from typing import Final, NamedTuple

SETTLED_S: Final = 6.0  # Before, the gas cools hub and line.
TOLD_FROM_S: Final = 20.0  # When the heat has told fat from muscle.
USED_FROM_S: Final = 30.0  # Earlier the trend still shows how the freeze began.
RECENT_S: Final = 8.0

# Least squares over 56 simulated patients of the kind of the dose study, none of them in it, with
# 0.4 % of doubt about the trend. A tissue that gives 10 % more heat than usual has a -20 C radius
# 2 % larger: it conducts better when frozen. Of two that give the same heat now, the one that
# has given less before has the larger radius: there was less to freeze.
SCALE_GAIN: Final = 0.21
TREND_GAIN: Final = 2.0
SCALE_USUAL: Final = -0.009
TREND_USUAL: Final = -0.010
MODEL_DRIFT: Final = 0.017  # The model's heat falls off too fast, by this power of time,
DRIFT_FROM_S: Final = 40.0  # and is right at this one.
SCALE_SPAN: Final = 0.12  # Beyond, it is another kind of tissue than the model's.
TREND_SPAN: Final = 0.012
SPREAD_UNTOLD: Final = 0.2  # Fat has a -20 C radius a fifth smaller.
SPREAD_BY_TIP: Final = 0.024  # Relative standard deviation of the radius in that study.
SPREAD_BY_HEAT: Final = 0.016
SPREAD_OF_STRANGERS: Final = 0.5  # More of it for each unit of scale beyond its span.

LEARNT_S: Final = 8.0  # Of a quiet hold, before anything is called unusual.
USUAL_S: Final = 60.0  # How slowly the usual heat of a hold is followed then.
QUIET_C: Final = 3.0  # What counts as quiet: so near the set-point,
QUIET_C_PER_S: Final = 0.5  # and moving no faster.
STEADY_C_PER_S: Final = 2.0  # A tip that moves faster is not in balance with its heat.
USUAL_MIN: Final = 0.2  # Fat gives a third of the usual heat; what gives less is air.
NEAR_SETPOINT_C: Final = 12.0  # Further off the hold is lost, and other causes are likelier.
FRONT_C: Final = -4.5  # Middle of the freezing range of tissue.


class Moment(NamedTuple):
    """One step of a freeze; ``span_s`` is its length, ``freezing_s`` the time since it began."""

    tip_c: float
    rate_c_per_s: float
    setpoint_c: float
    freezing_s: float
    span_s: float


class HeatBalance:
    """The comparison through one freeze.

    Attributes:
        residual_c: How much warmer the tip reads than its heat explains; None if nobody can tell.
    """

    def __init__(self) -> None:
        self.residual_c: float | None = None
        self._drawn_j = self._expected_j = 0.0
        self._drawn_w = self._expected_w = 0.0
        self._usual = 0.0
        self._learnt_s = 0.0

    def add(self, drawn_w: float, ice_w: float, gas_per_k: float, moment: Moment) -> None:
        """Take one step.

        Args:
            drawn_w: Heat drawn from the tissue, by the gas.
            ice_w: Heat that the model of the ice gave.
            gas_per_k: By how much more heat a warmer tip would draw into the same flow, W/K.
            moment: When and at which tip.
        """
        since = max(moment.freezing_s, SETTLED_S) / DRIFT_FROM_S
        expected_w: float = ice_w * since**MODEL_DRIFT
        if moment.freezing_s >= SETTLED_S:
            share = moment.span_s / (RECENT_S + moment.span_s) if self._drawn_j else 1.0
            self._drawn_w += share * (drawn_w - self._drawn_w)
            self._expected_w += share * (expected_w - self._expected_w)
            self._drawn_j += drawn_w * moment.span_s
            self._expected_j += expected_w * moment.span_s
        self._judge_tip(drawn_w, expected_w, gas_per_k, moment)

    def correction(self, freezing_s: float) -> tuple[float, float]:
        """Return the factor on the -20 C radius, and its relative standard deviation."""
        if freezing_s < TOLD_FROM_S:
            return 1.0, SPREAD_UNTOLD
        if min(self._drawn_w, self._expected_w, self._drawn_j, self._expected_j) <= 0.0:
            return 1.0, SPREAD_OF_STRANGERS
        recent = log(self._drawn_w / self._expected_w)
        scale = recent - SCALE_USUAL
        strange = SPREAD_OF_STRANGERS * max(0.0, abs(scale) - SCALE_SPAN)
        if freezing_s < USED_FROM_S:
            return 1.0, SPREAD_BY_TIP + strange
        trend = recent - log(self._drawn_j / self._expected_j) - TREND_USUAL
        change = SCALE_GAIN * _within(scale, SCALE_SPAN) + TREND_GAIN * _within(trend, TREND_SPAN)
        return exp(change), SPREAD_BY_HEAT + strange

    def _judge_tip(
        self, drawn_w: float, expected_w: float, gas_per_k: float, moment: Moment
    ) -> None:
        self.residual_c = None
        off_c, rate_c_per_s = abs(moment.tip_c - moment.setpoint_c), abs(moment.rate_c_per_s)
        if rate_c_per_s > STEADY_C_PER_S or off_c > NEAR_SETPOINT_C:
            return
        if expected_w <= 0.0 or moment.tip_c >= FRONT_C:
            return
        ratio = drawn_w / expected_w
        if self._learnt_s < LEARNT_S:
            if rate_c_per_s <= QUIET_C_PER_S and off_c <= QUIET_C:
                self._learnt_s += moment.span_s
                self._usual += (ratio - self._usual) * moment.span_s / self._learnt_s
            return
        if self._usual < USUAL_MIN:
            return
        usual_w = self._usual * expected_w
        # Were the tip colder, the tissue would give more and the gas could take less: both count.
        per_k = max(usual_w, 0.0) / (FRONT_C - moment.tip_c) + gas_per_k
        self.residual_c = (drawn_w - usual_w) / per_k if per_k > 0.0 else 0.0
        self._usual += (ratio - self._usual) * moment.span_s / (USUAL_S + moment.span_s)


def _within(value: float, span: float) -> float:
    return max(-span, min(span, value))
