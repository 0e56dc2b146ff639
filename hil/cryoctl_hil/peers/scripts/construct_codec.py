"""The telemetry message as a construct ``Struct``: as it stands, compiled, and framed."""

import json
import sys
from binascii import crc32
from collections.abc import Callable
from time import process_time
from typing import Any

import construct

ROUNDS = 3


def figures(struct: Any, value: Any, count: int) -> dict[str, float]:
    """Return messages a processor second and bytes on the wire, the best of some rounds."""
    data = struct.build(value)

    def encode() -> None:
        for _ in range(count):
            struct.build(value)

    def decode() -> None:
        for _ in range(count):
            struct.parse(data)

    return {
        "encode_per_s": count / min(cpu_s(encode) for _ in range(ROUNDS)),
        "decode_per_s": count / min(cpu_s(decode) for _ in range(ROUNDS)),
        "wire_bytes": len(data),
    }


def cpu_s(work: Callable[[], object]) -> float:
    """Return the processor time of some work."""
    began_s = process_time()
    work()
    return process_time() - began_s


def measured(task: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Return the figures of the payload, as it stands and compiled, and of a whole frame."""
    payload = construct.Struct(
        *(name / getattr(construct, kind) for name, kind, _ in task["fields"])
    )
    header = construct.Struct(
        "flags" / construct.Int8ul, "id" / construct.Int8ul, "seq" / construct.Int16ul,
        "session" / construct.Int32ul,
    )  # fmt: skip
    frame = construct.Struct(
        "body" / construct.RawCopy(construct.Struct("header" / header, "payload" / payload)),
        "crc" / construct.Checksum(construct.Int32ul, crc32, construct.this.body.data),
    )
    values = {name: value for name, _, value in task["fields"]}
    assert payload.parse(payload.build(values)).tip_mdegc == values["tip_mdegc"]
    head = {"flags": 16, "id": 16, "seq": 1, "session": 7}
    framed = {"body": {"value": {"header": head, "payload": values}}}
    count = task["count"] // 10
    return {
        "payload": figures(payload, values, count),
        "compiled": figures(payload.compile(), values, count),
        "frame": figures(frame, framed, count),
    }


if __name__ == "__main__":
    print(json.dumps(measured(json.loads(sys.argv[1]))))
