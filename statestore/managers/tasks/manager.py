"""Tasks: pieces of work, their state, progress and output."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Protocol

from statestore.errors import InvalidRecord, RecordNotFound
from statestore.instructions.parsing import parse_instructions
from statestore.managers.tasks.dependencies import TaskDependencies
from statestore.managers.tasks.items import QueueItem, fields_of_item
from statestore.managers.tasks.output import TaskOutput
from statestore.managers.tasks.priorities import MEDIUM
from statestore.managers.tasks.queries import TaskQueries
from statestore.managers.tasks.records import Task
from statestore.managers.tasks.running import TaskRunning
from statestore.managers.tasks.statuses import NEW_STATUSES, TaskStatus
from statestore.managers.tasks.tree import TaskTree
from statestore.models.keys import check_id
from statestore.records.drafts import Draft


class TaskManager(TaskRunning, TaskTree, TaskDependencies, TaskOutput, TaskQueries):
    """The tasks of a store, in `tasks/`.

    However a task is changed, its status goes by `TASK_TRANSITIONS`, it gets no circle of parents
    or of dependencies, and its version counts the change. A record that is added is taken as it is.
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
            title: what is to be done, in 1 to 1,000 characters.
            session_id: the session that it belongs to; it need not be there.
            assigned_to: who is to do it.
            parent_id: the task that it is a part of.
            status: one of `NEW_STATUSES`, or what another system calls it.
            priority: 1 to 20, or "low", "medium", "high", "critical": see `PRIORITIES`.
            depends_on: ids of the tasks that have to be done first.
            allow_missing: take ids of tasks, too, that are not there yet.
            metadata: what the host keeps with it.
            actor: who creates it.
            id: the id of the task; by default a new one, sortable by time.
            fields: other fields of `Task`. Times that are not given are the present one.
        Raises:
            RecordNotFound: there is no such parent or dependency; `field` says which.
            CircularReference: others that name its id already would make a circle with it.
            InvalidRecord: a value is not taken; `field` names it, `allowed` what would be.
            DuplicateId, InvalidId: as they say.
        """
        given = {
            **fields,
            "title": title,
            "description": description,
            "parent_id": parent_id,
            "session_id": session_id,
            "assigned_to": assigned_to,
            "status": status,
            "priority": priority,
            "depends_on": depends_on,
            "metadata": metadata,
        }
        made = self._creation(given, id=id, allow_missing=allow_missing, actor=actor)
        return self._change_all(made)

    def add_tasks(
        self, session_id: str | None, items: Iterable[QueueItem], *, actor: str | None = None
    ) -> tuple[Task, ...]:
        """Add tasks to a session, behind those that it has, and return them: all of them or none.

        Args:
            session_id: the session; None: they belong to none.
            items: for each its title, an instruction, see `parse_instructions`, or a mapping of
                arguments of `create`. A mapping with an `id` can be named in `depends_on` of a
                later one. An instruction that is done already has succeeded.
            actor: who adds them.
        Raises:
            InvalidRecord, RecordNotFound, DuplicateId, InvalidId: see `create`.
        """
        if isinstance(items, str) or not isinstance(items, Iterable):
            reason = "items takes a list of titles, instructions or mappings"
            raise InvalidRecord(self.kind, None, reason, field="items")
        made = [self._from_item(session_id, one, actor) for one in items]

        def added(draft: Draft[Task]) -> tuple[Task, ...]:
            place = self._last_place(draft, session_id) + 1
            return tuple(make(draft, place + at) for at, make in enumerate(made))

        return self._change_all(added)

    def add_instructions(
        self, session_id: str | None, text: str, *, actor: str | None = None
    ) -> tuple[Task, ...]:
        """Add the tasks that a text asks for, see `parse_instructions`, as `add_tasks` does."""
        if not isinstance(text, str):
            raise InvalidRecord(self.kind, None, "instructions are a text", field="text")
        return self.add_tasks(session_id, parse_instructions(text), actor=actor)

    def add_subtask(self, parent: str | Task, title: str = "", **fields: Any) -> Task:
        """Add a task below another, in the session of that one, and return it. See `create`.

        Raises:
            RecordNotFound: the other one is not there.
            InvalidRecord, DuplicateId, InvalidId: see `create`; nothing was added.
        """
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
            LeaseLost: the record that was given has a lease that is another's by now.
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
            self._want_not_lost(current, id)
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

    def _creation(
        self,
        given: Mapping[str, Any],
        *,
        id: str | None = None,
        allow_missing: bool = False,
        actor: str | None = None,
    ) -> _Creation:
        chosen = self._make_id() if id is None else check_id(id)
        now = self._clock()
        begun = self._new_status(chosen, given.get("status", TaskStatus.PENDING))
        parent_id, depends_on = given.get("parent_id"), given.get("depends_on", ())
        fields = {
            **given,
            "parent_id": None if parent_id is None else self._id(parent_id),
            "status": begun,
            "depends_on": _as_ids(depends_on),
        }
        if actor is not None:
            fields["created_by"] = actor
        fields.setdefault("created_at", now)
        fields.setdefault("updated_at", fields["created_at"])
        if begun is TaskStatus.RUNNING:
            fields.setdefault("started_at", now)
        self._want_fields(chosen, fields)

        def created(draft: Draft[Task], place: int | None = None) -> Task:
            more = self._of_others(draft, chosen, fields, place, allow_missing=allow_missing)
            above = fields["parent_id"]
            if id is not None and above is not None:  # nobody names one that was just made
                self._want_no_circle_of_parents(chosen, above, draft.get)
            new = draft.add(self._made(chosen, lambda: Task(chosen, **{**fields, **more})))
            if new.status in _HEARD_ABOVE:
                self._roll_up(draft, [new.parent_id], actor)
            return new

        return created

    def _new_status(self, id: str, status: object) -> TaskStatus:
        begun = self._to_status(id, status)
        if begun not in NEW_STATUSES:
            known = [one.value for one in TaskStatus if one in NEW_STATUSES]
            reason = f"a new task is one of: {', '.join(known)}"
            raise InvalidRecord(self.kind, id, reason, field="status", allowed=known)
        return begun

    def _of_others(
        self,
        draft: Draft[Task],
        id: str,
        fields: Mapping[str, Any],
        place: int | None,
        *,
        allow_missing: bool,
    ) -> dict[str, Any]:
        """Return the fields of a new task that depend on the tasks that are there."""
        parent_id, session_id = fields["parent_id"], fields.get("session_id")
        if parent_id is not None and draft.get(parent_id) is None:
            raise RecordNotFound(self.kind, parent_id, field="parent_id")
        more: dict[str, Any] = {
            "depends_on": self._want_dependencies(
                id, fields["depends_on"], draft.get, allow_missing=allow_missing
            )
        }
        if session_id is not None and fields.get("position") is None:
            more["position"] = self._last_place(draft, session_id) + 1 if place is None else place
        return more

    def _last_place(self, draft: Draft[Task], session_id: str | None) -> int:
        taken = (one.position for one in draft.all() if one.session_id == session_id)
        return max((one for one in taken if one is not None), default=-1)

    def _from_item(
        self, session_id: str | None, item: object, actor: str | None
    ) -> Callable[[Draft[Task], int | None], Task]:
        try:
            fields, is_done = fields_of_item(item)
        except TypeError as error:
            raise InvalidRecord(self.kind, None, str(error), field="items") from None
        more = {name: fields.pop(name) for name in _ARGUMENTS if name in fields}
        if fields.setdefault("session_id", session_id) != session_id:
            reason = "an item belongs to the session that it is added to"
            raise InvalidRecord(self.kind, None, reason, field="session_id")
        make = self._creation(fields, **{"actor": actor, **more})
        return partial(self._done_before, make, actor=actor) if is_done else make

    def _done_before(
        self, make: _Creation, draft: Draft[Task], place: int | None, *, actor: str | None
    ) -> Task:
        task = make(draft, place)
        for status in (TaskStatus.RUNNING, TaskStatus.SUCCEEDED):
            task = draft.put(self._next(task, actor, status=status))
        self._roll_up(draft, [task.parent_id], actor)
        return task


class _Creation(Protocol):
    """Adds a task to a draft, at a place if none was given with it, and returns it."""

    def __call__(self, draft: Draft[Task], place: int | None = None, /) -> Task: ...


_ARGUMENTS = ("id", "allow_missing", "actor")
"""The arguments of `create` that are no fields of a task."""


def _as_ids(value: Any) -> Any:
    is_list = isinstance(value, Iterable) and not isinstance(value, str)
    return tuple(value) if is_list else value


_HEARD_ABOVE = NEW_STATUSES - {TaskStatus.PENDING, TaskStatus.READY, TaskStatus.QUEUED}
"""The statuses of a new task that say something of its parent, see `ROLL_UP`."""
