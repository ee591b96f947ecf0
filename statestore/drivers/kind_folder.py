"""The folder of one kind: its record files, told from everything else that lies there."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterable, Iterator, Sequence

import attrs

from statestore.drivers.driver import RecordFile
from statestore.drivers.names import file_stem, guess_id, stem_of
from statestore.errors import (
    CorruptRecord,
    DecodeError,
    InvalidId,
    MisnamedRecord,
    StateStoreError,
    UndecodableRecord,
)
from statestore.files.folders import TEMPORARY_PREFIX, Folder, Mark
from statestore.models.documents import MAX_SIZE_BYTES
from statestore.models.envelopes import Envelope
from statestore.models.keys import SETTINGS_ID, SETTINGS_NAME, Key, check_id
from statestore.models.reports import Failure
from statestore.models.times import time_ns
from statestore.serializers import decode, known_extensions

_LOOKS = 100
"""How often a record whose file has another name each time is looked for."""

_LISTINGS = 4
_IN_ONE_PART = 200
"""So many names fit into one call of the system, which nobody can come between."""

_TICK_NS = 20_000_000
"""Changes that follow each other so soon may leave a folder the same time."""


@attrs.frozen
class Found:
    """All that lies under one stem: the record's file, older ones, rivals, and what is unreadable.

    `stale` were replaced by `record` and may go. `rivals` say something else than `record`, and
    are no older, or were edited: what they say is kept.
    `unreadable` has one failure per file, in the order of `unreadable_names`. `told` is what was
    done about files that were there besides.
    """

    record: RecordFile | None = None
    stale: tuple[RecordFile, ...] = ()
    rivals: tuple[RecordFile, ...] = ()
    unreadable: tuple[Failure, ...] = ()
    unreadable_names: tuple[str, ...] = ()
    told: tuple[str, ...] = ()

    @property
    def others(self) -> tuple[RecordFile, ...]:
        """The files of the record besides the one that is used."""
        return self.stale + self.rivals

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of it."""
        if self.record is None:
            return ()
        told = [*self.told]
        told += [f"{old.path}: an older copy of {self.record.path}, not used" for old in self.stale]
        told += [
            f"{rival.path}: differs from {self.record.path}; "
            "the one saved last is used, the other kept"
            for rival in self.rivals
        ]
        return tuple(told)


class KindFolder:
    """One kind's folder, held open."""

    def __init__(self, kind: str, folder: Folder) -> None:
        self.kind, self.folder = kind, folder

    def names(self) -> list[str]:
        """Return the names of all that is in the folder, sorted.

        The system reads a large folder in parts. A file that another process gives a new name
        meanwhile may be in none of them: not any more under the old one, nor yet under the new one.
        So a folder that has changed is read again, and what was there at one of the times counts.
        """
        names: set[str] = set()
        for _ in range(_LISTINGS):
            before_ns = self.folder.status().st_mtime_ns
            is_recent = time.time_ns() - before_ns < _TICK_NS
            names.update(listed := self.folder.names())
            if len(listed) <= _IN_ONE_PART:
                break
            if not is_recent and self.folder.status().st_mtime_ns == before_ns:
                break
        return sorted(names)

    def stems(self) -> Iterator[tuple[str, list[str]]]:
        """Yield each stem of a record's file with the names that have it, sorted."""
        grouped: dict[str, list[str]] = {}
        for name in self.names():
            stem = stem_of(name)
            if stem is not None:
                grouped.setdefault(stem, []).append(name)
        yield from grouped.items()

    def strangers(self) -> list[str]:
        """Return the names of what is no record's file, nor kept for uses to come: `@other`."""
        return [
            name
            for name in self.folder.names()
            if stem_of(name) is None
            and (not name.startswith("@") or name.startswith(f"{SETTINGS_NAME}."))
        ]

    def marks(self, stem: str, extension: str) -> dict[str, Mark | StateStoreError]:
        """Return what lies under a stem, without reading it: marks, or why it is no plain file.

        Args:
            extension: that of the store's format, whoever brought it.
        """
        marks: dict[str, Mark | StateStoreError] = {}
        for end in dict.fromkeys([*known_extensions(), extension]):
            name = stem + end
            try:
                mark = self.folder.mark(name)
            except StateStoreError as error:
                marks[name] = error
            else:
                if mark is not None:
                    marks[name] = mark
        return marks

    def is_at(self, name: str, mark: Mark) -> bool:
        """Say whether a file is there and still has its mark."""
        try:
            return self.folder.mark(name) == mark
        except StateStoreError:
            return False

    def read(self, name: str) -> RecordFile | None:
        """Return a record's file, or None if there is no such file.

        Raises:
            CorruptRecord: its bytes are no record, or not one of this name and kind.
            UnsafeFile, StorageError: it is no plain file, or the system refused.
        """
        path = f"{self.kind}/{name}"
        try:
            content = self.folder.read(name, MAX_SIZE_BYTES)
            if content is None:
                return None
            serializer, document = decode(content.data)
        except DecodeError as error:
            raise UndecodableRecord(path, str(error)) from error
        try:
            envelope = Envelope.from_document(document)
        except ValueError as error:
            raise UndecodableRecord(path, str(error)) from error
        if envelope.kind != self.kind:
            raise CorruptRecord(path, f"its envelope says the kind {envelope.kind!r}")
        inner, stem = envelope.data.get("id"), stem_of(name)
        try:
            is_settings = inner is None and stem == SETTINGS_NAME
            id = SETTINGS_ID if is_settings else check_id(inner)
        except InvalidId as error:
            raise CorruptRecord(path, str(error)) from error
        if file_stem(id) != stem:
            raise MisnamedRecord(path, id, file_stem(id) + serializer.extension)
        return RecordFile(
            Key(self.kind, id), name, content.data, content.mark, envelope, serializer.name
        )

    def look(self, stem: str, extension: str, names: Iterable[str] | None = None) -> Found:
        """Do as `find`, and again where somebody has just renamed what is there.

        Args:
            names: those to begin with, if they are known.
        """
        found, is_empty = Found(), False
        for _ in range(_LOOKS):
            names = names or self.marks(stem, extension)
            if names:
                found = self.find(stem, names, extension)
                if found.record is not None or found.unreadable:
                    break
            elif is_empty:
                break  # once may be that it got a name that was looked at before it had it
            is_empty, names = not names, None
        return found

    def find(self, stem: str, names: Iterable[str], preferred_extension: str) -> Found:
        """Read everything under a stem and tell which file is the record's.

        The highest revision is; of several copies with one content the one in the preferred format;
        of several contents with one revision the one saved last, then the one changed last.
        """
        readable: list[RecordFile] = []
        unreadable: list[Failure] = []
        unreadable_names: list[str] = []
        for name in names:
            try:
                record = self.read(name)
            except StateStoreError as error:
                unreadable.append(Failure(Key(self.kind, guess_id(stem)), "load", error))
                unreadable_names.append(name)
            else:
                if record is not None:
                    readable.append(record)
        bad = tuple(unreadable), tuple(unreadable_names)
        if not readable:
            return Found(None, (), (), *bad)
        if len(readable) == 1:
            return Found(readable[0], (), (), *bad)
        chosen = max(
            readable,
            key=lambda one: (
                one.envelope.revision,
                one.envelope.saved_at,
                one.mark.mtime_ns,
                one.name == stem + preferred_extension,
            ),
        )
        copies = [one for one in readable if _same_content(one, chosen)]
        for copy in copies:
            if copy.name == stem + preferred_extension:
                chosen = copy
        others = [one for one in readable if one is not chosen]
        rivals = [
            one
            for one in others
            if not _same_content(one, chosen)
            and (one.envelope.revision == chosen.envelope.revision or not is_own(one))
        ]
        stale = [one for one in others if one not in rivals]
        return Found(chosen, tuple(stale), tuple(rivals), *bad)


def leftovers(names: Sequence[str]) -> list[str]:
    """Return those names that a save which was cut off has left behind."""
    return [name for name in names if name.startswith(TEMPORARY_PREFIX)]


def checksum(data: bytes) -> int:
    """Return what tells changed bytes from the same bytes written again."""
    return zlib.crc32(data)


def is_own(record: RecordFile) -> bool:
    """Say whether a file is as a store wrote it: its time is that of its record."""
    return record.mark.mtime_ns == time_ns(record.envelope.saved_at)


def _same_content(one: RecordFile, other: RecordFile) -> bool:
    mine, theirs = one.envelope, other.envelope
    return (mine.revision, mine.schema, mine.data, mine.extra) == (
        theirs.revision,
        theirs.schema,
        theirs.data,
        theirs.extra,
    )
