"""How long a session was active: what each change of its status does to its times.

Time counts while a session is active and the opening of the store that started it goes on. A
process can die without a word; then nobody knows when, but that it was not before its last sign of
life. So a span that another opening began is taken to last until that, and what lies between the
two openings counts for nothing.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs

from statestore.managers.sessions.records import Session, SessionStatus
from statestore.records.merging import merged


def span_s(session: Session, at: datetime, run: str) -> float:
    """Return how long the present span of a session lasts, in seconds; 0.0 if it is not active.

    Args:
        at: until when, if this opening began it.
        run: which opening this is.
    """
    if not session.is_active or session.started_at is None:
        return 0.0
    end = _last_sign(session)
    if session.run == run:
        end = at if session.alive_at is None else max(at, end)  # the clock may have gone back
    return _between_s(session.started_at, end)


def active_s(session: Session, now: datetime, run: str) -> float:
    """Return how long a session was active up to now, in seconds.

    Of a span that another opening began only what lies before its last sign of life is counted,
    whether that opening has ended or not.
    """
    return _total_s(session, now, run)


def accounted(before: Session, after: Session, now: datetime, run: str) -> dict[str, Any]:
    """Return what is to be changed of the times in `after`, so that they say what happened.

    Fields that whoever made `after` has set himself stay as he has set them.

    Args:
        before: what `after` follows.
        now: what the clock says.
        run: the opening of the store that makes the change; "" without a store.
    """
    at = min(now, after.updated_at)  # which was read from the clock a moment before
    changes: dict[str, Any] = {}
    if after.is_active and not before.is_active:
        changes |= {"run": run, "alive_at": at, "started_at": at, "ended_at": None}
    elif before.is_active and not after.is_active:
        changes |= {"run": None, "alive_at": None, "duration_s": _total_s(before, at, run)}
    elif after.is_active and after.run == run:
        changes["alive_at"] = at if before.run != run else max(at, _last_sign(before))
        if before.run != run:  # it takes it over
            changes |= {"started_at": at, "duration_s": _total_s(before, at, run)}
    elif after.is_active and after.alive_at is None:
        changes["alive_at"] = _last_sign(before)  # what others do to it is no sign of life
    if after.has_ended and not before.has_ended:
        changes["ended_at"] = at
    if not changes:
        return changes
    own = ("started_at", "ended_at", "duration_s")
    said = {name for name in own if getattr(after, name) != getattr(before, name)}
    return {name: value for name, value in changes.items() if name not in said}


def halted(session: Session) -> dict[str, Any]:
    """Return what makes a paused session of an active one that nobody here works on."""
    last = _last_sign(session)
    spent_s = _between_s(session.started_at or last, last)
    return {
        "status": SessionStatus.PAUSED,
        "run": None,
        "alive_at": None,
        "duration_s": _exact(session.duration_s + spent_s),
    }


def left_alone(session: Session) -> dict[str, Any]:
    """Return what makes an active session one that nobody here works on, and that stays active.

    Whoever exported it may be this very opening: it may have rested since.
    """
    return {"run": None, "alive_at": _last_sign(session)}


def merged_sessions(base: Session | None, mine: Session, theirs: Session) -> Session:
    """Return a session with the changes of two: see `merged`. A sign of life contradicts nothing.

    Raises:
        Unmergeable: both have changed the same thing in different ways.
    """
    if base is not None:
        changed_here, changed_there = _span(mine) != _span(base), _span(theirs) != _span(base)
        if changed_there and not changed_here:
            mine = attrs.evolve(mine, alive_at=theirs.alive_at)
        elif changed_here and not changed_there:
            theirs = attrs.evolve(theirs, alive_at=mine.alive_at)
    return merged(base, mine, theirs)


def _span(session: Session) -> tuple[object, ...]:
    return session.status, session.run, session.started_at


def _last_sign(session: Session) -> datetime:
    return session.alive_at or session.updated_at


def _between_s(start: datetime, end: datetime) -> float:
    return max(0.0, (end - start).total_seconds())


def _total_s(session: Session, at: datetime, run: str) -> float:
    return _exact(session.duration_s + span_s(session, at, run))


def _exact(seconds: float) -> float:
    """Return seconds as exactly as times are: to the microsecond."""
    return round(seconds, 6)
