"""Which serial ports are probes by their USB identity alone, and the file of those remembered.

Nothing here opens a port: opening alone can reset a board that is none of ours.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from serial.tools import list_ports

from cryoctl.files import read_text
from cryoctl_protocol.messages import printable
from cryoctl_protocol.peer import LinkError
from cryoctl_protocol.toml_text import FileError, Problem, load_toml

OWN_MANUFACTURER: Final = "cryoctl"
"""USB manufacturer string of firmware built with our device library. Strings, because a vendor and
product id of our own we have none, and those that pid.codes lends for tests may not be claimed."""
OWN_PRODUCT: Final = "cryoprobe"
"""How the USB product string begins."""
FILE_NAME: Final = "ports.toml"
NAME_PATTERN: Final = r"[A-Za-z][A-Za-z0-9_-]{0,39}"
RESERVED_NAMES: Final = ("auto",)
_SYSTEM_NAME: Final = re.compile(r"com\d+|tty\w*|cua?U?\d*", re.IGNORECASE)
_BY_ID: Final = Path("/dev/serial/by-id")
_HEAD: Final = (
    "# Serial ports that cryoctl remembers as probes: cryoctl ports --remember, --forget.\n"
    "schema = 1\n"
)


class UsbPort(NamedTuple):
    """A serial port of this machine as its list tells it; not opened.

    Attributes:
        device: Path or name to open.
        vid_pid: USB ids as ``1a86:7523``; empty for what is no USB device.
        serial_number: Of the USB device; empty if it has none.
        location: Where it is plugged in, such as ``1-1.4:1.0``; empty if unknown.
    """

    device: str
    manufacturer: str = ""
    product: str = ""
    vid_pid: str = ""
    serial_number: str = ""
    location: str = ""

    @property
    def identity(self) -> str:
        """What tells this device from others, wherever its port goes; empty if nothing does.

        ``VID:PID:SERIAL``, or ``VID:PID@LOCATION`` for a device without a serial number.
        """
        if not self.vid_pid:
            return ""
        if self.serial_number:
            return f"{self.vid_pid}:{self.serial_number}"
        return f"{self.vid_pid}@{self.location}" if self.location else ""

    @property
    def is_own(self) -> bool:
        """True if it says of itself that its firmware is built with our device library."""
        product = self.product.lower()
        return self.manufacturer.lower() == OWN_MANUFACTURER and product.startswith(OWN_PRODUCT)


class RememberedPort(BaseModel):
    """One ``[[port]]`` of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    vid_pid: str = Field(pattern=r"^[0-9a-f]{4}:[0-9a-f]{4}$", description="USB ids.")
    serial_number: str = Field("", description="Of the device; empty if it has none.")
    location: str = Field("", description="USB socket, for a device without a serial number.")
    name: str = Field("", description="What people call it.")

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, name: str, _info: ValidationInfo) -> str:
        if name and not is_name(name):
            raise ValueError(why_no_name(name))
        return name

    @property
    def identity(self) -> str:
        """As of ``UsbPort``."""
        if self.serial_number:
            return f"{self.vid_pid}:{self.serial_number}"
        return f"{self.vid_pid}@{self.location}"


class PortsFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_: int = Field(1, alias="schema", ge=1, le=1)
    port: tuple[RememberedPort, ...] = ()


def is_name(text: str) -> bool:
    """Return True if ``text`` can name a remembered device and is no name of a port."""
    if text in RESERVED_NAMES or _SYSTEM_NAME.fullmatch(text):
        return False
    return re.fullmatch(NAME_PATTERN, text) is not None


def why_no_name(text: str) -> str:
    """Return what a name has to be like."""
    return (
        f"{text!r} cannot name a port: a letter, then up to 39 letters, digits, '-' or '_'; not "
        "'auto', and not what systems call their ports (COM3, ttyUSB0)"
    )


def data_folder() -> Path:
    """Return the folder in which this system keeps a user's program data."""
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming") / "cryoctl"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "cryoctl"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "cryoctl"


class Remembered(NamedTuple):
    """The devices that the user remembered, and the file that has them."""

    path: Path
    ports: tuple[RememberedPort, ...]

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Return what the file has; nothing if there is none.

        Raises:
            FileError: It cannot be read, or holds a mistake.
        """
        path = path or data_folder() / FILE_NAME
        if not path.exists():
            return cls(path, ())
        return cls(path, load_toml(read_text(path), str(path), PortsFile).port)

    def find(self, port: UsbPort) -> RememberedPort | None:
        """Return what is remembered of this very device, or None."""
        identity = port.identity
        return next((row for row in self.ports if identity and row.identity == identity), None)

    def named(self, name: str) -> RememberedPort | None:
        """Return the device of this name, or None."""
        return next((row for row in self.ports if name and row.name == name), None)

    def with_port(self, port: UsbPort, name: str) -> Remembered:
        """Return a list that also has ``port``; a device that is there already gets the name."""
        row = RememberedPort(
            vid_pid=port.vid_pid,
            serial_number=port.serial_number,
            location="" if port.serial_number else port.location,
            name=name,
        )
        others = tuple(old for old in self.ports if old.identity != row.identity)
        return Remembered(self.path, (*others, row))

    def without(self, gone: RememberedPort) -> Remembered:
        """Return a list without a device."""
        return Remembered(self.path, tuple(row for row in self.ports if row != gone))

    def save(self) -> None:
        """Write the file, whole or not at all; raises FileError if it cannot be."""
        text = _HEAD
        for row in self.ports:
            rows = row.model_dump(exclude_defaults=True)
            text += "\n[[port]]\n" + "".join(
                f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in rows.items()
            )
        new = self.path.with_suffix(".new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(text, "utf-8")
            new.replace(self.path)
        except OSError as error:
            reason = error.strerror or "cannot be written"
            raise FileError([Problem(str(self.path), None, "", reason)]) from error


def usb_ports() -> list[UsbPort]:
    """Return the serial ports of this machine, sorted; none is opened."""
    return [_usb_port(port) for port in sorted(list_ports.comports())]


def _usb_port(port: Any) -> UsbPort:
    product = port.product or (port.description if port.description != "n/a" else "") or ""
    return UsbPort(  # The device has written these texts, whoever made it.
        device=port.device,
        manufacturer=printable(getattr(port, "manufacturer", None) or ""),
        product=printable(product),
        vid_pid="" if port.vid is None else f"{port.vid:04x}:{port.pid:04x}",
        serial_number=printable(port.serial_number or ""),
        location=getattr(port, "location", None) or "",
    )


def stable_path(device: str, folder: Path = _BY_ID) -> str:
    """Return the path that leads to a port whatever number it gets; the port's own without one."""
    if not folder.is_dir():
        return device
    found = (str(link) for link in sorted(folder.iterdir()) if str(link.resolve()) == device)
    return next(found, device)


def find_probe(where: str, identity: str | None, remembered: Remembered) -> UsbPort:
    """Return the one port that ``serial:auto`` means.

    Args:
        where: The address as it was given, for messages.
        identity: That of a device that was found before; None takes any candidate.
        remembered: What the user remembered.

    Raises:
        LinkError: No candidate, or more than one; says what is there and what to do.
    """
    ports = usb_ports()
    if identity is not None:
        found = [port for port in ports if port.identity == identity]
        if not found:
            raise LinkError(f"{where}: {identity} is not plugged in{_what_is_there(ports)}")
    else:
        found = [port for port in ports if port.is_own or remembered.find(port) is not None]
    if len(found) == 1:
        return found[0]
    if found:
        rows = "".join(f"\n  serial:{_told(port, remembered)}" for port in found)
        raise LinkError(f"{where}: {len(found)} probes; nothing was opened. Choose one:{rows}")
    raise LinkError(
        f"{where}: no probe; nothing was opened{_what_is_there(ports)}\nIf one of them is a probe: "
        "cryoctl ports --remember DEVICE"
        if ports
        else f"{where}: no probe: this machine has no serial port; is it plugged in?"
    )


def _told(port: UsbPort, remembered: Remembered) -> str:
    row = remembered.find(port)
    name = f" ({row.name})" if row is not None and row.name else ""
    return f"{stable_path(port.device)}  {port.product} {port.identity}{name}".rstrip()


def _what_is_there(ports: Iterable[UsbPort]) -> str:
    rows = "".join(f"\n  {port.device}  {port.product} {port.identity}".rstrip() for port in ports)
    return f". There is:{rows}" if rows else ". There is no serial port"
