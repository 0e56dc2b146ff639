"""The keys that a device and its controllers share: what one is, the file of a device, who chooses.

Nothing here reads or writes a file, and nothing here shows a key: its fingerprint stands for it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, NamedTuple, Protocol

from cryoctl_protocol.auth import DEMO_KEY_ID
from cryoctl_protocol.messages import Hello
from cryoctl_protocol.toml_text import FileError, Problem

KEY_SIZE: Final = 32
"""Bytes; what HMAC-SHA256 makes full use of (RFC 2104, section 3)."""
KEYS_MAX: Final = 2
"""A device takes two at a time, so that a key can be changed while somebody still has the other."""
KEY_ID_MAX: Final = 255
"""``key_id`` of HELLO is one byte; 0 is the public demo key."""
FINGERPRINT_SIZE: Final = 4
"""Bytes of the SHA-256 of a key: enough to tell two apart, of no use to find one."""
FILE_SCHEMA: Final = 1
FILE_SIZE_MAX: Final = 4096

_DEVICE: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,15}")
_MADE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_SECRET: Final = re.compile(f"[0-9a-f]{{{2 * KEY_SIZE}}}")


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """One key of one device.

    Attributes:
        key_id: As HELLO announces it.
        secret: The key itself.
        made: Date it was made, ISO 8601; empty if nobody knows.
    """

    key_id: int
    secret: bytes = field(repr=False)
    made: str = ""

    @property
    def fingerprint(self) -> str:
        """What may be shown of it."""
        return sha256(self.secret).hexdigest()[: 2 * FINGERPRINT_SIZE]


@dataclass(frozen=True, slots=True)
class DeviceKeys:
    """What one device is provisioned with.

    Attributes:
        device: Its serial number, as in HELLO.
        keys: One or two, the newest first: that is the one it announces.
    """

    device: str
    keys: tuple[DeviceKey, ...]

    @property
    def newest(self) -> DeviceKey:
        """The one that HELLO announces."""
        return self.keys[0]

    @property
    def former(self) -> DeviceKey | None:
        """The one before, as long as it is valid."""
        return self.keys[1] if len(self.keys) == KEYS_MAX else None


class NoKey(NamedTuple):
    """Why a device is not commanded: an expected answer, not an error."""

    reason: str


class KeyRing(Protocol):
    """Chooses the key of the device that has said HELLO; no I/O, no clock."""

    def key_for(self, hello: Hello) -> DeviceKey | NoKey:
        """Return the key to talk to it with, or why there is none."""
        ...


@dataclass(frozen=True, slots=True)
class OneKey:
    """A ring with one key for whoever answers: for devices in this very process."""

    secret: bytes = field(repr=False)

    def key_for(self, hello: Hello) -> DeviceKey | NoKey:
        """Return the one key under the id that the device announces."""
        return DeviceKey(hello.key_id, self.secret)


def next_key_id(key_id: int) -> int:
    """Return the id of the key after this one; 255 is followed by 1."""
    return key_id % KEY_ID_MAX + 1


def is_device_name(text: str) -> bool:
    """Return True for a serial number that can name a file: letters, digits and ``._-``."""
    return _DEVICE.fullmatch(text) is not None


# -- the file of a device ------------------------------------------------------------------------


def device_keys_text(keys: DeviceKeys) -> str:
    """Return the TOML that ``parse_device_keys`` reads."""
    lines = [
        "# Keys of one device, the newest first. Secret: whoever has them commands the device.",
        f"schema = {FILE_SCHEMA}",
        f'device = "{keys.device}"',
    ]
    for key in keys.keys:
        lines += ["", "[[key]]", f"id = {key.key_id}", f'made = "{key.made}"']
        lines.append(f'secret = "{key.secret.hex()}"')
    return "\n".join(lines) + "\n"


def device_keys_c(keys: DeviceKeys) -> str:
    """Return the same as C, to be compiled into a firmware."""
    ids = ", ".join(f"{key.key_id}u" for key in keys.keys)
    lines = [
        f"/* Keys of {keys.device}, the newest first: HELLO announces that one. Secret. */",
        "#ifndef CRYO_DEVICE_KEYS_H",
        "#define CRYO_DEVICE_KEYS_H",
        "",
        "#include <stdint.h>",
        "",
        f'#define CRYO_DEVICE_ID "{keys.device}"',
        f"#define CRYO_DEVICE_KEY_COUNT {len(keys.keys)}u",
        f"static const uint8_t CRYO_DEVICE_KEY_IDS[{len(keys.keys)}] = {{{ids}}};",
        f"static const uint8_t CRYO_DEVICE_KEYS[{len(keys.keys)}][{KEY_SIZE}] = {{",
        *(f"    {{{', '.join(f'0x{byte:02x}' for byte in key.secret)}}}," for key in keys.keys),
        "};",
        "",
        "#endif",
    ]
    return "\n".join(lines) + "\n"


def parse_device_keys(text: str, source: str) -> DeviceKeys:
    """Read the file of a device.

    Raises:
        FileError: It is none; the message has nothing of what it holds.
    """
    try:
        document = tomllib.loads(text)
    except ValueError:
        # What the parser says may quote the line, and with it a key.
        raise _error(source, "", "no TOML: make or import it anew") from None
    if document.get("schema") != FILE_SCHEMA:
        raise _error(source, "schema", f"not {FILE_SCHEMA}: no file of keys, or of another version")
    device = document.get("device")
    if not isinstance(device, str) or not is_device_name(device):
        raise _error(source, "device", "no serial number: 1 to 16 letters, digits or . _ -")
    rows = document.get("key")
    if not isinstance(rows, list) or not 1 <= len(rows) <= KEYS_MAX:
        raise _error(source, "key", f"expected 1 to {KEYS_MAX} tables [[key]]")
    keys = tuple(_keys(rows, source))
    if len({key.key_id for key in keys}) < len(keys):
        raise _error(source, "key.id", "both keys have the same id")
    if document.keys() - {"schema", "device", "key"}:
        raise _error(source, "", "it holds more than schema, device and [[key]]")
    return DeviceKeys(device, keys)


def _keys(rows: list[Any], source: str) -> Iterator[DeviceKey]:
    for row in rows:
        table = row if isinstance(row, dict) else {}
        key_id, made, secret = (table.get(name) for name in ("id", "made", "secret"))
        if type(key_id) is not int or not DEMO_KEY_ID < key_id <= KEY_ID_MAX:
            raise _error(source, "key.id", f"expected 1 to {KEY_ID_MAX}")
        if not isinstance(made, str) or not (made == "" or _MADE.fullmatch(made)):
            raise _error(source, "key.made", 'expected a date, such as "2026-11-21", or ""')
        if not isinstance(secret, str) or not _SECRET.fullmatch(secret):
            raise _error(source, "key.secret", f"expected {2 * KEY_SIZE} digits 0-9a-f")
        if table.keys() - {"id", "made", "secret"}:
            raise _error(source, "key", "a key has id, made and secret, and nothing else")
        yield DeviceKey(key_id, bytes.fromhex(secret), made)


def _error(source: str, key: str, text: str) -> FileError:
    return FileError([Problem(source, None, key, text)])
