"""Telling: listeners called with what became of records, one event after the other."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any, Protocol
from weakref import ReferenceType, ref

from statestore import forks
from statestore.errors import ListenerFailed
from statestore.models.events import RecordEvent
from statestore.models.keys import Key
from statestore.models.reports import Failure

_logger = logging.getLogger("statestore")


class Source(Protocol):
    """A manager, as who tells sees it."""

    @property
    def has_events(self) -> bool:
        """See `RecordManager.has_events`."""
        ...

    @property
    def released_events(self) -> list[tuple[int, RecordEvent[Any]]]:
        """See `RecordManager.released_events`."""
        ...

    def emit(self, event: RecordEvent[Any], told: set[int]) -> Sequence[Exception]:
        """See `RecordManager.emit`."""
        ...


class Telling:
    """Tells the events of managers, in order, one thread at a time. Any thread may use it.

    Who comes while another thread, or the own one further out, is telling leaves its events to it
    and does not wait: a listener may wait for somebody who is just saving.
    """

    def __init__(self, report: Callable[[Failure], bool] = lambda _: False) -> None:
        """Report a listener that fails to `report`, which says whether anybody was told."""
        self._report = report
        # The next one is the last. It stays until all were told of it, who are noted with it.
        self._queue: list[tuple[int, RecordEvent[Any], Source, set[int]]] = []
        self._begin()
        forks.note(self)

    def _begin(self) -> None:
        self._lock = threading.RLock()  # the handler of a signal may come back to it
        # Lives as long as the call that tells: also where an interruption ends that between two
        # steps, nobody is left telling for ever.
        self._teller: ReferenceType[_Teller] | None = None

    def tell(self, sources: Iterable[Source]) -> None:
        """Call the listeners of managers with all that may be told."""
        managers = [one for one in sources if one.has_events]
        while self._queue or any(one.has_events for one in managers):
            teller = _Teller()
            with self._lock:
                if self._teller is not None and self._teller() is not None:
                    return
                self._teller = ref(teller)
            try:
                while self._fetch(managers):
                    while self._queue:
                        _, event, manager, told = self._queue[-1]
                        self._tell_one(event, manager, told)
                        del self._queue[-1:]  # in a child that a listener has forked there is none
            finally:
                self._teller = None  # then look again: who came before this has left his events

    def after_fork(self) -> None:
        """Go on in a child, where nobody tells, and what is to be told is the parent's."""
        self._queue.clear()
        self._begin()

    def _fetch(self, managers: Iterable[Source]) -> bool:
        for one in managers:
            released = one.released_events
            taken = [(at, event, one, set[int]()) for at, event in tuple(released)]
            count = len(taken)
            # In a row: no signal comes between them, which would lose or repeat events.
            self._queue += taken
            del released[:count]
        self._queue.sort(key=itemgetter(0), reverse=True)
        return bool(self._queue)

    def _tell_one(self, event: RecordEvent[Any], manager: Source, told: set[int]) -> None:
        for error in manager.emit(event, told):
            failed = ListenerFailed(event.kind, event.id, event.name, type(error).__name__)
            failed.__cause__ = error
            if not self._report(Failure(Key(event.kind, event.id), "listen", failed)):
                _logger.error("%s", failed)


class _Teller:
    """Somebody who is telling."""

    __slots__ = ("__weakref__",)
