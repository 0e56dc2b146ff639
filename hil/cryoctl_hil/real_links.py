"""A simulated probe in a process of its own, and what is between it and a controller.

Every kind of link with its real parts: pseudo-terminal, TCP, broker, TLS, gateway. What is between
can be killed and started again, as a cable is pulled. Windows has no pseudo-terminals.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Final, NamedTuple

from cryoctl.broker_files import Role, add_user, create
from cryoctl.mosquitto import LOOPBACK, free_port, loopback_configuration
from cryoctl.mosquitto import start as start_mosquitto
from cryoctl_hil.bench_probe import program
from cryoctl_protocol.peer import DeviceUrl, open_device
from cryoctl_simulator.device import SimulatedDevice

SITE: Final = "bench"
_CONTROLLER: Final = "desk"
_SIM_LOG: Final = ("--log", "log")


class Between(NamedTuple):
    """What is between controller and probe.

    Attributes:
        address: Of the probe, for the controller.
        start: Starts what can be lost, and returns when a controller may come; again after a loss.
    """

    address: str
    start: Callable[[], subprocess.Popen[bytes]]


Lay = Callable[[ExitStack, Path, Sequence[str]], Between]


def lay(kind: str, stack: ExitStack, folder: Path, sim_options: Sequence[str] = ()) -> Between:
    """Serve a probe, and get ready what is between; both end with ``stack``.

    The probe writes every byte it sends to the file ``log`` in ``folder``.

    Args:
        kind: One of ``KINDS``.
        stack: Ends the processes.
        folder: Empty; for their files.
        sim_options: Further options of ``cryoctl sim``.

    Raises:
        BrokerError: mosquitto is needed and not installed.
    """
    return _LAY[kind](stack, folder, sim_options)


def _cable(kind: str) -> Lay:
    def lay_cable(stack: ExitStack, folder: Path, sim_options: Sequence[str]) -> Between:
        probe = _sim(stack, folder, "--tcp", f"{LOOPBACK}:0", *sim_options)
        place = str(folder / "cable") if kind == "pty" else str(free_port())
        address = f"serial:{place}" if kind == "pty" else f"tcp://{LOOPBACK}:{place}"
        probe_port = probe.rpartition(":")[2]
        return Between(
            address, lambda: _start(folder, "cryoctl_hil.pulled_cable", kind, place, probe_port)
        )

    return lay_cable


def _broker(stack: ExitStack, folder: Path, sim_options: Sequence[str]) -> Between:
    url, start = _plain(folder)
    return Between(_sim(stack, folder, "--mqtt", url, *sim_options), start)


def _broker_with_tls(stack: ExitStack, folder: Path, sim_options: Sequence[str]) -> Between:
    files, port = folder / "broker", free_port()
    create(files, site=SITE, hosts=[LOOPBACK], listen=LOOPBACK, port=port)
    device = _serial_number()
    add_user(files, device, Role.DEVICE)
    add_user(files, _CONTROLLER, Role.CONTROLLER)

    def url(place: str, name: str) -> str:
        own = f"user={name}&cert={files / name}.crt&key={files / name}.key"
        return f"mqtts://{LOOPBACK}:{port}/{place}?ca={files / 'ca.crt'}&{own}"

    _sim(stack, folder, "--mqtt", url(SITE, device), *sim_options)
    return Between(
        url(f"{SITE}/{device}", _CONTROLLER), _quiet_broker(folder, files / "mosquitto.conf", port)
    )


def _gateway(stack: ExitStack, folder: Path, sim_options: Sequence[str]) -> Between:
    url, start_broker = _plain(folder)
    stack.callback(start_broker().kill)
    probe = _sim(stack, folder, "--pty", *sim_options)
    return Between(
        f"{url}/{_serial_number()}",
        lambda: _start(
            folder, "cryoctl", "gateway", "--device", probe, "--mqtt", url, said="broker at "
        ),
    )


_LAY: Final[dict[str, Lay]] = {
    "pty": _cable("pty"),
    "tcp": _cable("tcp"),
    "mqtt": _broker,
    "mqtts": _broker_with_tls,
    "gateway": _gateway,
}
KINDS: Final = tuple(_LAY)


def _sim(stack: ExitStack, folder: Path, *options: str) -> str:
    """Serve a probe until ``stack`` ends; return its address."""
    served = program("cryoctl", "sim", *options, *_SIM_LOG, folder=str(folder))
    _, said = stack.enter_context(served)
    return _address(said)


def _address(said: IO[str]) -> str:
    return next(line.split()[1] for line in said if line.startswith("at "))


def _serial_number() -> str:
    """Return the name of the probe that ``cryoctl sim`` serves."""
    probe = open_device(DeviceUrl.parse("sim:")).peer
    assert isinstance(probe, SimulatedDevice)
    return probe.device_id


def _plain(folder: Path) -> tuple[str, Callable[[], subprocess.Popen[bytes]]]:
    """Return the address of a broker for everybody, and what starts it there."""
    port, configuration = free_port(), folder / "mosquitto.conf"
    configuration.write_text(loopback_configuration(port))
    return f"mqtt://{LOOPBACK}:{port}/{SITE}", _quiet_broker(folder, configuration, port)


def _quiet_broker(
    folder: Path, configuration: Path, port: int
) -> Callable[[], subprocess.Popen[bytes]]:
    def start() -> subprocess.Popen[bytes]:
        with (folder / "mosquitto.log").open("ab") as log:
            return start_mosquitto(configuration, port, log=log.fileno())

    return start


def _start(
    folder: Path, module: str, *arguments: str, said: str = "at "
) -> subprocess.Popen[bytes]:
    """Start a program and return when it has said what it is ready with."""
    process = subprocess.Popen(  # noqa: S603 (our own modules)
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        cwd=folder,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(said.encode()):
            break
    return process
