"""How old telemetry may be: a property of the link it comes over."""

from __future__ import annotations

from typing import Final, NamedTuple


class LinkLimits(NamedTuple):
    """Ages of the newest telemetry (SR-03).

    Attributes:
        stale_s: Older than this, only STOP may be sent.
        lost_s: Older than this, the controller makes itself and the probe safe.
    """

    stale_s: float
    lost_s: float


STREAM_LIMITS: Final = LinkLimits(stale_s=0.05, lost_s=0.15)
"""Serial lines, TCP, and peers in virtual time."""
MQTT_LIMITS: Final = LinkLimits(stale_s=0.15, lost_s=0.4)
