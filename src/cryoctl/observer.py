"""What the controller makes of tip, flow and pressures: the ice, and whether the tip can be true.

An estimate for research benches, from a model and the needle's own sensors: nothing here has seen
the tissue, and no patient has ever been compared with it.

The tip's temperature drives a model of the ice in wet tissue; the gas tells how much heat was
really drawn. Their ratio corrects the radius a little. Should it change in the middle of a hold,
then the reading has left the tip.
"""

from __future__ import annotations

from math import sqrt
from typing import Final

from cryoctl.gas_heat import drawn_heat
from cryoctl.heat_balance import SPREAD_BY_TIP, HeatBalance, Moment
from cryoctl.ice_model import IceModel
from cryoctl.records import IceEstimate
from cryoctl.sample import Sample
from cryoctl_protocol.codes import DeviceState
from cryoctl_protocol.profile import Profile

FREEZE_STEP_S: Final = 0.5
THAW_STEP_S: Final = 1.0
FORGET_S: Final = 300.0  # Chilled tissue is warm again; the next freeze begins anew.
TISSUE_MIN_C: Final = 5.0  # A tip that is colder before a freeze does not tell the tissue's own.
LETHAL_ISOTHERM_C: Final = -20.0  # Evans 1981: below, nerve block is reliable.
ICE_EDGE_C: Final = -3.0  # Where ice shows in ultrasound: within the freezing range, assumed.
SENSOR_PER_C: Final = 0.019  # What 1 C at the tip makes of the -20 C radius, relative.

_FREEZE: Final = int(DeviceState.FREEZE)


class Observer:
    """Follows the ice through the freezes and thaws of one placement.

    Attributes:
        estimate: Of the last step; None before the first freeze and where nothing is known.
        residual_c: How much warmer the tip reads than its heat explains; None if nobody can tell.
    """

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        # The limit is a worst case: two standard deviations.
        self._sensor_spread = SENSOR_PER_C * 0.5 * profile.limits.sensor_error_c
        self._due_s = float("-inf")
        self._froze_s = float("-inf")
        self.forget()

    def forget(self) -> None:
        """Begin anew: the needle is elsewhere."""
        self.estimate: IceEstimate | None = None
        self.residual_c: float | None = None
        self._model: IceModel | None = None
        self._freeze_s: float | None = None
        self._balance = HeatBalance()
        self._last_s = 0.0
        self._last_tip_c = 0.0

    def take(self, sample: Sample, tip_c: float | None, now_s: float) -> bool:
        """Look at a sample; return True if there is a new estimate.

        Args:
            sample: The newest.
            tip_c: The tip without noise and bad samples; None while it cannot be believed.
            now_s: When the sample arrived.
        """
        is_freezing = sample.state == _FREEZE
        # The first sample of a freeze is never skipped: its tip tells how warm the tissue is.
        if now_s < self._due_s and is_freezing is (self._freeze_s is not None):
            return False
        self._due_s = now_s + (FREEZE_STEP_S if is_freezing else THAW_STEP_S)
        self.residual_c = None
        if tip_c is None:
            return False
        if not is_freezing:
            self._freeze_s = None
            if now_s - self._froze_s > FORGET_S:
                self._model = None
        elif self._freeze_s is None:
            self._begin_freeze(tip_c, now_s)
        model = self._model
        if model is None:
            self.estimate = None
            return False
        if now_s <= self._last_s:  # A link may deliver two samples at once.
            return False
        self._step(model, sample, tip_c, now_s)
        return True

    def _begin_freeze(self, tip_c: float, now_s: float) -> None:
        self._freeze_s = now_s
        self._balance = HeatBalance()
        if self._model is None and tip_c >= TISSUE_MIN_C:
            # Before its first freeze the needle is as warm as what it lies in.
            probe = self._profile.probe
            self._model = IceModel(probe.needle_od_mm, probe.active_length_mm, tip_c)
            self._last_s, self._last_tip_c = now_s - FREEZE_STEP_S, tip_c

    def _step(self, model: IceModel, sample: Sample, tip_c: float, now_s: float) -> None:
        span_s = now_s - self._last_s
        rate_c_per_s = (tip_c - self._last_tip_c) / span_s
        self._last_s, self._last_tip_c = now_s, tip_c
        model.step(span_s, tip_c)
        factor, spread, heat_w = 1.0, SPREAD_BY_TIP, None
        if self._freeze_s is not None:
            self._froze_s = now_s
            freezing_s = now_s - self._freeze_s
            moment = Moment(tip_c, rate_c_per_s, sample.setpoint_c, freezing_s, span_s)
            heat_w = self._compare(model, sample, moment)
            if heat_w is not None:
                factor, spread = self._balance.correction(freezing_s)
        radius_mm = factor * model.radius_mm(LETHAL_ISOTHERM_C)
        self.estimate = IceEstimate(
            ice_radius_mm=model.radius_mm(ICE_EDGE_C),
            radius_minus20_mm=radius_mm,
            sigma_mm=radius_mm * sqrt(spread**2 + self._sensor_spread**2),
            heat_w=heat_w,
            residual_c=self.residual_c,
        )

    def _compare(self, model: IceModel, sample: Sample, moment: Moment) -> float | None:
        """Return the heat drawn from the tissue, compared with the model's; None if unknown."""
        probe, cooling = self._profile.probe, self._profile.cooling
        if cooling is None:
            return None
        drawn = drawn_heat(probe.gas, cooling, sample, moment.tip_c, freezing_s=moment.freezing_s)
        if drawn is None:
            return None
        heat_w = drawn.heat_w - cooling.capacity_j_k * moment.rate_c_per_s
        self._balance.add(heat_w, probe.needles * model.heat_w, drawn.per_k, moment)
        self.residual_c = self._balance.residual_c
        return heat_w
