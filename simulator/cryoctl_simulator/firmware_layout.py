"""Memory of the C firmware: its structures, written from the dataclasses of the Python one.

One source of names and order. ``python -m cryoctl_simulator.firmware_layout`` writes the C header;
here are ctypes structures of the same layout, so that a field of a C firmware's memory is read and
written by the name that it has in the model. Every field is 32 bits wide, little-endian.
"""

from __future__ import annotations

import ctypes
import struct
import sys
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

from cryoctl_protocol.codec import PAYLOAD_SIZE, encode
from cryoctl_protocol.messages import ID_OF, Hello
from cryoctl_simulator.firmware_config import SATURATION, DeviceLimits, FirmwareConfig
from cryoctl_simulator.firmware_identity import Boot, identity
from cryoctl_simulator.firmware_state import FirmwareState, Outputs
from cryoctl_simulator.instruments import Readings

UNSIGNED: Final = frozenset({
    "now_ms", "tick_count", "state_since_ms", "trips_seen", "pending_counter", "treatment_hash",
    "leak_test_ms", "stimulus_since_ms", "leases_seen",
})  # fmt: skip
"""Clocks, counters that wrap, hashes and sets of bits; everything else has a sign."""
SATURATION_POINTS: Final = max(map(len, SATURATION.values()))
HEADER: Final = Path(__file__).parent.parent / "firmware" / "firmware_layout.h"
"""Where the C header lies in a source tree."""
PROFILE_HASH_OFFSET: Final = 6
"""Of ``profile_hash`` in HELLO, whose layout is frozen for ever."""
_KEY_SIZE: Final = 32
_SESSION_ALIGNMENT: Final = 8


class _Memory(ctypes.LittleEndianStructure):
    """A structure that shows its fields."""

    def __repr__(self) -> str:
        shown = ", ".join(f"{row[0]}={getattr(self, row[0])!r}" for row in self._fields_)
        return f"{type(self).__name__}({shown})"


def _word(name: str) -> tuple[str, Any]:
    return name, ctypes.c_uint32 if name in UNSIGNED else ctypes.c_int32


class OutputsMemory(_Memory):
    """``struct firmware_outputs``; see ``Outputs``."""

    _fields_ = [_word(each.name) for each in fields(Outputs)]


class StateMemory(_Memory):
    """``struct firmware_state``; see ``FirmwareState``."""

    _fields_ = [
        (each.name, OutputsMemory) if each.name == "outputs" else _word(each.name)
        for each in fields(FirmwareState)
    ]


class ReadingsMemory(_Memory):
    """``struct firmware_readings``; see ``Readings``."""

    _fields_ = [_word(each.name) for each in fields(Readings)]


_READINGS: Final = struct.Struct(f"<{len(fields(Readings))}i")
_read_all: Final = attrgetter(*(each.name for each in fields(Readings)))


def readings_bytes(readings: Readings) -> bytes:
    """Return ``struct firmware_readings``; faster than by ``ReadingsMemory``, once a tick."""
    return _READINGS.pack(*_read_all(readings))


_Points = ctypes.c_int32 * SATURATION_POINTS


class LimitsMemory(_Memory):
    """``struct firmware_limits``; see ``DeviceLimits``. The table is split into its columns."""

    _fields_ = [
        *(_word(each.name) for each in fields(DeviceLimits) if each.name != "saturation"),
        ("saturation_points", ctypes.c_int32),
        ("saturation_mbar", _Points),
        ("saturation_mdegc", _Points),
    ]


class DeviceMemory(_Memory):
    """``struct cryo_device_config`` of the C library: bytes, one after the other."""

    _fields_ = [
        ("identity", ctypes.c_uint8 * PAYLOAD_SIZE[ID_OF[Hello]]),
        ("key", ctypes.c_uint8 * _KEY_SIZE),
        ("has_former_key", ctypes.c_uint8),
        ("former_key", ctypes.c_uint8 * _KEY_SIZE),
        ("nonce_seed", ctypes.c_uint8 * _KEY_SIZE),
    ]


class ConfigMemory(_Memory):
    """``struct firmware_config``: all that a build and a power-up differ in."""

    _fields_ = [("limits", LimitsMemory), ("device", DeviceMemory)]


LIMITS_OFFSET: Final = ctypes.sizeof(StateMemory)
"""In ``struct firmware``, which begins with its state."""
_LIMITS_END: Final = LIMITS_OFFSET + ctypes.sizeof(LimitsMemory)
SESSION_OFFSET: Final = -(-_LIMITS_END // _SESSION_ALIGNMENT) * _SESSION_ALIGNMENT
"""Of the session, which begins with its own configuration, and that with HELLO."""


def config_bytes(config: FirmwareConfig, boot: Boot) -> bytes:
    """Return ``struct firmware_config`` as a maker's programmer would write it."""
    limits = LimitsMemory()
    for name, _ in _fields_of(LimitsMemory):
        if not name.startswith("saturation"):
            setattr(limits, name, getattr(config.limits, name))
    limits.saturation_points = len(config.limits.saturation)
    for row, (mbar, mdegc) in enumerate(config.limits.saturation):
        limits.saturation_mbar[row] = mbar
        limits.saturation_mdegc[row] = mdegc
    former_key = boot.former_key
    device = (
        encode(identity(config, boot))
        + boot.key
        + (b"\0" if former_key is None else b"\1")
        + (bytes(_KEY_SIZE) if former_key is None else former_key)
        + boot.nonce_seed
    )
    memory = ConfigMemory(limits, DeviceMemory.from_buffer_copy(device))
    return bytes(memory)


def _fields_of(memory: type[_Memory]) -> list[tuple[str, Any]]:
    return [(row[0], row[1]) for row in memory._fields_]


# -- the C header --------------------------------------------------------------------------------

_STRUCTURES: Final[tuple[tuple[str, type[_Memory], str], ...]] = (
    ("firmware_outputs", OutputsMemory, "What the firmware drives."),
    ("firmware_state", StateMemory, "Everything the firmware remembers; the session has its own."),
    ("firmware_readings", ReadingsMemory, "What the sensors say at one tick."),
    ("firmware_limits", LimitsMemory, "Every number the firmware decides by."),
)


def header() -> str:
    """Return the text of ``firmware_layout.h``."""
    parts = [
        "/* Memory of the firmware: the names and the order of the Python model's dataclasses.",
        " * Written by `python -m cryoctl_simulator.firmware_layout`; change those instead.",
        " */",
        "#ifndef FIRMWARE_LAYOUT_H",
        "#define FIRMWARE_LAYOUT_H",
        "",
        "#include <stdint.h>",
        "",
        f"#define FIRMWARE_SATURATION_POINTS {SATURATION_POINTS}",
        f"#define FIRMWARE_LIMITS_OFFSET {LIMITS_OFFSET}",
        f"#define FIRMWARE_SESSION_OFFSET {SESSION_OFFSET}",
        f"#define FIRMWARE_CONFIG_SIZE {ctypes.sizeof(ConfigMemory)}",
        "",
    ]
    for name, memory, text in _STRUCTURES:
        parts += [f"/* {text} */", f"struct {name} {{"]
        parts += [f"    {_declaration(field, kind)};" for field, kind in _fields_of(memory)]
        parts += [
            "};",
            f'_Static_assert(sizeof(struct {name}) == {ctypes.sizeof(memory)}, "{name}");',
            "",
        ]
    return "\n".join([*parts, "#endif", ""])


def _declaration(name: str, kind: Any) -> str:
    if kind is OutputsMemory:
        return f"struct firmware_outputs {name}"
    if kind is _Points:
        return f"int32_t {name}[FIRMWARE_SATURATION_POINTS]"
    return f"{'uint32_t' if kind is ctypes.c_uint32 else 'int32_t'} {name}"


def main() -> int:
    """Write the header; return the exit code."""
    HEADER.write_text(header(), "utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
