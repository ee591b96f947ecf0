"""Loading: what is stored is read and decoded, every failure gathered, then taken in at once."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from statestore.drivers.driver import Driver
from statestore.errors import StateStoreError, StoreClosed
from statestore.models.changes import Stored
from statestore.models.keys import SETTINGS_ID, Key
from statestore.models.managed import Loaded, RecordManager
from statestore.models.reports import Failure


@attrs.define
class Read:
    """What was found of one kind. `items` counts records."""

    manager: RecordManager
    loaded: dict[str, Loaded] = attrs.field(factory=dict)
    unread: set[str] = attrs.field(factory=set)
    items: int = 0
    size_bytes: int = 0

    def adopt(self, *, discard: bool) -> Sequence[Key]:
        """Let the manager take it in, and return the keys whose local change was kept."""
        unread = self.unread - self.loaded.keys()
        ids = self.manager.adopt(self.loaded, unread=unread, discard=discard)
        return [Key(self.manager.kind, id) for id in ids]

    def take(self, one: Stored | Failure, failures: list[Failure], notes: list[str]) -> None:
        """Take one record that was stored, or note why it cannot be."""
        if isinstance(one, Failure):
            failures.append(one)
            if one.key is not None:
                self.unread.add(one.key.id)
            return
        if one.key.id == SETTINGS_ID and not self.manager.has_settings:
            return
        notes.extend(one.notes)
        try:
            self.loaded[one.key.id] = self.manager.decode(one)
        except StateStoreError as error:
            failures.append(Failure(one.key, "load", error))
            self.unread.add(one.key.id)
        else:
            self.items += one.key.id != SETTINGS_ID
            self.size_bytes += one.size_bytes


def read(
    driver: Driver, managers: Sequence[RecordManager], failures: list[Failure], notes: list[str]
) -> Sequence[Read]:
    """Read all that is stored of some kinds. A kind that cannot be listed is left out."""
    found: list[Read] = []
    for manager in managers:
        one = Read(manager)
        try:
            for stored in driver.scan(manager.kind):
                one.take(stored, failures, notes)
        except StoreClosed:
            raise
        except StateStoreError as error:  # the folder itself: what is in memory stays
            failures.append(Failure(None, "load", error))
        else:
            found.append(one)
    return found
