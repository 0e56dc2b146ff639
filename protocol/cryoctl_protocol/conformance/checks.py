"""What one check is, as data."""

from __future__ import annotations

from collections.abc import Callable
from enum import Flag, auto
from typing import NamedTuple

from cryoctl_protocol.conformance.bench import Bench, CheckFailedError, Steps
from cryoctl_protocol.conformance.flaws import Flaw


class Need(Flag):
    """What a check cannot do without."""

    NOTHING = 0
    STREAM = auto()
    """A link that carries bytes, on which damaged ones can be sent."""
    KEY = auto()
    """The device's key."""
    SESSION = auto()
    """A session that is open."""
    FREEZE = auto()
    """Leave to let gas flow."""


class Check(NamedTuple):
    """One thing that a device has to do.

    Attributes:
        name: Unique within its level.
        section: Anchor in SPEC.md.
        claim: What is looked at, for people.
        run: Does it; raises CheckFailedError or NotRunError.
    """

    name: str
    section: str
    claim: str
    run: Callable[[Bench], Steps]
    needs: Need = Need.NOTHING


def refuse(flaw: Flaw | None) -> None:
    """Raise CheckFailedError for a flaw."""
    if flaw is not None:
        raise CheckFailedError(flaw.field, flaw.expected, flaw.observed)


def expect(is_so: object, field: str, expected: object, observed: object) -> None:
    """Raise CheckFailedError where something is not so."""
    if not is_so:
        raise CheckFailedError(field, str(expected), str(observed))
