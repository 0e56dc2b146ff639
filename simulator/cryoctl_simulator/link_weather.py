"""What happens to frames on their way: lost, doubled, late, out of order, spoilt, drowned in noise.

One direction of one link, deterministic: what befalls a frame depends on seed, stream and the
frame's number alone. Pure: bytes and a time in, bytes out. It stands at the probe's end of a link
for faults, and anywhere for a run in bad weather.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from cryoctl_simulator.noise import chances

FRAME_END: Final = b"\0"
BLOCK: Final = 64  # Frames whose numbers are drawn together.
REORDER_MS: Final = 120
"""How far a frame that is out of order falls behind: past the next lease, which comes after 100."""
NOISE_SIZE: Final = 32
"""Bytes in a burst of noise."""
_DRAWS: Final = 7
_TICK_S: Final = 0.01
_NOISE_STREAM: Final = 1 << 32
_HELD_MAX: Final = 10_000  # Frames; a queue has a size. A second of telemetry is some sixty.


@dataclass(frozen=True, slots=True)
class Weather:
    """How bad one direction is; shares are of frames, 0 to 1, independent of each other.

    Attributes:
        drop: Share that is lost.
        duplicate: Share that comes twice.
        reorder: Share that others overtake.
        bitflip: Share with one bit the other way.
        truncate: Share whose end is lost, the delimiter with it.
        delay_ms: By which all are late.
        jitter_ms: By up to which each is later, still in order.
        noise_per_s: Bursts of noise between frames.
    """

    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    bitflip: float = 0.0
    truncate: float = 0.0
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    noise_per_s: float = 0.0

    def worst(self, other: Weather) -> Weather:
        """Return both at once: of each kind the greater."""
        return Weather(
            *(max(getattr(self, field.name), getattr(other, field.name)) for field in fields(self))
        )


FAIR: Final = Weather()


class LinkWeather:
    """One direction of one link.

    Args:
        seed: Of the run.
        stream: Which of its streams of numbers.
    """

    __slots__ = ("_drawn", "_frames", "_held", "_last_due_ms", "_noise", "_partial", "_seed",
                 "_stream")  # fmt: skip

    def __init__(self, seed: int, stream: int) -> None:
        self._seed = seed
        self._stream = stream
        self._frames = 0
        self._partial = b""
        self._held: list[tuple[float, int, bytes]] = []
        """When each is due, its number, and itself."""
        self._last_due_ms = 0.0
        self._noise = 0.0
        self._drawn: list[float] = []

    @property
    def is_empty(self) -> bool:
        """True while no frame is on its way."""
        return not self._held

    def clear(self) -> None:
        """Forget what is on its way."""
        self._partial = b""
        self._held.clear()

    def carry(self, data: bytes, now_ms: int, weather: Weather) -> bytes:
        """Send ``data`` off and return what arrives by ``now_ms``; called at every tick.

        A frame that has not come whole waits for its end, unless the weather is fair.
        """
        if weather == FAIR and not self._held:
            whole, self._partial = self._partial + data, b""
            return whole
        frames = (self._partial + data).split(FRAME_END)
        self._partial = frames.pop()
        for frame in frames:
            self._send(frame + FRAME_END, now_ms, weather)
        arrived = b""
        if self._held:
            self._held.sort()
            due = [entry for entry in self._held if entry[0] <= now_ms]
            del self._held[: len(due)]
            arrived = b"".join(frame for _, _, frame in due)
        if weather.noise_per_s > 0.0:
            arrived = self._make_noise(now_ms, weather.noise_per_s) + arrived
        return arrived

    def _send(self, frame: bytes, now_ms: int, weather: Weather) -> None:
        lost, twice, late, flipped, cut, jitter, where = self._draw()
        self._frames += 1
        if lost < weather.drop or len(self._held) >= _HELD_MAX:
            return
        if flipped < weather.bitflip:
            frame = _flip(frame, where)
        if cut < weather.truncate:
            frame = frame[: int(where * len(frame))]
        due_ms = now_ms + weather.delay_ms + jitter * weather.jitter_ms
        if late < weather.reorder:
            due_ms += REORDER_MS
        else:
            # In order with those before; one that was overtaken holds nobody up.
            self._last_due_ms = due_ms = max(due_ms, self._last_due_ms)
        self._held.append((due_ms, self._frames, frame))
        if twice < weather.duplicate:
            self._held.append((due_ms, self._frames, frame))

    def _draw(self) -> list[float]:
        row = self._frames % BLOCK
        if row == 0 or not self._drawn:
            number = self._frames // BLOCK
            self._drawn = chances(self._seed, self._stream, number, BLOCK * _DRAWS)
        return self._drawn[row * _DRAWS : (row + 1) * _DRAWS]

    def _make_noise(self, now_ms: int, per_s: float) -> bytes:
        # Counted up tick by tick: a rate that changes makes no burst out of turn.
        self._noise += per_s * _TICK_S
        if self._noise < 1.0:
            return b""
        self._noise -= 1.0
        drawn = chances(self._seed, self._stream + _NOISE_STREAM, now_ms, NOISE_SIZE)
        return bytes(int(256 * chance) for chance in drawn)


def _flip(frame: bytes, where: float) -> bytes:
    bit = int(where * 8 * len(frame))
    spoilt = bytearray(frame)
    spoilt[bit // 8] ^= 1 << bit % 8
    return bytes(spoilt)
