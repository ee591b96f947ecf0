"""Merging of tasks: two that were changed at the same time, whose versions count all changes."""

from __future__ import annotations

import attrs

from statestore.managers.tasks.records import MAX_CHANGES, Task
from statestore.records.merging import merged


def merge_tasks(base: Task | None, mine: Task, theirs: Task) -> Task:
    """Return a task with the changes of both, theirs first. See `merged`.

    Raises:
        Unmergeable: both have changed the same field in different ways.
    """
    known = theirs if base is None else base
    start = min(known.version, mine.version)
    own = [one for one in mine.changes if one.version > start]
    plain = attrs.evolve(mine, version=known.version, changes=known.changes)
    both = merged(base, plain, theirs)
    shift = theirs.version - start
    moved = [attrs.evolve(one, version=one.version + shift) for one in own]
    return attrs.evolve(
        both,
        version=mine.version + shift,
        changes=(*theirs.changes, *moved)[-MAX_CHANGES:],
    )
