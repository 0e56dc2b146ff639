"""A probe on a cable, passed on to a broker; who passes frames on needs no key and is not trusted.

It can lose frames and delay them, and the deadlines, counters and leases inside them see to the
rest. When it dies, the probe's lease ends as with any cable that is pulled.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable
from typing import Final

from cryoctl_protocol.codec import SCHEMA_HASH, encode
from cryoctl_protocol.framing import build
from cryoctl_protocol.messages import ID_OF, PROTOCOL_MAJOR, PROTOCOL_MINOR, HelloHost
from cryoctl_protocol.mqtt.address import MqttAddress
from cryoctl_protocol.mqtt.device_side import DeviceSide
from cryoctl_protocol.peer import FrameLink, LinkError

REOPEN_S: Final = 0.5
GREET_S: Final = 1.0
"""Between two greetings to a probe that has not said who it is."""
WAITING_MAX: Final = 8
"""Bodies that may wait for the cable; the oldest gives way. The port itself puts STOP first."""


class Gateway:
    """Carries bodies between a stream link and a broker.

    Args:
        open_probe: Opens the probe's port; raises LinkError while it is not there.
        address: Broker and site; the probe is named by its serial number.
        tell: Called with a line for people.

    Attributes:
        up: Bodies of the probe that were passed on.
        down: Bodies of controllers that were passed on.
    """

    def __init__(
        self,
        open_probe: Callable[[], FrameLink],
        address: MqttAddress,
        tell: Callable[[str], None],
    ) -> None:
        self.up = 0
        self.down = 0
        self._open_probe = open_probe
        self._tell = tell
        self._link: FrameLink | None = None
        self._waiting: deque[bytes] = deque(maxlen=WAITING_MAX)
        self._something = asyncio.Event()
        self._greeted_s = float("-inf")
        self._side = DeviceSide(address, on_body=self._take, tell=lambda it: tell(f"broker {it}"))

    async def run(self, link: FrameLink) -> None:
        """Carry until cancelled; a port or a broker that goes is opened again.

        Args:
            link: The probe's port, open.
        """
        tasks = [asyncio.create_task(self._side.run()), asyncio.create_task(self._carry_down())]
        try:
            await self._carry_up(link)
        finally:
            await self._side.leave()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            if self._link is not None:
                self._link.abort()

    async def _carry_up(self, link: FrameLink) -> None:
        told = ""
        while True:
            self._link = link
            try:
                while True:
                    frame = await link.receive()
                    self.up += 1
                    told = ""
                    self._side.publish(frame.data)
                    await self._ask_who(link, frame.received_s)
            except LinkError as error:
                if str(error) != told:
                    told = str(error)
                    self._tell(told)
            self._link = None
            self._side.absent()
            link = await self._open_again()

    async def _ask_who(self, link: FrameLink, now_s: float) -> None:
        """Greet a probe that a session has; it says HELLO by itself only while there is none."""
        if self._side.is_there or now_s - self._greeted_s < GREET_S:
            return
        self._greeted_s = now_s
        nonce = secrets.randbits(64) | 1
        hello = HelloHost(PROTOCOL_MAJOR, PROTOCOL_MINOR, SCHEMA_HASH, nonce)
        await link.send(build(ID_OF[HelloHost], encode(hello), seq=0, session=0, key=None))

    async def _open_again(self) -> FrameLink:
        while True:
            await asyncio.sleep(REOPEN_S)
            try:
                link = await asyncio.to_thread(self._open_probe)
            except LinkError:
                continue
            self._waiting.clear()  # What was said to the port before this one is old.
            return link

    def _take(self, body: bytes) -> None:
        if self._link is not None:
            self._waiting.append(body)
            self._something.set()

    async def _carry_down(self) -> None:
        while True:
            await self._something.wait()
            self._something.clear()
            while self._waiting and self._link is not None:
                body = self._waiting.popleft()
                try:
                    await self._link.send(body)
                except LinkError:
                    break  # The reader sees it as well, and says so.
                self.down += 1
