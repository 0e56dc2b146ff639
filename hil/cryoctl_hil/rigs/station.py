"""What a rig in real time has for a whole run: a power switch, a plant, a fault port, a link."""

from __future__ import annotations

from contextlib import ExitStack
from threading import Event
from typing import Any, Final

from cryoctl.clock import monotonic_s
from cryoctl_hil.rigs.board import ServedBoard
from cryoctl_hil.rigs.faults import RemoteFaults
from cryoctl_hil.rigs.power import FaultSwitch, PowerSwitch, find_switch
from cryoctl_hil.rigs.rig import Rig
from cryoctl_protocol.peer import (
    AddressError,
    DeviceUrl,
    FaultPort,
    FrameLink,
    LinkError,
    Opened,
    open_device,
)

BOOT_S: Final = 10.0
"""A port that the probe itself makes is there again so long after its power is."""
RETRY_S: Final = 0.5


class Station:
    """The parts of a rig; the probe has power when this is made.

    Args:
        rig: What to open.

    Raises:
        LinkError: A part is not there.

    Attributes:
        faults: The back door; None without one.
        switch: In the probe's supply; None without one.
    """

    def __init__(self, rig: Rig) -> None:
        self.faults: FaultPort | None = None
        self.switch: PowerSwitch | None = None
        self._device: DeviceUrl = rig.device
        self._boots_by = 0.0
        self._board: RemoteFaults | None = None
        self._parts = ExitStack()
        try:
            self._open_parts(rig)
        except BaseException:
            self._parts.close()
            raise

    def _open_parts(self, rig: Rig) -> None:
        table = rig.table
        if table.power is not None:
            self.switch = find_switch(table.power)
            self._parts.callback(self.switch.close)
            self.switch.on()
            self._boots_by = monotonic_s() + BOOT_S
        fault_port = table.fault_port
        if rig.is_board:
            board = ServedBoard(rig)
            self._parts.callback(board.close)
            self._device, fault_port = board.device, board.fault_port
        if fault_port:
            faults = RemoteFaults(fault_port)
            self._parts.callback(faults.close)
            faults.clear_all()
            self.faults = faults
            if rig.is_board:
                self._board = faults
                self.switch = self.switch or FaultSwitch(faults)

    def open(self) -> Opened:
        """Open the link; wait for one that comes with the power.

        Raises:
            LinkError: It is not there, or leads to a probe in virtual time.
        """
        while (opened := self._opened()) is None:
            Event().wait(RETRY_S)
        if opened.link is None:
            raise LinkError(f"device {self._device}: it has no link in real time")
        return opened

    def _opened(self) -> Opened | None:
        """Return the device; None while it may still boot."""
        try:
            return open_device(self._device)
        except AddressError:
            raise
        except LinkError:
            if monotonic_s() >= self._boots_by:
                raise
            return None

    def open_again(self, opened: Opened) -> FrameLink:
        """Open the link anew once it was lost.

        Raises:
            LinkError: It is not there yet, or somebody else could speak on it now.
        """
        url = opened.again or self._device
        again = open_device(url)
        if again.link is None:
            raise LinkError(f"{url}: it has no link in real time")
        if again.reach is not opened.reach:
            again.link.abort()
            raise LinkError(f"{url}: opened again, but it leads elsewhere now")
        return again.link

    def summary(self) -> dict[str, Any]:
        """Return what there is to tell of the rig itself: how a board's ticks were."""
        if self._board is None:
            return {}
        try:
            return {"board": self._board.report()}
        except LinkError as error:
            return {"board": [str(error)]}

    def close(self) -> None:
        """Give everything up, the last opened first; the probe keeps its power."""
        self._parts.close()
