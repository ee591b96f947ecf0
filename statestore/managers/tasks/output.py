"""What tasks put out: progress, log lines, results; and who works at them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, Final

import attrs
import orjson

from statestore.errors import EncodeError, InvalidRecord
from statestore.managers.field_checks import want_fields, want_text
from statestore.managers.log_entries import LogEntry
from statestore.managers.queries import want_time
from statestore.managers.tasks.base import LEFT, TaskBase
from statestore.managers.tasks.records import Progress, Task
from statestore.models.documents import check_document

_RESULT: Final = re.compile(
    r"\s*\[?(PROCESS_END|CLAUDE_RESULT|RESULT)\b\]?\s*[:=]?\s*(.*?)\s*\Z", re.DOTALL
)


@attrs.frozen
class FoundResult:
    """A result that a line of output tells: the word that it begins with, and its value."""

    marker: str
    value: Any


def result_in(line: str) -> FoundResult | None:
    """Return the result that a line of output tells; None if it tells none.

    Such a line begins with PROCESS_END, CLAUDE_RESULT or RESULT, in brackets or not, then ":", "="
    or a space: `RESULT: {"files": 3}`. What follows is a JSON value, or else a text.
    """
    match = _RESULT.match(line)
    if match is None or not match[2]:
        return None
    try:
        value = orjson.loads(match[2])
        check_document(value)
    except (orjson.JSONDecodeError, EncodeError):  # deeper, or longer numbers, than can be stored
        value = match[2]
    return FoundResult(match[1], value)


class TaskOutput(TaskBase):
    """Progress and logs of tasks, and their assignment.

    Each operation takes a task or its id, and raises `RecordNotFound` where there is none, and
    `InvalidRecord` for an argument that is not taken; nothing has changed then. So it is with
    `LeaseLost`, for progress and logs of a record whose lease is, as is known here, another's.
    """

    def set_progress(
        self,
        id: str | Task,
        percent: float = LEFT,
        *,
        current_step: str | None = LEFT,
        total_steps: int | None = LEFT,
        remaining_s: float | None = LEFT,
        message: str = LEFT,
        actor: str | None = None,
    ) -> Task:
        """Tell how far a task is, and return it. What is left out stays as it is.

        Args:
            percent: 0 to 100; what is below or above counts as these.
            current_step: what is being done; None: that is not known any more.
            total_steps: how many steps there are.
            remaining_s: an estimate of the seconds that it still takes.
            message: for who waits.
        """
        given = {
            "percent": _clamped(percent),
            "current_step": current_step,
            "total_steps": total_steps,
            "remaining_s": remaining_s,
            "message": message,
        }
        fields = {name: value for name, value in given.items() if value is not LEFT}
        name = self._id(id)
        want_fields(self.kind, name, Progress, fields)

        def moved_on(current: Task) -> Task:
            self._want_not_lost(current, id)
            evolve: Any = attrs.evolve
            return self._next(current, actor, progress=evolve(current.progress, **fields))

        return self._modify(name, moved_on)

    # --- logs -------------------------------------------------------------------------

    def append_output(
        self,
        id: str | Task,
        text: str,
        *,
        type: str = "log",
        source: str | None = None,
        take_result: bool = False,
    ) -> Task:
        """Add an entry to the log of a task and return the task. It costs what is added.

        Args:
            text: a line, or several that belong together.
            type: stdout, stderr, log, error, info, debug or another.
            source: where it comes from.
            take_result: if the text tells a result, see `result_in`, make it that of the task.
        """
        name = self._id(id)
        fields: dict[str, Any] = {"text": text, "type": type, "source": source}
        fields["at"] = self._clock()
        want_fields(self.kind, name, LogEntry, fields)
        entry = self._made(name, lambda: LogEntry(**fields))
        return self._append(id, [entry], take_result=take_result)

    def append_logs(
        self, id: str | Task, entries: Iterable[LogEntry], *, take_result: bool = False
    ) -> Task:
        """Add entries to the log of a task, in their order, and return the task.

        Args:
            take_result: make the last result that they tell that of the task.
        """
        name = self._id(id)
        more = tuple(entries)
        if not {LogEntry}.issuperset(map(type, more)):
            raise InvalidRecord(self.kind, name, "logs takes entries: LogEntry", field="logs")
        return self._append(id, more, take_result=take_result)

    def logs(
        self,
        id: str | Task,
        *,
        types: str | Collection[str] | None = None,
        since: datetime | None = None,
        last: int | None = None,
    ) -> tuple[LogEntry, ...]:
        """Return entries of the log of a task, the oldest first.

        Args:
            types: only of this type, or of these.
            since: only from this time on.
            last: of those only so many, the newest.
        """
        task = self[id]
        want_time(self.kind, "since", since)
        if last is not None and (type(last) is not int or last < 0):
            raise InvalidRecord(self.kind, task.id, "last takes an integer from 0", field="last")
        if types is None and since is None:
            return task.logs[max(0, len(task.logs) - last) :] if last is not None else task.logs[:]
        wanted = (types,) if isinstance(types, str) else types
        found = tuple(
            one
            for one in task.logs
            if (wanted is None or one.type in wanted) and (since is None or one.at >= since)
        )
        return found if last is None else found[max(0, len(found) - last) :]

    def _append(self, id: str | Task, entries: Collection[LogEntry], *, take_result: bool) -> Task:
        found = [result_in(one.text) for one in entries] if take_result else []
        result = next((one for one in reversed(found) if one is not None), None)
        more = {} if result is None else {"result": result.value}

        def appended(current: Task) -> Task:
            self._want_not_lost(current, id)
            return self._next(current, logs=current.logs.extended(entries), **more)

        return self._modify(id, appended)

    # --- assignment -------------------------------------------------------------------

    def assign(
        self,
        id: str | Task,
        to: str,
        *,
        by: str | None = None,
        capabilities: Iterable[str] = LEFT,
    ) -> Task:
        """Say who is to do a task, and return the task.

        Args:
            by: who says so.
            capabilities: what it takes to do it; left out, they stay as they are.
        """
        want_text(self.kind, self._id(id), "assigned_to", to)
        fields: dict[str, Any] = {"assigned_to": to, "assigned_by": by}
        if capabilities is not LEFT:
            fields["capabilities"] = capabilities
        return self._set(id, by, fields)

    def unassign(self, id: str | Task, *, actor: str | None = None) -> Task:
        """Say that nobody in particular is to do a task, and return the task."""
        return self._set(id, actor, {"assigned_to": None, "assigned_by": None})

    def _set(self, id: str | Task, actor: str | None, fields: dict[str, Any]) -> Task:
        name = self._id(id)
        self._want_fields(name, fields)
        return self._modify(name, lambda current: self._next(current, actor, **fields))


def _clamped(percent: Any) -> Any:
    if type(percent) is int or (type(percent) is float and percent == percent):  # not NaN
        return min(100.0, max(0.0, float(percent)))
    return percent
