"""Sharing: records that others change too, and changes of one's own that meet theirs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias, cast

from statestore.errors import InvalidRecord
from statestore.models.changes import Commit, Patch
from statestore.models.documents import FrozenDict
from statestore.models.keys import Key, Revision, check_id
from statestore.models.managed import Brought, Gone, Loaded, Unmergeable
from statestore.models.reports import RecordChange
from statestore.models.workspaces import Workspace
from statestore.records.announcing import Numbered
from statestore.records.codec import Codec
from statestore.records.families import FamilyCodec
from statestore.records.keeping import Keeper, R
from statestore.records.merging import merged, only_adds
from statestore.records.saved import Based, Saved

Merge: TypeAlias = Callable[[R | None, R, R], R]
"""Makes one record of two, called with what both were made of (None where that is not known), the
one of this process and the stored one."""


class Sharer(Keeper[R]):
    """A keeper of records that other processes change, too. Any thread may use it."""

    def __init__(
        self,
        kind: str,
        record_class: type[R],
        schema: int,
        merge: Merge[R] | None,
        codec: Codec[R] | FamilyCodec[R] | None = None,
    ) -> None:
        """Begin empty. See `Manager`."""
        super().__init__(kind, record_class, schema, codec)
        self._merge = merge

    def known(self, id: str) -> Revision:
        """See `RecordManager.known`."""
        saved = self._saved.get(id)
        return 0 if saved is None else saved.revision

    def is_unsaved(self, id: str) -> bool:
        """See `RecordManager.is_unsaved`."""
        with self._lock:
            return not self._is_clean(id, self._saved.get(id), self._live.get(id))

    def patched(self, id: str, base: Revision, patches: Sequence[Patch]) -> Loaded | None:
        """See `RecordManager.patched`."""
        saved = self._saved.get(id)
        if saved is None or saved.revision != base or not self._codec.is_immutable:
            return None
        if not saved.is_exact or saved.has_unknown:
            return None
        record = self._codec.patched(cast(R, saved.token), patches)
        if record is None:
            return None
        return Loaded(record, base + len(patches), FrozenDict(), record, is_exact=True)

    def bring_in(
        self, news: Mapping[str, Loaded | Gone], *, besides: Collection[str] = ()
    ) -> tuple[Sequence[Brought], Sequence[str]]:
        """See `RecordManager.bring_in`."""
        brought: list[Brought] = []
        kept: list[str] = []
        with self._lock:
            for id, one in news.items():
                saved, live = self._saved.get(id), self._live.get(id)
                if saved is not None and saved.revision >= one.revision:
                    continue
                if id in besides or not self._is_clean(id, saved, live):
                    kept.append(id)
                elif isinstance(one, Gone):
                    if live is not None:
                        self._note_stored(id, None)
                        del self._live[id]
                        brought.append(Brought(id, live, None))
                else:
                    record = cast(R, one.record)
                    self._note_stored(id, one)
                    self._live[id] = record
                    brought.append(Brought(id, live, record))
        return brought, kept

    def can_settle(self, id: str, policy: str, workspace: Workspace[R] | None = None) -> bool:
        """See `RecordManager.can_settle`."""
        if policy != "error":
            return policy != "never"
        mine = self._live.get(id) if workspace is None else workspace.written.get(id)
        base = self._base_within(workspace, id, mine)
        return base is not None and mine is not None and only_adds(base, mine)

    def settle(
        self, id: str, stored: Loaded | None, policy: str, *, by: Commit | None = None
    ) -> str:
        """See `RecordManager.settle`."""
        while True:
            with self._lock:
                saved, mine = self._saved.get(id), self._live.get(id)
            if saved is not None and stored is not None and saved.revision >= stored.revision:
                return ""  # somebody else has settled it by now
            base = self._base(saved, mine)
            how, record = self._settled(base, mine, stored, policy)
            with self._lock:
                if self._saved.get(id) is not saved or self._live.get(id) is not mine:
                    continue  # it was changed while nobody was kept from it
                unknown = self._unknown.get(id)
                self._note_stored(id, stored)
                if record is None:
                    self._live.pop(id, None)
                else:
                    self._live[id] = record
                    if stored is None and unknown is not None:
                        self._unknown[id] = unknown  # it is made again as it was
                if stored is None or record is not stored.record:
                    self._touched.add(id)
                if how == "theirs":
                    self._announcer.drop(id)
                    known = mine if saved is not None and base is None else base
                    self._announcer.release_now(self._met(id, known, record, base, stored, by))
                elif record is not mine:
                    self._announcer.noted += self._met(id, mine, record, base, stored, by)
                return how

    def settle_within(
        self,
        workspace: Workspace[R],
        id: str,
        stored: Loaded | None,
        policy: str,
        *,
        by: Commit | None = None,
    ) -> str:
        """See `RecordManager.settle_within`."""
        if policy == "theirs":
            raise Unmergeable  # a part of a transaction cannot be given up
        with self._lock:
            live, unknown = self._live.get(id), self._unknown.get(id)
            if workspace.seen[id] is not live and not self._is_clean(id, self._saved.get(id), live):
                raise Unmergeable  # another thread has changed it, too, and not saved it yet
            base = self._base_within(workspace, id, workspace.written[id])
            workspace.seen[id] = live
        mine = workspace.written[id]
        how, record = self._settled(base, mine, stored, policy)
        # Not in memory, as long as it is not known that the transaction is made: what is unsaved
        # there was not made of what others have stored.
        if stored is None:
            workspace.based[id] = Based(None, unknown)  # it is made again as it was
        else:
            workspace.based[id] = Based(_saved(stored), FrozenDict(stored.unknown))
        if record is not mine:
            workspace.note(id, self._met(id, mine, record, base, stored, by))
        workspace.written[id] = record
        return how

    def known_now(self) -> object:
        """See `RecordManager.known_now`."""
        if not self._announcer.is_wanted:
            return None
        with self._lock:
            saved = dict(self._saved)
            return {id: (one.token, self._stored_record(id)) for id, one in saved.items()}

    def note_since(self, before: object) -> None:
        """See `RecordManager.note_since`."""
        known = cast(dict[str, tuple[object, R | None]] | None, before)
        if known is None:
            return
        with self._lock:
            at = self._clock()
            for id in {**known, **self._saved}:
                token, record = known.get(id, (None, None))
                saved = self._saved.get(id)
                if token is None or saved is None or token != saved.token:
                    events = self._events(id, record, self._stored_record(id), at)
                    self._announcer.release_now(events)

    # --- inside -----------------------------------------------------------------------

    def _stored_record(self, id: str) -> R | None:
        """Return a record as it is known to be stored; where that is not known, as it is here."""
        saved = self._saved.get(id)
        if saved is None:
            return None
        return cast(R, saved.token) if self._codec.is_immutable else self._live.get(id)

    def _met(
        self,
        id: str,
        before: R | None,
        after: R | None,
        base: R | None,
        stored: Loaded | None,
        by: Commit | None,
    ) -> list[Numbered]:
        """Return what is to be told of a record that has met what others have `stored` of it.

        Args:
            before, after: the record here, before it and now.
            base: what both were made of.
        """
        if not self._announcer.is_wanted or before is after is None:
            return []
        if by is None:  # it is not known who has changed it, only that somebody has
            by = Commit(0, self._clock(), {}, source="")
        key, record = Key(self.kind, id), None if stored is None else stored.record
        revision = by.revisions.get(key, 0) if stored is None else stored.revision
        theirs = RecordChange(
            key, base, record, revision, by.source, by.run, by.sequence, by.committed_at
        )
        return self._events(id, before, after, by.committed_at, theirs=theirs)

    def _base(self, saved: Saved | None, mine: R | None) -> R | None:
        """Return the record that the present one was made of, where it is known."""
        if not self._codec.is_immutable:
            return None
        if saved is None:
            return None if mine is None else self._beginning(mine)
        return cast(R, saved.token)

    def _beginning(self, record: R) -> R | None:
        """Return what a record that others made, too, at the same time, was before anybody added
        to it; None for a class of which that cannot be said.
        """
        del record
        return None

    def _base_within(self, workspace: Workspace[R] | None, id: str, mine: R | None) -> R | None:
        based: Based | None = None if workspace is None else workspace.based.get(id)
        if workspace is not None and based is None:
            seen = workspace.seen[id]
            if seen is not self._live.get(id):
                # What others have made of it is in memory already.
                return self._base(None, mine) if seen is None else seen
        return self._base(self._saved.get(id) if based is None else based.saved, mine)

    def _is_clean(self, id: str, saved: Saved | None, live: R | None) -> bool:
        if self._codec.is_immutable:
            return live is (None if saved is None else saved.token)
        if saved is None or live is None:
            return saved is None and live is None
        return self._tried(id, live, Based(saved, self._unknown.get(id)), []) is None

    def _note_stored(self, id: str, stored: Loaded | None) -> None:
        """Note what others have stored of a record. Whoever calls sees to the live one."""
        if stored is None:
            self._saved.pop(id, None)
        else:
            self._saved[id] = _saved(stored)
        if stored is not None and stored.unknown:
            self._unknown[id] = FrozenDict(stored.unknown)
        else:
            self._unknown.pop(id, None)
        self._touched.discard(id)

    def _settled(
        self, base: R | None, mine: R | None, stored: Loaded | None, policy: str
    ) -> tuple[str, R | None]:
        theirs = None if stored is None else cast(R, stored.record)
        if mine is not None and theirs is not None and base is not None and only_adds(base, mine):
            try:
                record = merged(base, mine, theirs)
                self._prove_merged(theirs.id, record)
                return "added", record
            except Unmergeable:
                if policy == "error":
                    raise
        if policy == "mine":
            return "mine", mine
        if policy == "theirs":
            return "theirs", theirs
        if policy != "merge" or mine is None or theirs is None:
            raise Unmergeable
        if self._merge is None:
            record = merged(base, mine, theirs)
        else:
            record = self._merge(base, mine, theirs)
            self._check(record, theirs.id)
        if record is not mine and record is not theirs:
            self._prove_merged(theirs.id, record)
        return "merged", record

    def _prove_merged(self, id: str, record: R) -> None:
        """Make sure that a record that was merged may be put in the place of both. No lock is held.

        Raises:
            Unmergeable: it may not; its `fields` are those in which it is wrong.
        """

    def _check(self, record: Any, id: str | None = None) -> None:
        """Check that a record is one of this kind, and of an id if that is given.

        Raises:
            InvalidRecord, InvalidId: it is not.
        """
        if type(record) not in self._codec.classes:
            self._check_class(type(record), id)
        check_id(record.id)
        if id is not None and record.id != id:
            raise InvalidRecord(self.kind, id, "the id of a record cannot be changed", field="id")

    def _check_class(self, cls: type[Any], id: str | None) -> None:
        # No other subclass either: the fields that it adds would not come back.
        if cls not in self._codec.classes:
            names = " or a ".join(sorted(cls.__name__ for cls in self._codec.classes))
            raise InvalidRecord(self.kind, id, f"it is a {cls.__name__}, not a {names}")


def _saved(stored: Loaded) -> Saved:
    return Saved(stored.token, stored.revision, stored.is_exact, bool(stored.unknown))
