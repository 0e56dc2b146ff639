"""The registers of an emulated Cortex-M4, several at a time.

unicorn's own functions for several registers build their arrays anew at every call (15 us); an
exception entry needs four of them. The arrays here are made once.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

from unicorn import arm_const
from unicorn.unicorn_py3.unicorn import uclib

SP: Final = "sp"
LR: Final = "lr"
PC: Final = "pc"
XPSR: Final = "xpsr"
_CORE: Final = tuple(f"r{number}" for number in range(13))
_FLOAT: Final = tuple(f"d{number}" for number in range(16))
EVERY: Final = (*_CORE, SP, LR, PC, XPSR, "primask", "basepri", "faultmask", "control", "fpscr")
STACKED: Final = ("r0", "r1", "r2", "r3", "r12", LR, PC, XPSR)
"""As an exception entry leaves them on the stack, from the lowest address."""
FLOAT_STACKED: Final = (*_FLOAT[:8], "fpscr")
"""What a handler may overwrite where the FPU is used."""
FLOAT: Final = _FLOAT


class RegisterGroup:
    """Some registers of one processor, read and written together; 64 bits each at the most."""

    def __init__(self, uc: Any, names: tuple[str, ...]) -> None:
        self.names = names
        size = len(names)
        numbers = [getattr(arm_const, f"UC_ARM_REG_{name.upper()}") for name in names]
        self._handle = uc._uch  # noqa: SLF001 (the version of unicorn is pinned)
        self._numbers = (ctypes.c_int * size)(*numbers)
        self._values = (ctypes.c_uint64 * size)()
        step = ctypes.sizeof(ctypes.c_uint64)
        first = ctypes.addressof(self._values)
        self._pointers = (ctypes.c_void_p * size)(*(first + step * row for row in range(size)))
        self._size = size

    def read(self) -> list[int]:
        """Return the values in the order of the names."""
        uclib.uc_reg_read_batch(self._handle, self._numbers, self._pointers, self._size)
        return list(self._values)

    def write(self, values: list[int]) -> None:
        """Set all of them."""
        self._values[:] = values  # type: ignore[assignment]  # ctypes converts.
        uclib.uc_reg_write_batch(self._handle, self._numbers, self._pointers, self._size)
