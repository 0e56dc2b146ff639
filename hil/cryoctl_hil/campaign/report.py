"""The report of a campaign: one HTML file that opens offline, and the same as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from markupsafe import Markup

from cryoctl.files import read_text
from cryoctl.report import page_environment
from cryoctl.svg import number
from cryoctl_hil.campaign.analysis import (
    OUTCOMES,
    Analysis,
    Correlation,
    Rate,
    TimesToSafe,
    analyse,
    least_margin,
)
from cryoctl_hil.campaign.executors import episodes_of
from cryoctl_hil.campaign.margins import BOUNDS
from cryoctl_hil.campaign.pictures import correlations_svg, rates_svg, times_svg
from cryoctl_hil.campaign.replay import (
    CAMPAIGN_FILE,
    COMMAND_FILE,
    FOUND_FOLDER,
    SHRUNK_FOLDER,
    command_of,
)
from cryoctl_hil.campaign.spec import Campaign, read_campaign
from cryoctl_hil.campaign.store import HEAD_FILE, SPEC_FILE, Store, StoreError

PAGE_FILE: Final = "report.html"
JSON_FILE: Final = "report.json"
PICTURES_MAX: Final = 12
"""Members of a factor, or parameters, in one picture; the table has them all."""
DASH: Final = "\N{EN DASH}"


def write_report(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Write page and JSON into the folder of a campaign; return the page and what JSON says.

    Raises:
        StoreError: It is no folder of a campaign, or of another version.
        OSError: It cannot be read or written.
    """
    if not (folder / HEAD_FILE).is_file():
        raise StoreError(f"{folder}: is no folder of a campaign: give one that `--out` named")
    campaign = read_campaign(read_text(folder / SPEC_FILE), str(folder / SPEC_FILE))
    store = Store(folder, campaign)
    if not store.done():
        raise StoreError(f"{folder}: has no episode yet: run the campaign first")
    found = analyse(store.rows(), campaign.table)
    data = as_object(found, campaign, folder)
    page = folder / PAGE_FILE
    page.write_text(_page(found, campaign, folder), encoding="utf-8")
    text = json.dumps(data, indent=1, allow_nan=False)
    (folder / JSON_FILE).write_text(f"{text}\n", encoding="utf-8")
    return page, data


def as_object(found: Analysis, campaign: Campaign, folder: Path) -> dict[str, Any]:
    """Return the analysis as JSON has it."""
    return {
        "name": campaign.table.name,
        "spec_sha256": campaign.sha256,
        "episodes": found.rate.total,
        "missing": _missing(found, campaign),
        "pass_rate": _rate(found.rate),
        "factors": {
            factor: {member: _rate(rate) for member, rate in rates.items()}
            for factor, rates in found.factors.items()
        },
        "wrong": [
            {"what": kind, "episodes": count, "examples": examples}
            for kind, count, examples in found.kinds
        ],
        "worst": [
            {
                "episode": row["episode"],
                "verdict": row["verdict"],
                "first_cause": row["first_cause"],
                "wrong": row["wrong"],
                "margins": row["margins"],
                "command": _again(row["episode"], campaign, folder),
                "shrunk": _shrunk(row["episode"], folder),
            }
            for row in found.worst
        ],
        "time_to_safe": [_times(row) for row in found.times],
        "sensitivity": {
            outcome: [asdict(row) for row in rows] for outcome, rows in found.sensitivity.items()
        },
        "verdicts": found.verdicts,
        "first_causes": found.causes,
    }


def _rate(rate: Rate) -> dict[str, float]:
    return {**asdict(rate), "share": rate.share}


def _times(row: TimesToSafe) -> dict[str, Any]:
    fields = asdict(row)
    del fields["sorted_ms"]
    return {
        key: None if isinstance(value, float) and math.isnan(value) else value
        for key, value in fields.items()
    }


def _missing(found: Analysis, campaign: Campaign) -> int:
    # A search that has found what it was after is at its end.
    is_over = campaign.table.search is not None
    return 0 if is_over else episodes_of(campaign) - found.rate.total


def _page(found: Analysis, campaign: Campaign, folder: Path) -> str:
    table = campaign.table
    drawn = [row for row in found.times if row.count]
    return (
        page_environment("cryoctl_hil.campaign")
        .get_template("campaign.html")
        .render(
            name=table.name,
            rate=found.rate,
            failed=found.rate.total - found.rate.passed,
            missing=_missing(found, campaign),
            is_search=table.search is not None,
            identity=_identity(found, campaign, folder),
            kinds=found.kinds,
            worst=[_case(row, campaign, folder) for row in found.worst],
            factors=[_factor(name, rates) for name, rates in found.factors.items()],
            times=found.times,
            times_picture=_svg(times_svg(drawn)) if drawn else "",
            sensitivity=[_outcome(name, rows) for name, rows in found.sensitivity.items()],
            spec_name=campaign.source,
            spec_text=campaign.text,
            percent=_percent,
            ms=_ms,
            signed=lambda value: number(value, 2),
        )
    )


def _svg(text: str) -> Markup:
    return Markup(text)  # noqa: S704 - made here, every text in it escaped


def _identity(found: Analysis, campaign: Campaign, folder: Path) -> list[tuple[str, str]]:
    head = json.loads(read_text(folder / HEAD_FILE))
    return [
        ("Episodes", str(found.rate.total)),
        ("Drawn", "search" if campaign.table.search is not None else campaign.table.method),
        ("Hash of the file", campaign.sha256),
        ("cryoctl", f"{head['cryoctl']}, messages {head['schema_hash']}"),
        ("Verdicts", _counts(found.verdicts)),
        ("First causes", _counts(found.causes)),
    ]


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _case(row: dict[str, Any], campaign: Campaign, folder: Path) -> dict[str, Any]:
    margin = least_margin(row)
    values = ", ".join(f"{name} {value:g}" for name, value in row["values"].items())
    return {
        "episode": row["episode"],
        "verdict": row["verdict"] if row["ended"] else "not over",
        "cause": row["first_cause"],
        "wrong": row["wrong"] or [],
        "margin": DASH if margin is None else number(margin, 3),
        "nearest": "" if margin is None else BOUNDS[min(row["margins"], key=row["margins"].get)],
        "drawn": "; ".join(part for part in (" ".join(row["faults"]), values) if part),
        "command": _again(row["episode"], campaign, folder),
        "shrunk": _shrunk(row["episode"], folder),
    }


def _again(episode: int, campaign: Campaign, folder: Path) -> str:
    """Return the command that runs an episode alone; of a search, only what it has kept."""
    if campaign.table.search is None:
        return command_of(["campaign", campaign.source, "--episode", str(episode)])
    path = folder / FOUND_FOLDER / f"episode-{episode}" / CAMPAIGN_FILE
    return command_of(["campaign", str(path), "--episode", "0"]) if path.is_file() else DASH


def _shrunk(episode: int, folder: Path) -> str:
    """Return the command of an episode that was shrunk; empty if it was not."""
    path = folder / SHRUNK_FOLDER / f"episode-{episode}" / COMMAND_FILE
    return read_text(path).strip() if path.is_file() else ""


def _factor(name: str, rates: dict[str, Rate]) -> dict[str, Any]:
    worst = sorted(rates.items(), key=lambda pair: pair[1].share)[:PICTURES_MAX]
    return {
        "name": name,
        "rates": sorted(rates.items(), key=lambda pair: pair[1].share),
        "picture": _svg(rates_svg(f"Pass rate by {name}", dict(worst))),
    }


def _outcome(name: str, rows: list[Correlation]) -> dict[str, Any]:
    text = OUTCOMES[name]
    return {
        "name": text,
        "rows": rows,
        "picture": _svg(correlations_svg(f"On what the {text} depends", rows[:PICTURES_MAX])),
    }


def _percent(share: float) -> str:
    digits = 1 if 0.001 <= share <= 0.999 or share in {0.0, 1.0} else 3  # noqa: PLR2004
    return f"{number(100.0 * share, digits)} %"


def _ms(value: float | None) -> str:
    return DASH if value is None or math.isnan(value) else f"{number(value)} ms"
