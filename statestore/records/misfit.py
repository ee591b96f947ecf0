"""A misfit: what is said of a document that does not fit a class."""

from __future__ import annotations

from collections.abc import Sequence


class Misfit(ValueError):
    """A document does not fit a class; `problems` has a line for each field, with its path."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(problems)
        self.problems = tuple(problems)
