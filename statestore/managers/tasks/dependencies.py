"""Dependencies of tasks: what has to be done before what."""

from __future__ import annotations

from collections.abc import Iterable

from statestore.errors import CircularReference
from statestore.managers.tasks.base import TaskBase
from statestore.managers.tasks.order import DependencyProblem, circle_of, in_order, unmet
from statestore.managers.tasks.records import Task
from statestore.managers.tasks.statuses import CATEGORIES


class TaskDependencies(TaskBase):
    """What tasks depend on, and the order that follows from it.

    Each operation takes tasks or their ids, and raises `RecordNotFound` where there is none.
    """

    def set_dependencies(
        self,
        id: str | Task,
        depends_on: Iterable[str],
        *,
        allow_missing: bool = False,
        actor: str | None = None,
    ) -> Task:
        """Say which tasks have to be done before one, these and no others; return the task.

        Args:
            allow_missing: take ids of tasks, too, that are not there yet.
        Raises:
            RecordNotFound: there is no such task, or no such dependency: `field` is "depends_on".
            CircularReference: it would depend on itself; `path` is the circle.
            InvalidRecord: it is no list of ids.
        """
        name = self._id(id)
        ids = tuple(depends_on) if not isinstance(depends_on, str) else depends_on
        self._want_fields(name, {"depends_on": ids})

        def set(current: Task) -> Task:
            known = self._want_dependencies(
                name,
                ids,
                self.get,
                allow_missing=allow_missing,
                known=current.depends_on,
            )
            return self._next(current, actor, depends_on=known)

        return self._modify(name, set)

    def blocked_by(self, id: str | Task) -> tuple[DependencyProblem, ...]:
        """Return what has to be done before a task can be begun: missing, unfinished or failed."""
        return unmet(self[id], self.get)

    def check_dependencies(self, id: str | Task) -> tuple[DependencyProblem, ...]:
        """Return why a task can never be begun as things are: missing, failed or circular."""
        task = self[id]
        problems = [one for one in unmet(task, self.get) if one.why != "unfinished"]
        circle = circle_of(task.id, task.depends_on, self.get)
        if circle:
            problems.append(DependencyProblem(task.id, circle[1], "circular", circle))
        return tuple(problems)

    def order(
        self, ids: Iterable[str | Task] | None = None, *, session_id: str | None = None
    ) -> tuple[Task, ...]:
        """Return tasks with each behind those of them that it depends on.

        Of several that could come next the more urgent one does, then the one with the lower
        position, then the older one.

        Args:
            ids: which tasks; by default all.
            session_id: only those of this session.
        Raises:
            CircularReference: some of them depend on themselves; `path` is one of the circles.
        """
        tasks = self.all() if ids is None else [self[id] for id in ids]
        if session_id is not None:
            tasks = [one for one in tasks if one.session_id == session_id]
        ordered, rest = in_order(tasks)
        for task in rest:
            circle = circle_of(task.id, task.depends_on, self.get)
            if circle:
                raise CircularReference(self.kind, task.id, "depends_on", circle)
        return ordered

    def ready_tasks(self, *, session_id: str | None = None) -> tuple[Task, ...]:
        """Return the tasks that can be begun now, in order: all that they depend on has succeeded.

        They are pending, ready or queued.
        """
        found = [one for one in self._of(session_id) if one.status in CATEGORIES["pending"]]
        return in_order(one for one in found if not unmet(one, self.get))[0]

    def resumable_tasks(self, *, session_id: str | None = None) -> tuple[Task, ...]:
        """Return the tasks that have not ended, in order: what there is to do after a restart.

        Those that depend on themselves are the last.
        """
        ordered, rest = in_order(one for one in self._of(session_id) if not one.has_ended)
        return (*ordered, *rest)

    def _of(self, session_id: str | None) -> Iterable[Task]:
        return (one for one in self.all() if session_id is None or one.session_id == session_id)
