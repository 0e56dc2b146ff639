"""What became of each placement of a session, and what a whole session comes to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cryoctl.cycles import CycleRecord, Verdict
from cryoctl.safing import TripRecord
from cryoctl.treatment import Treatment
from cryoctl_protocol.codes import Trip

_BY_BADNESS: Final = (
    Verdict.PASS,
    Verdict.NOT_EFFECTIVE,
    Verdict.FAIL,
    Verdict.ABORTED,
    Verdict.SAFETY_TRIP,
)


@dataclass(frozen=True, slots=True)
class PlacementRecord:
    """One placement, when it is over.

    Attributes:
        cause: First trip that is more than an operator's STOP; else STOP, or None.
        gas_used_g: From its beginning to the next one's, by the host's ledger.
    """

    treatment: Treatment
    cycles: tuple[CycleRecord, ...]
    trips: tuple[TripRecord, ...]
    cause: Trip | None
    verdict: Verdict
    began_s: float
    gas_used_g: float


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst of at least one verdict."""
    return max(verdicts, key=_BY_BADNESS.index)
