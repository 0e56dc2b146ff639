"""A probe with two keys of its own, and computers that have one or both of them; virtual time."""

from __future__ import annotations

import pytest

from cryoctl.core import Controller, Settings
from cryoctl.key_ring import StoredKeys
from cryoctl_protocol.device_keys import DeviceKey, DeviceKeys
from cryoctl_protocol.peer import Reach
from cryoctl_protocol.profile import load_profile
from cryoctl_simulator.device import SimulatedDevice
from tests.support.stack import build_stack, treatment

FORMER, NEWEST = DeviceKey(1, b"a" * 32), DeviceKey(2, b"b" * 32)


@pytest.mark.requirement("SR-24")
@pytest.mark.parametrize("held", [(FORMER,), (NEWEST, FORMER), (NEWEST,)])
def test_while_a_key_is_changed_every_computer_that_has_one_commands(
    held: tuple[DeviceKey, ...],
) -> None:
    stack = build_stack(plan=treatment("n2o-20g", count=1))
    assert isinstance(stack.peer, SimulatedDevice)
    stack.peer.provision(DeviceKeys("CRYO-0001", (NEWEST, FORMER)), entropy=b"entropy")
    ring = StoredKeys({"CRYO-0001": DeviceKeys("CRYO-0001", held)}, {}, Reach.NETWORK, "", "keys")
    settings = Settings(key=ring, nonce_seed=b"host")
    stack.controller = Controller(
        stack.controller.treatment, load_profile("n2o-20g"), settings, stack.sink
    )

    stack.run()

    assert (stack.controller.verdict, stack.controller.failure) == ("PASS", "")
    assert stack.controller.session.key == held[0]
