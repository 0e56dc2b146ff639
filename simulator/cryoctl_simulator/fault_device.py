"""Faults of power and of the device's software: rows of the catalogue, and what each does."""

from __future__ import annotations

from typing import Final

from cryoctl_protocol.codes import Trip
from cryoctl_simulator.fault_row import (
    CONTROLLER,
    EITHER,
    EVERY,
    FREEZE,
    IDLE,
    LATCHED,
    LEAK_TEST,
    PROBE,
    READY,
    SELF_TEST,
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
    ticks,
)
from cryoctl_simulator.firmware import Firmware
from cryoctl_simulator.firmware_config import TICK_MS
from cryoctl_simulator.plant import Plant

FLIPPED: Final = (
    "setpoint_mdegc", "phase_limit_ms", "freeze_ms", "state_since_ms", "heater_budget_uj",
    "heater_energy_uj", "heater_on_ms", "warm_ms", "valve_shut_ms", "integral_upermille",
    "cycles_left", "tip_fast",
)  # fmt: skip
"""Fields of the firmware's memory that safety rests on and that no tick makes anew."""
BITS: Final = 20
"""Of a field, the lower ones: a flip far above what a field ever holds is the easiest to find."""


# -- power ---------------------------------------------------------------------------------------


def _sag_battery(plant: Plant, present: Present) -> None:
    plant.battery.sag_mv = present.values["sag_mv"]


def _mend_battery(plant: Plant) -> None:
    plant.battery.sag_mv = 0.0


def _no_power(_present: Present) -> bool:
    return False


def _power_after_brownout(present: Present) -> bool:
    return present.age_ticks * TICK_MS >= present.values["off_ms"]


def _power_between_resets(present: Present) -> bool:
    return present.age_ticks % ticks(present.values["period_ms"] / 1000.0) != 0


# -- device software -----------------------------------------------------------------------------


def _hang(present: Present, boots: int) -> bool:
    if present.kept is None:
        present.kept = boots
    return present.kept != boots


def _tick_late(present: Present, _boots: int) -> bool:
    return present.age_ticks % ticks(present.values["period_ms"] / 1000.0) == 0


def _stuck_scheduler(firmware: Firmware, _present: Present) -> None:
    # Whatever asks how long the present state has lasted hears: it has just begun.
    firmware.state.state_since_ms = firmware.state.now_ms


def _memory_bitflip(firmware: Firmware, present: Present) -> None:
    if present.kept is not None:
        return
    which, where = present.chances()
    name = FLIPPED[int(which * len(FLIPPED))]
    present.kept = 1 << int(where * BITS)
    setattr(firmware.state, name, getattr(firmware.state, name) ^ int(present.kept))


def _clock_drift(present: Present) -> float:
    return TICK_MS * present.values["permille"] / 1000.0


# -- rows ----------------------------------------------------------------------------------------

_P: Final = Group.POWER
_D: Final = Group.DEVICE
_O: Final = Observable

POWER_FAULTS: Final = (
    Fault(
        fault_id="vbat_low", group=_P, acts_on="battery",
        text="battery voltage sags",
        hazards=("H-23",), requirement="SR-36", trip=Trip.BATTERY,
        parameters=(Parameter("sag_mv", "mV", 1500.0, 1.0, 4000.0),),
        observable=_O.BATTERY_READING, hold=_sag_battery, mend=_mend_battery,
        expected=(
            found(IDLE | SELF_TEST, PROBE, 0, "FAILED"),
            found(LEAK_TEST, EITHER, 0, "REFUSED", "BATTERY"),
            found(READY, PROBE, 0, "BATTERY"),
            found(FREEZE | STIMULATE, PROBE, 500, "BATTERY"),
            found(THAW, EITHER, 0, "BATTERY", "COMMAND_FAILED"),
            found(LATCHED, PROBE, 0, "FAILED", "REFUSED"),
        ),
    ),
    Fault(
        fault_id="brownout", group=_P, acts_on="device",
        text="power fails for a moment; the probe boots anew",
        hazards=("H-23", "H-18"), requirement="SR-36",
        parameters=(Parameter("off_ms", "ms", 50.0, 10.0, 1000.0),),
        observable=_O.BOOTS, power=_power_after_brownout,
        expected=(
            found(EVERY, CONTROLLER, 500, "DEVICE_RESTART", "LINK"),
        ),
    ),
    Fault(
        fault_id="power_cut", group=_P, acts_on="device",
        text="no power; boots anew when it comes back",
        hazards=("H-14", "H-18"), requirement="SR-26",
        observable=_O.TICKS, power=_no_power,
        expected=(
            found(EVERY, CONTROLLER, 250, "LINK"),
        ),
    ),
    Fault(
        fault_id="reset_loop", group=_P, acts_on="device",
        text="the processor is reset again and again",
        hazards=("H-14", "H-18"), requirement="SR-26",
        parameters=(Parameter("period_ms", "ms", 300.0, 20.0, 10_000.0),),
        observable=_O.BOOTS, power=_power_between_resets,
        expected=(
            found(EVERY, CONTROLLER, 500, "DEVICE_RESTART", "LINK"),
        ),
    ),
)  # fmt: skip

DEVICE_FAULTS: Final = (
    Fault(
        fault_id="hang", group=_D, acts_on="firmware",
        text="the firmware stands still, outputs as they are, until the hardware's watchdog",
        hazards=("H-14", "H-03"), requirement="SR-01",
        observable=_O.TICKS, runs=_hang,
        expected=(
            found(EVERY, CONTROLLER, 500, "DEVICE_RESTART", "LINK"),
        ),
    ),
    Fault(
        fault_id="tick_late", group=_D, acts_on="firmware",
        text="the firmware's ticks come late: one where there should be several",
        hazards=("H-22", "H-03"), requirement="SR-35",
        parameters=(Parameter("period_ms", "ms", 100.0, 20.0, 140.0),),
        observable=_O.TICKS, runs=_tick_late,
        expected=(
            found(EVERY, EITHER, 400, "LINK", "TIP_SENSOR", "REFUSED"),
        ),
    ),
    Fault(
        fault_id="memory_bitflip", group=_D, acts_on="firmware",
        text="one bit of a field that safety rests on turns over; seed and moment say which",
        hazards=("H-02", "H-03", "H-08"), requirement="SR-09",
        observable=_O.MEMORY, firmware=_memory_bitflip,
        expected=(
            latent(
                EVERY,
                "no copy is kept; another limit bounds each of these, in probe or controller",
            ),
        ),
    ),
    Fault(
        fault_id="stuck_scheduler", group=_D, acts_on="firmware",
        text="the sequence's timer stands still; interlocks still run",
        hazards=("H-03",), requirement="SR-09", trip=Trip.FREEZE_TIMER,
        observable=_O.SEQUENCE, firmware=_stuck_scheduler,
        expected=(
            found(IDLE | TESTS | LATCHED, CONTROLLER, 0, "COMMAND_FAILED"),
            latent(FREEZE, "the controller ends the freeze in time; without it FREEZE_TIMER does"),
            latent(READY | THAW | STIMULATE, "what is driven here ends by a count of ticks, too"),
        ),
    ),
    Fault(
        fault_id="clock_drift", group=_D, acts_on="firmware",
        text="the device's clock runs fast or slow; its ticks are right",
        hazards=("H-03", "H-16"), requirement="SR-44",
        parameters=(Parameter("permille", "‰", 50.0, -500.0, 500.0),),
        observable=_O.CLOCK, clock_ms=_clock_drift,
        expected=(
            found(
                EVERY, CONTROLLER, 8000, "CLOCK_DRIFT", only="if the session goes on for so long"
            ),
        ),
    ),
)  # fmt: skip
