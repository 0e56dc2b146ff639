"""The simulated probe's hardware: gas path, tip, tissue, skin, handle, battery; steps of 10 ms.

Fast states (valve, line, exhaust, tip) move every tick by exponential steps, which are stable at
any step and keep the tip between the temperatures it is coupled to. Slow states (ice, skin,
handle, battery, cartridge, what sticks at the orifice) move every tenth tick by what the fast ones
handed over; with tissue of the reference model they move every tick. Nothing here knows about
sensors, firmware or messages.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from math import exp, pi
from typing import Any, Final

from cryoctl_protocol.codes import StimulusResponse
from cryoctl_protocol.truth import TruthSample
from cryoctl_simulator.battery import Battery
from cryoctl_simulator.gas_path import GasPath
from cryoctl_simulator.nerve import NO_NERVE, Nerve
from cryoctl_simulator.plant_parameters import Handle, PlantParameters
from cryoctl_simulator.reference_tissue import ReferenceTissue
from cryoctl_simulator.scenario import Scenario
from cryoctl_simulator.tissue import Tissue

TICK_S: Final = 0.01
SLOW_TICKS: Final = 10
VAPOUR_COOLING_SHARE: Final = 0.03  # of the liquid's heat that vapour alone takes up, assumed
LIQUID_COOLING_SHARE: Final = 1.0 - VAPOUR_COOLING_SHARE
# Cold vapour takes up 0.85 J/gK (CoolProp) times the share exchanged before it leaves: 0.05, set so
# that vapour alone leaves the tip near -10 C.
EXHAUST_VAPOUR_J_G_K: Final = 0.0425
# All that the returning gas can take from the shaft, before it has the shaft's temperature.
COLD_VAPOUR_J_G_K: Final = 0.82  # CoolProp, between -60 and 0 C: N2O 0.80 to 0.86, CO2 to 0.83
AIR_W_MM2_K: Final = 15e-6  # still air and frost on a bare needle, assumed
NEAR_SATURATION_K: Final = 1e-3


@dataclass(slots=True)
class Actuators:
    """What drives the plant during one tick; its owner changes it in place.

    Attributes:
        valve: Opening asked for, 0 to 1 (mean of a fast pulse width).
        shutoff_open: Second valve, upstream.
        tip_heater: Share of full power, 0 to 1.
        skin_warmer: Share of full power, 0 to 1.
        stimulus_ma: Constant current of the stimulator's pulses; 0 is off.
    """

    valve: float = 0.0
    shutoff_open: bool = False
    tip_heater: float = 0.0
    skin_warmer: float = 0.0
    stimulus_ma: float = 0.0
    stimulus_hz: int = 0
    stimulus_pulse_ms: float = 0.0


class Plant(GasPath):
    """The hardware of one probe in one scenario.

    It is a gas path with a needle at its end: inheritance, because many attributes of the path are
    read or set from outside every tick.

    Faults are plain attributes, neutral as they stand: ``valve_held``, ``heater_held`` (None or a
    stuck value), ``shutoff_stuck`` (None, or stuck open or closed), ``orifice_open_fraction``,
    ``exhaust_open_fraction``, ``supply_leak_mg_s`` (at 50 bar, between shut-off and valve),
    ``tip_leak_fraction`` (of the flow, into the tissue), ``vapour_draw``, ``contact`` (1 tissue,
    0 air), ``cartridge_temp_c``, ``battery.sag_mv``. Methods: ``set_valve_lag``, ``drain_to``,
    ``change_gas``.
    """

    __slots__ = (
        "_air_w_k",
        "_heater_j",
        "_side_w",
        "_side_w_k",
        "_skin_body_c",
        "_slow_ticks",
        "_slow_ticks_left",
        "_tip_2_step",
        "_tip_start_c",
        "_tip_sum_c",
        "battery",
        "battery_mv",
        "contact",
        "handle_temp_c",
        "heat_w",
        "heater_held",
        "nerve",
        "scenario",
        "skin_temp_c",
        "stimulus_ratio",
        "stimulus_response",
        "tip_2_temp_c",
        "tip_temp_c",
        "tissue",
    )

    def __init__(
        self, parameters: PlantParameters, scenario: Scenario, *, tick_s: float = TICK_S
    ) -> None:
        """Set up a probe at rest in its scenario.

        Args:
            parameters: The hardware.
            scenario: What surrounds it.
            tick_s: Step; other than 10 ms only to check how little the step matters.
        """
        super().__init__(parameters, scenario, tick_s)
        self.scenario = scenario
        self.place(scenario)
        surface_mm2 = pi * parameters.needle_od_mm * parameters.active_length_mm
        self._air_w_k = AIR_W_MM2_K * surface_mm2 * parameters.needles
        self.heater_held: float | None = None
        start_c = self.tissue.temp_c if self.contact > 0.0 else scenario.ambient_temp_c
        self.tip_temp_c = start_c
        self.tip_2_temp_c = start_c
        self._tip_2_step = 1.0 - exp(-tick_s / parameters.tip_2_lag_s)
        self._tip_start_c = start_c
        self.heat_w = 0.0
        self.skin_temp_c = self._skin_body_c
        self.handle_temp_c = scenario.ambient_temp_c
        self._see_sides()
        self.battery = Battery(parameters, scenario.battery_charge)
        self.battery_mv = self.battery.voltage_mv

    def place(self, scenario: Scenario) -> None:
        """Put the needle into the fresh tissue of ``scenario``; all that is outside it stays.

        Tissue, nerve and body are the new scenario's; room, hand, cartridge, battery and the
        present skin temperature go on as they are.
        """
        start = self.scenario
        self.scenario = scenario.model_copy(
            update={
                "ambient_temp_c": start.ambient_temp_c,
                "hand": start.hand,
                "cartridge": start.cartridge,
                "battery_charge": start.battery_charge,
            }
        )
        parameters, table = self.parameters, scenario.tissue
        is_fast = table.model == "fast"
        self.tissue: Tissue | ReferenceTissue = (Tissue if is_fast else ReferenceTissue)(
            table.properties(),
            needle_od_mm=parameters.needle_od_mm,
            active_length_mm=parameters.active_length_mm,
        )
        self.contact = 0.0 if table.preset == "air" else 1.0
        # A bench has no patient: its "skin" is as cold as what the needle lies in.
        around_c = self.tissue.temp_c if self.contact > 0.0 else start.ambient_temp_c
        self._skin_body_c = min(parameters.skin_temp_c, around_c)
        in_tissue = scenario.nerve.present and table.preset != "air"
        self.nerve = (
            Nerve(
                scenario.nerve,
                needle_od_mm=parameters.needle_od_mm,
                active_length_mm=parameters.active_length_mm,
                temp_c=self.tissue.temp_c,
            )
            if in_tissue
            else None
        )
        self.stimulus_response = int(StimulusResponse.NONE)
        self.stimulus_ratio = 0.0
        self._slow_ticks = SLOW_TICKS if is_fast else 1
        self._slow_ticks_left = self._slow_ticks
        self._tip_sum_c = 0.0
        self._heater_j = 0.0

    @property
    def ice_radius_mm(self) -> float:
        """Radius of the ice at the middle of each needle; 0 without ice."""
        return self.tissue.radius_mm

    @property
    def radius_minus20_mm(self) -> float:
        """Radius of the -20 C isotherm; 0 where the needle is warmer."""
        return self.tissue.radius_minus20_mm

    @property
    def ice_volume_mm3(self) -> float:
        """Ice around all needles."""
        return self.tissue.volume_mm3 * self.parameters.needles

    def step(self, actuators: Actuators) -> None:
        """Move everything by one tick with ``actuators`` held."""
        self._move_gas(actuators.valve, actuators.shutoff_open)
        self._move_tip(actuators.tip_heater if self.heater_held is None else self.heater_held)
        self._slow_ticks_left -= 1
        if self._slow_ticks_left == 0:
            self._slow_ticks_left = self._slow_ticks
            self._move_slow(actuators)

    def _move_tip(self, heater: float) -> None:
        """Let the tip relax towards the weighted mean of heater, tissue, air and boiling gas."""
        parameters = self.parameters
        tissue = self.tissue
        contact = self.contact
        tip_c = self.tip_temp_c
        saturation_c = self.saturation_temp_c
        weight_w_k = contact * tissue.conductance_w_k * parameters.needles
        power_w = weight_w_k * tissue.boundary_temp_c + self._side_w
        weight_w_k += self._side_w_k
        if heater > 0.0:
            heater_w = heater * parameters.tip_heater_w
            power_w += heater_w
            self._heater_j += heater_w * self._tick_s
        if contact < 1.0:
            air_w_k = (1.0 - contact) * self._air_w_k
            weight_w_k += air_w_k
            power_w += air_w_k * self.scenario.ambient_temp_c
        flow_g_s = 1e-3 * self._tip_mg_s
        if flow_g_s > 0.0:
            wet = self._wetting * (VAPOUR_COOLING_SHARE + LIQUID_COOLING_SHARE * self._line_liquid)
            supply_w = flow_g_s * wet * self._heat_j_g
            difference_k = tip_c - saturation_c
            boiling_w_k = parameters.tip_boiling_w_k
            if supply_w > 0.0 and difference_k > NEAR_SATURATION_K:
                boiling_w_k = (
                    supply_w * (1.0 - exp(-boiling_w_k * difference_k / supply_w)) / difference_k
                )
            elif supply_w <= 0.0:
                boiling_w_k = 0.0
            boiling_w_k += flow_g_s * EXHAUST_VAPOUR_J_G_K
            weight_w_k += boiling_w_k
            power_w += boiling_w_k * saturation_c
        settled_c = power_w / weight_w_k
        keep = exp(-weight_w_k * self._tick_s / parameters.tip_capacity_j_k)
        after_c = settled_c + (tip_c - settled_c) * keep
        # Vapour condenses on a tip colder than its saturation temperature much faster than a tick.
        if after_c < saturation_c:  # noqa: PLR1730 (every tick: a conditional is faster than max)
            after_c = saturation_c
        self.tip_temp_c = after_c
        self._tip_sum_c += tip_c + after_c
        tip_2_c = self.tip_2_temp_c
        shaft_c = after_c + parameters.tip_2_shaft_fraction * (self.skin_temp_c - after_c)
        self.tip_2_temp_c = tip_2_c + self._tip_2_step * (shaft_c - tip_2_c)

    def _move_slow(self, actuators: Actuators) -> None:
        parameters = self.parameters
        duration_s = self._slow_ticks * self._tick_s
        tip_mean_c = 0.5 * self._tip_sum_c / self._slow_ticks
        self._tip_sum_c = 0.0
        heater_w = self._heater_j / duration_s
        self._heater_j = 0.0
        tissue = self.tissue
        heat_w = self.contact * tissue.conductance_w_k * (tissue.boundary_temp_c - tip_mean_c)
        self.heat_w = heat_w * parameters.needles
        # A needle that touches nothing leaves the tissue to itself.
        touched_c = self.tip_temp_c if self.contact > 0.0 else tissue.temp_c
        tissue.update(duration_s, tip_temp_c=touched_c, heat_j=heat_w * duration_s)
        if self.nerve is not None:
            self._move_nerve(self.nerve, actuators, duration_s)

        # What went into the tip and did not stay there, the gas took away.
        cooling_w = self.heat_w + heater_w + self._side_w - self._side_w_k * tip_mean_c
        cooling_w += (
            (1.0 - self.contact) * self._air_w_k * (self.scenario.ambient_temp_c - tip_mean_c)
        )
        warmed_k = self.tip_temp_c - self._tip_start_c
        self._tip_start_c = self.tip_temp_c
        cooling_w -= parameters.tip_capacity_j_k * warmed_k / duration_s
        self._move_cartridge(duration_s)
        self._move_blockage(duration_s, tip_mean_c=tip_mean_c, cooling_w=cooling_w)

        warmer_w = actuators.skin_warmer * parameters.skin_warmer_w
        self._move_skin(duration_s, tip_mean_c=tip_mean_c, warmer_w=warmer_w)
        self._see_sides()
        handle_w = parameters.electronics_w + actuators.valve * parameters.valve_w
        if parameters.handle is not None:
            self._move_handle(parameters.handle, duration_s, handle_w)
        self.battery.update(duration_s, handle_w + warmer_w + heater_w)
        self.battery_mv = self.battery.voltage_mv

    def _move_skin(self, duration_s: float, *, tip_mean_c: float, warmer_w: float) -> None:
        """Warm the skin from body and warmer, cool it by the shaft: metal and returning gas."""
        parameters = self.parameters
        to_body_w_k = parameters.skin_to_body_w_k
        gas_limit_w_k = 1e-3 * self._tip_mg_s * COLD_VAPOUR_J_G_K
        to_gas_w_k = min(parameters.skin_to_shaft_w_k, gas_limit_w_k)
        # The very heat that the tip got through the metal.
        to_tip_w = parameters.shaft_to_tip_w_k * (self.skin_temp_c - tip_mean_c)
        weight_w_k = to_body_w_k + to_gas_w_k
        settled_c = to_body_w_k * self._skin_body_c + to_gas_w_k * tip_mean_c + warmer_w - to_tip_w
        settled_c /= weight_w_k
        keep = exp(-weight_w_k * duration_s / parameters.skin_capacity_j_k)
        self.skin_temp_c = settled_c + (self.skin_temp_c - settled_c) * keep

    def _move_handle(self, handle: Handle, duration_s: float, electric_w: float) -> None:
        """Warm the handle from room, hand and electronics, cool it by the cartridge."""
        hand = self.scenario.hand
        cartridge = self.cartridge
        room_w = handle.to_room_w_k * (self.scenario.ambient_temp_c - self.handle_temp_c)
        hand_w = hand.conductance_w_k * (hand.temp_c - self.handle_temp_c)
        cartridge_w = cartridge.heat_transfer_w_k * (cartridge.ambient_temp_c - cartridge.temp_c)
        heat_w = room_w + hand_w + electric_w - cartridge_w
        self.handle_temp_c += heat_w * duration_s / handle.capacity_j_k
        cartridge.ambient_temp_c = self.handle_temp_c

    def _see_sides(self) -> None:
        """Take over what else warms the tip until the next slow step: shaft, and a plug."""
        blockage = self.blockage
        shaft_w_k = self.parameters.shaft_to_tip_w_k
        self._side_w_k = shaft_w_k + blockage.conductance_w_k
        self._side_w = shaft_w_k * self.skin_temp_c
        self._side_w += blockage.conductance_w_k * blockage.temp_c

    def _move_nerve(self, nerve: Nerve, actuators: Actuators, duration_s: float) -> None:
        tissue = self.tissue
        if tissue.volume_mm3 > 0.0:  # Elsewhere nothing is cold enough to matter.
            nerve.update(duration_s, tissue.temp_at_c)
        stimulus_ma = actuators.stimulus_ma if self.contact > 0.0 else 0.0
        if stimulus_ma > 0.0 or self.stimulus_ratio > 0.0:
            pulse_ms, frequency_hz = actuators.stimulus_pulse_ms, actuators.stimulus_hz
            self.stimulus_ratio = nerve.stimulus_ratio(stimulus_ma, pulse_ms=pulse_ms)
            self.stimulus_response = nerve.response(
                stimulus_ma, pulse_ms=pulse_ms, frequency_hz=frequency_hz
            )

    def truth(self) -> TruthSample:
        """Return what is really so, for recordings."""
        return TruthSample(
            tip_temp_c=self.tip_temp_c,
            saturation_temp_c=self.saturation_temp_c,
            ice_radius_mm=self.ice_radius_mm,
            radius_minus20_mm=self.radius_minus20_mm,
            ice_volume_mm3=self.ice_volume_mm3,
            liquid_g=self.liquid_g,
            vented_g=self.vented_g,
            exhaust_pressure_bar=self.exhaust_pressure_bar,
            cartridge_temp_c=self.cartridge_temp_c,
            skin_temp_c=self.skin_temp_c,
            heat_w=self.heat_w,
            **(NO_NERVE if self.nerve is None else self.nerve.findings),
            stimulus_ratio=self.stimulus_ratio,
        )

    def save(self) -> bytes:
        """Return the whole state; valid for this version of the program only."""
        return pickle.dumps({name: getattr(self, name) for name in _STATE})

    def load(self, data: bytes) -> None:
        """Take over a state that ``save`` returned."""
        state: dict[str, Any] = pickle.loads(data)
        for name, value in state.items():
            setattr(self, name, value)


_STATE: Final = (*GasPath.__slots__, *Plant.__slots__)
