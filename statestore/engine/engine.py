"""The engine: plans a save, reads a load, and tells the host."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from functools import partial
from typing import Any

from statestore import forks
from statestore.drivers.driver import Clock, Driver, utc_now
from statestore.engine.callbacks import Callbacks, Event
from statestore.engine.collecting import collect_again
from statestore.engine.flights import Flights
from statestore.engine.intake import Intake
from statestore.engine.listening import Listening, names_of
from statestore.engine.publishing import Publisher, Spaces
from statestore.engine.queueing import submit_to
from statestore.engine.refreshing import Refresher
from statestore.engine.saving import Outcome, Saver
from statestore.engine.settling import Settler
from statestore.errors import (
    CallbackFailed,
    ConfigurationError,
    Conflict,
    FilesBehind,
    InTransaction,
    LoadFailed,
    NameTaken,
    SaveFailed,
    StateStoreError,
    StoreClosed,
    StoreForked,
    TransactionFailed,
    UnknownName,
)
from statestore.models.changes import Change
from statestore.models.events import RecordEvent
from statestore.models.handles import Handle
from statestore.models.keys import Key, Revision
from statestore.models.managed import Loaded, Pending, RecordManager, Runs
from statestore.models.reports import Failure, LoadReport, SaveReport
from statestore.models.workspaces import Workspace
from statestore.records.scopes import INNERMOST, scope_of
from statestore.records.telling import Telling


class Engine:
    """Coordinates the registered managers and a driver. Any thread may use it.

    Plans of saves, and loads and whatever else changes the store, take turns. A save waits for its
    commit outside of its turn, so that those of many threads are made together. Callbacks run after
    a turn has ended, so they may use the store.
    """

    def __init__(
        self,
        driver: Driver,
        *,
        save_on_change: bool = False,
        clock: Clock = utc_now,
        policy: str = "error",
    ) -> None:
        """Take over `driver`; `close()` closes it.

        Args:
            policy: what is done about conflicts where a call does not say. See `Settler`.
        """
        self.driver = driver
        self.callbacks = Callbacks()
        self._telling = Telling(self._report_listener)
        self._listeners: list[Listening] = []
        self.clock = clock
        self.last_save_time: datetime | None = None
        self._save_on_change = save_on_change
        self._managers: dict[str, RecordManager] = {}
        self._policy = policy
        self._begin()
        self._loaded = False
        self._closed = False
        if driver.record_files is not None:
            driver.record_files.watch(self._trouble)
        forks.note(self)

    def _begin(self) -> None:
        """Begin with nobody at work."""
        # The lock itself, and only ever used by `with`: an interruption cannot leave it behind.
        self._turn = threading.RLock()
        self.flights = Flights(submit_to(self.driver), self._turn, self._book)
        refresher = Refresher(self.driver, self._managers, self.flights)
        settler = Settler(self._managers, refresher, self._turn)
        self._saver = Saver(self.flights, self._turn, settler)
        self._publisher = Publisher(self.flights, self._turn, settler, self.callbacks.tell)
        self._intake = Intake(
            self.driver, self._managers, self.flights, self._turn, refresher, settler,
            clock=self.clock, format=lambda: self.format,
        )  # fmt: skip

    # --- managers ---------------------------------------------------------------------

    @property
    def managers(self) -> Mapping[str, RecordManager]:
        """The registered managers by their kinds, in the order of registration."""
        return dict(self._managers)

    @property
    def record_managers(self) -> Mapping[str, RecordManager]:
        """The registered managers, not copied."""
        return self._managers

    @property
    def path(self) -> str:
        """See `Driver.path`."""
        return self.driver.path

    @property
    def run(self) -> str:
        """See `Driver.run`."""
        return self.driver.run

    @property
    def runs(self) -> Runs:
        """See `Driver.runs`."""
        return self.driver.runs

    @property
    def is_loaded(self) -> bool:
        """Whether all kinds were loaded at least once."""
        return self._loaded

    def knows(self, kind: str) -> bool:
        """Say whether a kind was ever loaded: then its manager is to hold what is stored."""
        return self._intake.knows(kind)

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
            InTransaction: this code is in one.
        """
        self.want_no_transaction("register a manager")
        with self._turn:
            if self._closed:
                raise StoreClosed(self.driver.path)
            if manager.kind in self._managers:
                raise NameTaken("manager of the kind", manager.kind)
            on_change = partial(self._save_changed, manager) if self._save_on_change else None
            manager.attach(self, on_change)
            files = self.driver.record_files
            if files is not None and not read_only:
                files.prepare(manager.kind)
            self._managers[manager.kind] = manager
            for one in self._listeners:
                one.listen(manager)

    def turn(self) -> AbstractContextManager[Any]:
        """Return the lock that holds off every other plan, load and change of the store.

        In this process. What was planned before may land meanwhile: see `wait_for_commits`.
        """
        return self._turn

    def wait_for_commits(self) -> None:
        """Return when no commit is on its way. Within a turn none sets out any more."""
        self.flights.wait_for_all()

    def want_no_transaction(self, operation: str) -> None:
        """Make sure that this code is not in a transaction of the store.

        Raises:
            InTransaction: it is.
        """
        if INNERMOST.get() is not None and scope_of(self) is not None:
            raise InTransaction(operation)

    # --- saving -----------------------------------------------------------------------

    def save(
        self,
        kinds: Collection[str] | None = None,
        *,
        strict: bool = True,
        policy: str | None = None,
    ) -> SaveReport:
        """Make all unsaved changes durable, as one commit, and tell the host.

        What cannot be encoded or is in conflict is left out and stays unsaved. What others are
        just committing is waited for.

        Args:
            policy: what is done about conflicts; by default what the engine does.
        Raises:
            SaveFailed: something was left out (only if `strict`); it has the report.
            UnknownName: no manager of such a kind is registered.
            CallbackFailed: a callback raised; the save is complete.
            InTransaction: this code is in one.
        """
        self.want_no_transaction("save")
        return self._save(self._chosen(kinds), None, strict=strict, policy=policy)

    def _save(
        self,
        managers: Sequence[RecordManager],
        only: Collection[str] | None,
        *,
        strict: bool,
        policy: str | None = None,
    ) -> SaveReport:
        started = time.monotonic()
        outcome = self._saver.save(managers, only, policy=policy or self._policy)
        report = self.save_report(outcome, started)
        self.tell_of_save(report, strict=strict)
        return report

    def save_unsaved(self) -> SaveReport | None:
        """Do as `save`, but tell nobody yet: that is for `tell_of_save`. None: all was saved."""
        started = time.monotonic()
        managers = list(self._managers.values())
        outcome = self._saver.save(managers, policy=self._policy, if_any=True)
        if not (outcome.written or outcome.deleted or outcome.failures or outcome.resolved):
            return None
        return self.save_report(outcome, started)

    def tell_of_save(
        self,
        report: SaveReport,
        *,
        strict: bool = True,
        failures: Sequence[Failure] | None = None,
    ) -> None:
        """Note when it was, and tell the host. See `finish`."""
        self._write_files(report.items + report.deleted)
        self.finish(report, self.noted(report), SaveFailed, strict=strict, failures=failures)

    def publish(self, spaces: Spaces, policy: str | None = None) -> None:
        """Commit what was written apart, show it to everybody, and tell the host.

        Raises:
            TransactionFailed: nothing of it is in memory or in the store; it says why.
            CallbackFailed: a callback raised; it is made.
            StateStoreError: it concerns the store as a whole. See `Publisher.publish`.
        """
        started = time.monotonic()
        outcome = self._publisher.publish(spaces, policy or self._policy)
        if outcome.written or outcome.deleted:
            self.tell_of_save(self.save_report(outcome, started))

    def renew(self, kind: str, id: str, policy: str | None = None) -> None:
        """See `Owner.renew`."""
        self._intake.renew(Key(kind, id), policy or self._policy)

    def newest(self, kind: str, id: str) -> Loaded | None:
        """See `Owner.newest`."""
        return self._intake.newest(Key(kind, id))

    def exchange(self, kind: str, workspace: Workspace[Any]) -> Conflict | None:
        """See `Owner.exchange`."""
        try:
            with self._telling_trouble():
                self.publish([(self._managers[kind], workspace)], "never")
        except TransactionFailed as failed:
            error = next(iter(failed.failures)).error
            if not isinstance(error, Conflict):
                raise error from failed
            return error
        return None

    def commit(
        self,
        changes: Sequence[Change],
        expect: Mapping[Key, int],
        renew: Callable[[Key], tuple[Change | None, Revision]] | None = None,
    ) -> Outcome:
        """Commit what can be committed. What the driver refuses is left out and told.

        Args:
            renew: see `Saver.commit`.
        """
        outcome = self._saver.commit(changes, expect, renew)
        self._write_files(outcome.written + outcome.deleted)
        return outcome

    def _write_files(self, count: int) -> None:
        """Wait for the files of a commit, where the driver is to have them written at once."""
        if not count or not self.driver.traits.files_at_once:
            return
        try:
            self.driver.flush()
        except FilesBehind as error:  # the commit is made all the same
            for failure in error.failures:
                if isinstance(failure, Failure):
                    self._trouble(failure)
        except StateStoreError as error:  # likewise: who were told that it failed would repeat it
            self._trouble(Failure(None, "materialise", error))

    def _trouble(self, failure: Failure) -> None:
        """Tell the host of what goes wrong while nobody waits for it."""
        self.callbacks.tell([failure])

    def save_report(
        self, outcome: Outcome, started: float, failures: Iterable[Failure] = ()
    ) -> SaveReport:
        """Return the report of commits that began at `started` on the monotonic clock."""
        failed = {one.key for one in outcome.failures}
        # One that was settled may have been overtaken again, or not be stored in the end.
        resolved = {one.key: one for one in outcome.resolved if one.key not in failed}
        sequence = self.driver.sequence if outcome.sequence is None else outcome.sequence
        return SaveReport(
            path=self.driver.path,
            format=self.format,
            items=outcome.written,
            deleted=outcome.deleted,
            size_bytes=outcome.size_bytes,
            timestamp=outcome.committed_at or self.clock(),
            duration_s=time.monotonic() - started,
            failures=(*failures, *outcome.failures),
            sequence=sequence,
            resolved=tuple(resolved.values()),
        )

    def noted(self, report: SaveReport) -> Event[SaveReport] | None:
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
            InTransaction: this code is in one.
        """
        self.want_no_transaction("load")
        report = self.take_in(kinds, discard=discard)
        self.finish(report, self.callbacks.load, LoadFailed, strict=strict)
        return report

    def take_in(
        self, kinds: Collection[str] | None = None, *, discard: bool, tell: bool = False
    ) -> LoadReport:
        """Take in all that is stored, without telling the host yet: for use within a turn.

        Args:
            discard: drop unsaved changes; without it they stay and are in `report.kept`.
            tell: let listeners be told what has become of each record, as this is why.
        """
        with self._turn:
            before = [(one, one.known_now()) for one in self._chosen(kinds) if tell]
            report = self._intake.load([one.kind for one in self._chosen(kinds)], discard=discard)
            self._loaded = self._loaded or kinds is None
            for manager, known in before:
                manager.note_since(known)
            return report

    def refresh(self, kind: str | None = None) -> LoadReport:
        """Take in what others have committed since the last look, and tell the host of it.

        Unsaved changes stay, and are in `report.kept`. Kinds that were never loaded are loaded.

        Args:
            kind: only what concerns this one; by default all.

        Raises:
            CallbackFailed: a callback raised; the refresh is complete.
            InTransaction: this code is in one.
        """
        self.want_no_transaction("refresh")
        report = self._intake.refresh(None if kind is None else [kind])
        if report is None:
            self._telling.tell(self._managers.values())  # of what was taken in one by one
            return LoadReport(
                path=self.driver.path,
                format=self.format,
                items=0,
                size_bytes=0,
                timestamp=self.clock(),
                duration_s=0.0,
            )
        event = self.callbacks.load if report.items or report.deleted else None
        for change in report.changes:
            self._managers[change.key.kind].note_theirs(change)
        self.finish(report, event, LoadFailed, strict=False)
        return report

    # --- both -------------------------------------------------------------------------

    def finish(
        self,
        report: Any,
        event: Event[Any] | None,
        error: Callable[[Any], StateStoreError],
        *,
        strict: bool,
        failures: Sequence[Failure] | None = None,
    ) -> None:
        """Tell the host of an operation, then raise `error` if it failed in part and is `strict`.

        Listeners are told of all that is durable by now, whoever committed it.

        Args:
            failures: those of its failures that the host does not know yet; by default all.
        Raises:
            CallbackFailed: a callback raised, and nothing else went wrong.
        """
        told = report.failures if failures is None else failures
        raised = self.callbacks.tell(told, event, report)
        self._telling.tell(self._managers.values())
        if report.failures and strict:
            failed = error(report)
            for one in raised:
                failed.add_note(f"a callback raised {type(one).__name__}: {one}")
            raise failed
        if raised:
            raise CallbackFailed("host's", raised)

    def listen(
        self,
        name: str,
        listener: Callable[[RecordEvent[Any]], object],
        *,
        kind: str | None = None,
        id: str | None = None,
    ) -> Handle:
        """Call `listener` with what becomes of records of all managers, of those to come, too.

        Raises:
            UnknownName: no manager of this kind, or none at all, knows such an event.
            ConfigurationError: the listener cannot be called.
        """
        if not callable(listener):
            raise ConfigurationError("listener", "takes a function of one event")
        one = Listening(name, listener, kind=kind, id=id)
        with self._turn:
            chosen = self._chosen(None if kind is None else [kind])
            heard = [one.listen(manager) for manager in chosen]
            if not any(heard):
                raise UnknownName("event", name, (*names_of(chosen), "*"))
            self._listeners.append(one)

        def cancel() -> None:
            one.cancel()
            with self._turn:
                self._listeners = [other for other in self._listeners if other is not one]

        return Handle(cancel)

    def _report_listener(self, failure: Failure) -> bool:
        """Tell the host of a listener that failed; say whether anybody was there to be told."""
        is_heard = self.callbacks.error.is_heard
        self._trouble(failure)
        return is_heard

    def close(self) -> None:
        """Close the driver. Twice is harmless."""
        with self._turn:
            self._closed = True
            for manager in self._managers.values():
                manager.detach(self.driver.path)
            self.driver.close()

    def after_fork(self) -> None:
        """Go on in a child: no commit is on its way, and nobody has the turn."""
        left = self.flights
        self._begin()
        left.leave_to_parent(StoreForked(self.driver.path))
        self.callbacks.after_fork()
        collect_again()

    def _save_changed(self, manager: RecordManager, ids: Set[str]) -> None:
        """Save after an operation, with what could not be saved before; judge by its own ids."""
        with self._telling_trouble():
            report = self._save((manager,), ids, strict=False)
        if any(one.key is None or one.key.id in ids for one in report.failures):
            raise SaveFailed(report)

    @contextmanager
    def _telling_trouble(self) -> Iterator[None]:
        """Tell the host of an error that concerns the store as a whole: nobody else does."""
        try:
            yield
        except (CallbackFailed, TransactionFailed):
            raise
        except StateStoreError as error:
            self._trouble(Failure(None, "save", error))
            raise

    def _book(self, pending: Pending, revision: Revision) -> None:
        self._managers[pending.change.key.kind].saved(pending, revision)

    def _chosen(self, kinds: Collection[str] | None) -> list[RecordManager]:
        if kinds is None:
            return list(self._managers.values())
        for kind in kinds:
            if kind not in self._managers:
                raise UnknownName("manager", kind, self._managers)
        return [self._managers[kind] for kind in kinds]
