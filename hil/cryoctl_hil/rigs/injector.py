"""Injects faults into the probe of a test, marks their moments, and takes them away again."""

from __future__ import annotations

from cryoctl_hil.evidence.measurement import AtMark
from cryoctl_hil.rigs.probe import Probe
from cryoctl_protocol.peer import FaultPort


class Injector:
    """What a test calls ``inject``.

    Args:
        faults: Of the rig.
        probe: Marks the moments.
    """

    def __init__(self, faults: FaultPort, probe: Probe) -> None:
        self._faults = faults
        self._probe = probe
        self._begun: list[str] = []

    def __call__(self, fault: str) -> AtMark:
        """Inject a fault now, such as ``tc_open`` or ``tc_open:0.05s``; return the moment."""
        moment = self._probe.mark(fault)  # First: what it does must not come before it.
        what, _, rest = fault.partition(":")
        # A moment that is over begins at once, whatever the clock of the probe's server says.
        self._faults.inject(f"{what}@0s" + (f":{rest}" if rest else ""))
        self._begun.append(what.partition("(")[0])
        return moment

    def end(self, fault_id: str) -> AtMark:
        """End every fault of this id; return the moment."""
        moment = self._probe.mark(f"{fault_id} ended")
        self._faults.clear(fault_id)
        return moment

    def end_all(self) -> None:
        """End what this test has begun, so that the probe can be made safe."""
        for fault_id in dict.fromkeys(self._begun):
            self._faults.clear(fault_id)
        self._begun.clear()
