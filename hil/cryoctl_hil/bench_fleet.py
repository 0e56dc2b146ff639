"""Many probes on one broker, and what it takes to watch them."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import sys
import time
from contextlib import ExitStack
from typing import Final, NamedTuple, NoReturn

from cryoctl.command_fleet import watch
from cryoctl.fleet import Fleet
from cryoctl.port_link import RealTimeLoop
from cryoctl.virtual_time import sleep_until
from cryoctl_hil.bench_broker import broker
from cryoctl_hil.bench_load import Usage, usage
from cryoctl_hil.bench_probe import program, simulated_probe
from cryoctl_hil.bench_sample import SAMPLE
from cryoctl_protocol.codec import encode
from cryoctl_protocol.framing import DELIMITER, Deframer, build, message_in
from cryoctl_protocol.messages import ID_OF, Hello, Telemetry, Vitals
from cryoctl_protocol.mqtt.address import MqttAddress
from cryoctl_protocol.mqtt.device_side import DeviceSide
from cryoctl_protocol.mqtt.topics import Leaf
from cryoctl_protocol.peer import DeviceUrl

TELEMETRY_S: Final = 0.02
VITALS_EVERY: Final = 10
"""Telemetry frames from one VITALS to the next."""
SETTLES_S: Final = 3.0
"""Programs have started, and what the broker had retained is there."""
_US_PER_S: Final = 1_000_000
_WRAP: Final = 1 << 32
_MS: Final = 1000.0


class FleetFigures(NamedTuple):
    """What watching a fleet takes.

    Attributes:
        publishes_per_s: Telemetry and VITALS of all probes that came to be sent.
        probes_percent: Of a core, for the program that plays all probes.
        fleet_percent: Of a core, for ``cryoctl fleet``.
        monitor_percents: Of a core, for each ``cryoctl monitor`` on one probe.
        online: Probes that the table shows as online.
        states: States of which the time from publish to table is known.
    """

    publishes_per_s: float
    probes_percent: float
    fleet_percent: float
    monitor_percents: list[float]
    online: int
    states: int
    p50_ms: float
    p99_ms: float

    @property
    def monitors_per_core(self) -> int:
        """How many programs that watch one probe each a core has room for."""
        return int(100.0 / statistics.mean(self.monitor_percents))


class _TimedFleet(Fleet):
    """A table that notes how old each state is when it stands in it."""

    def __init__(self) -> None:
        super().__init__()
        self.ages_s: list[float] = []

    def take(self, topic: str, payload: bytes, now_s: float) -> None:
        super().take(topic, payload, now_s)
        if topic.endswith(f"/{Leaf.STATE}") and now_s > SETTLES_S:
            state = message_in(payload)
            assert isinstance(state, Vitals)
            self.ages_s.append((_clock_us() - state.device_ms) % _WRAP / _US_PER_S)


def watch_fleet(*, probes: int, monitors: int, duration_s: float) -> FleetFigures:
    """Run a fleet, watch all of it once and some of it one by one; on Linux.

    Args:
        probes: Played by one program, each with a connection of its own.
        monitors: Programs that watch one probe each.
        duration_s: Watched for so long.

    Raises:
        BrokerError: No broker installed.
    """
    with ExitStack() as stack:
        url = stack.enter_context(broker(tls=False)).site_url
        player, said = stack.enter_context(program(__name__, url, str(probes)))
        assert "playing" in next(said), "the probes did not start"
        watcher, _ = stack.enter_context(program("cryoctl", "fleet", "--mqtt", url))
        # As many as are played: each of them a controller's process that only looks on.
        single = [
            stack.enter_context(
                program("cryoctl", "monitor", "--device", f"{url}/{_name(number % probes)}")
            )[0]
            for number in range(monitors)
        ]
        table = _TimedFleet()
        processes = [player, watcher, *single]
        before: list[Usage] = []

        def show(now_s: float) -> None:
            if not before and now_s > SETTLES_S:
                before.extend(usage(process.pid) for process in processes)

        with asyncio.Runner(loop_factory=RealTimeLoop) as runner:
            address = MqttAddress.of(DeviceUrl.parse(url), site_only=True)
            runner.run(watch(address, table, show, 0.5, SETTLES_S + duration_s))
            online = sum(row.link == "online" for row in table.rows(runner.get_loop().time()))
        after = [usage(process.pid) for process in processes]
        player.kill()
        rates = [float(line.split()[1]) for line in said.read().splitlines()]
    percents = [
        100.0 * (end.cpu_s - start.cpu_s) / (end.at_s - start.at_s)
        for start, end in zip(before, after, strict=True)
    ]
    percentiles = statistics.quantiles(table.ages_s, n=100, method="inclusive")
    return FleetFigures(
        publishes_per_s=statistics.median(rates),
        probes_percent=percents[0],
        fleet_percent=percents[1],
        monitor_percents=percents[2:],
        online=online,
        states=len(table.ages_s),
        p50_ms=percentiles[49] * _MS,
        p99_ms=percentiles[98] * _MS,
    )


# -- the probes ----------------------------------------------------------------------------------


def _name(number: int) -> str:
    return f"probe-{number}"


def _clock_us() -> int:
    return time.monotonic_ns() // 1000 % _WRAP


class PlayedProbe:
    """Says what a probe at rest says, without being one.

    Its clock is the machine's monotonic one and counts microseconds, so that whoever gets a state
    knows how old it is.
    """

    def __init__(self, address: MqttAddress, hello: Hello, number: int) -> None:
        self._seq = itertools.count()
        self.side = DeviceSide(address, on_body=lambda _: None, tell=lambda _: None)
        self._say(hello._replace(device_id=_name(number).encode("ascii"), boot_id=number + 1))

    def say_sample(self) -> int:
        """Send the next telemetry frame, and VITALS where they are due; return how many."""
        self._say(SAMPLE._replace(device_ms=_clock_us()))
        if next(self._seq) % VITALS_EVERY:
            return 1
        self._say(
            Vitals(
                _clock_us(), SAMPLE.state, SAMPLE.tip_mdegc, SAMPLE.supply_mbar,
                SAMPLE.valve_permille, SAMPLE.tip_heater_permille, SAMPLE.shutoff_open,
            )
        )  # fmt: skip
        return 2

    def _say(self, message: Hello | Telemetry | Vitals) -> None:
        body = build(ID_OF[type(message)], encode(message), seq=0, session=0, key=None)
        self.side.publish(body)


def simulated_hello() -> Hello:
    """Return what a simulated probe says when it is switched on."""
    deframer = Deframer()
    deframer.feed(DELIMITER)
    for body in deframer.feed(simulated_probe().advance_to(0.01, b"")):
        hello = message_in(body)
        if isinstance(hello, Hello):
            return hello
    raise AssertionError("a simulated probe said no HELLO when it was switched on")


async def play(address: MqttAddress, count: int) -> NoReturn:
    """Play ``count`` probes at their rates; say once a second how much was sent."""
    hello = simulated_hello()
    probes = [PlayedProbe(address, hello, number) for number in range(count)]
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        for probe in probes:
            group.create_task(probe.side.run())
        began_s = counted_s = loop.time()
        sent = 0
        print(f"playing {count} probes")
        for number in itertools.count():
            # One after the other, evenly over the period.
            await sleep_until(began_s + number * TELEMETRY_S / count)
            sent += probes[number % count].say_sample()
            now_s = loop.time()
            if now_s - counted_s >= 1.0:
                print(f"sent {sent / (now_s - counted_s):.0f}")
                sent, counted_s = 0, now_s
    raise AssertionError("the probes ended by themselves")


def main(url: str, count: str) -> None:
    """Play ``count`` probes at a site of a broker until killed."""
    address = MqttAddress.of(DeviceUrl.parse(url), site_only=True)
    with asyncio.Runner(loop_factory=RealTimeLoop) as runner:
        runner.run(play(address, int(count)))


if __name__ == "__main__":
    main(*sys.argv[1:])
