"""Files held open: read and written at offsets, synced and locked, with typed errors."""

from __future__ import annotations

import contextlib
import os

from statestore import forks
from statestore.errors import StorageError
from statestore.files.calls import Files

_READ_BYTES = 1 << 20


class OpenFile:
    """A plain file by its descriptor. Any thread may use it; nothing in it has a position.

    All methods raise `StorageError` when the system refuses.
    """

    def __init__(self, files: Files, fd: int, path: str) -> None:
        """Take over the descriptor `fd`; `path` is for messages only."""
        self._files, self._fd, self.path = files, fd, path
        self._process = os.getpid()
        forks.note(self)

    def size(self) -> int:
        """Return the size in bytes."""
        return self.status().st_size

    def status(self) -> os.stat_result:
        """Return the status of the file."""
        try:
            return self._files.status(self._fd)
        except OSError as error:
            raise StorageError.from_os(self.path, "look at", error) from error

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset` on; fewer where the file ends before."""
        chunks: list[bytes] = []
        try:
            while size > 0:
                chunk = self._files.read_at(self._fd, min(size, _READ_BYTES), offset)
                if not chunk:
                    break
                chunks.append(chunk)
                offset, size = offset + len(chunk), size - len(chunk)
        except OSError as error:
            raise StorageError.from_os(self.path, "read", error) from error
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def write_at(self, offset: int, data: bytes | bytearray) -> None:
        """Write all of `data` at `offset`. On an error some of it may have been written."""
        rest = memoryview(data)
        try:
            while rest:
                written = self._files.write_at(self._fd, rest, offset)
                rest, offset = rest[written:], offset + written
        except OSError as error:
            raise StorageError.from_os(self.path, "write", error) from error

    def try_note_at(self, offset: int, data: bytes) -> None:
        """Let words for people stand at `offset` if the system lets us. See `Files.note_at`."""
        files, fd = self._files, self._fd
        try:
            if files.read_at(fd, len(data), offset) != data:  # a write would change the file's time
                files.note_at(fd, memoryview(data), offset)
        except OSError:
            return

    def truncate(self, size: int) -> None:
        """Make the file `size` bytes long."""
        try:
            self._files.truncate(self._fd, size)
        except OSError as error:
            raise StorageError.from_os(self.path, "shorten", error) from error

    def sync(self) -> None:
        """Return when the content, and all that the system knows of the file, is on the disk."""
        try:
            self._files.sync(self._fd)
        except OSError as error:
            raise StorageError.from_os(self.path, "sync", error) from error

    def sync_data(self) -> None:
        """Return when the content is on the disk."""
        try:
            self._files.sync_data(self._fd)
        except OSError as error:
            raise StorageError.from_os(self.path, "sync", error) from error

    def lock(self, *, shared: bool = False, wait: bool = True) -> bool:
        """Lock the file against other openings of it; say whether it is locked. See `Files.lock`.

        A lock that is held already is changed to the one asked for, not atomically.
        """
        try:
            return self._files.lock(self._fd, shared=shared, wait=wait)
        except OSError as error:
            raise StorageError.from_os(self.path, "lock", error) from error

    def unlock(self) -> None:
        """Let go of the lock. A forked child has none, and takes none from its parent."""
        if self._process != os.getpid():
            return
        try:
            self._files.unlock(self._fd)
        except OSError as error:
            raise StorageError.from_os(self.path, "unlock", error) from error

    def close(self) -> None:
        """Let go of the file and its lock. Twice is harmless."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            # What was to stay was synced before; the descriptor is gone either way.
            with contextlib.suppress(OSError):
                self._files.close(fd)

    def after_fork(self) -> None:
        """Close it in a child, whose parent has it open."""
        # A kernel's lock belongs to the opening, which both share: a child that lives longer would
        # keep it. Closing takes it from nobody, while unlocking would take it from the parent.
        self.close()
