"""Reports: what an operation did, and what it could not do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from statestore.models.keys import Key, Revision


@attrs.frozen
class Failure:
    """One thing that an operation could not do: which record, doing what, and why.

    `key` is None where no single record is concerned. `operation` is the verb: save, load,
    convert, backup, restore, import, verify, recover, salvage, refresh; materialise: writing
    record files; listen: telling a listener.
    """

    key: Key | None
    operation: str
    error: Exception

    def __str__(self) -> str:
        text = str(self.error)
        if self.key is None or self.key.shown in text:
            return text
        return f"{self.key.shown}: {text}"


@attrs.frozen(kw_only=True)
class Report:
    """What every report tells.

    Shape: `path` of the store (or what stands for it), `format` the name of its serializer; `items`
    counts the records that were really written or read, `size_bytes` their bytes as stored;
    `timestamp` is aware UTC, the end of the operation; `duration_s` is in seconds; `failures` has
    one entry per record that was left out; `notes` are remarks for people.
    """

    path: str
    format: str
    items: int
    size_bytes: int
    timestamp: datetime
    duration_s: float
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()


@attrs.frozen
class Resolved:
    """A conflict that was settled, and how.

    "added": the change only adds items, which now stand behind those of others. "merged": both
    changes were merged. "mine", "theirs": one of them was taken for the other.
    """

    key: Key
    how: str


@attrs.frozen(kw_only=True)
class SaveReport(Report):
    """What a save wrote. `items` counts records written, `deleted` those removed.

    `sequence` is that of the commit; of the last one where there was nothing to save. `resolved`
    are the conflicts that were settled on the way.
    """

    sequence: int
    deleted: int = 0
    resolved: tuple[Resolved, ...] = ()


@attrs.frozen
class RecordChange:
    """What somebody else has made of a record.

    `before` and `after` are the records, None where there was or is none. `revision` is that of
    `after`, or the one that the deletion took. `source` says who asked for the commit, `run` which
    opening of the store made it, `sequence` and `committed_at` which one it was; of several commits
    the last one counts. Where a conflict was settled with what was never looked at before, it is
    not known who has: the texts are empty then, and `sequence` is 0.
    """

    key: Key
    before: Any
    after: Any
    revision: Revision
    source: str
    run: str
    sequence: int
    committed_at: datetime


@attrs.frozen(kw_only=True)
class LoadReport(Report):
    """What a load or a refresh read. `kept` are the keys whose unsaved local change was kept.

    A refresh tells in `changes` what others have made of which record; `deleted` counts those that
    they have removed.
    """

    kept: tuple[Key, ...] = ()
    deleted: int = 0
    changes: tuple[RecordChange, ...] = ()


@attrs.frozen(kw_only=True)
class ConvertReport(Report):
    """What a conversion rewrote. `unchanged` counts records that were in the format already."""

    unchanged: int = 0


@attrs.frozen(kw_only=True)
class BackupReport(Report):
    """What a backup holds; its `path` is that of the backup. `counts` is per kind."""

    counts: Mapping[str, int]


@attrs.frozen(kw_only=True)
class RestoreReport(Report):
    """What a restore did: `items` records written, `deleted` removed, `unchanged` left alone."""

    source: str
    deleted: int = 0
    unchanged: int = 0


@attrs.frozen(kw_only=True)
class ImportReport(Report):
    """What an import added: `conversations` new ones, `messages` in new and in known ones.

    `items` counts the records added or extended; `unchanged` the transcripts known already.
    """

    conversations: int = 0
    messages: int = 0
    unchanged: int = 0


@attrs.frozen(kw_only=True)
class VerifyReport(Report):
    """What a verification found. `items` counts sound records; every problem is in `failures`."""


@attrs.frozen
class QuarantinedFile:
    """A file that was moved out of the way. `path` and `origin`, where it was, are relative.

    `origin`, `why` and `moved_at` are empty, or None, where nothing beside the file tells them.
    """

    path: str
    origin: str
    why: str
    moved_at: datetime | None


@attrs.frozen
class AbsentRecord:
    """A record that nobody has deleted and whose file is missing.

    `revision` is its last one. `kept` is the one that the history can bring back; 0 for none.
    """

    key: Key
    revision: Revision
    kept: Revision


@attrs.frozen(kw_only=True)
class RecoverReport(Report):
    """What there is to recover. `items` counts sound records; `failures` has what is unreadable.

    `commits` counts those that were in the journal, and not in the files, when the store was
    opened: the opening has taken them up.
    """

    commits: int
    quarantined: tuple[QuarantinedFile, ...] = ()
    absent: tuple[AbsentRecord, ...] = ()


@attrs.frozen(kw_only=True)
class BringBackReport(Report):
    """A record that was brought back: its `revision` now, and the one of which it is a copy."""

    key: Key
    revision: Revision
    copied: Revision


@attrs.frozen(kw_only=True)
class SalvageReport(Report):
    """What a salvage has saved. `path` is that of the new store, `source` of the damaged one.

    `items` counts the records in the new store, `from_journal` those of them that no file showed.
    `commits` counts the whole ones that were found in the journal. `lost` are the sequences of
    commits, first and last, of which nothing was found and which may not be in the files either.
    `quarantined` are the paths, in the new store, of files that could not be read.
    """

    source: str
    from_journal: int
    commits: int
    lost: tuple[tuple[int, int], ...] = ()
    quarantined: tuple[str, ...] = ()
