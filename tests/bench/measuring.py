"""Runs contestants in turns and makes figures of their times."""

from __future__ import annotations

import gc
import os
import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import attrs


@attrs.frozen
class Scale:
    """How much is measured: of the usual numbers of records a part, and how often."""

    part: float = 1.0
    rounds: int | None = None
    burst: int = 25
    """Operations of one turn, where the operation is small."""

    def count(self, usual: int) -> int:
        """Return that part of a usual number of records, at least 8."""
        return max(8, round(usual * self.part))


class Contestant(ABC):
    """One way to do the work of a case: a limit, a peer, or the library.

    A turn is timed by the contestant itself, so that nothing else is.
    """

    name: str
    max_rounds: int | None = None
    """Fewer rounds than the others, where each takes long."""

    def prepare(self, round: int) -> None:  # noqa: B027 # most have nothing to do
        """Make ready for a turn; not timed."""

    @abstractmethod
    def turn(self, round: int) -> Mapping[str, Sequence[float]]:
        """Do the work and return seconds per operation, for each thing that was timed."""

    def settle(self) -> None:  # noqa: B027 # likewise
        """Finish what goes on behind the turn, so that the next contestant has the disk."""

    def metrics(self) -> Mapping[str, float]:
        """Return what was counted beside the times, over all turns."""
        return {}

    def close(self) -> None:  # noqa: B027 # likewise
        """Let go of everything. Files stay until the whole bench is over."""


@attrs.frozen
class Target:
    """What the library is to reach: `value` of `row` against `against`, or of a metric of it.

    A ratio of times is to be at most, a metric at most or at least `limit`. Without `against`
    the time itself is to be at most `limit`, in seconds.
    """

    row: str
    against: str | None
    limit: float
    at_least: bool = False

    def is_met(self, value: float) -> bool:
        """Say whether a measured value reaches it."""
        return value >= self.limit if self.at_least else value <= self.limit


@attrs.frozen
class Row:
    """The times of one contestant: median and spread in seconds, from `samples` operations."""

    name: str
    median: float
    p10: float
    p90: float
    samples: int


@attrs.frozen
class Outcome:
    """A target with what was measured: the ratio or time, its spread over the rounds; None if
    neither.
    """

    target: Target
    value: float | None
    p10: float | None = None
    p90: float | None = None

    @property
    def verdict(self) -> str:
        """Say in one word what came out."""
        if self.value is None:
            return "not measured"
        return "met" if self.target.is_met(self.value) else "missed"


@attrs.frozen
class Result:
    """All that a case gave."""

    name: str
    title: str
    rounds: int
    rows: tuple[Row, ...]
    outcomes: tuple[Outcome, ...]
    metrics: Mapping[str, Mapping[str, float]]
    notes: tuple[str, ...]


def timed(function: Callable[[int], object], count: int) -> list[float]:
    """Call `function` with 0, 1, … and return the seconds that each call took."""
    clock = time.perf_counter
    times = []
    for number in range(count):
        start = clock()
        function(number)
        times.append(clock() - start)
    return times


def percentile(values: Sequence[float], part: float) -> float:
    """Return the value below which a part of the values lies, 0 to 1, between two if need be."""
    ordered = sorted(values)
    place = part * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


class Times:
    """The times of a case: for each row, for each round, the seconds of its operations."""

    def __init__(self) -> None:
        self._rounds: dict[str, dict[int, Sequence[float]]] = {}

    def add(self, name: str, round: int, times: Sequence[float]) -> None:
        """Note a turn; of round 0, which warms up, only that there is such a row."""
        rounds = self._rounds.setdefault(name, {})
        if round:
            rounds[round] = times

    def rows(self) -> tuple[Row, ...]:
        """Return the figures of each row, in the order in which they were first noted."""
        rows = []
        for name, rounds in self._rounds.items():
            every = [one for times in rounds.values() for one in times]
            if not every:
                continue
            middle = statistics.median(every)
            row = Row(name, middle, percentile(every, 0.1), percentile(every, 0.9), len(every))
            rows.append(row)
        return tuple(rows)

    def ratios(self, name: str, against: str) -> list[float]:
        """Return the ratio of the medians of two rows, for each round that both were in.

        The device is not the same from minute to minute, so only neighbours are compared.
        """
        mine, others = self._medians(name), self._medians(against)
        return [mine[round] / others[round] for round in sorted(mine.keys() & others.keys())]

    def medians(self, name: str) -> list[float]:
        """Return the median of a row in each round, in seconds."""
        return list(self._medians(name).values())

    def _medians(self, name: str) -> dict[int, float]:
        rounds = self._rounds.get(name, {})
        return {round: statistics.median(rounds[round]) for round in sorted(rounds)}


def run_rounds(contestants: Sequence[Contestant], rounds: int) -> Times:
    """Let contestants take turns, each round in another order; the first round does not count."""
    times = Times()
    for round in range(rounds + 1 if contestants else 0):
        first = round % len(contestants)
        for one in (*contestants[first:], *contestants[:first]):
            if one.max_rounds is not None and round > one.max_rounds:
                continue
            one.prepare(round)
            gc.collect()
            os.sync()  # else it pays for what the one before left to be written
            measured = one.turn(round)
            one.settle()
            for name, seconds in measured.items():
                times.add(name, round, seconds)
    return times


def judge(target: Target, times: Times, metrics: Mapping[str, Mapping[str, float]]) -> Outcome:
    """Return a target with what was measured of it."""
    if target.against is None:
        values = times.medians(target.row)
    else:
        counted = metrics.get(target.row, {}).get(target.against)
        if counted is not None:
            return Outcome(target, counted)
        values = times.ratios(target.row, target.against)
    if not values:
        return Outcome(target, None)
    middle = statistics.median(values)
    return Outcome(target, middle, percentile(values, 0.1), percentile(values, 0.9))
