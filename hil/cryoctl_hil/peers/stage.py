"""A temperature stage on cryoctl's seams: what Lewis' ``linkam_t95`` is, for the same commands.

Ramp to a limit at a rate, then hold. Commands end with a carriage return, as answers do: ``T`` asks
for the status, ``R1`` and ``L1`` set rate (0.01 °C/min) and limit (0.1 °C), ``S`` and ``E`` start
and end.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Final, NamedTuple

from cryoctl.clock import cpu_s
from cryoctl.virtual_time import VirtualTimeLoop, sleep_until
from cryoctl_simulator.served.endpoints import TcpEndpoint
from cryoctl_simulator.served.server import ProbeServer

STEPS_PER_S: Final = 10
"""Lewis' own cycle is 0.1 s."""
END: Final = b"\r"
START_C: Final = 24.0
STOPPED: Final = 0x01
HEATING: Final = 0x10
COOLING: Final = 0x20
HOLDING: Final = 0x30


class Ramp(NamedTuple):
    """What every stage runs, as often as it takes for enough processor time.

    Attributes:
        device_s: Length of a run.
        cpu_s_min: Runs are repeated until they have taken so much.
    """

    device_s: int
    rate_c_per_min: float
    limit_c: float
    cpu_s_min: float


class Stage:
    """A probe to whatever moves or serves one: it has time, bytes in and bytes out."""

    research: Final = False

    def __init__(self) -> None:
        self.power_cycle()

    def power_cycle(self) -> None:
        """Be as when it is switched on, whatever the time."""
        self.temp_c = self.limit_c = START_C
        self.rate_c_per_min = 5.0
        self.status = STOPPED
        self._steps: int | None = None
        self._partial = b""

    def advance_to(self, now_s: float, incoming: bytes) -> bytes:
        """Move to ``now_s``, then obey ``incoming``; return the answers."""
        steps = round(now_s * STEPS_PER_S)
        for _ in range(steps - (steps if self._steps is None else self._steps)):
            self._step()
        self._steps = steps
        if not incoming:
            return b""
        *commands, self._partial = (self._partial + incoming).split(END)
        return b"".join([self._answer(command) + END for command in commands])

    def _step(self) -> None:
        if self.status == STOPPED:
            return
        step_c = self.rate_c_per_min / 60.0 / STEPS_PER_S
        away_c = self.limit_c - self.temp_c
        self.temp_c = (
            self.limit_c if abs(away_c) <= step_c else self.temp_c + _toward(step_c, away_c)
        )
        self.status = HOLDING if self.temp_c == self.limit_c else HEATING if away_c > 0 else COOLING

    def _answer(self, command: bytes) -> bytes:
        match command[:2]:
            case b"T":
                temp = f"{round(self.temp_c * 10) & 0xFFFF:04x}"
                return bytes((self.status, 0x80, 0x80, 0x80, 0x80, 0x80)) + temp.encode()
            case b"R1" if command[2:].isdigit():
                self.rate_c_per_min = int(command[2:]) / 100.0
            case b"L1" if command[2:].isdigit():
                self.limit_c = int(command[2:]) / 10.0
            case b"S":
                self.status = HEATING
            case b"E":
                self.status = STOPPED
        return b""


def _toward(step_c: float, away_c: float) -> float:
    return step_c if away_c > 0.0 else -step_c


def settings(ramp: Ramp) -> bytes:
    """Return the commands that start a ramp."""
    return f"R1{ramp.rate_c_per_min * 100:.0f}\rL1{ramp.limit_c * 10:.0f}\rS\r".encode()


def stepped(ramp: Ramp) -> float | None:
    """Run once in lock-step; return when it said that it holds, in s."""
    stage = Stage()
    stage.advance_to(0.0, settings(ramp))
    held_s = None
    for step in range(1, ramp.device_s * STEPS_PER_S + 1):
        asked = b"T\r" if step % STEPS_PER_S == 0 else b""
        said = stage.advance_to(step / STEPS_PER_S, asked)
        if said and said[0] == HOLDING and held_s is None:
            held_s = step / STEPS_PER_S
    return held_s


def looped(ramp: Ramp) -> float | None:
    """Run the same as an asyncio task on a loop in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(_loop(ramp))


async def _loop(ramp: Ramp) -> float | None:
    stage = Stage()
    loop = asyncio.get_running_loop()
    stage.advance_to(0.0, settings(ramp))
    held_s = None
    for step in range(1, ramp.device_s * STEPS_PER_S + 1):
        await sleep_until(step / STEPS_PER_S)
        said = stage.advance_to(loop.time(), b"T\r" if step % STEPS_PER_S == 0 else b"")
        if said and said[0] == HOLDING and held_s is None:
            held_s = loop.time()
    return held_s


def run(how: str, ramp: Ramp) -> dict[str, float | None]:
    """Run ``how`` until it has taken long enough; return what scripts of peers print."""
    once = {"stepped": stepped, "looped": looped}[how]
    started_s, runs, held_s = cpu_s(), 0, None
    while cpu_s() - started_s < ramp.cpu_s_min:
        held_s = once(ramp)
        runs += 1
    return {"device_s": runs * ramp.device_s, "cpu_s": cpu_s() - started_s, "held_s": held_s}


def main(what: str, argument: str) -> None:
    """``serve`` at a port until killed, or run one of the ways."""
    if what == "serve":
        ProbeServer(Stage(), TcpEndpoint("127.0.0.1", int(argument)), baud=None).run(lambda: False)
    else:
        print(json.dumps(run(what, Ramp(**json.loads(argument)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
