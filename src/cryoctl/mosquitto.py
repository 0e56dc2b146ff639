"""An installed mosquitto: where it is, how to start it, what to install where it is not."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

from cryoctl.clock import monotonic_s

LOOPBACK: Final = "127.0.0.1"
READY_S: Final = 10.0
"""It takes 5 ms; a machine with other things to do takes longer."""
_POLL_S: Final = 0.02
_PLACES: Final = (
    # Where it is though a user's PATH does not lead there: Debian, Homebrew, Windows.
    "/usr/sbin",
    "/usr/local/sbin",
    "/opt/homebrew/sbin",
    r"C:\Program Files\mosquitto",
)
INSTALL: Final = (
    "mosquitto is not installed: apt install mosquitto (Debian, Ubuntu), dnf install mosquitto "
    "(Fedora), brew install mosquitto (macOS), winget install EclipseFoundation.Mosquitto (Windows)"
)


class BrokerError(Exception):
    """A broker that cannot be set up or started; the text says what to do."""


def find_mosquitto() -> str:
    """Return the path of the program.

    Raises:
        BrokerError: It is not installed; says what to install.
    """
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *_PLACES))
    found = shutil.which("mosquitto", path=path)
    if found is None:
        raise BrokerError(INSTALL)
    return found


def free_port() -> int:
    """Return a port of this machine that nobody listens at."""
    with socket.create_server((LOOPBACK, 0)) as server:
        port: int = server.getsockname()[1]
        return port


def owner() -> str | None:
    """Return who owns what we write; None where the system has no such names (Windows)."""
    if sys.platform == "win32":
        return None
    import pwd

    return pwd.getpwuid(os.geteuid()).pw_name


def common_lines() -> list[str]:
    """Return what every broker of ours is told."""
    name = owner()
    # Started by root it becomes this user, else somebody who may not read our keys.
    return [
        *([f"user {name}"] if name is not None else []),
        "persistence false",
        # Else a lease waits for company (Nagle): 44 ms and more.
        "set_tcp_nodelay true",
        "max_keepalive 60",
        # Of a client that does not take them; beyond, the broker drops what is new.
        "max_queued_messages 200",
        "max_packet_size 8192",
        "sys_interval 0",
    ]


def loopback_configuration(port: int) -> str:
    """Return the configuration of a broker that this machine alone can reach, for anybody on it."""
    return "\n".join([*common_lines(), f"listener {port} {LOOPBACK}", "allow_anonymous true", ""])


def start(configuration: Path, port: int, *, log: int | None = None) -> subprocess.Popen[bytes]:
    """Start a broker; return it when it listens.

    Args:
        configuration: Its file.
        port: Where that has it listen, on this machine.
        log: Descriptor of what it says; None is our standard error.

    Raises:
        BrokerError: Not installed, or it ended at once, or does not listen.
    """
    program = find_mosquitto()
    try:
        socket.create_server((LOOPBACK, port)).close()
    except OSError as error:
        raise BrokerError(
            f"port {port} of this machine: {error.strerror or error}; is there another broker?"
        ) from error
    # A session of its own: Ctrl-C is for us, who end it.
    process = subprocess.Popen(  # noqa: S603 (found by its name)
        [program, "-c", str(configuration)],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    until_s = monotonic_s() + READY_S
    while process.poll() is None and monotonic_s() < until_s:
        try:
            socket.create_connection((LOOPBACK, port), timeout=READY_S).close()
        except OSError:
            try:
                process.wait(_POLL_S)
            except subprocess.TimeoutExpired:
                continue
        else:
            return process
    process.kill()
    process.wait()
    raise BrokerError(
        f"mosquitto ended or does not listen at port {port}: see what it said, or run "
        f"{program} -v -c {configuration}"
    )
