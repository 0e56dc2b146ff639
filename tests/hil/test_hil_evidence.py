"""Evidence can be checked without the rig, and nothing in it can be changed unseen."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryoctl.cli import invoke
from cryoctl.clock import utc_now
from cryoctl.recording import load_recording
from cryoctl_hil.evidence.archive import EvidenceFiles, open_evidence, pack
from cryoctl_hil.evidence.compare import compare
from cryoctl_hil.evidence.importing import Alignment, Imported, import_channel
from cryoctl_hil.evidence.instruments import ChannelError, read_channel
from cryoctl_hil.evidence.measurement import Origin, Verdict
from cryoctl_hil.evidence.record import (
    Evidence,
    evidence_schema,
    evidence_text,
    read_evidence,
)
from cryoctl_hil.evidence.verify import Answer, verify
from cryoctl_protocol.toml_text import FileError
from tests.support.hil_suites import INSTRUMENT, cryoctl, evidence_in, write_rig, write_suite
from tests.support.json_schema import problems

pytestmark = pytest.mark.timeout(300)
OPEN = "test_own::test_open_thermocouple"
LEAK = "test_own::test_leak"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with signed evidence of a rig with an instrument, which nobody may change."""
    folder = tmp_path_factory.mktemp("made")
    key = folder / "audit.key"
    key.write_bytes(bytes(range(32)))
    key.chmod(0o600)
    rig = write_rig(folder, INSTRUMENT.format(due=utc_now().date() + timedelta(days=30)))
    tests = write_suite(folder)
    out = folder / "out"
    done = cryoctl("hil", tests, "--rig", rig, "--out", out, "--sign-key", key, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


def found_in(path: Path, key: bytes | None = bytes(range(32))) -> list[str]:
    with open_evidence(path) as files:
        return verify(files, key).problems


def change(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Change the evidence as somebody would who can write JSON."""
    path = folder / "evidence.json"
    data = json.loads(path.read_text("utf-8"))
    edit(data)
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", "utf-8")


def of(data: dict[str, Any], test: str) -> dict[str, Any]:
    return next(row for row in data["tests"] if row["id"] == test)


# -- sound evidence ---


def test_sound_evidence_holds_as_a_folder_and_as_an_archive(made: Path, tmp_path: Path) -> None:
    archive = tmp_path / "evidence.zip"
    count = pack(made, archive)

    assert found_in(made) == []
    assert found_in(archive) == []
    with open_evidence(archive) as files:
        found = verify(files)
        assert len(files.names()) == count
    assert found.answer is Answer.HOLDS
    assert (found.computed, found.given) == (4, 1)
    assert found.signatures == "not checked: give --key"
    pack(made, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == archive.read_bytes()


def test_the_file_is_as_its_schema_says(made: Path) -> None:
    data = json.loads((made / "evidence.json").read_text("utf-8"))

    assert problems(data, evidence_schema()) == []
    assert data["tests"][1]["measurements"][0]["limit"]["at_most"] == 0.1


def test_the_report_asks_nobody_for_anything_and_is_small(made: Path) -> None:
    page = (made / "report.html").read_text("utf-8")

    assert len(page) < 2_000_000
    assert "default-src 'none'" in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    assert "<script" not in page
    assert "TRIP TIP_SENSOR" in page
    assert "SR-11" in page
    assert sha256((made / "evidence.json").read_bytes()).hexdigest() in page
    assert page.index("1 of 1" if "1 of 1" in page else "3 of 4 tests PASS") < page.index("<table")


def test_text_of_a_test_cannot_become_a_part_of_the_page(tmp_path: Path) -> None:
    suite = 'def test_x(probe):\n    """<script>alert(1)</script>"""\n    assert 0, "<b>&"\n'
    write_suite(tmp_path, suite)
    cryoctl("hil", "own", "--out", "out", cwd=tmp_path)

    page = (tmp_path / "out" / "report.html").read_text("utf-8")

    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "&lt;b&gt;&amp;" in page


# -- changed evidence ---


def pass_a_failed_limit(data: dict[str, Any]) -> None:
    of(data, OPEN)["measurements"][0]["limit"]["at_most"] = 10.0


TAMPERINGS: dict[str, Callable[[dict[str, Any]], None]] = {
    "value": lambda d: of(d, OPEN)["measurements"][0].update(value=0.001),
    "limit": pass_a_failed_limit,
    "uncertainty": lambda d: of(d, OPEN)["measurements"][0]["limit"].update(uncertainty=0.0),
    "word": lambda d: of(d, OPEN)["measurements"][1].update(value="LEASE"),
    "origin": lambda d: of(d, LEAK)["measurements"][0].update(origin="measured independently"),
    "verdict of a test": lambda d: of(d, OPEN).update(verdict="FAIL", why="it did not"),
    "verdict of the run": lambda d: d.update(verdict="FAIL"),
    "a test left out": lambda d: d["tests"].pop(1),
    "a test made up": lambda d: d["tests"].append({**of(d, LEAK), "id": "test_own::test_more"}),
    "a test twice": lambda d: d["tests"].append(of(d, LEAK)),
    "a measurement left out": lambda d: of(d, OPEN)["measurements"].pop(),
    "another recording": lambda d: of(d, OPEN).update(recording=of(d, LEAK)["recording"]),
    "hash of a recording": lambda d: of(d, OPEN).update(recording_sha256="0" * 64),
    "operator": lambda d: d.update(operator="somebody else"),
    "rig": lambda d: d.update(rig_text=d["rig_text"].replace("12345", "54321")),
    "probe": lambda d: d["probe"].update(device="another"),
    "deviation": lambda d: d.update(deviations=["as agreed"]),
    "gas": lambda d: of(d, OPEN)["cost"].update(gas_g=99.0),
    "by hand": lambda d: of(d, LEAK).update(operator_steps=["looked at it"]),
    "title": lambda d: of(d, LEAK).update(title="The line may leak."),
}


@pytest.mark.requirement("SR-34")
@pytest.mark.parametrize("name", TAMPERINGS)
def test_whatever_is_changed_in_the_file_is_found(copy: Path, name: str) -> None:
    before = (copy / "evidence.json").read_bytes()

    change(copy, TAMPERINGS[name])

    assert (copy / "evidence.json").read_bytes() != before
    assert found_in(copy) != []


SEMANTIC = [
    "value", "word", "verdict of the run", "a test twice", "another recording", "gas",
    "by hand", "origin",
]  # fmt: skip


@pytest.mark.parametrize("name", SEMANTIC)
def test_what_the_recordings_speak_against_is_found_without_any_trail(
    copy: Path, name: str
) -> None:
    """Whoever writes all hashes anew still has the recordings against them; not so for a limit."""
    change(copy, TAMPERINGS[name])

    found = [text for text in found_in(copy, None) if "audit" not in text and "trail" not in text]

    assert found != []


def test_no_byte_of_any_file_can_be_another_one(copy: Path) -> None:
    generator = np.random.Generator(np.random.Philox(key=8))
    unseen = []
    files = sorted(path for path in copy.rglob("*") if path.is_file())
    assert len(files) >= 7
    for path in files:
        data = path.read_bytes()
        for place in generator.integers(0, len(data), size=12):
            changed = bytearray(data)
            changed[int(place)] ^= 1 << int(generator.integers(0, 8))
            path.write_bytes(bytes(changed))
            try:
                if not found_in(copy):
                    unseen.append((path.name, int(place)))
            except FileError:
                pass  # It is no evidence any more.
        path.write_bytes(data)
    assert unseen == []
    assert found_in(copy) == []


@pytest.mark.parametrize("name", ["report.html", "junit.xml", "recordings", "audit.jsonl"])
def test_a_file_that_is_gone_is_missed(copy: Path, name: str) -> None:
    path = copy / name
    victim = next(iter(sorted(path.iterdir()))) if path.is_dir() else path
    victim.unlink()

    assert found_in(copy) != []


def test_a_file_more_is_told_and_so_is_a_trail_that_ends_early(copy: Path) -> None:
    (copy / "notes.txt").write_text("looked fine", "utf-8")
    assert found_in(copy) == ["notes.txt: was not there when the trail was closed"]
    (copy / "notes.txt").unlink()

    trail = copy / "audit.jsonl"
    lines = trail.read_bytes().splitlines(keepends=True)
    trail.write_bytes(b"".join(lines[:-1]))

    with open_evidence(copy) as files:
        assert verify(files).answer is Answer.NOT_ENDED


def test_a_trail_that_was_written_anew_does_not_have_the_signature(copy: Path) -> None:
    assert found_in(copy, bytes(32)) != []


def test_the_command_says_what_does_not_hold(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["evidence", "pack", str(copy), "--out", str(tmp_path / "a.zip")]) == 0
    assert invoke(["evidence", "verify", str(tmp_path / "a.zip")]) == 0
    assert "HOLDS: the run is PASS" in capsys.readouterr().out

    change(copy, TAMPERINGS["value"])

    assert invoke(["evidence", "verify", str(copy), "--json"]) == 7
    told = json.loads(capsys.readouterr().out)
    assert told["answer"] == "DOES NOT HOLD"
    assert any("open to shut: comes to 0.0" in text for text in told["problems"])
    assert invoke(["evidence", "verify", str(tmp_path)]) == 2


def test_an_archive_that_leads_out_of_itself_or_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="leads out of the evidence"):
        EvidenceFiles(tmp_path, None).read("../secret")
    (tmp_path / "no.zip").write_bytes(b"PK but not really")
    with pytest.raises(FileError), open_evidence(tmp_path / "no.zip"):
        pass
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    with open_evidence(tmp_path / "empty.zip") as files, pytest.raises(FileError):
        verify(files)


# -- two runs ---


def changed_value(evidence: Evidence, value: float) -> Evidence:
    test = next(test for test in evidence.tests if test.id == OPEN)
    first = test.measurements[0].model_copy(update={"value": value})
    return evidence.with_test(
        test.model_copy(update={"measurements": (first, *test.measurements[1:])})
    )


def test_a_comparison_tells_new_failures_fixed_ones_and_drift(made: Path) -> None:
    before = evidence_in(made)
    leak = next(test for test in before.tests if test.id == LEAK)
    failed = before.with_test(leak.model_copy(update={"verdict": Verdict.FAIL, "why": "leaks"}))

    worse, better = compare(before, failed), compare(failed, before)
    drifted = compare(changed_value(before, 0.02), changed_value(before, 0.07))
    within = compare(changed_value(before, 0.02), changed_value(before, 0.03))

    assert [(c.test, c.why) for c in worse.worse] == [(LEAK, "leaks")]
    assert worse.is_worse
    assert [c.test for c in better.fixed] == [LEAK]
    assert not better.is_worse
    assert [(d.measurement, d.before, d.after) for d in drifted.drifted] == [
        ("open to shut", 0.02, 0.07)
    ]
    assert within.drifted == []
    assert compare(before, before).same == 4


# -- instruments ---


def imported(folder: Path, csv: Path, test: str, alignment: Alignment) -> Imported:
    return import_channel(folder, csv, test_id=test, instrument="Fluke 52", alignment=alignment)


def write_csv(folder: Path, rows: list[tuple[float, float]]) -> Path:
    path = folder / "thermocouple.csv"
    lines = ["time_s,temperature_c", *(f"{at_s:.4f},{value:.3f}" for at_s, value in rows)]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def tip_rows(folder: Path, test: str, *, shift_s: float, by_c: float) -> list[tuple[float, float]]:
    """Return what a thermocouple beside the tip would have written, by a clock of its own."""
    record = next(row for row in evidence_in(folder).tests if row.id == test)
    table = load_recording(folder / record.recording).telemetry
    return [
        (at_s + shift_s, value + by_c)
        for at_s, value in zip(table["now_s"].tolist(), table["tip_temp_c"].tolist(), strict=True)
        if value == value  # noqa: PLR0124 (not NaN)
    ]


def test_a_thermocouple_judges_what_the_probe_has_said_of_itself(copy: Path) -> None:
    csv = write_csv(copy.parent, tip_rows(copy, LEAK, shift_s=100.0, by_c=-1.0))

    found = imported(copy, csv, LEAK, Alignment(offset_s=-100.0))

    (value,) = found.measurements
    assert value.origin is Origin.INDEPENDENT
    assert value.limit.uncertainty == 0.5
    own = next(t for t in evidence_in(copy).tests if t.id == LEAK).measurements[0]
    assert own.value is not None
    assert float(value.value or 0) == pytest.approx(float(own.value) - 1.0, abs=0.05)
    assert found.verdict == "PASS"
    assert found_in(copy, None) == []
    page = (copy / "report.html").read_text("utf-8")
    assert "measured independently" in page


def test_a_pass_has_to_hold_whatever_the_instrument_errs_by(copy: Path) -> None:
    own = next(t for t in evidence_in(copy).tests if t.id == LEAK).measurements[0]
    off_c = 20.3 - float(own.value or 0)  # Above the limit of 20, but not by 0.5.
    csv = write_csv(copy.parent, tip_rows(copy, LEAK, shift_s=0.0, by_c=off_c))

    found = imported(copy, csv, LEAK, Alignment(offset_s=0.0))

    assert found.verdict == "FAIL"
    assert "not by its uncertainty of 0.5" in found.measurements[0].why
    assert evidence_in(copy).verdict == "FAIL"
    assert found_in(copy, None) == []

    change(copy, lambda d: of(d, LEAK)["measurements"][-1]["limit"].update(uncertainty=0.0))
    assert any("no value of an instrument" in text for text in found_in(copy, None))


def test_clocks_are_aligned_by_a_mark_or_by_the_signals_themselves(copy: Path) -> None:
    rows = tip_rows(copy, OPEN, shift_s=37.5, by_c=2.0)
    csv = write_csv(copy.parent, rows)
    record = next(row for row in evidence_in(copy).tests if row.id == OPEN)
    events = load_recording(copy / record.recording).events
    (marked_s,) = (event["at_s"] for event in events if event["kind"] == "mark")

    with pytest.raises(ChannelError, match="measured nothing of tip_temp_c"):
        imported(copy, csv, OPEN, Alignment(mark="tc_open", at_s=marked_s + 37.5))
    leak_csv = write_csv(copy.parent, tip_rows(copy, LEAK, shift_s=37.5, by_c=2.0))
    by_mark = imported(copy, leak_csv, LEAK, Alignment(mark="begin", at_s=_begin_s(copy) + 37.5))
    by_signal = imported(copy, leak_csv, LEAK, Alignment())

    assert by_mark.offset_s == pytest.approx(-37.5, abs=0.001)
    assert by_signal.offset_s == pytest.approx(-37.5, abs=0.04)
    assert len(by_signal.measurements) == 1
    assert found_in(copy, None) == []


def _begin_s(folder: Path) -> float:
    record = next(row for row in evidence_in(folder).tests if row.id == LEAK)
    events = load_recording(folder / record.recording).events
    return float(next(e["at_s"] for e in events if e.get("name") == "begin"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no readings"),
        ("time_s,value\n", "no readings"),
        ("time_s,value\n1.0,2.0\n0.5,2.0\n", ":3: time goes back"),
        ("time_s,value\n1.0,warm\n", ":2: expected seconds,value"),
        ("time_s,value\nnan,1\n", ":2: 'nan' is no time"),
    ],
    ids=["empty", "names", "back", "word", "nan"],
)
def test_readings_that_are_none_are_refused_with_their_line(text: str, says: str) -> None:
    with pytest.raises(ChannelError, match=says):
        read_channel(text.encode(), "log.csv")


def test_an_instrument_past_its_calibration_keeps_the_run_from_passing(tmp_path: Path) -> None:
    overdue = date(2020, 1, 1)
    rig = write_rig(tmp_path, INSTRUMENT.format(due=overdue))
    write_suite(tmp_path)

    done = cryoctl("hil", "own", "--rig", rig, "-k", "rest", "--out", "out", cwd=tmp_path)

    assert done.returncode == 1
    assert "calibration of Fluke 52 was due on 2020-01-01" in done.stdout
    assert evidence_in(tmp_path / "out").verdict == "FAIL"
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    head = page[: page.index("What was tested")]
    assert "calibration of Fluke 52 was due on 2020-01-01" in head


def test_a_whole_file_survives_being_read_and_written(made: Path) -> None:
    text = (made / "evidence.json").read_text("utf-8")

    assert evidence_text(read_evidence(text, "evidence.json")) == text
