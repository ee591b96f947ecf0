"""Transactions: blocks whose changes are made wholly or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Final, TypeAlias
from weakref import ReferenceType, ref

from statestore.engine.engine import Engine
from statestore.errors import (
    InTransaction,
    NotSupported,
    StoreForked,
)
from statestore.models.workspaces import Workspace
from statestore.records.scopes import INNERMOST, Scope, scope_of

Leave: TypeAlias = Callable[
    [type[BaseException] | None, BaseException | None, TracebackType | None], None
]


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

    def __init__(self, engine: Engine, policy: str | None = None) -> None:
        """Prepare a block for the records of `engine`.

        Args:
            policy: what is done about conflicts; by default what the engine does.
        Raises:
            NotSupported: its driver cannot make several changes at once.
        """
        traits = engine.driver.traits
        if not traits.atomic:
            raise NotSupported(traits.name, "transactions")
        self._engine, self._policy = engine, policy
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
            StoreForked: likewise, by a forked child; in the parent it goes on.
        """
        del exc, traceback
        scope = self._scope
        if scope is None or not scope.is_open:
            raise InTransaction("leave a block", "it is not open")
        self._state = "rolled back"
        if scope.is_left_to_parent:
            scope.is_open = False
            INNERMOST.set(scope.outer)
            if exc_type is None:
                raise StoreForked(self._engine.driver.path)
            return
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
        managers = self._engine.record_managers
        spaces = [(managers[kind], space) for kind, space in workspaces.items() if space.written]
        if spaces:
            self._engine.publish(spaces, self._policy)

    def __repr__(self) -> str:
        written = 0 if self._scope is None else sum(map(_count, self._scope.workspaces.values()))
        path = self._engine.driver.path
        return f"<Transaction of {path!r}, {self._state}, {written} records written>"


def _count(space: Workspace[Any]) -> int:
    return len(space.written)
