"""Leases of tasks: whose a task is, signs of life, and giving it back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final, cast

import attrs

from statestore.errors import (
    CallbackFailed,
    InTransaction,
    InvalidRecord,
    LeaseLost,
    ReadOnlyStore,
    StateStoreError,
    TaskClaimed,
)
from statestore.managers.tasks.base import TaskBase
from statestore.managers.tasks.events import EVENTS, Named
from statestore.managers.tasks.hierarchy import place_of
from statestore.managers.tasks.lease import IN_HAND, Lease
from statestore.managers.tasks.records import Task
from statestore.managers.tasks.statuses import TASK_TRANSITIONS, TaskStatus
from statestore.records.drafts import Draft

MAX_LEASE_S: Final = 10 * 365 * 86400
"""The longest lease in seconds: ten years. One without an end is asked for by None."""

LEASE_EVENTS: Final = ("claimed", "reclaimed", "released")
"""The names of the events of leases. They are found from a task before and after."""


class TaskLeases(TaskBase):
    """Who has which task in hand: claims, heartbeats, and what becomes of the tasks of the dead.

    A claimed task has a `Lease`. It is over when the task ends or is given back, when the opening
    of the store that it was claimed through is closed or its process is gone, which is seen at
    once, and past its `expires_at`. Then, and only then, another can claim the task. Whoever
    changes the status of a claimed task passes the record that the claim returned, or a newer one,
    which proves it: where the lease is another's by now that is `LeaseLost`. By an id it can be
    changed in the same opening of the store only, elsewhere that is `TaskClaimed`. So it is where a
    claimed task is deleted, modified, replaced or imported anew. Who has lost it writes no progress
    and no logs to it either, as far as the loss is known here.

    Claims, and changes of the status of claimed tasks, are committed at once in every autosave
    mode. Within a transaction such a change is a part of it, and there are no claims. Without a
    store leases are over by their time only.

    Not promised: that clocks agree. Where `lease_s` is given and a worker is on another host, let
    it be far longer than they differ.
    """

    _domain_events: ClassVar[tuple[str, ...]] = (*EVENTS, *LEASE_EVENTS)

    _memory_run: str | None = None
    _ended_runs: frozenset[str] = frozenset()

    def extend(self, task: str | Task, lease_s: float | None) -> Task:
        """Let a lease last so many seconds from now, and return the task: a sign of life.

        One that is past its time, and that nobody has taken over, goes on.

        Args:
            task: what the claim returned, or a newer record of it, or the id.
            lease_s: None: as long as the store is open.
        Raises:
            LeaseLost: the task is another's by now, or nobody's.
            TaskClaimed: an id was given, and another run of the store has the task.
            InvalidRecord: nobody has claimed it; or it is no number of seconds above 0.
            RecordNotFound: there is no such task.
        """
        name = self._id(task)
        self._want_claim(lease_s, None, alone=False)
        self._is_claimed(task)

        def extended(draft: Draft[Task]) -> Task:
            current = draft[name]
            self._want_lease(current, task)
            lease = self._want_claimed(current)
            until = self._until(self._clock(), lease_s)
            return draft.put(self._evolved(current, lease=attrs.evolve(lease, expires_at=until)))

        return self._change_all(extended, at_once=True)

    def release(self, task: str | Task, reason: str | None = None, *, force: bool = False) -> Task:
        """Give a claimed task back and return it. It can be resumed, by whoever claims it next.

        Args:
            task: what the claim returned, or a newer record of it, or the id.
            reason: why, for those who read it later.
            force: also where a live worker has it, who is told `LeaseLost` when he wants to end it.
        Raises:
            LeaseLost, TaskClaimed, RecordNotFound: see `extend`.
            InvalidRecord: nobody has claimed it, or the reason is no text.
        """
        name = self._id(task)
        self._want_fields(name, {"reason": reason})
        self._is_claimed(task)

        def released(draft: Draft[Task]) -> Task:
            current = draft[name]
            if not force:
                self._want_lease(current, task)
            self._want_claimed(current)
            return self._leave(draft, current, reason)

        return self._change_all(released, at_once=True)

    def abandoned(self, session_id: str | None = None) -> tuple[Task, ...]:
        """Return the tasks whose lease is over and that nobody has taken up, by their places.

        Args:
            session_id: only those of this session.
        """
        tasks = [one for one in self._of_session(session_id) if one.lease is not None]
        self._ask_of(tasks)
        over = [one for one in tasks if one.lease is not None and self._is_over(one.lease)]
        return tuple(sorted(over, key=place_of))

    def dead_runs(self) -> tuple[str, ...]:
        """Return the openings of the store that have ended and left tasks behind."""
        left = {one.lease.run for one in self.abandoned() if one.lease is not None}
        return tuple(sorted(left & self._ended_runs))

    # --- what becomes of it -------------------------------------------------------------

    def _of_session(self, session_id: str | None) -> list[Task]:
        return [one for one in self.all() if session_id in (None, one.session_id)]

    def _leave(self, draft: Draft[Task], current: Task, reason: str | None) -> Task:
        """Let a task be resumable, by a way that the transitions allow."""
        actor = None if current.lease is None else current.lease.worker
        if TaskStatus.RESUMABLE not in TASK_TRANSITIONS[current.status]:
            current = draft.put(self._next(current, actor, status=TaskStatus.RUNNING))
        fields = self._entered(current, TaskStatus.RESUMABLE, reason)
        return draft.put(self._next(current, actor, **fields))

    def _shift(self, id: str | Task, to: TaskStatus, **more: Any) -> Task:
        claimed = self._is_claimed(id)
        new = super()._shift(id, to, **more)
        if claimed:
            self._settle_parents([new.parent_id])
        return new

    def _settle_parents(self, ids: Iterable[str | None]) -> None:
        """Let parents follow what others have made of their children meanwhile.

        Two that end the last children at the same time each see the other's as running; who
        looks after his commit sees both.
        """
        parents = [id for id in ids if id is not None]
        if not parents or not self.roll_up or self._owner is None or self._scope() is not None:
            return
        try:
            self._bring_in()
            self._change_all(lambda draft: self._roll_up(draft, parents), at_once=True)
        except CallbackFailed:
            raise
        except StateStoreError:
            return  # the change itself is made; the parents follow at the next one of a child

    def _succeed(self, current: Task, new: Task) -> Task:
        new = super()._succeed(current, new)
        if new.lease is None or new.status is current.status or new.status in IN_HAND:
            return new
        return self._evolver.evolve(new, {"lease": None})

    def _events_of(self, before: Task | None, after: Task | None) -> Iterable[Named]:
        yield from super()._events_of(before, after)
        if before is not None and after is not None:
            yield from _lease_events(before, after)

    # --- whose it is ------------------------------------------------------------------

    def _want_lease(self, current: Task, given: str | Task) -> None:
        """Refuse to change a task for who does not have it in hand.

        Raises:
            LeaseLost: the record that was given has a lease that is not that of the task any more.
            TaskClaimed: another run of the store has it.
        """
        mine = given.lease if isinstance(given, Task) else None
        lease = current.lease
        if mine is not None:
            if not _has(mine, current):
                raise self._lost(current, mine)
        elif lease is not None and lease.run != self._own_run() and not self._is_over(lease):
            raise self._claimed_by(current, lease)

    def _want_not_lost(self, current: Task, given: str | Task) -> None:
        """Refuse what is done with a record whose lease is another's by now.

        Of a task that ended, or was given back, since then nobody else has had it: `attempts` tell.

        Raises:
            LeaseLost: it is another's, or was.
        """
        mine = given.lease if isinstance(given, Task) else None
        if mine is None or _has(mine, current):
            return
        if current.lease is not None or current.attempts != cast(Task, given).attempts:
            raise self._lost(current, mine)

    def _is_claimed(self, given: str | Task) -> bool:
        name = self._id(given)
        known = self.get(name)
        tasks = [one for one in (given, known) if isinstance(one, Task) and one.lease is not None]
        if not tasks:
            return False
        self._renew(name)
        known = self.get(name)
        self._ask_of([known] if known is not None else [])
        return True

    def _renew(self, id: str) -> None:
        """Know the newest state of a task; call it without a lock. In a transaction it is known.

        What is unsaved of a task that this run has lost is given up: by itself it is no reason to
        call the loss a conflict, and must not bring the old lease back.
        """
        owner, known = self._owner, self.get(id)
        if owner is None or self._scope() is not None:
            return
        is_lost = False
        if known is not None and known.lease is not None and known.lease.run == owner.run:
            stored = owner.newest(self.kind, id) if self.is_unsaved(id) else None
            is_lost = stored is not None and not _has(known.lease, cast(Task, stored.record))
        owner.renew(self.kind, id, "theirs" if is_lost else None)

    def _want_claimed(self, current: Task) -> Lease:
        if current.lease is None:
            raise InvalidRecord(
                self.kind, current.id, "nobody has claimed it; claim it first", field="lease"
            )
        return current.lease

    def _lost(self, task: Task, mine: Lease) -> LeaseLost:
        holder = None if task.lease is None else task.lease.worker
        return LeaseLost(self.kind, task.id, mine.worker, task.status, holder)

    def _claimed_by(self, task: Task, lease: Lease) -> TaskClaimed:
        return TaskClaimed(self.kind, task.id, lease.worker, lease.claimed_at, lease.expires_at)

    def _is_over(self, lease: Lease) -> bool:
        """Say whether a lease is over. Of its run counts what `_ask_of` has found."""
        return lease.run in self._ended_runs or lease.has_expired(self._clock())

    def _why_over(self, lease: Lease) -> str:
        ended = lease.run in self._ended_runs
        how = "its process is gone" if ended else "it has expired"
        return f"the lease of {lease.worker} since {lease.claimed_at.isoformat()} is over: {how}"

    def _ask_of(self, tasks: Iterable[Task]) -> None:
        """Find out which runs that have a lease of some tasks have ended. Call it without a lock.

        A run that has ended never goes on, and one holds it before it has a lease.
        """
        owner = self._owner
        if owner is None:
            return
        runs = {one.lease.run for one in tasks if one.lease is not None}
        runs -= {owner.run, *self._ended_runs}
        self._ended_runs |= {run for run in runs if not owner.runs.is_held(run)}

    def _own_run(self) -> str:
        if self._owner is not None:
            return self._owner.run
        with self._lock:
            if self._memory_run is None:
                self._memory_run = self._make_id()
            return self._memory_run

    def _hold(self) -> None:
        if self._owner is None:
            return
        try:
            self._owner.runs.hold()
        except ReadOnlyStore as error:
            raise ReadOnlyStore(error.path, "claim a task") from error

    def _bring_in(self) -> None:
        if self._owner is not None:
            self._owner.refresh(self.kind)

    # --- arguments --------------------------------------------------------------------

    def _want_claim(
        self,
        lease_s: float | None,
        max_attempts: int | None,
        *,
        alone: bool = True,
        called: Mapping[str, object] = {},
    ) -> None:
        for name, function in called.items():
            if not callable(function):
                reason = f"{name} takes a function of a task"
                raise InvalidRecord(self.kind, None, reason, field=name)
        if alone and self._scope() is not None:
            raise InTransaction("claim a task")
        if lease_s is not None and (
            type(lease_s) not in (int, float) or not 0 < lease_s <= MAX_LEASE_S
        ):
            reason = f"lease_s takes a number of seconds above 0, to {MAX_LEASE_S:,}, or None"
            raise InvalidRecord(self.kind, None, reason, field="lease_s")
        if max_attempts is not None and (type(max_attempts) is not int or max_attempts < 1):
            reason = "max_attempts takes an integer from 1, or None"
            raise InvalidRecord(self.kind, None, reason, field="max_attempts")

    def _until(self, now: datetime, lease_s: float | None) -> datetime | None:
        return None if lease_s is None else now + timedelta(seconds=lease_s)


def _has(lease: Lease, task: Task) -> bool:
    return task.lease is not None and task.lease.token == lease.token


def _lease_events(before: Task, after: Task) -> Iterator[Named]:
    old, new = before.lease, after.lease
    if new is not None and (old is None or old.token != new.token):
        if old is not None:
            yield "reclaimed", {"worker": new.worker, "old": old.worker}
        yield "claimed", {"worker": new.worker, "attempts": after.attempts}
    elif old is not None and new is None and not after.has_ended:
        yield "released", {"worker": old.worker, "reason": after.reason}
