"""The cases of `cryoctl validate`: what each compares, with what, and its source."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from cryoctl_hil.validation import needles, probe, published, verification
from cryoctl_hil.validation.rows import Findings


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to check.

    Attributes:
        name: For ``--case`` and the column of that name.
        title: One line for people.
        source: Of the references.
        compute: Makes the rows and the plots.
    """

    name: str
    title: str
    source: str
    compute: Callable[[], Findings]

    def run(self) -> Findings:
        """Compute; return the rows with case and source filled in."""
        found = self.compute()
        found.rows = [
            replace(row, case=self.name, source=row.source or self.source) for row in found.rows
        ]
        return found


OLDER_SOLVER: Final = "an older, independent solver of the same equations (this project); "

CASES: Final = (
    Case(
        "plane-wall",
        "Freezing from a plane wall",
        "Neumann's two-phase solution, from its equation",
        verification.plane_wall,
    ),
    Case(
        "line-sink",
        "Freezing around a line of fixed heat",
        "line sink (Paterson 1952, from memory), from its equation",
        verification.line_sink,
    ),
    Case(
        "cold-cylinder",
        "Freezing around a long cylinder at -70 C",
        OLDER_SOLVER + "cells of 0.05 mm, expected about 1 % low",
        verification.cold_cylinder,
    ),
    Case(
        "perfused",
        "Ice brought to rest by blood flow",
        "quasi-steady cylinder and sphere, from their equations",
        verification.perfused,
    ),
    Case(
        "heat-books",
        "Heat is neither lost nor made, (r, z)",
        "first law",
        verification.heat_books,
    ),
    Case(
        "needle-27g",
        "Needle of 0.41 x 8.5 mm: (r, z) and fast model",
        OLDER_SOLVER + "fast: the (r, z) model, same run",
        needles.thin_needle,
    ),
    Case(
        "needle-20g",
        "Needle of 0.91 x 8 mm: (r, z) and fast model",
        OLDER_SOLVER + "fast: the (r, z) model, same run",
        needles.thick_needle,
    ),
    Case(
        "needle-17g",
        "Needle of 1.47 x 20 mm: fast model",
        "the (r, z) model, same run",
        needles.longest_needle,
    ),
    Case(
        "needle-2mm",
        "Needle of 2 x 10 mm: fast model",
        "the (r, z) model, same run",
        needles.thickest_needle,
    ),
    Case(
        "needle-short",
        "Needle of 2 x 3 mm: fast model at its limit",
        "the (r, z) model, same run",
        needles.shortest_needle,
    ),
    Case(
        "isotherms",
        "Shape of the ice around a 20G needle",
        OLDER_SOLVER + "60 s at -70 C",
        needles.isotherms,
    ),
    Case(
        "V1", "Double-tube needle in gelled water", published.OKAJIMA_SOURCE, published.double_tube
    ),
    Case("V3", "CO2 device, frozen twice in gel", published.SURTEES_SOURCE, published.frozen_twice),
    Case("V4", "Console probes in gel", published.VENDOR_SOURCE, published.vendor_ball),
    Case("V7", "Flat tip in vivo: negative control", published.FERRIS_SOURCE, published.flat_tip),
    Case("others", "Shown, not judged", "see each row", published.others),
    Case("gas", "Saturation, coldest tip, dry ice", probe.LIBRARY, probe.gases),
    Case(
        "probe-20g",
        "Whole probe n2o-20g",
        "lumped calculation of a similar probe (this project)",
        probe.twenty_gauge,
    ),
    Case(
        "probe-27gx3",
        "Whole probe n2o-27gx3",
        "lumped calculation of a similar probe (this project)",
        probe.three_needles,
    ),
)


def chosen(texts: Sequence[str]) -> list[Case]:
    """Return the cases whose name contains one of ``texts``; all of them without any."""
    if not texts:
        return list(CASES)
    return [case for case in CASES if any(text.lower() in case.name.lower() for text in texts)]


def run_cases(cases: Sequence[Case]) -> list[Findings]:
    """Run ``cases`` on all processors; return what they found, in their order."""
    processes = min(os.cpu_count() or 1, len(cases))
    if processes == 1:
        return [case.run() for case in cases]
    # Each process starts afresh: one that is forked from a program with threads may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        return list(pool.map(Case.run, cases))
