"""Settings: what a manager remembers beside its records, kept as one of them and shown as none."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from datetime import datetime
from typing import Any

import attrs

from statestore.errors import StructureError
from statestore.managers.manager import Manager
from statestore.models.changes import Commit, Patch, Stored
from statestore.models.documents import FrozenDict
from statestore.models.keys import SETTINGS_ID, Key, Revision
from statestore.models.managed import Brought, Gone, Landing, Loaded, Owner, Pending
from statestore.models.reports import Failure
from statestore.models.workspaces import Workspace
from statestore.records.codec import Codec
from statestore.records.fields import extra_field, mapping_field
from statestore.records.ids import new_id
from statestore.records.keeping import R
from statestore.records.merging import merged
from statestore.records.sharing import Merge


@attrs.frozen
class Settings:
    """What a manager remembers. Only what somebody has set is in it.

    `limits` maps names of limits to their values. `chosen` are the limits that a transaction sets:
    what tells, when it is made, which ones the constructor does not say any more; never stored.
    """

    id: str = attrs.field(default=SETTINGS_ID, kw_only=True)
    limits: FrozenDict = mapping_field()
    chosen: frozenset[str] = attrs.field(default=frozenset(), kw_only=True, eq=False)
    extra: FrozenDict = extra_field()


class _SettingsCodec(Codec[Settings]):
    """Settings are stored without an id: so no record that somebody copies is taken for them."""

    def encode(self, record: Settings) -> dict[str, Any]:
        document = super().encode(record)
        del document["id"], document["chosen"]
        return document

    def decode(self, document: Mapping[str, Any]) -> tuple[Settings, FrozenDict]:
        return super().decode({**document, "id": SETTINGS_ID, "chosen": []})

    def patch(self, key: Key, old: Settings, new: Settings, *, check: bool) -> Patch | None:
        """Return None: settings are small, and stored whole."""
        del key, old, new, check
        return None


_codec = functools.cache(lambda: _SettingsCodec(Settings))


class _Memory(Manager[Settings]):
    """Keeps the settings of one manager, as a manager keeps records."""

    def __init__(self, kind: str, check: Callable[[Settings], Sequence[str]]) -> None:
        super().__init__(kind, Settings, merge=_merged)
        self._codec = _codec()
        self._problems = check

    @property
    def current(self) -> Settings | None:
        """The settings as they are seen here; None where nothing was ever set."""
        return self._present(SETTINGS_ID, self._scope())

    @property
    def is_in_transaction(self) -> bool:
        """Whether this code runs in a transaction of the store."""
        return self._scope() is not None

    @property
    def is_touched(self) -> bool:
        """Whether there may be an unsaved change."""
        return bool(self._touched)

    def put(self, make: Callable[[Settings], Settings]) -> None:
        """See `Remembering._set`."""

        def make_of(current: Settings | None) -> Settings | None:
            made = make(current or _NONE)
            return current if made is _NONE else made

        self._change(SETTINGS_ID, make_of)

    def decode(self, stored: Stored) -> Loaded:
        loaded = super().decode(stored)
        problems = self._problems(loaded.record)  # type: ignore[arg-type]  # of this class
        if problems:
            raise StructureError(self.kind, stored.key.id, problems)
        return loaded

    def _check(self, record: Any, id: str | None = None) -> None:
        """Nobody else makes settings, and their id is one that is refused to records."""


class Remembering(Manager[R]):
    """A manager that remembers something beside its records: see `Settings`.

    Its settings go with the records wherever those go: into saves, transactions, conflicts and
    refreshes, the journal, backups. They are under an id that no record can have, and the manager
    shows them neither by `all()` nor in any other way as a mapping.
    """

    has_settings = True
    _hidden = frozenset({SETTINGS_ID})

    def __init__(
        self,
        kind: str,
        record_class: type[R],
        *,
        schema: int = 1,
        clock: Callable[[], datetime] | None = None,
        make_id: Callable[[], str] = new_id,
        merge: Merge[R] | None = None,
    ) -> None:
        """See `Manager`."""
        super().__init__(
            kind, record_class, schema=schema, clock=clock, make_id=make_id, merge=merge
        )
        self._memory = _Memory(kind, self._settings_problems)

    # --- for what is remembered -------------------------------------------------------

    @property
    def _settings(self) -> Settings | None:
        """What is remembered, as a transaction sees it if this code runs in one."""
        return self._memory.current

    def _set(self, make: Callable[[Settings], Settings]) -> None:
        """Put what `make` returns in the place of the settings, with nobody in between; then tell.

        `make` is called once, under a lock. The same settings are no change.
        """
        self._memory.put(make)

    def _settings_problems(self, settings: Settings) -> Sequence[str]:
        """Say what is wrong with stored settings: the place to refuse what cannot be used."""
        del settings
        return ()

    def _settings_shown(self, settings: Settings) -> None:
        """Take note: what a transaction has set is in effect for everybody."""

    # --- as a `RecordManager`: the settings by their own keeper, the rest as ever ------

    def pending(
        self, among: Collection[str] | None = None, *, besides: Collection[str] = ()
    ) -> tuple[Sequence[Pending], Sequence[Failure]]:
        """See `RecordManager.pending`."""
        pending, failures = super().pending(among, besides=besides)
        if not self._memory.is_touched:
            return pending, failures
        own, failed = self._memory.pending(among, besides=besides)
        return [*pending, *own], [*failures, *failed]

    def is_current(self, pending: Pending) -> bool:
        """See `RecordManager.is_current`."""
        if pending.change.key.id == SETTINGS_ID:
            return self._memory.is_current(pending)
        return super().is_current(pending)

    def reserve(
        self, workspace: Workspace[Any], landing: Landing
    ) -> tuple[Sequence[Pending], Sequence[Failure]]:
        """See `RecordManager.reserve`."""
        if SETTINGS_ID not in workspace.written:
            return super().reserve(workspace, landing)
        rest, own = _apart(workspace)
        pending, failures = super().reserve(rest, landing)
        more, failed = self._memory.reserve(own, landing)
        return [*pending, *more], [*failures, *failed]

    def publish(self, workspace: Workspace[Any], done: Sequence[tuple[Pending, Revision]]) -> None:
        """See `RecordManager.publish`."""
        if SETTINGS_ID not in workspace.written:
            super().publish(workspace, done)
            return
        rest, own = _apart(workspace)
        with self._lock:
            self._settings_shown(own.written[SETTINGS_ID] or _NONE)
            self._memory.publish(own, [one for one in done if one[0].change.key.is_settings])
            super().publish(rest, [one for one in done if not one[0].change.key.is_settings])

    def unreserve(self, workspace: Workspace[Any], landing: Landing) -> None:
        """See `RecordManager.unreserve`."""
        super().unreserve(workspace, landing)
        self._memory.unreserve(workspace, landing)

    def saved(self, pending: Pending, revision: Revision) -> None:
        """See `RecordManager.saved`."""
        if pending.change.key.id == SETTINGS_ID:
            self._memory.saved(pending, revision)
        else:
            super().saved(pending, revision)

    def decode(self, stored: Stored) -> Loaded:
        """See `RecordManager.decode`."""
        if stored.key.id == SETTINGS_ID:
            return self._memory.decode(stored)
        return super().decode(stored)

    def adopt(
        self, loaded: Mapping[str, Loaded], *, unread: Set[str], discard: bool
    ) -> Sequence[str]:
        """See `RecordManager.adopt`."""
        own = {id: one for id, one in loaded.items() if id in self._hidden}
        rest = {id: one for id, one in loaded.items() if id not in own} if own else loaded
        with self._lock:
            kept = super().adopt(rest, unread=unread - self._hidden, discard=discard)
            more = self._memory.adopt(own, unread=unread & self._hidden, discard=discard)
        return tuple(dict.fromkeys((*kept, *more)))

    def known(self, id: str) -> Revision:
        """See `RecordManager.known`."""
        return self._memory.known(id) if id == SETTINGS_ID else super().known(id)

    def is_unsaved(self, id: str) -> bool:
        """See `RecordManager.is_unsaved`."""
        return self._memory.is_unsaved(id) if id == SETTINGS_ID else super().is_unsaved(id)

    def bring_in(
        self, news: Mapping[str, Loaded | Gone], *, besides: Collection[str] = ()
    ) -> tuple[Sequence[Brought], Sequence[str]]:
        """See `RecordManager.bring_in`. Settings are not told of: they are no record."""
        if SETTINGS_ID not in news:
            return super().bring_in(news, besides=besides)
        rest = {id: one for id, one in news.items() if id != SETTINGS_ID}
        with self._lock:
            brought, kept = super().bring_in(rest, besides=besides)
            own = {SETTINGS_ID: news[SETTINGS_ID]}
            _, more = self._memory.bring_in(own, besides=besides)
        return brought, [*kept, *more]

    def can_settle(self, id: str, policy: str, workspace: Workspace[Any] | None = None) -> bool:
        """See `RecordManager.can_settle`."""
        if id == SETTINGS_ID:
            return self._memory.can_settle(id, policy, workspace)
        return super().can_settle(id, policy, workspace)

    def settle(
        self, id: str, stored: Loaded | None, policy: str, *, by: Commit | None = None
    ) -> str:
        """See `RecordManager.settle`."""
        if id == SETTINGS_ID:
            return self._memory.settle(id, stored, policy)
        return super().settle(id, stored, policy, by=by)

    def settle_within(
        self,
        workspace: Workspace[Any],
        id: str,
        stored: Loaded | None,
        policy: str,
        *,
        by: Commit | None = None,
    ) -> str:
        """See `RecordManager.settle_within`."""
        if id == SETTINGS_ID:
            return self._memory.settle_within(workspace, id, stored, policy)
        return super().settle_within(workspace, id, stored, policy, by=by)

    def attach(self, owner: Owner, on_change: Callable[[Set[str]], None] | None) -> None:
        """See `RecordManager.attach`."""
        super().attach(owner, on_change)
        self._memory.attach(owner, on_change)

    def detach(self, place: str) -> None:
        """See `RecordManager.detach`."""
        super().detach(place)
        self._memory.detach(place)


_NONE = Settings()


def _merged(base: Settings | None, mine: Settings, theirs: Settings) -> Settings:
    """Merge settings limit by limit. Who has set none began with none."""
    bare = [attrs.evolve(one or _NONE, chosen=frozenset()) for one in (base, mine, theirs)]
    return attrs.evolve(merged(*bare), chosen=mine.chosen)


def _apart(workspace: Workspace[Any]) -> tuple[Workspace[Any], Workspace[Any]]:
    """Return what a transaction has written of records, and what of settings: to look at."""
    rest, own = workspace.copy(), workspace.copy()
    for one in (rest, own):
        is_own = one is own
        one.written = {
            id: record for id, record in one.written.items() if (id == SETTINGS_ID) is is_own
        }
    return rest, own
