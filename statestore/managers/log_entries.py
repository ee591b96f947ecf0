"""The lines of logs: what tasks and sessions put out."""

from __future__ import annotations

from datetime import datetime

import attrs

from statestore.models.documents import FrozenDict
from statestore.records.columns import read_in_columns
from statestore.records.fields import extra_field, mapping_field, text_field, time_field


@read_in_columns
@attrs.frozen
class LogEntry:
    """One line of the log of a task or a session.

    `type` is stdout, stderr, log, error, info, debug or another. `at` is when it was written.
    """

    text: str = text_field()
    type: str = text_field("log")
    source: str | None = text_field(None)
    at: datetime = time_field()
    metadata: FrozenDict = mapping_field()
    extra: FrozenDict = extra_field()
