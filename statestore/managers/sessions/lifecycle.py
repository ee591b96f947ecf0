"""The life of sessions: started, paused, resumed, completed, failed, and kept for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from typing import Any, ClassVar

from statestore.errors import InvalidTransition, SessionActive
from statestore.managers.limits import Limited
from statestore.managers.sessions.records import (
    SESSION_TRANSITIONS,
    Session,
    SessionLimits,
    SessionStatus,
    checked,
)
from statestore.managers.sessions.spans import accounted, active_s, halted, left_alone
from statestore.models.managed import Owner
from statestore.records.announcing import Told
from statestore.records.drafts import Draft

STARTED, RESUMED, PAUSED, COMPLETED, FAILED = "started", "resumed", "paused", "completed", "failed"
SWITCHED, CHAINED = "switched", "focus_chain_set"


class SessionLifecycle(Limited[Session, SessionLimits]):
    """The operations that change the status of a session.

    Whichever way a status is changed, by `update()` and `replace()` too, it is one that may follow,
    and the times say what happened.
    """

    limits_class = SessionLimits

    _domain_events: ClassVar[tuple[str, ...]] = (
        STARTED,
        RESUMED,
        PAUSED,
        COMPLETED,
        FAILED,
        SWITCHED,
        CHAINED,
    )

    @property
    def active(self) -> Session | None:
        """The session whose status is active; of several the one that was started last."""
        return _last_started(self.all())

    def start(self, id: str | Session, *, pause_others: bool = True) -> Session:
        """Make a paused session the active one; return it. A span of active time begins.

        One that is active already, but was started by another opening of the store, is taken over:
        its span ends at its last sign of life, and a new one begins.

        Args:
            pause_others: pause, in the same step, every other active session that is known here,
                whoever started it. Those of other processes are known once they are loaded or
                refreshed.
        Raises:
            RecordNotFound: there is none.
            InvalidTransition: it has ended, or this opening has it active already.
        """
        name = self._id(id)

        def make(draft: Draft[Session]) -> Session:
            current = draft[name]
            if current.is_active and current.run != self._run:
                changed = self._evolved(current, run=self._run)
            else:
                self._want_transition(current, SessionStatus.ACTIVE)
                changed = self._evolved(current, status=SessionStatus.ACTIVE)
            running = [one for one in draft.all() if one.is_active and one.id != name]
            left = _last_started(running)
            if pause_others and left is not None:
                for one in running:
                    draft.put(self._evolved(one, status=SessionStatus.PAUSED))
                draft.tell(name, SWITCHED, **{"from": left.id})
            return draft.put(changed)

        return self._change_all(make)

    def resume(self, id: str | Session, *, pause_others: bool = True) -> Session:
        """Go on with a session that was paused, or left active by another opening: see `start`.

        Raises:
            RecordNotFound, InvalidTransition: as `start`.
        """
        return self.start(id, pause_others=pause_others)

    def pause(self, id: str | Session) -> Session:
        """Let an active session rest, and return it. Its span of active time ends.

        Raises:
            RecordNotFound: there is none.
            InvalidTransition: it is not active.
        """

        def make(current: Session) -> Session:
            self._want_transition(current, SessionStatus.PAUSED)
            return self._evolved(current, status=SessionStatus.PAUSED)

        return self._modify(id, make)

    def complete(self, id: str | Session) -> Session:
        """End a session well, for good, and return it. Then what exceeds the history goes: `trim`.

        Raises:
            RecordNotFound: there is none.
            InvalidTransition: it has ended already.
        """
        return self._end(id, SessionStatus.COMPLETED)

    def fail(self, id: str | Session, reason: str | None = None) -> Session:
        """End a session badly, for good, and return it. Then what exceeds the history goes: `trim`.

        Args:
            reason: kept as its `failure_reason`.
        Raises:
            RecordNotFound: there is none.
            InvalidTransition: it has ended already.
            InvalidRecord: the reason is no text.
        """
        return self._end(id, SessionStatus.FAILED, failure_reason=reason)

    def touch(self, id: str | Session) -> Session:
        """Give a sign of life of a session, and return it: only its times change.

        If the process dies, an active session counts up to its last change by the opening that
        started it. Who works for long without changing it says so by this, and saves.

        Raises:
            RecordNotFound: there is none.
        """
        return self._modify(id, lambda current: self._evolved(current))

    def duration_s(self, id: str | Session) -> float:
        """Return for how many seconds a session was active, up to now.

        The time between two openings of the store is none of it. Of an active session that another
        opening has started, what it did after its last sign of life is not counted, though that
        opening may go on in another process.

        Raises:
            RecordNotFound: there is none.
        """
        return active_s(self[id], self._clock(), self._run)

    def delete(self, id: str | Session, *, force: bool = False) -> Session:
        """Remove a session and return what it was. See `Manager.delete`.

        Args:
            force: even if it is active.
        Raises:
            RecordNotFound: there is none.
            SessionActive: it is active.
        """
        name = self._id(id)

        def make(draft: Draft[Session]) -> Session:
            if not force:
                self._want_inactive(draft[name])
            return draft.delete(name)

        return self._change_all(make)

    def trim(self) -> tuple[Session, ...]:
        """Remove the sessions that exceed `limits.max_history`, and return them.

        Of those that have ended the ones that ended first go; others stay, whatever their number.
        Their focus chains stay.
        """
        return self._change_all(self._trimmed)

    # --- inside -----------------------------------------------------------------------

    @property
    def _run(self) -> str:
        return "" if self._owner is None else self._owner.run

    def attach(self, owner: Owner, on_change: Callable[[Set[str]], None] | None) -> None:
        """See `RecordManager.attach`. What was started before the store came is its own too."""
        with self._lock:
            alone = self._owner is None
            super().attach(owner, on_change)
            if alone:
                for one in [one for one in self._live.values() if one.run == ""]:
                    self._live[one.id] = self._evolver.evolve(one, {"run": owner.run})

    def _end(self, id: str | Session, status: SessionStatus, **fields: str | None) -> Session:
        name = self._id(id)

        def make(draft: Draft[Session]) -> Session:
            current = draft[name]
            self._want_transition(current, status)
            ended = draft.put(self._evolved(current, status=status, **fields))
            self._trimmed(draft)
            if name not in draft:  # it was the first to go, but it has ended as well
                for event, details in self._events_of(current, ended):
                    draft.tell(name, event, **details)
            return ended

        return self._change_all(make)

    def _trimmed(self, draft: Draft[Session]) -> tuple[Session, ...]:
        most = self.limits.max_history
        if most is None:
            return ()
        ended = [one for one in draft.all() if one.has_ended]
        ended.sort(key=lambda one: (one.ended_at or one.updated_at, one.id))
        return tuple(draft.delete(one.id) for one in ended[: max(0, len(ended) - most)])

    def _want_transition(self, current: Session, status: SessionStatus) -> None:
        allowed = SESSION_TRANSITIONS[current.status]
        if status not in allowed:
            known = [one for one in SessionStatus if one in allowed]
            raise InvalidTransition(self.kind, current.id, current.status, status, known)

    def _want_inactive(self, current: Session) -> None:
        if current.is_active:
            allowed = SESSION_TRANSITIONS[current.status]
            known = [one for one in SessionStatus if one in allowed]
            raise SessionActive(self.kind, current.id, known)

    def _evolved(self, current: Session, **changes: Any) -> Session:
        return super()._evolved(current, **checked(current.id, changes))

    def _succeed(self, current: Session, new: Session) -> Session:
        if new is current:
            return current
        self._want_fresh(current, new)
        if new.status is not current.status:
            self._want_transition(current, new.status)
        stamped = super()._succeed(current, new)
        changes = accounted(current, stamped, self._clock(), self._run)
        return self._evolver.evolve(stamped, changes) if changes else stamped

    def _received(self, record: Session, current: Session | None) -> Session:
        received = super()._received(record, current)
        chain = record.focus_chain_id
        others = [one for one in self.all() if one.id != record.id]
        if current is None and _has_chain(others, chain):
            # It is a copy of that one, whose chain is its own.
            received = self._evolver.evolve(received, {"focus_chain_id": None})
        if not record.is_active:
            return received
        if any(one.is_active for one in others):
            return self._evolver.evolve(received, halted(record))
        return self._evolver.evolve(received, left_alone(record))

    def _events_of(self, before: Session | None, after: Session | None) -> Iterable[Told]:
        if after is None:
            return
        was = SessionStatus.PAUSED if before is None else before.status
        if after.status is not was:
            if after.status is SessionStatus.ACTIVE:
                again = before is not None and before.started_at is not None
                yield (RESUMED if again else STARTED), {}
            elif after.status is SessionStatus.PAUSED:
                yield PAUSED, {"duration_s": after.duration_s}
            elif after.status is SessionStatus.COMPLETED:
                yield COMPLETED, {"duration_s": after.duration_s}
            else:
                details = {"duration_s": after.duration_s, "reason": after.failure_reason}
                yield FAILED, details
        elif before is not None and after.is_active and after.run != before.run:
            yield RESUMED, {}
        chain = None if before is None else before.focus_chain_id
        if after.focus_chain_id not in (None, chain):
            yield CHAINED, {"focus_chain_id": after.focus_chain_id}


def _has_chain(sessions: Iterable[Session], chain_id: str | None) -> bool:
    return chain_id is not None and any(one.focus_chain_id == chain_id for one in sessions)


def _last_started(sessions: Iterable[Session]) -> Session | None:
    return max(
        (one for one in sessions if one.is_active),
        key=lambda one: (one.started_at or one.created_at, one.id),
        default=None,
    )
