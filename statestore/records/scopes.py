"""Which transaction a piece of code runs in: bound to its thread or task, and to its block."""

from __future__ import annotations

import os
import sys
from contextvars import ContextVar
from threading import get_ident
from typing import Any, Final
from weakref import ReferenceType

from statestore.models.workspaces import Workspace


class Scope:
    """The open block of a transaction of one store. Blocks nest, also those of other stores.

    A scope is that of the thread and of the asyncio task that opened it. Tasks and threads that
    were started within it, and forked processes, inherit the context, but not the transaction.
    """

    __slots__ = (
        "_process",
        "_task",
        "_thread",
        "block",
        "is_open",
        "outer",
        "owner",
        "within",
        "workspaces",
    )

    def __init__(self, owner: object) -> None:
        """Belong to the present thread and task, and to the store of `owner`. It is not open."""
        self.owner = owner
        self.outer: Scope | None = _innermost_here()
        self.within = scope_of(owner)
        self.workspaces: dict[str, Workspace[Any]] = {}
        self.is_open = False
        # What lives exactly as long as the block: an interruption may end a block without a call.
        self.block: ReferenceType[Any] | None = None
        self._process = os.getpid()
        self._thread = get_ident()
        self._task = _current_task()

    @property
    def is_left_to_parent(self) -> bool:
        """Whether this is a child that was forked within the block, which goes on in the parent."""
        return self._process != os.getpid()

    @property
    def is_here(self) -> bool:
        """Whether the block goes on, and this code is in it."""
        return (
            self.is_open
            and (self.block is None or self.block() is not None)
            and self._thread == get_ident()
            and not self.is_left_to_parent
            and self._task is _current_task()
        )

    def workspace(self, kind: str) -> Workspace[Any] | None:
        """Return what was written of a kind, in this block or in those around it."""
        scope: Scope | None = self
        while scope is not None:
            space = scope.workspaces.get(kind)
            if space is not None:
                return space
            scope = scope.within
        return None

    def own_workspace(self, kind: str) -> Workspace[Any]:
        """Return what this block may write to: what is undone if the block is left by an error."""
        space = self.workspaces.get(kind)
        if space is None:
            before = self.workspace(kind)
            space = before.copy() if before is not None else Workspace()
            self.workspaces[kind] = space
        return space


INNERMOST: Final[ContextVar[Scope | None]] = ContextVar("statestore_transaction", default=None)
"""The scope that was opened last in this context. Whether it is the one of this code, it says."""


def scope_of(owner: object) -> Scope | None:
    """Return the innermost open transaction of a store that this code runs in."""
    scope = INNERMOST.get()
    while scope is not None and not (scope.owner is owner and scope.is_here):
        scope = scope.outer
    return scope


def _innermost_here() -> Scope | None:
    scope = INNERMOST.get()
    while scope is not None and not scope.is_here:
        scope = scope.outer
    return scope


def _current_task() -> object:
    asyncio: Any = sys.modules.get("asyncio")
    try:
        return asyncio.current_task() if asyncio is not None else None
    except (RuntimeError, AttributeError):  # no loop runs here, or it is just being imported
        return None
