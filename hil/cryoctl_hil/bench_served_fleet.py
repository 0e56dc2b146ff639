"""What ``cryoctl sim --fleet`` takes of a core while it serves many whole probes at a broker."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from contextlib import ExitStack
from typing import Final, NamedTuple

from cryoctl.command_fleet import watch
from cryoctl.fleet import Fleet
from cryoctl.mosquitto import BrokerError
from cryoctl.port_link import RealTimeLoop
from cryoctl_hil.bench_broker import broker
from cryoctl_hil.bench_load import usage
from cryoctl_hil.bench_probe import program
from cryoctl_protocol.mqtt.address import MqttAddress
from cryoctl_protocol.peer import DeviceUrl
from cryoctl_simulator.served.fleet import CONNECTS_PER_S

PROBES: Final = 200
WATCHED_S: Final = 15.0
_SETTLES_S: Final = 3.0
_SERVED: Final = re.compile(
    r"served (\d+) s, (\d+) telemetry frames, (\d+) payloads dropped, (\d+) ticks lost"
)


class ServedFleet(NamedTuple):
    """What serving a fleet takes.

    Attributes:
        percent: Of a core, for each second that the probes lived; it is one thread, and can use no
            second core. A machine that others keep busy loses ticks below 100 as well.
        online: Probes that a watcher's table shows as online.
        telemetry_per_s: Frames, over the whole time, connecting included.
        dropped: Payloads that the broker did not take.
        lost_ticks: Of all probes together, that the machine was too busy for.
    """

    percent: float
    online: int
    telemetry_per_s: float
    dropped: int
    lost_ticks: int


def serve_fleet(*, probes: int, duration_s: float) -> ServedFleet:
    """Serve a fleet from one process, watch it from outside; on Linux.

    Raises:
        BrokerError: No broker installed.
    """
    if sys.platform == "win32":
        raise OSError("only Linux tells in /proc what a process uses")
    settled_s = probes / CONNECTS_PER_S + _SETTLES_S
    table = Fleet()
    with ExitStack() as stack:
        url = stack.enter_context(broker(tls=False)).site_url
        command = ("cryoctl", "sim", "--fleet", str(probes), "--mqtt", url)
        server, said = stack.enter_context(program(*command, quiet=True))
        assert f"{probes} probes" in next(said), "the fleet did not start"
        first = usage(server.pid)
        with asyncio.Runner(loop_factory=RealTimeLoop) as runner:
            address = MqttAddress.of(DeviceUrl.parse(url), site_only=True)
            runner.run(watch(address, table, lambda _: None, 0.5, settled_s + duration_s))
            online = sum(row.link == "online" for row in table.rows(runner.get_loop().time()))
        last = usage(server.pid)
        server.send_signal(signal.SIGINT)
        found = _SERVED.search(said.read())
    assert found is not None, "the fleet did not say what it had served"
    served_s, telemetry, dropped, lost = map(int, found.groups())
    lived_s = max(1, served_s)
    percent = 100.0 * (last.cpu_s - first.cpu_s) / lived_s
    return ServedFleet(percent, online, telemetry / lived_s, dropped, lost)


def print_served_fleet() -> None:
    """Print what a fleet of whole probes takes."""
    what = f"fleet of {PROBES} simulated probes at 5 Hz"
    if not sys.platform.startswith("linux"):
        print(f"{what}: not run: only Linux tells in /proc what a process uses")
        return
    try:
        found = serve_fleet(probes=PROBES, duration_s=WATCHED_S)
    except BrokerError as error:
        print(f"{what}: not run: {error}")
        return
    print(
        f"{what}: {found.online} online, {found.percent:.0f} % of a core, "
        f"{found.telemetry_per_s:,.0f} telemetry frames/s, {found.dropped} payloads dropped, "
        f"{found.lost_ticks} ticks lost"
    )
