"""Directives that list the errors of the library and their exit codes.

Both read `statestore.errors`, so the page cannot differ from the code: `exit-codes` takes the
meanings from the docstring of the module, `error-tree` the errors from their classes. An error
whose exit code has no meaning there fails the build.
"""

from __future__ import annotations

import inspect
import re
from typing import ClassVar

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from statestore import errors

ROOT = errors.StateStoreError


def exit_codes() -> dict[int, str]:
    """Return code → meaning, as the docstring of the module says: `2 a wrong argument · 3 …`."""
    _, _, listed = (errors.__doc__ or "").partition("returns):")
    paragraph = " ".join(listed.split("\n\n")[0].split()).rstrip(".")
    meanings = {}
    for entry in paragraph.split(" · "):
        found = re.fullmatch(r"(\d+) (.+)", entry)
        if found is None:
            raise ValueError(f"statestore.errors does not list its exit codes, but {entry!r}")
        meanings[int(found[1])] = found[2]
    return meanings


def is_public(error: type) -> bool:
    """Tell whether an error is one that hosts meet by name."""
    return not error.__name__.startswith("_")


def children(error: type[errors.StateStoreError]) -> list[type[errors.StateStoreError]]:
    """Return the public errors right below `error`, in the order of the source.

    A private class between two public ones is stepped over.
    """
    below = []
    for candidate in vars(errors).values():
        if inspect.isclass(candidate) and issubclass(candidate, ROOT) and is_public(candidate):
            parents = [base for base in candidate.__mro__[1:] if issubclass(base, ROOT)]
            if next(filter(is_public, parents), None) is error:
                below.append(candidate)
    return below


def all_errors(error: type[errors.StateStoreError] = ROOT) -> list[type[errors.StateStoreError]]:
    """Return `error` and all that are below it."""
    return [error, *(found for child in children(error) for found in all_errors(child))]


def builtins_of(error: type[errors.StateStoreError]) -> list[str]:
    """Return the names of the built-in errors by which `error` can be caught as well."""
    return [
        base.__name__
        for base in error.__bases__
        if issubclass(base, Exception) and base is not Exception and not issubclass(base, ROOT)
    ]


def link(error: type[errors.StateStoreError]) -> str:
    """Return the reference to an error in the API pages."""
    return f"{{py:exc}}`~{error.__module__}.{error.__qualname__}`"


class _Generated(SphinxDirective):
    """A directive whose content is Markdown made from the code."""

    def run(self) -> list[nodes.Node]:
        source = inspect.getsourcefile(errors) or ""
        self.env.note_dependency(source)
        holder = nodes.Element()
        self.state.nested_parse(StringList(self.lines(), source), 0, holder)
        return holder.children

    def lines(self) -> list[str]:
        raise NotImplementedError


class ExitCodes(_Generated):
    """A table: exit code, meaning, the errors that end with it."""

    has_content: ClassVar[bool] = False

    def lines(self) -> list[str]:
        meanings = exit_codes()
        used: dict[int, list[str]] = {code: [] for code in meanings}
        for error in all_errors()[1:]:
            used[error.exit_code].append(link(error))  # a KeyError here: the docstring lacks a code
        rows = [
            f"| {code} | {meaning} | {', '.join(used[code])} |"
            for code, meaning in meanings.items()
        ]
        return ["| code | meaning | errors |", "|---|---|---|", "| 0 | done | |", *rows]


class ErrorTree(_Generated):
    """A nested list: each error, what it says, its exit code and the built-in that it also is."""

    has_content: ClassVar[bool] = False

    def lines(self) -> list[str]:
        return self._branch(ROOT, 0)

    def _branch(self, error: type[errors.StateStoreError], level: int) -> list[str]:
        promise = (inspect.getdoc(error) or "").partition("\n")[0]
        also = "".join(f", also `{name}`" for name in builtins_of(error))
        line = f"{'  ' * level}- {link(error)}: {promise} Exit code {error.exit_code}{also}."
        return [line, *(row for child in children(error) for row in self._branch(child, level + 1))]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Add the directives."""
    app.add_directive("exit-codes", ExitCodes)
    app.add_directive("error-tree", ErrorTree)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
