"""Refreshing: what others have committed, read once from the feed and taken in by the managers."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence

import attrs

from statestore.drivers.driver import Driver
from statestore.engine.flights import Flights
from statestore.errors import (
    CorruptRecord,
    HistoryPruned,
    RecordNotFound,
    StateStoreError,
    StorageError,
    StoreClosed,
)
from statestore.models.changes import Change, Commit, Delete, Patch, Put, Stored, apply_patch
from statestore.models.keys import SETTINGS_ID, Key, Revision
from statestore.models.managed import Gone, Loaded, RecordManager
from statestore.models.reports import Failure, RecordChange

_ROUNDS = 10
"""How often what was committed while one was reading is looked at, too."""

_STEPS = 64
"""A record that others have changed so often since it was read is read whole."""

_EXTERNAL = "external"
"""The source of commits that take up what people have made of files."""


@attrs.frozen
class _Step:
    """One commit's change of a record; `change` is None where that is not known."""

    commit: Commit
    revision: Revision
    change: Change | None


@attrs.frozen
class _Left:
    """What others have made of a record that was not taken in: the last revision that is known.

    `commit` is None where it was met by reading, not in the feed. `again`: to be read again,
    with the next news, though nobody has changed it.
    """

    revision: Revision
    commit: Commit | None
    again: bool = True


@attrs.define
class News:
    """What was brought in, and what was not. `kept` are the keys whose local change stays.

    `items` counts records that were brought in without it being known who has changed them.
    """

    changes: list[RecordChange] = attrs.field(factory=list)
    kept: list[Key] = attrs.field(factory=list)
    failures: list[Failure] = attrs.field(factory=list)
    items: int = 0


class Refresher:
    """Knows what others have made of which record that its manager does not know yet.

    Whoever calls holds the turn, but for `is_current`.
    """

    def __init__(
        self, driver: Driver, managers: Mapping[str, RecordManager], flights: Flights
    ) -> None:
        """Bring the commits of `driver` to `managers`."""
        self._driver, self._managers, self._flights = driver, managers, flights
        self._upto = 0
        self._loaded_at: dict[str, int] = {}
        self._steps: dict[Key, list[_Step]] = {}
        self._kept: dict[Key, _Left] = {}
        self._unread: dict[Key, _Left] = {}

    def is_current(self, sequence: int) -> bool:
        """Say whether the managers, all loaded, know all that was committed up to a sequence."""
        return (
            self._upto == sequence
            and not self._steps
            and not self._kept
            and len(self._loaded_at) == len(self._managers)
        )

    def is_unread(self, key: Key) -> bool:
        """Say whether what is stored of a record could not be read when it was looked at."""
        return key in self._unread

    def is_known(self, kind: str) -> bool:
        """Say whether a kind was ever loaded."""
        return kind in self._loaded_at

    def look(self) -> int:
        """Return the sequence of the last commit, after all up to it were noted as news.

        Raises:
            HistoryPruned: some are not known any more.
        """
        self._read_feed()
        return self._upto

    def loaded(
        self,
        kinds: Collection[str],
        sequence: int,
        kept: Mapping[Key, Revision],
        failures: Iterable[Failure],
    ) -> None:
        """Note that kinds were read whole, after `look()`, or the commit of a sequence.

        Args:
            kept: the records that others have changed and whose unsaved change stayed, with the
                revisions of those that are stored.
            failures: what could not be read.
        """
        if self._loaded_at.keys() <= set(kinds):
            self._upto = sequence  # there is nobody else to bring news to
        self._loaded_at.update(dict.fromkeys(kinds, sequence))
        known = {**self._unread, **self._kept}
        last = {key: one.commit for key, one in known.items()}
        last.update({key: steps[-1].commit for key, steps in self._steps.items()})
        for key in [key for key in {**known, **self._steps} if key.kind in kinds]:
            self._done(key)
        self._kept.update({key: _Left(at, last.get(key)) for key, at in kept.items()})
        for failure in failures:
            if failure.key is not None:
                self._leave_unread(failure, 0, last.get(failure.key))

    def bring_in(self, kinds: Collection[str]) -> News:
        """Let managers take in what others have committed. Kinds never loaded are left out.

        Raises:
            HistoryPruned: it is not known any more what was changed; read the kinds whole.
            StateStoreError: what was committed cannot be read; nothing was taken in.
        """
        news, stays = News(), list[Key]()
        found: dict[Key, Loaded | Gone] = {}
        carried: dict[str, Collection[str]] = {}
        for _ in range(_ROUNDS):
            # Before the feed is read: what lands after it must not be undone by what was before.
            carried = {kind: self._flights.carried(kind) for kind in kinds}
            self._read_feed()
            again = {key: one for key, one in self._unread.items() if one.again}
            waiting = [key for key in {**again, **self._kept, **self._steps} if key.kind in kinds]
            stays, news.failures = [], []
            wanted: list[Key] = []
            for key in waiting:
                (stays if self._stays(key, carried[key.kind]) else wanted).append(key)
            found = self._read(wanted, news.failures)
            if self._driver.sequence == self._upto:
                break  # else a record that was read may be ahead of the others
        self._take_in(found, carried, news)
        for key in stays:
            left = self._left(key)
            if left is self._unread.get(key):
                continue
            self._done(key)
            if left is not None and left.revision > self._managers[key.kind].known(key.id):
                self._kept[key] = left
                news.kept.append(key)
        for failure in tuple(news.failures):
            if failure.key in self._unread and failure.key not in self._steps:
                news.failures.remove(failure)  # it was told of
            elif failure.key is not None:
                left = self._left(failure.key)
                self._done(failure.key)
                if left is not None:
                    self._leave_unread(failure, left.revision, left.commit)
        return news

    def renew(self, key: Key) -> bool:
        """Let its manager know the newest state of one record, and note what to tell of it.

        False says that there is an unsaved change of it, which stays, and others have made
        another.

        Raises:
            HistoryPruned, StateStoreError: as `bring_in`; or the record cannot be read.
        """
        if key.kind in self._loaded_at:
            self._read_feed()
            if self._left(key) is None:
                return True
        one = self._read_one(key)
        if isinstance(one, Gone) and not self._managers[key.kind].known(key.id):
            self._done(key)
            return True  # there is none to be in conflict with
        news = News()
        self._take_in({key: one}, {}, news)
        for change in news.changes:
            self._managers[key.kind].note_theirs(change)
        return not news.kept

    def newest(self, key: Key) -> Loaded | None:
        """Return a record as it is stored now; None if there is none. Its manager is told nothing.

        Raises:
            StateStoreError: it cannot be read.
        """
        if key.kind in self._loaded_at:
            try:
                self._read_feed()
            except HistoryPruned:  # what is noted is not all
                self._steps.pop(key, None)
        one = self._read_one(key)
        return None if isinstance(one, Gone) else one

    def last_of(self, key: Key) -> Commit | None:
        """Return the last commit of others of a record that was not taken in, if it is known."""
        left = self._left(key)
        return None if left is None else left.commit

    # --- inside -----------------------------------------------------------------------

    def _read_feed(self) -> None:
        """Note, for each record, what others have made of it since it was looked at last."""
        upto = self._driver.catch_up()
        if upto == self._upto:
            return
        for commit in self._driver.changes(self._upto):
            if commit.run != self._driver.run or commit.source == _EXTERNAL:
                self._note(commit)
            else:  # it was made from what others had made before: that is known
                for key in commit.revisions:
                    self._done(key)
            self._upto = commit.sequence
        self._upto = max(upto, self._upto)

    def _note(self, commit: Commit) -> None:
        wanted = {
            key: revision
            for key, revision in commit.revisions.items()
            if commit.sequence > self._loaded_at.get(key.kind, commit.sequence)
            and self._concerns(key)
            and revision > self._managers[key.kind].known(key.id)
            and revision > self._noted(key)
        }
        if not wanted:
            return
        changes: dict[Key, Change | None] = {}
        with contextlib.suppress(CorruptRecord):  # then each record is read whole
            for change in commit.changes:
                changes[change.key] = None if change.key in changes else change
        for key, revision in wanted.items():
            steps = self._steps.setdefault(key, [])
            step = _Step(commit, revision, changes.get(key))
            if len(steps) >= _STEPS or step.change is None:
                step = attrs.evolve(step, change=None)
            if not isinstance(step.change, Patch):
                steps.clear()  # it does not matter what there was before
            steps.append(step)

    def _concerns(self, key: Key) -> bool:
        """Say whether a manager is told of a key: see `RecordManager.has_settings`."""
        return key.id != SETTINGS_ID or self._managers[key.kind].has_settings

    def _noted(self, key: Key) -> Revision:
        """Return what is noted already: a commit is looked at twice after an interruption."""
        steps = self._steps.get(key)
        return steps[-1].revision if steps else 0

    def _done(self, key: Key | None) -> None:
        if key is not None:
            self._steps.pop(key, None)
            self._kept.pop(key, None)
            self._unread.pop(key, None)

    def _left(self, key: Key) -> _Left | None:
        """Return what is known of a record that was not taken in yet; None if it was."""
        steps = self._steps.get(key)
        if steps:
            return _Left(steps[-1].revision, steps[-1].commit)
        return self._kept.get(key) or self._unread.get(key)

    def _leave_unread(self, failure: Failure, revision: Revision, commit: Commit | None) -> None:
        """Note that a record could not be read. What does not fit is not read again for nothing."""
        if failure.key is not None and self._concerns(failure.key):
            again = isinstance(failure.error, StorageError)
            self._unread[failure.key] = _Left(revision, commit, again)

    def _stays(self, key: Key, carried: Collection[str]) -> bool:
        return key.id in carried or self._managers[key.kind].is_unsaved(key.id)

    def _read(self, keys: Iterable[Key], failures: list[Failure]) -> dict[Key, Loaded | Gone]:
        found: dict[Key, Loaded | Gone] = {}
        for key in keys:
            try:
                found[key] = self._read_one(key)
            except StoreClosed:
                raise
            except StateStoreError as error:
                failures.append(Failure(key, "load", error))
        return found

    def _read_one(self, key: Key) -> Loaded | Gone:
        manager = self._managers[key.kind]
        base = manager.known(key.id)
        steps = [step for step in self._steps.get(key, ()) if step.revision > base]
        if steps and isinstance(steps[-1].change, Delete):
            return Gone(steps[-1].revision)
        patches = [step.change for step in steps if isinstance(step.change, Patch)]
        if patches and len(patches) == len(steps):
            follow = range(base + 1, base + len(steps) + 1)
            if all(map(int.__eq__, follow, (step.revision for step in steps))):
                record = manager.patched(key.id, base, patches)
                if record is not None:
                    return record
        whole = _whole(key, steps)
        if whole is None:
            try:
                whole = self._driver.read(key)
            except RecordNotFound:
                return Gone(steps[-1].revision if steps else base + 1)
        return manager.decode(whole)

    def _take_in(
        self,
        found: Mapping[Key, Loaded | Gone],
        carried: Mapping[str, Collection[str]],
        news: News,
    ) -> None:
        for kind in {key.kind: None for key in found}:
            own = {key.id: one for key, one in found.items() if key.kind == kind}
            brought, kept = self._managers[kind].bring_in(own, besides=carried.get(kind, ()))
            left = {id: self._left(Key(kind, id)) for id in own}
            for id in own:
                self._done(Key(kind, id))
            for one in brought:
                key, last, revision = Key(kind, one.id), left[one.id], own[one.id].revision
                if last is not None and last.commit is not None:
                    change = _changed(key, one.before, one.after, revision, last.commit)
                    news.changes.append(change)
                else:
                    news.items += 1
            for id in kept:
                news.kept.append(Key(kind, id))
                self._kept[Key(kind, id)] = left[id] or _Left(own[id].revision, None)


def _changed(
    key: Key, before: object, after: object, revision: Revision, commit: Commit
) -> RecordChange:
    return RecordChange(
        key, before, after, revision, commit.source, commit.run, commit.sequence,
        commit.committed_at,
    )  # fmt: skip


def _whole(key: Key, steps: Sequence[_Step]) -> Stored | None:
    """Return a record that commits have made whole and changed since, if they tell all of it."""
    stored: Stored | None = None
    for step in steps:
        if isinstance(step.change, Put):
            put, at = step.change, step.commit.committed_at
            stored = Stored(key, put.document, put.schema, step.revision, at, extra=put.extra)
        elif stored is None or step.revision != stored.revision + 1:
            stored = None  # one between is known by now: it came in while this was read
        elif isinstance(step.change, Patch):
            document = apply_patch(stored.document, step.change)
            stored = attrs.evolve(stored, document=document, revision=step.revision)
        else:
            stored = None
    return stored
