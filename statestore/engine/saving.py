"""Saving: what is unsaved becomes durable, by commits of one's own and by those of others."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

import attrs

from statestore.engine.collecting import collector_paused
from statestore.engine.flights import LOST, Flight, Flights, commit_of, failures_of
from statestore.engine.queueing import Result
from statestore.engine.settling import Settler
from statestore.errors import (
    CommitRefused,
    Conflict,
    LockTimeout,
    PartialCommit,
    ReadOnlyStore,
    StateStoreError,
    StoreClosed,
    StoreInDoubt,
    StoreReplaced,
)
from statestore.models.changes import Change, Commit, Delete
from statestore.models.keys import Key, Revision
from statestore.models.managed import Pending, RecordManager
from statestore.models.reports import Failure, Resolved


@attrs.define
class Outcome:
    """What commits came to: what they wrote, and what they could not do.

    `sequence` is that of the last commit that was made or relied on, None where there was none.
    `committed_at` is None where none was made.
    """

    written: int = 0
    deleted: int = 0
    size_bytes: int = 0
    sequence: int | None = None
    committed_at: datetime | None = None
    failures: list[Failure] = attrs.field(factory=list)
    resolved: list[Resolved] = attrs.field(factory=list)

    def add(self, commit: Commit, changes: Iterable[Change]) -> None:
        """Count a commit that made `changes`."""
        done = False
        for change in changes:
            done = True
            if not isinstance(change, Delete):
                self.written += 1
            elif change.key in commit.revisions:
                self.deleted += 1
        self.sequence = commit.sequence
        if done:
            self.size_bytes += commit.size_bytes
            self.committed_at = commit.committed_at


@attrs.frozen
class _Awaited:
    """A record that another's commit concerns. `is_enough`: if it is made, so is the change."""

    key: Key
    flight: Flight
    is_enough: bool


class Saver:
    """Saves the records of managers. Any thread may use it; saves overlap."""

    def __init__(
        self, flights: Flights, turn: AbstractContextManager[Any], settler: Settler
    ) -> None:
        """Make plans while `turn` is held; let `settler` settle conflicts."""
        self._flights, self._turn, self._settler = flights, turn, settler

    def save(
        self,
        managers: Sequence[RecordManager],
        only: Collection[str] | None = None,
        *,
        policy: str = "error",
        if_any: bool = False,
    ) -> Outcome:
        """Make all that is unsaved durable, and return what the own commits did.

        What others are just saving is waited for; where that fails it is tried again. What is
        changed after the call began is not pursued.

        Args:
            only: the ids of others' commits to wait for; by default all.
            policy: what is done about conflicts. See `Settler`.
            if_any: do not ask the driver where nothing is unsaved; it may be closed, say.
        Raises:
            ReadOnlyStore, StoreClosed, StateStoreError: nothing of a commit was written.
        """
        outcome = Outcome()

        def settle(failure: Failure) -> bool:
            how = self._settler.settle(failure, policy, outcome.failures)
            if how and failure.key is not None:
                outcome.resolved.append(Resolved(failure.key, how))
            return how is not None

        left: Mapping[str, Collection[str]] | None = None
        while True:
            mine: dict[Key, Pending] = {}
            awaited: list[_Awaited] = []
            with self._turn:
                with contextlib.nullcontext() if only else collector_paused():
                    for manager in managers:
                        among = None if left is None else left.get(manager.kind, ())
                        self._plan(manager, among, only, mine, awaited, outcome.failures)
                flight = None
                if mine or not (if_any or left is not None or awaited):
                    flight = self._flights.start(mine)
            again: defaultdict[str, set[str]] = defaultdict(set)
            if flight is not None:
                flight.wait()
                for key in judge(flight.result, mine, outcome, settle):
                    again[key.kind].add(key.id)
            for one in awaited:
                one.flight.wait()
                commit = commit_of(one.flight.result)
                if commit is None or not one.is_enough or not one.flight.has_made(one.key):
                    again[one.key.kind].add(one.key.id)
                else:
                    outcome.sequence = max(outcome.sequence or 0, commit.sequence)
            if not again:
                return outcome
            left = again

    def _plan(
        self,
        manager: RecordManager,
        among: Collection[str] | None,
        only: Collection[str] | None,
        mine: dict[Key, Pending],
        awaited: list[_Awaited],
        failures: list[Failure],
    ) -> None:
        """Find what of one manager is to be committed, and which flights are to be waited for."""
        if among is not None and not among:
            return
        carried = self._flights.carried(manager.kind)
        changes, failed = manager.pending(among, besides=carried)
        for one in changes:
            mine[one.change.key] = one
        failures.extend(failed)
        wanted = only if among is None else among
        for id, flight in carried.items():
            if wanted is not None and id not in wanted:
                continue
            # One that set out after this save began carries all that was changed before it.
            key = Key(manager.kind, id)
            pending = flight.pending.get(key)
            is_enough = among is not None or (pending is not None and manager.is_current(pending))
            awaited.append(_Awaited(key, flight, is_enough))

    def commit(
        self,
        changes: Sequence[Change],
        expect: Mapping[Key, Revision],
        renew: Callable[[Key], tuple[Change | None, Revision]] | None = None,
    ) -> Outcome:
        """Commit what can be committed. What the driver refuses is left out and told.

        Args:
            renew: says, of a key that somebody else has changed since, what to make of it now (None
                for nothing) and which revision that is made from; without it such keys are left
                out.
        """
        outcome = Outcome()
        rest = {change.key: change for change in changes}
        expected = dict(expect)

        def settle(failure: Failure) -> bool:
            key = failure.key
            if renew is None or key is None or not isinstance(failure.error, Conflict):
                outcome.failures.append(failure)
                return False
            change, expected[key] = renew(key)
            if change is None:
                del rest[key]
            else:
                rest[key] = change
            return change is not None

        while True:
            result: Result
            try:
                result = self._flights.run(
                    list(rest.values()), {key: expected[key] for key in rest if key in expected}
                )
            except StateStoreError as error:
                result = error
            again = judge(result, dict(rest), outcome, settle)
            if not again:
                return outcome
            rest = {key: rest[key] for key in again}


def judge(
    result: Result | None,
    asked: Mapping[Key, Pending | Change],
    outcome: Outcome,
    settle: Callable[[Failure], bool] | None = None,
) -> Collection[Key]:
    """Note what a commit came to; return the keys to try again, as it was refused for others.

    Args:
        settle: says which of those that were refused are to be tried again, too, and notes why the
            others cannot be.
    Raises:
        ReadOnlyStore, StoreClosed, LockTimeout, StoreReplaced, BaseException: it concerns the store
            as a whole.
    """
    if isinstance(result, Commit):
        outcome.add(result, map(_change, asked.values()))
    elif isinstance(result, PartialCommit):
        failed = failures_of(result)
        outcome.failures.extend(failed)
        keys = {failure.key for failure in failed}
        outcome.add(result.commit, (_change(one) for key, one in asked.items() if key not in keys))
    elif isinstance(result, CommitRefused):
        refused = failures_of(result)
        keys = {failure.key for failure in refused}
        if keys.isdisjoint(asked):
            raise result
        again = [key for key in asked if key not in keys]
        if settle is None:
            outcome.failures.extend(refused)
            return again
        return again + [one.key for one in refused if settle(one) and one.key is not None]
    elif result is LOST or result is None:
        return list(asked)
    elif concerns_all(result, in_doubt=False) or not asked:
        raise result
    elif isinstance(result, StateStoreError):  # nothing was written, whatever the record
        outcome.failures.extend(Failure(key, "save", result) for key in asked)
    else:
        raise result
    return ()


def concerns_all(error: BaseException, *, in_doubt: bool = True) -> bool:
    """Say whether an error is one of the store as a whole, not of what was to be committed.

    Args:
        in_doubt: count `StoreInDoubt` among them.
    """
    if isinstance(error, StoreInDoubt):
        return in_doubt
    return isinstance(error, ReadOnlyStore | StoreClosed | LockTimeout | StoreReplaced)


def _change(one: Pending | Change) -> Change:
    return one.change if isinstance(one, Pending) else one
