"""The one gate for outgoing commands: may this operation leave the controller now?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from cryoctl.cycle_table import ALLOWED_OPS, Phase
from cryoctl_protocol.codes import Capability, Op

OWN_PROTECTION: Final = Capability.LEASE | Capability.FREEZE_TIMER
"""What a device needs to be commanded: it must stop by itself when the controller dies."""


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
    """

    phase: Phase
    session_open: bool
    stale: bool
    capabilities: int
    profile_matches: bool
    bench_waiver: str


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
    return None
