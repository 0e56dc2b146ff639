"""The seams at which controller, simulator and rigs meet: links, peers, faults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import entry_points
from typing import NamedTuple, Protocol, runtime_checkable
from urllib.parse import parse_qsl

from cryoctl_protocol.link_limits import STREAM_LIMITS, LinkLimits
from cryoctl_protocol.truth import TruthSource

LINK_GROUP = "cryoctl.links"


class LinkError(Exception):
    """A link that cannot be opened or is gone; the text says what to do."""


class AddressError(LinkError):
    """A device address that says something impossible; nothing was tried."""


@runtime_checkable
class SyncPeer(Protocol):
    """A device that lives in virtual time and answers bytes with bytes."""

    def advance_to(self, now_s: float, incoming: bytes) -> bytes:
        """Deliver ``incoming``, move the device to ``now_s``, return what it sent meanwhile."""
        ...

    def save(self) -> bytes:
        """Return the whole state; valid for this version of the program only."""
        ...

    def load(self, data: bytes) -> None:
        """Take over a state that ``save`` returned."""
        ...


class Frame(NamedTuple):
    """One frame as it came off a link, without framing bytes.

    Attributes:
        data: Header, payload and tag; COBS and CRC already removed and checked.
        received_s: When the link had it complete.
    """

    data: bytes
    received_s: float


class FrameLink(Protocol):
    """A link to a device, one frame at a time.

    Attributes:
        line_errors: Pieces of the stream so far that were no frame; 0 where the link cannot tell.
    """

    line_errors: int

    async def send(self, data: bytes) -> None:
        """Queue one frame (header, payload, tag) for sending; raises LinkError when gone."""
        ...

    async def receive(self) -> Frame:
        """Wait for the next frame; raises LinkError when the link is gone."""
        ...

    async def close(self) -> None:
        """Give the link up; never blocks on a stalled peer."""
        ...

    def abort(self) -> None:
        """Give the link up where nothing can be awaited, such as before it was used."""
        ...


@runtime_checkable
class ByteLink(FrameLink, Protocol):
    """A link over a stream, for who judges and makes the bytes by himself.

    ``send``, ``receive`` and ``close`` work as ever: ``receive`` tells that the link is gone.
    """

    def listen(self, on_bytes: Callable[[bytes, float], None]) -> None:
        """Have ``on_bytes`` called with whatever arrives, and the time."""
        ...

    def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are, once a frame has been heard; raises LinkError when gone."""
        ...


class FaultNote(NamedTuple):
    """What became of a fault that was asked for; None is a moment that has not come."""

    fault: str
    began_s: float | None
    ended_s: float | None


class KnownFault(NamedTuple):
    """A fault that can be asked for.

    Attributes:
        group: Where it sits, for people.
        text: One line for people.
        parameters: What it may be given, as ``name=default unit``; each may be left out.
    """

    id: str
    group: str
    text: str
    parameters: tuple[str, ...] = ()


class FaultPort(Protocol):
    """The back door of a simulator or bench; a real probe has none."""

    def known(self) -> list[KnownFault]:
        """Return every fault that can be asked for."""
        ...

    def inject(self, fault: str) -> None:
        """Schedule ``ID@WHEN`` (such as ``tc_open@12s``); raises ValueError with a clear text."""
        ...

    def clear(self, fault_id: str) -> int:
        """End every fault of this id, present or waiting; return how many those were.

        Raises:
            ValueError: No fault has this id.
        """
        ...

    def history(self) -> list[FaultNote]:
        """Return every fault asked for so far, in that order."""
        ...


class Hands(Protocol):
    """What people do to a simulated probe by hand; to a real one they do it themselves."""

    def check(self, scenario: str) -> None:
        """Read a scenario and move nothing; raises AddressError without one, else FileError."""
        ...

    def place(self, scenario: str | None) -> None:
        """Put the needle into fresh tissue: that of a scenario's name or file, or the same kind."""
        ...

    def change_cartridge(self) -> None:
        """Take the cartridge out and put in a full one."""
        ...


CrashSink = Callable[[str, float], None]


class CrashSource(Protocol):
    """A simulated probe whose processor can go wrong, and is seen to; a real one's is not."""

    def subscribe_to_crashes(self, sink: CrashSink) -> None:
        """Have ``sink(text, now_s)`` called for each crash: one line, and the peer's time."""
        ...


@dataclass(frozen=True, slots=True)
class DeviceUrl:
    """A device address: ``scheme:path?key=value&key=value``.

    Attributes:
        scheme: Names the entry point that opens it, such as ``sim``.
        path: Meaning belongs to the scheme; may be empty.
        params: Query in order; keys may repeat.
    """

    scheme: str
    path: str
    params: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> DeviceUrl:
        """Split ``text``; raises AddressError when it has no scheme."""
        scheme, colon, rest = text.partition(":")
        if not colon or not scheme.isidentifier():
            raise AddressError(
                f"device {text!r}: expected SCHEME:PATH, such as sim: or sim:co2-20g?seed=7"
            )
        path, _, query = rest.partition("?")
        # A plus sign is itself here, not a space: fault=tc_open@freeze+3s.
        pairs = parse_qsl(query.replace("+", "%2B"), keep_blank_values=True)
        return cls(scheme, path, tuple(pairs))

    def with_params(self, *more: tuple[str, str]) -> DeviceUrl:
        """Return a copy with ``more`` appended to the query."""
        return DeviceUrl(self.scheme, self.path, (*self.params, *more))

    def get(self, key: str) -> str | None:
        """Return the last value of ``key``: later settings win."""
        found = self.all(key)
        return found[-1] if found else None

    def all(self, key: str) -> tuple[str, ...]:
        """Return every value of ``key`` in order."""
        return tuple(value for name, value in self.params if name == key)

    def __str__(self) -> str:
        query = "&".join(f"{key}={value}" for key, value in self.params)
        return f"{self.scheme}:{self.path}" + (f"?{query}" if query else "")


def is_host(text: str) -> bool:
    """Return True if ``text`` is an address, or what a program can ask for the address of."""
    try:
        return bool(text.encode("idna"))
    except UnicodeError:  # An empty part, or one of more than 63 characters.
        return False


class Reach(StrEnum):
    """From where somebody could speak on a link: what proves a command there follows from it."""

    COMPUTER = "this computer"
    """In process, a pseudo-terminal, loopback: the public demo key is good enough."""
    LINE = "a local serial line"
    """Who holds the cable: without a key of its own a device needs a bench waiver."""
    NETWORK = "a network"
    """Anybody: only a key of the device's own proves anything."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What opening a device address yields.

    Attributes:
        description: One line for people.
        peer: Present for devices in virtual time.
        link: Present for devices in real time.
        faults: Present where faults can be injected.
        truth: Present where a simulated plant knows the truth.
        hands: Present where needle and cartridge are simulated too.
        crashes: Present where a simulated processor tells of its crashes.
        files: Name and text of every file that shaped the device, for the recording.
        limits: How old telemetry may be on this link.
        reach: From where somebody could speak on ``link``; a peer is in this process anyway.
        again: Address of this very device, should the link be lost; None is the one it was opened
            by.
    """

    description: str
    peer: SyncPeer | None = None
    link: FrameLink | None = None
    faults: FaultPort | None = None
    truth: TruthSource | None = None
    hands: Hands | None = None
    crashes: CrashSource | None = None
    files: tuple[tuple[str, str], ...] = ()
    limits: LinkLimits = STREAM_LIMITS
    reach: Reach = Reach.NETWORK
    again: DeviceUrl | None = None


def open_device(url: DeviceUrl) -> Opened:
    """Open ``url`` through the entry point that its scheme names.

    Raises:
        AddressError: No such scheme is installed, or the address is wrong.
        LinkError: The device is not there.
    """
    found = {point.name: point for point in entry_points(group=LINK_GROUP)}
    if url.scheme not in found:
        known = ", ".join(sorted(found)) or "none installed"
        raise AddressError(f"device {url}: unknown scheme {url.scheme!r}; known: {known}")
    opened = found[url.scheme].load()(url)
    if not isinstance(opened, Opened):
        raise LinkError(f"device {url}: the plug-in for {url.scheme!r} returned no device")
    return opened
