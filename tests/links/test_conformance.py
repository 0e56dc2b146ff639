"""The same troubles over every kind of link: nothing is carried out twice or late, a probe that is
left alone is safe by its lease, and the controller is told.

Which kind goes through which trouble, and why one does not, is the table below; the page
``docs/reference/link-conformance.md`` shows it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from cryoctl_protocol.codec import decode, encode
from cryoctl_protocol.codes import Answer, DeviceState, HostMode, Op, SafeAction, Trip
from cryoctl_protocol.framing import Parsed, Reject, build, parse, wrap
from cryoctl_protocol.host_session import Phase, VendorFrame
from cryoctl_protocol.messages import (
    ID_OF,
    Ack,
    Command,
    Hello,
    HelloHost,
    Lease,
    Message,
    Telemetry,
    Vitals,
)
from cryoctl_protocol.mqtt.topics import Leaf
from cryoctl_protocol.peer import LinkError
from cryoctl_simulator.link_weather import FAIR, Weather
from tests.support.link_rigs import (
    DEVICE,
    KINDS,
    BrokerRig,
    GatewayRig,
    Host,
    Probe,
    Rig,
    ServedRig,
    tell,
)
from tests.support.protocol_builders import identity
from tests.support.tree import ROOT

PAGE: Final = ROOT / "docs" / "reference" / "link-conformance.md"
VENDOR_ID: Final = 0xC0
SAFE_S: Final = 0.6
"""Within this of the probe's time a lease is over, however the link holds it."""


# -- trouble on the way -------------------------------------------------------------------------


async def order(rig: Rig) -> None:
    host = await rig.connected()
    rig.probe.up = rig.probe.down = Weather(reorder=0.3)
    await ask_for_much(rig, host)


async def loss(rig: Rig) -> None:
    host = await rig.connected()
    rig.probe.up = rig.probe.down = Weather(drop=0.3)
    await ask_for_much(rig, host)

    assert host.session.lost_frames > 0


async def duplicates(rig: Rig) -> None:
    host = await rig.connected()
    rig.probe.up = rig.probe.down = Weather(duplicate=1.0)
    counters = await ask_for_much(rig, host)

    assert len(heard(rig.probe, Command)) >= 2 * len(counters)
    assert all(len(host.results(counter)) == 1 for counter in counters)


async def ask_for_much(rig: Rig, host: Host) -> list[int]:
    """Have six commands carried out in turn; each is carried out at most once, and answered for."""
    counters = []
    for op in (Op.ARM, Op.END) * 3:
        counters.append(host.ask(op))
        await rig.until(lambda: not host.session.busy)
    rig.probe.up = rig.probe.down = FAIR
    await rig.go_on(0.5)

    carried_out = [it.counter for it in rig.probe.requests]
    answered = [counter for counter in counters if host.answers(counter)]
    given_up = [it.counter for it in host.failed]
    assert set(answered) <= set(carried_out) <= set(counters)
    assert set(answered) | set(given_up) == set(counters), "the controller knows of each"
    assert all(len(host.answers(counter)) == 1 for counter in answered)
    assert len(answered) >= 2, "some got through"
    assert host.is_open
    return counters


async def one_byte_at_a_time(rig: ServedRig) -> None:
    rig.one_byte = True
    host = await rig.connected()
    counter = host.ask(Op.ARM)
    await rig.until(lambda: host.results(counter))
    await rig.go_on(0.2)

    assert host.answers(counter) == [Answer.ACCEPTED]
    assert host.session.lost_frames == 0
    assert host.link.line_errors == 0
    assert host.session.rejects.total() == 0


async def delay(rig: Rig) -> None:
    host = await rig.connected()
    rig.probe.up = rig.probe.down = Weather(delay_ms=30.0)
    await host.freeze()
    begun = len(rig.probe.requests)
    await rig.go_on(0.8)

    rig.check_freezes()  # Its leases are late, but in time.
    assert [it.op for it in rig.probe.requests] == [Op.ARM, Op.START, Op.FREEZE]
    assert len(heard(rig.probe, Command)) > begun == 3, "what was asked again came twice"


async def half_open(rig: Rig) -> None:
    host = await rig.freezing()
    rig.probe.down = Weather(drop=1.0)
    cut_ms = rig.probe.now_ms
    counter = host.ask(Op.THAW)
    await rig.until(lambda: host.failed and rig.probe.off_ms)
    await rig.go_on(0.1)

    rig.check_went_safe(cut_ms)
    assert [it.counter for it in host.failed] == [counter]
    assert newest(host).trip == Trip.LEASE, "the probe said so"


async def burst(rig: Rig) -> None:
    host = await rig.freezing()
    rig.probe.noise = b"".join(
        wrap(build(VENDOR_ID, number.to_bytes(32, "little"), seq=number, session=0, key=None))
        for number in range(300)
    )
    greeting = next(body for body in host.sent if is_of(body, HelloHost))
    for _ in range(50):
        await host.send(greeting)
    host.session.stop(SafeAction.OFF, Trip.OPERATOR_STOP)
    await rig.until(lambda: host.of(VendorFrame) and newest(host).state == DeviceState.SAFE)

    assert len(rig.probe.stops) == 1
    assert not host.lost
    assert len(host.of(VendorFrame)) <= 300


# -- an end that goes -----------------------------------------------------------------------------


async def close_while_writing(rig: Rig) -> None:
    host = await rig.freezing()
    for _ in range(100):
        host.session.lease(HostMode.FREEZE, rig.now_s)
    for body in host.session.outgoing():
        await host.send(body)
    began_s = asyncio.get_running_loop().time()
    await host.close()
    closed_s = asyncio.get_running_loop().time()
    cut_ms = rig.probe.now_ms
    requests = len(rig.probe.requests)
    await rig.until(lambda: rig.probe.off_ms)
    await rig.go_on(0.2)

    assert closed_s - began_s < 3.0
    rig.check_went_safe(cut_ms)
    assert len(rig.probe.requests) == requests


async def reopen(rig: ServedRig) -> None:
    host = await rig.freezing()
    cut_ms = rig.probe.now_ms
    host.ask(Op.THAW)  # Made, and not sent yet.
    await host.close()
    await rig.go_on(0.1)
    await host.connect()
    await rig.until(lambda: rig.probe.off_ms)
    await host.obeyed(Op.CLEAR)

    assert rig.probe.off_ms is not None
    assert rig.probe.off_ms - cut_ms <= 350
    assert len({it.session for it in rig.probe.requests}) == 2
    assert [it.op for it in rig.probe.requests] == [Op.ARM, Op.START, Op.FREEZE, Op.CLEAR]
    assert Op.THAW not in [it.op for it in map(message_in, host.sent) if isinstance(it, Command)]
    assert rig.probe.state is DeviceState.IDLE


async def device_rebooted_in_mid_command(rig: Rig) -> None:
    host = await rig.connected()
    counter = host.ask(Op.SELF_TEST)
    await rig.until(lambda: host.answers(counter))
    rig.probe.restart()
    await rig.until(lambda: [it for it in host.of(Hello) if it.boot_id == 2])
    await rig.go_on(0.5)

    assert host.answers(counter) == [Answer.ACCEPTED]
    assert host.results(counter) == [], "nobody said that it was over"
    assert [(it.boot_id, it.op) for it in rig.probe.requests] == [(1, Op.SELF_TEST)]
    assert rig.probe.session.rejects[Reject.SESSION] > 0, "leases of before are worth nothing"
    assert not rig.probe.session.is_open

    host.session.open(rig.now_s)
    await rig.until(lambda: host.is_open)
    await host.obeyed(Op.ARM)
    assert rig.probe.requests[-1].boot_id == 2


# -- somebody else --------------------------------------------------------------------------------


async def foreign_device_on_a_line(rig: ServedRig) -> None:
    host = rig.new_host()
    host.open()
    rig.endpoint.poll()
    rig.endpoint.put(b"\r\nBusyBox login: ")
    received = await nothing_but_listening(rig, lambda: host.lost)

    assert received == b""
    assert "no probe: 17 bytes in 0.3 s and no frame among them" in host.lost


async def foreign_device_at_a_gateway(rig: GatewayRig) -> None:
    await rig.stop_passing()
    rig.endpoint.close()
    rig.endpoint = rig.make_endpoint()
    rig.told.clear()
    rig.pass_on()
    rig.endpoint.poll()
    rig.endpoint.put(b"\r\nBusyBox login: ")
    received = await nothing_but_listening(rig, lambda: rig.told)

    assert received == b""
    assert "no probe: 17 bytes in 0.3 s and no frame among them" in rig.told[0]
    assert rig.side.topics is None, "nobody hears of it at the broker"


async def foreign_device_at_a_broker(rig: BrokerRig) -> None:
    host = await rig.connected()
    other = encode(identity(device_id=b"OTHER-9".ljust(16, b"\0"), host_nonce=1))
    body = build(ID_OF[Hello], other, seq=0, session=0, key=None)
    topic = rig.broker.address(device=DEVICE).topics.of(Leaf.EVENT)
    await rig.meanwhile(publish(rig, topic, body))
    await rig.until(lambda: host.lost)

    assert "there answers another probe, OTHER-9" in host.lost


async def nothing_but_listening(rig: ServedRig, is_over: Callable[[], object]) -> bytes:
    """Wait without a probe; return what was sent to it."""
    received = b""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + 20.0
    while not is_over():
        assert loop.time() < until_s, "it did not come to that"
        await rig.tick_hosts()
        received += rig.endpoint.take()
        await asyncio.sleep(0.01)
    return received


async def garbage_before_hello(rig: Rig) -> None:
    rig.probe.noise = bytes(range(256)) * 2 + wrap(b"\x10\x02half a frame")[:9]
    host = await rig.connected()
    await host.obeyed(Op.ARM)
    await rig.go_on(0.2)

    assert rig.probe.state is DeviceState.ARMED
    assert host.is_open


async def garbage_at_a_broker(rig: BrokerRig) -> None:
    topics = rig.broker.address(device=DEVICE).topics
    host = rig.new_host()
    host.open()
    for leaf, garbage in itertools.product(
        (Leaf.BIRTH, Leaf.CONN, Leaf.TELE, Leaf.EVENT), (bytes(range(256)), b"\x10\x02", b"{}")
    ):
        await rig.meanwhile(publish(rig, topics.of(leaf), garbage))
    await rig.until(lambda: host.is_open)
    await host.obeyed(Op.ARM)

    assert rig.probe.state is DeviceState.ARMED
    assert not host.lost


async def version_mismatch(rig: Rig) -> None:
    probe = rig.probe
    probe.schema_hash = 0x12345678
    probe.restart()
    host = rig.new_host()
    host.open()
    await rig.until(lambda: host.session.phase is Phase.TELEMETRY_ONLY)
    await rig.go_on(0.5)

    assert "message table 12345678" in host.session.mismatch
    assert "telemetry only; update the older side" in host.session.mismatch
    assert not probe.session.is_open
    assert {type(it) for it in map(message_in, host.sent)} == {HelloHost}
    assert probe.requests == []


async def dual_master_on_a_line(rig: ServedRig) -> None:
    await rig.freezing()
    second = rig.new_host()
    try:
        second.open()
        await rig.until(lambda: second.lost)
        said = second.lost
    except LinkError as error:
        said = str(error)
    requests = len(rig.probe.requests)
    await rig.go_on(0.5)

    assert said
    assert second.session.hello is None
    rig.check_freezes()  # The first one has it still.
    assert len(rig.probe.requests) == requests


async def dual_master_at_a_broker(rig: BrokerRig) -> None:
    first = await rig.freezing()
    second = rig.new_host()
    second.open()
    await rig.until(lambda: second.session.hello)
    await rig.go_on(0.5)

    assert second.session.hello is not None
    assert second.session.hello.owned == 1
    assert not second.is_open
    rig.check_freezes()  # The first one has it still.

    second.session.stop(SafeAction.OFF, Trip.OPERATOR_STOP)
    await rig.until(lambda: stop_answered(second))
    await rig.until(lambda: newest(first).state == DeviceState.SAFE)
    assert len(rig.probe.stops) == 1


async def without_the_key(rig: Rig) -> None:
    stranger = rig.new_host(key=b"another key".ljust(32))
    stranger.open()
    await rig.until(lambda: stranger.session.hello)  # Who it is, a probe tells everybody.
    await rig.go_on(0.3)
    for op in (Op.ARM, Op.START, Op.FREEZE):
        if stranger.is_open:
            stranger.ask(op)
        await rig.go_on(0.1)
    stranger.session.stop(SafeAction.OFF, Trip.OPERATOR_STOP)
    await rig.go_on(0.5)

    tagged = [type(message) for message in stranger.received if not isinstance(message, Vitals)]
    probe = rig.probe
    assert (probe.state, probe.requests, probe.stops) == (DeviceState.IDLE, [], [])
    assert not probe.session.owned(probe.device_ms)
    assert probe.session.rejects[Reject.TAG] > 0
    assert set(tagged) <= {Hello, Telemetry}, tagged


# -- what was kept --------------------------------------------------------------------------------


async def retained_command(rig: BrokerRig) -> None:
    host = await rig.freezing()
    freeze = [body for body in host.sent if is_of(body, Command)][-1]
    requests = len(rig.probe.requests)
    connection = host.link._connection  # type: ignore[attr-defined]
    topic = rig.broker.address(device=DEVICE).topics.of(Leaf.CMD)
    connection.post(topic, freeze, qos=1, retain=True)
    await rig.until(lambda: rig.side.ignored)
    copies = heard(rig.probe, Command).count(message_in(freeze))
    await rig.come_again()
    await rig.go_on(0.5)

    assert copies == heard(rig.probe, Command).count(message_in(freeze))
    assert len(rig.probe.requests) == requests


async def late_command(rig: Rig) -> None:
    host = await rig.connected()
    rig.probe.down = Weather(delay_ms=500.0)
    counter = host.ask(Op.SELF_TEST)
    await rig.until(lambda: host.failed)
    rig.probe.down = FAIR
    await rig.until(lambda: heard(rig.probe, Command))
    await rig.go_on(0.5)

    assert [it.counter for it in host.failed] == [counter]
    assert rig.probe.requests == []
    assert {it.answer for it in said(rig.probe, Ack)} == {Answer.STALE}


async def broker_frozen(rig: BrokerRig) -> None:
    host = await rig.freezing()
    commands, openings = len(heard(rig.probe, Command)), rig.side.openings
    rig.broker.freeze()
    cut_ms = rig.probe.now_ms
    counter = host.ask(Op.THAW)
    await rig.until(lambda: host.failed and rig.probe.off_ms)
    await rig.until(lambda: rig.probe.now_ms - host.sampled_ms > 500)
    rig.broker.thaw()
    # A probe that got no processor meanwhile takes nothing of before, and comes back.
    await rig.until(
        lambda: len(heard(rig.probe, Command)) > commands or rig.side.openings > openings
    )
    await rig.go_on(0.3)

    rig.check_went_safe(cut_ms)
    assert [it.counter for it in host.failed] == [counter]
    assert [it.op for it in rig.probe.requests] == [Op.ARM, Op.START, Op.FREEZE]


async def broker_restarted(rig: BrokerRig) -> None:
    host = await rig.freezing()
    rig.broker.kill()
    cut_ms = rig.probe.now_ms
    await rig.until(lambda: host.lost and rig.probe.off_ms)
    openings = rig.side.openings
    await rig.meanwhile(asyncio.to_thread(rig.broker.restart))
    await rig.until(lambda: rig.side.openings > openings)
    rig.check_went_safe(cut_ms)
    await host.close()
    await host.connect()
    await host.obeyed(Op.CLEAR)

    assert [it.op for it in rig.probe.requests] == [Op.ARM, Op.START, Op.FREEZE, Op.CLEAR]


async def replayed_capture(rig: Rig) -> None:
    host = await rig.freezing()
    capture = list(host.sent)
    host.leases = False
    cut_ms = rig.probe.now_ms
    await rig.until(lambda: rig.probe.off_ms)
    requests = len(rig.probe.requests)
    assert {type(it) for it in map(message_in, capture)} == {HelloHost, Lease, Command}

    before = len(rig.probe.heard)
    await replay(rig, host, capture)
    rig.check_went_safe(cut_ms)
    assert len(rig.probe.heard) - before >= len(capture)
    assert rig.probe.session.rejects[Reject.REPLAY] > 0
    assert rig.probe.session.lease_left_ms(rig.probe.device_ms) == 0

    host.session.open(rig.now_s)
    host.leases = True
    await rig.until(lambda: host.is_open)
    await replay(rig, host, [body for body in capture if not is_of(body, HelloHost)])
    assert rig.probe.session.rejects[Reject.SESSION] > 0
    assert len(rig.probe.requests) == requests
    await host.obeyed(Op.CLEAR)


async def replay(rig: Rig, host: Host, capture: list[bytes]) -> None:
    for body in capture:
        await host.send(body)
        await rig.step()
    await rig.go_on(0.1)


# -- what stories look at -------------------------------------------------------------------------


def message_in(body: bytes) -> Message:
    parsed = parse(body)
    assert isinstance(parsed, Parsed)
    return decode(parsed.message_id, parsed.payload)


def is_of(body: bytes, kind: type[Any]) -> bool:
    return isinstance(message_in(body), kind)


def heard(probe: Probe, kind: type[Any]) -> list[Any]:
    """Return the messages of one kind that got to the probe."""
    return [it for it in map(message_in, probe.heard) if isinstance(it, kind)]


def said(probe: Probe, kind: type[Any]) -> list[Any]:
    """Return the messages of one kind that the probe sent."""
    return [it for it in map(message_in, probe.said) if isinstance(it, kind)]


def newest(host: Host) -> Telemetry:
    """Return the last sample that a controller took."""
    sample = host.of(Telemetry)[-1]
    assert isinstance(sample, Telemetry)
    return sample


def stop_answered(host: Host) -> bool:
    return any(it.op == Op.STOP for it in host.of(Ack))


async def publish(rig: BrokerRig, topic: str, payload: bytes) -> None:
    """Have a stranger publish."""
    await asyncio.to_thread(rig.broker.stranger, "mosquitto_pub", "-t", topic, "-s", data=payload)


# -- the gateway alone ---------------------------------------------------------------------------


@pytest.mark.real_time
@pytest.mark.xdist_group("link gateway")
def test_a_gateway_started_in_mid_session_finds_out_which_probe_it_has(tmp_path: Path) -> None:
    async def story(rig: GatewayRig) -> None:
        host = await rig.freezing()
        cut_ms = rig.probe.now_ms
        await rig.stop_passing()
        await rig.until(lambda: rig.probe.off_ms)
        rig.check_went_safe(cut_ms)
        await rig.go_on(1.0)
        assert rig.probe.session.is_open, "a probe says HELLO by itself only without a session"
        said_before = len(said(rig.probe, Hello))

        rig.pass_on()
        await rig.until(lambda: rig.side.connected)
        assert len(said(rig.probe, Hello)) == said_before + 1
        await host.close()
        await host.connect()
        await host.obeyed(Op.CLEAR)

    tell("gateway", story, tmp_path)


# -- the table ------------------------------------------------------------------------------------

Story = Callable[[Any], Awaitable[None]]
LINES: Final = ("pty", "tcp")
BROKERS: Final = ("mqtt", "mqtts", "gateway")
"""Kinds with a broker in between."""


class Case(NamedTuple):
    """One trouble.

    Attributes:
        stories: For each kind of link what happens, or why it cannot happen there.
    """

    name: str
    stories: Mapping[str, Story | str]


def everywhere(story: Story) -> dict[str, Story | str]:
    return dict.fromkeys(KINDS, story)


def at_brokers(story: Story) -> dict[str, Story | str]:
    none = dict.fromkeys(KINDS, "no broker in between")
    return none | dict.fromkeys(BROKERS, story)


WHOLE: Final = "a broker passes on whole payloads"
IN_PROCESS: Final = "the probe is an object of the same program"
ACL_SHUTS_OUT: Final = "the broker lets nobody but the probe's certificate write there"

CASES: Final = [
    Case("order", everywhere(order)),
    Case("loss", everywhere(loss)),
    Case("duplicates", everywhere(duplicates)),
    Case(
        "one byte at a time",
        everywhere(one_byte_at_a_time)
        | {"memory": "a tick's bytes are handed over at once", "mqtt": WHOLE, "mqtts": WHOLE},
    ),
    Case("delay", everywhere(delay)),
    Case("half-open", everywhere(half_open)),
    Case("burst", everywhere(burst)),
    Case("close while writing", everywhere(close_while_writing)),
    Case("reopen", everywhere(reopen) | {"memory": f"{IN_PROCESS}: nothing is opened"}),
    Case(
        "foreign device",
        dict.fromkeys(LINES, foreign_device_on_a_line)
        | {
            "memory": IN_PROCESS,
            "mqtt": foreign_device_at_a_broker,
            "mqtts": ACL_SHUTS_OUT,
            "gateway": foreign_device_at_a_gateway,
        },
    ),
    Case(
        "garbage before HELLO",
        everywhere(garbage_before_hello) | {"mqtt": garbage_at_a_broker, "mqtts": ACL_SHUTS_OUT},
    ),
    Case("version mismatch", everywhere(version_mismatch)),
    Case(
        "dual master",
        dict.fromkeys(LINES, dual_master_on_a_line)
        | dict.fromkeys(BROKERS, dual_master_at_a_broker)
        | {"memory": f"{IN_PROCESS}, and so is its one controller"},
    ),
    Case("without the key", everywhere(without_the_key)),
    Case("retained command", at_brokers(retained_command)),
    Case("late command", everywhere(late_command)),
    Case("broker frozen", at_brokers(broker_frozen)),
    Case("broker restarted", at_brokers(broker_restarted)),
    Case("device rebooted in mid-command", everywhere(device_rebooted_in_mid_command)),
    Case("replayed capture", everywhere(replayed_capture)),
]


def cells() -> list[Any]:
    """Return kind and story of every cell of the table in which something happens."""
    return [
        pytest.param(
            kind,
            story,
            id=f"{kind}-{case.name.replace(' ', '-')}",
            marks=[
                pytest.mark.xdist_group(f"link {kind}"),
                *([pytest.mark.real_time] if kind != "memory" else []),
            ],
        )
        for kind, case in itertools.product(KINDS, CASES)
        if not isinstance(story := case.stories[kind], str)
    ]


@pytest.mark.timeout(120)
@pytest.mark.requirement("SR-24")
@pytest.mark.parametrize(("kind", "story"), cells())
def test_a_link_in_trouble(
    kind: str, story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if story in (foreign_device_on_a_line, foreign_device_at_a_gateway):
        # They are listened to for seconds; the claim is that listening is all.
        monkeypatch.setattr("cryoctl.port_link.PROBE_HEARD_S", 0.3)
    tell(kind, story, tmp_path)


def test_every_kind_goes_through_every_trouble_or_there_is_a_reason() -> None:
    assert list(KINDS) == ["memory", "pty", "tcp", "mqtt", "mqtts", "gateway"]
    assert [case.name for case in CASES] == [
        "order",
        "loss",
        "duplicates",
        "one byte at a time",
        "delay",
        "half-open",
        "burst",
        "close while writing",
        "reopen",
        "foreign device",
        "garbage before HELLO",
        "version mismatch",
        "dual master",
        "without the key",
        "retained command",
        "late command",
        "broker frozen",
        "broker restarted",
        "device rebooted in mid-command",
        "replayed capture",
    ]
    for case in CASES:
        assert set(case.stories) == set(KINDS)
        assert "" not in case.stories.values()


def table() -> str:
    """Return the table as the page shows it: what is run, and why the rest is not."""
    lines = [f"| trouble | {' | '.join(KINDS)} |", f"|{'---|' * (len(KINDS) + 1)}"]
    reasons: list[str] = []
    for case in CASES:
        row = []
        for kind in KINDS:
            story = case.stories[kind]
            if not isinstance(story, str):
                row.append("run")
                continue
            if story not in reasons:
                reasons.append(story)
            row.append(f"({reasons.index(story) + 1})")
        lines.append(f"| {case.name} | {' | '.join(row)} |")
    numbered = [f"{number}. {reason}" for number, reason in enumerate(reasons, 1)]

    return "\n".join([*lines, "", "Not applicable:", "", *numbered, ""])


def test_the_page_shows_the_table() -> None:
    assert table() in PAGE.read_text("utf-8")
