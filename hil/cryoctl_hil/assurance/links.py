"""``cryoctl assure links``: whole treatments in real time over every kind of link.

The built-in treatment of three cycles has to pass over each; faults have to end as they do in
memory: the same verdict, the same trip as first cause, the same exit code.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

from cryoctl_hil.assurance.program import Measure, Outcome, Say
from cryoctl_hil.real_links import KINDS, lay

AT_ONCE: Final = 8
"""They wait more than they work."""
TRIES: Final = 3
"""A machine that stands still for a moment is TICK_LATE, or LINK, whatever the link."""
FAULTS: Final = (
    "tc_short@freeze+2s",
    "exhaust_blocked@freeze+2s",
    "vbat_low@freeze+2s",
    "skin_cold@freeze+2s",
    "brownout@freeze+2s",
)
"""Found by probe or controller, at once or after seconds, and one that ends the session."""
_LASTS_S: Final = 900.0
_STALLS: Final = frozenset({"TICK_LATE", "LINK"})
_SHORT: Final = ("--cycles", "1", "--set", "cycles.hold_s=10")


class Task(NamedTuple):
    """One treatment over one link; ``fault`` is empty for the whole built-in one."""

    kind: str
    fault: str


class End(NamedTuple):
    """How a treatment ended."""

    verdict: str
    first_cause: str
    exit_code: int


def run(scale: float, say: Say) -> Outcome:
    """Run them all; a scale under 1 leaves the whole treatments and takes fewer faults."""
    faults = FAULTS[: max(1, round(len(FAULTS) * min(1.0, scale)))]
    expected = {fault: in_memory(fault) for fault in faults}
    tasks = [Task(kind, "") for kind in KINDS] if scale >= 1.0 else []
    tasks += [Task(kind, fault) for fault in faults for kind in KINDS]
    with (
        tempfile.TemporaryDirectory(prefix="cryoctl-links-") as folder,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        folders = [Path(folder) / str(number) for number in range(len(tasks))]
        ends = {}
        for task, end in zip(tasks, pool.map(over_a_link, folders, tasks), strict=True):
            ends[task] = end
            say(f"{task.kind}: {task.fault or 'three cycles'}: {end.verdict} {end.first_cause}")
    whole = {task: end for task, end in ends.items() if not task.fault}
    failed = [f"three cycles over {t.kind}: {e}" for t, e in whole.items() if e != PASSED]
    others = [
        f"{task.fault} over {task.kind}: {end}, in memory {expected[task.fault]}"
        for task, end in ends.items()
        if task.fault and end != expected[task.fault]
    ]
    compared = len(ends) - len(whole)
    return Outcome(
        [
            Measure("three cycles over a link that do not pass", "0",
                    f"{len(failed)} of {len(whole)}", bool(whole) and not failed,
                    (), float(len(failed)), 0.0),
            Measure("faults over a link with another end than in memory", "0",
                    f"{len(others)} of {compared}", not others,
                    ("SR-03",), float(len(others)), 0.0),
        ],
        {"in memory": {fault: end._asdict() for fault, end in expected.items()}},
        failed + others,
    )  # fmt: skip


PASSED: Final = End("PASS", "", 0)


def in_memory(fault: str) -> End:
    """Return how the short treatment ends on the simulator in this computer's memory."""
    with tempfile.TemporaryDirectory(prefix="cryoctl-links-") as folder:
        return _drive(Path(folder), "sim:", *_SHORT, "--fault", fault)


def over_a_link(folder: Path, task: Task) -> End:
    """Return how a treatment ends over a link; one that this machine held up is made again."""
    end = PASSED
    for number in range(TRIES):
        here = folder / str(number)
        here.mkdir(parents=True)
        fault = ("--fault", task.fault) if task.fault else ()
        with ExitStack() as stack:
            between = lay(task.kind, stack, here, fault)
            stack.callback(between.start().kill)
            options = _SHORT if task.fault else ()
            end = _drive(here, between.address, "--arm-and-start", *options)
        if end.first_cause not in _STALLS:
            return end
    return end


def _drive(folder: Path, address: str, *options: str) -> End:
    done = subprocess.run(  # noqa: S603 (our own module)
        [sys.executable, "-m", "cryoctl", "run", "--device", address, "--json", "--out", "run",
         *options],
        cwd=folder,
        stdout=subprocess.PIPE,
        check=False,
        timeout=_LASTS_S,
    )  # fmt: skip
    told: dict[str, Any] = json.loads(done.stdout)
    trips = told["trips"]
    return End(told["verdict"], trips[0]["id"] if trips else "", done.returncode)
