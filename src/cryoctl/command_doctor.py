"""``cryoctl doctor``: what is wrong with this machine or a broker, and what to do about it."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Iterator
from typing import Final

import click

from cryoctl import __version__
from cryoctl.doctor import Finding, Level, examine
from cryoctl.exit_codes import EXIT_FAIL, EXIT_PASS
from cryoctl.known_ports import usb_ports
from cryoctl.mosquitto import BrokerError, find_mosquitto
from cryoctl.port_hints import problem_of
from cryoctl_protocol.messages import printable
from cryoctl_protocol.mqtt.address import MqttAddress
from cryoctl_protocol.peer import DeviceUrl

_SITE_LEVELS: Final = 1
_DISK_MIN_MB: Final = 500
_BYTES_IN_MB: Final = 1_000_000


@click.command()
@click.argument("url", required=False)
def doctor(url: str | None) -> int:
    """Look this machine over, or the broker at URL (mqtt://HOST/SITE[/DEVICE]); command nothing.

    Exit codes: 0 without a problem, 1 with one.
    """
    has_problem = False
    for finding in _examine_machine() if url is None else examine(_address(url)):
        click.echo(f"{finding.level:<8} {printable(finding.text)}")
        has_problem = has_problem or finding.level is Level.PROBLEM
    return EXIT_FAIL if has_problem else EXIT_PASS


def _address(url: str) -> MqttAddress:
    parsed = DeviceUrl.parse(url)
    place = parsed.path.strip("/").split("/")[1:]
    return MqttAddress.of(parsed, site_only=len(place) <= _SITE_LEVELS)


def _examine_machine() -> Iterator[Finding]:
    yield Finding(
        Level.OK,
        f"cryoctl {__version__}, Python {platform.python_version()}, {sys.platform}",
    )
    free_mb = shutil.disk_usage(".").free // _BYTES_IN_MB
    if free_mb < _DISK_MIN_MB:
        yield Finding(Level.WARNING, f"{free_mb} MB left here: recordings need room")
    else:
        yield Finding(Level.OK, f"{free_mb} MB left here for recordings")
    for port in usb_ports():
        problem = problem_of(port.device)
        level = Level.WARNING if problem else Level.OK
        yield Finding(level, f"serial port {port.device} {problem}".rstrip())
    try:
        yield Finding(Level.OK, f"a broker is installed: {find_mosquitto()}")
    except BrokerError as error:
        yield Finding(Level.OK, f"no broker, which only MQTT needs: {error}")
