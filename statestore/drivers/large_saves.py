"""Large saves: the files of a commit that is too large for the journal, written before it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import chain

from statestore.drivers.catalogue import Catalogue
from statestore.drivers.drafts import PutDraft, Request
from statestore.drivers.driver import Clock
from statestore.drivers.folding import encoded
from statestore.drivers.formats import WrittenFormat
from statestore.drivers.names import file_stem
from statestore.drivers.overlay import Overlay
from statestore.drivers.staging import StageableFile, StagedFile, Stages
from statestore.errors import EncodeError
from statestore.models.documents import FrozenDict
from statestore.models.envelopes import Envelope
from statestore.models.keys import Key
from statestore.models.times import time_ns


class LargeSaves:
    """Stages the files of large commits. Any thread may use it."""

    def __init__(
        self,
        stages: Stages,
        catalogue: Catalogue,
        overlay: Overlay,
        clock: Clock,
        format: WrittenFormat,
        staged_bytes: int,
    ) -> None:
        """Stage what has more bytes than `staged_bytes`."""
        self._stages, self._catalogue, self._overlay = stages, catalogue, overlay
        self._clock, self._format, self._staged_bytes = clock, format, staged_bytes

    def staged(self, request: Request, last_time: datetime) -> Mapping[Key, StagedFile]:
        """Write the files of a large save, to be named by its commit; nothing for a small one.

        Args:
            last_time: that of the last commit; no file says that it is older.
        Raises:
            StorageError: the system refused; nothing is left.
        """
        if request.is_encoded and request.size_bytes <= self._staged_bytes:
            return {}
        now = max(self._clock(), last_time)
        puts = {
            key: drafts[0]
            for key, drafts in request.drafts.items()
            if len(drafts) == 1 and isinstance(drafts[0], PutDraft)
        }
        files = (self._stage_file(key, put, now) for key, put in puts.items())
        first: list[StageableFile] = []
        size = 0
        try:
            while size <= self._staged_bytes:
                one = next(files, None)
                if one is None:
                    return {}
                first.append(one)
                size += len(one.data)
            staged = self._stages.write(chain(first, files), len(puts))
        except EncodeError:
            return {}  # which ones, and why, is found out when all are encoded
        return {one.key: one for one in staged}

    def _stage_file(self, key: Key, put: PutDraft, now: datetime) -> StageableFile:
        # The revision, and what stands beside the document, are those that the commit will find if
        # nobody else comes before it; if somebody does, the document goes into the journal.
        fold, known = self._overlay.get(key), self._catalogue.get(key)
        revision = max(fold.revision if fold else 0, self._catalogue.highest(key)) + 1
        beside = fold.extra if fold else known.extra if known else None
        extra = FrozenDict({**(beside or {}), **put.extra})
        envelope = Envelope(key.kind, put.schema, revision, now, put.document, extra)
        serializer = self._format.serializer
        data = encoded(serializer, envelope)
        name = file_stem(key.id) + serializer.extension
        return StageableFile(key, name, envelope, data, time_ns(now))
