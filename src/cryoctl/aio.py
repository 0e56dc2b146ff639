"""``cryoctl.aio``: the functions of ``cryoctl`` that take their time, as coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from cryoctl.cycles import Verdict
from cryoctl.live import ProbeView, start_session
from cryoctl.live_session import ProbeError
from cryoctl.results import Result
from cryoctl.run_options import FilePath, make_options, settings_of
from cryoctl.run_thread import Outcome, operator_of_run, start_run
from cryoctl.stimulation import STIMULUS_S, Stimulus
from cryoctl.stop_signals import StopSwitch
from cryoctl_protocol.codes import StimulusResponse
from cryoctl_protocol.peer import LinkError


async def run(
    treatment: FilePath | None = None,
    *,
    session: FilePath | None = None,
    device: str = "sim:",
    seed: int | None = None,
    speed: float | None = None,
    set: Mapping[str, object] | None = None,  # noqa: A002  # As the command line's option.
    scenario: FilePath | None = None,
    faults: Sequence[str] = (),
    vendor: FilePath | None = None,
    requirements: FilePath | None = None,
    cartridge_g: float | None = None,
    bench_waiver: str = "",
    scavenging: bool = False,
    arm_and_start: bool = False,
    out: FilePath | None = None,
    sign_key: FilePath | None = None,
    keys: FilePath | None = None,
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
        requirements=requirements,
        cartridge_g=cartridge_g,
        bench_waiver=bench_waiver,
        scavenging=scavenging,
        out=out,
        sign_key=sign_key,
        keys=keys,
        session=session,
    )
    switch, make_operator = StopSwitch(), operator_of_run(options, arm_and_start=arm_and_start)
    try:
        outcome = await _wait_for(start_run(options, switch, make_operator), switch)
    finally:
        switch.stop(leave=True)  # Too late, but for a run that nobody waits for any more.
    return outcome.tell()


class Probe(ProbeView):
    """``cryoctl.Probe`` for programs with an event loop: the same steps, awaited.

    Use it in an ``async with`` block. A step that is cancelled is not taken back; leaving the block
    makes the probe safe.
    """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def begin(self) -> None:
        """Have the probe test itself and its line for leaks, which takes 12 s."""
        await asyncio.wrap_future(self._session.begin())

    async def place(self) -> None:
        """Begin to place the needle: only then the nerve may be stimulated."""
        await asyncio.wrap_future(self._session.place())

    async def stimulate(
        self,
        *,
        frequency_hz: float,
        pulse_ms: float,
        amplitude_ma: float,
        duration_s: float = STIMULUS_S,
    ) -> StimulusResponse | None:
        """Do what ``cryoctl.Probe.stimulate`` does."""
        stimulus = Stimulus.of(
            frequency_hz=frequency_hz,
            pulse_ms=pulse_ms,
            amplitude_ma=amplitude_ma,
            duration_s=duration_s,
        )
        await asyncio.wrap_future(self._session.stimulate(stimulus))
        return self.stimulus_response

    async def placed(self) -> None:
        """Say that the needle is in place: only then the probe may be armed."""
        await asyncio.wrap_future(self._session.placed())

    async def arm(self) -> None:
        """Arm for one treatment; START has to follow within 10 s."""
        await asyncio.wrap_future(self._session.arm())

    async def start(self) -> None:
        """Start the treatment; return when the probe has taken it."""
        await asyncio.wrap_future(self._session.start())

    async def stop(self) -> None:
        """Stop whatever goes on; return when the probe is safe, the needle perhaps frozen in."""
        await asyncio.wrap_future(self._session.stop())

    async def reset(self) -> None:
        """Leave a treatment's end or a trip behind, so that another may begin."""
        await asyncio.wrap_future(self._session.reset())

    async def acknowledge(self) -> None:
        """Quiet the alarms that stand now; they stay in sight while their cause does."""
        await asyncio.wrap_future(self._session.acknowledge())

    async def pause_audio(self) -> None:
        """Silence the alarms that sound for two minutes, or until a new one comes."""
        await asyncio.wrap_future(self._session.pause_audio())

    async def change_cartridge(self) -> None:
        """Take note, in IDLE, that a full cartridge was put in; a simulated probe gets one."""
        await asyncio.wrap_future(self._session.change_cartridge())

    async def wait(
        self, until: Callable[[Probe], object] | None = None, *, timeout_s: float | None = None
    ) -> Verdict | None:
        """Wait as ``cryoctl.Probe.wait`` does."""
        started_s = self._session.ticked_s
        while self._waits_on(until, started_s, timeout_s) and not (until and until(self)):
            await asyncio.wrap_future(self._session.tick())
        return self.verdict

    async def inject(self, fault: str) -> None:
        """Have a fault simulated, such as ``tc_open@0s``; for ``sim:`` alone."""
        await asyncio.wrap_future(self._session.inject(fault))

    async def close(self) -> Result:
        """End the session; when cancelled, it leaves as soon as the probe is safe."""
        self._session.close()
        outcome = await _wait_for(self._ended, self._switch)
        self._forgotten.detach()
        return outcome.tell()


async def connect(
    device: str,
    treatment: FilePath | None = None,
    *,
    seed: int | None = None,
    speed: float = 1.0,
    set: Mapping[str, object] | None = None,  # noqa: A002  # As the command line's option.
    scenario: FilePath | None = None,
    faults: Sequence[str] = (),
    vendor: FilePath | None = None,
    requirements: FilePath | None = None,
    cartridge_g: float | None = None,
    bench_waiver: str = "",
    scavenging: bool = False,
    out: FilePath | None = None,
    sign_key: FilePath | None = None,
    keys: FilePath | None = None,
) -> Probe:
    """Do what ``cryoctl.connect`` does, without holding up the event loop."""
    options = make_options(
        treatment,
        device=device,
        seed=seed,
        speed=speed,
        settings=settings_of(set or {}),
        scenario=scenario,
        faults=faults,
        vendor=vendor,
        requirements=requirements,
        cartridge_g=cartridge_g,
        bench_waiver=bench_waiver,
        scavenging=scavenging,
        out=out,
        sign_key=sign_key,
        keys=keys,
    )
    session, ended, switch = start_session(options)
    probe = Probe(session, ended, switch)
    try:
        await asyncio.wrap_future(session.connected())
    except ProbeError as error:
        raise LinkError((await probe.close()).failure or str(error)) from error
    except BaseException:
        await probe.close()
        raise
    return probe


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
