"""A board in memory and in virtual time: the drop-in HAL, compiled, around the model firmware."""

from __future__ import annotations

import ctypes
import subprocess
from functools import cache, partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from cryoctl_protocol.peer import DeviceUrl, Opened
from cryoctl_simulator.board_in_loop import Board, BoardDevice
from cryoctl_simulator.device import RECEIVED_MAX
from cryoctl_simulator.firmware_config import FirmwareConfig
from cryoctl_simulator.firmware_identity import Boot
from cryoctl_simulator.firmware_layout import OutputsMemory, ReadingsMemory
from cryoctl_simulator.firmware_model import FirmwareModel
from cryoctl_simulator.firmware_state import Outputs
from cryoctl_simulator.instruments import Readings
from cryoctl_simulator.link import open_link
from tests.support.c_device import C99, C_LIBRARY, compiler
from tests.support.tree import ROOT

FIRMWARE = ROOT / "simulator" / "firmware"
INJECTED = FIRMWARE / "injected"
INCLUDES = [f"-I{FIRMWARE}", f"-I{INJECTED}"]
TICK_US = 10_000
PHASE_US = 4_000
"""The board's ticks come so long after the simulator's."""
WATCHDOG_US = 150_000
TICK, HANG, RESET = range(3)

_Bytes = ctypes.POINTER(ctypes.c_uint8)
_Read = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p, _Bytes, ctypes.c_size_t)
_Write = ctypes.CFUNCTYPE(None, ctypes.c_void_p, _Bytes, ctypes.c_size_t)


class _Port(ctypes.Structure):
    _fields_ = [("read", _Read), ("write", _Write), ("context", ctypes.c_void_p)]


@cache
def hal() -> Any:
    """Return ``hal_injected.c`` as a shared library."""
    library = Path(mkdtemp()) / "hal.so"
    sources = [INJECTED / "hal_injected.c", C_LIBRARY / "cryo_frame.c", C_LIBRARY / "cryo_hash.c"]
    command = [*compiler(), *C99, *INCLUDES, "-fPIC", "-shared", *map(str, sources)]
    done = subprocess.run(
        [*command, "-o", str(library)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(library))


class Hal:
    """The drop-in HAL of one board, and the two directions of its channel."""

    def __init__(self) -> None:
        self.incoming = b""
        self.outgoing = b""
        self._memory = (ctypes.c_uint64 * 256)()
        self._readings = ReadingsMemory()
        self._port = _Port(_Read(self._read), _Write(self._write), None)

    def init(self, build: str = "rig") -> None:
        hal().injected_init(self._memory, ctypes.byref(self._port), build.encode())

    def begin(self, now_us: int) -> int:
        now = ctypes.c_uint32(now_us)
        return int(hal().injected_begin(self._memory, now, ctypes.byref(self._readings)))

    @property
    def readings(self) -> Readings:
        return Readings(*(getattr(self._readings, row[0]) for row in ReadingsMemory._fields_))

    def end(self, outputs: Outputs) -> None:
        values = [int(getattr(outputs, row[0])) for row in OutputsMemory._fields_]
        hal().injected_end(self._memory, ctypes.byref(OutputsMemory(*values)))

    def _read(self, _context: int, data: Any, capacity: int) -> int:
        part, self.incoming = self.incoming[:capacity], self.incoming[capacity:]
        ctypes.memmove(data, part, len(part))
        return len(part)

    def _write(self, _context: int, data: Any, size: int) -> None:
        self.outgoing += ctypes.string_at(data, size)


class MemoryBoard:
    """A board whose own clock is the simulator's, 4 ms later.

    Attributes:
        is_dead: It does nothing any more.
        is_plugged: The channel is there.
        noise: Comes out of the channel ahead of what is said there, each time, both ways.
        skips: Its ticks that come too late to be made, by number.
        ticks: Made since power-up.
    """

    def __init__(self, config: FirmwareConfig) -> None:
        self.is_dead = False
        self.is_plugged = True
        self.noise = b""
        self.skips: set[int] = set()
        self.boots = 0
        self.ticks = 0
        self.hal = Hal()
        self.device: BoardDevice | None = None
        self.link = MemoryLine(self, "link")
        self.channel = MemoryLine(self, "channel")
        self.incoming = b""
        self.outgoing = b""
        self._config = config
        self._next_us = PHASE_US
        self._tick_number = 0
        self._boot()

    def now_us(self) -> int:
        return 0 if self.device is None else self.device._ticks * TICK_US

    def run(self) -> None:
        """Make every tick that is due."""
        while self._next_us <= self.now_us():
            self._tick_number += 1
            if not self.is_dead and self._tick_number not in self.skips:
                self._tick(self._next_us)
            self._next_us += TICK_US

    def _boot(self) -> None:
        self.boots += 1
        self.hal.init()
        boot = Boot(device_id="RIG", boot_id=self.boots, nonce_seed=bytes([self.boots % 256]) * 32)
        self.firmware = FirmwareModel(self._config, boot)
        self._boot_us = self._kicked_us = self._next_us

    def _tick(self, now_us: int) -> None:
        order = self.hal.begin(now_us & 0xFFFFFFFF)
        if order == RESET or now_us - self._kicked_us > WATCHDOG_US:
            self._boot()
        elif order == TICK:
            self.ticks += 1
            incoming, self.incoming = self.incoming[:1024], self.incoming[1024:]
            now_ms = (now_us - self._boot_us) // 1000
            self.outgoing += self.firmware.tick(now_ms, self.hal.readings, incoming) or b""
            self.hal.end(self.firmware.outputs)
            self._kicked_us = now_us


class MemoryLine:
    """One port of the board, as the simulator sees it (``Line``)."""

    def __init__(self, board: MemoryBoard, name: str) -> None:
        self._board = board
        self._is_channel = name == "channel"

    def read(self) -> bytes:
        board = self._board
        board.run()
        if self._is_channel:
            said, board.hal.outgoing = board.hal.outgoing, b""
            return board.noise + said if board.is_plugged else b""
        said, board.outgoing = board.outgoing, b""
        return said

    def write(self, data: bytes) -> None:
        board = self._board
        board.run()
        if board.is_dead:
            return
        if not self._is_channel:
            board.incoming = (board.incoming + data)[:RECEIVED_MAX]
        elif board.is_plugged:
            board.hal.incoming = (board.hal.incoming + board.noise + data)[:RECEIVED_MAX]


def open_rig(query: str = "") -> tuple[Opened, BoardDevice, MemoryBoard]:
    """Return the simulated probe whose firmware is on a board in memory, and that board."""
    url = DeviceUrl.parse(f"sim:n2o-20g?seed=1&{query}".rstrip("&"))
    there = MemoryBoard(FirmwareConfig.shipped("n2o-20g"))
    board = Board(there.link, there.channel, there.now_us)
    opened = open_link(url, partial(BoardDevice, board=board))
    device = opened.peer
    assert isinstance(device, BoardDevice)
    there.device = device
    return opened, device, there
