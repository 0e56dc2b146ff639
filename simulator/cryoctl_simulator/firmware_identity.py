"""Who a device is: what it says of itself in HELLO."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from cryoctl_protocol.auth import DEMO_KEY, DEMO_KEY_ID
from cryoctl_protocol.codec import SCHEMA_HASH
from cryoctl_protocol.messages import PROTOCOL_MAJOR, PROTOCOL_MINOR, Hello
from cryoctl_simulator.firmware_config import TICK_MS, FirmwareConfig

FIRMWARE_ID: Final = b"probe-1"
"""Every build says the same: they are one firmware."""
TELEMETRY_TICKS: Final = 2  # 20 ms


@dataclass(frozen=True, slots=True)
class Boot:
    """What differs from device to device and from one power-up to the next.

    Attributes:
        key: The one that HELLO announces as ``key_id``.
        former_key: The one before, while it is still valid.
    """

    device_id: str
    boot_id: int
    nonce_seed: bytes = field(repr=False)
    key: bytes = field(default=DEMO_KEY, repr=False)
    key_id: int = DEMO_KEY_ID
    former_key: bytes | None = field(default=None, repr=False)


def identity(config: FirmwareConfig, boot: Boot) -> Hello:
    """Return HELLO as this device sends it by itself."""
    return Hello(
        major=PROTOCOL_MAJOR,
        minor=PROTOCOL_MINOR,
        schema_hash=SCHEMA_HASH,
        profile_hash=config.profile_hash,
        boot_id=boot.boot_id,
        host_nonce=0,
        device_nonce=0,
        key_id=boot.key_id,
        owned=0,
        capabilities=config.limits.capabilities,
        sensors=config.limits.sensors,
        telemetry_period_ms=TELEMETRY_TICKS * TICK_MS,
        device_id=_text16(boot.device_id),
        firmware_id=FIRMWARE_ID.ljust(16, b"\0"),
        profile_id=_text16(config.profile_id),
    )


def _text16(text: str) -> bytes:
    return text.encode("ascii")[:16].ljust(16, b"\0")
