"""Telling: the steps of a demonstration, what was said in them and what was found to hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs

from statestore.cli import output
from statestore.cli.problems import DemoFailed


@attrs.define
class Step:
    """One step of the story: what it is about, what happened, and what was found to hold."""

    title: str
    told: list[str] = attrs.field(factory=list)
    checks: list[str] = attrs.field(factory=list)


class Story:
    """The steps told so far. Prints each as it goes, unless it is `quiet`."""

    def __init__(self, *, quiet: bool) -> None:
        self.steps: list[Step] = []
        self._quiet = quiet

    @property
    def checks(self) -> int:
        """How many checks have held."""
        return sum(len(step.checks) for step in self.steps)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Begin a step; when it is done say what was checked."""
        self.steps.append(Step(title))
        if not self._quiet:
            output.line(f"{len(self.steps)}. {title}")
        yield
        if not self._quiet:
            output.line(f"   checked: {'; '.join(self.steps[-1].checks)}")

    def tell(self, text: str) -> None:
        """Say what happened."""
        self.steps[-1].told.append(text)
        if not self._quiet:
            output.line("\n".join(f"   {line}" for line in text.splitlines()))

    def check(self, holds: bool, expectation: str) -> None:
        """Go on if the expectation holds.

        Raises:
            DemoFailed: it does not.
        """
        if not holds:
            raise DemoFailed(self.steps[-1].title, expectation)
        self.steps[-1].checks.append(expectation)

    def value(self) -> dict[str, Any]:
        """Return the story as JSON values."""
        return {"steps": [attrs.asdict(step) for step in self.steps], "checks": self.checks}
