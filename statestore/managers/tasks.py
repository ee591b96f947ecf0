"""Tasks: pieces of work, their state, progress and output."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from statestore.errors import InvalidRecord, RecordNotFound
from statestore.managers.instructions import parse_instructions as parse_instructions
from statestore.managers.log_entries import LogEntry as LogEntry
from statestore.managers.task_claims import TaskClaims
from statestore.managers.task_dependencies import TaskDependencies
from statestore.managers.task_lifecycle import TaskLifecycle
from statestore.managers.task_output import TaskOutput
from statestore.managers.task_priorities import MEDIUM
from statestore.managers.task_queries import TaskQueries
from statestore.managers.task_records import Progress as Progress
from statestore.managers.task_records import Task as Task
from statestore.managers.task_statuses import NEW_STATUSES
from statestore.managers.task_statuses import TaskStatus as TaskStatus
from statestore.managers.task_tree import TaskTree
from statestore.models.keys import check_id
from statestore.records.drafts import Draft


class TaskManager(TaskClaims, TaskLifecycle, TaskTree, TaskDependencies, TaskOutput, TaskQueries):
    """The tasks of a store, in `tasks/`.

    However a task is changed, its status goes by `TASK_TRANSITIONS`, it gets no circle of parents
    or of dependencies, and its version counts the change.
    """

    def create(
        self,
        title: str = "",
        *,
        description: str = "",
        parent_id: str | Task | None = None,
        session_id: str | None = None,
        assigned_to: str | None = None,
        status: TaskStatus | str = TaskStatus.PENDING,
        priority: int | str = MEDIUM,
        depends_on: Iterable[str] = (),
        allow_missing: bool = False,
        metadata: Mapping[str, Any] | None = None,
        actor: str | None = None,
        id: str | None = None,
        **fields: Any,
    ) -> Task:
        """Add a task and return it.

        A task of a session gets the place behind the last one of that session, unless `position`
        says another. A parent follows its children, see `ROLL_UP`.

        Args:
            title: what is to be done; it cannot be empty.
            parent_id: the task that it is a part of.
            status: one of `NEW_STATUSES`, or what another system calls it.
            priority: 1 to 20, or "low", "medium", "high", "critical".
            depends_on: ids of the tasks that have to be done first.
            allow_missing: take ids of tasks, too, that are not there yet.
            metadata: what the host keeps with it.
            actor: who creates it.
            id: the id of the task; by default a new one, sortable by time.
            fields: other fields of `Task`. Times that are not given are the present one.
        Raises:
            RecordNotFound: there is no such parent or dependency; `field` says which.
            InvalidRecord: a value is not taken; `field` names it, `allowed` what would be.
            DuplicateId, InvalidId: as they say.
        """
        chosen = self._make_id() if id is None else check_id(id)
        now = self._clock()
        begun = self._new_status(chosen, status)
        fields |= {
            "title": title,
            "description": description,
            "parent_id": None if parent_id is None else self._id(parent_id),
            "session_id": session_id,
            "assigned_to": assigned_to,
            "status": begun,
            "priority": priority,
            "depends_on": depends_on if isinstance(depends_on, str) else tuple(depends_on),
            "metadata": metadata,
        }
        if actor is not None:
            fields["created_by"] = actor
        fields.setdefault("created_at", now)
        fields.setdefault("updated_at", fields["created_at"])
        if begun is TaskStatus.RUNNING:
            fields.setdefault("started_at", now)
        self._want_fields(chosen, fields)

        def created(draft: Draft[Task]) -> Task:
            more = self._of_others(draft, chosen, fields, allow_missing=allow_missing)
            new = draft.add(self._made(chosen, lambda: Task(chosen, **{**fields, **more})))
            if new.status in _HEARD_ABOVE:
                self._roll_up(draft, [new.parent_id], actor)
            return new

        return self._change_all(created)

    def add_subtask(self, parent: str | Task, title: str = "", **fields: Any) -> Task:
        """Add a task below another, in the session of that one, and return it. See `create`."""
        above = self[parent]
        fields.setdefault("session_id", above.session_id)
        return self.create(title, parent_id=above, **fields)

    def update(
        self,
        id: str | Task,
        /,
        *,
        actor: str | None = None,
        allow_missing: bool = False,
        **changes: Any,
    ) -> Task:
        """Change fields of a task and return the new task. What is as it was is no change.

        Fields that `Task` does not have go into `extra`, a mapping that is written among them:
        `update(id, extra={**task.extra, "score": 0.9})`.

        Args:
            actor: who does it; the last changes of the task tell.
            allow_missing: take ids, too, of dependencies that are not there yet.
            changes: other values. Texts that may be None are cleared by it, the title cannot be. A
                status is what `set_status` takes, and goes by the same rules.
        Raises:
            RecordNotFound: there is no such task, parent or dependency; `field` says which.
            InvalidRecord: a value is not taken; `field` names it, `allowed` what would be.
            InvalidTransition: it cannot come to that status from the one it has.
            CircularReference: it would be below itself, or depend on itself.
        """
        name = self._id(id)
        if "status" in changes:
            changes["status"] = self._to_status(name, changes["status"])
        if isinstance(changes.get("parent_id"), Task):
            changes["parent_id"] = changes["parent_id"].id
        if isinstance(changes.get("depends_on"), Iterable):
            given = changes["depends_on"]
            changes["depends_on"] = given if isinstance(given, str) else tuple(given)
        self._want_fields(name, changes)

        def updated(draft: Draft[Task]) -> Task:
            current = draft[name]
            fields = dict(changes)
            if fields.get("parent_id") is not None:
                self._want_parent(name, fields["parent_id"], draft.get)
            if "depends_on" in fields:
                fields["depends_on"] = self._want_dependencies(
                    name,
                    fields["depends_on"],
                    draft.get,
                    allow_missing=allow_missing,
                    known=current.depends_on,
                )
            status = fields.get("status", current.status)
            if status is not current.status:
                self._want_lease(current, id)
                self._want_transition(current, status)
                fields = self._entered(current, status) | fields
            new = draft.put(self._next(current, actor, **fields))
            if new.status is not current.status or new.parent_id != current.parent_id:
                self._roll_up(draft, [current.parent_id, new.parent_id], actor)
            return new

        claimed = "status" in changes and self._is_claimed(id)
        return self._change_all(updated, at_once=claimed)

    # --- inside -----------------------------------------------------------------------

    def _new_status(self, id: str, status: object) -> TaskStatus:
        begun = self._to_status(id, status)
        if begun not in NEW_STATUSES:
            known = [one.value for one in TaskStatus if one in NEW_STATUSES]
            reason = f"a new task is one of: {', '.join(known)}"
            raise InvalidRecord(self.kind, id, reason, field="status", allowed=known)
        return begun

    def _of_others(
        self, draft: Draft[Task], id: str, fields: Mapping[str, Any], *, allow_missing: bool
    ) -> dict[str, Any]:
        """Return the fields of a new task that depend on the tasks that are there."""
        parent_id, session_id = fields["parent_id"], fields["session_id"]
        if parent_id is not None and draft.get(parent_id) is None:
            raise RecordNotFound(self.kind, parent_id, field="parent_id")
        more: dict[str, Any] = {
            "depends_on": self._want_dependencies(
                id, fields["depends_on"], draft.get, allow_missing=allow_missing
            )
        }
        if session_id is not None and fields.get("position") is None:
            taken = (one.position for one in draft.all() if one.session_id == session_id)
            more["position"] = max((one for one in taken if one is not None), default=-1) + 1
        return more


_HEARD_ABOVE = NEW_STATUSES - {TaskStatus.PENDING, TaskStatus.READY, TaskStatus.QUEUED}
"""The statuses of a new task that say something of its parent, see `ROLL_UP`."""
