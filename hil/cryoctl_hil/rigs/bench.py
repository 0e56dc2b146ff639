"""A rig at work: opens the probe for each test, records it, and leaves it safe."""

from __future__ import annotations

import json
import platform
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any, Final

from cryoctl import __version__
from cryoctl.clock import monotonic_s, utc_now
from cryoctl.key_store import keys_on
from cryoctl.record_queue import QueuedRecorder
from cryoctl.recorder import PROFILE, Recorder
from cryoctl.watch import WatchedSink
from cryoctl_hil.evidence.trace import LiveTrace
from cryoctl_hil.rigs.bench_host import BenchHost
from cryoctl_hil.rigs.drive import RealDrive, VirtualDrive
from cryoctl_hil.rigs.power import OFF_S, FaultSwitch, Power, PowerSwitch
from cryoctl_hil.rigs.probe import Probe, StalledError, UnsafeProbeError
from cryoctl_hil.rigs.rig import Rig
from cryoctl_hil.rigs.station import Station
from cryoctl_protocol.messages import Hello, unpadded
from cryoctl_protocol.peer import FaultPort, LinkError, open_device
from cryoctl_protocol.profile import Profile, load_profile
from cryoctl_simulator.device import SimulatedDevice

FLUSH_VIRTUAL_S: Final = 10.0
FLUSH_REAL_S: Final = 0.05
DRAIN_S: Final = 10.0
LINK_BACK_S: Final = 15.0
"""So long a lost link may take to come back, before the probe counts as unsafe."""
LOOK_S: Final = 0.1


class Bench:
    """One rig for one run of a suite.

    Args:
        rig: What to open.
        seed: Of simulated noise and of nonces, where a run must repeat.
        keys: Folder with the keys of devices; None is the user's own.
        bench_waiver: Written reason to command a device without own protection.

    Attributes:
        faults: Injects faults into the present probe; None where the rig cannot.
        power: Switches the present probe's power; None where the rig cannot.
        hello: Who the probe said it is, of the last one opened.
        is_leaving: Asked while a needle comes free: True leaves it as soon as the probe is safe.
    """

    def __init__(
        self, rig: Rig, *, seed: int = 1, keys: Path | None = None, bench_waiver: str = ""
    ) -> None:
        self.rig = rig
        self.is_leaving: Callable[[], bool] = lambda: False
        self.profile: Profile = load_profile(rig.table.profile)
        self.faults: FaultPort | None = None
        self.power: Power | None = None
        self.hello: Hello | None = None
        self.unsafe = ""
        """Why nothing more may be tried here; empty if all is well."""
        self._seed = seed
        self._keys = keys
        self._bench_waiver = bench_waiver
        self._station: Station | None = None
        self._switch: PowerSwitch | None = None
        self._kept: tuple[BenchHost, RealDrive] | None = None
        self._leak_tested = False
        self._probe: Probe | None = None
        self._recorder: Recorder | QueuedRecorder | None = None

    # -- one test --------------------------------------------------------------------------------

    def begin(self, path: Path, **told: str) -> Probe:
        """Open a probe for one test and record it at ``path``; return it connected.

        Args:
            path: Of the recording; must not exist.
            told: Goes into the recording's metadata, such as the test's name.

        Raises:
            LinkError: The probe is not there, or is not the one that belongs here.
            UnsafeProbeError: It could not be made safe after the test before.
        """
        if self.unsafe:
            raise UnsafeProbeError(self.unsafe)
        trace = LiveTrace()
        sink = WatchedSink(self._record(path, told), trace)
        try:
            probe = self._new_probe(sink, trace)
            self._check_identity(probe.hello)
        except BaseException:
            self._close_recording("{}")
            raise
        self._probe, self.hello = probe, probe.hello
        if self._switch is not None:
            table = self.rig.table.power
            self.power = Power(self._switch, probe, OFF_S if table is None else table.off_s)
        return probe

    def finish(self, summary: dict[str, Any]) -> None:
        """Leave the probe of the present test safe, and close its recording.

        Raises:
            UnsafeProbeError: No telemetry shows it; nothing more can be begun.
        """
        probe, self._probe = self._probe, None
        try:
            if probe is not None:
                self._leave(probe)
            if self._station is not None:
                summary = summary | self._station.summary()
        finally:
            self._close_recording(json.dumps(summary))

    def close(self) -> None:
        """Give the rig up."""
        if self._kept is not None:
            self._kept[1].close()
            self._kept = None
        if self._station is not None:
            self._station.close()
            self._station = None

    # -- parts -----------------------------------------------------------------------------------

    def _new_probe(self, sink: WatchedSink, trace: LiveTrace) -> Probe:
        if self._kept is None:
            host, drive = self._open_virtual(sink) if self.rig.is_virtual else self._open_real(sink)
            probe = Probe(host, drive, self.profile, trace)
            self._connect(probe)
            return probe
        host, drive = self._kept
        host.sink = sink
        probe = Probe(host, drive, self.profile, trace)
        if host.is_open and not drive.gone:
            probe.leak_tested = self._leak_tested and self.rig.table.quick
        else:
            self._connect(probe)
        return probe

    def _connect(self, probe: Probe) -> None:
        try:
            probe.connect()
        except StalledError as error:
            session = probe.host.session
            reason = session.mismatch or "it does not answer"
            raise LinkError(f"no session with the probe: {reason}") from error

    def _open_virtual(self, sink: WatchedSink) -> tuple[BenchHost, VirtualDrive]:
        url = self.rig.device
        if url.get("seed") is None:
            url = url.with_params(("seed", str(self._seed)))
        opened = open_device(url)
        peer = opened.peer
        assert isinstance(peer, SimulatedDevice)
        self.faults, self._switch = peer, FaultSwitch(peer)
        key = keys_on(opened, self._keys, self._bench_waiver)
        nonce_seed = f"rig {self._seed}".encode()
        host = BenchHost(self.profile, key, nonce_seed=nonce_seed, sink=sink)
        return host, VirtualDrive(peer)

    def _open_real(self, sink: WatchedSink) -> tuple[BenchHost, RealDrive]:
        station = self._station or Station(self.rig)
        self._station = station
        self.faults, self._switch = station.faults, station.switch
        opened = station.open()
        assert opened.link is not None
        key = keys_on(opened, self._keys, self._bench_waiver)
        host = BenchHost(self.profile, key, nonce_seed=secrets.token_bytes(32), sink=sink)
        drive = RealDrive(opened.link, lambda: station.open_again(opened))
        self._kept = host, drive
        return host, drive

    def _check_identity(self, hello: Hello) -> None:
        table, profile = self.rig.table, self.profile
        for what, wanted, told in (
            ("serial number", table.serial, unpadded(hello.device_id)),
            ("firmware", table.firmware, unpadded(hello.firmware_id)),
            ("profile", f"{profile.hash32:08x}", f"{hello.profile_hash:08x}"),
        ):
            if wanted and told != wanted:
                raise LinkError(
                    f"rig {table.name}: the probe's {what} is {told}, the rig's {wanted}: "
                    f"nothing was tried"
                )

    def _record(self, path: Path, told: dict[str, str]) -> Recorder | QueuedRecorder:
        path.parent.mkdir(parents=True, exist_ok=True)
        metadata = {
            "cryoctl": __version__,
            "python": platform.python_version(),
            "profile": self.profile.probe.id,
            "profile_hash": f"{self.profile.hash32:08x}",
            "device": str(self.rig.device),
            "rig": self.rig.table.name,
            "seed": str(self._seed),
            "started_utc": utc_now().isoformat(timespec="milliseconds"),
            PROFILE: self.profile.model_dump_json(),
            **told,
        }
        recorder = Recorder(
            path.open("xb"),
            metadata=metadata,
            flush_period_s=FLUSH_VIRTUAL_S if self.rig.is_virtual else FLUSH_REAL_S,
            free_bytes=lambda: shutil.disk_usage(path.parent).free,
        )
        self._recorder = recorder if self.rig.is_virtual else QueuedRecorder(recorder)
        return self._recorder

    def _leave(self, probe: Probe) -> None:
        try:
            if self.power is not None:
                self.power.give_back()
            self._await_link()
            probe.make_safe()
            if self._kept is not None and not self.is_leaving():
                probe.make_idle(self.is_leaving)
                self._leak_tested = probe.leak_tested
        except (UnsafeProbeError, LinkError, AssertionError) as error:
            self.unsafe = str(error)
            raise UnsafeProbeError(self.unsafe) from error
        finally:
            self.power = None
            if self._kept is None:
                probe.drive.close()
                self.faults = self._switch = None

    def _await_link(self) -> None:
        """Wait for a link that is lost: without it nobody sees that the probe is safe."""
        until_s = monotonic_s() + LINK_BACK_S
        while self._kept is not None and self._kept[1].gone and monotonic_s() < until_s:
            Event().wait(LOOK_S)

    def _close_recording(self, summary_json: str) -> None:
        recorder, self._recorder = self._recorder, None
        if isinstance(recorder, QueuedRecorder):
            recorder.drain(DRAIN_S)
        if recorder is not None:
            recorder.close(summary_json)
