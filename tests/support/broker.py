"""Real brokers for tests: a mosquitto of one's own at a free port of this machine."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cryoctl.broker_files import Role, add_user, create
from cryoctl.mosquitto import (
    INSTALL,
    BrokerError,
    find_mosquitto,
    free_port,
    loopback_configuration,
    start,
)
from cryoctl_protocol.mqtt.address import MqttAddress
from cryoctl_protocol.peer import DeviceUrl
from tests.support.programs import do_without

SITE = "bench"
DEVICE = "probe-1"


def require_mosquitto() -> None:
    """Skip the test without mosquitto; where CI says that it is CI, fail it."""
    try:
        find_mosquitto()
    except BrokerError:
        do_without(INSTALL)


async def until(is_so: Callable[[], object], *, within_s: float = 10.0) -> None:
    """Wait until ``is_so`` returns something true."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + within_s
    while not is_so():
        assert loop.time() < until_s, "it did not come to that"
        await asyncio.sleep(0.01)


class Broker:
    """A running mosquitto that a test may freeze, kill and start again at the same port.

    Args:
        configuration: Its file.
        port: Where that has it listen.
        scheme: ``mqtt``, or ``mqtts`` for TLS.
    """

    def __init__(self, configuration: Path, port: int, scheme: str = "mqtt") -> None:
        self.configuration = configuration
        self.folder = configuration.parent
        self.port = port
        self.scheme = scheme
        self.restart()

    def url(self, user: str = "", *, device: str = DEVICE) -> str:
        """Return where a device is; an empty ``device`` is the site alone."""
        query = []
        if user:
            query.append(f"user={user}")
        if self.scheme == "mqtts":
            query.append(f"ca={self.folder / 'ca.crt'}")
            if user:
                query.append(f"cert={self.folder / user}.crt&key={self.folder / user}.key")
        place = f"{self.scheme}://127.0.0.1:{self.port}/{SITE}/{device}".rstrip("/")
        return place + ("?" + "&".join(query) if query else "")

    def address(self, user: str = "", *, device: str = DEVICE) -> MqttAddress:
        """Return the same, read."""
        return MqttAddress.of(DeviceUrl.parse(self.url(user, device=device)), site_only=not device)

    def freeze(self) -> None:
        """Have it stand still, its sockets open."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Have it go on."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it as a power failure would."""
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        """Start it at its port; with nothing remembered, since it keeps nothing."""
        with (self.folder / "mosquitto.log").open("ab") as log:
            self._process = start(self.configuration, self.port, log=log.fileno())

    def stranger(self, program: str, *arguments: str, data: bytes = b"") -> bytes:
        """Run ``mosquitto_pub`` or ``mosquitto_sub`` at it; return what that printed."""
        done = subprocess.run(
            [program, "-h", "127.0.0.1", "-p", str(self.port), *arguments],
            input=data,
            capture_output=True,
            check=False,
            timeout=30.0,
        )
        return done.stdout


@contextmanager
def _running(configuration: Path, port: int, scheme: str = "mqtt") -> Iterator[Broker]:
    broker = Broker(configuration, port, scheme)
    try:
        yield broker
    finally:
        broker.thaw()
        broker.kill()


@contextmanager
def plain_broker(folder: Path) -> Iterator[Broker]:
    """Yield a broker for anybody on this machine."""
    with broker_at(folder, "127.0.0.1") as broker:
        yield broker


@contextmanager
def broker_at(folder: Path, listen: str) -> Iterator[Broker]:
    """Yield a broker for whoever reaches ``listen``, an address of this machine."""
    require_mosquitto()
    port = free_port()
    configuration = folder / "mosquitto.conf"
    configuration.write_text(loopback_configuration(port).replace("127.0.0.1", listen))
    with _running(configuration, port) as broker:
        yield broker


@contextmanager
def password_broker(folder: Path, acl: str, users: Sequence[str]) -> Iterator[Broker]:
    """Yield a broker with these users, whose passwords are their names, and an ACL file."""
    require_mosquitto()
    port = free_port()
    passwords = folder / "passwords"
    passwords.touch(mode=0o600)
    for user in users:
        subprocess.run(
            [shutil.which("mosquitto_passwd") or "mosquitto_passwd", "-b", passwords, user, user],
            check=True,
        )
    (folder / "acl").write_text(acl)
    (folder / "acl").chmod(0o600)
    configuration = folder / "mosquitto.conf"
    text = loopback_configuration(port).replace("allow_anonymous true", "allow_anonymous false")
    configuration.write_text(f"{text}password_file {passwords}\nacl_file {folder / 'acl'}\n")
    with _running(configuration, port) as broker:
        yield broker


@contextmanager
def tls_broker(
    folder: Path,
    *,
    devices: Sequence[str] = (DEVICE,),
    controllers: Sequence[str] = ("desk",),
    viewers: Sequence[str] = (),
) -> Iterator[Broker]:
    """Yield a broker as ``cryoctl broker init`` makes it, with certificates made on the spot."""
    require_mosquitto()
    port = free_port()
    site = folder / "broker"
    create(site, site=SITE, hosts=["127.0.0.1"], listen="127.0.0.1", port=port)
    for role, names in zip(Role, (devices, controllers, viewers), strict=True):
        for name in names:
            add_user(site, name, role)
    with _running(site / "mosquitto.conf", port, "mqtts") as broker:
        yield broker
