"""The benchmarks over real ports find what they measure; no time is judged here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from cryoctl_hil.bench import minutes_asked
from cryoctl_hil.bench_link import SPREAD_S, command_to_ack
from cryoctl_hil.bench_load import controller_load
from cryoctl_hil.bench_probe import LINKS, prompt_probe, ticking_probe


@pytest.mark.real_time
@pytest.mark.parametrize("probe", [prompt_probe, ticking_probe])
@pytest.mark.parametrize("link", LINKS)
def test_every_command_over_a_port_has_its_ack(
    link: str, probe: Callable[[str], AbstractContextManager[str]]
) -> None:
    with probe(link) as address:
        times = command_to_ack(address, count=20, period_s=SPREAD_S)

    assert 0.0 < times.p50_ms <= times.p99_ms


@pytest.mark.real_time
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_what_a_controller_takes_is_seen_from_outside() -> None:
    with ticking_probe("tcp") as address:
        load = controller_load(address, duration_s=2.0)

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
