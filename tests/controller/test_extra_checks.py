"""Checks of plug-ins can add trips and blockers, and whatever else they do is caught."""

# ruff: noqa: ARG001  # Checks take the arguments of their seam, used or not.

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from cryoctl.arming import ArmingView, Blocker, arm_blockers
from cryoctl.extra_checks import GuardedArmCheck, GuardedInterlock
from cryoctl.interlocks import Check, Interlocks, Memory, TripNotice
from cryoctl.sample import Sample
from cryoctl_protocol.codes import Trip
from cryoctl_protocol.profile import Limits
from tests.controller.test_arming import READY
from tests.support.builders import a_sample, n2o_profile

LIMITS = n2o_profile().limits


def cold_skin(sample: Sample, memory: Memory, limits: Limits, now_s: float) -> TripNotice | None:
    """Trip at a warmer skin than the profile does."""
    if sample.skin_temp_c is None or sample.skin_temp_c >= 20.0:
        return None
    return TripNotice(Trip.SKIN_COLD, sample.skin_temp_c, 20.0, "°C", "too cold for us")


def found(check: Check, **changes: Any) -> list[TripNotice]:
    interlocks = Interlocks(LIMITS, "N2O", extra=(GuardedInterlock("ours", check),))
    return interlocks.check(a_sample(**changes), 0.0, rejects=0)


@pytest.mark.requirement("SR-28")
def test_an_interlock_of_a_plug_in_adds_a_trip_with_its_name() -> None:
    (notice,) = found(cold_skin, skin_temp_c=19.9)

    assert notice == TripNotice(Trip.SKIN_COLD, 19.9, 20.0, "°C", "plug-in ours: too cold for us")
    assert found(cold_skin, skin_temp_c=20.0) == []


@pytest.mark.requirement("SR-28")
def test_it_comes_after_ours_and_hides_none_of_them() -> None:
    trips = [notice.trip for notice in found(cold_skin, skin_temp_c=1.0, supply_pressure_bar=90.0)]

    assert trips == [Trip.OVERPRESSURE, Trip.SKIN_COLD]


@pytest.mark.requirement("SR-28")
def test_what_it_writes_into_the_memory_is_forgotten() -> None:
    def forgetful(sample: Sample, memory: Memory, limits: Limits, now_s: float) -> None:
        memory.bad_history = 0
        memory.tip_good = True

    interlocks = Interlocks(LIMITS, "N2O", extra=(GuardedInterlock("bad", forgetful),))
    broken = [
        interlocks.check(a_sample(tip_temp_c=-95.0, device_ms=20 * i), 0.02 * i, rejects=0)
        for i in range(3)
    ]

    assert [notice.trip for notice in broken[-1]] == [Trip.TIP_SENSOR]


def raising(sample: Sample, memory: Memory, limits: Limits, now_s: float) -> None:
    raise ZeroDivisionError("by nothing")


def returning(value: object) -> Check:
    def check(sample: Sample, memory: Memory, limits: Limits, now_s: float) -> Any:
        return value

    return check


@pytest.mark.requirement("SR-39")
@pytest.mark.parametrize(
    ("check", "why"),
    [
        (raising, "ZeroDivisionError('by nothing')"),
        (returning(True), "returned True, which is no TripNotice"),
        (
            returning(TripNotice(Trip.OPERATOR_STOP, 0.0, 0.0, "")),
            "returned OPERATOR_STOP, which is not a plug-in's to say",
        ),
        (
            returning(TripNotice(Trip.NONE, 0.0, 0.0, "")),
            "returned NONE, which is not a plug-in's to say",
        ),
        (
            returning(TripNotice(Trip.LEAK, float("nan"), 0.0, "")),
            "returned a value or limit that is no number",
        ),
    ],
    ids=["raises", "no notice", "a person's stop", "no trip", "no number"],
)
def test_one_that_is_broken_is_an_internal_error(check: Check, why: str) -> None:
    assert found(check) == [TripNotice(Trip.INTERNAL, 0.0, 0.0, "", f"plug-in ours: {why}")]


def blockers(check: Any) -> list[Blocker]:
    return arm_blockers(READY, [GuardedArmCheck("ours", check)])


@pytest.mark.requirement("SR-28")
def test_a_check_of_a_plug_in_adds_a_reason_against_arm() -> None:
    def check(view: ArmingView) -> Iterable[Blocker]:
        yield Blocker("ACME-REQ-1", "none", "signed", "nobody has signed")

    assert blockers(check) == [
        Blocker("ACME-REQ-1", "none", "signed", "plug-in ours: nobody has signed")
    ]


@pytest.mark.requirement("SR-28")
def test_a_check_that_finds_nothing_takes_none_of_our_reasons_away() -> None:
    nothing = GuardedArmCheck("ours", lambda _: [])

    assert arm_blockers(READY, [nothing]) == []
    unready = ArmingView(
        **{name: getattr(READY, name) for name in READY.__slots__} | {"leak_test_age_s": None}
    )
    assert arm_blockers(unready, [nothing]) == [
        Blocker("SR-19", "none", "within 30 min", "no passed leak test")
    ]


@pytest.mark.requirement("SR-39")
def test_a_check_that_is_broken_is_a_reason_against_arm() -> None:
    def check(view: ArmingView) -> Iterable[Blocker]:
        raise KeyError("signature")

    assert blockers(check) == [
        Blocker("SR-39", "failed", "no error", "plug-in ours: KeyError('signature')")
    ]
    assert [blocker.id for blocker in blockers(lambda _: [None])] == ["SR-39"]
