"""The engine: plans a save, reads a load, and tells the host."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Any

import attrs

from statestore.drivers.driver import Clock, Driver, utc_now
from statestore.engine.callbacks import Callbacks, Event
from statestore.engine.collecting import collector_paused
from statestore.errors import (
    CallbackFailed,
    CommitRefused,
    LoadFailed,
    NameTaken,
    PartialCommit,
    ReadOnlyStore,
    SaveFailed,
    StateStoreError,
    StoreClosed,
    UnknownName,
)
from statestore.models.changes import Change, Commit, Delete, Stored
from statestore.models.keys import Key
from statestore.models.managed import Loaded, Pending, RecordManager
from statestore.models.reports import Failure, LoadReport, SaveReport


@attrs.frozen
class Outcome:
    """What a commit came to: the commit, what it did not do, and which changes it did."""

    commit: Commit
    failures: tuple[Failure, ...]
    done: tuple[Change, ...]

    @property
    def written(self) -> int:
        """How many records were written."""
        return sum(not isinstance(change, Delete) for change in self.done)

    @property
    def deleted(self) -> int:
        """How many records were removed, of those that were there."""
        return sum(
            isinstance(change, Delete) and change.key in self.commit.revisions
            for change in self.done
        )


@attrs.define
class _Read:
    """What a load has found of one kind."""

    loaded: dict[str, Loaded] = attrs.field(factory=dict)
    unread: set[str] = attrs.field(factory=set)
    size_bytes: int = 0


class Engine:
    """Coordinates the registered managers and a driver. Any thread may use it.

    Saves, loads and whatever else changes the store take turns; callbacks run after a turn has
    ended, so they may use the store.
    """

    def __init__(
        self, driver: Driver, *, save_on_change: bool = False, clock: Clock = utc_now
    ) -> None:
        """Take over `driver`; `close()` closes it."""
        self.driver = driver
        self.callbacks = Callbacks()
        self.clock = clock
        self.last_save_time: datetime | None = None
        self._save_on_change = save_on_change
        self._managers: dict[str, RecordManager] = {}
        self._turn = threading.RLock()
        self._loaded = False
        self._closed = False

    # --- managers ---------------------------------------------------------------------

    @property
    def managers(self) -> Mapping[str, RecordManager]:
        """The registered managers by their kinds, in the order of registration."""
        return dict(self._managers)

    @property
    def is_loaded(self) -> bool:
        """Whether all kinds were loaded at least once."""
        return self._loaded

    @property
    def format(self) -> str:
        """The name of the serializer that the next files are written with."""
        files = self.driver.record_files
        return files.serializer.name if files else self.driver.traits.name

    def register(self, manager: RecordManager, *, read_only: bool) -> None:
        """Take in a manager, and make the place for its records.

        Raises:
            NameTaken: there is a manager of this kind.
            ManagerInUse: it belongs to another store.
            StoreClosed: the store was closed.
        """
        with self.turn():
            if self._closed:
                raise StoreClosed(self.driver.path)
            if manager.kind in self._managers:
                raise NameTaken("manager of the kind", manager.kind)
            on_change = partial(self._save_changed, manager.kind) if self._save_on_change else None
            manager.attach(self, on_change)
            files = self.driver.record_files
            if files is not None and not read_only:
                files.prepare(manager.kind)
            self._managers[manager.kind] = manager

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold off every other save, load and change of the store, in this process."""
        with self._turn:
            yield

    # --- saving -----------------------------------------------------------------------

    def save(self, kinds: Collection[str] | None = None, *, strict: bool = True) -> SaveReport:
        """Make all unsaved changes durable, as one commit, and tell the host.

        What cannot be encoded or is in conflict is left out and stays unsaved.

        Raises:
            SaveFailed: something was left out (only if `strict`); it has the report.
            UnknownName: no manager of such a kind is registered.
            CallbackFailed: a callback raised; the save is complete.
        """
        with self.turn():
            started = time.monotonic()
            managers = self._chosen(kinds)
            pending: dict[Key, Pending] = {}
            failures: list[Failure] = []
            for manager in managers:
                with collector_paused():
                    changes, failed = manager.pending()
                pending.update({one.change.key: one for one in changes})
                failures.extend(failed)
            outcome = self.commit(
                [one.change for one in pending.values()],
                {key: one.expected for key, one in pending.items()},
            )
            for change in outcome.done:
                one = pending[change.key]
                revision = outcome.commit.revisions.get(change.key, one.expected)
                self._managers[change.key.kind].saved(one, revision)
            report = self.save_report(outcome, started, failures)
            event = self._noted(report)
        self.finish(report, event, SaveFailed, strict=strict)
        return report

    def commit(self, changes: Sequence[Change], expect: Mapping[Key, int]) -> Outcome:
        """Commit what can be committed. What the driver refuses is left out and told."""
        rest = {change.key: change for change in changes}
        failures: list[Failure] = []
        while True:
            expected = {key: revision for key, revision in expect.items() if key in rest}
            try:
                commit = self.driver.commit(list(rest.values()), expected)
            except CommitRefused as error:
                refused = _failures(error)
                keys = {failure.key for failure in refused}
                if not keys.intersection(rest):
                    raise
                failures.extend(refused)
                rest = {key: change for key, change in rest.items() if key not in keys}
                continue
            except PartialCommit as error:
                failures.extend(_failures(error))
                keys = {failure.key for failure in _failures(error)}
                rest = {key: change for key, change in rest.items() if key not in keys}
                commit = error.commit
            except (ReadOnlyStore, StoreClosed):
                raise
            except StateStoreError as error:
                # Nothing was written, for a reason that concerns no single record.
                if not rest:
                    raise
                failures.extend(Failure(key, "save", error) for key in rest)
                nothing = Commit(self.driver.sequence, self.clock(), {})
                return Outcome(nothing, tuple(failures), ())
            return Outcome(commit, tuple(failures), tuple(rest.values()))

    def save_report(
        self, outcome: Outcome, started: float, failures: Iterable[Failure] = ()
    ) -> SaveReport:
        """Return the report of a commit that began at `started` on the monotonic clock."""
        return SaveReport(
            path=self.driver.path,
            format=self.format,
            items=outcome.written,
            deleted=outcome.deleted,
            size_bytes=outcome.commit.size_bytes if outcome.done else 0,
            timestamp=outcome.commit.committed_at if outcome.done else self.clock(),
            duration_s=time.monotonic() - started,
            failures=(*failures, *outcome.failures),
            sequence=outcome.commit.sequence,
        )

    def clear(self, kinds: Collection[str] | None = None) -> SaveReport:
        """Remove every record, also those of kinds without a manager, from store and memory.

        What cannot be read is not removed, as nobody knows what it is; it is in the report.

        Raises:
            SaveFailed: some records are still there.
        """
        with self.turn():
            started = time.monotonic()
            changes: list[Change] = []
            failures: list[Failure] = []
            stored = self.driver.kinds()
            for kind in kinds or ():
                if kind not in stored and kind not in self._managers:
                    raise UnknownName("kind", kind, sorted({*stored, *self._managers}))
            for kind in stored if kinds is None else kinds:
                for found in self.driver.scan(kind):
                    if isinstance(found, Failure):
                        failures.append(attrs.evolve(found, operation="delete"))
                    else:
                        changes.append(Delete(found.key))
            outcome = self.commit(changes, {})
            report = self.save_report(outcome, started, failures)
            known = None if kinds is None else [one for one in kinds if one in self._managers]
            self.take_in(known, discard=True)
            event = self._noted(report)
        self.finish(report, event, SaveFailed, strict=True)
        return report

    def _noted(self, report: SaveReport) -> Event[SaveReport] | None:
        """Note the time of a save that was one, and return whom to tell of it."""
        if report.failures and not report.items and not report.deleted:
            return None
        self.last_save_time = max(report.timestamp, self.last_save_time or report.timestamp)
        return self.callbacks.save

    # --- loading ----------------------------------------------------------------------

    def load(
        self,
        kinds: Collection[str] | None = None,
        *,
        strict: bool = False,
        discard: bool = False,
    ) -> LoadReport:
        """Take in all that is stored, and tell the host.

        What cannot be read or does not fit its class stays where it is and is in the report.

        Args:
            discard: drop unsaved changes; without it they stay and are in `report.kept`.
        Raises:
            LoadFailed: something was not loaded (only if `strict`); it has the report.
            UnknownName: no manager of such a kind is registered.
            CallbackFailed: a callback raised; the load is complete.
        """
        report = self.take_in(kinds, discard=discard)
        self.finish(report, self.callbacks.load, LoadFailed, strict=strict)
        return report

    def take_in(self, kinds: Collection[str] | None = None, *, discard: bool) -> LoadReport:
        """Take in all that is stored, without telling the host yet: for use within a turn.

        Args:
            discard: drop unsaved changes; without it they stay and are in `report.kept`.
        """
        with self.turn():
            started = time.monotonic()
            failures: list[Failure] = []
            notes: list[str] = []
            with collector_paused():
                read = self._read(self._chosen(kinds), failures, notes)
            kept = self._adopt(read, discard=discard)
            self._loaded = self._loaded or kinds is None
            return LoadReport(
                path=self.driver.path,
                format=self.format,
                items=sum(len(found.loaded) for found in read.values()),
                size_bytes=sum(found.size_bytes for found in read.values()),
                timestamp=self.clock(),
                duration_s=time.monotonic() - started,
                failures=tuple(failures),
                notes=tuple(notes),
                kept=tuple(kept),
            )

    def _read(
        self, managers: Sequence[RecordManager], failures: list[Failure], notes: list[str]
    ) -> dict[str, _Read]:
        read: dict[str, _Read] = {}
        for manager in managers:
            found = _Read()
            try:
                for one in self.driver.scan(manager.kind):
                    self._take(manager, one, found, failures, notes)
            except StoreClosed:
                raise
            except StateStoreError as error:  # the folder itself: what is in memory stays
                failures.append(Failure(None, "load", error))
            else:
                read[manager.kind] = found
        return read

    def _take(
        self,
        manager: RecordManager,
        one: Stored | Failure,
        found: _Read,
        failures: list[Failure],
        notes: list[str],
    ) -> None:
        if isinstance(one, Failure):
            failures.append(one)
            if one.key is not None:
                found.unread.add(one.key.id)
            return
        notes.extend(one.notes)
        try:
            found.loaded[one.key.id] = manager.decode(one)
        except StateStoreError as error:
            failures.append(Failure(one.key, "load", error))
            found.unread.add(one.key.id)
        else:
            found.size_bytes += one.size_bytes

    def _adopt(self, read: Mapping[str, _Read], *, discard: bool) -> list[Key]:
        kept: list[Key] = []
        for kind, found in read.items():
            unread = found.unread - found.loaded.keys()
            ids = self._managers[kind].adopt(found.loaded, unread=unread, discard=discard)
            kept.extend(Key(kind, id) for id in ids)
        return kept

    # --- both -------------------------------------------------------------------------

    def finish(
        self,
        report: Any,
        event: Event[Any] | None,
        error: Callable[[Any], StateStoreError],
        *,
        strict: bool,
    ) -> None:
        """Tell the host of an operation, then raise `error` if it failed in part and is `strict`.

        Raises:
            CallbackFailed: a callback raised, and nothing else went wrong.
        """
        raised = self.callbacks.tell(report.failures, event, report)
        if report.failures and strict:
            failed = error(report)
            for one in raised:
                failed.add_note(f"a callback raised {type(one).__name__}: {one}")
            raise failed
        if raised:
            raise CallbackFailed("host's", raised)

    def close(self) -> None:
        """Close the driver. Twice is harmless."""
        with self.turn():
            self._closed = True
            for manager in self._managers.values():
                manager.detach(self.driver.path)
            self.driver.close()

    def _save_changed(self, kind: str, ids: Set[str]) -> None:
        """Save after an operation, with what could not be saved before; judge by its own ids."""
        report = self.save({kind}, strict=False)
        if any(one.key is None or one.key.id in ids for one in report.failures):
            raise SaveFailed(report)

    def _chosen(self, kinds: Collection[str] | None) -> list[RecordManager]:
        if kinds is None:
            return list(self._managers.values())
        for kind in kinds:
            if kind not in self._managers:
                raise UnknownName("manager", kind, self._managers)
        return [self._managers[kind] for kind in kinds]


def _failures(error: CommitRefused | PartialCommit) -> list[Failure]:
    return [failure for failure in error.failures if isinstance(failure, Failure)]
