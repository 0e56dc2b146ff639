"""What the firmware is built with: a profile's limits as integers, and the gains of its inner loop.

Units are those of the wire: milli-degrees C, millibar, micrograms per second, per mille, ms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from cryoctl_protocol.codes import Capability, Sensor
from cryoctl_protocol.profile import Profile, control_table, load_profile
from cryoctl_protocol.quantities import quantity

TICK_MS: Final = 10
ALL_CAPABILITIES: Final = Capability(sum(Capability))
ALL_SENSORS: Final = Sensor(sum(Sensor))
_GUARDS: Final = Sensor.SUPPLY_PRESSURE | Sensor.EXHAUST_PRESSURE | Sensor.EXHAUST_FLOW
SATURATION_MARGIN_MDEGC: Final = 4_000  # SR-11: no tip is colder than its boiling gas by more.
_FREEZE_MS_CAP: Final = 180_000
"""SR-09, whatever the profile says; only a research profile, which no real probe takes, is free."""
EXHAUST_OPEN_AIR_MBAR: Final = 1_013  # Standard atmosphere, where no exhaust sensor says otherwise.

SaturationTable = tuple[tuple[int, int], ...]
"""Absolute pressure in mbar and saturation temperature in milli-degrees C, both rising."""

# N2O: CoolProp 8 (Lemmon & Span 2006), from the triple point upwards. CO2: sublimation line of
# Span & Wagner 1996. Between the points the line is straight.
_N2O_SATURATION: Final[SaturationTable] = (
    (878, -90_820),
    (1_013, -88_470),
    (1_240, -85_000),
    (1_640, -80_000),
    (2_130, -75_000),
    (2_730, -70_000),
)
_CO2_SATURATION: Final[SaturationTable] = (
    (580, -85_000),
    (890, -80_000),
    (1_013, -78_460),
    (1_340, -75_000),
    (1_980, -70_000),
    (2_860, -65_000),
)
SATURATION: Final[dict[str, SaturationTable]] = {"N2O": _N2O_SATURATION, "CO2": _CO2_SATURATION}


class ControlTable(BaseModel):
    """Table ``[control]`` of a profile: the inner loop from tip temperature to valve duty."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    feed_forward_permille: int = Field(ge=0, le=1000)
    proportional_permille_per_c: int = Field(ge=0, le=1000)
    integral_permille_per_c_s: int = Field(ge=0, le=1000)
    lead_ms: int = quantity(unit="ms", ge=0, le=2000, doc="How far the tip is extrapolated.")
    full_open_c: float = quantity(unit="C", gt=0.0, le=60.0, doc="Fully open above this error.")
    slew_permille_per_tick: int = Field(ge=1, le=1000)


@dataclass(frozen=True, slots=True)
class DeviceLimits:
    """Every number the firmware decides by; a C firmware has the same in one const struct."""

    tip_floor_mdegc: int
    setpoint_min_mdegc: int
    setpoint_max_mdegc: int
    always_plausible_mdegc: int
    """At or above this the tip cannot be colder than its gas, whatever the exhaust pressure."""
    coast_ms: int
    freeze_ms_max: int
    pressure_low_mbar: int
    pressure_warn_mbar: int
    pressure_trip_mbar: int
    exhaust_trip_mbar: int
    flow_stuck_ug_s: int
    """10 % of nominal: SR-07."""
    flow_leak_ug_s: int
    """5 % of nominal: SR-08."""
    warmer_permille_max: int
    """0 for a probe without a skin warmer."""
    heater_mw: int
    thaw_energy_uj_max: int
    heater_on_ms_max: int
    heater_tip_max_mdegc: int
    stimulus_ua_max: int
    battery_min_mv: int
    capabilities: int
    sensors: int
    absent_sensors: int
    guard_sensors: int
    """Those of pressure and flow that the probe has: no gas while one is open."""
    saturation: SaturationTable
    feed_forward_permille: int
    proportional_permille_per_c: int
    integral_permille_per_c_s: int
    lead_ms: int
    full_open_mdegc: int
    slew_permille_per_tick: int


@dataclass(frozen=True, slots=True)
class FirmwareConfig:
    """One build of the firmware for one probe.

    Attributes:
        research: Longer freezes than a probe may do; for a simulator in this process alone.
    """

    profile_id: str
    profile_hash: int
    limits: DeviceLimits
    research: bool = False

    @classmethod
    def from_profile(
        cls,
        profile: Profile,
        control: ControlTable,
        *,
        capabilities: Capability = ALL_CAPABILITIES,
        sensors: Sensor = ALL_SENSORS,
    ) -> FirmwareConfig:
        """Turn a profile into integers, once; raises ValueError if it breaks SR-09."""
        limits = _limits(profile, control, capabilities=capabilities, sensors=sensors)
        research = profile.probe.research
        if limits.freeze_ms_max > _FREEZE_MS_CAP and not research:
            raise ValueError(
                f"profile {profile.probe.id}: freezes of {limits.freeze_ms_max} ms, allowed: "
                f"{_FREEZE_MS_CAP} ms (SR-09)"
            )
        return cls(profile.probe.id, profile.hash32, limits, research)

    @classmethod
    def shipped(cls, name: str) -> FirmwareConfig:
        """Return the build for a built-in profile; raises ``ProfileError`` if there is none."""
        profile = load_profile(name)
        return cls.from_profile(profile, ControlTable.model_validate(control_table(name)))


def saturation_mdegc(table: SaturationTable, pressure_mbar: int) -> int:
    """Return the saturation temperature at ``pressure_mbar``; level beyond the table's ends."""
    below_mbar, below_mdegc = table[0]
    if pressure_mbar <= below_mbar:
        return below_mdegc
    for mbar, mdegc in table:
        if pressure_mbar <= mbar:
            part = (pressure_mbar - below_mbar) * (mdegc - below_mdegc)
            return below_mdegc + part // (mbar - below_mbar)
        below_mbar = mbar
        below_mdegc = mdegc
    return below_mdegc


def _milli(value: float) -> int:
    return round(value * 1000)


def _limits(
    profile: Profile, control: ControlTable, *, capabilities: Capability, sensors: Sensor
) -> DeviceLimits:
    limits = profile.limits
    table = SATURATION[profile.probe.gas]
    exhaust_trip_mbar = _milli(limits.exhaust_trip_bar)
    nominal_ug_s = _milli(limits.nominal_flow_mg_s)
    return DeviceLimits(
        tip_floor_mdegc=_milli(limits.tip_floor_c),
        setpoint_min_mdegc=_milli(max(limits.setpoint_min_c, limits.setpoint_coldest_c)),
        setpoint_max_mdegc=_milli(limits.setpoint_max_c),
        always_plausible_mdegc=saturation_mdegc(table, exhaust_trip_mbar) - SATURATION_MARGIN_MDEGC,
        coast_ms=_milli(limits.coast_s),
        freeze_ms_max=_milli(limits.freeze_s_max),
        pressure_low_mbar=_milli(limits.pressure_low_bar),
        pressure_warn_mbar=_milli(limits.pressure_warn_bar),
        pressure_trip_mbar=_milli(limits.pressure_trip_bar),
        exhaust_trip_mbar=exhaust_trip_mbar,
        flow_stuck_ug_s=nominal_ug_s // 10,
        flow_leak_ug_s=nominal_ug_s // 20,
        warmer_permille_max=1000 if capabilities & Capability.SKIN_WARMER else 0,
        heater_mw=_milli(limits.tip_heater_w),
        thaw_energy_uj_max=_milli(limits.thaw_energy_j_max) * 1000,
        heater_on_ms_max=_milli(limits.heater_on_s_max),
        heater_tip_max_mdegc=_milli(limits.heater_tip_max_c),
        stimulus_ua_max=_milli(limits.stimulus_ma_max),
        battery_min_mv=limits.battery_min_mv,
        capabilities=int(capabilities),
        sensors=int(sensors),
        absent_sensors=int(ALL_SENSORS & ~sensors),
        guard_sensors=int(_GUARDS & sensors),
        saturation=table,
        feed_forward_permille=control.feed_forward_permille,
        proportional_permille_per_c=control.proportional_permille_per_c,
        integral_permille_per_c_s=control.integral_permille_per_c_s,
        lead_ms=control.lead_ms,
        full_open_mdegc=_milli(control.full_open_c),
        slew_permille_per_tick=control.slew_permille_per_tick,
    )
