"""What a probe says by itself, told without a word to it."""

from __future__ import annotations

from collections import deque
from typing import Final

from cryoctl.alarms import ALARMS, Alarm
from cryoctl.sample import Sample, to_sample
from cryoctl_protocol.codes import DeviceState, EventCode, StimulusResponse, Trip
from cryoctl_protocol.framing import message_in
from cryoctl_protocol.host_session import HostSession
from cryoctl_protocol.messages import Event, Hello, Telemetry, Vitals, unpadded

EVENTS_KEPT: Final = 8
_OFF: Final = "off"
SILENT_S: Final = 1.0
"""A probe says VITALS five times a second; after this long its figures are old."""


class Monitor:
    """Listens to one probe.

    Attributes:
        hello: Its last HELLO, which says what the rest means; None before.
        sample: Its last telemetry; None before.
        vitals: Its last VITALS, which even an unknown protocol keeps; None before.
        events: Its last events as text, newest last.
        heard_s: When anything valid was heard last; None before.
    """

    def __init__(self) -> None:
        # A session that is never opened checks frames and counts gaps, and has nothing to send.
        self._session = HostSession(b"", nonce_seed=b"")
        self.hello: Hello | None = None
        self.sample: Sample | None = None
        self.vitals: Vitals | None = None
        self.events: deque[str] = deque(maxlen=EVENTS_KEPT)
        self.heard_s: float | None = None

    @property
    def rejects(self) -> int:
        """Frames that were damaged or made no sense."""
        return self._session.rejects.total()

    def take(self, body: bytes, now_s: float) -> None:
        """Take one frame."""
        message = self._session.on_body(body, now_s)
        told = message_in(body)
        if isinstance(told, Hello):
            self.hello, self.heard_s = told, now_s  # Whoever it answers: it says who the probe is.
        if message is None:
            return
        self.heard_s = now_s
        if isinstance(message, Telemetry):
            self.sample = to_sample(message, 0 if self.hello is None else self.hello.sensors)
        elif isinstance(message, Vitals):
            self.vitals = message
        elif isinstance(message, Event):
            cause = "" if message.trip == Trip.NONE else f" {Trip(message.trip).name}"
            self.events.append(
                f"{message.device_ms / 1000.0:9.2f} s  {EventCode(message.code).name}{cause}"
                f" in {DeviceState(message.state).name}"
            )

    def alarms(self, now_s: float) -> list[Alarm]:
        """Return what the probe holds, and that it is silent; nobody can acknowledge it here."""
        found = []
        if self.heard_s is not None and now_s - self.heard_s > SILENT_S:
            found.append(ALARMS[Trip.LINK.name])
        if self.sample is not None and self.sample.trip:
            found.append(ALARMS[Trip(self.sample.trip).name])
        return found

    def rows(self, now_s: float) -> list[tuple[str, str]]:
        """Return everything known as pairs of name and text."""
        if self.heard_s is None:
            return [("probe", "nothing heard yet")]
        age_s = now_s - self.heard_s
        link = "connected" if age_s <= SILENT_S else f"SILENT for {age_s:.1f} s: figures are old"
        rows = [("link", f"{link}, {self.rejects} frames rejected")]
        rows += [
            (alarm.look.mark, f"{alarm.id}: {alarm.text}. {alarm.action}")
            for alarm in self.alarms(now_s)
        ]
        if self.hello is not None:
            rows.insert(0, ("probe", _identity(self.hello)))
        if self.sample is not None:
            rows += _sample_rows(self.sample)
        elif self.vitals is not None:
            rows += _vitals_rows(self.vitals)
        return rows + [("event", event) for event in self.events]

    def line(self, now_s: float) -> str:
        """Return the most important figures as one line."""
        if self.heard_s is None:
            return "nothing heard yet"
        found = dict(self.rows(now_s))
        alarms = [f"{alarm.look.mark} {alarm.id}" for alarm in self.alarms(now_s)]
        names = ("state", "tip", "supply", "exhaust", "valve", "heater")
        figures = [f"{name} {found[name]}" for name in names if name in found]
        if found.get("stimulus", _OFF) != _OFF:
            figures.append(f"stimulus {found['stimulus']}")
        told = [found["link"].split(",")[0], *alarms, *figures]
        return "  ".join(told) if figures else str(found)


def _identity(hello: Hello) -> str:
    owned = ", held by a controller" if hello.owned else ""
    return (
        f"{unpadded(hello.device_id)}, firmware {unpadded(hello.firmware_id)}, profile "
        f"{unpadded(hello.profile_id)}, protocol {hello.major}.{hello.minor}{owned}"
    )


def _sample_rows(sample: Sample) -> list[tuple[str, str]]:
    held = "" if sample.trip == Trip.NONE else f", holds {Trip(sample.trip).name}"
    return [
        ("state", f"{DeviceState(sample.state).name}{held}"),
        ("tip", _figure(sample.tip_temp_c, "°C", 1)),
        ("skin", _figure(sample.skin_temp_c, "°C", 1)),
        ("supply", _figure(sample.supply_pressure_bar, "bar", 1)),
        ("exhaust", _figure(sample.exhaust_flow_mg_s, "mg/s", 1)),
        ("cartridge", _figure(sample.cartridge_temp_c, "°C", 1)),
        ("battery", _figure(sample.battery_v, "V", 2)),
        ("valve", f"{sample.valve:.0%}, supply {'open' if sample.shutoff_open else 'shut'}"),
        ("heater", f"{sample.tip_heater:.0%}"),
        ("stimulus", _stimulus(sample)),
    ]


def _stimulus(sample: Sample) -> str:
    """Return what the stimulator does and what that does to the nerve."""
    if sample.stimulus_ma <= 0.0:
        return _OFF
    response = sample.stimulus_response
    seen = "not known" if response is None else StimulusResponse(response).name.lower()
    return (
        f"{sample.stimulus_ma:.2f} mA, {sample.stimulus_hz} Hz, "
        f"{sample.stimulus_pulse_ms:.2f} ms, response {seen}"
    )


def _vitals_rows(vitals: Vitals) -> list[tuple[str, str]]:
    return [
        ("state", DeviceState(vitals.state).name),
        ("tip", _figure(vitals.tip_mdegc / 1000.0, "°C", 1)),
        ("supply", _figure(vitals.supply_mbar / 1000.0, "bar", 1)),
        ("valve", f"{vitals.valve_permille / 10.0:.0f}%"),
        ("heater", f"{vitals.tip_heater_permille / 10.0:.0f}%"),
    ]


def _figure(value: float | None, unit: str, digits: int) -> str:
    return "none" if value is None else f"{value:.{digits}f} {unit}"
