"""The program on evidence at a small share; the whole of it is `cryoctl assure evidence`."""

from __future__ import annotations

from io import BytesIO

import pytest
from numpy.random import Generator, Philox

from cryoctl.audit_check import judge
from cryoctl.recording import read_recording
from cryoctl_hil.assurance.evidence import run
from cryoctl_hil.assurance.program import PROGRAMS
from cryoctl_hil.assurance.trail_mutations import mutate, whole_trail
from cryoctl_hil.assurance.troubled_disks import Disk, treat


@pytest.mark.timeout(300)
@pytest.mark.requirement("SR-10")
@pytest.mark.requirement("SR-33")
@pytest.mark.requirement("SR-34")
def test_a_small_share_of_the_program_meets_its_targets() -> None:
    outcome = run(0.05, lambda _: None)

    [program] = [program for program in PROGRAMS if program.name == "evidence"]
    assert outcome.failures == []
    assert [m.name for m in outcome.measures if not m.ok] == []
    assert tuple(m.name for m in outcome.measures) == program.measures
    assert {name for m in outcome.measures for name in m.requirements} == {
        "SR-10",
        "SR-33",
        "SR-34",
    }


def test_an_undisturbed_treatment_loses_nothing_and_is_safe() -> None:
    ended = treat(recording_disk=Disk(), trail_disk=Disk())

    assert (ended.is_safe, ended.failed_s, ended.controller.alarms) == (True, None, [])
    assert judge(ended.trail, closing_head=ended.head).verdict.value == "INTACT"
    assert len(read_recording(BytesIO(ended.recording), "whole").events) == len(ended.sink.events)


def test_a_full_disk_does_disturb_the_recording() -> None:
    disk = Disk(600_000)

    ended = treat(recording_disk=disk, trail_disk=disk)

    assert (disk.room, ended.head) == (0, None)
    assert ended.controller.alarms == ["RECORDING_FAILED"]
    assert ended.failed_s is not None


def test_the_same_seed_makes_the_same_mutations_and_each_changes_something() -> None:
    lines = whole_trail()
    first, again = (Generator(Philox(key=[7, 7])) for _ in range(2))

    drawn = [mutate(lines, first) for _ in range(200)]

    assert drawn == [mutate(lines, again) for _ in range(200)]
    assert len({mutated.name for mutated in drawn}) == 7
    assert all(mutated.data != b"".join(lines) for mutated in drawn)
