"""Recovery: what went wrong with a store, records brought back, and a damaged store saved."""

from __future__ import annotations

import time

from statestore.drivers.driver import RecordFiles
from statestore.engine.engine import Engine
from statestore.errors import (
    CorruptRecord,
    HeldKey,
    NoVersionKept,
    RecordNotFound,
    RecordNotLost,
    StateStoreError,
    UndecodableRecord,
    UnsafeFile,
)
from statestore.models.keys import Key
from statestore.models.reports import BringBackReport, Failure, RecoverReport
from statestore.services.conversion import wanted_files
from statestore.services.salvage import salvage
from statestore.services.verification import read_all

__all__ = ["bring_back", "recover", "salvage"]


def recover(engine: Engine) -> RecoverReport:
    """Report what opening the store has taken up, and what is unreadable, missing, in quarantine.

    Opening a store has recovered what there was to recover; this moves nothing but what nobody can
    read to quarantine, as every reading does.

    Raises:
        NotSupported: the store keeps no files.
        CorruptJournal: a part of the history is damaged.
    """
    recovery = wanted_files(engine, "recovery").recovery
    with engine.turn():
        started = time.monotonic()
        engine.wait_for_commits()
        found = read_all(engine, "recover")
        report = RecoverReport(
            path=engine.driver.path,
            format=engine.format,
            items=found.items,
            size_bytes=found.size_bytes,
            timestamp=engine.clock(),
            duration_s=time.monotonic() - started,
            failures=tuple(found.failures),
            notes=(*found.notes, *map(str, recovery.left)),
            commits=recovery.commits,
            quarantined=tuple(recovery.quarantined()),
            absent=tuple(recovery.absent()),
        )
    engine.finish(report, None, StateStoreError, strict=False)
    return report


def bring_back(engine: Engine, key: Key) -> BringBackReport:
    """Make the last version of a record that the history holds its content again, as a commit.

    For a record whose file is missing, or was moved to quarantine, or cannot be decoded (then it is
    moved there), or that was deleted. It takes its next revision.

    Raises:
        RecordNotLost: it is there and can be read; nothing was changed.
        RecordNotFound: nothing is known of such a record.
        NoVersionKept: the history holds no whole version of it.
        HeldKey: something else has its place; nothing was changed.
        NotSupported: the store keeps no files.
    """
    engine.want_no_transaction("recover")
    files = wanted_files(engine, "recovery")
    with engine.turn():
        started = time.monotonic()
        engine.wait_for_commits()
        unreadable = _why_lost(engine, key)
        version = files.recovery.last_version(key)
        if version.put is None and not version.revision and not unreadable:
            raise RecordNotFound(key.kind, key.id)
        if version.put is None:
            raise NoVersionKept(key.kind, key.id)
        notes = _set_aside(engine, files, key, unreadable)
        files.recovery.used(key, version.revision)
        outcome = engine.commit([version.put], {key: 0})
        if outcome.failures:
            raise outcome.failures[0].error
        engine.driver.flush()
        stored = engine.driver.read(key)
        if version.is_deleted:
            notes.append(f"it was deleted at revision {version.revision}")
        elif version.copied != version.revision:
            notes.append(
                f"its last revision was {version.revision}; the history holds no whole copy of it"
            )
        report = BringBackReport(
            path=engine.driver.path,
            format=engine.format,
            items=outcome.written,
            size_bytes=outcome.size_bytes,
            timestamp=engine.clock(),
            duration_s=time.monotonic() - started,
            notes=tuple(notes),
            key=key,
            revision=stored.revision,
            copied=version.copied,
        )
        if engine.knows(key.kind):
            engine.take_in([key.kind], discard=False)
    engine.finish(report, None, StateStoreError, strict=False)
    return report


def _why_lost(engine: Engine, key: Key) -> StateStoreError | None:
    """Return why a record cannot be read; None if there is no file of it.

    Raises:
        RecordNotLost: it can.
        HeldKey: what has its place is more than bytes that nobody can read.
    """
    try:
        stored = engine.driver.read(key)
    except RecordNotFound:
        return None
    except UndecodableRecord as error:
        return error
    except (CorruptRecord, UnsafeFile) as error:
        raise HeldKey(key.kind, key.id, error.path, error.reason) from error
    raise RecordNotLost(key.kind, key.id, stored.revision)


def _set_aside(
    engine: Engine, files: RecordFiles, key: Key, unreadable: StateStoreError | None
) -> list[str]:
    """Move all files of a record that nobody can read to quarantine; return what to tell of it."""
    notes: list[str] = []
    while unreadable is not None:
        place = files.set_aside(Failure(key, "recover", unreadable))
        notes.append(f"the file that could not be read was moved to {place}")
        unreadable = _why_lost(engine, key)
    return notes
