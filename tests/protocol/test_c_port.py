"""The four callbacks around the C library: what goes out by itself, and when."""

from __future__ import annotations

import subprocess
from collections import Counter
from itertools import pairwise
from pathlib import Path

from cryoctl_protocol.auth import stop_key
from cryoctl_protocol.codec import decode, encode
from cryoctl_protocol.codes import DeviceState, EventCode, SafeAction, Trip
from cryoctl_protocol.framing import DELIMITER, Deframer, Parsed, build, parse, wrap
from cryoctl_protocol.messages import ID_OF, Ack, Event, Hello, Message, Stop, Telemetry, Vitals
from tests.support.c_device import SOURCES
from tests.support.c_device import build as compiled

KEY = bytes(32)
BOOT_ID = 7


def what_is_said(folder: Path, heard: bytes) -> list[Message]:
    source = Path(__file__).with_name("port_clock.c")
    program = compiled(folder / "port_clock", sources=[*SOURCES, source])
    done = subprocess.run([str(program)], input=heard, capture_output=True, check=True)
    assert done.stdout[:1] == DELIMITER
    parsed = map(parse, Deframer().feed(done.stdout))
    return [decode(p.message_id, p.payload) for p in parsed if isinstance(p, Parsed)]


def test_telemetry_vitals_and_greetings_come_in_their_periods_and_never_in_a_burst(
    tmp_path: Path,
) -> None:
    """7 s of turns; the one that comes 3 s late makes up for nothing."""
    said = what_is_said(tmp_path, b"")

    assert isinstance(said[0], Hello)
    assert isinstance(said[1], Event)
    assert (said[1].code, said[1].number) == (EventCode.BOOT, 1)
    counts = Counter(type(message) for message in said)
    # 7.0 s in periods of 20 ms, 200 ms and 1 s; HELLO on boot, too.
    assert 349 <= counts[Telemetry] <= 351
    assert 34 <= counts[Vitals] <= 36
    assert 7 <= counts[Hello] <= 9
    clocks = [message.device_ms for message in said if isinstance(message, Telemetry)]
    steps = Counter((later - earlier) % 2**32 for earlier, later in pairwise(clocks))
    assert sum(count for step, count in steps.items() if step not in (20, 10)) <= 1
    assert max(steps) >= 3000


def test_more_than_a_tick_may_bring_is_heard_in_parts(tmp_path: Path) -> None:
    key = stop_key(KEY, BOOT_ID)
    stops = [
        wrap(build(ID_OF[Stop], encode(stop), seq=0, session=0, key=key))
        for stop in (Stop(n, BOOT_ID, SafeAction.OFF, Trip.OPERATOR_STOP) for n in range(1, 201))
    ]

    said = what_is_said(tmp_path, DELIMITER + b"".join(stops))

    acks = [message.counter for message in said if isinstance(message, Ack)]
    assert acks == [*range(1, 201)]
    events = [m for m in said if isinstance(m, Event) and m.code == EventCode.STOPPED]
    assert [event.number for event in events] == [*range(2, 202)]
    assert {event.state for event in events} == {DeviceState.SAFE}
    samples = [message for message in said if isinstance(message, Telemetry)]
    assert (samples[-1].state, samples[-1].trip) == (DeviceState.SAFE, Trip.OPERATOR_STOP)
    assert samples[-1].event_count == 201
