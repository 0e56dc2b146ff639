"""Small faults in Python source: one changed operator, number, condition, value or call each."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

_BOUNDARY: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
}  # fmt: skip
_NEGATED: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In,  # codespell:ignore
}  # fmt: skip
_OTHER: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
_FLOAT_SHARE: Final = 0.02
_TABLE_ROWS_MIN: Final = 4

Change = Callable[[], None]
"""Makes the fault in the tree that it was found in."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault.

    Attributes:
        number: Its place among all faults of its source; ``apply`` finds it by this.
        line: Where, from 1.
        end_line: Last line of the statement that it is in.
        where: Function it is in, or ``module``.
        text: The line as it stands.
        fault: What is changed.
        statement: First line of the statement that it is in.
        twin: How many faults before it in its function read the same.
    """

    number: int
    line: int
    end_line: int
    where: str
    text: str
    fault: str
    statement: str
    twin: int = 0

    @property
    def id(self) -> str:
        """What names it as long as the line stands as it does."""
        which = f" ({self.twin + 1})" if self.twin else ""
        return f"{self.where}: {self.text}: {self.fault}{which}"


def mutants(source: str) -> list[Mutant]:
    """Return every fault that can be made in ``source``, in the order of the text."""
    lines = source.splitlines()
    found: list[Mutant] = []
    alike: Counter[tuple[str, str, str]] = Counter()
    tree = ast.parse(source)
    for number, (node, statement, where, fault, _) in enumerate(_faults(tree)):
        line = node.lineno
        end_line = _own_end(statement)
        text = lines[line - 1].strip()
        found.append(
            Mutant(
                number, line, max(line, end_line), where, text, fault,
                lines[statement.lineno - 1].strip(), alike[where, text, fault],
            )
        )  # fmt: skip
        alike[where, text, fault] += 1
    return found


def apply(source: str, number: int) -> ast.Module:
    """Return the tree of ``source`` with fault ``number`` in it."""
    tree = ast.parse(source)
    for index, (_, _, _, _, change) in enumerate(_faults(tree)):
        if index == number:
            change()
            return ast.fix_missing_locations(tree)
    raise IndexError(f"there is no fault {number}")


def _own_end(statement: ast.stmt) -> int:
    """Return the last line of a statement without the statements inside it."""
    body = getattr(statement, "body", None)
    if isinstance(body, list) and body:
        return int(body[0].lineno) - 1
    return statement.end_lineno or statement.lineno


_Fault = tuple[ast.expr | ast.stmt, ast.stmt, str, str, Change]


def _faults(tree: ast.Module) -> Iterator[_Fault]:
    for body, place, where in _statements(tree, "module"):
        statement = body[place]
        for fault, change in _of_statement(body, place):
            yield statement, statement, where, fault, change
        for node in _own_expressions(statement):
            for fault, change in _of_expression(node):
                yield node, statement, where, fault, change
            if where == "module":
                for element, fault, change in _of_table(node):
                    yield element, statement, where, fault, change


def _statements(node: ast.AST, where: str) -> Iterator[tuple[list[ast.stmt], int, str]]:
    """Return every statement by the list that holds it, in the order of the text."""
    for name in ("body", "cases", "handlers", "orelse", "finalbody"):
        body = getattr(node, name, None)
        if not isinstance(body, list):
            continue
        for place, statement in enumerate(list(body)):
            if not isinstance(statement, ast.stmt):  # A case or a handler, which holds some.
                yield from _statements(statement, where)
                continue
            inner = where
            if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
                inner = statement.name if where == "module" else f"{where}.{statement.name}"
            yield body, place, inner
            yield from _statements(statement, inner)


def _own_expressions(statement: ast.stmt) -> Iterator[ast.expr]:
    """Return the expressions of a statement, but not annotations, messages and inner statements."""
    waiting: list[ast.AST] = []
    for name, value in ast.iter_fields(statement):
        if name in ("annotation", "returns", "decorator_list", "bases", "keywords", "args"):
            continue
        values = value if isinstance(value, list) else [value]
        waiting += [each for each in values if isinstance(each, ast.expr)]
    for first in waiting:
        for node in ast.walk(first):
            if isinstance(node, ast.expr):
                yield node


def _of_statement(body: list[ast.stmt], place: int) -> Iterator[tuple[str, Change]]:
    statement = body[place]

    def drop() -> None:
        body[place] = ast.copy_location(ast.Pass(), statement)

    if isinstance(statement, ast.Expr) and isinstance(statement.value, (ast.Call, ast.Yield)):
        yield "drop the call", drop
    elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Attribute):
        yield "drop the assignment", drop
    elif isinstance(statement, ast.AugAssign):
        yield "drop the assignment", drop
        other = _OTHER.get(type(statement.op))
        if other is not None:
            yield f"{_name(statement.op)} to {other.__name__}", _set(statement, "op", other())
    elif isinstance(statement, ast.If):
        yield "never", _set(statement, "test", ast.Constant(value=False))
        if not isinstance(statement.test, ast.Compare):
            yield (
                "negate",
                _set(statement, "test", ast.UnaryOp(op=ast.Not(), operand=statement.test)),
            )
    elif isinstance(statement, ast.Return) and isinstance(statement.value, ast.Call):
        yield "return None", _set(statement, "value", ast.Constant(value=None))


def _of_expression(node: ast.expr) -> Iterator[tuple[str, Change]]:  # noqa: C901 (a table)
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        for table in (_BOUNDARY, _NEGATED):
            other = table.get(type(node.ops[0]))
            if other is not None:
                yield f"{_name(node.ops[0])} to {other.__name__}", _set(node, "ops", [other()])
    elif isinstance(node, ast.Compare):
        for place, operator in enumerate(node.ops):
            other = _BOUNDARY.get(type(operator))
            if other is not None:
                ops = [*node.ops[:place], other(), *node.ops[place + 1 :]]
                yield (
                    f"{_name(operator)} to {other.__name__} (part {place})",
                    _set(node, "ops", ops),
                )
    elif isinstance(node, ast.BoolOp):
        swapped = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield f"{_name(node.op)} to {_name(swapped)}", _set(node, "op", swapped)
    elif isinstance(node, ast.BinOp):
        instead = _OTHER.get(type(node.op))
        if instead is not None:
            yield f"{_name(node.op)} to {instead.__name__}", _set(node, "op", instead())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "drop not", _truth(node)
    elif isinstance(node, ast.IfExp):
        yield "swap the cases", _swap(node)
    elif isinstance(node, ast.Constant):
        for value in _other_values(node.value):
            yield f"{node.value!r} to {value!r}", _set(node, "value", value)


def _of_table(node: ast.expr) -> Iterator[tuple[ast.expr, str, Change]]:
    """Leave one row out of a table."""
    if isinstance(node, ast.Tuple) and len(node.elts) >= _TABLE_ROWS_MIN:
        for place, element in enumerate(node.elts):
            rest = [*node.elts[:place], *node.elts[place + 1 :]]
            yield element, f"drop element {place}", _set(node, "elts", rest)
    elif isinstance(node, ast.Dict):
        for place, key in enumerate(node.keys):
            if key is not None:
                yield key, f"drop {ast.unparse(key)}", _drop_row(node, place)


def _drop_row(node: ast.Dict, place: int) -> Change:
    def change() -> None:
        del node.keys[place], node.values[place]

    return change


def _other_values(value: object) -> list[object]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1]
    if isinstance(value, float):
        if value == 0.0:
            return [0.01]
        return [value * (1.0 + _FLOAT_SHARE), value * (1.0 - _FLOAT_SHARE)]
    return []


def _set(node: ast.AST, name: str, value: object) -> Change:
    def change() -> None:
        setattr(node, name, value)

    return change


def _truth(node: ast.UnaryOp) -> Change:
    """Return a change from ``not x`` to ``not not x``."""

    def change() -> None:
        node.operand = ast.UnaryOp(op=ast.Not(), operand=node.operand)

    return change


def _swap(node: ast.IfExp) -> Change:
    def change() -> None:
        node.body, node.orelse = node.orelse, node.body

    return change


def _name(operator: ast.AST) -> str:
    return type(operator).__name__
