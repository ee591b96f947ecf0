"""What the disk can do at best: bytes written to where they will stay, and synced."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping, Sequence

from tests.bench.measuring import Contestant, timed

_ROOM = 16 * 1024 * 1024


class WriteAndSync(Contestant):
    """One pwrite() and one fdatasync() for each operation, into a file that has its size."""

    def __init__(self, folder: str, make: Callable[[int], bytes], burst: int) -> None:
        """Args: make: the bytes of an operation by its number."""
        self.name = "limit"
        self._make, self._burst = make, burst
        self._fd = os.open(os.path.join(folder, "limit"), os.O_RDWR | os.O_CREAT, 0o600)
        os.write(self._fd, bytes(_ROOM))
        os.fsync(self._fd)
        self._end = 0

    def turn(self, round: int) -> Mapping[str, Sequence[float]]:
        blocks = [self._make(number) for number in range(self._burst)]

        def write(number: int) -> None:
            block = blocks[number]
            if self._end + len(block) > _ROOM:
                self._end = 0
            os.pwrite(self._fd, block, self._end)
            os.fdatasync(self._fd)
            self._end += len(block)

        return {self.name: timed(write, self._burst)}

    def close(self) -> None:
        os.close(self._fd)


def sync_folder(path: str) -> None:
    """Return when the names in a folder are on the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_file_system(path: str) -> None:
    """Return when all that was written to the file system of a folder is on the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if not hasattr(libc, "syncfs"):
            os.sync()
        elif libc.syncfs(fd):
            raise OSError(ctypes.get_errno(), "syncfs() failed")
    finally:
        os.close(fd)


def write_file(path: str, data: bytes, *, sync: bool) -> None:
    """Write a new file, and sync its content if asked."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        if sync:
            os.fsync(fd)
    finally:
        os.close(fd)
