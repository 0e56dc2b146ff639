"""Faults of the link at the probe's end: rows of the catalogue, and the weather each makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cryoctl_protocol.codes import Trip
from cryoctl_simulator.fault_intruders import Replayer, Retainer, SecondMaster
from cryoctl_simulator.fault_row import (
    ARMED,
    CONTROLLER,
    EITHER,
    EVERY,
    FREEZE,
    IDLE,
    LATCHED,
    PREWARM,
    PROBE,
    READY,
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
)
from cryoctl_simulator.firmware_config import TICK_MS
from cryoctl_simulator.link_weather import FAIR, Weather

_SILENT: Final = Weather(drop=1.0)


def _bad(kind: str, unit: str = "") -> Callable[[Present], tuple[Weather, Weather]]:
    """Return what turns a fault's two numbers, one each way, into the weather each way."""

    def weather(present: Present) -> tuple[Weather, Weather]:
        up, down = present.values["up" + unit], present.values["down" + unit]
        return Weather(**{kind: up}), Weather(**{kind: down})

    return weather


def _cut(_present: Present) -> tuple[Weather, Weather]:
    return _SILENT, _SILENT


def _half_open(_present: Present) -> tuple[Weather, Weather]:
    return FAIR, _SILENT


def _queued(present: Present) -> tuple[Weather, Weather]:
    # The later a frame comes to the queue, the less it waits there: all leave it together.
    left_ms = present.values["wait_ms"] - present.age_ticks * TICK_MS
    return FAIR, Weather(delay_ms=max(0.0, left_ms))


def _away(present: Present) -> tuple[Weather, Weather]:
    is_away = present.age_ticks * TICK_MS < present.values["away_ms"]
    return (_SILENT, _SILENT) if is_away else (FAIR, FAIR)


def _shares(default: float) -> tuple[Parameter, ...]:
    """Return a share of frames each way: up to the controller, down to the probe."""
    return tuple(Parameter(name, "1", default, 0.0, 1.0) for name in ("up", "down"))


def _delays(default_ms: float) -> tuple[Parameter, ...]:
    return tuple(Parameter(name, "ms", default_ms, 0.0, 10_000.0) for name in ("up_ms", "down_ms"))


_DRIVEN: Final = "once something is driven, of which an intruder or noise would be a danger"
_HEATING: Final = "while the heater is on"
_SPOILT: Final = ("INTEGRITY", "LINK", "LEASE")
_UNHEARD: Final = (
    found(IDLE | TESTS | ARMED | STARTED, CONTROLLER, 0, "COMMAND_FAILED"),
    found(PREWARM | FREEZE, PROBE, 500, "LEASE"),
    found(STIMULATE, EITHER, 0, "LEASE", "COMMAND_FAILED"),
    found(THAW, PROBE, 1500, "LEASE"),
    latent(LATCHED, "outputs are off, and stay off without a lease"),
)
"""Nothing of the controller comes to the probe, whatever keeps it."""
_G: Final = Group.LINK
_O: Final = Observable

LINK_FAULTS: Final = (
    Fault(
        fault_id="drop", group=_G, acts_on="link",
        text="frames are lost",
        hazards=("H-14", "H-15"), requirement="SR-03",
        parameters=_shares(0.7),
        observable=_O.FRAMES_UP, weather=_bad("drop"),
        expected=(
            found(IDLE | TESTS, CONTROLLER, 0, "LINK", "COMMAND_FAILED", "FAILED"),
            found(EVERY - IDLE - TESTS, EITHER, 1000, "LINK", "LEASE", "COMMAND_FAILED"),
        ),
    ),
    Fault(
        fault_id="duplicate", group=_G, acts_on="link",
        text="frames come twice",
        hazards=("H-15",), requirement="SR-24",
        parameters=_shares(0.5),
        observable=_O.FRAMES_UP, weather=_bad("duplicate"),
        expected=(
            found(IDLE | TESTS | READY, EITHER, 0, "INTEGRITY"),
            found(FREEZE, EITHER, 2000, "INTEGRITY"),
            found(STIMULATE, EITHER, 0, "INTEGRITY", "REFUSED", only=_DRIVEN),
            found(THAW | LATCHED, EITHER, 0, "INTEGRITY", only=_HEATING),
        ),
    ),
    Fault(
        fault_id="reorder", group=_G, acts_on="link",
        text="frames are overtaken by later ones",
        hazards=("H-15",), requirement="SR-24",
        parameters=_shares(0.3),
        observable=_O.FRAMES_UP, weather=_bad("reorder"),
        expected=(
            found(IDLE | TESTS | READY, EITHER, 0, "INTEGRITY"),
            found(FREEZE, EITHER, 2000, "INTEGRITY"),
            found(STIMULATE, EITHER, 0, "INTEGRITY", "REFUSED", only=_DRIVEN),
            found(THAW | LATCHED, EITHER, 0, "INTEGRITY", only=_HEATING),
        ),
    ),
    Fault(
        fault_id="delay", group=_G, acts_on="link",
        text="frames are late, all by the same",
        hazards=("H-14", "H-16"), requirement="SR-03",
        parameters=_delays(200.0),
        observable=_O.FRAMES_UP, weather=_bad("delay_ms", "_ms"),
        expected=(
            found(EVERY, EITHER, 500, "LINK", "LEASE"),
        ),
    ),
    Fault(
        fault_id="jitter", group=_G, acts_on="link",
        text="frames are late by chance, still in order",
        hazards=("H-14", "H-16"), requirement="SR-03",
        parameters=_delays(400.0),
        observable=_O.FRAMES_UP, weather=_bad("jitter_ms", "_ms"),
        expected=(
            found(EVERY, EITHER, 1000, "LINK", "LEASE"),
        ),
    ),
    Fault(
        fault_id="bitflip", group=_G, acts_on="link",
        text="single bits of frames turn over",
        hazards=("H-15",), requirement="SR-23",
        parameters=_shares(0.3),
        observable=_O.FRAMES_UP, weather=_bad("bitflip"),
        expected=(
            found(IDLE | TESTS | READY, EITHER, 0, *_SPOILT, "COMMAND_FAILED", "FAILED"),
            found(FREEZE, EITHER, 1000, *_SPOILT),
            found(STIMULATE, EITHER, 0, *_SPOILT, "REFUSED", "COMMAND_FAILED"),
            found(THAW | LATCHED, EITHER, 0, *_SPOILT, "COMMAND_FAILED", "FAILED"),
        ),
    ),
    Fault(
        fault_id="truncate", group=_G, acts_on="link",
        text="frames lose their end, and run into the next",
        hazards=("H-15",), requirement="SR-23",
        parameters=_shares(0.3),
        observable=_O.FRAMES_UP, weather=_bad("truncate"),
        expected=(
            found(IDLE | TESTS | READY, EITHER, 0, *_SPOILT, "COMMAND_FAILED", "FAILED"),
            found(FREEZE, EITHER, 1000, *_SPOILT),
            found(STIMULATE, EITHER, 0, *_SPOILT, "REFUSED", "COMMAND_FAILED"),
            found(THAW | LATCHED, EITHER, 0, *_SPOILT, "COMMAND_FAILED", "FAILED"),
        ),
    ),
    Fault(
        fault_id="babble", group=_G, acts_on="link",
        text="noise on the line spoils one frame in four towards the controller",
        hazards=("H-15",), requirement="SR-23",
        parameters=(
            Parameter("up_per_s", "1/s", 12.5, 0.0, 100.0),
            Parameter("down_per_s", "1/s", 0.0, 0.0, 100.0),
        ),
        observable=_O.FRAMES_UP, weather=_bad("noise_per_s", "_per_s"),
        expected=(
            found(IDLE | TESTS | READY, CONTROLLER, 0, "INTEGRITY"),
            found(FREEZE, CONTROLLER, 1000, "INTEGRITY"),
            found(STIMULATE, CONTROLLER, 0, "INTEGRITY", only=_DRIVEN),
            found(THAW | LATCHED, CONTROLLER, 0, "INTEGRITY", only=_HEATING),
        ),
    ),
    Fault(
        fault_id="half_open", group=_G, acts_on="link",
        text="the probe is heard and hears nothing",
        hazards=("H-14",), requirement="SR-01", trip=Trip.LEASE,
        observable=_O.FRAMES_DOWN, weather=_half_open,
        expected=_UNHEARD,
    ),
    Fault(
        fault_id="disconnect", group=_G, acts_on="link",
        text="the link is silent both ways",
        hazards=("H-14",), requirement="SR-01", trip=Trip.LEASE,
        observable=_O.FRAMES_UP, weather=_cut,
        expected=(
            found(EVERY, CONTROLLER, 250, "LINK"),
        ),
    ),
    Fault(
        fault_id="replay_old", group=_G, acts_on="link",
        text="frames that went to the probe before go there again",
        hazards=("H-15",), requirement="SR-24", trip=Trip.INTEGRITY,
        parameters=(Parameter("per_s", "1/s", 20.0, 0.1, 1000.0),),
        observable=_O.FRAMES_DOWN, intruder=Replayer,
        expected=(
            found(IDLE | TESTS | ARMED | STARTED, PROBE, 0, "INTEGRITY"),
            found(PREWARM | FREEZE, PROBE, 1000, "INTEGRITY"),
            found(THAW | STIMULATE | LATCHED, PROBE, 0, "INTEGRITY", only=_DRIVEN),
        ),
    ),
    Fault(
        fault_id="dual_master", group=_G, acts_on="link",
        text="a second controller with the key greets, leases and commands; it may stop the probe",
        hazards=("H-17",), requirement="SR-25", trip=Trip.INTEGRITY,
        parameters=(Parameter("stop_after_s", "s", 0.0, 0.0, 3600.0),),
        observable=_O.FRAMES_DOWN, intruder=SecondMaster,
        expected=(
            found(IDLE | TESTS | ARMED | STARTED, PROBE, 0, "INTEGRITY"),
            found(PREWARM | FREEZE, PROBE, 1000, "INTEGRITY"),
            found(THAW | STIMULATE | LATCHED, PROBE, 0, "INTEGRITY", only=_DRIVEN),
        ),
    ),
    Fault(
        fault_id="mqtt_late", group=_G, acts_on="broker",
        text="what goes to the probe waits in a queue and comes all at once",
        hazards=("H-16",), requirement="SR-24", trip=Trip.LEASE,
        parameters=(Parameter("wait_ms", "ms", 20_000.0, 10.0, 60_000.0),),
        observable=_O.FRAMES_DOWN, weather=_queued,
        expected=_UNHEARD,
    ),
    Fault(
        fault_id="mqtt_retained", group=_G, acts_on="broker",
        text="the broker kept a FREEZE of a session that is over, and delivers it",
        hazards=("H-16",), requirement="SR-24",
        observable=_O.FRAMES_DOWN, intruder=Retainer,
        expected=(
            latent(EVERY, "rejected for its session; one such frame is no attack yet (SR-23)"),
        ),
    ),
    Fault(
        fault_id="broker_restart", group=_G, acts_on="broker",
        text="the broker goes down and comes back",
        hazards=("H-14", "H-16"), requirement="SR-03", trip=Trip.LEASE,
        parameters=(Parameter("away_ms", "ms", 1000.0, 10.0, 60_000.0),),
        observable=_O.FRAMES_UP, weather=_away,
        expected=(
            found(EVERY, CONTROLLER, 250, "LINK"),
        ),
    ),
)  # fmt: skip
