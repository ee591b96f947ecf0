"""What a salvage reads in a journal: the changes of each record, what is gone, what is lost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import attrs

from statestore.drivers.layout import META_FILE, OWN_FOLDER, Meta
from statestore.drivers.replaying import Trail
from statestore.errors import NotSalvaged
from statestore.files.folders import Folder
from statestore.journal.journal import JOURNAL_FOLDER
from statestore.journal.salvaging import Damage, Salvage, salvage_entries
from statestore.journal.standing import note_deleted
from statestore.models.keys import Key, Revision
from statestore.models.reports import Failure


@attrs.define
class Journalled:
    """What a journal tells. All is empty where there is none.

    `sequence` is the last one known; all commits up to `files_upto` were in files once. `lost` are
    the sequences, first and last, of commits behind that of which nothing was found.
    """

    trails: dict[Key, Trail] = attrs.field(factory=dict)
    gone: dict[Key, tuple[Revision, int]] = attrs.field(factory=dict)
    sequences: Sequence[int] = ()
    sequence: int = 0
    files_upto: int = 0
    last_time: datetime | None = None
    lost: list[tuple[int, int]] = attrs.field(factory=list)
    notes: list[str] = attrs.field(factory=list)
    failures: list[Failure] = attrs.field(factory=list)

    def take(self, found: Salvage) -> None:
        """Take in what was found of a journal."""
        self.sequences, self.files_upto = found.sequences, found.files_upto
        for damage in found.damages:
            self._tell(damage)
        if found.newest is not None:
            self.last_time = found.newest.committed_at
            self.gone = {key: (revision, at) for key, revision, at in found.newest.deleted}
        for entry in found.entries():
            for op in entry.ops:
                trail = self.trails.setdefault(op.key, Trail())
                trail.take(op, entry.sequence, entry.committed_at)
            if entry.sequence > found.newest_at:
                note_deleted(entry, self.gone)
            self.last_time = max(self.last_time or entry.committed_at, entry.committed_at)
        self.sequence = max([found.files_upto, found.newest_at, *self.sequences[-1:]])
        low = self.files_upto
        if found.newest is None and self.sequences and not low:
            low = self.sequences[0] - 1  # nothing tells that there were any before
        self._note_gaps(low)

    def _tell(self, damage: Damage) -> None:
        if damage.is_end:
            self.notes.append(
                f"{damage.path}: {damage.size_bytes} bytes at its end hold no whole commit, as "
                "after a power cut; what they held was perhaps never finished"
            )
            return
        where = f"{damage.size_bytes} bytes from byte {damage.offset} on are damaged: "
        reason = (where if damage.size_bytes else "") + damage.reason
        self.failures.append(Failure(None, "salvage", NotSalvaged(damage.path, reason)))

    def _note_gaps(self, low: int) -> None:
        behind = [one for one in self.sequences if one > low]
        for before, after in zip([low, *behind], [*behind, self.sequence + 1], strict=True):
            if after > before + 1:
                self.lost.append((before + 1, after - 1))


def read_journal(own: Folder | None, meta: Meta | None) -> Journalled:
    """Return what the journal below `.statestore` tells, as far as it is whole."""
    journalled = Journalled()
    folder = own.child(JOURNAL_FOLDER) if own else None
    if folder is None:
        return journalled
    with folder:
        found = salvage_entries(folder, meta.store_id if meta else None)
        if meta is not None and found.store_id not in ("", meta.store_id):
            journalled.notes.append(
                f"the journal says another store id than {OWN_FOLDER}/{META_FILE}; its commits "
                "were taken for those of this store"
            )
        journalled.take(found)
    return journalled
