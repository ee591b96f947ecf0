"""When record files are written: soon after a commit, rarely under load, at once when asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

SHORTEST_S = 0.5
LONGEST_S = 1.0
"""Under load this long passes between the beginnings of two passes; more only where a pass itself
takes longer."""

_COSTS = 4
"""A pass is followed by a rest of so many times its own cost."""

LOOK_S = 1.0
"""A process with nothing to do looks so often whether others have left something."""


_NOW = 0.0


class _Waiter:
    """Somebody who waits for a pass. A plain lock: no signal can leave it half taken."""

    def __init__(self) -> None:
        self.latch = threading.Lock()
        self.latch.acquire()
        self.error: BaseException | None = None

    def wait(self) -> None:
        with self.latch:
            pass
        if self.error is not None:
            raise self.error


class Background:
    """Runs passes on a thread of its own, which keeps no process alive."""

    def __init__(
        self,
        run: Callable[[], None],
        failed: Callable[[BaseException], None],
        look: Callable[[], bool],
    ) -> None:
        """Run `run`; `failed` is told what it raises where nobody waits for it.

        Args:
            look: called about once a second while there is nothing to do: quick, and says whether
                there is something to write after all.
        """
        self._run, self._failed, self._look = run, failed, look
        self._lock = threading.Lock()
        self._wakes: SimpleQueue[None] = SimpleQueue()
        self._waiters: list[_Waiter] = []
        self._due_s: float | None = None
        self._is_stopped = False
        self._thread = threading.Thread(target=self._loop, name="statestore-files", daemon=True)
        self._thread.start()

    def note(self) -> None:
        """There is something to write."""
        if self._due_s != _NOW:
            self._due_s = _NOW
            self._wakes.put(None)

    def note_elsewhere(self) -> None:
        """There is something that somebody else is going to write, if he lives."""
        if self._due_s is None:
            self._due_s = time.monotonic() + LONGEST_S
            self._wakes.put(None)

    def flush(self) -> None:
        """Return when a pass has ended that began after this call; raise what it raised."""
        waiter = _Waiter()
        with self._lock:
            if self._is_stopped:
                return
            self._waiters.append(waiter)
        self._wakes.put(None)
        waiter.wait()

    def stop(self) -> None:
        """End the thread. What was due and not done stays undone."""
        self._is_stopped = True
        self._wakes.put(None)
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _loop(self) -> None:
        rest_until = 0.0
        while not self._is_stopped:
            if not self._waiters:
                due_s, now = self._due_s, time.monotonic()
                if due_s is None:
                    if not self._is_woken(LOOK_S) and self._look():
                        self.note()
                    continue
                if now < max(due_s, rest_until):
                    self._is_woken(max(due_s, rest_until) - now)
                    continue
            with self._lock:
                waiters, self._waiters = self._waiters, []
            self._due_s = None
            began = time.monotonic()
            error = self._attempt()
            cost = time.monotonic() - began
            rest_until = began + min(max(SHORTEST_S, cost * (_COSTS + 1)), LONGEST_S + cost)
            for waiter in waiters:
                waiter.error = error
                waiter.latch.release()
            if error is not None:
                self._due_s = _NOW  # again, when the cause may be gone
                if not waiters:
                    self._failed(error)
        with self._lock:
            waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.latch.release()

    def _is_woken(self, timeout_s: float) -> bool:
        try:
            self._wakes.get(timeout=timeout_s)
        except Empty:
            return False
        return True

    def _attempt(self) -> BaseException | None:
        try:
            self._run()
        except BaseException as error:  # noqa: BLE001 # for whoever waits, or is told
            return error
        return None
