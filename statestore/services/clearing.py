"""Clearing: every record of some kinds removed, from memory and from the store."""

from __future__ import annotations

import time
from collections.abc import Collection

import attrs

from statestore.engine.engine import Engine
from statestore.errors import SaveFailed, UnknownName
from statestore.models.changes import Change, Delete
from statestore.models.reports import Failure, SaveReport


def clear(engine: Engine, kinds: Collection[str] | None = None) -> SaveReport:
    """Remove every record of some kinds, or of all, also of those without a manager.

    It is one commit. Records that others change meanwhile are removed, those that they make stay,
    also where one transaction has made some and changed others. What cannot be read is not removed,
    as nobody knows what it is; it is in the report. What managers remember beside their records
    (limits) stays.

    Raises:
        UnknownName: there is no such kind.
        SaveFailed: some records are still there.
    """
    engine.want_no_transaction("clear")
    driver, managers = engine.driver, engine.record_managers
    with engine.turn():
        started = time.monotonic()
        engine.wait_for_commits()
        changes: list[Change] = []
        failures: list[Failure] = []
        stored = driver.kinds()
        for kind in kinds or ():
            if kind not in stored and kind not in managers:
                raise UnknownName("kind", kind, sorted({*stored, *managers}))
        for kind in stored if kinds is None else kinds:
            for found in driver.scan(kind):
                if isinstance(found, Failure):
                    failures.append(attrs.evolve(found, operation="delete"))
                elif not found.key.is_settings:
                    changes.append(Delete(found.key))
        outcome = engine.commit(changes, {})
        report = engine.save_report(outcome, started, failures)
        known = None if kinds is None else [one for one in kinds if one in managers]
        engine.take_in(known, discard=True, tell=True)
        event = engine.noted(report)
    engine.finish(report, event, SaveFailed, strict=True)
    return report
