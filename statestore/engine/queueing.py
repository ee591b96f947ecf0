"""Commits of any driver, made one at a time by a thread that no signal interrupts."""

from __future__ import annotations

import _thread
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias, cast

from statestore.drivers.driver import Driver, QueueingDriver
from statestore.models.changes import Change, Commit
from statestore.models.keys import Key, Revision

Result: TypeAlias = Commit | BaseException
Settle: TypeAlias = Callable[[Result], None]


class Submit(Protocol):
    """Takes a commit to be made, and calls `settle` once with the commit or with the error."""

    def __call__(
        self, changes: Sequence[Change], expect: Mapping[Key, Revision], settle: Settle
    ) -> object: ...


def submit_to(driver: Driver) -> Submit:
    """Return what gives commits to a driver, in an order that is kept."""
    if driver.traits.queues:
        return cast(QueueingDriver, driver).submit  # its traits say that it is one
    return OneAtATime(driver).submit


class OneAtATime:
    """Takes commits for a driver that cannot queue them, and makes them in the order given.

    Signals are raised in the main thread only, so what that one submits is made by another.
    """

    def __init__(self, driver: Driver) -> None:
        """Make the commits of `driver`."""
        self._driver = driver
        self._jobs: deque[tuple[Sequence[Change], Mapping[Key, Revision], Settle]] = deque()
        self._serial = threading.Lock()

    def submit(
        self, changes: Sequence[Change], expect: Mapping[Key, Revision], settle: Settle
    ) -> None:
        """Make a commit. In the main thread it returns at once, in others when it is made.

        `settle` is called with whatever was raised, were it no error of the library.
        """
        self._jobs.append((changes, expect, settle))
        if threading.get_ident() != threading.main_thread().ident:
            self._work()
            return
        try:
            # No Thread: an interruption while its start() waits could keep it from ever running.
            _thread.start_new_thread(self._work, ())
        except RuntimeError:  # the interpreter is about to end, and starts no threads any more
            self._work()

    def _work(self) -> None:
        with self._serial:
            while self._jobs:
                changes, expect, settle = self._jobs.popleft()
                result: Result
                try:
                    result = self._driver.commit(changes, expect)
                except BaseException as error:  # noqa: BLE001 # raised again where it is waited for
                    result = error
                settle(result)
