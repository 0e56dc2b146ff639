"""Many probes in one table, from what a broker keeps and passes on."""

from __future__ import annotations

import sys
from io import StringIO

import pytest

from cryoctl.command_fleet import _display
from cryoctl.command_monitor import _display as display_of_one
from cryoctl.fleet import Fleet
from cryoctl.monitor import Monitor
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


def test_a_trip_from_before_we_looked_is_a_question_mark() -> None:
    fleet = a_fleet()

    fleet.take("cryo/1/bench/P-1/state", plain(vitals(DeviceState.FAULT)), 0.5)

    assert fleet.rows(0.5)[0].held == "?"


class Terminal(StringIO):
    """A terminal as the program sees it."""

    def isatty(self) -> bool:
        return True


def test_what_a_stranger_calls_his_probe_is_shown_and_does_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fleet = Fleet()
    hello = identity(profile_id=b"\x1b[/b]".ljust(16, b"\0"))
    fleet.take("cryo/1/bench/x[red]\x1b]0;mine\x07\u202ey/birth", plain(hello), 0.0)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)

    with _display(fleet) as (show, _):
        show(0.0)

    shown = terminal.getvalue()
    assert "bench/x[red]\ufffd]0;mine\ufffd\ufffdy" in shown
    assert "\ufffd[/b]" in shown


def test_a_monitor_shows_a_probes_texts_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = Monitor()
    monitor.take(plain(identity(device_id=b"[/red]\x1b[2J".ljust(16, b"\0"))), 0.0)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)

    with display_of_one(monitor) as (show, _):
        show(0.0)

    assert "[/red]\ufffd[2J, firmware" in terminal.getvalue()
