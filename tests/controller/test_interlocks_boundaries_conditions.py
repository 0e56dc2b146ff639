"""Each condition of the host's decisions by itself, where no other test needed it alone."""

from __future__ import annotations

import pytest

from cryoctl.cycle_table import Phase
from cryoctl.interlocks import Interlocks, TripNotice
from cryoctl.safing import Safing
from cryoctl_protocol.codes import Trip
from cryoctl_protocol.profile import load_profile
from tests.support.builders import a_sample
from tests.support.watch import verdict_on


def test_a_valve_that_nobody_has_seen_is_not_proved_shut() -> None:
    profile = load_profile("n2o-20g")

    assert not Interlocks(profile.limits, profile.probe.gas).valve_is_proved


def test_no_trip_is_not_yet_a_confirmed_safe_state() -> None:
    assert not Safing().confirmed


@pytest.mark.requirement("SR-27")
def test_the_cause_is_the_first_that_is_more_than_a_stop() -> None:
    def after(*trips: Trip) -> Trip | None:
        safing = Safing()
        for trip in trips:
            safing.join(TripNotice(trip, 0.0, 0.0, ""), "host", Phase.SAFE, 1.0)
        return safing.cause

    assert after() is None
    assert after(Trip.OPERATOR_STOP) is Trip.OPERATOR_STOP
    assert after(Trip.OPERATOR_STOP, Trip.LEAK, Trip.LINK) is Trip.LEAK


@pytest.mark.requirement("SR-41")
@pytest.mark.parametrize(
    ("valve", "tip_heater", "expected"),
    [(0.0, 0.0, None), (0.1, 0.0, Trip.OUTPUTS_OVERLAP), (0.0, 0.1, Trip.OUTPUTS_OVERLAP)],
)
def test_a_stimulator_together_with_valve_or_heater_trips(
    valve: float, tip_heater: float, expected: Trip | None
) -> None:
    sample = a_sample(stimulus_ma=1.0, valve=valve, tip_heater=tip_heater)

    assert verdict_on(sample) is expected


@pytest.mark.requirement("SR-23")
def test_six_rejected_frames_trip_while_the_stimulator_is_on() -> None:
    profile = load_profile("n2o-20g")

    def found(rejects: int) -> list[Trip]:
        interlocks = Interlocks(profile.limits, profile.probe.gas)
        notices = interlocks.check(a_sample(stimulus_ma=1.0), 0.0, rejects=rejects)
        return [notice.trip for notice in notices]

    assert found(5) == []
    assert found(6) == [Trip.INTEGRITY]
