"""Locks between processes: the kernel's, which die with their holder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from statestore.errors import StorageError
from statestore.files.calls import Files


class FileLock:
    """An exclusive lock on a file that is held open. Used by one thread at a time; nests.

    The file's existence means nothing and it is never removed: only the kernel's lock counts.
    Source: flock(2). Not promised: fairness, exclusion on network file systems without locks, and
    exclusion between a process and one that it forked.
    """

    def __init__(self, files: Files, fd: int, path: str) -> None:
        """Take over the descriptor `fd`; `path` is for messages only."""
        self._files, self._fd, self._path = files, fd, path
        self._depth = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock until the block ends; wait as long as another process has it.

        Raises:
            StorageError: the system cannot lock this file.
        """
        if not self._depth:
            try:
                self._files.lock(self._fd)
            except OSError as error:
                raise StorageError.from_os(self._path, "lock", error) from error
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if not self._depth:
                self._files.unlock(self._fd)

    def close(self) -> None:
        """Let go of the file. Twice is harmless."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._files.close(fd)
