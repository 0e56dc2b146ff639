"""A probe on an MQTT broker as a frame link."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections import deque
from typing import Final

from cryoctl_protocol.codec import encode
from cryoctl_protocol.framing import BODY_SIZE_MAX, Parsed, build, message_in, parse
from cryoctl_protocol.link_limits import MQTT_LIMITS
from cryoctl_protocol.messages import ID_OF, Hello, HelloHost, Stop
from cryoctl_protocol.mqtt.address import MqttAddress
from cryoctl_protocol.mqtt.connection import BrokerConnection, Received
from cryoctl_protocol.mqtt.topics import (
    COMMAND_EXPIRY_S,
    Conn,
    Leaf,
    leaf_of,
    question_of,
    topic_name,
)
from cryoctl_protocol.peer import DeviceUrl, Frame, LinkError, Opened, Reach

HEARD_S: Final = 3.0
"""A probe sends VITALS every 200 ms; its birth and conn are there as soon as one subscribes."""
ANSWERED_S: Final = 3.0
"""A greeting is said again every 200 ms; a probe answers each, even while another holds it."""
CONNECT_S: Final = 3.0
_ANOTHERS_NONCE: Final = 2**64 - 1
FRAMES_MAX: Final = 64
"""Frames that may wait to be taken; the oldest gives way: the newest sample is what counts."""


def open_link(url: DeviceUrl) -> Opened:
    """Open ``mqtt[s]://HOST[:PORT]/SITE/DEVICE[?user=NAME&ca=FILE&cert=FILE&key=FILE]``.

    Raises:
        AddressError: Not such an address.
        LinkError: Nobody listens there.
    """
    address = MqttAddress.of(url)
    try:
        socket.create_connection((address.host, address.port), timeout=CONNECT_S).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise LinkError(
            f"device {url}: {reason}; does a broker listen at {address.broker}?"
        ) from error
    return Opened(
        description=f"MQTT {address}",
        link=MqttLink(address),
        limits=MQTT_LIMITS,
        reach=Reach.COMPUTER if address.is_local else Reach.NETWORK,
    )


class MqttLink:
    """Frames to and from one device on one broker, over one connection.

    Attributes:
        line_errors: Always 0: a broker delivers whole payloads.
        dropped_frames: Frames that came faster than they were taken.
    """

    def __init__(self, address: MqttAddress) -> None:
        self.line_errors = 0
        self.dropped_frames = 0
        self._address = address
        self._topics = address.topics
        self._run_name = f"cryoctl-{secrets.token_hex(4)}"
        self._answers = self._topics.ack(address.user or "anyone", self._run_name)
        self._where = f"broker {address.broker}, {address.site}/{address.device}"
        self._frames: deque[Frame] = deque(maxlen=FRAMES_MAX)
        self._conn: Conn | None = None
        self._heard = False
        self._greeted = False
        self._answered = False
        self._lost = ""
        self._waiter: asyncio.Future[None] | None = None
        self._running: asyncio.Task[None] | None = None
        self._connection: BrokerConnection | None = None

    # -- FrameLink -------------------------------------------------------------------------------

    async def send(self, data: bytes) -> None:
        """Post one frame; raises LinkError when the broker is gone.

        What is sent before the connection stands is lost: everything is said again.
        """
        connection = self._start()
        self._check()
        parsed = parse(data)
        assert isinstance(parsed, Parsed)
        question = question_of(parsed)
        if connection.connected and parsed.message_id == ID_OF[HelloHost] and not self._greeted:
            self._greeted = True
            asyncio.get_running_loop().call_later(ANSWERED_S, self._give_up_unanswered)
        connection.post(
            self._topics.of(leaf_of(parsed.message_id)),
            data,
            expiry_s=COMMAND_EXPIRY_S,
            response_topic=self._answers,
            correlation=None if question is None else question[1].to_bytes(8, "little"),
            urgent=parsed.message_id == ID_OF[Stop],
        )

    async def receive(self) -> Frame:
        """Wait for the next frame; raises LinkError when broker or probe is not there."""
        self._start()
        while not self._frames:
            self._check()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._frames.popleft()

    async def close(self) -> None:
        """Say farewell to the broker; one that does not answer is left after a moment."""
        running = self._running
        self.abort()
        if running is not None:
            await asyncio.wait([running])

    def abort(self) -> None:
        """Give the connection up."""
        self._lose("closed")
        if self._running is not None:
            self._running.cancel()

    # -- inside ----------------------------------------------------------------------------------

    def _start(self) -> BrokerConnection:
        if self._connection is None:
            self._connection = BrokerConnection(
                self._address,
                identifier=self._run_name,
                subscribe=[
                    (self._topics.of(Leaf.CONN), True),
                    (self._topics.of(Leaf.BIRTH), True),
                    (self._topics.of(Leaf.TELE), False),
                    (self._topics.of(Leaf.EVENT), False),
                    (self._answers, False),
                ],
                on_message=self._on_message,
                on_connected=self._on_connected,
            )
            self._running = asyncio.get_running_loop().create_task(self._run(self._connection))
        return self._connection

    async def _run(self, connection: BrokerConnection) -> None:
        try:
            await connection.run()
        except LinkError as error:
            self._lose(str(error))

    def _on_connected(self) -> None:
        asyncio.get_running_loop().call_later(HEARD_S, self._give_up_unheard)

    def _on_message(self, message: Received) -> None:
        if message.topic == self._topics.of(Leaf.CONN):
            self._conn = Conn.parse(message.payload)
            return
        if len(message.payload) > BODY_SIZE_MAX or self._is_anothers(message.payload):
            return
        if message.topic == self._topics.of(Leaf.BIRTH):
            self._hand_over(_as_told_to_another(message.payload))
            return
        if message.retained:
            return
        self._heard = True
        self._answered = self._answered or message.topic == self._answers
        self._hand_over(message.payload)

    def _is_anothers(self, body: bytes) -> bool:
        """Give the link up if this is the HELLO of another probe than the address names."""
        hello = message_in(body)
        if not isinstance(hello, Hello) or topic_name(hello) == self._address.device:
            return False
        self._lose(f"{self._where}: there answers another probe, {topic_name(hello)}")
        return True

    def _hand_over(self, body: bytes) -> None:
        if len(self._frames) == FRAMES_MAX:
            self.dropped_frames += 1
        self._frames.append(Frame(body, asyncio.get_running_loop().time()))
        self._wake()

    def _give_up_unheard(self) -> None:
        if not self._heard and not self._lost:
            self._lose(self._describe_silence())

    def _give_up_unanswered(self) -> None:
        # A broker does not say that it refuses: no answer is all there is to see of that.
        if self._heard and not self._answered:
            user = self._address.user
            name = "without ?user=NAME nobody knows who asks" if user is None else f"user {user}"
            self._lose(
                f"{self._where}: the probe is heard, but did not answer in {ANSWERED_S:g} s; this "
                f"user may not write to its cmd, or not read its ack/{user or 'anyone'}/# ({name}):"
                " see the broker's ACL"
            )

    def _describe_silence(self) -> str:
        where = self._where
        if self._conn is None:
            return (
                f"{where}: no such probe: it was never here, its name is another, or this user may "
                "not read its topics"
            )
        if not self._conn.online:
            return f"{where}: the probe is offline: not switched on, or without its network"
        return (
            f"{where}: the probe is said to be online, but was not heard in {HEARD_S:g} s; it may "
            "have stopped, or this user may not read its telemetry"
        )

    def _lose(self, reason: str) -> None:
        if not self._lost:
            self._lost = reason
            self._wake()

    def _check(self) -> None:
        if self._lost:
            raise LinkError(self._lost)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _as_told_to_another(birth: bytes) -> bytes:
    """Return the birth of a probe as a HELLO that answers somebody else.

    Who only looks on gets no other HELLO. As it was posted it would say that the probe has just
    started, however long ago that was, and a controller would trip.
    """
    hello = message_in(birth)
    if not isinstance(hello, Hello):
        return birth
    told = encode(hello._replace(host_nonce=_ANOTHERS_NONCE))
    return build(ID_OF[Hello], told, seq=0, session=0, key=None)
