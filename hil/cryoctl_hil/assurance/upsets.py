"""Single bits that turn over in the middle of a freeze, with nobody on the line afterwards.

Every bit of the C firmware's memory once, in the native build; and, drawn at random, bits of RAM
and registers of the emulated processor in the middle of its instructions. None may keep the valve
open for longer than 0.5 s: the lease has long lapsed by then.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Final

from cryoctl_hil.assurance.crew import share_out
from cryoctl_hil.assurance.program import Measure, Outcome, Say
from cryoctl_hil.assurance.walks import WALK_OF, steps
from cryoctl_hil.back_to_back import middles
from cryoctl_protocol.codes import DeviceState
from cryoctl_simulator.device import TICKS_PER_S, SimulatedDevice
from cryoctl_simulator.emulated.upsets import Campaign, Trial, table
from cryoctl_simulator.emulated.upsets import Outcome as Upset
from cryoctl_simulator.firmware_builds import build_of
from cryoctl_simulator.firmware_layout import StateMemory
from cryoctl_simulator.firmware_native import NativeFirmware

UPSETS_MIN: Final = 1_500
OPEN_S_MAX: Final = 0.5
TRIAL_S: Final = 1.0
CHUNK: Final = 250
WALK: Final = "treated"
SEED: Final = 1


def frozen(build: str) -> tuple[SimulatedDevice, float]:
    """Return a probe in the middle of a freeze, and its time."""
    (middle,) = (each for each in middles(WALK) if each.state is DeviceState.FREEZE)
    world = WALK_OF[WALK].world(build=build_of(build))
    for number, _ in enumerate(steps(world), start=1):
        if number == middle.step:
            break
    assert world.device.actuators.valve > 0.0, "an upset is to find the valve open"
    return world.device, world.now_s


@cache
def native_moment() -> tuple[SimulatedDevice, float, bytes]:
    """Return a probe with the native build, and what it is loaded with for each trial."""
    device, now_s = frozen("native")
    return device, now_s, device.save()


def memory_bits() -> int:
    """Return how many bits the C firmware's memory has."""
    return 8 * _native(native_moment()[0]).memory_bytes


def _native(device: SimulatedDevice) -> NativeFirmware:
    firmware = device.firmware
    assert isinstance(firmware, NativeFirmware)
    return firmware


def open_s(bit: int) -> float:
    """Turn one bit of the memory over; return when the valve was open last, from then on."""
    device, now_s, saved = native_moment()
    device.load(saved)
    _native(device).turn_over(bit)
    last = 0
    for tick in range(1, round(TRIAL_S * TICKS_PER_S) + 1):
        device.advance_to(now_s + tick / TICKS_PER_S, b"")
        if device.actuators.valve > 0.0:
            last = tick
    return last / TICKS_PER_S


def run_bits(bits: range) -> list[tuple[int, float]]:
    """Return how long the valve stayed open for each of some bits."""
    return [(bit, open_s(bit)) for bit in bits]


@cache
def campaign() -> Campaign:
    """Return trials on the emulated processor."""
    device, now_s = frozen("emulated")
    return Campaign(device, now_s, seed=SEED)


def run_trials(numbers: range) -> list[Trial]:
    """Run some trials."""
    return [campaign().trial(number) for number in numbers]


def name_of(bit: int) -> str:
    """Return the field that a bit of the memory is in, for people."""
    byte = bit // 8
    for name, *_ in StateMemory._fields_:
        place = getattr(StateMemory, name)
        if place.offset <= byte < place.offset + place.size:
            return f"{name} bit {bit - 8 * place.offset}"
    return f"byte {byte} bit {bit % 8}"


def run(scale: float, say: Say) -> Outcome:
    """Turn bits over; a scale under 1 takes evenly spread ones of the memory, and fewer trials."""
    stride = max(1, round(1.0 / scale))
    chunks = [range(first, min(first + CHUNK * stride, memory_bits()), stride)
              for first in range(0, memory_bits(), CHUNK * stride)]  # fmt: skip
    lengths = dict(pair for found in share_out(run_bits, chunks) for pair in found)
    say(f"{len(lengths)} bits of the memory; open for {max(lengths.values()):g} s at the longest")
    count = max(1, round(UPSETS_MIN * scale))
    shares = [range(first, min(first + CHUNK, count)) for first in range(0, count, CHUNK)]
    trials = [trial for found in share_out(run_trials, shares) for trial in found]
    say(table(trials))
    return judged(lengths, trials, min(1.0, scale))


def judged(lengths: dict[int, float], trials: list[Trial], scale: float) -> Outcome:
    """Return the measures; every bit that keeps the valve open is named."""
    stuck = [bit for bit, length_s in lengths.items() if length_s > OPEN_S_MAX]
    kept_open = [trial for trial in trials if trial.outcome is Upset.OPEN]
    bits_asked = float(memory_bits()) if scale >= 1.0 else 1.0
    trials_asked = max(1.0, UPSETS_MIN * scale)
    return Outcome(
        [
            Measure(
                "bits of the firmware's memory turned over",
                "every one" if scale >= 1.0 else ">= 1", str(len(lengths)),
                len(lengths) >= bits_asked, (), float(len(lengths)), bits_asked,
            ),
            _none("bits of memory that keep the valve open for over 0.5 s", len(stuck)),
            Measure(
                "upsets of RAM and registers", f">= {trials_asked:g}", str(len(trials)),
                len(trials) >= trials_asked, (), float(len(trials)), trials_asked,
            ),
            _none("upsets that keep the valve open for over 0.5 s", len(kept_open)),
        ],
        {
            "bits by how long the valve stayed open, s": {
                f"{length_s:g}": bits
                for length_s, bits in sorted(Counter(lengths.values()).items())
            },
            "upsets": table(trials).splitlines(),
            "longest upset, s": max((trial.open_s for trial in trials), default=0.0),
        },
        [
            *(f"memory: {name_of(bit)}: valve open for {lengths[bit]:g} s" for bit in stuck),
            *(f"{each.target} {each.where}: open for {each.open_s:g} s" for each in kept_open),
        ],
    )  # fmt: skip


def _none(name: str, count: int) -> Measure:
    return Measure(name, "0", str(count), not count, ("SR-01",), float(count), 0.0)
