"""The dashboard's server, spoken to as a browser speaks to it, with a simulated probe behind it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from socket import create_connection

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from cryoctl.alarms import ALARMS
from cryoctl.recording import load_recording
from cryoctl.ui.serving import WebServer
from tests.support.builders import SHORT
from tests.support.dashboard import OTHER, PAGE, Page, dashboard, until

pytestmark = [pytest.mark.real_time, pytest.mark.timeout(120)]


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    monkeypatch.chdir(tmp_path)
    with dashboard() as served:
        yield served


def to_freeze(page: Page, socket: ClientConnection) -> None:
    """Take a page's session through all steps to the freeze."""
    page.connect_sim()
    page.listen(socket, lambda: page.phase == "IDLE")
    assert page.ask("begin").status_code == 200
    page.listen(socket, lambda: page.phase == "READY" and not page.state["blockers"])
    assert page.ask("arm").status_code == 200
    page.listen(socket, lambda: page.phase == "ARMED")
    assert page.ask("start").status_code == 200
    page.listen(socket, lambda: page.phase in ("COOLING", "HOLD"))


def test_a_whole_treatment_comes_in_pictures_and_leaves_a_recording(
    web: WebServer, tmp_path: Path
) -> None:
    page = Page(web)
    with page.socket() as socket:
        to_freeze(page, socket)
        page.listen(socket, lambda: page.phase == "COMPLETE")
        verdict = page.state["phase"]["verdict"]
        assert page.post("/api/disconnect").status_code == 200
        page.listen(socket, lambda: page.state.get("outcome", {}).get("folder"))

    times = [row[0] for row in page.rows if row[0] is not None]
    tips = [row[1] for row in page.rows if row[1] is not None]
    kinds = {event[2] for event in page.events}
    (recorded,) = tmp_path.glob("runs/*/run.mcap")
    assert verdict == "PASS"
    assert times == sorted(times)
    assert min(tips) < -38.0
    assert {"phase", "command", "operator"} <= kinds
    assert [event[0] for event in page.events] == list(range(1, len(page.events) + 1))
    assert page.state["truth"]["nerve_outcome"] != ""
    assert load_recording(recorded).complete
    assert (recorded.parent / "report.html").is_file()


def test_pictures_come_without_a_session_and_no_faster_than_twenty_a_second(web: WebServer) -> None:
    page = Page(web)
    with page.socket() as socket:
        page.listen(socket, lambda: page.pictures > 2)
        began_s, first = time.monotonic(), page.state["picture"]
        page.listen(socket, lambda: page.state["picture"] >= first + 40)

    assert time.monotonic() - began_s >= 1.8


@pytest.mark.requirement("SR-29")
@pytest.mark.parametrize("way", ["socket", "post"])
def test_stop_needs_no_seat_and_makes_safe(web: WebServer, way: str) -> None:
    page, viewer = Page(web), Page(web, name=OTHER)
    with page.socket() as socket:
        to_freeze(page, socket)
        if way == "socket":
            with viewer.socket("/stop") as stop:
                stop.send("STOP")
                assert stop.recv(timeout=5.0) == "STOP"
        else:
            assert viewer.post("/api/stop").status_code == 200
        page.listen(socket, lambda: page.phase in ("SAFE", "FAULT"))

        (alarm,) = page.state["alarms"]["lines"]
        assert (alarm["id"], alarm["mark"], alarm["first_out"]) == ("OPERATOR_STOP", "!", True)


def test_a_fault_is_injected_told_cleared_and_recovered_from(web: WebServer) -> None:
    page = Page(web)
    with page.socket() as socket:
        to_freeze(page, socket)
        known = page.get("/api/faults").json()
        assert page.post("/api/inject", {"fault": "tc_open@0s"}).status_code == 200
        page.listen(socket, lambda: page.phase == "SAFE")
        alarm = page.state["alarms"]["lines"][0]
        assert page.post("/api/clear", {"fault_id": "tc_open"}).status_code == 200
        page.listen(socket, lambda: page.state["faults"][0]["ended_s"] is not None)
        page.listen(socket, lambda: page.phase == "FAULT")
        assert page.ask("acknowledge").status_code == 200
        page.listen(socket, lambda: "reset" in page.state["phase"]["asks"])
        until(lambda: page.ask("reset").status_code == 200)
        page.listen(socket, lambda: page.phase == "IDLE" and not page.state["alarms"]["lines"])
        assert page.ask("begin").status_code == 200
        page.listen(socket, lambda: page.phase == "READY")

    assert "tc_open" in {fault["id"] for fault in known}
    assert (alarm["id"], alarm["priority"], alarm["mark"]) == ("TIP_SENSOR", "HIGH", "!!!")


def test_what_is_refused_says_why(web: WebServer) -> None:
    page = Page(web)
    with page.socket() as socket:
        page.listen(socket, lambda: "seat" in page.state)
        none = page.ask("begin")
        page.connect_sim()
        page.listen(socket, lambda: page.phase == "IDLE")
        early = page.ask("arm")
        second = page.post("/api/connect", {"device": "sim:", "treatment": SHORT})
        fault = page.post("/api/inject", {"fault": "no_such@0s"})
        other = page.post("/api/clear", {"fault_id": "tc_open"})

    assert (none.status_code, none.json()["error"]) == (409, "no session is open: connect first")
    assert (early.status_code, early.json()["error"]) == (
        409,
        "arm refused: SR-19: no passed leak test",
    )
    assert "disconnect first" in second.json()["error"]
    assert "no_such" in fault.json()["error"]
    assert "neither present nor waiting" in other.json()["error"]


def test_a_treatment_with_mistakes_is_not_connected_with(web: WebServer) -> None:
    page = Page(web)
    with page.socket() as socket:
        page.listen(socket, lambda: page.state.get("seat", {}).get("yours"))
        cold = SHORT.replace("-40.0", "-95.0")
        answer = page.post("/api/connect", {"device": "sim:", "treatment": cold})
        checked = page.post("/api/check", {"treatment": cold}).json()

    assert answer.status_code == 422
    assert "breaks SR-06" in answer.json()["error"]
    assert checked["plan"] is None
    assert [(one["line"], one["key"]) for one in checked["problems"]] == [(7, "cycles.setpoint_c")]
    assert page.post("/api/check", {"treatment": SHORT}).json()["plan"]["cycles"] == 1


@pytest.mark.requirement("SR-25")
def test_one_page_controls_and_the_seat_is_free_when_it_goes(web: WebServer) -> None:
    page, viewer = Page(web), Page(web, name=OTHER)
    with viewer.socket() as looking:
        with page.socket() as socket:
            viewer.listen(looking, lambda: viewer.state.get("seat", {}).get("yours"))
            page.listen(socket, lambda: "seat" in page.state)
            refused = page.post("/api/connect", {"device": "sim:", "treatment": SHORT})
            not_free = page.post("/api/seat", {"take": True})
            assert viewer.post("/api/seat", {"take": False}).status_code == 200
            assert page.post("/api/seat", {"take": True}).status_code == 200
            page.listen(socket, lambda: page.state["seat"]["yours"])
        viewer.listen(looking, lambda: viewer.state["seat"]["free"])

    assert refused.status_code == 403
    assert "this page only looks" in refused.json()["error"]
    assert not_free.status_code == 409


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"x-cryoctl-page": ""},
    ],
    ids=["rebinding", "other origin", "no origin at all", "no name"],
)
def test_another_page_can_neither_ask_nor_stop(web: WebServer, headers: dict[str, str]) -> None:
    page = Page(web)
    if headers == {"x-cryoctl-page": ""}:  # What a form of another page sends.
        url = f"{page.origin}/api/stop"
        answer = httpx.post(url, content=b"{}", headers={"content-type": "text/plain"})
    else:
        answer = page.post("/api/stop", **headers)

    assert answer.status_code in (403, 421)


@pytest.mark.parametrize("path", ["/live?page=0123456789abcdef", "/stop"])
def test_another_page_gets_no_socket(web: WebServer, path: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        Page(web).socket(path, Origin="http://evil.example")

    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("path", ["/live?page=0123456789abcdef", "/stop"])
def test_a_name_that_was_made_to_point_here_gets_no_socket(web: WebServer, path: str) -> None:
    port = web.address.port
    evil = f"evil.example:{port}"

    with (
        create_connection(("127.0.0.1", port)) as sock,
        pytest.raises(InvalidStatus) as refused,
    ):
        connect(f"ws://{evil}{path}", sock=sock, origin=Origin(f"http://{evil}"), proxy=None)

    assert refused.value.response.status_code == 403


def test_without_the_token_nothing_is_told_and_nothing_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with dashboard(token="right") as web:
        page = Page(web)
        told = [page.get(path).status_code for path in ("/api/choices", "/api/runs")]
        asked = [page.post(path).status_code for path in ("/api/stop", "/api/ask")]
        with pytest.raises(InvalidStatus):
            page.socket()
        wrong = page.post("/api/login", {"token": "wrong"})
        right = page.post("/api/login", {"token": "right"})
        page.headers["cookie"] = right.headers["set-cookie"].split(";")[0]
        let_in = page.post("/api/stop").status_code
        with page.socket() as socket:
            page.listen(socket, lambda: "seat" in page.state)

    assert told == [401, 401]
    assert asked == [401, 401]
    assert (wrong.status_code, right.status_code, let_in) == (401, 200, 200)
    assert "HttpOnly" in right.headers["set-cookie"]
    assert "SameSite=strict" in right.headers["set-cookie"]


def test_the_page_may_load_nothing_from_elsewhere_and_run_nothing_inline(web: WebServer) -> None:
    answer = Page(web).get("/")

    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "<script>" not in answer.text
    assert "http:" not in answer.text.replace("http://www.w3.org", "")


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/runs/../../etc/passwd/report.html",
        "/runs/%2e%2e/report.html",
        "/api/runs/%2e%2e",
        "/suites/%2e%2e/report.html",
        "/suites/..%2f..%2fetc/report.html",
        "/api/runs/nothing",
    ],
)
def test_no_other_file_of_this_computer_is_served(web: WebServer, path: str) -> None:
    assert Page(web).get(path).status_code == 404


def test_a_recording_is_listed_replayed_and_its_report_sandboxed(web: WebServer) -> None:
    page = Page(web)
    with page.socket() as socket:
        page.connect_sim()
        page.listen(socket, lambda: page.phase == "IDLE" and len(page.rows) > 20)
        page.post("/api/disconnect")
        page.listen(socket, lambda: page.state.get("outcome", {}).get("folder"))
    (run,) = page.get("/api/runs").json()
    played = page.get(f"/api/runs/{run['name']}").json()
    report = page.get(f"/runs/{run['name']}/report.html")

    assert played["columns"][:2] == ["t", "tip_c"]
    assert all(len(row) == len(played["columns"]) for row in played["rows"])
    assert played["job"]["profile"] == "n2o-20g"
    assert report.status_code == 200
    assert "sandbox" in report.headers["content-security-policy"]


def test_a_finished_suite_is_listed_and_its_report_sandboxed(
    web: WebServer, tmp_path: Path
) -> None:
    page, names = Page(web), ["hil-1", "hil-2", "hil-3", "hil-4"]
    for name in names:
        (tmp_path / "runs" / name).mkdir(parents=True)
    tests = [
        {"id": "test_01::test_a", "verdict": "PASS", "more": 1},
        {"id": "test_02::test_b", "verdict": "FAIL", "why": "<b>late</b>"},
    ]
    evidence = {
        "verdict": "FAIL",
        "rig": "firmware:native",
        "started_utc": "2026-11-22T08:32:10+00:00",
        "ended_utc": "2026-11-22T08:40:00+00:00",
        "probe": {"device": "SIM-1", "firmware": "probe-1", "capabilities": 3},
        "tests": tests,
    }
    (tmp_path / "runs/hil-1/evidence.json").write_text(json.dumps(evidence))
    (tmp_path / "runs/hil-1/report.html").write_text("<h1>FAIL</h1><script>alert(1)</script>")
    (tmp_path / "runs/hil-2/evidence.json").write_text('{"verdict": [], "tests": "x"}')
    (tmp_path / "runs/hil-3/evidence.json").write_text("[" * 100_000)

    first, *broken = page.get("/api/suites").json()
    report = page.get("/suites/hil-1/report.html")

    assert (first["name"], first["verdict"], first["ended"]) == ("hil-1", "FAIL", True)
    assert (first["rig"], first["probe"]) == ("firmware:native", "SIM-1 probe-1")
    assert (first["passed"], first["tests"]) == (1, 2)
    assert first["failed"] == ["test_02::test_b: <b>late</b>"]
    assert {one["name"] for one in broken} == {"hil-2", "hil-3"}
    assert {one["problem"] for one in broken} == {"its evidence cannot be read"}
    assert report.status_code == 200
    assert report.headers["content-security-policy"].startswith("sandbox;")
    assert "script-src" not in report.headers["content-security-policy"]
    assert page.get("/suites/hil-2/report.html").status_code == 404
    assert page.get("/suites/hil-4/report.html").status_code == 404


def test_every_alarm_has_a_page_of_what_to_do(web: WebServer) -> None:
    told = {one["id"]: one for one in Page(web).get("/api/alarms").json()}

    assert set(told) == set(ALARMS)
    assert told["VALVE_STUCK"]["action"].startswith("Shut the cylinder or take the cartridge out.")
    assert "tc_open" in told["TIP_SENSOR"]["faults"]
    assert told["TIP_SENSOR"]["requirement"]["id"] == "SR-11"
    assert "then Reset" in told["TIP_SENSOR"]["going_on"]
    assert told["GAS_LOW"]["going_on"].startswith("When its cause has gone")
    assert all(one["text"] and one["action"] and one["hazards"] for one in told.values())


def test_after_a_trip_is_left_behind_the_next_treatment_is_another_placement(
    web: WebServer,
) -> None:
    page = Page(web)
    with page.socket() as socket:
        to_freeze(page, socket)
        before = page.state["recovery"]
        page.post("/api/inject", {"fault": "pressure_open@0s:1s"})
        page.listen(socket, lambda: page.phase == "FAULT")
        page.listen(socket, lambda: page.state["recovery"].get("why_not") == "")
        page.ask("reset")
        page.listen(socket, lambda: page.phase == "IDLE")
        after = page.state["recovery"]
        assert page.ask("begin").status_code == 200
        page.listen(socket, lambda: page.phase == "READY")
        placements = page.state["placements"]

    assert (before, after) == ({}, {})
    assert [(one["number"], one["verdict"], one["present"]) for one in placements] == [
        (1, "SAFETY_TRIP", False),
        (2, None, True),
    ]


PATHS = [
    "/api/login", "/api/stop", "/api/seat", "/api/check", "/api/connect", "/api/disconnect",
    "/api/ask", "/api/stimulate", "/api/inject", "/api/clear",
]  # fmt: skip
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["device", "treatment", "request", "take", "fault", "token", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(PATHS), body=ANY_JSON.map(json.dumps).map(str.encode) | st.binary())
def test_nonsense_neither_breaks_the_server_nor_becomes_a_command(
    web: WebServer, path: str, body: bytes
) -> None:
    page = Page(web)
    headers = {"content-type": "application/json", "x-cryoctl-page": PAGE, "origin": page.origin}

    answer = httpx.post(page.origin + path, content=body, headers=headers)

    assert answer.status_code < 500
    assert not (Path.cwd() / "runs").exists()


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(st.text(max_size=20) | st.binary(max_size=20), min_size=1, max_size=4))
def test_nonsense_on_the_sockets_does_not_break_them_for_others(
    web: WebServer, words: list[str | bytes]
) -> None:
    page = Page(web)
    with page.socket("/stop") as socket:
        for word in words:
            try:
                socket.send(word)
            except ConnectionClosed:
                break
    with page.socket() as socket:
        socket.send(b"\x00")
        page.listen(socket, lambda: page.pictures > 1)
        assert page.state["link"] == {"state": "none"}


def test_a_body_that_is_too_large_is_not_read(web: WebServer) -> None:
    answer = Page(web).post("/api/check", {"treatment": "x" * 200_000})

    assert answer.status_code == 413


def test_a_page_that_reads_nothing_holds_up_neither_control_nor_others(web: WebServer) -> None:
    page, stalled = Page(web), Page(web, name=OTHER)
    with page.socket() as socket, stalled.socket() as _deaf:
        page.connect_sim(speed=1.0)
        page.listen(socket, lambda: page.phase == "IDLE")
        first = page.state["picture"]
        page.listen(socket, lambda: page.state["picture"] > first + 60)

    assert page.state["lost"] == 0
    assert page.state["link"]["state"] == "connected"
