"""The only way out for commands: one at a time, through the gate, as soon as the line is free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryoctl import permits
from cryoctl.cycle_table import Phase
from cryoctl.journal import Journal
from cryoctl.permits import PermitContext, Refusal
from cryoctl.sample import Sample
from cryoctl_protocol.codes import Op
from cryoctl_protocol.host_session import HostSession
from cryoctl_protocol.host_session import Phase as SessionPhase
from cryoctl_protocol.messages import Command

SEND_WITHIN_S: Final = 1.0
"""A command that the gate holds back for longer will not go out at all."""

NOTHING: Final = Command(
    counter=0,
    deadline_ms=0,
    op=0,
    mode=0,
    cycles=0,
    treatment_hash=0,
    setpoint_mdegc=0,
    duration_ms=0,
    energy_mj=0,
    stimulus_ua=0,
    stimulus_hz=0,
    stimulus_pulse_us=0,
)
"""A command with every field unused; counter and deadline are the session's to fill in."""


@dataclass(slots=True)
class CommandDesk:
    """Holds the next command until it may go out.

    Attributes:
        session: Seals and repeats what goes out.
        profile_hash: Of the profile that the treatment was checked against.
        bench_waiver: Written reason to command a device without own protection.
        stale: Telemetry is too old for anything but STOP; kept by the controller.
        sample: The newest one; kept by the controller, too.
    """

    session: HostSession
    journal: Journal
    profile_hash: int
    bench_waiver: str
    stale: bool = False
    sample: Sample | None = None
    _next: Command | None = None
    _planned_s: float = 0.0

    @property
    def idle(self) -> bool:
        """True if nothing waits to be sent or answered."""
        return self._next is None and not self.session.busy

    def gate(self, op: Op, phase: Phase, *, stimulus_ua: int = 0) -> Refusal | None:
        """Return why ``op`` must not go out in ``phase``, or None."""
        hello = self.session.hello
        return permits.check(
            op,
            PermitContext(
                phase=phase,
                session_open=self.session.phase is SessionPhase.OPEN,
                stale=self.stale,
                capabilities=0 if hello is None else hello.capabilities,
                profile_matches=hello is not None and hello.profile_hash == self.profile_hash,
                bench_waiver=self.bench_waiver,
                sample=self.sample,
                stimulus_ua=stimulus_ua,
            ),
        )

    def plan(self, command: Command, now_s: float) -> None:
        """Have ``command`` sent at the next ``flush`` that may."""
        self._next = command
        self._planned_s = now_s

    def drop(self) -> None:
        """Forget the command that waits."""
        self._next = None

    def flush(self, phase: Phase, now_s: float) -> Refusal | None:
        """Send what waits, if it may; return why it was given up, if it was."""
        command = self._next
        if command is None or self.session.busy:
            return None
        op = Op(command.op)
        refusal = self.gate(op, phase, stimulus_ua=command.stimulus_ua)
        if refusal is None:
            self._next = None
            self._send(command, op, now_s)
            return None
        if now_s - self._planned_s <= SEND_WITHIN_S:
            return None
        self._next = None
        self.journal.log("refused", now_s, op=op.name, reason=refusal.reason)
        return refusal

    def _send(self, command: Command, op: Op, now_s: float) -> None:
        counter = self.session.command(command, now_s)
        self.journal.log(
            "command",
            now_s,
            op=op.name,
            counter=counter,
            setpoint_c=command.setpoint_mdegc / 1000.0,
            duration_s=command.duration_ms / 1000.0,
        )
