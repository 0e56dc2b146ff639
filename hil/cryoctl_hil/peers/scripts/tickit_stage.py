"""The temperature stage as a tickit device with a TCP adapter: in a hurry, or served."""

import asyncio
import json
import sys
from time import process_time
from typing import Any, ClassVar

from tickit.adapters.io import TcpIo
from tickit.adapters.specifications import RegexCommand
from tickit.adapters.tcp import CommandAdapter
from tickit.core.adapter import AdapterContainer
from tickit.core.components.component import ComponentConfig
from tickit.core.components.device_component import DeviceComponent
from tickit.core.device import Device, DeviceUpdate
from tickit.core.management.event_router import InverseWiring
from tickit.core.management.schedulers.master import MasterScheduler
from tickit.core.simulation import TickitSimulation
from tickit.core.state_interfaces.state_interface import get_interface
from tickit.core.typedefs import SimTime

STEP_NS = 100_000_000
STEPS_PER_S = 10
HURRY = 1e6
"""Asked of the scheduler; it comes as far as it can."""
STOPPED, HEATING, COOLING, HOLDING = 0x01, 0x10, 0x20, 0x30


class Stage(Device):
    """Ramps to a limit at a rate and holds."""

    Inputs: ClassVar = dict[str, Any]

    def __init__(self) -> None:
        self.temp_c = self.limit_c = 24.0
        self.rate_c_per_min = 5.0
        self.status = STOPPED
        self.time_ns = 0

    def update(self, time: SimTime, inputs: dict[str, Any]) -> DeviceUpdate:
        """Move as far as time has; ask to be called again in 0.1 s."""
        step_c = self.rate_c_per_min / 60.0 * (time - self.time_ns) / 1e9
        self.time_ns = time
        if self.status != STOPPED:
            away_c = self.limit_c - self.temp_c
            if abs(away_c) <= step_c:
                self.temp_c, self.status = self.limit_c, HOLDING
            else:
                self.temp_c += step_c if away_c > 0 else -step_c
                self.status = HEATING if away_c > 0 else COOLING
        return DeviceUpdate({"temp_c": self.temp_c}, SimTime(time + STEP_NS))


class Commands(CommandAdapter):
    """The stage's commands, ended by a carriage return."""

    def __init__(self, stage: Stage, end_s: float = float("inf")) -> None:
        self.stage = stage
        self.end_ns = end_s * 1e9
        self.done = asyncio.Event()
        self.updates = 0
        self.held_s: float | None = None

    def after_update(self) -> None:
        """Say the status once in a second of the stage's time."""
        self.updates += 1
        if self.updates % STEPS_PER_S == 0 and self.answer()[0] == HOLDING and self.held_s is None:
            self.held_s = self.stage.time_ns / 1e9
        if self.stage.time_ns >= self.end_ns:
            self.done.set()

    def answer(self) -> bytes:
        """Return the status as it goes over the wire."""
        temp = f"{round(self.stage.temp_c * 10) & 0xFFFF:04x}"
        return bytes((self.stage.status, 0x80, 0x80, 0x80, 0x80, 0x80)) + temp.encode() + b"\r"

    @RegexCommand(rb"T\r")
    async def get_status(self) -> bytes:
        """Answer the status."""
        return self.answer()

    @RegexCommand(rb"L1([0-9]+)\r", interrupt=True)
    async def set_limit(self, limit: int) -> bytes:
        """Set the limit, in 0.1 °C."""
        self.stage.limit_c = int(limit) / 10.0
        return b"\r"


class NoIo:
    """An adapter that nobody talks to."""

    async def setup(self, adapter: Commands, raise_interrupt: object) -> None:
        """Open nothing."""


class StageConfig(ComponentConfig):
    """What tickit reads from YAML where the stage is one of many."""

    def __call__(self) -> None:
        """Is never asked to build: the component is there already."""


def simulation(stage: Stage, adapter: Commands, io: object, speed: float) -> TickitSimulation:
    """Return tickit's simulation of the stage alone."""
    component = DeviceComponent(
        name="stage", device=stage, adapters=[AdapterContainer(adapter, io)]
    )
    wiring = InverseWiring.from_component_configs([StageConfig(name="stage", inputs={})])
    scheduler = MasterScheduler(wiring, *get_interface("internal"), simulation_speed=speed)
    return TickitSimulation("internal", scheduler, {"stage": component})


async def hurried(ramp: dict[str, float]) -> dict[str, float | None]:
    """Run once, as fast as the scheduler goes."""
    stage = Stage()
    stage.rate_c_per_min, stage.limit_c = ramp["rate_c_per_min"], ramp["limit_c"]
    stage.status = HEATING
    adapter = Commands(stage, ramp["device_s"])
    began_s = process_time()
    running = asyncio.create_task(simulation(stage, adapter, NoIo(), HURRY).run())
    await adapter.done.wait()
    running.cancel()
    return {
        "device_s": stage.time_ns / 1e9,
        "cpu_s": process_time() - began_s,
        "held_s": adapter.held_s,
        "step_s": stage.time_ns / 1e9 / adapter.updates,
    }


async def served(port: int) -> None:
    """Serve at real speed until killed."""
    stage = Stage()
    await simulation(stage, Commands(stage), TcpIo("127.0.0.1", port), 1.0).run()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(served(int(sys.argv[2])))
    else:
        print(json.dumps(asyncio.run(hurried(json.loads(sys.argv[2])))))
