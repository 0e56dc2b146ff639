"""What the samples add up to: gas used, and how long the tip was warm or gas low."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from cryoctl.cycle_table import Phase
from cryoctl.cycles import CycleRecord
from cryoctl.sample import Sample
from cryoctl.vented_gas import VentedGas
from cryoctl_protocol.profile import Limits

RELEASE_ABOVE_C: Final = 5.0  # SR-14
RELEASE_AFTER_S: Final = 2.0  # SR-14
GAS_LOW_S: Final = 0.5  # One noisy sample must not end a freeze.
_IN_CYCLE: Final = frozenset({Phase.COOLING, Phase.HOLD, Phase.THAWING})


@dataclass(slots=True)
class Measures:
    """Sums and spans over the samples of one session.

    Attributes:
        limits: Of the probe's profile.
        sample_s: When the last sample came; None before the first.
        gas_used_g: By the exhaust flow, since connecting.
        vented: The same, of the last hour.
    """

    limits: Limits
    sample_s: float | None = None
    gas_used_g: float = 0.0
    vented: VentedGas = field(default_factory=VentedGas)
    _warm_s: float | None = None
    _warm_seen_s: float = 0.0
    _gas_low_s: float | None = None

    def take(
        self,
        sample: Sample,
        now_s: float,
        *,
        tip_good: bool,
        phase: Phase,
        cycle: CycleRecord | None,
    ) -> None:
        """Add one sample to the session's sums, and to the running cycle's."""
        span_s = 0.0 if self.sample_s is None else now_s - self.sample_s
        self.sample_s = now_s
        flow_mg_s = sample.exhaust_flow_mg_s
        used_g = 0.0 if flow_mg_s is None or flow_mg_s < 0.0 else flow_mg_s * span_s / 1000.0
        self.gas_used_g += used_g
        self.vented.add(used_g, now_s)
        tip_c = sample.tip_temp_c if tip_good else None
        # A bad sample is neither warm nor cold; a broken sensor is the interlocks' matter.
        if tip_c is not None:
            self._follow_warm(tip_c, now_s)
        self._follow_pressure(sample.supply_pressure_bar, now_s)
        if cycle is None or phase not in _IN_CYCLE:
            return
        cycle.gas_used_g += used_g
        if tip_c is None:
            return
        if cycle.tip_min_c is None or tip_c < cycle.tip_min_c:
            cycle.tip_min_c = tip_c
        if phase is Phase.HOLD and self.in_band(tip_c, cycle.setpoint_c):
            cycle.in_band_s += span_s

    def _follow_warm(self, tip_c: float, now_s: float) -> None:
        if tip_c <= RELEASE_ABOVE_C:
            self._warm_s = None
            return
        if self._warm_s is None:
            self._warm_s = now_s
        self._warm_seen_s = now_s

    def _follow_pressure(self, pressure_bar: float | None, now_s: float) -> None:
        if pressure_bar is None or pressure_bar >= self.limits.pressure_low_bar:
            self._gas_low_s = None
        elif self._gas_low_s is None:
            self._gas_low_s = now_s

    def in_band(self, tip_c: float, setpoint_c: float) -> bool:
        """Return True if the tip is within the profile's band around the set-point."""
        return abs(tip_c - setpoint_c) <= self.limits.band_c

    def begin_thaw(self) -> None:
        """Forget how long the tip was warm before: each thaw has to show it anew."""
        self._warm_s = None

    @property
    def is_free(self) -> bool:
        """True if samples have shown a warm tip for long enough (SR-14)."""
        return self._warm_s is not None and self._warm_seen_s - self._warm_s >= RELEASE_AFTER_S

    def gas_is_low(self, now_s: float) -> bool:
        """Return True if supply pressure has been too low to freeze for half a second."""
        return self._gas_low_s is not None and now_s - self._gas_low_s >= GAS_LOW_S
