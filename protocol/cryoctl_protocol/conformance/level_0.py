"""Level 0: what a device says by itself, who it says it is, and what it makes of broken bytes."""

from __future__ import annotations

import itertools
from typing import Final

from cryoctl_protocol.codec import SCHEMA_HASH
from cryoctl_protocol.codes import Sensor
from cryoctl_protocol.conformance.bench import Bench, CheckFailedError, Steps
from cryoctl_protocol.conformance.checks import Check, Need, expect, refuse
from cryoctl_protocol.framing import DELIMITER, HEADER, WIRE_SIZE_MAX, wrap
from cryoctl_protocol.messages import (
    PROTOCOL_MAJOR,
    Telemetry,
    Vitals,
)
from cryoctl_protocol.wrapping import until_ms

LISTEN_S: Final = 3.0
PERIOD_MS_MAX: Final = 50
"""Telemetry older than this is stale (SPEC.md, Timing)."""
VITALS_S_MAX: Final = 1.0
SHARE: Final = 0.1
"""By which a rate may be off: timers of small processors and busy machines."""
SETTLE_S: Final = 0.5
LEASE_S: Final = 0.5
"""The lease of a controller that left just before has ended by then."""
TIP_MDEGC: Final = 2000
SUPPLY_SHARE: Final = 0.1
OUTPUTS: Final = (
    "valve_permille", "shutoff_open", "tip_heater_permille", "skin_warmer_permille", "stimulus_ua",
)  # fmt: skip
FIELD_OF: Final = {
    Sensor.TIP_2: "tip_2_mdegc",
    Sensor.SKIN: "skin_mdegc",
    Sensor.SUPPLY_PRESSURE: "supply_mbar",
    Sensor.EXHAUST_PRESSURE: "exhaust_mbar",
    Sensor.EXHAUST_FLOW: "exhaust_flow_ug_s",
    Sensor.CARTRIDGE_TEMP: "cartridge_mdegc",
    Sensor.BATTERY: "battery_mv",
    Sensor.BUTTON: "button",
    Sensor.RESPONSE: "stimulus_response",
}
_OTHER_TABLE: Final = SCHEMA_HASH ^ 0xFFFFFFFF


def listens(bench: Bench) -> Steps:
    """Listen without a word; everything that comes is a sound frame."""
    yield from _listened(bench)
    if bench.flaws:
        refuse(bench.take_flaw())
    expect(bench.heard, "frames", f"some within {LISTEN_S:g} s", "none")


def _listened(bench: Bench) -> Steps:
    """Wait until enough has been heard; at once, where a check before has waited."""
    yield max(LISTEN_S + SETTLE_S - bench.now_s, 0.0)


def counts_frames(bench: Bench) -> Steps:
    """The sequence number counts every frame."""
    yield SETTLE_S
    refuse(bench.take_flaw())


def answers_greeting(bench: Bench) -> Steps:
    """HELLO_HOST is answered with its own nonce."""
    yield from bench.greet(bench.new_nonce())


def has_our_table(bench: Bench) -> Steps:
    """Version and message table are those of this program."""
    hello = yield from bench.greet(bench.new_nonce())
    expect(hello.major == PROTOCOL_MAJOR, "HELLO.major", PROTOCOL_MAJOR, hello.major)
    expect(
        hello.schema_hash == SCHEMA_HASH,
        "HELLO.schema_hash",
        f"0x{SCHEMA_HASH:08X}",
        f"0x{hello.schema_hash:08X}",
    )


def keeps_its_nonce(bench: Bench) -> Steps:
    """The same HELLO_HOST gets the same device nonce, another one another."""
    nonce = bench.new_nonce()
    first = yield from bench.greet(nonce)
    yield LISTEN_S / 10
    same = yield from bench.greet(nonce)
    other = yield from bench.greet(bench.new_nonce())
    expect(first.device_nonce, "HELLO.device_nonce", "not 0 while nobody holds the probe", 0)
    expect(
        same.device_nonce == first.device_nonce,
        "HELLO.device_nonce",
        f"{first.device_nonce} to the same HELLO_HOST",
        same.device_nonce,
    )
    expect(
        other.device_nonce != first.device_nonce,
        "HELLO.device_nonce",
        "a fresh one for another HELLO_HOST",
        other.device_nonce,
    )


def tells_its_period(bench: Bench) -> Steps:
    """HELLO says how often telemetry comes, and that is often enough."""
    hello = yield from bench.greet(bench.new_nonce())
    expect(
        1 <= hello.telemetry_period_ms <= PERIOD_MS_MAX,
        "HELLO.telemetry_period_ms",
        f"1 to {PERIOD_MS_MAX}",
        hello.telemetry_period_ms,
    )


def answers_another_table(bench: Bench) -> Steps:
    """A controller with another message table gets HELLO, too."""
    nonce = bench.new_nonce()
    since_s = bench.now_s
    bench.say(bench.greeting(nonce, _OTHER_TABLE))
    yield from bench.until(lambda: bench.hello_for(nonce, since_s), bench.answer_s)
    expect(bench.hello_for(nonce, since_s), "HELLO", "an answer, whatever the hash", "none")


def keeps_its_rate(bench: Bench) -> Steps:
    """TELEMETRY comes every ``telemetry_period_ms``, by the device's clock."""
    yield from _listened(bench)
    hello = yield from bench.greet(bench.new_nonce())
    samples: list[Telemetry] = bench.since(0.0, Telemetry)
    period_ms = hello.telemetry_period_ms
    expect(len(samples) > 1, "TELEMETRY", f"one every {period_ms} ms", f"{len(samples)}")
    steps_ms = [until_ms(a.device_ms, b.device_ms) for a, b in itertools.pairwise(samples)]
    for step_ms in steps_ms:
        expect(step_ms > 0, "TELEMETRY.device_ms", "a clock that grows", f"a step of {step_ms} ms")
    mean_ms = sum(steps_ms) / len(steps_ms)
    expect(
        abs(mean_ms - period_ms) <= period_ms * SHARE,
        "TELEMETRY.device_ms",
        f"every {period_ms} ms within {SHARE:.0%}",
        f"every {mean_ms:.1f} ms",
    )


def keeps_time(bench: Bench) -> Steps:
    """``device_ms`` counts milliseconds."""
    yield from _listened(bench)
    frames = [frame for frame in bench.heard if isinstance(frame.message, Telemetry)]
    expect(len(frames) > 1, "TELEMETRY", "some", f"{len(frames)}")
    first, last = frames[0], frames[-1]
    assert isinstance(first.message, Telemetry)
    assert isinstance(last.message, Telemetry)
    passed_ms = until_ms(first.message.device_ms, last.message.device_ms)
    right_ms = (last.at_s - first.at_s) * 1000.0
    expect(
        abs(passed_ms - right_ms) <= 2.0 * SHARE * right_ms,
        "TELEMETRY.device_ms",
        f"{right_ms:.0f} ms within {2 * SHARE:.0%}",
        f"{passed_ms} ms",
    )


def says_vitals(bench: Bench) -> Steps:
    """VITALS come at least once a second."""
    yield from _listened(bench)
    heard_s = bench.now_s - (bench.heard[0].at_s if bench.heard else 0.0)
    count = len(bench.since(0.0, Vitals))
    expect(
        bool(count) and count >= int(heard_s / VITALS_S_MAX),
        "VITALS",
        f"1 in {VITALS_S_MAX:g} s",
        f"{count} in {heard_s:.1f} s",
    )


def says_the_same_twice(bench: Bench) -> Steps:
    """VITALS and the TELEMETRY of the same moment agree, field by field."""
    yield from _listened(bench)
    samples: list[Telemetry] = bench.since(0.0, Telemetry)
    for vitals in bench.since(0.0, Vitals):
        near = min(
            samples, key=lambda it: abs(until_ms(it.device_ms, vitals.device_ms)), default=None
        )
        if near is None:
            raise CheckFailedError("TELEMETRY", "some beside VITALS", "none")
        _compare(vitals, near)


def _compare(vitals: Vitals, sample: Telemetry) -> None:
    apart_ms = abs(until_ms(sample.device_ms, vitals.device_ms))
    expect(
        apart_ms <= 2 * PERIOD_MS_MAX,
        "VITALS.device_ms, payload byte 0",
        f"the clock of TELEMETRY, {sample.device_ms}",
        vitals.device_ms,
    )
    room = {
        "tip_mdegc": TIP_MDEGC,
        "supply_mbar": int(abs(sample.supply_mbar) * SUPPLY_SHARE) + 100,
    }
    for name in ("state", "tip_mdegc", "supply_mbar", *OUTPUTS[:3]):
        if not hasattr(vitals, name):
            continue
        said, meant = int(getattr(vitals, name)), int(getattr(sample, name))
        expect(
            abs(said - meant) <= room.get(name, 0),
            f"VITALS.{name}",
            f"{meant}, as TELEMETRY.{name} has it",
            said,
        )


def is_at_rest(bench: Bench) -> Steps:
    """With nobody in command, nothing is on and no lease runs."""
    yield from _listened(bench)
    for sample in bench.since(LEASE_S, Telemetry):
        for name in (*OUTPUTS, "lease_left_ms"):
            value = getattr(sample, name)
            expect(value == 0, f"TELEMETRY.{name}", 0, value)


def has_no_more_than_it_says(bench: Bench) -> Steps:
    """Fields of sensors that HELLO does not name are 0."""
    yield from _listened(bench)
    hello = yield from bench.greet(bench.new_nonce())
    for sample in bench.since(0.0, Telemetry):
        for sensor, name in FIELD_OF.items():
            value = getattr(sample, name)
            expect(
                hello.sensors & sensor or value == 0,
                f"TELEMETRY.{name}",
                f"0: {sensor.name} is not among HELLO.sensors",
                value,
            )


# -- broken bytes ---------------------------------------------------------------------------------


def finds_the_next_frame(bench: Bench) -> Steps:
    """After noise without a delimiter the next whole frame is heard."""
    yield from bench.calm()
    bench.say_bytes(bytes(range(1, 60)) + DELIMITER, rejects=1)
    yield from _is_greeted(bench, "after 59 bytes of noise")


def takes_two_delimiters(bench: Bench) -> Steps:
    """Delimiters in a row are no error."""
    bench.say_bytes(DELIMITER * 5)
    yield from _is_greeted(bench, "after five delimiters")


def takes_a_frame_in_pieces(bench: Bench) -> Steps:
    """A frame may come byte by byte."""
    nonce = bench.new_nonce()
    since_s = bench.now_s
    for byte in wrap(bench.greeting(nonce)):
        bench.say_bytes(bytes([byte]))
        yield 0.01
    yield from bench.until(lambda: bench.hello_for(nonce, since_s), bench.answer_s)
    expect(bench.hello_for(nonce, since_s), "HELLO", "HELLO_HOST in pieces is answered", "none")


def throws_away_what_is_too_long(bench: Bench) -> Steps:
    """Bytes beyond a frame's size are thrown away up to the next delimiter, and no further."""
    yield from bench.calm()
    nonce = bench.new_nonce()
    since_s = bench.now_s
    tail = wrap(bench.greeting(nonce))
    bench.say_bytes(b"\x01" * (WIRE_SIZE_MAX + 80) + tail, rejects=1)
    yield from _is_greeted(bench, f"after {WIRE_SIZE_MAX + 80} bytes without a delimiter")
    expect(
        bench.hello_for(nonce, since_s) is None,
        "HELLO",
        "none: the end of what is too long is no frame",
        "an answer to it",
    )


def throws_away_what_is_much_too_long(bench: Bench) -> Steps:
    """However long it is."""
    yield from bench.calm()
    for _ in range(8):
        bench.say_bytes(b"\x55" * 500)
        yield 0.05
    bench.say_bytes(DELIMITER, rejects=1)
    yield from _is_greeted(bench, "after 4000 bytes without a delimiter")


def _is_greeted(bench: Bench, when: str) -> Steps:
    try:
        yield from bench.greet(bench.new_nonce())
    except CheckFailedError:
        raise CheckFailedError("HELLO", f"HELLO_HOST is answered {when}", "none") from None


def _refuses(bench: Bench, wire: bytes, nonce: int, why: str) -> Steps:
    """See that a damaged greeting is not answered, and a sound one afterwards is."""
    yield from bench.calm()
    since_s = bench.now_s
    bench.say_bytes(wire, rejects=1)
    yield bench.answer_s
    expect(bench.hello_for(nonce, since_s) is None, "HELLO", f"none to {why}", "an answer")
    yield from _is_greeted(bench, f"after {why}")


def checks_the_crc(bench: Bench) -> Steps:
    """A frame whose checksum differs is dropped, and so is one with a byte changed."""
    nonce = bench.new_nonce()
    wire = bytearray(wrap(bench.greeting(nonce)))
    # The last byte before the delimiter belongs to the CRC; 0 may not stand there.
    wire[-2] = wire[-2] ^ 1 or 2
    yield from _refuses(bench, bytes(wire), nonce, "a frame with a wrong CRC")


def _changed(bench: Bench, nonce: int, at: int, value: int) -> bytes:
    body = bytearray(bench.greeting(nonce))
    body[at] = value
    return wrap(bytes(body))


def checks_the_version(bench: Bench) -> Steps:
    """A frame of another version is dropped."""
    nonce = bench.new_nonce()
    wire = _changed(bench, nonce, 0, 0x20)
    yield from _refuses(bench, wire, nonce, "a frame of version 2")


def checks_the_flags(bench: Bench) -> Steps:
    """A frame with an unknown flag is dropped."""
    nonce = bench.new_nonce()
    wire = _changed(bench, nonce, 0, 0x12)
    yield from _refuses(bench, wire, nonce, "a frame with the unknown flag 2")


def checks_the_size(bench: Bench) -> Steps:
    """A frame whose payload has another size than its message is dropped."""
    nonce = bench.new_nonce()
    wire = wrap(bench.greeting(nonce) + b"\x01")
    yield from _refuses(bench, wire, nonce, "HELLO_HOST of 15 bytes")


def ignores_unknown_messages(bench: Bench) -> Steps:
    """A message id that is none of the table's is dropped."""
    yield from bench.calm()
    bench.say_bytes(wrap(HEADER.pack(0x10, 0x7E, 0, 0) + bytes(4)), rejects=1)
    yield from _is_greeted(bench, "after a message with the unknown id 0x7E")


_S: Final = Need.STREAM
CHECKS: Final = (
    Check("frames", "frames", "what it sends are whole frames of the table", listens),
    Check("sequence", "frames", "its sequence number counts every frame", counts_frames, _S),
    Check("hello", "opening-a-session", "HELLO answers HELLO_HOST", answers_greeting),
    Check("table", "versions", "version and message table are ours", has_our_table),
    Check("nonce", "opening-a-session", "device nonces are kept and renewed", keeps_its_nonce),
    Check("other-table", "versions", "another message table gets HELLO", answers_another_table),
    Check("period", "hello", "HELLO promises telemetry often enough", tells_its_period),
    Check("rate", "telemetry-and-events", "telemetry keeps its period", keeps_its_rate),
    Check("clock", "telemetry", "device_ms counts milliseconds", keeps_time),
    Check("vitals", "telemetry-and-events", "VITALS once a second", says_vitals),
    Check("vitals-fields", "vitals", "VITALS say what TELEMETRY says", says_the_same_twice),
    Check("rest", "telemetry", "nothing is on with nobody in command", is_at_rest),
    Check("sensors", "telemetry-and-events", "sensors it lacks read 0", has_no_more_than_it_says),
    Check("noise", "frames", "the frame after noise is heard", finds_the_next_frame, _S),
    Check("delimiters", "frames", "delimiters in a row are no error", takes_two_delimiters, _S),
    Check("pieces", "frames", "a frame may come byte by byte", takes_a_frame_in_pieces, _S),
    Check("too-long", "frames", "a frame too long ends at the next delimiter",
          throws_away_what_is_too_long, _S),
    Check("much-too-long", "frames", "however long it is", throws_away_what_is_much_too_long, _S),
    Check("crc", "what-is-rejected", "a wrong CRC is dropped", checks_the_crc, _S),
    Check("version", "what-is-rejected", "another frame version is dropped",
          checks_the_version, _S),
    Check("flags", "what-is-rejected", "an unknown flag is dropped", checks_the_flags, _S),
    Check("size", "what-is-rejected", "another payload size is dropped", checks_the_size, _S),
    Check("unknown-id", "what-is-rejected", "an unknown message is dropped",
          ignores_unknown_messages, _S),
)  # fmt: skip
