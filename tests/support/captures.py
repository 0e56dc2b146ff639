"""Captures of TCP streams made by hand, and what tshark with our dissector says about them."""

from __future__ import annotations

import json
import os
import struct
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from tests.support.programs import needed_program
from tests.support.tree import ROOT

DISSECTOR: Final = ROOT / "protocol" / "wireshark" / "cryoctl.lua"
LOOPBACK: Final = bytes([127, 0, 0, 1])
Leaves = dict[str, list[str]]
"""The values of every field in one packet, by the field's name."""


def capture(segments: Sequence[bytes], port: int, *, cut_at: int | None = None) -> bytes:
    """Return a pcap file of one direction of a TCP connection to ``port``.

    ``cut_at`` is how many bytes of each packet the capture keeps.
    """
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)]
    sequence = 1
    for number, segment in enumerate(segments):
        tcp = struct.pack("!HHIIBBHHH", 40000, port, sequence, 1, 0x50, 0x18, 8192, 0, 0)
        ip_size = 20 + len(tcp) + len(segment)
        ip = struct.pack("!BBHHHBBH", 0x45, 0, ip_size, number % 65536, 0, 64, 6, 0)
        packet = bytes(12) + b"\x08\x00" + ip + LOOPBACK + LOOPBACK + tcp + segment
        kept = packet[:cut_at]
        parts.append(struct.pack("<IIII", number // 1000, number % 1000, len(kept), len(packet)))
        parts.append(kept)
        sequence = (sequence + len(segment)) % 2**32
    return b"".join(parts)


def mqtt_connect(level: int) -> bytes:
    """A CONNECT: ``level`` is 4 for MQTT 3.1.1 and 5 for MQTT 5."""
    properties = b"\0" if level == 5 else b""
    return _mqtt(0x10, _text("MQTT") + bytes([level, 2, 0, 60]) + properties + _text("probe"))


def mqtt_publish(
    level: int, topic: str, payload: bytes, *, properties: bytes = b"", packet_id: int | None = None
) -> bytes:
    """A PUBLISH with QoS 1 where there is a packet id, with QoS 0 where there is none."""
    head, number = (0x30, b"") if packet_id is None else (0x32, struct.pack("!H", packet_id))
    extra = _variable(len(properties)) + properties if level == 5 else b""
    return _mqtt(head, _text(topic) + number + extra + payload)


def _mqtt(head: int, rest: bytes) -> bytes:
    return bytes([head]) + _variable(len(rest)) + rest


def _text(text: str) -> bytes:
    return struct.pack("!H", len(text)) + text.encode()


def _variable(number: int) -> bytes:
    digits = b""
    while number >= 128:
        digits += bytes([number % 128 + 128])
        number //= 128
    return digits + bytes([number])


def run_tshark(pcap: bytes, folder: Path, *options: str) -> str:
    """Return what tshark prints about a capture; its own settings do not count."""
    program = needed_program("tshark")
    file = folder / "capture.pcap"
    file.write_bytes(pcap)
    done = subprocess.run(
        [program, "-n", "-X", f"lua_script:{DISSECTOR}", "-r", file, *options],
        env=os.environ | {"HOME": str(folder), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    assert "Lua" not in done.stderr, done.stderr
    assert "Lua Error" not in done.stdout, done.stdout
    return done.stdout


def info_lines(pcap: bytes, folder: Path, *options: str) -> list[str]:
    """Return the Info column of each packet."""
    text = run_tshark(pcap, folder, "-o", 'gui.column.format:"Info","%i"', *options)
    return [line.strip() for line in text.splitlines()]


def all_leaves(pcap: bytes, folder: Path, *options: str) -> list[Leaves]:
    """Return the values of our fields in each packet."""
    text = run_tshark(pcap, folder, "-T", "json", "-J", "cryoctl", *options)
    packets = json.loads(text, object_pairs_hook=list)
    return [_by_name(dict(dict(packet)["_source"])["layers"]) for packet in packets]


def _by_name(pairs: Any) -> Leaves:
    found: Leaves = {}
    for name, value in _leaves(pairs):
        found.setdefault(name, []).append(value)
    return found


def _leaves(pairs: Any) -> Iterator[tuple[str, str]]:
    for name, value in pairs:
        if isinstance(value, str):
            yield name, value
        else:
            yield from _leaves(value)
