"""Sessions: spans of work of an agent on a project."""

from statestore.managers.sessions.manager import SessionManager
from statestore.managers.sessions.records import (
    SESSION_TRANSITIONS,
    Session,
    SessionLimits,
    SessionMode,
    SessionStatus,
    wants_project_and_name,
)
from statestore.managers.sessions.statistics import SessionStatistics

__all__ = [
    "SESSION_TRANSITIONS",
    "Session",
    "SessionLimits",
    "SessionManager",
    "SessionMode",
    "SessionStatistics",
    "SessionStatus",
    "wants_project_and_name",
]
