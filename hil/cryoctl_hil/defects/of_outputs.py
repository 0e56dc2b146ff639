"""Defects of the device model in what it reads, drives and tells."""

from __future__ import annotations

from collections import deque
from copy import copy
from typing import Any, Final

from cryoctl_hil.defects.defect import (
    Change,
    Defect,
    always,
    constant,
    defect,
    drives,
    instead,
    limit,
    reads,
    tells,
)
from cryoctl_protocol.codes import DeviceState
from cryoctl_protocol.device_session import DeviceSession
from cryoctl_protocol.messages import Telemetry
from cryoctl_simulator import firmware_control, firmware_drive, firmware_model
from cryoctl_simulator.firmware_model import FirmwareModel
from cryoctl_simulator.firmware_state import FirmwareState
from cryoctl_simulator.instruments import Readings

_S: Final = DeviceState
_LATCHED: Final = (_S.SAFE, _S.FAULT)
_LATE_TICKS: Final = 20
_OPEN_MS: Final = 1_000
_SLOW_SHUT_PERMILLE: Final = 10
_GAP_MS: Final = (5_000, 400)
"""How often telemetry stops, and for how long."""
_FROZEN_FROM_MS: Final = 20_000


# -- reading ---


def _swap(one: str, other: str) -> Change:
    def change(r: Readings) -> None:
        held = getattr(r, one)
        setattr(r, one, getattr(r, other))
        setattr(r, other, held)

    return reads(change)


def _tip_from_tip_2(r: Readings) -> None:
    r.tip_mdegc = r.tip_2_mdegc


def _no_open_circuit(r: Readings) -> None:
    r.open_circuit = 0


def _all_late(tick: Any) -> Any:
    """Have readings and bytes wait 200 ms before the firmware sees them."""

    def changed(self: FirmwareModel, now_ms: int, readings: Readings, incoming: bytes) -> bytes:
        waiting = vars(self).setdefault("waiting", deque())
        waiting.append((copy(readings), incoming))
        late = len(waiting) > _LATE_TICKS
        seen, heard = waiting.popleft() if late else (readings, b"")
        sent: bytes = tick(self, now_ms, seen, heard)
        return sent

    return changed


# -- driving ---


def _valve_open_when_latched(s: FirmwareState) -> None:
    if s.state in _LATCHED and s.trip:
        s.outputs.valve_permille = 100


def _shutoff_open_when_latched(s: FirmwareState) -> None:
    if s.state in _LATCHED:
        s.outputs.shutoff_open = True


def _heats_in_freeze(s: FirmwareState) -> None:
    if s.state == _S.FREEZE and s.outputs.valve_permille > 0:
        s.outputs.tip_heater_permille = 50


def _stimulates_in_freeze(s: FirmwareState) -> None:
    if s.state == _S.FREEZE:
        s.outputs.stimulus_ua, s.outputs.stimulus_hz, s.outputs.stimulus_pulse_us = 500, 2, 100


def _dark(s: FirmwareState) -> None:
    s.outputs.led = False


def _mute(s: FirmwareState) -> None:
    s.outputs.beeper = False


def _shuts_slowly(drive: Any) -> Any:
    """Have the valve close as it is regulated: in steps, over half a second and more."""

    def changed(limits: Any, s: FirmwareState, r: Any) -> None:
        before = s.outputs.valve_permille
        drive(limits, s, r)
        out = s.outputs
        out.valve_permille = max(out.valve_permille, before - _SLOW_SHUT_PERMILLE)

    return changed


def _shuts_late(drive: Any) -> Any:
    """Leave the valve as it is for a second after a freeze was ended by a command."""

    def changed(limits: Any, s: FirmwareState, r: Any) -> None:
        before = s.outputs.valve_permille
        drive(limits, s, r)
        if s.state == _S.THAW and s.now_ms - s.state_since_ms < _OPEN_MS:
            s.outputs.valve_permille = before

    return changed


def _shifted(valve_duty: Any) -> Any:
    """Regulate 5 C above the set-point."""

    def changed(limits: Any, s: FirmwareState) -> int:
        s.setpoint_mdegc += 5_000
        duty = int(valve_duty(limits, s))
        s.setpoint_mdegc -= 5_000
        return duty

    return changed


def _spends_freely(heater_duty: Any) -> Any:
    """Book nothing of what the heater spends."""

    def changed(limits: Any, s: FirmwareState) -> int:
        duty = int(heater_duty(limits, s))
        s.heater_energy_uj = s.heater_on_ms = 0
        return duty

    return changed


# -- telling ---


def _fast_clock(sample: Telemetry) -> dict[str, int]:
    return {"device_ms": sample.device_ms * 21 // 20}


def _frozen_clock(sample: Telemetry) -> dict[str, int]:
    return {"device_ms": min(sample.device_ms, _FROZEN_FROM_MS)}


def _in_unit(field: str, divisor: int) -> Change:
    return tells(lambda sample: {field: int(getattr(sample, field)) // divisor})


def _gaps(send: Any) -> Any:
    def changed(self: Any, telemetry: Telemetry) -> None:
        if telemetry.device_ms % _GAP_MS[0] >= _GAP_MS[1]:
            send(self, telemetry)

    return changed


def _stale(send: Any) -> Any:
    """Have telemetry say what was read 300 ms ago, under the time of now."""

    def changed(self: Any, telemetry: Telemetry) -> None:
        old = vars(self).setdefault("old", deque(maxlen=15))
        old.append(telemetry)
        send(self, old[0]._replace(device_ms=telemetry.device_ms))

    return changed


# fmt: off
OUTPUTS: Final[tuple[Defect, ...]] = (
    # Sensors.
    defect("tip-skin-swapped", "tip and skin are swapped", "SR-05 SR-11 SR-13",
        _swap("tip_mdegc", "skin_mdegc")),
    defect("supply-exhaust-swapped", "supply and exhaust pressure are swapped", "SR-18 SR-19",
        _swap("supply_mbar", "exhaust_mbar")),
    defect("tip-from-tip-2", "the second thermocouple is taken for the first", "SR-05 SR-11",
        reads(_tip_from_tip_2)),
    defect("open-circuit-unread", "open circuits are not read", "SR-11 SR-18",
        reads(_no_open_circuit)),
    defect("all-late", "everything is seen and heard 200 ms late",
        "SR-29 SR-24 SR-05 SR-11 SR-18",
        instead(FirmwareModel, "tick", _all_late)),
    # Outputs.
    defect("valve-open-at-trip", "the valve stays 10 % open at a trip", "SR-05 SR-18",
        drives(_valve_open_when_latched)),
    defect("valve-shuts-slowly", "the valve closes in 1 s", "SR-05 SR-11 SR-18",
        instead(firmware_model, "drive", _shuts_slowly)),
    defect("valve-late-at-thaw", "the valve stays open for 1 s of every thaw", "SR-07 SR-15",
        instead(firmware_model, "drive", _shuts_late)),
    defect("shutoff-open", "the second shut-off stays open at a trip", "SR-07 SR-18",
        drives(_shutoff_open_when_latched)),
    defect("heats-in-freeze", "the heater is on together with the valve", "SR-15",
        drives(_heats_in_freeze), always(firmware_model, "outputs_overlap", value=False)),
    defect("stimulates-in-freeze", "the stimulator is on together with the valve", "SR-15 SR-41",
        drives(_stimulates_in_freeze), always(firmware_model, "outputs_overlap", value=False)),
    defect("warms-unseen", "the skin warmer is on without its sensor", "SR-42",
        always(firmware_control, "skin_is_seen", value=True),
        always(firmware_drive, "skin_is_seen", value=True)),
    defect("warms-to-50c", "the skin is warmed to 50 °C", "SR-42",
        constant("SKIN_TARGET_MDEGC", 50_000)),
    defect("heats-to-40c", "the tip is thawed to 40 °C", "SR-16",
        constant("THAW_TARGET_MDEGC", 42_000)),
    defect("heat-unbooked", "the heater's energy is not counted", "SR-16",
        instead(firmware_drive, "heater_duty", _spends_freely)),
    defect("regulates-5c-warm", "the tip is regulated 5 °C above its set-point", "SR-13",
        instead(firmware_drive, "valve_duty", _shifted)),
    defect("overshoots", "the regulator looks nowhere ahead and overshoots", "SR-13 SR-06",
        limit(lead_ms=0, full_open_mdegc=100, integral_permille_per_c_s=900)),
    defect("thaw-ends-cold", "a thaw has ended at the first sample above 5 °C", "SR-14",
        constant("FREE_MS", 10)),
    defect("dark", "the handpiece's light stays dark", "SR-31", drives(_dark)),
    defect("mute", "the handpiece's beeper is silent", "SR-31", drives(_mute)),
    defect("watchdog-stuck", "the processor's watchdog bites after 10 s", "SR-01",
        constant("WATCHDOG_MS", 10_000)),
    # Telemetry.
    defect("telemetry-10hz", "telemetry comes at 10 Hz", "SR-03",
        instead(firmware_model, "TELEMETRY_TICKS", lambda _: 10)),
    defect("telemetry-gaps", "telemetry stops for 400 ms, every 5 s", "SR-03",
        instead(DeviceSession, "send_telemetry", _gaps)),
    defect("telemetry-stale", "telemetry says what was read 300 ms ago", "SR-03 SR-05",
        instead(DeviceSession, "send_telemetry", _stale)),
    defect("clock-fast", "the clock in telemetry is 5 % fast", "SR-44", tells(_fast_clock)),
    defect("clock-frozen", "the clock in telemetry stands still after 20 s", "SR-44",
        tells(_frozen_clock)),
    defect("supply-in-cbar", "telemetry has the supply pressure in centibar", "SR-18",
        _in_unit("supply_mbar", 10)),
    defect("tip-in-cdegc", "telemetry has the tip in hundredths of a degree", "SR-05 SR-13",
        _in_unit("tip_mdegc", 10)),
    defect("flow-in-mg", "telemetry has the flow in mg/s", "SR-07 SR-08 SR-20",
        _in_unit("exhaust_flow_ug_s", 1_000)),
    defect("battery-in-cv", "telemetry has the battery in hundredths of a volt", "SR-36 SR-22",
        _in_unit("battery_mv", 10)),
    defect("energy-in-j", "telemetry has the heater's energy in J", "SR-16",
        _in_unit("thaw_energy_mj", 1_000)),
    defect("freeze-time-untold", "telemetry says no freezing time", "SR-09",
        tells(lambda _: {"freeze_ms": 0})),
)
# fmt: on
