"""Faults of gas and of use: rows of the catalogue, and what each does to the hardware."""

from __future__ import annotations

from collections.abc import Callable
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
    mends,
    nothing,
)
from cryoctl_simulator.firmware import Firmware
from cryoctl_simulator.firmware_state import Outputs
from cryoctl_simulator.gas import GasName
from cryoctl_simulator.instruments import Readings
from cryoctl_simulator.plant import Actuators, Plant

OTHER_GAS: Final[dict[GasName, GasName]] = {"N2O": "CO2", "CO2": "N2O"}
WRONG_PROFILE: Final = 0x5A5A5A5A
"""Turns the hash of a profile into that of none."""


def _hold(name: str, parameter: str) -> Callable[[Plant, Present], None]:
    """Return an effect that keeps one of the plant's attributes at a parameter."""

    def effect(plant: Plant, present: Present) -> None:
        setattr(plant, name, present.values[parameter])

    return effect


def _drain(plant: Plant, present: Present) -> None:
    plant.drain_to(present.values["liquid_g"])


def _drain_all(plant: Plant, _present: Present) -> None:
    plant.drain_to(0.0)


def _change_gas(plant: Plant, _present: Present) -> None:
    plant.change_gas(OTHER_GAS[plant.cartridge.gas.name])


def _set_cartridge_temp(plant: Plant, present: Present) -> None:
    plant.cartridge_temp_c = present.values["temp_c"]


def _turn_cartridge(plant: Plant, _present: Present) -> None:
    plant.vapour_draw = True


def _line_blocked(actuators: Actuators, _outputs: Outputs, present: Present) -> None:
    # Ice in the line lets a share of what the valve passes through.
    actuators.valve *= present.values["open_fraction"]


def _lose_contact(plant: Plant, _present: Present) -> None:
    plant.contact = 0.0


def _mend_contact(plant: Plant) -> None:
    plant.contact = 0.0 if plant.scenario.tissue.preset == "air" else 1.0


def _perfuse(plant: Plant, present: Present) -> None:
    plant.tissue.set_perfusion(1e3 * present.values["kw_m3_k"])


def _mend_perfusion(plant: Plant) -> None:
    plant.tissue.set_perfusion(plant.tissue.properties.perfusion_w_m3_k)


def _move_needle(plant: Plant, _present: Present) -> None:
    plant.place(plant.scenario)


def _change_probe(firmware: Firmware, _present: Present) -> None:
    # At once in every boot: it is another probe from the next greeting on.
    firmware.profile_hash = firmware.config.profile_hash ^ WRONG_PROFILE


def _press_button(readings: Readings, _present: Present) -> None:
    readings.button = 1


_NO_GAS: Final = "no gas is to flow"
_OTHER_GAS: Final = (
    "the other gas holds the set-point as well, unless that is colder than it can make the tip"
)
_INTO_TISSUE: Final = (
    "nothing measures what leaves the needle; less comes out of the exhaust, as with a valve that "
    "is nearly shut"
)
_G: Final = Group.GAS
_U: Final = Group.USE
_O: Final = Observable
_OPEN: Final = Parameter("open_fraction", "1", 0.0, 0.0, 1.0)

GAS_FAULTS: Final = (
    Fault(
        fault_id="gas_empty", group=_G, acts_on="cartridge",
        text="the cartridge loses its last liquid",
        hazards=("H-13", "H-04"), requirement="SR-22",
        observable=_O.CARTRIDGE, begin=_drain_all,
        expected=(
            found(IDLE | TESTS | READY | THAW, CONTROLLER, 0, "NO_COOLING"),
            found(FREEZE, CONTROLLER, 0, "NOT_EFFECTIVE"),
            nothing(LATCHED | STIMULATE, _NO_GAS),
        ),
    ),
    Fault(
        fault_id="gas_low", group=_G, acts_on="cartridge",
        text="little liquid is left in the cartridge",
        hazards=("H-04", "H-13"), requirement="SR-22",
        parameters=(Parameter("liquid_g", "g", 0.5, 0.0, 100.0),),
        observable=_O.CARTRIDGE, begin=_drain,
        expected=(
            found(
                IDLE | TESTS | READY | FREEZE, CONTROLLER, 0,
                "NOT_EFFECTIVE", "GAS_LOW", "NO_COOLING",
            ),
            latent(THAW, "what is left may do for the next freeze"),
            nothing(LATCHED | STIMULATE, _NO_GAS),
        ),
    ),
    Fault(
        fault_id="gas_wrong", group=_G, acts_on="cartridge",
        text="the cartridge holds the other gas: CO2 for N2O, N2O for CO2",
        hazards=("H-02", "H-04"), requirement="SR-05",
        observable=_O.TIP, begin=_change_gas,
        expected=(
            latent(EVERY - LATCHED - STIMULATE, _OTHER_GAS),
            nothing(LATCHED | STIMULATE, _NO_GAS),
        ),
    ),
    Fault(
        fault_id="cartridge_hot", group=_G, acts_on="cartridge",
        text="cartridge too hot: overpressure",
        hazards=("H-10",), requirement="SR-18", trip=Trip.OVERPRESSURE,
        parameters=(Parameter("temp_c", "°C", 40.0, 20.0, 60.0),),
        observable=_O.CARTRIDGE, begin=_set_cartridge_temp,
        expected=(
            found(EVERY, EITHER, 100, "OVERPRESSURE"),
        ),
    ),
    Fault(
        fault_id="cartridge_cold", group=_G, acts_on="cartridge",
        text="cartridge too cold: little pressure",
        hazards=("H-04",), requirement="SR-13",
        parameters=(Parameter("temp_c", "°C", -10.0, -40.0, 20.0),),
        observable=_O.CARTRIDGE, begin=_set_cartridge_temp,
        expected=(
            found(IDLE | SELF_TEST, CONTROLLER, 0, "REFUSED"),
            found(LEAK_TEST, EITHER, 0, "FAILED", "REFUSED"),
            found(READY | THAW, EITHER, 0, "COMMAND_FAILED", "GAS_LOW"),
            found(FREEZE, CONTROLLER, 0, "GAS_LOW", "NOT_EFFECTIVE"),
            nothing(LATCHED | STIMULATE, _NO_GAS),
        ),
    ),
    Fault(
        fault_id="vapour_draw", group=_G, acts_on="cartridge",
        text="cartridge held the wrong way: vapour is drawn instead of liquid",
        hazards=("H-04",), requirement="SR-13",
        observable=_O.TIP, begin=_turn_cartridge,
        expected=(
            found(IDLE | TESTS | READY | THAW, CONTROLLER, 0, "NO_COOLING"),
            found(FREEZE, CONTROLLER, 0, "NOT_EFFECTIVE"),
            nothing(LATCHED | STIMULATE, _NO_GAS),
        ),
    ),
    Fault(
        fault_id="exhaust_blocked", group=_G, acts_on="exhaust",
        text="exhaust shut",
        hazards=("H-10",), requirement="SR-18", trip=Trip.EXHAUST_BLOCKED,
        parameters=(_OPEN,),
        observable=_O.EXHAUST_READING, hold=_hold("exhaust_open_fraction", "open_fraction"),
        mend=mends("exhaust_open_fraction", 1.0),
        expected=(
            found(IDLE | TESTS | READY | THAW, EITHER, 0, "EXHAUST_BLOCKED"),
            found(FREEZE, EITHER, 100, "EXHAUST_BLOCKED"),
            found(LATCHED, EITHER, 0, "EXHAUST_BLOCKED", only="while gas still leaves the line"),
            nothing(STIMULATE, _NO_GAS),
        ),
    ),
    Fault(
        fault_id="orifice_blocked", group=_G, acts_on="orifice",
        text="orifice plugged by ice",
        hazards=("H-04",), requirement="SR-13",
        parameters=(_OPEN,),
        observable=_O.FLOW, hold=_hold("orifice_open_fraction", "open_fraction"),
        mend=mends("orifice_open_fraction", 1.0),
        expected=(
            found(IDLE | TESTS | READY | THAW, CONTROLLER, 0, "NO_COOLING"),
            found(FREEZE, CONTROLLER, 0, "NOT_EFFECTIVE"),
            nothing(LATCHED | STIMULATE, _NO_GAS),
        ),
    ),
    Fault(
        fault_id="line_blocked", group=_G, acts_on="line",
        text="ice in the line between valve and orifice, with a way through",
        hazards=("H-04",), requirement="SR-13",
        parameters=(Parameter("open_fraction", "1", 0.1, 0.0, 1.0),),
        observable=_O.FLOW, outputs=_line_blocked,
        expected=(
            found(EVERY - LATCHED - STIMULATE, CONTROLLER, 0, "NOT_EFFECTIVE"),
            nothing(LATCHED | STIMULATE, _NO_GAS),
        ),
    ),
    Fault(
        fault_id="leak_supply", group=_G, acts_on="supply",
        text="gas leaks to the room between shut-off and valve",
        hazards=("H-12",), requirement="SR-19",
        parameters=(Parameter("leak_mg_s", "mg/s", 5.0, 0.01, 500.0),),
        observable=_O.VENTED, hold=_hold("supply_leak_mg_s", "leak_mg_s"),
        mend=mends("supply_leak_mg_s", 0.0),
        expected=(
            found(IDLE | TESTS | LATCHED, EITHER, 0, "FAILED", "REFUSED"),
            found(
                READY | FREEZE | THAW | STIMULATE, EITHER, 0,
                "COMMAND_FAILED", "FAILED", "REFUSED",
            ),
        ),
    ),
    Fault(
        fault_id="leak_tip", group=_G, acts_on="needle",
        text="gas leaks from the needle into the tissue",
        hazards=("H-11",), requirement="SR-20",
        parameters=(Parameter("fraction", "1", 0.4, 0.01, 1.0),),
        observable=_O.FLOW, hold=_hold("tip_leak_fraction", "fraction"),
        mend=mends("tip_leak_fraction", 0.0),
        expected=(
            found(FREEZE, CONTROLLER, 0, "NOT_EFFECTIVE", only="if too little gas is left to hold"),
            latent(EVERY - LATCHED - STIMULATE - FREEZE, _INTO_TISSUE),
            nothing(LATCHED | STIMULATE, _NO_GAS),
        ),
    ),
)  # fmt: skip

USE_FAULTS: Final = (
    Fault(
        fault_id="no_contact", group=_U, acts_on="needle",
        text="the needle is in air",
        hazards=("H-04",), requirement="SR-13",
        observable=_O.TIP, hold=_lose_contact, mend=_mend_contact,
        expected=(
            found(
                EVERY, CONTROLLER, 0, "NOT_EFFECTIVE",
                only="in a freeze; at rest nothing tells air from tissue",
            ),
        ),
    ),
    Fault(
        fault_id="high_perfusion", group=_U, acts_on="tissue",
        text="much blood flows by: the needle lies beside a vessel",
        hazards=("H-04",), requirement="SR-13",
        parameters=(Parameter("kw_m3_k", "kW/(m³K)", 80.0, 0.0, 200.0),),
        observable=_O.TIP, hold=_perfuse, mend=_mend_perfusion,
        expected=(
            latent(EVERY, "the loop opens the valve further, and the set-point is held"),
        ),
    ),
    Fault(
        fault_id="probe_moved", group=_U, acts_on="needle",
        text="the needle slips into fresh tissue",
        hazards=("H-04", "H-07"), requirement="SR-13",
        observable=_O.TIP, begin=_move_needle,
        expected=(
            found(
                FREEZE, CONTROLLER, 0, "NOT_EFFECTIVE",
                only="if it leaves the band for too long",
            ),
            latent(EVERY - FREEZE, "the tip is cold again within seconds; the zone is elsewhere"),
        ),
    ),
    Fault(
        fault_id="early_release", group=_U, acts_on="needle",
        text="the needle is pulled out before the program says that it is free",
        hazards=("H-07",), requirement="SR-14",
        observable=_O.TIP, hold=_lose_contact, mend=_mend_contact,
        expected=(
            found(
                EVERY, CONTROLLER, 0, "NOT_EFFECTIVE",
                only="in a freeze; at rest nothing feels that the needle is pulled",
            ),
        ),
    ),
    Fault(
        fault_id="wrong_probe", group=_U, acts_on="identity",
        text="the probe has another profile than the program was told",
        hazards=("H-19",), requirement="SR-28",
        observable=_O.IDENTITY, firmware=_change_probe,
        expected=(
            nothing(
                EVERY,
                "who the probe is was asked at the greeting; before it, no command goes out",
            ),
        ),
    ),
    Fault(
        fault_id="button_stuck", group=_U, acts_on="button",
        text="the handpiece button stays pressed",
        hazards=("H-18",), requirement="SR-26",
        observable=_O.BUTTON, readings=_press_button,
        expected=(
            latent(EVERY, "the button starts nothing"),
        ),
    ),
)  # fmt: skip
