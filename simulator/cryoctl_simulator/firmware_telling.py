"""What a firmware whose memory nobody knows says of itself on its link."""

from __future__ import annotations

from cryoctl_protocol.framing import Deframer, message_in
from cryoctl_protocol.messages import Hello, Telemetry
from cryoctl_simulator.firmware_state import FirmwareState


class Telling:
    """Listens to a firmware.

    Attributes:
        state: Its state, trip and freezing time, by its telemetry; the rest stays as at power-up.
        hello: Who it says it is; None until it has.
    """

    def __init__(self) -> None:
        self.state = FirmwareState()
        self.hello: Hello | None = None
        self._deframer = Deframer()

    def listen(self, sent: bytes) -> None:
        """Take what ``sent`` says."""
        for body in self._deframer.feed(sent):
            message = message_in(body)
            if isinstance(message, Telemetry):
                self.state.state = message.state
                self.state.trip = message.trip
                self.state.freeze_ms = message.freeze_ms
            elif isinstance(message, Hello):
                self.hello = message
