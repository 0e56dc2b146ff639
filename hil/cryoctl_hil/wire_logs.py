"""What went over the wire: by the probe's log (``cryoctl sim --log``) and by the recording."""

from __future__ import annotations

from pathlib import Path

from cryoctl.recorder import FRAME_HEAD_SIZE, LINK_TX
from cryoctl.recording import load_messages
from cryoctl_protocol.framing import Deframer, message_in
from cryoctl_protocol.messages import Command, Telemetry


def telemetry_in(log: Path) -> list[tuple[float, Telemetry]]:
    """Return every telemetry that the probe sent, with the machine's time of its last byte, s."""
    deframer = Deframer()
    found: list[tuple[float, Telemetry]] = []
    for line in log.read_text().splitlines(keepends=True):
        if not line.endswith("\n"):
            break  # Just being written.
        _, machine_s, data = line.split()
        for body in deframer.feed(bytes.fromhex(data)):
            message = message_in(body)
            if isinstance(message, Telemetry):
                found.append((float(machine_s), message))
    return found


def commands_sent_after(recording: Path, at_s: float) -> int:
    """Return how many commands left the controller after ``at_s`` of its time; STOP is none."""
    sent = [
        message_in(message.payload[FRAME_HEAD_SIZE:])
        for message in load_messages(recording).messages
        if message.topic == LINK_TX and message.time_ns > at_s * 1e9
    ]
    return sum(isinstance(message, Command) for message in sent)
