"""How `make site` makes the site: its sources are the documents as they stand in the tree."""

import re
from pathlib import Path

from pygments.lexers.special import TextLexer
from sphinx.highlighting import lexers

from cryoctl import __version__

project = "cryoctl"
release = __version__
html_title = f"cryoctl {release}"
root_doc = "docs/site/index"
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "protocol/SPEC.md",
    "docs/*.md",
    "docs/**/*.md",
]
exclude_patterns = [".*", "build", "dist", "runs"]

lexers["mermaid"] = TextLexer()  # What draws it is fetched from elsewhere: a site shows its text.

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # A page may begin with a smaller heading.
autodoc_member_order = "bysource"
autodoc_typehints = "description"

html_theme = "furo"
html_extra_path = ["start"]  # index.html, which leads to the first page.
html_copy_source = False
html_show_sourcelink = False


def _without_folders(app, name, source):
    """Leave a link to a folder of the tree as its text: a site has no folders."""
    here = Path(app.env.doc2path(name)).parent
    source[0] = re.sub(
        r"\[([^\]]*)\]\(([^)#:]+)\)",
        lambda link: link[1] if (here / link[2]).is_dir() else link[0],
        source[0],
    )


def setup(app):
    """Called by Sphinx."""
    app.connect("source-read", _without_folders)
