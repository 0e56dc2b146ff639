"""Where a device is on which broker, and how to get in: what an ``mqtt://`` address says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from cryoctl_protocol.mqtt.topics import NAME, Topics
from cryoctl_protocol.peer import AddressError, DeviceUrl, is_host
from cryoctl_protocol.private_file import refuse_others
from cryoctl_protocol.toml_text import FileError

PLAIN: Final = "mqtt"
TLS: Final = "mqtts"
_PORTS: Final = {PLAIN: 1883, TLS: 8883}
PARAMS: Final = ("user", "ca", "cert", "key")
PASSWORD_VARIABLE: Final = "CRYOCTL_MQTT_PASSWORD"  # noqa: S105 (the name of it)
_EXAMPLE: Final = "mqtt://127.0.0.1/bench/probe-1"
_NAME_RULE: Final = "letters, digits and . _ - only, at most 64, beginning with a letter or digit"
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


class MqttAddress(NamedTuple):
    """One device on one broker.

    Attributes:
        device: Its serial number; empty where the device itself is to say it (``cryoctl sim``, a
            gateway).
        user: Name to log in with; the password comes from CRYOCTL_MQTT_PASSWORD. None: none. With
            a certificate, the name in it: a broker's ACL goes by that.
        ca: File with the certificate that signed the broker's; None takes the system's.
        cert: File with our own certificate, and ``key`` with its key; None: none.
    """

    host: str
    port: int
    site: str
    device: str
    tls: bool = False
    user: str | None = None
    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    @classmethod
    def of(cls, url: DeviceUrl, *, site_only: bool = False) -> MqttAddress:
        """Read ``mqtt[s]://HOST[:PORT]/SITE/DEVICE[?user=NAME&ca=FILE&cert=FILE&key=FILE]``.

        Args:
            url: As given.
            site_only: Without ``/DEVICE``, which the probe itself is to say.

        Raises:
            AddressError: Says what is wrong with it.
        """
        if url.scheme not in _PORTS:
            raise AddressError(f"broker {url}: expected mqtt:// or mqtts://, such as {_EXAMPLE}")
        for key, _ in url.params:
            if key not in PARAMS:
                raise AddressError(
                    f"device {url}: unknown parameter '{key}' (allowed: {', '.join(PARAMS)})"
                )
        host, port = _host(url)
        site, device = _names(url, site_only=site_only)
        tls = url.scheme == TLS
        files = {name: url.get(name) for name in ("ca", "cert", "key")}
        if not tls and any(files.values()):
            raise AddressError(f"device {url}: ca, cert and key are for mqtts://")
        if (files["cert"] is None) != (files["key"] is None):
            raise AddressError(f"device {url}: cert and key go together")
        for name, path in files.items():
            if path is not None and not Path(path).is_file():
                raise AddressError(f"device {url}: {name}: there is no file {path}")
        _refuse_open_key(files["key"])
        user = url.get("user")
        if user is not None and not NAME.fullmatch(user):
            raise AddressError(f"device {url}: user '{user}': {_NAME_RULE}")
        return cls(host, port, site, device, tls, user, **files)

    @property
    def topics(self) -> Topics:
        """Topics of the device."""
        return Topics(self.site, self.device)

    @property
    def is_local(self) -> bool:
        """True if the broker is on this machine."""
        return self.host in _LOOPBACK

    @property
    def password(self) -> str | None:
        """Password to log in with, from the environment; None without a user."""
        return None if self.user is None else os.environ.get(PASSWORD_VARIABLE, "")

    @property
    def broker(self) -> str:
        """Host and port, for people."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        scheme = TLS if self.tls else PLAIN
        return f"{scheme}://{self.broker}/{self.site}/{self.device}".rstrip("/")


def _refuse_open_key(key: str | None) -> None:
    if key is None:
        return
    try:
        refuse_others(Path(key), Path(key).stat().st_mode)
    except FileError as error:
        raise AddressError(str(error)) from error


def _host(url: DeviceUrl) -> tuple[str, int]:
    parts = urlsplit(f"{url.scheme}:{url.path}")
    if parts.password is not None or parts.username is not None:
        raise AddressError(
            f"device {url.scheme}://...: no user or password in an address, which ends up in "
            f"recordings: use ?user=NAME and the variable {PASSWORD_VARIABLE}"
        )
    try:
        port = parts.port
    except ValueError:
        port = 0
    if not parts.hostname or not is_host(parts.hostname) or port == 0:
        raise AddressError(f"device {url}: expected HOST or HOST:PORT, such as {_EXAMPLE}")
    return parts.hostname, port or _PORTS[url.scheme]


def _names(url: DeviceUrl, *, site_only: bool) -> tuple[str, str]:
    names = urlsplit(f"{url.scheme}:{url.path}").path.strip("/").split("/")
    expected = ("SITE", "mqtt://127.0.0.1/bench") if site_only else ("SITE/DEVICE", _EXAMPLE)
    if len(names) != len(expected[0].split("/")) or not names[0]:
        raise AddressError(
            f"device {url}: expected {expected[0]} behind the broker, such as {expected[1]}"
        )
    for name in names:
        if not NAME.fullmatch(name):
            raise AddressError(f"device {url}: name '{name}': {_NAME_RULE}")
    return names[0], "" if site_only else names[1]
