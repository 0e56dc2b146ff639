"""A serial line's speed and its buffer: bytes go at their rate, and what nobody takes is lost."""

from __future__ import annotations

from typing import Final

BITS_PER_BYTE: Final = 10  # 8N1
FIFO_SIZE: Final = 4096
"""Bytes; a third of a second at 115,200 baud. A real UART has less, its driver about as much."""


class Uart:
    """One direction of a line.

    Args:
        baud: Bits per second; None is a link without a rate, such as TCP.

    Attributes:
        dropped_bytes: Bytes that found the buffer full.
    """

    def __init__(self, baud: int | None, *, fifo_size: int = FIFO_SIZE) -> None:
        self.dropped_bytes = 0
        self._bytes_per_s = None if baud is None else baud / BITS_PER_BYTE
        self._fifo_size = fifo_size
        self._fifo = bytearray()
        self._credit_bytes = 0.0

    def put(self, data: bytes) -> None:
        """Queue ``data``; what does not fit any more is dropped, and counted."""
        room = self._fifo_size - len(self._fifo)
        self._fifo += data[:room]
        self.dropped_bytes += max(0, len(data) - room)

    def take(self, duration_s: float) -> bytes:
        """Return what crosses the line in ``duration_s``; unused time is not saved up."""
        if self._bytes_per_s is None:
            count = len(self._fifo)
        else:
            self._credit_bytes += self._bytes_per_s * duration_s
            count = min(int(self._credit_bytes), len(self._fifo))
            self._credit_bytes = self._credit_bytes - count if count < len(self._fifo) else 0.0
        taken = bytes(self._fifo[:count])
        del self._fifo[:count]
        return taken

    def clear(self) -> int:
        """Forget what waits: nobody is at the other end; return how many bytes that was."""
        count = len(self._fifo)
        self._fifo.clear()
        self._credit_bytes = 0.0
        return count
