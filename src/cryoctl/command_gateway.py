"""``cryoctl gateway``: a probe on a cable becomes one on a broker."""

from __future__ import annotations

import asyncio
import contextlib
import signal

import click

from cryoctl.dialect import OWN
from cryoctl.gateway import Gateway
from cryoctl.port_link import RealTimeLoop
from cryoctl_protocol.mqtt.address import MqttAddress
from cryoctl_protocol.peer import (
    AddressError,
    DeviceUrl,
    FrameLink,
    LinkError,
    Reach,
    open_device,
)


@click.command()
@click.option("--serial", metavar="PATH", help="Serial port of the probe.")
@click.option("--device", metavar="URL", help="Its address, where it is no serial port.")
@click.option("--mqtt", required=True, metavar="URL", help="mqtt://HOST/SITE or mqtts://...")
def gateway(serial: str | None, device: str | None, mqtt: str) -> int:
    """Pass a probe's frames on to an MQTT broker and back until Ctrl-C.

    It holds no key: it can neither read secrets nor command the probe. It must be alone on the
    port. A probe of another dialect, without lease or authentication, or with the public key on a
    real port is refused.
    """
    if (serial is None) == (device is None):
        raise click.UsageError("give --serial PATH or --device URL, one of them")
    address = MqttAddress.of(DeviceUrl.parse(mqtt), site_only=True)
    url = DeviceUrl.parse(f"serial:{serial}" if device is None else device)
    if url.scheme in ("mqtt", "mqtts"):
        raise AddressError(f"device {url}: is on a broker already")

    if (url.get("dialect") or OWN) != OWN:
        raise AddressError(
            f"device {url}: a gateway passes on what a broker cannot forge, and other dialects "
            "have no tags: command such a probe on its cable"
        )

    again = url
    reach: Reach | None = None

    def open_probe() -> FrameLink:
        nonlocal again, reach
        opened = open_device(again)
        if opened.link is None:
            raise AddressError(f"device {url}: no probe on a cable; give a serial: or tcp: address")
        if opened.reach is not (reach or opened.reach):  # The probe was judged by it.
            opened.link.abort()
            raise LinkError(f"device {url}: it was {reach} and leads to {opened.reach} now")
        reach = opened.reach
        again = opened.again or again  # The same device, wherever it turns up.
        return opened.link

    def tell(line: str) -> None:
        click.echo(line, err=True)

    async def serve(link: FrameLink) -> None:
        assert reach is not None
        passing = Gateway(open_probe, address, tell, reach=reach)
        serving = asyncio.create_task(passing.run(link))
        loop = asyncio.get_running_loop()
        with contextlib.suppress(NotImplementedError):  # Windows has Ctrl-C alone.
            loop.add_signal_handler(signal.SIGTERM, serving.cancel)
            loop.add_signal_handler(signal.SIGINT, serving.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        click.echo(f"passed on {passing.up} frames of the probe, {passing.down} for it")

    link = open_probe()
    click.echo(f"passing {url} on to {address}")
    with asyncio.Runner(loop_factory=RealTimeLoop) as runner:
        runner.run(serve(link))
    return 0
