"""Statistics: how much a store holds, per kind and format."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import attrs

from statestore.engine.engine import Engine
from statestore.models.changes import Stored


@attrs.define
class KindStatistics:
    """How much a store holds of one kind. `formats` counts records per format."""

    records: int = 0
    unreadable: int = 0
    size_bytes: int = 0
    formats: dict[str, int] = attrs.field(factory=dict)
    last_saved_at: datetime | None = None


@attrs.frozen
class Statistics:
    """How much a store holds."""

    path: str
    format: str
    kinds: Mapping[str, KindStatistics]

    @property
    def records(self) -> int:
        """All readable records."""
        return sum(kind.records for kind in self.kinds.values())

    @property
    def size_bytes(self) -> int:
        """The size of all readable records as they are stored."""
        return sum(kind.size_bytes for kind in self.kinds.values())


def statistics(engine: Engine) -> Statistics:
    """Count what is stored, reading every record once. Unsaved changes are not counted.

    A record whose file is not written yet counts with the bytes that it has in the journal, and as
    one of the format that its file will have.
    """
    kinds: dict[str, KindStatistics] = {}
    with engine.turn():
        for kind in engine.driver.kinds():
            counted = kinds[kind] = KindStatistics()
            for one in engine.driver.scan(kind):
                if not isinstance(one, Stored):
                    counted.unreadable += 1
                    continue
                if one.key.is_settings:
                    continue
                counted.records += 1
                counted.size_bytes += one.size_bytes
                if one.format:  # where there are files
                    counted.formats[one.format] = counted.formats.get(one.format, 0) + 1
                counted.last_saved_at = max(counted.last_saved_at or one.saved_at, one.saved_at)
        return Statistics(engine.driver.path, engine.format, kinds)
