"""``docs/reference/peers.md`` from the figures of a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

_WHAT: Final = {
    "payload": "payload alone",
    "compiled": "payload alone, `.compile()`",
    "frame": "whole frame",
    "signed": "whole frame, signed",
}


def page(figures: dict[str, Any], fields: int) -> str:
    """Return the page.

    Args:
        figures: Of ``side_by_side``.
        fields: How many the message has.
    """
    template = Path(__file__).with_name("page.txt").read_text(encoding="utf-8")
    return template.format(
        about=_about(figures),
        stages=_table(
            ("stage", "device-seconds per processor second", "held after, s", "step, s"),
            [
                (row["name"], _number(row["device_s_per_cpu_s"]), _number(row.get("held_s"), 1),
                 _number(row.get("step_s"), 3))
                for row in figures["stages"]
            ],
        ),
        trips=_table(
            ("served", "p50, ms", "p99, ms", "% of a core while nobody asks"),
            [
                (row["name"], _number(row["p50_ms"], 2), _number(row["p99_ms"], 2),
                 _number(row.get("cpu_percent"), 2))
                for row in figures["round_trips"]
            ],
        ),
        fields=fields,
        codecs=_table(
            ("codec", "of", "encoded per processor second", "decoded", "bytes"),
            [
                (row["name"], _WHAT[row["what"]], _number(row["encode_per_s"]),
                 _number(row["decode_per_s"]), _number(row["wire_bytes"]))
                for row in figures["codecs"]
            ],
        ),
    )  # fmt: skip


def _about(figures: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in figures["versions"].items())
    load = figures["load_average"]
    lines = [
        f"Measured {figures['date']} on {figures['machine']}, Python {figures['python']}"
        + ("" if load is None else f", load average {load:.1f}")
        + f": {versions}."
    ]
    lines += [f"**{name} did not run**: {why}." for name, why in figures["not_run"].items()]
    return "\n\n".join(lines)


def _number(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    marks = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, marks, *rows))
