"""Snapshots: all live records of an application as they are at one moment, and figures of them."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import attrs
import orjson

from statestore.engine.engine import Engine
from statestore.errors import EncodeError, UnknownName
from statestore.managers.manager import Manager
from statestore.managers.metrics import (
    SessionMetrics,
    TaskMetrics,
    session_metrics,
    task_metrics,
)
from statestore.managers.sessions.records import Session
from statestore.managers.tasks.records import Task
from statestore.models.documents import FrozenDict, dumps_checked
from statestore.models.keys import SETTINGS_ID
from statestore.models.times import format_time
from statestore.records.scopes import scope_of

DOCUMENT_VERSION = 1
"""The version of the shape of a snapshot's document."""

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class SnapshotMetrics(TaskMetrics):
    """Figures of the tasks of a snapshot, with those of its sessions."""

    sessions: SessionMetrics = attrs.field(factory=SessionMetrics)


@attrs.frozen(kw_only=True)
class Snapshot:
    """The state of an application at one moment.

    `records` has the records of each registered kind, in the order of the manager; those of classes
    that can change are copies. `schemas` has the versions of their classes. `taken_at` is when it
    was taken, `last_saved_at` when this process last saved, None before that; both are aware, in
    UTC. `sequence` is that of the last commit that was known; unsaved changes, which are in it, are
    in none yet.
    """

    taken_at: datetime
    last_saved_at: datetime | None
    sequence: int
    metrics: SnapshotMetrics
    schemas: Mapping[str, int]
    records: Mapping[str, tuple[Any, ...]] = attrs.field(repr=False)
    _unknown: Mapping[str, Mapping[str, Mapping[str, Any]]] = attrs.field(eq=False, repr=False)
    _codecs: Mapping[str, Any] = attrs.field(eq=False, repr=False)

    @property
    def sessions(self) -> tuple[Session, ...]:
        """The sessions."""
        return _of_class(Session, self.records.get("sessions", ()))

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks."""
        return _of_class(Task, self.records.get("tasks", ()))

    def document(self, kinds: Collection[str] | None = None) -> dict[str, Any]:
        """Return it as plain JSON, with every record as it would be stored.

        Shape: {"version": 1, "taken_at": RFC 3339 UTC, "last_saved_at": the same or None,
        "sequence": int, "metrics": {"total": int, …, "average_completion_s": float or None,
        "sessions": {…}}, "schemas": {kind: int}, "records": {kind: [document, …]}}.

        Args:
            kinds: the kinds to put in; by default all but `reports`: a snapshot that is kept as a
                report would else hold all those before it, each with those before that.
        Raises:
            UnknownName: the snapshot has no records of such a kind.
            EncodeError: a record has a value that cannot be stored; it says where.
        """
        chosen = [kind for kind in self.records if kind != "reports"] if kinds is None else kinds
        for kind in chosen:
            if kind not in self.records:
                raise UnknownName("kind", kind, sorted(self.records))
        saved_at = self.last_saved_at
        document = {
            "version": DOCUMENT_VERSION,
            "taken_at": format_time(self.taken_at),
            "last_saved_at": None if saved_at is None else format_time(saved_at),
            "sequence": self.sequence,
            "metrics": attrs.asdict(self.metrics),
            "schemas": {kind: self.schemas[kind] for kind in chosen},
            "records": {kind: self._documents(kind) for kind in chosen},
        }
        plain: dict[str, Any] = orjson.loads(dumps_checked(document))
        return plain

    def _documents(self, kind: str) -> list[dict[str, Any]]:
        unknown, codec = self._unknown.get(kind, {}), self._codecs[kind]
        return [{**codec.encode(one), **unknown.get(one.id, {})} for one in self.records[kind]]


def take(engine: Engine, managers: Mapping[str, Manager[Any]]) -> Snapshot:
    """Return the live records of managers as they are at one moment. See `Store.snapshot`.

    Raises:
        EncodeError: a record of a class that can change cannot be copied.
    """
    with engine.turn():
        # What lands is shown kind by kind; with the turn held nothing else sets out.
        engine.wait_for_commits()
        sequence, saved_at = engine.driver.sequence, engine.last_save_time
        live, unknown = _at_once(list(managers.values()))
        taken_at = engine.clock()
    scope = scope_of(engine)
    records: dict[str, tuple[Any, ...]] = {}
    fields: dict[str, Mapping[str, Any]] = {}
    for (kind, manager), shown, more in zip(managers.items(), live, unknown, strict=True):
        space = None if scope is None else scope.workspace(kind)
        if space is not None:
            shown = {id: one for id, one in space.over(shown).items() if id != SETTINGS_ID}
            more = {id: one for id, one in more.items() if id not in space.made}
        records[kind] = tuple(_own(manager, one) for one in shown.values())
        fields[kind] = FrozenDict(more)
    tasks = task_metrics(_of_class(Task, records.get("tasks", ())))
    sessions = session_metrics(_of_class(Session, records.get("sessions", ())))
    return Snapshot(
        taken_at=taken_at,
        last_saved_at=saved_at,
        sequence=sequence,
        schemas=FrozenDict({kind: manager.schema for kind, manager in managers.items()}),
        metrics=SnapshotMetrics(**attrs.asdict(tasks), sessions=sessions),
        records=FrozenDict(records),
        unknown=FrozenDict(fields),
        codecs=FrozenDict({kind: manager.codec for kind, manager in managers.items()}),
    )


def _at_once(
    managers: Sequence[Manager[Any]],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return copies of what managers hold, all of one moment.

    No lock is taken: a class of the host that reads another manager while its record is made holds
    the lock of its own, so who waited here for one with another in hand could wait for ever.
    """
    while True:
        held = [manager.held for manager in managers]
        dicts = [live for live, _ in held] + [unknown for _, unknown in held]
        # One call, without a step of Python in between: no other thread runs before it is done.
        copies = list(map(dict.copy, dicts))
        now = [manager.held for manager in managers]
        if all(a is c and b is d for (a, b), (c, d) in zip(held, now, strict=True)):
            return copies[: len(managers)], copies[len(managers) :]


def _own(manager: Manager[Any], record: Any) -> Any:
    if manager.codec.is_immutable:
        return record
    try:
        return copy.deepcopy(record)
    except Exception as error:
        reason = f"a record of {manager.kind!r} cannot be copied ({type(error).__name__})"
        raise EncodeError("$", reason) from error


def _of_class(cls: type[T], records: Sequence[Any]) -> tuple[T, ...]:
    return tuple(one for one in records if isinstance(one, cls))
