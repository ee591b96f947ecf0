"""Locks between processes: the kernel's, which die with their holder."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from statestore.files.open_files import OpenFile


class FileLock:
    """An exclusive lock on a file that is held open, against other processes and other threads.

    The file's existence means nothing and it is never removed: only the kernel's lock counts. It
    does not nest. Source: flock(2). Not promised: fairness, exclusion on network file systems
    without locks, and exclusion between a process and one that it forked.
    """

    def __init__(self, file: OpenFile) -> None:
        """Take over the file."""
        self.file = file
        # The kernel's lock belongs to the opening, which all threads of a process share.
        self._mutex = threading.Lock()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock until the block ends; wait as long as another thread or process has it.

        Raises:
            StorageError: the system cannot lock this file.
        """
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def acquire(self) -> None:
        """Take the lock; wait as long as another thread or process has it. `release()` follows.

        For threads that no signal interrupts; others use `held()`.
        """
        self._mutex.acquire()
        try:
            self.file.lock()
        except BaseException:
            self._mutex.release()
            raise

    def release(self) -> None:
        """Let the next one have it."""
        try:
            self.file.unlock()
        finally:
            self._mutex.release()

    def close(self) -> None:
        """Let go of the file. Twice is harmless."""
        self.file.close()
