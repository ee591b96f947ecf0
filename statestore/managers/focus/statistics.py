"""Figures of focus chains, counted in one pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import attrs

from statestore.managers.focus import tree as focus_tree
from statestore.managers.focus.records import FocusChain
from statestore.models.documents import FrozenDict


@attrs.frozen
class FocusStatistics:
    """What there is of focus chains.

    `focuses` are all of them, those below others and those that have expired too; `by_type` counts
    them by type, in the order of the types' names. `average_per_chain` is their number through that
    of the chains, 0.0 without chains.
    """

    chains: int
    focuses: int
    average_per_chain: float
    has_active: bool
    by_type: FrozenDict


def statistics_of(chains: Iterable[FocusChain], *, has_active: bool) -> FocusStatistics:
    """Return the figures of some chains."""
    types: Counter[str] = Counter()
    number = 0
    for chain in chains:
        number += 1
        types.update(focus.type for focus in focus_tree.walk(chain.focuses))
    total = types.total()
    return FocusStatistics(
        chains=number,
        focuses=total,
        average_per_chain=total / number if number else 0.0,
        has_active=has_active,
        by_type=FrozenDict({name: types[name] for name in sorted(types)}),
    )
