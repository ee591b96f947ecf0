"""When record files are written: soon after a commit, rarely under load, at once when asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

SHORTEST_S = 0.5
LONGEST_S = 1.0
"""Under load this long passes between the beginnings of two passes; more only where a pass itself
takes longer."""

_COSTS = 4
"""A pass is followed by a rest of so many times its own cost."""


class Background:
    """Runs a pass on a thread of its own. The thread begins when it is first needed."""

    def __init__(self, run: Callable[[], None], failed: Callable[[BaseException], None]) -> None:
        """Run `run`; `failed` is told what it raises where nobody waits for it."""
        self._run, self._failed = run, failed
        self._changed = threading.Condition(threading.Lock())
        self._thread: threading.Thread | None = None
        self._is_due = self._is_urgent = self._is_stopped = False
        self._asked = self._done = 0
        self._error: BaseException | None = None

    def note(self) -> None:
        """There is something to write."""
        with self._changed:
            if self._is_due:
                return
            self._is_due = True
            self._begin()
            self._changed.notify_all()

    def flush(self) -> None:
        """Return when a pass has ended that began after this call; raise what it raised."""
        with self._changed:
            if self._is_stopped:
                return
            self._asked += 1
            mine = self._asked
            self._is_urgent = True
            self._begin()
            self._changed.notify_all()
            while self._done < mine and not self._is_stopped:
                self._changed.wait()
            if self._error is not None:
                raise self._error

    def stop(self) -> None:
        """End the thread. What was due and not done stays undone."""
        with self._changed:
            self._is_stopped = True
            thread = self._thread
            self._changed.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="statestore-files", daemon=True)
            self._thread.start()

    def _loop(self) -> None:
        rest_until = 0.0
        while True:
            with self._changed:
                while not (self._is_stopped or self._is_urgent):
                    now = time.monotonic()
                    if self._is_due and now >= rest_until:
                        break
                    self._changed.wait(rest_until - now if self._is_due else None)
                if self._is_stopped:
                    return
                asked, self._is_due, self._is_urgent = self._asked, False, False
            began = time.monotonic()
            error: BaseException | None = None
            try:
                self._run()
            except BaseException as raised:  # noqa: BLE001 # for whoever waits, or is told
                error = raised
            cost = time.monotonic() - began
            rest_until = began + min(max(SHORTEST_S, cost * (_COSTS + 1)), LONGEST_S + cost)
            with self._changed:
                nobody_waits = asked == self._done
                self._done, self._error = asked, error
                if error is not None:
                    self._is_due = True  # again, when the cause may be gone
                self._changed.notify_all()
            if error is not None and nobody_waits:
                self._failed(error)
