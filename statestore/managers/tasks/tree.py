"""The tree of tasks: parents, children, and what goes with them."""

from __future__ import annotations

from typing import Final

from statestore.errors import HasChildren, InvalidRecord
from statestore.managers.tasks.base import TaskBase
from statestore.managers.tasks.hierarchy import (
    ancestors_of,
    children_by_parent,
    descendants_of,
    place_of,
    rolled_up,
)
from statestore.managers.tasks.records import Task
from statestore.managers.tasks.statuses import TaskStatus
from statestore.records.drafts import Draft

CHILDREN: Final = ("refuse", "delete", "detach")
"""What may become of the children of a task that is deleted."""


class TaskTree(TaskBase):
    """Who is below whom. A child names its parent, and nothing else is kept of it.

    Each operation takes tasks or their ids, and raises `RecordNotFound` where there is none. Trees
    may be of any depth. Where a parent is not there, as it was deleted by another process, its
    children are roots.
    """

    def children(self, id: str | Task) -> tuple[Task, ...]:
        """Return the tasks just below one, by position, then by age."""
        name = self[id].id
        return tuple(sorted((one for one in self.all() if one.parent_id == name), key=place_of))

    def descendants(self, id: str | Task) -> tuple[Task, ...]:
        """Return all tasks below one, each before its own children, these in their order."""
        return descendants_of(self[id].id, children_by_parent(self.all()))

    def ancestors(self, id: str | Task) -> tuple[Task, ...]:
        """Return the tasks above one, its parent first."""
        return ancestors_of(self[id], self.get)

    def root(self, id: str | Task) -> Task:
        """Return the topmost task above one; a task without a parent is its own root."""
        return self.path(id)[0]

    def path(self, id: str | Task) -> tuple[Task, ...]:
        """Return the tasks that lead to one, from its root to itself."""
        return (*reversed(self.ancestors(id)), self[id])

    def depth(self, id: str | Task) -> int:
        """Return how many tasks are above one."""
        return len(self.ancestors(id))

    def roots(self) -> tuple[Task, ...]:
        """Return the tasks without a parent, by position, then by age."""
        tasks = self.all()
        ids = {one.id for one in tasks}
        return tuple(sorted((one for one in tasks if one.parent_id not in ids), key=place_of))

    def children_status(self, id: str | Task) -> TaskStatus | None:
        """Return the status that the children of a task give it; None if they say nothing of it.

        Failed if any of them failed, else running, paused or blocked if any is; succeeded if all
        of them have succeeded. Those that were cancelled do not count.
        """
        return rolled_up(one.status for one in self.children(id))

    # --- changing ---------------------------------------------------------------------

    def link(self, id: str | Task, parent: str | Task, *, actor: str | None = None) -> Task:
        """Put a task, with all below it, under a parent, and return it. It leaves the one it had.

        Raises:
            RecordNotFound: there is no such task or parent.
            CircularReference: the parent is the task itself or below it; `path` is the circle.
        """
        return self._move(self._id(id), self._id(parent), actor)

    def unlink(self, id: str | Task, *, actor: str | None = None) -> Task:
        """Take a task, with all below it, from its parent, and return it: it is a root then."""
        return self._move(self._id(id), None, actor)

    def delete(
        self,
        id: str | Task,
        *,
        children: str = "refuse",
        reason: str | None = None,
        actor: str | None = None,
    ) -> Task:
        """Remove a task and return what it was. The next save removes it from the store.

        Tasks that depend on it stay, see `check_dependencies`. With a reason or an actor the event
        "removed" tells them.

        Args:
            children: "refuse" to delete a task that has some, "delete" all tasks below it too, or
                "detach" its children, which are roots then.
        Raises:
            RecordNotFound: there is none.
            HasChildren: it has children, which were to be refused.
            TaskClaimed: another run of the store has it, or one that would go with it, in hand;
                `release(id, force=True)` takes it away.
            LeaseLost: the record that was given has a lease that is another's by now.
            InvalidRecord: `children` is none of these.
        """
        name = self._id(id)
        if children not in CHILDREN:
            why = f"children takes one of: {', '.join(CHILDREN)}"
            raise InvalidRecord(self.kind, name, why, field="children", allowed=CHILDREN)

        for one in (id, *(self.descendants(name) if children == "delete" else ())):
            self._is_claimed(one)

        def deleted(draft: Draft[Task]) -> Task:
            task = draft[name]
            self._want_not_lost(task, id)
            self._want_lease(task, name if task.lease is None else id)
            tasks = draft.all()
            if children == "delete":
                below = descendants_of(name, children_by_parent(tasks))
                for one in below:
                    self._want_lease(one, one.id)
                    draft.delete(one.id)
            else:
                below = tuple(sorted((one for one in tasks if one.parent_id == name), key=place_of))
                if below and children == "refuse":
                    raise HasChildren(self.kind, name, [one.id for one in below])
                for one in below:
                    draft.put(self._next(one, actor, parent_id=None))
            if reason is not None or actor is not None:
                gone = (task, *below) if children == "delete" else (task,)
                for one in gone:
                    draft.tell(one.id, "removed", reason=reason, actor=actor)
            draft.delete(name)
            self._roll_up(draft, [task.parent_id], actor)
            return task

        return self._change_all(deleted)

    def _move(self, id: str, parent_id: str | None, actor: str | None) -> Task:
        def moved(draft: Draft[Task]) -> Task:
            task = draft[id]
            if parent_id is not None:
                self._want_parent(id, parent_id, draft.get)
            new = draft.put(self._next(task, actor, parent_id=parent_id))
            if new is not task:
                self._roll_up(draft, [task.parent_id, parent_id], actor)
            return new

        return self._change_all(moved)
