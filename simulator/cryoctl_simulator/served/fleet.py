"""Many simulated probes at one broker, in one process and on one loop, each with its connection.

Each is a whole probe: firmware, plant, sensors, session. What is spared is the broker: a probe that
nobody commands says telemetry a few times a second instead of fifty.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from cryoctl_protocol.framing import DELIMITER, Deframer, wrap
from cryoctl_protocol.link_limits import MQTT_LIMITS
from cryoctl_protocol.messages import ID_OF, Telemetry, Vitals
from cryoctl_protocol.mqtt.address import MqttAddress
from cryoctl_protocol.mqtt.connection import tls_context
from cryoctl_protocol.mqtt.device_side import DeviceSide
from cryoctl_protocol.peer import AddressError
from cryoctl_simulator.device import TICKS_PER_S, SimulatedDevice
from cryoctl_simulator.served.mqtt_endpoint import WAITING_MAX
from cryoctl_simulator.served.server import LATE_TICKS_MAX, TICK_S

TELEMETRY_PERIOD_S: Final = 0.2
"""Of a probe that nobody commands: 5 Hz."""
VITALS_PERIOD_S: Final = 1.0
"""Of the same: as often as the broker is given a state to retain."""
COMMANDED_S: Final = 2.0
"""For so long after the last byte for it a probe says all of its telemetry."""
CONNECTS_PER_S: Final = 20.0
"""A broker takes a crowd that comes at once for an attack, or for dead."""
_TELEMETRY: Final = ID_OF[Telemetry]
_NEVER_S: Final = float("-inf")


class FleetProbe:
    """One probe of a fleet at its broker.

    Args:
        device: In virtual time; the fleet moves it.
        address: Broker and site.
        period_s: Between two telemetry frames while nobody commands it.
        tell: Called with a line for people when the connection comes or goes.
    """

    def __init__(
        self,
        device: SimulatedDevice,
        address: MqttAddress,
        *,
        period_s: float,
        tell: Callable[[str], None],
    ) -> None:
        self.device = device
        self.side = DeviceSide(address, on_body=self._take, tell=tell)
        self._periods_s = {_TELEMETRY: period_s, ID_OF[Vitals]: VITALS_PERIOD_S}
        self._said_s = dict.fromkeys(self._periods_s, _NEVER_S)
        self._waiting: deque[bytes] = deque(maxlen=WAITING_MAX)
        self._deframer = Deframer()
        self._deframer.feed(DELIMITER)
        self._commanded_s = _NEVER_S
        self._deaf_until = 0

    def tick(self, now_s: float) -> int:
        """Move the probe to ``now_s`` of its own time; return how many telemetry frames it said."""
        incoming = b""
        if self._waiting:
            incoming = DELIMITER + b"".join(map(wrap, self._waiting))
            self._waiting.clear()
            self._commanded_s = now_s
        sent = self.device.advance_to(now_s, incoming)
        return sum(self._say(body, now_s) for body in self._deframer.feed(sent)) if sent else 0

    def forget(self, *, renew: bool) -> None:
        """Lose what came while its clock stood still; ``renew`` also what the broker still has."""
        self._waiting.clear()
        if renew:
            self._deaf_until = self.side.openings + 1
            self.side.renew()

    def _take(self, body: bytes) -> None:
        if self.side.openings >= self._deaf_until:
            self._waiting.append(body)

    def _say(self, body: bytes, now_s: float) -> int:
        message_id = body[1]
        period_s = self._periods_s.get(message_id)
        if period_s is not None and now_s - self._commanded_s > COMMANDED_S:
            if now_s - self._said_s[message_id] < period_s - TICK_S / 2:  # Times are rounded.
                return 0
            self._said_s[message_id] = now_s
        self.side.publish(body)
        return int(message_id == _TELEMETRY)


class FleetServer:
    """Probes at a broker, all moved by one clock.

    Args:
        probes: Theirs; none with a research profile.

    Raises:
        AddressError: A research profile, or certificate files that cannot be used.

    Attributes:
        lost_ticks: Ticks that the machine was too busy for.
        telemetry: Frames said.
    """

    def __init__(self, probes: Sequence[FleetProbe], address: MqttAddress) -> None:
        if any(probe.device.research for probe in probes):
            raise AddressError("a research profile is served at no port: run it in process")
        tls_context(address)  # Here somebody hears of a mistake; in a task nobody does.
        self.lost_ticks = 0
        self.telemetry = 0
        self._probes = probes
        self._ticks = 0

    @property
    def now_s(self) -> float:
        """Time of the probes since they were started."""
        return self._ticks / TICKS_PER_S

    @property
    def connected(self) -> int:
        """How many probes are at the broker."""
        return sum(probe.side.connected for probe in self._probes)

    @property
    def dropped(self) -> int:
        """Payloads that the broker did not take."""
        return sum(probe.side.dropped for probe in self._probes)

    async def run(self, until: Callable[[], bool]) -> None:
        """Serve until ``until`` returns True; it is asked with every tick."""
        async with asyncio.TaskGroup() as group:
            serving = [
                group.create_task(self._serve(probe, number / CONNECTS_PER_S))
                for number, probe in enumerate(self._probes)
            ]
            await self._tick_until(until)
            await asyncio.gather(*(probe.side.leave() for probe in self._probes))
            for task in serving:
                task.cancel()

    async def _serve(self, probe: FleetProbe, after_s: float) -> None:
        await asyncio.sleep(after_s)
        await probe.side.run()

    async def _tick_until(self, until: Callable[[], bool]) -> None:
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while not until():
            due_s += TICK_S
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            late_s = loop.time() - due_s
            if late_s > LATE_TICKS_MAX * TICK_S:
                self.lost_ticks += round(late_s / TICK_S)
                due_s += late_s
                for probe in self._probes:
                    probe.forget(renew=late_s > MQTT_LIMITS.lost_s)
            self._ticks += 1
            now_s = self.now_s
            for probe in self._probes:
                self.telemetry += probe.tick(now_s)
