"""Telemetry as JSON for who looks on: Node-RED, Telegraf, Grafana, a script with mosquitto_sub.

```
cryo/1/SITE/DEVICE/json/hello      retained   who it is, what it has
cryo/1/SITE/DEVICE/json/telemetry  5 a second the newest sample
cryo/1/SITE/DEVICE/json/event                 every event
```

Nobody checks a tag on the way: it is to look at, and nothing that drives a probe reads it.
"""

from __future__ import annotations

import json
from typing import Final, NamedTuple

from cryoctl_protocol.framing import Parsed, message_of
from cryoctl_protocol.messages import ID_OF, Event, Hello, Telemetry
from cryoctl_protocol.readable import readable

PERIOD_S: Final = 0.2
BRANCH: Final = "json"
_NAMES: Final = {ID_OF[Hello]: "hello", ID_OF[Telemetry]: "telemetry", ID_OF[Event]: "event"}


class JsonPost(NamedTuple):
    """One payload for the tree.

    Attributes:
        leaf: Behind the device's topic.
        retain: Whether the broker keeps it for who comes later.
    """

    leaf: str
    payload: bytes
    retain: bool


class JsonTree:
    """Says what of a probe's frames goes into the tree."""

    def __init__(self) -> None:
        self._sampled_s = float("-inf")

    def post_of(self, parsed: Parsed, now_s: float) -> JsonPost | None:
        """Return what to post for one frame; None for nothing, or not yet again."""
        name = _NAMES.get(parsed.message_id)
        if name is None:
            return None
        is_sample = parsed.message_id == ID_OF[Telemetry]
        if is_sample and now_s - self._sampled_s < PERIOD_S:
            return None
        message = message_of(parsed)
        if message is None:
            return None
        if is_sample:
            self._sampled_s = now_s
        payload = json.dumps(readable(message)).encode("ascii")
        return JsonPost(f"{BRANCH}/{name}", payload, retain=isinstance(message, Hello))
