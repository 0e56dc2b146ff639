"""Faults of valves, heaters and stimulator: rows of the catalogue, and what each does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cryoctl_protocol.codes import Trip
from cryoctl_simulator.fault_row import (
    ARMED,
    CONTROLLER,
    EITHER,
    EVERY,
    FREEZE,
    IDLE,
    LATCHED,
    LEAK_TEST,
    PREWARM,
    PROBE,
    READY,
    SELF_TEST,
    STARTED,
    STIMULATE,
    TESTS,
    THAW,
    Fault,
    Group,
    Observable,
    Parameter,
    Present,
    found,
    latent,
    mends,
    nothing,
)
from cryoctl_simulator.firmware_state import Outputs
from cryoctl_simulator.plant import Actuators, Plant

STUCK_PULSE_MS: Final = 0.1
STUCK_HZ: Final = 2
_OPEN: Final = True
_SHUT: Final = False


def _hold(name: str, value: float) -> Callable[[Plant, Present], None]:
    """Return an effect that keeps one of the plant's attributes at a value."""

    def effect(plant: Plant, _present: Present) -> None:
        setattr(plant, name, value)

    return effect


def _valve_slow(plant: Plant, present: Present) -> None:
    plant.set_valve_lag(present.values["lag_s"])


def _mend_valve_lag(plant: Plant) -> None:
    plant.set_valve_lag(plant.parameters.valve_lag_s)


def _valve_leak(actuators: Actuators, _outputs: Outputs, present: Present) -> None:
    actuators.valve = max(actuators.valve, present.values["opening"])


def _heater_stuck_on(actuators: Actuators, outputs: Outputs, _present: Present) -> None:
    # The supply switch in series still works.
    actuators.tip_heater = 1.0 if outputs.heater_supply_on else 0.0


def _heater_dead(actuators: Actuators, _outputs: Outputs, _present: Present) -> None:
    actuators.tip_heater = 0.0


def _warmer_stuck_on(actuators: Actuators, outputs: Outputs, _present: Present) -> None:
    # As with the tip heater.
    actuators.skin_warmer = 1.0 if outputs.warmer_supply_on else 0.0


def _warmer_dead(actuators: Actuators, _outputs: Outputs, _present: Present) -> None:
    actuators.skin_warmer = 0.0


def _stimulator_stuck_on(actuators: Actuators, _outputs: Outputs, present: Present) -> None:
    actuators.stimulus_ma = present.values["current_ma"]
    actuators.stimulus_hz = STUCK_HZ
    actuators.stimulus_pulse_ms = STUCK_PULSE_MS


def _stimulator_dead(actuators: Actuators, _outputs: Outputs, _present: Present) -> None:
    actuators.stimulus_ma = 0.0


_NO_GAS: Final = "no gas is to flow"
_SHORT_PREWARM: Final = (
    "the switch in series is open but to prewarm and to freeze; a prewarming of 30 s or more ends "
    "as SKIN_HOT"
)
_G: Final = Group.ACTUATORS
_O: Final = Observable

ACTUATOR_FAULTS: Final = (
    Fault(
        fault_id="valve_stuck_open", group=_G, acts_on="valve",
        text="valve stays open",
        hazards=("H-01", "H-02"), requirement="SR-07", trip=Trip.VALVE_STUCK,
        observable=_O.FLOW, hold=_hold("valve_held", 1.0), mend=mends("valve_held", None),
        expected=(
            found(IDLE | SELF_TEST, PROBE, 0, "FAILED", "VALVE_STUCK"),
            found(LEAK_TEST, EITHER, 1500, "VALVE_STUCK"),
            found(ARMED | PREWARM | STIMULATE, EITHER, 500, "VALVE_STUCK"),
            found(STARTED, EITHER, 0, "VALVE_STUCK", only="with the valve shut"),
            found(FREEZE, EITHER, 0, "VALVE_STUCK"),
            found(THAW, EITHER, 2500, "VALVE_STUCK"),
            found(
                LATCHED, EITHER, 2500, "VALVE_STUCK",
                only="while gas is left behind the second shut-off",
            ),
        ),
    ),
    Fault(
        fault_id="valve_stuck_closed", group=_G, acts_on="valve",
        text="valve stays shut",
        hazards=("H-04",), requirement="SR-13",
        observable=_O.FLOW, hold=_hold("valve_held", 0.0), mend=mends("valve_held", None),
        expected=(
            found(IDLE | TESTS | READY | THAW, CONTROLLER, 0, "NO_COOLING"),
            found(FREEZE, CONTROLLER, 0, "NOT_EFFECTIVE"),
            nothing(LATCHED | STIMULATE, _NO_GAS),
        ),
    ),
    Fault(
        fault_id="valve_slow", group=_G, acts_on="valve",
        text="valve opens and closes slowly, as with dirt or ice at its armature",
        hazards=("H-01", "H-02"), requirement="SR-07",
        parameters=(Parameter("lag_s", "s", 0.5, 0.02, 10.0),),
        observable=_O.FLOW, hold=_valve_slow, mend=_mend_valve_lag,
        expected=(
            latent(
                EVERY - LATCHED - STIMULATE,
                "the loop makes up for it, and the valve is shut in time",
            ),
            nothing(LATCHED | STIMULATE, "the valve does not move"),
        ),
    ),
    Fault(
        fault_id="valve_leak", group=_G, acts_on="valve",
        text="valve never shuts tight",
        hazards=("H-01", "H-12"), requirement="SR-08", trip=Trip.VALVE_STUCK,
        parameters=(Parameter("opening", "1", 0.15, 0.02, 1.0),),
        observable=_O.FLOW, outputs=_valve_leak,
        expected=(
            found(IDLE | SELF_TEST, PROBE, 0, "FAILED", "VALVE_STUCK"),
            found(LEAK_TEST, EITHER, 1500, "VALVE_STUCK"),
            found(ARMED | PREWARM | STIMULATE, EITHER, 500, "VALVE_STUCK"),
            found(STARTED, EITHER, 0, "VALVE_STUCK", only="with the valve shut"),
            found(FREEZE, EITHER, 0, "VALVE_STUCK"),
            found(THAW, EITHER, 2500, "VALVE_STUCK"),
            found(
                LATCHED, EITHER, 2500, "VALVE_STUCK",
                only="while gas is left behind the second shut-off",
            ),
        ),
    ),
    Fault(
        fault_id="shutoff_stuck_open", group=_G, acts_on="shutoff",
        text="second shut-off stays open",
        hazards=("H-01",), requirement="SR-07",
        observable=_O.SHUTOFF, hold=_hold("shutoff_stuck", _OPEN),
        mend=mends("shutoff_stuck", None),
        expected=(
            latent(EVERY - FREEZE, "nothing flows as long as the valve shuts"),
            nothing(FREEZE, "it is open anyway"),
        ),
    ),
    Fault(
        fault_id="shutoff_stuck_closed", group=_G, acts_on="shutoff",
        text="second shut-off stays shut",
        hazards=("H-04",), requirement="SR-13",
        observable=_O.SHUTOFF, hold=_hold("shutoff_stuck", _SHUT),
        mend=mends("shutoff_stuck", None),
        expected=(
            found(EVERY - LATCHED - STIMULATE, CONTROLLER, 0, "GAS_LOW", "NOT_EFFECTIVE"),
            nothing(LATCHED | STIMULATE, "it is shut anyway"),
        ),
    ),
    Fault(
        fault_id="heater_stuck_on", group=_G, acts_on="tip_heater",
        text="driver of the tip heater stays on at full power",
        hazards=("H-08",), requirement="SR-16", trip=Trip.HEATER,
        observable=_O.HEATER, outputs=_heater_stuck_on,
        expected=(
            found(
                THAW, PROBE, 0, "HEATER",
                only="in an active thaw; else the switch in series is open",
            ),
            latent(
                EVERY - THAW,
                "the switch in series is open, but for an active thaw that ends in time",
            ),
        ),
    ),
    Fault(
        fault_id="heater_dead", group=_G, acts_on="tip_heater",
        text="tip heater gives no heat",
        hazards=("H-07",), requirement="SR-14",
        observable=_O.HEATER, outputs=_heater_dead,
        expected=(
            latent(EVERY - STIMULATE, "a thaw takes longer; release waits for a warm tip anyway"),
            nothing(STIMULATE, "the heater is off"),
        ),
    ),
    Fault(
        fault_id="warmer_stuck_on", group=_G, acts_on="skin_warmer",
        text="skin warmer stays on at full power",
        hazards=("H-08",), requirement="SR-42",
        observable=_O.SKIN, outputs=_warmer_stuck_on,
        expected=(
            latent(EVERY - FREEZE - THAW, _SHORT_PREWARM),
            nothing(FREEZE | THAW, "it is on anyway, or the switch in series is open"),
        ),
    ),
    Fault(
        fault_id="warmer_dead", group=_G, acts_on="skin_warmer",
        text="skin warmer gives no heat",
        hazards=("H-09",), requirement="SR-17",
        observable=_O.SKIN, outputs=_warmer_dead,
        expected=(
            latent(PREWARM | FREEZE, "the body alone keeps the skin above its limit here"),
            nothing(EVERY - PREWARM - FREEZE, "the warmer is off"),
        ),
    ),
    Fault(
        fault_id="stimulator_stuck_on", group=_G, acts_on="stimulator",
        text="stimulator goes on giving current",
        hazards=("H-18",), requirement="SR-41",
        parameters=(Parameter("current_ma", "mA", 1.0, 0.01, 5.0),),
        observable=_O.STIMULUS, outputs=_stimulator_stuck_on,
        expected=(
            latent(EVERY, "nothing measures the current: telemetry repeats what was asked for"),
        ),
    ),
    Fault(
        fault_id="stimulator_dead", group=_G, acts_on="stimulator",
        text="stimulator gives no current: a nerve that is there does not answer",
        hazards=("H-19",), requirement="SR-41",
        observable=_O.STIMULUS, outputs=_stimulator_dead,
        expected=(
            latent(STIMULATE, "no answer looks as if no nerve were near"),
            nothing(EVERY - STIMULATE, "the stimulator is off"),
        ),
    ),
)  # fmt: skip
