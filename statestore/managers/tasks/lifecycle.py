"""The life of tasks: the operations that change their status."""

from __future__ import annotations

from typing import Any

from statestore.managers.field_checks import want_fields, want_text
from statestore.managers.tasks.base import LEFT, TaskBase
from statestore.managers.tasks.records import Delegation, Task
from statestore.managers.tasks.statuses import STEPS, TaskStatus


class TaskLifecycle(TaskBase):
    """The operations of `STEPS`, one by one, and `set_status` for any.

    Each takes a task or its id, and who does it as `actor`, which the last changes of the task
    tell; each returns the new task. Parents follow in the same operation, see `ROLL_UP`; one that
    cannot go to the status that its children give it stays as it is. All of them raise
    `RecordNotFound` where there is no such task, and `InvalidTransition`, with the statuses that
    it can go to, where it cannot come to the status from the one it has; nothing has changed then.
    """

    def set_status(
        self,
        id: str | Task,
        status: TaskStatus | str,
        *,
        reason: str | None = None,
        actor: str | None = None,
    ) -> Task:
        """Bring a task to any status that it can go to from the one it has.

        Args:
            status: a status, or what another system calls it, see `STATUS_ALIASES`.
            reason: why, for those who read it later.
        Raises:
            InvalidRecord: there is no such status.
        """
        wanted = self._to_status(self._id(id), status)
        return self._shift(id, wanted, reason=reason, actor=actor)

    def ready(self, id: str | Task, *, actor: str | None = None) -> Task:
        """Say that a task can be begun."""
        return self._step(id, "ready", actor=actor)

    def queue(self, id: str | Task, *, actor: str | None = None) -> Task:
        """Let a task that is ready wait for its turn."""
        return self._step(id, "queue", actor=actor)

    def start(self, id: str | Task, *, actor: str | None = None) -> Task:
        """Begin a task, or go on with it, also when it has failed. The first time is kept."""
        return self._step(id, "start", actor=actor)

    def pause(self, id: str | Task, reason: str | None = None, *, actor: str | None = None) -> Task:
        """Leave a task for a while."""
        return self._step(id, "pause", reason=reason, actor=actor)

    def resume(self, id: str | Task, *, actor: str | None = None) -> Task:
        """Go on with a task that was begun and left: paused, interrupted, blocked, …"""
        return self._step(id, "resume", actor=actor)

    def interact(self, id: str | Task, *, actor: str | None = None) -> Task:
        """Say that a running task waits for what a person says to it."""
        return self._step(id, "interact", actor=actor)

    def interrupt(
        self, id: str | Task, reason: str | None = None, *, actor: str | None = None
    ) -> Task:
        """Say that a running task was left without its will, and can be resumed."""
        return self._step(id, "interrupt", reason=reason, actor=actor)

    def wait(self, id: str | Task, *, actor: str | None = None) -> Task:
        """Say that a running task has nothing to do for now; it is idle."""
        return self._step(id, "wait", actor=actor)

    def block(self, id: str | Task, reason: str | None = None, *, actor: str | None = None) -> Task:
        """Say that a task cannot go on."""
        return self._step(id, "block", reason=reason, actor=actor)

    def unblock(self, id: str | Task, *, actor: str | None = None) -> Task:
        """Say that a task that was blocked can be begun."""
        return self._step(id, "unblock", actor=actor)

    def complete(
        self,
        id: str | Task,
        result: Any = LEFT,
        *,
        confidence: float | None = LEFT,
        actor: str | None = None,
    ) -> Task:
        """End a task that succeeded.

        Args:
            result: any JSON value; what was left out stays as it is.
            confidence: how sure the result is, 0 to 1; what was left out stays as it is.
        Raises:
            InvalidRecord: the confidence is no such number.
        """
        given = {"result": result, "confidence": confidence}
        fields = {name: one for name, one in given.items() if one is not LEFT}
        return self._step(id, "complete", actor=actor, **fields)

    def fail(self, id: str | Task, error: str, *, actor: str | None = None) -> Task:
        """End a task that failed. It can be tried again.

        Args:
            error: why, in words.
        Raises:
            InvalidRecord: the text is empty.
        """
        want_text(self.kind, self._id(id), "error", error)
        return self._step(id, "fail", actor=actor, error=error)

    def cancel(
        self, id: str | Task, reason: str | None = None, *, actor: str | None = None
    ) -> Task:
        """End a task that nobody wants any more. Its children are not cancelled with it."""
        return self._step(id, "cancel", reason=reason, actor=actor)

    def retry(self, id: str | Task, *, actor: str | None = None) -> Task:
        """Make a task that failed ready again: without its error and its time of completion."""
        return self._step(id, "retry", actor=actor)

    def delegate(
        self,
        id: str | Task,
        to: str,
        *,
        by: str | None = None,
        instructions: str = "",
        actor: str | None = None,
    ) -> Task:
        """Give a task that is ready away; `delegation` of it tells to whom.

        Who it is assigned to stays: he is still to see that it is done.

        Args:
            to: who is to do it.
            by: who says so; by default `actor`.
            instructions: what is said to him.
        Raises:
            InvalidRecord: `to` is empty, or an argument of another type.
        """
        name = self._id(id)
        want_text(self.kind, name, "to", to)
        fields: dict[str, Any] = {"to": to, "by": by or actor, "instructions": instructions}
        fields["at"] = self._clock()
        want_fields(self.kind, name, Delegation, fields)
        delegation = self._made(name, lambda: Delegation(**fields))
        return self._step(id, "delegate", actor=actor or by, delegation=delegation)

    def _step(
        self,
        id: str | Task,
        name: str,
        *,
        actor: str | None,
        reason: str | None = None,
        **fields: Any,
    ) -> Task:
        step = STEPS[name]
        return self._shift(id, step.to, step=step, reason=reason, actor=actor, **fields)
