"""The keys that a recorded run was made with, asked for again: no recording holds one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryoctl.key_store import KeyStore
from cryoctl_protocol.auth import DEMO_KEY
from cryoctl_protocol.device_keys import DeviceKey, NoKey
from cryoctl_protocol.messages import Hello, unpadded

_UNKNOWN: Final = NoKey("the recording does not say with which key this probe was talked to")


class KeyNotHereError(Exception):
    """A run that cannot be replayed on this computer; the text says which key it takes."""


@dataclass(frozen=True, slots=True)
class RecordedKeys:
    """Answers as the ring of the recorded run did (``KeyRing``).

    Attributes:
        answers: By serial number and the id that the device announced.
    """

    answers: Mapping[tuple[str, int], DeviceKey | NoKey] = field(repr=False)

    def key_for(self, hello: Hello) -> DeviceKey | NoKey:
        """Return what was answered then."""
        return self.answers.get((unpadded(hello.device_id), hello.key_id), _UNKNOWN)


def recorded_keys(events: Iterable[Mapping[str, Any]], folder: Path) -> RecordedKeys:
    """Return the keys of a run whose events these are.

    Args:
        events: Of the recording; those of HELLO tell which key was used, by its fingerprint.
        folder: With the keys of this computer.

    Raises:
        KeyNotHereError: It has not the key that was used.
        FileError: The folder may be read by others.
    """
    answers: dict[tuple[str, int], DeviceKey | NoKey] = {}
    for event in events:
        if event["kind"] != "hello":
            continue
        asked = (str(event["device"]), int(event["key_id"]))
        if asked in answers:
            continue
        if event["key"] is not None:
            answers[asked] = _find(asked[0], event["key"], folder)
        elif event["no_key"]:
            answers[asked] = NoKey(event["no_key"])
    return RecordedKeys(answers)


def _find(device: str, used: Mapping[str, Any], folder: Path) -> DeviceKey:
    key_id, fingerprint = int(used["id"]), str(used["fingerprint"])
    public = DeviceKey(key_id, DEMO_KEY)
    if fingerprint == public.fingerprint:
        return public
    found = KeyStore(folder).contents().held.get(device)
    for key in () if found is None else found.keys:
        if (key.key_id, key.fingerprint) == (key_id, fingerprint):
            return key
    raise KeyNotHereError(
        f"it was recorded with key {key_id} of {device} (fingerprint {fingerprint}), which is not "
        f"in {folder}; keys are in no recording: replay it where the key is, or import the key"
    )
