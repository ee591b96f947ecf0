"""Claims: taking the next task of a queue, so that exactly one worker does it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any, TypeVar

from statestore.errors import (
    CallbackFailed,
    Conflict,
    InvalidRecord,
    StateStoreError,
    ValidationFailed,
)
from statestore.managers.field_checks import want_text
from statestore.managers.log_entries import LogEntry
from statestore.managers.queries import among
from statestore.managers.tasks.guards import TaskGuards
from statestore.managers.tasks.hierarchy import place_of
from statestore.managers.tasks.lease import CLAIMABLE, Lease
from statestore.managers.tasks.order import unmet
from statestore.managers.tasks.records import Task
from statestore.managers.tasks.statuses import STEPS, TASK_TRANSITIONS, TaskStatus
from statestore.records.drafts import Draft

Where = Callable[[Task], bool]

T = TypeVar("T", bound=Task | None)


class TaskClaims(TaskGuards):
    """Claims. See `TaskLeases` for what they are worth."""

    def claim(
        self,
        session_id: str | None = None,
        *,
        worker: str | None = None,
        lease_s: float | None = None,
        types: str | Collection[str] | None = None,
        where: Where | None = None,
        max_attempts: int | None = None,
    ) -> Task | None:
        """Take the next task that can be done now, for nobody else to do; None if there is none.

        What others have committed is brought in first. Tasks can be claimed that are pending,
        ready, queued or resumable, and those whose lease is over, once all that they depend on has
        succeeded. The most urgent one comes first, then the one with the lowest position, then the
        oldest. A parent is done by its children where it follows them. The claimed task is
        running, and its `attempts` counts the claim.

        Args:
            session_id: only tasks of this session; None: of any, or none.
            worker: what the worker calls itself; by default the run of the store.
            lease_s: after how many seconds the lease is over, unless it is extended, though the
                worker goes on; None: never, as long as the store is open.
            types: only tasks of this type, or of one of these.
            where: only tasks for which this is true. It is called without any lock.
            max_attempts: a task that was claimed so often, and whose worker is gone, has failed.
        Raises:
            InTransaction: a claim holds at once, not when a transaction ends.
            Conflict: the only tasks that there are have unsaved changes that stand against it.
            ValidationFailed: a validator refuses the only ones that there are.
            CallbackFailed: a callback raised; the task was given back.
            ReadOnlyStore, InvalidRecord, StateStoreError: as they say.
        """
        name = self._worker(worker)
        called = {} if where is None else {"where": where}
        self._want_claim(lease_s, max_attempts, called=called)
        self._bring_in()
        self._hold()
        refused: Conflict | ValidationFailed | None = None
        for task in self._candidates(session_id, types, where):
            try:
                if task.lease is not None:
                    self._renew(task.id)
                claimed = self._claimed(
                    partial(
                        self._claim_free,
                        id=task.id,
                        worker=name,
                        lease_s=lease_s,
                        max_attempts=max_attempts,
                    )
                )
            except (Conflict, ValidationFailed) as error:
                refused = refused or error  # one such task does not stop the others
                continue
            if claimed is not None:
                return claimed
        if refused is not None:
            raise refused
        return None

    def claim_task(
        self, id: str | Task, *, worker: str | None = None, lease_s: float | None = None
    ) -> Task:
        """Take a certain task, also one that has failed or that was left, and return it as claimed.

        Args:
            worker, lease_s: see `claim`.
        Raises:
            TaskClaimed: somebody has it; it says who, since when and until when.
            InvalidTransition: it is not in a status in which it can be begun.
            InvalidRecord: what it depends on has not succeeded; `field` is "depends_on".
            InTransaction, RecordNotFound, Conflict: as they say.
            CallbackFailed: a callback raised; the task was given back.
        """
        name, task_id = self._worker(worker), self._id(id)
        self._want_claim(lease_s, None)
        self._bring_in()
        self._hold()
        self._ask_of([self[task_id]])

        def claim(draft: Draft[Task]) -> Task:
            current = draft[task_id]
            if current.lease is None:
                self._want_transition(current, TaskStatus.RUNNING, STEPS["start"])
            elif not self._is_over(current.lease):
                raise self._claimed_by(current, current.lease)
            waits = ", ".join(one.on for one in unmet(current, draft.get))
            if waits:
                reason = f"it depends on what has not succeeded: {waits}"
                raise InvalidRecord(self.kind, task_id, reason, field="depends_on")
            return self._take(draft, current, name, lease_s)

        return self._claimed(claim)

    # --- candidates -------------------------------------------------------------------

    def _candidates(
        self, session_id: str | None, types: object, where: Where | None
    ) -> Iterator[Task]:
        """Yield the tasks that can be claimed as things are here, in the order of the queue."""
        wanted = None if types is None else frozenset(among(types))
        tasks = self._of_session(session_id)
        self._ask_of(tasks)
        everything = tasks if session_id is None else self.all()
        parents = {one.parent_id for one in everything} if self.roll_up else set()
        free = []
        for task in tasks:
            if task.lease is None:
                if task.status not in CLAIMABLE or task.id in parents:
                    continue
            elif not self._is_over(task.lease):
                continue
            if wanted is None or task.type in wanted:
                free.append(task)
        for task in _by_queue_place(free):
            if not unmet(task, self.get) and (where is None or where(task)):
                yield task

    def _is_free(self, task: Task) -> bool:
        return task.status in CLAIMABLE if task.lease is None else self._is_over(task.lease)

    # --- what is done ------------------------------------------------------------------

    def _claimed(self, claim: Callable[[Draft[Task]], T]) -> T:
        given: list[T] = []

        def noted(draft: Draft[Task]) -> T:
            given[:] = [claim(draft)]
            return given[0]

        try:
            return self._change_all(noted, at_once=True)
        except CallbackFailed:
            # Who is told of an error has no task: nobody would ever end this one.
            if given and given[0] is not None:
                with contextlib.suppress(StateStoreError):
                    self.release(given[0])
            raise

    def _claim_free(
        self,
        draft: Draft[Task],
        id: str,
        worker: str,
        lease_s: float | None,
        max_attempts: int | None,
    ) -> Task | None:
        current = draft.get(id)
        if current is None or not self._is_free(current) or unmet(current, draft.get):
            return None  # somebody was faster
        if current.lease is not None and self._is_spent(current, max_attempts):
            self._give_up(draft, current)
            return None
        return self._take(draft, current, worker, lease_s)

    def _take(self, draft: Draft[Task], current: Task, worker: str, lease_s: float | None) -> Task:
        now = self._clock()
        fields = self._entered(current, TaskStatus.RUNNING)
        if current.lease is not None:
            text = f"claimed by {worker}, as {self._why_over(current.lease)}"
            entry = LogEntry(text=text, type="info", source="statestore", at=now)
            fields["logs"] = current.logs.extended([entry])
        lease = Lease(
            worker=worker,
            run=self._own_run(),
            token=self._make_id(),
            claimed_at=now,
            expires_at=self._until(now, lease_s),
        )
        fields |= {"lease": lease, "attempts": current.attempts + 1}
        new = draft.put(self._next(current, worker, **fields))
        self._roll_up(draft, [new.parent_id], worker)
        return new

    def _is_spent(self, task: Task, max_attempts: int | None) -> bool:
        return max_attempts is not None and task.attempts >= max_attempts

    def _give_up(self, draft: Draft[Task], current: Task) -> Task:
        """Let a task fail whose workers have died so often."""
        if TaskStatus.FAILED not in TASK_TRANSITIONS[current.status]:
            current = draft.put(self._next(current, status=TaskStatus.RUNNING))
        why = "" if current.lease is None else f": {self._why_over(current.lease)}"
        error = f"given up after {current.attempts} attempts{why}"
        fields = self._entered(current, TaskStatus.FAILED) | {"error": error}
        new = draft.put(self._next(current, **fields))
        self._roll_up(draft, [new.parent_id])
        return new

    def _worker(self, worker: str | None) -> str:
        if worker is None:
            return self._own_run()
        want_text(self.kind, None, "worker", worker)
        return worker


def queue_place(task: Task) -> tuple[Any, ...]:
    """Return what a queue is ordered by: urgency, then position, then age."""
    return (-task.priority, *place_of(task))


def _by_queue_place(tasks: Iterable[Task]) -> Iterator[Task]:
    """Yield tasks in the order of `queue_place`.

    Mostly one is wanted of very many, so only what could be the next is looked at more closely.
    """
    urgent_first = sorted(tasks, key=_PRIORITY, reverse=True)
    for _, group in groupby(urgent_first, key=_PRIORITY):
        alike = list(group)
        nowhere = [task for task in alike if task.position is None]
        placed = alike if not nowhere else [task for task in alike if task.position is not None]
        placed.sort(key=_POSITION)
        for _, together in groupby(placed, key=_POSITION):
            yield from sorted(together, key=queue_place)
        yield from sorted(nowhere, key=queue_place)


_PRIORITY = attrgetter("priority")
_POSITION = attrgetter("position")
