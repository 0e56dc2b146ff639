"""Frames of a board's second port: readings to the board, outputs from it, and what resets it.

They are framed as the protocol's are and are no part of it: their ids are outside of its table, so
that a protocol port refuses them. The board's end is ``hal_injected.c``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, Final

from cryoctl_protocol.framing import DELIMITER, HEADER, HEADER_SIZE, Deframer, build, wrap
from cryoctl_simulator.firmware_layout import readings_bytes
from cryoctl_simulator.firmware_state import Outputs
from cryoctl_simulator.instruments import Readings

SENSE: Final = 0xF0
CONTROL: Final = 0xF1
ACTUATE: Final = 0xF2
ANNOUNCE: Final = 0xF3
VERSION: Final = 1
RESET: Final = 1
HANG: Final = 2

PERMILLE_MAX: Final = 1000
STIMULUS_UA_MAX: Final = 20_000
"""Beyond every stimulator that the simulated hardware knows."""
_SEQ_MASK: Final = 0xFFFF
_SENSE: Final = struct.Struct("<I")  # And the readings.
_CONTROL: Final = struct.Struct("<BH")
_ACTUATE: Final = struct.Struct(f"<4I{len(fields(Outputs))}i")
_ANNOUNCE: Final = struct.Struct("<B32s")


@dataclass(frozen=True, slots=True)
class Actuated:
    """What a board did at one of its ticks.

    Attributes:
        seq: Number of this frame, 16 bits, wrapping.
        number: Of the readings that it answers; 0 if there were none.
        tick_us: By the board's clock, 32 bits, wrapping.
        lost: Readings that never reached the board since it began.
        damaged: Pieces of the channel that were no frame to the board.
    """

    seq: int
    number: int
    tick_us: int
    lost: int
    damaged: int
    outputs: Outputs


@dataclass(frozen=True, slots=True)
class Announced:
    """A board has begun.

    Attributes:
        version: Of the channel.
        build: Name of what it runs.
    """

    version: int
    build: str


class Channel:
    """The simulator's end: makes frames for a board and takes its frames apart."""

    def __init__(self) -> None:
        self.strangers = 0
        """Whole frames that mean nothing here."""
        self._deframer = Deframer()
        self._seq = 0

    @property
    def damaged(self) -> int:
        """Pieces of the channel that were no frame, or none of a board's."""
        return self._deframer.rejects.total() + self.strangers

    def sense(self, number: int, readings: Readings) -> bytes:
        """Return what tells a board its readings."""
        return self._frame(SENSE, _SENSE.pack(number & 0xFFFFFFFF) + readings_bytes(readings))

    def control(self, what: int, duration_ms: int = 0) -> bytes:
        """Return what resets a board or lets it hang; nothing before it can spoil it."""
        return DELIMITER + self._frame(CONTROL, _CONTROL.pack(what, duration_ms))

    def listen(self, data: bytes) -> list[Actuated | Announced]:
        """Return what a board says; whatever else comes is counted."""
        said = []
        for body in self._deframer.feed(data):
            message = _message(body)
            if message is None:
                self.strangers += 1
            else:
                said.append(message)
        return said

    def _frame(self, message_id: int, payload: bytes) -> bytes:
        self._seq = self._seq + 1 & _SEQ_MASK
        return wrap(build(message_id, payload, seq=self._seq, session=0, key=None))


def _message(body: bytes) -> Actuated | Announced | None:
    if len(body) == HEADER_SIZE + _ACTUATE.size and body[1] == ACTUATE:
        _, _, seq, _ = HEADER.unpack_from(body)
        number, tick_us, lost, damaged, *values = _ACTUATE.unpack_from(body, HEADER_SIZE)
        return Actuated(seq, number, tick_us, lost, damaged, _outputs(values))
    if len(body) == HEADER_SIZE + _ANNOUNCE.size and body[1] == ANNOUNCE:
        version, name = _ANNOUNCE.unpack_from(body, HEADER_SIZE)
        text = name.rstrip(b"\0").decode("ascii", "replace")
        return Announced(version, "".join(each if each.isprintable() else "?" for each in text))
    return None


def _outputs(values: Iterable[Any]) -> Outputs:
    """Return outputs within what hardware can do: a driver saturates, whatever it is told."""
    wanted = Outputs(*values)
    pulses = wanted.stimulus_hz > 0 and wanted.stimulus_pulse_us > 0
    return Outputs(
        valve_permille=_within(wanted.valve_permille, PERMILLE_MAX),
        shutoff_open=bool(wanted.shutoff_open),
        tip_heater_permille=_within(wanted.tip_heater_permille, PERMILLE_MAX),
        heater_supply_on=bool(wanted.heater_supply_on),
        skin_warmer_permille=_within(wanted.skin_warmer_permille, PERMILLE_MAX),
        warmer_supply_on=bool(wanted.warmer_supply_on),
        led=bool(wanted.led),
        beeper=bool(wanted.beeper),
        stimulus_ua=_within(wanted.stimulus_ua, STIMULUS_UA_MAX) if pulses else 0,
        stimulus_hz=max(0, wanted.stimulus_hz),
        stimulus_pulse_us=max(0, wanted.stimulus_pulse_us),
    )


def _within(value: int, high: int) -> int:
    return min(max(0, value), high)
