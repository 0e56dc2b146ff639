"""A probe on a cable, passed on to a broker; who passes frames on needs no key and is not trusted.

It can lose frames and delay them, and the deadlines, counters and leases inside them see to the
rest. When it dies, the probe's lease ends as with any cable that is pulled. A probe without them,
or one that everybody has the key of, is not passed on.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable
from typing import Final

from cryoctl_protocol.auth import DEMO_KEY_ID
from cryoctl_protocol.codec import SCHEMA_HASH, encode
from cryoctl_protocol.codes import Capability
from cryoctl_protocol.framing import Parsed, build, message_of, parse
from cryoctl_protocol.messages import (
    ID_OF,
    PROTOCOL_MAJOR,
    PROTOCOL_MINOR,
    Hello,
    HelloHost,
    unpadded,
)
from cryoctl_protocol.mqtt.address import MqttAddress
from cryoctl_protocol.mqtt.device_side import DeviceSide
from cryoctl_protocol.peer import FrameLink, LinkError, Reach

REOPEN_S: Final = 0.5
GREET_S: Final = 1.0
"""Between two greetings to a probe that has not said who it is."""
WAITING_MAX: Final = 8
"""Bodies that may wait for the cable; the oldest gives way. The port itself puts STOP first."""
_NEEDED: Final = (Capability.LEASE, Capability.AUTHENTICATION)


class ProbeRefusedError(LinkError):
    """A probe that must not be on a broker."""


def refusal_of(hello: Hello, reach: Reach) -> str | None:
    """Return why a probe must not be passed on to a broker; None if it may be.

    Args:
        hello: Who it says it is.
        reach: From where somebody could speak on its cable.
    """
    device = unpadded(hello.device_id)
    lacking = [need.name for need in _NEEDED if not hello.capabilities & need]
    if lacking:
        return (
            f"probe {device} has no {' and no '.join(map(str, lacking))}: at a broker anybody "
            "could command it, and nothing would end what was begun; command it on its cable"
        )
    if hello.key_id == DEMO_KEY_ID and reach is not Reach.COMPUTER:
        return (
            f"probe {device} has the public key alone, so anybody who reaches the broker could "
            f"command it. Give it one of its own: cryoctl keys new {device}, "
            f"cryoctl keys export {device} --out FILE"
        )
    return None


class Gateway:
    """Carries bodies between a stream link and a broker.

    Args:
        open_probe: Opens the probe's port; raises LinkError while it is not there.
        address: Broker and site; the probe is named by its serial number.
        tell: Called with a line for people.
        reach: From where somebody could speak on the probe's cable.

    Attributes:
        up: Bodies of the probe that were passed on.
        down: Bodies of controllers that were passed on.
    """

    def __init__(
        self,
        open_probe: Callable[[], FrameLink],
        address: MqttAddress,
        tell: Callable[[str], None],
        *,
        reach: Reach,
    ) -> None:
        self.up = 0
        self.down = 0
        self._open_probe = open_probe
        self._tell = tell
        self._reach = reach
        self._link: FrameLink | None = None
        self._waiting: deque[bytes] = deque(maxlen=WAITING_MAX)
        self._something = asyncio.Event()
        self._greeted_s = float("-inf")
        self._side = DeviceSide(address, on_body=self._take, tell=lambda it: tell(f"broker {it}"))

    async def run(self, link: FrameLink) -> None:
        """Carry until cancelled; a port or a broker that goes is opened again.

        Args:
            link: The probe's port, open.

        Raises:
            ProbeRefusedError: The probe must not be on a broker.
        """
        tasks = [
            asyncio.create_task(work)
            for work in (self._side.run(), self._carry_down(), self._carry_up(link))
        ]
        try:
            # None of them ends by itself; half a gateway would look like a whole one.
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
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
                    self._judge(frame.data)
                    self._side.publish(frame.data)
                    await self._ask_who(link, frame.received_s)
            except ProbeRefusedError:
                raise
            except LinkError as error:
                if str(error) != told:
                    told = str(error)
                    self._tell(told)
            self._link = None
            self._side.absent()
            link = await self._open_again()

    def _judge(self, body: bytes) -> None:
        parsed = parse(body)
        if not isinstance(parsed, Parsed) or parsed.message_id != ID_OF[Hello]:
            return
        hello = message_of(parsed)
        refusal = refusal_of(hello, self._reach) if isinstance(hello, Hello) else None
        if refusal is not None:
            raise ProbeRefusedError(refusal)

    async def _ask_who(self, link: FrameLink, now_s: float) -> None:
        """Greet a probe that a session has; it says HELLO by itself only while there is none."""
        if self._side.is_there or now_s - self._greeted_s < GREET_S:
            return
        self._greeted_s = now_s
        nonce = secrets.randbits(64) | 1
        hello = HelloHost(PROTOCOL_MAJOR, PROTOCOL_MINOR, SCHEMA_HASH, nonce)
        await link.send(build(ID_OF[HelloHost], encode(hello), seq=0, session=0, key=None))

    async def _open_again(self) -> FrameLink:
        told = ""
        while True:
            await asyncio.sleep(REOPEN_S)
            try:
                link = await asyncio.to_thread(self._open_probe)
            except Exception as error:  # noqa: BLE001  # Also a file that is gone for a moment.
                if str(error) != told:
                    told = str(error)
                    self._tell(f"not there again: {told}")
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
