"""The safety decisions hold one condition each, so that branch coverage gives the MC/DC pairs."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from cryoctl import interlocks, permits


def joined_conditions(source: str) -> list[str]:
    """Return line and kind of every place where one expression decides on several conditions."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.BoolOp):
            found.append(f"{node.lineno}: {'and' if isinstance(node.op, ast.And) else 'or'}")
        elif isinstance(node, ast.Compare) and len(node.ops) > 1:
            found.append(f"{node.lineno}: comparison chain")
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("any", "all")
        ):
            found.append(f"{node.lineno}: {node.func.id}")
    return found


@pytest.mark.parametrize("module", [interlocks, permits])
def test_safety_decisions_have_one_condition_each(module: object) -> None:
    path = Path(str(getattr(module, "__file__", "")))

    found = joined_conditions(path.read_text("utf-8"))

    assert found == []


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("if cold and wet:\n    stop()", "1: and"),
        ("x = 1\nsafe = shut or off", "2: or"),
        ("if any(bad for bad in history): stop()", "1: any"),
        ("if all(good): go()", "1: all"),
        ("if -85.0 < tip_c < 43.0: go()", "1: comparison chain"),
    ],
)
def test_the_style_check_finds_joined_conditions(source: str, kind: str) -> None:
    assert joined_conditions(source) == [kind]
