"""The host of a bench: sends one operation at a time, keeps the lease, guards the probe.

It has no state table: a bench has to ask for what a probe must refuse. What stands between such a
request and harm are the probe's own permits, which are under test, and a guard: the controller's
interlocks, looked at first on every sample. They leave the probe time to act by itself, then send
STOP.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from cryoctl.commands import NOTHING
from cryoctl.interlocks import Interlocks, TripNotice
from cryoctl.records import LogEvent, RecordSink, event_data, hello_data
from cryoctl.sample import Sample, to_sample
from cryoctl_protocol.codes import (
    TRIP_RULES,
    Answer,
    DeviceState,
    EventCode,
    HostMode,
    Op,
    Result,
    SafeAction,
    Trip,
)
from cryoctl_protocol.device_keys import KeyRing
from cryoctl_protocol.framing import Reject
from cryoctl_protocol.host_session import CommandFailed, HostSession, Phase, VendorFrame
from cryoctl_protocol.messages import Ack, Done, Event, Hello, Telemetry
from cryoctl_protocol.profile import Profile
from cryoctl_protocol.wrapping import until_ms

GUARD_S: Final = 0.3
"""The guard sends STOP when a cause has lasted so long with an output on: the probe's own bounds,
counted from where its cause can be seen, are shorter. By the probe's clock: samples that come late
and in one bunch were still taken apart."""
GUARD_LATEST_S: Final = 1.0
"""The same by our own clock, for a probe whose clock cannot be believed."""
FRAMES_KEPT: Final = 256
_LEASE_TICKS: Final = 2
_CLAIMS: Final = {DeviceState.FREEZE: HostMode.FREEZE, DeviceState.THAW: HostMode.THAW}
_LATCHED: Final = (DeviceState.SAFE, DeviceState.FAULT)
_UNASKED: Final = {
    DeviceState.FREEZE: Op.FREEZE,
    DeviceState.PREWARM: Op.PREWARM,
    DeviceState.STIMULATE: Op.STIMULATE,
}


class BenchHost:
    """One session with one probe.

    Args:
        profile: Of the probe.
        key: The probe's, or the ring that chooses it.
        nonce_seed: Random bytes; fixed where a run must repeat.
        sink: Takes records; may be replaced between two tests.

    Attributes:
        session: Seals and repeats what goes out.
        sample: The newest one; None before the first.
        samples: How many there were.
        leasing: False lets the lease run out.
        claim: What leases claim; None is what the probe says that it does.
        answers: By the counter of the command.
        results: By the counter of the command.
        details: What the probe says beside a result, such as mbar lost in a leak test.
        guarded: What the guard sent STOP for.
        sent: Frames that went out lately, the newest last; for who sends an old one again.
        received: Frames that came in lately.
    """

    def __init__(
        self, profile: Profile, key: bytes | KeyRing, *, nonce_seed: bytes, sink: RecordSink
    ) -> None:
        self.key = key
        self.nonce_seed = nonce_seed
        self.session = HostSession(key, nonce_seed=nonce_seed)
        self.sink = sink
        self.sample: Sample | None = None
        self.samples = 0
        self.leasing = True
        self.claim: HostMode | None = None
        self.answers: dict[int, Answer] = {}
        self.results: dict[int, Result] = {}
        self.details: dict[int, int] = {}
        self.failed: dict[int, str] = {}
        self.guarded: list[TripNotice] = []
        self.sent: deque[bytes] = deque(maxlen=FRAMES_KEPT)
        self.received: deque[bytes] = deque(maxlen=FRAMES_KEPT)
        self.boots = 0
        """How often the probe has said that it has just started."""
        self._profile = profile
        self._interlocks = Interlocks(profile.limits, profile.probe.gas)
        self._cause_since: tuple[float, int] | None = None
        self._asked: set[int] = set()
        self._ticks = 0

    @property
    def is_open(self) -> bool:
        """True while a session with the probe is open."""
        return self.session.phase is Phase.OPEN

    # -- what a test asks for --------------------------------------------------------------------

    def send(self, op: Op, now_s: float, **fields: int) -> int:
        """Send an operation, whatever state the probe is in; return the command's counter."""
        command = NOTHING._replace(op=op, **fields)
        counter = self.session.command(command, now_s)
        self._asked.add(int(op))
        self.log("command", now_s, op=op.name, counter=counter, **fields)
        return counter

    def stop(self, now_s: float, action: SafeAction = SafeAction.THAW) -> int | None:
        """Send STOP ahead of everything else; return its counter, or None before any HELLO."""
        self.session.abandon()
        self._asked.clear()
        counter = self.session.stop(action, Trip.OPERATOR_STOP)
        self.log("command", now_s, op=Op.STOP.name, counter=counter or 0)
        return counter

    def log(self, kind: str, now_s: float, **data: Any) -> None:
        """Write one event."""
        self.sink.event(LogEvent(now_s, kind, data))

    # -- inputs ----------------------------------------------------------------------------------

    def connect(self, now_s: float) -> None:
        """Begin a new session; nothing of an older one is sent again, or believed."""
        self.sample = None
        self.session.open(now_s)

    def on_body(self, body: bytes, now_s: float) -> None:
        """Take one frame off the link: the guard looks first."""
        self.sink.received(body, now_s)
        self.received.append(body)
        message = self.session.on_body(body, now_s)
        if isinstance(message, Telemetry):
            self._on_telemetry(message, now_s)
        elif isinstance(message, Ack):
            answer = Answer(message.answer)
            if message.op != Op.STOP:  # It has counters of its own.
                self.answers[message.counter] = answer
            op = Op(message.op).name
            self.log("answer", now_s, op=op, counter=message.counter, answer=answer.name)
        elif isinstance(message, Done):
            result = Result(message.result)
            self.results[message.counter] = result
            self.details[message.counter] = message.detail
            told = {"op": Op(message.op).name, "counter": message.counter}
            self.log("done", now_s, **told, result=result.name, detail=message.detail)
        elif isinstance(message, Event):
            self._on_event(message, now_s)
        elif isinstance(message, Hello):
            self._on_hello(message, now_s)
        elif isinstance(message, VendorFrame):
            self.sink.vendor(message.message_id, message.payload, now_s)
        elif isinstance(message, CommandFailed):
            self.failed[message.counter] = message.reason

    def on_line_errors(self, count: int, now_s: float) -> None:
        """Note pieces of the stream that were no frame."""
        for _ in range(count):
            self.sink.received(b"", now_s)
            self.session.reject(Reject.CRC, now_s)

    def on_link_gone(self, reason: str, now_s: float) -> None:
        """Note that the link itself is gone; the probe's own lease makes it safe."""
        self.log("link", now_s, told="gone", why=reason)

    def on_link_back(self, now_s: float) -> None:
        """Begin anew on a link that is there again."""
        self.log("link", now_s, told="back")
        self.connect(now_s)

    def tick(self, now_s: float) -> None:
        """Renew the lease, repeat what is due; 20 times a second."""
        proves = self.session.phase is Phase.PROVING
        if (self.leasing and self._ticks % _LEASE_TICKS == 0) or proves:
            self.session.lease(self._claimed(), now_s)
        self._ticks += 1
        for failed in self.session.poll(now_s):
            self.failed[failed.counter] = failed.reason
            self.log("unanswered", now_s, op=Op(failed.op).name, reason=failed.reason)

    def outgoing(self, now_s: float) -> list[bytes]:
        """Return the frames to send, STOP first, and forget them."""
        bodies = self.session.outgoing()
        for body in bodies:
            self.sink.sent(body, now_s)
        self.sent += bodies
        return bodies

    def crash(self, now_s: float) -> list[bytes]:
        """Make the probe safe after an error in the program itself; return the frames to send."""
        self.session.stop(SafeAction.THAW, Trip.INTERNAL)
        return self.outgoing(now_s)

    # -- the guard -------------------------------------------------------------------------------

    def _on_telemetry(self, telemetry: Telemetry, now_s: float) -> None:
        hello = self.session.hello
        sample = to_sample(telemetry, 0 if hello is None else hello.sensors)
        self.sample = sample
        self.samples += 1
        self.sink.sample(sample, now_s)
        if not self.is_open:
            return
        found = self._interlocks.check(
            sample, now_s, rejects=self.session.rejects_within_window(now_s)
        )
        unasked = _UNASKED.get(DeviceState(sample.state))
        if unasked is not None and int(unasked) not in self._asked:
            found.append(TripNotice(Trip.COMMAND_FAILED, 0.0, 0.0, "", f"{unasked.name} unasked"))
        self._guard(found, sample, now_s)

    def _guard(self, found: list[TripNotice], sample: Sample, now_s: float) -> None:
        if not any(_is_driving(sample, notice.trip) for notice in found):
            self._cause_since = None
            return
        if self._cause_since is None:
            self._cause_since = now_s, sample.device_ms
        since_s, since_ms = self._cause_since
        lasts_s = until_ms(since_ms, sample.device_ms) / 1000.0
        if lasts_s >= GUARD_S or now_s - since_s >= GUARD_LATEST_S:
            self._cause_since = None  # Once more after as long again, should it not obey.
            notice = found[0]
            self.guarded.append(notice)
            trip = notice.trip
            self.log("guard", now_s, trip=trip.name, detail=notice.detail)
            self.session.stop(TRIP_RULES[trip].action, trip)

    def _claimed(self) -> HostMode:
        if self.claim is not None:
            return self.claim
        if self.sample is None:
            return HostMode.IDLE
        return _CLAIMS.get(DeviceState(self.sample.state), HostMode.IDLE)

    # -- what the probe says of itself -----------------------------------------------------------

    def _on_event(self, event: Event, now_s: float) -> None:
        self.log("device", now_s, **event_data(event))
        if event.code == EventCode.SESSION_DROPPED and self.is_open:
            self.session.open(now_s)

    def _on_hello(self, hello: Hello, now_s: float) -> None:
        self.log("hello", now_s, **hello_data(hello))
        if hello.host_nonce == 0:
            self.boots += 1
            if self.is_open:
                self.session.open(now_s)  # It obeys nothing of the old session.


def _is_driving(sample: Sample, trip: Trip) -> bool:
    """Return True if an output is on that ``trip`` does not allow."""
    if sample.valve > 0.0 or sample.shutoff_open:
        return True
    if sample.skin_warmer > 0.0 or sample.stimulus_ma > 0.0:
        return True
    is_safe = sample.state in _LATCHED and TRIP_RULES[trip].action is SafeAction.THAW
    return sample.tip_heater > 0.0 and not is_safe
