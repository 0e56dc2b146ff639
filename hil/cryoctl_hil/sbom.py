"""``make sbom``: what a user's installation is made of, as a CycloneDX list of components.

The list is that of the interpreter that runs this, without what only developers need.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any, Final

import click
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

DISTRIBUTION: Final = "cryoctl"


def runtime_distributions() -> set[str]:
    """Return the canonical names of all that ``cryoctl`` without extras needs here, itself not."""
    found: set[str] = set()
    waiting = [DISTRIBUTION]
    while waiting:
        try:
            wanted = [Requirement(text) for text in requires(waiting.pop()) or []]
        except PackageNotFoundError:
            continue  # For another system or Python: its marker says so where it is listed.
        for requirement in wanted:
            name = canonicalize_name(requirement.name)
            is_needed = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if is_needed and name not in found:
                found.add(name)
                waiting.append(name)
    return found


def sbom(project: Path) -> dict[str, Any]:
    """Return the CycloneDX document of the project's runtime dependencies as installed here."""
    command = [
        sys.executable, "-m", "cyclonedx_py", "environment", "--of", "JSON",
        "--pyproject", str(project), "--output-reproducible", "--no-validate", sys.executable,
    ]  # fmt: skip
    done = subprocess.run(command, check=True, capture_output=True)  # noqa: S603  # Our own words.
    document: dict[str, Any] = json.loads(done.stdout)
    runtime = runtime_distributions()
    document["components"] = [
        component
        for component in document["components"]
        if canonicalize_name(component["name"]) in runtime
    ]
    kept = {component["bom-ref"] for component in document["components"]}
    root = document["metadata"]["component"]["bom-ref"]
    document["dependencies"] = [
        {**row, "dependsOn": [ref for ref in row.get("dependsOn", []) if ref in kept]}
        for row in document["dependencies"]
        if row["ref"] in {*kept, root}
    ]
    return document


@click.command()
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default="sbom.json")
def main(out: Path) -> None:
    """Write the list to a file."""
    document = sbom(Path("pyproject.toml"))
    out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    click.echo(f"{out}: {len(document['components'])} components")


if __name__ == "__main__":
    main()
