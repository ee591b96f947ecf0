"""The front door: `Store`."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, NoReturn, TypeVar

from statestore.drivers.driver import utc_now
from statestore.engine.configuration import read_configuration
from statestore.engine.engine import Engine
from statestore.engine.opening import folder_of, open_driver
from statestore.engine.transactions import Transaction
from statestore.errors import (
    ConfigurationError,
    FilesBehind,
    InvalidId,
    NotPicklable,
    RecordNotFound,
    StoreClosed,
)
from statestore.managers.manager import Manager
from statestore.models.changes import Commit, Stored
from statestore.models.configuration import (
    CONFLICT_POLICIES,
    Configuration,
    checked_autosave,
    checked_interval,
)
from statestore.models.events import RecordEvent
from statestore.models.handles import Handle
from statestore.models.keys import SETTINGS_NAME, Key, check_key, settings_key
from statestore.models.reports import (
    BackupReport,
    BringBackReport,
    ConvertReport,
    Failure,
    ImportReport,
    LoadReport,
    RecoverReport,
    RestoreReport,
    SaveReport,
    VerifyReport,
)
from statestore.serializers import get, names, register
from statestore.serializers.serializer import Serializer
from statestore.services import backup as backups
from statestore.services import (
    clearing,
    conversion,
    history,
    importing,
    recovery,
    snapshots,
    statistics,
    verification,
    whereabouts,
)
from statestore.services import restore as restoring
from statestore.services.autosaving import Autosaving
from statestore.services.snapshots import Snapshot
from statestore.services.watching import Watch

M = TypeVar("M", bound=Manager[Any])

_SOURCE_LIMIT = 200


class Store:
    """Keeps the records of the managers that are registered with it.

    Any thread may use it. Records live in memory; `save_all()` makes their changes durable. All
    methods raise descendants of `StateStoreError`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        autosave: str | float | timedelta | None = None,
        read_only: bool = False,
        format: str | None = None,
        *,
        config: str | os.PathLike[str] | None = None,
        allow_unsafe: bool = False,
        on_conflict: str | None = None,
        source: str = "commit",
        lock_timeout_s: float | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """Open the store at `path`; make it if it is missing.

        Args:
            path: a folder, or a URL: "memory:" keeps everything in memory; other schemes are those
                of registered drivers.
            autosave: "manual": changes are durable after `save_all()`. "on-change": each operation
                of a manager is durable when it returns. A number of seconds, or a `timedelta`: what
                is unsaved is saved in the background, see `enable_autosave`; a store that is
                `read_only` has nothing to save and takes no notice. By default what
                `statestore.toml` says, else "manual".
            read_only: change nothing on disk, not even to make the store.
            format: the serializer to write with in this process; by default the one that the store
                remembers, json for a new one.
            config: read this file instead of the store's own `statestore.toml`.
            on_conflict: what a save does with a record that others have changed since it was read.
                "error": it stays unsaved, with a `Conflict`. "mine": it is saved over theirs.
                "theirs": theirs takes its place. "merge": both are merged, see `Manager`; what
                contradicts stays unsaved. What only adds items, such as messages, is added to what
                is stored in every case. By default what `statestore.toml` says, else "error".
            source: who asks for the commits of this opening, as the history and `RecordChange` tell
                it: the name of an agent or of a program, up to 200 characters. "external" is kept
                for what people have made of files.
            allow_unsafe: open it although other users could write to it, or its file system does
                not keep processes apart.
            lock_timeout_s: how many seconds to wait for a lock that another process has before
                `LockTimeout` is raised; by default what `statestore.toml` says, else 30.
            clock: what tells the time, aware.
        Raises:
            StoreNotFound: `read_only`, and there is no store.
            ConfigurationError, UnknownName: a setting or a format that cannot be used.
            LockTimeout: another process holds it for too long.
            UnsafeStore, UnsafeFilesystem, NewerLayout, CorruptStore, StorageError, UnsafeFile: it
                cannot be opened.
        """
        self._read_only = read_only
        _checked_path(path, "the path of the store")
        _check_source(source)
        folder = folder_of(path)
        self._configuration = read_configuration(folder, os.fspath(config) if config else None)
        mode = self._configuration.autosave if autosave is None else checked_autosave(autosave)
        policy = _checked_policy(on_conflict) or self._configuration.on_conflict
        driver = open_driver(
            path,
            configuration=self._configuration,
            format=format,
            read_only=read_only,
            allow_unsafe=allow_unsafe,
            clock=clock,
            source=source,
            lock_timeout_s=lock_timeout_s,
        )
        save_on_change = mode == "on-change"
        self._engine = Engine(driver, save_on_change=save_on_change, clock=clock, policy=policy)
        self._managers: dict[str, Manager[Any]] = {}
        self._closed = False
        self._watches: deque[Watch | None] = deque()
        self._autosaving = Autosaving(self._engine, read_only=read_only)
        if isinstance(mode, float) and not read_only:
            self._autosaving.enable(mode)

    # --- managers ---------------------------------------------------------------------

    def register(self, manager: M) -> M:
        """Coordinate a manager from now on, and return it.

        After a `load_all()` its records are loaded at once.

        Raises:
            NameTaken: there is a manager of its kind already.
            ManagerInUse: it is, or was, registered with another store.
            CallbackFailed: a callback raised that was told of the load; it is registered.
        """
        self._engine.register(manager, read_only=self._read_only)
        self._managers[manager.kind] = manager
        if self._engine.is_loaded:
            self._engine.load({manager.kind})
        return manager

    @property
    def managers(self) -> Mapping[str, Manager[Any]]:
        """The registered managers by their kinds."""
        return dict(self._managers)

    # --- saving and loading -----------------------------------------------------------

    def save_all(self, *, strict: bool = True, on_conflict: str | None = None) -> SaveReport:
        """Make all unsaved changes durable, as one commit; durable when it returns.

        Args:
            strict: raise if something could not be saved; else the report tells.
            on_conflict: what to do with records that others have changed, too: "error", "mine",
                "theirs" or "merge"; by default what the store does. `report.resolved` tells of it.
        Raises:
            SaveFailed: some records were not saved. They stay unsaved, the others are durable.
            LockTimeout, StoreReplaced, ReadOnlyStore, StoreClosed: nothing was saved.
            CallbackFailed: a callback raised; the save is complete.
        """
        return self._engine.save(strict=strict, policy=_checked_policy(on_conflict))

    def save(self, kind: str, *, strict: bool = True, on_conflict: str | None = None) -> SaveReport:
        """Make the unsaved changes of one kind durable. See `save_all`.

        Raises:
            UnknownName: no manager of this kind is registered.
        """
        return self._engine.save({kind}, strict=strict, policy=_checked_policy(on_conflict))

    def load_all(self, *, strict: bool = False, discard: bool = False) -> LoadReport:
        """Fill the registered managers with what is stored, whatever format it is in.

        What cannot be read stays in its place and is in the report. Unsaved changes stay and are in
        `report.kept`.

        Args:
            strict: raise if something could not be loaded.
            discard: drop unsaved changes instead of keeping them.
        Raises:
            LoadFailed: some records were not loaded, and `strict`; the others are.
        """
        return self._engine.load(strict=strict, discard=discard)

    def load(self, kind: str, *, strict: bool = False, discard: bool = False) -> LoadReport:
        """Fill the manager of one kind with what is stored. See `load_all`.

        Raises:
            UnknownName: no manager of this kind is registered.
        """
        return self._engine.load({kind}, strict=strict, discard=discard)

    def refresh(self) -> LoadReport:
        """Take in what others have committed since the last load or refresh.

        It costs what they have changed; a few microseconds where they have not. All that is new is
        taken in at once, kind by kind, as one commit has left it. Records with unsaved changes stay
        as they are and are in `report.kept`; saving them meets a `Conflict`. `report.changes` tells
        what became of which record, by whom. `on_load` is called where something has changed. It
        waits for no writer. Kinds that were never loaded are loaded whole, and then nothing of them
        is in `report.changes`.

        Raises:
            StoreReplaced: the folder of the store is not the one any more that was opened.
            StateStoreError: what is stored cannot be read.
        """
        return self._engine.refresh()

    def watch(self, interval_s: float = 0.05) -> Handle:
        """Refresh in the background from now on, until the handle is cancelled or the store closed.

        A thread looks every `interval_s` seconds whether others have committed something, which
        costs a few microseconds. `on_load` is called on that thread, and so is `on_error`, once for
        each trouble that stops it from refreshing until it is over. A second call takes the place
        of the first. It does not go on in a forked child.

        Raises:
            ConfigurationError: the interval is no number of seconds above 0, up to 86,400.
            StoreClosed: as it says.
        """
        chosen_s = checked_interval(interval_s, "interval_s")
        if self._closed:
            raise StoreClosed(self.path)
        watch = Watch(self._engine, chosen_s)
        self._watch_by(watch)
        return Handle(watch.stop)

    def _watch_by(self, watch: Watch | None) -> None:
        """Let one watch, or none, go on alone. Without a lock: a fork could leave it held."""
        watches = self._watches
        watches.append(watch)
        with contextlib.suppress(IndexError):  # another thread has the last one in its hands
            while True:
                before = watches.popleft()
                if not watches:
                    watches.append(before)
                    return
                if before is not None:
                    before.stop()

    def clear(self, kind: str | None = None) -> SaveReport:
        """Remove all records, or those of one kind, from memory and from the store, for good.

        Kinds without a manager are cleared too. What cannot be read is not removed.

        Raises:
            UnknownName: there is no such kind, neither stored nor with a manager.
            SaveFailed: some records are still there.
        """
        return clearing.clear(self._engine, None if kind is None else {kind})

    def transaction(self, *, on_conflict: str | None = None) -> Transaction:
        """Return a block whose changes are made wholly or not at all, in memory and in the store.

            with store.transaction():
                ...

        Within it managers show and change the transaction's own state; others see the old one
        until all of it is durable, when the block is left. An exception undoes the block. Blocks
        nest: an inner one is undone alone where its exception is caught in the outer one. What was
        unsaved before and is not written in it stays unsaved. It belongs to its thread or asyncio
        task.

        Args:
            on_conflict: what to do with records that others have changed meanwhile: "error",
                "mine" or "merge" ("theirs" is as "error", as nothing of a transaction can be given
                up); by default what the store does. What only adds items is always added.
        Raises:
            NotSupported: the store cannot make several changes at once.
            TransactionFailed: at the end of the block: a record was changed by somebody else
                meanwhile, or something cannot be stored. Nothing of it is in memory or stored.
        """
        return Transaction(self._engine, _checked_policy(on_conflict))

    @property
    def last_save_time(self) -> datetime | None:
        """When this process last saved without a failure or wrote something; None before that."""
        return self._engine.last_save_time

    @property
    def unsaved(self) -> tuple[Key, ...]:
        """The keys of all unsaved changes, deletions among them."""
        managers = self._managers.values()
        return tuple(Key(manager.kind, id) for manager in managers for id in manager.unsaved)

    def flush(self) -> None:
        """Return when all record files are up to date with what was saved.

        Raises:
            FilesBehind, LockTimeout, StorageError: they are not; what was saved is safe all the
                same.
        """
        self._engine.driver.flush()

    # --- autosave ---------------------------------------------------------------------

    def enable_autosave(self, interval_s: float | timedelta) -> None:
        """Save what is unsaved in the background from now on, each time after `interval_s`.

        A thread does what `save_all(strict=False)` does, `interval_s` seconds after this call and
        after each time. Where nothing is unsaved it commits nothing and tells nobody, which costs
        microseconds; records of classes that can change are all encoded to find that out. An open
        transaction is not touched: what it writes is saved by its own end.

        `on_save` is called on that thread, and so is `on_error`: once for each record and cause,
        and again only when it had been over in between. What could not be saved stays unsaved and
        is tried each time; what a callback raises is told to `on_error` and ends nothing.

        A second call takes the place of the first, with its interval; it waits for a save under
        way, except in a callback. In a store of "on-change" it tries again what failed before.
        It ends with the store and keeps no process alive: a process that ends without `close()`
        loses what was changed since the last time. It does not go on in a forked child.

        Args:
            interval_s: a number of seconds, or a `timedelta`; above 0, at most 86,400 seconds. What
                is below a millisecond is a millisecond.
        Raises:
            ConfigurationError: the interval is none of that; what was on stays on.
            ReadOnlyStore, StoreClosed: as they say.
        """
        self._autosaving.enable(interval_s)

    def disable_autosave(self) -> None:
        """Save in the background no more, but once more now what is unsaved. Twice is harmless.

        It waits for a save under way, except in a callback, and then makes durable, or raises, all
        that was changed before the call. Where autosave is off it does nothing at all.

        Raises:
            SaveFailed: some records were not saved. They stay unsaved, the others are durable;
                autosave is off.
            LockTimeout, StoreReplaced: nothing was saved; autosave is off.
            CallbackFailed: a callback raised; the save is complete, and autosave is off.
            InTransaction: this code is in one; autosave goes on.
        """
        self._autosaving.disable()

    @property
    def autosave_interval_s(self) -> float | None:
        """How many seconds after each save in the background the next one begins; None: it is off.

        It is off in a store that saves by hand or "on-change", in one that is read-only or closed,
        and in a forked child, until `enable_autosave` is called.
        """
        return self._autosaving.interval_s

    # --- formats ----------------------------------------------------------------------

    @property
    def format(self) -> str:
        """The name of the serializer that the next files are written with."""
        return self._engine.format

    def set_serializer(self, serializer: str | Serializer, *, remember: bool = False) -> None:
        """Write the next files, in this process, with another serializer.

        A record that is saved moves to its new file; the others stay as they are and load as well.

        Args:
            serializer: a registered name, or an object, which is registered if it is not yet.
            remember: make it the format that the store remembers for later openings.
        Raises:
            UnknownName: there is no such serializer.
            NameTaken: another serializer has the name of this object.
            NotSupported: the store keeps no files.
        """
        if isinstance(serializer, str):
            chosen = get(serializer)
        else:
            chosen = serializer
            if chosen.name not in names() or get(chosen.name) is not chosen:
                register(chosen)
        conversion.wanted_files(self._engine, "formats").use(chosen, remember=remember)

    def convert(self, format: str, kinds: str | Sequence[str] | None = None) -> ConvertReport:
        """Rewrite all records, or those of some kinds, in another format; nothing else changes.

        Converting everything makes it the format that the store remembers. Unsaved changes stay
        unsaved. What cannot be read is left as it is and is in the report.

        Raises:
            UnknownName: there is no such serializer.
            NotSupported: the store keeps no files.
            StorageError, ReadOnlyStore: what was not converted is as it was.
        """
        chosen = [kinds] if isinstance(kinds, str) else kinds
        return conversion.convert(self._engine, format, chosen)

    # --- backup and restore -----------------------------------------------------------

    @property
    def backups_path(self) -> str:
        """The folder of this store's backups."""
        files = self._engine.driver.record_files
        return os.path.join(files.path if files else os.getcwd(), self._configuration.backups)

    def backup(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        name: str = backups.DEFAULT_NAME,
        save: bool = True,
    ) -> BackupReport:
        """Copy all records into a new folder, which is there only when it is complete.

        Args:
            path: the new folder; by default one in `backups_path`.
            name: what that one is named, a template for the time in UTC: "daily-%Y-%m-%d".
            save: save what is unsaved first, so that the backup has it.
        Raises:
            SaveFailed: something could not be saved; no backup was made.
            BackupExists: something is at `path`.
            ConfigurationError: `path` is inside of the store, and not in its folder of backups; or
                is missing where the store has no folder; or `name` makes no name of a folder.
            StorageError: the system refused; nothing is left at `path`.
        """
        self._engine.want_no_transaction("back up")
        if save and not self._read_only:
            self.save_all()
        if path is None and self._engine.driver.record_files is None:
            reason = "this store has no folder; name one for the backup"
            raise ConfigurationError("the path of the backup", reason)
        target = None if path is None else _checked_path(path, "the path of the backup")
        return backups.backup(self._engine, target, backups=self.backups_path, name=name)

    def restore(self, path: str | os.PathLike[str]) -> RestoreReport:
        """Make the store, and the registered managers, hold exactly what a backup holds.

        The whole backup is proved good first. Unsaved changes are dropped. The format of the store
        stays.

        Raises:
            BackupNotFound, InvalidBackup: there is no whole backup; nothing was changed.
            SaveFailed: a part could not be written; repeat it when the cause is gone.
        """
        return restoring.restore(self._engine, _checked_path(path, "the path of the backup"))

    # --- looking ----------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Return all live records as they are at one moment, with figures of them.

        Unsaved changes are in it. A transaction, or what was taken in of others, is in it wholly or
        not at all; within a transaction it has what that one sees. What others have committed since
        the last load or refresh is not in it: it shows memory. It waits for commits on their way.

        Raises:
            EncodeError: a record of a class that can change cannot be copied.
        """
        return snapshots.take(self._engine, self._managers)

    def path_of(self, key: str | Key) -> str:
        """Return the absolute path of the file that holds a record, after a `flush()`.

        It holds what was saved. Read it, copy it, hand it on; another format, or a deletion, gives
        the record another file or none.

        Args:
            key: "kind/id", or a `Key`.
        Raises:
            RecordNotFound: none is stored; perhaps it was not saved yet.
            NotSupported: the store keeps no files.
            FilesBehind: it could not be written yet, or this store is open for reading and nobody
                has written it; what was saved is safe all the same.
            CorruptRecord, UnsafeFile, LockTimeout, StorageError: as they say.
        """
        return whereabouts.path_of(self._engine, _key(key))

    def kinds(self) -> Sequence[str]:
        """Return the kinds that the store holds, with or without a manager."""
        return self._engine.driver.kinds()

    def stored(self, key: str | Key) -> Stored:
        """Return a record as it is stored, whether its class is known or not.

        Args:
            key: "kind/id", or a `Key`. "kind/@manager" is what the manager of the kind remembers
                beside its records, where no record has the id "@manager".
        Raises:
            RecordNotFound: there is none.
            CorruptRecord, UnsafeFile, StorageError: it cannot be read.
        """
        checked = _key(key)
        try:
            return self._engine.driver.read(checked)
        except RecordNotFound:
            if checked.id != SETTINGS_NAME or isinstance(key, Key):
                raise
            return self._engine.driver.read(settings_key(checked.kind))

    def raw(self, key: str | Key) -> Mapping[str, Any]:
        """Return the document of a record as it is stored. See `stored`."""
        return self.stored(key).document

    def scan(self, kind: str) -> Iterator[Stored | Failure]:
        """Yield all records of a kind as they are stored, and a failure for each unreadable one.

        What its manager remembers beside them is none of them: see `stored`.
        """
        found = self._engine.driver.scan(kind)
        return (one for one in found if isinstance(one, Failure) or not one.key.is_settings)

    def verify(self) -> VerifyReport:
        """Read every record and report what is wrong. Changes nothing."""
        return verification.verify(self._engine)

    def stats(self) -> statistics.Statistics:
        """Count what is stored, per kind and format."""
        return statistics.statistics(self._engine)

    # --- importing --------------------------------------------------------------------

    def import_transcripts(self, *sources: str | os.PathLike[str]) -> ImportReport:
        """Take in transcripts of agents, a session and a conversation for each, and save them.

        Known: SWE-agent trajectories, Claude Code sessions, chat messages as OpenAI writes them; a
        folder stands for the transcripts in it. The type is found by the content. What was imported
        before is not added again. A source that cannot be read is in the report.

        Raises:
            UnknownName: no managers of sessions and conversations are registered.
            SaveFailed: what was taken in could not be saved.
        """
        return importing.import_transcripts(self._engine, [os.fspath(one) for one in sources])

    # --- callbacks --------------------------------------------------------------------

    def on_save(self, callback: Callable[[SaveReport], object]) -> Handle:
        """Call `callback` after each save, outside every lock, until the handle is cancelled."""
        return self._engine.callbacks.save.add(callback)

    def on_load(self, callback: Callable[[LoadReport], object]) -> Handle:
        """Call `callback` after each load, outside every lock, until the handle is cancelled."""
        return self._engine.callbacks.load.add(callback)

    def on_error(self, callback: Callable[[Failure], object]) -> Handle:
        """Call `callback` once for each failure of any operation, until the handle is cancelled."""
        return self._engine.callbacks.error.add(callback)

    def on(
        self,
        name: str,
        listener: Callable[[RecordEvent[Any]], object],
        *,
        kind: str | None = None,
        id: str | None = None,
    ) -> Handle:
        """Call `listener` with what becomes of records of all kinds, or of one. See `Manager.on`.

        Managers that are registered later are listened to as well.

        Args:
            name: the name of an event, or "*" for all.
        Raises:
            UnknownName: there is no manager of this kind, or none that knows such an event.
        """
        return self._engine.listen(name, listener, kind=kind, id=id)

    # --- history and recovery ---------------------------------------------------------

    @property
    def sequence(self) -> int:
        """The sequence of the last commit; 0 before the first."""
        return self._engine.driver.sequence

    def changes(self, after: int = 0) -> Iterator[Commit]:
        """Yield the commits behind a sequence, in order: what was changed, when, and by whom.

        Raises:
            HistoryPruned: the history does not go back so far any more; it says how far it goes.
            NotSupported: the store keeps no history.
        """
        return self._engine.driver.changes(after)

    def history(self) -> Iterator[Commit | history.Gap]:
        """Yield all commits that are still kept, oldest first, and a gap where some are not."""
        return history.kept(self._engine.driver)

    @property
    def history_range(self) -> tuple[int, int] | None:
        """The sequences of the first and the last commit that are kept; None for none."""
        return history.kept_range(self._engine.driver)

    def recover(self) -> RecoverReport:
        """Report what opening has taken up, and what is unreadable, missing or in quarantine."""
        return recovery.recover(self._engine)

    def bring_back(self, key: str | Key) -> BringBackReport:
        """Make the last version of a lost record that the history holds its content again.

        Args:
            key: see `stored`.
        Raises:
            RecordNotLost: it is there and can be read; nothing was changed.
            RecordNotFound, NoVersionKept: there is no such version.
            HeldKey: something else has its place.
        """
        checked = _key(key)
        if checked.id != SETTINGS_NAME or isinstance(key, Key):
            return recovery.bring_back(self._engine, checked)
        try:
            return recovery.bring_back(self._engine, checked)
        except RecordNotFound:
            return recovery.bring_back(self._engine, settings_key(checked.kind))

    # --- closing ----------------------------------------------------------------------

    @property
    def path(self) -> str:
        """Where the store is: an absolute path, or a URL."""
        return self._engine.driver.path

    @property
    def store_id(self) -> str:
        """What tells this store from every other; empty where it says nothing of itself."""
        return self._engine.driver.store_id

    @property
    def configuration(self) -> Configuration:
        """The settings in effect: those of `statestore.toml`, or the defaults."""
        return self._configuration

    @property
    def closed(self) -> bool:
        """Whether the store was closed."""
        return self._closed

    def close(self) -> None:
        """Save what is unsaved and let go of everything. Twice is harmless.

        A store that is open for reading only saves nothing: what was changed in memory is dropped.

        Raises:
            SaveFailed: something could not be saved; the store is closed all the same.
            FilesBehind: all is saved, but some files cannot be written now, perhaps as a process
                that hangs has the lock for that; the next opening does.
            StoreReplaced: likewise, where the folder of the store is not the one any more.
        """
        if self._closed:
            return
        self._engine.want_no_transaction("close the store")
        try:
            self._autosaving.stop()
            if not self._read_only and self.unsaved:
                self.save_all()
        except BaseException as error:
            self._close_beside(error)
            raise
        self._close()

    def _close(self) -> None:
        self._closed = True
        self._autosaving.stop()
        self._watch_by(None)
        self._engine.close()

    def _close_beside(self, error: BaseException | None) -> None:
        """Close, while something worse is on its way: files that are behind are a note to it."""
        try:
            self._close()
        except FilesBehind as behind:
            if error is not None:
                error.add_note(str(behind))

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the store.

        After an exception what is unsaved is dropped, with a warning; with autosave on it is saved,
        as it would have been a little later anyway.
        """
        if exc_type is None:
            self.close()
            return
        try:
            self._autosaving.save_beside(exc)
        finally:
            unsaved = 0 if self._closed else len(self.unsaved)
            self._close_beside(exc)
        if unsaved:
            warnings.warn(
                f"the store at {self.path!r} was left by an exception with {unsaved} unsaved "
                "changes, which are dropped; call save_all() before it to keep them",
                RuntimeWarning,
                stacklevel=2,
            )

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: another process opens the store by its path.

        Raises:
            NotPicklable: always.
        """
        raise NotPicklable("a store", self.path)

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{len(self._managers)} managers"
        return f"<Store {self.path!r}, {state}>"


def _checked_path(path: str | os.PathLike[str], what: str) -> str:
    """Return a path as text.

    Raises:
        ConfigurationError: it is empty, no text, or no name that a file can have.
    """
    text = os.fspath(path)
    if not isinstance(text, str):
        raise ConfigurationError(what, "it is no text")
    if not text:
        raise ConfigurationError(what, "it is empty; for the present folder say '.'")
    try:
        os.fsencode(text)
    except UnicodeEncodeError as error:
        raise ConfigurationError(what, "it is no name that a file can have") from error
    if "\0" in text:
        raise ConfigurationError(what, "it has a NUL character")
    return text


def _checked_policy(policy: str | None) -> str | None:
    if policy is not None and policy not in CONFLICT_POLICIES:
        raise ConfigurationError("on_conflict", f"it is one of {', '.join(CONFLICT_POLICIES)}")
    return policy


def _check_source(source: object) -> None:
    if not isinstance(source, str) or not 0 < len(source) <= _SOURCE_LIMIT:
        raise ConfigurationError("source", f"it is a text of 1 to {_SOURCE_LIMIT} characters")
    if source == "external" or not source.isprintable():
        raise ConfigurationError("source", "it is a plain name, and not 'external'")


def _key(key: str | Key) -> Key:
    if isinstance(key, str):
        kind, slash, id = key.partition("/")
        if not slash:
            raise InvalidId(key, "has no kind before it; a key is KIND/ID, such as tasks/41")
        key = Key(kind, id)
    return check_key(key)
