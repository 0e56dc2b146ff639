"""A controller and a simulated probe in memory, stepped by hand, for assurance programs."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Final
from unittest.mock import patch

from cryoctl.core import Controller, Settings
from cryoctl.lockstep import LockStep, Operator
from cryoctl.operators import AutomaticOperator
from cryoctl.treatment import Treatment, default_treatment
from cryoctl_hil.assurance.oracles import SafetyWatch
from cryoctl_hil.sinks import EventSink
from cryoctl_protocol.auth import DEMO_KEY
from cryoctl_protocol.peer import DeviceUrl, open_device
from cryoctl_protocol.profile import load_profile
from cryoctl_simulator.device import SimulatedDevice
from cryoctl_simulator.firmware import Build

STEP_S: Final = 0.01


def _no_tick(now_s: float) -> None: ...


class Line:
    """The wire to a simulated probe, each way of which can be cut or have noise put on it.

    Attributes:
        cut_to_device: Nothing that the host sends arrives.
        cut_to_host: Nothing that the probe sends arrives.
        noise_to_device: Arrives there once, ahead of what the host sends.
        noise_to_host: Arrives here once, ahead of what the probe sends.
        said: What arrived here in the last step.
    """

    def __init__(self, device: SimulatedDevice) -> None:
        self.cut_to_device = False
        self.cut_to_host = False
        self.noise_to_device = b""
        self.noise_to_host = b""
        self.said = b""
        self._device = device

    def advance_to(self, now_s: float, incoming: bytes) -> bytes:
        """Move the probe and carry bytes both ways (``SyncPeer``)."""
        to_device = self.noise_to_device + (b"" if self.cut_to_device else incoming)
        to_host = self._device.advance_to(now_s, to_device)
        to_host = self.noise_to_host + (b"" if self.cut_to_host else to_host)
        self.noise_to_device = self.noise_to_host = b""
        self.said = to_host
        return to_host

    def save(self) -> bytes:
        """Return the state of line and probe."""
        own = {name: value for name, value in vars(self).items() if name != "_device"}
        return pickle.dumps((own, self._device.save()))

    def load(self, data: bytes) -> None:
        """Take over a state that ``save`` returned."""
        own, device = pickle.loads(data)
        vars(self).update(own)
        self._device.load(device)


def new_parts(
    profile: str = "n2o-20g",
    *,
    plan: Treatment | None = None,
    seed: int = 1,
    query: str = "",
    sink: EventSink | None = None,
    build: Build | None = None,
) -> tuple[Controller, SimulatedDevice, EventSink]:
    """Return a controller, a simulated probe for it and the sink, as in ``World``."""
    address = f"sim:{profile}?seed={seed}&{query}".rstrip("&")
    device = open_device(DeviceUrl.parse(address)).peer
    assert isinstance(device, SimulatedDevice)
    if build is not None:
        device.flash(build)
    kept = EventSink() if sink is None else sink
    settings = Settings(key=DEMO_KEY, nonce_seed=f"world {seed}".encode())
    treatment = default_treatment(profile) if plan is None else plan
    return Controller(treatment, load_profile(profile), settings, kept), device, kept


class World:
    """One treatment on one simulated probe.

    Args:
        profile: Of the probe.
        plan: What to do; the profile's own treatment without one.
        seed: Of noise, nonces and serial number.
        query: More of the device's address, such as ``fault=tc_open@12s``.
        operator: Asks for the next step; without one, somebody who does so at once.
        build: Of the probe's firmware, instead of the one that the address names.

    Attributes:
        watch: Looks at every step.
        stall_s: For so long the controller's loop stands still while frames go on being read.
    """

    def __init__(
        self,
        profile: str = "n2o-20g",
        *,
        plan: Treatment | None = None,
        seed: int = 1,
        query: str = "",
        operator: Operator | None = None,
        build: Build | None = None,
    ) -> None:
        self.controller, self.device, self.sink = new_parts(
            profile, plan=plan, seed=seed, query=query, build=build
        )
        self.watch = SafetyWatch()
        self.stall_s = 0.0
        self.line = Line(self.device)
        self._shell = LockStep(self.controller, self.line, operator or AutomaticOperator())
        self._shell.run(until_s=0.0)  # Connects and moves nothing.

    @property
    def now_s(self) -> float:
        """Time since connecting."""
        return self._shell.now_s

    @property
    def ended(self) -> bool:
        """True once nothing more will happen."""
        return self._shell.ended

    def step(self) -> None:
        """Move by one device tick of 10 ms, and look."""
        if self.stall_s > 0.0:
            self.stall_s -= STEP_S
            with patch.object(self.controller, "tick", _no_tick):
                self._shell.step()
        else:
            self._shell.step()
        self.watch.look(self.controller, self.device, self._shell.now_s)

    def run(self, *, within_s: float, until: Callable[[World], bool] | None = None) -> float | None:
        """Go on until ``until`` or the end; return when it came true, or None if it did not."""
        last_s = self.now_s + within_s
        while self.now_s < last_s and not self.ended:
            self.step()
            if until is not None and until(self):
                return self.now_s
        return None

    def save(self) -> bytes:
        """Return the state of the whole world, to go on from it more than once."""
        return self._shell.save()

    def load(self, data: bytes) -> None:
        """Take over a world of the same address and treatment; the watch begins anew."""
        self._shell.load(data)
        self.stall_s = 0.0
        self.watch = SafetyWatch()
