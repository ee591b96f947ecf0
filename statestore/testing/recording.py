"""A log of everything that is done to the files below one folder."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable

import attrs

from statestore.files.calls import Files, SystemFiles
from statestore.testing.disk import (
    ROOT,
    Content,
    Event,
    Marking,
    Naming,
    Node,
    Resizing,
    Syncing,
    Writing,
    set_name,
)

_NOT_TRIED = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EBADF)
"""What a sync says that did nothing. After every other error the pages are gone for good."""


@attrs.define
class _Opening:
    """A descriptor: what it stands for, and where the next write goes."""

    node: Node
    path: str
    offset: int = 0
    appending: bool = False


class ChangeLog:
    """`Files` over others that log every change below one folder, in one order, with its bytes.

    Any thread may use it. It works on a model of its own, in which a file is told from its names.
    """

    def __init__(self, root: str | os.PathLike[str], files: Files | None = None) -> None:
        """Take what is in the folder `root` for synced, and log what is done from now on."""
        self._files: Files = files or SystemFiles()
        self._root = os.path.realpath(root)
        self._mutex = threading.Lock()
        self._events: list[Event] = []
        self._open: dict[int, _Opening] = {}
        self._born: dict[Node, Content] = {}
        self._names: dict[Node, dict[str, Node]] = {}
        self._sizes: dict[Node, int] = {}
        self._take_in(self._root, self._new(_content_at(self._root)), {})
        self._first_names = {node: dict(held) for node, held in self._names.items()}
        self._first = dict(self._born)

    @property
    def position(self) -> int:
        """How many events were logged."""
        return len(self._events)

    # --- calls that change names ------------------------------------------------------

    def open(self, name: str, flags: int, mode: int = 0o600, *, dir_fd: int | None = None) -> int:
        with self._mutex:
            fd = self._files.open(name, flags, mode, dir_fd=dir_fd)
            place = self._place(name, dir_fd)
            if place is None:
                self._open.pop(fd, None)
                return fd
            folder, last, path = place
            node = self._names[folder].get(last) if last else folder
            if node is None:
                node = self._made(os.fstat(fd).st_mode, flags, path)
                self._name(f"create {path}", [(folder, last, node)])
            self._open[fd] = _Opening(node, path, appending=bool(flags & os.O_APPEND))
            if flags & os.O_TRUNC and self._sizes.get(node):
                self._resize(self._open[fd], 0)
            return fd

    def mkdir(self, name: str, mode: int, *, dir_fd: int | None = None) -> None:
        with self._mutex:
            self._files.mkdir(name, mode, dir_fd=dir_fd)
            place = self._place(name, dir_fd)
            if place is not None:
                folder, last, path = place
                status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
                node = self._new(Content(stat.S_IMODE(status.st_mode), None))
                self._name(f"mkdir {path}", [(folder, last, node)])

    def rename(self, old: str, new: str, *, old_fd: int, new_fd: int) -> None:
        with self._mutex:
            source, target = self._place(old, old_fd), self._place(new, new_fd)
            self._files.rename(old, new, old_fd=old_fd, new_fd=new_fd)
            if source is None and target is None:
                return
            if source is None or target is None:
                raise ValueError("a rename into or out of the folder cannot be logged")
            node = self._known(source)
            if self._names[target[0]].get(target[1]) == node:
                return  # two names of one file: rename(2) does nothing
            sets = [(source[0], source[1], None), (target[0], target[1], node)]
            self._name(f"rename {source[2]} to {target[2]}", sets)

    def link(self, old: str, new: str, *, old_fd: int, new_fd: int) -> None:
        with self._mutex:
            source, target = self._place(old, old_fd), self._place(new, new_fd)
            self._files.link(old, new, old_fd=old_fd, new_fd=new_fd)
            if source is not None and target is not None:
                node = self._known(source)
                self._name(f"link {source[2]} as {target[2]}", [(target[0], target[1], node)])

    def unlink(self, name: str, *, dir_fd: int) -> None:
        self._take_away("unlink", name, dir_fd, lambda: self._files.unlink(name, dir_fd=dir_fd))

    def rmdir(self, name: str, *, dir_fd: int) -> None:
        self._take_away("rmdir", name, dir_fd, lambda: self._files.rmdir(name, dir_fd=dir_fd))

    # --- calls that change files ------------------------------------------------------

    def write(self, fd: int, data: memoryview) -> int:
        with self._mutex:
            opening = self._open.get(fd)
            if opening is not None and opening.appending:
                opening.offset = self._sizes.get(opening.node, 0)
            offset = opening.offset if opening else 0
            written = self._write(opening, offset, data, lambda: self._files.write(fd, data))
            if opening is not None:
                opening.offset += written
            return written

    def write_at(self, fd: int, data: memoryview, offset: int) -> int:
        with self._mutex:
            opening = self._open.get(fd)
            return self._write(
                opening, offset, data, lambda: self._files.write_at(fd, data, offset)
            )

    def note_at(self, fd: int, data: memoryview, offset: int) -> None:
        self.write_at(fd, data, offset)

    def truncate(self, fd: int, size: int) -> None:
        with self._mutex:
            self._files.truncate(fd, size)
            opening = self._open.get(fd)
            if opening is not None and self._sizes.get(opening.node, 0) != size:
                self._resize(opening, size)

    def set_mode(self, fd: int, mode: int) -> None:
        with self._mutex:
            self._files.set_mode(fd, mode)
            self._mark(fd, f"mode {mode:04o} of", mode=mode)

    def set_mtime(self, fd: int, mtime_ns: int) -> None:
        with self._mutex:
            self._files.set_mtime(fd, mtime_ns)
            self._mark(fd, "time of", mtime_ns=mtime_ns)

    def sync(self, fd: int) -> None:
        self._sync(fd, "sync", lambda: self._files.sync(fd))

    def sync_data(self, fd: int) -> None:
        self._sync(fd, "sync_data", lambda: self._files.sync_data(fd), data_only=True)

    def sync_file_system(self, fd: int) -> None:
        act = self._files.sync_file_system
        self._sync(fd, "sync_file_system", lambda: act(fd), everything=True)

    # --- calls that change nothing ----------------------------------------------------

    def read(self, fd: int, size: int) -> bytes:
        data = self._files.read(fd, size)
        opening = self._open.get(fd)
        if opening is not None:
            opening.offset += len(data)
        return data

    def read_at(self, fd: int, size: int, offset: int) -> bytes:
        return self._files.read_at(fd, size, offset)

    def close(self, fd: int) -> None:
        self._open.pop(fd, None)  # before the call: the number may be another's right after it
        self._files.close(fd)

    def lock(self, fd: int, *, shared: bool = False, wait: bool = True) -> bool:
        return self._files.lock(fd, shared=shared, wait=wait)

    def unlock(self, fd: int) -> None:
        self._files.unlock(fd)

    def status(self, fd: int) -> os.stat_result:
        return self._files.status(fd)

    def status_of(self, name: str, *, dir_fd: int | None = None) -> os.stat_result:
        return self._files.status_of(name, dir_fd=dir_fd)

    def file_system(self, fd: int) -> str:
        return self._files.file_system(fd)

    def names(self, fd: int) -> list[str]:
        return self._files.names(fd)

    # --- the log ----------------------------------------------------------------------

    def _name(self, text: str, sets: list[tuple[Node, str, Node | None]]) -> None:
        for folder, name, node in sets:
            set_name(self._names[folder], name, node)
        self._events.append(Naming(len(self._events), text, tuple(sets)))

    def _take_away(self, what: str, name: str, dir_fd: int, act: Callable[[], None]) -> None:
        with self._mutex:
            act()
            place = self._place(name, dir_fd)
            if place is not None:
                self._name(f"{what} {place[2]}", [(place[0], place[1], None)])

    def _write(
        self, opening: _Opening | None, offset: int, data: memoryview, act: Callable[[], int]
    ) -> int:
        written = 0
        try:
            written = act()
        except BaseException as error:
            written = vars(error).get("written_bytes", 0)
            raise
        finally:
            if opening is not None and written:
                node, part = opening.node, bytes(data[:written])
                text = f"write {written} bytes at {offset} of {opening.path}"
                self._sizes[node] = max(self._sizes.get(node, 0), offset + written)
                self._events.append(Writing(len(self._events), text, node, offset, part))
        return written

    def _resize(self, opening: _Opening, size: int) -> None:
        text = f"truncate {opening.path} to {size} bytes"
        self._sizes[opening.node] = size
        self._events.append(Resizing(len(self._events), text, opening.node, size))

    def _mark(self, fd: int, text: str, **fields: int) -> None:
        opening = self._open.get(fd)
        if opening is not None:
            text = f"{text} {opening.path}"
            self._events.append(Marking(len(self._events), text, opening.node, **fields))

    def _sync(
        self,
        fd: int,
        name: str,
        act: Callable[[], None],
        *,
        data_only: bool = False,
        everything: bool = False,
    ) -> None:
        with self._mutex:
            opening, before = self._open.get(fd), len(self._events)
        failed = True
        try:
            act()  # other threads go on meanwhile: what they do is not covered
            failed = False
        except OSError as error:
            if error.errno in _NOT_TRIED:
                opening = None
            raise
        except BaseException:
            opening = None
            raise
        finally:
            if opening is not None:
                node = None if everything else opening.node
                text = f"{name} of {opening.path or 'the root'}{' fails' if failed else ''}"
                with self._mutex:
                    number = len(self._events)
                    self._events.append(Syncing(number, text, node, before, data_only, failed))

    # --- the model --------------------------------------------------------------------

    def _new(self, content: Content) -> Node:
        node = len(self._born)
        self._born[node] = content
        if content.is_folder:
            self._names[node] = {}
        return node

    def _made(self, mode: int, flags: int, path: str) -> Node:
        if not flags & os.O_CREAT:
            raise _unknown(path)
        return self._new(Content(stat.S_IMODE(mode)))

    def _known(self, place: tuple[Node, str, str]) -> Node:
        folder, name, path = place
        if name not in self._names[folder]:
            raise _unknown(path)
        return self._names[folder][name]

    def _place(self, name: str, dir_fd: int | None) -> tuple[Node, str, str] | None:
        """Return the folder that a name is in, its last part and path; None if it is elsewhere."""
        if dir_fd is None or os.path.isabs(name):
            path = os.path.abspath(name)
            if path != self._root and not path.startswith(self._root + os.sep):
                return None
            folder, base, parts = ROOT, "", os.path.relpath(path, self._root).split(os.sep)
        else:
            opening = self._open.get(dir_fd)
            if opening is None:
                return None
            folder, base, parts = opening.node, opening.path, name.split(os.sep)
        parts = [part for part in parts if part not in ("", ".")]
        for part in parts[:-1]:
            folder = self._known((folder, part, os.path.join(base, *parts)))
        return folder, parts[-1] if parts else "", os.path.join(base, *parts)

    def _take_in(self, path: str, folder: Node, known: dict[tuple[int, int], Node]) -> None:
        for name in sorted(os.listdir(path)):
            place = os.path.join(path, name)
            status = os.lstat(place)
            node = known.get((status.st_dev, status.st_ino))
            if node is None:
                node = self._new(_content_at(place))
                known[status.st_dev, status.st_ino] = node
                self._sizes[node] = status.st_size
            self._names[folder][name] = node
            if stat.S_ISDIR(status.st_mode):
                self._take_in(place, node, known)


def _unknown(path: str) -> ValueError:
    return ValueError(f"{path!r} was made behind the back of the log")


def _content_at(path: str) -> Content:
    status = os.lstat(path)
    if stat.S_ISDIR(status.st_mode):
        return Content(stat.S_IMODE(status.st_mode), None)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path!r} is neither a file nor a folder, and cannot be logged")
    with open(path, "rb") as file:
        return Content(stat.S_IMODE(status.st_mode), file.read(), status.st_mtime_ns)
