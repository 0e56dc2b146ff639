"""What a case finds: rows to judge, and curves to look at. Plain data, so that it can travel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from cryoctl_simulator.tissue_properties import Array

Rule = Literal["near", "far", "at least"]


@dataclass(frozen=True, slots=True)
class Row:
    """One figure beside its reference.

    Attributes:
        quantity: What is compared, with its unit.
        reference: The figure to meet.
        ours: What the model gives; None where it says nothing, which is never ok.
        tolerance: Error that separates ok from off, in the unit of the quantity; None for what is
            shown, not judged.
        in_percent: People read error and tolerance as shares of the reference.
        rule: When the row is ok: ``near`` the reference, no farther than ``tolerance``; ``far``
            from it, by more than ``tolerance`` (a negative control); or ``at least`` as large, less
            ``tolerance`` at most.
        source: Of the reference; empty for the case's own.
        case: Name of the case.
    """

    quantity: str
    reference: float
    ours: float | None
    tolerance: float | None = None
    in_percent: bool = False
    rule: Rule = "near"
    source: str = ""
    case: str = ""

    def __post_init__(self) -> None:
        """Take figures of numpy as plain numbers: its booleans are neither True nor JSON."""
        for name in ("reference", "ours", "tolerance"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, float(value))

    @property
    def error(self) -> float | None:
        """Ours less the reference."""
        return None if self.ours is None else self.ours - self.reference

    @property
    def ok(self) -> bool | None:
        """Whether the row is as it has to be; None where it is not judged."""
        if self.tolerance is None:
            return None
        if self.error is None:
            return False
        if self.rule == "at least":
            return self.error >= -self.tolerance
        if self.rule == "far":
            return abs(self.error) > self.tolerance
        return abs(self.error) <= self.tolerance

    def as_object(self) -> dict[str, Any]:
        """Return the row as ``--json`` prints it."""
        return {
            "case": self.case,
            "quantity": self.quantity,
            "reference": self.reference,
            "ours": self.ours,
            "error": self.error,
            "tolerance": self.tolerance,
            "ok": self.ok,
            "source": self.source,
        }


def within_percent(quantity: str, reference: float, ours: float | None, percent: float) -> Row:
    """Return a row whose error may be a share of the reference."""
    return Row(quantity, reference, ours, abs(reference) * percent / 100.0, in_percent=True)


def within(quantity: str, reference: float, ours: float, tolerance: float) -> Row:
    """Return a row whose error may be ``tolerance``, in the quantity's unit."""
    return Row(quantity, reference, ours, tolerance)


@dataclass(frozen=True, slots=True)
class Curve:
    """A line of a plot, or points where ``dots`` is set; `."""

    label: str
    x: Array
    y: Array
    colour: str
    dashes: str = ""
    dots: bool = False
    bar: float = 0.0


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture of a case and what there is to say about it."""

    title: str
    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    note: str
    logarithmic: bool = False


@dataclass(frozen=True, slots=True)
class Isotherms:
    """Lines of equal temperature around a needle in the middle plane through its axis."""

    title: str
    radial_mm: Array
    axial_mm: Array
    temps_c: Array
    levels_c: tuple[float, ...]
    needle_od_mm: float
    active_length_mm: float
    note: str


@dataclass(slots=True)
class Findings:
    """What one case found."""

    rows: list[Row] = field(default_factory=list)
    plots: list[Plot | Isotherms] = field(default_factory=list)
