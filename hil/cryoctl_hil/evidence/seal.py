"""The audit trail of evidence: a chain of hashed lines beside it, closed over every file there is.

A run that is taken up again, or to which readings of an instrument are added, begins another trail
that names the hash with which the one before ended.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from cryoctl import __version__
from cryoctl.audit import CLOSED, OPENED, AuditTrail, Entry
from cryoctl.audit_check import judge
from cryoctl.audit_file import AuditFile, stamp_now
from cryoctl.audit_sink import user_name
from cryoctl_hil.evidence.record import Evidence, TestRecord

FILE: Final = "file"
"""Action of the records that say what is in a file when the trail is closed."""
TEST: Final = "test"
_STEM: Final = "audit"
_CONFIG_DIGITS: Final = 16


def trail_names() -> Iterator[str]:
    """Yield the names of trails in their order, without an end."""
    number = 1
    while True:
        yield f"{_STEM}.jsonl" if number == 1 else f"{_STEM}-{number}.jsonl"
        number += 1


def is_trail(name: str) -> bool:
    """Return True for the name of a trail."""
    return name.startswith(_STEM) and name.endswith(".jsonl") and "/" not in name


class Seal:
    """Writes the audit trail of evidence.

    Args:
        folder: Of the evidence; made here.
        key: Signs every record; None for none.

    Attributes:
        file_name: Of the present trail.
        head: Hash of its last record.
    """

    def __init__(self, folder: Path, key: bytes | None) -> None:
        self._folder = folder
        self._key = key
        self._user = user_name()
        self._trail: AuditTrail | None = None
        self._file: AuditFile | None = None
        self.file_name = ""

    @property
    def head(self) -> str:
        """Hash of the last record."""
        return "" if self._trail is None else self._trail.head

    @property
    def is_signed(self) -> bool:
        """True if a key signs it."""
        return self._key is not None

    @property
    def failure(self) -> str:
        """Why records are no longer kept; empty while they are."""
        return "" if self._file is None else self._file.failure

    def open(self, evidence: Evidence, purpose: str) -> None:
        """Begin a trail; ``purpose`` says what for, such as ``run``.

        Raises:
            OSError: It cannot be made.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        before = ""
        for name in trail_names():
            path = self._folder / name
            if not path.exists():
                break
            before = judge(path.read_bytes()).head
        else:
            raise AssertionError("names never end")
        text = f"{evidence.rig_text}\0{evidence.suite_sha256}"
        self._trail = AuditTrail(
            session=self._folder.name,
            software=f"cryoctl {__version__}",
            config_hash=sha256(text.encode()).hexdigest()[:_CONFIG_DIGITS],
            key=self._key,
        )
        self._file = AuditFile(path.open("xb", buffering=0), self._trail)
        self.file_name = name
        self.note(
            OPENED,
            evidence.device,
            {
                "purpose": purpose,
                "rig": evidence.rig,
                "seed": evidence.seed,
                "operator": evidence.operator,
                "suite_sha256": evidence.suite_sha256,
                "rig_sha256": sha256(evidence.rig_text.encode()).hexdigest(),
                "follows": before,
                "host": platform.node(),
                "signed": self.is_signed,
            },
        )
        for deviation in evidence.deviations:
            self.note("deviation", reason=deviation)

    def test(self, test: TestRecord) -> None:
        """Put down what a test came to."""
        self.note(
            TEST,
            test.id,
            {"verdict": test.verdict.value, "record_sha256": test.digest()},
            reason=test.why,
        )

    def note(self, action: str, target: str = "", new: Any = None, reason: str = "") -> None:
        """Put down anything else."""
        assert self._file is not None
        self._file.add(Entry(stamp_now(), self._user, action, target, None, new, reason))

    def close(self, evidence: Evidence) -> str | None:
        """Close the trail over every file; return its hash, None if it is not kept."""
        assert self._file is not None
        hashes = file_hashes(self._folder, self.file_name)
        for name, digest in hashes.items():
            self.note(FILE, name, {"sha256": digest})
        new = {"verdict": evidence.verdict.value, "files": len(hashes)}
        return self._file.close(Entry(stamp_now(), self._user, CLOSED, new=new))


def file_hashes(folder: Path, trail: str) -> dict[str, str]:
    """Return the hash of every file in a folder by its name, but for the trail itself."""
    return {
        path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).as_posix() != trail
    }
