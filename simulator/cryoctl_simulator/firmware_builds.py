"""Builds of the firmware by name: ``sim:?firmware=model|native|emulated|elf:PATH[&board=NAME]``.

One more, ``board:LINK,CHANNEL``, runs in real time and is served by ``cryoctl sim`` alone.
"""

from __future__ import annotations

import difflib
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryoctl_simulator.firmware import Build, FirmwareError, UnknownFirmwareError
from cryoctl_simulator.firmware_model import FirmwareModel

if TYPE_CHECKING:
    from cryoctl_simulator.emulated.board import VirtualBoard

DEFAULT_BUILD: Final = "model"
BUILDS: Final = ("model", "native", "emulated", "elf:PATH", "board:LINK,CHANNEL")
BOARD: Final = "board:"
_ELF: Final = "elf:"
BOARD_GROUP: Final = "cryoctl.boards"
"""Entry points of boards that firmware can be run on: subclasses of ``VirtualBoard``."""
DEFAULT_BOARD: Final = "virtual"
_PACKAGE_OF: Final = {"elftools": "pyelftools"}


def is_emulated(name: str) -> bool:
    """Return True if the build called ``name`` runs on an emulated processor."""
    return name == "emulated" or name.startswith(_ELF)


def build_of(name: str, board: str | None = None) -> Build:
    """Return the build called ``name``.

    Args:
        name: Of the build.
        board: What an ELF file runs on, by its name; None is the virtual board.

    Raises:
        UnknownFirmwareError: There is none of this name in virtual time, or no such board.
        FirmwareError: It cannot be made.
    """
    if board is not None and not name.startswith(_ELF):
        raise UnknownFirmwareError(
            f"board '{board}': only firmware=elf:PATH runs on a board that can be chosen"
        )
    if name == DEFAULT_BUILD:
        return FirmwareModel
    if name == "native":
        from cryoctl_simulator.firmware_native import NativeFirmware, library

        library()  # Built now, once, so that what is missing is said before anything runs.
        return NativeFirmware
    if is_emulated(name):
        path = name.removeprefix(_ELF) if name.startswith(_ELF) else None
        return _emulated(path, board or DEFAULT_BOARD)
    if name.startswith(BOARD):
        raise UnknownFirmwareError(
            f"a board runs in real time: serve it with `cryoctl sim --pty --firmware {name}` and "
            "give the port that this prints as --device"
        )
    close = difflib.get_close_matches(name, BUILDS, n=1)
    meant = f"; did you mean '{close[0]}'?" if close else ""
    raise UnknownFirmwareError(f"unknown firmware '{name}' (allowed: {', '.join(BUILDS)}{meant})")


def _emulated(path: str | None, board: str) -> Build:
    """Return the firmware in an ELF file, else our own, on an emulated processor."""
    try:
        from cryoctl_simulator.emulated.build import SHIPPED
        from cryoctl_simulator.emulated.elf_file import ElfFile
        from cryoctl_simulator.emulated.firmware import EmulatedProbe
    except ModuleNotFoundError as error:
        raise FirmwareError(
            f"an emulated processor needs {_PACKAGE_OF.get(error.name or '', error.name)}; install "
            "it: pip install 'cryoctl[firmware]'"
        ) from error
    made_for = _board_named(board)
    file = SHIPPED if path is None else Path(path)
    return EmulatedProbe(ElfFile.read(file, flash_bytes=made_for.FLASH_BYTES), made_for)


def _board_named(name: str) -> type[VirtualBoard]:
    """Return a board that some installed package brings."""
    from cryoctl_simulator.emulated.board import VirtualBoard

    found = {point.name: point for point in entry_points(group=BOARD_GROUP)}
    if name not in found:
        known = ", ".join(sorted(found))
        raise UnknownFirmwareError(
            f"unknown board '{name}' (installed: {known}); yours is found by an entry point of the "
            f"group {BOARD_GROUP}"
        )
    try:
        board = found[name].load()
    except Exception as error:  # Whatever a file of somebody else does when it is imported.
        raise FirmwareError(f"board '{name}' ({found[name].value}): {error}") from error
    if not (isinstance(board, type) and issubclass(board, VirtualBoard)):
        raise FirmwareError(
            f"board '{name}' ({found[name].value}): is no class made from VirtualBoard"
        )
    return board
