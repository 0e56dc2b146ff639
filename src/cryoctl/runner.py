"""One treatment on one device, from files to verdict: wires the parts, decides nothing."""

from __future__ import annotations

import asyncio
import gc
import json
import platform
import secrets
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from cryoctl import __version__
from cryoctl.assertions import require_assertions
from cryoctl.audit_sink import FILE_NAME, AuditedSink, open_trail
from cryoctl.clock import Pacer, SpeedMissedError, cpu_s, monotonic_s, utc_now
from cryoctl.core import Controller, Settings
from cryoctl.crash_log import CrashLog
from cryoctl.exit_codes import EXIT_FAIL, EXIT_LINK, EXIT_SAFETY
from cryoctl.key_store import keys_on
from cryoctl.limits_in_force import changed_limits, deviations
from cryoctl.lockstep import LockStep, Operator
from cryoctl.operators import AutomaticOperator
from cryoctl.plug_ins import PlugIns, load_plug_ins
from cryoctl.port_link import RealTimeLoop
from cryoctl.record_queue import QueuedRecorder
from cryoctl.recorder import PROFILE, Recorder
from cryoctl.records import RecordSink
from cryoctl.replay import PLUG_INS, replay_metadata
from cryoctl.run_options import RunOptions
from cryoctl.stop_signals import StopSwitch
from cryoctl.summary import (
    CrashSummary,
    Summary,
    cycle_summaries,
    exit_code,
    fault_summary,
    not_provided_summary,
    placement_summaries,
    trip_summary,
)
from cryoctl.supervisor import PeerLink, Supervisor
from cryoctl.virtual_time import VirtualTimeLoop
from cryoctl.watch import Watch, WatchedSink
from cryoctl_protocol.codec import SCHEMA_HASH
from cryoctl_protocol.device_keys import KeyRing
from cryoctl_protocol.peer import (
    AddressError,
    DeviceUrl,
    FrameLink,
    LinkError,
    Opened,
    Reach,
    SyncPeer,
    open_device,
)
from cryoctl_protocol.profile import Profile
from cryoctl_protocol.truth import TruthSample

FLUSH_S: Final = 0.05
FLUSH_UNPACED_S: Final = 10.0
"""At full speed this much virtual time passes within about 20 ms of the wall's."""
RECORDER_STOP_S: Final = 10.0
"""SR-33: the longest a blocked disk may keep a finished run from ending."""
RUN_S_MAX: Final = 24 * 3600.0
SIMULATOR: Final = "sim"
"""Scheme of the simulator in this process; behind any other address there may be a real device."""

Progress = Callable[[Controller, float], None]


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


def automatic_operator(_opened: Opened) -> Operator:
    """Return an operator that arms and starts by itself, whatever the device."""
    return AutomaticOperator()


def run_treatment(
    options: RunOptions,
    switch: StopSwitch,
    on_progress: Progress | None = None,
    make_operator: Callable[[Opened], Operator] = automatic_operator,
    watch: Watch | None = None,
) -> Summary:
    """Drive ``options.treatment`` on its device until it has ended, safe.

    Args:
        options: What to do, on what.
        switch: Stops the run.
        on_progress: Called after every tick.
        make_operator: Makes whoever arms and starts the opened device, or refuses to.
        watch: Looks on.

    Raises:
        AddressError: A research profile on anything but the simulator in this process.
        AssertionsOffError: Python was told to leave assertions out.
        LinkError: The device cannot be opened.
        PlugInError: A plug-in that is installed cannot be used.
    """
    require_assertions()
    profile, url = options.treatment.probe_profile, options.device
    plug_ins = load_plug_ins(profile.probe.id)
    _refuse_research(profile, url, is_real=url.scheme != SIMULATOR)  # Opening may reset a device.
    opened = open_device(url)
    try:
        _refuse_research(profile, url, is_real=opened.peer is None or opened.link is not None)
        operator = make_operator(opened)
        return _run(options, opened, operator, switch, on_progress, watch=watch, plug_ins=plug_ins)
    finally:
        if opened.link is not None:
            opened.link.abort()


def _refuse_research(profile: Profile, url: DeviceUrl, *, is_real: bool) -> None:
    """Raise AddressError for a research profile on what is, or could be, a real device."""
    if profile.probe.research and is_real:
        raise AddressError(
            f"device {url}: profile {profile.probe.id} is for research, with limits beyond what a "
            f"probe may do: it runs on the simulator in this process alone "
            f"(--device sim:{profile.probe.id})"
        )


def _run(
    options: RunOptions,
    opened: Opened,
    operator: Operator,
    switch: StopSwitch,
    on_progress: Progress | None,
    *,
    watch: Watch | None,
    plug_ins: PlugIns,
) -> Summary:
    started_s, started_cpu_s = monotonic_s(), cpu_s()
    if opened.peer is None and options.speed not in (None, 1.0):
        raise AddressError(
            f"device {options.device}: --speed {options.speed:g}: a real device runs at 1"
        )
    profile = options.treatment.probe_profile
    key = keys_on(opened, options.keys, options.bench_waiver)
    folder = _make_folder(options)
    path = folder / "run.mcap"
    truth = _TruthLog()
    with path.open("xb") as stream:  # Never over another run, even one that starts now.
        settings = _settings(options, opened, plug_ins, key)
        metadata = {
            **_metadata(options, profile, opened),
            PLUG_INS: json.dumps(plug_ins.loaded),
            **replay_metadata(
                settings, options.settings, [p.treatment_text for p in options.placements[1:]]
            ),
        }
        recorder = _recorder(options, opened, stream, metadata, folder)
        in_real_time = isinstance(recorder, QueuedRecorder)
        trail, user = open_trail(folder, metadata, key=options.sign_key, in_real_time=in_real_time)
        sink = AuditedSink(recorder, trail, user)
        crashes = CrashLog(sink)
        if opened.crashes is not None:
            opened.crashes.subscribe_to_crashes(crashes.add)
        if opened.truth is not None:
            opened.truth.subscribe(recorder.truth)
            opened.truth.subscribe(truth.add)
        later = [placement.treatment for placement in options.placements[1:]]
        seen: RecordSink = sink
        if watch is not None:
            watch.opened(opened)
            seen = WatchedSink(sink, watch)
        controller = Controller(options.treatment, profile, settings, seen, later)
        shell = _Shell(controller, operator, switch, on_progress)
        crashed = False
        try:
            now_s, problem = shell.drive(opened, options)
        except Exception as error:  # noqa: BLE001  # What was recorded so far tells what happened.
            if isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
                error = error.exceptions[0]  # asyncio wraps what one task raised.
            traceback.print_exception(error)
            now_s, problem, crashed = shell.ticked_s, "", True
            controller.failure = controller.failure or f"internal error: {error!r}"
        sink.drain(RECORDER_STOP_S, now_s)
        session = controller.session
        names = [placement.name for placement in options.placements]
        placements = placement_summaries(controller, names, truth.at, now_s)
        summary = Summary(
            cryoctl=__version__,
            verdict=controller.session_verdict,
            failure=controller.failure or problem,
            treatment=options.name,
            device=str(options.device),
            profile=profile.probe.id,
            gas=profile.probe.gas,
            seed=options.seed,
            virtual_s=round(now_s, 3),
            cpu_s=round(cpu_s() - started_cpu_s, 3),
            wall_s=round(monotonic_s() - started_s, 3),
            cycles_planned=sum(placement.cycles_planned for placement in placements),
            thaw_timeout_s=max(t.thaw.timeout_s for t in (options.treatment, *later)),
            placements=placements,
            cartridge_changes=controller.cartridge_changes,
            vented_g_per_h=round(controller.measures.vented.max_g_per_h, 2),
            scavenging=options.scavenging,
            tick_late_ms_p999=controller.ticks.p999_ms,
            tick_late_ms_max=controller.ticks.max_ms,
            cycles=cycle_summaries(controller, truth.at),
            trips=[trip_summary(trip) for p in controller.begun_placements() for trip in p.trips],
            alarms=controller.alarms,
            faults=[fault_summary(note) for note in opened.faults.history()]
            if opened.faults is not None
            else [],
            crashes=[CrashSummary(at_s=at_s, text=text) for at_s, text in crashes.kept],
            crashes_count=crashes.count,
            frames_lost=session.lost_frames,
            frames_rejected=session.rejects.total(),
            recording=str(path),
            audit=str(folder / FILE_NAME),
            events_sha256=controller.events_sha256,
            not_provided=not_provided_summary(controller),
            limits_changed=[] if options.limits is None else changed_limits(options.limits),
            deviations=[] if options.limits is None else deviations(options.limits),
            plug_ins=[str(plug_in) for plug_in in plug_ins.loaded],
            exit_code=_exit_code(controller, problem, crashed=crashed),
        )
        summary = _with_recording(summary, sink)
        head = sink.close_trail(
            summary.model_dump(mode="json", include={"verdict", "failure", "alarms", "exit_code"})
        )
        summary = _with_recording(summary.model_copy(update={"audit_head": head}), sink)
        sink.close(summary.model_dump_json())
    return _with_recording(summary, sink)


def _exit_code(controller: Controller, problem: str, *, crashed: bool) -> int:
    if crashed:
        return EXIT_SAFETY  # SR-39: whatever the treatment had come to before.
    return EXIT_LINK if problem else exit_code(controller)


def _make_folder(options: RunOptions) -> Path:
    """Make the run's folder; two runs that start in the same second get one each."""
    folder, number = options.folder, 1
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=not options.renames_folder)
        except FileExistsError:
            if not options.renames_folder:
                raise
            number += 1
            folder = options.folder.with_name(f"{options.folder.name}-{number}")
        else:
            return folder


def _with_recording(summary: Summary, sink: AuditedSink) -> Summary:
    """Return a summary that says if recording or trail has failed; such a run is no success."""
    lost = sink.failure
    if not lost:
        return summary
    return summary.model_copy(
        update={
            "failure": summary.failure or lost,
            "exit_code": summary.exit_code or EXIT_FAIL,
        }
    )


def _recorder(
    options: RunOptions,
    opened: Opened,
    stream: BinaryIO,
    metadata: dict[str, str],
    folder: Path,
) -> Recorder | QueuedRecorder:
    """Return the recorder: behind a thread where time is the wall's, called directly elsewhere."""
    speed = 1.0 if opened.peer is None else options.speed
    recorder = Recorder(
        stream,
        metadata=metadata,
        flush_period_s=FLUSH_UNPACED_S if speed is None else FLUSH_S * speed,
        free_bytes=lambda: shutil.disk_usage(folder).free,
        vendor=options.vendor,
    )
    return recorder if speed is None else QueuedRecorder(recorder)


def _settings(
    options: RunOptions, opened: Opened, plug_ins: PlugIns, key: bytes | KeyRing
) -> Settings:
    seed = options.seed
    # Nonces repeat only with a simulator, where a run must.
    nonce_seed = secrets.token_bytes(32) if seed is None else f"host {seed}".encode()
    return Settings(
        key=key,
        nonce_seed=nonce_seed,
        link=opened.limits,
        cartridge_g=options.cartridge_g,
        bench_waiver=options.bench_waiver,
        audio_off=options.audio_off,
        limits=None if options.limits is None else options.limits.limits,
        extra_interlocks=plug_ins.interlocks,
        extra_checks=plug_ins.checks,
        scavenging=options.scavenging,
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
        PROFILE: profile.model_dump_json(),
        **{f"file {name}": text for name, text in (*opened.files, *options.files)},
    }


class _Shell:
    """Picks the shell that device and speed ask for, and lets it run to the end."""

    def __init__(
        self,
        controller: Controller,
        operator: Operator,
        switch: StopSwitch,
        on_progress: Progress | None,
    ) -> None:
        self._controller = controller
        self._operator = operator
        self._switch = switch
        self._show = on_progress
        self.ticked_s = 0.0
        """Controller's time at the last tick."""

    def drive(self, opened: Opened, options: RunOptions) -> tuple[float, str]:
        """Return the controller's time at the end and what went wrong outside the treatment."""
        if opened.link is not None:
            return self._drive_link(opened.link, opened.again or options.device, opened.reach)
        if opened.peer is None:
            raise LinkError(f"{opened.description}: opened, but there is nothing to drive")
        if options.speed is None:
            return self._drive_lockstep(opened.peer)
        return self._drive_paced(opened.peer, Pacer(options.speed, may_slip=options.may_slip))

    def _on_tick(self, now_s: float) -> None:
        self.ticked_s = now_s
        if self._show is None:
            return
        try:
            self._show(self._controller, now_s)
        except OSError:
            self._show = None  # Nobody reads any more; that is no reason to end a treatment.

    def _supervise(
        self,
        link: FrameLink,
        open_again: Callable[[], FrameLink] | None = None,
        call_in_loop: Callable[[Callable[[], None]], object] | None = None,
    ) -> Supervisor:
        supervisor = Supervisor(
            self._controller,
            link,
            self._operator,
            self._on_tick,
            open_again=open_again,
            call_in_loop=call_in_loop,
            tell=_tell,
        )
        self._switch.attach(supervisor)
        return supervisor

    def _drive_link(self, link: FrameLink, url: DeviceUrl, reach: Reach) -> tuple[float, str]:
        def open_again() -> FrameLink:
            again = open_device(url)
            if again.link is None:
                raise LinkError(f"{url}: opened again, but there is no link any more")
            if again.reach is not reach:  # The key was chosen for what was there at first.
                again.link.abort()
                raise LinkError(f"{url}: it was {reach} and leads to {again.reach} now")
            return again.link

        loop = RealTimeLoop()
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            supervisor = self._supervise(link, open_again, loop.call_soon_threadsafe)
            runner.run(supervisor.run(until_s=RUN_S_MAX))
            return loop.time(), ""

    def _drive_lockstep(self, peer: SyncPeer) -> tuple[float, str]:
        lockstep = LockStep(self._controller, peer, self._operator, self._on_tick)
        self._switch.attach(lockstep)
        with no_collector():
            lockstep.run(until_s=RUN_S_MAX)
        return lockstep.now_s, ""

    def _drive_paced(self, peer: SyncPeer, pacer: Pacer) -> tuple[float, str]:
        supervisor = self._supervise(PeerLink(peer))
        missed = ""

        def pace(now_s: float) -> None:
            nonlocal missed
            if missed or supervisor.stopping:
                return  # From here on the probe is made safe as fast as the machine can.
            try:
                pacer.wait_until(now_s)
            except SpeedMissedError as error:
                missed = str(error)
                supervisor.give_up(missed)

        loop = VirtualTimeLoop(pace)
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(supervisor.run(until_s=RUN_S_MAX))
        if not (missed or supervisor.stopping):
            try:
                pacer.judge(loop.time())
            except SpeedMissedError as error:
                missed = str(error)
        return loop.time(), missed


def _tell(text: str) -> None:
    """Say something to whoever watches the run, if somebody does."""
    with suppress(OSError):
        sys.stderr.write(f"{text}\n")


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
