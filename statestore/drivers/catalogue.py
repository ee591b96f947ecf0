"""What a directory driver knows of record files that it has read or written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from statestore.drivers.driver import RecordFile
from statestore.drivers.kind_folder import checksum
from statestore.files.folders import Mark
from statestore.models.envelopes import Envelope
from statestore.models.keys import Key, Revision


@attrs.frozen
class Known:
    """A record's file as it was last read or written.

    `replaced` is the revision before a write whose commit has not ended: a caller who was told of
    an error still believes in it.
    """

    name: str
    mark: Mark
    checksum: int
    revision: Revision
    extra: Mapping[str, object]
    replaced: Revision | None = None


class Catalogue:
    """The files of records by their keys, and the revisions of records that are gone.

    It is never the truth: a file whose mark is not the known one is read again.
    """

    def __init__(self) -> None:
        self._known: dict[Key, Known] = {}
        self._names: dict[tuple[str, str], Key] = {}
        self._buried: dict[Key, Revision] = {}

    def get(self, key: Key) -> Known | None:
        """Return what is known of a record's file."""
        return self._known.get(key)

    def key_of(self, kind: str, name: str) -> Key | None:
        """Return the key of a file by its name, if it was read or written before."""
        key = self._names.get((kind, name))
        known = self._known.get(key) if key is not None else None
        return key if known is not None and known.name == name else None

    def highest(self, key: Key) -> Revision:
        """Return the highest revision that a key is known to have had, here or gone."""
        known = self._known.get(key)
        return max(known.revision if known else 0, self._buried.get(key, 0))

    def read(self, record: RecordFile) -> Revision:
        """Note a file as it is now and return the record's revision.

        A file that was edited by hand still says the revision that it had; it counts as the next.
        """
        crc, revision = checksum(record.data), record.envelope.revision
        before = self._known.get(record.key)
        if before is None:
            buried = self._buried.get(record.key, 0)
            revision = revision if revision > buried else buried + 1
        else:
            changed = (before.checksum, before.name) != (crc, record.name)
            # A conversion gives a file another name and leaves its time; an edit does not.
            converted = before.name != record.name and before.mark.mtime_ns == record.mark.mtime_ns
            if changed and not converted and revision <= before.revision:
                revision = before.revision + 1
            else:
                revision = max(revision, before.revision)
        ours = before is not None and (before.name, before.mark) == (record.name, record.mark)
        replaced = before.replaced if before and ours else None
        extra = record.envelope.extra
        self._note(record.key, Known(record.name, record.mark, crc, revision, extra, replaced))
        return revision

    def rewritten(
        self, record: RecordFile, name: str, data: bytes, mark: Mark, revision: Revision
    ) -> None:
        """Note that a record's file has another form, with the same content and revision."""
        extra = record.envelope.extra
        self._note(record.key, Known(name, mark, checksum(data), revision, extra))

    def written(
        self, key: Key, name: str, data: bytes, envelope: Envelope, mark: Mark, before: Revision
    ) -> None:
        """Note a file that was written by a commit which has not ended yet."""
        crc = checksum(data)
        self._note(key, Known(name, mark, crc, envelope.revision, envelope.extra, before))

    def removed(self, key: Key, revision: Revision) -> None:
        """Note that a record is gone, and the revision that its deletion took."""
        self._known.pop(key, None)
        self._buried[key] = revision

    def settled(self, keys: Sequence[Key]) -> None:
        """Note that the commit which wrote these files has ended well."""
        for key in keys:
            known = self._known.get(key)
            if known is not None and known.replaced is not None:
                self._known[key] = attrs.evolve(known, replaced=None)

    def _note(self, key: Key, known: Known) -> None:
        self._known[key] = known
        self._names[key.kind, known.name] = key
