"""What a directory driver knows of record files that it has read or written."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from statestore.drivers.driver import RecordFile
from statestore.drivers.kind_folder import checksum, is_own
from statestore.drivers.overlay import Fold, lengths_of
from statestore.files.folders import Mark
from statestore.journal.standing import Deleted
from statestore.models.documents import FrozenDict
from statestore.models.keys import Key, Revision


@attrs.frozen
class Known:
    """A record's file as it was last read or written, and the revision that it stands for.

    `is_edited` says that others have made it what it is, and no commit has said so yet. Where
    `is_unread`, another process has written it, and only its revision is known.
    """

    name: str
    mark: Mark
    checksum: int
    revision: Revision
    schema: int
    extra: Mapping[str, object]
    lengths: Mapping[str, int] | None
    is_edited: bool = False
    is_unread: bool = False


_NO_MARK = Mark(-1, -1, -1)


class Catalogue:
    """The files of records by their keys, and the revisions of records that are gone.

    It is never the truth: a file whose mark is not the known one is read again.
    """

    def __init__(self) -> None:
        self._known: dict[Key, Known] = {}
        self._names: dict[tuple[str, str], Key] = {}
        self._buried: dict[Key, tuple[Revision, int]] = {}
        self._left: dict[Key, Known] = {}

    def get(self, key: Key) -> Known | None:
        """Return what is known of a record's file."""
        return self._known.get(key)

    def key_of(self, kind: str, name: str) -> Key | None:
        """Return the key of a file by its name, if it was read or written before."""
        key = self._names.get((kind, name))
        known = self._known.get(key) if key is not None else None
        return key if known is not None and known.name == name else None

    def highest(self, key: Key) -> Revision:
        """Return the highest revision that a key is known to have had in files, here or gone."""
        known = self._known.get(key)
        return max(known.revision if known else 0, self._buried.get(key, (0, 0))[0])

    def read(self, record: RecordFile) -> Known:
        """Note a file as it is now.

        Stores give each file the time at which its record was saved. One with another time was
        made by somebody else, and so was one that is older than what is known: it still says the
        revision that it had, and counts as the next one.
        """
        key, envelope, crc = record.key, record.envelope, checksum(record.data)
        before = self._known.get(key)
        revision, is_edited = envelope.revision, False
        if before is not None and before.checksum == crc:
            revision, is_edited = before.revision, before.is_edited  # touched or renamed
        elif (
            not is_own(record)
            or revision < self.highest(key)
            or (before is None and revision == self.highest(key))
        ):
            revision, is_edited = max(revision, self.highest(key)) + 1, True
        known = Known(
            record.name,
            record.mark,
            crc,
            revision,
            envelope.schema,
            envelope.extra,
            lengths_of(envelope.data),
            is_edited,
        )
        self._note(key, known)
        return known

    def written(self, key: Key, known: Known) -> None:
        """Note a file that this process has written, in whatever form."""
        if known.revision < self._buried.get(key, (0, 0))[0]:
            # The record was deleted while its file was being written. That stays known, or its
            # revisions would be used again.
            self._left[key] = known
            self._names[key.kind, known.name] = key
        else:
            self._note(key, known)

    def written_elsewhere(self, fold: Fold) -> None:
        """Note that another process has made the file of a record what commits say."""
        key, known = fold.key, self._known.get(fold.key)
        if fold.is_gone:
            self._left.pop(key, None)  # whoever has written it has removed it, too
        elif fold.revision > self.highest(key) or (
            # Its revision was another commit's, or what it was made is in that commit.
            known is not None and known.is_edited and fold.revision == known.revision
        ):
            # A file of a lower revision that turns up now is one that somebody has put back.
            name = known.name if known is not None else ""
            self._note(key, Known(
                name, _NO_MARK, -1, fold.revision, fold.schema, FrozenDict(), None, is_unread=True
            ))  # fmt: skip

    def vanished(self, key: Key) -> None:
        """Note that a file is not there any more, though nobody deleted its record here."""
        known = self._known.pop(key, None)
        if known is not None and known.revision > self._buried.get(key, (0, 0))[0]:
            self._buried[key] = known.revision, 0

    def buried(self, key: Key, revision: Revision, sequence: int) -> None:
        """Note that a record is gone, the revision that its deletion took, and in which commit."""
        known = self._known.pop(key, None)
        if known is not None:
            self._left[key] = known
        self._buried[key] = revision, sequence

    def made_again(self, key: Key, revision: Revision, sequence: int) -> None:
        """Note that a commit has made a record whose deletion its process had forgotten by then."""
        buried, at = self._buried.get(key, (0, 0))
        if 0 < at < sequence and revision <= buried:
            del self._buried[key]

    def take_left(self, key: Key) -> Known | None:
        """Return, once, what was known of a file whose record is gone: it has still to go."""
        return self._left.pop(key, None)

    def deleted(self) -> Deleted:
        """Return the revisions of records that commits have deleted."""
        buried = self._buried.copy()
        return [(key, revision, at) for key, (revision, at) in buried.items() if at]

    def forget_deleted(self, before: int) -> None:
        """Forget what was deleted by commits of a lower sequence."""
        for key, (_, at) in self._buried.copy().items():
            if 0 < at < before:
                del self._buried[key]

    def _note(self, key: Key, known: Known) -> None:
        self._known[key] = known
        if known.name:
            self._names[key.kind, known.name] = key
        self._left.pop(key, None)
        # A file may be noted after its record was deleted: by a pass that was writing it meanwhile.
        if self._buried.get(key, (known.revision, 0))[0] < known.revision:
            del self._buried[key]


def known_of(
    name: str, mark: Mark, data: bytes, *, revision: Revision, schema: int,
    extra: Mapping[str, object] | None = None, lengths: Mapping[str, int] | None = None,
) -> Known:  # fmt: skip
    """Return what is known of a file that was just written."""
    extra = FrozenDict() if extra is None else extra
    return Known(name, mark, checksum(data), revision, schema, extra, lengths)
