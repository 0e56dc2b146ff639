"""In front of the server: who may speak to it, and what a browser may do with its answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER: Final = "x-cryoctl-page"
"""Name of the page that asks; no other origin's page can send it without asking us first."""
OPEN_PATHS: Final = frozenset({"/", "/api/login"})
"""Without a token: the page itself, which asks for it, and its files under ``/static/``."""

_PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
REPORT_POLICY: Final = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""A report is a file that somebody may have sent: it runs nothing and asks nobody."""
_HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server is, as browsers see it.

    Attributes:
        token: What a page has to show; empty for none. Other users of this computer reach it, too.
    """

    host: str
    port: int
    secure: bool = False
    token: str = field(default="", repr=False)

    @property
    def hosts(self) -> frozenset[str]:
        """The values of Host that mean us; another name that leads here is somebody else's."""
        names = {self.host}
        if is_loopback(self.host):
            names |= {"127.0.0.1", "localhost", "::1"}
        shown = {f"[{name}]" if ":" in name else name for name in names}
        default = 443 if self.secure else 80
        with_port = {f"{name}:{self.port}" for name in shown}
        return frozenset(with_port | (shown if self.port == default else set()))

    @property
    def url(self) -> str:
        """What to open."""
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self._scheme}://{shown}:{self.port}/"

    @property
    def origins(self) -> frozenset[str]:
        """The origins of our own pages."""
        return frozenset(f"{self._scheme}://{host}" for host in self.hosts)

    @property
    def _scheme(self) -> str:
        return "https" if self.secure else "http"

    @property
    def cookie(self) -> str:
        """Name of the cookie with the token; a browser keeps one jar for all ports of a host."""
        return f"cryoctl_token_{self.port}"

    def knows(self, token: str) -> bool:
        """Return True for the token, or if none is asked for."""
        return not self.token or compare_digest(self.token.encode(), token.encode())


def is_loopback(host: str) -> bool:
    """Return True for a host that nobody outside of this computer reaches."""
    return host in ("127.0.0.1", "localhost", "::1")


def refusal(scope: Scope, address: Address) -> tuple[int, str] | None:
    """Return status and reason if a request may not be answered."""
    headers = Headers(scope=scope)
    if headers.get("host", "").lower() not in address.hosts:
        return 421, "this is not the address that the dashboard was started with"
    origin = headers.get("origin")
    is_socket = scope["type"] == "websocket"
    if is_socket and origin not in address.origins:
        return 403, "a web socket is for the dashboard's own page"
    if not is_socket and scope["method"] not in ("GET", "HEAD"):
        if origin is not None and origin not in address.origins:
            return 403, "another page's request"
        if HEADER not in headers:
            return 403, f"a request without {HEADER}"
    path = scope["path"]
    if path in OPEN_PATHS or path.startswith("/static/"):
        return None
    token = cookie_parser(headers.get("cookie", "")).get(address.cookie, "")
    return None if address.knows(token) else (401, "log in first")


class Gate:
    """Refuses what may not be answered; adds the headers that hold a browser to our rules."""

    def __init__(self, app: ASGIApp, address: Address) -> None:
        self._app = app
        self._address = address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, refuse, or pass on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refused = refusal(scope, self._address)
        if scope["type"] == "websocket":
            if refused is not None:
                await send({"type": "websocket.close", "code": 1008, "reason": refused[1]})
                return
            await self._app(scope, receive, send)
            return
        app = self._app if refused is None else _answer(*refused)
        await app(scope, receive, _with_headers(send))


def _answer(status: int, why: str) -> Response:
    return JSONResponse({"error": why}, status)


def _with_headers(send: Send) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            headers.setdefault("content-security-policy", _PAGE_POLICY)
        await send(message)

    return with_headers
