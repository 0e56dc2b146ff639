"""The whole fault catalogue, of probe, links to come and computer; its listing and its pages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cryoctl.cli import invoke
from cryoctl_hil.fault_pages import main
from cryoctl_hil.host_faults import ALL_FAULTS
from cryoctl_protocol.codes import DeviceState
from cryoctl_simulator.fault_row import FaultRow, Group
from cryoctl_simulator.faults import OF_THE_COMPUTER

# The catalogue of the safety design; more than these may exist.
ASKED_FOR = """
tc_open tc_short tc_drift tc_frozen tc_noise tc_spike tc_lag pressure_offset pressure_frozen
flow_stuck skin_open skin_drift adc_reference
valve_stuck_open valve_stuck_closed valve_slow valve_leak heater_stuck_on heater_dead
gas_low gas_empty gas_wrong cartridge_hot cartridge_cold orifice_blocked line_blocked
exhaust_blocked leak_supply leak_tip
no_contact high_perfusion probe_moved early_release wrong_probe button_stuck
vbat_low brownout power_cut reset_loop
hang tick_late memory_bitflip stuck_scheduler clock_drift
drop duplicate reorder delay jitter bitflip truncate babble half_open disconnect replay_old
dual_master mqtt_retained mqtt_late broker_restart
host_dead host_stopped loop_stall clock_jump disk_full disk_slow torn_write
"""


def test_every_fault_of_the_design_has_its_row() -> None:
    assert set(ASKED_FOR.split()) - set(ALL_FAULTS) == set()
    assert {row.group for row in ALL_FAULTS.values()} == set(Group)


def test_a_probe_knows_which_faults_befall_the_computer() -> None:
    of_the_computer = {name for name, row in ALL_FAULTS.items() if row.group is Group.HOST}

    assert set(OF_THE_COMPUTER) == of_the_computer


@pytest.mark.parametrize("row", ALL_FAULTS.values(), ids=lambda row: row.fault_id)
def test_a_row_says_of_every_state_once_what_is_expected(row: FaultRow) -> None:
    told = [state for expected in row.expected for state in expected.states]

    assert sorted(told) == sorted(DeviceState)
    for expected in row.expected:
        if expected.outcome == "detected":
            assert expected.by in {"probe", "controller", "either"}
            assert expected.answers != ()
        else:
            assert (expected.by, expected.answers, expected.within_ms) == ("", (), 0)
            assert expected.reason != ""


@pytest.mark.parametrize("row", ALL_FAULTS.values(), ids=lambda row: row.fault_id)
def test_a_row_names_its_hazards_and_numbers_within_their_ranges(row: FaultRow) -> None:
    assert {hazard[:2] for hazard in row.hazards} == {"H-"}
    assert row.requirement.startswith("SR-")
    assert "" not in (row.text, row.acts_on)
    for parameter in row.parameters:
        assert parameter.low <= parameter.default <= parameter.high


def test_the_listing_names_every_fault_and_marks_the_planned(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert invoke(["faults"]) == 0

    lines = capsys.readouterr().out.splitlines()
    named = {line.split()[0]: line for line in lines if line.startswith("  ")}
    assert set(named) == set(ALL_FAULTS)
    assert named["host_dead"].endswith("(planned)")
    assert not named["tc_open"].endswith("(planned)")


def test_one_fault_is_told_in_full_in_words_and_as_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    invoke(["faults", "tc_drift"])
    words = capsys.readouterr().out
    invoke(["faults", "tc_drift", "--json"])
    told = json.loads(capsys.readouterr().out)

    assert "rate_c_per_s = 0.5 °C/s, from -200 to 200 °C/s" in words
    assert "SR-12" in words
    assert told["parameters"][0]["range"] == [-200.0, 200.0]
    assert [state for each in told["expected"] for state in each["states"]].count("freeze") == 1


def test_an_unknown_fault_is_refused_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["faults", "tc_opne"]) == 2
    assert "did you mean 'tc_open'?" in capsys.readouterr().err


def test_pages_are_written_compared_and_cleared_of_what_is_left_over(tmp_path: Path) -> None:
    first = main([], root=tmp_path)
    folder = tmp_path / "docs" / "reference" / "faults"
    written = {page.stem for page in folder.glob("*.md")}
    fresh = main(["--check"], root=tmp_path)
    (folder / "gone.md").write_text("of a fault that is no more")
    (folder / "hang.md").write_text("changed by hand")
    stale = main(["--check"], root=tmp_path)
    again = main([], root=tmp_path)

    assert (first, fresh, stale, again) == (0, 0, 1, 0)
    assert written == set(ALL_FAULTS)
    assert not (folder / "gone.md").exists()
    assert main(["--check"], root=tmp_path) == 0
