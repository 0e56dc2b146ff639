"""How the program ends, as a number for scripts; light, so that ``--help`` stays quick."""

from __future__ import annotations

from typing import Final

EXIT_PASS: Final = 0
EXIT_FAIL: Final = 1  # Also NOT_EFFECTIVE.
EXIT_USAGE: Final = 2
EXIT_LINK: Final = 3
EXIT_SAFETY: Final = 4  # Also an error of the program itself.
EXIT_NOT_CLOSED: Final = 5  # This and the next two: what `cryoctl audit verify` found.
EXIT_TRUNCATED: Final = 6
EXIT_ALTERED: Final = 7
EXIT_INTERRUPTED: Final = 130
