"""Figures of sessions: how many of what, and how long they were active."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from math import fsum

import attrs

from statestore.managers.sessions.records import Session, SessionMode, SessionStatus
from statestore.managers.sessions.spans import active_s


@attrs.frozen
class SessionStatistics:
    """Figures of sessions at one moment.

    `by_status` and `by_mode` have every status and mode, `by_project` the projects that there are,
    by their ids ("" is none); all are numbers of sessions. `active_s` is the time for which all
    sessions together were active, `average_s` that for which one was on the average of those that
    are completed or failed, None if there is none: both in seconds.
    """

    total: int
    by_status: Mapping[SessionStatus, int]
    by_mode: Mapping[SessionMode, int]
    by_project: Mapping[str, int]
    active_s: float
    average_s: float | None


def statistics_of(sessions: Iterable[Session], now: datetime, run: str) -> SessionStatistics:
    """Return the figures of some sessions.

    Args:
        now: the time up to which this opening's active session counts.
        run: which opening of the store this is; "" without one.
    """
    statuses = dict.fromkeys(SessionStatus, 0)
    modes = dict.fromkeys(SessionMode, 0)
    projects: Counter[str] = Counter()
    spent: list[float] = []
    ended: list[float] = []
    for session in sessions:
        statuses[session.status] += 1
        modes[session.mode] += 1
        projects[session.project_id] += 1
        spent.append(active_s(session, now, run))
        if session.has_ended:
            ended.append(spent[-1])
    return SessionStatistics(
        total=len(spent),
        by_status=statuses,
        by_mode=modes,
        by_project=dict(sorted(projects.items())),
        active_s=round(fsum(spent), 6),
        average_s=round(fsum(ended) / len(ended), 6) if ended else None,
    )
