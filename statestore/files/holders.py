"""Holders: who has a lock, written into its file for those who wait in vain."""

from __future__ import annotations

import contextlib
import os
import struct
import time
import zlib
from datetime import UTC, datetime, timedelta

import attrs

HOLDER_OFFSET = 128
"""Where the record begins, behind what else a lock file may hold."""

_MAGIC = b"ssholder"
_HOST_BYTES = 64  # a host name of Linux has no more. Source: gethostname(2)
_FIELDS = struct.Struct(f"<8sQQ{_HOST_BYTES}s")
HOLDER_BYTES = _FIELDS.size + 4

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@attrs.frozen
class Holder:
    """A process. `started_at` (aware) is the time at which it began; None where it is not known.

    It is information for people, and nothing may depend on it: the write of it may have failed,
    whoever wrote it may be gone, and a pid means nothing in another container.
    """

    pid: int
    host: str
    started_at: datetime | None

    def to_bytes(self) -> bytes:
        """Return what is written into a lock file, at `HOLDER_OFFSET`."""
        host = self.host.encode("utf-8", "replace")[:_HOST_BYTES]
        at_us = 0
        if self.started_at is not None:
            at_us = (self.started_at - _EPOCH) // timedelta(microseconds=1)
        data = _FIELDS.pack(_MAGIC, self.pid, max(at_us, 0), host)
        return data + zlib.crc32(data).to_bytes(4, "little")

    @classmethod
    def from_bytes(cls, data: bytes) -> Holder | None:
        """Return who it says; None if that cannot be trusted."""
        if len(data) != HOLDER_BYTES or zlib.crc32(data[:-4]) != int.from_bytes(
            data[-4:], "little"
        ):
            return None
        magic, pid, at_us, host = _FIELDS.unpack(data[:-4])
        if magic != _MAGIC:
            return None
        started_at = None
        with contextlib.suppress(OverflowError):
            started_at = _EPOCH + timedelta(microseconds=at_us) if at_us else None
        return cls(pid, host.rstrip(b"\0").decode("utf-8", "replace"), started_at)


def this_process() -> Holder:
    """Return the calling process."""
    return _described()[1]


def this_process_bytes() -> bytes:
    """Return `this_process().to_bytes()`, made once per process."""
    return _described()[2]


_FIRST_USE = datetime.now(UTC)

_cached: tuple[int, Holder, bytes] | None = None


def _described() -> tuple[int, Holder, bytes]:
    global _cached  # all threads would make the same
    known, pid = _cached, os.getpid()
    if known is None or known[0] != pid:  # a forked child is another process
        holder = Holder(pid, os.uname().nodename, _started_at() or _FIRST_USE)
        known = _cached = (pid, holder, holder.to_bytes())
    return known


def _started_at() -> datetime | None:
    """Return when this process began, to some hundredths of a second; None off Linux."""
    try:
        with open("/proc/self/stat", "rb") as file:
            # The name of the program, in brackets, may hold anything. Behind it the 20th field is
            # the 22nd of all, in ticks since the system's start. Source: proc_pid_stat(5)
            ticks = int(file.read().rpartition(b")")[2].split()[19])
        age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
        return datetime.now(UTC) - timedelta(seconds=age_s)
    except (OSError, AttributeError, ValueError, IndexError, OverflowError):
        return None
