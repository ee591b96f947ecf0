"""The manager of sessions: spans of work of an agent on a project."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from statestore.managers.focus.manager import FocusManager
from statestore.managers.sessions.chains import SessionChains
from statestore.managers.sessions.details import SessionDetails
from statestore.managers.sessions.queries import SessionQueries
from statestore.managers.sessions.records import (
    Session,
    SessionLimits,
    SessionMode,
    SessionStatus,
    checked,
)
from statestore.managers.sessions.spans import merged_sessions
from statestore.records.ids import new_id
from statestore.records.sharing import Merge


class SessionManager(SessionChains, SessionQueries, SessionDetails):
    """The sessions of a store, in `sessions/`.

    Every operation takes an id or a session, and returns the session as it is after it.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] | None = None,
        make_id: Callable[[], str] = new_id,
        merge: Merge[Session] | None = None,
        limits: SessionLimits | Mapping[str, Any] | None = None,
        chains: FocusManager | None = None,
    ) -> None:
        """See `Manager`.

        Args:
            limits: how much is kept, for this process: see `Limited`. By default what the store
                remembers, and else everything.
            chains: where the focus chains of sessions are; by default in the manager of "focus" of
                the same store.
        """
        super().__init__(
            "sessions",
            Session,
            clock=clock,
            make_id=make_id,
            merge=merge or merged_sessions,
            limits=limits,
        )
        self._own_chains = chains

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
        """Add a session and return it. It begins paused. See `Manager.create`.

        Args:
            project_id, name: texts of at most 1,000 characters; both may be empty.
            description: a text of any length.
            mode: a `SessionMode`, or its value.
            context, metadata: mappings of what JSON has; they are copied and frozen.
            tags: texts of at most 1,000 characters each.
            id: its id; by default a new one, sortable by time.
            fields: the other fields of `Session`. Times are aware.
        Raises:
            InvalidRecord: a field does not take its value: `field` names it, and `allowed` the
                values of a mode or status; or a name, project, agent or tag is longer than 1,000
                characters, or a tag is empty.
            DuplicateId, InvalidId: as they say.
        """
        given: dict[str, Any] = {
            "project_id": project_id,
            "name": name,
            "description": description,
            "mode": mode,
            "context": context,
            "metadata": metadata,
            "tags": tags,
            **fields,
        }
        given = checked(id, given)
        if given.get("status") == SessionStatus.ACTIVE:
            now = self._clock()
            begun = {"created_at": now, "started_at": now, "alive_at": now, "run": self._run}
            given = {**begun, **given}
        elif given.get("status") in (SessionStatus.COMPLETED, SessionStatus.FAILED):
            now = self._clock()
            given = {"created_at": now, "ended_at": now, **given}
        return super().create(id=id, **given)
