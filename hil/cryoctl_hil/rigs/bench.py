"""A rig at work: opens the probe for each test, records it, and leaves it safe."""

from __future__ import annotations

import json
import platform
import secrets
import shutil
from pathlib import Path
from typing import Any, Final

from cryoctl import __version__
from cryoctl.clock import utc_now
from cryoctl.key_store import keys_on
from cryoctl.record_queue import QueuedRecorder
from cryoctl.recorder import PROFILE, Recorder
from cryoctl.records import Control, IceEstimate, LogEvent
from cryoctl.sample import Sample
from cryoctl.storage import Storage
from cryoctl_hil.evidence.trace import LiveTrace
from cryoctl_hil.rigs.bench_host import BenchHost
from cryoctl_hil.rigs.drive import Drive, RealDrive, VirtualDrive
from cryoctl_hil.rigs.faults import RemoteFaults
from cryoctl_hil.rigs.power import PowerSwitch, find_switch
from cryoctl_hil.rigs.probe import Probe, UnsafeProbeError
from cryoctl_hil.rigs.rig import Rig
from cryoctl_protocol.messages import Hello, unpadded
from cryoctl_protocol.peer import DeviceUrl, FaultPort, LinkError, Opened, open_device
from cryoctl_protocol.profile import Profile, load_profile
from cryoctl_simulator.device import SimulatedDevice

FLUSH_VIRTUAL_S: Final = 10.0
FLUSH_REAL_S: Final = 0.05
DRAIN_S: Final = 10.0


class BenchSink:
    """Passes records on to a recorder, and keeps samples and events for measurements."""

    def __init__(self, recorder: Recorder | QueuedRecorder, trace: LiveTrace) -> None:
        self._recorder = recorder
        self._trace = trace

    @property
    def storage(self) -> Storage:
        """How the recording stands."""
        return self._recorder.storage

    def received(self, body: bytes, now_s: float) -> None:
        """Record a frame that came in."""
        self._recorder.received(body, now_s)

    def sent(self, body: bytes, now_s: float) -> None:
        """Record a frame that went out."""
        self._recorder.sent(body, now_s)

    def sample(self, sample: Sample, now_s: float) -> None:
        """Record and keep a sample."""
        self._trace.add_sample(sample, now_s)
        self._recorder.sample(sample, now_s)

    def control(self, control: Control, now_s: float) -> None:
        """Record a control tick."""
        self._recorder.control(control, now_s)

    def estimate(self, estimate: IceEstimate, now_s: float) -> None:
        """Record what the observer makes of the ice."""
        self._recorder.estimate(estimate, now_s)

    def vendor(self, message_id: int, payload: bytes, now_s: float) -> None:
        """Record a vendor message."""
        self._recorder.vendor(message_id, payload, now_s)

    def event(self, event: LogEvent) -> None:
        """Record and keep an event."""
        self._trace.add_event(event)
        self._recorder.event(event)


class _SimulatedPower:
    """Power of a simulated probe."""

    def __init__(self, device: SimulatedDevice) -> None:
        self._device = device

    def cycle(self) -> None:
        """Take the power away and give it back."""
        self._device.power_cycle()

    def close(self) -> None:
        """Nothing to give up."""


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
    """

    def __init__(
        self, rig: Rig, *, seed: int = 1, keys: Path | None = None, bench_waiver: str = ""
    ) -> None:
        self.rig = rig
        self.profile: Profile = load_profile(rig.table.profile)
        self.faults: FaultPort | None = None
        self.power: PowerSwitch | None = None
        self.hello: Hello | None = None
        self.unsafe = ""
        """Why nothing more may be tried here; empty if all is well."""
        self._seed = seed
        self._keys = keys
        self._bench_waiver = bench_waiver
        self._remote: RemoteFaults | None = None
        self._kept: tuple[BenchHost, RealDrive] | None = None
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
        sink = BenchSink(self._record(path, told), trace)
        if self._kept is None:
            host, drive = self._open(sink)
            probe = Probe(host, drive, self.profile, trace)
            self._probe = probe
            probe.connect()
            self._check_identity(probe.hello)
        else:
            host, drive = self._kept
            host.sink = sink
            probe = Probe(host, drive, self.profile, trace)
            self._probe = probe
            if not host.is_open or drive.gone:
                probe.connect()
        self.hello = probe.hello
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
        finally:
            self._close_recording(json.dumps(summary))

    def close(self) -> None:
        """Give the rig up."""
        if self._kept is not None:
            self._kept[1].close()
            self._kept = None
        if self._remote is not None:
            self._remote.close()
        if self.power is not None:
            self.power.close()

    # -- parts -----------------------------------------------------------------------------------

    def _open(self, sink: BenchSink) -> tuple[BenchHost, Drive]:
        url = self.rig.device
        if self.rig.is_virtual and url.get("seed") is None:
            url = url.with_params(("seed", str(self._seed)))
        opened = open_device(url)
        nonce_seed = f"rig {self._seed}".encode() if opened.peer else secrets.token_bytes(32)
        key = keys_on(opened, self._keys, self._bench_waiver)
        host = BenchHost(self.profile, key, nonce_seed=nonce_seed, sink=sink)
        if opened.peer is not None:
            assert isinstance(opened.peer, SimulatedDevice)
            self.faults, self.power = opened.faults, _SimulatedPower(opened.peer)
            return host, VirtualDrive(opened.peer)
        assert opened.link is not None
        drive = RealDrive(opened.link, lambda: _again(opened.again or url, opened))
        self._kept = host, drive
        self._open_means()
        return host, drive

    def _open_means(self) -> None:
        table = self.rig.table
        if table.fault_port:
            self.faults = self._remote = RemoteFaults(table.fault_port)
        if table.power is not None:
            self.power = find_switch(table.power)

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
            probe.make_safe()
            if self._kept is not None:
                probe.make_idle()
        except (UnsafeProbeError, LinkError, AssertionError) as error:
            self.unsafe = str(error)
            raise UnsafeProbeError(self.unsafe) from error
        finally:
            if self._kept is None:
                probe.drive.close()
                self.faults = self.power = None

    def _close_recording(self, summary_json: str) -> None:
        recorder, self._recorder = self._recorder, None
        if isinstance(recorder, QueuedRecorder):
            recorder.drain(DRAIN_S)
        if recorder is not None:
            recorder.close(summary_json)


def _again(url: DeviceUrl, opened: Opened) -> Any:
    again = open_device(url)
    if again.link is None or again.reach is not opened.reach:
        raise LinkError(f"{url}: opened again, but it leads elsewhere now")
    return again.link
