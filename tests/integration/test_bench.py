"""The benchmarks over real ports find what they measure; no time is judged here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from cryoctl.mosquitto import BrokerError
from cryoctl_hil.bench import (
    minutes_asked,
    print_ack_times,
    print_fleet,
    print_stop_times,
    stop_to_wire,
)
from cryoctl_hil.bench_fleet import watch_fleet
from cryoctl_hil.bench_link import SPREAD_S, command_to_ack
from cryoctl_hil.bench_load import controller_load
from cryoctl_hil.bench_probe import BROKER_LINKS, LINKS, Served, prompt_probe, ticking_probe
from cryoctl_hil.bench_served_fleet import print_served_fleet, serve_fleet
from cryoctl_hil.bench_stop import stop_times
from tests.support.programs import needed_program


def need_broker(link: str = "mqtt") -> None:
    """Skip a test, or fail it in CI, where it needs a broker and there is none to be had."""
    if link in BROKER_LINKS:
        needed_program("mosquitto")


@pytest.mark.real_time
@pytest.mark.parametrize("probe", [prompt_probe, ticking_probe])
@pytest.mark.parametrize("link", LINKS)
def test_every_command_over_a_link_has_its_ack(
    link: str, probe: Callable[[str], AbstractContextManager[Served]]
) -> None:
    need_broker(link)
    with probe(link) as served:
        times = command_to_ack(served.address, count=20, period_s=SPREAD_S)

    assert 0.0 < times.p50_ms <= times.p99_ms


@pytest.mark.real_time
@pytest.mark.parametrize("link", LINKS)
def test_a_stop_that_is_asked_for_comes_to_the_probe(link: str) -> None:
    need_broker(link)
    times = stop_to_wire(link, count=5)

    assert times.lost < 5
    assert 0.0 < times.p50_ms <= times.p99_ms


@pytest.mark.real_time
def test_a_stop_comes_to_the_probe_though_others_do_not_read_its_telemetry() -> None:
    need_broker()
    times = stop_to_wire("mqtt", count=5, slow=4)

    assert times.lost < 5
    assert 0.0 < times.p50_ms <= times.p99_ms


def test_a_stop_that_comes_after_the_next_was_asked_for_is_lost() -> None:
    times = stop_times([1.0, 2.0, 3.0, 4.0], [0.5, 1.002, 3.004, 3.064, 4.004])

    assert times.lost == 1
    assert times.p50_ms == pytest.approx(4.0)


@pytest.mark.real_time
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_fleet_is_seen_as_a_whole_and_one_by_one() -> None:
    need_broker()
    figures = watch_fleet(probes=4, monitors=2, duration_s=3.0)

    assert figures.online == 4
    assert figures.publishes_per_s > 10.0
    assert figures.states >= 2
    assert 0.0 < figures.p50_ms <= figures.p99_ms
    assert len(figures.monitor_percents) == 2
    assert min(figures.probes_percent, figures.monitors_per_core) > 0.0


@pytest.mark.real_time
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_served_fleet_is_seen_at_the_broker_with_what_it_takes() -> None:
    need_broker()
    figures = serve_fleet(probes=4, duration_s=2.0)

    assert figures.online == 4
    assert figures.percent > 0.0
    assert figures.telemetry_per_s > 4.0
    assert figures.dropped >= 0 <= figures.lost_ticks


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the last row says so elsewhere")
def test_rows_that_need_a_broker_say_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cryoctl.mosquitto.find_mosquitto", no_mosquitto)
    monkeypatch.setattr("cryoctl_hil.bench.LINKS", ("mqtt", "mqtts", "gateway"))

    print_ack_times()
    print_stop_times()
    print_fleet()
    print_served_fleet()

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 9
    assert all("not run: mosquitto is not installed" in line for line in lines)


def no_mosquitto() -> str:
    raise BrokerError("mosquitto is not installed: apt install mosquitto")


@pytest.mark.real_time
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_what_a_controller_takes_is_seen_from_outside() -> None:
    with ticking_probe("tcp") as served:
        load = controller_load(served.address, duration_s=2.0)

    assert load.watched_s >= 1.9
    assert load.cpu_percent > 0.0
    assert min(load.start_mib, load.settled_mib, load.end_mib) > 10.0  # Python alone takes as much.


@pytest.mark.parametrize("minutes", ["0", "11", "nan", "soon"])
def test_minutes_that_cannot_be_watched_are_refused(
    minutes: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BENCH_MINUTES", minutes)

    with pytest.raises(SystemExit) as exit_of:
        minutes_asked()

    assert exit_of.value.code == 2
    assert f"BENCH_MINUTES={minutes}: give minutes from 0.1 to 10" in capsys.readouterr().err
