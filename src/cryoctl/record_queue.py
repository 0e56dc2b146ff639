"""In real time a queue and one thread stand before the recorder: no disk can hold up control."""

from __future__ import annotations

import queue
from collections.abc import Callable
from threading import Thread
from typing import Any, Final

from cryoctl.recorder import Recorder
from cryoctl.records import Control, IceEstimate, LogEvent
from cryoctl.sample import Sample
from cryoctl.stall_watch import StallWatch
from cryoctl.storage import FINE, Storage, not_kept
from cryoctl_protocol.truth import TruthSample

QUEUE_SIZE: Final = 4096
"""Records; about 20 s of a treatment, twice the longest stall that SR-33 names."""

BEHIND: Final = 20
"""Records that wait, 0.1 s of a treatment; with more of them, a flush would only add to it."""

_HOLED: Final = not_kept("records were lost: the disk did not keep up")

_Item = tuple[int, Callable[..., None], tuple[Any, ...]]


class QueuedRecorder:
    """Passes records on to ``recorder`` in a thread of its own; never blocks, never raises.

    Args:
        recorder: Belongs to this object until ``stop`` has returned.
        size: Records that may wait; what comes on top is dropped, and counted.
    """

    def __init__(self, recorder: Recorder, size: int = QUEUE_SIZE) -> None:
        self._recorder = recorder
        self._refused = 0
        self._told = 0
        self._stalled = ""
        self._stalls = StallWatch()
        self._queue: queue.Queue[_Item | None] = queue.Queue(size)
        # A daemon: a disk that never answers must not keep the program from ending.
        self._thread = Thread(target=self._run, name="cryoctl-recorder", daemon=True)
        self._thread.start()

    @property
    def storage(self) -> Storage:
        """How the recording stands; ARM waits for it (SR-33)."""
        if self._stalled:
            return not_kept(self._stalled)
        if self._refused:
            return _HOLED
        kept = self._recorder.storage
        return kept if kept != FINE else self._stalls.storage

    @property
    def failure(self) -> str:
        """Why records are no longer kept; empty while they are."""
        return self._stalled or self._recorder.failure

    @property
    def dropped(self) -> int:
        """Records that are not in the file."""
        return self._recorder.dropped + self._refused - self._told

    def received(self, body: bytes, now_s: float) -> None:
        """Record a frame that came in."""
        self._put(self._recorder.received, body, now_s)

    def sent(self, body: bytes, now_s: float) -> None:
        """Record a frame that went out."""
        self._put(self._recorder.sent, body, now_s)

    def sample(self, sample: Sample, now_s: float) -> None:
        """Record a valid sample."""
        self._put(self._recorder.sample, sample, now_s)

    def control(self, control: Control, now_s: float) -> None:
        """Record a control tick."""
        self._put(self._recorder.control, control, now_s)

    def estimate(self, estimate: IceEstimate, now_s: float) -> None:
        """Record what the observer makes of the ice."""
        self._put(self._recorder.estimate, estimate, now_s)

    def truth(self, sample: TruthSample, now_s: float) -> None:
        """Record plant truth."""
        self._put(self._recorder.truth, sample, now_s)

    def vendor(self, message_id: int, payload: bytes, now_s: float) -> None:
        """Record a vendor message."""
        self._put(self._recorder.vendor, message_id, payload, now_s)

    def event(self, event: LogEvent) -> None:
        """Record an event."""
        self._put(self._recorder.event, event)

    def anchor(self, seq: int, head: str, now_s: float) -> None:
        """Record the hash of a record of the audit trail."""
        self._put(self._recorder.anchor, seq, head, now_s)

    def drain(self, timeout_s: float) -> None:
        """Write what waits; nothing more is taken. ``failure`` then tells how that went."""
        try:
            self._queue.put(None, timeout=timeout_s)
        except queue.Full:
            self._give_up(timeout_s)
            return
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            self._give_up(timeout_s)
            return
        self._tell(self._refused)

    def close(self, summary_json: str) -> None:
        """Close the recorder, after ``drain``; a disk that took nothing then is left alone."""
        if not self._stalled:
            self._recorder.close(summary_json)

    def _give_up(self, timeout_s: float) -> None:
        self._stalled = f"recording failed: the disk took nothing for {timeout_s:g} s"

    def _put(self, write: Callable[..., None], *arguments: Any) -> None:
        try:
            self._queue.put_nowait((self._refused, write, arguments))
        except queue.Full:
            self._refused += 1

    def _run(self) -> None:
        try:
            while (item := self._queue.get()) is not None:
                refused, write, arguments = item
                self._tell(refused)
                self._recorder.holds_flush = self._queue.qsize() > BEHIND
                self._stalls.begin()
                write(*arguments)
                self._stalls.end()
        except BaseException as error:  # noqa: BLE001  # Whatever it is, records are not kept.
            self._stalled = f"recording failed: {error!r}"

    def _tell(self, refused: int) -> None:
        """Have the recorder leave a gap where records were refused."""
        if refused > self._told:
            self._recorder.skip(refused - self._told)
            self._told = refused
