"""``cryoctl alarms``: the table for people and programs, and a try of the signals."""

from __future__ import annotations

import json

import pytest

from cryoctl.cli import invoke


def test_the_list_as_data_has_a_row_for_each_alarm_with_what_follows_from_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert invoke(["alarms", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)

    assert len(rows) == 39
    assert [row for row in rows if row["id"] == "SKIN_COLD"] == [
        {
            "id": "SKIN_COLD",
            "priority": "HIGH",
            "severity": 2,
            "onset": "immediate",
            "latching": "signal",
            "is_trip": True,
            "requirement": "SR-17",
            "hazards": ["H-09"],
            "follows": [],
            "detection_s": 0.7,
            "signal_s": 0.15,
            "text": "skin too cold",
            "action": (
                "Warm the skin. Do not move the needle until it is free. "
                "Check warmer and insulation."
            ),
        }
    ]


def test_the_list_for_people_has_two_lines_for_each_alarm(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert invoke(["alarms"]) == 0
    lines = capsys.readouterr().out.splitlines()

    assert len(lines) == 78
    assert lines[0] == (
        "!!! TIP_FLOOR          HIGH   severity 3 immediate latches signal within 0.1 s + 0.15 s"
    )


@pytest.mark.parametrize(("is_terminal", "bells"), [(True, 3), (False, 0)])
def test_the_signals_can_be_tried_and_ring_no_bell_on_a_pipe(
    is_terminal: bool,
    bells: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: is_terminal)

    assert invoke(["alarms", "--test"]) == 0
    told = capsys.readouterr().out

    assert told.count("\a") == bells
    assert [word in told for word in ("!!! HIGH: red", "!!  MEDIUM: yellow", "!   LOW: cyan")] == [
        True,
        True,
        True,
    ]
