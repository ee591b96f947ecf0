"""Hierarchies of tasks: who is below whom, by the parents that tasks name. Pure functions.

Trees may be deep and, where they come from elsewhere, wrong: nothing here recurses, and nothing
goes round a circle twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, TypeAlias

from statestore.managers.tasks.records import Task
from statestore.managers.tasks.statuses import TaskStatus

Find: TypeAlias = Callable[[str], Task | None]

ROLL_UP: Final = (TaskStatus.FAILED, TaskStatus.RUNNING, TaskStatus.PAUSED, TaskStatus.BLOCKED)
"""The statuses that one child gives to its parent, the strongest first."""


def rolled_up(statuses: Iterable[TaskStatus]) -> TaskStatus | None:
    """Return the status that children give to their parent; None if they say nothing of it.

    The first of `ROLL_UP` that any of them has; else succeeded, if all of them have succeeded.
    Children that were cancelled count for nothing: what nobody wants any more keeps no parent open.
    """
    found = frozenset(statuses) - {TaskStatus.CANCELLED}
    strongest = next((one for one in ROLL_UP if one in found), None)
    if strongest is None and found == {TaskStatus.SUCCEEDED}:
        return TaskStatus.SUCCEEDED
    return strongest


def place_of(task: Task) -> tuple[Any, ...]:
    """Return what tasks are ordered by where nothing else is said: position, then age."""
    at = (task.position is None, task.position or 0)
    return (*at, task.created_at, task.id)


def children_by_parent(tasks: Iterable[Task]) -> Mapping[str, list[Task]]:
    """Return the children of each task that has some, unordered."""
    children: defaultdict[str, list[Task]] = defaultdict(list)
    for task in tasks:
        if task.parent_id is not None:
            children[task.parent_id].append(task)
    return children


def descendants_of(id: str, children: Mapping[str, Collection[Task]]) -> tuple[Task, ...]:
    """Return all tasks below one: each before its own children, these in their order."""
    found: dict[str, Task] = {}
    waiting = sorted(children.get(id, ()), key=place_of, reverse=True)
    while waiting:
        task = waiting.pop()
        if task.id in found or task.id == id:
            continue
        found[task.id] = task
        waiting += sorted(children.get(task.id, ()), key=place_of, reverse=True)
    return tuple(found.values())


def ancestors_of(task: Task, find: Find) -> tuple[Task, ...]:
    """Return the tasks above one, its parent first; as far as they are there."""
    found: dict[str, Task] = {}
    parent_id = task.parent_id
    while parent_id is not None and parent_id not in found and parent_id != task.id:
        parent = find(parent_id)
        if parent is None:
            break
        found[parent_id] = parent
        parent_id = parent.parent_id
    return tuple(found.values())


def circle_of_parents(id: str, parent_id: str, find: Find) -> tuple[str, ...]:
    """Return the ids of the circle that a task would close below a parent; empty if none.

    The task itself need not be there: others may name it before.
    """
    way: dict[str, None] = {}
    at: str | None = parent_id
    while at is not None and at not in way:
        way[at] = None
        if at == id:
            return id, *way
        above = find(at)
        at = None if above is None else above.parent_id
    return ()
