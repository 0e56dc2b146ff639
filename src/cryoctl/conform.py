"""Carries an examination out: over a peer in virtual time, or over a link in real time."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from cryoctl.lockstep import STEPS_PER_S
from cryoctl.port_link import RealTimeLoop
from cryoctl_protocol.conformance.bench import Bench
from cryoctl_protocol.conformance.conformance import Conformance, Outcome
from cryoctl_protocol.device_keys import KeyRing, OneKey
from cryoctl_protocol.peer import ByteLink, FrameLink, LinkError, Opened, SyncPeer

STEP_S: Final = 1.0 / STEPS_PER_S

Tell = Callable[[Outcome], None]


class Examination:
    """What became of a device that was examined.

    Args:
        opened: The device; its link is closed at the end.
        keys: What its key is chosen from.
        levels: Which to examine.
        may_freeze: Gas may flow.
        tell: Called with every outcome as it comes.

    Attributes:
        bench: What was heard and said.
        lost: Why the link went; empty if it did not.
    """

    def __init__(
        self,
        opened: Opened,
        keys: bytes | KeyRing,
        *,
        levels: Iterable[int],
        may_freeze: bool,
        tell: Tell,
    ) -> None:
        self.lost = ""
        link = opened.link
        self.bench = Bench(
            OneKey(keys) if isinstance(keys, bytes) else keys,
            # With the simulator in this process every run is the same.
            nonce_seed=b"conform" if link is None else secrets.token_bytes(32),
            is_stream=link is None or isinstance(link, ByteLink),
            limits=opened.limits,
        )
        self._conformance = Conformance(self.bench, levels, may_freeze=may_freeze)
        self._opened = opened
        self._tell = tell
        self._told = 0

    @property
    def outcomes(self) -> list[Outcome]:
        """What came of the checks."""
        return self._conformance.outcomes

    def carry_out(self) -> None:
        """Make every check; raises LinkError for a device with neither peer nor link."""
        opened = self._opened
        if opened.link is not None:
            with asyncio.Runner(loop_factory=RealTimeLoop) as runner:
                runner.run(self._over_link(opened.link))
        elif opened.peer is not None:
            self._over_peer(opened.peer)
        else:
            raise LinkError(f"{opened.description}: opened, but there is nothing to examine")

    def _over_peer(self, peer: SyncPeer) -> None:
        bench, steps = self.bench, 0
        while not self._conformance.finished:
            steps += 1
            now_s = steps / STEPS_PER_S
            data = peer.advance_to(now_s, b"".join(bench.outgoing()))
            if data:
                bench.hear(data, now_s)
            self._step(now_s)

    async def _over_link(self, link: FrameLink) -> None:
        loop = asyncio.get_running_loop()
        if isinstance(link, ByteLink):
            link.listen(self.bench.hear)
        reader = loop.create_task(self._read(link))
        try:
            while not self._conformance.finished:
                await self._say(link, self.bench.outgoing())
                await asyncio.sleep(STEP_S)
                if reader.done():
                    self._conformance.give_up(self.lost)
                self._step(loop.time())
        finally:
            said = self.bench.stop()
            # An examination that was broken off leaves nothing on; the lease is the second line.
            if said is not None and self.bench.is_driven:
                with suppress(LinkError):
                    await link.send(said[1])
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
            await link.close()

    async def _read(self, link: FrameLink) -> None:
        try:
            while True:
                frame = await link.receive()
                if not isinstance(link, ByteLink):
                    self.bench.hear_body(frame.data, frame.received_s)
        except LinkError as error:
            self.lost = str(error)

    async def _say(self, link: FrameLink, out: list[bytes]) -> None:
        with suppress(LinkError):  # The reader tells why.
            for data in out:
                if isinstance(link, ByteLink):
                    link.send_bytes(data)
                else:
                    await link.send(data)

    def _step(self, now_s: float) -> None:
        self._conformance.step(now_s)
        for outcome in self.outcomes[self._told :]:
            self._tell(outcome)
        self._told = len(self.outcomes)
