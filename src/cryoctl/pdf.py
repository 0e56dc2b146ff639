"""A page on paper: printed to PDF by the Chromium that is installed, without a window."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

BROWSERS: Final = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
    "microsoft-edge",
)
"""Chromium and what is made of it, under the names it goes by; the first that is there prints."""
PRINTS_S: Final = 120.0


class PdfError(Exception):
    """Nothing was printed; the text says why."""


def print_pdf(page: Path, pdf: Path) -> None:
    """Print the HTML file ``page`` to ``pdf``, replacing one that is there.

    Raises:
        PdfError: No browser that can, or it did not.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise PdfError(
            "--pdf needs an installed Chromium or Chrome, and none is on the path "
            f"(looked for {', '.join(BROWSERS)}): apt install chromium, or print the HTML file "
            "from any browser"
        )
    with tempfile.TemporaryDirectory(prefix="cryoctl-pdf-") as folder:
        printed = Path(folder) / "printed.pdf"
        command = [
            browser, "--headless", "--disable-gpu", "--no-first-run", "--no-pdf-header-footer",
            f"--user-data-dir={folder}/profile", f"--print-to-pdf={printed}",
            page.resolve().as_uri(),
        ]  # fmt: skip
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # Root cannot have one; the page runs no script.
        try:
            done = subprocess.run(  # noqa: S603 (a browser, and a page of ours)
                command, capture_output=True, text=True, check=False, timeout=PRINTS_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise PdfError(f"{browser} did not print: {error}") from error
        if not printed.exists():
            why = done.stderr.strip().splitlines()
            raise PdfError(f"{browser} did not print: {why[-1] if why else done.returncode}")
        shutil.copyfile(printed, pdf)
