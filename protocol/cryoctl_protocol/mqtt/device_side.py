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
from cryoctl_protocol.mqtt.connection import BrokerConnection, Received, TakenOverError, Will
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
TAKEN_OVER_S: Final = 10.0
"""After another client has come under our name: at once would throw that one out in turn."""
STOOD_S: Final = 5.0
THROWN_OFF_MAX: Final = 10
"""Connections that ended within ``STOOD_S`` each, with none refused in between, until it is clear
that somebody takes our name: mosquitto 2.0.11 does not say so (reason 142)."""
STATE_PERIOD_S: Final = 1.0
QUESTIONS_KEPT: Final = 16
ASKERS_MAX: Final = 4
"""A controller that comes back asks from another topic; whoever copies a question does, too."""
_NOBODY: Final = (0, 0)


class _Attempts:
    """How long to wait before the next connection, by how the ones before it ended.

    Attributes:
        pause_s: So long.
    """

    def __init__(self) -> None:
        self.pause_s = AGAIN_S[0]
        self._failures = 0
        self._thrown_off = 0

    @property
    def suspicion(self) -> str:
        """What may be behind the last end, for people."""
        if self._thrown_off < THROWN_OFF_MAX:
            return ""
        return (
            f"; {self._thrown_off} times, each within seconds: does a second simulator or gateway "
            f"serve this probe? End one of them. Next try in {TAKEN_OVER_S:g} s"
        )

    def on_end(self, stood_s: float | None, error: LinkError) -> None:
        """Take note that a connection ended after ``stood_s``; None if it never stood."""
        if stood_s is None:
            self._thrown_off = 0
            self.pause_s = AGAIN_S[min(self._failures, len(AGAIN_S) - 1)]
            self._failures += 1
            return
        self._failures = 1
        self._thrown_off = self._thrown_off + 1 if stood_s < STOOD_S else 1
        is_taken = isinstance(error, TakenOverError) or self._thrown_off >= THROWN_OFF_MAX
        self.pause_s = TAKEN_OVER_S if is_taken else AGAIN_S[0]


class DeviceSide:
    """One probe on one broker.

    Args:
        address: Broker and site; the probe's serial number is its name there.
        on_body: Called with each body that a controller sent, in order.
        tell: Called with a line for people when the connection comes or goes.

    Attributes:
        topics: Of the probe; None until it has said who it is.
        openings: Connections made so far.
        ignored: Publishes that were retained, oversized, or on or for a topic of no use.
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
        self._asked: dict[Exchange, dict[str, bytes | None]] = {}
        """Where each question is to be answered, with what the answer carries."""
        self._opened_s = float("-inf")
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
        loop = asyncio.get_running_loop()
        attempts, told = _Attempts(), ""
        while True:
            openings = self.openings
            try:
                await self._serve()
            except LinkError as error:
                has_stood = self.openings != openings
                attempts.on_end(loop.time() - self._opened_s if has_stood else None, error)
                line = str(error) + (attempts.suspicion if has_stood else "")
                if has_stood or line != told:
                    told = line
                    self._tell(told)
            await asyncio.sleep(attempts.pause_s)

    def publish(self, body: bytes) -> None:
        """Post a body that the probe sent; nothing before it has said who it is."""
        parsed = parse(body)
        if not isinstance(parsed, Parsed):
            return
        hello = message_of(parsed) if parsed.message_id == ID_OF[Hello] else None
        if isinstance(hello, Hello):
            self._take_hello(hello, body)
        connection, topics = self._connection, self.topics
        if connection is None or topics is None or not self._is_there:
            return
        self._post_json(connection, topics, parsed)
        leaf = leaf_of(parsed.message_id)
        if leaf is Leaf.ACK:
            # A greeting that answers nobody says that the probe has just started.
            askers = self._asked.get(answer_of(parsed) or _NOBODY, {topics.of(Leaf.EVENT): None})
            for topic, correlation in askers.items():
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
        self._take_name(topic_name(hello))
        if is_new:
            self._asked.clear()
            self._tell_who()

    def _take_name(self, name: str) -> None:
        """Be the probe of this name; where it was another one, the broker says that it is gone."""
        if self.topics is not None and self.topics.device == name:
            return
        if self.topics is not None:
            self._tell(
                f"another probe is on the line: {name}, not {self.topics.device}; coming back "
                "under its name"
            )
        self.topics = Topics(self._address.site, name)
        self._known.set()
        if self._connection is not None:
            # Without a farewell: the will says of the former one that it is offline.
            self._connection.hang_up()
            self._connection = None

    async def _serve(self) -> None:
        """Be at the broker until that ends; raises LinkError, also if it cannot begin."""
        connection = self._connect()
        try:
            await connection.run()
        finally:
            self._dropped += connection.dropped
            if self._connection is connection:
                self._connection = None

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
        self._opened_s = asyncio.get_running_loop().time()
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
        assert self.topics is not None
        is_ours = message.topic in (self.topics.of(Leaf.CMD), self.topics.of(Leaf.LEASE))
        if message.retained or len(message.payload) > BODY_SIZE_MAX or not is_ours:
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
        askers = self._asked.setdefault(question, {})
        if message.response_topic in askers or len(askers) < ASKERS_MAX:
            # Nobody here can tell a question from its copy: no copy takes the answer away.
            askers[message.response_topic] = message.correlation
        while len(self._asked) > QUESTIONS_KEPT:
            del self._asked[next(iter(self._asked))]
