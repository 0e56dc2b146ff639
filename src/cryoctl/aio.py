"""``cryoctl.aio``: the functions of ``cryoctl`` that take their time, as coroutines."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import Future

from cryoctl.results import Result
from cryoctl.run_options import FilePath, make_options, settings_of
from cryoctl.run_thread import Outcome, start_run
from cryoctl.stop_signals import StopSwitch


async def run(
    treatment: FilePath | None = None,
    *,
    device: str = "sim:",
    seed: int | None = None,
    speed: float | None = None,
    set: Mapping[str, object] | None = None,  # noqa: A002  # As the command line's option.
    scenario: FilePath | None = None,
    faults: Sequence[str] = (),
    vendor: FilePath | None = None,
    cartridge_g: float | None = None,
    bench_waiver: str = "",
    arm_and_start: bool = False,
    out: FilePath | None = None,
) -> Result:
    """Do what ``cryoctl.run`` does, without holding up the event loop.

    The arguments and errors are the same. When the task is cancelled, the probe is stopped;
    CancelledError is raised as soon as it is safe, and recording and results are written.
    """
    options = make_options(
        treatment,
        device=device,
        seed=seed,
        speed=speed,
        settings=settings_of(set or {}),
        scenario=scenario,
        faults=faults,
        vendor=vendor,
        cartridge_g=cartridge_g,
        bench_waiver=bench_waiver,
        out=out,
    )
    switch = StopSwitch()
    try:
        future = start_run(options, switch, arm_and_start=arm_and_start)
        outcome = await _wait_for(future, switch)
    finally:
        switch.stop(leave=True)  # Too late, but for a run that nobody waits for any more.
    if outcome.problem:
        warnings.warn(outcome.problem, RuntimeWarning, stacklevel=2)
    return outcome.result


async def _wait_for(future: Future[Outcome], switch: StopSwitch) -> Outcome:
    ended = asyncio.wrap_future(future)
    cancelled: asyncio.CancelledError | None = None
    while not ended.done():
        try:
            await asyncio.wait([ended])
        except asyncio.CancelledError as error:
            switch.stop(leave=True)
            cancelled = error
    if cancelled is not None:
        raise cancelled from ended.exception()
    return ended.result()
