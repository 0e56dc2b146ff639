"""What each layer of interlocks claims to do alone, and how fast: faults with literal bounds.

A claim doctors what sensors read, what the plant does or what the line carries, at one moment of a
treatment, with the other layer off. Its clock starts when the cause can be seen at the sensors, and
stops when the firmware commands what the requirement asks for. Bounds are those of the
requirements, never the numbers that an interlock decides by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Final, NamedTuple
from unittest.mock import patch

from cryoctl.core import Controller
from cryoctl.cycle_table import Phase
from cryoctl.treatment import Treatment, default_treatment
from cryoctl_hil.layers import device_interlocks_off, host_interlocks_off
from cryoctl_hil.world import World
from cryoctl_protocol.codes import DeviceState, HostMode, Trip
from cryoctl_simulator import firmware_drive, firmware_model
from cryoctl_simulator.firmware_config import DeviceLimits
from cryoctl_simulator.firmware_drive import drive
from cryoctl_simulator.firmware_sensing import Readings
from cryoctl_simulator.firmware_state import FirmwareState
from cryoctl_simulator.instruments import SensorFault, SensorName

PROFILE: Final = "n2o-20g"
HOST, DEVICE = "host", "device"
_FREEZE: Final = int(DeviceState.FREEZE)
_LATCHED: Final = (int(DeviceState.SAFE), int(DeviceState.FAULT))
_NEW_LEASE_MS: Final = 290  # SR-01: 300 ms, at the tick that has heard it.
_EPSILON_S: Final = 1e-6
_RAMP_MDEGC: Final = 2_000  # A tick: 200 C/s, under the 250 C/s that SR-11 calls impossible.

Act = Callable[[World], AbstractContextManager[None]]
"""Breaks something at once; leaving the context mends what is not part of the world."""
Keep = Callable[[World, float], None]
"""Breaks something ever further, before each step; the number is the seconds since the moment."""
Look = Callable[[World], bool]


class Claim(NamedTuple):
    """One row: what happens, when its clock starts and stops, and how long it may run.

    Attributes:
        name: What is claimed, for people.
        requirement: Whose bound it is.
        layers: Who claims it alone.
        moment: Of the treatment; a key of ``MOMENTS``.
        bound_s: From seen to safe, a literal.
        act: Breaks it.
        safe: What the requirement asks for.
        seen: When the cause can be seen; at once without one.
        keep: Breaks it ever further.
        host_bound_s: Where the host's own bound is another.
    """

    name: str
    requirement: str
    layers: tuple[str, ...]
    moment: str
    bound_s: float
    act: Act
    safe: Look
    seen: Look = lambda world: True
    keep: Keep = lambda world, age_s: None
    host_bound_s: float | None = None

    def bound_of(self, layer: str) -> float:
        """Return the bound of ``layer``."""
        if layer == HOST and self.host_bound_s is not None:
            return self.host_bound_s
        return self.bound_s


# -- what can be broken ---


@contextmanager
def _patched(where: object, name: str, value: object) -> Iterator[None]:
    with patch.object(where, name, value):
        yield


def _nothing(world: World) -> AbstractContextManager[None]:
    return nullcontext()


def _sensor(name: SensorName, fault: SensorFault) -> Act:
    def act(world: World) -> AbstractContextManager[None]:
        world.device.instruments.set_fault(name, fault)
        return nullcontext()

    return act


def _tip_reads(value_mdegc: int) -> Act:
    return _sensor(SensorName.TIP, SensorFault(held=value_mdegc))


def _ramp_tip_to(target_c: float) -> Keep:
    """Return a reading that walks to ``target_c`` so slowly that every sample is plausible."""
    target_mdegc = round(target_c * 1000.0)

    def keep(world: World, age_s: float) -> None:
        short_mdegc = target_mdegc - _state(world).tip_raw_mdegc
        step_mdegc = max(-_RAMP_MDEGC, min(_RAMP_MDEGC, short_mdegc))
        _tip_reads(_state(world).tip_raw_mdegc + step_mdegc)(world)

    return keep


def _fall(world: World, age_s: float) -> None:
    _tip_reads(_state(world).tip_raw_mdegc - 20)(world)  # 2 C/s


def _hold_tip(world: World) -> AbstractContextManager[None]:
    return _tip_reads(_state(world).tip_raw_mdegc)(world)


def _drift_tip(world: World, age_s: float) -> None:
    _sensor(SensorName.TIP, SensorFault(offset=round(1000.0 * age_s)))(world)


def _ramp_skin_up(world: World, age_s: float) -> None:
    _sensor(SensorName.SKIN, SensorFault(held=round(42_000 + 1_000 * age_s)))(world)


def _warm_blind(limits: DeviceLimits, r: Readings) -> int:
    return 1000


def _open_skin_and_warm(world: World) -> AbstractContextManager[None]:
    """Open the skin's sensor and have the regulator heat all the same."""
    _sensor(SensorName.SKIN, SensorFault(open_circuit=True))(world)
    return _patched(firmware_drive, "warmer_duty", _warm_blind)


def _hold_reading(name: SensorName, field: str) -> Act:
    def act(world: World) -> AbstractContextManager[None]:
        held: int = getattr(world.device.instruments.readings, field)
        return _sensor(name, SensorFault(held=held))(world)

    return act


def _valve_held(opening: float) -> Act:
    def act(world: World) -> AbstractContextManager[None]:
        world.device.plant.valve_held = opening
        return nullcontext()

    return act


def _sag(world: World) -> AbstractContextManager[None]:
    world.device.plant.battery.sag_mv = 1_500.0
    return nullcontext()


def _cut_after_lease(world: World, age_s: float) -> None:
    """Cut the line behind the next lease: the clock runs from the last one that was heard."""
    if age_s > 0.0 and _state(world).lease_left_ms >= _NEW_LEASE_MS:
        world.line.cut_to_device = True


def _is_cut(world: World) -> bool:
    return world.line.cut_to_device


def _cut_to_host(world: World) -> AbstractContextManager[None]:
    world.line.cut_to_host = True
    return nullcontext()


def _noise_to_device(world: World) -> AbstractContextManager[None]:
    world.line.noise_to_device = b"\x05noise\x00" * 6
    return nullcontext()


def _noise_to_host(world: World) -> AbstractContextManager[None]:
    world.line.noise_to_host = b"\x00" + b"\x05noise\x00" * 6
    return nullcontext()


def _claim_idle(world: World) -> AbstractContextManager[None]:
    return _patched(Controller, "_claimed_mode", lambda controller: HostMode.IDLE)


def _no_end(world: World) -> AbstractContextManager[None]:
    """Have the host forget when the hold ends."""
    world.controller.cycles[-1].hold_planned_s = 1e9
    return nullcontext()


def _no_end_at_all(world: World) -> AbstractContextManager[None]:
    """Have the device forget, too, what it was told."""
    _state(world).phase_limit_ms = 1_000_000
    return _no_end(world)


def _stop_device_clock(world: World, age_s: float) -> None:
    _state(world).state_since_ms = _state(world).now_ms


def _stall_ticks(world: World) -> AbstractContextManager[None]:
    world.stall_s = 0.19
    return nullcontext()


def _drive_with_heater(limits: DeviceLimits, s: FirmwareState, r: Readings) -> None:
    drive(limits, s, r)
    if s.state == _FREEZE:
        s.outputs.tip_heater_permille = 500
        s.outputs.heater_supply_on = True


def _overlap(world: World) -> AbstractContextManager[None]:
    return _patched(firmware_model, "drive", _drive_with_heater)


def _heater_at(permille: int, *, tip_mdegc: int | None = None) -> Act:
    """Return a regulator that heats whatever the tip reads, and books what it heats with."""

    def duty(limits: DeviceLimits, s: FirmwareState) -> int:
        s.heater_energy_uj += permille * limits.heater_mw // 100
        s.heater_on_ms += 10
        return permille

    def act(world: World) -> AbstractContextManager[None]:
        if tip_mdegc is not None:
            _tip_reads(tip_mdegc)(world)
        return _patched(firmware_drive, "heater_duty", duty)

    return act


# -- what is looked at ---


def _state(world: World) -> FirmwareState:
    assert world.device.firmware is not None
    return world.device.firmware.state


def _valve_is_shut(world: World) -> bool:
    return _state(world).outputs.valve_permille == 0


def _supply_is_shut(world: World) -> bool:
    out = _state(world).outputs
    return out.valve_permille == 0 and not out.shutoff_open


def _is_latched(world: World) -> bool:
    return _state(world).state in _LATCHED and _supply_is_shut(world)


def _heater_is_off(world: World) -> bool:
    out = _state(world).outputs
    return out.tip_heater_permille == 0 and not out.heater_supply_on


def _warmer_is_off(world: World) -> bool:
    out = _state(world).outputs
    return out.skin_warmer_permille == 0 and not out.warmer_supply_on


def _warmer_has_no_supply(world: World) -> bool:
    return not _state(world).outputs.warmer_supply_on


def _skin_reads_above(limit_c: float) -> Look:
    def look(world: World) -> bool:
        return world.device.instruments.readings.skin_mdegc > limit_c * 1000.0

    return look


def _latched_by(trip: Trip) -> Look:
    def look(world: World) -> bool:
        return _is_latched(world) and _state(world).trip == trip

    return look


def _tip_reads_below(limit_c: float) -> Look:
    def look(world: World) -> bool:
        return world.device.instruments.readings.tip_mdegc <= limit_c * 1000.0

    return look


def _tip_reads_above(limit_c: float) -> Look:
    def look(world: World) -> bool:
        return world.device.instruments.readings.tip_mdegc > limit_c * 1000.0

    return look


def _residual_is_over_8_c(world: World) -> bool:
    residual_c = world.controller.observer.residual_c
    return residual_c is not None and abs(residual_c) > 8.0


def _coast_is_over(world: World) -> bool:
    return _state(world).valve_shut_ms > 2_000


def _heats_for_20_s(world: World) -> bool:
    return _state(world).heater_on_ms > 20_000


def _has_spent_5_j(world: World) -> bool:
    return _state(world).heater_energy_uj > 5_000_000


def _battery_reads_low(world: World) -> bool:
    return world.device.instruments.readings.battery_mv < 3_300


def _freezes_for(limit_ms: int) -> Look:
    return lambda world: _state(world).freeze_ms >= limit_ms


def _has_held_for_150_s(world: World) -> bool:
    state = world.controller.state
    return state.phase is not Phase.HOLD or world.now_s - state.since_s >= 150.0


_BOTH: Final = (HOST, DEVICE)
# fmt: off
CLAIMS: Final[tuple[Claim, ...]] = (
    # 300 ms and 10, then 50, from the last lease: the clock starts up to 20 ms behind it.
    Claim("the host falls silent in a freeze", "SR-01", (DEVICE,), "hold", 0.34,
          _nothing, _is_latched, _is_cut, _cut_after_lease),
    Claim("the host falls silent while the tip is heated", "SR-01", (DEVICE,), "heating", 0.34,
          _nothing, _heater_is_off, _is_cut, _cut_after_lease),
    Claim("the host claims another mode", "SR-01", (DEVICE,), "hold", 0.50,
          _claim_idle, _is_latched),
    # 150 ms, a tick of 50 ms and the link.
    Claim("the probe falls silent", "SR-03", (HOST,), "hold", 0.25,
          _cut_to_host, _is_latched),
    Claim("the tip comes to its floor", "SR-05", _BOTH, "hold", 0.10,
          _nothing, _latched_by(Trip.TIP_FLOOR), _tip_reads_below(-85.0), _ramp_tip_to(-85.2)),
    Claim("the valve stays open after the freeze", "SR-07", _BOTH, "thaw", 0.50,
          _valve_held(1.0), _latched_by(Trip.VALVE_STUCK), _coast_is_over),
    Claim("the tip falls by 2 C/s after the freeze, without flow", "SR-07", _BOTH, "thaw", 0.50,
          _sensor(SensorName.EXHAUST_FLOW, SensorFault(held=0)), _latched_by(Trip.VALVE_STUCK),
          _coast_is_over, _fall),
    Claim("a little flow after the freeze", "SR-08", _BOTH, "thaw", 2.00,
          _sensor(SensorName.EXHAUST_FLOW, SensorFault(held=2_600)), _latched_by(Trip.LEAK),
          _coast_is_over),
    # 25 s to the band, 150 s of hold and 2 s are what the host has told the probe.
    Claim("a freeze that the host does not end, the probe's clock standing still", "SR-09",
          (DEVICE,), "late", 0.10, _no_end, _valve_is_shut, _freezes_for(177_000),
          _stop_device_clock),
    Claim("a freeze that nobody ends, the probe's clock standing still", "SR-09", (DEVICE,),
          "late", 0.10, _no_end_at_all, _valve_is_shut, _freezes_for(180_000),
          _stop_device_clock),
    Claim("a freeze that the probe does not end", "SR-09", (HOST,), "late", 0.10,
          _nothing, _valve_is_shut, _has_held_for_150_s, _stop_device_clock),
    Claim("the tip sensor opens in a freeze", "SR-11", _BOTH, "hold", 0.10,
          _sensor(SensorName.TIP, SensorFault(open_circuit=True)), _is_latched,
          host_bound_s=0.20),
    Claim("the tip reads -95 C", "SR-11", _BOTH, "hold", 0.10,
          _tip_reads(-95_000), _is_latched, host_bound_s=0.20),
    Claim("the tip reads 81 C", "SR-11", _BOTH, "hold", 0.10,
          _tip_reads(81_000), _is_latched, host_bound_s=0.20),
    Claim("the tip's reading stands still", "SR-12", (HOST,), "hold", 1.20,
          _hold_tip, _is_latched),
    Claim("the tip's reading leaves what its heat explains", "SR-12", (HOST,), "quiet", 1.20,
          _nothing, _is_latched, _residual_is_over_8_c, _drift_tip),
    Claim("the valve is open and nothing cools", "SR-12", (HOST,), "start", 3.20,
          _valve_held(0.0), _is_latched, lambda world: _state(world).state == _FREEZE),
    # The host sees it a frame later than it happens: never for long is all it can do.
    Claim("the heater comes on in a freeze", "SR-15", _BOTH, "hold", 0.00,
          _overlap, _is_latched, host_bound_s=0.10),
    Claim("the heater stays on and the tip gets hot", "SR-16", _BOTH, "heating", 0.20,
          _heater_at(1000), _heater_is_off, _tip_reads_above(43.0), _ramp_tip_to(44.0)),
    Claim("the heater stays on for 20 s", "SR-16", _BOTH, "heating", 0.20,
          _heater_at(100, tip_mdegc=-5_000), _heater_is_off, _heats_for_20_s),
    Claim("the heater stays on beyond 5 J", "SR-16", _BOTH, "heating", 0.20,
          _heater_at(1000, tip_mdegc=-5_000), _heater_is_off, _has_spent_5_j),
    Claim("the tip sensor opens while the tip is heated", "SR-16", _BOTH, "heating", 0.20,
          _sensor(SensorName.TIP, SensorFault(open_circuit=True)), _heater_is_off),
    Claim("the skin gets cold", "SR-17", (HOST,), "hold", 0.70,
          _sensor(SensorName.SKIN, SensorFault(held=4_900)), _valve_is_shut),
    Claim("the supply's pressure is too high", "SR-18", _BOTH, "hold", 0.05,
          _sensor(SensorName.SUPPLY_PRESSURE, SensorFault(held=68_100)), _supply_is_shut,
          host_bound_s=0.10),
    Claim("the exhaust is blocked", "SR-18", _BOTH, "hold", 0.05,
          _sensor(SensorName.EXHAUST_PRESSURE, SensorFault(held=2_510)), _supply_is_shut,
          host_bound_s=0.10),
    Claim("the supply's pressure cannot be seen", "SR-18", _BOTH, "hold", 0.20,
          _sensor(SensorName.SUPPLY_PRESSURE, SensorFault(open_circuit=True)), _supply_is_shut),
    Claim("more flow than the needle passes", "SR-20", (HOST,), "hold", 0.40,
          _sensor(SensorName.EXHAUST_FLOW, SensorFault(held=45_600)), _is_latched),
    Claim("the probe rejects six frames", "SR-23", (DEVICE,), "hold", 0.10,
          _noise_to_device, _is_latched),
    Claim("the host rejects six frames", "SR-23", (HOST,), "hold", 0.10,
          _noise_to_host, _is_latched),
    # 150 ms since the last tick, the next one, and the link.
    Claim("the control loop stands still", "SR-35", (HOST,), "hold", 0.25,
          _stall_ticks, _is_latched),
    Claim("the battery gives way in a freeze", "SR-36", (DEVICE,), "hold", 0.50,
          _sag, _is_latched, _battery_reads_low),
    Claim("the skin gets hot", "SR-42", _BOTH, "hold", 0.20,
          _nothing, _warmer_is_off, _skin_reads_above(43.0), _ramp_skin_up),
    Claim("the warmer stays on while its sensor is open", "SR-42", (HOST,), "hold", 0.20,
          _open_skin_and_warm, _warmer_is_off),
    Claim("the skin's sensor opens while the warmer is on", "SR-42", (DEVICE,), "hold", 0.20,
          _open_skin_and_warm, _warmer_has_no_supply),
    Claim("the supply's pressure stands still", "SR-43", (HOST,), "hold", 2.20,
          _hold_reading(SensorName.SUPPLY_PRESSURE, "supply_mbar"), _is_latched),
    Claim("the exhaust's pressure stands still", "SR-43", (HOST,), "hold", 2.20,
          _hold_reading(SensorName.EXHAUST_PRESSURE, "exhaust_mbar"), _is_latched),
    Claim("the flow stands still", "SR-43", (HOST,), "hold", 2.20,
          _hold_reading(SensorName.EXHAUST_FLOW, "exhaust_flow_ug_s"), _is_latched),
)
# fmt: on

EXCEPTIONS: Final[dict[str, str]] = {
    "SR-01": "host: it is the host that is silent; the lease is the probe's",
    "SR-03": "device: a probe that nobody hears is stopped by its lease, which is SR-01",
    "SR-12": "device: it has no model of heat, and regulates by the very reading",
    "SR-15": "host: sees an overlap a frame after it began, so it ends it within 0.1 s",
    "SR-17": "device: the skin is the host's; a probe may have no skin sensor at all",
    "SR-20": "device: the flow's upper limit is the host's",
    "SR-23": "each side counts what it rejects itself",
    "SR-35": "device: a loop that is late is told by its lease, which is SR-01",
    "SR-36": "host: a battery's voltage tells the probe first, whose valve springs shut",
    "SR-43": "device: readings that stand still are the host's, as SR-12 is",
}
"""Where one layer does not do what the other does, and why."""


# -- the treatment that the claims are made in ---


def plan_of(hold_s: float, *, thaw: str) -> Treatment:
    """Return the profile's own treatment with one cycle of ``hold_s``."""
    base = default_treatment(PROFILE).model_dump(by_alias=True)
    base["cycles"].update(count=1, hold_s=hold_s)
    base["thaw"].update(mode=thaw)
    return Treatment.model_validate(base)


def _in(phase: Phase, after_s: float) -> Look:
    def look(world: World) -> bool:
        state = world.controller.state
        return state.phase is phase and world.now_s - state.since_s >= after_s

    return look


def _heats(world: World) -> bool:
    return _state(world).outputs.tip_heater_permille > 0


class Moment(NamedTuple):
    """Where in a treatment a claim begins."""

    hold_s: float
    thaw: str
    reached: Look


MOMENTS: Final[dict[str, Moment]] = {
    "start": Moment(8.0, "active", _in(Phase.PREWARM, 0.0)),
    "hold": Moment(150.0, "active", _in(Phase.HOLD, 2.0)),
    "quiet": Moment(150.0, "active", _in(Phase.HOLD, 30.0)),
    "late": Moment(150.0, "active", _in(Phase.HOLD, 145.0)),
    "thaw": Moment(8.0, "passive", _in(Phase.THAWING, 0.0)),
    "heating": Moment(8.0, "active", _heats),
}


@dataclass(slots=True)
class _Fork:
    world: World
    data: bytes


@cache
def reach_moment(moment: str) -> _Fork:
    """Treat up to a moment, once a process, and keep the world as it is there."""
    row = MOMENTS[moment]
    world = World(PROFILE, plan=plan_of(row.hold_s, thaw=row.thaw))
    assert world.run(within_s=300.0, until=row.reached) is not None, moment
    return _Fork(world, world.save())


class Finding(NamedTuple):
    """How long a claim took from seen to safe; None is over half a second beyond its bound."""

    claim: Claim
    layer: str
    seconds: float | None

    @property
    def holds(self) -> bool:
        """True if the bound was kept."""
        if self.seconds is None:
            return False
        return self.seconds <= self.claim.bound_of(self.layer) + _EPSILON_S


SEEN_WITHIN_S: Final = 60.0


def try_claim(claim: Claim, layer: str) -> Finding:
    """Break it, with the other layer off, and measure."""
    other_off = device_interlocks_off() if layer == HOST else host_interlocks_off()
    fork = reach_moment(claim.moment)
    world = fork.world
    world.load(fork.data)
    began_s = world.now_s
    seen_s: float | None = None
    with other_off, claim.act(world):
        while True:
            claim.keep(world, world.now_s - began_s)
            world.step()
            now_s = world.now_s
            if seen_s is None and claim.seen(world):
                seen_s = now_s
            if seen_s is None:
                if now_s - began_s > SEEN_WITHIN_S:
                    return Finding(claim, layer, None)
                continue
            if claim.safe(world):
                return Finding(claim, layer, round(now_s - seen_s, 3))
            if now_s - seen_s > claim.bound_of(layer) + 0.5:
                return Finding(claim, layer, None)


def claims_of(layer: str) -> list[Claim]:
    """Return what ``layer`` claims to do alone."""
    return [claim for claim in CLAIMS if layer in claim.layers]


def claims_of_everyone() -> list[tuple[Claim, str]]:
    """Return every claim with each layer that makes it."""
    return [(claim, layer) for layer in (HOST, DEVICE) for claim in claims_of(layer)]
