"""What the controller leaves behind: inputs, samples, ticks and events, through one sink."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from cryoctl.sample import Sample
from cryoctl.storage import Storage
from cryoctl_protocol.codes import DeviceState, EventCode, Trip
from cryoctl_protocol.messages import Event, Hello, unpadded


class Control(NamedTuple):
    """The controller's own state at one tick.

    Attributes:
        phase: Index into ``tuple(Phase)``.
        cycle: Freeze/thaw cycle, from 1; 0 before the first.
        sample_age_s: Since the last valid telemetry.
        gas_used_g: By the host's own ledger, since connecting.
    """

    phase: int
    cycle: int
    setpoint_c: float
    sample_age_s: float
    gas_used_g: float


class IceEstimate(NamedTuple):
    """The ice around each needle, as the controller's observer reckons it; never measured.

    Attributes:
        sigma_mm: Standard deviation of the -20 C radius.
        heat_w: Drawn from the tissue, by the gas; None outside a freeze and without its sensors.
        residual_c: How much warmer the tip reads than its heat explains; None if nobody can tell.
    """

    ice_radius_mm: float
    radius_minus20_mm: float
    sigma_mm: float
    heat_w: float | None
    residual_c: float | None


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One line of the event log.

    Attributes:
        at_s: Controller clock.
        kind: Such as ``phase``, ``command``, ``answer``, ``trip``, ``operator``, ``device``.
        data: Plain values, ready for JSON.
    """

    at_s: float
    kind: str
    data: dict[str, Any]

    def to_json(self) -> str:
        """Return the event as one canonical line: same run, same bytes."""
        return json.dumps(
            {"at_s": round(self.at_s, 6), "kind": self.kind, **self.data},
            sort_keys=True,
            separators=(",", ":"),
            allow_nan=False,
        )


def hello_data(hello: Hello) -> dict[str, Any]:
    """Return what an event log says of a HELLO: who the probe says it is."""
    return {
        "device": unpadded(hello.device_id),
        "firmware": unpadded(hello.firmware_id),
        "profile": unpadded(hello.profile_id),
        "boot_id": hello.boot_id,
        "owned": hello.owned,
        "key_id": hello.key_id,
    }


def event_data(event: Event) -> dict[str, Any]:
    """Return what an event log says of an EVENT: what has happened in the probe."""
    return {
        "event": EventCode(event.code).name,
        "state": DeviceState(event.state).name,
        "trip": Trip(event.trip).name,
        "value": event.value,
        "limit": event.limit,
        "device_ms": event.device_ms,
    }


class RecordSink(Protocol):
    """Takes records in the order in which things happened; never blocks, never raises."""

    @property
    def storage(self) -> Storage:
        """How the recording stands; ARM waits for it (SR-33)."""
        ...

    def received(self, body: bytes, now_s: float) -> None:
        """A frame came in, as it was; line errors come as an empty body."""
        ...

    def sent(self, body: bytes, now_s: float) -> None:
        """A frame went out."""
        ...

    def sample(self, sample: Sample, now_s: float) -> None:
        """A frame was a valid sample."""
        ...

    def control(self, control: Control, now_s: float) -> None:
        """A control tick was done."""
        ...

    def estimate(self, estimate: IceEstimate, now_s: float) -> None:
        """The observer made a step."""
        ...

    def vendor(self, message_id: int, payload: bytes, now_s: float) -> None:
        """A vendor message came in; it is recorded and plotted, never decided on."""
        ...

    def event(self, event: LogEvent) -> None:
        """Something worth a line happened."""
        ...
