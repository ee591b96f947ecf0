"""What may be left of changes that were not synced when the power goes, by several models."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import product

import attrs

from statestore.testing.disk import KEPT, LOST, ZEROED, Disk, Event, Fate, Node, OnNode, Writing

MODELS = ("prefix", "synced", "ext4", "posix")
"""The names of the models, the mildest first. `PowerLog.states` says what they are."""

_EXHAUSTIVE = 4
_RANDOM = 8
_SECTOR_BYTES = 512
_TORN_WRITES = 4
"""Of how many of the last writes to one file each is torn."""


@attrs.frozen
class Choice:
    """What is left: which unsure changes of names, and the fates of changes of files by number."""

    names: frozenset[int]
    fates: Mapping[int, Fate] = attrs.field(factory=dict)
    default: Fate = KEPT


def choices(model: str, disk: Disk, last: Event, rng: random.Random) -> Iterator[Choice]:
    """Yield what a model allows to be left; some of it twice, or the same to look at.

    Args:
        last: the event that happened last.
    """
    every = frozenset(one.number for one in disk.unsure)
    if model == "prefix":
        yield Choice(every)
        if isinstance(last, Writing):  # the process may die within a write
            yield Choice(every, {last.number: Fate(len(last.data) // 2)})
    elif model == "synced":
        yield Choice(frozenset(), default=LOST)
    elif model == "ext4":
        yield from _ordered(disk)
    else:
        yield from _unordered(disk, rng)


def _ordered(disk: Disk) -> Iterator[Choice]:
    numbers = [one.number for one in disk.unsure]
    opened = _opened(disk)
    for end in range(len(numbers), -1, -1):
        names = frozenset(numbers[:end])
        for default in (KEPT, LOST, ZEROED):
            yield Choice(names, default=default)
    for changes in opened.values():
        for fates in _torn_fates(changes, ("old", "zeros")):
            yield Choice(frozenset(numbers), fates)
    if len(opened) > 1:
        for changes in opened.values():
            for fate, default in ((LOST, KEPT), (KEPT, LOST)):
                yield Choice(frozenset(numbers), _all(changes, fate), default)


def _unordered(disk: Disk, rng: random.Random) -> Iterator[Choice]:
    numbers = [one.number for one in disk.unsure]
    every, opened = frozenset(numbers), _opened(disk)
    for names in _subsets(numbers, rng):
        for default in (KEPT, LOST, ZEROED):
            yield Choice(names, default=default)
    for changes in opened.values():
        for fates in _file_fates(changes):
            yield Choice(every, fates)
            if numbers or len(opened) > 1:
                yield Choice(frozenset(), fates)
                yield Choice(every, fates, LOST)
    if len(numbers) + sum(map(len, opened.values())) > _EXHAUSTIVE:
        for _ in range(_RANDOM):
            names = frozenset(one for one in numbers if rng.random() < 0.5)
            yield Choice(names, {
                number: fate
                for changes in opened.values()
                for number, fate in rng.choice(list(_file_fates(changes))).items()
            })  # fmt: skip


def _opened(disk: Disk) -> dict[Node, list[OnNode]]:
    opened = {node: disk.open_changes(node) for node in disk.waiting}
    return {node: changes for node, changes in opened.items() if changes}


def _subsets(numbers: Sequence[int], rng: random.Random) -> Iterator[frozenset[int]]:
    """Yield which of the changes are there: all ways for few; for many each alone, and samples."""
    if len(numbers) <= _EXHAUSTIVE:
        for there in product((True, False), repeat=len(numbers)):
            yield frozenset(one for one, kept in zip(numbers, there, strict=True) if kept)
        return
    every = frozenset(numbers)
    yield every
    yield frozenset()
    for at, one in enumerate(numbers):
        yield every - {one}
        yield frozenset({one})
        yield frozenset(numbers[:at])
    for _ in range(_RANDOM):
        yield frozenset(one for one in numbers if rng.random() < 0.5)


def _file_fates(changes: Sequence[OnNode]) -> Iterator[dict[int, Fate]]:
    """Yield the fates of the changes of one file."""
    yield _all(changes, KEPT)
    yield _all(changes, LOST)
    if len(changes) > 1:
        for at, one in enumerate(changes):
            yield _all(changes, KEPT) | {one.number: LOST}
            yield _all(changes, LOST) | {one.number: KEPT}
            yield _all(changes, LOST) | _all(changes[:at], KEPT)
    yield from _torn_fates(changes, ("old", "zeros", "garbage"))


def _torn_fates(changes: Sequence[OnNode], rests: Sequence[str]) -> Iterator[dict[int, Fate]]:
    """Yield the fates where one write is torn: those before it are there, those after it not."""
    writes = [(at, one) for at, one in enumerate(changes) if isinstance(one, Writing)]
    for at, write in writes[-_TORN_WRITES:]:
        size = len(write.data)
        sector = -(-write.offset // _SECTOR_BYTES) * _SECTOR_BYTES - write.offset
        before = _all(changes, LOST) | _all(changes[:at], KEPT)
        for cut in sorted({0, 1, size // 2, size - 1, sector, sector + _SECTOR_BYTES}):
            if cut < size:
                for rest in rests:
                    yield before | {write.number: Fate(cut, rest)}


def _all(changes: Sequence[OnNode], fate: Fate) -> dict[int, Fate]:
    return {one.number: fate for one in changes}
