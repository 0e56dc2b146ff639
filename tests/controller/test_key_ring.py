"""Which key a probe is commanded with, and which probe is not commanded at all."""

from __future__ import annotations

import pickle

import pytest

from cryoctl.core import Settings
from cryoctl.key_ring import StoredKeys
from cryoctl.serial_port import reach_of as reach_of_port
from cryoctl.tcp_port import reach_of as reach_of_peer
from cryoctl_protocol.auth import DEMO_KEY
from cryoctl_protocol.codes import Capability
from cryoctl_protocol.device_keys import DeviceKey, DeviceKeys, NoKey
from cryoctl_protocol.messages import Hello
from cryoctl_protocol.peer import Reach
from tests.support.protocol_builders import identity

OLD, NEW = DeviceKey(4, bytes(range(32))), DeviceKey(5, bytes(range(32, 64)))
COMPUTER, LINE, NETWORK = Reach.COMPUTER, Reach.LINE, Reach.NETWORK


def ring(*keys: DeviceKey, reach: Reach = NETWORK, waiver: str = "") -> StoredKeys:
    held = {"CRYO-1": DeviceKeys("CRYO-1", keys)} if keys else {}
    return StoredKeys(held, {"CRYO-2": "CRYO-2.toml: chmod 600"}, reach, waiver, "the folder")


def hello(key_id: int, *, device: bytes = b"CRYO-1", authenticates: bool = True) -> Hello:
    capabilities = int(Capability.AUTHENTICATION) if authenticates else 0
    return identity(key_id=key_id, device_id=device.ljust(16, b"\0"), capabilities=capabilities)


def reason(answer: DeviceKey | NoKey) -> str:
    assert isinstance(answer, NoKey)
    return answer.reason


@pytest.mark.requirement("SR-24")
@pytest.mark.parametrize("reach", Reach)
@pytest.mark.parametrize(("key_id", "expected"), [(5, NEW), (4, OLD)])
def test_the_key_is_the_one_that_the_probe_announces(
    reach: Reach, key_id: int, expected: DeviceKey
) -> None:
    assert ring(NEW, OLD, reach=reach).key_for(hello(key_id)) == expected


@pytest.mark.requirement("SR-24")
def test_a_computer_that_does_not_have_the_next_key_yet_uses_the_present_one() -> None:
    assert ring(OLD).key_for(hello(5)) == OLD
    assert "has key 4 of it" in reason(ring(OLD).key_for(hello(6)))
    assert "has key 5 of it" in reason(ring(NEW).key_for(hello(4)))


@pytest.mark.requirement("SR-24")
def test_a_probe_whose_key_is_not_here_is_not_commanded_and_says_what_to_do() -> None:
    said = reason(ring().key_for(hello(5)))

    assert "cryoctl keys import" in said
    assert "the folder has no key of it" in said


@pytest.mark.requirement("SR-24")
@pytest.mark.parametrize("authenticates", [True, False])
@pytest.mark.parametrize(
    ("reach", "waiver", "allowed"),
    [
        (COMPUTER, "", True),
        (LINE, "", False),
        (LINE, "bench 3, no gas", True),
        (NETWORK, "", False),
        (NETWORK, "bench 3, no gas", False),
    ],
)
def test_the_public_key_is_good_where_nobody_else_can_speak_or_with_a_waiver_on_a_line(
    reach: Reach, waiver: str, allowed: bool, authenticates: bool
) -> None:
    # A probe that cannot authenticate is no better, whatever key it announces.
    announced = hello(0 if authenticates else 5, authenticates=authenticates)

    answer = ring(reach=reach, waiver=waiver).key_for(announced)

    if allowed:
        assert answer == DeviceKey(announced.key_id, DEMO_KEY)
    else:
        assert "cryoctl keys new CRYO-1" in reason(answer)
        assert ("--bench-waiver" in reason(answer)) is (reach is LINE)


@pytest.mark.requirement("SR-24")
@pytest.mark.parametrize("reach", Reach)
@pytest.mark.parametrize("changed", [{"key_id": 0}, {"key_id": 5, "authenticates": False}])
def test_a_probe_that_has_a_key_here_is_never_talked_down_to_the_public_one(
    reach: Reach, changed: dict[str, int]
) -> None:
    answer = ring(NEW, reach=reach, waiver="bench 3").key_for(hello(**changed))  # type: ignore[arg-type]

    assert "says that it has no key" in reason(answer)


def test_a_file_that_cannot_be_used_is_told_when_its_probe_comes() -> None:
    answer = ring(NEW).key_for(hello(5, device=b"CRYO-2"))

    assert reason(answer) == "CRYO-2.toml: chmod 600"


def test_keys_are_in_no_repr_and_a_ring_can_be_saved() -> None:
    stored = ring(NEW, OLD)
    settings = Settings(key=NEW.secret, nonce_seed=b"")

    assert pickle.loads(pickle.dumps(stored)) == stored
    for text in (repr(stored), repr(settings)):
        assert repr(NEW.secret)[2:-1] not in text
        assert NEW.secret.hex() not in text


@pytest.mark.parametrize(
    ("path", "reach"),
    [
        ("/dev/pts/5", COMPUTER),
        ("/dev/ttys003", COMPUTER),
        ("/dev/ttyS0", LINE),
        ("/dev/ttyACM0", LINE),
        ("/dev/ttyUSB0", LINE),
        ("/dev/ttyu0", LINE),
        ("COM3", LINE),
        ("/dev/pts/5/more", LINE),
    ],
)
def test_a_port_says_from_where_somebody_could_speak_on_it(path: str, reach: Reach) -> None:
    assert reach_of_port(path) is reach


@pytest.mark.parametrize(
    ("peer", "reach"),
    [
        ("127.0.0.1", COMPUTER),
        ("127.8.9.1", COMPUTER),
        ("::1", COMPUTER),
        ("::ffff:127.0.0.1", COMPUTER),
        ("192.168.0.5", NETWORK),
        ("0.0.0.0", NETWORK),
        ("fe80::1%eth0", NETWORK),
        ("::ffff:10.0.0.1", NETWORK),
    ],
)
def test_a_connection_says_so_by_the_address_it_leads_to(peer: str, reach: Reach) -> None:
    assert reach_of_peer(peer) is reach
