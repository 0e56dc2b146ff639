"""What the abstract probe of the search can show: one picture, one set of telemetry."""

from __future__ import annotations

from typing import Any, Final

from cryoctl_protocol.codec import SCHEMA_HASH
from cryoctl_protocol.codes import Capability, DeviceState, Op, Sensor, Trip
from cryoctl_protocol.messages import PROTOCOL_MAJOR, PROTOCOL_MINOR, Hello, Telemetry

INSTANT: Final = frozenset({Op.ARM, Op.START, Op.FREEZE, Op.THAW, Op.SETPOINT, Op.END, Op.CLEAR})
"""Operations whose second answer the controller does not wait for."""
_AT_REST: Final = Telemetry(
    **dict.fromkeys(Telemetry._fields, 0)
    | {
        "tip_mdegc": 36_000,
        "tip_2_mdegc": 36_000,
        "skin_mdegc": 33_000,
        "supply_mbar": 50_000,
        "exhaust_mbar": 1_013,
        "cartridge_mdegc": 22_000,
        "battery_mv": 4_000,
        "lease_left_ms": 300,
    }
)


def _shown(state: DeviceState, **values: Any) -> Telemetry:
    return _AT_REST._replace(state=state, **values)


def _freezing(tip_mdegc: int = -60_000, **values: Any) -> Telemetry:
    on = {"valve_permille": 700, "shutoff_open": 1, "setpoint_mdegc": -60_000}
    on |= {"exhaust_flow_ug_s": 30_000}
    return _shown(DeviceState.FREEZE, tip_mdegc=tip_mdegc, **(on | values))


def _latched(**values: Any) -> Telemetry:
    return _shown(DeviceState.SAFE, **({"trip": int(Trip.OPERATOR_STOP)} | values))


REJECTED: Final = "freezing, 6 frames rejected"
STILL: Final = "freezing, tip stands still"
STILL_FLOW: Final = "freezing, flow stands still"
RESIDUAL: Final = "freezing, 9 C warmer than its heat explains"
_TIP: Final = int(Sensor.TIP)
_FLOW: Final = int(Sensor.EXHAUST_FLOW)

PICTURES: Final[dict[str, Telemetry]] = {
    "idle": _shown(DeviceState.IDLE),
    "idle, tip at 10 C": _shown(DeviceState.IDLE, tip_mdegc=10_000),
    "idle, supply at 62.1 bar": _shown(DeviceState.IDLE, supply_mbar=62_100),
    "idle, supply at 68.1 bar": _shown(DeviceState.IDLE, supply_mbar=68_100),
    "idle, tip sensor open": _shown(DeviceState.IDLE, open_circuit=_TIP),
    "idle, flow of 2.5 mg/s": _shown(DeviceState.IDLE, exhaust_flow_ug_s=2_500),
    "stimulating": _shown(DeviceState.STIMULATE, stimulus_ua=1_000),
    "freezing at 20 C": _freezing(20_000),
    "freezing at -40 C": _freezing(-40_000),
    "freezing at -60 C": _freezing(),
    "freezing at its floor": _freezing(-85_000),
    "freezing, tip sensor open": _freezing(open_circuit=_TIP),
    "freezing, flow sensor open": _freezing(open_circuit=_FLOW),
    "freezing, skin at 4 C": _freezing(skin_mdegc=4_000),
    "freezing, supply at 39 bar": _freezing(supply_mbar=39_000),
    "freezing, supply at 68.1 bar": _freezing(supply_mbar=68_100),
    "freezing, exhaust at 2.51 bar": _freezing(exhaust_mbar=2_510),
    "freezing, flow of 46 mg/s": _freezing(exhaust_flow_ug_s=46_000),
    "freezing, heater on": _freezing(tip_heater_permille=100),
    REJECTED: _freezing(),
    RESIDUAL: _freezing(),
    STILL: _freezing(),
    STILL_FLOW: _freezing(),
    "thawing at -5 C": _shown(DeviceState.THAW, tip_mdegc=-5_000),
    "thawing at 10 C": _shown(DeviceState.THAW, tip_mdegc=10_000),
    "thawing at 44 C": _shown(DeviceState.THAW, tip_mdegc=44_000),
    "thawing, heater on": _shown(DeviceState.THAW, tip_mdegc=-5_000, tip_heater_permille=500),
    "thawing, tip sensor open": _shown(DeviceState.THAW, tip_mdegc=10_000, open_circuit=_TIP),
    "thawing, flow of 5 mg/s": _shown(
        DeviceState.THAW, tip_mdegc=-5_000, shutoff_open=1, exhaust_flow_ug_s=5_000
    ),
    "safe at -5 C": _latched(tip_mdegc=-5_000),
    "safe at 10 C": _latched(tip_mdegc=10_000),
    "safe, shut-off open": _latched(tip_mdegc=10_000, shutoff_open=1),
    "safe, tip sensor open": _latched(tip_mdegc=10_000, open_circuit=_TIP),
    "safe, supply at 68.1 bar": _latched(tip_mdegc=10_000, supply_mbar=68_100),
    "safe, flow of 5 mg/s": _latched(tip_mdegc=10_000, exhaust_flow_ug_s=5_000),
    "fault of the battery": _shown(
        DeviceState.FAULT, tip_mdegc=10_000, trip=int(Trip.BATTERY)
    ),
}  # fmt: skip
_DITHER_MDEGC: Final = 60
"""A live sensor moves; SR-12 asks for 0.05 C, SR-43 of the others for their last digit."""


def telemetry_of(picture: str, now_s: float) -> Telemetry:
    """Return a sample of a picture, its sensors alive."""
    shown, device_ms = PICTURES[picture], round(now_s * 1000.0)
    digit = device_ms // 50 % 2
    return shown._replace(
        device_ms=device_ms,
        tip_mdegc=shown.tip_mdegc + (0 if picture == STILL else _DITHER_MDEGC * digit),
        skin_mdegc=shown.skin_mdegc + digit,
        supply_mbar=shown.supply_mbar + digit,
        exhaust_mbar=shown.exhaust_mbar + digit,
        exhaust_flow_ug_s=shown.exhaust_flow_ug_s + (0 if picture == STILL_FLOW else digit),
    )


def a_hello(profile_hash: int) -> Hello:
    """Return the greeting of a probe that has everything."""
    return Hello(
        major=PROTOCOL_MAJOR,
        minor=PROTOCOL_MINOR,
        schema_hash=SCHEMA_HASH,
        profile_hash=profile_hash,
        boot_id=1,
        host_nonce=1,
        device_nonce=1,
        key_id=0,
        owned=0,
        capabilities=sum(Capability),
        sensors=sum(Sensor),
        telemetry_period_ms=20,
        device_id=b"REACH",
        firmware_id=b"reach",
        profile_id=b"n2o-20g",
    )
