"""The keys of devices on this computer: a folder for their owner alone, one file a device."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import Final, NamedTuple

from cryoctl.clock import utc_now
from cryoctl.key_ring import StoredKeys
from cryoctl.private_file import write_private
from cryoctl_protocol.auth import DEMO_KEY
from cryoctl_protocol.device_keys import (
    FILE_SIZE_MAX,
    KEY_ID_MAX,
    KEY_SIZE,
    KEYS_MAX,
    DeviceKey,
    DeviceKeys,
    KeyRing,
    device_keys_text,
    is_device_name,
    next_key_id,
    parse_device_keys,
)
from cryoctl_protocol.peer import Opened
from cryoctl_protocol.private_file import file_error, read_private, refuse_others
from cryoctl_protocol.toml_text import FileError

FOLDER_VARIABLE: Final = "CRYOCTL_KEYS"


def key_folder(given: Path | None = None) -> Path:
    """Return where keys are: as given, as ``CRYOCTL_KEYS`` says, or the user's data folder."""
    named = os.environ.get(FOLDER_VARIABLE)
    if given is not None or named:
        return given or Path(named or "")
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "cryoctl" / "keys"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "cryoctl" / "keys"
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "cryoctl" / "keys"


class StoreContents(NamedTuple):
    """Everything in a folder of keys.

    Attributes:
        held: By serial number.
        problems: Why a file cannot be used, by the serial number that it is named after.
    """

    held: dict[str, DeviceKeys]
    problems: dict[str, str]


class KeyStore:
    """A folder of keys.

    Args:
        folder: Need not be there yet.

    Every method raises FileError for a folder or file that cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, device: str) -> DeviceKeys:
        """Return the keys of a device."""
        path = self._path(device)
        self._check_folder()
        if not path.exists():
            raise file_error(path, f"no key of {device}; make one with: cryoctl keys new {device}")
        return _read(path)

    def contents(self) -> StoreContents:
        """Return everything there is; nothing for a folder that is not there."""
        found = StoreContents({}, {})
        if not self.folder.exists():
            return found
        self._check_folder()
        for path in sorted(self.folder.glob("[!.]*.toml")):
            try:
                found.held[path.stem] = _read(path)
            except FileError as error:
                found.problems[path.stem] = str(error)
        return found

    def new(self, device: str, key_id: int = 1) -> DeviceKeys:
        """Make the first key of a device."""
        if not 1 <= key_id <= KEY_ID_MAX:
            raise ValueError(f"key id {key_id}: expected 1 to {KEY_ID_MAX}")
        return self.add(DeviceKeys(device, (_make(key_id),)))

    def add(self, keys: DeviceKeys) -> DeviceKeys:
        """Take in the keys of a device that has none here yet."""
        path = self._path(keys.device)
        self._make_folder()
        try:
            write_private(path, device_keys_text(keys))
        except FileExistsError:
            text = f"{keys.device} has a key already; another beside it: cryoctl keys rotate"
            raise file_error(path, f"{text} {keys.device}") from None
        except OSError as error:
            raise file_error(path, error.strerror or "cannot be written") from error
        return keys

    def rotate(self, device: str) -> DeviceKeys:
        """Make the next key of a device and keep the present one beside it."""
        held = self.read(device)
        if len(held.keys) == KEYS_MAX:
            text = f"{device} has two keys already; drop the older with: cryoctl keys retire"
            raise file_error(self._path(device), f"{text} {device}")
        made = _make(next_key_id(held.newest.key_id))
        return self._replace(DeviceKeys(device, (made, *held.keys)))

    def retire(self, device: str) -> DeviceKeys:
        """Drop the older of a device's two keys."""
        held = self.read(device)
        if held.former is None:
            raise file_error(self._path(device), f"{device} has one key only; nothing is dropped")
        return self._replace(DeviceKeys(device, (held.newest,)))

    def _replace(self, keys: DeviceKeys) -> DeviceKeys:
        path = self._path(keys.device)
        try:
            write_private(path, device_keys_text(keys), replaces=True)
        except OSError as error:
            raise file_error(path, error.strerror or "cannot be written") from error
        return keys

    def _path(self, device: str) -> Path:
        if not is_device_name(device):
            raise file_error(
                self.folder,
                f"no serial number: {device!r}; 1 to 16 letters, digits or . _ -, as HELLO has it "
                "(cryoctl monitor shows it)",
            )
        return self.folder / f"{device}.toml"

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise file_error(self.folder, error.strerror or "cannot be made") from error
        self._check_folder()

    def _check_folder(self) -> None:
        try:
            mode = self.folder.stat().st_mode
        except OSError as error:
            raise file_error(self.folder, error.strerror or "cannot be read") from error
        # Who can write here can put a key of their own in the place of one.
        refuse_others(self.folder, mode, "700")


def read_device_keys(path: Path) -> DeviceKeys:
    """Return the keys in a file that ``cryoctl keys export`` has written.

    Raises:
        FileError: It cannot be read, is open to others than its owner, or is no such file.
    """
    data = read_private(path, FILE_SIZE_MAX)
    return parse_device_keys(data.decode("ascii", "replace"), str(path))


def _read(path: Path) -> DeviceKeys:
    keys = read_device_keys(path)
    if keys.device != path.stem:
        raise file_error(path, "it is named after another device than it has the keys of")
    return keys


def _make(key_id: int) -> DeviceKey:
    return DeviceKey(key_id, secrets.token_bytes(KEY_SIZE), utc_now().date().isoformat())


def keys_on(opened: Opened, folder: Path | None, bench_waiver: str) -> bytes | KeyRing:
    """Return what an opened device's key is chosen from; in this process it is the demo key.

    Args:
        opened: The device.
        folder: With the keys of devices; None is ``CRYOCTL_KEYS``, else the user's own.
        bench_waiver: Written reason to command a device without own protection.

    Raises:
        FileError: The folder of keys cannot be used.
    """
    if opened.link is None:
        return DEMO_KEY
    place = key_folder(folder)
    found = KeyStore(place).contents()
    return StoredKeys(found.held, found.problems, opened.reach, bench_waiver, str(place))
