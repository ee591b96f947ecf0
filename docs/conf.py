"""How Sphinx builds the documentation. Run it by: tox -e docs."""

import re
import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "statestore"
author = "The statestore authors"
version = release = version_of("statestore")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "changelog_fragments",
    "error_tree",
]
exclude_patterns = ["_build", "changelog.d"]

html_theme = "furo"
html_title = f"statestore {version}"
html_show_copyright = False
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

default_role = "code"  # in docstrings, `name` is code
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_type_aliases = {"Document": "Document", "Json": "Json"}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Not promised", "Shape"]

nitpicky = True
# The build needs no network, so what belongs to Python and to other packages is not linked.
_elsewhere = sorted(
    sys.stdlib_module_names | {"attr", "attrs", "cattrs", "click", "hypothesis", "pytest", "rich"}
)
nitpick_ignore_regex = [
    ("py:.*", rf"({'|'.join(_elsewhere)})(\..*)?"),
    ("py:class", "|".join(autodoc_type_aliases)),
    ("py:class", r"statestore\.(files|engine)\..+"),  # rooms that hosts do not call
    # Private names, and type variables.
    ("py:(class|obj)", r"statestore\.(.+\.)?(_\w+|[A-Z]|[A-Z][a-z]*T|[A-Z]_co)"),
]


def keep_colon(_app: Sphinx, what: str, *rest: Any) -> None:
    """Keep Napoleon from reading "The size: in bytes." below a name as "type: description"."""
    lines: list[str] = rest[-1]
    if what in {"attribute", "data", "property"} and lines:
        lines.insert(0, "\\ ")  # nothing, in reStructuredText; an empty line would be skipped


def plain_signature(_app: Sphinx, what: str, *rest: Any) -> tuple[str, str | None] | None:
    """Show aliases by their names, and defaults that are objects without their types."""
    signature, returned = rest[-2:]
    if what == "module" or signature is None:
        return None
    if signature == "(*args, **kwargs)":
        return "", None
    return _plain(signature), returned and _plain(returned)


def _plain(text: str) -> str:
    text = re.sub(r"TypeAliasForwardRef\('(\w+)'\)", r"\1", text)
    text = re.sub(r"<function (\w+)>", r"\1", text)
    return re.sub(r"= ?(NOTHING|<[\w. ]+ object>)", "= ...", text)


def setup(app: Sphinx) -> None:
    """Add what the settings cannot say."""
    app.connect("autodoc-process-docstring", keep_colon, priority=400)  # before Napoleon's 500
    app.connect("autodoc-process-signature", plain_signature)
