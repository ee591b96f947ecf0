"""Rewriting the record files of a kind in another format, content and revision unchanged."""

from __future__ import annotations

import attrs

from statestore.drivers.catalogue import Catalogue
from statestore.drivers.driver import Rewritten
from statestore.drivers.folding import encoded
from statestore.drivers.kind_folder import Found, KindFolder, checksum
from statestore.drivers.overlay import Overlay
from statestore.drivers.place import Place
from statestore.drivers.refusing import refuse_unreadable
from statestore.errors import StateStoreError
from statestore.models.reports import Failure
from statestore.serializers.serializer import Serializer


class Rewriter:
    """Rewrites one kind. See `RecordFiles.rewrite`."""

    def __init__(
        self, place: Place, catalogue: Catalogue, overlay: Overlay, serializer: Serializer
    ) -> None:
        self._place, self._catalogue, self._overlay = place, catalogue, overlay
        self._serializer = serializer
        self._items = self._unchanged = self._size_bytes = 0
        self._superseded: list[str] = []

    def rewrite(self, folder: KindFolder) -> Rewritten:
        """Rewrite every record of the kind, then remove the files that they were in."""
        failures: list[Failure] = []
        notes: list[str] = []
        for stem, names in folder.stems():
            found = folder.find(stem, names, self._serializer.extension)
            failures.extend(attrs.evolve(one, operation="convert") for one in found.unreadable)
            notes.extend(found.notes)
            if found.record is not None:
                try:
                    self._rewrite(folder, stem + self._serializer.extension, found)
                except StateStoreError as error:
                    failures.append(Failure(found.record.key, "convert", error))
        folder.folder.sync()  # the new names stay before the old ones go
        for name in self._superseded:
            folder.folder.remove(name)
        if self._superseded:
            folder.folder.sync()
        return Rewritten(
            self._items, self._unchanged, self._size_bytes, tuple(failures), tuple(notes)
        )

    def _rewrite(self, folder: KindFolder, name: str, found: Found) -> None:
        record = found.record
        if record is None or self._overlay.is_gone(record.key):
            return  # a file that has still to go: noted as one that is there, it would come back
        refuse_unreadable(record.key, name, found)
        known = self._catalogue.read(record)
        data = encoded(self._serializer, record.envelope)
        self._place.set_rivals_aside(found.rivals)
        if (data, name) == (record.data, record.name):
            self._unchanged += 1
            if found.stale:
                folder.folder.sync_file(name)  # the one that stays, before another goes
        else:
            mtime_ns = record.mark.mtime_ns  # its content is as old as it was
            mark = folder.folder.replace(name, data, mtime_ns=mtime_ns)
            written = attrs.evolve(known, name=name, mark=mark, checksum=checksum(data))
            self._catalogue.written(record.key, written)
            self._items += 1
            self._size_bytes += len(data)
        self._superseded += [one.name for one in (*found.stale, record) if one.name != name]
