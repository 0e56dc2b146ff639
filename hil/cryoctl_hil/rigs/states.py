"""Brings a probe to any of its states, by what an operator does and without a fault injected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cryoctl_hil.rigs.probe import LATCHED, Probe
from cryoctl_protocol.codes import DeviceState, Op, ThawMode

STIMULUS: Final[dict[str, int]] = {
    "stimulus_ua": 1_000,
    "stimulus_hz": 2,
    "stimulus_pulse_us": 100,
    "duration_ms": 20_000,
}
WARM_TIP_C: Final = 21.0
"""SR-41 asks for more than 20 °C; a sensor's noise is less than the rest."""
WARM_S: Final = 300.0
"""What is left of an ice ball keeps the tip below that for so long."""
PROVED_S: Final = 0.5
"""Beyond the profile's coast: the valve has then proved to be shut (SR-41)."""


def bring_to(probe: Probe, state: DeviceState) -> None:
    """Have a probe do what ``state`` says; outputs are as briefly on as that needs."""
    if probe.state is state and state not in _PASSING:
        return
    if probe.state in LATCHED:
        probe.clear()
    elif probe.state is not DeviceState.IDLE:
        probe.end()
    _WAYS[state](probe)


def _prewarm(probe: Probe) -> None:
    probe.start()
    probe.command(Op.PREWARM, duration_ms=20_000)
    probe.wait_for_state(DeviceState.PREWARM, within_s=1.0)


def _thaw(probe: Probe) -> None:
    probe.freeze()
    probe.command(Op.THAW, mode=ThawMode.PASSIVE)
    probe.wait_for_state(DeviceState.THAW, within_s=1.0)


def _fault(probe: Probe) -> None:
    _prewarm(probe)
    host = probe.host
    probe.call(lambda _now_s: setattr(host, "leasing", False))
    probe.wait_for_state(DeviceState.FAULT, within_s=1.0)
    probe.call(lambda _now_s: setattr(host, "leasing", True))


def _stimulate(probe: Probe) -> None:
    warm_enough(probe)
    probe.command(Op.STIMULATE, **STIMULUS)
    probe.wait_for_state(DeviceState.STIMULATE, within_s=1.0)


def warm_enough(probe: Probe) -> None:
    """Wait until a nerve may be stimulated: tip warm, valve proved shut (SR-41)."""
    probe.wait(
        lambda s: s.tip_temp_c is not None and s.tip_temp_c > WARM_TIP_C,
        within_s=WARM_S,
        step=f"the tip is above {WARM_TIP_C:g} °C",
    )
    probe.let_pass(probe.profile.limits.coast_s + PROVED_S)


def _test(op: Op, state: DeviceState) -> Callable[[Probe], None]:
    def begin(probe: Probe) -> None:
        probe.command(op)
        probe.wait_for_state(state, within_s=1.0)

    return begin


_PASSING: Final = (DeviceState.SELF_TEST, DeviceState.LEAK_TEST, DeviceState.ARMED)
"""End by themselves, and begin anew each time."""
_WAYS: Final[dict[DeviceState, Callable[[Probe], None]]] = {
    DeviceState.IDLE: lambda _: None,
    DeviceState.SELF_TEST: _test(Op.SELF_TEST, DeviceState.SELF_TEST),
    DeviceState.LEAK_TEST: _test(Op.LEAK_TEST, DeviceState.LEAK_TEST),
    DeviceState.ARMED: lambda probe: probe.arm(),
    DeviceState.STARTED: lambda probe: probe.start(),
    DeviceState.PREWARM: _prewarm,
    DeviceState.FREEZE: lambda probe: probe.freeze(),
    DeviceState.THAW: _thaw,
    DeviceState.SAFE: lambda probe: probe.stop(),
    DeviceState.FAULT: _fault,
    DeviceState.STIMULATE: _stimulate,
}
