"""The format of a store: which serializer the next files are written with."""

from __future__ import annotations

from collections.abc import Callable

from statestore.drivers.layout import META_FILE, read_meta
from statestore.drivers.place import Place
from statestore.errors import StateStoreError
from statestore.models.reports import Failure
from statestore.serializers import get
from statestore.serializers.serializer import Serializer


class WrittenFormat:
    """The serializer that was asked for, or else the one that the store remembers, now."""

    def __init__(self, place: Place, chosen: str | None, tell: Callable[[Failure], None]) -> None:
        """Write with the serializer `chosen`; None: with the one that the store remembers.

        Args:
            tell: what is told of a format that another process has remembered, and is not here.
        Raises:
            UnknownName: there is no such serializer.
        """
        self._place, self._tell = place, tell
        self._follows = chosen is None
        self._mark = place.own.mark(META_FILE) if place.own is not None else None
        self.serializer = get(chosen or place.meta.format)

    @property
    def chosen(self) -> Serializer | None:
        """The serializer that was asked for; None where it is the one that the store remembers."""
        return None if self._follows else self.serializer

    def use(self, serializer: Serializer, *, remember: bool) -> None:
        """Write the next files with `serializer`. See `RecordFiles.use`."""
        if not remember:
            self.serializer, self._follows = serializer, False
            return
        with self._place.writing("change the format"):
            self._place.remember_format(serializer.name)
            # Before anybody can remember another, which would have to be followed.
            self.serializer, self._follows = serializer, True

    def follow(self) -> None:
        """Take up what another process has made the format of the store.

        The caller has the lock for writing files, under which formats are remembered. A format that
        is not known here is told once; files stay as they can be written here.
        """
        own = self._place.own
        if not self._follows or own is None:
            return
        mark = own.mark(META_FILE)
        if mark == self._mark:
            return
        self._mark = mark
        try:
            meta = read_meta(own)
            if meta is not None and meta.format != self.serializer.name:
                self.serializer = get(meta.format)
        except StateStoreError as error:
            self._tell(Failure(None, "materialise", error))
