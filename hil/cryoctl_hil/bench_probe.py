"""Probes for the benchmarks, each in a process of its own, behind any link there is."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Final, NamedTuple, NoReturn

from cryoctl.port_link import RealTimeLoop
from cryoctl_hil.bench_broker import CONTROLLER_USER, DEVICE_USER, Broker, broker
from cryoctl_protocol.framing import DELIMITER, Deframer, message_in, wrap
from cryoctl_protocol.messages import Stop
from cryoctl_protocol.mqtt.address import MqttAddress
from cryoctl_protocol.mqtt.device_side import DeviceSide
from cryoctl_protocol.peer import DeviceUrl, open_device
from cryoctl_simulator.device import SimulatedDevice

BROKER_LINKS: Final = ("mqtt", "mqtts", "gateway")
LINKS: Final = (
    ("tcp", "mqtt", "mqtts") if sys.platform == "win32" else ("pty", "tcp", *BROKER_LINKS)
)
_TICKS_PER_S: Final = 100
_READ_SIZE: Final = 4096
_STOP: Final = "stop "


class Served(NamedTuple):
    """A probe to talk to.

    Attributes:
        address: What a controller opens.
        process: The probe.
        said: What it says on its standard output.
        broker: Where it is; None on a cable.
    """

    address: str
    process: subprocess.Popen[str]
    said: IO[str]
    broker: Broker | None = None

    def stops_s(self) -> list[float]:
        """End a prompt probe; return when each STOP got to it, on the monotonic clock."""
        self.process.kill()
        lines = self.said.read().splitlines()
        return [float(line.removeprefix(_STOP)) for line in lines if line.startswith(_STOP)]


@contextmanager
def ticking_probe(link: str) -> Iterator[Served]:
    """Serve the simulated probe as ``cryoctl sim`` does, every 10 ms."""
    # 4,000 bytes a tick: nothing ever waits for the line.
    with _behind(link, ("cryoctl", "sim"), ("--pty", "--baud", "4000000")) as served:
        yield served


@contextmanager
def prompt_probe(link: str) -> Iterator[Served]:
    """Serve a simulated probe that makes a tick as soon as bytes come.

    It says when each STOP comes, too.
    """
    with _behind(link, ("cryoctl_hil.bench_probe",), ("--pty",)) as served:
        yield served


@contextmanager
def _behind(link: str, probe: Sequence[str], pty_options: Sequence[str]) -> Iterator[Served]:
    """Serve a probe, given as a module and its arguments, at the end of a link."""
    if link not in BROKER_LINKS:
        where = ("--tcp", "127.0.0.1:0") if link == "tcp" else pty_options
        with _serve(*probe, *where) as served:
            yield served
        return
    with broker(tls=link == "mqtts") as at:
        if link == "gateway":
            with _serve(*probe, *pty_options) as served, _gateway(served, at):
                address = f"{at.site_url}/{simulated_probe().device_id}"
                yield served._replace(address=address, broker=at)
            return
        with _serve(*probe, "--mqtt", at.site_url + at.query(DEVICE_USER)) as served:
            yield served._replace(address=served.address + at.query(CONTROLLER_USER), broker=at)


@contextmanager
def _serve(module: str, *arguments: str) -> Iterator[Served]:
    with program(module, *arguments, quiet=True) as (process, said):
        address = next(line.split()[1] for line in said if line.startswith("at "))
        yield Served(address, process, said)


@contextmanager
def _gateway(served: Served, at: Broker) -> Iterator[None]:
    arguments = "--device", served.address, "--mqtt", at.site_url
    with program("cryoctl", "gateway", *arguments, quiet=True) as (_, said):
        assert "passing" in next(said), "the gateway did not start"
        yield


@contextmanager
def program(
    module: str, *arguments: str, folder: str = ".", quiet: bool = False
) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """Run ``python -m MODULE`` in ``folder`` until it is no longer wanted, then kill it.

    Yields the process and what it says; ``quiet`` throws its standard error away, where a probe
    tells of its broker.
    """
    with subprocess.Popen(  # noqa: S603 (our own modules)
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if quiet else None,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        cwd=folder,
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout
        finally:
            process.kill()


def simulated_probe() -> SimulatedDevice:
    """Return the probe that ``cryoctl sim`` serves unless told otherwise."""
    device = open_device(DeviceUrl.parse("sim:")).peer
    assert isinstance(device, SimulatedDevice)
    return device


class PromptProbe:
    """A simulated probe that makes a tick for whatever comes.

    Its clock runs ahead of the wall's: what is left of the time to an ACK is the work of both ends
    and of the link, without the wait for the probe's next tick.
    """

    def __init__(self) -> None:
        self._device = simulated_probe()
        self._ticks = 0

    def tick(self, incoming: bytes) -> bytes:
        """Move by 10 ms of its own time; return what it sent."""
        self._ticks += 1
        return self._device.advance_to(self._ticks / _TICKS_PER_S, incoming)


def tell_stop(body: bytes, at_s: float) -> None:
    """Say when a STOP came, if ``body`` is one."""
    if isinstance(message_in(body), Stop):
        print(f"{_STOP}{at_s:.6f}")


def answer_at_once(descriptor: int) -> NoReturn:
    """Move a probe by a tick whenever bytes come, and every 10 ms in silence.

    Raises:
        ConnectionError: The other end has hung up.
    """
    probe, deframer = PromptProbe(), Deframer()
    while True:
        ready, _, _ = select.select([descriptor], [], [], 1.0 / _TICKS_PER_S)
        incoming = os.read(descriptor, _READ_SIZE) if ready else b""
        at_s = time.monotonic()
        os.write(descriptor, probe.tick(incoming))
        for body in deframer.feed(incoming):
            tell_stop(body, at_s)


async def answer_at_broker(address: MqttAddress) -> NoReturn:
    """Do the same at a broker."""
    probe, deframer = PromptProbe(), Deframer()

    def tick(incoming: bytes) -> None:
        for body in deframer.feed(probe.tick(incoming)):
            side.publish(body)

    def on_body(body: bytes) -> None:
        at_s = time.monotonic()
        tick(DELIMITER + wrap(body))
        tell_stop(body, at_s)

    side = DeviceSide(address, on_body=on_body, tell=lambda _: None)
    async with asyncio.TaskGroup() as group:
        group.create_task(side.run())
        while True:
            tick(b"")
            await asyncio.sleep(1.0 / _TICKS_PER_S)


def main(link: str, where: str = "") -> None:
    """Serve one program; print the address as ``cryoctl sim`` does."""
    if link == "--mqtt":
        address = MqttAddress.of(DeviceUrl.parse(where), site_only=True)
        print(f"at {address._replace(device=simulated_probe().device_id)}")
        with asyncio.Runner(loop_factory=RealTimeLoop) as runner:
            runner.run(answer_at_broker(address))
    elif link == "--pty" and sys.platform != "win32":
        import tty  # POSIX only, as pseudo-terminals are.

        master, port = os.openpty()
        tty.setraw(port)
        print(f"at serial:{os.ttyname(port)}")
        answer_at_once(master)
    else:
        host, _, port_text = where.rpartition(":")
        with socket.create_server((host, int(port_text))) as server:
            print(f"at tcp://127.0.0.1:{server.getsockname()[1]}")
            client, _ = server.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(ConnectionError):
            answer_at_once(client.fileno())


if __name__ == "__main__":
    main(*sys.argv[1:])
