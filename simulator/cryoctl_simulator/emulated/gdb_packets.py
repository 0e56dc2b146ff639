"""Packets of the GDB remote serial protocol: bytes of a stream become packets, and back.

Nothing here knows what a packet means. GDB's manual, appendix "GDB Remote Serial Protocol".
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

PACKET_BYTES_MAX: Final = 4096
"""Of the text between ``$`` and ``#``, as it stands on the line; a longer one is damaged."""
_START: Final = ord("$")
_END: Final = ord("#")
_ESCAPE: Final = ord("}")
_ESCAPED: Final = 0x20
_CHECKSUM_BYTES: Final = 2
_MUST_ESCAPE: Final = b"#$}*"


class Mark(Enum):
    """What stands between packets."""

    INTERRUPT = auto()
    """Ctrl-C."""
    DAMAGED = auto()
    """A packet whose checksum is wrong, or that is too long."""
    REPEAT = auto()
    """The other end asks for the last packet once more."""


_MARKS: Final = {0x03: Mark.INTERRUPT, ord("-"): Mark.REPEAT}


def encode(payload: bytes) -> bytes:
    """Return the packet that carries ``payload``."""
    body = bytearray()
    for byte in payload:
        body += bytes((_ESCAPE, byte ^ _ESCAPED)) if byte in _MUST_ESCAPE else bytes((byte,))
    return b"$%b#%02x" % (bytes(body), sum(body) & 0xFF)


class PacketReader:
    """Takes a stream apart; keeps what is not complete, ``PACKET_BYTES_MAX`` at the most."""

    def __init__(self) -> None:
        self._packet: bytearray | None = None

    def feed(self, data: bytes) -> list[bytes | Mark]:
        """Return the payloads and marks that ``data`` completes, in their order."""
        found = [self._take(byte) for byte in data]
        return [each for each in found if each is not None]

    def _take(self, byte: int) -> bytes | Mark | None:
        packet = self._packet
        if packet is None:
            if byte == _START:
                self._packet = bytearray()
            return _MARKS.get(byte)
        end = packet.find(_END)
        if end < 0 and byte == _START:
            self._packet = bytearray()  # The packet before it was cut short.
            return Mark.DAMAGED
        packet.append(byte)
        if end >= 0 and len(packet) == end + 1 + _CHECKSUM_BYTES:
            self._packet = None
            return _payload(bytes(packet[:end]), bytes(packet[end + 1 :]))
        if len(packet) > PACKET_BYTES_MAX + 1 + _CHECKSUM_BYTES:
            self._packet = None
            return Mark.DAMAGED
        return None


def _payload(body: bytes, checksum: bytes) -> bytes | Mark:
    if len(body) > PACKET_BYTES_MAX or b"%02x" % (sum(body) & 0xFF) != checksum.lower():
        return Mark.DAMAGED
    first, *escaped = body.split(bytes((_ESCAPE,)))
    # An escape that ends the body has nothing to change.
    return first + b"".join(bytes((each[0] ^ _ESCAPED,)) + each[1:] for each in escaped if each)
