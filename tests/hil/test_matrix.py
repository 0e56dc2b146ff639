"""Cells of the fault matrix: what a fault comes to stands beforehand; a cell that differs fails."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cryoctl_hil.assurance.matrix import CellRun, Found, outcome, trace_of
from cryoctl_hil.assurance.walks import WALKS, Moment
from cryoctl_hil.layers import device_interlocks_off, host_interlocks_off
from cryoctl_protocol.codes import DeviceState
from cryoctl_simulator.faults import CATALOGUE

# The walk takes seconds: one process does all of it.
pytestmark = pytest.mark.xdist_group("matrix")


def moment(state: DeviceState, name: str) -> Moment:
    moments = trace_of("treated").moments
    (found,) = (row for row in moments if (row.state, row.name) == (state, name))
    return found


@pytest.mark.requirement("SR-38")
@pytest.mark.parametrize(
    ("fault", "by", "what", "within_ms"),
    [
        ("tc_open", "probe", "TIP_SENSOR", 100),
        ("cartridge_hot", "controller", "OVERPRESSURE", 100),
        ("skin_cold", "controller", "SKIN_COLD", 4000),
        ("vbat_low", "probe", "BATTERY", 500),
    ],
)
def test_a_fault_in_a_freeze_is_found_by_whom_and_when_it_is_declared(
    fault: str, by: str, what: str, within_ms: int
) -> None:
    found = CellRun(CATALOGUE[fault], moment(DeviceState.FREEZE, "middle")).run()

    assert found.problems == []
    assert (found.declared, found.by, found.what) == ("detected", by, what)
    assert found.answered_ms is not None
    assert found.answered_ms <= within_ms
    assert found.shut_ms is not None
    assert found.shut_ms <= 500
    assert found.coldest_c > -100.0


@pytest.mark.requirement("SR-38")
def test_a_fault_that_does_nothing_is_an_empty_cell() -> None:
    idle = replace(CATALOGUE["stimulator_dead"], expected=CATALOGUE["tc_open"].expected)

    found = CellRun(idle, moment(DeviceState.FREEZE, "late")).run()

    assert found.empty == "changed nothing: current of the stimulator"


@pytest.mark.requirement("SR-38")
def test_a_fault_that_nobody_answers_is_unsafe_and_says_so() -> None:
    with host_interlocks_off(), device_interlocks_off():
        found = CellRun(CATALOGUE["tc_open"], moment(DeviceState.FREEZE, "middle")).run()

    assert any(text.startswith("SR-11 at ") for text in found.wrong)


def row(**changes: object) -> Found:
    healthy = Found(
        "tc_open", "FREEZE", "early", "detected", "TIP_SENSOR", coldest_c=-60.0,
        changed_ms=10, answered_ms=40, by="probe", what="TIP_SENSOR", shut_ms=10,
    )  # fmt: skip
    return replace(healthy, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "measure"),
    [
        ({"empty": "was never delivered"}, "cells that are empty"),
        ({"late": "answered after 900 ms, allowed 100 ms"}, "cells that are late"),
        ({"wrong": ["nobody found it"]}, "cells that are not as declared"),
        ({"coldest_c": -100.0}, "coldest true tip in any cell"),
        ({"shut_ms": 510}, "longest from trip to valve and supply shut, SR-11"),
    ],
)
def test_one_bad_cell_fails_its_measure(changes: dict[str, object], measure: str) -> None:
    good, bad = outcome([row()] * 2000, 1.0), outcome([*[row()] * 2000, row(**changes)], 1.0)

    assert good.ok
    assert [m.name for m in bad.measures if not m.ok] == [measure]


def test_how_many_answers_have_a_time_is_told_and_the_longest_of_the_others() -> None:
    timed, others = row(since_ms=40, within_ms=100), row(since_ms=40)
    slow = row(fault="tc_lag", what="NOT_EFFECTIVE", since_ms=12_340)

    found = outcome([*[timed] * 500, *[others] * 1499, slow], 1.0)

    (late,) = (m for m in found.measures if m.name == "cells that are late")
    assert late.result == (
        "0 of 500 that have a time; 1500 are ends of operations or have to build up, "
        "the longest for 12.3 s in its state (NOT_EFFECTIVE of tc_lag in FREEZE)"
    )


def test_an_answer_that_waits_is_due_as_one_of_the_state_in_which_it_comes() -> None:
    found = CellRun(CATALOGUE["pressure_frozen"], moment(DeviceState.PREWARM, "early")).run()

    assert found.what == "READING_FROZEN"
    assert found.since_ms is not None
    assert found.answered_ms is not None
    assert found.since_ms < found.answered_ms  # It stood still in PREWARM for a while.
    assert found.since_ms <= found.within_ms == 2200
    assert not found.problems


def test_too_few_cells_or_too_few_that_are_found_fail() -> None:
    few = outcome([row()] * 1199, 1.0)
    latent = outcome([*[row()] * 1199, row(declared="latent")], 1.0)

    assert [m.ok for m in few.measures[:2]] == [False, False]
    assert [m.ok for m in latent.measures[:2]] == [True, False]


def test_every_state_of_the_probe_belongs_to_one_walk() -> None:
    states = [state for walk in WALKS for state in walk.states]

    assert sorted(states) == sorted(DeviceState)
