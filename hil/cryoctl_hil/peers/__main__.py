"""``make peers``: install what others use, measure it beside ours, write figures and page."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from cryoctl_hil.peers.page import page
from cryoctl_hil.peers.side_by_side import side_by_side
from cryoctl_protocol.messages import Telemetry


def main() -> None:
    """Measure, and write ``peers.json`` and ``peers.md``."""
    options = argparse.ArgumentParser(prog="make peers", description=__doc__)
    options.add_argument("--environments", type=Path, default=Path(".peers"))
    options.add_argument("--out", type=Path, default=Path("docs/reference"))
    chosen = options.parse_args()
    figures = side_by_side(chosen.environments, say=lambda line: print(line, file=sys.stderr))
    text = json.dumps(figures, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    (chosen.out / "peers.json").write_text(text, encoding="utf-8")
    made = page(figures, len(Telemetry._fields))
    (chosen.out / "peers.md").write_text(made, encoding="utf-8")
    print(made)


if __name__ == "__main__":
    main()
