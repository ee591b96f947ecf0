"""Folders held open, and the protocol by which files in them are replaced.

A folder is held by its descriptor, so nobody can put another in its place between two calls. Links
are refused everywhere, also one put there between a look and a use.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from types import TracebackType

import attrs

from statestore import forks
from statestore.errors import StorageError, TooLarge, UnsafeFile
from statestore.files.calls import Files, SystemFiles
from statestore.files.open_files import OpenFile

TEMPORARY_PREFIX, TEMPORARY_SUFFIX = ".@", ".tmp"
"""Around the names of files that are being written. No record's file has an `@` in its name."""


@attrs.frozen
class Modes:
    """The permissions of new files and folders, whatever the umask."""

    file: int = 0o600
    folder: int = 0o700


@attrs.frozen
class Mark:
    """What tells whether a file is still the one that was seen: changed content changes it."""

    inode: int
    size_bytes: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Mark:
        """Return the mark of a file by its status."""
        return cls(status.st_ino, status.st_size, status.st_mtime_ns)


@attrs.frozen
class Content:
    """The bytes of a file, and its mark at the time when they were read."""

    data: bytes
    mark: Mark


class Folder:
    """A folder that is held open. May be used by one thread at a time.

    All methods raise `StorageError` when the system refuses, and `UnsafeFile` for what is neither
    a plain file nor a folder where one is wanted.
    """

    def __init__(self, files: Files, fd: int, path: str, modes: Modes) -> None:
        """Take over the descriptor `fd`; `path` is for messages only."""
        self._files, self._fd, self.path, self._modes = files, fd, path, modes
        forks.note(self)

    def __enter__(self) -> Folder:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the folder. Twice is harmless."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._files.close(fd)

    def after_fork(self) -> None:
        """Close it in a child, whose parent has it open."""
        with contextlib.suppress(OSError):
            self.close()

    def place(self, name: str) -> str:
        """Return the path of `name` in this folder, for messages."""
        return os.path.join(self.path, name)

    def status(self) -> os.stat_result:
        """Return the status of the folder itself."""
        try:
            return self._files.status(self._fd)
        except OSError as error:
            raise StorageError.from_os(self.path, "look at", error) from error

    def holds(self, name: str, folder: Folder) -> bool:
        """Say whether `folder` is still the one that is at `name` in this one."""
        try:
            there, held = self._files.status_of(name, dir_fd=self._fd), folder.status()
        except (OSError, StorageError):
            return False
        return (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)

    def file_system(self) -> str:
        """Return the type of the file system, as the system calls it; empty if it is not known."""
        try:
            return self._files.file_system(self._fd)
        except OSError:
            return ""

    def identity_at(self, path: str) -> tuple[int, int] | None:
        """Return what tells apart from all else what is at an absolute path; None if nothing is."""
        try:
            status = self._files.status_of(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StorageError.from_os(path, "look at", error) from error
        return status.st_dev, status.st_ino

    def names(self) -> list[str]:
        """Return the names of all that is in the folder, sorted."""
        try:
            return sorted(self._files.names(self._fd))
        except OSError as error:
            raise StorageError.from_os(self.path, "list", error) from error

    def mark(self, name: str) -> Mark | None:
        """Return the mark of the plain file `name`, or None if there is nothing of that name.

        Raises:
            UnsafeFile: it is no plain file.
        """
        try:
            status = self._files.status_of(name, dir_fd=self._fd)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError.from_os(self.place(name), "look at", error) from error
        self._want_plain(name, status)
        return Mark.of(status)

    def read(self, name: str, limit_bytes: int) -> Content | None:
        """Return the content of the plain file `name`, or None if there is nothing of that name.

        Never waits for the other end of a pipe and never follows a link.

        Raises:
            UnsafeFile: it is no plain file.
            TooLarge: it has more than `limit_bytes`; at most one byte more than that was read.
        """
        try:
            fd = self._files.open(name, os.O_RDONLY | os.O_NONBLOCK, dir_fd=self._fd)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._typed(name, "read", error) from error
        try:
            status = self._files.status(fd)
            self._want_plain(name, status)
            if status.st_size > limit_bytes:
                raise TooLarge("any known format", f"it has {status.st_size} bytes")
            chunks, size, wanted = [], 0, status.st_size + 1
            while chunk := self._files.read(fd, min(wanted, 1 << 20)):
                chunks.append(chunk)
                size += len(chunk)
                if size > limit_bytes:
                    raise TooLarge("any known format", f"it has more than {limit_bytes} bytes")
                wanted = max(status.st_size + 1 - size, 1 << 16)  # it may have grown meanwhile
            return Content(b"".join(chunks), Mark.of(status))
        except OSError as error:
            raise StorageError.from_os(self.place(name), "read", error) from error
        finally:
            self._files.close(fd)

    def replace(self, name: str, data: bytes, *, mtime_ns: int | None = None) -> Mark:
        """Make `data` the content of the file `name`, whether it exists or not.

        At any moment, also after a power cut, the file holds the old bytes or the new ones, whole.
        The content is on the disk when this returns; its name is only after `sync()`. On an error
        the old content stands and the temporary file is gone.
        """
        temporary, mark = self.write_temporary(name, data, mtime_ns=mtime_ns)
        self.put_in_place(temporary, name)
        return mark

    def write_temporary(
        self, name: str, data: bytes, *, mtime_ns: int | None = None, sync: bool = True
    ) -> tuple[str, Mark]:
        """Write what is to become the file `name`; return the temporary name that it has, and its
        mark.

        Args:
            sync: it is on the disk when this returns. Without it whoever puts it in its place has
                to sync the file system before.
        """
        temporary = f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
        try:
            return temporary, self._write_new(temporary, data, mtime_ns=mtime_ns, sync=sync)
        except _Step as step:
            raise self._typed(name, step.name, step.error) from step.error

    def write_new(
        self, name: str, data: bytes, *, mtime_ns: int | None = None, sync: bool = True
    ) -> Mark:
        """Make a new file of `data`; nothing may have its name. See `write_temporary`."""
        try:
            return self._write_new(name, data, mtime_ns=mtime_ns, sync=sync)
        except _Step as step:
            raise self._typed(name, step.name, step.error) from step.error

    def _write_new(self, name: str, data: bytes, *, mtime_ns: int | None, sync: bool) -> Mark:
        step = "create"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            fd = self._files.open(name, flags, self._modes.file, dir_fd=self._fd)
        except OSError as error:
            raise _Step(step, error) from error
        try:
            try:
                self._files.set_mode(fd, self._modes.file)  # the umask may have taken bits away
                step = "write"
                rest = memoryview(data)
                while rest:
                    rest = rest[self._files.write(fd, rest) :]
                if mtime_ns is not None:
                    self._files.set_mtime(fd, mtime_ns)
                if sync:
                    step = "sync"
                    self._files.sync(fd)
                return Mark.of(self._files.status(fd))
            finally:
                self._files.close(fd)
        except BaseException as error:
            # Best effort: the error that brought us here is the one to tell. A leftover is never
            # taken for a record.
            self.try_remove(name)
            if isinstance(error, OSError):
                raise _Step(step, error) from error
            raise

    def put_in_place(self, temporary: str, name: str) -> None:
        """Give a temporary file the name that it is meant for; if that fails it is removed.

        It must be on the disk already, or a power cut would leave an empty file of that name.
        """
        try:
            self._files.rename(temporary, name, old_fd=self._fd, new_fd=self._fd)
        except BaseException as error:
            self.try_remove(temporary)
            if isinstance(error, OSError):
                raise self._typed(name, "replace", error) from error
            raise

    def remove(self, name: str) -> bool:
        """Remove the file `name`; say whether it was there. Durable only after `sync()`."""
        try:
            self._files.unlink(name, dir_fd=self._fd)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._typed(name, "remove", error) from error
        return True

    def try_remove(self, name: str) -> None:
        """Remove the file `name` if the system lets us: for what would do no harm either."""
        with contextlib.suppress(OSError):
            self._files.unlink(name, dir_fd=self._fd)

    def sync_file(self, name: str) -> None:
        """Return when the content of the file `name` is on the disk."""
        file = self.open_file(name)
        if file is not None:
            try:
                file.sync()
            finally:
                file.close()

    def link(self, name: str, into: Folder, new_name: str) -> None:
        """Give the file `name` a second name in another folder. Durable after a sync of that one.

        Raises:
            StorageError: the system refused, as some file systems do.
        """
        try:
            self._files.link(name, new_name, old_fd=self._fd, new_fd=into._fd)
        except OSError as error:
            raise self._typed(name, "link", error) from error

    def sync_file_system(self) -> bool:
        """Return when all that was written to the folder's file system is on the disk.

        Says whether the system can do that; if it cannot, nothing was done.
        """
        try:
            self._files.sync_file_system(self._fd)
        except OSError as error:
            if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP):
                return False
            raise StorageError.from_os(self.path, "sync", error) from error
        return True

    def move(self, name: str, into: Folder, new_name: str) -> None:
        """Move whatever is at `name` into another folder. Durable after `sync()` of both.

        The caller sees to it that `new_name` is free: what has that name is replaced.
        """
        try:
            self._files.rename(name, new_name, old_fd=self._fd, new_fd=into._fd)
        except OSError as error:
            raise self._typed(name, "move", error) from error

    def sync(self) -> None:
        """Return when all names given, changed and removed in this folder are on the disk."""
        try:
            self._files.sync(self._fd)
        except OSError as error:
            raise StorageError.from_os(self.path, "sync", error) from error

    def open_file(self, name: str, *, write: bool = False, create: bool = False) -> OpenFile | None:
        """Return the plain file `name`, held open, or None if there is nothing of that name.

        Args:
            write: open it for writing too.
            create: make it if it is missing, for writing. Its name is only durable after `sync()`.
        Raises:
            UnsafeFile: it is no plain file.
        """
        flags = (os.O_RDWR if write or create else os.O_RDONLY) | os.O_NONBLOCK
        try:
            try:
                fd = self._files.open(name, flags, dir_fd=self._fd)
            except FileNotFoundError:
                if not create:
                    return None
                # Not exclusive: another process may be quicker.
                fd = self._files.open(name, flags | os.O_CREAT, self._modes.file, dir_fd=self._fd)
        except OSError as error:
            raise self._typed(name, "open", error) from error
        file = OpenFile(self._files, fd, self.place(name))
        try:
            status = self._files.status(fd)
            self._want_plain(name, status)
            if create and status.st_mode & 0o777 != self._modes.file:
                self._files.set_mode(fd, self._modes.file)  # the umask may have taken bits away
        except BaseException as error:
            file.close()
            if isinstance(error, OSError):
                raise self._typed(name, "open", error) from error
            raise
        return file

    def child(self, name: str, *, create: bool = False) -> Folder | None:
        """Return the folder `name` in this one, or None if there is nothing of that name.

        Args:
            create: make it if it is missing, and sync this folder so that it stays.
        """
        path = self.place(name)
        flags = os.O_RDONLY | os.O_DIRECTORY
        try:
            return Folder(
                self._files, self._files.open(name, flags, dir_fd=self._fd), path, self._modes
            )
        except FileNotFoundError:
            if not create:
                return None
        except OSError as error:
            raise self._typed(name, "open", error) from error
        try:
            with contextlib.suppress(FileExistsError):  # another process was quicker
                self._files.mkdir(name, self._modes.folder, dir_fd=self._fd)
            fd = self._files.open(name, flags, dir_fd=self._fd)
        except OSError as error:
            raise self._typed(name, "create", error) from error
        folder = Folder(self._files, fd, path, self._modes)
        try:
            self._files.set_mode(fd, self._modes.folder)  # the umask may have taken bits away
        except OSError as error:
            folder.close()
            raise StorageError.from_os(path, "create", error) from error
        try:
            self.sync()  # a new folder is only there for good when the one around it is synced
        except StorageError:
            folder.close()
            raise
        return folder

    def drop_child(self, name: str) -> None:
        """Remove the empty folder `name`. One that is missing is no fault."""
        try:
            self._files.rmdir(name, dir_fd=self._fd)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._typed(name, "remove", error) from error

    def rename_child(self, name: str, new_name: str) -> None:
        """Give the folder `name` another name in this folder, for good when this returns."""
        try:
            self._files.rename(name, new_name, old_fd=self._fd, new_fd=self._fd)
        except OSError as error:
            raise self._typed(name, "rename", error) from error
        self.sync()

    def _want_plain(self, name: str, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise UnsafeFile(self.place(name), f"is a {_type_name(status.st_mode)}")

    def _typed(self, name: str, operation: str, error: OSError) -> StorageError | UnsafeFile:
        path = self.place(name)
        if error.errno in (errno.ELOOP, errno.EMLINK):  # EMLINK: FreeBSD's word for it
            return UnsafeFile(path, "is a symbolic link")
        if error.errno == errno.ENOTDIR:
            return UnsafeFile(path, "is no folder, or a link to one")
        if error.errno == errno.EISDIR:
            return UnsafeFile(path, "is a folder")
        if error.errno == errno.ENXIO:
            return UnsafeFile(path, "is a socket or a device")
        return StorageError.from_os(path, operation, error)


def open_folder(
    path: str, *, create: bool = False, files: Files | None = None, modes: Modes | None = None
) -> Folder | None:
    """Return the folder at `path`, or None if there is nothing. Links in `path` are followed.

    Args:
        create: make it and its missing parents, each synced into the one around it.
    """
    files, modes = files or SystemFiles(), modes or Modes()
    path = os.path.realpath(path)
    flags = os.O_RDONLY | os.O_DIRECTORY
    try:
        return Folder(files, files.open(path, flags), path, modes)
    except FileNotFoundError:
        if not create:
            return None
    except NotADirectoryError as error:
        raise UnsafeFile(path, "is no folder") from error
    except OSError as error:
        raise StorageError.from_os(path, "open", error) from error
    parent, name = os.path.split(path)
    with _want_folder(open_folder(parent, create=True, files=files, modes=modes), parent) as around:
        return around.child(name, create=True)


class _Step(Exception):
    """A system call failed: in which step, and how."""

    def __init__(self, name: str, error: OSError) -> None:
        super().__init__(name, error)
        self.name, self.error = name, error


def _want_folder(folder: Folder | None, path: str) -> Folder:
    if folder is None:
        raise UnsafeFile(path, "vanished while it was opened")
    return folder


def _type_name(mode: int) -> str:
    for test, name in (
        (stat.S_ISLNK, "symbolic link"),
        (stat.S_ISDIR, "folder"),
        (stat.S_ISFIFO, "pipe"),
        (stat.S_ISSOCK, "socket"),
    ):
        if test(mode):
            return name
    return "device"
