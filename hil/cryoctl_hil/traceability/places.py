"""Where sources and tests name a hazard or a requirement: found in the files, never in a list."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

SOURCE_ROOTS: Final = ("src", "protocol", "simulator", "hil")
PROGRAMS_FOLDER: Final = "hil/cryoctl_hil/assurance"
"""Programs that measure; what they name is evidence, not code."""
_SUFFIXES: Final = frozenset({".py", ".c", ".h", ".html"})
_ID: Final = re.compile(r"\b(?:SR|H)-\d+\b")
_MODULE: Final = "(module)"


class Place(NamedTuple):
    """A line that names an id.

    Attributes:
        path: From the top of the tree, with slashes.
        test: Name of the test that carries the marker; empty in code.
    """

    id: str
    path: str
    line: int
    test: str = ""

    @property
    def text(self) -> str:
        """Where it is, as an editor opens it."""
        return f"{self.path}:{self.line}"


def code_places(tree: Path) -> list[Place]:
    """Return every line of the sources below ``tree`` that names a hazard or a requirement."""
    files = [
        file
        for root in SOURCE_ROOTS
        for file in sorted((tree / root).rglob("*"))
        if file.suffix in _SUFFIXES and file.is_file()
    ]
    return [place for file in files for place in _named_in(file, _path(file, tree))]


def is_program(place: Place) -> bool:
    """Return True for a line of an assurance program."""
    return place.path.startswith(f"{PROGRAMS_FOLDER}/")


def marked_tests(folder: Path, tree: Path) -> list[Place]:
    """Return every ``pytest.mark.requirement`` of the tests in ``folder``.

    A marker whose id is no literal has an empty one: nobody could tell from the file what it is.
    """
    found = []
    for file in sorted(folder.rglob("*.py")):
        module = ast.parse(file.read_text("utf-8"), str(file))
        found += list(_markers(module, _MODULE, _path(file, tree)))
    return found


def _path(file: Path, tree: Path) -> str:
    return file.relative_to(tree).as_posix() if file.is_relative_to(tree) else file.as_posix()


def _named_in(file: Path, path: str) -> Iterator[Place]:
    for line, text in enumerate(file.read_text("utf-8").split("\n"), 1):
        for name in dict.fromkeys(_ID.findall(text)):
            yield Place(name, path, line)


def _markers(node: ast.AST, test: str, path: str) -> Iterator[Place]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        test = node.name if test == _MODULE else f"{test}.{node.name}"
    if isinstance(node, ast.Call) and _is_marker(node.func):
        yield Place(_literal(node), path, node.lineno, test)
    for child in ast.iter_child_nodes(node):
        yield from _markers(child, test, path)


def _is_marker(function: ast.expr) -> bool:
    """Return True for ``pytest.mark.requirement``, however pytest is called."""
    if not isinstance(function, ast.Attribute) or function.attr != "requirement":
        return False
    owner = function.value
    return isinstance(owner, ast.Attribute) and owner.attr == "mark"


def _literal(call: ast.Call) -> str:
    first = call.args[0] if call.args else None
    is_text = isinstance(first, ast.Constant) and isinstance(first.value, str)
    return str(first.value) if is_text and isinstance(first, ast.Constant) else ""
