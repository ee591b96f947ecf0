"""Reading a journal without taking part in it: for openings that may not write a byte."""

from __future__ import annotations

from collections.abc import Iterator

from statestore.files.folders import Folder
from statestore.journal.entries import Entry
from statestore.journal.frames import HEADER_BYTES, SegmentHeader
from statestore.journal.history import History
from statestore.journal.journal import JOURNAL_FOLDER
from statestore.journal.segments import generations, segment_name
from statestore.journal.standing import Recovered, read_left

_LOOKS = 100


def recovered_read_only(own: Folder | None, store_id: str) -> Recovered:
    """Return where the journal below `.statestore` stands, for as much as is in it now.

    Not promised: that what a process has just appended survives a power cut.

    Raises:
        CorruptJournal: it is damaged.
    """
    nothing = Recovered(0, None, 0, (), (), alone=False)
    folder = own.child(JOURNAL_FOLDER) if own else None
    if folder is None:
        return nothing
    with folder:
        for _ in range(_LOOKS):
            known = generations(folder)
            if not known:
                return nothing
            recovered = read_left(folder, known[-1], bytes.fromhex(store_id))
            if recovered is not None:  # else it was removed since its name was read
                return recovered
    return nothing


def store_id_of(own: Folder) -> str | None:
    """Return the id of the store that the newest segment belongs to, if that is told."""
    folder = own.child(JOURNAL_FOLDER)
    if folder is None:
        return None
    with folder:
        known = generations(folder)
        file = folder.open_file(segment_name(known[-1])) if known else None
        if file is None:
            return None
        try:
            return SegmentHeader.from_bytes(file.read_at(0, HEADER_BYTES)).store_id.hex()
        except ValueError:
            return None  # whoever opens the journal is told
        finally:
            file.close()


def history_read_only(
    own: Folder | None, store_id: str, after: int, upto: int, path: str
) -> Iterator[Entry]:
    """Yield the commits behind `after` of the journal below `.statestore`, as `History.between`."""
    folder = own.child(JOURNAL_FOLDER) if own else None
    if folder is not None:
        with folder:
            yield from History(folder, bytes.fromhex(store_id)).between(after, upto, path)
