"""Which topic carries what. No client, no broker: names and properties alone.

```
cryo/1/SITE/DEVICE/birth         device, retained         HELLO: who it is, what it has
cryo/1/SITE/DEVICE/conn          device, retained, will   {"online": true, "boot_id": 7}
cryo/1/SITE/DEVICE/state         device, retained, 10 s   VITALS
cryo/1/SITE/DEVICE/tele          device                   TELEMETRY, VITALS, vendor frames
cryo/1/SITE/DEVICE/event         device                   EVENT, DONE
cryo/1/SITE/DEVICE/ack/USER/RUN  device                   HELLO and ACK to one controller
cryo/1/SITE/DEVICE/cmd           controllers, 1 s         HELLO_HOST, COMMAND, STOP
cryo/1/SITE/DEVICE/lease         controllers, 1 s         LEASE
```

USER is who a controller is to the broker, so that an ACL can keep answers from others; RUN differs
from one connection to the next.
"""

from __future__ import annotations

import json
import re
from enum import StrEnum
from typing import Final, NamedTuple

from cryoctl_protocol.framing import Parsed, message_of
from cryoctl_protocol.messages import (
    ID_OF,
    Ack,
    Command,
    Done,
    Event,
    Hello,
    HelloHost,
    Lease,
    Stop,
)

ROOT: Final = "cryo/1"
CONTENT_TYPE: Final = "application/vnd.cryoctl.v1"
COMMAND_EXPIRY_S: Final = 1
"""A broker's seconds are whole; what it delivers late, the deadline in the message itself voids."""
STATE_EXPIRY_S: Final = 10
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""Of a site, device or user: one level of a topic, without wildcards."""


class Leaf(StrEnum):
    """The last level of a device's topics."""

    BIRTH = "birth"
    CONN = "conn"
    STATE = "state"
    TELE = "tele"
    EVENT = "event"
    ACK = "ack"
    CMD = "cmd"
    LEASE = "lease"


_LEAF_OF_ID: Final = {
    ID_OF[Event]: Leaf.EVENT,
    ID_OF[Done]: Leaf.EVENT,
    ID_OF[Hello]: Leaf.ACK,
    ID_OF[Ack]: Leaf.ACK,
    ID_OF[HelloHost]: Leaf.CMD,
    ID_OF[Command]: Leaf.CMD,
    ID_OF[Stop]: Leaf.CMD,
    ID_OF[Lease]: Leaf.LEASE,
}


class Topics(NamedTuple):
    """The topics of one device."""

    site: str
    device: str

    def of(self, leaf: Leaf) -> str:
        """Return the topic of ``leaf``."""
        return f"{ROOT}/{self.site}/{self.device}/{leaf}"

    def below(self, leaf: str) -> str:
        """Return the topic of whatever else stands below the device."""
        return f"{ROOT}/{self.site}/{self.device}/{leaf}"

    def ack(self, user: str, run: str) -> str:
        """Return where one connection of ``user`` is answered."""
        return f"{self.of(Leaf.ACK)}/{user}/{run}"

    def is_ack(self, topic: str) -> bool:
        """Return True if ``topic`` is where a controller of this device may want its answers."""
        base, *names = topic.rsplit("/", 2)
        return base == self.of(Leaf.ACK) and all(map(NAME.fullmatch, names))


def leaf_of(message_id: int) -> Leaf:
    """Return where a message belongs; what nobody asked for and is no event is telemetry."""
    return _LEAF_OF_ID.get(message_id, Leaf.TELE)


Exchange = tuple[int, int]
"""Names a question and its answer alike: session, and the number that the answer repeats."""


def question_of(parsed: Parsed) -> Exchange | None:
    """Return what the answer to a message of a controller will name; None if there is none."""
    if parsed.message_id not in (ID_OF[HelloHost], ID_OF[Command], ID_OF[Stop]):
        return None
    message = message_of(parsed)
    if isinstance(message, HelloHost):
        return 0, message.host_nonce
    if isinstance(message, Command | Stop):
        return parsed.session, message.counter
    return None


def answer_of(parsed: Parsed) -> Exchange | None:
    """Return which question a message of a device answers; None if it answers none."""
    if parsed.message_id not in (ID_OF[Hello], ID_OF[Ack]):
        return None
    message = message_of(parsed)
    if isinstance(message, Hello):
        return (0, message.host_nonce) if message.host_nonce else None
    if isinstance(message, Ack):
        return parsed.session, message.counter
    return None


def topic_name(hello: Hello) -> str:
    """Return a device's serial number as a level of a topic: what may not stand there is a dash."""
    text = hello.device_id.rstrip(b"\0").decode("ascii", "replace")
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", text)
    return name if NAME.fullmatch(name) else f"x{name}"


class Conn(NamedTuple):
    """What a device's retained ``conn`` says."""

    online: bool
    boot_id: int

    def payload(self) -> bytes:
        """Return it as JSON."""
        return json.dumps(self._asdict()).encode("ascii")

    @classmethod
    def parse(cls, payload: bytes) -> Conn | None:
        """Return what ``payload`` says; None if that makes no sense."""
        try:
            found = json.loads(payload)
            return cls(bool(found["online"]), int(found["boot_id"]))
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return None
