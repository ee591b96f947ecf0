"""Announcing: what operations have made of records, kept until it is durable, then told."""

from __future__ import annotations

import itertools
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeAlias, TypeVar

from statestore.models.events import CREATED, DELETED, UPDATED, RecordEvent
from statestore.models.reports import RecordChange

R = TypeVar("R")

Numbered: TypeAlias = tuple[int, RecordEvent[Any]]
Told: TypeAlias = tuple[str, Mapping[str, Any]]
"""The name of an event and its details."""

Listener: TypeAlias = Callable[[RecordEvent[Any]], object]

ANY: Final = "*"
"""Stands for the name of every event."""

# Of all managers: a transaction is told in the order of its operations.
_numbers = itertools.count(1)


def number() -> int:
    """Return the number of the next operation. It grows, and is never given twice."""
    return next(_numbers)


class Announcer:
    """Keeps the events of one kind until they may be told, and who wants to be told of them.

    Whoever calls holds the lock of the manager, but for `is_wanted` and `emit`.
    """

    def __init__(self) -> None:
        """Begin with no listener."""
        self.is_wanted = False
        """Whether there is anybody to tell."""
        self._listeners: dict[int, tuple[str, str | None, Listener]] = {}
        self.noted: list[Numbered] = []
        """Events that wait until their changes are durable. Whoever makes the change adds them by
        `+=`, in the same row: so an interruption leaves both or neither."""
        self.released: list[Numbered] = []
        """Events that may be told. Whoever asks for them takes them out, and is to tell them."""
        self._waiting: defaultdict[str, list[Numbered]] = defaultdict(list)

    def add(self, name: str, id: str | None, listener: Listener) -> int:
        """Tell `listener` from now on; return what `remove` takes."""
        key = number()
        self._listeners = {**self._listeners, key: (name, id, listener)}
        self.is_wanted = True
        return key

    def remove(self, key: int) -> None:
        """Tell a listener no more. Twice is harmless."""
        self._listeners = {one: what for one, what in self._listeners.items() if one != key}
        self.is_wanted = bool(self._listeners)
        if not self.is_wanted:  # who listens later is not told of what was before
            self.noted = []
            self.released = []
            self._waiting.clear()

    def has(self, id: str) -> bool:
        """Say whether an event of a record waits."""
        return bool(self._by_id().get(id))

    def release(self, id: str, upto: int) -> None:
        """Let the events of a record up to a number be told."""
        waiting = self._by_id().get(id)
        if not waiting:
            return
        now = [one for one in waiting if one[0] <= upto]
        later = waiting[len(now) :]
        # In a row: no signal comes between them.
        self._waiting[id] = later
        self.released += now
        if not later:
            del self._waiting[id]

    def release_now(self, events: Iterable[Numbered]) -> None:
        """Let events be told that did not wait."""
        self.released.extend(events)

    def drop(self, id: str) -> None:
        """Forget what became of a record: it is not stored, and will not be."""
        self._by_id().pop(id, None)

    def drop_all(self, *, besides: Iterable[str] = ()) -> None:
        """Forget what became of all records but some."""
        waiting = self._by_id()
        kept = {id: waiting[id] for id in besides if id in waiting}
        self._waiting = defaultdict(list, kept)

    def _by_id(self) -> defaultdict[str, list[Numbered]]:
        """Return the events that wait, those that were just noted among them, by records."""
        if self.noted:
            for one in self.noted:
                waiting = self._waiting[one[1].id]
                if not waiting or waiting[-1][0] < one[0]:  # else it was interrupted after this one
                    waiting.append(one)
            self.noted = []
        return self._waiting

    def emit(self, event: RecordEvent[Any], told: set[int]) -> list[Exception]:
        """Call whoever listens for an event, in the order of registration; return what they raised.

        Outside of all locks.

        Args:
            told: who was called already; those who are called now are added.
        """
        errors: list[Exception] = []
        for key, (name, id, listener) in self._listeners.items():
            if name not in (ANY, event.name) or id not in (None, event.id):
                continue
            if key in told or key not in self._listeners:
                continue  # one that was called before it has cancelled it
            try:
                # In a row: who is interrupted was called, and no one else.
                told |= {key}
                listener(event)
            except Exception as error:  # noqa: BLE001 # the host's code may raise anything
                errors.append(error)
        return errors


class Announced(Generic[R]):
    """Records of one kind of which is told what becomes of them: a part of a `RecordManager`."""

    def __init__(self, kind: str) -> None:
        """Begin with no listener."""
        self.kind = kind
        self._lock = threading.RLock()
        self._announcer = Announcer()
        self._clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    @property
    def has_events(self) -> bool:
        """See `RecordManager.has_events`."""
        return bool(self._announcer.released)

    @property
    def released_events(self) -> list[Numbered]:
        """See `RecordManager.released_events`."""
        return self._announcer.released

    def note_theirs(self, change: RecordChange) -> None:
        """See `RecordManager.note_theirs`."""
        if not self._announcer.is_wanted:
            return
        events = self._events(
            change.key.id, change.before, change.after, change.committed_at, theirs=change
        )
        with self._lock:
            self._announcer.release_now(events)

    def emit(self, event: RecordEvent[Any], told: set[int]) -> Sequence[Exception]:
        """See `RecordManager.emit`."""
        return self._announcer.emit(event, told)

    # --- inside -----------------------------------------------------------------------

    def _events(
        self,
        id: str,
        before: Any,
        after: Any,
        at: datetime,
        *,
        also: Iterable[Told] = (),
        theirs: RecordChange | None = None,
    ) -> list[Numbered]:
        """Return what to tell of one change of a record, numbered: one base event, then others."""
        base = CREATED if before is None else DELETED if after is None else UPDATED
        told: list[Told] = [(base, {}), *self._events_of(before, after), *also]
        return [
            (number(), RecordEvent(name, self.kind, id, before, after, at, details, theirs))
            for name, details in told
        ]

    def _events_of(self, before: R | None, after: R | None) -> Iterable[Told]:
        """Return the names of the domain, with details, for what a change has made of a record."""
        del before, after
        return ()
