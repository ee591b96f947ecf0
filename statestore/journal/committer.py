"""The committer: one thread that makes the commits of all others, many with one sync."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class Committer(Generic[T]):
    """Hands what is queued to one function, in order, on a thread of its own.

    That thread is never the main one, where a signal could stop it half way. It keeps no process
    alive.
    """

    def __init__(self, make: Callable[[Sequence[T]], None], name: str) -> None:
        """Hand requests to `make`, all that have gathered while it was busy at once.

        `make` deals with whatever goes wrong; it must not raise.
        """
        self._make = make
        self._queue: SimpleQueue[T | None] = SimpleQueue()
        self._is_stopped = False
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, request: T) -> bool:
        """Queue a request. Those of one thread are made in the order in which they were put.

        False says that it came after `stop()`, and will not be made.
        """
        with self._lock:  # else it could be queued behind the end, and be waited for in vain
            if self._is_stopped:
                return False
            self._queue.put(request)
            return True

    def stop(self) -> None:
        """Return when all that was queued before is made."""
        if self._process != os.getpid():
            return  # the thread is the parent's
        with self._lock:
            if not self._is_stopped:
                self._is_stopped = True
                self._queue.put(None)
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        queue, stopped = self._queue, False
        while not stopped:
            batch: list[T] = []
            request = queue.get()
            while True:
                if request is None:
                    stopped = True
                else:
                    batch.append(request)
                if queue.empty():
                    break
                request = queue.get()
            if batch:
                self._make(batch)
