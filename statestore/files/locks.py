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
        with self._mutex:
            self.file.lock()
            try:
                yield
            finally:
                self.file.unlock()

    def close(self) -> None:
        """Let go of the file. Twice is harmless."""
        self.file.close()
