"""The C firmware as a shared library in this process: the same source as the probe's."""

from __future__ import annotations

import ctypes
import pickle
from functools import cache
from typing import Any, Final, cast

from cryoctl_protocol.device_session import RECEIVE_MAX, SEND_MAX
from cryoctl_simulator.firmware import FirmwareError
from cryoctl_simulator.firmware_compiler import shared_library
from cryoctl_simulator.firmware_config import FirmwareConfig
from cryoctl_simulator.firmware_identity import Boot
from cryoctl_simulator.firmware_layout import (
    PROFILE_HASH_OFFSET,
    SESSION_OFFSET,
    StateMemory,
    config_bytes,
    readings_bytes,
)
from cryoctl_simulator.firmware_state import FirmwareState, Outputs
from cryoctl_simulator.instruments import Readings


@cache
def library() -> Any:
    """Return the compiled firmware; raises FirmwareError if it cannot be made."""
    path = shared_library()
    try:
        return load_library(str(path))
    except (OSError, AttributeError) as error:
        raise FirmwareError(
            f"firmware=native: {path}: {error}; delete it, and it is compiled anew"
        ) from error


def load_library(path: str) -> Any:
    """Return the firmware compiled into ``path``."""
    loaded = ctypes.CDLL(path)
    loaded.native_size.argtypes = []
    loaded.native_size.restype = ctypes.c_size_t
    loaded.native_init.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    loaded.native_init.restype = None
    loaded.native_tick.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_char_p,
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_void_p,
    ]
    loaded.native_tick.restype = ctypes.c_size_t
    return loaded


class NativeFirmware:
    """One probe's firmware between power-up and power-down (``Firmware``).

    Args:
        config: What it is built with.
        boot: What differs from one power-up to the next.
        built: Another shared library than the usual one.
    """

    is_reset: Final = False

    def __init__(self, config: FirmwareConfig, boot: Boot, built: Any = None) -> None:
        self.config = config
        used = library() if built is None else built
        self._size: int = used.native_size()
        self._memory = (ctypes.c_uint64 * -(-self._size // 8))()
        self._address = ctypes.addressof(self._memory)
        used.native_init(self._address, config_bytes(config, boot))
        self._tick = used.native_tick
        self._out = ctypes.create_string_buffer(SEND_MAX)
        self._out_address = ctypes.addressof(self._out)
        memory = StateMemory.from_buffer(self._memory)
        self.state = cast("FirmwareState", memory)
        self.outputs = cast("Outputs", memory.outputs)
        hash_at = SESSION_OFFSET + PROFILE_HASH_OFFSET
        self._profile_hash = ctypes.c_uint32.from_buffer(self._memory, hash_at)

    @property
    def profile_hash(self) -> int:
        """Hash of the profile's limits, as HELLO says it."""
        return self._profile_hash.value

    @profile_hash.setter
    def profile_hash(self, value: int) -> None:
        self._profile_hash.value = value

    def tick(self, now_ms: int, readings: Readings, incoming: bytes) -> bytes:
        """Run 10 ms; return what goes out on the link."""
        assert len(incoming) <= RECEIVE_MAX, "the device reads no more in one tick"
        size = self._tick(
            self._address,
            now_ms,
            readings_bytes(readings),
            incoming,
            len(incoming),
            self._out_address,
        )
        return ctypes.string_at(self._out_address, size) if size else b""

    @property
    def memory_bytes(self) -> int:
        """Size of its whole memory."""
        return self._size

    def turn_over(self, bit: int) -> None:
        """Turn one bit of its memory over, as a particle would; 0 to 8 times ``memory_bytes``."""
        ctypes.c_uint8.from_buffer(self._memory, bit // 8).value ^= 1 << bit % 8

    def save(self) -> bytes:
        """Return the whole state; valid for this version of the program only."""
        return pickle.dumps((self.config, ctypes.string_at(self._address, self._size)))

    def load(self, data: bytes) -> None:
        """Take over a state that ``save`` returned."""
        self.config, memory = pickle.loads(data)
        assert len(memory) == self._size, "a saved state belongs to the same compiled firmware"
        ctypes.memmove(self._address, memory, self._size)
