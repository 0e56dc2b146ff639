"""One treatment on one device, from files to verdict: wires the parts, decides nothing."""

from __future__ import annotations

import asyncio
import gc
import platform
import secrets
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO, Final

from cryoctl import __version__
from cryoctl.clock import Pacer, SpeedMissedError, cpu_s, monotonic_s, utc_now
from cryoctl.core import Controller, Settings
from cryoctl.lockstep import LockStep
from cryoctl.operators import AutomaticOperator
from cryoctl.record_queue import QueuedRecorder
from cryoctl.recorder import Recorder
from cryoctl.summary import (
    EXIT_FAIL,
    EXIT_LINK,
    EXIT_PASS,
    Summary,
    cycle_summary,
    exit_code,
    not_provided_summary,
    trip_summary,
)
from cryoctl.supervisor import PeerLink, Supervisor
from cryoctl.treatment import Treatment
from cryoctl.vendor import VendorTable
from cryoctl.virtual_time import VirtualTimeLoop
from cryoctl_protocol.auth import DEMO_KEY
from cryoctl_protocol.codec import SCHEMA_HASH
from cryoctl_protocol.peer import DeviceUrl, LinkError, Opened, TruthSample, open_device
from cryoctl_protocol.profile import Profile, load_profile

FLUSH_S: Final = 0.05
FLUSH_UNPACED_S: Final = 10.0
"""At full speed this much virtual time passes within about 20 ms of the wall's."""
RECORDER_STOP_S: Final = 10.0
"""SR-33: the longest a blocked disk may keep a finished run from ending."""
_STOP_SIGNALS: Final = tuple(
    int(getattr(signal, name)) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
RUN_S_MAX: Final = 24 * 3600.0

Progress = Callable[[Controller, float], None]
Shell = LockStep | Supervisor


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a run needs.

    Attributes:
        treatment_text: The treatment as files and settings made it, for the recording.
        device: Where the probe is.
        seed: Of a simulated device, None for a real one.
        speed: Times real time; None is as fast as the machine can.
        folder: Of this run, made if missing.
        files: Name and text of every other file that shaped the run.
        cartridge_g: Fill of the cartridge by the operator's word.
        bench_waiver: Written reason to command a device without own protection.
    """

    treatment: Treatment
    treatment_text: str
    device: DeviceUrl
    folder: Path
    seed: int | None = None
    speed: float | None = None
    files: tuple[tuple[str, str], ...] = ()
    vendor: VendorTable | None = None
    cartridge_g: float | None = None
    bench_waiver: str = ""


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run leaves."""

    summary: Summary
    recording: Path
    problem: str
    """What went wrong outside the treatment (a missed speed); empty if nothing did."""


class _TruthLog:
    """Keeps plant truth by time, to be looked up after the verdict."""

    def __init__(self) -> None:
        self._samples: list[tuple[float, TruthSample]] = []

    def add(self, sample: TruthSample, now_s: float) -> None:
        self._samples.append((now_s, sample))

    def at(self, when_s: float | None) -> TruthSample | None:
        """Return the last sample not later than ``when_s``."""
        found = None
        for at_s, sample in self._samples:
            if when_s is None or at_s > when_s:
                break
            found = sample
        return found


def run_treatment(options: RunOptions, on_progress: Progress | None = None) -> RunResult:
    """Drive ``options.treatment`` on its device until it has ended, safe.

    Raises:
        LinkError: The device cannot be opened.
    """
    started_s, started_cpu_s = monotonic_s(), cpu_s()
    opened = open_device(options.device)
    if opened.peer is None:
        raise LinkError(f"device {options.device}: this kind of link cannot be driven yet")
    profile = load_profile(options.treatment.profile)
    options.folder.mkdir(parents=True, exist_ok=True)
    path = options.folder / "run.mcap"
    truth = _TruthLog()
    with path.open("xb") as stream:  # Never over another run, even one that starts now.
        recorder = _recorder(options, profile, opened, stream)
        if opened.truth is not None:
            opened.truth.subscribe(recorder.truth)
            opened.truth.subscribe(truth.add)
        controller = Controller(options.treatment, profile, _settings(options), recorder)
        now_s, problem = _drive(controller, opened, options.speed, on_progress)
        lost = recorder.failure
        code = EXIT_LINK if problem else exit_code(controller)
        summary = Summary(
            cryoctl=__version__,
            verdict=controller.verdict,
            failure=controller.failure or problem or lost,
            treatment=options.treatment.name,
            device=str(options.device),
            profile=profile.probe.id,
            gas=profile.probe.gas,
            seed=options.seed,
            virtual_s=round(now_s, 3),
            cpu_s=round(cpu_s() - started_cpu_s, 3),
            wall_s=round(monotonic_s() - started_s, 3),
            cycles_planned=options.treatment.cycles.count,
            thaw_timeout_s=options.treatment.thaw.timeout_s,
            cycles=[cycle_summary(c, truth.at(c.freeze_ended_s)) for c in controller.cycles],
            trips=[trip_summary(trip) for trip in controller.trips],
            alarms=controller.alarms,
            recording=str(path),
            events_sha256=controller.events_sha256,
            not_provided=not_provided_summary(controller),
            exit_code=code or (EXIT_FAIL if lost else EXIT_PASS),
        )
        _close(recorder, summary)
    return RunResult(summary, path, problem)


def _recorder(
    options: RunOptions, profile: Profile, opened: Opened, stream: BinaryIO
) -> Recorder | QueuedRecorder:
    """Return the recorder: behind a thread where time is the wall's, called directly elsewhere."""
    paced = options.speed is not None
    recorder = Recorder(
        stream,
        metadata=_metadata(options, profile, opened),
        flush_period_s=FLUSH_S * options.speed if options.speed else FLUSH_UNPACED_S,
        vendor=options.vendor,
    )
    return QueuedRecorder(recorder) if paced else recorder


def _close(recorder: Recorder | QueuedRecorder, summary: Summary) -> None:
    text = summary.model_dump_json()
    if isinstance(recorder, QueuedRecorder):
        recorder.stop(text, RECORDER_STOP_S)
    else:
        recorder.close(text)


def _settings(options: RunOptions) -> Settings:
    seed = options.seed
    # Nonces repeat only with a simulator, where a run must.
    nonce_seed = secrets.token_bytes(32) if seed is None else f"host {seed}".encode()
    return Settings(
        key=DEMO_KEY,
        nonce_seed=nonce_seed,
        cartridge_g=options.cartridge_g,
        bench_waiver=options.bench_waiver,
    )


def _metadata(options: RunOptions, profile: Profile, opened: Opened) -> dict[str, str]:
    return {
        "cryoctl": __version__,
        "python": platform.python_version(),
        "schema_hash": f"{SCHEMA_HASH:08x}",
        "profile": profile.probe.id,
        "profile_hash": f"{profile.hash32:08x}",
        "treatment": options.treatment_text,
        "treatment_hash": f"{options.treatment.hash32:08x}",
        "device": str(options.device),
        "device_description": opened.description,
        "seed": "" if options.seed is None else str(options.seed),
        "speed": "max" if options.speed is None else f"{options.speed:g}",
        "bench_waiver": options.bench_waiver,
        "started_utc": utc_now().isoformat(timespec="milliseconds"),
        **{f"file {name}": text for name, text in (*opened.files, *options.files)},
    }


def _drive(
    controller: Controller, opened: Opened, speed: float | None, on_progress: Progress | None
) -> tuple[float, str]:
    """Run the shell that the speed asks for; return the virtual time and what went wrong."""
    assert opened.peer is not None

    show = on_progress

    def on_tick(now_s: float) -> None:
        nonlocal show
        if show is None:
            return
        try:
            show(controller, now_s)
        except OSError:
            show = None  # Nobody reads any more; that is no reason to end a treatment.

    if speed is None:
        lockstep = LockStep(controller, opened.peer, AutomaticOperator(), on_tick)
        with _stop_on_signals(lockstep), no_collector():
            lockstep.run(until_s=RUN_S_MAX)
        return lockstep.now_s, ""
    return _drive_paced(controller, opened, Pacer(speed), on_tick)


def _drive_paced(
    controller: Controller, opened: Opened, pacer: Pacer, on_tick: Callable[[float], None]
) -> tuple[float, str]:
    assert opened.peer is not None
    supervisor = Supervisor(controller, PeerLink(opened.peer), AutomaticOperator(), on_tick)
    problem = ""

    def pace(now_s: float) -> None:
        nonlocal problem
        if problem:
            return  # Already stopping: the probe is made safe as fast as the machine can.
        try:
            pacer.wait_until(now_s)
        except SpeedMissedError as error:
            problem = str(error)
            supervisor.request_stop()

    loop = VirtualTimeLoop(pace)
    with _stop_on_signals(supervisor), asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(supervisor.run(until_s=RUN_S_MAX))
    if not problem:
        try:
            pacer.judge(loop.time())
        except SpeedMissedError as error:
            problem = str(error)
    return loop.time(), problem


@contextmanager
def _stop_on_signals(shell: Shell) -> Iterator[None]:
    """Have Ctrl-C and SIGTERM request STOP; the run then ends by itself, safe."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        shell.request_stop()

    previous: dict[int, Any] = {}
    try:
        for number in _STOP_SIGNALS:
            previous[number] = signal.signal(number, stop)
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def no_collector() -> Iterator[None]:
    """Keep the cycle collector out of the hot loop; nothing in it makes reference cycles."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
