"""Every defective probe, by its id."""

from __future__ import annotations

from typing import Final

from cryoctl_hil.defects.defect import Defect
from cryoctl_hil.defects.of_c import C_DEFECTS
from cryoctl_hil.defects.of_commands import COMMANDS
from cryoctl_hil.defects.of_limits import LIMITS
from cryoctl_hil.defects.of_outputs import OUTPUTS

DEFECTS: Final[dict[str, Defect]] = {
    each.id: each for each in (*LIMITS, *COMMANDS, *OUTPUTS, *C_DEFECTS)
}
"""Those of the device model first."""
