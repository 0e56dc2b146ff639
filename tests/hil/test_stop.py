"""What the presses of `stop` came to: what is late, what is lost, and what the machine has done."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("only Linux tells what is needed", allow_module_level=True)

from cryoctl_hil.assurance.program import Outcome
from cryoctl_hil.assurance.stop import Press, judge, percentile_99
from cryoctl_hil.idle_timer import Wake, read_trace

BLOCKED = [(0.5, 1.5)]


def pressed(*slow_s: float, count: int = 1000) -> list[Press]:
    """Return presses 0.2 s apart that took 1 ms each, the last ones ``slow_s``."""
    took_s = [0.001] * (count - len(slow_s)) + list(slow_s)
    return [Press(0.2 * at, 0.2 * at + took) for at, took in enumerate(took_s)]


def ok_of(outcome: Outcome) -> dict[str, bool]:
    """Return which measures are met, by the end of their names."""
    return {measure.name.partition(": ")[2]: measure.ok for measure in outcome.measures}


@pytest.mark.requirement("SR-29")
@pytest.mark.parametrize(
    ("slow_s", "is_met"),
    [([0.0499] * 20, True), ([0.051] * 10, True), ([0.051] * 11, False), ([0.08] * 20, False)],
)
def test_ninety_nine_of_a_hundred_have_fifty_milliseconds(
    slow_s: Sequence[float], is_met: bool
) -> None:
    outcome = judge(pressed(*slow_s), [], BLOCKED)

    assert ok_of(outcome)["99 of 100 within"] is is_met
    assert outcome.ok is is_met


@pytest.mark.requirement("SR-29")
@pytest.mark.parametrize(
    ("due_s", "woke_s", "is_machine"),
    [
        (199.81, 199.95, True),  # Within the press, which is at 199.8 s.
        (199.6, 199.801, True),  # From before it.
        (199.94, 200.1, True),  # Until after it.
        (199.81, 199.90, False),  # Late by no more than 100 ms.
        (199.6, 199.79, False),  # Over before it.
        (199.96, 200.2, False),  # Begun after it.
    ],
)
def test_a_press_over_a_tenth_of_a_second_needs_a_stall_of_the_machine_meanwhile(
    due_s: float, woke_s: float, is_machine: bool
) -> None:
    outcome = judge(pressed(0.15), [Wake(due_s, woke_s)], BLOCKED)

    assert outcome.ok is is_machine
    assert ok_of(outcome)["over 100 ms with no stall of the machine"] is is_machine
    assert outcome.measures[2].result.startswith("150.0 ms; ")
    if not is_machine:
        assert outcome.failures[0].startswith("the STOP 199.8 s after the first took 150.0 ms")


@pytest.mark.requirement("SR-29")
def test_a_press_that_never_came_is_no_fault_of_the_machine() -> None:
    presses = [*pressed(count=999), Press(199.8, None)]

    outcome = judge(presses, [Wake(199.7, 206.0)], BLOCKED)

    assert not outcome.ok
    assert outcome.failures == ["the STOP 199.8 s after the first never came to the probe"]


def test_a_recorder_that_was_never_blocked_is_a_failure() -> None:
    outcome = judge(pressed(), [], [])

    assert not outcome.ok
    assert outcome.failures == ["the recorder was never blocked"]


def test_the_percentile_is_a_time_that_was_measured() -> None:
    assert percentile_99([float(number) for number in range(1, 1001)]) == 990.0
    assert percentile_99([1.0, 2.0]) == 2.0


def test_a_line_of_the_trace_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "trace").write_text("1.000000 1.250000\n2.000000 2.")

    (wake,) = read_trace(tmp_path / "trace")

    assert (wake, wake.late_s) == ((1.0, 1.25), 0.25)
