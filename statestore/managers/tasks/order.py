"""Order of tasks: what is to be done before what, by the dependencies they name. Pure functions."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from statestore.managers.tasks.hierarchy import Find, place_of
from statestore.managers.tasks.records import Task
from statestore.managers.tasks.statuses import ENDED, TaskStatus


@attrs.frozen
class DependencyProblem:
    """Why a task cannot be begun, or never: `on` is the dependency, `why` what is the matter.

    `why` is "missing", "unfinished", "failed" (also: cancelled) or "circular"; `path` are the ids
    of the circle.
    """

    id: str
    on: str
    why: str
    path: tuple[str, ...] = ()


def unmet(task: Task, find: Find) -> tuple[DependencyProblem, ...]:
    """Return the dependencies of a task that have not succeeded, in the order of the task."""
    return tuple(_unmet(task, find))


def _unmet(task: Task, find: Find) -> Iterator[DependencyProblem]:
    for on in task.depends_on:
        needed = find(on)
        if needed is None:
            yield DependencyProblem(task.id, on, "missing")
        elif needed.status in ENDED - {TaskStatus.SUCCEEDED}:
            yield DependencyProblem(task.id, on, "failed")
        elif needed.status is not TaskStatus.SUCCEEDED:
            yield DependencyProblem(task.id, on, "unfinished")


def circle_of(id: str, depends_on: Iterable[str], find: Find) -> tuple[str, ...]:
    """Return the ids of a circle that a task with these dependencies is in; empty if none."""
    came_from: dict[str, str] = {}
    waiting: list[str] = []
    for on in depends_on:
        if on not in came_from:
            came_from[on] = id
            waiting.append(on)
    while waiting:
        at = waiting.pop()
        if at == id:
            way = [id]
            while True:
                way.append(came_from[way[-1]])
                if way[-1] == id:
                    return tuple(reversed(way))
        task = find(at)
        for on in () if task is None else task.depends_on:
            if on not in came_from:
                came_from[on] = at
                waiting.append(on)
    return ()


def in_order(tasks: Iterable[Task]) -> tuple[tuple[Task, ...], tuple[Task, ...]]:
    """Return tasks with each behind those of them that it depends on, and those in circles.

    Of several that could come next the more urgent one does, then the one with the lower position,
    then the older one. What depends on a task in a circle counts as in it.
    """
    by_id = {task.id: task for task in tasks}
    missing = {id: len(_within(task, by_id)) for id, task in by_id.items()}
    needed_by: defaultdict[str, list[str]] = defaultdict(list)
    for id, task in by_id.items():
        for on in _within(task, by_id):
            needed_by[on].append(id)
    free = [(_urgency(task), id) for id, task in by_id.items() if not missing[id]]
    heapq.heapify(free)
    ordered: dict[str, Task] = {}
    while free:
        _, id = heapq.heappop(free)
        ordered[id] = by_id[id]
        for later in needed_by[id]:
            missing[later] -= 1
            if not missing[later]:
                heapq.heappush(free, (_urgency(by_id[later]), later))
    return tuple(ordered.values()), tuple(one for one in by_id.values() if one.id not in ordered)


def _within(task: Task, by_id: dict[str, Task]) -> set[str]:
    return {on for on in task.depends_on if on in by_id}


def _urgency(task: Task) -> tuple[Any, ...]:
    return (-task.priority, *place_of(task))
