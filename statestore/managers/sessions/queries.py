"""Finding sessions: by what they belong to and how they stand, and figures of all of them."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

from statestore.errors import InvalidRecord
from statestore.managers.sessions.lifecycle import SessionLifecycle
from statestore.managers.sessions.records import Session, SessionMode, SessionStatus
from statestore.managers.sessions.statistics import SessionStatistics, statistics_of

E = TypeVar("E", bound=StrEnum)


class SessionQueries(SessionLifecycle):
    """The ways to find sessions.

    Where nothing else is said they come oldest first, by `created_at`, then by id.
    """

    def by_project(self, project_id: str) -> tuple[Session, ...]:
        """Return the sessions of a project, by its exact id."""
        return self._where(lambda one: one.project_id == project_id)

    def by_mode(self, mode: SessionMode | str) -> tuple[Session, ...]:
        """Return the sessions of a mode.

        Raises:
            InvalidRecord: there is no such mode.
        """
        wanted = self._member("mode", SessionMode, mode)
        return self._where(lambda one: one.mode is wanted)

    def by_status(self, status: SessionStatus | str) -> tuple[Session, ...]:
        """Return the sessions of a status.

        Raises:
            InvalidRecord: there is no such status.
        """
        wanted = self._member("status", SessionStatus, status)
        return self._where(lambda one: one.status is wanted)

    def by_tag(self, tag: str) -> tuple[Session, ...]:
        """Return the sessions with a tag, written in just this way."""
        return self._where(lambda one: tag in one.tags)

    def find(self, text: str) -> tuple[Session, ...]:
        """Return the sessions with a text in their name, in capitals or not.

        Raises:
            InvalidRecord: it is no text.
        """
        if not isinstance(text, str):
            raise InvalidRecord(self.kind, None, "text takes what to look for", field="text")
        wanted = text.casefold()
        return self._where(lambda one: wanted in one.name.casefold())

    def recent(self, most: int = 10) -> tuple[Session, ...]:
        """Return at most so many sessions, those that were changed last first.

        Raises:
            InvalidRecord: it is no number from 0.
        """
        if type(most) is not int or most < 0:
            reason = "most takes a whole number from 0"
            raise InvalidRecord(self.kind, None, reason, field="most")
        newest = sorted(self.all(), key=lambda one: (one.updated_at, one.id), reverse=True)
        return tuple(newest[:most])

    def count(self) -> int:
        """Return how many sessions there are."""
        return len(self)

    def count_by_status(self) -> dict[SessionStatus, int]:
        """Return how many sessions there are of each status, 0 of some."""
        counts = dict.fromkeys(SessionStatus, 0)
        for one in self.all():
            counts[one.status] += 1
        return counts

    def statistics(self) -> SessionStatistics:
        """Return figures of all sessions, up to now; times are in seconds."""
        return statistics_of(self.all(), self._clock(), self._run)

    # --- inside -----------------------------------------------------------------------

    def _where(self, test: Callable[[Session], bool]) -> tuple[Session, ...]:
        found = [one for one in self.all() if test(one)]
        return tuple(sorted(found, key=lambda one: (one.created_at, one.id)))

    def _member(self, field: str, choices: type[E], value: str) -> E:
        try:
            return choices(value)
        except (ValueError, RecursionError):  # it is in the error's text, however deep it is
            known = [str(one.value) for one in choices]
            reason = f"{field} is one of: {', '.join(known)}"
            raise InvalidRecord(self.kind, None, reason, field=field, allowed=known) from None
