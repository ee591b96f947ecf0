"""Tidying: what readers come upon, and nobody can read or needs any more, moved out of the way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import attrs

from statestore.drivers.kind_folder import Found, KindFolder
from statestore.drivers.names import file_stem
from statestore.drivers.overlay import Overlay
from statestore.drivers.place import Place
from statestore.errors import QuarantinedRecord, StateStoreError, UndecodableRecord
from statestore.serializers.serializer import Serializer

_YOUNG_S = 2.0
"""A file that was changed less than so many seconds ago may still be written by somebody."""


class Tidier:
    """Moves and removes files where that may be done; else leaves them. Any thread may use it."""

    def __init__(
        self,
        place: Place,
        overlay: Overlay,
        lock: threading.RLock,
        serializer: Callable[[], Serializer],
    ) -> None:
        """Tidy a place. `lock` is that of the place and the catalogue."""
        self._place, self._overlay, self._lock = place, overlay, lock
        self._serializer = serializer

    def quarantined(self, kind: str, name: str, error: Exception) -> Exception:
        """Move a file of which nobody knows what it is to quarantine; say so in its error."""
        if not self._may_move or not isinstance(error, UndecodableRecord):
            return error
        try:
            with self._place.writing("set a file aside"), self._lock:
                folder = self._place.kind(kind)
                mark = folder.folder.mark(name) if folder else None
                if folder is None or mark is None or time.time() - mark.mtime_ns / 1e9 < _YOUNG_S:
                    return error
                try:
                    folder.read(name)  # a second look: somebody may have mended it
                except UndecodableRecord:
                    where = self._place.set_aside(kind, name, error.reason)
                else:
                    return error
        except StateStoreError:
            return error  # it stays where it is, and holds its key
        return QuarantinedRecord(error.path, error.reason, where)

    def tidied(self, found: Found) -> Found:
        """Make the file that is used the only one of its record; say so in its notes.

        What a crash has left between two formats goes; what says something else is kept.
        """
        record = found.record
        if record is None or not self._may_move:
            return found
        stem, extension = file_stem(record.key.id), self._serializer().extension
        try:
            with self._place.writing("remove a second file"), self._lock:
                folder = self._place.kind(record.key.kind)
                if folder is None:
                    return found
                # A second look: whoever was between two files may be done by now.
                now = folder.find(stem, folder.marks(stem, extension), extension)
                if now.record is None:
                    return now
                if self._overlay.get(record.key) is None and now.others:
                    now = attrs.evolve(now, told=tuple(self._cleared(folder, now)))
                    return attrs.evolve(now, stale=(), rivals=())
                return now
        except StateStoreError:
            return found  # they stay, and are told as they are

    @property
    def _may_move(self) -> bool:
        """Whether files may be moved: not if nothing may be written, nor if they are held still."""
        return not self._place.is_read_only and not self._place.is_writing_here

    def _cleared(self, folder: KindFolder, found: Found) -> Iterator[str]:
        record = found.record
        assert record is not None  # noqa: S101 # it was looked for
        folder.folder.sync_file(record.name)  # the one that stays, before another goes
        folder.folder.sync()
        places = self._place.set_rivals_aside(found.rivals)
        for one in found.stale:
            folder.folder.remove(one.name)
        folder.folder.sync()
        for rival, place in zip(found.rivals, places, strict=True):
            yield f"{rival.path}: differs from {record.path}, which is used; moved to {place!r}"
        for one in found.stale:
            yield f"{one.path}: an older copy of {record.path}, removed"
