"""Every recording that a test leaves behind is replayed, once."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from cryoctl.recording import RecordingError, load_messages
from cryoctl.replay import CONTROLLER, PLUG_INS, Answer, replay_messages

_seen: set[Path] = set()
_replayed: set[bytes] = set()


def check_recordings(folder: Path) -> None:
    """Replay every whole recording of a run below ``folder`` that was not replayed yet.

    A replay knows nothing but the bytes of its file: those of a copy say nothing new.
    """
    for path in sorted(folder.rglob("*.mcap")):
        if path in _seen:
            continue
        _seen.add(path)
        try:
            content = sha256(path.read_bytes()).digest()
            if content in _replayed:
                continue
            _replayed.add(content)
            recorded = load_messages(path)
        except (OSError, RecordingError):
            continue  # Made to be none.
        if recorded.summary.get("failure", "").startswith("internal error"):
            continue  # The test broke the program, which is whole again.
        outcome = replay_messages(recorded)
        is_whole = CONTROLLER in recorded.metadata and recorded.complete and not recorded.dropped
        if recorded.metadata.get(PLUG_INS, "[]") != "[]":
            is_whole = False  # They have gone with the test.
        expected = Answer.IDENTICAL if is_whole else Answer.INCOMPLETE
        assert outcome.answer is expected, f"{path}: {outcome}"
