"""Telling: listeners called with what became of records, one event after the other."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
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

    def take_events(self) -> Sequence[tuple[int, RecordEvent[Any]]]:
        """See `RecordManager.take_events`."""
        ...

    def emit(self, event: RecordEvent[Any]) -> Sequence[Exception]:
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
        self._queue: deque[tuple[int, RecordEvent[Any], Source]] = deque()
        self._begin()
        forks.note(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
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
                        _, event, manager = self._queue.popleft()
                        self._tell_one(event, manager)
            finally:
                self._teller = None  # then look again: who came before this has left his events

    def after_fork(self) -> None:
        """Go on in a child, where nobody tells, and what is to be told is the parent's."""
        self._queue.clear()
        self._begin()

    def _fetch(self, managers: Iterable[Source]) -> bool:
        taken = [(at, event, one) for one in managers for at, event in one.take_events()]
        self._queue.extend(sorted(taken, key=lambda numbered: numbered[0]))
        return bool(self._queue)

    def _tell_one(self, event: RecordEvent[Any], manager: Source) -> None:
        for error in manager.emit(event):
            failed = ListenerFailed(event.kind, event.id, event.name, type(error).__name__)
            failed.__cause__ = error
            if not self._report(Failure(Key(event.kind, event.id), "listen", failed)):
                _logger.error("%s", failed)


class _Teller:
    """Somebody who is telling."""

    __slots__ = ("__weakref__",)
