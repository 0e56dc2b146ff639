"""The way to the safe state by itself: what joins, what is repeated, when it is confirmed."""

from __future__ import annotations

import pytest

from cryoctl.cycle_table import Phase
from cryoctl.interlocks import TripNotice
from cryoctl.safing import Safing, device_notice, shows_safe_state
from cryoctl_protocol.auth import DEMO_KEY
from cryoctl_protocol.codes import DeviceState, SafeAction, Trip
from cryoctl_protocol.host_session import HostSession
from tests.support.builders import a_sample


class KeptStops(HostSession):
    """A session that keeps what it was asked to stop for."""

    def __init__(self) -> None:
        super().__init__(DEMO_KEY, nonce_seed=b"safing")
        self.stops: list[tuple[SafeAction, Trip]] = []

    def stop(self, action: SafeAction, trip: Trip) -> None:
        self.stops.append((action, trip))


def a_notice(trip: Trip) -> TripNotice:
    """Return a notice without figures."""
    return TripNotice(trip, 0.0, 0.0, "")


def safing_with(*trips: Trip, at_s: float = 10.0) -> Safing:
    """Return the way to the safe state after the first cause and those that joined it."""
    safing = Safing()
    first, *rest = trips
    safing.begin(a_notice(first), "host", Phase.HOLD, at_s)
    for count, trip in enumerate(rest, start=1):
        assert safing.join(a_notice(trip), "host", Phase.SAFE, at_s + count)
    return safing


@pytest.mark.requirement("SR-27")
def test_the_first_trip_is_marked_and_a_known_one_joins_no_more() -> None:
    safing = safing_with(Trip.LEAK, Trip.LINK)

    assert not safing.join(a_notice(Trip.LEAK), "device", Phase.SAFE, 12.0)
    assert [(record.notice.trip, record.first_out) for record in safing.trips] == [
        (Trip.LEAK, True),
        (Trip.LINK, False),
    ]


def test_the_time_to_safe_is_told_in_ms_of_each_and_the_longest_returned() -> None:
    safing = safing_with(Trip.LEAK, Trip.LINK)
    assert (safing.confirmed, safing.unsafe_since_s) == (False, 10.0)

    longest_ms = safing.confirm(11.23456)

    assert longest_ms == 1234.6
    assert [record.time_to_safe_ms for record in safing.trips] == [1234.6, 234.6]
    assert (safing.confirmed, safing.unsafe_since_s) == (True, None)


def test_a_safe_state_that_is_lost_takes_its_time_again_of_the_newest_cause() -> None:
    safing = safing_with(Trip.LEAK, Trip.LINK, Trip.BATTERY)
    safing.confirm(13.0)

    safing.lose()

    assert [record.time_to_safe_ms for record in safing.trips] == [3000.0, 2000.0, None]
    assert safing.unsafe_since_s == 12.0


def test_a_new_first_cause_begins_anew_and_may_thaw_again() -> None:
    safing = safing_with(Trip.TIP_SENSOR)
    session = KeptStops()
    safing.repeat_stop(session, 10.0)

    safing.begin(a_notice(Trip.OPERATOR_STOP), "host", Phase.HOLD, 20.0)
    safing.repeat_stop(session, 20.0)

    assert safing.unsafe_since_s == 20.0
    assert session.stops == [
        (SafeAction.OFF, Trip.TIP_SENSOR),
        (SafeAction.THAW, Trip.OPERATOR_STOP),
    ]
    assert safing.join(a_notice(Trip.TIP_SENSOR), "host", Phase.SAFE, 21.0)


@pytest.mark.requirement("SR-29")
@pytest.mark.parametrize(("later_s", "count"), [(0.0, 1), (0.0595, 1), (0.06, 2), (0.0605, 2)])
def test_stop_is_repeated_after_60_ms(later_s: float, count: int) -> None:
    safing, session = safing_with(Trip.LEAK, at_s=0.0), KeptStops()

    safing.repeat_stop(session, 0.0)
    safing.repeat_stop(session, later_s)

    assert len(session.stops) == count


@pytest.mark.requirement("SR-29")
def test_a_cause_that_joins_is_told_to_the_probe_at_once() -> None:
    safing, session = safing_with(Trip.OPERATOR_STOP, Trip.LINK), KeptStops()
    safing.repeat_stop(session, 11.0)

    safing.join(a_notice(Trip.TIP_SENSOR), "host", Phase.SAFE, 11.01)
    safing.repeat_stop(session, 11.01)

    assert session.stops == [(SafeAction.THAW, Trip.LINK), (SafeAction.OFF, Trip.TIP_SENSOR)]


@pytest.mark.requirement("SR-41")
def test_the_weakest_stimulus_is_not_safe() -> None:
    assert not shows_safe_state(a_sample(state=DeviceState.SAFE, stimulus_ma=0.001))


@pytest.mark.parametrize(
    ("trip", "value", "limit", "expected"),
    [
        (Trip.LINK, 7, 5, TripNotice(Trip.LINK, 7.0, 5.0, "")),
        (Trip.LINK, 0, 0, TripNotice(Trip.LINK, 0.0, 0.0, "")),
        (Trip.MODE_MISMATCH, 3, 2, TripNotice(Trip.MODE_MISMATCH, 3.0, 2.0, "leases")),
        (Trip.INTEGRITY, 6, 0, TripNotice(Trip.INTEGRITY, 6.0, 0.0, "frames/s")),
    ],
)
def test_what_has_no_engineering_unit_is_told_as_it_came(
    trip: Trip, value: int, limit: int, expected: TripNotice
) -> None:
    assert device_notice(trip, value, limit) == expected
