"""An examination: every check of the levels asked for, one after the other, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cryoctl_protocol.conformance import level_0, level_1, level_2, level_3
from cryoctl_protocol.conformance.bench import (
    Bench,
    CheckFailedError,
    DeviationError,
    GasFlowsError,
    NotRunError,
    Steps,
)
from cryoctl_protocol.conformance.checks import Check, Need
from cryoctl_protocol.messages import Telemetry, Vitals

LEVELS: Final[tuple[tuple[Check, ...], ...]] = (
    level_0.CHECKS, level_1.CHECKS, level_2.CHECKS, level_3.CHECKS,
)  # fmt: skip
GASLESS: Final = frozenset({0, 1})
"""Levels in which nothing lets gas flow, and a valve that opens is a fault."""
STALE_S: Final = 0.3
"""What comes first may have waited in a buffer since somebody else listened."""
OFF_S: Final = 2.0
STOP_AGAIN_S: Final = 0.1


class Verdict(StrEnum):
    """What came of one check."""

    PASS = "PASS"  # noqa: S105 (no password)
    FAIL = "FAIL"
    NOT_RUN = "NOT RUN"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one check has found.

    Attributes:
        id: Level and name, such as ``L1.retry``.
        section: Anchor in SPEC.md.
        claim: What was looked at.
        reason: Why it was not run.
        field: What is wrong, where it failed; so are the next two.
        expected: What SPEC.md asks for.
        observed: What was there instead.
    """

    id: str
    level: int
    section: str
    claim: str
    verdict: Verdict
    reason: str = ""
    field: str = ""
    expected: str = ""
    observed: str = ""


class Conformance:
    """One examination of one device.

    Args:
        bench: Hears and speaks.
        levels: Which to examine.
        may_freeze: Gas may flow.

    Attributes:
        outcomes: Of the checks that are over.
        finished: Nothing is left to do.
    """

    def __init__(self, bench: Bench, levels: Iterable[int], *, may_freeze: bool) -> None:
        self.outcomes: list[Outcome] = []
        self.finished = False
        self._bench = bench
        self._levels = tuple(levels)
        self._may_freeze = may_freeze
        self._over = ""
        """Why nothing more is asked of the device."""
        self._checking = False
        """A check goes on in which no gas may flow."""
        self._steps = self._examine()
        self._due_s = float("-inf")

    def step(self, now_s: float) -> None:
        """Go on as far as ``now_s`` allows; what came by then has been handed to the bench."""
        bench = self._bench
        bench.now_s = now_s
        if self.finished:
            return
        try:
            if self._checking and bench.opened is not None and not self._over:
                self._stop_examining(bench.opened)
            elif now_s >= self._due_s:
                self._due_s = now_s + next(self._steps)
        except StopIteration:
            self.finished = True

    def give_up(self, reason: str) -> None:
        """End it: the link is gone. Frames that were none are told all the same."""
        left = [
            (level, check)
            for level in self._levels
            for check in LEVELS[level]
        ][len(self.outcomes) :]  # fmt: skip
        flaws = self._bench.flaws
        for level, check in left:
            if check is level_0.CHECKS[0] and flaws:
                self._add(level, check, Verdict.FAIL, field=flaws[0].field,
                          expected=flaws[0].expected, observed=flaws[0].observed)  # fmt: skip
            else:
                self._add(level, check, Verdict.NOT_RUN, reason=reason)
        self.finished = True

    def _stop_examining(self, seen: Telemetry | Vitals) -> None:
        """End the present check, and all that would follow it, because gas flows unasked."""
        self._over = "the valve opened where nothing had asked for it"
        name = "valve_permille" if seen.valve_permille else "shutoff_open"
        kind = type(seen).__name__.upper()
        error = GasFlowsError(
            f"{kind}.{name}", "0: no check of levels 0 and 1 opens the valve",
            str(int(getattr(seen, name))),
        )  # fmt: skip
        self._due_s = self._bench.now_s + self._steps.throw(error)

    def _examine(self) -> Steps:
        yield from self._meet()
        for level in self._levels:
            for check in LEVELS[level]:
                yield from self._carry_out(level, check)
        self._bench.leasing = None

    def _meet(self) -> Steps:
        """Empty the line; have the device say who it is, where level 0 is left out."""
        bench = self._bench
        yield STALE_S
        bench.forget()
        if 0 in self._levels:
            return
        yield from bench.until(lambda: bench.heard, level_0.LISTEN_S)
        with suppress(CheckFailedError):
            yield from bench.greet(bench.new_nonce())

    def _carry_out(self, level: int, check: Check) -> Steps:
        bench = self._bench
        reason = self._over or self._why_not(check)
        if reason:
            self._add(level, check, Verdict.NOT_RUN, reason=reason)
            return
        self._checking = level in GASLESS
        try:
            if Need.SESSION in check.needs:
                yield from bench.hold_session()
            yield from check.run(bench)
        except NotRunError as error:
            self._add(level, check, Verdict.NOT_RUN, reason=str(error))
        except DeviationError as error:
            self._add(level, check, Verdict.FAIL, field=error.field, expected=error.expected,
                      observed=error.observed)  # fmt: skip
        else:
            self._add(level, check, Verdict.PASS)
        self._checking = False
        yield from self._see_it_off()

    def _why_not(self, check: Check) -> str:
        """Return why a check cannot be made, or nothing."""
        bench = self._bench
        if Need.STREAM in check.needs and not bench.is_stream:
            return "this link carries whole messages: nothing damaged can be sent over it"
        if check.needs & (Need.KEY | Need.SESSION):
            if bench.hello is None:
                return "no HELLO was heard"
            if bench.no_key:
                return bench.no_key
        if Need.FREEZE in check.needs and not self._may_freeze:
            return "it lets gas flow, and nobody allowed that (--may-freeze)"
        return ""

    def _see_it_off(self) -> Steps:
        """Say STOP until no output is on; what a check leaves behind must not go on."""
        bench = self._bench
        bench.opened = None
        end_s = bench.now_s + OFF_S
        while bench.now_s < end_s and bench.is_driven:
            said = bench.stop()
            if said is None:
                return
            bench.say(said[1])
            yield STOP_AGAIN_S
        bench.opened = None

    def _add(
        self,
        level: int,
        check: Check,
        verdict: Verdict,
        *,
        reason: str = "",
        field: str = "",
        expected: str = "",
        observed: str = "",
    ) -> None:
        self.outcomes.append(
            Outcome(
                f"L{level}.{check.name}",
                level,
                check.section,
                check.claim,
                verdict,
                reason,
                field,
                expected,
                observed,
            )
        )
