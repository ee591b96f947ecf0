"""Locks between processes: the kernel's, which die with their holder."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from statestore.errors import LockTimeout, StorageError
from statestore.files.holders import (
    HOLDER_BYTES,
    HOLDER_OFFSET,
    Holder,
    this_process,
    this_process_bytes,
)
from statestore.files.open_files import OpenFile

Idle: TypeAlias = Callable[[float], object]

LOCK_TIMEOUT_S = 30.0
"""How long one waits for a lock where nothing else is said."""

_QUICK_TRIES = 100
"""A healthy writer holds the lock for less time than these take, and a sleep takes longer."""

_SHORTEST_PAUSE_S = 0.000_1
_LONGEST_PAUSE_S = 0.02


class FileLock:
    """An exclusive lock on a file that is held open, against other processes and other threads.

    The file's existence means nothing and it is never removed: only the kernel's lock counts. It
    does not nest. Whoever has it is named in the file, see `Holder`, for the message of those who
    wait in vain. Source: flock(2). Not promised: fairness without a turnstile, exclusion on network
    file systems without locks, and exclusion between a process and one that it forked.
    """

    def __init__(
        self,
        file: OpenFile,
        *,
        timeout_s: float = LOCK_TIMEOUT_S,
        turnstile: OpenFile | None = None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take over the file.

        Args:
            timeout_s: so long one waits for it, other threads and other processes together.
            turnstile: another file, locked while one waits, so that who has had the lock cannot
                take it again before those who wait. For locks that are held for long.
            clock_s: what the waiting is measured with.
        """
        self.file, self._turnstile = file, turnstile
        self._timeout_s, self._clock_s = timeout_s, clock_s
        # The kernel's lock belongs to the opening, which all threads of a process share.
        self._mutex = threading.Lock()
        self._acquired_by: int | None = None

    @contextmanager
    def held(self, *, idle: Idle = time.sleep) -> Iterator[None]:
        """Hold the lock until the block ends. See `acquire` for `idle` and the errors."""
        noted: list[bool] = []
        try:
            self._take(noted, idle)
            yield
        finally:
            # Only what was taken is let go of, and in this frame: an interruption at the beginning
            # of a call would leave it.
            if True in noted:
                try:
                    self._unlock()
                finally:
                    self._mutex.release()

    def acquire(self, *, idle: Idle = time.sleep) -> None:
        """Take the lock. `release()` follows, if this returns; if it raises nothing is held.

        For threads that no signal interrupts; others use `held()`.

        Args:
            idle: called with a number of seconds while somebody else has the lock, between two
                tries. It may do something else in that time, and take less or more of it.
        Raises:
            LockTimeout: somebody else has had it for all the time that one may wait.
            StorageError: the system cannot lock this file.
        """
        noted: list[bool] = []
        try:
            self._take(noted, idle)
            self._acquired_by = threading.get_ident()
        except BaseException:
            if True in noted:
                try:
                    self._unlock()
                finally:
                    self._mutex.release()
            raise

    def release(self) -> None:
        """Let the next one have it.

        Raises:
            RuntimeError: the calling thread has not acquired it; nothing was done.
        """
        if self._acquired_by != threading.get_ident():
            raise RuntimeError("release of a lock that this thread has not acquired")
        self._acquired_by = None
        try:
            self._unlock()
        finally:
            self._mutex.release()

    def holder(self) -> Holder | None:
        """Return who took the lock last, as the file says; None if it says nothing."""
        try:
            return Holder.from_bytes(self.file.read_at(HOLDER_OFFSET, HOLDER_BYTES))
        except StorageError:
            return None

    def close(self) -> None:
        """Let go of the files. Twice is harmless."""
        self.file.close()
        if self._turnstile is not None:
            self._turnstile.close()

    # --- taking -----------------------------------------------------------------------

    def _take(self, noted: list[bool], idle: Idle) -> None:
        """Take the mutex, then the kernel's lock. `noted` tells whether the mutex is held, also
        where this raises.
        """
        # One call of the interpreter takes it and notes that: no interruption comes in between.
        noted.extend(map(self._mutex.acquire, (False,)))
        began_s = -1.0
        if not noted[-1]:
            began_s = self._clock_s()
            self._wait_for_thread(noted, began_s, idle)
        if self._turnstile is None:
            self._take_file(self.file, began_s, idle)
        else:
            try:
                if self._is_let_through(self._turnstile, began_s, idle):
                    self._take_file(self.file, began_s, idle)
            finally:
                self._turnstile.unlock()  # harmless where it was not taken
        self.file.try_note_at(HOLDER_OFFSET, this_process_bytes())

    def _is_let_through(self, turnstile: OpenFile, began_s: float, idle: Idle) -> bool:
        """Wait at the turnstile. False says that the file is locked without it."""
        try:
            self._take_file(turnstile, began_s, idle)
        except LockTimeout:
            # Who is in it may have been stopped there, when nobody has the lock any more.
            if not self.file.lock(wait=False):
                raise
            return False
        return True

    def _take_file(self, file: OpenFile, began_s: float, idle: Idle) -> None:
        if not file.lock(wait=False):
            self._wait_for_process(file, self._clock_s() if began_s < 0 else began_s, idle)

    def _wait_for_thread(self, noted: list[bool], began_s: float, idle: Idle) -> None:
        while True:
            left_s = began_s + self._timeout_s - self._clock_s()
            if left_s <= 0:
                raise self._timed_out(began_s, this_process())
            pause_s = min(left_s, _LONGEST_PAUSE_S)
            noted.extend(map(self._mutex.acquire, (True,), (pause_s,)))
            if noted[-1]:
                return
            idle(0.0)

    def _wait_for_process(self, file: OpenFile, began_s: float, idle: Idle) -> None:
        pause_s = _SHORTEST_PAUSE_S
        while not _taken_quickly(file):
            left_s = began_s + self._timeout_s - self._clock_s()
            if left_s <= 0:
                raise self._timed_out(began_s, self.holder())
            idle(min(left_s, pause_s))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _timed_out(self, began_s: float, holder: Holder | None) -> LockTimeout:
        waited_s = round(self._clock_s() - began_s, 3)
        if holder is None:
            return LockTimeout(self.file.path, waited_s)
        return LockTimeout(
            self.file.path, waited_s, holder.pid, holder.host or None, holder.started_at
        )

    def _unlock(self) -> None:
        try:
            self.file.unlock()
        except BaseException:
            self.file.unlock()  # an interruption may have come before the call
            raise


def share(file: OpenFile, timeout_s: float, clock_s: Callable[[], float] = time.monotonic) -> None:
    """Lock a file together with others. For one that is locked alone for moments only.

    Raises:
        LockTimeout: somebody has had it alone for all of `timeout_s`.
        StorageError: the system cannot lock this file.
    """
    began_s, pause_s = clock_s(), _SHORTEST_PAUSE_S
    while not file.lock(shared=True, wait=False):
        waited_s = clock_s() - began_s
        if waited_s >= timeout_s:
            raise LockTimeout(file.path, round(waited_s, 3))
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _taken_quickly(file: OpenFile) -> bool:
    # Several tries after each pause, too: where others take it again and again, one try would
    # hardly ever meet the moment at which it is free.
    for _ in range(_QUICK_TRIES):
        os.sched_yield()
        if file.lock(wait=False):
            return True
    return False
