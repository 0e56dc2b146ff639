"""Compiles the C firmware into a shared library: once a version, kept in the user's cache folder.

It uses the compiler that is there (``cc``), else the one of the extra ``firmware`` (ziglang).
"""

from __future__ import annotations

import os
import platform
import shutil
import struct
import subprocess
import sys
import tempfile
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from cryoctl_simulator.firmware import FirmwareError

WARNINGS: Final = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion")
FLAGS: Final = ("-std=c11", "-O2", "-shared", "-fvisibility=hidden", "-ffp-contract=off")
_PACKAGE: Final = Path(__file__).parent
# As installed, else as in the source tree.
_FIRMWARE_PARTS: Final = (_PACKAGE / "firmware_sources", _PACKAGE.parent / "firmware")
_LIBRARY_PARTS: Final = (
    _PACKAGE.parent / "cryoctl_protocol" / "c_sources",
    _PACKAGE.parent.parent / "protocol" / "c",
)
_LIBRARY_FILES: Final = ("cryo_device.c", "cryo_frame.c", "cryo_hash.c")
_OWNER_ONLY: Final = 0o700
_OTHERS_WRITE: Final = 0o022
_BUILD_S_MAX: Final = 300.0
"""Zig builds what it needs of the C library when it is first used; two minutes were seen."""
_NO_COMPILER: Final = (
    "firmware=native needs a C compiler: install one that is called 'cc', or "
    "`pip install 'cryoctl[firmware]'`"
)


def source_folders() -> tuple[Path, Path]:
    """Return where the C firmware and the C device library lie; raises FirmwareError."""
    return _first(_FIRMWARE_PARTS, "firmware.c"), _first(_LIBRARY_PARTS, "cryo_device.c")


def sources() -> list[Path]:
    """Return every C file of the shared library, in a fixed order."""
    firmware, library = source_folders()
    return sorted(firmware.glob("*.c")) + [library / name for name in _LIBRARY_FILES]


def shared_library(folder: Path | None = None) -> Path:
    """Return the compiled firmware, and compile it first if that has not been done.

    Args:
        folder: Where compiled ones are kept; the user's cache folder without it.

    Raises:
        FirmwareError: No compiler, no sources, or they do not compile.
    """
    compiler = find_compiler()
    kept = cache_folder() if folder is None else folder
    path = kept / f"probe-{_digest(compiler)}{'.dll' if sys.platform == 'win32' else '.so'}"
    if _is_ours(path):
        return path
    try:
        kept.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept) as made_in:
            made, noted = Path(made_in) / path.name, Path(made_in) / "sum"
            compile_library(compiler, made)
            noted.write_text(_sum_of(made))
            # Whole at once: another process may be doing the same.
            made.replace(path)
            noted.replace(_note_of(path))
    except OSError as error:
        if not path.exists():  # On Windows one that is in use cannot be replaced, nor need it be.
            raise FirmwareError(
                f"firmware=native: {kept}: {error.strerror or error}; the compiled firmware is "
                "kept there"
            ) from error
    return path


def _is_ours(path: Path) -> bool:
    """Return True if a library is there as it was compiled, and nobody else could change it.

    What is loaded runs in this process; and of one that is cut short the loader does not tell, it
    kills.
    """
    if sys.platform != "win32" and path.is_file():
        found = path.stat()
        if found.st_uid != os.geteuid() or found.st_mode & _OTHERS_WRITE:
            raise FirmwareError(
                f"firmware=native: {path}: belongs to another user, or others may write it; delete "
                "it, and it is compiled anew"
            )
    try:
        return _note_of(path).read_text() == _sum_of(path)
    except (OSError, ValueError):
        return False


def _note_of(path: Path) -> Path:
    return path.with_suffix(".sum")


def _sum_of(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def find_compiler() -> list[str]:
    """Return how to call the C compiler; raises FirmwareError if there is none."""
    found = shutil.which("cc")
    if found is not None:
        return [found]
    if find_spec("ziglang") is not None:
        return [sys.executable, "-m", "ziglang", "cc"]
    raise FirmwareError(_NO_COMPILER)


def compile_library(compiler: list[str], path: Path, *more: str) -> None:
    """Compile the firmware into ``path``; raises FirmwareError with what the compiler says."""
    includes = [f"-I{folder}" for folder in source_folders()]
    position = () if sys.platform == "win32" else ("-fPIC",)
    files = map(str, sources())
    _call([*compiler, *FLAGS, *position, *more, *includes, "-o", str(path), *files])


def cache_folder() -> Path:
    """Return the folder where compiled firmware is kept for this user."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "cryoctl" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "cryoctl"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cryoctl"


def _digest(compiler: list[str]) -> str:
    """Return a name for what these sources, flags and this compiler make."""
    said = _call([*compiler[:-1], "version"] if "ziglang" in compiler else [*compiler, "--version"])
    machine = (sys.platform, platform.machine(), struct.calcsize("P"))
    digest = sha256(repr((said, FLAGS, machine)).encode())
    for folder in source_folders():
        for path in sorted([*folder.glob("*.c"), *folder.glob("*.h")]):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _call(command: list[str]) -> str:
    try:
        done = subprocess.run(  # noqa: S603 (the compiler, and paths of our own)
            command, capture_output=True, text=True, check=False, timeout=_BUILD_S_MAX
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FirmwareError(f"firmware=native: {command[0]}: {error}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        first = next((line for line in said if "error" in line), said[0] if said else "no reason")
        raise FirmwareError(f"firmware=native: the C compiler says: {first}")
    return done.stdout


def _first(folders: tuple[Path, ...], file: str) -> Path:
    for folder in folders:
        if (folder / file).is_file():
            return folder
    raise FirmwareError(
        f"firmware=native: the C sources are missing ({folders[0] / file}); install cryoctl anew"
    )
