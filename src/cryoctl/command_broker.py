"""``cryoctl broker``: the files of a mosquitto with certificates and rights, and running one."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from cryoctl.broker_files import (
    CONFIGURATION,
    PORT,
    Role,
    add_user,
    create,
    read_folder,
    renew_server,
    renew_user,
    revoke_user,
)
from cryoctl.exit_codes import EXIT_LINK
from cryoctl.mosquitto import LOOPBACK, free_port, loopback_configuration, start

_HERE: Final = ("localhost", LOOPBACK)
_PLAIN_PORT: Final = 1883
_END_S: Final = 5.0
_folder_argument = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))


class Names(click.ParamType[tuple[str, ...]]):
    """``NAME,NAME,...``."""

    name = "names"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the names."""
        if isinstance(value, tuple):
            return value
        return tuple(name.strip() for name in str(value).split(",") if name.strip())


@click.group()
def broker() -> None:
    """Set up and run an MQTT broker (mosquitto), with certificates and rights for each name."""


@broker.command()
@_folder_argument
@click.option("--devices", type=Names(), default=(), metavar="NAMES", help="Serial numbers.")
@click.option("--controllers", type=Names(), default=(), metavar="NAMES", help="Who commands.")
@click.option("--viewers", type=Names(), default=(), metavar="NAMES", help="Who only looks on.")
@click.option("--site", default="bench", show_default=True, help="First level of their topics.")
@click.option(
    "--host", "hosts", multiple=True, metavar="NAME", help="Name or address clients will use."
)
@click.option("--port", type=click.IntRange(1, 0xFFFF), default=PORT, show_default=True)
def init(
    folder: Path,
    devices: tuple[str, ...],
    controllers: tuple[str, ...],
    viewers: tuple[str, ...],
    site: str,
    hosts: tuple[str, ...],
    port: int,
) -> None:
    """Write a broker's configuration, its authority, and a certificate for each name, into DIR.

    Without --host this machine alone can reach it. Nothing that is there is overwritten.
    """
    roles = [
        *((name, Role.DEVICE) for name in devices),
        *((name, Role.CONTROLLER) for name in controllers),
        *((name, Role.VIEWER) for name in viewers),
    ]
    listen = "" if hosts else LOOPBACK
    create(folder, site=site, hosts=[*hosts, *_HERE], listen=listen, port=port, users=roles)
    click.echo(f"{folder}: a broker for site {site}, {len(roles)} certificates; keys are 0600")
    click.echo(f"next:\n  cryoctl broker run {folder}")
    host = hosts[0] if hosts else LOOPBACK
    for device in devices[:1]:
        _tell_use(folder, host, device, Role.DEVICE)
    for controller in controllers[:1]:
        _tell_use(folder, host, controller, Role.CONTROLLER, devices[0] if devices else "DEVICE")


@broker.command()
@_folder_argument
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.DEVICE.value,
    show_default=True,
)
def add(folder: Path, name: str, role: str) -> None:
    """Make a certificate for one NAME more, and give it the rights of its role."""
    add_user(folder, name, Role(role))
    click.echo(f"{folder}: {role} {name}; a broker that runs learns of it when started anew")
    click.echo("next:")
    _tell_use(folder, LOOPBACK, name, Role(role))


@broker.command()
@_folder_argument
@click.argument("name")
def revoke(folder: Path, name: str) -> None:
    """Shut NAME out: take its rights, and every certificate that it ever had.

    The broker learns of it when started anew. The name may be added again.
    """
    revoke_user(folder, name)
    click.echo(
        f"{folder}: {name} is revoked and its files are deleted; a broker that runs still lets it "
        f"in: end it and start it anew\nnext:\n  cryoctl broker run {folder}"
    )


@broker.command()
@_folder_argument
@click.argument("name", required=False)
def renew(folder: Path, name: str | None) -> None:
    """Make a new certificate and key for NAME, or for the server without one.

    The former certificate of NAME is revoked; rights stay as they are.
    """
    if name is None:
        renew_server(folder)
        told = "the server has a new certificate; a broker that runs shows the former one"
    else:
        renew_user(folder, name)
        told = (
            f"give {name} its two new files; the former certificate is revoked, but a broker that "
            "runs still takes it"
        )
    click.echo(f"{folder}: {told}: end it and start it anew\nnext:\n  cryoctl broker run {folder}")


@broker.command()
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--port", type=click.IntRange(1, 0xFFFF), help="Without DIR: where to listen.")
def run(folder: Path | None, port: int | None) -> int:
    """Run the broker of DIR until Ctrl-C; without DIR, one for this machine alone.

    That one asks nobody who they are: whoever may run programs here may speak to it.
    """
    if folder is not None:
        if port is not None:
            raise click.UsageError(f"the port stands in {folder / CONFIGURATION}")
        found = read_folder(folder)
        place = f"mqtts://{LOOPBACK}:{found.port}/{found.site}/DEVICE"
        return _run(folder / CONFIGURATION, found.port, place)
    listen = port or _usual_port()
    with tempfile.TemporaryDirectory(prefix="cryoctl-broker-") as name:
        configuration = Path(name) / CONFIGURATION
        configuration.write_text(loopback_configuration(listen), "utf-8")
        return _run(configuration, listen, f"mqtt://{LOOPBACK}:{listen}/bench/DEVICE")


def _run(configuration: Path, port: int, place: str) -> int:
    with _ends_with_us():
        process = start(configuration, port)
        try:
            click.echo(f"broker at  {place}")
            code = process.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            _end(process)
    click.echo(f"cryoctl: mosquitto ended by itself, exit code {code}", err=True)
    return EXIT_LINK


@contextlib.contextmanager
def _ends_with_us() -> Iterator[None]:
    """Have what would end us raise KeyboardInterrupt: a broker nobody asks for must not stay."""
    # Ctrl-C counts even where a script has started us in the background, with it ignored.
    numbers = [signal.SIGINT, signal.SIGTERM]
    # A terminal that is closed ends us, too, unless somebody wanted that not to be so (nohup).
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _usual_port() -> int:
    """Return MQTT's own port if it is free, else any."""
    try:
        socket.create_server((LOOPBACK, _PLAIN_PORT)).close()
    except OSError:
        return free_port()
    return _PLAIN_PORT


def _tell_use(folder: Path, host: str, name: str, role: Role, device: str = "DEVICE") -> None:
    """Print how somebody gets in; the files' names alone, never what is in them."""
    found = read_folder(folder)
    path = folder / name
    query = f"?user={name}&ca={folder / 'ca.crt'}&cert={path}.crt&key={path}.key"
    place = f"mqtts://{host}:{found.port}/{found.site}"
    if role is Role.DEVICE:
        click.echo(f"  cryoctl sim --serial {name} --mqtt '{place}{query}'")
    elif role is Role.CONTROLLER:
        click.echo(f"  cryoctl run --device '{place}/{device}{query}'")
    else:
        click.echo(f"  cryoctl monitor --device '{place}/{device}{query}'")
