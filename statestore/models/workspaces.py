"""What a transaction has written of one kind, beside the records that everybody sees."""

from __future__ import annotations

from collections.abc import Collection, ItemsView, Iterator, Mapping, Sequence, Set, ValuesView
from typing import Any, Generic, TypeVar

import attrs

from statestore.models.events import RecordEvent

R = TypeVar("R")


@attrs.define(eq=False)
class Workspace(Generic[R]):
    """The writes of a transaction to one kind.

    `written` maps ids to records, None for one that was deleted. `seen` has what everybody saw of
    each id when it was first written, None for nothing. `made` are the ids that were added. `based`
    has, where a conflict was settled, what others have stored: the manager's own note of that.
    `events` are those of each id, numbered, to be told when all of it is durable.
    """

    written: dict[str, R | None] = attrs.field(factory=dict)
    seen: dict[str, R | None] = attrs.field(factory=dict)
    made: set[str] = attrs.field(factory=set)
    based: dict[str, Any] = attrs.field(factory=dict)
    events: dict[str, tuple[tuple[int, RecordEvent[R]], ...]] = attrs.field(factory=dict)

    def copy(self) -> Workspace[R]:
        """Return one that can be changed without changing this one."""
        return Workspace(
            dict(self.written),
            dict(self.seen),
            set(self.made),
            dict(self.based),
            dict(self.events),
        )

    def put(self, id: str, record: R | None, seen: R | None, *, anew: bool = False) -> None:
        """Note a write; `seen` counts at the first one of an id. `anew` puts it at the end."""
        self.seen.setdefault(id, seen)
        if not anew:
            self.written[id] = record
            return
        self.made.add(id)
        if id not in self.written:
            self.written[id] = record
            return
        others = {key: one for key, one in self.written.items() if key != id}
        self.written = {**others, id: record}

    def put_all(
        self,
        records: Mapping[str, R | None],
        live: Mapping[str, R],
        *,
        made: Set[str],
        events: Mapping[str, Sequence[tuple[int, RecordEvent[R]]]],
    ) -> None:
        """Do `put` and `note` for several writes at once, by one step: all of them, or none.

        Args:
            live: what everybody sees.
            made: the ids of those that are added.
        """
        seen = {id: live.get(id) for id in records if id not in self.seen}
        told = {id: (*self.events.get(id, ()), *some) for id, some in events.items() if some}
        written = self.written
        again = {id for id in made if id in written}
        if again:
            written = {id: one for id, one in written.items() if id not in again}
        # In a row, without a call: no signal comes between them.
        written |= records
        self.written = written
        self.seen |= seen
        self.made |= made
        self.events |= told

    def note(self, id: str, events: Sequence[tuple[int, RecordEvent[R]]]) -> None:
        """Keep events of a write until all of it is durable."""
        if events:
            self.events[id] = (*self.events.get(id, ()), *events)

    def over(self, live: Mapping[str, R]) -> dict[str, R]:
        """Return what the transaction sees where everybody else sees `live`, in the same order."""
        shown: dict[str, R] = {}
        for id, one in live.items():
            record = self.written.get(id, one)
            if record is not None and id not in self.made:
                shown[id] = record
        for id, new in self.written.items():
            if new is not None and id not in shown:
                shown[id] = new
        return shown


class Overlaid(Mapping[str, R]):
    """What a transaction sees, for as long as nothing is written. See `Workspace.over`.

    To look at one record costs no look at the others.
    """

    def __init__(self, space: Workspace[R], live: Mapping[str, R], hidden: Collection[str]) -> None:
        """Show what `space` makes of `live`, but for the ids that are `hidden`."""
        self._space, self._live, self._hidden = space, live, hidden
        self._copy: dict[str, R] | None = None

    def __getitem__(self, id: str) -> R:
        written = self._space.written
        record = written[id] if id in written else self._live.get(id)
        if record is None or id in self._hidden:
            raise KeyError(id)
        return record

    def __iter__(self) -> Iterator[str]:
        return iter(self._copied())

    def __len__(self) -> int:
        return len(self._copied())

    def values(self) -> ValuesView[R]:
        """See `Mapping`."""
        return self._copied().values()

    def items(self) -> ItemsView[str, R]:
        """See `Mapping`."""
        return self._copied().items()

    def _copied(self) -> dict[str, R]:
        if self._copy is None:
            shown = self._space.over(self._live)
            self._copy = {id: one for id, one in shown.items() if id not in self._hidden}
        return self._copy
