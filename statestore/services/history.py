"""History: the commits that a store still knows, oldest first."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from statestore.drivers.driver import Driver
from statestore.errors import HistoryPruned
from statestore.models.changes import Commit


@attrs.frozen
class Gap:
    """Commits that are not kept any more: from the sequence `first` to `last`."""

    first: int
    last: int


def kept(driver: Driver, after: int = 0) -> Iterator[Commit | Gap]:
    """Yield the commits behind a sequence that are still kept, in order, and what is not.

    Raises:
        NotSupported: the driver keeps no history.
        CorruptJournal: a part of the history is damaged.
    """
    while True:
        try:
            for commit in driver.changes(after):
                yield commit
                after = commit.sequence
        except HistoryPruned as pruned:
            yield Gap(after + 1, pruned.oldest - 1)
            after = pruned.oldest - 1
        else:
            return


def kept_range(driver: Driver) -> tuple[int, int] | None:
    """Return the sequences of the first and the last commit that are kept; None for none."""
    if not driver.traits.feed:
        return None
    for one in kept(driver):
        if isinstance(one, Commit):
            return one.sequence, driver.sequence
    return None
