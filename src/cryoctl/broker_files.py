"""The folder of a broker: a mosquitto configuration, who may do what, and their certificates."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

from cryoctl.certificates import (
    AUTHORITY,
    SERVER,
    make_authority,
    make_client,
    make_server,
    write_new,
)
from cryoctl.mosquitto import BrokerError, common_lines
from cryoctl_protocol.mqtt.topics import NAME, ROOT, Leaf

CONFIGURATION: Final = "mosquitto.conf"
ACL: Final = "acl"
PORT: Final = 8883
_RESERVED: Final = (AUTHORITY, SERVER)
_SHOWN: Final = (Leaf.BIRTH, Leaf.CONN, Leaf.STATE, Leaf.TELE, Leaf.EVENT)
_JSON: Final = "json/#"
_SITE: Final = re.compile(r"^# site (\S+)$", re.MULTILINE)
_USER: Final = re.compile(r"^user (\S+)$", re.MULTILINE)


class Role(StrEnum):
    """What somebody is to a broker."""

    DEVICE = "device"
    CONTROLLER = "controller"
    VIEWER = "viewer"


class BrokerFolder(NamedTuple):
    """What a folder of a broker says.

    Attributes:
        site: Of its devices.
        port: Where the broker listens.
        users: Everybody who has a certificate and rights.
    """

    site: str
    port: int
    users: tuple[str, ...]


def create(folder: Path, *, site: str, hosts: Sequence[str], listen: str, port: int = PORT) -> None:
    """Make the folder of a broker that knows nobody yet.

    Args:
        folder: New, or empty.
        site: First level of the topics of its devices.
        hosts: Names and addresses by which clients will call the broker.
        listen: Address to listen at; empty is every one.
        port: To listen at.

    Raises:
        BrokerError: There is a broker already, a name that cannot be, or no cryptography.
    """
    _check_name("site", site)
    for name in (f"{AUTHORITY}.crt", f"{AUTHORITY}.key", CONFIGURATION, ACL):
        if (folder / name).exists():
            raise BrokerError(
                f"{folder / name}: there is a broker already, and nothing of it is overwritten; "
                f"add to it with: cryoctl broker add {folder} NAME"
            )
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BrokerError(f"{folder}: {error.strerror or error}") from error
    make_authority(folder, f"cryoctl broker of {site}")
    make_server(folder, hosts)
    write_new(
        folder / ACL,
        f"# Who may do what, by the name in the certificate.\n# site {site}\n".encode(),
    )
    write_new(folder / CONFIGURATION, _configuration(folder.resolve(), listen, port).encode())


def add_user(folder: Path, name: str, role: Role) -> None:
    """Make a certificate and give its owner the rights of a role.

    Raises:
        BrokerError: No broker's folder, or the name cannot be, or is taken.
    """
    found = read_folder(folder)
    _check_name("name", name)
    if name in found.users or name in _RESERVED:
        raise BrokerError(f"{folder}: name '{name}' is taken")
    make_client(folder, name)
    with (folder / ACL).open("a", encoding="utf-8") as file:
        file.write(acl_section(found.site, name, role))


def read_folder(folder: Path) -> BrokerFolder:
    """Return what a folder says; raises BrokerError if ``create`` did not make it."""
    try:
        acl = (folder / ACL).read_text("utf-8")
        configuration = (folder / CONFIGURATION).read_text("utf-8")
    except (OSError, ValueError) as error:
        raise BrokerError(f"{folder}: no broker's folder: {error}") from error
    site = _SITE.search(acl)
    port = re.search(r"^listener (\d+)", configuration, re.MULTILINE)
    if site is None or port is None:
        raise BrokerError(f"{folder}: no broker's folder of cryoctl broker init")
    return BrokerFolder(site[1], int(port[1]), tuple(_USER.findall(acl)))


def acl_section(site: str, name: str, role: Role) -> str:
    """Return what a role may do, as mosquitto reads it; whatever is not named is refused."""
    every = f"{ROOT}/{site}/+"
    own = f"{ROOT}/{site}/{name}"
    rights = {
        Role.DEVICE: [
            *(f"write {own}/{leaf}" for leaf in _SHOWN),
            f"write {own}/{Leaf.ACK}/#",
            f"write {own}/{_JSON}",
            f"read {own}/{Leaf.CMD}",
            f"read {own}/{Leaf.LEASE}",
        ],
        Role.CONTROLLER: [
            f"write {every}/{Leaf.CMD}",
            f"write {every}/{Leaf.LEASE}",
            *(f"read {every}/{leaf}" for leaf in _SHOWN),
            # Nobody else reads there: a controller may measure its own echo.
            f"readwrite {every}/{Leaf.ACK}/{name}/#",
        ],
        Role.VIEWER: [*(f"read {every}/{leaf}" for leaf in _SHOWN), f"read {every}/{_JSON}"],
    }[role]
    return "\n".join(["", f"# {role}", f"user {name}", *(f"topic {right}" for right in rights), ""])


def _configuration(folder: Path, listen: str, port: int) -> str:
    lines = [
        "# Written by cryoctl broker init; yours to change.",
        *common_lines(),
        f"listener {port} {listen}".rstrip(),
        f"cafile {folder / AUTHORITY}.crt",
        f"certfile {folder / SERVER}.crt",
        f"keyfile {folder / SERVER}.key",
        "tls_version tlsv1.3",
        "# No certificate of this authority, no connection; the name in it is the user's.",
        "require_certificate true",
        "use_identity_as_username true",
        "allow_anonymous false",
        f"acl_file {folder / ACL}",
        "",
    ]
    return "\n".join(lines)


def _check_name(what: str, name: str) -> None:
    if not NAME.fullmatch(name):
        raise BrokerError(
            f"{what} '{name}': letters, digits and . _ - only, at most 64, beginning with a letter "
            "or digit"
        )
