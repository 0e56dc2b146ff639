"""How late the machine wakes somebody who only sleeps: what nobody's program can be quicker than.

``python -m cryoctl_hil.idle_timer`` sleeps 1 ms over and over, and prints a line for each time that
it woke more than 10 ms late, until it is ended.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from cryoctl.clock import monotonic_s

_SLEEP_S: Final = 0.001
_TOLD_S: Final = 0.010


class Wake(NamedTuple):
    """One sleep that lasted too long, on the machine's monotonic clock."""

    due_s: float
    woke_s: float

    @property
    def late_s(self) -> float:
        """How late it was."""
        return self.woke_s - self.due_s


@contextmanager
def idle_timer(file: Path) -> Iterator[None]:
    """Keep a trace in ``file`` meanwhile; the timer has our priority and process group."""
    with (
        file.open("w") as trace,
        subprocess.Popen([sys.executable, "-m", "cryoctl_hil.idle_timer"], stdout=trace) as process,
    ):
        try:
            yield
        finally:
            process.kill()


def read_trace(file: Path) -> list[Wake]:
    """Return the late wakes of a trace; a last line that was not finished is left out."""
    lines = file.read_text("ascii").splitlines(keepends=True)
    pairs = [line.split() for line in lines if line.endswith("\n")]
    return [Wake(float(due), float(woke)) for due, woke in pairs]


def main() -> None:
    """Sleep and tell, until killed."""
    while True:
        due_s = monotonic_s() + _SLEEP_S
        time.sleep(_SLEEP_S)  # noqa: TID251 (to sleep is what it is for)
        woke_s = monotonic_s()
        if woke_s - due_s > _TOLD_S:
            sys.stdout.write(f"{due_s:.6f} {woke_s:.6f}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
