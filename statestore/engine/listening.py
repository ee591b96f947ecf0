"""Listening: one listener for the records of all managers, of those to come, too."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from statestore.models.events import RecordEvent
from statestore.models.handles import Handle
from statestore.models.managed import RecordManager


class Listening:
    """A listener that every manager which knows its event tells."""

    def __init__(
        self,
        name: str,
        listener: Callable[[RecordEvent[Any]], object],
        *,
        kind: str | None,
        id: str | None,
    ) -> None:
        """Listen to nobody yet. See `Manager.on`; `kind` and `id` are None for all."""
        self._name, self._listener, self._kind, self._id = name, listener, kind, id
        self._handles: list[Handle] = []
        self._is_cancelled = False

    def listen(self, manager: RecordManager) -> bool:
        """Listen to a manager, if it is one to listen to; say so."""
        wanted = self._kind in (None, manager.kind)
        if self._is_cancelled or not wanted or self._name not in ("*", *manager.event_names):
            return False
        self._handles.append(manager.on(self._name, self._listener, id=self._id))
        return True

    def cancel(self) -> None:
        """Listen no more."""
        self._is_cancelled = True
        for handle in self._handles:
            handle.cancel()


def names_of(managers: Iterable[RecordManager]) -> tuple[str, ...]:
    """Return the names of the events of some managers, each once."""
    return tuple(dict.fromkeys(name for one in managers for name in one.event_names))
