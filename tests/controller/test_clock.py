"""The pacer's arithmetic, on a wall clock that the test moves by hand."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from cryoctl import clock
from cryoctl.clock import Pacer, SpeedMissedError


@dataclass(slots=True)
class HandClock:
    """A wall clock in which sleeping takes exactly as long as asked."""

    now_s: float = 1000.0
    slept_s: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        assert seconds > 0.0
        self.slept_s.append(seconds)
        self.now_s += seconds


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> HandClock:
    wall = HandClock()
    monkeypatch.setattr(clock, "time", wall)
    return wall


def test_at_speed_one_virtual_and_wall_time_are_the_same(wall: HandClock) -> None:
    pacer = Pacer(1.0)

    for step in range(1, 6):
        pacer.wait_until(step * 0.05)

    assert wall.slept_s == pytest.approx([0.05] * 5)


def test_at_speed_four_the_wall_waits_a_quarter(wall: HandClock) -> None:
    pacer = Pacer(4.0)

    pacer.wait_until(2.0)

    assert wall.slept_s == pytest.approx([0.5])


def test_work_between_two_waits_is_taken_off_the_sleep(wall: HandClock) -> None:
    pacer = Pacer(1.0)
    pacer.wait_until(0.05)

    wall.now_s += 0.03
    pacer.wait_until(0.10)

    assert wall.slept_s == pytest.approx([0.05, 0.02])


def test_a_late_sleep_is_made_up_for_and_does_not_add_up(wall: HandClock) -> None:
    pacer = Pacer(1.0)
    pacer.wait_until(0.05)
    wall.now_s += 0.04  # The machine slept too long.
    pacer.wait_until(0.06)

    pacer.wait_until(0.20)

    assert wall.now_s == pytest.approx(1000.20)


def test_a_speed_within_five_percent_is_kept_without_complaint(wall: HandClock) -> None:
    pacer = Pacer(10.0)
    wall.now_s += 2.0

    pacer.wait_until(19.0)  # 9.5 times: the last rate allowed.

    assert wall.slept_s == []


def test_a_speed_missed_by_more_than_five_percent_is_refused_with_the_rate(wall: HandClock) -> None:
    pacer = Pacer(10.0)
    wall.now_s += 2.0

    with pytest.raises(SpeedMissedError, match=r"--speed 10 cannot be kept.*9\.5 x") as caught:
        pacer.wait_until(18.98)

    assert caught.value.achieved == pytest.approx(9.49)


def test_the_first_second_is_not_judged(wall: HandClock) -> None:
    pacer = Pacer(10.0)

    wall.now_s += 1.0
    pacer.wait_until(0.05)

    wall.now_s += 0.01
    with pytest.raises(SpeedMissedError):
        pacer.wait_until(0.10)


def test_a_clock_that_has_not_moved_yet_is_no_missed_speed(wall: HandClock) -> None:
    pacer = Pacer(1000.0)

    pacer.judge(0.0)
    pacer.judge(5.0)

    assert wall.slept_s == []


def test_the_machines_clocks_run_forwards_and_the_date_has_a_zone() -> None:
    before_s, before_cpu_s = clock.monotonic_s(), clock.cpu_s()

    assert clock.monotonic_s() >= before_s
    assert clock.cpu_s() >= before_cpu_s
    assert str(clock.utc_now().tzinfo) == "UTC"
