"""A pause of Python's garbage collector while very many objects are made that all stay."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_pauses = 0
_was_enabled = False


@contextmanager
def collector_paused(*, all_stay: bool = False) -> Iterator[None]:
    """Hold the collector off; it goes on when the last of those that asked for it is done.

    Each of its rounds would look through everything that was made so far. It stays as it is where
    the host has switched it off. Pauses may nest, also in several threads.

    Args:
        all_stay: count what there is then among the old, which are looked at seldom; the first
            round after the pause would look through all of it else.
    """
    global _pauses, _was_enabled
    is_counted = False
    try:
        with _lock:
            is_enabled = gc.isenabled()
            # In a row: no signal comes between them.
            _was_enabled = _was_enabled if _pauses else is_enabled
            _pauses += 1
            is_counted = True
            gc.disable()
        yield
    finally:
        if is_counted:
            with _lock:
                _pauses -= 1
                if not _pauses and _was_enabled:
                    if all_stay and not gc.get_freeze_count():  # else the host has put some there
                        gc.freeze()
                        gc.unfreeze()
                    gc.enable()


def collect_again() -> None:
    """End all pauses: this is a forked child, and who asked for them are threads of its parent."""
    global _lock, _pauses
    _lock = threading.Lock()
    if _pauses and _was_enabled:
        gc.enable()
    _pauses = 0
