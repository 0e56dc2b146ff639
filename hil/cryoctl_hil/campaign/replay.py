"""One episode as files that anybody can run: treatment, scenario, a campaign of it alone."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from cryoctl_hil.campaign.analysis import kind_of
from cryoctl_hil.campaign.episode import Plan, Row, plan_of, plan_of_draw, run_plan
from cryoctl_hil.campaign.fork import branch, run_branches
from cryoctl_hil.campaign.sampling import Draw
from cryoctl_hil.campaign.shrink import smallest
from cryoctl_hil.campaign.spec import Campaign, is_of_plan
from cryoctl_simulator.firmware_builds import DEFAULT_BUILD

FOUND_FOLDER: Final = "found"
SHRUNK_FOLDER: Final = "shrunk"
TREATMENT_FILE: Final = "treatment.toml"
SCENARIO_FILE: Final = "scenario.toml"
CAMPAIGN_FILE: Final = "campaign.toml"
COMMAND_FILE: Final = "command.txt"


class ReplayError(Exception):
    """An episode that cannot be run alone; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Alone:
    """An episode that needs nothing else.

    Attributes:
        lasts_s: It is over then at the latest.
    """

    plan: Plan
    lasts_s: float


def alone(campaign: Campaign, episode: int) -> Alone:
    """Return an episode as a whole run; that of a fork with its faults at their moments.

    Raises:
        ReplayError: A search chose it by those before it, or its fork never came to be.
        FileError: A treatment that cannot be.
    """
    table = campaign.table
    if table.search is not None:
        raise ReplayError(
            "what a search looks at follows from the episodes before: run the campaign file that "
            f"it left in {FOUND_FOLDER}/episode-{episode} of its results"
        )
    if table.fork is None:
        return Alone(plan_of(campaign, episode), table.lasts_s)
    row = next(run_branches(campaign, [episode]))
    if not row.faults:
        raise ReplayError(f"episode {episode}: {'; '.join(row.wrong or ['was not run'])}")
    plan = plan_of(campaign, branch(campaign, episode).base)
    return Alone(replace(plan, faults=row.faults), row.virtual_s)


def of_row(campaign: Campaign, row: dict[str, Any]) -> Alone:
    """Return an episode that a search has looked at."""
    drawn = Draw(row["episode"], row["seed"], row["choice"], row["values"])
    return Alone(plan_of_draw(drawn), campaign.table.lasts_s)


def run_alone(campaign: Campaign, episode: Alone) -> Row:
    """Run an episode that needs nothing else."""
    return run_plan(episode.plan, episode.lasts_s, campaign.table.expect)


def shrink(campaign: Campaign, episode: Alone) -> tuple[Alone, int]:
    """Return the episode with the fewest faults that still fails in the same way, and the tries.

    Raises:
        ReplayError: It does not fail.
    """
    row = run_alone(campaign, episode)
    if row.ok:
        raise ReplayError(f"episode {row.episode} did not fail: there is nothing to shrink")
    tries = 0
    kind = kind_of((row.wrong or [])[0])

    def with_faults(faults: Sequence[str]) -> Alone:
        return replace(episode, plan=replace(episode.plan, faults=list(faults)))

    def fails(faults: Sequence[str]) -> bool:
        nonlocal tries
        tries += 1
        return kind in map(kind_of, run_alone(campaign, with_faults(faults)).wrong or [])

    if not episode.plan.faults or fails([]):
        return with_faults([]), tries
    return with_faults(smallest(episode.plan.faults, fails)), tries


def write_files(campaign: Campaign, episode: Alone, folder: Path) -> str:
    """Write an episode as files into a new folder; return the command that runs it.

    Raises:
        OSError: The folder is there, or cannot be written.
    """
    folder.mkdir(parents=True)
    plan = episode.plan
    files = {
        TREATMENT_FILE: toml_of(plan.treatment),
        SCENARIO_FILE: toml_of(plan.scenario),
        CAMPAIGN_FILE: _campaign_text(campaign, episode),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    command = command_of(run_arguments(plan, folder))
    (folder / COMMAND_FILE).write_text(f"{command}\n", encoding="utf-8")
    return command


def run_arguments(plan: Plan, folder: Path) -> list[str]:
    """Return the arguments of ``cryoctl`` that run the files in a folder."""
    arguments = ["run", str(folder / TREATMENT_FILE), "--scenario", str(folder / SCENARIO_FILE)]
    if plan.firmware != DEFAULT_BUILD:
        arguments += ["--device", f"sim:?firmware={plan.firmware}"]
    arguments += ["--seed", str(plan.drawn.seed)]
    for fault in plan.faults:
        arguments += ["--fault", fault]
    return [*arguments, "--out", str(folder / "run")]


def command_of(arguments: Sequence[str]) -> str:
    """Return a command as a shell takes it."""
    return shlex.join(["cryoctl", *arguments])


def toml_of(model: BaseModel) -> str:
    """Return a file's model as TOML, with everything that is not absent."""
    return "".join(_lines(model.model_dump(mode="json", by_alias=True, exclude_none=True), ""))


def _lines(table: dict[str, Any], name: str) -> list[str]:
    inner = {key: value for key, value in table.items() if isinstance(value, dict)}
    lines = [f"\n[{name}]\n"] if name and len(inner) < len(table) else []
    lines += [f"{_key(k)} = {json.dumps(v)}\n" for k, v in table.items() if k not in inner]
    for key, value in inner.items():
        lines += _lines(value, f"{name}.{_key(key)}" if name else _key(key))
    return lines


def _key(name: str) -> str:
    return name if name.replace("_", "").isalnum() else json.dumps(name)


def _campaign_text(campaign: Campaign, episode: Alone) -> str:
    """Return a campaign of one episode, which draws what this one has drawn and nothing else."""
    table, plan = campaign.table, episode.plan
    drawn = plan.drawn
    data: dict[str, Any] = {
        "schema": 1,
        "name": f"{table.name[:60]}, episode {drawn.episode}",
        "episodes": 1,
        "noise_seed": drawn.seed,
        "method": "grid",
        "lasts_s": episode.lasts_s,
        "choose": {
            **{factor: [member] for factor, member in drawn.choice.items()},
            "faults": [" ".join(plan.faults)],
        },
        "vary": {
            name: {"levels": [value]} for name, value in drawn.values.items() if is_of_plan(name)
        },
        "expect": table.expect.model_dump(mode="json", exclude_defaults=True),
    }
    return "".join(_lines(data, ""))
