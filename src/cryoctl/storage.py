"""What the disk says about a recording: kept, kept but with little room, or not kept."""

from __future__ import annotations

from typing import Final, NamedTuple

ROOM_WARN_BYTES: Final = 500_000_000
ROOM_ARM_BYTES: Final = 100_000_000
"""SR-33: more than an hour of recording; with less, ARM is refused."""
_MEGA: Final = 1e6


class Storage(NamedTuple):
    """How a recording stands; changes seldom, and each change is an input of the controller.

    Attributes:
        alarm: Raised when this comes to be so; empty for none.
        refuses_arming: True if nothing may be armed on it.
        text: For people; empty if all is well.
    """

    alarm: str
    refuses_arming: bool
    text: str


FINE: Final = Storage("", refuses_arming=False, text="")


def not_kept(why: str) -> Storage:
    """Return how it stands when records are lost."""
    return Storage("RECORDING_FAILED", refuses_arming=True, text=why)


def with_room(free_bytes: int, before: Storage) -> Storage:
    """Return how it stands with so much room left; ``before`` itself while that is the same."""
    if free_bytes >= ROOM_WARN_BYTES:
        return FINE
    refuses = free_bytes < ROOM_ARM_BYTES
    if before.alarm and before.refuses_arming is refuses:
        return before
    text = (
        f"{free_bytes / _MEGA:.0f} MB free where the recording is; arming needs "
        f"{ROOM_ARM_BYTES / _MEGA:.0f} MB: make room, or give another --out"
    )
    return Storage("DISK_LOW", refuses, text)
