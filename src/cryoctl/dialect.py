"""What a probe speaks on its port: our own frames, or something a plug-in translates into them."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Final, Protocol, runtime_checkable

from cryoctl_protocol.framing import DELIMITER, Deframer, wrap
from cryoctl_protocol.peer import AddressError, DeviceUrl

DIALECT_GROUP: Final = "cryoctl.dialects"
"""Entry points; each makes a new dialect for each opening of a port."""
OWN: Final = "own"


class Dialect(Protocol):
    """Translates between the bytes of one port and our frame bodies (header, payload, tag).

    Attributes:
        errors: Pieces of what came in so far that made no sense.
    """

    errors: int

    def opening(self) -> bytes:
        """Return what to say before anything else, once the probe has been heard."""
        ...

    def decode(self, data: bytes, now_s: float) -> list[bytes]:
        """Return the bodies that ``data`` completes, and those the dialect answers by itself.

        It is also called with no data after every ``encode``. The first body it returns says that
        what is on the port is a probe: before, nothing is written.
        """
        ...

    def encode(self, body: bytes, now_s: float) -> bytes:
        """Return the bytes for ``body``; none if the probe knows nothing like it."""
        ...


@runtime_checkable
class PollingDialect(Dialect, Protocol):
    """A dialect for a probe that says nothing unless it is asked.

    Attributes:
        poll_s: How often to call ``poll``.
    """

    poll_s: float

    def poll(self, now_s: float) -> bytes:
        """Return what to ask the probe now; none if nothing is due.

        It is not called before the probe has been heard, unless the user's address has waived that
        with ``speaks_first=host``. ``decode`` is called after it, with no data.
        """
        ...


class OwnDialect:
    """COBS frames with a CRC."""

    def __init__(self) -> None:
        self.errors = 0
        self._deframer = Deframer()

    def opening(self) -> bytes:
        """Return a delimiter: it ends whatever stood on the line."""
        return DELIMITER

    def decode(self, data: bytes, now_s: float) -> list[bytes]:
        """Return the bodies that ``data`` completes."""
        bodies = self._deframer.feed(data)
        self.errors = self._deframer.rejects.total()
        return bodies

    def encode(self, body: bytes, now_s: float) -> bytes:
        """Return the frame of ``body``."""
        return wrap(body)


def dialect_of(url: DeviceUrl) -> Dialect:
    """Return a new dialect as ``?dialect=NAME`` asks for; ours without it.

    Raises:
        AddressError: None of this name is installed.
    """
    name = url.get("dialect") or OWN
    found = {point.name: point for point in entry_points(group=DIALECT_GROUP)}
    if name not in found:
        known = ", ".join(sorted(found))
        raise AddressError(f"device {url}: unknown dialect '{name}'; known: {known}")
    dialect: Dialect = found[name].load()()
    return dialect


def host_speaks_first(url: DeviceUrl, dialect: Dialect) -> bool:
    """Return True if ``?speaks_first=host`` lets the dialect ask before it has heard anything.

    Raises:
        AddressError: Another value, or a dialect that asks nothing.
    """
    who = url.get("speaks_first")
    if who is None:
        return False
    if who != "host":
        raise AddressError(f"device {url}: speaks_first '{who}' (allowed: host)")
    if not isinstance(dialect, PollingDialect):
        raise AddressError(
            f"device {url}: speaks_first=host is for a dialect that asks; this one only listens "
            "until the probe has spoken"
        )
    return True
