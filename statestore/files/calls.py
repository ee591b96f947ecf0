"""The system calls that stores make, as a table that tests can replace.

Everything that changes the disk goes through one object of this shape, so that an implementation
which fails on demand, tears writes or forgets what was not synced can stand in for the system.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import sys
from typing import Protocol


class Files(Protocol):
    """System calls on files. Each raises `OSError` as the system does; none retries.

    Names are relative to the folder `dir_fd`; links are never followed.
    """

    def open(self, name: str, flags: int, mode: int = 0o600, *, dir_fd: int | None = None) -> int:
        """Open a file and return its descriptor, which child processes do not inherit."""
        ...

    def read(self, fd: int, size: int) -> bytes:
        """Return up to `size` bytes; none at the end."""
        ...

    def write(self, fd: int, data: memoryview) -> int:
        """Write some of `data` and return how many bytes that was."""
        ...

    def read_at(self, fd: int, size: int, offset: int) -> bytes:
        """Return up to `size` bytes from `offset` on; none at the end."""
        ...

    def write_at(self, fd: int, data: memoryview, offset: int) -> int:
        """Write some of `data` at `offset` and return how many bytes that was."""
        ...

    def note_at(self, fd: int, data: memoryview, offset: int) -> None:
        """Write `data`, or some of it, at `offset`: words for people, on which nothing depends and
        which need not reach the disk.
        """
        ...

    def truncate(self, fd: int, size: int) -> None:
        """Make a file `size` bytes long."""
        ...

    def sync(self, fd: int) -> None:
        """Return when the content of a file, or the names in a folder, are on the disk."""
        ...

    def sync_data(self, fd: int) -> None:
        """Return when the content of a file is on the disk, its times perhaps not."""
        ...

    def sync_file_system(self, fd: int) -> None:
        """Return when all that was written to the file system of `fd` is on the disk.

        Raises `OSError` with ENOSYS where the system has no such call that tells of errors.
        """
        ...

    def close(self, fd: int) -> None: ...

    def lock(self, fd: int, *, shared: bool = False, wait: bool = True) -> bool:
        """Lock a file against all other openings of it, or, `shared`, against exclusive locks.

        Waits until it is free; without `wait` it returns at once and says whether it is locked now.
        """
        ...

    def unlock(self, fd: int) -> None: ...

    def status(self, fd: int) -> os.stat_result: ...

    def status_of(self, name: str, *, dir_fd: int | None = None) -> os.stat_result: ...

    def file_system(self, fd: int) -> str:
        """Return the type of the file system that a file or folder is on, as Linux calls it.

        "ext4", "nfs4", "fuse.sshfs"; empty where the system does not tell.
        """
        ...

    def set_mode(self, fd: int, mode: int) -> None: ...

    def set_mtime(self, fd: int, mtime_ns: int) -> None: ...

    def rename(self, old: str, new: str, *, old_fd: int, new_fd: int) -> None:
        """Give a file a new name, replacing what has it, in one step."""
        ...

    def link(self, old: str, new: str, *, old_fd: int, new_fd: int) -> None:
        """Give a file a second name; never replaces what has it."""
        ...

    def unlink(self, name: str, *, dir_fd: int) -> None: ...

    def mkdir(self, name: str, mode: int, *, dir_fd: int | None = None) -> None: ...

    def rmdir(self, name: str, *, dir_fd: int) -> None: ...

    def names(self, fd: int) -> list[str]:
        """Return the names in a folder, unsorted."""
        ...


# Python's fsync() does not reach past the drive's cache on macOS; this call does. Source: fsync(2)
# there. Where it is missing fsync() is enough.
_FULL_SYNC = getattr(fcntl, "F_FULLFSYNC", None)


class SystemFiles:
    """`Files` by the operating system."""

    def open(self, name: str, flags: int, mode: int = 0o600, *, dir_fd: int | None = None) -> int:
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=dir_fd)

    def read(self, fd: int, size: int) -> bytes:
        return os.read(fd, size)

    def write(self, fd: int, data: memoryview) -> int:
        return os.write(fd, data)

    def read_at(self, fd: int, size: int, offset: int) -> bytes:
        return os.pread(fd, size, offset)

    def write_at(self, fd: int, data: memoryview, offset: int) -> int:
        return os.pwrite(fd, data, offset)

    def note_at(self, fd: int, data: memoryview, offset: int) -> None:
        os.pwrite(fd, data, offset)

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def sync(self, fd: int) -> None:
        if _FULL_SYNC is None:
            os.fsync(fd)
        else:
            fcntl.fcntl(fd, _FULL_SYNC)

    def sync_data(self, fd: int) -> None:
        if _FULL_SYNC is None:
            os.fdatasync(fd)
        else:
            fcntl.fcntl(fd, _FULL_SYNC)

    def sync_file_system(self, fd: int) -> None:
        if not sys.platform.startswith("linux"):
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        import ctypes  # costly, and only large saves come here

        # It tells of write errors since Linux 5.8. Source: syncfs(2).
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(fd):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def close(self, fd: int) -> None:
        os.close(fd)

    def lock(self, fd: int, *, shared: bool = False, wait: bool = True) -> bool:
        _want_open(fd)
        how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(fd, how if wait else how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(self, fd: int) -> None:
        _want_open(fd)
        fcntl.flock(fd, fcntl.LOCK_UN)

    def status(self, fd: int) -> os.stat_result:
        return os.fstat(fd)

    def status_of(self, name: str, *, dir_fd: int | None = None) -> os.stat_result:
        return os.stat(name, dir_fd=dir_fd, follow_symlinks=False)

    def file_system(self, fd: int) -> str:
        if not sys.platform.startswith("linux"):
            return ""
        with open(f"/proc/self/fdinfo/{fd}", "rb") as info:
            mount = re.search(rb"^mnt_id:\s*(\d+)$", info.read(), re.MULTILINE)
        if mount is None:
            return ""
        # By the number of the mount: by its path or device one could come upon another that is over
        # it, or upon the same device elsewhere. Source: proc_pid_mountinfo(5)
        with open("/proc/self/mountinfo", "rb") as mounts:
            for line in mounts:
                if line.startswith(mount[1] + b" "):
                    return line.partition(b" - ")[2].split()[0].decode("utf-8", "replace")
        return ""

    def set_mode(self, fd: int, mode: int) -> None:
        os.fchmod(fd, mode)

    def set_mtime(self, fd: int, mtime_ns: int) -> None:
        os.utime(fd, ns=(mtime_ns, mtime_ns))

    def rename(self, old: str, new: str, *, old_fd: int, new_fd: int) -> None:
        os.replace(old, new, src_dir_fd=old_fd, dst_dir_fd=new_fd)

    def link(self, old: str, new: str, *, old_fd: int, new_fd: int) -> None:
        os.link(old, new, src_dir_fd=old_fd, dst_dir_fd=new_fd, follow_symlinks=False)

    def unlink(self, name: str, *, dir_fd: int) -> None:
        os.unlink(name, dir_fd=dir_fd)

    def mkdir(self, name: str, mode: int, *, dir_fd: int | None = None) -> None:
        os.mkdir(name, mode, dir_fd=dir_fd)

    def rmdir(self, name: str, *, dir_fd: int) -> None:
        os.rmdir(name, dir_fd=dir_fd)

    def names(self, fd: int) -> list[str]:
        _want_open(fd)
        return os.listdir(fd)


def _want_open(fd: int) -> None:
    # listdir() would take -1 for the working folder, and flock() raise what is no OSError.
    if fd < 0:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
