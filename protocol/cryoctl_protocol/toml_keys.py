"""Finds the line on which each key of a TOML text stands; ``tomllib`` keeps none of them.

It is no second parser: ``tomllib`` decides what the text means. On text that is not valid TOML
the scanner carries on with the next line and finds what it can.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass, field
from typing import Final

KeyPath = tuple[str | int, ...]

_BLANKS: Final = " \t\r"
_SPACES: Final = " \t\r\n"
_BARE: Final = string.ascii_letters + string.digits + "_-"
_QUOTES: Final = ('"""', "'''", '"', "'")
_ESCAPE: Final = re.compile(r'\\(["\\])')


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A key or table that is written twice."""

    path: KeyPath
    first_line: int
    second_line: int


@dataclass(slots=True)
class KeyLines:
    """Where everything is.

    Attributes:
        lines: First line of every key, table and array element.
        duplicates: In the order in which the second ones stand.
    """

    lines: dict[KeyPath, int] = field(default_factory=dict)
    duplicates: list[Duplicate] = field(default_factory=list)

    def line_of(self, path: KeyPath) -> int | None:
        """Return the line of ``path`` or of the nearest table around it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None


def scan(text: str) -> KeyLines:
    """Return the line of every key in ``text``."""
    return _Scanner(text).run()


class _UnreadableError(Exception):
    """Not TOML at this place."""


class _Scanner:
    """One pass over one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._found = KeyLines()
        self._given: dict[KeyPath, int] = {}
        self._array_lengths: dict[KeyPath, int] = {}

    def run(self) -> KeyLines:
        table: KeyPath = ()
        while True:
            self._skip(_SPACES)
            if self._at >= len(self._text):
                return self._found
            try:
                if self._peek() == "#":
                    self._skip_line()
                elif self._peek() == "[":
                    table = self._header()
                else:
                    self._pair(table)
            except _UnreadableError:
                self._skip_line()

    # Cursor.

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _move(self, count: int) -> None:
        end = min(self._at + count, len(self._text))
        self._line += self._text.count("\n", self._at, end)
        self._at = end

    def _skip(self, characters: str) -> None:
        end = self._at
        while end < len(self._text) and self._text[end] in characters:
            end += 1
        self._move(end - self._at)

    def _skip_line(self) -> None:
        end = self._text.find("\n", self._at)
        self._move((len(self._text) if end < 0 else end + 1) - self._at)

    def _skip_comments(self) -> None:
        self._skip(_SPACES)
        while self._peek() == "#":
            self._skip_line()
            self._skip(_SPACES)

    def _take(self, expected: str) -> None:
        if not self._text.startswith(expected, self._at):
            raise _UnreadableError
        self._move(len(expected))

    # Grammar.

    def _header(self) -> KeyPath:
        line = self._line
        is_array = self._text.startswith("[[", self._at)
        self._take("[[" if is_array else "[")
        parts = self._key()
        self._take("]]" if is_array else "]")
        path: KeyPath = (*self._resolve(parts[:-1], line), parts[-1])
        if is_array:
            self._found.lines.setdefault(path, line)
            index = self._array_lengths.get(path, 0)
            self._array_lengths[path] = index + 1
            path = (*path, index)
        self._note(path, line)
        return path

    def _resolve(self, parts: list[str], line: int) -> KeyPath:
        """Follow ``parts`` from the top, into the newest element of each array of tables."""
        path: KeyPath = ()
        for part in parts:
            path = (*path, part)
            self._found.lines.setdefault(path, line)
            if path in self._array_lengths:
                path = (*path, self._array_lengths[path] - 1)
        return path

    def _pair(self, table: KeyPath) -> None:
        line = self._line
        path = table
        parts = self._key()
        self._take("=")
        for part in parts[:-1]:
            path = (*path, part)
            self._found.lines.setdefault(path, line)
        path = (*path, parts[-1])
        self._note(path, line)
        self._skip(_BLANKS)
        self._value(path)

    def _note(self, path: KeyPath, line: int) -> None:
        if path in self._given:
            self._found.duplicates.append(Duplicate(path, self._given[path], line))
            return
        self._given[path] = line
        self._found.lines.setdefault(path, line)

    def _key(self) -> list[str]:
        parts: list[str] = []
        while True:
            self._skip(_BLANKS)
            if self._peek() in ('"', "'"):
                parts.append(self._string())
            else:
                start = self._at
                self._skip(_BARE)
                if start == self._at:
                    raise _UnreadableError
                parts.append(self._text[start : self._at])
            self._skip(_BLANKS)
            if self._peek() != ".":
                return parts
            self._move(1)

    def _value(self, path: KeyPath) -> None:
        match self._peek():
            case "[":
                self._array(path)
            case "{":
                self._inline_table(path)
            case '"' | "'":
                self._string()
            case _:
                while self._peek() not in ("", ",", "]", "}", "#", "\n"):
                    self._move(1)

    def _array(self, path: KeyPath) -> None:
        self._take("[")
        index = 0
        self._skip_comments()
        while self._peek() not in ("]", ""):
            self._found.lines.setdefault((*path, index), self._line)
            self._value((*path, index))
            self._skip_comments()
            if self._peek() != "]":
                self._take(",")
            self._skip_comments()
            index += 1
        self._take("]")

    def _inline_table(self, path: KeyPath) -> None:
        self._take("{")
        self._skip_comments()
        while self._peek() not in ("}", ""):
            self._pair(path)
            self._skip_comments()
            if self._peek() != "}":
                self._take(",")
            self._skip_comments()
        self._take("}")

    def _string(self) -> str:
        """Skip one string of any of the four kinds; return what a key made of it would be."""
        quote = next(mark for mark in _QUOTES if self._text.startswith(mark, self._at))
        self._move(len(quote))
        start = self._at
        while not self._text.startswith(quote, self._at):
            is_escape = quote[0] == '"' and self._peek() == "\\"
            if self._peek() == "" or (len(quote) == 1 and self._peek() == "\n"):
                raise _UnreadableError
            self._move(2 if is_escape else 1)
        content = self._text[start : self._at]
        # Up to two quotes may stand before the closing three.
        while len(quote) > 1 and self._text.startswith(quote, self._at + 1):
            self._move(1)
        self._move(len(quote))
        return _ESCAPE.sub(r"\1", content) if quote == '"' else content
