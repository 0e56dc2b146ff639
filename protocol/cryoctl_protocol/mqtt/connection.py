"""One connection to a broker, from CONNECT to its end; a new one for every attempt.

The client library resends its own queue when the same client connects again (paho #733): a freeze
asked for minutes ago would be delivered. So a client here lives for one connection, and everything
that may move a probe goes with QoS 0.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import aiomqtt
from aiomqtt.exceptions import MqttCodeError, MqttConnectError
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from cryoctl_protocol.mqtt.address import MqttAddress
from cryoctl_protocol.mqtt.topics import CONTENT_TYPE
from cryoctl_protocol.peer import AddressError, LinkError

if TYPE_CHECKING:
    from paho.mqtt.client import SocketLike

TIMEOUT_S: Final = 3.0
"""For whatever a broker has to answer."""
KEEP_ALIVE_S: Final = 2
"""A broker that stands still is noticed after 4 s; leases and telemetry are what guards a probe."""
UNSENT_MAX: Final = 8
"""Payloads that may wait for a stalled broker: more would be old when they get there."""
_SEND_BUFFER: Final = 16_384
"""Bytes the kernel may hold for a stalled broker; its own choice is some megabytes."""
_SOCKET_OPTIONS: Final = (
    # A lease or a STOP must not wait for company (Nagle): 44 ms to 92 ms on loopback.
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER),
)
_TAKEN_OVER: Final = 142
"""MQTT 5, 2.4: session taken over."""
_NO_RETAINED: Final = 2
_NEW_RETAINED: Final = 0
_LOG: Final = logging.getLogger(__name__)
_LOG.setLevel(logging.CRITICAL)  # What the client has to say comes as an error, too.


class TakenOverError(LinkError):
    """Another client has come under our name, and the broker has thrown us out."""


class Received(NamedTuple):
    """One publish as it came from the broker."""

    topic: str
    payload: bytes
    retained: bool
    response_topic: str | None
    correlation: bytes | None


class Will(NamedTuple):
    """What the broker says of us, retained, when we are gone without a farewell."""

    topic: str
    payload: bytes


class BrokerConnection:
    """One connection to a broker.

    Args:
        address: Broker and how to get in.
        identifier: Ours; a second client of this name throws the first one out.
        subscribe: Topics to hear, each with True if what is retained there is wanted, too.
        on_message: Called with each publish that comes, in order.
        on_connected: Called when subscribed.
        will: What the broker says when we are gone.

    Attributes:
        connected: True from ``on_connected`` on.
        dropped: Payloads that were not sent, because the broker did not take what came before.
    """

    def __init__(
        self,
        address: MqttAddress,
        *,
        identifier: str,
        subscribe: Sequence[tuple[str, bool]],
        on_message: Callable[[Received], None],
        on_connected: Callable[[], None],
        will: Will | None = None,
    ) -> None:
        self.connected = False
        self.dropped = 0
        self._address = address
        self._identifier = identifier
        self._subscribe = subscribe
        self._on_message = on_message
        self._on_connected = on_connected
        self._posts: set[asyncio.Task[None]] = set()
        self._unsent = 0
        self._client = aiomqtt.Client(
            address.host,
            address.port,
            identifier=identifier,
            username=address.user,
            password=address.password,
            logger=_LOG,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=True,
            properties=_connect_properties(),
            keepalive=KEEP_ALIVE_S,
            timeout=TIMEOUT_S,
            tls_context=tls_context(address),
            socket_options=_SOCKET_OPTIONS,
            will=None
            if will is None
            else aiomqtt.Will(will.topic, will.payload, qos=1, retain=True),
        )
        self._loop = asyncio.get_running_loop()
        self._inner = self._client._client  # noqa: SLF001 (aiomqtt leaves these two things undone)
        self._inner.on_socket_register_write = self._on_want_room

    async def run(self) -> None:
        """Stay connected until cancelled; raises LinkError when that cannot be, or ends."""
        try:
            async with self._client:
                await self._client.subscribe(
                    [
                        (
                            topic,
                            SubscribeOptions(
                                qos=1,
                                retainHandling=_NEW_RETAINED if retained else _NO_RETAINED,
                                retainAsPublished=True,
                            ),
                        )
                        for topic, retained in self._subscribe
                    ]
                )
                self.connected = True
                self._on_connected()
                async for message in self._client.messages:
                    self._on_message(_received(message))
        except (aiomqtt.MqttError, OSError) as error:
            raise self._told(error) from error
        finally:
            self.connected = False
            for post in self._posts:
                post.cancel()
            self.hang_up()

    def post(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 0,
        retain: bool = False,
        expiry_s: int | None = None,
        response_topic: str | None = None,
        correlation: bytes | None = None,
        urgent: bool = False,
    ) -> None:
        """Send in the order of the calls; nothing is kept for later.

        Args:
            topic: Where to.
            payload: What.
            qos: 1 has the broker confirm; nobody here waits for that.
            retain: Whether the broker keeps it for who comes later.
            expiry_s: After that the broker delivers it to nobody.
            response_topic: Where an answer should go.
            correlation: What an answer should carry.
            urgent: Send though others still wait.
        """
        if not self.connected or (self._unsent >= UNSENT_MAX and not urgent):
            self.dropped += 1
            return
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.ContentType = CONTENT_TYPE
        if expiry_s is not None:
            properties.MessageExpiryInterval = expiry_s
        if response_topic is not None:
            properties.ResponseTopic = response_topic
        if correlation is not None:
            properties.CorrelationData = correlation
        self._unsent += 1
        task = self._loop.create_task(
            self._publish(topic, payload, qos=qos, retain=retain, properties=properties)
        )
        self._posts.add(task)
        task.add_done_callback(self._posted)

    async def drain(self) -> None:
        """Wait until the broker has taken what was posted, or has had its time."""
        if self._posts:
            await asyncio.wait(self._posts, timeout=TIMEOUT_S)

    async def _publish(
        self, topic: str, payload: bytes, *, qos: int, retain: bool, properties: Properties
    ) -> None:
        # An error shows at the connection itself; what was to be sent is void by then.
        with contextlib.suppress(aiomqtt.MqttError, ValueError):
            await self._client.publish(topic, payload, qos, retain, properties)

    def hang_up(self) -> None:
        """Close the connection without a farewell.

        A client that is cancelled, or hears nothing, in mid-connect leaves it open: it would stand
        as soon as the broker moves again, and keep itself alive.
        """
        inner = self._inner
        inner.on_socket_open = _refuse_socket  # A thread may still be about to open one.
        opened = inner.socket()
        if isinstance(opened, socket.socket):
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(ValueError):  # The loop is asked about a number that has gone.
                inner.loop_read()

    def _told(self, error: Exception) -> LinkError:
        """Return what an error comes to, for people."""
        where = f"broker {self._address.broker}"
        cause = error.__cause__  # Why a connection ended that stood.
        if isinstance(cause, MqttCodeError) and getattr(cause.rc, "value", None) == _TAKEN_OVER:
            return TakenOverError(
                f"{where}: another client has come under our name, {self._identifier}; a simulator "
                "or a gateway with the same serial number? End one of them"
            )
        if isinstance(error, MqttConnectError):
            return LinkError(f"{where}: refused: {error}; check user, password and certificate")
        if isinstance(cause, MqttCodeError):
            return LinkError(f"{where}: the connection ended: {cause}")
        text = str(error) or type(error).__name__
        if "timed out" in text.lower():
            return LinkError(f"{where}: no answer in {TIMEOUT_S:g} s{_hint(self._address)}")
        return LinkError(f"{where}: {text}")

    def _on_want_room(self, _client: object, _userdata: object, opened: SocketLike) -> None:
        # From the thread that connects, too.
        self._loop.call_soon_threadsafe(self._watch_for_room, opened)

    def _watch_for_room(self, opened: SocketLike) -> None:
        # It may be closed meanwhile: its number is nobody's then, or somebody else's.
        if opened.fileno() >= 0:
            self._loop.add_writer(opened.fileno(), self._write)

    def _write(self) -> None:
        try:
            self._inner.loop_write()
        except OSError:
            self.hang_up()

    def _posted(self, task: asyncio.Task[None]) -> None:
        self._unsent -= 1
        self._posts.discard(task)


def _refuse_socket(_client: object, _userdata: object, opened: object) -> None:
    assert isinstance(opened, socket.socket)
    opened.close()


def _connect_properties() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = 0  # Nothing is kept for whoever is away.
    return properties


def tls_context(address: MqttAddress) -> ssl.SSLContext | None:
    """Return what an address says of certificates; None without TLS.

    Raises:
        AddressError: A file that is none, or a key that does not belong to its certificate.
    """
    if not address.tls:
        return None
    try:
        context = ssl.create_default_context(cafile=address.ca)
        if address.cert is not None:
            context.load_cert_chain(address.cert, address.key)
    except (OSError, ssl.SSLError) as error:
        raise AddressError(f"device {address}: ca, cert or key: {error}") from error
    return context


def _received(message: aiomqtt.Message) -> Received:
    properties = message.properties
    return Received(
        str(message.topic),
        bytes(message.payload),
        message.retain,
        getattr(properties, "ResponseTopic", None),
        getattr(properties, "CorrelationData", None),
    )


def _hint(address: MqttAddress) -> str:
    """Return what may be behind a broker's silence."""
    if not address.tls:
        return "; if its port is one for TLS: mqtts:// and ?ca=FILE"
    if address.cert is None:
        return "; it may want a certificate: ?cert=FILE&key=FILE"
    return "; it may not know our certificate"
