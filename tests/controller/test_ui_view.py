"""The state of a session as a page gets it."""

from __future__ import annotations

import json

from cryoctl.cycle_table import Phase
from cryoctl.operator_requests import Request
from cryoctl.plan import make_plan
from cryoctl.records import LogEvent
from cryoctl.ui.feed import EVENTS_MAX, WAITING_MAX, Feed
from cryoctl.ui.view import (
    alarm_section,
    allowed,
    blocker_section,
    ice_section,
    link_section,
    now_section,
    phase_section,
)
from cryoctl_protocol.codes import Sensor
from tests.support.bench import Bench
from tests.support.builders import a_sample, a_treatment


def test_each_phase_offers_what_its_table_knows() -> None:
    bench = Bench(a_treatment())
    offers = {}
    for phase in (Phase.IDLE, Phase.READY, Phase.ARMED, Phase.COOLING):
        bench.run_to(phase)
        offers[phase.value] = allowed(bench.controller, bench.now_s)

    assert offers == {
        "IDLE": ["begin", "cartridge"],
        "READY": ["place", "arm"],
        "ARMED": ["start"],
        "COOLING": [],
    }


def test_the_countdown_to_start_and_the_rest_of_the_treatment() -> None:
    bench = Bench(a_treatment())
    planned = make_plan(bench.controller.treatment, bench.controller.limits).phases
    bench.run_to(Phase.ARMED)
    bench.run_for(2.0)
    armed = phase_section(bench.controller, bench.now_s, planned)
    bench.run_to(Phase.COOLING)
    cooling = phase_section(bench.controller, bench.now_s, planned)

    assert 7.0 <= armed["arm_left_s"] <= 8.1
    assert armed["left_s"] is None
    assert cooling["left_s"] is not None
    assert cooling["arm_left_s"] is None
    assert (cooling["cycle"], cooling["verdict"]) == (1, None)


def test_a_stop_is_told_as_the_first_cause_with_its_mark() -> None:
    bench = Bench(a_treatment())
    bench.run_to(Phase.COOLING)
    bench.ask(Request.STOP)
    bench.run_for(0.1)

    section = alarm_section(bench.controller.board.view(bench.now_s))

    (line,) = section["lines"]
    assert (line["id"], line["mark"], line["first_out"], line["held"]) == (
        "OPERATOR_STOP",
        "!",
        True,
        True,
    )
    assert "acknowledge" in allowed(bench.controller, bench.now_s)


def test_a_session_is_plain_values_in_every_section() -> None:
    bench = Bench(a_treatment())
    bench.run_to(Phase.HOLD)
    controller, now_s = bench.controller, bench.now_s
    planned = make_plan(controller.treatment, controller.limits).phases

    now = now_section(controller, controller.sample, -3.0)
    link = link_section(controller, now_s)
    sections = [
        now,
        link,
        phase_section(controller, now_s, planned),
        alarm_section(controller.board.view(now_s)),
        blocker_section(controller.arm_blockers(now_s)),
        ice_section(controller.observer.estimate),
    ]

    assert json.loads(json.dumps(sections, allow_nan=False)) == sections
    assert now["trend"] == -1
    assert link["state"] == "connected"


def test_an_open_sensor_is_no_reading() -> None:
    bench = Bench(a_treatment())
    bench.run_to(Phase.IDLE)
    sample = a_sample()._replace(tip_temp_c=0.0, open_circuit=int(Sensor.TIP))

    section = now_section(bench.controller, sample, 0.0)

    assert (section["tip_c"], section["open"]) == (None, "tip")


def test_the_feed_keeps_no_more_than_it_may() -> None:
    feed = Feed(0.02)
    for number in range(WAITING_MAX + 10):
        feed.sample(a_sample(), number * 0.02)
        feed.event(LogEvent(number * 0.02, "command", {"op": "FREEZE"}))

    rows, events = feed.take_rows(-60.0, None), feed.take_events()

    assert (len(rows), feed.missed) == (4000, 10)
    assert len(events) == EVENTS_MAX == 2000
    assert feed.take_rows(-60.0, None) == []


def test_rows_carry_the_phase_they_came_in_and_the_set_point_while_it_is_aimed_at() -> None:
    feed = Feed(0.02)
    for number, phase in enumerate(("IDLE", "COOLING", "THAWING")):
        feed.event(LogEvent(float(number), "phase", {"target": phase}))
        feed.sample(a_sample(), float(number))

    rows = feed.take_rows(-60.0, None)

    assert [tuple(Phase)[row.phase] for row in rows] == ["IDLE", "COOLING", "THAWING"]
    assert [row.setpoint_c for row in rows] == [None, -60.0, None]
