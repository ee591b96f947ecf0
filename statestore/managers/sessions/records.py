"""Sessions as records: what they hold, and which status may follow which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

import attrs

from statestore.errors import InvalidRecord
from statestore.models.documents import FrozenDict
from statestore.models.problems import Problem
from statestore.records.columns import read_in_columns
from statestore.records.fields import (
    choice_field,
    extra_field,
    id_field,
    integer_field,
    mapping_field,
    number_field,
    text_field,
    texts_field,
    time_field,
)
from statestore.records.validating import View


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


SESSION_TRANSITIONS: Final[Mapping[SessionStatus, frozenset[SessionStatus]]] = MappingProxyType(
    {
        SessionStatus.PAUSED: frozenset(
            {SessionStatus.ACTIVE, SessionStatus.COMPLETED, SessionStatus.FAILED}
        ),
        SessionStatus.ACTIVE: frozenset(
            {SessionStatus.PAUSED, SessionStatus.COMPLETED, SessionStatus.FAILED}
        ),
        SessionStatus.COMPLETED: frozenset(),
        SessionStatus.FAILED: frozenset(),
    }
)
"""Which statuses a session can get from each. What it may get from none has ended."""

ENDED: Final = frozenset(status for status, after in SESSION_TRANSITIONS.items() if not after)

MAX_LENGTHS: Final[Mapping[str, int]] = MappingProxyType(
    {"name": 1_000, "project_id": 1_000, "agent": 1_000, "tags": 1_000}
)
"""How many characters a field takes from an operation at most; of the tags, each. What is stored
or imported is not measured."""


@read_in_columns
@attrs.frozen
class Session:
    """A span of work of an agent on a project.

    Times are aware, in UTC. `started_at` is the beginning of its present active span, or of the
    last one; None until it is first started. `duration_s`, in seconds, is what all spans before
    that one have lasted together, and, if it is not active, that one as well. `ended_at` is when it
    was completed or failed, and `failure_reason` why it failed, where that was said.

    While it is active, `run` is the opening of the store in which the present span began ("" where
    there was no store), and `alive_at` the last time at which that opening gave a sign of life of
    it: by any change of it. What is not active has neither.
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
    run: str | None = text_field(None)
    alive_at: datetime | None = time_field(optional=True)
    extra: FrozenDict = extra_field()

    @property
    def is_active(self) -> bool:
        """Whether somebody works on it."""
        return self.status is SessionStatus.ACTIVE

    @property
    def has_ended(self) -> bool:
        """Whether it is completed or failed, and stays so."""
        return self.status in ENDED

    def has_tag(self, tag: str) -> bool:
        """Say whether it has a tag, written in just this way."""
        return tag in self.tags


@attrs.frozen
class SessionLimits:
    """How much is kept of sessions. None: everything.

    `max_history` is the number of sessions that have ended that are kept; those that ended first go
    first, when another ends.
    """

    max_history: int | None = integer_field(None, low=0)


def checked(id: str | None, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields that an operation was given, the tags as a tuple, however they come.

    Raises:
        InvalidRecord: one is longer than `MAX_LENGTHS` says.
    """
    given = dict(fields)
    tags = given.get("tags")
    if not isinstance(tags, str) and isinstance(tags, Iterable):
        given["tags"] = tags = tuple(tags)  # an iterator gives them only once
    for name, value in given.items():
        limit = MAX_LENGTHS.get(name)
        if limit is None:
            continue
        texts = value if isinstance(value, tuple) else (value,)
        if any(isinstance(text, str) and len(text) > limit for text in texts):
            reason = f"{name} takes {limit:,} characters at most"
            raise InvalidRecord("sessions", id, reason, field=name)
    return given


def wants_project_and_name(session: Session, _: View[Session]) -> Iterable[Problem]:
    """Find what keeps a session from saying what it is for: no project, no name.

    A validator, for hosts that want both: `sessions.add_validator(wants_project_and_name)`.
    """
    for name in ("project_id", "name"):
        if not getattr(session, name):
            yield Problem(name, "it is empty")
