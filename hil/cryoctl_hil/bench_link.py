"""How long a command takes to its ACK over real ports, to a probe in another process."""

from __future__ import annotations

import asyncio
import statistics
from typing import Final, NamedTuple

from cryoctl.commands import NOTHING
from cryoctl.port_link import RealTimeLoop
from cryoctl.virtual_time import sleep_until
from cryoctl_protocol.auth import DEMO_KEY
from cryoctl_protocol.codes import HostMode, Op
from cryoctl_protocol.host_session import HostSession, Phase
from cryoctl_protocol.peer import DeviceUrl, FrameLink, open_device

SPREAD_S: Final = 0.016_18
"""Between two commands to a probe that ticks every 10 ms: by the golden ratio, so that they come
early, late and in the middle between two ticks."""
_OPENED_S_MAX: Final = 10.0
_ACK_S_MAX: Final = 1.0
_MS: Final = 1000.0
_REFUSED: Final = NOTHING._replace(op=Op.END)
"""Refused by a probe at rest, so that it changes nothing, and answered as any."""


class AckTimes(NamedTuple):
    """From making a command to having its ACK."""

    p50_ms: float
    p99_ms: float


def command_to_ack(address: str, *, count: int, period_s: float = 0.0) -> AckTimes:
    """Send ``count`` commands, each after the ACK of the one before.

    Args:
        address: Of a probe that nobody else talks to.
        count: Of commands.
        period_s: From command to command; 0 sends one as soon as the last is answered.
    """
    with asyncio.Runner(loop_factory=RealTimeLoop) as runner:
        percentiles = statistics.quantiles(
            runner.run(_measure(address, count, period_s)), n=100, method="inclusive"
        )
    return AckTimes(p50_ms=percentiles[49] * _MS, p99_ms=percentiles[98] * _MS)


async def _measure(address: str, count: int, period_s: float) -> list[float]:
    loop = asyncio.get_running_loop()
    link = open_device(DeviceUrl.parse(address)).link
    assert link is not None
    session = HostSession(DEMO_KEY, nonce_seed=b"bench")
    times_s = []
    try:
        async with asyncio.timeout(_OPENED_S_MAX):
            await _open(link, session)
        opened_s = loop.time()
        for number in range(count):
            await sleep_until(opened_s + number * period_s)
            async with asyncio.timeout(_ACK_S_MAX):
                began_s = loop.time()
                session.command(_REFUSED, began_s)
                await _send(link, session)
                while session.busy:
                    await _hear(link, session)
                    # What a machine that stalls has lost is said again, as a controller does.
                    assert not session.poll(loop.time()), "a command was never answered"
                    await _send(link, session)
                times_s.append(loop.time() - began_s)
    finally:
        await link.close()
    return times_s


async def _open(link: FrameLink, session: HostSession) -> None:
    await link.receive()  # Before a link has heard a probe it sends nothing.
    session.open(asyncio.get_running_loop().time())
    while session.phase is not Phase.OPEN:
        await _send(link, session)
        await _hear(link, session)
        session.lease(HostMode.IDLE, asyncio.get_running_loop().time())


async def _send(link: FrameLink, session: HostSession) -> None:
    for body in session.outgoing():
        await link.send(body)


async def _hear(link: FrameLink, session: HostSession) -> None:
    frame = await link.receive()
    session.on_body(frame.data, frame.received_s)
