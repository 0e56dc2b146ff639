"""Lewis' own example of a temperature stage: stepped by hand, and by Lewis' loop."""

import json
import logging
import sys
from threading import Timer
from time import process_time
from typing import Any

from lewis.core.simulation import Simulation
from lewis.devices.linkam_t95.devices.device import SimulatedLinkamT95
from lewis.devices.linkam_t95.interfaces.stream_interface import LinkamT95StreamInterface

STEP_S = 0.1
SPEED = 100.0
HOLDING = 0x30
Result = dict[str, float | None]


class Watched(SimulatedLinkamT95):
    """Says its status once in a second of its own time."""

    def _initialize_data(self) -> None:
        super()._initialize_data()
        self.now_s = 0.0
        self.said_s = 0.0
        self.held_s: float | None = None
        self.interface: Any = None

    def doAfterProcess(self, dt: float) -> None:  # noqa: N802 (Lewis' name)
        """Say the status where it is due; Lewis calls it after each step."""
        self.now_s += dt
        if self.now_s - self.said_s >= 1.0 - STEP_S / 2:
            self.said_s = self.now_s
            if self.interface.get_status()[0] == HOLDING and self.held_s is None:
                self.held_s = self.now_s


def started(ramp: dict[str, float]) -> Watched:
    """Return a stage that has been told to go."""
    device = Watched()
    interface = LinkamT95StreamInterface()
    interface.device = device
    device.interface = interface
    interface.get_status()  # The first command has to be T.
    interface.set_rate(str(round(ramp["rate_c_per_min"] * 100)))
    interface.set_limit(str(round(ramp["limit_c"] * 10)))
    interface.start()
    return device


def stepped(ramp: dict[str, float]) -> Result:
    """Own the loop, as a unit test of a device does."""
    began_s, runs, held_s = process_time(), 0, None
    while process_time() - began_s < ramp["cpu_s_min"]:
        device = started(ramp)
        for _ in range(round(ramp["device_s"] / STEP_S)):
            device.process(STEP_S)
        held_s = device.held_s
        runs += 1
    return {
        "device_s": runs * ramp["device_s"],
        "cpu_s": process_time() - began_s,
        "held_s": held_s,
    }


def looped(ramp: dict[str, float]) -> Result:
    """Let Lewis run it: speed 100, and a cycle that makes a step of about 0.1 s of that."""
    device = started(ramp)
    simulation = Simulation(device)
    simulation.speed = SPEED
    simulation.cycle_delay = STEP_S / SPEED
    Timer(ramp["device_s"] / SPEED, simulation.stop).start()
    began_s = process_time()
    simulation.start()
    return {
        "device_s": simulation.runtime,
        "cpu_s": process_time() - began_s,
        "held_s": device.held_s,
        "step_s": simulation.runtime / simulation.cycles,
    }


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    print(json.dumps({"stepped": stepped, "looped": looped}[sys.argv[1]](json.loads(sys.argv[2]))))
