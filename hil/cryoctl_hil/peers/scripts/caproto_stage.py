"""The temperature stage as a caproto IOC, after its example ``thermo_sim``, and a client of it."""

import json
import os
import sys
from time import perf_counter, sleep
from typing import Any

from caproto.server import PVGroup, pvproperty, run

STEP_S = 0.1


class Stage(PVGroup):
    """Ramps to a limit at a rate and holds."""

    temp_c = pvproperty(value=24.0, read_only=True, record="ai")
    limit_c = pvproperty(value=24.0)
    rate_c_per_min = pvproperty(value=5.0)

    @temp_c.scan(period=STEP_S)  # type: ignore[no-redef]
    async def temp_c(self, instance: Any, async_lib: Any) -> None:
        """Move by a step."""
        step_c = self.rate_c_per_min.value / 60.0 * STEP_S
        away_c = self.limit_c.value - self.temp_c.value
        moved_c = away_c if abs(away_c) <= step_c else step_c if away_c > 0 else -step_c
        await self.temp_c.write(self.temp_c.value + moved_c)


def round_trips(count: int, period_s: float) -> list[float]:
    """Return how long each of ``count`` settings of the limit took to be confirmed."""
    from caproto.threading.client import Context

    with Context() as context:
        (limit,) = context.get_pvs("stage:limit_c")
        limit.wait_for_connection(timeout=10)
        times_s = []
        began_s = perf_counter()
        for number in range(count):
            sleep(max(0.0, began_s + number * period_s - perf_counter()))
            asked_s = perf_counter()
            limit.write(61.0 + number % 2, wait=True, timeout=5)
            times_s.append(perf_counter() - asked_s)
    return times_s


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        os.environ["EPICS_CA_SERVER_PORT"] = sys.argv[2]
        run(Stage(prefix="stage:").pvdb, interfaces=["127.0.0.1"], log_pv_names=False)
    else:
        port, count, period = sys.argv[2:]
        os.environ["EPICS_CA_SERVER_PORT"] = port
        os.environ["EPICS_CA_ADDR_LIST"] = "127.0.0.1"
        os.environ["EPICS_CA_AUTO_ADDR_LIST"] = "NO"
        print(json.dumps(round_trips(int(count), float(period))))
