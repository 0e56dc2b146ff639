"""Looks a broker over and says what is wrong and what to do. It commands nothing.

What it sends goes to a device that does not exist: an echo to itself, and a message that only that
device may send.
"""

from __future__ import annotations

import contextlib
import secrets
import shlex
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from cryoctl.certificates import expiry_of
from cryoctl.clock import monotonic_s, utc_now
from cryoctl.mosquitto import BrokerError
from cryoctl_protocol.mqtt.address import PASSWORD_VARIABLE, MqttAddress
from cryoctl_protocol.mqtt.connection import tls_context
from cryoctl_protocol.mqtt.topics import ROOT, Conn, Leaf, Topics
from cryoctl_protocol.peer import AddressError

ANSWER_S: Final = 3.0
KEPT_S: Final = 0.5
"""What a broker retains comes at once after the subscription."""
EXPIRY_WARNING_DAYS: Final = 30
ECHOES: Final = 31
ECHO_GOOD_MS: Final = 20.0
"""A broker that waits for company (Nagle) takes 44 ms and more; one on this machine takes 1."""
NEAR_S: Final = 0.5
"""For an answer from this machine itself."""
_ELSEWHERE: Final = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
"""Addresses for documentation (RFC 5737, RFC 3849): nobody is there."""


class Level(StrEnum):
    """How good a finding is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


class Finding(NamedTuple):
    """One line of what was found; the text of what is not ok says what to do."""

    level: Level
    text: str


def examine(address: MqttAddress) -> Iterator[Finding]:
    """Yield what there is to say of a broker; end early where nothing more can be known."""
    try:
        socket.create_connection((address.host, address.port), timeout=ANSWER_S).close()
    except OSError as error:
        yield Finding(
            Level.PROBLEM,
            f"broker {address.broker}: {error.strerror or error}; start one: cryoctl broker run",
        )
        return
    yield Finding(Level.OK, f"broker {address.broker} is there")
    if address.tls:
        findings = list(_examine_tls(address))
        yield from findings
        if findings[0].level is Level.PROBLEM:
            return
    elif not address.is_local:
        yield Finding(Level.WARNING, "no TLS: whoever is on the network can read along; mqtts://")
    visit = _Visit(address, address.user)
    try:
        refused = visit.connect()
        if refused:
            yield Finding(Level.PROBLEM, f"MQTT 5: {refused}")
            return
        yield Finding(Level.OK, "speaks MQTT 5 and lets us in")
        yield from _examine_topics(visit, address)
    finally:
        visit.leave()
    yield _examine_anonymous(address)
    if address.is_local:
        yield _examine_reach(address)


def _examine_reach(address: MqttAddress) -> Finding:
    """Return whether a broker at a loopback address is for this machine alone, as it counts."""
    open_at = [host for host in own_addresses() if _answers(host, address.port)]
    if not open_at:
        return Finding(Level.OK, "answers at this machine's loopback address alone")
    return Finding(
        Level.WARNING,
        f"answers at {' and '.join(open_at)}, too: a controller that calls it by {address.host} "
        "takes it for this machine's own, and a probe with the public key can be commanded by "
        "whoever reaches it. Give probes keys of their own (cryoctl keys new), or have the broker "
        "listen at 127.0.0.1 alone",
    )


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=NEAR_S).close()
    except OSError:
        return False
    return True


def own_addresses() -> list[str]:
    """Return addresses of this machine that others may reach, as far as they can be known."""
    found: set[str] = set()
    for family, elsewhere in _ELSEWHERE:
        # Nothing is sent: a datagram socket that is connected only knows its way out.
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as out:
            out.connect((elsewhere, 9))
            found.add(str(out.getsockname()[0]))
    with contextlib.suppress(OSError):
        found.update(str(row[4][0]) for row in socket.getaddrinfo(socket.gethostname(), None))
    return sorted(a for a in found if not ip_address(a.partition("%")[0]).is_loopback)


def _examine_tls(address: MqttAddress) -> Iterator[Finding]:
    try:
        context = tls_context(address)
    except AddressError as error:
        yield Finding(Level.PROBLEM, str(error))
        return
    assert context is not None
    try:
        with (
            socket.create_connection((address.host, address.port), timeout=ANSWER_S) as plain,
            context.wrap_socket(plain, server_hostname=address.host) as wrapped,
        ):
            version, certificate = wrapped.version(), wrapped.getpeercert()
    except (OSError, ssl.SSLError) as error:
        yield Finding(
            Level.PROBLEM,
            f"TLS: {error}; is ?ca= the authority of this broker, is {address.host} one of the "
            "names in its certificate (cryoctl broker init --host), and is this machine's clock "
            f"right ({utc_now():%Y-%m-%d %H:%M} UTC)?",
        )
        return
    good = version == "TLSv1.3"
    hint = "" if good else "; have the broker speak 1.3 alone: tls_version tlsv1.3"
    yield Finding(Level.OK if good else Level.WARNING, f"{version}{hint}")
    assert certificate is not None
    not_after_s = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    yield _expiry("the broker's certificate", datetime.fromtimestamp(not_after_s, tz=UTC))
    if address.cert is not None:
        yield _examine_own(Path(address.cert))


def _examine_own(certificate: Path) -> Finding:
    # The broker will refuse us the day after, and only then say so.
    try:
        return _expiry(f"our certificate {certificate}", expiry_of(certificate))
    except BrokerError as error:
        return Finding(Level.WARNING, f"until when {certificate} is good is not known: {error}")


def _expiry(what: str, until: datetime) -> Finding:
    days = (until - utc_now()).days
    text = f"{what} is good until {until:%Y-%m-%d}, {days} days"
    if days < EXPIRY_WARNING_DAYS:
        return Finding(Level.WARNING, f"{text}: make a new one in time (cryoctl broker renew)")
    return Finding(Level.OK, text)


def _examine_topics(visit: _Visit, address: MqttAddress) -> Iterator[Finding]:
    site = address.site
    nobody = Topics(site, f"doctor-{visit.name}")
    echo = nobody.ack(address.user or "anyone", visit.name)
    kept = [f"{ROOT}/{site}/+/{leaf}" for leaf in (Leaf.CONN, Leaf.CMD, Leaf.LEASE)]
    if not visit.subscribe([*kept, echo]):
        yield Finding(Level.PROBLEM, f"no answer to a subscription in {ANSWER_S:g} s")
        return
    yield _examine_echo(visit, echo)
    refused = visit.publish(nobody.of(Leaf.EVENT), b"")
    if refused is None:
        yield Finding(Level.PROBLEM, f"no answer to a message in {ANSWER_S:g} s")
    elif refused:
        yield Finding(Level.OK, "refuses us what only a device may say")
    else:
        yield Finding(
            Level.WARNING,
            "we may speak for any device: give the broker an ACL (cryoctl broker init writes one)",
        )
    visit.pause(KEPT_S)
    yield from _examine_commands(visit, address)
    yield _examine_devices(visit, address)


def _examine_echo(visit: _Visit, echo: str) -> Finding:
    times_ms = []
    for _ in range(ECHOES):
        time_s = visit.echo(echo)
        if time_s is None:
            return Finding(
                Level.WARNING,
                f"round trip not measured: this user may not write and read {echo}; see the ACL",
            )
        times_ms.append(time_s * 1000.0)
    middle_ms = median(times_ms)
    text = f"round trip {middle_ms:.1f} ms (median of {ECHOES}, QoS 1)"
    if middle_ms <= ECHO_GOOD_MS:
        return Finding(Level.OK, text)
    return Finding(
        Level.WARNING, f"{text}: on a near broker that is a missing set_tcp_nodelay true"
    )


def _examine_commands(visit: _Visit, address: MqttAddress) -> Iterator[Finding]:
    ends = (f"/{Leaf.CMD}", f"/{Leaf.LEASE}")
    kept = [topic for topic in visit.retained if topic.endswith(ends)]
    for topic in kept:
        yield Finding(
            Level.PROBLEM,
            f"a retained message lies on {topic}; devices ignore it, but somebody put it there. "
            f"Clear it: {_clearing(topic, address)}",
        )
    if not kept:
        yield Finding(Level.OK, "no retained message on cmd or lease, as far as this user may look")


def _clearing(topic: str, address: MqttAddress) -> str:
    """Return the shell command that clears a topic; its name is a stranger's."""
    words = ["mosquitto_pub", "-V", "5", "-h", address.host, "-p", str(address.port)]
    if address.tls:
        words += ["--tls-use-os-certs"] if address.ca is None else ["--cafile", address.ca]
    if address.cert is not None and address.key is not None:
        words += ["--cert", address.cert, "--key", address.key]
    if address.user is not None:
        words += ["-u", address.user]
    command = shlex.join([*words, "-t", topic, "-r", "-n"])
    return f'{command} -P "${PASSWORD_VARIABLE}"' if address.password else command


def _examine_devices(visit: _Visit, address: MqttAddress) -> Finding:
    online: list[str] = []
    away: list[str] = []
    for topic, payload in visit.retained.items():
        if topic.endswith(f"/{Leaf.CONN}"):
            conn = Conn.parse(payload)
            (online if conn is not None and conn.online else away).append(topic.split("/")[-2])
    names = ", ".join(sorted(online)) or "none"
    text = f"devices online at {address.site}: {names}"
    if away:
        text += f"; offline: {', '.join(sorted(away))}"
    if address.device and address.device not in online:
        return Finding(Level.PROBLEM, f"{text}; {address.device} is not: switch it on")
    return Finding(Level.OK if online else Level.WARNING, text)


def _examine_anonymous(address: MqttAddress) -> Finding:
    stranger = _Visit(address._replace(cert=None, key=None, user=None), None)
    try:
        if stranger.connect():
            return Finding(Level.OK, "refuses who has no name")
    finally:
        stranger.leave()
    if address.is_local and not address.tls:
        return Finding(Level.WARNING, "lets anybody in: fine while this machine alone reaches it")
    return Finding(Level.PROBLEM, "lets anybody in: set allow_anonymous false")


class _Visit:
    """One connection; everything waits for its answer, but not for long.

    Attributes:
        name: Ours, which no device has.
        retained: What the broker kept, by topic.
    """

    def __init__(self, address: MqttAddress, user: str | None) -> None:
        self.name = secrets.token_hex(4)
        self.retained: dict[str, bytes] = {}
        self._address = address
        self._answered = threading.Event()
        self._answer: Any = None
        self._echoed = threading.Event()
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"cryoctl-{self.name}",
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )
        if user is not None:
            self._client.username_pw_set(user, address.password)
        context = tls_context(address)
        if context is not None:
            self._client.tls_set_context(context)
        self._client.on_connect = lambda _c, _u, _f, code, _p: self._take(code)
        self._client.on_disconnect = lambda _c, _u, _f, code, _p: self._take(code)
        self._client.on_subscribe = lambda _c, _u, _m, codes, _p: self._take(codes)
        self._client.on_publish = lambda _c, _u, _m, code, _p: self._take(code)
        self._client.on_message = lambda _c, _u, message: self._on_message(message)

    def connect(self) -> str:
        """Return why we are not let in; empty if we are."""
        try:
            self._client.connect(self._address.host, self._address.port, keepalive=10)
        except (OSError, ssl.SSLError) as error:
            return f"{error}; check user, password and certificate"
        opened = self._client.socket()
        if isinstance(opened, socket.socket):  # Else it is closed already.
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client.loop_start()
        if not self._answered.wait(ANSWER_S):
            return f"no answer in {ANSWER_S:g} s; check user, password and certificate"
        return (
            f"refused: {self._answer}; check user, password and certificate"
            if self._is_refusal()
            else ""
        )

    def leave(self) -> None:
        """End the connection."""
        self._client.disconnect()
        self._client.loop_stop()

    def subscribe(self, topics: list[str]) -> bool:
        """Return True if the broker answered."""
        self._answered.clear()
        # With QoS 0 a broker's confirmation and our echo are two messages with no answer between
        # them: what Nagle's algorithm holds back.
        self._client.subscribe([(topic, 0) for topic in topics])
        return self._answered.wait(ANSWER_S)

    def publish(self, topic: str, payload: bytes) -> bool | None:
        """Return True if the broker refuses, None if it says nothing."""
        self._answered.clear()
        self._client.publish(topic, payload, qos=1)
        return self._is_refusal() if self._answered.wait(ANSWER_S) else None

    def echo(self, topic: str) -> float | None:
        """Return how many seconds a message to ourselves takes; None if it does not come."""
        self._echoed.clear()
        began_s = monotonic_s()
        if self.publish(topic, b"echo") is not False or not self._echoed.wait(ANSWER_S):
            return None
        return monotonic_s() - began_s

    def pause(self, seconds: float) -> None:
        """Let come what still comes."""
        self._answered.clear()
        self._answered.wait(seconds)

    def _take(self, answer: Any) -> None:
        self._answer = answer
        self._answered.set()

    def _is_refusal(self) -> bool:
        return bool(self._answer.is_failure)

    def _on_message(self, message: MQTTMessage) -> None:
        if message.retain:
            self.retained[message.topic] = bytes(message.payload)
        elif message.payload == b"echo":
            self._echoed.set()
