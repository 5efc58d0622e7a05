"""How the site is built: `python -m sphinx -W docs build/site`."""

import sys
from importlib.metadata import version as installed
from pathlib import Path

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "srx"
author = "The srx developers"
project_copyright = author
release = version = installed("srx")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "checkout",
    "docstrings",
    "openapi",
]
exclude_patterns = ["extensions"]

# Documents are Markdown as GitHub reads it; directives stand between colons, so that
# each fence of backticks is a block of code, which a test runs.
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_class_signature = "mixed"
default_role = "code"  # docstrings set names in single backticks
python_use_unqualified_type_names = True

# Nothing is fetched to build, so what other packages define cannot be linked to.
nitpicky = True
OTHERS = (
    *("bluesky", "event_model", "numpy", "ophyd", "ophyd_async"),
    *("collections", "datetime", "os", "pathlib"),
)
nitpick_ignore_regex = [(r"py:.*", rf"({'|'.join(OTHERS)})\..*")]

html_theme = "pydata_sphinx_theme"
html_title = f"srx {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "show_prev_next": False,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": [],
}


def setup(app: Sphinx) -> None:
    """Show HTTP as it is: what documents show are requests without all headers."""
    app.add_lexer("http", TextLexer)
