"""The one gate for outgoing commands: may this operation leave the controller now?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from cryoctl.cycle_table import ALLOWED_OPS, Phase
from cryoctl.sample import Sample
from cryoctl_protocol.codes import Capability, Op

OWN_PROTECTION: Final = Capability.LEASE | Capability.FREEZE_TIMER
"""What a device needs to be commanded: it must stop by itself when the controller dies."""

STIMULUS_TIP_MIN_C: Final = 20.0
"""SR-41: a chilled nerve answers late or not at all; gel on a bench of 22 C is allowed. Assumed."""


class Refusal(NamedTuple):
    """Why a command or request does not go out; an expected answer, not an error."""

    reason: str


@dataclass(frozen=True, slots=True)
class PermitContext:
    """What the gate looks at.

    Attributes:
        phase: Of the session with the probe.
        session_open: Both sides have proved their key.
        stale: No valid telemetry within the link's stale limit.
        capabilities: By HELLO.
        profile_matches: The probe's profile hash is ours (SR-28).
        bench_waiver: Somebody's written reason to command a device without own protection.
        sample: Newest telemetry, or None.
        stimulus_ua: STIMULATE: amplitude asked for.
    """

    phase: Phase
    session_open: bool
    stale: bool
    capabilities: int
    profile_matches: bool
    bench_waiver: str
    sample: Sample | None = None
    stimulus_ua: int = 0


def check(op: Op, context: PermitContext) -> Refusal | None:
    """Return why ``op`` must not go out, or None if it may."""
    if op is Op.STOP:
        return None
    if not context.session_open:
        return Refusal("no session with the probe")
    if context.stale:
        return Refusal("telemetry is stale: only STOP may go out (SR-03)")
    if context.capabilities & OWN_PROTECTION != OWN_PROTECTION:
        if not context.bench_waiver:
            return Refusal(
                "the device has no lease and freeze timer of its own: monitor only, "
                "unless a bench waiver is given"
            )
    if not context.profile_matches:
        return Refusal("the probe's profile is not the one of this treatment (SR-28)")
    if op not in ALLOWED_OPS[context.phase]:
        return Refusal(f"{op.name} is not allowed in {context.phase}")
    if context.stimulus_ua > 0:
        return check_stimulus(context)
    return None


def check_stimulus(context: PermitContext) -> Refusal | None:
    """Return why the nerve must not be stimulated now (SR-41); turning it off needs nothing."""
    if not context.capabilities & Capability.STIMULATOR:
        return Refusal("the probe has no stimulator")
    sample = context.sample
    if sample is None:
        return Refusal("no telemetry of the probe yet (SR-41)")
    if sample.valve > 0.0:
        return Refusal("the valve is open: stimulation needs it shut (SR-41)")
    if sample.shutoff_open:
        return Refusal("the second shut-off is open: stimulation needs it shut (SR-41)")
    if sample.tip_heater > 0.0:
        return Refusal("the tip heater is on: stimulation needs it off (SR-41)")
    tip_c = sample.tip_temp_c
    if tip_c is None:
        return Refusal("the tip temperature is not known: stimulation needs it (SR-41)")
    if tip_c <= STIMULUS_TIP_MIN_C:
        return Refusal(
            f"the tip is at {tip_c:.1f} °C: wait until it is above {STIMULUS_TIP_MIN_C:g} °C, a "
            "chilled nerve does not answer as it should (SR-41)"
        )
    return None
