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

_numbers = itertools.count(
    1
)  # of all managers: a transaction is told in the order of its operations


def number() -> int:
    """Return the number of the next operation. It grows, and is never given twice."""
    return next(_numbers)


class Announcer:
    """Keeps the events of one kind until they may be told, and who wants to be told of them.

    Whoever calls holds the lock of the manager, but for `is_wanted` and `emit`.
    """

    def __init__(self) -> None:
        """Begin with no listener."""
        self._listeners: dict[int, tuple[str, str | None, Listener]] = {}
        self._waiting: defaultdict[str, list[Numbered]] = defaultdict(list)
        self._released: list[Numbered] = []

    @property
    def is_wanted(self) -> bool:
        """Whether there is anybody to tell."""
        return bool(self._listeners)

    @property
    def has_released(self) -> bool:
        """Whether there is an event to be told."""
        return bool(self._released)

    def add(self, name: str, id: str | None, listener: Listener) -> int:
        """Tell `listener` from now on; return what `remove` takes."""
        key = number()
        self._listeners = {**self._listeners, key: (name, id, listener)}
        return key

    def remove(self, key: int) -> None:
        """Tell a listener no more. Twice is harmless."""
        self._listeners = {one: what for one, what in self._listeners.items() if one != key}
        if not self._listeners:  # who listens later is not told of what was before
            self._waiting.clear()
            self._released = []

    def note(self, id: str, events: Sequence[Numbered]) -> None:
        """Keep events of a record until the change is durable."""
        self._waiting[id].extend(events)

    def has(self, id: str) -> bool:
        """Say whether an event of a record waits."""
        return id in self._waiting

    def release(self, id: str, upto: int) -> None:
        """Let the events of a record up to a number be told."""
        waiting = self._waiting.pop(id, None)
        if waiting is None:
            return
        later = [one for one in waiting if one[0] > upto]
        if later:
            self._waiting[id] = later
        self._released.extend(waiting[: len(waiting) - len(later)])

    def release_now(self, events: Iterable[Numbered]) -> None:
        """Let events be told that did not wait."""
        self._released.extend(events)

    def drop(self, id: str) -> None:
        """Forget what became of a record: it is not stored, and will not be."""
        self._waiting.pop(id, None)

    def drop_all(self, *, besides: Iterable[str] = ()) -> None:
        """Forget what became of all records but some."""
        kept = {id: self._waiting[id] for id in besides if id in self._waiting}
        self._waiting = defaultdict(list, kept)

    def take(self) -> list[Numbered]:
        """Return the events that may be told now, and are to be told by whoever asks."""
        taken, self._released = self._released, []
        return taken

    def emit(self, event: RecordEvent[Any]) -> list[Exception]:
        """Call whoever listens for an event, in the order of registration; return what they raised.

        Outside of all locks.
        """
        errors: list[Exception] = []
        for key, (name, id, listener) in self._listeners.items():
            if name not in (ANY, event.name) or id not in (None, event.id):
                continue
            if key not in self._listeners:
                continue  # one that was called before it has cancelled it
            try:
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
        return self._announcer.has_released

    def take_events(self) -> Sequence[Numbered]:
        """See `RecordManager.take_events`."""
        with self._lock:
            return self._announcer.take()

    def note_theirs(self, change: RecordChange) -> None:
        """See `RecordManager.note_theirs`."""
        if not self._announcer.is_wanted:
            return
        events = self._events(
            change.key.id, change.before, change.after, change.committed_at, theirs=change
        )
        with self._lock:
            self._announcer.release_now(events)

    def emit(self, event: RecordEvent[Any]) -> Sequence[Exception]:
        """See `RecordManager.emit`."""
        return self._announcer.emit(event)

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
