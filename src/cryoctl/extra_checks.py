"""Checks that plug-ins bring: guarded, so that they can add a trip or a blocker and nothing else.

A check sees a copy of what ours remember. One that raises, or returns something else than it
should, is an internal error of the program: a trip (SR-39), or a reason not to arm.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from math import isfinite
from typing import Final

from cryoctl.arming import ArmCheck, ArmingView, Blocker
from cryoctl.interlocks import Check, Memory, TripNotice
from cryoctl.sample import Sample
from cryoctl_protocol.codes import Trip
from cryoctl_protocol.profile import Limits

_NOT_ITS_OWN: Final = frozenset({Trip.NONE, Trip.OPERATOR_STOP})
"""No trip, and one that would have a treatment count as stopped by a person."""


@dataclass(frozen=True, slots=True)
class GuardedInterlock:
    """An interlock of a plug-in.

    Attributes:
        name: Of the plug-in, told with every trip.
    """

    name: str
    check: Check

    def __call__(
        self, sample: Sample, memory: Memory, limits: Limits, now_s: float
    ) -> TripNotice | None:
        """Return what the plug-in found, or what is wrong with the plug-in."""
        try:
            return self._judged(self.check(sample, copy(memory), limits, now_s))
        except Exception as error:  # noqa: BLE001  # Whatever it is, the probe is made safe.
            return self._broken(repr(error))

    def _judged(self, notice: object) -> TripNotice | None:
        if notice is None:
            return None
        if not isinstance(notice, TripNotice):
            return self._broken(f"returned {notice!r}, which is no TripNotice")
        trip, figures = Trip(notice.trip), (float(notice.value), float(notice.limit))
        if trip in _NOT_ITS_OWN:
            return self._broken(f"returned {trip.name}, which is not a plug-in's to say")
        if not all(map(isfinite, figures)):
            return self._broken("returned a value or limit that is no number")
        detail = f"plug-in {self.name}" + (f": {notice.detail}" if notice.detail else "")
        return TripNotice(trip, *figures, str(notice.unit), detail)

    def _broken(self, why: str) -> TripNotice:
        return TripNotice(Trip.INTERNAL, 0.0, 0.0, "", f"plug-in {self.name}: {why}")


@dataclass(frozen=True, slots=True)
class GuardedArmCheck:
    """A check of a plug-in before ARM.

    Attributes:
        name: Of the plug-in, told with every reason.
    """

    name: str
    check: ArmCheck

    def __call__(self, view: ArmingView) -> list[Blocker]:
        """Return the plug-in's reasons against ARM, or what is wrong with the plug-in."""
        try:
            return [self._named(Blocker(*map(str, blocker))) for blocker in self.check(view)]
        except Exception as error:  # noqa: BLE001  # Whatever it is, nothing is armed.
            return [Blocker("SR-39", "failed", "no error", f"plug-in {self.name}: {error!r}")]

    def _named(self, blocker: Blocker) -> Blocker:
        return blocker._replace(text=f"plug-in {self.name}: {blocker.text}")
