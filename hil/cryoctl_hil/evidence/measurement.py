"""Measurements as data: what to look at in a trace, and the limit that it must keep.

A test says what it measures in these words. So the verdict of a finished run can be computed again
from its recordings, by a program that never saw the rig.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from cryoctl_hil.evidence.trace import MARK, SIGNALS, Trace, is_like

_HOLDS: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
Plain = str | int | float
Reduction = Literal["max", "min", "mean", "first", "last", "span"]


class Verdict(StrEnum):
    """What became of a measurement, a test or a whole run."""

    PASS = "PASS"  # noqa: S105 (no password)
    FAIL = "FAIL"
    NOT_RUN = "NOT RUN"


class Origin(StrEnum):
    """Who vouches for a value."""

    DEVICE = "reported by the device"
    INDEPENDENT = "measured independently"
    OPERATOR = "said by the operator"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


# -- moments ---


class AtMark(_Part):
    """When a test said so."""

    at: Literal["mark"] = "mark"
    name: str

    def find(self, trace: Trace) -> float | None:
        """Return the time, or None if it never came."""
        event = trace.find(MARK, {"name": self.name}, float("-inf"))
        return None if event is None else float(event["at_s"])


class AtSignal(_Part):
    """When a signal first is as asked."""

    at: Literal["signal"] = "signal"
    signal: str
    holds: Literal["<", "<=", ">", ">=", "==", "!="]
    value: float
    after: Moment | None = None

    def find(self, trace: Trace) -> float | None:
        """Return the time of the first such sample, or None if it never came."""
        after_s = _after(self.after, trace)
        if after_s is None:
            return None
        holds = _HOLDS[self.holds]
        return trace.first_when(self.signal, lambda value: holds(value, self.value), after_s)


class AtEvent(_Part):
    """When an event came."""

    at: Literal["event"] = "event"
    kind: str
    where: dict[str, Plain] = {}
    after: Moment | None = None

    def find(self, trace: Trace) -> float | None:
        """Return the time of the first such event, or None if it never came."""
        after_s = _after(self.after, trace)
        event = None if after_s is None else trace.find(self.kind, self.where, after_s)
        return None if event is None else float(event["at_s"])


Moment = Annotated[AtMark | AtSignal | AtEvent, Field(discriminator="at")]


def _after(moment: Moment | None, trace: Trace) -> float | None:
    return float("-inf") if moment is None else moment.find(trace)


# -- what is measured ---


class Interval(_Part):
    """Seconds from one moment to another."""

    by: Literal["interval"] = "interval"
    since: Moment
    until: Moment

    def evaluate(self, trace: Trace) -> float | None:
        """Return the length, or None if one of the moments never came."""
        since_s, until_s = self.since.find(trace), self.until.find(trace)
        return None if since_s is None or until_s is None else until_s - since_s


class Reading(_Part):
    """One number out of the readings of a signal between two moments."""

    by: Literal["reading"] = "reading"
    signal: str
    take: Reduction
    since: Moment
    until: Moment

    def evaluate(self, trace: Trace) -> float | None:
        """Return the number, or None if there were no readings."""
        since_s, until_s = self.since.find(trace), self.until.find(trace)
        if since_s is None or until_s is None:
            return None
        readings = trace.between(self.signal, since_s, until_s)
        return _REDUCE[self.take](readings) if readings else None


class Count(_Part):
    """How many events of a kind came after a moment."""

    by: Literal["count"] = "count"
    kind: str
    where: dict[str, Plain] = {}
    since: Moment

    def evaluate(self, trace: Trace) -> float | None:
        """Return the number, or None if the moment never came."""
        since_s = self.since.find(trace)
        if since_s is None:
            return None
        return float(
            sum(
                event["at_s"] >= since_s and is_like(event, self.kind, self.where)
                for event in trace.events
            )
        )


class Said(_Part):
    """A word in the first event of a kind after a moment."""

    by: Literal["said"] = "said"
    kind: str
    field: str
    where: dict[str, Plain] = {}
    since: Moment

    def evaluate(self, trace: Trace) -> Plain | None:
        """Return the word or number, or None if there is no such event."""
        since_s = self.since.find(trace)
        event = None if since_s is None else trace.find(self.kind, self.where, since_s)
        return None if event is None else event.get(self.field)


class Given(_Part):
    """A value that came from elsewhere: an instrument, an operator, a computation of the test."""

    by: Literal["given"] = "given"
    value: Plain

    def evaluate(self, trace: Trace) -> Plain | None:
        """Return the value."""
        return self.value


What = Annotated[Interval | Reading | Count | Said | Given, Field(discriminator="by")]

_REDUCE: Final[dict[str, Callable[[list[float]], float]]] = {
    "max": max,
    "min": min,
    "mean": lambda values: sum(values) / len(values),
    "first": lambda values: values[0],
    "last": lambda values: values[-1],
    "span": lambda values: max(values) - min(values),
}


class Limit(_Part):
    """What a value must keep; at least one bound, or one word.

    Attributes:
        uncertainty: Of the value, in its unit: bounds are made tighter by it, so that a PASS holds
            whatever the true value is.
    """

    at_least: float | None = None
    at_most: float | None = None
    exactly: Plain | None = None
    unit: str = ""
    uncertainty: float = 0.0

    def judge(self, value: Plain | None) -> tuple[Verdict, str]:
        """Return the verdict on ``value``, and why if it is none to be glad of."""
        if value is None:
            return Verdict.FAIL, "it never came to what was to be measured"
        if self.exactly is not None:
            if value == self.exactly:
                return Verdict.PASS, ""
            return Verdict.FAIL, f"{value} is not {self.exactly}"
        number = float(value)
        if self.at_most is not None and number > self.at_most - self.uncertainty:
            return Verdict.FAIL, self._why(number, number > self.at_most, "above", self.at_most)
        if self.at_least is not None and number < self.at_least + self.uncertainty:
            return Verdict.FAIL, self._why(number, number < self.at_least, "below", self.at_least)
        return Verdict.PASS, ""

    def _why(self, number: float, is_beyond: bool, side: str, bound: float) -> str:  # noqa: FBT001
        told = f"{number:g} {self.unit}".rstrip()
        if is_beyond:
            return f"{told} is {side} {bound:g}"
        return f"{told} keeps {bound:g}, but not by its uncertainty of {self.uncertainty:g}"

    def margin(self, number: float) -> float | None:
        """Return how far a number is from the nearer bound; None without one."""
        gaps = []
        if self.at_most is not None:
            gaps.append(self.at_most - number)
        if self.at_least is not None:
            gaps.append(number - self.at_least)
        return min(gaps, default=None)


class Measurement(_Part):
    """What was measured, against which limit, and what it came to.

    Attributes:
        samples: How many there were in the trace when it was judged; what came later, such as the
            STOP at the end of the test, is none of its business.
        events: Likewise.
    """

    name: str
    requirement: str = ""
    what: What
    limit: Limit
    origin: Origin = Origin.DEVICE
    samples: int = 0
    events: int = 0
    value: Plain | None = None
    verdict: Verdict = Verdict.NOT_RUN
    why: str = ""

    def judged(self, trace: Trace) -> Measurement:
        """Return this measurement with value and verdict, as ``trace`` has them now."""
        seen = {"samples": len(trace.now_s), "events": len(trace.events)}
        return self.model_copy(update=seen).judged_again(trace)

    def judged_again(self, trace: Trace) -> Measurement:
        """Return this measurement with value and verdict, by what ``trace`` had at its moment."""
        value = self.what.evaluate(trace.cut(self.samples, self.events))
        if isinstance(value, bool):
            value = int(value)  # As the file will have it.
        elif isinstance(value, float):
            value = round(value, 6)  # Of a recording's nanoseconds nothing is lost that counts.
        verdict, why = self.limit.judge(value)
        return self.model_copy(update={"value": value, "verdict": verdict, "why": why})


def signal_problem(signal: str) -> str:
    """Return why a measurement cannot name ``signal``; empty if it can."""
    return "" if signal in SIGNALS else f"unknown signal {signal!r}; known: {', '.join(SIGNALS)}"


# -- as a test writes it ---


def when(
    signal: str,
    holds: Literal["<", "<=", ">", ">=", "==", "!="],
    value: float,
    *,
    after: Moment | None = None,
) -> AtSignal:
    """Return the moment at which a signal first is as asked, such as ``when("valve", "==", 0)``.

    Raises:
        ValueError: No telemetry field has this name.
    """
    problem = signal_problem(signal)
    if problem:
        raise ValueError(problem)
    return AtSignal(signal=signal, holds=holds, value=value, after=after)


def heard(kind: str, *, after: Moment | None = None, **where: Plain) -> AtEvent:
    """Return the moment of an event, such as ``heard("device", event="TRIP")``."""
    return AtEvent(kind=kind, where=where, after=after)
