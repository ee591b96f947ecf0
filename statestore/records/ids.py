"""New ids: sortable by time, unique across processes and machines."""

from __future__ import annotations

import os
import secrets
import threading
import time
import uuid

_lock = threading.Lock()
_last = 0


def new_id() -> str:
    """Return a UUID of version 7 as text: later ones sort behind earlier ones of this process.

    Unlike the standard's plain form the 12 bits after the milliseconds count on when the clock
    stands still or goes back. Source: RFC 9562, sections 5.7 and 6.2 (method 3).
    """
    global _last
    now = time.time_ns()
    stamp = (now // 1_000_000 << 12) | (now % 1_000_000 * 4096 // 1_000_000)
    with _lock:
        _last = stamp = max(stamp, _last + 1)
    value = (stamp >> 12 << 80) | (7 << 76) | ((stamp & 0xFFF) << 64)
    value |= (0b10 << 62) | secrets.randbits(62)
    return str(uuid.UUID(int=value))


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()  # a thread that is the parent's may have held the other


os.register_at_fork(after_in_child=_after_fork)
