"""Who may speak to the dashboard at all."""

from __future__ import annotations

import pytest
from starlette.types import Scope

from cryoctl.ui.gate import Address, refusal

LOCAL = Address("127.0.0.1", 8790)
LAB = Address("lab.example", 8443, secure=True, token="right")


def a_request(
    method: str = "POST", path: str = "/api/ask", kind: str = "http", **headers: str
) -> Scope:
    """Return a request of our own page, with other headers as asked for; "" is none."""
    told = {"host": "127.0.0.1:8790", "origin": "http://127.0.0.1:8790", "x-cryoctl-page": "a"}
    told |= {name.replace("_", "-"): value for name, value in headers.items()}
    pairs = [(name.encode(), value.encode()) for name, value in told.items() if value]
    return {"type": kind, "method": method, "path": path, "headers": pairs}


def status(scope: Scope, address: Address = LOCAL) -> int | None:
    """Return the status of a refusal; None if there is none."""
    refused = refusal(scope, address)
    return None if refused is None else refused[0]


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8790", "localhost:8790", "[::1]:8790", "LOCALHOST:8790"]
)
def test_this_computer_has_three_names(host: str) -> None:
    assert status(a_request(host=host)) is None


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8790", "127.0.0.1", "127.0.0.1:80", "127.0.0.1:8790.evil", ""],
)
def test_another_name_that_leads_here_is_not_ours(host: str, method: str) -> None:
    assert status(a_request(method, "/", host=host)) == 421


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "https://127.0.0.1:8790", "http://127.0.0.1:8791", "null"]
)
def test_what_another_origin_sends_is_refused(origin: str) -> None:
    assert status(a_request(origin=origin)) == 403
    assert status(a_request(kind="websocket", path="/stop", origin=origin)) == 403


def test_a_socket_without_an_origin_is_refused_and_a_program_may_post() -> None:
    assert status(a_request(kind="websocket", path="/live", origin="")) == 403
    assert status(a_request(origin="")) is None


def test_a_post_needs_the_header_that_no_form_can_send() -> None:
    assert status(a_request(x_cryoctl_page="")) == 403


def lab_request(path: str, cookie: str = "", kind: str = "http") -> Scope:
    """Return a request to the address in the laboratory."""
    origin = "https://lab.example:8443"
    return a_request("POST", path, kind, host="lab.example:8443", origin=origin, cookie=cookie)


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/api/ask", "http"), ("/api/stop", "http"), ("/live", "websocket"), ("/stop", "websocket")],
)
@pytest.mark.parametrize(
    "cookie", ["", "cryoctl_token_8443=wrong", "cryoctl_token_8443=", "cryoctl_token_1=right"]
)
def test_without_the_token_there_is_nothing(path: str, kind: str, cookie: str) -> None:
    assert status(lab_request(path, cookie, kind), LAB) == 401


def test_with_the_token_there_is_and_without_it_the_page_that_asks_for_it() -> None:
    assert status(lab_request("/api/ask", "a=b; cryoctl_token_8443=right"), LAB) is None
    assert status(lab_request("/api/login"), LAB) is None
    assert status(lab_request("/static/app.js"), LAB) is None


def test_away_from_this_computer_its_own_names_do_not_count() -> None:
    assert status(a_request(host="localhost:8443", origin="https://localhost:8443"), LAB) == 421


def test_the_token_is_in_no_text_about_the_address() -> None:
    assert "right" not in repr(LAB)
    assert LAB.url == "https://lab.example:8443/"
