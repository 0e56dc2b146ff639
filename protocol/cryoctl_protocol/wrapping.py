"""Arithmetic on the device clock: milliseconds in 32 bits, which wrap after 49.7 days."""

from __future__ import annotations

_SPAN = 1 << 32
_HALF = 1 << 31


def add_ms(device_ms: int, delta_ms: int) -> int:
    """Return ``device_ms + delta_ms`` as the device's clock would show it."""
    return (device_ms + delta_ms) % _SPAN


def until_ms(device_ms: int, later_ms: int) -> int:
    """Return how far ``later_ms`` lies ahead of ``device_ms``; negative if it has passed."""
    return (later_ms - device_ms + _HALF) % _SPAN - _HALF
