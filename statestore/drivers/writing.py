"""Writing the files of a commit, each by the honest protocol, and syncing their folders."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from statestore.drivers.catalogue import Catalogue
from statestore.drivers.place import Place
from statestore.drivers.planning import Write
from statestore.errors import StateStoreError
from statestore.models.keys import Key
from statestore.models.reports import Failure


class Writer:
    """Writes what was planned. Folders whose sync failed are remembered and synced first."""

    def __init__(self, place: Place, catalogue: Catalogue) -> None:
        self._place, self._catalogue = place, catalogue
        self._unsure: set[str] = set()

    def sync_unsure(self) -> None:
        """Sync the folders where that failed before: who deletes again waits for it too.

        Raises:
            StorageError: it fails again.
        """
        for name in sorted(self._unsure):
            kind = self._place.kind(name)
            if kind is not None:
                kind.folder.sync()
            self._unsure.discard(name)

    def write(self, writes: Sequence[Write], mtime_ns: int) -> dict[Key, Failure]:
        """Write every file; return a failure for each that is not, or not surely, on the disk."""
        failed: dict[Key, Failure] = {}
        for write in writes:
            self._attempt(write, lambda one: self._write(one, mtime_ns), failed)
        self._sync(writes, failed)  # the new names stay before the old ones go
        again = [write for write in writes if write.key not in failed and write.superseded]
        for write in again:
            self._attempt(write, self._clear_away, failed)
        self._sync(again, failed)
        self._catalogue.settled([write.key for write in writes if write.key not in failed])
        return failed

    def _attempt(
        self, write: Write, step: Callable[[Write], None], failed: dict[Key, Failure]
    ) -> None:
        try:
            step(write)
        except StateStoreError as error:
            failed[write.key] = Failure(write.key, write.operation, error)

    def _write(self, write: Write, mtime_ns: int) -> None:
        kind = self._place.kind(write.key.kind, create=True)
        assert kind is not None  # noqa: S101 # it was just made
        self._place.set_rivals_aside(write.rivals)
        if write.data is None or write.envelope is None:
            for name in write.superseded:  # first: an older copy alone would be the record again
                kind.folder.remove(name)
            if write.superseded:
                kind.folder.sync()
            kind.folder.remove(write.name)
            self._catalogue.removed(write.key, write.revision)
            return
        mark = kind.folder.replace(write.name, write.data, mtime_ns=mtime_ns)
        self._catalogue.written(
            write.key, write.name, write.data, write.envelope, mark, write.before
        )

    def _clear_away(self, write: Write) -> None:
        kind = self._place.kind(write.key.kind)
        for name in write.superseded:
            if kind is not None:
                kind.folder.remove(name)

    def _sync(self, writes: Sequence[Write], failed: dict[Key, Failure]) -> None:
        for name in dict.fromkeys(write.key.kind for write in writes):
            try:
                kind = self._place.kind(name)
                if kind is not None:
                    kind.folder.sync()
            except StateStoreError as error:
                self._unsure.add(name)
                for write in writes:
                    if write.key.kind == name:
                        failed.setdefault(write.key, Failure(write.key, write.operation, error))
