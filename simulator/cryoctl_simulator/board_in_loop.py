"""A board in the loop: somebody's real microcontroller as the firmware of a simulated probe.

Plant, sensors and faults run here, control and interlocks there. Every 10 ms the readings go to the
board by its second port, the channel; its newest answer drives the plant until the next tick. What
is said on the protocol's link passes through. A board keeps time by itself: this works in real time
only, and nothing of it can be saved.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NoReturn, Protocol

from cryoctl_simulator.board_channel import HANG, RESET, Actuated, Announced, Channel
from cryoctl_simulator.board_statistics import BoardStatistics
from cryoctl_simulator.device import SimulatedDevice
from cryoctl_simulator.faults import parse_fault
from cryoctl_simulator.firmware import Build, Firmware, FirmwareError
from cryoctl_simulator.firmware_config import TICK_MS, FirmwareConfig
from cryoctl_simulator.firmware_identity import Boot
from cryoctl_simulator.firmware_state import FirmwareState, Outputs
from cryoctl_simulator.firmware_telling import Telling
from cryoctl_simulator.instruments import Instruments, Readings
from cryoctl_simulator.plant import Plant

if TYPE_CHECKING:
    from cryoctl_protocol.messages import Hello

SILENCE_US: Final = 150_000
"""Without an answer for so long all outputs are off: the time after which a probe's own watchdog
would have reset it."""
RESET_AGAIN_US: Final = 1_000_000
"""A board that has not announced itself by then is reset once more: a frame may get lost."""
HANG_MS: Final = 3 * TICK_MS
"""Said again at each tick that is to be missed, so that one lost frame lets no tick through."""


class Line(Protocol):
    """One port of a board; neither function waits."""

    def read(self) -> bytes:
        """Return what has come."""
        ...

    def write(self, data: bytes) -> None:
        """Send; what the port does not take is lost."""
        ...


class Board:
    """Powers a board up, again and again, by resetting it (``Build``).

    Args:
        link: Its protocol port.
        channel: Its second port.
        now_us: A clock that never goes back.

    Attributes:
        build: What the board says it runs; empty until it has.
        hello: Who it says it is; None until it has.
    """

    def __init__(self, link: Line, channel: Line, now_us: Callable[[], int]) -> None:
        self.link = link
        self.now_us = now_us
        self.statistics = BoardStatistics()
        self.build = ""
        self.hello: Hello | None = None
        self._channel = channel
        self._frames = Channel()
        self._number = 0

    def __call__(self, config: FirmwareConfig, _boot: Boot) -> BoardFirmware:
        """Reset it; it has its own keys, and draws boot id and nonces by itself."""
        return BoardFirmware(self, config)

    def reset(self) -> None:
        """Have it restart."""
        self.statistics.on_begin()
        self._channel.write(self._frames.control(RESET))

    def hang(self) -> None:
        """Have it miss its next tick."""
        self.statistics.on_begin()
        self._channel.write(self._frames.control(HANG, HANG_MS))

    def sense(self, readings: Readings) -> None:
        """Tell it what its sensors say."""
        self._number += 1
        self.statistics.on_sense(self._number, self.now_us())
        self._channel.write(self._frames.sense(self._number, readings))

    def listen(self) -> list[Actuated | Announced]:
        """Return what it has said on the channel."""
        said = self._frames.listen(self._channel.read())
        for message in said:
            if isinstance(message, Announced):
                self.build = message.build
                self.statistics.begun += 1
                self.statistics.on_begin()
            else:
                self.statistics.on_actuate(message)
        return said

    def report(self) -> list[str]:
        """Return lines about times and losses."""
        return self.statistics.lines(self._frames.damaged)


class BoardFirmware:
    """A board from one reset to the next; the reset comes with the first tick (``Firmware``)."""

    is_reset: Final = False

    def __init__(self, board: Board, config: FirmwareConfig) -> None:
        self.config = config
        self.outputs = Outputs()
        self._board = board
        self._telling = Telling()
        self._is_up = False
        self._reset_us: int | None = None
        self._heard_us = 0

    @property
    def state(self) -> FirmwareState:
        """What it says of itself in telemetry; there is nothing to write."""
        return self._telling.state

    @property
    def profile_hash(self) -> int:
        """What its HELLO says; 0 until it has."""
        hello = self._board.hello
        return 0 if hello is None else hello.profile_hash

    @profile_hash.setter
    def profile_hash(self, value: int) -> None:
        _refuse_memory()

    def tick(self, _now_ms: int, readings: Readings, incoming: bytes) -> bytes:
        """Tell the board its readings; return what it said on the link since the last tick."""
        board = self._board
        now_us = board.now_us()
        sent = board.link.read()
        said = board.listen()
        if self._reset_us is not None:
            for message in said:
                self._take(message, now_us)
        if not self._is_up:
            # Whatever it has said until now is from before its reset.
            if self._reset_us is None or now_us - self._reset_us >= RESET_AGAIN_US:
                self._reset_us = now_us
                board.reset()
            return b""
        if now_us - self._heard_us >= SILENCE_US:
            self.outputs = Outputs()
        if incoming:
            board.link.write(incoming)
        board.sense(readings)
        self._telling.listen(sent)
        if self._telling.hello is not None:
            board.hello = self._telling.hello
        return sent

    def miss(self) -> None:
        """Have the board miss a tick: outputs stay as they are."""
        self._board.hang()

    def save(self) -> NoReturn:
        """Refuse: a board cannot be saved."""
        _refuse_memory()

    def load(self, data: bytes) -> NoReturn:
        """Refuse: a board cannot be put into a state."""
        _refuse_memory()

    def _take(self, message: Actuated | Announced, now_us: int) -> None:
        self._heard_us = now_us
        if isinstance(message, Announced):
            self._is_up = True
            self.outputs = Outputs()  # A reset lets go of every output.
        elif self._is_up:
            self.outputs = message.outputs


class BoardDevice(SimulatedDevice):
    """A simulated probe whose firmware runs on a board.

    Args:
        config: What the plant's probe is built with.
        plant: The hardware.
        instruments: The sensors.
        seed: Of noise and faults.
        serial: As ``SimulatedDevice``; the board has its own.
        build: Another firmware, which this one does not have.
        board: Its ports.
    """

    def __init__(
        self,
        config: FirmwareConfig,
        plant: Plant,
        instruments: Instruments,
        *,
        seed: int,
        board: Board,
        serial: str | None = None,
        build: Build | None = None,
    ) -> None:
        self.board = board
        super().__init__(config, plant, instruments, seed=seed, serial=serial, build=board)

    @property
    def profile_id(self) -> str:
        """Of the simulated hardware."""
        return self._config.profile_id

    @property
    def device_id(self) -> str:
        """Serial number, as the board says it in HELLO."""
        hello = self.board.hello
        if hello is None:
            return super().device_id
        return hello.device_id.rstrip(b"\0").decode("ascii", "replace")

    def inject(self, fault: str) -> None:
        """Schedule a fault; raises ValueError, too, for what no board can be given."""
        wanted = parse_fault(fault).fault
        if wanted.firmware is not None:
            raise ValueError(
                f"fault '{fault}': {wanted.fault_id} changes the firmware's memory by name, and "
                "this firmware is on a board; use firmware=model, native or emulated"
            )
        if wanted.clock_ms is not None:
            raise ValueError(
                f"fault '{fault}': {wanted.fault_id} changes the device's clock, and this one is "
                "on a board; use firmware=model, native or emulated"
            )
        super().inject(fault)

    def _miss_tick(self, firmware: Firmware) -> None:
        assert isinstance(firmware, BoardFirmware)
        firmware.miss()
        super()._miss_tick(firmware)


def _refuse_memory() -> NoReturn:
    raise FirmwareError("the memory of a board cannot be read or written from here")
