"""Publishing: what was written apart becomes durable, then visible to everybody, or neither."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

from statestore.engine.flights import Flight, Flights, failures_of
from statestore.engine.queueing import Result
from statestore.engine.saving import Outcome, concerns_all
from statestore.engine.settling import Settler
from statestore.errors import CommitRefused, Conflict, StateStoreError, TransactionFailed
from statestore.models.changes import Commit
from statestore.models.keys import Key, Revision
from statestore.models.managed import Pending, RecordManager
from statestore.models.reports import Failure, Resolved
from statestore.models.workspaces import Workspace

Spaces: TypeAlias = Sequence[tuple[RecordManager, Workspace[Any]]]


class Publisher:
    """Commits workspaces of managers, each call's wholly or not at all. Any thread may use it."""

    def __init__(
        self,
        flights: Flights,
        turn: AbstractContextManager[Any],
        settler: Settler,
        tell: Callable[[Sequence[Failure]], Sequence[Exception]],
    ) -> None:
        """Plan while `turn` is held; `tell` tells the host and returns what it raised."""
        self._flights, self._turn, self._settler, self._tell = flights, turn, settler, tell

    def publish(self, spaces: Spaces, policy: str) -> Outcome:
        """Commit what was written, and show it to everybody when it is durable.

        Args:
            policy: what is done about conflicts. See `Settler`.
        Raises:
            TransactionFailed: nothing of it is in memory or in the store; it says why.
            ReadOnlyStore, StoreClosed, LockTimeout, StoreReplaced: likewise.
            StoreInDoubt: it is not known whether it is in the store; it is not in memory.
        """
        outcome = Outcome()
        by_kind = {manager.kind: space for manager, space in spaces}
        while True:
            flight, failures = self._set_out(spaces)
            if not failures:
                flight.wait()
                failures = _judged(flight.result, flight)
            if isinstance(flight.result, Commit) and not failures:
                outcome.add(flight.result, [one.change for one in flight.pending.values()])
                return outcome
            unsettled = self._settle(failures, by_kind, policy, outcome)
            if not unsettled:
                continue
            if policy == "never" and all(isinstance(one.error, Conflict) for one in unsettled):
                raise TransactionFailed(unsettled)  # no trouble yet: who asked for it tries again
            self._fail(unsettled, flight.result)

    def _settle(
        self,
        failures: Sequence[Failure],
        spaces: dict[str, Workspace[Any]],
        policy: str,
        outcome: Outcome,
    ) -> Sequence[Failure]:
        """Make what was written one of what others were faster with; return what cannot be."""
        unsettled: list[Failure] = []
        for failure in failures:
            space = None if failure.key is None else spaces.get(failure.key.kind)
            how = self._settler.settle(failure, policy, unsettled, space)
            if how and failure.key is not None:
                outcome.resolved.append(Resolved(failure.key, how))
        return unsettled

    def _set_out(self, spaces: Spaces) -> tuple[Flight, Sequence[Failure]]:
        """Send the changes on their way, when nobody else's commit concerns their records."""
        flights = self._flights
        while True:
            with self._turn:
                others = [
                    carried[id]
                    for manager, space in spaces
                    for carried in (flights.carried(manager.kind),)
                    for id in space.written
                    if id in carried
                ]
                if not others:
                    flight = _TransactionFlight(flights, spaces)
                    return flight, flight.set_out()
            for other in others:
                other.wait()

    def _fail(self, failures: Sequence[Failure], result: Result | None) -> None:
        raised = self._tell(failures)
        failed = TransactionFailed(failures)
        for one in raised:
            failed.add_note(f"a callback raised {type(one).__name__}: {one}")
        cause = failures[0].error if len(failures) == 1 else None
        raise failed from (cause or (result if isinstance(result, CommitRefused) else None))


class _TransactionFlight(Flight):
    """The commit of a transaction, which its landing shows to everybody."""

    __slots__ = ("_spaces",)

    def __init__(self, flights: Flights, spaces: Spaces) -> None:
        keys = [Key(manager.kind, id) for manager, space in spaces for id in space.written]
        super().__init__(flights, keys)
        self._spaces = spaces

    def set_out(self) -> Sequence[Failure]:
        """Reserve the records and send their changes; return what stands against it.

        The turn is held.
        """
        self.flights.announce(self)
        pending: dict[Key, Pending] = {}
        failures: list[Failure] = []
        for manager, space in self._spaces:
            changes, failed = manager.reserve(space, self)
            pending.update({one.change.key: one for one in changes})
            failures.extend(failed)
        if failures:
            self.flights.cancel(self)
            return failures
        self.pending = pending
        expect = {key: one.expected for key, one in pending.items()}
        self.flights.send(self, [one.change for one in pending.values()], expect)
        return ()

    def book(self, result: Result, saved: Callable[[Pending, Revision], None]) -> None:
        """Show the records, or let them be written again. It says `saved` with the records."""
        del saved
        done = self.done(result)
        for manager, space in self._spaces:
            if isinstance(result, Commit):
                own = [one for one in done if one[0].change.key.kind == manager.kind]
                manager.publish(space, own)
            else:
                manager.unreserve(space, self)


def _judged(result: Result | None, flight: Flight) -> Sequence[Failure]:
    """Return why a commit was not made.

    Raises:
        ReadOnlyStore, StoreClosed, StoreInDoubt: it concerns the store as a whole.
    """
    if isinstance(result, Commit):
        return ()
    if isinstance(result, CommitRefused):
        return failures_of(result)
    if result is None or not isinstance(result, StateStoreError):
        raise result or AssertionError
    if concerns_all(result):
        raise result
    return [Failure(key, "save", result) for key in flight.pending] or [
        Failure(None, "save", result)
    ]
