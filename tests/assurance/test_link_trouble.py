"""A link in trouble at any moment of a treatment: the run ends as told, or sees the probe safe.

A probe is killed, stopped or restarted, or its line is pulled out for good or for a while. Each
trial is two or three processes in real time. ``make assure TRIALS=100`` says how many; they run
side by side, since they wait more than they work. Every recording they leave is replayed at the
end, like that of any test: the same inputs must give the same decisions.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from enum import StrEnum
from itertools import cycle, islice, product
from pathlib import Path
from typing import IO, Any, NamedTuple

import pytest
from numpy.random import Generator, Philox

from cryoctl.cycle_table import Phase
from cryoctl.recording import load_recording
from cryoctl_hil import cable
from cryoctl_hil.bench_load import usage
from cryoctl_hil.bench_probe import program
from cryoctl_hil.wire_logs import commands_sent_after, telemetry_in
from cryoctl_protocol.codes import DeviceState
from cryoctl_protocol.messages import Telemetry

pytestmark = [pytest.mark.assure, pytest.mark.real_time, pytest.mark.timeout(3600)]

TRIALS = int(os.environ.get("TRIALS", "100"))
AT_ONCE = 4
SILENT_S = 5.0
"""A probe that was not heard for this long is given up."""
THAW_TIMEOUT_S = 20.0
PAPERS_S = 5.0
"""For recording, summary and report, on a busy machine."""
BACK_S = 4.0
"""A link that is back by then leaves time to see the probe safe."""
HANGS_S = 90.0
MAY_PASS_S = 0.25
"""SR-03 trips after 0.15 s without telemetry, as seen by a tick every 0.05 s."""
CPU_PERCENT_MAX = 5.0
CPU_WATCHED_S = 2.0
REPEATS_MAX = 5
TOO_BUSY = ("TICK_LATE", "LINK", "LEASE")
"""What trips where a process must wait for the processor for 0.15 s (SR-35, SR-03, SR-01)."""
SAFE_MS = 500  # SR-01
PROBE_PERIOD_MS = 20
DRIVEN = (DeviceState.PREWARM, DeviceState.FREEZE)
LINK_FAILURES = ("the link is gone: ", "no session with the device within ")
TREATMENT = f"""\
schema = 1
name = "In trouble"
profile = "n2o-20g"

[cycles]
count = 1
setpoint_c = -40.0
hold_s = 5.0

[thaw]
mode = "active"
timeout_s = {THAW_TIMEOUT_S}

[prewarm]
duration_s = 1.0
"""


class Kind(StrEnum):
    """What happens to the link."""

    KILLED = "probe killed"
    STOPPED = "probe stopped"
    RESTARTED = "probe restarted"
    UNPLUGGED = "unplugged"
    REPLUGGED = "replugged"


LASTS_S = {
    Phase.CONNECTING: 0.2,
    Phase.SELF_TEST: 0.5,
    Phase.LEAK_TEST: 11.0,
    Phase.ARMED: 0.05,
    Phase.PREWARM: 1.0,
    Phase.COOLING: 5.0,
    Phase.HOLD: 5.0,
    Phase.THAWING: 4.0,
}
"""How long each phase of the treatment takes, about."""
STRUCK = (*LASTS_S, Phase.COOLING, Phase.HOLD)
SERVED = {"pty": ("--pty", "--link", "probe"), "tcp": ("--tcp", "127.0.0.1:0")}
CASES = list(product(Kind, SERVED, STRUCK))


class Trial(NamedTuple):
    """What is to happen, and when.

    Attributes:
        phase: In which the moment lies.
        wait_s: From its beginning to the moment.
        gone_s: From the moment until the link is back; infinite if it never is.
        hangs_up: A pulled line is noticed as such; else nothing comes through any more.
    """

    kind: Kind
    served: str
    phase: Phase
    wait_s: float
    gone_s: float
    hangs_up: bool


def draw_trials(count: int) -> list[Trial]:
    """Return trials with every case before any case comes again, at random moments."""
    random = Generator(Philox(key=20_261_122))
    trials = []
    for number in islice(cycle(random.permutation(len(CASES))), count):
        kind, served, phase = CASES[number]
        gone_s = {
            Kind.STOPPED: 0.1 * 80.0 ** random.random(),  # 0.1 to 8 s, short ones as often.
            Kind.RESTARTED: random.uniform(0.3, 3.0),
            Kind.REPLUGGED: random.uniform(0.3, 3.0),
        }.get(kind, math.inf)
        hangs_up = served == "pty" or random.random() < 0.5
        wait_s = random.uniform(0.0, LASTS_S[phase])
        trials.append(Trial(kind, served, phase, wait_s, gone_s, hangs_up))
    return trials


class OverTooSoonError(Exception):
    """The treatment was over before the moment of the trial; the text is the first cause."""


class Stage:
    """A probe, perhaps a cable, and a controller; each a process."""

    def __init__(self, trial: Trial, folder: Path, stack: ExitStack) -> None:
        self._served = SERVED[trial.served]
        self._folder = folder
        self._stack = stack
        self._trial = trial
        (folder / "treatment.toml").write_text(TREATMENT)
        self.probe, address = self._serve("cryoctl", "sim", *self._served, "--log", "log")
        if trial.served == "tcp":
            self._served = ("--tcp", address.removeprefix("tcp://"))
        if trial.kind in (Kind.UNPLUGGED, Kind.REPLUGGED):
            self.cable, address = self._serve("cryoctl_hil.cable", address, "port")
        self.controller, said = self._start(
            "cryoctl", "run", "treatment.toml", "--arm-and-start", "--device", address,
            "--out", "run",
        )  # fmt: skip
        if not any(trial.phase in line for line in said):
            self.controller.communicate()
            raise OverTooSoonError(first_cause(read_summary(folder)))

    def lose_link(self) -> None:
        """Do what the trial is about."""
        match self._trial.kind:
            case Kind.KILLED | Kind.RESTARTED:
                # As a system does with the name of a port: another probe may get its number.
                (self._folder / "probe").unlink(missing_ok=True)
                self.probe.kill()
                self.probe.wait()
            case Kind.STOPPED:
                self.probe.send_signal(signal.SIGSTOP)
            case _:
                self.cable.send_signal(cable.PULL if self._trial.hangs_up else signal.SIGSTOP)

    def bring_link_back(self) -> None:
        """Undo it; return when it is done."""
        match self._trial.kind:
            case Kind.RESTARTED:
                # The same seed is the same probe; another one would be refused.
                self._serve("cryoctl", "sim", *self._served, "--log", "second log")
            case Kind.STOPPED:
                self.probe.send_signal(signal.SIGCONT)
            case _:
                self.cable.send_signal(cable.PLUG if self._trial.hangs_up else signal.SIGCONT)

    def watch_cpu(self, duration_s: float) -> float | None:
        """Return what the controller takes of a core, %; None if it has ended meanwhile."""
        before = usage(self.controller.pid)
        time.sleep(duration_s)
        after = usage(self.controller.pid)
        if self.controller.poll() is not None:
            return None
        return 100.0 * (after.cpu_s - before.cpu_s) / (after.at_s - before.at_s)

    def _serve(self, module: str, *arguments: str) -> tuple[subprocess.Popen[str], str]:
        process, said = self._start(module, *arguments)
        return process, next(line.split()[1] for line in said if line.startswith("at "))

    def _start(self, module: str, *arguments: str) -> tuple[subprocess.Popen[str], IO[str]]:
        return self._stack.enter_context(program(module, *arguments, folder=str(self._folder)))


class Outcome(NamedTuple):
    """What a trial came to.

    Attributes:
        cause: As ``first_cause`` says.
        gone_s: How long the link was really gone.
        end_s: From the loss, or from the return if there was one, to the end of the process.
        cpu_percent: Of a core, while the link was gone; None if that was too short to tell.
        driven_ms: From the loss to the last telemetry that shows gas on its way, by the probe's
            clock; of a restarted probe, from its start. 0 if there is none; None if nothing was
            told.
        safe_ms: From the first trip to the safe state that was seen.
        commands: Sent after the first trip.
        struck_in: Phase of the first trip; None without one.
        repeats: Tries before this one for which the machine was too busy.
    """

    trial: Trial
    exit_code: int
    cause: str
    gone_s: float
    end_s: float
    cpu_percent: float | None
    driven_ms: int | None
    safe_ms: float | None
    is_unconfirmed: bool
    commands: int
    is_whole: bool
    struck_in: str | None
    repeats: int = 0

    @property
    def came_back(self) -> bool:
        """The link was back while somebody waited for it."""
        return self.gone_s <= BACK_S

    def faults(self) -> list[str]:
        """Return everything that is not as specified."""
        kind, back = self.trial.kind, self.came_back
        if self.exit_code == 0:
            limit_s = SILENT_S if self.trial.phase is Phase.CONNECTING else MAY_PASS_S
            is_short = kind is Kind.STOPPED and self.gone_s < limit_s
            return [] if is_short else ["passed without a link"]
        end_s_max = (THAW_TIMEOUT_S if back else 0.0) + SILENT_S + PAPERS_S
        driven_ms_max = 0 if kind is Kind.RESTARTED else SAFE_MS - PROBE_PERIOD_MS
        was_seen_safe = self.safe_ms is not None and not self.is_unconfirmed
        judged = {
            f"exit code {self.exit_code}": self.exit_code != 3,
            f"first cause {self.cause}": not self.cause.startswith(("LINK", *LINK_FAILURES)),
            f"ended after {self.end_s:.1f} s": self.end_s > end_s_max,
            f"took {self.cpu_percent} % of a core": (self.cpu_percent or 0.0) > CPU_PERCENT_MAX,
            f"driven for {self.driven_ms} ms": (self.driven_ms or 0) > driven_ms_max,
            f"{self.commands} commands after the trip": self.commands > 0,
            "the recording is not whole": not self.is_whole,
            "back, but not seen safe": bool(self.struck_in) and back and not was_seen_safe,
        }
        return [fault for fault, is_so in judged.items() if is_so]


def carry_out(trial: Trial, folder: Path) -> Outcome:
    """Try until the machine was quick enough for the controller."""
    for repeats in range(REPEATS_MAX + 1):
        here = folder / str(repeats)
        here.mkdir()
        try:
            outcome = try_out(trial, here)
        except OverTooSoonError as error:
            if str(error) not in TOO_BUSY:
                raise
        else:
            if outcome.cause != "TICK_LATE":
                return outcome._replace(repeats=repeats)
    raise AssertionError(f"{trial}: this machine is too busy for a controller")


def try_out(trial: Trial, folder: Path) -> Outcome:
    """Start a treatment, trouble its link, wait for the end, look."""
    with ExitStack() as stack:
        stage = Stage(trial, folder, stack)
        time.sleep(trial.wait_s)
        stage.lose_link()
        lost_s = since_s = time.monotonic()
        watched_s = min(trial.gone_s, SILENT_S - 0.5)
        cpu_percent = stage.watch_cpu(watched_s)
        gone_s = math.inf
        if trial.gone_s < math.inf:
            time.sleep(trial.gone_s - watched_s)
            stage.bring_link_back()
            since_s = time.monotonic()
            gone_s = since_s - lost_s
        try:
            stage.controller.communicate(timeout=HANGS_S)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"{trial}: no end in {HANGS_S} s") from error
        end_s = time.monotonic() - since_s
    summary, recording = read_summary(folder), folder / "run" / "run.mcap"
    recorded = load_recording(recording)
    first = summary["trips"][0] if summary["trips"] else None
    return Outcome(
        trial,
        exit_code=stage.controller.returncode,
        cause=first_cause(summary),
        gone_s=gone_s,
        end_s=end_s,
        cpu_percent=cpu_percent if watched_s >= CPU_WATCHED_S else None,
        driven_ms=driven_ms(folder, lost_s),
        safe_ms=first and first["time_to_safe_ms"],
        is_unconfirmed="SAFE_NOT_CONFIRMED" in summary["alarms"],
        commands=commands_sent_after(recording, first["at_s"]) if first else 0,
        is_whole=recorded.complete and not recorded.dropped,
        struck_in=first and first["state"],
    )


def read_summary(folder: Path) -> dict[str, Any]:
    """Return the summary of the run."""
    summary: dict[str, Any] = json.loads((folder / "run" / "summary.json").read_text("utf-8"))
    return summary


def first_cause(summary: dict[str, Any]) -> str:
    """Return the first cause of the trips; else why the run failed, empty if it did not."""
    return str(summary["trips"][0]["id"] if summary["trips"] else summary["failure"])


def driven_ms(folder: Path, lost_s: float) -> int | None:
    """Return for how long after the loss the probe drove anything, by its own clock and word."""
    second = folder / "second log"
    told = telemetry_in(second if second.exists() else folder / "log")
    lost_ms = max((sample.device_ms for at_s, sample in told if at_s <= lost_s), default=0)
    later = [sample for at_s, sample in told if at_s > lost_s]
    driven = [sample.device_ms for sample in later if drives(sample)]
    return max(driven, default=lost_ms) - lost_ms if later else None


def drives(sample: Telemetry) -> bool:
    """Return True if gas flows, or is about to."""
    return sample.valve_permille > 0 or sample.state in DRIVEN


def print_table(outcomes: list[Outcome]) -> None:
    """Print the worst of each kind."""
    print(
        "\n                  trials   exit codes          end    driven       CPU    seen safe"
        "\n                                      worst, s worst, ms  worst, %   of those back"
    )
    for kind in Kind:
        rows = [outcome for outcome in outcomes if outcome.trial.kind is kind]
        codes = Counter(row.exit_code for row in rows)
        failed = [row for row in rows if row.exit_code]
        back = [row for row in failed if row.struck_in and row.came_back]
        print(
            f"{kind:<16}{len(rows):>8}   "
            f"{', '.join(f'{code}: {codes[code]}' for code in sorted(codes)):<14}"
            f"{worst([row.end_s for row in failed], 1):>9}"
            f"{worst([row.driven_ms for row in failed], 0):>10}"
            f"{worst([row.cpu_percent for row in failed], 1):>10}"
            f"{sum(row.safe_ms is not None for row in back):>10} of {len(back)}"
        )
    struck = Counter(outcome.struck_in or "no session" for outcome in outcomes)
    print("struck in: " + ", ".join(f"{phase} {count}" for phase, count in struck.most_common()))
    print(f"repeated, because the machine was too busy: {sum(row.repeats for row in outcomes)}")


def worst(values: Sequence[float | None], digits: int) -> str:
    """Return the largest value there is, as text."""
    known = [value for value in values if value is not None]
    return f"{max(known):.{digits}f}" if known else "-"


@pytest.mark.requirement("SR-01")
@pytest.mark.requirement("SR-03")
def test_a_link_in_trouble_ends_the_run_or_comes_back_to_a_probe_seen_safe(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    trials = draw_trials(TRIALS)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(
            pool.map(carry_out, trials, [tmp_path_factory.mktemp("trial") for _ in trials])
        )

    print_table(outcomes)
    faults = [f"{fault}: {outcome}" for outcome in outcomes for fault in outcome.faults()]
    assert faults == []
