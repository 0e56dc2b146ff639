"""The site of the documents: built without a warning, so that every link leads somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.programs import needed_modules
from tests.support.tree import ROOT

FETCHED = re.compile(
    r"""<(?:script|img|iframe|source)[^>]*\ssrc="(?:https?:)?//[^"]*"
    |<link[^>]*\srel="(?:stylesheet|preload|preconnect|icon)[^>]*\shref="(?:https?:)?//[^"]*" """,
    re.VERBOSE,
)
"""What a browser asks for without being told to."""
STYLE_FETCHES = re.compile(r"""(?:@import|url\()\s*["']?(?:https?:)?//""")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as ``make site`` does."""
    needed_modules("sphinx", "myst_parser", "furo", extra="site")
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", "docs/site", ".", out],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.timeout(900)
@pytest.mark.xdist_group("site")
def test_every_document_is_a_page(site: Path) -> None:
    documents = {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "protocol/SPEC.md"} | {
        str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")
    }

    missing = [
        name for name in sorted(documents) if not (site / name).with_suffix(".html").exists()
    ]
    assert missing == []
    assert "docs/site/index.html" in (site / "index.html").read_text("utf-8")
    assert "Open a session with a probe" in (site / "docs/site/python.html").read_text("utf-8")


@pytest.mark.timeout(900)
@pytest.mark.xdist_group("site")
def test_no_page_asks_anything_of_anybody_else(site: Path) -> None:
    assert FETCHED.search('<script src="https://cdn.example/x.js">')
    assert FETCHED.search('<link rel="stylesheet" href="//fonts.example/a.css" >')
    fetches = [
        f"{page.relative_to(site)}: {found[0]}"
        for page in site.rglob("*.html")
        if (found := FETCHED.search(page.read_text("utf-8")))
    ]
    styles = [
        str(style.relative_to(site))
        for style in site.rglob("*.css")
        if STYLE_FETCHES.search(style.read_text("utf-8"))
    ]

    assert fetches == []
    assert styles == []
