"""Two layers of interlocks, each alone: every bound kept without the other, and each one needed."""

from __future__ import annotations

import pytest

from cryoctl import core, interlocks
from cryoctl_hil.assurance.broken import INTERLOCKS, claims_that_miss, run
from cryoctl_hil.assurance.claims import (
    CLAIMS,
    EXCEPTIONS,
    Claim,
    claims_of_everyone,
    try_claim,
)
from cryoctl_hil.layers import (
    DEVICE_TRIPS,
    HOST_CHECKS,
    device_interlocks_off,
    host_interlocks_off,
)
from cryoctl_protocol.codes import Trip
from cryoctl_simulator import firmware_model, firmware_safety
from cryoctl_simulator.firmware_model import FirmwareModel

ALLOCATION = {
    "SR-01": "D",
    "SR-03": "H",
    "SR-05": "B",
    "SR-07": "B",
    "SR-08": "B",
    "SR-09": "D",
    "SR-11": "B",
    "SR-12": "H",
    "SR-15": "B",
    "SR-16": "B",
    "SR-17": "H",
    "SR-18": "B",
    "SR-20": "H",
    "SR-23": "B",
    "SR-35": "H",
    "SR-36": "D",
    "SR-42": "B",
    "SR-43": "H",
}
"""Who must keep the bound: host, device or both."""
# Seconds from seen to safe. SR-01 is counted from 20 ms behind the last lease, SR-07 and SR-08 from
# the end of the coast, SR-12 for a valve that cools nothing from its opening.
BOUNDS_S = {
    ("SR-01", "device"): {0.34, 0.5},
    ("SR-03", "host"): {0.25},
    ("SR-05", "host"): {0.1},
    ("SR-05", "device"): {0.1},
    ("SR-07", "host"): {0.5},
    ("SR-07", "device"): {0.5},
    ("SR-08", "host"): {2.0},
    ("SR-08", "device"): {2.0},
    ("SR-09", "host"): {0.1},
    ("SR-09", "device"): {0.1},
    ("SR-11", "host"): {0.2},
    ("SR-11", "device"): {0.1},
    ("SR-12", "host"): {1.2, 3.2},
    ("SR-15", "host"): {0.1},
    ("SR-15", "device"): {0.0},
    ("SR-16", "host"): {0.2},
    ("SR-16", "device"): {0.2},
    ("SR-17", "host"): {0.7},
    ("SR-18", "host"): {0.1, 0.2},
    ("SR-18", "device"): {0.05, 0.2},
    ("SR-20", "host"): {0.4},
    ("SR-23", "host"): {0.1},
    ("SR-23", "device"): {0.1},
    ("SR-35", "host"): {0.25},
    ("SR-36", "device"): {0.5},
    ("SR-42", "host"): {0.2},
    ("SR-42", "device"): {0.2},
    ("SR-43", "host"): {2.2},
}

EVIDENCE_FOR = {
    "SR-01": pytest.mark.requirement("SR-01"),
    "SR-03": pytest.mark.requirement("SR-03"),
    "SR-05": pytest.mark.requirement("SR-05"),
    "SR-07": pytest.mark.requirement("SR-07"),
    "SR-08": pytest.mark.requirement("SR-08"),
    "SR-09": pytest.mark.requirement("SR-09"),
    "SR-11": pytest.mark.requirement("SR-11"),
    "SR-12": pytest.mark.requirement("SR-12"),
    "SR-15": pytest.mark.requirement("SR-15"),
    "SR-16": pytest.mark.requirement("SR-16"),
    "SR-17": pytest.mark.requirement("SR-17"),
    "SR-18": pytest.mark.requirement("SR-18"),
    "SR-20": pytest.mark.requirement("SR-20"),
    "SR-23": pytest.mark.requirement("SR-23"),
    "SR-35": pytest.mark.requirement("SR-35"),
    "SR-36": pytest.mark.requirement("SR-36"),
    "SR-42": pytest.mark.requirement("SR-42"),
    "SR-43": pytest.mark.requirement("SR-43"),
}

EVERYONE = [
    pytest.param(
        claim,
        layer,
        id=f"{layer}: {claim.name}",
        marks=EVIDENCE_FOR[claim.requirement],
    )
    for claim, layer in claims_of_everyone()
]


@pytest.mark.parametrize(("claim", "layer"), EVERYONE)
def test_a_layer_alone_keeps_its_bound(claim: Claim, layer: str) -> None:
    finding = try_claim(claim, layer)

    assert finding.seconds is not None
    assert claim.bound_of(layer) in BOUNDS_S[claim.requirement, layer]
    assert finding.seconds <= claim.bound_of(layer) + 1e-6


@pytest.mark.parametrize(("requirement", "who"), ALLOCATION.items())
def test_every_bound_is_claimed_by_whom_it_is_allocated_to(requirement: str, who: str) -> None:
    claimed = {layer for claim in CLAIMS for layer in claim.layers if _is(claim, requirement)}

    wanted = {"H": {"host"}, "D": {"device"}, "B": {"host", "device"}}[who]
    assert wanted <= claimed
    if claimed < {"host", "device"}:
        assert EXCEPTIONS[requirement].startswith(("host: ", "device: "))


def _is(claim: Claim, requirement: str) -> bool:
    return claim.requirement == requirement


@pytest.mark.parametrize(
    ("layer", "name"), [(row.layer, row.name) for row in INTERLOCKS], ids=lambda value: value
)
def test_a_broken_interlock_makes_a_claim_of_its_layer_fail(layer: str, name: str) -> None:
    (row,) = [row for row in INTERLOCKS if (row.layer, row.name) == (layer, name)]

    assert claims_that_miss(row, first=True) != []


def test_the_program_says_which_interlock_no_claim_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    spared = tuple(claim for claim in CLAIMS if claim.requirement in ("SR-17", "SR-18"))
    monkeypatch.setattr("cryoctl_hil.assurance.claims.CLAIMS", spared)

    outcome = run(0.01, print)

    assert not outcome.ok
    assert "host leak: no claim fails without it" in outcome.failures
    assert "host skin_cold: no claim fails without it" not in outcome.failures


# -- the layers themselves ---


def test_layers_are_back_after_an_error() -> None:
    before = (
        interlocks._CHECKS,
        interlocks.too_many_rejects,
        vars(core)["link_lost"],
        vars(core)["tick_late"],
        vars(firmware_model)["find_trip"],
        vars(firmware_model)["outputs_overlap"],
        FirmwareModel._on_owner_lost,
    )

    def fail_without_interlocks() -> None:
        with host_interlocks_off(), device_interlocks_off():
            assert len(interlocks._CHECKS) == 0
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_without_interlocks()

    after = (
        interlocks._CHECKS,
        interlocks.too_many_rejects,
        vars(core)["link_lost"],
        vars(core)["tick_late"],
        vars(firmware_model)["find_trip"],
        vars(firmware_model)["outputs_overlap"],
        FirmwareModel._on_owner_lost,
    )
    assert after == before


def test_named_interlocks_alone_are_taken_away() -> None:
    with host_interlocks_off("leak"), host_interlocks_off("skin_cold"):
        left = {check.__name__ for check in interlocks._CHECKS}

    assert {check.__name__ for check in interlocks._CHECKS} - left == {"leak", "skin_cold"}


def test_an_unknown_interlock_is_refused() -> None:
    with (
        pytest.raises(ValueError, match="no host interlock \\['leek'\\]"),
        host_interlocks_off("leek"),
    ):
        pass
    with pytest.raises(ValueError, match="LINK"), device_interlocks_off(Trip.LINK):
        pass


def test_every_cause_of_the_firmware_is_one_that_can_be_taken_away() -> None:
    named = {trip for trip in Trip if f"_{trip.name}" in vars(firmware_safety)}

    assert {*named, Trip.OUTPUTS_OVERLAP} - {Trip.NONE} == set(DEVICE_TRIPS)
    assert len(HOST_CHECKS) == 19
