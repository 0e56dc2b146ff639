"""The telemetry message as a MAVLink 2 message of a dialect of its own, in pymavlink."""

import contextlib
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import process_time
from typing import Any

os.environ["MAVLINK20"] = "1"
from pymavlink.generator import mavgen

KINDS = {
    "Int8ul": "uint8_t", "Int16ul": "uint16_t", "Int32ul": "uint32_t", "Int32sl": "int32_t",
}  # fmt: skip
KEY = bytes(range(32))
ROUNDS = 3


def dialect(fields: Sequence[tuple[str, str, int]]) -> Any:
    """Generate and load what pymavlink makes of an XML of the fields."""
    lines = [f'<field type="{KINDS[kind]}" name="{name}">-</field>' for name, kind, _ in fields]
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder) / "cryo.xml", Path(folder) / "cryo.py"
        source.write_text(
            '<?xml version="1.0"?><mavlink><messages><message id="150" name="PROBE">'
            f"<description>-</description>{''.join(lines)}</message></messages></mavlink>"
        )
        options = mavgen.Opts(str(made), wire_protocol="2.0", language="Python3", validate=False)
        with contextlib.redirect_stdout(sys.stderr):
            mavgen.mavgen(options, [str(source)])
        spec = importlib.util.spec_from_file_location("cryo", made)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["cryo"] = module
        spec.loader.exec_module(module)
    return module


def figures(
    module: Any, fields: Sequence[tuple[str, str, int]], count: int, *, signed: bool
) -> Any:
    """Return messages a processor second and bytes on the wire, the best of some rounds."""
    values = [value for _, _, value in fields]

    def side() -> Any:
        mav = module.MAVLink(None, srcSystem=1, srcComponent=1)
        if signed:
            mav.signing.secret_key = KEY
            mav.signing.sign_outgoing = True
            mav.signing.timestamp = 1
        return mav

    def encode() -> list[bytes]:
        mav = side()
        frames = []
        for _ in range(count):
            frames.append(mav.probe_encode(*values).pack(mav))
            mav.seq = (mav.seq + 1) % 256
        return frames

    frames = encode()

    def decode() -> list[Any]:
        mav = side()
        return [mav.parse_buffer(frame)[0] for frame in frames]

    last = decode()[-1]
    assert [getattr(last, name) for name, _, _ in fields] == values
    return {
        "encode_per_s": count / min(cpu_s(encode) for _ in range(ROUNDS)),
        "decode_per_s": count / min(cpu_s(decode) for _ in range(ROUNDS)),
        "wire_bytes": len(frames[-1]),
    }


def cpu_s(work: Callable[[], object]) -> float:
    """Return the processor time of some work."""
    began_s = process_time()
    work()
    return process_time() - began_s


if __name__ == "__main__":
    task = json.loads(sys.argv[1])
    module = dialect(task["fields"])
    print(
        json.dumps(
            {
                name: figures(module, task["fields"], task["count"], signed=name == "signed")
                for name in ("frame", "signed")
            }
        )
    )
