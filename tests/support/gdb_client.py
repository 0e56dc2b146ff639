"""A debugger in this process: a script that goes on whenever the processor stands still."""

from __future__ import annotations

from collections.abc import Callable, Generator

from cryoctl_simulator.emulated.debugger import Debugger
from cryoctl_simulator.emulated.elf_file import ElfFile
from cryoctl_simulator.emulated.firmware import EmulatedProbe
from cryoctl_simulator.emulated.gdb_packets import PacketReader, encode

Script = Generator[bytes, bytes, None]
"""Yields packets and is given their answers, which for a resumed processor come when it stops."""


class Client:
    """Hands over one packet at a time (``Line``); hangs up when the script ends."""

    def __init__(self, script: Script) -> None:
        self.interrupts = False
        """Set it for one Ctrl-C while the processor runs."""
        self._script = script
        self._reader = PacketReader()
        self._answer: bytes | None = None
        self._is_there = True

    def take(self, *, wait: bool) -> bytes | None:
        if not self._is_there:
            return None
        if not wait:
            interrupts, self.interrupts = self.interrupts, False
            return b"\x03" if interrupts else b""
        try:
            packet = next(self._script) if self._answer is None else self._script.send(self._answer)
        except StopIteration:
            self._is_there = False
            return None
        return encode(packet)

    def send(self, data: bytes) -> None:
        for each in self._reader.feed(data):
            if isinstance(each, bytes):
                self._answer = each

    def hang_up(self) -> None:
        self._is_there = False


def debugged(elf: ElfFile, script: Callable[[], Script]) -> tuple[EmulatedProbe, Client]:
    """Return a build of firmware that ``script`` debugs from its first instruction."""
    client = Client(script())
    probe = EmulatedProbe(elf)
    probe.debugger = Debugger(client)
    return probe, client
