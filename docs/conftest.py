"""Every Python block of the documentation and of README.md is a test.

The blocks of a page run in order and share their names, in a directory of their own that is
removed afterwards. A block that cannot run says so above itself, with the reason:

    <!--- skip: next "needs a server" -->
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

ROOT = Path(__file__).resolve().parent.parent
LEAVE = "_leave_directory"


def enter_directory(namespace: dict[str, Any]) -> None:
    """Give a page a directory of its own, and no store that the environment names."""
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.delenv("STATESTORE_PATH", raising=False)
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(contextlib.chdir(directory))
        namespace[LEAVE] = stack.pop_all().close


def leave_directory(namespace: dict[str, Any]) -> None:
    """Go back to where the tests were started."""
    namespace[LEAVE]()


PAGES = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    path=str(ROOT),
    patterns=["README.md", "docs/**/*.md", "docs/*.md"],
    excludes=["docs/_build/**"],
    setup=enter_directory,
    teardown=leave_directory,
)


class Pages:
    """The plugin that collects the pages."""

    pytest_collect_file = staticmethod(PAGES.pytest())


def pytest_configure(config: pytest.Config) -> None:
    """Register the pages for the whole run.

    The hook of a conftest sees only what lies beside it, and README.md lies above.
    """
    config.pluginmanager.register(Pages())
