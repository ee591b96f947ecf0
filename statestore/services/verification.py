"""Verification: every file of a store read, and every fault in it named."""

from __future__ import annotations

import time

import attrs

from statestore.drivers.driver import Driver
from statestore.drivers.kind_folder import leftovers
from statestore.engine.engine import Engine
from statestore.errors import StateStoreError
from statestore.models.changes import Stored
from statestore.models.reports import Failure, VerifyReport


def verify(engine: Engine) -> VerifyReport:
    """Read every record of a store, also of kinds without a manager, and report what is wrong.

    Checked: the bytes are a whole document, an envelope of the folder's kind, the id is the one
    that the name says, the document fits the class of its manager where one is registered. Nothing
    is changed. Files that are no records are named in the notes.
    """
    failures: list[Failure] = []
    notes: list[str] = []
    items = size = 0
    with engine.turn():
        started = time.monotonic()
        for kind in sorted({*engine.driver.kinds(), *engine.managers}):
            try:
                for one in engine.driver.scan(kind):
                    if isinstance(one, Failure):
                        failures.append(attrs.evolve(one, operation="verify"))
                        continue
                    notes.extend(one.notes)
                    problem = _problem(engine, one)
                    if problem is None:
                        items, size = items + 1, size + one.size_bytes
                    else:
                        failures.append(problem)
                notes.extend(_strangers(engine.driver, kind))
            except StateStoreError as error:  # the folder itself
                failures.append(Failure(None, "verify", error))
        report = VerifyReport(
            path=engine.driver.path,
            format=engine.format,
            items=items,
            size_bytes=size,
            timestamp=engine.clock(),
            duration_s=time.monotonic() - started,
            failures=tuple(failures),
            notes=tuple(notes),
        )
    engine.finish(report, None, StateStoreError, strict=False)
    return report


def _problem(engine: Engine, stored: Stored) -> Failure | None:
    manager = engine.managers.get(stored.key.kind)
    try:
        if manager is not None:
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
