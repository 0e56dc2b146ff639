"""From cartridge to exhaust: regulator, feed, valve, line, orifice, back pressure; mass books."""

from __future__ import annotations

from math import exp, sqrt
from typing import Final

from cryoctl_simulator.blockage import PLUG_W_K, SNOW_STICKING, Blockage
from cryoctl_simulator.cartridge import Cartridge
from cryoctl_simulator.gas import CO2_TRIPLE_BAR, GASES, GasName
from cryoctl_simulator.plant_parameters import PlantParameters, Regulator
from cryoctl_simulator.scenario import Scenario

ATMOSPHERE_BAR: Final = 1.013  # standard atmosphere
LINE_EXPONENT: Final = 5.0  # how fast line pressure rises with filling; a closure, assumed
LINE_SCALE: Final = 1.0 / (1.0 - exp(-LINE_EXPONENT))
LINE_EMPTY_MG: Final = 1e-6
OPENING_MIN: Final = 1e-4  # a valve this little open is shut
EXHAUST_OPENING_MIN: Final = 0.01  # keeps the back pressure of a blocked exhaust finite
FLOW_MIN_MG_S: Final = 1e-3  # below this there is no back pressure
FLOWING_MG_S: Final = 1.0  # below this the hub warms
LEAK_REFERENCE_BAR: Final = 50.0  # supply_leak_mg_s is the leak at this pressure
# What the relief itself lets out of the exhaust, as a share of the orifice's nominal flow; assumed,
# set so that a blocked exhaust leaves the tip near -21 C.
RELIEF_BLEED_SHARE: Final = 0.10
MG_PER_PPM: Final = 1e-6


class GasPath:
    """Where the gas is and how fast it goes.

    Five books hold it all: cartridge, feed (vapour between shut-off and valve), line (between valve
    and orifice), what sticks at the orifice, and ``vented_g``. Every step moves the same number out
    of one and into the next.

    The relief is worked by the exhaust and vents the gas ahead of the needle, so that the needle
    gets no more than leaves it. (One behind the needle that let everything pass would not starve
    it: at 50 bar a choked orifice does not notice 6 bar, and the tip would stay at -44 C.)
    """

    __slots__ = (
        "_clear_mg_s",
        "_exhaust_step",
        "_feed_mg",
        "_heat_j_g",
        "_line_liquid",
        "_line_mg",
        "_line_rests",
        "_liquid_drawn_mg",
        "_liquid_factor",
        "_needle_share",
        "_opening",
        "_orifice_mg_s",
        "_regulated_bar",
        "_source_bar",
        "_tick_s",
        "_tip_mg_s",
        "_valve_keep",
        "_vapour_drawn_mg",
        "_vapour_factor",
        "_wet",
        "_wetting",
        "blockage",
        "cartridge",
        "exhaust_flow_mg_s",
        "exhaust_open_fraction",
        "exhaust_pressure_bar",
        "moisture_ppm",
        "needle_flow_mg_s",
        "orifice_open_fraction",
        "parameters",
        "saturation_temp_c",
        "shutoff_stuck",
        "supply_leak_mg_s",
        "supply_pressure_bar",
        "tip_leak_fraction",
        "valve_held",
        "vapour_draw",
        "vented_g",
    )

    def __init__(self, parameters: PlantParameters, scenario: Scenario, tick_s: float) -> None:
        self.parameters = parameters
        self._tick_s = tick_s
        table = scenario.cartridge
        fill_g = parameters.cartridge_fill_g if table.fill_g is None else table.fill_g
        # The feed is filled when the cartridge is pierced.
        self._feed_mg = min(parameters.feed_capacity_mg, 1e3 * fill_g)
        ambient_c = scenario.ambient_temp_c
        self.cartridge = Cartridge(
            gas=GASES[parameters.gas],
            mass_g=fill_g - 1e-3 * self._feed_mg,
            volume_ml=parameters.cartridge_volume_ml,
            steel_g=parameters.cartridge_steel_g,
            heat_transfer_w_k=parameters.cartridge_heat_transfer_w_k,
            temp_c=ambient_c if table.temp_c is None else table.temp_c,
            ambient_temp_c=ambient_c,
        )
        self._opening = 0.0
        self._line_mg = 0.0
        self._line_liquid = 0.0
        self._line_rests = False
        self._orifice_mg_s = 0.0
        self._tip_mg_s = 0.0
        self._needle_share = 1.0
        self._liquid_drawn_mg = 0.0
        self._vapour_drawn_mg = 0.0
        self._wet = 0.0
        self._wetting = 0.0
        self.blockage = Blockage()
        self._clear_mg_s = parameters.orifice_flow_mg_s
        self._exhaust_step = 1.0 - exp(-tick_s / parameters.exhaust_lag_s)
        self.needle_flow_mg_s = 0.0
        self.exhaust_flow_mg_s = 0.0
        self.exhaust_pressure_bar = ATMOSPHERE_BAR
        self.saturation_temp_c = self.cartridge.gas.saturation_temp_c(ATMOSPHERE_BAR)
        self.vented_g = 0.0
        self.valve_held: float | None = None
        self.shutoff_stuck: bool | None = None
        self.orifice_open_fraction = 1.0
        self.exhaust_open_fraction = 1.0
        self.supply_leak_mg_s = 0.0
        self.tip_leak_fraction = 0.0
        self.vapour_draw = table.orientation == "vapour"
        self.moisture_ppm = table.moisture_ppm
        self.set_valve_lag(parameters.valve_lag_s)
        regulator = parameters.regulator
        self._regulated_bar = regulator.pressure_bar if regulator else 0.0
        self._see_cartridge()
        self.supply_pressure_bar = self._source_bar

    @property
    def liquid_g(self) -> float:
        """Liquid in the cartridge."""
        return max(0.0, self.cartridge.mass_g - self.cartridge.vapour_g)

    @property
    def vapour_g(self) -> float:
        """Vapour in the cartridge."""
        return min(self.cartridge.mass_g, self.cartridge.vapour_g)

    @property
    def line_g(self) -> float:
        """Gas between shut-off and orifice: feed and line."""
        return 1e-3 * (self._feed_mg + self._line_mg)

    @property
    def stuck_g(self) -> float:
        """Dry ice and water ice at the orifice."""
        return 1e-3 * (self.blockage.snow_mg + self.blockage.ice_mg)

    @property
    def cartridge_temp_c(self) -> float:
        """Temperature of cartridge and gas; may be set."""
        return self.cartridge.temp_c

    @cartridge_temp_c.setter
    def cartridge_temp_c(self, temp_c: float) -> None:
        self.cartridge.temp_c = temp_c
        self.cartridge.refresh()
        self._see_cartridge()

    def set_valve_lag(self, lag_s: float) -> None:
        """Give the valve another time constant (a slow valve)."""
        self._valve_keep = exp(-self._tick_s / lag_s)

    def drain_to(self, liquid_g: float) -> None:
        """Vent liquid from the cartridge until ``liquid_g`` is left; its temperature stays."""
        lost_g = max(0.0, self.cartridge.mass_g - self.cartridge.mass_with_liquid_g(liquid_g))
        self.cartridge.mass_g -= lost_g
        self.vented_g += lost_g
        self.cartridge.refresh()
        self._see_cartridge()

    def change_gas(self, name: GasName) -> None:
        """Have the cartridge hold another gas, as if the wrong one had been inserted."""
        self.cartridge.gas = GASES[name]
        self.cartridge.refresh()
        self.saturation_temp_c = GASES[name].saturation_temp_c(self.exhaust_pressure_bar)
        self._see_cartridge()

    def _move_gas(self, command: float, shutoff_command: bool) -> None:  # noqa: FBT001 (every tick)
        """Move the gas by one tick."""
        parameters = self.parameters
        tick_s = self._tick_s
        held = self.valve_held
        if held is not None:
            command = held
        if command < parameters.valve_duty_min:
            command = 0.0
        opening = command + (self._opening - command) * self._valve_keep
        if opening < OPENING_MIN:
            opening = 0.0
        self._opening = opening

        stuck = self.shutoff_stuck
        shutoff_open = shutoff_command if stuck is None else stuck
        capacity_mg = parameters.feed_capacity_mg
        if shutoff_open:
            filling = 1.0 if self._feed_mg >= capacity_mg else self._refill_feed()
        else:
            filling = self._feed_mg / capacity_mg
        self.supply_pressure_bar = self._source_bar * filling
        if self.supply_leak_mg_s > 0.0:
            leak_mg = self.supply_leak_mg_s * self.supply_pressure_bar / LEAK_REFERENCE_BAR * tick_s
            self._take_vapour(leak_mg, from_cartridge=shutoff_open)
            self.vented_g += 1e-3 * leak_mg

        if opening > 0.0 or (self._line_mg > LINE_EMPTY_MG and not self._line_rests):
            out_mg = self._move_line(filling, shutoff_open=shutoff_open)
            self.vented_g += 1e-3 * out_mg
            orifice_mg_s = out_mg / tick_s
        else:
            orifice_mg_s = 0.0
        self._orifice_mg_s = orifice_mg_s
        if orifice_mg_s > 0.0 or self.needle_flow_mg_s > 0.0:
            arriving_mg_s = orifice_mg_s * (1.0 - self.tip_leak_fraction)
            self._move_exhaust(arriving_mg_s)
            self._tip_mg_s = arriving_mg_s * self._needle_share
        else:
            self._tip_mg_s = 0.0

    def _move_line(self, filling: float, *, shutoff_open: bool) -> float:
        """Fill the line through the valve, empty it by the orifice; return the mg that left."""
        parameters = self.parameters
        tick_s = self._tick_s
        line_mg = self._line_mg
        line_capacity_mg = parameters.line_capacity_mg
        nominal_mg_s = parameters.orifice_flow_mg_s
        liquid_factor = self._liquid_factor
        vapour_factor = self._vapour_factor
        liquid_in = shutoff_open and self.cartridge.liquid_draw_possible and not self.vapour_draw
        in_factor = liquid_factor if liquid_in else vapour_factor
        source_mg_s = self._opening * parameters.valve_flow_factor * nominal_mg_s
        source_mg_s *= in_factor * filling
        back_per_s = source_mg_s / line_capacity_mg

        # The orifice's flow over what is in the line, taken at the middle of the step.
        net_mg_s = source_mg_s - back_per_s * line_mg - self._orifice_mg_s
        middle_mg = line_mg + 0.5 * tick_s * net_mg_s
        least_mg = 0.25 * line_mg
        if middle_mg < least_mg:  # noqa: PLR1730 (every tick: a conditional is faster than max)
            middle_mg = least_mg
        ratio = LINE_SCALE * (1.0 - exp(-LINE_EXPONENT * middle_mg / line_capacity_mg))
        line_bar = self._source_bar * ratio
        out_per_s = 0.0
        liquid = self._line_liquid
        exhaust_bar = self.exhaust_pressure_bar
        if line_bar > exhaust_bar:
            factor = liquid * liquid_factor
            factor += (1.0 - liquid) * vapour_factor
            back = exhaust_bar / line_bar
            flow_mg_s = self._clear_mg_s * factor * self.orifice_open_fraction
            out_per_s = flow_mg_s * sqrt(ratio * (1.0 - back * back)) / middle_mg

        rate_per_s = back_per_s + out_per_s
        if rate_per_s == 0.0:
            # At rest until the valve opens or a pressure at either end changes.
            self._line_rests = line_bar <= exhaust_bar and self._orifice_mg_s == 0.0
            return 0.0
        settled_mg = source_mg_s / rate_per_s
        change = 1.0 - exp(-rate_per_s * tick_s)
        moved_mg = (settled_mg - line_mg) * change
        out_mg = out_per_s * (settled_mg * tick_s - moved_mg / rate_per_s)
        in_mg = out_mg + moved_mg
        if in_mg > 0.0:
            share = in_mg / (line_mg + in_mg)
            if liquid_in:
                self.cartridge.mass_g -= 1e-3 * in_mg
                self._liquid_drawn_mg += in_mg
                self._line_liquid = liquid + (1.0 - liquid) * share
            else:
                self._take_vapour(in_mg, from_cartridge=shutoff_open)
                self._line_liquid = liquid - liquid * share
        else:  # Nothing flows back through the valve; a negative inflow is rounding.
            out_mg -= in_mg
            in_mg = 0.0
        self._line_mg = line_mg + in_mg - out_mg
        return out_mg

    def _move_exhaust(self, arriving_mg_s: float) -> None:
        self._line_rests = False
        parameters = self.parameters
        flow_mg_s = self.needle_flow_mg_s
        flow_mg_s += (arriving_mg_s - flow_mg_s) * self._exhaust_step
        if flow_mg_s < FLOW_MIN_MG_S:
            flow_mg_s = 0.0
        self.needle_flow_mg_s = flow_mg_s
        opening = self.exhaust_open_fraction
        if opening < EXHAUST_OPENING_MIN:  # noqa: PLR1730 (as above)
            opening = EXHAUST_OPENING_MIN
        relative = flow_mg_s / (parameters.orifice_flow_mg_s * opening)
        pressure_bar = ATMOSPHERE_BAR + parameters.exhaust_drop_bar * relative * relative
        if pressure_bar > parameters.relief_pressure_bar:
            # The relief passes the rest into the room, past needle and flow sensor.
            pressure_bar = parameters.relief_pressure_bar
            excess = (pressure_bar - ATMOSPHERE_BAR) / parameters.exhaust_drop_bar
            passing_mg_s = parameters.orifice_flow_mg_s * opening * sqrt(excess)
            self.exhaust_flow_mg_s = passing_mg_s
            passing_mg_s += parameters.orifice_flow_mg_s * RELIEF_BLEED_SHARE
            self._needle_share = min(1.0, passing_mg_s / flow_mg_s)
        else:
            self.exhaust_flow_mg_s = flow_mg_s
            self._needle_share = 1.0
        self.exhaust_pressure_bar = pressure_bar
        self.saturation_temp_c = self.cartridge.gas.saturation_temp_c(pressure_bar)

    def _refill_feed(self) -> float:
        """Fill the feed, at once or at the pace of a regulator; return its filling."""
        capacity_mg = self.parameters.feed_capacity_mg
        regulator = self.parameters.regulator
        moved_mg = min(capacity_mg - self._feed_mg, 1e3 * self.cartridge.mass_g)
        if regulator is not None:
            moved_mg = min(moved_mg, regulator.fill_mg_s * self._tick_s)
        self._take_vapour(moved_mg, from_cartridge=True)
        self._feed_mg += moved_mg
        return 1.0 if regulator is None else self._feed_mg / capacity_mg

    def _take_vapour(self, amount_mg: float, *, from_cartridge: bool) -> None:
        if not from_cartridge:
            self._feed_mg -= amount_mg
            return
        self.cartridge.mass_g -= 1e-3 * amount_mg
        self._vapour_drawn_mg += amount_mg

    def _move_cartridge(self, duration_s: float) -> None:
        """Cool the cartridge by what left it since the last call, and wet or warm the hub."""
        parameters = self.parameters
        self.cartridge.update(
            duration_s,
            liquid_drawn_g=1e-3 * self._liquid_drawn_mg,
            vapour_drawn_g=1e-3 * self._vapour_drawn_mg,
        )
        self._liquid_drawn_mg = 0.0
        self._vapour_drawn_mg = 0.0
        if self.parameters.regulator is not None:
            self._move_regulator(self.parameters.regulator, duration_s)
        if self._orifice_mg_s > FLOWING_MG_S:
            self._wet += (1.0 - self._wet) * (1.0 - exp(-duration_s / parameters.wetting_s))
        else:
            self._wet *= exp(-duration_s / parameters.hub_warming_s)
        self._see_cartridge()

    def _move_regulator(self, regulator: Regulator, duration_s: float) -> None:
        """Let the delivered pressure droop with the flow, and follow with the regulator's lag."""
        flow = self._orifice_mg_s / self.parameters.orifice_flow_mg_s
        settled_bar = max(0.0, regulator.pressure_bar - regulator.droop_bar * flow)
        self._regulated_bar += (settled_bar - self._regulated_bar) * (
            1.0 - exp(-duration_s / regulator.lag_s)
        )

    def _move_blockage(self, duration_s: float, *, tip_mean_c: float, cooling_w: float) -> None:
        """Let snow and ice settle at the orifice or leave it, from and to the vented gas.

        ``cooling_w`` is the heat that the gas takes from the tip.
        """
        blockage = self.blockage
        tip_mg_s = self._tip_mg_s
        caught_w = 0.0
        if self.cartridge.gas.sublimes and self.exhaust_pressure_bar < CO2_TRIPLE_BAR:
            # Snow in watts of cooling that it could do: formed, bridged, and left by the tip.
            formed_w = 1e-3 * tip_mg_s * self._wet * self._line_liquid * self._heat_j_g
            caught_w = formed_w * blockage.bridged_fraction
            left_w = min(formed_w, formed_w - caught_w - cooling_w)
            if left_w > 0.0:
                caught_w += SNOW_STICKING * left_w
        water_mg = 0.0
        if self.moisture_ppm > 0.0 and tip_mean_c < 0.0:
            water_mg = tip_mg_s * duration_s * self.moisture_ppm * MG_PER_PPM
        saturation_c = self.saturation_temp_c
        # On a clean orifice flakes go as fast as they come, up to what the tip can give.
        stays = caught_w > PLUG_W_K * max(0.0, tip_mean_c - saturation_c)
        if stays or water_mg > 0.0 or blockage.is_dirty:
            snow_j_g = self.cartridge.gas.condensed_heat_j_g(saturation_c)
            self.vented_g -= 1e-3 * blockage.update(
                duration_s,
                snow_mg=1e3 * caught_w * duration_s / snow_j_g,
                water_mg=water_mg,
                tip_temp_c=tip_mean_c,
                sublimation_temp_c=saturation_c,
                sublimation_j_g=snow_j_g,
            )
            self._clear_mg_s = self.parameters.orifice_flow_mg_s * blockage.clear_fraction
        self._wetting = self._wet * (1.0 - blockage.bridged_fraction)

    def _see_cartridge(self) -> None:
        """Take over what follows from a changed cartridge or gas."""
        self._line_rests = False
        cartridge = self.cartridge
        gas = cartridge.gas
        self._source_bar = cartridge.pressure_bar
        self._liquid_factor = cartridge.liquid_flux_factor
        self._vapour_factor = cartridge.vapour_flux_factor
        if self.parameters.regulator is not None and self._regulated_bar < self._source_bar:
            # Less pressure, less flow: by the same root as in the line.
            root = sqrt(self._regulated_bar / self._source_bar)
            self._source_bar = self._regulated_bar
            self._liquid_factor *= root
            self._vapour_factor *= root
        at_tip_j_g = gas.exhaust_vapour_enthalpy_j_g(self.saturation_temp_c)
        self._heat_j_g = at_tip_j_g - cartridge.liquid_heat_j_g
