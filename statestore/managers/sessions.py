"""Sessions: spans of work of an agent on a project."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import attrs

from statestore.managers.domain import DomainManager
from statestore.models.documents import FrozenDict
from statestore.records.columns import read_in_columns
from statestore.records.fields import (
    choice_field,
    extra_field,
    id_field,
    mapping_field,
    number_field,
    text_field,
    texts_field,
    time_field,
)
from statestore.records.ids import new_id
from statestore.records.sharing import Merge


class SessionMode(StrEnum):
    """What a session is for."""

    PLANNING = "planning"
    BUILDING = "building"
    TESTING = "testing"
    REFACTORING = "refactoring"
    DEBUGGING = "debugging"
    DEPLOYMENT = "deployment"


class SessionStatus(StrEnum):
    """Where a session stands. A new one is paused until it is started."""

    PAUSED = "paused"
    ACTIVE = "active"
    COMPLETED = "completed"
    FAILED = "failed"


@read_in_columns
@attrs.frozen
class Session:
    """A span of work of an agent on a project.

    `duration_s` is the time that it was active before `started_at`, in seconds; `started_at` is the
    beginning of the present active span. Times are aware, in UTC.
    """

    id: str = id_field()
    project_id: str = text_field()
    name: str = text_field()
    description: str = text_field()
    mode: SessionMode = choice_field(SessionMode, SessionMode.BUILDING)
    status: SessionStatus = choice_field(SessionStatus, SessionStatus.PAUSED)
    agent: str | None = text_field(None)
    focus_chain_id: str | None = text_field(None)
    resumed_from: str | None = text_field(None)
    failure_reason: str | None = text_field(None)
    tags: tuple[str, ...] = texts_field()
    context: FrozenDict = mapping_field()
    metadata: FrozenDict = mapping_field()
    created_at: datetime = time_field()
    updated_at: datetime = time_field()
    started_at: datetime | None = time_field(optional=True)
    ended_at: datetime | None = time_field(optional=True)
    duration_s: float = number_field(0.0, low=0.0)
    extra: FrozenDict = extra_field()


class SessionManager(DomainManager[Session]):
    """The sessions of a store, in `sessions/`."""

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] | None = None,
        make_id: Callable[[], str] = new_id,
        merge: Merge[Session] | None = None,
    ) -> None:
        """See `Manager`."""
        super().__init__("sessions", Session, clock=clock, make_id=make_id, merge=merge)

    def create(
        self,
        *,
        project_id: str = "",
        name: str = "",
        description: str = "",
        mode: SessionMode | str = SessionMode.BUILDING,
        context: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        tags: Iterable[str] = (),
        id: str | None = None,
        **fields: Any,
    ) -> Session:
        """Add a session and return it. It begins paused. See `Manager.create`."""
        return super().create(
            id=id,
            project_id=project_id,
            name=name,
            description=description,
            mode=mode,
            context=context,
            metadata=metadata,
            tags=tags,
            **fields,
        )

    @property
    def active(self) -> Session | None:
        """The session whose status is active; of several the one that was started last."""
        running = [one for one in self.all() if one.status is SessionStatus.ACTIVE]
        return max(
            running, key=lambda one: (one.started_at or one.created_at, one.id), default=None
        )
