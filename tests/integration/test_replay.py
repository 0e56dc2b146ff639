"""A recorded run comes out the same when it is run again, and a changed one does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from mcap.reader import NonSeekingReader

from cryoctl.cli import app
from cryoctl.mcap_file import McapFile
from cryoctl.recorder import CONTENTS, FRAME_HEAD_SIZE, LINK_RX
from cryoctl.recording import load_messages
from cryoctl.replay import Answer, Replayed, replay
from cryoctl_protocol.messages import ID_OF, Hello, Telemetry, Vitals

MESSAGE_ID_AT = FRAME_HEAD_SIZE + 1


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the recording of a short run with a fault in it."""
    folder = tmp_path_factory.mktemp("replay")
    arguments = ["run", "--cycles", "1", "--set", "cycles.hold_s=5", "--set"]
    arguments += ["cycles.setpoint_c=-40", "--seed", "9", "--fault", "tc_spike@freeze+2s"]
    CliRunner().invoke(app, [*arguments, "--out", str(folder / "run")], standalone_mode=False)
    return folder / "run" / "run.mcap"


def rewrite(
    source: Path,
    target: Path,
    *,
    message_id: int,
    nth: int = 20,
    at: int = -1,
    forge: bool = False,
    verdict: str = "",
) -> None:
    """Copy a recording with one bit of one received frame changed; ``forge`` its seal too."""
    with source.open("rb") as old, target.open("wb") as new:
        reader = NonSeekingReader(old)
        file = McapFile(new, library="test")
        channels: dict[str, int] = {}
        metadata = {record.name: dict(record.metadata) for record in reader.iter_metadata()}
        old.seek(0)
        file.add_metadata("run", metadata["run"])
        met = 0
        rows = sorted(NonSeekingReader(old).iter_messages(), key=lambda row: row[2].sequence)
        for schema, channel, message in rows:
            assert schema is not None
            if channel.topic not in channels:
                channels[channel.topic] = file.add_channel(
                    channel.topic,
                    encoding=channel.message_encoding,
                    schema_name=schema.name,
                    schema_encoding=schema.encoding,
                    schema=schema.data.decode(),
                )
            data = bytearray(message.data)
            if channel.topic == LINK_RX and data[MESSAGE_ID_AT] == message_id:
                met += 1
                if met == nth:
                    data[at] ^= 1
            file.add_message(
                channels[channel.topic], message.log_time, bytes(data), message.sequence
            )
        assert met >= nth
        if verdict:
            summary = json.loads(metadata["summary"]["json"]) | {"verdict": verdict}
            metadata["summary"]["json"] = json.dumps(summary)
        if forge:
            ending = metadata["summary"]
            del ending[CONTENTS]
            ending[CONTENTS] = file.seal(ending)
        file.add_metadata("summary", metadata["summary"])
        file.finish()


def test_a_run_with_a_fault_in_it_comes_out_the_same(recording: Path) -> None:
    outcome = replay(recording)

    assert outcome.answer is Answer.IDENTICAL
    assert outcome.inputs > 1000
    assert outcome.records > outcome.inputs


@pytest.mark.parametrize("message", [Telemetry, Vitals, Hello])
def test_one_changed_bit_of_a_received_frame_is_found(
    recording: Path, tmp_path: Path, message: type
) -> None:
    changed = tmp_path / "changed.altered"
    rewrite(recording, changed, message_id=ID_OF[message], nth=1)

    assert replay(changed).answer is Answer.DIFFERENT


@pytest.mark.parametrize("at", [FRAME_HEAD_SIZE, FRAME_HEAD_SIZE + 12, FRAME_HEAD_SIZE + 24])
def test_one_changed_bit_of_telemetry_makes_other_decisions_even_under_a_forged_seal(
    recording: Path, tmp_path: Path, at: int
) -> None:
    changed = tmp_path / "changed.altered"
    rewrite(recording, changed, message_id=ID_OF[Telemetry], at=at, forge=True)

    outcome = replay(changed)

    assert outcome.answer is Answer.DIFFERENT
    assert "recorded: /telemetry" in outcome.reason


@pytest.mark.parametrize("forge", [False, True])
def test_another_verdict_than_the_inputs_lead_to_is_found(
    recording: Path, tmp_path: Path, forge: bool
) -> None:
    once, changed = tmp_path / "once.altered", tmp_path / "changed.altered"
    rewrite(recording, once, message_id=ID_OF[Telemetry], at=0, forge=True)
    rewrite(once, changed, message_id=ID_OF[Telemetry], at=0, forge=forge, verdict="NOT_EFFECTIVE")

    outcome = replay(changed)

    assert outcome.answer is Answer.DIFFERENT
    assert ("verdict is NOT_EFFECTIVE" if forge else "contents are not") in outcome.reason


def test_a_copy_without_a_change_comes_out_the_same(recording: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.altered"
    rewrite(recording, copy, message_id=ID_OF[Telemetry], at=0, forge=True)
    twice = tmp_path / "twice.altered"
    rewrite(copy, twice, message_id=ID_OF[Telemetry], at=0, forge=True)

    assert replay(twice).answer is Answer.IDENTICAL


def test_a_flipped_bit_on_the_disk_is_no_identical_run(recording: Path, tmp_path: Path) -> None:
    whole = recording.read_bytes()
    contents = load_messages(recording).messages
    answers = []
    for position in range(2000, len(whole), len(whole) // 12):
        damaged = tmp_path / f"damaged-{position}.altered"
        damaged.write_bytes(whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :])
        answer = replay(damaged).answer
        answers.append(answer)
        # Bytes of the index, which repeats what stands elsewhere, may be anything.
        assert answer is not Answer.IDENTICAL or load_messages(damaged).messages == contents

    assert answers.count(Answer.INCOMPLETE) >= 4


def test_a_file_that_was_cut_off_is_incomplete(recording: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(recording.read_bytes()[:-400])

    outcome = replay(cut)

    assert outcome == Replayed(
        Answer.INCOMPLETE, "the file is cut off or damaged, so its last inputs may be missing"
    )


def test_the_command_says_identical_shows_the_phases_and_ends_with_0(recording: Path) -> None:
    shown = CliRunner().invoke(app, ["replay", str(recording)], standalone_mode=False)
    told = CliRunner().invoke(app, ["replay", "--verify", str(recording)], standalone_mode=False)

    assert "COOLING" in shown.output
    assert shown.output.splitlines()[-1] == told.output.strip()
    assert told.output.startswith("IDENTICAL: ")
    assert (shown.return_value, told.return_value) == (0, 0)


def test_the_command_names_the_first_difference_and_ends_with_1(
    recording: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "changed.altered"
    rewrite(recording, changed, message_id=ID_OF[Telemetry], forge=True)

    outcome = CliRunner().invoke(
        app, ["replay", "--verify", "--json", str(changed)], standalone_mode=False
    )

    told = json.loads(outcome.output)
    assert outcome.return_value == 1
    assert told["answer"] == "DIFFERENT"
    assert told["reason"].startswith("recorded: /telemetry at ")


def test_a_run_without_alarm_sound_is_recorded_as_one_and_replayed_as_one(tmp_path: Path) -> None:
    short = ["--cycles", "1", "--set", "cycles.hold_s=5", "--set", "cycles.setpoint_c=-40"]
    arguments = ["run", "--audio-off", *short, "--out", str(tmp_path)]
    CliRunner().invoke(app, arguments, standalone_mode=False)
    silent: list[bool] = []

    outcome = replay(
        tmp_path / "run.mcap",
        on_tick=lambda controller, now_s: silent.append(controller.board.view(now_s).audio_off),
    )

    assert outcome.answer is Answer.IDENTICAL
    assert all(silent)
