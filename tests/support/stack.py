"""The whole stack in memory: controller and simulated probe, with everything they leave behind."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from cryoctl.core import Controller, Settings
from cryoctl.lockstep import LockStep
from cryoctl.operators import AutomaticOperator
from cryoctl.records import Control, IceEstimate, LogEvent
from cryoctl.sample import Sample
from cryoctl.storage import FINE, Storage
from cryoctl.supervisor import PeerLink, Supervisor
from cryoctl.treatment import Treatment, default_treatment
from cryoctl.virtual_time import VirtualTimeLoop
from cryoctl_protocol.auth import DEMO_KEY
from cryoctl_protocol.peer import DeviceUrl, Opened, SyncPeer, open_device
from cryoctl_protocol.profile import load_profile
from cryoctl_protocol.truth import TruthSample

UNTIL_S = 3600.0


@dataclass
class ListSink:
    """Keeps every record in a list."""

    storage: Storage = FINE
    events: list[LogEvent] = field(default_factory=list)
    samples: list[tuple[float, Sample]] = field(default_factory=list)
    estimates: list[tuple[float, IceEstimate]] = field(default_factory=list)
    sent_bodies: list[tuple[float, bytes]] = field(default_factory=list)
    truth: list[tuple[float, TruthSample]] = field(default_factory=list)

    def received(self, body: bytes, now_s: float) -> None: ...

    def sent(self, body: bytes, now_s: float) -> None:
        self.sent_bodies.append((now_s, body))

    def sample(self, sample: Sample, now_s: float) -> None:
        self.samples.append((now_s, sample))

    def control(self, control: Control, now_s: float) -> None: ...

    def estimate(self, estimate: IceEstimate, now_s: float) -> None:
        self.estimates.append((now_s, estimate))

    def vendor(self, message_id: int, payload: bytes, now_s: float) -> None: ...

    def event(self, event: LogEvent) -> None:
        self.events.append(event)

    def add_truth(self, sample: TruthSample, now_s: float) -> None:
        self.truth.append((now_s, sample))


@dataclass
class Stack:
    """A controller and the probe it will drive."""

    controller: Controller
    opened: Opened
    sink: ListSink

    @property
    def peer(self) -> SyncPeer:
        assert self.opened.peer is not None
        return self.opened.peer

    def lockstep(self) -> LockStep:
        return LockStep(self.controller, self.peer, AutomaticOperator())

    def run(self) -> None:
        """Drive to the end in lock-step."""
        self.lockstep().run(until_s=UNTIL_S)

    def run_in_loop(self) -> None:
        """Drive to the end by the asyncio shell, in virtual time."""
        shell = Supervisor(self.controller, PeerLink(self.peer), AutomaticOperator())
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(shell.run(until_s=UNTIL_S))


def treatment(profile: str, **cycles: object) -> Treatment:
    """Return a profile's own treatment with some of ``[cycles]`` changed."""
    if not cycles:
        return default_treatment(profile)
    base = default_treatment(profile).model_dump(by_alias=True)
    base["cycles"].update(cycles)
    return Treatment.model_validate(base)


def build_stack(
    profile: str = "n2o-20g",
    *,
    seed: int = 1,
    query: str = "",
    plan: Treatment | None = None,
) -> Stack:
    """Return a stack on ``sim:profile?seed=...&query``; nothing has run yet."""
    opened = open_device(DeviceUrl.parse(f"sim:{profile}?seed={seed}&{query}".rstrip("&")))
    sink = ListSink()
    assert opened.truth is not None
    opened.truth.subscribe(sink.add_truth)
    controller = Controller(
        plan or default_treatment(profile),
        load_profile(profile),
        Settings(key=DEMO_KEY, nonce_seed=f"test {seed}".encode()),
        sink,
    )
    return Stack(controller, opened, sink)
