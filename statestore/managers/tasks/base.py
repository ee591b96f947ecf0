"""What all operations on tasks rest on: checks, versions, parents that follow their children."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, ClassVar, Final

import attrs

from statestore.errors import CircularReference, InvalidRecord, InvalidTransition, RecordNotFound
from statestore.managers.domain import DomainManager
from statestore.managers.field_checks import want_fields, want_texts
from statestore.managers.tasks.events import EVENTS, created_events, events_of
from statestore.managers.tasks.hierarchy import (
    Find,
    children_by_parent,
    circle_of_parents,
    rolled_up,
)
from statestore.managers.tasks.merging import merge_tasks
from statestore.managers.tasks.order import circle_of
from statestore.managers.tasks.records import Task, changed_fields, following, follows
from statestore.managers.tasks.statuses import TASK_TRANSITIONS, Step, TaskStatus, status_of
from statestore.records.announcing import Told
from statestore.records.drafts import Draft
from statestore.records.ids import new_id
from statestore.records.sharing import Merge

MAX_CHARACTERS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "title": 10_000,
        "type": 100,
        "tags": 100,
        "capabilities": 100,
        "assigned_to": 1000,
        "assigned_by": 1000,
        "created_by": 1000,
        "session_id": 1000,
        "parent_id": 1000,
        "depends_on": 1000,
    }
)
"""The longest text, alone or in a list, that operations take by field; none of them may be empty.

What is stored or added as a record already is not measured. Other texts are as long as they are.
"""

_OF_THE_MANAGER: Final = ("lease", "attempts", "version", "changes")

LEFT: Final[Any] = attrs.NOTHING
"""Stands for an argument that was left out, where None says something."""


class TaskBase(DomainManager[Task]):
    """A manager of tasks without its operations.

    However a task is changed, its status goes by `TASK_TRANSITIONS`, it gets no circle of parents
    or of dependencies, and its version counts the change. A record that is added is taken as it is.
    """

    _domain_events: ClassVar[tuple[str, ...]] = EVENTS

    def __init__(
        self,
        *,
        roll_up: bool = True,
        clock: Callable[[], datetime] | None = None,
        make_id: Callable[[], str] = new_id,
        merge: Merge[Task] | None = None,
    ) -> None:
        """Begin empty. See `Manager`.

        Args:
            roll_up: let the status of a parent follow those of its children, see `ROLL_UP`.
        """
        super().__init__("tasks", Task, clock=clock, make_id=make_id, merge=merge or merge_tasks)
        self.roll_up = roll_up

    # --- how a task follows another ---------------------------------------------------

    def _next(self, current: Task, actor: str | None = None, /, **changes: Any) -> Task:
        """Return a task with other values of some fields, as changed by `actor`.

        The same one if nothing of it differs.
        """
        new = self._evolved(current, **changes)
        is_other = "updated_at" in changes or new.logs is not current.logs
        if not is_other and not changed_fields(current, new):
            return current
        return self._following(current, new, actor)

    def _evolved(self, current: Task, **changes: Any) -> Task:
        try:
            return super()._evolved(current, **changes)
        except InvalidRecord as error:
            if error.field is None:
                want_fields(self.kind, current.id, Task, changes)  # says which field it is
            raise

    def _following(self, current: Task, new: Task, actor: str | None) -> Task:
        more = following(current, new, actor)
        if not more and (new.version, new.changes) != (current.version, current.changes):
            more = {"version": current.version, "changes": current.changes}
        return self._evolver.evolve(new, more) if more else new

    def _succeed(self, current: Task, new: Task) -> Task:
        if new is current:
            return current
        self._want_fresh(current, new)
        if new.status is not current.status:
            self._want_transition(current, new.status)
        if new.parent_id != current.parent_id and new.parent_id is not None:
            self._want_parent(new.id, new.parent_id, self.get)
        if new.depends_on != current.depends_on:
            self._want_no_circle(new.id, new.depends_on, self.get)
        new = super()._succeed(current, new)
        return new if follows(current, new) else self._following(current, new, None)

    def _received(self, record: Task, current: Task | None) -> Task:
        new = super()._received(record, current)
        self._want_no_circles(new, self.get)
        if current is None or new == current:
            return new
        self._want_lease(current, current.id)
        return self._following(current, new, None)

    def _events_of(self, before: Task | None, after: Task | None) -> Iterable[Told]:
        if after is None:
            return ()
        return created_events(after) if before is None else events_of(before, after)

    # --- checks -----------------------------------------------------------------------

    def _want_fields(self, id: str | None, fields: Mapping[str, Any]) -> None:
        """Check fields that an operation is given.

        Raises:
            InvalidRecord: one is not taken; `field` names it.
        """
        for name in _OF_THE_MANAGER:
            if name in fields:
                raise InvalidRecord(self.kind, id, f"{name} is kept by the manager", field=name)
        want_texts(self.kind, id, fields, MAX_CHARACTERS)
        if not fields.get("title", "-"):
            raise InvalidRecord(self.kind, id, "title must not be empty", field="title")
        want_fields(self.kind, id, Task, fields)
        names = attrs.fields_dict(Task).keys() - {"extra"}
        taken = sorted(names & dict(fields.get("extra") or {}).keys())
        if taken:
            reason = f"{taken[0]} is a field, so it cannot be in extra too"
            raise InvalidRecord(self.kind, id, reason, field="extra")

    def _to_status(self, id: str | None, status: object) -> TaskStatus:
        try:
            return status_of(status)
        except ValueError as error:
            reason, known = str(error), [one.value for one in TaskStatus]
            raise InvalidRecord(self.kind, id, reason, field="status", allowed=known) from None

    def _want_lease(self, current: Task, given: str | Task) -> None:
        """Refuse to change the status of a task that is not in the hand of who gives it."""

    def _want_not_lost(self, current: Task, given: str | Task) -> None:
        """Refuse what is done with a record whose lease is another's by now."""

    def _is_claimed(self, given: str | Task) -> bool:
        """Say whether a task is in the hand of a worker, as far as it is known here."""
        del given
        return False

    def _want_transition(self, current: Task, to: TaskStatus, step: Step | None = None) -> None:
        allowed = TASK_TRANSITIONS[current.status]
        if to in allowed and (step is None or current.status in step.since):
            return
        known = [one for one in TaskStatus if one in allowed]
        wanted = to.value if step is None else step.called
        raise InvalidTransition(self.kind, current.id, current.status, wanted, known)

    def _want_parent(self, id: str, parent_id: str, find: Find) -> None:
        if find(parent_id) is None:
            raise RecordNotFound(self.kind, parent_id, field="parent_id")
        self._want_no_circle_of_parents(id, parent_id, find)

    def _want_no_circle_of_parents(self, id: str, parent_id: str, find: Find) -> None:
        circle = circle_of_parents(id, parent_id, find)
        if circle:
            raise CircularReference(self.kind, id, "parent_id", circle)

    def _want_no_circles(self, task: Task, find: Find) -> None:
        """Refuse a task that was made elsewhere for circles alone: whom it names may come later."""
        if task.parent_id is not None:
            self._want_no_circle_of_parents(task.id, task.parent_id, find)
        self._want_no_circle(task.id, task.depends_on, find)

    def _want_dependencies(
        self,
        id: str,
        depends_on: Iterable[str],
        find: Find,
        *,
        allow_missing: bool,
        known: Iterable[str] = (),
    ) -> tuple[str, ...]:
        """Return ids of tasks that one may depend on, each once.

        Args:
            known: those that it depends on already, which need not be there any more.
        """
        ids = tuple(dict.fromkeys(depends_on))
        taken = {id, *known}
        for one in ids:
            if one not in taken and not allow_missing and find(one) is None:
                raise RecordNotFound(self.kind, one, field="depends_on")
        self._want_no_circle(id, ids, find)
        return ids

    def _want_no_circle(self, id: str, depends_on: Iterable[str], find: Find) -> None:
        circle = circle_of(id, depends_on, find)
        if circle:
            raise CircularReference(self.kind, id, "depends_on", circle)

    # --- parents ----------------------------------------------------------------------

    def _roll_up(
        self, draft: Draft[Task], ids: Iterable[str | None], actor: str | None = None
    ) -> None:
        """Let parents, and theirs, have the status that their children give them.

        One that cannot go to that status stays as it is: whoever changed a child is not refused
        for what its parent is.
        """
        parents = [id for id in dict.fromkeys(ids) if id is not None and id in draft]
        if not self.roll_up or not parents:
            return
        children = children_by_parent(draft.all())
        for first in parents:
            at: str | None = first
            seen: set[str] = set()
            while at is not None and at not in seen:
                seen.add(at)
                parent = draft.get(at)
                if parent is None or parent.lease is not None:
                    break  # who has claimed it says what becomes of it
                status = rolled_up(draft[one.id].status for one in children.get(at, ()))
                if status is None or status not in TASK_TRANSITIONS[parent.status]:
                    break
                draft.put(self._next(parent, actor, **self._entered(parent, status)))
                at = parent.parent_id

    def _entered(self, task: Task, status: TaskStatus, reason: str | None = None) -> dict[str, Any]:
        """Return the fields that change with a status: why it has it, and of what it had before."""
        fields: dict[str, Any] = {"status": status, "reason": reason}
        if task.has_ended:
            fields["error"] = None
        return fields

    def _shift(
        self,
        id: str | Task,
        to: TaskStatus,
        *,
        step: Step | None = None,
        reason: str | None = None,
        actor: str | None = None,
        **fields: Any,
    ) -> Task:
        """Bring a task to a status, and its parents to theirs, in one operation."""
        name = self._id(id)
        self._want_fields(name, {"reason": reason, **fields})

        def shifted(draft: Draft[Task]) -> Task:
            current = draft[name]
            self._want_lease(current, id)
            self._want_transition(current, to, step)
            changes = self._entered(current, to, reason) | fields
            new = draft.put(self._next(current, actor, **changes))
            self._roll_up(draft, [new.parent_id], actor)
            return new

        return self._change_all(shifted, at_once=self._is_claimed(id))
