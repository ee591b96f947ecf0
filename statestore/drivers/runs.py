"""Runs: which openings of a store go on, as a lock says that dies with its process."""

from __future__ import annotations

import contextlib
import re
import threading

from statestore.drivers.place import Place
from statestore.errors import ReadOnlyStore, StorageError, StoreReplaced
from statestore.files.folders import Folder
from statestore.files.locks import FileLock
from statestore.files.open_files import OpenFile

RUNS_FOLDER = "runs"

_RUN = re.compile(r"[0-9a-f]{16}")


class FileRuns:
    """Says which openings go on. See `Runs`. Each that holds its run has a locked file."""

    def __init__(self, place: Place, run: str) -> None:
        """Speak for the opening `run` of a place. Nothing is made yet."""
        self._place, self._run = place, run
        self._mutex = threading.Lock()
        self._held: OpenFile | None = None

    def hold(self) -> None:
        """See `Runs.hold`."""
        with self._mutex:
            if self._held is not None:
                return
            self._place.want_open()
            if self._place.is_read_only:
                raise ReadOnlyStore(self._place.path, "hold a run")
            folder = self._folder(create=True)
            if folder is None:
                raise StoreReplaced(self._place.path, "it was moved or removed")
            with folder:
                _remove_dead(folder)
                self._held = _locked(folder, self._run, self._place.lock_timeout_s)

    def is_held(self, run: str) -> bool:
        """See `Runs.is_held`."""
        if run == self._run:
            return self._held is not None
        if not _RUN.fullmatch(run):
            return False
        with self._mutex:
            self._place.want_open()
            folder = self._folder()
            if folder is None:
                return False
            with folder:
                return _is_locked(folder, run)

    def close(self) -> None:
        """Let go of the run. Twice is harmless."""
        held, self._held = self._held, None
        if held is None:
            return
        with contextlib.suppress(StorageError):  # whoever looks next removes what is left
            folder = self._folder()
            if folder is not None:
                with folder:
                    folder.try_remove(self._run)
        held.close()

    def _folder(self, *, create: bool = False) -> Folder | None:
        own = self._place.own
        return None if own is None else own.child(RUNS_FOLDER, create=create)


def _locked(folder: Folder, run: str, timeout_s: float) -> OpenFile:
    """Return the file of a run, made and locked for as long as it is open."""
    while True:
        file = folder.open_file(run, create=True)
        if file is None:
            continue
        try:
            # It waits for moments: for those who try it out.
            FileLock(file, timeout_s=timeout_s).acquire()
            # Somebody may have taken it for a dead one's, and removed it, before it was locked.
            mark, mine = folder.mark(run), file.status()
            if mark is not None and mark.inode == mine.st_ino:
                return file
        except BaseException:
            file.close()
            raise
        file.close()


def _is_locked(folder: Folder, run: str) -> bool:
    file = folder.open_file(run)
    if file is None:
        return False
    try:
        return not file.lock(shared=True, wait=False)
    finally:
        file.close()  # with it goes the lock


def _remove_dead(folder: Folder) -> None:
    for run in folder.names():
        with contextlib.suppress(StorageError):
            file = folder.open_file(run, write=True) if _RUN.fullmatch(run) else None
            if file is None:
                continue
            try:
                if file.lock(wait=False):
                    folder.try_remove(run)
            finally:
                file.close()
