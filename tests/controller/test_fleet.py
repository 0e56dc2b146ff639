"""Many probes in one table, from what a broker keeps and passes on."""

from __future__ import annotations

from cryoctl.fleet import Fleet
from cryoctl_protocol.codes import DeviceState, EventCode, Trip
from cryoctl_protocol.messages import Event, Vitals
from tests.support.protocol_builders import identity, plain


def vitals(state: int, tip_mdegc: int = -40_000) -> Vitals:
    return Vitals(1000, state, tip_mdegc, 52_000, 300, 0, 1)


def a_fleet() -> Fleet:
    fleet = Fleet()
    hello = identity(profile_id=b"n2o-20g".ljust(16, b"\0"))
    for name in ("P-2", "P-1"):
        fleet.take(f"cryo/1/bench/{name}/conn", b'{"online": true, "boot_id": 7}', 0.0)
        fleet.take(f"cryo/1/bench/{name}/birth", plain(hello), 0.0)
        fleet.take(f"cryo/1/bench/{name}/state", plain(vitals(DeviceState.FREEZE)), 0.0)
    return fleet


def test_probes_stand_in_the_order_of_their_names_with_what_they_do() -> None:
    rows = a_fleet().rows(1.0)

    assert [row.probe for row in rows] == ["bench/P-1", "bench/P-2"]
    assert rows[0].cells() == [
        "bench/P-1", "online", "FREEZE", "-40.0", "52.0", "30%", "", "n2o-20g",
    ]  # fmt: skip


def test_a_probe_that_says_nothing_for_three_seconds_is_silent() -> None:
    fleet = a_fleet()
    fleet.take("cryo/1/bench/P-1/state", plain(vitals(DeviceState.FREEZE)), 4.0)

    assert [row.link for row in fleet.rows(4.5)] == ["online", "SILENT 4 s"]


def test_the_brokers_word_that_a_probe_is_gone_counts_at_once() -> None:
    fleet = a_fleet()
    fleet.take("cryo/1/bench/P-1/conn", b'{"online": false, "boot_id": 7}', 0.5)

    assert fleet.rows(0.5)[0].link == "offline"


def test_a_trip_is_shown_while_the_probe_holds_it() -> None:
    fleet = a_fleet()
    event = Event(5, 1, EventCode.TRIP, DeviceState.FAULT, Trip.LEASE, 301, 300)
    fleet.take("cryo/1/bench/P-1/event", plain(event), 0.5)
    before = fleet.rows(0.5)[0].held
    fleet.take("cryo/1/bench/P-1/state", plain(vitals(DeviceState.FAULT)), 0.6)
    held = fleet.rows(0.6)[0].held
    fleet.take("cryo/1/bench/P-1/state", plain(vitals(DeviceState.IDLE)), 0.7)

    assert (before, held, fleet.rows(0.7)[0].held) == ("", "LEASE", "")


def test_what_makes_no_sense_is_counted_and_shows_nothing() -> None:
    fleet = Fleet()
    for topic, payload in (
        ("cryo/1/bench/P-1/conn", b"{}"),
        ("cryo/1/bench/P-1/conn", b"[" * 100_000),
        ("cryo/1/bench/P-1/state", b"\xff" * 30),
        ("cryo/1/bench", b""),
        ("cryo/1/bench/P-1/state/more", plain(vitals(DeviceState.IDLE))),
    ):
        fleet.take(topic, payload, 0.0)

    assert fleet.rows(0.0) == []
    assert fleet.ignored == 5


def test_a_state_of_a_later_version_is_left_blank() -> None:
    fleet = Fleet()
    fleet.take("cryo/1/bench/P-1/state", plain(vitals(200)), 0.0)

    assert fleet.rows(0.0)[0].state == ""
