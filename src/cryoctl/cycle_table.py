"""The whole behaviour of a treatment as one table: phase, trigger, next phase.

Nothing outside this table decides a phase. ``transitions`` carries it out, refuses what is not in
it, and the same rows draw the diagram of the documentation.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from transitions import Machine, MachineError

from cryoctl_protocol.codes import HostMode, Op


class Phase(StrEnum):
    """Where a session with a probe stands."""

    DISCONNECTED = "DISCONNECTED"
    CONNECTING = "CONNECTING"
    IDLE = "IDLE"
    SELF_TEST = "SELF_TEST"
    LEAK_TEST = "LEAK_TEST"
    READY = "READY"
    PLACEMENT = "PLACEMENT"
    ARMED = "ARMED"
    PREWARM = "PREWARM"
    COOLING = "COOLING"
    HOLD = "HOLD"
    THAWING = "THAWING"
    RELEASE = "RELEASE"
    PAUSE = "PAUSE"
    COMPLETE = "COMPLETE"
    SAFE = "SAFE"
    FAULT = "FAULT"


QUIET: Final = frozenset({Phase.DISCONNECTED, Phase.CONNECTING})
"""No session with a probe is open yet, or any more."""
ENDED: Final = frozenset({Phase.COMPLETE, Phase.FAULT})
"""A treatment is over."""


class Trigger(StrEnum):
    """What makes a session move on."""

    CONNECT = "connect"
    LINKED = "linked"
    BEGIN = "begin"
    PASSED = "passed"
    PLACE = "place"
    PLACED = "placed"
    ARM = "arm"
    DISARM = "disarm"
    START = "start"
    WARMED = "warmed"
    REACHED = "reached"
    MISSED = "missed"
    HELD = "held"
    FREED = "freed"
    REST = "rest"
    AGAIN = "again"
    FINISH = "finish"
    TRIP = "trip"
    MADE_SAFE = "made_safe"
    RESET = "reset"
    CLOSE = "close"


class Row(NamedTuple):
    """One transition."""

    source: Phase
    trigger: Trigger
    target: Phase


_P, _T = Phase, Trigger
# fmt: off
ROWS: Final[tuple[Row, ...]] = (
    Row(_P.DISCONNECTED, _T.CONNECT,     _P.CONNECTING),
    Row(_P.CONNECTING,   _T.LINKED,      _P.IDLE),
    Row(_P.IDLE,         _T.BEGIN,       _P.SELF_TEST),
    Row(_P.SELF_TEST,    _T.PASSED,      _P.LEAK_TEST),
    Row(_P.LEAK_TEST,    _T.PASSED,      _P.READY),
    Row(_P.READY,        _T.PLACE,       _P.PLACEMENT),
    Row(_P.PLACEMENT,    _T.PLACED,      _P.READY),
    Row(_P.READY,        _T.ARM,         _P.ARMED),
    Row(_P.ARMED,        _T.DISARM,      _P.READY),
    Row(_P.ARMED,        _T.START,       _P.PREWARM),
    Row(_P.PREWARM,      _T.WARMED,      _P.COOLING),
    Row(_P.COOLING,      _T.REACHED,     _P.HOLD),
    Row(_P.COOLING,      _T.MISSED,      _P.THAWING),
    Row(_P.HOLD,         _T.HELD,        _P.THAWING),
    Row(_P.HOLD,         _T.MISSED,      _P.THAWING),
    Row(_P.THAWING,      _T.FREED,       _P.RELEASE),
    Row(_P.RELEASE,      _T.REST,        _P.PAUSE),
    Row(_P.PAUSE,        _T.AGAIN,       _P.COOLING),
    Row(_P.RELEASE,      _T.FINISH,      _P.COMPLETE),
    Row(_P.COMPLETE,     _T.RESET,       _P.IDLE),
    Row(_P.SAFE,         _T.MADE_SAFE,   _P.FAULT),
    Row(_P.FAULT,        _T.RESET,       _P.IDLE),
    *(Row(phase, _T.TRIP, _P.SAFE)
      for phase in _P if phase not in (_P.DISCONNECTED, _P.SAFE)),
    *(Row(phase, _T.CLOSE, _P.DISCONNECTED)
      for phase in (_P.CONNECTING, _P.IDLE, _P.READY, _P.COMPLETE, _P.SAFE, _P.FAULT)),
)

# What a lease claims in each phase; the probe compares it with its own state.
MODES: Final[dict[Phase, HostMode]] = {
    **dict.fromkeys(Phase, HostMode.IDLE),
    Phase.COOLING: HostMode.FREEZE,
    Phase.HOLD:    HostMode.FREEZE,
    Phase.THAWING: HostMode.THAW,
    Phase.RELEASE: HostMode.THAW,
}

# Which operations may leave the controller in each phase; STOP may always.
ALLOWED_OPS: Final[dict[Phase, frozenset[Op]]] = {
    **dict.fromkeys(Phase, frozenset[Op]()),
    Phase.IDLE:      frozenset({Op.CLEAR}),
    Phase.SELF_TEST: frozenset({Op.SELF_TEST}),
    Phase.LEAK_TEST: frozenset({Op.LEAK_TEST}),
    Phase.READY:     frozenset({Op.ARM, Op.END}),
    Phase.PLACEMENT: frozenset({Op.STIMULATE}),
    Phase.ARMED:     frozenset({Op.START, Op.END}),
    Phase.PREWARM:   frozenset({Op.PREWARM}),
    Phase.COOLING:   frozenset({Op.FREEZE, Op.SETPOINT}),
    Phase.HOLD:      frozenset({Op.SETPOINT}),
    Phase.THAWING:   frozenset({Op.THAW}),
    Phase.RELEASE:   frozenset({Op.END}),
    Phase.COMPLETE:  frozenset({Op.END}),
    Phase.SAFE:      frozenset({Op.THAW}),
    Phase.FAULT:     frozenset({Op.CLEAR}),
}
# fmt: on


class IllegalTriggerError(Exception):
    """A trigger that the table does not know in this phase: a bug, never an operator's mistake."""


class _Model:
    """What ``transitions`` moves: a phase and nothing else."""

    state: str


class PhaseMachine:
    """Carries the table out; keeps no phase of its own between calls."""

    def __init__(self) -> None:
        self._machine = Machine(
            _Model(),
            states=[phase.value for phase in Phase],
            initial=Phase.DISCONNECTED.value,
            auto_transitions=False,
            transitions=[
                {"trigger": row.trigger.value, "source": row.source.value, "dest": row.target.value}
                for row in ROWS
            ],
        )

    def fire(self, phase: Phase, trigger: Trigger) -> Phase:
        """Return the phase that ``trigger`` leads to; raises IllegalTriggerError if none."""
        # A model for each call: runs in other threads use the same table at the same time.
        model = _Model()
        model.state = phase.value
        try:
            self._machine.events[trigger.value].trigger(model)
        except (MachineError, KeyError) as error:
            raise IllegalTriggerError(f"{trigger} is not possible in {phase}") from error
        return Phase(model.state)

    def knows(self, phase: Phase, trigger: Trigger) -> bool:
        """Return True if the table has a row for ``phase`` and ``trigger``."""
        return trigger.value in self._machine.get_triggers(phase.value)


def to_mermaid() -> str:
    """Return the table as a Mermaid state diagram; the many rows into SAFE are drawn as one."""
    lines = ["stateDiagram-v2", "    [*] --> DISCONNECTED"]
    lines += [
        f"    {row.source} --> {row.target}: {row.trigger}"
        for row in ROWS
        if row.trigger is not Trigger.TRIP
    ]
    lines.append("    note right of SAFE: trip leads here from every phase with a live device")
    return "\n".join(lines) + "\n"
