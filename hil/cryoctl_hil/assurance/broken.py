"""Breaks each interlock in turn, and lists which claims of its layer fail without it.

An interlock that no claim misses is one that no test would miss. The other layer is off: with both
there, the one would cover for the other.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Final, NamedTuple

from cryoctl_hil.assurance.claims import DEVICE, EXCEPTIONS, HOST, claims_of, try_claim
from cryoctl_hil.assurance.program import Measure, Outcome, Say
from cryoctl_hil.layers import (
    DEVICE_TRIPS,
    HOST_CHECKS,
    device_interlocks_off,
    host_interlocks_off,
)


class Interlock(NamedTuple):
    """One check of one layer, and what takes it away."""

    layer: str
    name: str
    off: Callable[[], AbstractContextManager[None]]


INTERLOCKS: Final[tuple[Interlock, ...]] = (
    *(Interlock(HOST, name, partial(host_interlocks_off, name)) for name in HOST_CHECKS),
    *(Interlock(DEVICE, trip.name, partial(device_interlocks_off, trip)) for trip in DEVICE_TRIPS),
)


def run(scale: float, say: Say) -> Outcome:
    """Try every claim of each layer alone, then each interlock removed, and say what fails.

    Args:
        scale: At 1 and more every claim of the layer is tried without each interlock; below that
            the search ends at the first that fails.
        say: Told of every interlock.
    """
    failures = []
    alone = []
    for layer in (HOST, DEVICE):
        for claim in claims_of(layer):
            finding = try_claim(claim, layer)
            alone.append(
                {
                    "requirement": claim.requirement,
                    "layer": layer,
                    "claim": claim.name,
                    "seconds": finding.seconds,
                    "bound_s": claim.bound_of(layer),
                }
            )
            if not finding.holds:
                failures.append(f"{layer} alone, {claim.requirement}: {claim.name}: late or never")
    missed: dict[str, list[str]] = {}
    for row in INTERLOCKS:
        name = f"{row.layer} {row.name}"
        missed[name] = names = claims_that_miss(row, first=scale < 1.0)
        say(f"{name}: {len(names)} claims fail without it")
        if not names:
            failures.append(f"{name}: no claim fails without it")
    return Outcome(
        [*_measures(alone), _measure_of_broken(missed)],
        {"alone": alone, "missed": missed, "exceptions": EXCEPTIONS},
        failures,
    )


def claims_that_miss(interlock: Interlock, *, first: bool) -> list[str]:
    """Return the claims of its layer that fail without ``interlock``; one at most if ``first``."""
    names = []
    for claim in claims_of(interlock.layer):
        with interlock.off():
            holds = try_claim(claim, interlock.layer).holds
        if not holds:
            names.append(f"{claim.requirement}: {claim.name}")
            if first:
                break
    return names


def _measures(alone: list[dict[str, Any]]) -> list[Measure]:
    """Return one line a layer: the claim that came nearest to its bound."""
    rows = []
    for layer in (HOST, DEVICE):
        mine = [row for row in alone if row["layer"] == layer]
        kept = [row for row in mine if row["seconds"] is not None]
        kept = [row for row in kept if row["seconds"] <= row["bound_s"] + 1e-6]
        requirements = tuple(sorted({row["requirement"] for row in mine}))
        rows.append(
            Measure(
                name=f"bounds kept by the {layer} alone",
                target=f"{len(mine)} of {len(mine)}",
                result=f"{len(kept)} of {len(mine)}",
                ok=len(kept) == len(mine),
                requirements=requirements,
                value=float(len(kept)),
                bound=float(len(mine)),
                unit="claims",
            )
        )
    return rows


def _measure_of_broken(missed: dict[str, list[str]]) -> Measure:
    found = sum(1 for names in missed.values() if names)
    return Measure(
        name="broken interlocks that a claim shows",
        target=f"{len(missed)} of {len(missed)}",
        result=f"{found} of {len(missed)}",
        ok=found == len(missed),
        value=float(found),
        bound=float(len(missed)),
        unit="interlocks",
    )
