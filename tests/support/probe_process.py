"""A probe in mid-freeze at a broker, in a process of its own that may be stopped."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

from cryoctl_protocol.codec import encode
from cryoctl_protocol.framing import DELIMITER, build, wrap
from cryoctl_protocol.messages import ID_OF
from cryoctl_protocol.mqtt.address import MqttAddress
from cryoctl_protocol.peer import DeviceUrl
from cryoctl_simulator.device import TICKS_PER_S
from cryoctl_simulator.served.mqtt_endpoint import MqttEndpoint
from cryoctl_simulator.served.server import ProbeServer
from tests.support.broker import DEVICE
from tests.support.probe_at_broker import new_stack


def main(url: str, state: str) -> None:
    """Serve the saved device from SIGUSR1 until SIGINT; print where its valve is."""
    device = new_stack().peer
    device.load(Path(state).read_bytes())
    address = MqttAddress.of(DeviceUrl.parse(url), site_only=True)
    endpoint = MqttEndpoint(address, DEVICE, lambda _line: None)
    hello = device.firmware.session.identity  # type: ignore[attr-defined]
    body = build(ID_OF[type(hello)], encode(hello), seq=0, session=0, key=None)
    endpoint.put(DELIMITER + wrap(body))
    server = ProbeServer(device, endpoint, baud=None)  # type: ignore[arg-type]
    server._ticks = device._ticks  # type: ignore[attr-defined]
    assert server.now_s * TICKS_PER_S > 0
    seen: list[int] = []
    for number in (signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, lambda number, _frame: seen.append(number))
    while not endpoint.openings:
        endpoint.take()
        time.sleep(0.01)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while not seen:
        endpoint.take()
        time.sleep(0.01)
    server.run(lambda: signal.SIGINT in seen)
    endpoint.close()
    valve = device.actuators.valve  # type: ignore[attr-defined]
    sys.stdout.write(f"valve {valve}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
