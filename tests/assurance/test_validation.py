"""Every case of `cryoctl validate`, on its finest grids."""

from __future__ import annotations

import pytest

from cryoctl_hil.validation.cases import CASES, run_cases
from cryoctl_hil.validation.report import text_table, verdict

pytestmark = [pytest.mark.assure, pytest.mark.timeout(600)]


def test_every_figure_is_within_its_tolerance() -> None:
    found = run_cases(CASES)

    print(text_table(CASES, found))
    assert [
        f"{row.case}: {row.quantity}"
        for findings in found
        for row in findings.rows
        if row.ok is False
    ] == [], verdict(found)
