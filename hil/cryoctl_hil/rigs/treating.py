"""The production controller on a rig: it drives a whole treatment, as on a patient's probe."""

from __future__ import annotations

from cryoctl.core import Controller, Settings
from cryoctl.operators import AutomaticOperator
from cryoctl.records import RecordSink
from cryoctl.treatment import Treatment
from cryoctl_protocol.device_keys import KeyRing
from cryoctl_protocol.profile import Profile


class Treating:
    """A controller and whoever asks it for each step (``Host``).

    Args:
        treatment: What to do.
        profile: Of the probe.
        key: The probe's, or the ring that chooses it.
        nonce_seed: Random bytes; fixed where a run must repeat.
        sink: Takes records.
    """

    def __init__(
        self,
        treatment: Treatment,
        profile: Profile,
        key: bytes | KeyRing,
        *,
        nonce_seed: bytes,
        sink: RecordSink,
    ) -> None:
        self.controller = Controller(
            treatment, profile, Settings(key=key, nonce_seed=nonce_seed), sink
        )
        self._operator = AutomaticOperator()

    def connect(self, now_s: float) -> None:
        """Begin a new session."""
        self.controller.connect(now_s)

    def on_body(self, body: bytes, now_s: float) -> None:
        """Take one frame off the link."""
        self.controller.on_body(body, now_s)

    def on_line_errors(self, count: int, now_s: float) -> None:
        """Note pieces of the stream that were no frame."""
        self.controller.on_line_errors(count, now_s)

    def on_link_gone(self, reason: str, now_s: float) -> None:
        """Note that the link itself is gone."""
        self.controller.on_link_gone(reason, now_s)

    def on_link_back(self, now_s: float) -> None:
        """Note that the link is there again."""
        self.controller.on_link_back(now_s)

    def tick(self, now_s: float) -> None:
        """Run the control tick, then let the operator ask for the next step."""
        self.controller.tick(now_s)
        self._operator.act(self.controller, now_s)

    def outgoing(self, now_s: float) -> list[bytes]:
        """Return the frames to send, and forget them."""
        return self.controller.outgoing(now_s)

    def crash(self, now_s: float) -> list[bytes]:
        """Make the probe safe after an error in the program; return the frames to send."""
        return self.controller.crash(now_s)
