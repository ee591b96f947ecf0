"""Refreshing: what others have committed, read once from the feed and taken in by the managers."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence

import attrs

from statestore.drivers.driver import Driver
from statestore.engine.flights import Flights
from statestore.errors import CorruptRecord, RecordNotFound, StateStoreError, StoreClosed
from statestore.models.changes import Change, Commit, Delete, Patch, Put, Stored, apply_patch
from statestore.models.keys import Key, Revision
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


@attrs.define
class News:
    """What was brought in, and what was not. `kept` are the keys whose local change stays."""

    changes: list[RecordChange] = attrs.field(factory=list)
    kept: list[Key] = attrs.field(factory=list)
    failures: list[Failure] = attrs.field(factory=list)


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
        self._kept: dict[Key, Commit] = {}

    def is_current(self, sequence: int) -> bool:
        """Say whether the managers, all loaded, know all that was committed up to a sequence."""
        return (
            self._upto == sequence
            and not self._steps
            and not self._kept
            and len(self._loaded_at) == len(self._managers)
        )

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

    def loaded(self, kinds: Collection[str], sequence: int, kept: Collection[Key]) -> None:
        """Note that kinds were read whole, after `look()`, or the commit of a sequence.

        Args:
            kept: the records whose unsaved change stayed: what others have made of them is still to
                be brought in.
        """
        if self._loaded_at.keys() <= set(kinds):
            self._upto = sequence  # there is nobody else to bring news to
        self._loaded_at.update(dict.fromkeys(kinds, sequence))
        for key in [key for key in {**self._steps, **self._kept} if key.kind in kinds]:
            last = self._steps[key][-1].commit if key in self._steps else self._kept[key]
            self._done(key)
            if key in kept:
                self._kept[key] = last

    def bring_in(self, kinds: Collection[str]) -> News:
        """Let managers take in what others have committed. Kinds never loaded are left out.

        Raises:
            HistoryPruned: it is not known any more what was changed; read the kinds whole.
            StateStoreError: what was committed cannot be read; nothing was taken in.
        """
        found: dict[Key, Loaded | Gone] = {}
        failures: list[Failure] = []
        for _ in range(_ROUNDS):
            self._read_feed()
            waiting = {**self._kept, **self._steps}
            wanted = [key for key in waiting if key.kind in kinds]
            failures = []
            found = self._read(wanted, failures)
            if self._driver.sequence == self._upto:
                break  # else a record that was read may be ahead of the others
        news = self._take_in(found)
        news.failures = failures
        for failure in failures:  # told once; it is read again when it is changed again
            self._done(failure.key)
        return news

    def renew(self, key: Key) -> bool:
        """Let its manager know the newest state of one record; tell no one.

        False says that there is an unsaved change of it, which stays, and others have made
        another.

        Raises:
            HistoryPruned, StateStoreError: as `bring_in`; or the record cannot be read.
        """
        if key.kind in self._loaded_at:
            self._read_feed()
            if key not in self._steps and key not in self._kept:
                return True
        one = self._read_one(key)
        if isinstance(one, Gone) and key.kind not in self._loaded_at:
            return True
        return not self._take_in({key: one}).kept

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
            and revision > self._managers[key.kind].known(key.id)
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
                steps.clear()
            steps.append(step)

    def _done(self, key: Key | None) -> None:
        if key is not None:
            self._steps.pop(key, None)
            self._kept.pop(key, None)

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
        manager, steps = self._managers[key.kind], self._steps.get(key, [])
        if steps and isinstance(steps[-1].change, Delete):
            return Gone(steps[-1].revision)
        base = manager.known(key.id)
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

    def _take_in(self, found: Mapping[Key, Loaded | Gone]) -> News:
        news = News()
        for kind in {key.kind: None for key in found}:
            own = {key.id: one for key, one in found.items() if key.kind == kind}
            carried = self._flights.carried(kind)
            brought, kept = self._managers[kind].bring_in(own, besides=carried)
            last: dict[Key, Commit] = {}
            for key in (Key(kind, id) for id in own):
                steps = self._steps.get(key)
                if steps or key in self._kept:
                    last[key] = steps[-1].commit if steps else self._kept[key]
                self._done(key)
            for one in brought:
                key = Key(kind, one.id)
                if key in last:
                    revision = own[one.id].revision
                    news.changes.append(_changed(key, one.before, one.after, revision, last[key]))
            for key in (Key(kind, id) for id in kept):
                news.kept.append(key)
                if key in last:
                    self._kept[key] = last[key]
        return news


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
        elif isinstance(step.change, Patch) and stored is not None:
            document = apply_patch(stored.document, step.change)
            stored = attrs.evolve(stored, document=document, revision=step.revision)
        else:
            stored = None
    return stored
