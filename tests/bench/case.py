"""What a case is, and how one is run."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence

from tests.bench.data import Data
from tests.bench.measuring import Contestant, Result, Scale, Target, judge, run_rounds

OURS = "statestore"


class Place:
    """Hands out new folders. None is removed before the whole bench is over: creating files is
    slow for a while after many were deleted.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._count = 0

    def new(self, name: str) -> str:
        """Return the path of a new folder, whose name is safely on the disk."""
        self._count += 1
        path = os.path.join(self._root, f"{self._count:04d}-{name}".replace(" ", "-"))
        os.mkdir(path, 0o700)
        return path


class Case(ABC):
    """Contestants that do the same work, and what the library is to reach beside them."""

    name: str
    title: str
    usual_rounds = 20
    targets: tuple[Target, ...]

    def __init__(self, place: Place, scale: Scale) -> None:
        self.place, self.scale, self.data = place, scale, Data()
        self.notes: list[str] = []

    @abstractmethod
    def contestants(self) -> Sequence[Contestant]:
        """Return all that take part, ready for their turns."""

    def run(self) -> Result:
        """Let them take their turns and return the figures."""
        contestants = self.contestants()
        rounds = self.scale.rounds or self.usual_rounds
        try:
            times = run_rounds(contestants, rounds)
            metrics = {one.name: dict(one.metrics()) for one in contestants}
        finally:
            for one in contestants:
                one.close()
        metrics = {name: values for name, values in metrics.items() if values}
        outcomes = tuple(judge(target, times, metrics) for target in self.targets)
        notes = tuple(self.notes)
        return Result(self.name, self.title, rounds, times.rows(), outcomes, metrics, notes)
