"""Conversion: every record of a store in another format, its content and revision unchanged."""

from __future__ import annotations

import time
from collections.abc import Collection

from statestore.drivers.driver import RecordFiles
from statestore.engine.engine import Engine
from statestore.errors import NotSupported, StateStoreError, UnknownName
from statestore.models.reports import ConvertReport, Failure
from statestore.serializers import get


def convert(engine: Engine, format: str, kinds: Collection[str] | None = None) -> ConvertReport:
    """Rewrite the records of some kinds, or of all, in `format`.

    Each file changes at once or not at all; stopped half way, the store is mixed and loads whole.
    Converting everything makes `format` the one that the store remembers. Converting to a format
    and back gives the same bytes. What cannot be read is left as it is and is in the report.

    Raises:
        UnknownName: there is no such serializer, or no such kind.
        NotSupported: the driver keeps no files.
        StorageError, ReadOnlyStore: nothing more was converted.
    """
    engine.want_no_transaction("convert")
    serializer = get(format)
    files = wanted_files(engine, "conversion")
    known = sorted({*engine.driver.kinds(), *engine.managers})
    for kind in () if kinds is None else kinds:
        if kind not in known:
            raise UnknownName("kind", kind, known)
    items = unchanged = size = 0
    failures: list[Failure] = []
    notes: list[str] = []
    with engine.turn():
        engine.wait_for_commits()
        started = time.monotonic()
        for kind in known if kinds is None else kinds:
            try:
                done = files.rewrite(kind, serializer)
            except StateStoreError as error:
                if kinds is not None:
                    raise
                failures.append(Failure(None, "convert", error))
                continue
            items, unchanged = items + done.items, unchanged + done.unchanged
            size += done.size_bytes
            failures.extend(done.failures)
            notes.extend(done.notes)
        if kinds is None:
            files.use(serializer, remember=True)
        report = ConvertReport(
            path=engine.driver.path,
            format=serializer.name,
            items=items,
            unchanged=unchanged,
            size_bytes=size,
            timestamp=engine.clock(),
            duration_s=time.monotonic() - started,
            failures=tuple(failures),
            notes=tuple(notes),
        )
    engine.finish(report, None, StateStoreError, strict=False)
    return report


def wanted_files(engine: Engine, operation: str) -> RecordFiles:
    """Return the record files of an engine's driver.

    Raises:
        NotSupported: it keeps none.
    """
    files = engine.driver.record_files
    if files is None:
        raise NotSupported(engine.driver.traits.name, operation)
    return files
