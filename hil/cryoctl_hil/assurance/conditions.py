"""Which conditions each decision of a module was seen to take, test by test, for MC/DC.

Modified condition/decision coverage asks of every condition that it has been seen to decide by
itself: two evaluations of its decision that end differently, in which it differs and no other
condition does (or is not looked at). Python's branch coverage sees neither the parts of an ``and``
nor a conditional expression; so the modules are rewritten as they are imported, each condition
wrapped in a call that keeps its value.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from itertools import product
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final

_CONDITION: Final = "__condition__"
_DECISION: Final = "__decision__"

Values = tuple[bool | None, ...]
"""One for each condition of a decision; None if it was not looked at."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One boolean expression on which something depends.

    Attributes:
        conditions: Its parts, as they are written.
    """

    module: str
    line: int
    conditions: tuple[str, ...]


@dataclass(slots=True)
class Recorder:
    """Every decision there is, and by which values it was seen to come to which end."""

    decisions: list[Decision] = field(default_factory=list)
    seen: dict[int, dict[tuple[Values, bool], str]] = field(default_factory=dict)
    test: str = "import"
    """Which one is running; until the first, modules are imported."""
    _values: dict[int, list[bool | None]] = field(default_factory=dict)

    def condition(self, decision: int, place: int, value: object) -> object:
        """Keep the value of one condition; return it as it is."""
        count = len(self.decisions[decision].conditions)
        self._values.setdefault(decision, [None] * count)[place] = bool(value)
        return value

    def decision(self, decision: int, value: object) -> object:
        """Keep how a decision ended; return it as it is."""
        values = tuple(self._values.pop(decision, ()))
        self.seen.setdefault(decision, {}).setdefault((values, bool(value)), self.test)
        return value


class InstrumentingFinder(MetaPathFinder):
    """Imports some modules with their conditions wrapped."""

    def __init__(self, modules: Sequence[str], recorder: Recorder) -> None:
        self._modules = frozenset(modules)
        self._recorder = recorder

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Return the usual place with another loader."""
        if fullname not in self._modules:
            return None
        spec = PathFinder.find_spec(fullname, path)
        assert spec is not None
        assert spec.origin is not None
        spec.loader = _Loader(fullname, spec.origin, self._recorder)
        return spec


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, recorder: Recorder) -> None:
        super().__init__(name, path)
        self._recorder = recorder

    def get_code(self, fullname: str) -> CodeType:
        tree = ast.parse(Path(self.path).read_text("utf-8"))
        wrapped = _Wrapper(fullname, self._recorder).visit(tree)
        return compile(ast.fix_missing_locations(wrapped), self.path, "exec")

    def exec_module(self, module: ModuleType) -> None:
        setattr(module, _CONDITION, self._recorder.condition)
        setattr(module, _DECISION, self._recorder.decision)
        super().exec_module(module)


class _Wrapper(ast.NodeTransformer):
    """Wraps each decision and its conditions; the lines stay where they are."""

    def __init__(self, module: str, recorder: Recorder) -> None:
        self._module = module
        self._recorder = recorder

    def visit_If(self, node: ast.If) -> ast.AST:
        node.test = self._decision(node.test)
        node.body = [self.visit(each) for each in node.body]
        node.orelse = [self.visit(each) for each in node.orelse]
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        node.test = self._decision(node.test)
        node.body = self.visit(node.body)
        node.orelse = self.visit(node.orelse)
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        return self._decision(node)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        if len(node.ops) > 1:
            return self._decision(node)
        return self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        node.ifs = [self._decision(each) for each in node.ifs]
        node.iter = self.visit(node.iter)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id in ("any", "all"):
            for each in node.args:
                if isinstance(each, ast.GeneratorExp):
                    each.elt = self._decision(each.elt)
            return node
        return self.generic_visit(node)

    def _decision(self, expression: ast.expr) -> ast.expr:
        number = len(self._recorder.decisions)
        parts: list[str] = []
        line = expression.lineno
        # Its place is taken before those of decisions inside it.
        self._recorder.decisions.append(Decision(self._module, line, ()))
        wrapped = self._conditions(expression, number, parts)
        self._recorder.decisions[number] = Decision(self._module, line, tuple(parts))
        return _call(_DECISION, expression, number, wrapped)

    def _conditions(self, node: ast.expr, number: int, parts: list[str]) -> ast.expr:
        if isinstance(node, ast.BoolOp):
            node.values = [self._conditions(each, number, parts) for each in node.values]
            return node
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            node.operand = self._conditions(node.operand, number, parts)
            return node
        if isinstance(node, ast.Compare) and len(node.ops) > 1:
            lefts = [node.left, *node.comparators[:-1]]
            pairs = zip(lefts, node.ops, node.comparators, strict=True)
            values: list[ast.expr] = [
                ast.copy_location(ast.Compare(left=one, ops=[operator], comparators=[two]), node)
                for one, operator, two in pairs
            ]
            chain = ast.copy_location(ast.BoolOp(op=ast.And(), values=values), node)
            return self._conditions(chain, number, parts)
        parts.append(ast.unparse(node))
        place = len(parts) - 1
        inner: ast.expr = self.visit(node)
        return _call(_CONDITION, node, number, ast.Constant(value=place), inner)


def _call(name: str, where: ast.expr, number: int, *arguments: ast.expr) -> ast.expr:
    function = ast.Name(id=name, ctx=ast.Load())
    call = ast.Call(func=function, args=[ast.Constant(value=number), *arguments], keywords=[])
    return ast.fix_missing_locations(ast.copy_location(call, where))


@dataclass(frozen=True, slots=True)
class Pair:
    """Two tests that show one condition deciding by itself, or none.

    Attributes:
        when_true: Test in which the condition holds.
        when_false: Test in which it does not, the decision ends the other way.
    """

    module: str
    line: int
    condition: str
    when_true: str = ""
    when_false: str = ""

    @property
    def found(self) -> bool:
        """True if both have been seen."""
        return bool(self.when_true and self.when_false)


def pairs(recorder: Recorder) -> list[Pair]:
    """Return one pair for every condition of every decision."""
    return [
        _pair(decision, place, recorder.seen.get(number, {}))
        for number, decision in enumerate(recorder.decisions)
        for place in range(len(decision.conditions))
    ]


def _pair(decision: Decision, place: int, seen: dict[tuple[Values, bool], str]) -> Pair:
    condition = decision.conditions[place]
    for (one, one_ends), (two, two_ends) in product(seen, repeat=2):
        if one_ends == two_ends or one[place] is not True or two[place] is not False:
            continue
        others = zip(one, two, range(len(one)), strict=True)
        if all(a == b or a is None or b is None for a, b, each in others if each != place):
            tests = seen[one, one_ends], seen[two, two_ends]
            return Pair(decision.module, decision.line, condition, *tests)
    return Pair(decision.module, decision.line, condition)


def as_json(found: list[Pair]) -> list[dict[str, Any]]:
    """Return pairs ready for JSON."""
    return [
        {
            "module": pair.module,
            "line": pair.line,
            "condition": pair.condition,
            "when_true": pair.when_true,
            "when_false": pair.when_false,
        }
        for pair in found
    ]
