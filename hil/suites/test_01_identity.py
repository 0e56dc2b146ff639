"""Who the probe says it is, and that it means what we mean."""

from __future__ import annotations

import re

import pytest

from cryoctl_hil.evidence.measure import Measure
from cryoctl_hil.rigs.probe import Probe
from cryoctl_protocol.codec import SCHEMA_HASH
from cryoctl_protocol.codes import Capability, DeviceState, Sensor
from cryoctl_protocol.messages import unpadded

PRINTABLE = re.compile(r"[!-~]{1,16}\Z")
PROTECTED = (
    Capability.LEASE
    | Capability.FREEZE_TIMER
    | Capability.SECOND_SHUTOFF
    | Capability.AUTHENTICATION
)
"""Without one of these the controller commands no probe."""
NEEDED = Sensor.TIP | Sensor.SUPPLY_PRESSURE
LIMITS = {
    # profile: floor °C, trip bar, warning bar, exhaust bar, freeze s, heat J, heater s, heater °C
    "n2o-20g": (-85.0, 68.0, 62.0, 2.5, 180.0, 5.0, 20.0, 43.0),
    "co2-20g": (-82.0, 76.0, None, None, 180.0, None, 20.0, 43.0),
}
"""As the requirements have them: a profile that was changed must not change what is tested."""
# fmt: off
AT_REST = (
    # signal, lowest, highest, unit, requirement that rests on it
    ("tip_temp_c",           -5.0, 42.0, "°C",   "SR-05"),
    ("tip_2_temp_c",         -5.0, 42.0, "°C",   "SR-28"),
    ("skin_temp_c",           5.0, 43.0, "°C",   "SR-42"),
    ("cartridge_temp_c",      0.0, 40.0, "°C",   "SR-28"),
    ("supply_pressure_bar",  20.0, 76.0, "bar",  "SR-18"),
    ("exhaust_pressure_bar",  0.8,  1.3, "bar",  "SR-18"),
    ("exhaust_flow_mg_s",    -1.0,  1.7, "mg/s", "SR-08"),
    ("battery_v",             3.0,  5.5, "V",    "SR-36"),
)
# fmt: on
"""Over a liquid gas above 0 °C no pressure is below 20 bar; a lithium cell has 3.0 to 4.2 V."""
TIPS_APART_C = 15.0
"""One needle is not twice as warm at its front as at its rear, with nothing on."""


@pytest.mark.requirement("SR-28")
def test_the_probe_names_itself(probe: Probe, measure: Measure) -> None:
    """Serial number, firmware and profile are told in printable characters."""
    hello = probe.hello

    for what, told in (
        ("serial number", hello.device_id),
        ("firmware", hello.firmware_id),
        ("profile", hello.profile_id),
    ):
        text = unpadded(told)
        measure.value(f"{what} is printable", int(bool(PRINTABLE.match(text))), exactly=1)
    measure.value("profile", unpadded(hello.profile_id), exactly=probe.profile.probe.id)


@pytest.mark.requirement("SR-28")
def test_probe_and_program_mean_the_same(probe: Probe, measure: Measure) -> None:
    """Protocol, message table and every limit of the profile are the same on both sides."""
    hello = probe.hello

    measure.value("protocol", hello.major, exactly=1)
    measure.value("message table", f"{hello.schema_hash:08x}", exactly=f"{SCHEMA_HASH:08x}")
    profile_hash = f"{probe.profile.hash32:08x}"
    measure.value("limits", f"{hello.profile_hash:08x}", exactly=profile_hash)


@pytest.mark.requirement("SR-28")
def test_the_probe_protects_itself(probe: Probe, measure: Measure) -> None:
    """The probe says that it has a lease, a freeze timer, a second shut-off and keys."""
    lacking = PROTECTED & ~Capability(probe.hello.capabilities)
    measure.value("what it lacks", lacking.name or "nothing", exactly="nothing")
    unseen = NEEDED & ~Sensor(probe.hello.sensors)
    measure.value("sensors it lacks", unseen.name or "none", exactly="none")


@pytest.mark.requirement("SR-05")
@pytest.mark.requirement("SR-09")
@pytest.mark.requirement("SR-16")
@pytest.mark.requirement("SR-18")
def test_the_limits_are_those_of_the_requirements(probe: Probe, measure: Measure) -> None:
    """The profile's limits are the requirements' own, or tighter."""
    limits = probe.profile.limits
    floor_c, trip_bar, warn_bar, exhaust_bar, freeze_s, heat_j, heater_s, heater_c = LIMITS.get(
        probe.profile.probe.id, (-92.0, 76.0, None, None, 180.0, None, 20.0, 43.0)
    )

    for name, value, most, requirement in (
        ("pressure_trip_bar", limits.pressure_trip_bar, trip_bar, "SR-18"),
        ("pressure_warn_bar", limits.pressure_warn_bar, warn_bar, "SR-18"),
        ("exhaust_trip_bar", limits.exhaust_trip_bar, exhaust_bar, "SR-18"),
        ("freeze_s_max", limits.freeze_s_max, freeze_s, "SR-09"),
        ("thaw_energy_j_max", limits.thaw_energy_j_max, heat_j, "SR-16"),
        ("heater_on_s_max", limits.heater_on_s_max, heater_s, "SR-16"),
        ("heater_tip_max_c", limits.heater_tip_max_c, heater_c, "SR-16"),
    ):
        if most is not None:
            measure.value(name, value, at_most=most, requirement=requirement)
    measure.value("tip_floor_c", limits.tip_floor_c, at_least=floor_c, requirement="SR-05")


@pytest.mark.requirement("SR-26")
def test_the_probe_rests_when_it_is_met(probe: Probe, measure: Measure) -> None:
    """At the beginning of a session nothing is on."""
    assert probe.state is DeviceState.IDLE
    begin = probe.mark("met")
    probe.let_pass(0.5)
    end = probe.mark("half a second later")
    for signal in ("valve", "shutoff_open", "tip_heater", "skin_warmer", "stimulus_ma"):
        measure.reading(signal, signal, "max", begin, end, at_most=0.0)


@pytest.mark.requirement("SR-05")
@pytest.mark.requirement("SR-08")
@pytest.mark.requirement("SR-11")
@pytest.mark.requirement("SR-18")
@pytest.mark.requirement("SR-28")
@pytest.mark.requirement("SR-36")
@pytest.mark.requirement("SR-42")
def test_readings_at_rest_can_be_true(probe: Probe, measure: Measure) -> None:
    """At rest every reading is in its unit and near what it must be."""
    begin = probe.mark("begin")
    probe.let_pass(1.0)
    end = probe.mark("end")
    for signal, low, high, unit, requirement in AT_REST:
        measure.reading(
            signal, signal, "mean", begin, end, at_least=low, at_most=high, unit=unit,
            requirement=requirement,
        )  # fmt: skip
    for signal in ("tip_temp_c", "supply_pressure_bar"):
        measure.reading(
            f"{signal} lives", signal, "span", begin, end, at_least=0.001, requirement="SR-28"
        )
    tip_c, tip_2_c = probe.sample.tip_temp_c, probe.sample.tip_2_temp_c
    if tip_c is not None and tip_2_c is not None:
        apart_c = abs(tip_c - tip_2_c)
        measure.value(
            "tip and rear apart", apart_c, at_most=TIPS_APART_C, unit="°C", requirement="SR-11"
        )
