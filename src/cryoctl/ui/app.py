"""The dashboard's paths: what each one does, who may ask, what a mistake is answered with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect

from cryoctl.recording import RecordingError
from cryoctl.ui import recordings
from cryoctl.ui.alarm_pages import alarm_pages
from cryoctl.ui.choices import device_choices, treatment_choices
from cryoctl.ui.draft import check_draft
from cryoctl.ui.gate import HEADER, REPORT_POLICY, Address, Gate
from cryoctl.ui.seat import Seat, is_name
from cryoctl.ui.station import RefusedError, Station
from cryoctl.ui.stream import Stream, as_text
from cryoctl.ui.suite_runs import find_suite_report, list_suite_runs
from cryoctl.ui.wishes import (
    BODY_BYTES_MAX,
    AskWish,
    ClearWish,
    ConnectWish,
    DraftWish,
    FaultWish,
    Nothing,
    SeatWish,
    StimulusWish,
    TokenWish,
)
from cryoctl_protocol.peer import LinkError
from cryoctl_protocol.toml_text import FileError

Wish = TypeVar("Wish", bound=BaseModel)
STOP_WORD: Final = "STOP"
_KINDS: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def static_files() -> dict[str, tuple[bytes, str]]:
    """Return content and type of each file of the page, by its path."""
    root = resources.files("cryoctl.ui") / "static"
    files = {}
    for folder, prefix in ((root, ""), (root / "uplot", "uplot/")):
        for file in folder.iterdir():
            kind = _KINDS.get(PurePosixPath(file.name).suffix)
            if kind is not None:
                files[prefix + file.name] = (file.read_bytes(), kind)
    return files


class Dashboard:
    """The server's paths around one station."""

    def __init__(self, station: Station, address: Address) -> None:
        self.station = station
        self._address = address
        self._seat = Seat()
        self._stream = Stream(station, self._seat)
        self._files = static_files()

    def app(self) -> ASGIApp:
        """Return the application with the gate in front."""
        routes = [
            Route("/", self._page),
            Route("/static/{path:path}", self._static),
            Route("/api/login", self._login, methods=["POST"]),
            Route("/api/stop", self._stop, methods=["POST"]),
            Route("/api/seat", self._take_seat, methods=["POST"]),
            Route("/api/check", self._check, methods=["POST"]),
            Route("/api/choices", self._choices),
            Route("/api/faults", self._faults),
            Route("/api/runs", self._runs),
            Route("/api/runs/{name}", self._run),
            Route("/runs/{name}/report.html", self._report),
            Route("/api/suites", self._suites),
            Route("/suites/{name}/report.html", self._suite_report),
            Route("/api/alarms", self._alarms),
            *self._commands(),
            WebSocketRoute("/live", self._live),
            WebSocketRoute("/stop", self._stop_socket),
        ]
        return Gate(Starlette(routes=routes, lifespan=self._lifespan), self._address)

    def _commands(self) -> list[Route]:
        """Return the paths that only the page in the seat may use."""
        station = self.station

        async def disconnect(_wish: Nothing) -> None:
            station.disconnect()

        return [
            self._command("/api/connect", ConnectWish, station.connect),
            self._command("/api/disconnect", Nothing, disconnect),
            self._command("/api/ask", AskWish, lambda wish: station.ask(wish.request)),
            self._command("/api/stimulate", StimulusWish, station.stimulate),
            self._command("/api/inject", FaultWish, lambda wish: station.inject(wish.fault)),
            self._command("/api/clear", ClearWish, lambda wish: station.clear_fault(wish.fault_id)),
        ]

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        pictures = asyncio.create_task(self._stream.run(), name="pictures")
        await asyncio.sleep(0)  # The first picture is there before the first page.
        yield
        pictures.cancel()
        await asyncio.gather(pictures, return_exceptions=True)

    # -- STOP ------------------------------------------------------------------------------------

    async def _stop(self, _request: Request) -> Response:
        self.station.stop()
        return JSONResponse({})

    async def _stop_socket(self, socket: WebSocket) -> None:
        """A socket for nothing but STOP, which waits behind nothing (SR-29, SR-30)."""
        await socket.accept()
        try:
            while True:
                word = await socket.receive_text()
                if word == STOP_WORD:
                    self.station.stop()
                await socket.send_text(word[: len(STOP_WORD)])  # The page sees that it was heard.
        except (WebSocketDisconnect, RuntimeError, KeyError):
            return  # Gone, or it spoke in bytes.

    # -- looking ---------------------------------------------------------------------------------

    async def _live(self, socket: WebSocket) -> None:
        name = socket.query_params.get("page", "")
        if not is_name(name):
            await socket.close(1008, "a page says its name")
            return
        await socket.accept()
        self._seat.come(name)
        try:
            await self._stream.serve(socket, name)
        finally:
            self._seat.go(name)

    async def _page(self, _request: Request) -> Response:
        return self._file("index.html")

    async def _static(self, request: Request) -> Response:
        return self._file(request.path_params["path"])

    def _file(self, path: str) -> Response:
        found = self._files.get(path)
        if found is None:
            return _error(404, "no such file")
        return Response(found[0], media_type=found[1])

    async def _choices(self, _request: Request) -> Response:
        devices = await run_in_threadpool(device_choices)
        return JSONResponse({"devices": devices, "treatments": treatment_choices()})

    async def _faults(self, _request: Request) -> Response:
        return JSONResponse(self.station.known_faults())

    async def _runs(self, _request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(recordings.list_runs, self.station.runs))

    async def _run(self, request: Request) -> Response:
        run = await self._find_run(request)
        if run is None:
            return _error(404, "no such run")
        try:
            data = await run_in_threadpool(recordings.load_run, run)
        except (RecordingError, OSError) as error:
            return _error(409, str(error))
        return Response(await run_in_threadpool(as_text, data), media_type="application/json")

    async def _report(self, request: Request) -> Response:
        run = await self._find_run(request)
        if run is None or not (run / "report.html").is_file():
            return _error(404, "no report: cryoctl report makes one of a recording")
        return _sandboxed(run / "report.html")

    async def _find_run(self, request: Request) -> Path | None:
        name = request.path_params["name"]
        return await run_in_threadpool(recordings.find_run, name, self.station.runs)

    async def _suites(self, _request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(list_suite_runs, self.station.runs))

    async def _suite_report(self, request: Request) -> Response:
        name = request.path_params["name"]
        report = await run_in_threadpool(find_suite_report, name, self.station.runs)
        if report is None:
            return _error(404, "no report: cryoctl hil writes one when a run has ended")
        return _sandboxed(report)

    async def _alarms(self, _request: Request) -> Response:
        return JSONResponse(alarm_pages())

    # -- asking ----------------------------------------------------------------------------------

    async def _login(self, request: Request) -> Response:
        wish = await _read(request, TokenWish)
        if isinstance(wish, Response):
            return wish
        if not self._address.knows(wish.token):
            return _error(401, "this is not the token that cryoctl ui has printed")
        answer = JSONResponse({})
        answer.set_cookie(
            self._address.cookie,
            wish.token,
            httponly=True,
            samesite="strict",
            secure=self._address.secure,
        )
        return answer

    async def _take_seat(self, request: Request) -> Response:
        wish = await _read(request, SeatWish)
        if isinstance(wish, Response):
            return wish
        name = request.headers[HEADER]
        if not wish.take:
            self._seat.leave(name)
        elif not self._seat.take(name):
            return _error(409, "another page has control: release it there first")
        return JSONResponse({})

    async def _check(self, request: Request) -> Response:
        wish = await _read(request, DraftWish)
        if isinstance(wish, Response):
            return wish
        return JSONResponse(await run_in_threadpool(check_draft, wish.treatment))

    def _command(
        self, path: str, model: type[Wish], do: Callable[[Wish], Awaitable[None]]
    ) -> Route:
        async def answer(request: Request) -> Response:
            wish = await _read(request, model)
            if isinstance(wish, Response):
                return wish
            if self._seat.holder != request.headers[HEADER]:
                return _error(403, "this page only looks: take control first")
            try:
                await do(wish)
            except FileError as error:
                return _error(422, str(error))
            except (RefusedError, LinkError, OSError, ValueError) as error:
                return _error(409, str(error))
            return JSONResponse({})

        return Route(path, answer, methods=["POST"])


async def _read(request: Request, model: type[Wish]) -> Wish | Response:
    """Return what was sent, or why it cannot be."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        return _error(415, "expected application/json")
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_BYTES_MAX:
            return _error(413, f"more than {BODY_BYTES_MAX} bytes")
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return _error(422, f"{where}: {first['msg']}" if where else str(first["msg"]))


def _sandboxed(report: Path) -> Response:
    """Return a report under rules of its own: a file that somebody may have sent."""
    headers = {"content-security-policy": REPORT_POLICY}
    return FileResponse(report, media_type=_KINDS[".html"], headers=headers)


def _error(status: int, why: str) -> Response:
    return JSONResponse({"error": why}, status)
