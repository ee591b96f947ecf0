"""Following the commits of others from an opening that may not write a byte."""

from __future__ import annotations

import threading

from statestore.drivers.catalogue import Catalogue
from statestore.drivers.overlay import Fold, Overlay, follow
from statestore.drivers.place import Place
from statestore.files.folders import Folder
from statestore.journal.journal import LOCK_FILE
from statestore.journal.reading import recovered_read_only
from statestore.journal.standing import Recovered
from statestore.models.keys import Key

_LOCK_FILE_LIMIT_BYTES = 1 << 16


class Follower:
    """Keeps an overlay what the journal says. Any thread may use it."""

    def __init__(
        self, place: Place, catalogue: Catalogue, overlay: Overlay, lock: threading.RLock
    ) -> None:
        """Follow the journal of a place. `lock` is that of the place and the catalogue."""
        self._place, self._catalogue, self._overlay, self._lock = place, catalogue, overlay, lock
        self._told: bytes | None = None
        self.sequence = 0
        self.taken_up = self._take_up()
        """How many commits were not in the files at the opening."""

    def catch_up(self) -> None:
        """Take in what was committed up to now.

        Raises:
            CorruptJournal: it is damaged.
        """
        with self._lock:
            # The lock file is where whoever commits, or writes files, says so.
            told = _told(self._place.own)
            if told is not None and told != self._told:
                self._take_up()

    def _take_up(self) -> int:
        self._told = _told(self._place.own)  # before the commits: those that come later are news
        recovered = recovered_read_only(self._place.own, self._place.meta.store_id)
        overlay = Overlay()
        take_up(recovered, self._catalogue, overlay)
        self._overlay.replace(overlay.snapshot())
        self.sequence = recovered.sequence
        return len(recovered.window)


def _told(own: Folder | None) -> bytes | None:
    content = own.read(LOCK_FILE, _LOCK_FILE_LIMIT_BYTES) if own is not None else None
    return None if content is None else content.data


def take_up(recovered: Recovered, catalogue: Catalogue, overlay: Overlay) -> None:
    """Put what is committed and not in files on top of them."""
    for key, revision, sequence in recovered.deleted:
        catalogue.buried(key, revision, sequence)
    for entry in recovered.window:
        folds: dict[Key, Fold] = {}
        follow(overlay.folds, entry, folds)
        overlay.update(folds)
    for fold in overlay.snapshot().values():
        if fold.is_gone:
            catalogue.buried(fold.key, fold.revision, fold.sequence)
