"""A dashboard on a free port, and a page that speaks to it as a browser's would."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from cryoctl.treatment import shipped_treatment_text
from cryoctl.ui.gate import Address
from cryoctl.ui.serving import WebServer
from cryoctl.ui.station import Station
from tests.support.builders import SHORT

WAIT_S: Final = 30.0
PAGE: Final = "0123456789abcdef"
OTHER: Final = "fedcba9876543210"


@contextmanager
def dashboard_process(
    folder: Path, *arguments: str, stderr: int
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run ``cryoctl`` in ``folder``; yield its process and the dashboard's address it printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cryoctl", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("dashboard: http://127.0.0.1:"), line
        yield process, line.removeprefix("dashboard: ").strip()
    finally:
        process.kill()
        process.communicate()


def builtin_text() -> str:
    """Return the text of the built-in treatment of the default probe."""
    return shipped_treatment_text("n2o-20g")


@contextmanager
def dashboard(token: str = "") -> Iterator[WebServer]:
    """Serve a dashboard; a session that is open at the end is left as soon as it is safe."""
    station = Station()
    with WebServer(station, Address("127.0.0.1", 0, token=token)) as web:
        until(lambda: web.is_ready)
        try:
            yield web
        finally:
            station.abandon()
            until(lambda: not station.is_open)


def until(true: Callable[[], object], timeout_s: float = WAIT_S) -> None:
    """Wait until something is true."""
    give_up_s = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < give_up_s, "it never came true"
        time.sleep(0.01)


@dataclass
class Page:
    """One page: its stream, and what it asks.

    Attributes:
        state: Every section that came, the newest.
        rows: All rows so far.
        events: All events so far.
        pictures: How many came.
    """

    web: WebServer
    name: str = PAGE
    headers: dict[str, str] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    rows: list[list[float | None]] = field(default_factory=list)
    events: list[list[Any]] = field(default_factory=list)
    pictures: int = 0

    @property
    def origin(self) -> str:
        """Of our own pages."""
        return self.web.address.url.removesuffix("/")

    def socket(self, path: str = "", **headers: str) -> ClientConnection:
        """Open a web socket as a page of ours does."""
        wanted = path or f"/live?page={self.name}"
        origin = headers.pop("Origin", self.origin)
        return connect(
            f"ws://127.0.0.1:{self.web.address.port}{wanted}",
            origin=Origin(origin),
            additional_headers=self.headers | headers,
            proxy=None,
        )

    def post(self, path: str, wish: object = None, **headers: str) -> httpx.Response:
        """Send a wish as a page of ours does."""
        sent = {
            "content-type": "application/json",
            "x-cryoctl-page": self.name,
            "origin": self.origin,
        }
        body = json.dumps({} if wish is None else wish).encode()
        return httpx.post(
            self.origin + path, content=body, headers=sent | self.headers | headers, timeout=WAIT_S
        )

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Fetch something."""
        return httpx.get(self.origin + path, headers=self.headers | headers, timeout=WAIT_S)

    def listen(
        self, socket: ClientConnection, done: Callable[[], object], timeout_s: float = WAIT_S
    ) -> None:
        """Take pictures until ``done``."""
        give_up_s = time.monotonic() + timeout_s
        while not done():
            assert time.monotonic() < give_up_s, f"it never came: {self.state.get('phase')}"
            self.take(json.loads(socket.recv(timeout=WAIT_S)))

    def take(self, picture: dict[str, Any]) -> None:
        """Take one picture."""
        self.pictures += 1
        for history in picture.get("history", [])[:1]:
            self.rows = list(history)
        self.rows += picture.get("rows", [])
        self.events += picture.get("events", [])
        self.state |= picture

    @property
    def phase(self) -> str:
        """Of the controller, as told."""
        phase: str = self.state.get("phase", {}).get("phase", "")
        return phase

    def connect_sim(
        self, *, device: str = "sim:", speed: float = 10.0, treatment: str = SHORT
    ) -> None:
        """Open a session; fails if that is refused."""
        wish = {"device": device, "speed": speed, "treatment": treatment}
        answer = self.post("/api/connect", wish)
        assert answer.status_code == 200, answer.text

    def ask(self, request: str) -> httpx.Response:
        """Ask the controller for something."""
        return self.post("/api/ask", {"request": request})
