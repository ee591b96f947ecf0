"""Autosave: what is unsaved is saved in the background, at intervals."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable
from datetime import timedelta
from queue import Empty, SimpleQueue
from typing import Protocol, TypeAlias

from statestore import forks
from statestore.engine.engine import Engine
from statestore.errors import CallbackFailed, ReadOnlyStore, StoreClosed
from statestore.models.configuration import checked_interval
from statestore.models.reports import Failure

SHORTEST_S = 0.001
"""It looks at most so often: an interval of next to nothing is to keep no processor busy."""

Cause: TypeAlias = tuple[object, type[Exception], str]


class Waiting(Protocol):
    """What a thread in the background waits on between two saves."""

    def wait(self, timeout_s: float) -> bool:
        """Return True as soon as it was ended, False when the time is over."""
        ...

    def end(self) -> None:
        """End all waiting, from now on. Any thread may call it, at any point. It never waits."""
        ...


class Pause:
    """Waits for the time to pass."""

    def __init__(self) -> None:
        # No Event: a weak reference may call back in the midst of its methods, in the same thread.
        self._ends: SimpleQueue[None] = SimpleQueue()

    def wait(self, timeout_s: float) -> bool:
        """See `Waiting.wait`. It is waited on by one thread, which then ends."""
        try:
            self._ends.get(timeout=timeout_s)
        except Empty:
            return False
        return True

    def end(self) -> None:
        """See `Waiting.end`."""
        self._ends.put(None)


class Autosaving:
    """Switches the autosave of one store on and off. Any thread may use it.

    What is on ends when the store is closed or no longer used by anybody, and keeps no process
    alive. In a forked child it is off.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        read_only: bool,
        make_waiting: Callable[[], Waiting] = Pause,
    ) -> None:
        """Be off. `make_waiting` makes what is waited on between saves."""
        self._engine, self._read_only, self._make_waiting = engine, read_only, make_waiting
        self._is_stopped = False
        self._interval_s: float | None = None
        self._loops: list[_Loop] = []  # the last is on, unless it was ended; the others end
        self._lock = threading.RLock()  # the handler of a signal may come back to it
        forks.note(self)

    @property
    def interval_s(self) -> float | None:
        """How many seconds after a save the next one begins; None where it is off."""
        return self._interval_s

    def enable(self, interval_s: float | timedelta) -> None:
        """See `Store.enable_autosave`."""
        chosen_s = checked_interval(interval_s, "interval_s")
        path = self._engine.path
        if self._read_only:
            raise ReadOnlyStore(path, "enable autosave")
        with self._lock:
            if self._is_stopped:
                raise StoreClosed(path)
            before = [one for one in self._loops if one.is_alive]
            loop = _Loop(self._engine, chosen_s, self._make_waiting())
            try:
                loop.start()
                # In a row: no signal comes between them.
                self._loops = [*before, loop]
                self._interval_s = chosen_s
            except BaseException:
                loop.end()  # an interruption may come when it has begun
                raise
            for one in before:
                one.end()
        _wait_for(before)

    def disable(self) -> None:
        """See `Store.disable_autosave`."""
        self._engine.want_no_transaction("disable autosave")
        if self._end():
            report = self._engine.save_unsaved()
            if report is not None:
                self._engine.tell_of_save(report)

    def save_beside(self, error: BaseException | None) -> None:
        """Save what is unsaved, if it is on, while an error is on its way; end it for good.

        Why something cannot be saved is a note to that error.
        """
        was_on = self._interval_s is not None
        self.stop()
        if not was_on:
            return
        try:
            report = self._engine.save_unsaved()
            if report is not None:
                self._engine.tell_of_save(report)
        except Exception as failed:  # noqa: BLE001 # a class of the host may raise anything
            if error is not None:
                error.add_note(f"while the store was closed: {failed}")

    def stop(self) -> None:
        """End it for good, without saving once more. Twice is harmless."""
        self._is_stopped = True
        self._end()

    def after_fork(self) -> None:
        """Be off, in a child: the thread is the parent's."""
        self._lock = threading.RLock()
        loops, self._loops, self._interval_s = self._loops, [], None
        for loop in loops:
            loop.leave_to_parent(self._make_waiting())

    def _end(self) -> bool:
        """Switch it off, wait for the save under way, and say whether it was on."""
        with self._lock:
            was_on = self._interval_s is not None
            self._interval_s = None
            loops = list(self._loops)
            for loop in loops:
                loop.end()
        _wait_for(loops)
        return was_on


class _Loop:
    """Saves at intervals, on a thread of its own, for as long as others use the engine."""

    def __init__(self, engine: Engine, interval_s: float, waiting: Waiting) -> None:
        self._interval_s, self._waiting = interval_s, waiting
        end = waiting.end
        self._engine = weakref.ref(engine, lambda _: end())
        self._told: set[Cause] = set()
        self._thread = threading.Thread(target=self._run, name="statestore-autosave", daemon=True)

    def start(self) -> None:
        """Begin; the first save comes when the interval has passed."""
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether its thread has not ended yet."""
        return self._thread.is_alive()

    @property
    def is_here(self) -> bool:
        """Whether this code runs in its thread: in a callback."""
        return self._thread is threading.current_thread()

    def end(self) -> None:
        """Begin no save any more."""
        self._waiting.end()

    def join(self) -> None:
        """Return when the save under way has ended, its callbacks included."""
        self._thread.join()

    def leave_to_parent(self, waiting: Waiting) -> None:
        """End in a child. A callback may have forked, and comes back to it there."""
        waiting.end()
        self._waiting = waiting

    def _run(self) -> None:
        while not self._waiting.wait(max(self._interval_s, SHORTEST_S)):
            if not self._save():
                return

    def _save(self) -> bool:
        """Save what is unsaved, and say whether there is a store to go on with."""
        engine = self._engine()
        if engine is None:
            return False
        try:
            report = engine.save_unsaved()
            before, failures = self._told, () if report is None else report.failures
            now = {_cause(one) for one in failures}
            self._told = now | {one for one in before if one[1] is CallbackFailed}
            if report is not None:
                fresh = [one for one in failures if _cause(one) not in before]
                engine.tell_of_save(report, strict=False, failures=fresh)
                self._told = now
        except StoreClosed:
            return False
        except Exception as error:  # noqa: BLE001 # a class of the host may raise anything
            self._tell(engine, error)
        except BaseException as error:  # noqa: BLE001 # exit() in a callback, say: it ends no save
            raised = RuntimeError(f"{type(error).__name__} was raised in the background")
            raised.__cause__ = error
            self._tell(engine, CallbackFailed("host's", [raised]))
        return True

    def _tell(self, engine: Engine, error: Exception) -> None:
        """Tell of a trouble, once until it is over: each save would meet it again."""
        failure = Failure(None, "save", error)
        cause = _cause(failure)
        if cause in self._told:
            return
        self._told.add(cause)
        with contextlib.suppress(
            BaseException
        ):  # who is told of troubles cannot be told of his own
            engine.callbacks.tell([failure])


def _cause(failure: Failure) -> Cause:
    return failure.key, type(failure.error), str(failure.error)


def _wait_for(loops: list[_Loop]) -> None:
    # A callback waits for none of them: one of them may be waiting for it.
    if not any(loop.is_here for loop in loops):
        for loop in loops:
            loop.join()
