"""A directive that shows the notes of `changelog.d`, grouped by what they tell of.

A file whose name is not of the form that `changelog.d/README.md` gives fails the build.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

TYPES = ("added", "changed", "fixed", "removed", "security")
NAME = re.compile(rf"(?P<issue>[a-z0-9][a-z0-9-]*)\.(?P<type>{'|'.join(TYPES)})\.md")


class ChangelogFragments(SphinxDirective):
    """The notes of the next release; a sentence in their place while there are none."""

    has_content: ClassVar[bool] = False

    def run(self) -> list[nodes.Node]:
        folder = Path(self.env.srcdir) / "changelog.d"
        self.env.note_reread()  # a new file is no dependency that could be watched
        groups: dict[str, list[Path]] = {name: [] for name in TYPES}
        for path in sorted(folder.iterdir(), key=_order):
            if path.name == "README.md":
                continue
            found = NAME.fullmatch(path.name)
            if found is None:
                raise self.error(f"changelog.d/{path.name} is not named <issue>.<type>.md")
            groups[found["type"]].append(path)

        shown: list[nodes.Node] = []
        for name, paths in groups.items():
            if paths:
                shown += [nodes.rubric("", name.capitalize()), self._list(paths)]
        return shown or [nodes.paragraph("", "Nothing yet.")]

    def _list(self, paths: list[Path]) -> nodes.bullet_list:
        items = []
        for path in paths:
            text = path.read_text(encoding="utf-8").strip()
            if not text:
                raise self.error(f"changelog.d/{path.name} is empty")
            item = nodes.list_item()
            self.state.nested_parse(StringList(text.splitlines(), str(path)), 0, item)
            items.append(item)
        return nodes.bullet_list("", *items, bullet="-")


def _order(path: Path) -> tuple[bool, int, str]:
    """Issues by number, then those that have a word for a number."""
    issue = path.name.partition(".")[0]
    return (not issue.isdigit(), int(issue) if issue.isdigit() else 0, path.name)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Add the directive."""
    app.add_directive("changelog-fragments", ChangelogFragments)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
