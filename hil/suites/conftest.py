"""What the tests of the suite share."""

from __future__ import annotations

import pytest

from cryoctl_hil.evidence.measure import Measure
from cryoctl_hil.rigs.answer_check import AnswerCheck
from cryoctl_hil.rigs.probe import Probe
from cryoctl_hil.rigs.trip_check import TripCheck


@pytest.fixture
def tripped(probe: Probe, measure: Measure) -> TripCheck:
    """Return what waits for a trip and measures what all trips have in common."""
    return TripCheck(probe, measure)


@pytest.fixture
def answered(probe: Probe, measure: Measure) -> AnswerCheck:
    """Return what asks for an operation and measures the answer."""
    return AnswerCheck(probe, measure)
