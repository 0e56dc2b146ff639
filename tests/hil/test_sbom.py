"""The list of components names all that a user's installation needs, and nothing else."""

from __future__ import annotations

import tomllib
from importlib.metadata import version
from typing import Any

import pytest

from cryoctl_hil.sbom import runtime_distributions, sbom
from tests.support.tree import ROOT


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """Return the list of this installation."""
    return sbom(ROOT / "pyproject.toml")


@pytest.mark.timeout(300)
def test_every_runtime_dependency_is_listed_with_its_version_and_a_licence(
    document: dict[str, Any],
) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = {text.partition(">=")[0].lower() for text in project["dependencies"]}
    listed = {component["name"].lower(): component for component in document["components"]}

    assert (document["bomFormat"], document["metadata"]["component"]["name"]) == (
        "CycloneDX", "cryoctl",
    )  # fmt: skip
    assert wanted - set(listed) == set()
    for name, component in listed.items():
        assert component["version"] == version(name)
        assert component["licenses"], name


def test_no_tool_of_developers_is_among_them(document: dict[str, Any]) -> None:
    names = {component["name"].lower() for component in document["components"]}

    assert names & {"ruff", "mypy", "hypothesis", "cyclonedx-bom", "cryoctl"} == set()
    refs = {component["bom-ref"] for component in document["components"]}
    refs.add(document["metadata"]["component"]["bom-ref"])
    for row in document["dependencies"]:
        assert {row["ref"], *row.get("dependsOn", [])} <= refs


def test_what_our_own_dependencies_need_is_needed_too() -> None:
    # rich needs pygments, pydantic its core; neither stands in our list.
    assert {"pygments", "pydantic-core", "numpy"} <= runtime_distributions()
