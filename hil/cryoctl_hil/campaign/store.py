"""Where a campaign's rows are kept: appended as they come, and put in order when all are there.

Whatever is killed when, a line that is whole is kept, and only what is missing is run again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from cryoctl import __version__
from cryoctl_hil.campaign.margins import BOUNDS
from cryoctl_hil.campaign.spec import Campaign
from cryoctl_protocol.codec import SCHEMA_HASH

HEAD_FILE: Final = "campaign.json"
SPEC_FILE: Final = "campaign.toml"
ROWS_FILE: Final = "episodes.jsonl"
RESULT_FILE: Final = "results.jsonl"
PARQUET_FILE: Final = "results.parquet"
_ROWS_AT_ONCE: Final = 5_000
_LISTS: Final = frozenset({"faults", "trips", "wrong"})


class StoreError(Exception):
    """A folder that cannot be gone on with; the text says why and what to do."""


class Store:
    """The folder of one campaign.

    Args:
        folder: A new one, or that of the same campaign, to go on with.
        campaign: What is run.

    Raises:
        StoreError: The folder holds another campaign, or one of another version.
    """

    def __init__(self, folder: Path, campaign: Campaign) -> None:
        self.folder = folder
        self._campaign = campaign
        folder.mkdir(parents=True, exist_ok=True)
        head = {"spec_sha256": campaign.sha256, **versions()}
        path = folder / HEAD_FILE
        if path.exists():
            self._check(path, head)
        elif any(folder.iterdir()):
            raise StoreError(f"{folder}: is no folder of a campaign, and not empty: give another")
        else:
            (folder / SPEC_FILE).write_text(campaign.text, encoding="utf-8")
            path.write_text(json.dumps(head, indent=1) + "\n", encoding="utf-8")

    def _check(self, path: Path, head: dict[str, str]) -> None:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise StoreError(f"{path}: cannot be read ({error}): give another folder") from error
        for key, value in head.items():
            if found.get(key) != value:
                raise StoreError(
                    f"{self.folder}: holds a campaign with {key} {found.get(key)}, this one has "
                    f"{value}: give another folder, or the same file and version"
                )

    def done(self) -> set[int]:
        """Return the numbers of the episodes that are there; a torn line is cut off."""
        path = self.folder / ROWS_FILE
        if not path.exists():
            return set()
        numbers, whole = set(), 0
        with path.open("rb") as stream:
            for line in stream:
                number = _number(line)
                if number is None:
                    break
                numbers.add(number)
                whole += len(line)
        if whole != path.stat().st_size:
            os.truncate(path, whole)
        return numbers

    def append(self, lines: Iterable[str]) -> None:
        """Add rows; they are in the file when this returns."""
        with (self.folder / ROWS_FILE).open("a", encoding="utf-8", newline="\n") as stream:
            stream.writelines(f"{line}\n" for line in lines)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows in the order of their numbers, or as they came while some are missing."""
        path = self.folder / RESULT_FILE
        with (path if path.exists() else self.folder / ROWS_FILE).open(encoding="utf-8") as stream:
            for line in stream:
                yield json.loads(line)

    def finish(self) -> str:
        """Put the rows in order and into Parquet, where pyarrow is; return the result's hash."""
        path = self.folder / ROWS_FILE
        places: dict[int, int] = {}
        with path.open("rb") as stream:
            place = 0
            for line in stream:
                number = _number(line)
                assert number is not None
                places.setdefault(number, place)  # The same episode is the same row.
                place += len(line)
        digest = sha256()
        partial = self.folder / f"{RESULT_FILE}.tmp"
        with path.open("rb") as stream, partial.open("wb") as out:
            for number in sorted(places):
                stream.seek(places[number])
                line = stream.readline()
                digest.update(line)
                out.write(line)
        partial.replace(self.folder / RESULT_FILE)
        self._write_parquet()
        return digest.hexdigest()

    def _write_parquet(self) -> None:
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ModuleNotFoundError:
            return
        writer = schema = None
        for rows in _batches(self.rows()):
            table = pa.Table.from_pylist([flat(row) for row in rows], schema)
            if writer is None:
                # A column without a value so far is one of numbers: that of a trip, or a margin.
                schema = pa.schema([
                    each.with_type(pa.float64()) if pa.types.is_null(each.type) else each
                    for each in table.schema
                ])  # fmt: skip
                writer = pq.ParquetWriter(self.folder / PARQUET_FILE, schema)
                table = table.cast(schema)
            writer.write_table(table)
        if writer is not None:
            writer.close()


def flat(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as columns: what was chosen and drawn each by its name, lists as text."""
    columns: dict[str, Any] = {}
    for name, value in row.items():
        if name in {"choice", "values"}:
            columns |= {f"{name}.{key}": member for key, member in value.items()}
        elif name == "margins":
            columns |= {f"{name}.{key}": (value or {}).get(key) for key in BOUNDS}
        elif name in _LISTS:
            columns[name] = "; ".join(value or ())
        else:
            columns[name] = value
    columns["ok"] = not row["wrong"]
    return columns


def versions() -> dict[str, str]:
    """Return what has to be the same wherever an episode runs."""
    return {"cryoctl": __version__, "schema_hash": f"{SCHEMA_HASH:08x}"}


def _number(line: bytes) -> int | None:
    """Return the number of the episode in a line; None if the line is not whole."""
    if not line.endswith(b"\n"):
        return None
    try:
        number = json.loads(line)["episode"]
    except (ValueError, KeyError, TypeError):
        return None
    return number if isinstance(number, int) else None


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _ROWS_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch
