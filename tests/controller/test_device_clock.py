"""A probe's clock against the controller's: found in 8 s, however the frames get there."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from cryoctl.device_clock import DeviceClock
from tests.support.bench import automatic_bench
from tests.support.builders import a_treatment

PERIOD_S = 0.02


def found_after_s(
    drift: float,
    way_s: Callable[[float], float] = lambda _: 0.001,
    for_s: float = 60.0,
    from_s: float = 0.0,
) -> float | None:
    """Return how long after ``from_s`` a clock that drifts from there on is found to be off."""
    clock = DeviceClock()
    for count in range(round(for_s / PERIOD_S)):
        sent_s = count * PERIOD_S
        device_s = 100.0 + sent_s + drift * max(0.0, sent_s - from_s)
        arrives_s = sent_s + way_s(sent_s)
        clock.take(round(device_s * 1000.0) % 2**32, arrives_s)
        if clock.is_off:
            return arrives_s - from_s
    return None


@pytest.mark.requirement("SR-44")
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("from_s", [0.0, 10.0, 10.7, 11.3, 11.99])
def test_a_clock_more_than_3_percent_off_is_found_within_8_s(sign: float, from_s: float) -> None:
    seconds = found_after_s(sign * 0.032, from_s=from_s)

    assert seconds is not None
    assert seconds <= 8.0


@pytest.mark.requirement("SR-44")
@pytest.mark.parametrize("drift", [0.0, 0.02, -0.02, 0.028, -0.028])
def test_a_clock_within_3_percent_is_none(drift: float) -> None:
    assert found_after_s(drift) is None


@pytest.mark.requirement("SR-44")
def test_frames_that_are_late_by_chance_are_no_drift() -> None:
    chance = Random(1)

    assert found_after_s(0.0, lambda _: 0.3 * chance.random()) is None


@pytest.mark.requirement("SR-44")
@pytest.mark.parametrize("step_s", [0.3, -0.29])
def test_a_way_that_gets_longer_or_shorter_once_is_no_drift(step_s: float) -> None:
    assert found_after_s(0.0, lambda now_s: 0.3 + (step_s if now_s >= 11.1 else 0.0)) is None


@pytest.mark.requirement("SR-44")
def test_frames_that_come_in_a_bunch_after_a_stall_are_no_drift() -> None:
    assert (
        found_after_s(0.0, lambda now_s: max(0.001, 17.0 - now_s) if now_s > 12 else 0.001) is None
    )


@pytest.mark.requirement("SR-44")
def test_a_clock_that_wraps_or_starts_anew_is_no_drift() -> None:
    clock = DeviceClock()
    offs = []
    for count in range(3_000):
        device_ms = (2**32 - 20_000 + count * 20) % 2**32 if count < 2_000 else (count - 2_000) * 20
        clock.take(device_ms, count * PERIOD_S)
        offs.append(clock.is_off)

    assert not any(offs)


@pytest.mark.requirement("SR-44")
def test_a_drift_that_ends_is_over_within_two_spans() -> None:
    clock = DeviceClock()
    device_ms = 0.0
    off_s = []
    for count in range(1_500):
        device_ms += 20.0 * (1.05 if count < 500 else 1.0)
        clock.take(round(device_ms), count * PERIOD_S)
        if clock.is_off:
            off_s.append(count * PERIOD_S)

    assert off_s[0] <= 8.0
    assert 10.0 <= off_s[-1] <= 14.0


@pytest.mark.requirement("SR-44")
def test_a_healthy_treatment_ends_without_a_word_about_clocks() -> None:
    bench = automatic_bench(a_treatment(count=1))

    bench.run_to_the_end()

    assert bench.controller.alarms == []
    assert abs(bench.controller.device_clock.drift) < 0.001
