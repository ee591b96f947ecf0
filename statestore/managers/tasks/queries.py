"""Queries of tasks: lists with filters, orders and pages; statistics."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

from statestore.errors import InvalidRecord
from statestore.managers.queries import (
    Page,
    among,
    has_text,
    is_between,
    page_of,
    sort_key,
    want_time,
)
from statestore.managers.tasks.base import LEFT, TaskBase
from statestore.managers.tasks.hierarchy import place_of
from statestore.managers.tasks.priorities import priority_name
from statestore.managers.tasks.records import Task
from statestore.managers.tasks.statistics import TaskStatistics, statistics_of
from statestore.managers.tasks.statuses import CATEGORIES, TaskStatus

_SORT_KEYS = {"priority": lambda task: -task.priority}


class TaskQueries(TaskBase):
    """Which tasks there are, as the manager shows it: nothing is read for it.

    What is found is a tuple, or a `Page` of it. An argument that is not taken is an
    `InvalidRecord`.
    """

    def list(
        self,
        *,
        status: str | Collection[str] | None = None,
        category: str | Collection[str] | None = None,
        parent_id: str | Collection[str] | None = LEFT,
        assigned_to: str | Collection[str] | None = LEFT,
        session_id: str | Collection[str] | None = LEFT,
        type: str | Collection[str] | None = None,
        priority: str | int | Collection[str | int] | None = None,
        tags: str | Collection[str] = (),
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        updated_after: datetime | None = None,
        updated_before: datetime | None = None,
        search: str | None = None,
        sort: str | Collection[str] = "-updated_at",
        limit: int | None = None,
        offset: int | None = None,
        page: int | None = None,
    ) -> Page[Task]:
        """Return the tasks for which all that is given holds; the last changed first.

        Args:
            status: it has this status, or one of several; what others call it is understood.
            category: it is "pending", "active", "waiting" or "completed", see `CATEGORIES`.
            parent_id: it is just below this task, or one of several; None: it names no parent.
            assigned_to: it is assigned to him, or one of several; None: to nobody.
            session_id: it belongs to this session, or one of several; None: to none.
            type: it is of this type, or one of several.
            priority: it has this number, or a priority of this name, or one of several.
            tags: it has this tag, or all of several.
            created_after, updated_after: it was so at this time or later.
            created_before, updated_before: it was so before this time.
            search: its title, description or a tag has this text, whatever the case.
            sort: by which field, or fields, see `sort_key`. "priority" has critical ones first.
            limit, offset, page: which of them, see `page_of`.
        Raises:
            InvalidRecord: an argument is not taken; `field` names it.
            UnknownName: there is no such field to sort by.
        """
        tests: list[Callable[[Task], bool]] = []
        for name, wanted in (
            ("parent_id", parent_id),
            ("assigned_to", assigned_to),
            ("session_id", session_id),
        ):
            if wanted is not LEFT:
                tests.append(_has(name, among(wanted)))
        if type is not None:
            tests.append(_has("type", among(type)))
        if status is not None:
            tests.append(_has("status", [self._to_status(None, one) for one in among(status)]))
        if category is not None:
            tests.append(_has("status", self._in_categories(among(category))))
        if priority is not None:
            tests.append(self._has_priority(among(priority)))
        if tags:
            wanted_tags = frozenset(among(tags))
            tests.append(lambda task: wanted_tags <= frozenset(task.tags))
        if search is not None:
            self._want_search(search)
            tests.append(lambda task: has_text(search, task.title, task.description, *task.tags))
        bounds = {
            "created_after": created_after,
            "created_before": created_before,
            "updated_after": updated_after,
            "updated_before": updated_before,
        }
        for name, moment in bounds.items():
            want_time(self.kind, name, moment)
        tests += [
            lambda task: is_between(task.created_at, created_after, created_before),
            lambda task: is_between(task.updated_at, updated_after, updated_before),
        ]
        key = sort_key(self.kind, Task, sort, _SORT_KEYS)
        found = sorted((one for one in self.all() if all(test(one) for test in tests)), key=key)
        return page_of(self.kind, found, limit=limit, offset=offset, page=page)

    def by_status(self, *statuses: TaskStatus | str) -> tuple[Task, ...]:
        """Return the tasks of some statuses, the last changed first.

        What other systems call a status is understood, see `STATUS_ALIASES`.

        Raises:
            InvalidRecord: there is no such status; `allowed` are those that there are.
        """
        return self.list(status=statuses).items

    def by_parent(self, id: str | Task | None) -> tuple[Task, ...]:
        """Return the tasks just below one, or for None those without a parent, in their places.

        Also of a parent that is not there any more.
        """
        parent_id = None if id is None else self._id(id)
        return self._placed("parent_id", parent_id)

    def by_session(self, session_id: str | None) -> tuple[Task, ...]:
        """Return the tasks of a session in their places: by position, then by age.

        Args:
            session_id: None: the tasks of no session.
        """
        return self._placed("session_id", session_id)

    def by_assignee(self, name: str | None) -> tuple[Task, ...]:
        """Return the tasks that are assigned to somebody, the most urgent first, then the oldest.

        Args:
            name: None: the tasks that are assigned to nobody.
        """
        return self.list(assigned_to=name, sort=("priority", "created_at", "id")).items

    def recent(self, count: int = 10) -> tuple[Task, ...]:
        """Return at most `count` tasks, the last changed first.

        Raises:
            InvalidRecord: it is no integer from 0.
        """
        if type(count) is not int or count < 0:
            reason = "count takes an integer from 0"
            raise InvalidRecord(self.kind, None, reason, field="count")
        return self.list(limit=count).items if count else ()

    def find(self, text: str) -> tuple[Task, ...]:
        """Return the tasks whose title, description or a tag has a text, the last changed first.

        Raises:
            InvalidRecord: it is no text. An empty one is in all of them.
        """
        return self.list(search=text).items

    def statistics(self, *, session_id: str | None = LEFT) -> TaskStatistics:
        """Return figures of all tasks, or of those of a session; times are in seconds.

        Args:
            session_id: None: figures of the tasks of no session.
        """
        tasks = self.all()
        if session_id is not LEFT:
            tasks = tuple(one for one in tasks if one.session_id == session_id)
        return statistics_of(tasks)

    # --- inside -----------------------------------------------------------------------

    def _want_search(self, text: object) -> None:
        if not isinstance(text, str):
            raise InvalidRecord(self.kind, None, "search takes a text", field="search")

    def _placed(self, field: str, value: str | None) -> tuple[Task, ...]:
        found = (one for one in self.all() if getattr(one, field) == value)
        return tuple(sorted(found, key=place_of))

    def _in_categories(self, names: Collection[Any]) -> Collection[TaskStatus]:
        for name in names:
            if name not in CATEGORIES:
                reason = f"category takes one of: {', '.join(CATEGORIES)}"
                raise InvalidRecord(self.kind, None, reason, field="category", allowed=CATEGORIES)
        return frozenset().union(*(CATEGORIES[name] for name in names))

    def _has_priority(self, wanted: Collection[Any]) -> Callable[[Task], bool]:
        for one in wanted:
            self._want_fields(None, {"priority": one})
        numbers = frozenset(one for one in wanted if not isinstance(one, str))
        names = frozenset(one.strip().casefold() for one in wanted if isinstance(one, str))
        return lambda task: task.priority in numbers or priority_name(task.priority) in names


def _has(field: str, values: Collection[Any]) -> Callable[[Task], bool]:
    return lambda task: getattr(task, field) in values
