"""Session logs: what sessions put out, line after line, one log for each session."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

import attrs

from statestore.errors import DuplicateId, InvalidRecord, RecordNotFound
from statestore.managers.domain import DomainManager
from statestore.managers.log_entries import LogEntry
from statestore.managers.queries import want_time
from statestore.models.documents import FrozenDict
from statestore.models.keys import check_id
from statestore.models.sequences import Items
from statestore.models.times import format_time
from statestore.records.columns import COLUMN, items_column, read_in_columns
from statestore.records.fields import (
    extra_field,
    id_field,
    mapping_field,
    texts_field,
    time_field,
    to_items,
)
from statestore.records.ids import new_id
from statestore.records.sharing import Merge


def _to_entries(value: Iterable[LogEntry]) -> Items[LogEntry]:
    return to_items(value, LogEntry)


@read_in_columns
@attrs.frozen
class SessionLog:
    """The log of one session.

    `id` is that of the session. `entries` are in the order in which they were stored; those of
    several processes stand in the order of their saves. It is last, as it grows.
    """

    id: str = id_field()
    tags: tuple[str, ...] = texts_field()
    metadata: FrozenDict = mapping_field()
    created_at: datetime = time_field()
    updated_at: datetime = time_field()
    extra: FrozenDict = extra_field()
    entries: Items[LogEntry] = attrs.field(
        factory=Items,
        kw_only=True,
        converter=_to_entries,
        metadata={COLUMN: items_column(LogEntry)},
    )


class LogManager(DomainManager[SessionLog]):
    """The session logs of a store, in `logs/`.

    A log needs no session that is stored: its id is any text.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] | None = None,
        make_id: Callable[[], str] = new_id,
        merge: Merge[SessionLog] | None = None,
    ) -> None:
        """See `Manager`."""
        super().__init__("logs", SessionLog, clock=clock, make_id=make_id, merge=merge)

    # --- writing ----------------------------------------------------------------------

    def append(
        self,
        session_id: str | SessionLog,
        text: str,
        *,
        type: str = "log",
        source: str | None = None,
        **fields: Any,
    ) -> LogEntry:
        """Add a line at the end of the log of a session, and return it.

        The first one makes the log. What several processes add to one log is all in it, also where
        each of them makes it; see `append_many`.

        Args:
            session_id: the id of the session, or of its log.
            text: what the line says; it may have line ends in it.
            type: stdout, stderr, log, error, info, debug or another.
            source: who says it.
            fields: the other fields of `LogEntry`; what it does not know goes to its `extra`.
        Raises:
            InvalidId, InvalidRecord: as they say; nothing was added.
        """
        id = self._log_id(session_id)
        known = {field.name for field in attrs.fields(LogEntry)}
        unknown = {name: fields.pop(name) for name in list(fields) if name not in known}
        extra = {} if fields.get("extra") is None else fields["extra"]
        if unknown and isinstance(extra, Mapping):
            fields["extra"] = {**extra, **unknown}
        fields.setdefault("at", self._clock())
        entry = self._entry(id, text=text, type=type, source=source, **fields)
        self.append_many(id, [entry])
        return entry

    def append_many(
        self, session_id: str | SessionLog, lines: Iterable[LogEntry | str]
    ) -> SessionLog:
        """Add lines at the end of the log of a session, all at once, and return the log.

        It costs what is added, and so does its save. Without a log it makes one, also for no lines.
        Nothing of it needs the log to be loaded: a save adds the lines to what is stored, whatever
        the policy for conflicts, as long as the log is there and only lines were added. Where
        another process has deleted the log meanwhile, the save meets a `Conflict`.

        Raises:
            InvalidId, InvalidRecord: as they say; nothing was added.
        """
        id = self._log_id(session_id)
        if isinstance(lines, str) or not isinstance(lines, Iterable):
            reason = "lines takes a list of lines, not one"
            raise InvalidRecord(self.kind, id, reason, field="lines")
        more = [self._line(id, one) for one in lines]

        def grown(old: SessionLog) -> SessionLog:
            if not more:
                return old
            return self._evolved(old, entries=old.entries.extended(more))

        while True:
            try:
                return self._modify(id, grown)
            except RecordNotFound:
                pass
            try:
                return self.create(id=id, entries=more)
            except DuplicateId:  # another thread was faster to make it
                continue

    # --- reading ----------------------------------------------------------------------

    def entries(
        self,
        session_id: str | SessionLog,
        *,
        types: str | Collection[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        last: int | None = None,
    ) -> tuple[LogEntry, ...]:
        """Return the lines of a log that all of these hold for, in the order of the log.

        Args:
            types: a type, or several.
            since: those written at this time or later, aware.
            until: those written before this time, aware.
            last: of these the last so many.
        Raises:
            RecordNotFound: the session has no log.
            InvalidRecord: a time without a zone, a type that is no text, or `last` below 0.
        """
        found: Iterable[LogEntry] = self[session_id].entries
        id = self._id(session_id)
        want_time(self.kind, "since", since)
        want_time(self.kind, "until", until)
        if last is not None:
            self._check_count(id, "last", last)
        if types is not None:
            self._check_types(id, types)
            wanted = {types} if isinstance(types, str) else {*types}
            found = (one for one in found if one.type in wanted)
        if since is not None:
            begin = since
            found = (one for one in found if one.at >= begin)
        if until is not None:
            end = until
            found = (one for one in found if one.at < end)
        chosen = tuple(found)
        return chosen if last is None else chosen[max(0, len(chosen) - last) :]

    def tail(self, session_id: str | SessionLog, n: int = 10) -> tuple[LogEntry, ...]:
        """Return the last `n` lines of a log, at the cost of these.

        Raises:
            RecordNotFound: the session has no log.
            InvalidRecord: `n` is below 0.
        """
        entries = self[session_id].entries
        self._check_count(self._id(session_id), "n", n)
        return entries[max(0, len(entries) - n) :]

    def text(
        self,
        session_id: str | SessionLog,
        *,
        types: str | Collection[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        last: int | None = None,
    ) -> str:
        """Return a log as plain text, for people: `<time> <type> [<source>] <text>` on each line.

        Times are RFC 3339 in UTC. The further lines of a text that has some begin with a tab, so
        none can be taken for another entry. It ends with a line end, if there is anything.

        Args:
            types, since, until, last: which entries, see `entries`.
        Raises:
            RecordNotFound, InvalidRecord: see `entries`.
        """
        chosen = self.entries(session_id, types=types, since=since, until=until, last=last)
        return "".join(f"{_shown(one)}\n" for one in chosen)

    # --- inside -----------------------------------------------------------------------

    def _beginning(self, record: SessionLog) -> SessionLog:
        """Where others have made a log at the same time, it is one of whatever both have added."""
        created_at, updated_at = record.created_at, record.updated_at
        return SessionLog(record.id, created_at=created_at, updated_at=updated_at)

    def _line(self, id: str, line: LogEntry | str) -> LogEntry:
        if isinstance(line, str):
            return self._entry(id, text=line, at=self._clock())
        if type(line) is not LogEntry:
            reason = "lines takes texts and LogEntry"
            raise InvalidRecord(self.kind, id, reason, field="lines")
        return line

    def _entry(self, id: str, /, **fields: Any) -> LogEntry:
        return self._made(id, lambda: LogEntry(**fields), LogEntry, fields)

    def _log_id(self, session_id: object) -> str:
        return check_id(session_id.id if isinstance(session_id, SessionLog) else session_id)

    def _check_types(self, id: str, types: object) -> None:
        many = types if isinstance(types, Collection) else (types,)
        if not all(isinstance(one, str) for one in many):
            raise InvalidRecord(self.kind, id, "types takes a text, or several", field="types")

    def _check_count(self, id: str, name: str, count: object) -> None:
        if type(count) is not int or count < 0:
            raise InvalidRecord(self.kind, id, f"{name} takes an integer from 0", field=name)


def _shown(entry: LogEntry) -> str:
    source = f" [{_on_one_line(entry.source)}]" if entry.source else ""
    lines = entry.text.splitlines() or [""]
    return f"{format_time(entry.at)} {_on_one_line(entry.type)}{source} " + "\n\t".join(lines)


def _on_one_line(text: str) -> str:
    return " ".join(text.splitlines())
