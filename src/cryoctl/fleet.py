"""Many probes on one broker, as their births, states and events tell; nothing is ever sent."""

from __future__ import annotations

from typing import Final, NamedTuple

from cryoctl_protocol.codes import DeviceState, Trip
from cryoctl_protocol.framing import message_in
from cryoctl_protocol.messages import Event, Hello, Vitals, printable, unpadded
from cryoctl_protocol.mqtt.topics import ROOT, Conn, Leaf

WATCHED: Final = (Leaf.BIRTH, Leaf.CONN, Leaf.STATE, Leaf.EVENT)
"""One state a second for each probe: its telemetry, fifty a second, is for who looks at one."""
SILENT_S: Final = 3.0
"""States come once a second."""
DEVICES_MAX: Final = 10_000
_LEVELS: Final = len(ROOT.split("/")) + 3
HEADS: Final = ("probe", "link", "state", "tip °C", "supply bar", "valve", "held", "profile")
_HOLDING: Final = frozenset({DeviceState.SAFE, DeviceState.FAULT})


class Row(NamedTuple):
    """One probe as the table shows it.

    Attributes:
        link: ``online``, ``offline``, or for how long nothing was heard.
        held: Trip that it holds; ``?`` if it holds one from before we looked, empty if none.
    """

    probe: str
    link: str
    state: str
    tip_temp_c: float | None
    supply_pressure_bar: float | None
    valve: float | None
    held: str
    profile: str

    def cells(self) -> list[str]:
        """Return the row as texts, under ``HEADS``."""
        tip = "" if self.tip_temp_c is None else f"{self.tip_temp_c:.1f}"
        supply = "" if self.supply_pressure_bar is None else f"{self.supply_pressure_bar:.1f}"
        valve = "" if self.valve is None else f"{self.valve:.0%}"
        return [self.probe, self.link, self.state, tip, supply, valve, self.held, self.profile]


class _Seen:
    """What is known of one probe."""

    def __init__(self) -> None:
        self.hello: Hello | None = None
        self.conn: Conn | None = None
        self.vitals: Vitals | None = None
        self.vitals_s: float | None = None
        self.trip = Trip.NONE


class Fleet:
    """Keeps what the broker said last of every probe.

    Attributes:
        messages: Publishes taken so far.
        ignored: Those that made no sense.
    """

    def __init__(self) -> None:
        self.messages = 0
        self.ignored = 0
        self._seen: dict[str, _Seen] = {}

    def take(self, topic: str, payload: bytes, now_s: float) -> None:
        """Take one publish."""
        self.messages += 1
        levels = topic.split("/")
        name = "/".join(levels[-3:-1])
        has_room = name in self._seen or len(self._seen) < DEVICES_MAX
        is_one = len(levels) == _LEVELS and has_room
        if not is_one or not self._put(name, levels[-1], payload, now_s):
            self.ignored += 1

    def _put(self, name: str, leaf: str, payload: bytes, now_s: float) -> bool:
        if leaf == Leaf.CONN:
            conn = Conn.parse(payload)
            if conn is not None:
                self._of(name).conn = conn
            return conn is not None
        message = message_in(payload)
        if message is None:
            return False
        seen = self._of(name)
        if isinstance(message, Hello):
            seen.hello = message
        elif isinstance(message, Vitals):
            seen.vitals, seen.vitals_s = message, now_s
        elif isinstance(message, Event):
            seen.trip = Trip(message.trip)
        return True

    def _of(self, name: str) -> _Seen:
        return self._seen.setdefault(name, _Seen())

    def rows(self, now_s: float) -> list[Row]:
        """Return every probe known, by name."""
        return [_row(name, self._seen[name], now_s) for name in sorted(self._seen)]


def _row(name: str, seen: _Seen, now_s: float) -> Row:
    vitals = seen.vitals
    state = _state(vitals)
    held = _held(seen.trip) if state in _HOLDING else ""
    return Row(
        probe=printable(name),  # Whoever may publish there has chosen it.
        link=_link(seen, now_s),
        state="" if state is None else state.name,
        tip_temp_c=None if vitals is None else vitals.tip_mdegc / 1000.0,
        supply_pressure_bar=None if vitals is None else vitals.supply_mbar / 1000.0,
        valve=None if vitals is None else vitals.valve_permille / 1000.0,
        held=held,
        profile="" if seen.hello is None else unpadded(seen.hello.profile_id),
    )


def _held(trip: Trip) -> str:
    return "?" if trip is Trip.NONE else trip.name


def _state(vitals: Vitals | None) -> DeviceState | None:
    try:
        return None if vitals is None else DeviceState(vitals.state)
    except ValueError:
        return None  # Of a later version.


def _link(seen: _Seen, now_s: float) -> str:
    if seen.conn is not None and not seen.conn.online:
        return "offline"
    age_s = None if seen.vitals_s is None else now_s - seen.vitals_s
    if age_s is None or age_s > SILENT_S:
        return "SILENT" if age_s is None else f"SILENT {age_s:.0f} s"
    return "online"
