"""What a page may send: one model for each kind of body; whatever else it holds is refused."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from cryoctl.operator_requests import Request
from cryoctl.run_options import SPEED_MAX, SPEED_MIN
from cryoctl.stimulation import Stimulus
from cryoctl.ui.draft import TEXT_LENGTH_MAX

BODY_BYTES_MAX: Final = 4 * TEXT_LENGTH_MAX + 4096
_BODY: Final = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)

_Line = Annotated[str, StringConstraints(max_length=400, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Nothing(BaseModel):
    """A wish that needs no more words."""

    model_config = _BODY


class TokenWish(BaseModel):
    """Log in."""

    model_config = _BODY
    token: Annotated[str, StringConstraints(max_length=200)]


class DraftWish(BaseModel):
    """Check a treatment."""

    model_config = _BODY
    treatment: Annotated[str, StringConstraints(max_length=TEXT_LENGTH_MAX)]


class ConnectWish(DraftWish):
    """Open a session on a device with a treatment."""

    device: _Line
    speed: float = Field(1.0, ge=SPEED_MIN, le=SPEED_MAX)


class AskWish(BaseModel):
    """Ask the controller for something."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    request: Request


class StimulusWish(BaseModel):
    """Stimulate the nerve; the controller knows what is allowed."""

    model_config = _BODY
    frequency_hz: float
    pulse_ms: float
    amplitude_ma: float
    duration_s: float

    def stimulus(self) -> Stimulus:
        """Return it as the controller takes it."""
        return Stimulus.of(**self.model_dump())


class FaultWish(BaseModel):
    """Have a fault simulated, such as ``tc_open@0s``."""

    model_config = _BODY
    fault: _Line


class ClearWish(BaseModel):
    """End a simulated fault."""

    model_config = _BODY
    fault_id: _Line


class SeatWish(BaseModel):
    """Take the seat, or leave it."""

    model_config = _BODY
    take: bool
