"""The telemetry message as our codec takes it, and as scripts of peers are told of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from cryoctl.clock import cpu_s
from cryoctl_hil.bench_sample import SAMPLE
from cryoctl_protocol.auth import DEMO_KEY, TagKey
from cryoctl_protocol.codec import decode, encode
from cryoctl_protocol.framing import DELIMITER, Deframer, Parsed, build, parse, wrap
from cryoctl_protocol.messages import ID_OF, MESSAGES, Telemetry

ROUNDS: Final = 3
Figures = dict[str, float]
"""``encode_per_s`` and ``decode_per_s`` of processor time, and ``wire_bytes``."""


def task(count: int) -> str:
    """Return what a script is to encode: name, construct kind and value of each field, in JSON."""
    row = next(row for row in MESSAGES if row.cls is Telemetry)
    fields = [
        (name, _kind(field.kind), int(value))
        for (name, field), value in zip(row.fields, SAMPLE, strict=True)
    ]
    return json.dumps({"fields": fields, "count": count})


def _kind(kind: object) -> str:
    """Return the name under which construct has an integer: of ``<L`` it is ``Int32ul``."""
    import construct

    names = ("Int8ul", "Int16ul", "Int32ul", "Int32sl")
    return next(name for name in names if getattr(construct, name) is kind)


def payload_figures(count: int) -> Figures:
    """Return what the codec alone does, without header, check and frame."""
    message_id, data = ID_OF[Telemetry], encode(SAMPLE)

    def take() -> None:
        for _ in range(count):
            decode(message_id, data)

    def make() -> None:
        for _ in range(count):
            encode(SAMPLE)

    return _figures(make, take, count, len(data))


def frame_figures(count: int, key: TagKey | None) -> Figures:
    """Return what whole frames cost: header, CRC and COBS, and a tag if there is a key."""
    message_id = ID_OF[Telemetry]

    def make() -> list[bytes]:
        return [
            wrap(build(message_id, encode(SAMPLE), seq=seq & 0xFFFF, session=7, key=key))
            for seq in range(count)
        ]

    frames = make()

    def take() -> None:
        deframer = Deframer()
        deframer.feed(DELIMITER)
        for wire in frames:
            (body,) = deframer.feed(wire)
            parsed = parse(body)
            assert isinstance(parsed, Parsed)
            if key is not None:
                assert parsed.tag is not None
                assert key.verify(parsed.signed, parsed.tag)
            assert decode(parsed.message_id, parsed.payload) == SAMPLE

    return _figures(make, take, count, len(frames[0]))


def ours(count: int) -> dict[str, Figures]:
    """Return our figures under the names that peers give theirs."""
    return {
        "payload": payload_figures(count),
        "frame": frame_figures(count, None),
        "signed": frame_figures(count, TagKey(DEMO_KEY)),
    }


def _figures(
    make: Callable[[], object], take: Callable[[], object], count: int, wire_bytes: int
) -> Figures:
    return {
        "encode_per_s": count / min(_cpu_s(make) for _ in range(ROUNDS)),
        "decode_per_s": count / min(_cpu_s(take) for _ in range(ROUNDS)),
        "wire_bytes": wire_bytes,
    }


def _cpu_s(work: Callable[[], object]) -> float:
    started_s = cpu_s()
    work()
    return cpu_s() - started_s
