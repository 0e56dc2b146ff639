"""The files of evidence, in a folder or packed into one archive; nothing is ever unpacked."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

from cryoctl_hil.evidence.record import FILE_NAME, Evidence, read_evidence
from cryoctl_protocol.toml_text import FileError, Problem

SIZE_MAX_BYTES: Final = 4 << 30
"""Of all files of an archive together; a day of recordings has a fifth of it."""
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_BAD_ARCHIVE: Final = (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError)
"""What reading a damaged or foreign archive raises."""


class EvidenceFiles:
    """Every file of evidence by its name.

    Args:
        source: Names it in errors.
        archive: None reads the folder ``source``.
    """

    def __init__(self, source: Path, archive: zipfile.ZipFile | None) -> None:
        self.source = source
        self._archive = archive
        self._prefix = "" if archive is None else _prefix(archive)

    def names(self) -> list[str]:
        """Return the names of all files, sorted; of an archive twice what stands in it twice."""
        if self._archive is None:
            paths = (path for path in self.source.rglob("*") if path.is_file())
            return sorted(path.relative_to(self.source).as_posix() for path in paths)
        listed = (info.filename for info in self._archive.infolist() if not info.is_dir())
        return sorted(name.removeprefix(self._prefix) for name in listed)

    def read(self, name: str) -> bytes:
        """Return a file's bytes.

        Raises:
            OSError: It is not there, leads out of the folder, or is damaged.
        """
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise OSError(f"{name}: leads out of the evidence")
        if self._archive is None:
            return (self.source / name).read_bytes()
        try:
            return self._archive.read(self._prefix + name)
        except KeyError as error:
            raise FileNotFoundError(f"{name}: is not in the archive") from error
        except _BAD_ARCHIVE as error:
            raise OSError(f"{name}: {error}") from error

    def evidence(self) -> Evidence:
        """Return the evidence itself; raises FileError if that is none."""
        where = f"{self.source}: {FILE_NAME}"
        try:
            data = self.read(FILE_NAME)
        except OSError as error:
            reason = error.strerror or str(error)
            raise FileError([Problem(where, None, "", reason)]) from error
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise FileError([Problem(where, None, "", "is not UTF-8")]) from error
        return read_evidence(text, where)


@contextmanager
def open_evidence(path: Path) -> Iterator[EvidenceFiles]:
    """Open a folder of evidence, the ``evidence.json`` in it, or an archive of it.

    Raises:
        FileError: It is none of these.
    """
    if path.name == FILE_NAME:
        path = path.parent
    if path.is_dir():
        yield EvidenceFiles(path, None)
        return
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, *_BAD_ARCHIVE) as error:
        hint = "give a folder of evidence, or what 'cryoctl evidence pack' has made of it"
        raise FileError([Problem(str(path), None, "", str(error), hint)]) from error
    with archive:
        size = sum(info.file_size for info in archive.infolist())
        if size > SIZE_MAX_BYTES:
            text = f"{size >> 20} MiB when unpacked; expected at most {SIZE_MAX_BYTES >> 20} MiB"
            raise FileError([Problem(str(path), None, "", text)])
        yield EvidenceFiles(path, archive)


def pack(folder: Path, out: Path) -> int:
    """Pack a folder of evidence into an archive; return how many files that were.

    The same folder makes the same bytes.

    Raises:
        FileError: It holds no evidence, or the archive is there already.
        OSError: It cannot be written.
    """
    files = EvidenceFiles(folder, None)
    files.evidence()
    names = files.names()
    try:
        with zipfile.ZipFile(out, "x", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                info = zipfile.ZipInfo(name, _EPOCH)
                info.compress_type = zipfile.ZIP_DEFLATED
                info.external_attr = 0o644 << 16
                archive.writestr(info, files.read(name))
    except FileExistsError as error:
        raise FileError([Problem(str(out), None, "", "is there already")]) from error
    return len(names)


def _prefix(archive: zipfile.ZipFile) -> str:
    """Return the folder in an archive that holds the evidence; empty if there is none."""
    found = [name for name in archive.namelist() if PurePosixPath(name).name == FILE_NAME]
    shortest = min(found, key=len, default=FILE_NAME)
    return shortest.removesuffix(FILE_NAME)
