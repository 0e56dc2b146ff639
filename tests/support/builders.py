"""Ready-made values for controller tests: healthy samples, a short treatment, a keeping sink."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from cryoctl.records import Control, IceEstimate, LogEvent
from cryoctl.sample import Sample
from cryoctl.storage import FINE, Storage
from cryoctl.treatment import Treatment, default_treatment
from cryoctl_protocol.codec import decode
from cryoctl_protocol.codes import DeviceState
from cryoctl_protocol.framing import Parsed, parse
from cryoctl_protocol.messages import Command, Lease, Message, Stop
from cryoctl_protocol.profile import Limits, Profile, load_profile

N2O_PROFILE: Final = "n2o-20g"

SHORT: Final = """\
schema = 1
name = "One short cycle"
profile = "n2o-20g"

[cycles]
count = 1
setpoint_c = -40.0
hold_s = 2.0

[thaw]
mode = "active"

[prewarm]
duration_s = 0.0
"""
"""A whole treatment as a file, over in 20 seconds."""

HEALTHY: Final = Sample(
    device_ms=1000,
    state=DeviceState.IDLE,
    trip=0,
    open_circuit=0,
    tip_temp_c=33.0,
    tip_2_temp_c=33.0,
    skin_temp_c=33.0,
    supply_pressure_bar=50.0,
    exhaust_pressure_bar=1.013,
    exhaust_flow_mg_s=0.0,
    cartridge_temp_c=20.0,
    battery_v=3.9,
    button=0,
    setpoint_c=0.0,
    valve=0.0,
    shutoff_open=0,
    tip_heater=0.0,
    skin_warmer=0.0,
    led=0,
    beeper=0,
    stimulus_ma=0.0,
    stimulus_hz=0,
    stimulus_pulse_ms=0.0,
    stimulus_response=0,
    freeze_s=0.0,
    thaw_energy_j=0.0,
    lease_left_s=0.3,
    event_count=1,
)
"""A probe at rest on skin, N2O, nothing wrong."""


def a_sample(**changes: Any) -> Sample:
    """Return a healthy sample with ``changes``."""
    return HEALTHY._replace(**changes)


def a_freezing_sample(**changes: Any) -> Sample:
    """Return a sample of a hold at -60 C with ``changes``."""
    freezing = HEALTHY._replace(
        state=DeviceState.FREEZE,
        tip_temp_c=-60.0,
        valve=0.7,
        shutoff_open=1,
        exhaust_flow_mg_s=30.0,
    )
    return freezing._replace(**changes)


def n2o_profile() -> Profile:
    """Return the default probe's profile."""
    return load_profile(N2O_PROFILE)


def n2o_limits() -> Limits:
    """Return the default probe's limits; tests write the numbers out, never take them from here."""
    return n2o_profile().limits


def a_treatment(
    *,
    prewarm_s: float = 0.0,
    thaw: dict[str, Any] | None = None,
    profile: str = N2O_PROFILE,
    **cycles: Any,
) -> Treatment:
    """Return a short treatment: two cycles of 10 s at -60 C, 2 s apart, unless told otherwise."""
    values = default_treatment(profile).model_dump(mode="json", by_alias=True)
    values["cycles"] |= {"count": 2, "setpoint_c": -60.0, "hold_s": 10.0, "pause_s": 2.0} | cycles
    values["prewarm"] |= {"duration_s": prewarm_s}
    values["thaw"] |= thaw or {}
    return Treatment.model_validate(values)


@dataclass(slots=True)
class KeepingSink:
    """A record sink that keeps everything in lists."""

    storage: Storage = FINE
    events: list[LogEvent] = field(default_factory=list)
    samples: list[tuple[float, Sample]] = field(default_factory=list)
    controls: list[tuple[float, Control]] = field(default_factory=list)
    estimates: list[tuple[float, IceEstimate]] = field(default_factory=list)
    frames_in: list[tuple[float, bytes]] = field(default_factory=list)
    frames_out: list[tuple[float, bytes]] = field(default_factory=list)
    vendor_frames: list[tuple[float, int, bytes]] = field(default_factory=list)

    def received(self, body: bytes, now_s: float) -> None:
        self.frames_in.append((now_s, body))

    def sent(self, body: bytes, now_s: float) -> None:
        self.frames_out.append((now_s, body))

    def sample(self, sample: Sample, now_s: float) -> None:
        self.samples.append((now_s, sample))

    def control(self, control: Control, now_s: float) -> None:
        self.controls.append((now_s, control))

    def estimate(self, estimate: IceEstimate, now_s: float) -> None:
        self.estimates.append((now_s, estimate))

    def vendor(self, message_id: int, payload: bytes, now_s: float) -> None:
        self.vendor_frames.append((now_s, message_id, payload))

    def event(self, event: LogEvent) -> None:
        self.events.append(event)

    # -- what tests ask ---------------------------------------------------------------------------

    def of_kind(self, kind: str) -> list[LogEvent]:
        """Return the events of one kind."""
        return [event for event in self.events if event.kind == kind]

    def phases(self) -> list[str]:
        """Return every phase entered, in order."""
        return [event.data["target"] for event in self.of_kind("phase")]

    def sent_messages(self) -> list[tuple[float, Message]]:
        """Return every message that left the controller, repeats included."""
        return [(at_s, as_message(body)) for at_s, body in self.frames_out]

    def sent_commands(self) -> list[tuple[float, Command]]:
        """Return every COMMAND that left the controller, repeats included."""
        return [(at_s, m) for at_s, m in self.sent_messages() if isinstance(m, Command)]

    def sent_stops(self) -> list[tuple[float, Stop]]:
        """Return every STOP that left the controller."""
        return [(at_s, m) for at_s, m in self.sent_messages() if isinstance(m, Stop)]

    def sent_leases(self) -> list[tuple[float, Lease]]:
        """Return every LEASE that left the controller."""
        return [(at_s, m) for at_s, m in self.sent_messages() if isinstance(m, Lease)]


def as_message(body: bytes) -> Message:
    """Return the message in a body that the controller built."""
    parsed = parse(body)
    assert isinstance(parsed, Parsed), parsed
    return decode(parsed.message_id, parsed.payload)
