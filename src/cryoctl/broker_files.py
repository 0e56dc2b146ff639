"""The folder of a broker: a mosquitto configuration, who may do what, and their certificates."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

from cryoctl.certificates import (
    AUTHORITY,
    SERVER,
    hosts_of_server,
    make_authority,
    make_client,
    make_server,
    revoke_client,
    write_new,
)
from cryoctl.issued import REVOKED
from cryoctl.mosquitto import BrokerError, common_lines
from cryoctl.private_file import write_private
from cryoctl_protocol.mqtt.topics import NAME, ROOT, Leaf

CONFIGURATION: Final = "mosquitto.conf"
ACL: Final = "acl"
PORT: Final = 8883
_RESERVED: Final = (AUTHORITY, SERVER)
_SHOWN: Final = (Leaf.BIRTH, Leaf.CONN, Leaf.STATE, Leaf.TELE, Leaf.EVENT)
_JSON: Final = "json/#"
_SITE: Final = re.compile(r"^# site (\S+)$", re.MULTILINE)
_USER: Final = re.compile(r"^user (\S+)$", re.MULTILINE)
_CRL_LINE: Final = re.compile(r"^crlfile \S", re.MULTILINE)
_LABEL: Final = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST: Final = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*", re.ASCII)
"""RFC 1123, section 2.1, and underscores, which names within a network do have."""


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
        looks_for_revoked: Whether it refuses certificates that were taken back.
    """

    site: str
    port: int
    users: tuple[str, ...]
    looks_for_revoked: bool


def create(
    folder: Path,
    *,
    site: str,
    hosts: Sequence[str],
    listen: str,
    port: int = PORT,
    users: Sequence[tuple[str, Role]] = (),
) -> None:
    """Make the folder of a broker; nothing is written before everything is found to be possible.

    Args:
        folder: New, or empty.
        site: First level of the topics of its devices.
        hosts: Names and addresses by which clients will call the broker.
        listen: Address to listen at; empty is every one.
        port: To listen at.
        users: Whom it knows from the beginning.

    Raises:
        BrokerError: There is a broker already, a name that cannot be, or no cryptography.
    """
    _check_name("site", site)
    for host in hosts:
        _check_host(host)
    _check_users(folder, [name for name, _ in users])
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
    for name, role in users:
        add_user(folder, name, role)


def add_user(folder: Path, name: str, role: Role) -> None:
    """Make a certificate and give its owner the rights of a role.

    Raises:
        BrokerError: No broker's folder, the name cannot be, or is taken, or the broker would not
            look for what the name had before.
    """
    found = _read_to_revoke(folder)
    _check_users(folder, [name], taken=found.users)
    make_client(folder, name)
    with (folder / ACL).open("a", encoding="utf-8") as file:
        file.write(acl_section(found.site, name, role))


def revoke_user(folder: Path, name: str) -> None:
    """Shut somebody out: take rights and every certificate that the name ever had.

    Raises:
        BrokerError: No broker's folder, nobody of this name, or the broker would not look.
    """
    found = _read_to_revoke(folder)
    if not revoke_client(folder, name) and name not in found.users:
        raise _nobody(folder, name, found)
    acl = (folder / ACL).read_text("utf-8")
    write_private(folder / ACL, without_section(acl, name), replaces=True)


def renew_user(folder: Path, name: str) -> None:
    """Make a new certificate for somebody; rights stay, the former certificate is revoked.

    Raises:
        BrokerError: No broker's folder, nobody of this name, or the broker would not look.
    """
    found = _read_to_revoke(folder)
    if name not in found.users:
        raise _nobody(folder, name, found)
    _check_users(folder, [name])
    make_client(folder, name, replaces=True)


def renew_server(folder: Path) -> None:
    """Make a new certificate for the server, for the same names and addresses.

    Raises:
        BrokerError: No broker's folder.
    """
    read_folder(folder)
    make_server(folder, hosts_of_server(folder), replaces=True)


def _nobody(folder: Path, name: str, found: BrokerFolder) -> BrokerError:
    return BrokerError(
        f"{folder}: nobody is called '{name}' (there are: {', '.join(found.users) or 'none'})"
    )


def _read_to_revoke(folder: Path) -> BrokerFolder:
    found = read_folder(folder)
    if not found.looks_for_revoked:
        raise BrokerError(
            f"{folder / CONFIGURATION}: has no crlfile, so that the broker would still let in who "
            f"is revoked; add the line: crlfile {folder.resolve() / REVOKED}"
        )
    return found


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
    looks = _CRL_LINE.search(configuration) is not None
    return BrokerFolder(site[1], int(port[1]), tuple(_USER.findall(acl)), looks)


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


def without_section(acl: str, name: str) -> str:
    """Return what an ACL file says of everybody but ``name``."""
    section = (
        rf"(?:^# (?:{'|'.join(Role)})\n)?^user {re.escape(name)}\n(?:(?!user |pattern |#).*\n)*"
    )
    return re.sub(section, "", f"{acl}\n", flags=re.MULTILINE).rstrip("\n") + "\n"


def _configuration(folder: Path, listen: str, port: int) -> str:
    lines = [
        "# Written by cryoctl broker init; yours to change.",
        *common_lines(),
        f"listener {port} {listen}".rstrip(),
        f"cafile {folder / AUTHORITY}.crt",
        f"crlfile {folder / REVOKED}",
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


def _check_users(folder: Path, names: Sequence[str], taken: Sequence[str] = ()) -> None:
    for name in names:
        _check_name("name", name)
        if name in _RESERVED or name in taken:
            raise BrokerError(f"{folder}: name '{name}' is taken")
        if names.count(name) > 1:
            raise BrokerError(f"{folder}: named twice: {name}")


def _check_host(host: str) -> None:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if not _HOST.fullmatch(host):
            raise BrokerError(
                f"host '{host}': expected an address, or a name of letters, digits and - in parts "
                "of at most 63 with a dot between them; a name with other letters goes in its "
                "xn-- form"
            ) from None
