"""An MQTT broker as the place where a served probe's bytes come out. Nothing here blocks."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from cryoctl_protocol.framing import DELIMITER, Deframer, wrap
from cryoctl_protocol.link_limits import MQTT_LIMITS
from cryoctl_protocol.mqtt.address import MqttAddress
from cryoctl_protocol.mqtt.connection import tls_context
from cryoctl_protocol.mqtt.device_side import DeviceSide

WAITING_MAX: Final = 16
"""Bodies that may wait for the probe's next tick; the oldest gives way."""
STOPPED_S: Final = MQTT_LIMITS.lost_s
"""A probe that took nothing for so long was stopped, and its clock with it: what came meanwhile
would seem fresh, wherever between broker and probe it waits. Its controller has given it up."""
JOIN_S: Final = 5.0


class MqttEndpoint:
    """A broker that any number of controllers may be at; the probe obeys one of them.

    The connection lives in a thread with a loop of its own: a broker that stands still must not
    hold up the probe.

    Args:
        address: Broker and site.
        name: The probe's serial number.
        tell: Called, from that thread, with a line for people when the connection comes or goes.

    Raises:
        AddressError: Certificate files that cannot be used.
    """

    def __init__(self, address: MqttAddress, name: str, tell: Callable[[str], None]) -> None:
        tls_context(address)  # Here somebody hears of a mistake; in the thread nobody does.
        self.address = str(address._replace(device=name))
        self.refused = 0
        self._deframer = Deframer()
        self._waiting: deque[bytes] = deque(maxlen=WAITING_MAX)
        self._loop = asyncio.SelectorEventLoop()
        self._leaving = asyncio.Event()
        self._failure: BaseException | None = None
        self._taken_s = float("inf")
        self._deaf_until = 0
        """Number of the connection before which nothing is taken."""
        self._side = DeviceSide(address, on_body=self._waiting.append, tell=tell)
        self._thread = threading.Thread(target=self._serve, name="mqtt", daemon=True)
        self._thread.start()

    @property
    def openings(self) -> int:
        """Connections to the broker so far."""
        return self._side.openings

    @property
    def dropped_bytes(self) -> int:
        """Payloads that the broker did not take."""
        return self._side.dropped

    def poll(self) -> bool:
        """Return True: a probe need not know who listens at its broker.

        Raises:
            BaseException: What ended the serving, which nothing should: else the probe would run on
                with nobody at its broker.
        """
        if self._failure is not None:
            raise self._failure
        return True

    def take(self) -> bytes:
        """Return what has arrived, as it would stand on a line."""
        now_s = self._loop.time()
        if now_s - self._taken_s > STOPPED_S:
            self._deaf_until = self._side.openings + 1
            self._loop.call_soon_threadsafe(self._side.renew)
        self._taken_s = now_s
        bodies = []
        with contextlib.suppress(IndexError):
            while True:
                bodies.append(self._waiting.popleft())
        if not bodies or self._side.openings < self._deaf_until:
            return b""
        return DELIMITER + b"".join(map(wrap, bodies))

    def put(self, data: bytes) -> None:
        """Post the frames that ``data`` completes."""
        for body in self._deframer.feed(data):
            self._loop.call_soon_threadsafe(self._side.publish, body)

    def close(self) -> None:
        """Leave the broker, which tells everybody that the probe is gone."""
        self._loop.call_soon_threadsafe(self._leaving.set)
        self._thread.join(JOIN_S)

    def _serve(self) -> None:
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._until_left())

    async def _until_left(self) -> None:
        serving = self._loop.create_task(self._side.run())
        serving.add_done_callback(self._on_served)
        await self._leaving.wait()
        await self._side.leave()
        serving.cancel()
        await asyncio.wait([serving])

    def _on_served(self, serving: asyncio.Task[None]) -> None:
        self._failure = None if serving.cancelled() else serving.exception()
