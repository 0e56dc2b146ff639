"""Which key a device is commanded with, and which device is not commanded at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cryoctl_protocol.auth import DEMO_KEY, DEMO_KEY_ID
from cryoctl_protocol.codes import Capability
from cryoctl_protocol.device_keys import DeviceKey, DeviceKeys, NoKey, next_key_id
from cryoctl_protocol.messages import Hello, unpadded
from cryoctl_protocol.peer import Reach


@dataclass(frozen=True, slots=True)
class StoredKeys:
    """The keys of this computer, on one link (``KeyRing``).

    Attributes:
        held: By serial number.
        problems: Why the file of a device cannot be used, by serial number.
        reach: From where somebody could speak on the link.
        bench_waiver: Written reason to command a device without own protection.
        folder: Where the keys are, for people.
    """

    held: Mapping[str, DeviceKeys] = field(repr=False)
    problems: Mapping[str, str]
    reach: Reach
    bench_waiver: str
    folder: str

    def key_for(self, hello: Hello) -> DeviceKey | NoKey:
        """Return the key to talk to the device with, or why there is none."""
        device = unpadded(hello.device_id)
        if device in self.problems:
            return NoKey(self.problems[device])
        if hello.key_id == DEMO_KEY_ID or not hello.capabilities & Capability.AUTHENTICATION:
            return self._public_key(device, hello)
        held = self.held.get(device)
        if held is None:
            return NoKey(
                f"probe {device} is commanded with key {hello.key_id}, and {self.folder} has no "
                f"key of it; on the computer that has it: cryoctl keys export {device} --out FILE, "
                "here: cryoctl keys import FILE"
            )
        for key in held.keys:
            if key.key_id == hello.key_id:
                return key
        if hello.key_id == next_key_id(held.newest.key_id):
            return held.newest  # The device has been given the next one and still takes this.
        ids = " and ".join(str(key.key_id) for key in held.keys)
        return NoKey(
            f"probe {device} is commanded with key {hello.key_id}, and {self.folder} has key {ids} "
            f"of it; give the probe the present one: cryoctl keys export {device} --out FILE"
        )

    def _public_key(self, device: str, hello: Hello) -> DeviceKey | NoKey:
        """Return the public key where no more is to be had; it proves nothing about a sender."""
        if device in self.held:
            return NoKey(
                f"probe {device} says that it has no key, and {self.folder} has one of it: it was "
                "reset, or something else speaks in its name. Give it its key again: "
                f"cryoctl keys export {device} --out FILE"
            )
        if self.reach is Reach.COMPUTER:
            return DeviceKey(hello.key_id, DEMO_KEY)
        if self.reach is Reach.LINE and self.bench_waiver:
            return DeviceKey(hello.key_id, DEMO_KEY)
        waiver = ", or say why it may be so on this bench: --bench-waiver REASON"
        return NoKey(
            f"probe {device} has no key of its own, so anybody on {self.reach} could command it. "
            f"Give it one: cryoctl keys new {device}, cryoctl keys export {device} --out FILE"
            + (waiver if self.reach is Reach.LINE else "")
        )
