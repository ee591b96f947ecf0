"""Files that fail on demand, and remember what was asked of them."""

from __future__ import annotations

import errno
import os
import threading
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

    With `torn`, a write leaves half of its bytes behind, and the `OSError` has their number as its
    attribute `written_bytes`.
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


@attrs.frozen(eq=False)
class Pause:
    """The process is stopped before the call, and goes on with it when `go` is set.

    Until then all its other calls wait as well, but for `close` and `unlock`. `reached` is set when
    it has stopped.
    """

    reached: threading.Event = attrs.field(factory=threading.Event)
    go: threading.Event = attrs.field(factory=threading.Event)


Fault: TypeAlias = Fail | Stop | ShortWrite | Pause


@attrs.frozen
class Call:
    """One call that was made, or was to be made.

    `path` is that of the file or folder, whole; `to` its new one in a rename or link. `changing`
    says that the call changes the disk or can lose what was written. `size_bytes` is what a read or
    write moved. `fault` is what befell the call.
    """

    name: str
    path: str
    to: str = ""
    changing: bool = False
    size_bytes: int = 0
    fault: Fault | None = None


Choose: TypeAlias = Callable[[Call], bool]


def changing(call: Call) -> bool:
    """Choose the calls that change the disk or can lose what was written."""
    return call.changing


def named(*names: str) -> Choose:
    """Choose the calls of these names: `named("read", "read_at")`."""
    return lambda call: call.name in names


def below(path: str | os.PathLike[str], choose: Choose = changing) -> Choose:
    """Choose, of what `choose` chooses, the calls on a file or folder and on all that is in it."""
    place = os.fspath(path)

    def is_below(one: str) -> bool:
        return one == place or one.startswith(place + os.sep)

    return lambda call: choose(call) and (is_below(call.path) or is_below(call.to))


@attrs.define
class _Armed:
    """A fault that waits for its call."""

    left: int
    fault: Fault
    only: Choose
    sticky: bool


class FaultyFiles:
    """`Files` over others, of which one chosen call fails, or all from that one on.

    Changing calls are: opening to create or empty a file, write, write_at, truncate, the syncs,
    close of what was written, set_mode, set_mtime, rename, link, unlink, mkdir and rmdir. After a
    `Stop` every call of every thread raises `PowerOff`, but for `close` and `unlock`, so that no
    descriptor outlives a test; a call that another thread is in at that moment is still made.

    Any thread may use it: calls are counted over all of them, in the order in which they begin.
    """

    def __init__(self, files: Files | None = None) -> None:
        """Stand before `files`, by default the system."""
        self._files: Files = files or SystemFiles()
        self._lock = threading.Lock()
        self._paths: dict[int, str] = {}
        self._written_to: set[int] = set()
        self._armed: _Armed | None = None
        self._pause: Pause | None = None
        self.stopped = False
        self.calls: list[Call] = []

    def arm(self, at: int, fault: Fault, *, only: Choose = changing, sticky: bool = False) -> None:
        """Let `fault` befall the call number `at` from now on, counted from 1.

        Args:
            only: which calls are counted and can fail; by default those that change the disk. It
                sees each call before it is made.
            sticky: let it befall every later call that `only` chooses as well, until `disarm()`.
        """
        with self._lock:
            self._armed = _Armed(at, fault, only, sticky)

    def disarm(self) -> None:
        """Let no further call fail. What was stopped stays stopped."""
        with self._lock:
            self._armed = None

    def stop(self) -> None:
        """Let the process end now, as a `Stop` does; also where a `Pause` has stopped it."""
        with self._lock:
            self.stopped = True

    def restart(self) -> None:
        """Begin again after a `Stop`, as a new process on the same disk, without a fault.

        What the old one held open is the caller's to close. Its threads must have ended: see
        `release()` for those that may not have.
        """
        with self._lock:
            self._armed, self._pause, self.stopped = None, None, False

    def release(self) -> None:
        """Close all that is still open after a `Stop`, as the system does when a process ends.

        Threads that live on do no harm: whatever they call raises `PowerOff`, and what they close
        or unlock is closed already.
        """
        with self._lock:
            left = list(self._paths) if self.stopped else []
            self._paths.clear()
        for fd in left:
            self._files.close(fd)

    @property
    def armed(self) -> bool:
        """Whether the fault has still to come. A sticky one that has come has not to."""
        armed = self._armed
        return armed is not None and armed.left > 0

    def changing(self) -> list[Call]:
        """Return those calls of the log that change the disk."""
        return self.chosen(changing)

    def chosen(self, only: Choose) -> list[Call]:
        """Return those calls of the log that `only` chooses."""
        with self._lock:
            return [call for call in self.calls if only(call)]

    # --- the calls --------------------------------------------------------------------

    def open(self, name: str, flags: int, mode: int = 0o600, *, dir_fd: int | None = None) -> int:
        path = self._path(name, dir_fd)
        call = Call("open", path, changing=bool(flags & (os.O_CREAT | os.O_TRUNC)))
        fd = self._make(call, lambda: self._files.open(name, flags, mode, dir_fd=dir_fd))
        with self._lock:
            self._paths[fd] = path
            self._written_to.discard(fd)
        return fd

    def read(self, fd: int, size: int) -> bytes:
        return self._read("read", fd, lambda: self._files.read(fd, size))

    def read_at(self, fd: int, size: int, offset: int) -> bytes:
        return self._read("read_at", fd, lambda: self._files.read_at(fd, size, offset))

    def write(self, fd: int, data: memoryview) -> int:
        return self._write("write", fd, data, lambda part: self._files.write(fd, part))

    def write_at(self, fd: int, data: memoryview, offset: int) -> int:
        return self._write(
            "write_at", fd, data, lambda part: self._files.write_at(fd, part, offset)
        )

    def note_at(self, fd: int, data: memoryview, offset: int) -> None:
        call = Call("note_at", self._paths.get(fd, ""))  # what it writes may be lost
        self._make(call, lambda: self._files.note_at(fd, data, offset))

    def truncate(self, fd: int, size: int) -> None:
        self._written_to.add(fd)
        self._on(fd, "truncate", lambda: self._files.truncate(fd, size))

    def sync(self, fd: int) -> None:
        self._on(fd, "sync", lambda: self._files.sync(fd))

    def sync_data(self, fd: int) -> None:
        self._on(fd, "sync_data", lambda: self._files.sync_data(fd))

    def sync_file_system(self, fd: int) -> None:
        self._on(fd, "sync_file_system", lambda: self._files.sync_file_system(fd))

    def close(self, fd: int) -> None:
        with self._lock:  # before the call: the number may be another thread's right after it
            if self.stopped and fd not in self._paths:
                return
            path = self._paths.pop(fd, "")
            written = fd in self._written_to
            self._written_to.discard(fd)
        self._files.close(fd)  # also where it fails: the descriptor is gone either way
        if not self.stopped:
            self._make(Call("close", path, changing=written), lambda: None)

    def lock(self, fd: int, *, shared: bool = False, wait: bool = True) -> bool:
        call = Call("lock", self._paths.get(fd, ""))
        return self._make(call, lambda: self._files.lock(fd, shared=shared, wait=wait))

    def unlock(self, fd: int) -> None:
        if not self.stopped or fd in self._paths:
            self._files.unlock(fd)  # also after a stop: a dead process holds no lock

    def status(self, fd: int) -> os.stat_result:
        return self._make(Call("status", self._paths.get(fd, "")), lambda: self._files.status(fd))

    def status_of(self, name: str, *, dir_fd: int | None = None) -> os.stat_result:
        call = Call("status_of", self._path(name, dir_fd))
        return self._make(call, lambda: self._files.status_of(name, dir_fd=dir_fd))

    def file_system(self, fd: int) -> str:
        call = Call("file_system", self._paths.get(fd, ""))
        return self._make(call, lambda: self._files.file_system(fd))

    def set_mode(self, fd: int, mode: int) -> None:
        self._on(fd, "set_mode", lambda: self._files.set_mode(fd, mode))

    def set_mtime(self, fd: int, mtime_ns: int) -> None:
        self._on(fd, "set_mtime", lambda: self._files.set_mtime(fd, mtime_ns))

    def rename(self, old: str, new: str, *, old_fd: int, new_fd: int) -> None:
        call = Call("rename", self._path(old, old_fd), self._path(new, new_fd), changing=True)
        self._make(call, lambda: self._files.rename(old, new, old_fd=old_fd, new_fd=new_fd))

    def link(self, old: str, new: str, *, old_fd: int, new_fd: int) -> None:
        call = Call("link", self._path(old, old_fd), self._path(new, new_fd), changing=True)
        self._make(call, lambda: self._files.link(old, new, old_fd=old_fd, new_fd=new_fd))

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

    def _on(self, fd: int, name: str, act: Callable[[], None]) -> None:
        self._make(Call(name, self._paths.get(fd, ""), changing=True), act)

    def _make(self, call: Call, act: Callable[[], T]) -> T:
        call = self._begun(call)
        self._note(call)
        self._befall(call)
        return act()

    def _read(self, name: str, fd: int, read: Callable[[], bytes]) -> bytes:
        call = self._begun(Call(name, self._paths.get(fd, "")))
        hit = isinstance(call.fault, Fail | Stop)
        data = b"" if hit else read()
        self._note(attrs.evolve(call, size_bytes=len(data)))
        self._befall(call)
        return data

    def _write(
        self, name: str, fd: int, data: memoryview, write: Callable[[memoryview], int]
    ) -> int:
        self._written_to.add(fd)
        call = self._begun(Call(name, self._paths.get(fd, ""), changing=True))
        fault = call.fault
        torn = isinstance(fault, ShortWrite) or (isinstance(fault, Fail | Stop) and fault.torn)
        if torn:
            data = data[: len(data) // 2 or 1]
        written = write(data) if torn or fault is None else 0
        self._note(attrs.evolve(call, size_bytes=written))
        self._befall(call, written)
        return written

    def _begun(self, call: Call) -> Call:
        """Return the call with what is to befall it; stop all calls from now on if that is it."""
        chosen = self._chosen(call)
        pause = self._pause
        if pause is None:
            return chosen
        pause.reached.set()
        pause.go.wait()
        if self.stopped:
            raise PowerOff
        return chosen if not isinstance(chosen.fault, Pause) else call

    def _chosen(self, call: Call) -> Call:
        with self._lock:
            if self.stopped:
                raise PowerOff
            armed = self._armed
            if armed is None or not armed.only(call):
                return call
            armed.left -= 1
            if armed.left > 0:
                return call
            if not armed.sticky:
                self._armed = None
            self.stopped = isinstance(armed.fault, Stop)
            if isinstance(armed.fault, Pause):
                self._pause = armed.fault
            return attrs.evolve(call, fault=armed.fault)

    def _note(self, call: Call) -> None:
        with self._lock:
            self.calls.append(call)

    def _befall(self, call: Call, written_bytes: int = 0) -> None:
        error: BaseException
        if isinstance(call.fault, Stop):
            error = PowerOff()
        elif isinstance(call.fault, Fail):
            error = OSError(call.fault.errno, os.strerror(call.fault.errno))
        else:
            return
        vars(error)["written_bytes"] = written_bytes  # for a log that stands before these files
        raise error

    def _path(self, name: str, dir_fd: int | None) -> str:
        return name if dir_fd is None else os.path.join(self._paths.get(dir_fd, ""), name)
