"""How long a STOP takes from whoever asks for it to the probe's end of the link."""

from __future__ import annotations

import asyncio
import bisect
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Final, NamedTuple

from cryoctl.core import Controller, Settings
from cryoctl.cycle_table import Phase
from cryoctl.operator_requests import Request
from cryoctl.port_link import RealTimeLoop
from cryoctl.recorder import Recorder
from cryoctl.runner import FLUSH_S
from cryoctl.supervisor import Supervisor
from cryoctl.treatment import default_treatment
from cryoctl_protocol.auth import DEMO_KEY
from cryoctl_protocol.peer import DeviceUrl, open_device
from cryoctl_protocol.profile import load_profile

SPREAD_S: Final = 0.130_9
"""Between two STOPs: by the golden ratio, so that they come early, late and in the middle between
two control ticks of 50 ms. Less than 60 ms after another none is sent."""
_PROFILE: Final = "n2o-20g"
_SAFE_S_MAX: Final = 20.0
_MS: Final = 1000.0


class StopTimes(NamedTuple):
    """From ``request_stop`` to the STOP at the probe's end.

    Attributes:
        lost: STOPs that had not come when the next one was asked for.
    """

    p50_ms: float
    p99_ms: float
    lost: int


class _Stopped:
    """The operator: has a session stopped as soon as it stands, and stays in its FAULT."""

    def __init__(self) -> None:
        self.is_safe = threading.Event()
        self.leaves = threading.Event()

    def act(self, controller: Controller, now_s: float) -> None:
        if controller.phase is Phase.IDLE:
            controller.request(Request.STOP, now_s)
        if controller.phase is Phase.FAULT:
            # Here each STOP that is asked for is sent, once, and changes nothing.
            self.is_safe.set()
        else:
            self.is_safe.clear()

    def stays(self, controller: Controller) -> bool:
        return not self.leaves.is_set() and not controller.failure


def request_to_wire(address: str, *, count: int) -> list[float]:
    """Ask a controller for STOP ``count`` times, from another thread; return when, monotonic.

    It has its recorder and hears its probe's telemetry, 50 a second.

    Args:
        address: Of a prompt probe that nobody else talks to.
        count: Of STOPs.
    """
    opened = open_device(DeviceUrl.parse(address))
    assert opened.link is not None
    operator = _Stopped()
    asked_s: list[float] = []
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "run.mcap").open("wb") as stream:
        controller = Controller(
            default_treatment(_PROFILE),
            load_profile(_PROFILE),
            Settings(key=DEMO_KEY, nonce_seed=b"bench", link=opened.limits),
            recorder := Recorder(stream, metadata={}, flush_period_s=FLUSH_S),
        )
        with asyncio.Runner(loop_factory=RealTimeLoop) as runner:
            loop = runner.get_loop()
            shell = Supervisor(
                controller, opened.link, operator, call_in_loop=loop.call_soon_threadsafe
            )
            asking = threading.Thread(target=_ask, args=(shell, operator, asked_s, count))
            asking.start()
            runner.run(shell.run(until_s=2.0 * _SAFE_S_MAX + count * SPREAD_S))
        asking.join()
        recorder.close("{}")
    assert len(asked_s) == count, f"the session ended: {controller.failure or controller.phase}"
    return asked_s


def _ask(shell: Supervisor, operator: _Stopped, asked_s: list[float], count: int) -> None:
    while len(asked_s) < count and operator.is_safe.wait(_SAFE_S_MAX):
        asked_s.append(time.monotonic())
        shell.request_stop()
        time.sleep(SPREAD_S)
    operator.leaves.set()


def stop_times(asked_s: list[float], came_s: list[float]) -> StopTimes:
    """Return what lies between asking for each STOP and the first that came after it."""
    times_s, lost = [], 0
    for at_s, next_s in zip(asked_s, [*asked_s[1:], float("inf")], strict=True):
        place = bisect.bisect(came_s, at_s)
        if place < len(came_s) and came_s[place] < next_s:
            times_s.append(came_s[place] - at_s)
        else:
            lost += 1
    percentiles = statistics.quantiles(times_s, n=100, method="inclusive")
    return StopTimes(percentiles[49] * _MS, percentiles[98] * _MS, lost)
