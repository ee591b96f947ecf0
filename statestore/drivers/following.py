"""Following the commits of others from an opening that may not write a byte."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

from statestore.drivers.catalogue import Catalogue
from statestore.drivers.feed import Feed
from statestore.drivers.overlay import Fold, Overlay, follow
from statestore.drivers.place import Place
from statestore.journal.entries import Entry
from statestore.journal.reading import JournalReader, history_read_only
from statestore.journal.standing import Recovered
from statestore.models.keys import Key


class Follower:
    """Keeps an overlay what the journal says. Any thread may use it."""

    def __init__(
        self, place: Place, catalogue: Catalogue, overlay: Overlay, lock: threading.RLock
    ) -> None:
        """Follow the journal of a place. `lock` is that of the place and the catalogue."""
        self._place, self._catalogue, self._overlay, self._lock = place, catalogue, overlay, lock
        self._journal = JournalReader(place.own, place.meta.store_id)
        self._feed = Feed()
        self.sequence = 0
        try:
            recovered = self._journal.open()
        except BaseException:
            self._journal.close()
            raise
        self._begin(recovered)
        self.taken_up = len(recovered.window)
        """How many commits were not in the files at the opening."""

    def catch_up(self) -> None:
        """Take in what was committed up to now. Waits for nobody.

        Raises:
            CorruptJournal: it is damaged.
        """
        if not self._journal.has_news():
            return
        with self._lock:
            if not self._journal.has_news():
                return  # another thread has done it meanwhile
            news = self._journal.catch_up()
            if isinstance(news, Recovered):
                self._begin(news)
                return
            folds: dict[Key, Fold] = {}
            for entry in news:
                follow(self._overlay.folds, entry, folds)
            self._overlay.update(folds)
            note_gone(folds.values(), self._catalogue)
            for fold in self._overlay.drop_upto(self._journal.files_upto):
                self._catalogue.written_elsewhere(fold)
            self._feed.add(news)
            if news:
                self.sequence = news[-1].sequence

    def history(self, after: int) -> Iterator[Entry]:
        """Return the commits behind `after`, in order. See `Driver.changes`."""
        upto, place = self.sequence, self._place
        kept = self._feed.between(after, upto)
        if kept is not None:
            return iter(kept)
        return history_read_only(place.own, place.meta.store_id, after, upto, place.path)

    def close(self) -> None:
        """Let go of all files. Twice is harmless."""
        self._journal.close()

    def _begin(self, recovered: Recovered) -> None:
        overlay = Overlay()
        take_up(recovered, self._catalogue, overlay)
        self._overlay.replace(overlay.snapshot())
        self._feed.add([one for one in recovered.window if one.sequence > self.sequence])
        self.sequence = recovered.sequence


def take_up(recovered: Recovered, catalogue: Catalogue, overlay: Overlay) -> None:
    """Put what is committed and not in files on top of them."""
    for key, revision, sequence in recovered.deleted:
        catalogue.buried(key, revision, sequence)
    for entry in recovered.window:
        folds: dict[Key, Fold] = {}
        follow(overlay.folds, entry, folds)
        overlay.update(folds)
    note_gone(overlay.snapshot().values(), catalogue)


def note_gone(folds: Iterable[Fold], catalogue: Catalogue) -> None:
    """Note which records commits have deleted, and which of these they have made again."""
    for fold in folds:
        if fold.is_gone:
            catalogue.buried(fold.key, fold.revision, fold.sequence)
        else:
            catalogue.made_again(fold.key, fold.revision, fold.sequence)
