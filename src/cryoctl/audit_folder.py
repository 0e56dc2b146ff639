"""Judges the audit trail of a run by its file and by the recording beside it."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryoctl.audit_check import Anchor, Judgement, judge
from cryoctl.audit_sink import FILE_NAME
from cryoctl.recorder import AUDIT
from cryoctl.recording import Messages, RecordingError, load_messages

RECORDING_NAME = "run.mcap"


class AuditError(Exception):
    """There is no audit trail to judge; the text says why."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found in a trail, and with what it was compared.

    Attributes:
        path: Of the trail.
        compared: In words.
    """

    path: Path
    judgement: Judgement
    compared: str


def check(path: Path, key: bytes | None = None) -> Checked:
    """Judge the trail at ``path``: its file, the folder of a run, or the recording in there.

    Args:
        path: The recording is looked for beside the file.
        key: It was signed with; None looks at no signature.

    Raises:
        AuditError: There is neither a trail nor a recording of one, or it cannot be read.
    """
    if path.name == RECORDING_NAME:
        path = path.parent  # As if the folder had been named: a recording is no altered trail.
    file = path / FILE_NAME if path.is_dir() else path
    recording = file.with_name(RECORDING_NAME)
    messages, compared = _messages(recording)
    anchors = [] if messages is None else _anchors(messages)
    try:
        data = file.read_bytes()
    except FileNotFoundError as error:
        if not anchors:
            raise AuditError(f"{file}: there is no audit trail") from error
        data = b""  # The recording tells of one: all of it has been cut off.
    except OSError as error:
        raise AuditError(f"{file}: cannot be read: {error.strerror or error}") from error
    closing = None if messages is None else messages.summary.get("audit_head")
    judgement = judge(
        data, anchors=anchors, closing_head=closing if isinstance(closing, str) else None, key=key
    )
    return Checked(file, judgement, compared)


def _messages(recording: Path) -> tuple[Messages | None, str]:
    """Return what the recording holds, and in words whether there was one."""
    if not recording.exists():
        return None, f"with nothing: no {RECORDING_NAME} beside it, so a cut end would not show"
    try:
        messages = load_messages(recording)
    except RecordingError as error:
        return None, f"with nothing, so a cut end would not show: {error}"
    if not messages.complete:
        return messages, f"with {recording}, which was not closed either"
    return messages, f"with {recording}"


def _anchors(messages: Messages) -> list[Anchor]:
    found = []
    for message in messages.messages:
        if message.topic == AUDIT:
            with suppress(ValueError, KeyError, TypeError):  # Not of this program's making.
                told = json.loads(message.payload)
                found.append(Anchor(int(told["seq"]), str(told["head"])))
    return found
