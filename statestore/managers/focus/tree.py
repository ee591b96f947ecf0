"""Trees of focuses: walked, measured and rebuilt. Pure functions, none of which calls itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from statestore.managers.focus.records import Focus

MAX_DEPTH: Final = 32
"""Levels of a tree of focuses at most, the one in the chain being the first.

Each level takes two of the containers that a document may nest, so this leaves more than thirty
for what a focus at the bottom has as its context.
"""


def walk(focuses: Iterable[Focus]) -> Iterator[Focus]:
    """Yield focuses and all below them, each before those below it, in their order."""
    waiting = [iter(focuses)]
    while waiting:
        focus = next(waiting[-1], None)
        if focus is None:
            waiting.pop()
            continue
        yield focus
        if focus.children:
            waiting.append(iter(focus.children))


def depth_of(focuses: Iterable[Focus], *, most: int | None = None) -> int:
    """Return how many levels there are: 0 for no focus, 1 for one without children.

    Args:
        most: look no further than one level below so many.
    """
    levels = 0
    level = list(focuses)
    while level and (most is None or levels <= most):
        levels += 1
        # A value that stands in several places is as deep in each: look at it once.
        below = {id(child): child for focus in level for child in focus.children}
        level = list(below.values())
    return levels


def count(focuses: Iterable[Focus]) -> int:
    """Return the number of focuses, those below them included."""
    return sum(1 for _ in walk(focuses))


def path_to(focuses: Iterable[Focus], focus_id: str) -> tuple[Focus, ...]:
    """Return the way to a focus, from the one in the chain to itself; () if it is not there."""
    path: list[Focus] = []
    waiting = [iter(focuses)]
    while waiting:
        focus = next(waiting[-1], None)
        if focus is None:
            waiting.pop()
            if path:
                path.pop()
            continue
        path.append(focus)
        if focus.id == focus_id:
            return tuple(path)
        waiting.append(iter(focus.children))
    return ()


def find(focuses: Iterable[Focus], focus_id: str) -> Focus | None:
    """Return the focus of an id, however far below; None if it is not there."""
    return next((focus for focus in walk(focuses) if focus.id == focus_id), None)


def has_doubles(focuses: Iterable[Focus]) -> bool:
    """Say whether two focuses have one id. It stops at the first that has."""
    seen: set[str] = set()
    for focus in walk(focuses):
        if focus.id in seen:
            return True
        seen.add(focus.id)
    return False


def rebuilt(path: Sequence[Focus], new: Focus | None) -> Focus | None:
    """Return the first of a path with `new` in the place of its last; None: that one is gone.

    What is not on the path is taken over as it is.
    """
    for above, old in zip(reversed(path[:-1]), reversed(path[1:]), strict=True):
        put = () if new is None else (new,)
        children = [one for child in above.children for one in (put if child is old else (child,))]
        new = attrs.evolve(above, children=tuple(children))
    return new


def pruned(focuses: Iterable[Focus], keeps: Callable[[Focus], bool]) -> list[Focus]:
    """Return focuses without those that `keeps` is false for, and without what is below these.

    What loses nothing is the same value as before.
    """
    roots = list(focuses)
    made: dict[int, Focus | None] = {}
    for focus in reversed(list(walk(roots))):  # what is below first
        if not keeps(focus):
            made[id(focus)] = None
            continue
        left = [one for child in focus.children if (one := made[id(child)]) is not None]
        is_same = all(map(_is, left, focus.children)) and len(left) == len(focus.children)
        made[id(focus)] = focus if is_same else attrs.evolve(focus, children=tuple(left))
    return [one for root in roots if (one := made[id(root)]) is not None]


def _is(one: object, other: object) -> bool:
    return one is other
