"""The temperature stage as one writes it without any framework: a class and asyncio's streams."""

import asyncio
import contextlib
import json
import sys
from time import process_time

STEP_S = 0.1
STEPS_PER_S = 10
STOPPED, HEATING, COOLING, HOLDING = 0x01, 0x10, 0x20, 0x30


class Stage:
    """Ramps to a limit at a rate and holds."""

    def __init__(self) -> None:
        self.temp_c = self.limit_c = 24.0
        self.rate_c_per_min = 5.0
        self.status = STOPPED

    def step(self) -> None:
        """Move by 0.1 s."""
        if self.status == STOPPED:
            return
        step_c = self.rate_c_per_min / 60.0 * STEP_S
        away_c = self.limit_c - self.temp_c
        if abs(away_c) <= step_c:
            self.temp_c, self.status = self.limit_c, HOLDING
        else:
            self.temp_c += step_c if away_c > 0 else -step_c
            self.status = HEATING if away_c > 0 else COOLING

    def answer(self, command: bytes) -> bytes:
        """Obey a command; return what to say."""
        if command == b"T":
            temp = f"{round(self.temp_c * 10) & 0xFFFF:04x}"
            return bytes((self.status, 0x80, 0x80, 0x80, 0x80, 0x80)) + temp.encode() + b"\r"
        if command.startswith(b"R1"):
            self.rate_c_per_min = int(command[2:]) / 100.0
        elif command.startswith(b"L1"):
            self.limit_c = int(command[2:]) / 10.0
        elif command == b"S":
            self.status = HEATING
        return b"\r"


def stepped(ramp: dict[str, float]) -> dict[str, float | None]:
    """Own the loop; it is all there is."""
    began_s, runs, held_s = process_time(), 0, None
    while process_time() - began_s < ramp["cpu_s_min"]:
        stage, held_s = Stage(), None
        for command in (
            f"R1{ramp['rate_c_per_min'] * 100:.0f}",
            f"L1{ramp['limit_c'] * 10:.0f}",
            "S",
        ):
            stage.answer(command.encode())
        for step in range(1, round(ramp["device_s"] * STEPS_PER_S) + 1):
            stage.step()
            if step % STEPS_PER_S == 0 and stage.answer(b"T")[0] == HOLDING and held_s is None:
                held_s = step / STEPS_PER_S
        runs += 1
    return {
        "device_s": runs * ramp["device_s"],
        "cpu_s": process_time() - began_s,
        "held_s": held_s,
    }


async def served(port: int) -> None:
    """Serve in real time until killed."""
    stage = Stage()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                command = await reader.readuntil(b"\r")
                writer.write(stage.answer(command[:-1]))
                await writer.drain()

    async with await asyncio.start_server(talk, "127.0.0.1", port):
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while True:
            stage.step()
            due_s += STEP_S
            await asyncio.sleep(due_s - loop.time())


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(served(int(sys.argv[2])))
    else:
        print(json.dumps(stepped(json.loads(sys.argv[2]))))
