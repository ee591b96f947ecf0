"""What was said before the command: which store, which output; and opening that store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from statestore.cli import output
from statestore.errors import StoreNotFound

if TYPE_CHECKING:
    from statestore.store import Store

DEFAULT_STORE = "state"
BUILT_IN_KINDS = ("conversations", "focus", "logs", "reports", "sessions", "tasks")


@attrs.define
class Settings:
    """The options that every command has."""

    store: str = DEFAULT_STORE
    config: str | None = None
    json: bool = False
    verbose: bool = False

    def open_to_read(self) -> Store:
        """Return the store, open for reading: nothing is made or changed.

        Raises:
            StoreNotFound: there is none.
        """
        from statestore.store import Store

        return Store(self.store, read_only=True, config=self.config)

    def open_to_write(self) -> Store:
        """Return the store, open for writing, if there is one.

        Raises:
            StoreNotFound: there is none; it is not made.
        """
        self.open_to_read().close()
        return self.open_or_make()

    def open_or_make(self) -> Store:
        """Return the store, open for writing; made if it is missing."""
        from statestore.store import Store

        return Store(self.store, config=self.config, source="cli")

    def open_to_fill(self, *, when: bool) -> Store:
        """Return the store, open for writing; made, with a note, if it is missing.

        Args:
            when: whether there is something to fill it with; else a missing one is not made.
        Raises:
            StoreNotFound: there is none, and nothing to fill it with.
        """
        try:
            return self.open_to_write()
        except StoreNotFound:
            if not when:
                raise
        store = self.open_or_make()
        output.note(f"made a new store at {store.path}")
        return store


def register_built_in(store: Store) -> None:
    """Register the managers of the built-in kinds."""
    from statestore.managers import (
        ConversationManager,
        FocusManager,
        LogManager,
        ReportManager,
        SessionManager,
        TaskManager,
    )

    for manager in (SessionManager, ConversationManager, FocusManager, TaskManager):
        store.register(manager())
    # Programs have folders of these names of their own, or links to one: no command makes them
    # a part of a store in which they are none.
    for optional in (ReportManager(), LogManager()):
        if optional.kind in store.kinds():
            store.register(optional)
