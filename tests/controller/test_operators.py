"""The automatic operator: asks once for each step, waits for reasons to clear, gives up aloud."""

from __future__ import annotations

import pytest

from cryoctl.cycle_table import Phase
from cryoctl_protocol.codes import Op
from tests.support.bench import automatic_bench
from tests.support.builders import a_treatment


def test_it_asks_for_begin_arm_and_start_once_each() -> None:
    bench = automatic_bench(a_treatment(count=2))

    bench.run_to_the_end()

    asked = [
        (event.data["request"], event.data["refused"]) for event in bench.sink.of_kind("operator")
    ]
    assert asked == [("begin", ""), ("arm", ""), ("start", "")]


def test_it_waits_for_a_reason_against_arm_that_clears_by_itself() -> None:
    bench = automatic_bench(a_treatment(count=1))
    bench.device.telemetry = {"supply_mbar": 63_000}
    bench.run_to(Phase.READY)
    bench.run_for(4.5)
    assert bench.phase is Phase.READY
    bench.device.telemetry = {}

    bench.run_to(Phase.COOLING)

    assert bench.controller.failure == ""


def test_it_gives_up_after_five_seconds_and_says_every_reason() -> None:
    bench = automatic_bench()
    bench.device.telemetry = {"supply_mbar": 63_000, "battery_mv": 3_000}
    bench.run_to(Phase.READY)
    ready_s = bench.now_s

    bench.run_to_the_end()

    assert bench.now_s - ready_s == pytest.approx(5.05, abs=0.06)
    assert bench.controller.failure == (
        "arm refused: SR-18: supply pressure too high: let the cartridge cool; "
        "SR-36: battery too low: charge the handpiece"
    )
    assert Op.ARM not in [op for _, op in bench.device.commands]


def test_it_waits_for_the_answer_to_what_it_asked() -> None:
    bench = automatic_bench(a_treatment(count=1))
    bench.run_to(Phase.READY)
    bench.device.lose_acks = 3
    bench.run_to(Phase.ARMED)
    bench.device.lose_acks = 3

    bench.run_to_the_end()

    asked = [event.data["request"] for event in bench.sink.of_kind("operator")]
    assert asked == ["begin", "arm", "start"]
    assert bench.controller.failure == ""


def test_it_asks_for_nothing_after_a_trip() -> None:
    bench = automatic_bench()
    bench.run_to(Phase.HOLD)
    bench.device.telemetry = {"exhaust_mbar": 3_000}
    bench.run_to(Phase.FAULT)
    bench.device.telemetry = {}
    asked = len(bench.sink.of_kind("operator"))

    bench.run_for(30.0)

    assert bench.phase is Phase.FAULT
    assert len(bench.sink.of_kind("operator")) == asked
