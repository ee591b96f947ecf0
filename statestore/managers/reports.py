"""Reports: what a run came to, as a value of the host's own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import attrs

from statestore.errors import EncodeError, InvalidRecord
from statestore.managers.domain import DomainManager
from statestore.models.documents import FrozenDict, check_document, freeze
from statestore.records.columns import filled_column, json_column, read_in_columns, stored_as_is
from statestore.records.fields import (
    extra_field,
    id_field,
    mapping_field,
    text_field,
    texts_field,
    time_field,
    want_unicode,
)
from statestore.records.ids import new_id
from statestore.records.immutability import FROZEN
from statestore.records.sharing import Merge


def _type_field() -> Any:
    def check(_: object, __: object, value: object) -> None:
        if type(value) is not str or not value:
            raise TypeError("type takes a text that is not empty: snapshot, coverage, …")
        want_unicode("type", value)

    return attrs.field(kw_only=True, validator=check, metadata=stored_as_is(filled_column))


def _data_field() -> Any:
    def check(_: object, __: object, value: object) -> None:
        try:
            check_document({"data": value})
        except EncodeError as error:  # here, where who made it can still be told
            raise ValueError(f"data takes JSON values; {error.where}: {error.reason}") from error

    return attrs.field(
        default=None,
        kw_only=True,
        converter=freeze,
        validator=check,
        metadata={FROZEN: True, **stored_as_is(json_column)},
    )


@read_in_columns
@attrs.frozen
class Report:
    """A report.

    `type` is what kind of report it is, a word of the host's own. `session_id` and `task_id` are
    what it is about. `data` is any JSON value; it is last, as it may be large.
    """

    id: str = id_field()
    type: str = _type_field()
    title: str = text_field()
    session_id: str | None = text_field(None)
    task_id: str | None = text_field(None)
    tags: tuple[str, ...] = texts_field()
    metadata: FrozenDict = mapping_field()
    created_at: datetime = time_field()
    updated_at: datetime = time_field()
    extra: FrozenDict = extra_field()
    data: Any = _data_field()


class ReportManager(DomainManager[Report]):
    """The reports of a store, in `reports/`."""

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] | None = None,
        make_id: Callable[[], str] = new_id,
        merge: Merge[Report] | None = None,
    ) -> None:
        """See `Manager`."""
        super().__init__("reports", Report, clock=clock, make_id=make_id, merge=merge)

    def create(  # type: ignore[override]  # a report without a type is none
        self,
        type: str,
        data: Any = None,
        *,
        id: str | None = None,
        title: str = "",
        session_id: str | None = None,
        task_id: str | None = None,
        **fields: Any,
    ) -> Report:
        """Add a report and return it. See `Manager.create`.

        Args:
            type: what kind of report it is; not empty.
            data: any JSON value; it is copied and frozen.
            title: for people; it may be empty.
            session_id, task_id: what it is about; they need not be there.
            fields: tags, metadata, or the times, aware.
        Raises:
            DuplicateId, InvalidId, InvalidRecord: as they say; nothing was added.
        """
        return super().create(
            id=id,
            type=type,
            title=title,
            session_id=session_id,
            task_id=task_id,
            data=data,
            **fields,
        )

    def by_type(self, type: str) -> tuple[Report, ...]:
        """Return the reports of a type, the oldest first."""
        return self._in_order(lambda one: one.type == type)

    def by_session(self, session_id: str) -> tuple[Report, ...]:
        """Return the reports about a session, the oldest first."""
        return self._in_order(lambda one: one.session_id == session_id)

    def by_task(self, task_id: str) -> tuple[Report, ...]:
        """Return the reports about a task, the oldest first."""
        return self._in_order(lambda one: one.task_id == task_id)

    def recent(self, n: int = 10) -> tuple[Report, ...]:
        """Return the `n` reports that were made last, the newest first.

        Raises:
            InvalidRecord: `n` is no integer from 0 on.
        """
        if type(n) is not int or n < 0:
            raise InvalidRecord(self.kind, None, "n takes an integer from 0", field="n")
        return self._in_order(lambda _: True)[::-1][:n]

    def latest(self, type: str) -> Report | None:
        """Return the report of a type that was made last; None if there is none."""
        return max((one for one in self.all() if one.type == type), key=_made_at, default=None)

    def _in_order(self, holds: Callable[[Report], bool]) -> tuple[Report, ...]:
        return tuple(sorted(filter(holds, self.all()), key=_made_at))


def _made_at(report: Report) -> tuple[datetime, str]:
    return report.created_at, report.id
