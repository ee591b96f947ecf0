"""Verification: every file of a store read, and every fault in it named."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import attrs

from statestore.drivers.driver import Driver
from statestore.drivers.kind_folder import leftovers
from statestore.engine.engine import Engine
from statestore.errors import RecordFileMissing, StateStoreError, counted
from statestore.models.changes import Stored
from statestore.models.reports import Failure, VerifyReport


@attrs.define
class Reading:
    """What reading all records has found. `items` counts sound ones."""

    items: int = 0
    size_bytes: int = 0
    failures: list[Failure] = attrs.field(factory=list)
    notes: list[str] = attrs.field(factory=list)


Read: TypeAlias = Callable[[Driver, str], Iterable[Stored | Failure]]


def scanned(driver: Driver, kind: str) -> Iterable[Stored | Failure]:
    """Return what a load would take in; what nobody can read moves to quarantine, as by a load."""
    return driver.scan(kind)


def read_all(engine: Engine, operation: str, read: Read = scanned) -> Reading:
    """Read every record of a store, and hold it against the class of its manager where it has one.

    Within a turn of the engine.

    Args:
        operation: the one that failures are told to be of.
        read: what reads the records of a kind.
    """
    found = Reading()
    for kind in sorted({*engine.driver.kinds(), *engine.managers}):
        try:
            for one in read(engine.driver, kind):
                if isinstance(one, Failure):
                    found.failures.append(attrs.evolve(one, operation=operation))
                    continue
                found.notes.extend(one.notes)
                problem = _problem(engine, one)
                if problem is None:
                    found.items += not one.key.is_settings
                    found.size_bytes += one.size_bytes
                else:
                    found.failures.append(attrs.evolve(problem, operation=operation))
            found.notes.extend(_strangers(engine.driver, kind))
        except StateStoreError as error:  # the folder itself
            found.failures.append(Failure(None, operation, error))
    return found


def verify(engine: Engine) -> VerifyReport:
    """Read every record of a store, also of kinds without a manager, and report what is wrong.

    Checked: the bytes are a whole document, an envelope of the folder's kind, the id is the one
    that the name says, the document fits the class of its manager where one is registered; each
    record that the history knows, and nobody has deleted, has a file. Nothing is changed or moved:
    the files of what is committed are written first, then held still. Files that are no records,
    those in quarantine, and commits that are not in the files, are notes.
    """
    with engine.turn():
        started = time.monotonic()
        files = engine.driver.record_files
        with files.held_still() if files else contextlib.nullcontext():
            found = read_all(engine, "verify", _stored)
        _look_for_losses(engine, found)
        report = VerifyReport(
            path=engine.driver.path,
            format=engine.format,
            items=found.items,
            size_bytes=found.size_bytes,
            timestamp=engine.clock(),
            duration_s=time.monotonic() - started,
            failures=tuple(found.failures),
            notes=tuple(found.notes),
        )
    engine.finish(report, None, StateStoreError, strict=False)
    return report


def _look_for_losses(engine: Engine, found: Reading) -> None:
    files = engine.driver.record_files
    if files is None:
        return
    recovery = files.recovery
    told = {failure.key for failure in found.failures}
    try:
        for one in recovery.absent():
            if one.key not in told:
                error = RecordFileMissing(one.key.kind, one.key.id, one.revision, one.kept)
                found.failures.append(Failure(one.key, "verify", error))
    except StateStoreError as error:  # a damaged part of the history, or a folder
        if str(error) not in {str(one.error) for one in found.failures}:
            found.failures.append(Failure(None, "verify", error))
    if recovery.commits and not recovery.is_taken_up:
        found.notes.append(
            f"{counted(recovery.commits, 'commit')} in the journal, not in the files yet: a "
            "process is at work, or was cut off; write them with: statestore recover"
        )
    found.notes.extend(map(str, recovery.left))
    quarantined = len(recovery.quarantined())
    if quarantined:
        found.notes.append(
            f"{counted(quarantined, 'file')} in quarantine; see why with: statestore recover"
        )


def _stored(driver: Driver, kind: str) -> Iterator[Stored | Failure]:
    """Yield what is stored of a kind. Where there are files, they are only looked at."""
    files = driver.record_files
    if files is None:
        yield from driver.scan(kind)
        return
    for one in files.entries(kind):
        if isinstance(one, Failure):
            yield one
            continue
        envelope = one.envelope
        yield Stored(
            one.key,
            envelope.data,
            envelope.schema,
            envelope.revision,
            envelope.saved_at,
            len(one.data),
            one.path,
            one.format,
            one.notes,
            envelope.extra,
        )


def _problem(engine: Engine, stored: Stored) -> Failure | None:
    manager = engine.managers.get(stored.key.kind)
    try:
        if manager is not None and (manager.has_settings or not stored.key.is_settings):
            manager.decode(stored)
    except StateStoreError as error:
        return Failure(stored.key, "verify", error)
    return None


def _strangers(driver: Driver, kind: str) -> list[str]:
    files = driver.record_files
    if files is None:
        return []
    paths = files.strangers(kind)
    names = {path: path.rpartition("/")[2] for path in paths}
    left = set(leftovers(list(names.values())))
    return [
        f"{path}: left by a save that was cut off; it may be removed"
        if name in left
        else f"{path}: no record file, left alone"
        for path, name in names.items()
    ]
