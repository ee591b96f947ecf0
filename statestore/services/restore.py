"""Restore: a store made what a backup says, after the whole backup was proved good."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from contextlib import closing

import attrs

from statestore.drivers.directory import DirectoryDriver
from statestore.drivers.driver import Driver, RecordFile
from statestore.drivers.layout import MANIFEST_FILE, OWN_FOLDER
from statestore.engine.engine import Engine
from statestore.errors import (
    CorruptRecord,
    InvalidBackup,
    LoadFailed,
    RecordNotFound,
    SaveFailed,
    StateStoreError,
    UnsafeFile,
)
from statestore.files.folders import open_folder
from statestore.models.changes import Change, Delete, Put, Stored
from statestore.models.keys import Key, Revision
from statestore.models.reports import Failure, RestoreReport, VerifyReport
from statestore.services.backup import Manifest, read_manifest


def restore(engine: Engine, path: str) -> RestoreReport:
    """Make the store hold exactly the records of a backup, and the managers with it.

    The whole backup is read and held against its manifest first; until that is done nothing is
    changed. Records that are as in the backup are left alone, the others take their next revision;
    records that the backup lacks are deleted; all of it is one commit. What cannot be read in the
    store moves to quarantine.
    Unsaved changes are dropped. The backup itself is only read.

    Raises:
        BackupNotFound, InvalidBackup: there is no whole backup at `path`; nothing was changed.
        SaveFailed: a part could not be written; repeat it when the cause is gone.
    """
    engine.want_no_transaction("restore")
    with engine.turn():
        started = time.monotonic()
        engine.wait_for_commits()
        manifest, documents = read_backup(path, store_path=engine.driver.path)
        compared = _compare(engine, documents)
        outcome = engine.commit(compared.changes, compared.seen, compared.renew)
        report = RestoreReport(
            path=engine.driver.path,
            source=os.path.realpath(path),
            format=engine.format,
            items=outcome.written,
            deleted=outcome.deleted,
            unchanged=compared.unchanged,
            size_bytes=outcome.size_bytes,
            timestamp=engine.clock(),
            duration_s=time.monotonic() - started,
            failures=tuple(outcome.failures),
            notes=(f"as of {manifest.created_at:%Y-%m-%d %H:%M:%S} UTC", *compared.notes),
        )
        loaded = engine.take_in(discard=True, tell=True)
    engine.finish(report, None, SaveFailed, strict=True)
    engine.finish(loaded, engine.callbacks.load, LoadFailed, strict=False)
    return report


def verify_backup(path: str) -> VerifyReport:
    """Read a whole backup and hold it against its manifest.

    Raises:
        BackupNotFound, InvalidBackup: it is not there, or not what its manifest says.
    """
    started = time.monotonic()
    manifest, documents = read_backup(path, store_path=None)
    return VerifyReport(
        path=os.path.realpath(path),
        format=manifest.format,
        items=len(documents),
        size_bytes=sum(entry.size_bytes for entry in manifest.files.values()),
        timestamp=manifest.created_at,
        duration_s=time.monotonic() - started,
    )


def read_backup(path: str, *, store_path: str | None) -> tuple[Manifest, Mapping[Key, Put]]:
    """Return the manifest of a backup and its records, after every byte was checked.

    Raises:
        BackupNotFound, InvalidBackup: it is not there, not whole, or the store itself.
    """
    if store_path is not None and os.path.realpath(path) == os.path.realpath(store_path):
        raise InvalidBackup(path, ["it is the store itself, not a backup of it"])
    manifest = read_manifest(path)
    problems: list[str] = []
    found: dict[Key, Put] = {}
    missing = set(manifest.files)
    try:
        with closing(DirectoryDriver(path, read_only=True, allow_unsafe=True)) as driver:
            for kind in driver.kinds():
                places = _places(path, kind)
                missing.difference_update(places)
                problems += [
                    f"{place} is not in its manifest"
                    for place in places
                    if place not in manifest.files
                ]
                for one in driver.entries(kind):
                    if isinstance(one, Failure):
                        problems.append(_worded(one))
                        continue
                    problem = _problem(one, manifest)
                    if problem:
                        problems.append(problem)
                    found[one.key] = Put(
                        one.key, one.envelope.data, one.envelope.schema, one.envelope.extra
                    )
    except StateStoreError as error:
        problems.append(str(error))
    problems += [f"{name} is missing" for name in sorted(missing)]
    problems += _miscounted(path, manifest)
    if problems:
        raise InvalidBackup(path, problems)
    return manifest, found


def _problem(file: RecordFile, manifest: Manifest) -> str:
    entry = manifest.files.get(file.path)
    if entry is None:
        return ""  # told already
    if len(file.data) != entry.size_bytes:
        return f"{file.path} has {len(file.data)} bytes, not {entry.size_bytes}"
    if hashlib.sha256(file.data).hexdigest() != entry.sha256:
        return f"{file.path} was changed: its SHA-256 is another"
    return ""


def _miscounted(path: str, manifest: Manifest) -> list[str]:
    """Return what is wrong with the counts of a manifest, and what lies beside its kinds."""
    kinds = [name.partition("/")[0] for name in manifest.files]
    counts = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
    problems = [] if counts == manifest.counts else [f"{MANIFEST_FILE}: its counts are not true"]
    folder = open_folder(path)
    if folder is not None:
        with folder:
            known = {*counts, MANIFEST_FILE, OWN_FOLDER}
            problems += [
                f"{name} is not in its manifest" for name in folder.names() if name not in known
            ]
    return problems


def _places(path: str, kind: str) -> list[str]:
    """Return the paths, relative to the backup, of all that lies in the folder of a kind."""
    folder = open_folder(os.path.join(path, kind))
    if folder is None:
        return []
    with folder:
        return [f"{kind}/{name}" for name in folder.names()]


def _worded(failure: Failure) -> str:
    error = failure.error
    if isinstance(error, CorruptRecord | UnsafeFile):
        return f"{error.path}: {error.reason}"
    return str(failure)


@attrs.define
class _Compared:
    """What makes a store what is wanted, and at which revisions its records were seen."""

    driver: Driver
    wanted: Mapping[Key, Put]
    changes: list[Change] = attrs.field(factory=list)
    seen: dict[Key, Revision] = attrs.field(factory=dict)
    unchanged: int = 0
    notes: list[str] = attrs.field(factory=list)

    def change(self, stored: Stored) -> Change | None:
        """Return what makes a record what is wanted; None if it is that."""
        put = self.wanted.get(stored.key)
        if put is None:
            return Delete(stored.key)
        is_same = (stored.schema, stored.document, stored.extra) == (
            put.schema,
            put.document,
            put.extra,
        )
        return None if is_same else put

    def renew(self, key: Key) -> tuple[Change | None, Revision]:
        """Look at a record again that somebody else has changed."""
        try:
            stored = self.driver.read(key)
        except RecordNotFound:
            return self.wanted.get(key), 0
        return self.change(stored), stored.revision


def _compare(engine: Engine, wanted: Mapping[Key, Put]) -> _Compared:
    driver, files = engine.driver, engine.driver.record_files
    compared = _Compared(driver, wanted, seen=dict.fromkeys(wanted, 0))
    same: set[Key] = set()
    for kind in driver.kinds():
        for one in driver.scan(kind):
            if isinstance(one, Failure):
                if files is not None:
                    place = files.set_aside(one)
                    compared.notes.append(f"what could not be read was moved to {place}")
                continue
            compared.seen[one.key] = one.revision
            change = compared.change(one)
            if change is None:
                same.add(one.key)
            elif isinstance(change, Delete):
                compared.changes.append(change)
    compared.changes += [put for key, put in wanted.items() if key not in same]
    compared.unchanged = len(same)
    return compared
