"""Many probes of one kind at once, in numpy: the equations of ``plant``, element by element.

For sweeps and campaigns. A batch does what its probes would do alone, to rounding, and a test holds
it to that. Left out are nerves, the second thermocouple, stuck actuators (their owner commands what
they do) and a change of the gas.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, pi
from typing import Final

import numpy as np
import numpy.typing as npt

from cryoctl_simulator.battery import COULOMBS_PER_MAH, CURVE
from cryoctl_simulator.blockage import ICE_MELTING_J_G, PLUG_MG, PLUG_W_K, SNOW_STICKING
from cryoctl_simulator.gas import CO2_TRIPLE_BAR, GASES
from cryoctl_simulator.gas_batch import CartridgeBatch
from cryoctl_simulator.gas_path import (
    ATMOSPHERE_BAR,
    EXHAUST_OPENING_MIN,
    FLOW_MIN_MG_S,
    FLOWING_MG_S,
    LEAK_REFERENCE_BAR,
    LINE_EMPTY_MG,
    LINE_EXPONENT,
    LINE_SCALE,
    MG_PER_PPM,
    OPENING_MIN,
    RELIEF_BLEED_SHARE,
)
from cryoctl_simulator.plant import (
    AIR_W_MM2_K,
    COLD_VAPOUR_J_G_K,
    EXHAUST_VAPOUR_J_G_K,
    LIQUID_COOLING_SHARE,
    NEAR_SATURATION_K,
    SLOW_TICKS,
    TICK_S,
    VAPOUR_COOLING_SHARE,
)
from cryoctl_simulator.plant_parameters import Handle, PlantParameters, Regulator
from cryoctl_simulator.scenario import Scenario
from cryoctl_simulator.tissue_batch import TissueBatch
from cryoctl_simulator.tissue_properties import Array

Flags = npt.NDArray[np.bool_]
_TINY: Final = float(np.finfo(float).tiny)
_CHARGES: Final = [charge for charge, _ in CURVE]
_REST_MV: Final = [rest_mv for _, rest_mv in CURVE]
_SLOW_S: Final = SLOW_TICKS * TICK_S


@dataclass(slots=True)
class BatchActuators:
    """What drives the probes during one tick: one value a probe.

    Attributes:
        valve: Opening asked for, 0 to 1.
        shutoff_open: Second valve, upstream.
        tip_heater: Share of full power, 0 to 1.
        skin_warmer: Share of full power, 0 to 1.
    """

    valve: Array
    shutoff_open: Flags
    tip_heater: Array
    skin_warmer: Array

    @classmethod
    def at_rest(cls, count: int) -> BatchActuators:
        """Return actuators of ``count`` probes, all shut and off."""
        shut = np.zeros(count, dtype=bool)
        return cls(np.zeros(count), shut, np.zeros(count), np.zeros(count))


class PlantBatch:
    """The hardware of many probes with the same parameters, each in a scenario of its own.

    Every attribute is an array with one value a probe. Faults are plain attributes, neutral as they
    stand: ``orifice_open_fraction``, ``exhaust_open_fraction``, ``supply_leak_mg_s``,
    ``tip_leak_fraction``, ``vapour_draw``.

    Args:
        parameters: The hardware of every probe.
        scenarios: One a probe, at least one; all with the fast model of tissue.

    Raises:
        ValueError: No scenario, or one that asks for the reference model.
    """

    def __init__(self, parameters: PlantParameters, scenarios: Sequence[Scenario]) -> None:
        if not scenarios:
            raise ValueError("scenarios is empty: a batch has at least one probe")
        slow = [i for i, one in enumerate(scenarios) if one.tissue.model != "fast"]
        if slow:
            raise ValueError(
                f"scenarios[{slow[0]}].tissue.model is 'reference': a batch has the fast model only"
            )
        count = len(scenarios)
        self.parameters = parameters
        self._slow_ticks_left = SLOW_TICKS
        self._ambient_c = np.array([one.ambient_temp_c for one in scenarios])
        self._hand_c = np.array([one.hand.temp_c for one in scenarios])
        self._hand_w_k = np.array([one.hand.conductance_w_k for one in scenarios])
        self._fill_gas(scenarios)
        self.tissue = TissueBatch(
            [one.tissue.properties() for one in scenarios],
            needle_od_mm=parameters.needle_od_mm,
            active_length_mm=parameters.active_length_mm,
        )
        in_air = np.array([one.tissue.preset == "air" for one in scenarios])
        self.contact = np.where(in_air, 0.0, 1.0)
        surface_mm2 = pi * parameters.needle_od_mm * parameters.active_length_mm
        self._air_w_k = AIR_W_MM2_K * surface_mm2 * parameters.needles
        start_c = np.where(in_air, self._ambient_c, self.tissue.temp_c)
        self.tip_temp_c = start_c.copy()
        self._tip_start_c = start_c.copy()
        self._tip_sum_c = np.zeros(count)
        self._heater_j = np.zeros(count)
        self.heat_w = np.zeros(count)
        self._skin_body_c = np.minimum(parameters.skin_temp_c, start_c)
        self.skin_temp_c = self._skin_body_c.copy()
        self.handle_temp_c = self._ambient_c.copy()
        self._see_sides()
        self.battery_charge = np.array([one.battery_charge for one in scenarios])
        self.battery_mv = np.interp(self.battery_charge, _CHARGES, _REST_MV)

    def _fill_gas(self, scenarios: Sequence[Scenario]) -> None:
        parameters = self.parameters
        tables = [one.cartridge for one in scenarios]
        count = len(tables)
        full_g = parameters.cartridge_fill_g
        fill_g = np.array([full_g if one.fill_g is None else one.fill_g for one in tables])
        self._feed_mg = np.minimum(parameters.feed_capacity_mg, 1e3 * fill_g)
        temps_c = [
            ambient_c if one.temp_c is None else one.temp_c
            for one, ambient_c in zip(tables, self._ambient_c.tolist(), strict=True)
        ]
        self.cartridge = CartridgeBatch(
            GASES[parameters.gas],
            mass_g=fill_g - 1e-3 * self._feed_mg,
            volume_ml=parameters.cartridge_volume_ml,
            steel_g=parameters.cartridge_steel_g,
            heat_transfer_w_k=parameters.cartridge_heat_transfer_w_k,
            temp_c=np.array(temps_c),
            ambient_temp_c=self._ambient_c.copy(),
        )
        self._opening = np.zeros(count)
        self._line_mg = np.zeros(count)
        self._line_liquid = np.zeros(count)
        self._orifice_mg_s = np.zeros(count)
        self._tip_mg_s = np.zeros(count)
        self._liquid_drawn_mg = np.zeros(count)
        self._vapour_drawn_mg = np.zeros(count)
        self._wet = np.zeros(count)
        self._wetting = np.zeros(count)
        self.snow_mg = np.zeros(count)
        self.ice_mg = np.zeros(count)
        self._clear_fraction = np.ones(count)
        self._bridged_fraction = np.zeros(count)
        self._plug_w_k = np.zeros(count)
        self._plug_temp_c = np.zeros(count)
        self._exhaust_step = 1.0 - exp(-TICK_S / parameters.exhaust_lag_s)
        self._valve_keep = exp(-TICK_S / parameters.valve_lag_s)
        self.needle_flow_mg_s = np.zeros(count)
        self.exhaust_flow_mg_s = np.zeros(count)
        self.exhaust_pressure_bar = np.full(count, ATMOSPHERE_BAR)
        gas = self.cartridge.properties
        self.saturation_temp_c = gas.saturation_temp_c(self.exhaust_pressure_bar)
        self.vented_g = np.zeros(count)
        self.orifice_open_fraction = np.ones(count)
        self.exhaust_open_fraction = np.ones(count)
        self.supply_leak_mg_s = np.zeros(count)
        self.tip_leak_fraction = np.zeros(count)
        self.vapour_draw = np.array([one.orientation == "vapour" for one in tables])
        self.moisture_ppm = np.array([one.moisture_ppm for one in tables])
        regulator = parameters.regulator
        self._regulated_bar = np.full(count, regulator.pressure_bar if regulator else 0.0)
        self._see_cartridge()
        self.supply_pressure_bar = self._source_bar

    def step(self, actuators: BatchActuators) -> None:
        """Move every probe by one tick of 10 ms with ``actuators`` held."""
        self._move_gas(actuators.valve, actuators.shutoff_open)
        self._move_tip(actuators.tip_heater)
        self._slow_ticks_left -= 1
        if self._slow_ticks_left == 0:
            self._slow_ticks_left = SLOW_TICKS
            self._move_slow(actuators)

    @property
    def liquid_g(self) -> Array:
        """Liquid in the cartridges."""
        return self.cartridge.liquid_g

    @property
    def gas_g(self) -> Array:
        """All gas there is: cartridge, feed, line, what sticks, what was vented."""
        loose_mg = self._feed_mg + self._line_mg + self.snow_mg + self.ice_mg
        total: Array = self.cartridge.mass_g + 1e-3 * loose_mg + self.vented_g
        return total

    # -- gas, every tick -------------------------------------------------------------------------

    def _move_gas(self, valve: Array, shutoff_open: Flags) -> None:
        parameters = self.parameters
        command = np.where(valve < parameters.valve_duty_min, 0.0, valve)
        opening = command + (self._opening - command) * self._valve_keep
        opening[opening < OPENING_MIN] = 0.0
        self._opening = opening
        filling = self._fill_feed(shutoff_open)
        self.supply_pressure_bar = self._source_bar * filling
        if self.supply_leak_mg_s.any():
            leak_mg = self.supply_leak_mg_s * self.supply_pressure_bar
            leak_mg *= TICK_S / LEAK_REFERENCE_BAR
            self._take_vapour(leak_mg, shutoff_open)
            self.vented_g += 1e-3 * leak_mg
        out_mg = self._move_line(filling, shutoff_open)
        self.vented_g += 1e-3 * out_mg
        self._orifice_mg_s = out_mg / TICK_S
        arriving_mg_s = self._orifice_mg_s * (1.0 - self.tip_leak_fraction)
        self._tip_mg_s = arriving_mg_s * self._move_exhaust(arriving_mg_s)

    def _fill_feed(self, shutoff_open: Flags) -> Array:
        capacity_mg = self.parameters.feed_capacity_mg
        regulator = self.parameters.regulator
        moved_mg = np.minimum(capacity_mg - self._feed_mg, 1e3 * self.cartridge.mass_g)
        if regulator is not None:
            moved_mg = np.minimum(moved_mg, regulator.fill_mg_s * TICK_S)
        moved_mg = np.where(shutoff_open, moved_mg, 0.0)
        if moved_mg.any():
            self._feed_mg += moved_mg
            self.cartridge.mass_g -= 1e-3 * moved_mg
            self._vapour_drawn_mg += moved_mg
        share = self._feed_mg / capacity_mg
        return share if regulator is not None else np.where(shutoff_open, 1.0, share)

    def _take_vapour(self, amount_mg: Array, from_cartridge: Flags) -> None:
        from_cartridge_mg = np.where(from_cartridge, amount_mg, 0.0)
        self._feed_mg -= amount_mg - from_cartridge_mg
        self.cartridge.mass_g -= 1e-3 * from_cartridge_mg
        self._vapour_drawn_mg += from_cartridge_mg

    def _move_line(self, filling: Array, shutoff_open: Flags) -> Array:
        """Fill the lines through the valves, empty them by the orifices; return what left."""
        parameters, line_mg, liquid = self.parameters, self._line_mg, self._line_liquid
        capacity_mg, nominal_mg_s = parameters.line_capacity_mg, parameters.orifice_flow_mg_s
        liquid_in = shutoff_open & self.cartridge.liquid_draw_possible & ~self.vapour_draw
        in_factor = np.where(liquid_in, self._liquid_factor, self._vapour_factor)
        source_mg_s = self._opening * (parameters.valve_flow_factor * nominal_mg_s)
        source_mg_s *= in_factor * filling
        back_per_s = source_mg_s / capacity_mg

        net_mg_s = source_mg_s - back_per_s * line_mg - self._orifice_mg_s
        middle_mg = np.maximum(line_mg + 0.5 * TICK_S * net_mg_s, 0.25 * line_mg)
        ratio = LINE_SCALE * (1.0 - np.exp(middle_mg * (-LINE_EXPONENT / capacity_mg)))
        line_bar = self._source_bar * ratio
        drives = line_bar > self.exhaust_pressure_bar
        back = np.where(drives, self.exhaust_pressure_bar / np.where(drives, line_bar, 1.0), 1.0)
        factor = liquid * self._liquid_factor + (1.0 - liquid) * self._vapour_factor
        flow_mg_s = self._clear_mg_s * factor * self.orifice_open_fraction
        out_per_s = flow_mg_s * np.sqrt(ratio * (1.0 - back * back))
        out_per_s /= np.maximum(middle_mg, _TINY)

        rate_per_s = back_per_s + out_per_s
        moves = rate_per_s > 0.0
        moves &= (self._opening > 0.0) | (line_mg > LINE_EMPTY_MG)
        rate_per_s = np.where(moves, rate_per_s, 1.0)
        settled_mg = source_mg_s / rate_per_s
        moved_mg = (settled_mg - line_mg) * -np.expm1(-rate_per_s * TICK_S)
        out_mg = out_per_s * (settled_mg * TICK_S - moved_mg / rate_per_s)
        in_mg = out_mg + moved_mg
        rounding_mg = np.minimum(in_mg, 0.0)
        out_mg = np.where(moves, out_mg - rounding_mg, 0.0)
        in_mg = np.where(moves, in_mg - rounding_mg, 0.0)
        share = in_mg / np.maximum(line_mg + in_mg, _TINY)
        liquid_mg = np.where(liquid_in, in_mg, 0.0)
        self.cartridge.mass_g -= 1e-3 * liquid_mg
        self._liquid_drawn_mg += liquid_mg
        self._take_vapour(in_mg - liquid_mg, shutoff_open)
        self._line_liquid = liquid + (liquid_in - liquid) * share
        self._line_mg = line_mg + in_mg - out_mg
        return out_mg

    def _move_exhaust(self, arriving_mg_s: Array) -> Array:
        """Build up back pressure; return the share of the gas that gets as far as the needle."""
        parameters = self.parameters
        nominal_mg_s = parameters.orifice_flow_mg_s
        flow_mg_s = self.needle_flow_mg_s
        flow_mg_s = flow_mg_s + (arriving_mg_s - flow_mg_s) * self._exhaust_step
        flow_mg_s[flow_mg_s < FLOW_MIN_MG_S] = 0.0
        self.needle_flow_mg_s = flow_mg_s
        opening = np.maximum(self.exhaust_open_fraction, EXHAUST_OPENING_MIN)
        relative = flow_mg_s / (nominal_mg_s * opening)
        pressure_bar = ATMOSPHERE_BAR + parameters.exhaust_drop_bar * relative * relative
        share: Array = np.ones(len(flow_mg_s))
        self.exhaust_flow_mg_s = flow_mg_s
        relieved = pressure_bar > parameters.relief_pressure_bar
        if relieved.any():
            pressure_bar[relieved] = parameters.relief_pressure_bar
            excess = (parameters.relief_pressure_bar - ATMOSPHERE_BAR) / parameters.exhaust_drop_bar
            passing_mg_s = nominal_mg_s * opening * excess**0.5
            self.exhaust_flow_mg_s = np.where(relieved, passing_mg_s, flow_mg_s)
            passing_mg_s = passing_mg_s + nominal_mg_s * RELIEF_BLEED_SHARE
            share = np.minimum(1.0, passing_mg_s / np.where(relieved, flow_mg_s, passing_mg_s))
        self.exhaust_pressure_bar = pressure_bar
        self.saturation_temp_c = self.cartridge.properties.saturation_temp_c(pressure_bar)
        return share

    # -- tip, every tick -------------------------------------------------------------------------

    def _move_tip(self, heater: Array) -> None:
        parameters, tissue, contact = self.parameters, self.tissue, self.contact
        tip_c, saturation_c = self.tip_temp_c, self.saturation_temp_c
        heater_w = heater * parameters.tip_heater_w
        self._heater_j += heater_w * TICK_S
        weight_w_k = contact * tissue.conductance_w_k * parameters.needles
        power_w = weight_w_k * tissue.boundary_temp_c + self._side_w + heater_w
        air_w_k = (1.0 - contact) * self._air_w_k
        weight_w_k += self._side_w_k + air_w_k
        power_w += air_w_k * self._ambient_c
        flow_g_s = 1e-3 * self._tip_mg_s
        wet = self._wetting * (VAPOUR_COOLING_SHARE + LIQUID_COOLING_SHARE * self._line_liquid)
        supply_w = flow_g_s * wet * self._heat_j_g
        difference_k = tip_c - saturation_c
        boils = (supply_w > 0.0) & (difference_k > NEAR_SATURATION_K)
        full_w_k = parameters.tip_boiling_w_k
        ready_w = np.where(boils, supply_w, 1.0)
        limited = ready_w * -np.expm1(-full_w_k * difference_k / ready_w)
        limited /= np.where(boils, difference_k, 1.0)
        boiling_w_k = np.where(boils, limited, np.where(supply_w > 0.0, full_w_k, 0.0))
        boiling_w_k += flow_g_s * EXHAUST_VAPOUR_J_G_K
        weight_w_k += boiling_w_k
        power_w += boiling_w_k * saturation_c
        settled_c = power_w / weight_w_k
        keep = np.exp(weight_w_k * (-TICK_S / parameters.tip_capacity_j_k))
        after_c = np.maximum(settled_c + (tip_c - settled_c) * keep, saturation_c)
        self._tip_sum_c += tip_c + after_c
        self.tip_temp_c = after_c

    # -- what moves every tenth tick -------------------------------------------------------------

    def _move_slow(self, actuators: BatchActuators) -> None:
        parameters, tissue = self.parameters, self.tissue
        tip_mean_c = 0.5 * self._tip_sum_c / SLOW_TICKS
        self._tip_sum_c[:] = 0.0
        heater_w = self._heater_j / _SLOW_S
        self._heater_j[:] = 0.0
        heat_w = self.contact * tissue.conductance_w_k * (tissue.boundary_temp_c - tip_mean_c)
        self.heat_w = heat_w * parameters.needles
        touched_c = np.where(self.contact > 0.0, self.tip_temp_c, tissue.temp_c)
        tissue.update(_SLOW_S, tip_temp_c=touched_c, heat_j=heat_w * _SLOW_S)

        cooling_w = self.heat_w + heater_w + self._side_w - self._side_w_k * tip_mean_c
        cooling_w += (1.0 - self.contact) * self._air_w_k * (self._ambient_c - tip_mean_c)
        warmed_k = self.tip_temp_c - self._tip_start_c
        self._tip_start_c = self.tip_temp_c
        cooling_w -= parameters.tip_capacity_j_k * warmed_k / _SLOW_S
        self._move_cartridge()
        self._move_blockage(tip_mean_c, cooling_w)

        warmer_w = actuators.skin_warmer * parameters.skin_warmer_w
        self._move_skin(tip_mean_c, warmer_w)
        self._see_sides()
        handle_w = parameters.electronics_w + actuators.valve * parameters.valve_w
        if parameters.handle is not None:
            self._move_handle(parameters.handle, handle_w)
        self._move_battery(handle_w + warmer_w + heater_w)

    def _move_cartridge(self) -> None:
        parameters = self.parameters
        self.cartridge.update(
            _SLOW_S,
            liquid_drawn_g=1e-3 * self._liquid_drawn_mg,
            vapour_drawn_g=1e-3 * self._vapour_drawn_mg,
        )
        self._liquid_drawn_mg[:] = 0.0
        self._vapour_drawn_mg[:] = 0.0
        if parameters.regulator is not None:
            self._move_regulator(parameters.regulator)
        wetter = self._wet + (1.0 - self._wet) * (1.0 - exp(-_SLOW_S / parameters.wetting_s))
        drier = self._wet * exp(-_SLOW_S / parameters.hub_warming_s)
        self._wet = np.where(self._orifice_mg_s > FLOWING_MG_S, wetter, drier)
        self._see_cartridge()

    def _move_regulator(self, regulator: Regulator) -> None:
        flow = self._orifice_mg_s / self.parameters.orifice_flow_mg_s
        settled_bar = np.maximum(0.0, regulator.pressure_bar - regulator.droop_bar * flow)
        follows = 1.0 - exp(-_SLOW_S / regulator.lag_s)
        self._regulated_bar += (settled_bar - self._regulated_bar) * follows

    def _see_cartridge(self) -> None:
        cartridge = self.cartridge
        self._clear_mg_s = self.parameters.orifice_flow_mg_s * self._clear_fraction
        self._source_bar = cartridge.pressure_bar
        self._liquid_factor = cartridge.liquid_flux_factor
        self._vapour_factor = cartridge.vapour_flux_factor
        if self.parameters.regulator is not None:
            regulated = self._regulated_bar < self._source_bar
            bar = np.where(regulated, self._regulated_bar, self._source_bar)
            root = np.sqrt(np.where(regulated, bar / np.maximum(self._source_bar, _TINY), 1.0))
            self._source_bar = bar
            self._liquid_factor = self._liquid_factor * root
            self._vapour_factor = self._vapour_factor * root
        at_tip_j_g = cartridge.properties.exhaust_vapour_enthalpy_j_g(self.saturation_temp_c)
        self._heat_j_g = at_tip_j_g - cartridge.liquid_heat_j_g

    def _move_blockage(self, tip_mean_c: Array, cooling_w: Array) -> None:
        """Let snow and water settle at the orifices or leave them; see ``blockage``."""
        saturation_c = self.saturation_temp_c
        caught_w = self._caught_w(cooling_w)
        is_wet = (self.moisture_ppm > 0.0) & (tip_mean_c < 0.0)
        water_mg = np.where(is_wet, self._tip_mg_s * _SLOW_S * self.moisture_ppm * MG_PER_PPM, 0.0)
        before_mg = self.snow_mg + self.ice_mg
        stays = caught_w > PLUG_W_K * np.maximum(0.0, tip_mean_c - saturation_c)
        busy = stays | (water_mg > 0.0) | (before_mg > 0.0)
        if busy.any():
            snow_j_g = self.cartridge.properties.condensed_heat_j_g(saturation_c)
            self._melt(tip_mean_c, snow_j_g)
            snow_mg = np.where(busy, 1e3 * caught_w * _SLOW_S / snow_j_g, 0.0)
            self._catch(snow_mg, water_mg)
            self._see_plug(tip_mean_c, snow_j_g)
            self.vented_g -= 1e-3 * (self.snow_mg + self.ice_mg - before_mg)
            self._clear_mg_s = self.parameters.orifice_flow_mg_s * self._clear_fraction
        self._wetting = self._wet * (1.0 - self._bridged_fraction)

    def _caught_w(self, cooling_w: Array) -> Array:
        """Return the snow that sticks, in watts of cooling that it could have done."""
        if not self.cartridge.properties.gas.sublimes:
            return np.zeros(len(cooling_w))
        formed_w = 1e-3 * self._tip_mg_s * self._wet * self._line_liquid * self._heat_j_g
        caught_w = formed_w * self._bridged_fraction
        left_w = np.maximum(np.minimum(formed_w, formed_w - caught_w - cooling_w), 0.0)
        caught_w = caught_w + SNOW_STICKING * left_w
        return np.where(self.exhaust_pressure_bar < CO2_TRIPLE_BAR, caught_w, 0.0)

    def _melt(self, tip_mean_c: Array, snow_j_g: Array) -> None:
        heat_mj = np.maximum(1e3 * self._plug_w_k * (tip_mean_c - self._plug_temp_c) * _SLOW_S, 0.0)
        has_snow = self.snow_mg > 0.0
        less_snow_mg = np.maximum(0.0, self.snow_mg - heat_mj / snow_j_g)
        less_ice_mg = np.maximum(0.0, self.ice_mg - heat_mj / ICE_MELTING_J_G)
        self.snow_mg = np.where(has_snow, less_snow_mg, self.snow_mg)
        self.ice_mg = np.where(has_snow, self.ice_mg, less_ice_mg)

    def _catch(self, snow_mg: Array, water_mg: Array) -> None:
        offered_mg = snow_mg + water_mg
        room_mg = PLUG_MG * self._clear_fraction
        share = np.where(offered_mg <= room_mg, 1.0, room_mg / np.maximum(offered_mg, _TINY))
        self.snow_mg = self.snow_mg + snow_mg * share
        self.ice_mg = self.ice_mg + water_mg * share

    def _see_plug(self, tip_mean_c: Array, snow_j_g: Array) -> None:
        stuck_mg = self.snow_mg + self.ice_mg
        blocked = stuck_mg / PLUG_MG
        self._clear_fraction = np.maximum(0.0, 1.0 - blocked)
        squared = blocked * blocked
        self._bridged_fraction = squared * squared
        has_snow = self.snow_mg > 0.0
        self._plug_temp_c = np.where(has_snow, self.saturation_temp_c, 0.0)
        warms = (stuck_mg > 0.0) & (tip_mean_c > self._plug_temp_c)
        stuck_mj = np.where(has_snow, self.snow_mg * snow_j_g, self.ice_mg * ICE_MELTING_J_G)
        above_k = np.where(warms, tip_mean_c - self._plug_temp_c, 1.0)
        needed_w_k = 1e-3 * stuck_mj / (_SLOW_S * above_k)
        self._plug_w_k = np.where(warms, np.minimum(PLUG_W_K, needed_w_k), 0.0)

    def _move_skin(self, tip_mean_c: Array, warmer_w: Array) -> None:
        parameters = self.parameters
        to_body_w_k = parameters.skin_to_body_w_k
        gas_limit_w_k = 1e-3 * self._tip_mg_s * COLD_VAPOUR_J_G_K
        to_gas_w_k = np.minimum(parameters.skin_to_shaft_w_k, gas_limit_w_k)
        to_tip_w = parameters.shaft_to_tip_w_k * (self.skin_temp_c - tip_mean_c)
        weight_w_k = to_body_w_k + to_gas_w_k
        settled_c = to_body_w_k * self._skin_body_c + to_gas_w_k * tip_mean_c + warmer_w - to_tip_w
        settled_c /= weight_w_k
        keep = np.exp(weight_w_k * (-_SLOW_S / parameters.skin_capacity_j_k))
        self.skin_temp_c = settled_c + (self.skin_temp_c - settled_c) * keep

    def _move_handle(self, handle: Handle, electric_w: Array) -> None:
        cartridge = self.cartridge
        heat_w = handle.to_room_w_k * (self._ambient_c - self.handle_temp_c) + electric_w
        heat_w += self._hand_w_k * (self._hand_c - self.handle_temp_c)
        heat_w -= cartridge.heat_transfer_w_k * (cartridge.ambient_temp_c - cartridge.temp_c)
        self.handle_temp_c = self.handle_temp_c + heat_w * _SLOW_S / handle.capacity_j_k
        cartridge.ambient_temp_c = self.handle_temp_c

    def _see_sides(self) -> None:
        shaft_w_k = self.parameters.shaft_to_tip_w_k
        self._side_w_k = shaft_w_k + self._plug_w_k
        self._side_w = shaft_w_k * self.skin_temp_c + self._plug_w_k * self._plug_temp_c

    def _move_battery(self, load_w: Array) -> None:
        parameters = self.parameters
        capacity_c = parameters.battery_capacity_mah * COULOMBS_PER_MAH
        resistance_ohm = parameters.battery_resistance_ohm
        rest_v = 1e-3 * np.interp(self.battery_charge, _CHARGES, _REST_MV)
        root_v = np.sqrt(np.maximum(0.0, rest_v * rest_v - 4.0 * load_w * resistance_ohm))
        current_a = (rest_v - root_v) / (2.0 * resistance_ohm)
        self.battery_charge = np.maximum(
            0.0, self.battery_charge - current_a * _SLOW_S / capacity_c
        )
        self.battery_mv = 1e3 * (rest_v - current_a * resistance_ohm)
