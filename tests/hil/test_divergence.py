"""How far rigs differ: builds of one firmware not at all, and what differs is found."""

from __future__ import annotations

import json
from math import inf, nan
from pathlib import Path

import pytest

from cryoctl.cli import invoke
from cryoctl.recording import load_recording
from cryoctl_hil.defects.catalogue import DEFECTS
from cryoctl_hil.divergence.bands import EXACT_BANDS, REAL_BANDS
from cryoctl_hil.divergence.compare import Comparison, compare, stretches
from cryoctl_hil.divergence.page import render_page
from cryoctl_hil.divergence.run import Compared, compare_recordings, record
from cryoctl_hil.divergence.scenarios import FAULTS, SCENARIOS
from cryoctl_hil.evidence.trace import SIGNALS, Trace
from cryoctl_hil.rigs.rig import find_rig
from cryoctl_protocol.peer import LinkError


def recorded(rig: str, path: Path) -> Path:
    record(find_rig(rig), path, seed=1, keys=None, bench_waiver="")
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded("sim", tmp_path_factory.mktemp("model") / "model.mcap")


def outside(comparison: Comparison) -> set[str]:
    return {each.name for each in comparison.differences if not each.ok}


def test_the_scenarios_leave_marks_and_a_probe_that_is_idle(model: Path) -> None:
    trace = Trace.of(load_recording(model))

    assert {scenario.name for scenario in SCENARIOS} <= set(stretches(trace))
    assert {f"{fault}: safe" for fault in FAULTS} <= set(stretches(trace))
    assert (trace.columns["state"][-1], trace.columns["valve"][-1]) == (0, 0.0)


def test_the_c_firmware_does_the_very_same(model: Path, tmp_path: Path) -> None:
    native = recorded("firmware:native", tmp_path / "native.mcap")

    [found] = compare_recordings([find_rig("sim"), find_rig("firmware:native")], [model, native])

    assert {each.name: each.value for each in found.comparison.differences if each.value} == {}
    assert found.comparison.rows > 4000
    assert found.comparison.ok


@pytest.mark.parametrize(
    ("defect", "signals"),
    [("mute", {"beeper"}), ("supply-in-cbar", {"supply_pressure_bar"}), ("dark", {"led"})],
)
def test_a_signal_that_differs_is_named_and_no_other(
    defect: str, signals: set[str], model: Path, tmp_path: Path
) -> None:
    with DEFECTS[defect].present():
        other = recorded("sim", tmp_path / "other.mcap")

    [found] = compare_recordings([find_rig("sim"), find_rig("sim")], [model, other])

    assert outside(found.comparison) == signals


def test_a_trip_that_is_late_is_outside_the_bands_of_real_time_too(
    model: Path, tmp_path: Path
) -> None:
    with DEFECTS["trips-late"].present():
        late = recorded("sim", tmp_path / "late.mcap")

    found = compare(
        Trace.of(load_recording(model)), Trace.of(load_recording(late)), is_virtual=False
    )

    assert "valve" in outside(found)


# -- traces made by hand ---


def trace(
    tips_c: list[float],
    *,
    period_ms: float = 20.0,
    late_s: float = 0.0,
    said: tuple[str, ...] = (),
    marks: tuple[str, ...] = ("begin", "end"),
) -> Trace:
    """Return a trace with one stretch: a sample every 20 ms, the device's clock from 5 s on."""
    count = len(tips_c)
    now_s = [late_s + 0.02 * number for number in range(1, count + 1)]
    columns: dict[str, list[float]] = {name: [0.0] * count for name in SIGNALS}
    columns["tip_temp_c"] = tips_c
    columns["device_ms"] = [5_000.0 + period_ms * number for number in range(count)]
    ends = (late_s, now_s[-1])
    events = [
        {"at_s": at_s, "kind": "mark", "name": name} for at_s, name in zip(ends, marks, strict=True)
    ]
    events[1:1] = [
        {"at_s": late_s, "kind": "answer", "op": op, "answer": "ACCEPTED"} for op in said
    ]
    return Trace(now_s, columns, events)


FALLING = [37.0 - 0.1 * number for number in range(100)]


def test_time_is_the_probes_own_so_a_slow_link_moves_nothing() -> None:
    found = compare(trace(FALLING), trace(FALLING, late_s=7.0), is_virtual=True)

    assert outside(found) == set()


def test_virtual_rigs_have_no_tolerance_at_all() -> None:
    other = [*FALLING[:50], FALLING[50] + 0.001, *FALLING[51:]]

    found = compare(trace(FALLING), trace(other), is_virtual=True)

    assert outside(found) == {"tip_temp_c"}
    [tip] = [each for each in found.differences if each.name == "tip_temp_c"]
    assert tip.value == pytest.approx(0.001)
    assert tip.where == "begin + 1.00 s"
    assert EXACT_BANDS.of("tip_temp_c").value == 0.0


def test_in_real_time_a_sample_may_be_a_little_earlier_or_later() -> None:
    step = [0.0] * 50 + [30.0] * 50

    near = compare(trace(step), trace([0.0] * 7 + step[:-7]), is_virtual=False)
    far = compare(trace(step), trace([0.0] * 9 + step[:-9]), is_virtual=False)

    assert outside(near) == set()
    assert outside(far) == {"tip_temp_c"}


def test_a_reading_that_only_one_has_is_infinitely_far() -> None:
    found = compare(trace(FALLING), trace([nan] * 100), is_virtual=False)

    assert [each.value for each in found.differences if not each.ok] == [inf]


def test_an_answer_that_differs_is_counted() -> None:
    found = compare(
        trace(FALLING, said=("ARM", "START")), trace(FALLING, said=("ARM",)), is_virtual=False
    )

    assert outside(found) == {"events unlike"}


def test_samples_that_a_line_has_lost_are_counted() -> None:
    found = compare(trace(FALLING), trace(FALLING[:50], period_ms=40.0), is_virtual=True)

    assert "samples missing, share" in outside(found)


def test_what_a_rig_did_not_do_is_said_and_not_compared() -> None:
    found = compare(trace(FALLING), trace(FALLING, marks=("other", "end")), is_virtual=False)

    assert found.not_compared == ["begin"]
    assert not found.ok


def test_every_band_of_real_time_has_a_reason() -> None:
    bands = [*REAL_BANDS.signals.values(), REAL_BANDS.others, REAL_BANDS.lengths]

    assert set(REAL_BANDS.signals) <= set(SIGNALS)
    assert all(band.why for band in bands)


# -- page and command ---


def test_the_page_has_one_number_a_signal_and_nothing_from_outside() -> None:
    rig = find_rig("sim")
    comparison = compare(trace(FALLING), trace([nan] * 100), is_virtual=True)

    page = render_page(rig, [Compared(rig, Path("x.mcap"), comparison)])

    assert page.count("<tr") == 1 + len(comparison.differences)
    assert "there and not there" in page
    assert "✗" in page
    assert "http" not in page.replace("http-equiv", "")


def test_the_command_writes_page_json_and_recordings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"

    code = invoke(["hil", "divergence", "sim", "sim:?seed=1", "--out", str(out)])

    assert code == 0
    assert "all within their bands" in capsys.readouterr().out
    kept = json.loads((out / "divergence.json").read_text("utf-8"))
    assert kept["others"][0]["ok"] is True
    assert {path.name for path in out.iterdir()} == {
        "divergence.html", "divergence.json", "rig-1.mcap", "rig-2.mcap",
    }  # fmt: skip


def test_another_seed_is_outside_and_exits_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = invoke(["hil", "divergence", "sim", "sim:?seed=2", "--out", str(tmp_path / "out")])

    assert code == 1
    assert "tip_temp_c: " in capsys.readouterr().out


def test_a_rig_that_is_not_there_exits_with_3(tmp_path: Path) -> None:
    rig = "serial:/nothing/there"

    assert invoke(["hil", "divergence", "sim", rig, "--out", str(tmp_path / "out")]) == 3
    with pytest.raises(LinkError):
        recorded(rig, tmp_path / "x.mcap")
