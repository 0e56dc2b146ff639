"""``--ui`` of ``cryoctl run``: a dashboard that looks on at that very run, and can stop it."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from cryoctl.cli import invoke
from cryoctl.recording import load_recording
from cryoctl.ui.gate import Address
from cryoctl.ui.serving import WebServer
from cryoctl.ui.station import Station
from tests.support.builders import SHORT
from tests.support.dashboard import Page, dashboard_process, until

pytestmark = [pytest.mark.real_time, pytest.mark.timeout(120)]

LONG = SHORT.replace("hold_s = 2.0", "hold_s = 120.0")
SESSION = """schema = 1
treatment = "short.toml"
[[placement]]
name = "left"
[[placement]]
name = "<b>right</b>"
"""


@dataclass
class Run:
    """A run with its page, as another program sees both."""

    process: subprocess.Popen[str]
    page: Page
    folder: Path

    def end(self) -> tuple[int, str]:
        """Have the page ended by Ctrl-C; return exit code and what was printed."""
        self.process.send_signal(signal.SIGINT)
        told, _ = self.process.communicate(timeout=60.0)
        return self.process.returncode, told

    @property
    def summary(self) -> dict[str, Any]:
        """What the run has written."""
        (path,) = self.folder.glob("runs/*/summary.json")
        read: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return read


@contextmanager
def a_run(folder: Path, *options: str, treatment: str = SHORT) -> Iterator[Run]:
    """Begin a run with ``--ui``; its page is logged in by the token in the address."""
    (folder / "short.toml").write_text(treatment)
    (folder / "session.toml").write_text(SESSION)
    arguments = ("run", "--ui", "--ui-port", "0", *options)
    with dashboard_process(folder, *arguments, stderr=subprocess.STDOUT) as (process, told):
        url, _, token = told.partition("/#token=")
        address = Address("127.0.0.1", int(url.rpartition(":")[2]), token=token)
        page = Page(cast("WebServer", SimpleNamespace(address=address)))
        until(lambda: _is_there(page))
        login = page.post("/api/login", {"token": token})
        page.headers["cookie"] = login.headers["set-cookie"].split(";")[0]
        yield Run(process, page, folder)


def _is_there(page: Page) -> bool:
    try:
        return page.get("/").status_code == 200
    except httpx.TransportError:
        return False


def test_a_run_is_looked_on_at_and_its_end_stays_until_ctrl_c(tmp_path: Path) -> None:
    with a_run(tmp_path, "short.toml", "--speed", "5") as run, run.page.socket() as socket:
        page = run.page
        assert httpx.get(f"{page.origin}/api/runs").status_code == 401
        page.listen(socket, lambda: page.phase in ("COOLING", "HOLD"))
        page.listen(socket, lambda: page.state.get("outcome", {}).get("folder"))
        page.listen(socket, lambda: page.state["link"]["state"] == "ended")
        outcome = page.state["outcome"]
        report = page.get(f"/runs/{outcome['folder']}/report.html")
        again = page.post("/api/connect", {"device": "sim:", "treatment": SHORT})
        code, told = run.end()

    tips = [row[1] for row in page.rows if row[1] is not None]
    (recorded,) = tmp_path.glob("runs/*/run.mcap")
    assert (outcome["verdict"], outcome["report"], report.status_code) == ("PASS", True, 200)
    assert "sandbox" in report.headers["content-security-policy"]
    assert min(tips) < -38.0
    assert (again.status_code, "looks on at a run" in again.json()["error"]) == (409, True)
    assert code == 0
    assert "PASS" in told
    assert load_recording(recorded).complete


@pytest.mark.requirement("SR-29")
@pytest.mark.parametrize("way", ["socket", "post"])
def test_stop_on_the_page_ends_the_run(tmp_path: Path, way: str) -> None:
    with (
        a_run(tmp_path, "short.toml", "--speed", "5", treatment=LONG) as run,
        run.page.socket() as socket,
    ):
        page = run.page
        page.listen(socket, lambda: page.phase in ("COOLING", "HOLD"))
        for _ in range(3):  # As people press it; more of them do not leave a needle frozen in.
            if way == "socket":
                with page.socket("/stop") as stop:
                    stop.send("STOP")
                    assert stop.recv(timeout=5.0) == "STOP"
            else:
                assert page.post("/api/stop").status_code == 200
        page.listen(socket, lambda: page.phase in ("SAFE", "FAULT"))
        page.listen(socket, lambda: page.state.get("outcome", {}).get("folder"))
        run.end()

    phases = [event[3] for event in page.events if event[2] == "phase"]
    assert run.summary["trips"][0]["id"] == "OPERATOR_STOP"
    assert any("target FAULT" in text for text in phases)  # The needle was waited for.


@pytest.mark.requirement("SR-25")
def test_steps_are_asked_for_by_the_runs_own_operator_alone(tmp_path: Path) -> None:
    with (
        a_run(tmp_path, "short.toml", "--speed", "5", treatment=LONG) as run,
        run.page.socket() as socket,
    ):
        page = run.page
        offers: set[str] = set()

        def has_seen(phase: str) -> bool:
            offers.update(page.state.get("phase", {}).get("asks", []))
            return page.phase == phase

        page.listen(socket, lambda: has_seen("COOLING"))
        asked = [page.ask(ask) for ask in ("begin", "arm", "start", "reset", "place", "cartridge")]
        left = page.post("/api/disconnect")
        assert page.post("/api/inject", {"fault": "pressure_open@0s"}).status_code == 200
        page.listen(socket, lambda: page.state["alarms"]["lines"])
        assert page.ask("acknowledge").status_code == 200
        page.listen(socket, lambda: page.state["alarms"]["lines"][0]["signal"] == "acknowledged")
        run.end()

    assert offers <= {"acknowledge", "pause_audio"}
    assert [answer.status_code for answer in asked] == [409] * 6
    assert "arm is asked for by who began the run" in asked[1].json()["error"]
    assert (left.status_code, "STOP ends it now" in left.json()["error"]) == (409, True)


def test_ctrl_c_while_it_runs_ends_run_and_page(tmp_path: Path) -> None:
    with (
        a_run(tmp_path, "short.toml", "--speed", "5", treatment=LONG) as run,
        run.page.socket() as socket,
    ):
        run.page.listen(socket, lambda: run.page.phase in ("COOLING", "HOLD"))
        code, told = run.end()

    assert code == 130
    assert "ABORTED" in told


def test_the_placements_of_a_session_are_shown_as_they_come(tmp_path: Path) -> None:
    with (
        a_run(tmp_path, "--session", "session.toml", "--speed", "20") as run,
        run.page.socket() as socket,
    ):
        page = run.page
        page.listen(socket, lambda: page.phase in ("COOLING", "HOLD"))
        first = page.state["placements"]
        page.listen(socket, lambda: page.state["placements"][1]["present"])
        second = page.state["placements"]
        page.listen(socket, lambda: page.state.get("outcome", {}).get("folder"))
        last = page.state["placements"]
        run.end()

    def told(rows: list[dict[str, Any]]) -> list[tuple[str, bool, str | None]]:
        return [(row["name"], row["present"], row["verdict"]) for row in rows]

    assert told(first) == [("left", True, None), ("<b>right</b>", False, None)]
    assert told(second) == [("left", False, "PASS"), ("<b>right</b>", True, None)]
    assert told(last) == [("left", False, "PASS"), ("<b>right</b>", True, "PASS")]


def test_a_run_without_a_pace_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["run", "--ui", "--speed", "max"]) == 2
    assert "--speed max is over before anybody has looked" in capsys.readouterr().err


def test_a_port_that_is_taken_is_said_so_before_the_device_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with WebServer(Station(), Address("127.0.0.1", 0)) as web:
        until(lambda: web.is_ready)
        code = invoke(["run", "--ui", "--ui-port", str(web.address.port), "--speed", "10"])

    assert code == 3
    assert "give another" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
