"""Write what follows from the message table: SPEC.md, C header, golden vectors, dissector.

``python -m cryoctl_protocol.generate`` writes them; with ``--check`` it compares, names each file
that is out of date and exits with 1. The one module here that touches files.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryoctl_protocol.generated_c import c_header
from cryoctl_protocol.generated_lua import lua_dissector
from cryoctl_protocol.generated_spec import spec_tables
from cryoctl_protocol.generated_vectors import golden_vectors

ROOT: Final = Path(__file__).parent.parent
_PART: Final = re.compile(
    r"(?P<head><!-- generated: (?P<name>[a-z-]+) -->\n).*?(?P<tail><!-- end -->)", re.DOTALL
)


class GenerateError(Exception):
    """A file that cannot be generated; the text says why."""


def fill_spec(text: str) -> str:
    """Return SPEC.md with each generated part brought up to date."""
    tables = spec_tables()
    found = [match["name"] for match in _PART.finditer(text)]
    if sorted(found) != sorted(tables):
        raise GenerateError(
            f"SPEC.md: its markers are {sorted(found)}, the tables are {sorted(tables)}"
        )
    return _PART.sub(
        lambda match: f"{match['head']}\n{tables[match['name']]}\n\n{match['tail']}", text
    )


def outputs(root: Path) -> dict[Path, str]:
    """Return the text that each generated file should have."""
    spec = root / "SPEC.md"
    if not spec.is_file():
        raise GenerateError(f"{spec}: no such file; run this from a source tree")
    texts = {
        spec: fill_spec(spec.read_text("utf-8")),
        root / "c" / "cryo_protocol.h": c_header(),
        root / "wireshark" / "cryoctl.lua": lua_dissector(),
    }
    for name, content in golden_vectors().items():
        texts[root / "vectors" / name] = json.dumps(content, indent=1) + "\n"
    return texts


def main(arguments: Sequence[str] | None = None, *, root: Path = ROOT) -> int:
    """Write or check; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m cryoctl_protocol.generate", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 if out of date")
    only_check: bool = parser.parse_args(arguments).check
    try:
        texts = outputs(root)
    except GenerateError as error:
        print(error, file=sys.stderr)
        return 1
    stale = [
        path
        for path, text in texts.items()
        if not path.is_file() or path.read_text("utf-8") != text
    ]
    for path in stale:
        if only_check:
            print(f"{path}: out of date; run `make generated`", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(texts[path], "utf-8", newline="\n")
            print(f"{path}: written")
    return 1 if only_check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
