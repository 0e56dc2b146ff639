"""``cryoctl ui`` from the command line: what it refuses, and how it ends."""

from __future__ import annotations

import json
import signal
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cryoctl.certificates import AUTHORITY, SERVER, make_authority, make_server
from cryoctl.cli import invoke
from cryoctl.recording import load_recording
from cryoctl.ui.gate import Address
from cryoctl.ui.serving import Certificate, WebServer
from cryoctl.ui.station import Station
from cryoctl_protocol.peer import LinkError
from tests.support.dashboard import dashboard_process, until

pytestmark = [pytest.mark.real_time, pytest.mark.timeout(90)]


@contextmanager
def a_server(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the command on a free port; yield its process and the address that it printed."""
    arguments = ("ui", "--port", "0", *options)
    with dashboard_process(folder, *arguments, stderr=subprocess.PIPE) as served:
        yield served


@pytest.mark.parametrize("command", [["ui"], ["run", "--ui"]], ids=" ".join)
def test_without_the_extra_one_line_says_what_to_install(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "starlette", None)

    assert invoke(command) == 2
    assert "pip install 'cryoctl[ui]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--host", "192.0.2.7"], "give --certificate and --private-key"),
        (["--host", "192.0.2.7", "--no-token"], "--certificate"),
        (["--certificate", "c.pem"], "go together"),
        (["--device", "sim:no-such"], "no-such"),
        (["--device", "sim:", "--speed", "0"], "--speed"),
        (["no-such-treatment", "--device", "sim:"], "no-such-treatment"),
    ],
)
def test_what_cannot_be_served_is_refused(
    options: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.pem").write_text("")

    assert invoke(["ui", "--port", "0", *options]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_every_address_at_once_is_none_that_a_browser_types(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("c.pem", "k.pem"):
        (tmp_path / name).write_text("")

    assert invoke(["ui", "--host", host, "--certificate", "c.pem", "--private-key", "k.pem"]) == 2
    assert "the one address or name that browsers will use" in capsys.readouterr().err


def test_a_port_that_is_taken_is_said_so() -> None:
    station = Station()
    with WebServer(station, Address("127.0.0.1", 0)) as web, pytest.raises(LinkError) as refused:
        WebServer(station, Address("127.0.0.1", web.address.port))

    assert "give another --port" in str(refused.value)


@pytest.mark.requirement("SR-29")
def test_ctrl_c_ends_the_session_safe_and_its_recording_is_whole(tmp_path: Path) -> None:
    with a_server(tmp_path, "--device", "sim:", "--speed", "20") as (process, url):
        address, _, token = url.partition("#token=")
        assert len(token) >= 20
        until(lambda: list(tmp_path.glob("runs/*/run.mcap")))
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"{address}api/runs")
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30.0)

        assert process.returncode == 0
    (recorded,) = tmp_path.glob("runs/*/run.mcap")
    assert load_recording(recorded).complete
    assert json.loads((recorded.parent / "summary.json").read_text("utf-8"))["failure"] == ""


def test_with_a_certificate_it_speaks_https(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_authority(tmp_path, "test")
    make_server(tmp_path, ["127.0.0.1"])
    tls = Certificate(tmp_path / f"{SERVER}.crt", tmp_path / f"{SERVER}.key")
    with WebServer(Station(), Address("127.0.0.1", 0, token="right"), tls) as web:
        until(lambda: web.is_ready)
        context = ssl.create_default_context(cafile=str(tmp_path / f"{AUTHORITY}.crt"))
        with urllib.request.urlopen(web.address.url, context=context) as answer:
            page = answer.read()

    assert web.address.url.startswith("https://127.0.0.1:")
    assert b"cryoctl" in page
    assert not any(thread.name == "cryoctl-web" for thread in threading.enumerate())
