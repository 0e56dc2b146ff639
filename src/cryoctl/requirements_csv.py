"""Requirements as CSV, for spreadsheets: out of a file, and back into one without a loss.

A row is a requirement, with its deviation if it has one. Hazards stay in the TOML file. Coming
back, rows become the text of a TOML file, and that is read as any other: there is one set of rules.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from cryoctl.safety_case import CaseFile, Deviation, Requirement, read_case
from cryoctl_protocol.toml_text import FileError, Problem

_OWN: Final = tuple(Requirement.model_fields)
_OF_DEVIATION: Final = ("reason", "who", "date")
_DEVIATION: Final = "deviation_"
COLUMNS: Final = (*_OWN, *(_DEVIATION + name for name in _OF_DEVIATION))
"""Names in the first line; a file needs ``id`` and ``text``, in any order."""
_LISTS: Final = frozenset({"hazard", "limits"})
_SEPARATOR: Final = ";"
_NUMBERS: Final = frozenset({"bound"})


def to_csv(requirements: Iterable[Requirement], deviations: Iterable[Deviation]) -> str:
    """Return a table of requirements, each with its deviation."""
    by_id = {row.requirement: row for row in deviations}
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in requirements:
        cells = [_cell(value) for value in row.model_dump(mode="json").values()]
        deviation = by_id.get(row.id)
        writer.writerow(
            cells + [str(getattr(deviation, name)) if deviation else "" for name in _OF_DEVIATION]
        )
    return stream.getvalue()


def to_toml(text: str, source: str) -> str:
    """Return the requirements file that stands for a CSV ``text``.

    Raises:
        FileError: With every row that cannot be used, by its line.
    """
    toml: list[str] = []
    csv_line: list[int] = []
    for line, table, cells in _tables(text, source):
        block = ["" if toml else "schema = 1\n", f"[[{table}]]", *_keys(cells)]
        rows = "\n".join(block).split("\n")
        toml += rows
        csv_line += [line] * len(rows)
    written = "\n".join(toml) + "\n"
    try:
        read_case(written, source)
    except FileError as error:
        raise FileError(
            sorted({_in_csv(problem, csv_line) for problem in error.problems})
        ) from error
    return written


def read_csv(text: str, source: str) -> CaseFile:
    """Return the requirements and deviations of a CSV ``text``; raises FileError as ``to_toml``."""
    return read_case(to_toml(text, source), source)[1]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return f"{_SEPARATOR} ".join(value)
    return repr(value) if isinstance(value, float) else str(value)


def _tables(text: str, source: str) -> Iterator[tuple[int, str, dict[str, str]]]:
    """Yield line, name and cells of every table that the rows stand for."""
    deviations = []
    for line, row in _rows(text, source):
        yield line, "requirement", {name: row[name] for name in _OWN if row.get(name)}
        told = {name: row.get(_DEVIATION + name, "") for name in _OF_DEVIATION}
        if any(told.values()):
            cells = {"requirement": row["id"], "value": row.get("bound", ""), **told}
            deviations.append((line, "deviation", {name: c for name, c in cells.items() if c}))
    yield from deviations


def _rows(text: str, source: str) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.reader(io.StringIO(text.removeprefix("\N{BYTE ORDER MARK}")), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(header, source)
        begun = reader.line_num + 1
        for cells in reader:
            line, begun = begun, reader.line_num + 1
            if not any(cells):
                continue
            if len(cells) != len(header):
                message = f"{len(cells)} cells, the first line has {len(header)}"
                hint = "cells that hold a comma need quotes"
                raise FileError([Problem(source, line, "", message, hint)])
            yield line, dict(zip(header, map(str.strip, cells), strict=True))
    except csv.Error as error:
        raise FileError(
            [Problem(source, reader.line_num, "", f"not valid CSV: {error}")]
        ) from error


def _check_header(header: list[str], source: str) -> None:
    problems = [
        Problem(source, 1, "", f"unknown column {name!r}", f"known: {', '.join(COLUMNS)}")
        for name in header
        if name not in COLUMNS
    ]
    problems += [
        Problem(source, 1, "", f"column {name!r} is there twice")
        for name in dict.fromkeys(header)
        if header.count(name) > 1
    ]
    problems += [
        Problem(source, 1, "", f"there is no column {name!r}", "separate columns by commas")
        for name in ("id", "text")
        if name not in header
    ]
    if problems:
        raise FileError(problems)


def _keys(cells: Mapping[str, str]) -> Iterator[str]:
    for name, cell in cells.items():
        if name in _LISTS:
            parts = (part.strip() for part in cell.split(_SEPARATOR))
            yield f"{name} = [{', '.join(_quoted(part) for part in parts if part)}]"
        elif name in _NUMBERS or name == "value":
            yield f"{name} = {_number(cell)}"
        else:
            yield f"{name} = {_quoted(cell)}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _number(cell: str) -> str:
    """Return a number as TOML writes it; what is none stands in quotes and is refused as text."""
    try:
        return repr(float(cell))
    except ValueError:
        return _quoted(cell)


def _in_csv(problem: Problem, csv_line: list[int]) -> Problem:
    """Return a problem of the TOML text with the line of the CSV it came from."""
    line = csv_line[(problem.line or 1) - 1]
    table, _, column = problem.key.rpartition(".")
    is_deviation = table.startswith("deviation") and column in _OF_DEVIATION
    return problem._replace(
        line=line, key=_DEVIATION + column if is_deviation else column, line_text=None
    )
