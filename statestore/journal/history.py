"""History: the commits in closed segments and in the present one, without taking part."""

from __future__ import annotations

from collections.abc import Iterator

from statestore.errors import CorruptJournal, HistoryPruned
from statestore.files.folders import Folder
from statestore.journal.entries import Entry, decode_entry
from statestore.journal.frames import DATA
from statestore.journal.segments import generations, read_segment


class History:
    """Reads segments, each as far as it is whole. A segment that was removed meanwhile is passed
    over.
    """

    def __init__(self, folder: Folder, store_id: bytes) -> None:
        """Read in the folder of the journal."""
        self._folder, self._store_id = folder, store_id

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """Yield the commits behind `after`, each once, in order.

        A new segment begins with those commits of the one before that were not in files: they have
        the same sequences.

        Raises:
            CorruptJournal: a segment is damaged in its middle.
        """
        last = after
        known = generations(self._folder)
        for generation in known:
            segment = read_segment(self._folder, generation, self._store_id)
            if segment is None:
                continue
            try:
                frames = segment.read_to()
                if generation != known[-1]:  # others may append to that one meanwhile
                    segment.check_end()
                for frame in frames:
                    if frame.type != DATA or frame.sequence <= last:
                        continue
                    last = frame.sequence
                    try:
                        yield decode_entry(frame.sequence, frame.payload)
                    except ValueError as error:
                        raise CorruptJournal(segment.file.path, frame.offset, str(error)) from error
            finally:
                segment.close()

    def between(self, after: int, upto: int, path: str) -> Iterator[Entry]:
        """Yield the commits behind `after`, up to `upto`, in order.

        Args:
            path: that of the store, for messages.
        Raises:
            HistoryPruned: some of them are not kept any more.
            CorruptJournal: a segment is damaged in its middle.
        """
        if after >= upto:
            return
        last = after
        for entry in self.entries(after):
            if entry.sequence > upto:
                return
            if entry.sequence != last + 1:
                raise HistoryPruned(path, after, entry.sequence)
            last = entry.sequence
            yield entry
        if last < upto:
            raise HistoryPruned(path, after, upto + 1)
