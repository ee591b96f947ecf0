"""Forks: what goes on differently in a child, whatever the threads of its parent were doing."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Forked(Protocol):
    """What a child takes over from its parent by being a copy of it."""

    def after_fork(self) -> None:
        """Become what it is to be in the child, with new locks. It raises nothing.

        Called in the child, by its only thread, before anything else happens there.
        """
        ...


_ALL: WeakSet[Forked] = WeakSet()


def note(one: Forked) -> None:
    """Call `one.after_fork()` in every child that is forked while it is there."""
    _ALL.add(one)


def _after_fork() -> None:
    for one in list(_ALL):
        one.after_fork()


os.register_at_fork(after_in_child=_after_fork)
