"""Power switches: the bytes of a relay board, boards that do not obey, and a user's own class."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cryoctl_hil.rigs.power import find_switch
from cryoctl_hil.rigs.rig import PowerTable
from cryoctl_protocol.peer import AddressError, LinkError
from tests.support.plug_ins import installed
from tests.support.power_switches import SimulatedRelay, simulated_supply
from tests.support.tree import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals")
HOW_TO = ROOT / "docs" / "how-to" / "describe-a-rig.md"


@pytest.fixture
def relay() -> Iterator[Callable[..., SimulatedRelay]]:
    made: list[SimulatedRelay] = []

    def make(*arguments: int, **options: bool) -> SimulatedRelay:
        made.append(SimulatedRelay(*arguments, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        each.close()


def usb_relay(relay: SimulatedRelay, **more: int) -> PowerTable:
    return PowerTable.model_validate({"switch": "usb-relay", "port": relay.port, **more})


def waits_for(relay: SimulatedRelay, frames: bytes) -> bool:
    """Return True as soon as a board has had these bytes since its first query."""
    until_s = time.monotonic() + 5.0
    while relay.received != frames and time.monotonic() < until_s:
        time.sleep(0.01)
    return relay.received == frames


def test_power_at_the_open_contact_pulls_in_by_the_makers_bytes(
    relay: Callable[..., SimulatedRelay],
) -> None:
    board = relay()
    switch = find_switch(usb_relay(board))

    switch.on()
    switch.off()

    assert waits_for(board, bytes.fromhex("ff a00101a2 a00100a1"))
    switch.close()


def test_power_at_the_closed_contact_is_the_other_way_round(
    relay: Callable[..., SimulatedRelay],
) -> None:
    board = relay()
    switch = find_switch(usb_relay(board, normally_closed=True))

    switch.on()
    switch.off()

    assert waits_for(board, bytes.fromhex("ff a00100a1 a00101a2"))
    switch.close()


def test_a_board_that_tells_is_asked_after_each_word(
    relay: Callable[..., SimulatedRelay],
) -> None:
    board = relay(4, tells=True)
    switch = find_switch(usb_relay(board, channel=3))

    switch.on()

    assert waits_for(board, bytes.fromhex("ff a00301a4 ff"))
    switch.close()


def test_a_board_whose_contact_is_stuck_is_found_out(
    relay: Callable[..., SimulatedRelay],
) -> None:
    switch = find_switch(usb_relay(relay(2, tells=True, is_stuck=True), channel=2))

    with pytest.raises(LinkError, match="channel 2 was to go ON, and the board says OFF"):
        switch.on()
    switch.close()


def test_a_channel_that_a_board_does_not_have_is_refused(
    relay: Callable[..., SimulatedRelay],
) -> None:
    board = relay(2, tells=True)

    with pytest.raises(LinkError, match="no channel 3; it has: 1, 2"):
        find_switch(usb_relay(board, channel=3))
    assert board.received == b"\xff"


def test_a_silent_board_has_one_channel(relay: Callable[..., SimulatedRelay]) -> None:
    with pytest.raises(LinkError, match="it does not say which channels it has"):
        find_switch(usb_relay(relay(), channel=2))


def test_a_port_that_another_program_has_is_told(relay: Callable[..., SimulatedRelay]) -> None:
    board = relay()
    switch = find_switch(usb_relay(board))

    with pytest.raises(LinkError, match="power switch usb-relay"):
        find_switch(usb_relay(board))
    switch.close()


def test_a_relay_needs_a_port() -> None:
    with pytest.raises(AddressError, match="give its port"):
        find_switch(PowerTable(switch="usb-relay"))


# -- a class of a user's own ---------------------------------------------------------------------


def of_the_how_to() -> str:
    match = re.search(r"```python\n(.*?)```", HOW_TO.read_text("utf-8"), re.DOTALL)
    assert match is not None
    return match[1]


def test_the_class_of_the_how_to_switches(tmp_path: Path) -> None:
    said: list[tuple[int, bool]] = []
    points = {"cryoctl.power": {"lab-supply": "LabSupply"}}
    with (
        installed(tmp_path, "our_bench", of_the_how_to(), points),
        simulated_supply(lambda channel, is_on: said.append((channel, is_on))) as port,
    ):
        switch = find_switch(PowerTable(switch="lab-supply", port=port, channel=2))
        switch.on()
        switch.off()
        switch.close()

    assert said == [(2, True), (2, False)]


def test_the_class_of_the_how_to_tells_when_it_is_not_obeyed(tmp_path: Path) -> None:
    points = {"cryoctl.power": {"lab-supply": "LabSupply"}}
    with (
        installed(tmp_path, "our_bench", of_the_how_to(), points),
        simulated_supply(lambda _channel, _is_on: None, is_stuck=True) as port,
    ):
        switch = find_switch(PowerTable(switch="lab-supply", port=port))
        with pytest.raises(LinkError, match=r"output \(@1\) is not 1"):
            switch.on()
        switch.close()
