"""What every rig is driven through, on one probe and in one recording, with marks between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from cryoctl_hil.rigs.probe import Probe
from cryoctl_protocol.codes import DeviceState, Result
from cryoctl_protocol.peer import FaultPort

COLD_C: Final = -30.0
DEEP_C: Final = -50.0
HOLD_S: Final = 6.0
LATCHED: Final = (DeviceState.SAFE, DeviceState.FAULT)
FAULTS: Final = ("tc_open", "exhaust_blocked", "vbat_low(sag_mv=1500)")
"""Each ends by itself."""
_QUIET_S: Final = 0.1
_FAULT_S: Final = 3.0
_LEASELESS_S: Final = 0.7
"""Longer than the 500 ms of SR-01, shorter than the second after which ownership lapses."""

Act = Callable[[Probe, FaultPort | None], None]


def _mark(probe: Probe, name: str) -> None:
    """Begin a stretch where nothing is on its way: what was asked for has been answered."""
    probe.let_pass(_QUIET_S)
    probe.mark(name)


class Scenario(NamedTuple):
    """One stretch of the recording; begins at the mark of its name."""

    name: str
    act: Act
    needs_faults: bool = False


def _tests(probe: Probe, _faults: FaultPort | None) -> None:
    assert probe.self_test() is Result.OK, "the self-test failed"
    assert probe.leak_test() is Result.OK, "the leak test failed"


def _cycle(probe: Probe, _faults: FaultPort | None) -> None:
    probe.freeze()
    _mark(probe, "cool")
    probe.cool_to(DEEP_C)
    _mark(probe, "hold")
    probe.let_pass(HOLD_S)
    _mark(probe, "thaw")
    probe.thaw()
    _mark(probe, "end")
    probe.end()


def _freeze(probe: Probe, mark: str) -> None:
    probe.freeze()
    _mark(probe, mark)
    probe.cool_to(COLD_C)


def _clear(probe: Probe, mark: str) -> None:
    probe.wait_until_free()
    _mark(probe, mark)
    probe.clear()


def _fault(fault: str) -> Act:
    def act(probe: Probe, faults: FaultPort | None) -> None:
        assert faults is not None, "a scenario that needs faults is left out without them"
        _freeze(probe, f"cool before {fault}")
        _mark(probe, fault)
        faults.inject(f"{fault}@0s:{_FAULT_S:g}s")
        probe.wait_for_state(*LATCHED, within_s=_FAULT_S)
        _mark(probe, f"{fault}: safe")
        probe.let_pass(_FAULT_S)
        _clear(probe, f"clear after {fault}")

    return act


def _lease_loss(probe: Probe, _faults: FaultPort | None) -> None:
    _freeze(probe, "cool before lease loss")
    _mark(probe, "no more leases")
    probe.host.leasing = False
    probe.let_pass(_LEASELESS_S)
    probe.host.leasing = True
    _mark(probe, "leases again")
    _clear(probe, "clear after lease loss")


SCENARIOS: Final[tuple[Scenario, ...]] = (
    Scenario("tests", _tests),
    Scenario("cycle", _cycle),
    Scenario("lease loss", _lease_loss),
    *(Scenario(f"fault {fault}", _fault(fault), needs_faults=True) for fault in FAULTS),
)


def drive(probe: Probe, faults: FaultPort | None) -> None:
    """Take a probe through every scenario that its rig can do; leave it idle."""
    for scenario in SCENARIOS:
        if faults is None and scenario.needs_faults:
            continue
        _mark(probe, scenario.name)
        scenario.act(probe, faults)
    _mark(probe, "the end")
