"""``safety.c`` alone against the requirements, and that its claims notice small faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryoctl_hil.assurance.c_mutants import (
    broken_claim,
    claims,
    compiled,
    mutants,
    safety_text,
    survivors,
)
from tests.support.native_firmware import need_compiler


@pytest.fixture(scope="module", autouse=True)
def _compiler() -> None:
    need_compiler()


@pytest.mark.requirement("SR-05")
@pytest.mark.requirement("SR-07")
@pytest.mark.requirement("SR-09")
@pytest.mark.requirement("SR-16")
@pytest.mark.requirement("SR-41")
def test_the_c_safety_core_meets_every_claim(tmp_path: Path) -> None:
    assert broken_claim(compiled(safety_text(), tmp_path, "safety")) is None
    assert len(list(claims())) > 100


def test_there_are_mutants_of_every_kind() -> None:
    names = [name for name, _ in mutants(safety_text())]
    assert len(names) >= 60
    assert len(set(names)) > 60


def test_a_sample_of_mutants_is_killed() -> None:
    every = list(mutants(safety_text()))
    assert survivors(every[::30]) == []
