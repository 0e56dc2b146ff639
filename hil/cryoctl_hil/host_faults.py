"""Faults of the computer that the controller runs on, and the whole list of faults.

What they do is no matter of the simulated probe: programs of the assurance inject them around a
controller's process, its clock and its disk. Here they have their rows in the catalogue.
"""

from __future__ import annotations

from typing import Final

from cryoctl_simulator.fault_row import (
    CONTROLLER,
    EITHER,
    EVERY,
    FREEZE,
    PROBE,
    STIMULATE,
    THAW,
    FaultRow,
    Group,
    Observable,
    Parameter,
    found,
    latent,
)
from cryoctl_simulator.faults import CATALOGUE

_G: Final = Group.HOST
_O: Final = Observable
_AROUND: Final = "it befalls the computer, not the probe: `--fault` reaches the probe alone"
_DRIVEN: Final = FREEZE | THAW | STIMULATE
_NOBODY: Final = "outputs are off, and nobody waits for them; a new controller begins anew"

HOST_FAULTS: Final = (
    FaultRow(
        fault_id="host_dead", group=_G, acts_on="process",
        text="the controller's process is killed",
        hazards=("H-14",), requirement="SR-01", planned=_AROUND,
        observable=_O.PROCESS,
        expected=(
            found(_DRIVEN, PROBE, 500, "LEASE"),
            latent(EVERY - _DRIVEN, _NOBODY),
        ),
    ),
    FaultRow(
        fault_id="host_stopped", group=_G, acts_on="process",
        text="the controller's process is stopped, and goes on later",
        hazards=("H-14", "H-22"), requirement="SR-01", planned=_AROUND,
        parameters=(Parameter("stopped_s", "s", 2.0, 0.01, 600.0),),
        observable=_O.PROCESS,
        expected=(
            found(_DRIVEN, PROBE, 500, "LEASE"),
            latent(EVERY - _DRIVEN, _NOBODY),
        ),
    ),
    FaultRow(
        fault_id="loop_stall", group=_G, acts_on="process",
        text="the controller's loop stands still, as with a slow plug-in or a busy processor",
        hazards=("H-22",), requirement="SR-35", planned=_AROUND,
        parameters=(Parameter("stall_ms", "ms", 500.0, 1.0, 600_000.0),),
        observable=_O.PROCESS,
        expected=(found(EVERY, EITHER, 200, "TICK_LATE"),),
    ),
    FaultRow(
        fault_id="clock_jump", group=_G, acts_on="clock",
        text="the computer's clock is set, forward or back",
        hazards=("H-03",), requirement="SR-10", planned=_AROUND,
        parameters=(Parameter("jump_s", "s", 31_536_000.0, -31_536_000.0, 31_536_000.0),),
        observable=_O.HOST_CLOCK,
        expected=(
            latent(EVERY, "no phase goes by that clock; stamps for people differ from then on"),
        ),
    ),
    FaultRow(
        fault_id="disk_full", group=_G, acts_on="disk",
        text="the disk has no room",
        hazards=("H-21",), requirement="SR-33", planned=_AROUND,
        observable=_O.DISK,
        expected=(found(EVERY, CONTROLLER, 1000, "RECORDING_FAILED"),),
    ),
    FaultRow(
        fault_id="disk_slow", group=_G, acts_on="disk",
        text="the disk stalls",
        hazards=("H-21", "H-22"), requirement="SR-33", planned=_AROUND,
        parameters=(Parameter("stall_ms", "ms", 1000.0, 1.0, 600_000.0),),
        observable=_O.DISK,
        expected=(
            latent(EVERY, "records wait in a queue, control does not; they are written later"),
        ),
    ),
    FaultRow(
        fault_id="torn_write", group=_G, acts_on="disk",
        text="the last write is cut off in the middle",
        hazards=("H-21",), requirement="SR-34", planned=_AROUND,
        observable=_O.DISK,
        expected=(
            found(EVERY, CONTROLLER, 0, "NOT_CLOSED"),
        ),
    ),
)  # fmt: skip

ALL_FAULTS: Final[dict[str, FaultRow]] = {
    **CATALOGUE,
    **{row.fault_id: row for row in HOST_FAULTS},
}
"""Every row of the catalogue by id: of the probe and its link, and of the computer."""
