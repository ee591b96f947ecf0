"""Counts the system calls of this process that sync files and that write to a store's journal."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

JOURNAL = os.path.join(".statestore", "journal") + os.sep


class Counted:
    """What was called: how often each sync, and the sizes of the writes to a journal."""

    def __init__(self) -> None:
        # Lists, as their append() is one step whichever thread does it.
        self._syncs: dict[str, list[None]] = {"fsync": [], "fdatasync": []}
        self.journal_writes: list[int] = []

    def syncs(self, name: str) -> int:
        """Return how often `fsync` or `fdatasync` was called."""
        return len(self._syncs[name])

    @contextmanager
    def watching(self, *, journal: bool = False) -> Iterator[None]:
        """Count all calls in this process, of every thread, until the block ends.

        Args:
            journal: note writes to the journal too; this takes time at each write.
        """
        kept = {name: getattr(os, name) for name in ("fsync", "fdatasync", "write", "pwrite")}
        for name, called in self._syncs.items():
            setattr(os, name, _noting(kept[name], called))
        if journal:
            for name in ("write", "pwrite"):
                setattr(os, name, self._noting_size(kept[name]))
        try:
            yield
        finally:
            for name, function in kept.items():
                setattr(os, name, function)

    def _noting_size(self, function: Callable[..., int]) -> Callable[..., int]:
        def write(fd: int, data: Any, *rest: int) -> int:
            written = function(fd, data, *rest)
            # Zeros are room that is made for later; they grow no journal.
            if JOURNAL in _path_of(fd) and bytes(data).strip(b"\0"):
                self.journal_writes.append(written)
            return written

        return write


def _noting(function: Callable[[int], None], called: list[None]) -> Callable[[int], None]:
    def sync(fd: int) -> None:
        called.append(None)
        function(fd)

    return sync


def _path_of(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:  # another system than Linux
        return ""
