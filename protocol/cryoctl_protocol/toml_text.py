"""Files from people: TOML text in, a checked model or one clear message a mistake out.

Nothing here reads a file: the caller hands over text, or bytes to ``decode_utf8``.
"""

from __future__ import annotations

import copy
import json
import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from cryoctl_protocol.quantities import quantity
from cryoctl_protocol.toml_keys import KeyLines, KeyPath, scan
from cryoctl_protocol.toml_problems import (
    Finding,
    FindingsError,
    key_text,
    required_keys,
    translate,
    value_text,
)

__all__ = [
    "Document",
    "FileError",
    "Finding",
    "FindingsError",
    "Problem",
    "ValueOrigin",
    "decode_utf8",
    "load_toml",
    "parse_toml",
    "quantity",
    "validate",
    "value_origins",
]

M = TypeVar("M", bound=BaseModel)
Check = Callable[[dict[str, Any]], list[Finding]]

FILE_SIZE_MAX_BYTES: Final = 256 * 1024  # hundreds of times a real one; keeps parsing instant
_LINE_SHOWN_MAX: Final = 100
_AT_LINE: Final = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")
_PLAIN_TEXT: Final = re.compile(r"""[^"'\[\]{}=\n]+""")
_LONG_NUMBER: Final = re.compile(r"\d{4301}")  # Python refuses to read longer ones
_UNPRINTABLE: Final = "\N{REPLACEMENT CHARACTER}"


class Problem(NamedTuple):
    """One mistake in one file.

    Attributes:
        source: The file, or the command line argument, that holds it.
        line: Counted from 1; None where there is no line, as in an argument.
        key: Dotted; empty when the whole text is meant.
        message: What is wrong.
        hint: Allowed range or what to write instead.
        line_text: The line itself.
    """

    source: str
    line: int | None
    key: str
    message: str
    hint: str | None = None
    line_text: str | None = None

    def __str__(self) -> str:
        where = self.source if self.line is None else f"{self.source}:{self.line}"
        key = f"{self.key}: " if self.key else ""
        hint = f" ({self.hint})" if self.hint else ""
        shown = f"\n    {_printable(self.line_text.strip())}" if self.line_text else ""
        return _printable(f"{where}: {key}{self.message}{hint}", length_max=None) + shown


def _printable(text: str, length_max: int | None = _LINE_SHOWN_MAX) -> str:
    """Return ``text`` fit for a terminal: a file cannot move the cursor or fill the screen."""
    plain = "".join(c if c.isprintable() else _UNPRINTABLE for c in text.replace("\t", " "))
    is_long = length_max is not None and len(plain) > length_max
    return plain[:length_max] + "..." if is_long else plain


class FileError(Exception):
    """A file that cannot be used; ``problems`` are in the order of their lines."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class FileKind(NamedTuple):
    """A kind of file that people write, for ``cryoctl config``.

    Attributes:
        check: Takes text and source, raises FileError.
        schema: Returns the JSON Schema.
    """

    check: Callable[[str, str], object]
    schema: Callable[[], dict[str, Any]]


class ValueOrigin(NamedTuple):
    """One value in force: ``origin`` is ``default``, ``file:line`` or ``--set KEY=VALUE``."""

    key: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed text that remembers where each value came from.

    Attributes:
        data: As ``tomllib`` returns it, with the settings already in it.
        keys: Lines of the text.
        settings: ``--set`` arguments by the key they set.
    """

    source: str
    text: str
    data: dict[str, Any]
    keys: KeyLines
    settings: dict[KeyPath, str]

    def with_setting(self, setting: str) -> Document:
        """Return a copy in which ``setting`` (``key=value``, a value in TOML) holds.

        Raises:
            FileError: Not of that form; names the argument.
        """
        argument = f"--set {setting}"
        key, equals, value = setting.partition("=")
        path: KeyPath = tuple(part.strip() for part in key.split("."))
        if not equals or "" in path:
            raise FileError(
                [Problem(argument, None, "", "expected key=value", "such as cycles.count=2")]
            )
        data = copy.deepcopy(self.data)
        table = data
        for part in path[:-1]:
            table = table.setdefault(str(part), {})
            if not isinstance(table, dict):
                raise FileError([Problem(argument, None, "", f"{part!r} is not a section")])
        table[str(path[-1])] = _setting_value(argument, value.strip())
        return Document(self.source, self.text, data, self.keys, {**self.settings, path: argument})

    def problem(self, finding: Finding) -> Problem:
        """Return ``finding`` with its place and line."""
        argument = self._argument(finding.path)
        hint = finding.hint or self._suggestion(finding, in_argument=argument is not None)
        if argument is not None:
            return Problem(argument, None, "", finding.message, hint)
        line = self.keys.line_of(finding.path)
        shown = None if line is None else self.text.split("\n")[line - 1]
        line = line or 1
        return Problem(self.source, line, key_text(finding.path), finding.message, hint, shown)

    def origin(self, path: KeyPath) -> str:
        """Return where the value of ``path`` came from."""
        argument = self._argument(path)
        if argument is not None:
            return argument
        is_written = path in self.keys.lines
        return f"{self.source}:{self.keys.lines[path]}" if is_written else "default"

    def _argument(self, path: KeyPath) -> str | None:
        for set_path, argument in reversed(self.settings.items()):
            is_inside = path[: len(set_path)] == set_path
            is_made = path not in self.keys.lines and set_path[: len(path)] == path
            if is_inside or is_made:
                return argument
        return None

    def _suggestion(self, finding: Finding, *, in_argument: bool) -> str | None:
        if finding.suggestion is None:
            return None
        *table, key = finding.suggestion
        if in_argument:
            return f"did you mean '{key_text(finding.suggestion)}'?"
        if tuple(table) == finding.path[:-1]:
            return f"did you mean '{key}'?"
        return f"it belongs in [{key_text(tuple(table))}]" if table else "it belongs at the top"


def decode_utf8(data: bytes, source: str) -> str:
    """Return ``data`` as text.

    Raises:
        FileError: Too big, or not UTF-8; names the line of the first bad byte.
    """
    _check_size(len(data), source)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        is_utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        hint = "this looks like UTF-16; " if is_utf16 else f"byte 0x{data[error.start]:02x}; "
        problem = Problem(source, line, "", "not UTF-8 text", f"{hint}save the file as UTF-8")
        raise FileError([problem]) from error


def load_toml(text: str, source: str, model: type[M], context: dict[str, Any] | None = None) -> M:
    """Return ``text`` as a ``model``.

    Args:
        text: The whole file.
        source: Its name for messages.
        model: With ``extra="forbid"``, or unknown keys go unnoticed.
        context: Handed to the model's validators.

    Raises:
        FileError: With all problems of the file at once.
    """
    return validate(parse_toml(text, source), model, context)


def parse_toml(text: str, source: str) -> Document:
    """Return ``text`` parsed, with the line of every key.

    Raises:
        FileError: Too big, or not TOML.
    """
    _check_size(len(text.encode("utf-8", "replace")), source)
    text = text.removeprefix("\N{BYTE ORDER MARK}").replace("\r\n", "\n")
    try:
        return Document(source, text, tomllib.loads(text), scan(text), {})
    except RecursionError as error:
        raise FileError([_too_deep(source)]) from error
    except tomllib.TOMLDecodeError as error:
        raise FileError([_not_toml(str(error), text, source)]) from error
    except ValueError as error:
        found = _LONG_NUMBER.search(text)
        line = text.count("\n", 0, found.start() if found else 0) + 1
        raise FileError([Problem(source, line, "", "a number has too many digits")]) from error


def validate(
    document: Document,
    model: type[M],
    context: dict[str, Any] | None = None,
    check: Check | None = None,
) -> M:
    """Return ``document`` as a ``model``.

    Args:
        document: The parsed text.
        model: With ``extra="forbid"``, or unknown keys go unnoticed.
        context: Handed to the model's validators.
        check: What validators over the whole model say, said of raw data. Such validators run only
            when every key is good; with it, nobody mends one mistake only to be told of the next.

    Raises:
        FileError: With all problems of the document.
    """
    needed = required_keys(model)
    if not document.data and needed:
        hint = f"it needs {', '.join(needed)}"
        raise FileError([Problem(document.source, 1, "", "the file is empty", hint)])
    try:
        return _validated(document.data, model, context)
    except RecursionError as error:
        raise FileError([_too_deep(document.source)]) from error
    except ValidationError as error:
        if error.errors()[0]["type"] == "json_invalid":
            raise FileError([_too_deep(document.source)]) from error
        findings = translate(error, model, document.data)
        reported = {finding.path for finding in findings}
        more = check(document.data) if check else []
        findings += [finding for finding in more if finding.path not in reported]
        problems = [document.problem(finding) for finding in findings]
        problems.sort(key=lambda problem: (problem.line is None, problem.line or 0))
        raise FileError(problems) from error


def value_origins(document: Document, model: BaseModel) -> list[ValueOrigin]:
    """Return every value of ``model``, which came from ``document``, with its origin."""
    rows: list[ValueOrigin] = []

    def walk(path: KeyPath, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk((*path, key), inner)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for index, inner in enumerate(value):
                walk((*path, index), inner)
        else:
            shown = json.dumps(value, ensure_ascii=False)
            rows.append(ValueOrigin(key_text(path), shown, document.origin(path)))

    walk((), model.model_dump(mode="json", by_alias=True, exclude_none=True))
    return rows


def _validated(data: dict[str, Any], model: type[M], context: dict[str, Any] | None) -> M:
    # By way of JSON, because its strict mode is what TOML means: 60 is a number of seconds,
    # "60" is not, and a list may become a tuple.
    return model.model_validate_json(json.dumps(data, default=str), strict=True, context=context)


def _setting_value(argument: str, value: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {value}")
    except (ValueError, RecursionError) as error:
        # A shell eats quotes, so plain text stands for itself.
        if _PLAIN_TEXT.fullmatch(value):
            return value
        message = f"{value_text(value)} is no TOML value"
        raise FileError([Problem(argument, None, "", message, "text needs quotes")]) from error
    if list(parsed) != ["value"]:
        raise FileError([Problem(argument, None, "", "expected one value")])
    return parsed["value"]


def _check_size(size_bytes: int, source: str) -> None:
    if size_bytes <= FILE_SIZE_MAX_BYTES:
        return
    got, limit = -(-size_bytes // 1024), FILE_SIZE_MAX_BYTES // 1024
    message = f"{got} KiB is too big for such a file"
    raise FileError([Problem(source, 1, "", message, f"limit: {limit} KiB")])


def _too_deep(source: str) -> Problem:
    return Problem(source, 1, "", "lists or sections are nested too deeply")


def _not_toml(error: str, text: str, source: str) -> Problem:
    """Say what ``tomllib`` said, with the line and, where it is plain, the remedy."""
    lines = text.split("\n")
    found = _AT_LINE.search(error)
    reason = _AT_LINE.sub("", error)
    last = len(text.rstrip().split("\n"))
    line = int(found.group(1)) if found and found.group(1) else last
    if reason.startswith(("Cannot ", "Duplicate ")):
        for twice in scan(text).duplicates:
            shown = lines[twice.second_line - 1]
            message = f"given twice, first on line {twice.first_line}"
            return Problem(source, twice.second_line, key_text(twice.path), message, None, shown)
    line = min(line, len(lines))
    shown = lines[line - 1]
    reason = reason[:1].lower() + reason[1:]
    return Problem(source, line, "", f"not valid TOML: {reason}", _remedy(shown), shown)


_REMEDIES: Final = (
    (r"\s*[\w.-]+\s*:.*", "write key = value"),
    (r"""[^"#]*"[^"]*|[^'#"]*'[^'"]*""", "a closing quote is missing"),
    (r"[^=]*=\s*[+-]?\d+,\d+\s*(#.*)?", "use a decimal point"),
    (r"[^=]*=\s*[+-]?[\d.]+\s*[A-Za-z°%].*", "numbers stand without unit"),
    (r"[^=]*=\s*(True|False)\b.*", "write true or false in small letters"),
    (r"""[^=]*=\s*[^\s"'\d\[{#+-][^"']*""", "text needs quotes"),
    (r"[^=\[#]*[^\s=\[#][^=\[#]*(#.*)?", "write key = value"),
)


def _remedy(line: str) -> str | None:
    for pattern, remedy in _REMEDIES:
        if re.fullmatch(pattern, line):
            return remedy
    return None
