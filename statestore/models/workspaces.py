"""What a transaction has written of one kind, beside the records that everybody sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
