"""What a defect is: a small change of the device model or of the C firmware, for one run.

No program that drives a probe knows of these. As in ``layers``, what is changed is replaced from
outside, in a process of its own, and put back whatever happens: nobody can open a defective probe
by an address.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from copy import copy
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib import import_module
from typing import Any, Final
from unittest.mock import patch

from cryoctl_protocol.codes import Trip
from cryoctl_protocol.messages import Telemetry
from cryoctl_simulator import firmware_commands, firmware_model
from cryoctl_simulator.firmware_config import FirmwareConfig
from cryoctl_simulator.firmware_identity import Boot
from cryoctl_simulator.firmware_model import FirmwareModel
from cryoctl_simulator.firmware_state import FirmwareState
from cryoctl_simulator.instruments import Readings

Change = Callable[[], AbstractContextManager[Any]]
"""Makes its change when it is entered, and takes it back."""
_DEVICE: Final = ("cryoctl_simulator.", "cryoctl_protocol.device_session")
"""Modules of the device alone: what the host decides by stays as it is."""


class Kind(StrEnum):
    """Which firmware a defect is in; the value is the rig that runs it."""

    MODEL = "sim"
    C = "firmware:native"


@dataclass(frozen=True, slots=True)
class Defect:
    """One defective probe.

    Attributes:
        text: What is wrong with it.
        requirements: Which it violates, the one most concerned first; tests of these are run
            first, in this order.
    """

    id: str
    text: str
    requirements: tuple[str, ...]
    changes: tuple[Change, ...]
    kind: Kind = Kind.MODEL

    @contextmanager
    def present(self) -> Iterator[None]:
        """Have every probe that is opened in this process meanwhile be this one."""
        with ExitStack() as stack:
            for change in self.changes:
                stack.enter_context(change())
            yield


def defect(identifier: str, text: str, requirements: str, *changes: Change) -> Defect:
    """Return a defect of the device model; ``requirements`` has spaces between."""
    return Defect(identifier, text, tuple(requirements.split()), changes)


# -- changes of the device model ---


def limit(**values: int) -> Change:
    """Build the firmware with other limits than its profile has."""

    def make(init: Any) -> Any:
        def with_limits(self: FirmwareModel, config: FirmwareConfig, boot: Boot) -> None:
            others: dict[str, Any] = values
            init(self, replace(config, limits=replace(config.limits, **others)), boot)

        return with_limits

    return instead(FirmwareModel, "__init__", make)


def constant(name: str, value: Any) -> Change:
    """Give a constant another value, wherever the device has it from."""

    @contextmanager
    def change() -> Iterator[None]:
        import_module("cryoctl_simulator.link")  # Has everything that the device is made of.
        found = [
            module
            for key, module in list(sys.modules.items())
            if key.startswith(_DEVICE) and name in vars(module)
        ]
        assert found, f"the device has no constant {name}"
        with ExitStack() as stack:
            for module in found:
                stack.enter_context(patch.object(module, name, value))
            yield

    return change


def instead(owner: Any, name: str, make: Callable[[Any], Any]) -> Change:
    """Replace a function by what ``make`` makes of it."""
    return lambda: patch.object(owner, name, make(vars(owner)[name]))


def always(owner: Any, name: str, value: Any) -> Change:
    """Have a function return one value, whatever it is asked."""
    return instead(owner, name, lambda _: lambda *_args, **_named: value)


def blind(*trips: Trip, where: Callable[[FirmwareState], bool] = lambda _: True) -> Change:
    """Have the firmware find none of ``trips`` while ``where`` is true of its memory."""
    mask = sum(1 << trip for trip in trips)

    def make(find_trip: Any) -> Any:
        def find_left(limits: Any, s: FirmwareState, seen: int = 0) -> int:
            found: int = find_trip(limits, s, seen | mask if where(s) else seen)
            return found

        return find_left

    return instead(firmware_model, "find_trip", make)


def reads(change: Callable[[Readings], None]) -> Change:
    """Have the firmware read other values than the sensors deliver."""

    def make(tick: Any) -> Any:
        def with_readings(
            self: FirmwareModel, now_ms: int, readings: Readings, incoming: bytes
        ) -> bytes:
            changed = copy(readings)
            change(changed)
            sent: bytes = tick(self, now_ms, changed, incoming)
            return sent

        return with_readings

    return instead(FirmwareModel, "tick", make)


def tells(change: Callable[[Telemetry], dict[str, int]]) -> Change:
    """Have telemetry say other values than the firmware goes by."""

    def make(telemetry: Any) -> Any:
        def changed(*args: Any) -> Telemetry:
            sample: Telemetry = telemetry(*args)
            return sample._replace(**change(sample))

        return changed

    return instead(firmware_model, "telemetry", make)


def drives(change: Callable[[FirmwareState], None]) -> Change:
    """Change outputs after each tick has set them."""

    def make(drive: Any) -> Any:
        def changed(limits: Any, s: FirmwareState, r: Any) -> None:
            drive(limits, s, r)
            change(s)

        return changed

    return instead(firmware_model, "drive", make)


def allowed(op: int, *states: int) -> Change:
    """Have an operation be possible in more states than it is made for."""

    def make(table: Sequence[int]) -> tuple[int, ...]:
        rows = list(table)
        rows[op] |= sum(1 << state for state in states)
        return tuple(rows)

    return instead(firmware_commands, "STATES_OF_OP", make)
