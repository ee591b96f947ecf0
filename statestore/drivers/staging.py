"""Staged saves: files of large commits, written once, that only have to be given their names."""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Iterable, Sequence, Set

import attrs

from statestore.errors import CorruptRecord, DecodeError, StateStoreError
from statestore.files.folders import Folder, Mark
from statestore.journal.entries import StagedOp
from statestore.models.documents import MAX_SIZE_BYTES
from statestore.models.envelopes import Envelope
from statestore.models.keys import Key
from statestore.serializers import decode

STAGE_FOLDER = "stage"

_FEW = 30
"""So many files are synced one by one; for more the whole file system is."""


@attrs.frozen
class StageableFile:
    """One record's file that is to be written. `name` is the one that it will have."""

    key: Key
    name: str
    envelope: Envelope
    data: bytes
    mtime_ns: int


@attrs.frozen
class StagedFile:
    """One record's file, ready. `name` is the one that it will have in the folder of its kind."""

    key: Key
    stage: str
    name: str
    envelope: Envelope
    size_bytes: int
    checksum: int


class Stages:
    """The folder of staged files. Each save has one of its own in it, by a random name."""

    def __init__(self, own: Folder | None) -> None:
        """Use the folder `.statestore`."""
        self._own = own
        self._folder: Folder | None = None

    def write(self, files: Iterable[StageableFile], count: int) -> list[StagedFile]:
        """Write files, and return when they are on the disk.

        Args:
            count: how many there are; one at a time is in memory.
        Raises:
            StorageError: the system refused; nothing is left.
        """
        stages, token = self._opened(create=True), secrets.token_hex(8)
        stage = stages.child(token, create=True)
        assert stage is not None  # noqa: S101 # it was to be created
        staged: list[StagedFile] = []
        with stage:
            try:
                one_by_one = count <= _FEW
                for number, one in enumerate(files):
                    stage.write_new(str(number), one.data, mtime_ns=one.mtime_ns, sync=one_by_one)
                    place, crc = f"{token}/{number}", zlib.crc32(one.data)
                    size = len(one.data)
                    staged.append(StagedFile(one.key, place, one.name, one.envelope, size, crc))
                if not one_by_one and not stage.sync_file_system():
                    for number in range(count):
                        stage.sync_file(str(number))
                stage.sync()
            except BaseException:
                self._drop(stages, stage, token)
                raise
        return staged

    def read(self, op: StagedOp) -> Envelope:
        """Return what a staged file says.

        Raises:
            CorruptRecord: it is not there, or not what it was.
        """
        token, _, number = op.stage.partition("/")
        path = f".statestore/{STAGE_FOLDER}/{op.stage}"
        stage = self._opened(create=False).child(token)
        if stage is None:
            raise CorruptRecord(path, "it is missing")
        with stage:
            try:
                content = stage.read(number, MAX_SIZE_BYTES)
                if content is None or zlib.crc32(content.data) != op.checksum:
                    raise CorruptRecord(path, "it is not what was written")
                return Envelope.from_document(decode(content.data)[1])
            except (DecodeError, ValueError) as error:
                raise CorruptRecord(path, str(error)) from error

    def move(self, op: StagedOp, into: Folder) -> Mark | None:
        """Give a staged file the name that it is meant for, and return its mark there.

        None says that it is not there: it has its name already, or never will.
        """
        token, _, number = op.stage.partition("/")
        stage = self._opened(create=False).child(token)
        if stage is None:
            return None
        with stage:
            if stage.mark(number) is None:
                return None
            stage.move(number, into, op.name)
        return into.mark(op.name)

    def tokens(self) -> Sequence[str]:
        """Return the names of all stages that there are."""
        try:
            return self._opened(create=False).names()
        except StateStoreError:
            return ()

    def sweep(self, tokens: Iterable[str], wanted: Sequence[StagedOp] = ()) -> None:
        """Remove what no commit names.

        Args:
            tokens: stages that were there before the calling process found itself to be the only
                one that has the store open: those who made them are gone.
        """
        try:
            stages = self._opened(create=False)
            keep = {op.stage for op in wanted}
            for token in tokens:
                stage = stages.child(token)
                if stage is not None:
                    with stage:
                        self._drop(stages, stage, token, keep)
        except StateStoreError:
            return  # they do no harm, and the next opener tries again

    def drop(self, token: str, wanted: Sequence[StagedOp] = ()) -> None:
        """Remove a stage whose files have their names by now, or never will; not what is wanted."""
        try:
            stages = self._opened(create=False)
            stage = stages.child(token)
            if stage is not None:
                with stage:
                    self._drop(stages, stage, token, {op.stage for op in wanted})
        except StateStoreError:
            return  # the next opener who is alone sweeps it

    def close(self) -> None:
        """Let go of the folder. Twice is harmless."""
        if self._folder is not None:
            self._folder.close()
            self._folder = None

    def _drop(
        self, stages: Folder, stage: Folder, token: str, keep: Set[str] = frozenset()
    ) -> None:
        for name in stage.names():
            if f"{token}/{name}" not in keep:
                stage.try_remove(name)
        if not stage.names():
            stages.drop_child(token)

    def _opened(self, *, create: bool) -> Folder:
        if self._folder is None:
            folder = self._own.child(STAGE_FOLDER, create=create) if self._own else None
            if folder is None:
                raise CorruptRecord(f".statestore/{STAGE_FOLDER}", "it is missing")
            self._folder = folder
        return self._folder
