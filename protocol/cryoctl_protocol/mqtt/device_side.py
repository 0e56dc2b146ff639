"""A probe on a broker: whoever serves one there, a simulator or a gateway, hands bodies in and out.

It passes frames through and is not trusted: it holds no key, so it can lose frames and delay them,
but it can forge none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from cryoctl_protocol.framing import BODY_SIZE_MAX, Parsed, message_of, parse
from cryoctl_protocol.messages import ID_OF, Hello, Vitals
from cryoctl_protocol.mqtt.address import MqttAddress
from cryoctl_protocol.mqtt.connection import BrokerConnection, Received, Will
from cryoctl_protocol.mqtt.json_tree import JsonTree
from cryoctl_protocol.mqtt.topics import (
    STATE_EXPIRY_S,
    Conn,
    Exchange,
    Leaf,
    Topics,
    answer_of,
    leaf_of,
    question_of,
    topic_name,
)
from cryoctl_protocol.peer import LinkError

AGAIN_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Between two attempts to reach the broker; the last one for ever."""
STATE_PERIOD_S: Final = 1.0
QUESTIONS_KEPT: Final = 16
_NOBODY: Final = (0, 0)


class DeviceSide:
    """One probe on one broker.

    Args:
        address: Broker and site; the probe's serial number is its name there.
        on_body: Called with each body that a controller sent, in order.
        tell: Called with a line for people when the connection comes or goes.

    Attributes:
        topics: Of the probe; None until it has said who it is.
        openings: Connections made so far.
        ignored: Publishes that were retained, oversized, or on a topic of no use.
    """

    def __init__(
        self,
        address: MqttAddress,
        *,
        on_body: Callable[[bytes], None],
        tell: Callable[[str], None],
    ) -> None:
        self.topics: Topics | None = None
        self.openings = 0
        self.ignored = 0
        self._address = address
        self._on_body = on_body
        self._tell = tell
        self._known = asyncio.Event()
        self._is_there = False
        self._boot_id = 0
        self._birth = b""
        self._connection: BrokerConnection | None = None
        self._asked: dict[Exchange, tuple[str, bytes | None]] = {}
        self._state_s = float("-inf")
        self._json = JsonTree()
        self._dropped = 0

    @property
    def is_there(self) -> bool:
        """True from the probe's HELLO on, until it is absent."""
        return self._is_there

    @property
    def connected(self) -> bool:
        """True while the broker is there."""
        return self._connection is not None and self._connection.connected

    @property
    def dropped(self) -> int:
        """Payloads that the broker did not take."""
        now = 0 if self._connection is None else self._connection.dropped
        return self._dropped + now

    async def run(self) -> None:
        """Serve until cancelled; a broker that is away is tried again and again."""
        await self._known.wait()
        failures, told = 0, ""
        while True:
            openings = self.openings
            connection = self._connect()
            try:
                await connection.run()
            except LinkError as error:
                if self.openings != openings:
                    failures, told = 0, ""
                if str(error) != told:
                    told = str(error)
                    self._tell(told)
            finally:
                self._dropped += connection.dropped
                self._connection = None
            await asyncio.sleep(AGAIN_S[min(failures, len(AGAIN_S) - 1)])
            failures += 1

    def publish(self, body: bytes) -> None:
        """Post a body that the probe sent."""
        parsed = parse(body)
        if not isinstance(parsed, Parsed):
            return
        hello = message_of(parsed) if parsed.message_id == ID_OF[Hello] else None
        if isinstance(hello, Hello):
            self._take_hello(hello, body)
        connection, topics = self._connection, self.topics
        if connection is None or topics is None:
            return
        self._post_json(connection, topics, parsed)
        leaf = leaf_of(parsed.message_id)
        if leaf is Leaf.ACK:
            # A greeting that answers nobody says that the probe has just started.
            answered = self._asked.get(answer_of(parsed) or _NOBODY)
            topic, correlation = answered or (topics.of(Leaf.EVENT), None)
            connection.post(topic, body, correlation=correlation)
            return
        connection.post(topics.of(leaf), body, qos=1 if leaf is Leaf.EVENT else 0)
        if parsed.message_id == ID_OF[Vitals]:
            self._keep_state(connection, topics, body)

    def absent(self) -> None:
        """Tell everybody that the probe is gone, until it says HELLO again."""
        self._is_there = False
        self._post_conn()

    def renew(self) -> None:
        """Give the connection up, with what the broker had on its way to us, for a new one."""
        if self._connection is not None:
            self._connection.hang_up()

    async def leave(self) -> None:
        """Leave the broker for good: a clean farewell has no will."""
        self.absent()
        if self._connection is not None:
            await self._connection.drain()

    # -- inside ----------------------------------------------------------------------------------

    def _take_hello(self, hello: Hello, body: bytes) -> None:
        is_new = not self._is_there or self._boot_id != hello.boot_id
        self._is_there, self._boot_id = True, hello.boot_id
        if is_new or hello.host_nonce == 0:
            self._birth = body
        if self.topics is None:
            self.topics = Topics(self._address.site, topic_name(hello))
            self._known.set()
        if is_new:
            self._asked.clear()
            self._tell_who()

    def _connect(self) -> BrokerConnection:
        assert self.topics is not None
        topics = self.topics
        self._connection = connection = BrokerConnection(
            self._address,
            identifier=f"cryo-{topics.site}-{topics.device}",
            subscribe=[(topics.of(Leaf.CMD), False), (topics.of(Leaf.LEASE), False)],
            on_message=self._on_message,
            on_connected=self._on_connected,
            will=Will(topics.of(Leaf.CONN), Conn(online=False, boot_id=self._boot_id).payload()),
        )
        return connection

    def _on_connected(self) -> None:
        self.openings += 1
        self._tell(f"at {self._address.broker}")
        self._tell_who()

    def _tell_who(self) -> None:
        if self._connection is not None and self.topics is not None and self._birth:
            topic = self.topics.of(Leaf.BIRTH)
            self._connection.post(topic, self._birth, qos=1, retain=True)
        self._post_conn()

    def _post_conn(self) -> None:
        if self._connection is not None and self.topics is not None:
            conn = Conn(self._is_there, self._boot_id).payload()
            self._connection.post(self.topics.of(Leaf.CONN), conn, qos=1, retain=True)

    def _post_json(self, connection: BrokerConnection, topics: Topics, parsed: Parsed) -> None:
        post = self._json.post_of(parsed, asyncio.get_running_loop().time())
        if post is not None:
            connection.post(topics.below(post.leaf), post.payload, retain=post.retain)

    def _keep_state(self, connection: BrokerConnection, topics: Topics, body: bytes) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s - self._state_s >= STATE_PERIOD_S:
            self._state_s = now_s
            topic = topics.of(Leaf.STATE)
            connection.post(topic, body, qos=1, retain=True, expiry_s=STATE_EXPIRY_S)

    def _on_message(self, message: Received) -> None:
        # Whoever subscribes anew gets what is retained: a freeze of last week, perhaps.
        if message.retained or len(message.payload) > BODY_SIZE_MAX:
            self.ignored += 1
            return
        parsed = parse(message.payload)
        if isinstance(parsed, Parsed):
            self._note_question(parsed, message)
        self._on_body(message.payload)

    def _note_question(self, parsed: Parsed, message: Received) -> None:
        question = question_of(parsed)
        if question is None or message.response_topic is None:
            return
        assert self.topics is not None
        # Only to controllers of this device: a stranger could have it speak anywhere else.
        if not self.topics.is_ack(message.response_topic):
            self.ignored += 1
            return
        self._asked.pop(question, None)
        self._asked[question] = message.response_topic, message.correlation
        while len(self._asked) > QUESTIONS_KEPT:
            del self._asked[next(iter(self._asked))]
