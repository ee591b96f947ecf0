"""Files that fail on demand, and remember what was asked of them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TypeAlias, TypeVar

import attrs

from statestore.files.calls import Files, SystemFiles

T = TypeVar("T")


class PowerOff(BaseException):
    """The process ends here. No error of the library, so that nothing catches it by mistake."""


@attrs.frozen
class Fail:
    """The call is not made, and the system says `errno`.

    With `torn`, a write leaves half of its bytes behind.
    """

    errno: int = errno.EIO
    torn: bool = False


@attrs.frozen
class Stop:
    """The process ends before the call; with `torn`, after half of the bytes of a write."""

    torn: bool = False


@attrs.frozen
class ShortWrite:
    """A write takes half of its bytes and says so, as the system may. Other calls are made."""


Fault: TypeAlias = Fail | Stop | ShortWrite


@attrs.frozen
class Call:
    """One call that was made, or was to be made.

    `path` is that of the file or folder, whole; `to` its new one in a rename. `changing` says that
    the call changes the disk or can lose what was written. `size_bytes` is what a read or write
    moved. `fault` is what befell the call.
    """

    name: str
    path: str
    to: str = ""
    changing: bool = False
    size_bytes: int = 0
    fault: Fault | None = None


class FaultyFiles:
    """`Files` over others, of which one chosen changing call fails.

    Changing calls are: opening to create, write, sync, close of what was opened to write, set_mode,
    set_mtime, rename, unlink, mkdir and rmdir. After a `Stop` every call raises `PowerOff`, but for
    `close`, so that no descriptor outlives a test. For one thread at a time.
    """

    def __init__(self, files: Files | None = None) -> None:
        """Stand before `files`, by default the system."""
        self._files: Files = files or SystemFiles()
        self._paths: dict[int, str] = {}
        self._writing: set[int] = set()
        self._at = 0
        self._fault: Fault | None = None
        self.stopped = False
        self.calls: list[Call] = []

    def arm(self, at: int, fault: Fault) -> None:
        """Let `fault` befall the changing call number `at` from now on, counted from 1."""
        self._at, self._fault = at, fault

    def disarm(self) -> None:
        """Let no further call fail. What was stopped stays stopped."""
        self._at, self._fault = 0, None

    @property
    def armed(self) -> bool:
        """Whether the fault has still to come."""
        return self._fault is not None

    def changing(self) -> list[Call]:
        """Return those calls of the log that change the disk."""
        return [call for call in self.calls if call.changing]

    # --- the calls --------------------------------------------------------------------

    def open(self, name: str, flags: int, mode: int = 0o600, *, dir_fd: int | None = None) -> int:
        path = self._path(name, dir_fd)
        call = Call("open", path, changing=bool(flags & os.O_CREAT))
        fd = self._make(call, lambda: self._files.open(name, flags, mode, dir_fd=dir_fd))
        self._paths[fd] = path
        if flags & os.O_WRONLY:
            self._writing.add(fd)
        return fd

    def read(self, fd: int, size: int) -> bytes:
        self._want_power()
        data = self._files.read(fd, size)
        self.calls.append(Call("read", self._paths.get(fd, ""), size_bytes=len(data)))
        return data

    def write(self, fd: int, data: memoryview) -> int:
        return self._written("write", fd, data, lambda part: self._files.write(fd, part))

    def _written(
        self, name: str, fd: int, data: memoryview, write: Callable[[memoryview], int]
    ) -> int:
        self._want_power()
        fault = self._next_fault()
        torn = isinstance(fault, ShortWrite) or (isinstance(fault, Fail | Stop) and fault.torn)
        if torn:
            data = data[: len(data) // 2 or 1]
        written = write(data) if torn or fault is None else 0
        call = Call(name, self._paths.get(fd, ""), changing=True, size_bytes=written, fault=fault)
        self.calls.append(call)
        self._befall(call)
        return written

    def sync(self, fd: int) -> None:
        self._make(
            Call("sync", self._paths.get(fd, ""), changing=True), lambda: self._files.sync(fd)
        )

    def close(self, fd: int) -> None:
        path = self._paths.pop(fd, "")
        changing = fd in self._writing
        self._writing.discard(fd)
        self._files.close(fd)  # also where it fails: the descriptor is gone either way
        if not self.stopped:
            self._make(Call("close", path, changing=changing), lambda: None)

    def read_at(self, fd: int, size: int, offset: int) -> bytes:
        self._want_power()
        data = self._files.read_at(fd, size, offset)
        self.calls.append(Call("read_at", self._paths.get(fd, ""), size_bytes=len(data)))
        return data

    def write_at(self, fd: int, data: memoryview, offset: int) -> int:
        return self._written(
            "write_at", fd, data, lambda part: self._files.write_at(fd, part, offset)
        )

    def truncate(self, fd: int, size: int) -> None:
        call = Call("truncate", self._paths.get(fd, ""), changing=True)
        self._make(call, lambda: self._files.truncate(fd, size))

    def sync_data(self, fd: int) -> None:
        call = Call("sync_data", self._paths.get(fd, ""), changing=True)
        self._make(call, lambda: self._files.sync_data(fd))

    def sync_file_system(self, fd: int) -> None:
        call = Call("sync_file_system", self._paths.get(fd, ""), changing=True)
        self._make(call, lambda: self._files.sync_file_system(fd))

    def link(self, old: str, new: str, *, old_fd: int, new_fd: int) -> None:
        call = Call("link", self._path(old, old_fd), self._path(new, new_fd), changing=True)
        self._make(call, lambda: self._files.link(old, new, old_fd=old_fd, new_fd=new_fd))

    def lock(self, fd: int, *, shared: bool = False, wait: bool = True) -> bool:
        call = Call("lock", self._paths.get(fd, ""))
        return self._make(call, lambda: self._files.lock(fd, shared=shared, wait=wait))

    def unlock(self, fd: int) -> None:
        self._files.unlock(fd)  # also after a stop: a dead process holds no lock

    def status(self, fd: int) -> os.stat_result:
        return self._make(Call("status", self._paths.get(fd, "")), lambda: self._files.status(fd))

    def status_of(self, name: str, *, dir_fd: int | None = None) -> os.stat_result:
        call = Call("status_of", self._path(name, dir_fd))
        return self._make(call, lambda: self._files.status_of(name, dir_fd=dir_fd))

    def set_mode(self, fd: int, mode: int) -> None:
        call = Call("set_mode", self._paths.get(fd, ""), changing=True)
        self._make(call, lambda: self._files.set_mode(fd, mode))

    def set_mtime(self, fd: int, mtime_ns: int) -> None:
        call = Call("set_mtime", self._paths.get(fd, ""), changing=True)
        self._make(call, lambda: self._files.set_mtime(fd, mtime_ns))

    def rename(self, old: str, new: str, *, old_fd: int, new_fd: int) -> None:
        call = Call("rename", self._path(old, old_fd), self._path(new, new_fd), changing=True)
        self._make(call, lambda: self._files.rename(old, new, old_fd=old_fd, new_fd=new_fd))

    def unlink(self, name: str, *, dir_fd: int) -> None:
        call = Call("unlink", self._path(name, dir_fd), changing=True)
        self._make(call, lambda: self._files.unlink(name, dir_fd=dir_fd))

    def mkdir(self, name: str, mode: int, *, dir_fd: int | None = None) -> None:
        call = Call("mkdir", self._path(name, dir_fd), changing=True)
        self._make(call, lambda: self._files.mkdir(name, mode, dir_fd=dir_fd))

    def rmdir(self, name: str, *, dir_fd: int) -> None:
        call = Call("rmdir", self._path(name, dir_fd), changing=True)
        self._make(call, lambda: self._files.rmdir(name, dir_fd=dir_fd))

    def names(self, fd: int) -> list[str]:
        return self._make(Call("names", self._paths.get(fd, "")), lambda: self._files.names(fd))

    # --- faults -----------------------------------------------------------------------

    def _make(self, call: Call, act: Callable[[], T]) -> T:
        self._want_power()
        if call.changing:
            call = attrs.evolve(call, fault=self._next_fault())
        self.calls.append(call)
        self._befall(call)
        return act()

    def _next_fault(self) -> Fault | None:
        if self._fault is None:
            return None
        self._at -= 1
        if self._at > 0:
            return None
        fault, self._fault = self._fault, None
        return fault

    def _befall(self, call: Call) -> None:
        if isinstance(call.fault, Stop):
            self.stopped = True
            raise PowerOff
        if isinstance(call.fault, Fail):
            raise OSError(call.fault.errno, os.strerror(call.fault.errno))

    def _want_power(self) -> None:
        if self.stopped:
            raise PowerOff

    def _path(self, name: str, dir_fd: int | None) -> str:
        return name if dir_fd is None else os.path.join(self._paths.get(dir_fd, ""), name)
