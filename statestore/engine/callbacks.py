"""Callbacks of the host: told of saves, loads and errors, outside every lock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from statestore.errors import ConfigurationError
from statestore.models.handles import Handle
from statestore.models.reports import Failure, LoadReport, SaveReport

E = TypeVar("E")


class Event(Generic[E]):
    """A list of callbacks for one kind of news."""

    def __init__(self) -> None:
        self._callbacks: dict[int, Callable[[E], object]] = {}
        self._next = 0
        self._lock = threading.RLock()  # the handler of a signal may come back to it
        self._running = threading.local()

    def add(self, callback: Callable[[E], object]) -> Handle:
        """Call `callback` with each news from now on, in the order of registration.

        Raises:
            ConfigurationError: it cannot be called.
        """
        if not callable(callback):  # else each of the operations to come would tell of it
            raise ConfigurationError("callback", "takes a function of one argument")
        with self._lock:
            number, self._next = self._next, self._next + 1
            self._callbacks[number] = callback

        def cancel() -> None:
            with self._lock:
                self._callbacks.pop(number, None)

        return Handle(cancel)

    @property
    def is_heard(self) -> bool:
        """Whether there is anybody to tell."""
        return bool(self._callbacks)

    def emit(self, news: E) -> list[Exception]:
        """Call every callback, and return what they raised.

        A callback is not called again, in its thread, for what it does itself: one that saves from
        within `on_save` does not go on for ever.
        """
        if not self._callbacks:
            return []
        with self._lock:
            callbacks = list(self._callbacks.items())
        running: set[int] = self._running.__dict__.setdefault("numbers", set())
        errors: list[Exception] = []
        for number, callback in callbacks:
            if number in running:
                continue
            try:
                running.add(number)  # within: an interruption must not leave it there
                callback(news)
            except Exception as error:  # noqa: BLE001 # the host's code may raise anything
                errors.append(error)
            finally:
                running.discard(number)
        return errors

    def after_fork(self) -> None:
        """Go on in a child, with the same callbacks."""
        self._lock = threading.RLock()


class Callbacks:
    """All that a host can be told of."""

    def __init__(self) -> None:
        self.save: Event[SaveReport] = Event()
        self.load: Event[LoadReport] = Event()
        self.error: Event[Failure] = Event()

    def tell(
        self, failures: Sequence[Failure], event: Event[Any] | None = None, report: object = None
    ) -> list[Exception]:
        """Tell of each failure once, then of the report; return what the callbacks raised."""
        errors = [error for failure in failures for error in self.error.emit(failure)]
        if event is not None:
            errors += event.emit(report)
        return errors

    def after_fork(self) -> None:
        """Go on in a child, with the same callbacks."""
        for event in (self.save, self.load, self.error):
            event.after_fork()
