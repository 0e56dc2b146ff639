"""Builds of the firmware by name: ``sim:?firmware=model|native|emulated|elf:PATH``.

One more, ``board:LINK,CHANNEL``, runs in real time and is served by ``cryoctl sim`` alone.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Final

from cryoctl_simulator.firmware import Build, FirmwareError, UnknownFirmwareError
from cryoctl_simulator.firmware_model import FirmwareModel

DEFAULT_BUILD: Final = "model"
BUILDS: Final = ("model", "native", "emulated", "elf:PATH", "board:LINK,CHANNEL")
BOARD: Final = "board:"
_ELF: Final = "elf:"
_PACKAGE_OF: Final = {"elftools": "pyelftools"}


def build_of(name: str) -> Build:
    """Return the build called ``name``.

    Raises:
        UnknownFirmwareError: There is none of this name in virtual time.
        FirmwareError: It cannot be made.
    """
    if name == DEFAULT_BUILD:
        return FirmwareModel
    if name == "native":
        from cryoctl_simulator.firmware_native import NativeFirmware, library

        library()  # Built now, once, so that what is missing is said before anything runs.
        return NativeFirmware
    if name == "emulated" or name.startswith(_ELF):
        return _emulated(name.removeprefix(_ELF) if name.startswith(_ELF) else None)
    if name.startswith(BOARD):
        raise UnknownFirmwareError(
            f"a board runs in real time: serve it with `cryoctl sim --pty --firmware {name}` and "
            "give the port that this prints as --device"
        )
    close = difflib.get_close_matches(name, BUILDS, n=1)
    meant = f"; did you mean '{close[0]}'?" if close else ""
    raise UnknownFirmwareError(f"unknown firmware '{name}' (allowed: {', '.join(BUILDS)}{meant})")


def _emulated(path: str | None) -> Build:
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
    return EmulatedProbe(ElfFile.read(SHIPPED if path is None else Path(path)))
