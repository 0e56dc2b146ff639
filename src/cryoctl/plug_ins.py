"""Finds the plug-ins that are installed, by their entry points; only shells load them.

One that cannot be loaded refuses the run: a check that somebody relies on must not be missing.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, NamedTuple

from cryoctl.extra_checks import GuardedArmCheck, GuardedInterlock
from cryoctl_protocol.profile import PROFILE_GROUP, brought_profiles

INTERLOCK_GROUP: Final = "cryoctl.interlocks"
"""Entry points that are checks as those in ``cryoctl.interlocks``."""
CHECK_GROUP: Final = "cryoctl.checks"
"""Entry points that take an ``ArmingView`` and return reasons against ARM."""
EXPORTER_GROUP: Final = "cryoctl.exporters"
"""Entry points that write a table to a file; their name is that of the format."""


class PlugInError(Exception):
    """A plug-in that cannot be used; the text says which, why, and how to be rid of it."""


class PlugIn(NamedTuple):
    """A plug-in that takes part in a run.

    Attributes:
        group: Of entry points.
        package: That brings it.
    """

    group: str
    name: str
    package: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} of {self.package} {self.version} ({self.group})"


class PlugIns(NamedTuple):
    """The plug-ins of a run, ready for the controller."""

    interlocks: tuple[GuardedInterlock, ...] = ()
    checks: tuple[GuardedArmCheck, ...] = ()
    loaded: tuple[PlugIn, ...] = ()


def load_plug_ins(profile_name: str = "") -> PlugIns:
    """Return every installed interlock and check, in the order of their names.

    Args:
        profile_name: Of the probe's profile, which may be a plug-in as well.

    Raises:
        PlugInError: One cannot be loaded, or is no function.
    """
    interlocks, checks = _installed(INTERLOCK_GROUP), _installed(CHECK_GROUP)
    profiles = [point for point in _installed(PROFILE_GROUP) if point.name == profile_name]
    return PlugIns(
        tuple(GuardedInterlock(point.name, load_function(point)) for point in interlocks),
        tuple(GuardedArmCheck(point.name, load_function(point)) for point in checks),
        tuple(about(point) for point in (*interlocks, *checks, *profiles)),
    )


def load_again(wanted: list[PlugIn], profile_name: str) -> PlugIns:
    """Return the plug-ins of a recorded run.

    Raises:
        PlugInError: One is not installed, or of another version.
    """
    of_run = load_plug_ins(profile_name)
    missing = [plug_in for plug_in in wanted if plug_in not in of_run.loaded]
    if missing:
        raise PlugInError(f"it was run with plug-in {missing[0]}, which is not installed here")
    names = {(plug_in.group, plug_in.name) for plug_in in wanted}
    return PlugIns(
        tuple(row for row in of_run.interlocks if (INTERLOCK_GROUP, row.name) in names),
        tuple(row for row in of_run.checks if (CHECK_GROUP, row.name) in names),
        tuple(wanted),
    )


def exporters() -> dict[str, EntryPoint]:
    """Return the formats that plug-ins can export, by name."""
    return {point.name: point for point in _installed(EXPORTER_GROUP)}


def about(point: EntryPoint) -> PlugIn:
    """Return what a recording says of a plug-in."""
    package, version = ("", "") if point.dist is None else (point.dist.name, point.dist.version)
    return PlugIn(point.group, point.name, package, version)


def load_function(point: EntryPoint) -> Callable[..., Any]:
    """Return the function of an entry point; raises PlugInError."""
    try:
        function = point.load()
    except Exception as error:
        raise PlugInError(_refused(point, repr(error))) from error
    if not callable(function):
        raise PlugInError(_refused(point, f"{point.value} is no function"))
    loaded: Callable[..., Any] = function
    return loaded


def _refused(point: EntryPoint, why: str) -> str:
    plug_in = about(point)
    return f"plug-in {plug_in} cannot be loaded: {why}; mend it, or pip uninstall {plug_in.package}"


def _installed(group: str) -> list[EntryPoint]:
    points = brought_profiles().values() if group == PROFILE_GROUP else entry_points(group=group)
    return sorted(points, key=lambda point: point.name)
