"""The small protocol by which a manager hands over its changes and takes in what is stored."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence, Set
from typing import Any, Protocol

import attrs

from statestore.errors import Conflict
from statestore.models.changes import Commit, Delete, Patch, Put, Stored
from statestore.models.events import RecordEvent
from statestore.models.handles import Handle
from statestore.models.keys import Revision
from statestore.models.reports import Failure, RecordChange
from statestore.models.workspaces import Workspace


@attrs.frozen
class Pending:
    """One unsaved change: what to commit, the revision it was made from, and what to note after.

    `token` is the manager's own: it tells which state of the record the change holds. So is `mark`,
    the number of the last operation that is in it.
    """

    change: Put | Patch | Delete
    expected: Revision
    token: object
    mark: int = 0


@attrs.frozen
class Loaded:
    """A stored record as an object of its class, with what the class has no field for.

    `is_exact` says that the stored document is known to be what the manager writes of the record,
    so that a patch of it gives what it would write next.
    """

    record: object
    revision: Revision
    unknown: Mapping[str, object]
    token: object
    is_exact: bool = False


@attrs.frozen
class Gone:
    """A record that others have deleted, and the revision that its deletion took."""

    revision: Revision


@attrs.frozen
class Brought:
    """What others have made of a record: what it was and what it is, None for nothing."""

    id: str
    before: object
    after: object


class Unmergeable(Exception):
    """Two changes of a record contradict each other. `fields` are those in which they do."""

    def __init__(self, fields: Sequence[str] = ()) -> None:
        super().__init__(fields)
        self.fields = tuple(fields)


class Runs(Protocol):
    """Which openings of a store go on, whatever process or host they are in. Any thread may ask."""

    def hold(self) -> None:
        """Let others see that this opening goes on, until it is closed or its process is gone.

        Twice is harmless. A forked child does not hold the run of its parent.

        Raises:
            ReadOnlyStore: it was opened for reading only.
            StateStoreError: it cannot be shown.
        """
        ...

    def is_held(self, run: str) -> bool:
        """Say whether the opening of this run goes on. One that never held it does not.

        Not promised: that a process which is stopped, or hangs, is told from one that works.

        Raises:
            StateStoreError: it cannot be told.
        """
        ...


class Owner(Protocol):
    """What coordinates managers, as they see it."""

    @property
    def path(self) -> str:
        """What people call the place of the store."""
        ...

    @property
    def run(self) -> str:
        """What tells this opening of the store from every other, those of earlier runs included."""
        ...

    @property
    def runs(self) -> Runs:
        """Which openings of the store go on."""
        ...

    @property
    def record_managers(self) -> Mapping[str, RecordManager]:
        """All its managers by their kinds."""
        ...

    def refresh(self, kind: str) -> object:
        """Let the manager of a kind know what others have committed, new records included.

        Unsaved changes stay. The host is told as by `Store.refresh`.

        Raises:
            InTransaction: this code is in one.
            CallbackFailed: a callback raised; the refresh is complete.
            StateStoreError: what was committed cannot be read.
        """
        ...

    def renew(self, kind: str, id: str, policy: str | None = None) -> None:
        """Let the manager of a kind know the newest state of a record.

        Args:
            policy: what becomes of an unsaved change of it that others have made another beside;
                by default what the host has said for all conflicts.
        Raises:
            Conflict: there is an unsaved change of it, which contradicts what others have stored.
            StateStoreError: it cannot be read.
        """
        ...

    def newest(self, kind: str, id: str) -> Loaded | None:
        """Return a record as it is stored now, None if there is none; its manager learns nothing.

        Raises:
            StateStoreError: it cannot be read.
        """
        ...

    def exchange(self, kind: str, workspace: Workspace[Any]) -> Conflict | None:
        """Commit what is written in a workspace, and show it when it is durable.

        Returns:
            None where that was done. Else somebody was faster to change a record, and nothing was
            changed.

        Raises:
            StateStoreError: it cannot be committed.
        """
        ...


class Landing(Protocol):
    """A commit on its way that changes live records when it lands."""

    def wait(self) -> None:
        """Return when it has landed, one way or another. Call it without holding a lock."""
        ...


class RecordManager(Protocol):
    """What coordinates records needs of a manager. Any thread may call it."""

    @property
    def kind(self) -> str: ...

    @property
    def schema(self) -> int:
        """The version of the record class that the manager knows."""
        ...

    @property
    def has_settings(self) -> bool:
        """Whether it remembers something beside its records, under `SETTINGS_ID`.

        Else it is never told of what is stored there: by another version, say.
        """
        ...

    def pending(
        self, among: Collection[str] | None = None, *, besides: Collection[str] = ()
    ) -> tuple[Sequence[Pending], Sequence[Failure]]:
        """Return the unsaved changes as documents, and a failure for each that cannot be one.

        Args:
            among: look at these ids only.
            besides: leave these ids out: their changes are on their way.
        """
        ...

    def is_current(self, pending: Pending) -> bool:
        """Say whether a change is known to hold the present state of its record."""
        ...

    def saved(self, pending: Pending, revision: Revision) -> None:
        """Note that a change is durable. The record stays dirty if it was changed since."""
        ...

    def reserve(
        self, workspace: Workspace[Any], landing: Landing
    ) -> tuple[Sequence[Pending], Sequence[Failure]]:
        """Return what a transaction changes, and a failure for each record that stands against it.

        From now on who writes one of the records waits for `landing`, until `publish` or
        `unreserve`.
        """
        ...

    def publish(self, workspace: Workspace[Any], done: Sequence[tuple[Pending, Revision]]) -> None:
        """Show everybody what a transaction has written, now that it is durable."""
        ...

    def unreserve(self, workspace: Workspace[Any], landing: Landing) -> None:
        """Let the records be written again; nothing of the transaction is shown."""
        ...

    def decode(self, stored: Stored) -> Loaded:
        """Return a stored record as an object.

        Raises:
            StructureError, NewerSchema: it does not fit the class that the manager knows.
        """
        ...

    def adopt(
        self, loaded: Mapping[str, Loaded], *, unread: Set[str], discard: bool
    ) -> Sequence[str]:
        """Take in all that is stored, at once, and return the ids whose local change was kept.

        What is no longer stored goes, but for the ids in `unread`, which are there and cannot be
        read.

        Args:
            discard: drop unsaved changes instead of keeping them.
        """
        ...

    def known(self, id: str) -> Revision:
        """Return the revision of a record that is known to be stored; 0 for none."""
        ...

    def is_unsaved(self, id: str) -> bool:
        """Say whether there is an unsaved change of a record, its deletion included."""
        ...

    def patched(self, id: str, base: Revision, patches: Sequence[Patch]) -> Loaded | None:
        """Return a record that is known to be stored at `base` as patches have made it.

        Each patch is a commit. None where that cannot be told without reading the whole record.
        """
        ...

    def bring_in(
        self, news: Mapping[str, Loaded | Gone], *, besides: Collection[str] = ()
    ) -> tuple[Sequence[Brought], Sequence[str]]:
        """Take in what others have made of some records; return what has changed here, and the ids
        whose unsaved change was kept instead. What is older than what is known is left out.

        Args:
            besides: the ids of records whose change is on its way to the store.
        """
        ...

    def can_settle(self, id: str, policy: str, workspace: Workspace[Any] | None = None) -> bool:
        """Say whether a conflict may be settled when it is known what is stored.

        Args:
            workspace: what a transaction has written; by default the change is the manager's own.
        """
        ...

    def settle(
        self, id: str, stored: Loaded | None, policy: str, *, by: Commit | None = None
    ) -> str:
        """Make the unsaved change of a record one of what others have `stored`; None if they have
        deleted it. Return how: "added", "merged", "mine" or "theirs"; "" if it is settled by now.

        What only adds items is added to what is stored, whatever the policy.

        Args:
            policy: "error", "mine", "theirs" or "merge".
            by: the last commit of others that has changed it, to be told of, if that is known.
        Raises:
            Unmergeable: it cannot be; nothing was changed.
        """
        ...

    def settle_within(
        self,
        workspace: Workspace[Any],
        id: str,
        stored: Loaded | None,
        policy: str,
        *,
        by: Commit | None = None,
    ) -> str:
        """Do as `settle` for what a transaction has written, which it changes."""
        ...

    def known_now(self) -> object:
        """Return what is known to be stored, for `note_since`."""
        ...

    def note_since(self, before: object) -> None:
        """Note, to be told, in what way what is stored is another than it was at `known_now`."""
        ...

    @property
    def has_events(self) -> bool:
        """Whether there are any `released_events`."""
        ...

    @property
    def released_events(self) -> list[tuple[int, RecordEvent[Any]]]:
        """What became of records and is durable, numbered: the very list, to which any thread adds
        at the end. Whoever takes events out of it, from its beginning, tells them.
        """
        ...

    @property
    def event_names(self) -> tuple[str, ...]:
        """The names of all events of the kind."""
        ...

    def on(
        self, name: str, listener: Callable[[RecordEvent[Any]], object], *, id: Any = None
    ) -> Handle:
        """Call `listener` with what becomes of records. See `Manager.on`."""
        ...

    def note_theirs(self, change: RecordChange) -> None:
        """Note what others have made of a record, to be told as the manager's own events are."""
        ...

    def emit(self, event: RecordEvent[Any], told: set[int]) -> Sequence[Exception]:
        """Call those who listen for an event, outside of all locks; return what they raised.

        Args:
            told: who was called already, where that was interrupted; it is added to.
        """
        ...

    def attach(self, owner: Owner, on_change: Callable[[Set[str]], None] | None) -> None:
        """Belong to `owner` for good, and call `on_change` after each operation that changed
        something, with the ids, outside every lock.

        Raises:
            ManagerInUse: it belongs to another owner.
        """
        ...

    def detach(self, place: str) -> None:
        """Take no changes any more: the store at `place` was closed, and nobody would save them."""
        ...
