"""SR-35: how late control ticks came."""

from __future__ import annotations

import pytest

from cryoctl.cycle_table import Phase
from cryoctl.interlocks import tick_late
from cryoctl.tick_ages import TickAges
from tests.support.bench import automatic_bench
from tests.support.builders import a_treatment


@pytest.mark.requirement("SR-35")
def test_the_tail_is_what_99_9_percent_are_not_later_than() -> None:
    ages = TickAges()
    for _ in range(999):
        ages.take(0.002)
    ages.take(0.080)

    assert (ages.p999_ms, ages.max_ms) == (2.0, 80.0)
    ages.take(0.080)
    assert ages.p999_ms == 80.0


@pytest.mark.requirement("SR-35")
def test_an_early_tick_is_not_late_and_none_at_all_has_no_tail() -> None:
    ages = TickAges()
    assert (ages.p999_ms, ages.max_ms) == (0.0, 0.0)

    assert ages.take(-0.010) == 0.0


@pytest.mark.requirement("SR-35")
@pytest.mark.parametrize(("age_s", "trips"), [(0.149, False), (0.150, False), (0.151, True)])
def test_a_tick_150_ms_after_the_last_one_is_a_trip(age_s: float, trips: bool) -> None:
    assert (tick_late(age_s) is not None) is trips


@pytest.mark.requirement("SR-35")
@pytest.mark.parametrize(("late_s", "logged"), [(0.050, []), (0.051, [51.0])])
def test_a_tick_more_than_50_ms_late_is_logged(late_s: float, logged: list[float]) -> None:
    bench = automatic_bench(a_treatment(count=1))
    bench.run_to(Phase.IDLE)
    bench.run_for(0.05)
    last_s = bench.controller._tick_s
    assert last_s is not None

    bench.controller.tick(last_s + 0.05 + late_s)

    events = [event for event in bench.sink.events if event.kind == "tick_late"]
    assert [event.data["late_ms"] for event in events] == logged
    assert bench.controller.trips == []
