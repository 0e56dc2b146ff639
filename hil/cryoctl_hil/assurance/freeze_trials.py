"""Trials in real time: something befalls a controller or its probe in a freeze, at any moment.

What ``kills`` and ``losses`` have in common. The processes of a trial are real ones; what counts is
what the probe says, by its own log and its own clock.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Generic, NamedTuple, TypeVar

from cryoctl.recording import Recording, RecordingError, load_recording
from cryoctl_hil.assurance.program import Say
from cryoctl_hil.bench_probe import program
from cryoctl_hil.draws import Draws

TRIES: Final = 20
"""A machine that stands still for a moment ends a freeze by itself: TICK_LATE."""
SAFE_MS: Final = 500.0  # SR-01
PROBE_PERIOD_MS: Final = 20
ENDS_S: Final = 60.0
"""A probe that was not heard for 5 s is given up; papers take a moment more."""
_TREATMENT: Final = """\
schema = 1
name = "Freeze"
profile = "n2o-20g"

[cycles]
count = 1
setpoint_c = -40.0
hold_s = 20.0

[prewarm]
duration_s = 0.0
"""

Way = TypeVar("Way")
Result = TypeVar("Result")


@contextmanager
def frozen(folder: Path, address: str) -> Iterator[subprocess.Popen[str]]:
    """Yield a controller of the probe at ``address`` in its first freeze; it works in ``folder``.

    Recording and audit trail are in the folder ``run`` in it.
    """
    (folder / "treatment.toml").write_text(_TREATMENT)
    with program(
        "cryoctl", "run", "treatment.toml", "--arm-and-start", "--device", address,
        "--out", "run", folder=str(folder),
    ) as (run, said):  # fmt: skip
        for line in said:
            if "COOLING" in line:
                break
        yield run


def recording_in(folder: Path) -> Recording | None:
    """Return what the controller of a folder recorded; None if nobody can read it."""
    try:
        return load_recording(folder / "run" / "run.mcap")
    except RecordingError:
        return None


def is_whole(recording: Recording | None) -> bool:
    """Return True if a recording was closed and lacks nothing."""
    return recording is not None and recording.complete and not recording.dropped


def wait(seconds: float) -> None:
    """Let real time pass."""
    time.sleep(seconds)  # noqa: TID251 (a trial is other processes in real time)


class Tried(NamedTuple, Generic[Result]):
    """What came of many trials.

    Attributes:
        results: One of each.
        void: Trials that tried nothing, and were made again.
    """

    results: list[Result]
    void: int


def try_often(
    trial: Callable[[Path, Way, float], Result | None],
    ways: Sequence[Way],
    moment_s: tuple[float, float],
    *,
    seed: int,
    at_once: int,
    say: Say,
) -> Tried[Result]:
    """Make a trial for each of ``ways``, some side by side, at moments drawn at random.

    Args:
        trial: Called with an empty folder, the way and the moment; None if the freeze was over
            when the moment came.
        ways: Of the trials, one each.
        moment_s: Shortest and longest, from the beginning of the freeze.
        seed: Of the moments.
        at_once: They wait more than they work.
        say: Told how far it is.

    Raises:
        RuntimeError: There was never a freeze when the moment came.
    """
    draws = Draws(seed)
    moments_s = [draws.between(*moment_s) for _ in ways]
    results: list[Result] = []
    repeated = 0
    with tempfile.TemporaryDirectory(prefix="cryoctl-trials-") as folder:

        def insist(number: int, way: Way, moment_s: float) -> tuple[Result, int]:
            for void in range(TRIES):
                with tempfile.TemporaryDirectory(prefix=f"{number}-", dir=folder) as here:
                    result = trial(Path(here), way, moment_s)
                if result is not None:
                    return result, void
            raise RuntimeError(
                f"{TRIES} times the freeze was over before anything was done to it: give this "
                "machine less to do, and repeat"
            )

        with ThreadPoolExecutor(at_once) as pool:
            for result, void in pool.map(insist, range(len(ways)), ways, moments_s):
                results.append(result)
                repeated += void
                if len(results) % (2 * at_once) == 0:
                    say(f"{len(results)} of {len(ways)} tried")
    return Tried(results, repeated)
