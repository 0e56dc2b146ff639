"""Asks a probe for an operation and measures what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from cryoctl_hil.evidence.measure import Measure
from cryoctl_hil.rigs.probe import Probe
from cryoctl_protocol.codes import Op

NO_FIELDS: Final[Mapping[str, int]] = MappingProxyType({})


class AnswerCheck:
    """What a test calls ``answered``: asks, and measures that the answer is the one expected.

    Args:
        probe: The one under test.
        measure: Takes the measurements.
    """

    def __init__(self, probe: Probe, measure: Measure) -> None:
        self._probe = probe
        self._measure = measure

    def __call__(
        self,
        answer: str,
        op: Op,
        fields: Mapping[str, int] = NO_FIELDS,
        *,
        name: str = "",
        requirement: str | None = None,
    ) -> int:
        """Ask for ``op`` and measure the answer; return the command's counter.

        Args:
            answer: The name of the one expected.
            op: What to ask for.
            fields: Of the command.
            name: Of the measurement; empty is that of the operation.
            requirement: That asks for the answer.
        """
        name = name or op.name
        since = self._probe.mark(name)
        counter = self._probe.send(op, **fields)
        self._probe.answer_to(counter)
        self._measure.said(
            name, "answer", "answer", answer, since, counter=counter, requirement=requirement
        )
        return counter
