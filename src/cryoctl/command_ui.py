"""``cryoctl ui``: the dashboard in a browser."""

from __future__ import annotations

import secrets
import webbrowser
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Final

import click

from cryoctl.command_options import (
    SPEED,
    UI_PORT,
    keys_option,
    need_ui_packages,
    treatment_argument,
)
from cryoctl.exit_codes import EXIT_FAIL, EXIT_PASS
from cryoctl.files import choose_treatment
from cryoctl.run_options import SPEED_MAX
from cryoctl.stop_signals import StopSignals
from cryoctl_protocol.peer import DeviceUrl
from cryoctl_protocol.profile import profile_names

if TYPE_CHECKING:
    from cryoctl.ui.serving import WebServer
    from cryoctl.ui.station import Station
    from cryoctl.ui.wishes import ConnectWish

_TOKEN_BYTES: Final = 16
_LOOK_S: Final = 0.1


@click.command()
@treatment_argument
@click.option("--device", metavar="URL", help="Connect at once; else choose on the page.")
@click.option("--speed", type=SPEED, default="1", show_default=True, help="Of a simulated device.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on, as browsers will type it; others need a certificate.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=UI_PORT, show_default=True,
    help="0 is one that is free.",
)  # fmt: skip
@click.option(
    "--no-token", is_flag=True, help="Let in everybody on this computer; on 127.0.0.1 alone."
)
@click.option(
    "--certificate",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Certificate of --host (PEM), for https.",
)
@click.option(
    "--private-key",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Its private key (PEM).",
)
@click.option("--open", "wants_browser", is_flag=True, help="Open the page in a browser.")
@keys_option
def ui(
    treatment: Path | None,
    device: str | None,
    speed: float | None,
    host: str,
    port: int,
    no_token: bool,
    certificate: Path | None,
    private_key: Path | None,
    wants_browser: bool,
    keys: Path | None,
) -> int:
    """Serve the dashboard; Ctrl-C stops the probe, waits for the needle and ends it.

    TREATMENT is what --device is connected with: a file, or a built-in one's name.
    """
    need_ui_packages()
    from cryoctl.ui.gate import Address, is_loopback
    from cryoctl.ui.serving import Certificate, WebServer
    from cryoctl.ui.station import Station

    if (certificate is None) is not (private_key is None):
        raise click.UsageError("--certificate and --private-key go together")
    tls = None
    if certificate is not None and private_key is not None:
        tls = Certificate(certificate, private_key)
    if not is_loopback(host) and tls is None:
        raise click.UsageError(
            f"--host {host}: others than this computer reach it only by https: "
            "give --certificate and --private-key"
        )
    if host in ("0.0.0.0", "::", ""):  # noqa: S104  # Refused, not bound.
        raise click.UsageError("--host: give the one address or name that browsers will use")
    if no_token and not is_loopback(host):
        raise click.UsageError(f"--no-token is for this computer alone, not for --host {host}")
    secret = "" if no_token else secrets.token_urlsafe(_TOKEN_BYTES)
    station = Station(keys)
    try:
        if device is not None:
            station.open(_wish(device, treatment, speed))
        web = WebServer(station, Address(host, port, token=secret), tls)
        return _serve(web, station, secret, wants_browser=wants_browser)
    finally:
        station.abandon()


def _wish(device: str, treatment: Path | None, speed: float | None) -> ConnectWish:
    """Return what to connect with before any page is there."""
    from cryoctl.ui.wishes import ConnectWish

    path = DeviceUrl.parse(device).path
    chosen = choose_treatment(treatment, (), path if path in profile_names() else None)
    fastest = SPEED_MAX if speed is None else speed
    return ConnectWish(device=device, treatment=chosen.document.text, speed=fastest)


class _Closing:
    """Ends the session when a signal asks for it; at a second one as soon as the probe is safe."""

    def __init__(self, station: Station) -> None:
        self.asked = False
        self._station = station

    def request_stop(self, *, leave: bool = False) -> None:
        """Have the session ended."""
        self.asked = True
        if leave:
            self._station.abandon()
        else:
            self._station.disconnect()

    def hurry(self) -> None:
        """Nothing waits here."""


def _serve(web: WebServer, station: Station, secret: str, *, wants_browser: bool) -> int:
    """Serve until a signal and the end of the session."""
    closing, told, look = _Closing(station), False, Event()
    with StopSignals() as signals, web:
        signals.attach(closing)
        url = web.address.url + (f"#token={secret}" if secret else "")
        click.echo(f"dashboard: {url}")
        if wants_browser:
            webbrowser.open(url)
        while web.is_serving and not (closing.asked and not station.is_open):
            look.wait(_LOOK_S)
            if closing.asked and station.is_open and not told:
                told = True
                click.echo(
                    "making the probe safe and waiting for the needle; "
                    "Ctrl-C again leaves as soon as it is safe",
                    err=True,
                )
        return EXIT_PASS if closing.asked else EXIT_FAIL
