"""Transactions: blocks whose changes are made wholly or not at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Final, TypeAlias
from weakref import ReferenceType, ref

from statestore.engine.engine import Engine
from statestore.engine.flights import Flight, Flights, failures_of
from statestore.engine.queueing import Result
from statestore.engine.saving import Outcome
from statestore.errors import (
    CommitRefused,
    InTransaction,
    NotSupported,
    ReadOnlyStore,
    StateStoreError,
    StoreClosed,
    StoreInDoubt,
    TransactionFailed,
)
from statestore.managers.scopes import INNERMOST, Scope, scope_of
from statestore.models.changes import Commit
from statestore.models.keys import Key, Revision
from statestore.models.managed import Pending, RecordManager
from statestore.models.reports import Failure
from statestore.models.workspaces import Workspace

Leave: TypeAlias = Callable[
    [type[BaseException] | None, BaseException | None, TracebackType | None], None
]
Spaces: TypeAlias = Sequence[tuple[RecordManager, Workspace[Any]]]


class _Exit:
    """What `with` finds as `__exit__`: something new, that nobody but the statement holds.

    An interruption can end a block without a call of it: at its very first step. Then it is gone
    all the same, and by that the scope knows that its block is over.
    """

    def __get__(self, transaction: Transaction | None, owner: type[Transaction]) -> Leave:
        if transaction is None:
            return owner.leave  # type: ignore[return-value]  # an ExitStack adds the first argument
        leave = partial(transaction.leave)
        transaction.note_block(ref(leave))
        return leave


class Transaction:
    """A block whose changes of records are made wholly or not at all. See `Store.transaction`.

    The block belongs to the thread or asyncio task that enters it, and is entered once.
    """

    __exit__: Final = _Exit()

    def __init__(self, engine: Engine) -> None:
        """Prepare a block for the records of `engine`.

        Raises:
            NotSupported: its driver cannot make several changes at once.
        """
        traits = engine.driver.traits
        if not traits.atomic:
            raise NotSupported(traits.name, "transactions")
        self._engine = engine
        self._scope: Scope | None = None
        self._block: ReferenceType[Leave] | None = None
        self._state = "not begun"

    def __enter__(self) -> Transaction:
        if self._scope is not None:
            reason = "make a new one with store.transaction()"
            raise InTransaction("use the same transaction twice", reason)
        scope = Scope(self._engine)
        if self._block is not None and self._block() is not None:
            scope.block = self._block
        INNERMOST.set(scope)
        # In a row, with the end: the block is open when `with` goes on, and not before.
        self._scope = scope
        self._state = "open"
        scope.is_open = True
        return self

    def note_block(self, block: ReferenceType[Leave]) -> None:
        """Note what lives as long as the block that is about to be entered."""
        if self._scope is None:
            self._block = block

    def leave(
        self,
        exc_type: type[BaseException] | None = None,
        exc: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        """Leave the block: publish its changes to the block around it, or to everybody.

        After an exception they are dropped.

        Raises:
            TransactionFailed: nothing of it is in memory or in the store; it says why.
            ReadOnlyStore, StoreClosed: nothing of it is in memory or in the store.
            StoreInDoubt: it is not known whether it is in the store; it is not in memory.
            CallbackFailed: a callback raised; the transaction is made.
            InTransaction: it is left where it was not entered; its changes are dropped.
        """
        del exc, traceback
        scope = self._scope
        if scope is None or not scope.is_open:
            raise InTransaction("leave a block", "it is not open")
        self._state = "rolled back"
        if scope_of(self._engine) is not scope:
            scope.is_open = False
            reason = "it was entered in another thread or task, or one within it is open"
            raise InTransaction("leave a block", reason)
        INNERMOST.set(scope.outer)
        if exc_type is not None:
            scope.is_open = False
            return
        if scope.within is not None:
            merged = {**scope.within.workspaces, **scope.workspaces}
            # In a row: an inner block that was interrupted has changed nothing.
            scope.within.workspaces = merged
            scope.is_open = False
            self._state = "part of the one around it"
            return
        scope.is_open = False
        self._commit(scope.workspaces)
        self._state = "committed"

    def _commit(self, workspaces: Mapping[str, Workspace[Any]]) -> None:
        started = time.monotonic()
        managers = self._engine.record_managers
        spaces = [(managers[kind], space) for kind, space in workspaces.items() if space.written]
        if not spaces:
            return
        flight, failures = self._set_out(spaces)
        if not failures:
            flight.wait()
            failures = _judged(flight.result, flight)
        if failures:
            self._fail(failures, flight.result)
        outcome = Outcome()
        if isinstance(flight.result, Commit):
            outcome.add(flight.result, [one.change for one in flight.pending.values()])
        if outcome.written or outcome.deleted:
            self._engine.tell_of_save(self._engine.save_report(outcome, started))

    def _set_out(self, spaces: Spaces) -> tuple[Flight, Sequence[Failure]]:
        """Send the changes on their way, when nobody else's commit concerns their records."""
        flights = self._engine.flights
        while True:
            with self._engine.turn():
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
        raised = self._engine.callbacks.tell(failures)
        failed = TransactionFailed(failures)
        for one in raised:
            failed.add_note(f"a callback raised {type(one).__name__}: {one}")
        cause = failures[0].error if len(failures) == 1 else None
        raise failed from (cause or (result if isinstance(result, CommitRefused) else None))

    def __repr__(self) -> str:
        written = 0 if self._scope is None else sum(map(_count, self._scope.workspaces.values()))
        path = self._engine.driver.path
        return f"<Transaction of {path!r}, {self._state}, {written} records written>"


class _TransactionFlight(Flight):
    """The commit of a transaction, which its landing shows to everybody."""

    __slots__ = ("_spaces",)

    def __init__(self, flights: Flights, spaces: Spaces) -> None:
        keys = [Key(manager.kind, id) for manager, space in spaces for id in space.written]
        super().__init__(flights, keys)
        self._spaces = spaces

    def set_out(self) -> Sequence[Failure]:
        """Claim the records and send their changes; return what stands against it.

        The turn is held.
        """
        self.flights.announce(self)
        pending: dict[Key, Pending] = {}
        failures: list[Failure] = []
        for manager, space in self._spaces:
            changes, failed = manager.claim(space, self)
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
                manager.release(space, self)


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
    if isinstance(result, ReadOnlyStore | StoreClosed | StoreInDoubt):
        raise result
    return [Failure(key, "save", result) for key in flight.pending] or [
        Failure(None, "save", result)
    ]


def _count(space: Workspace[Any]) -> int:
    return len(space.written)
