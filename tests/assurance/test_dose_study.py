"""The dose study on all of its patients; ``make assure PATIENTS=50`` takes fewer."""

from __future__ import annotations

import os

import pytest

from cryoctl_hil.dose_study import Result, study

PATIENTS = int(os.environ.get("PATIENTS", "200"))


@pytest.mark.assure
@pytest.mark.timeout(3600)
def test_holds_by_dose_come_nearer_to_the_wanted_radius_than_holds_by_time() -> None:
    result = Result.of(study(range(1, PATIENTS + 1)))

    print("\n" + "\n".join(result.lines()))
    assert result.is_met
