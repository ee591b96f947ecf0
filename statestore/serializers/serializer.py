"""What a serializer is."""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol

from statestore.models.documents import Json


class Shape(IntEnum):
    """How much the beginning of some bytes looks like a format."""

    NO = 0
    """It is something else."""
    LIKELY = 1
    """It may be: only reading it whole tells."""
    MAGIC = 2
    """It begins with bytes that only this format begins with."""


class Serializer(Protocol):
    """Turns documents into bytes and back. Without state: any thread may call it.

    `name` is what people and settings call it; `extension` ends the names of its files (".json").
    """

    @property
    def name(self) -> str: ...

    @property
    def extension(self) -> str: ...

    def dumps(self, document: Json) -> bytes:
        """Return `document` as bytes: the same bytes for equal documents with equal key order.

        Raises:
            EncodeError: some value cannot be stored (see `check_document`).
            TooLarge: the result is over `MAX_SIZE_BYTES`.
        """
        ...

    def loads(self, data: bytes) -> Json:
        """Return the document that `data` holds: equal to the one that was dumped.

        Raises:
            DecodeError: `data` is not one whole, safe document of this format. Its subclasses
                `TooLarge` and `TooDeep` say which limit was passed.
        """
        ...

    def sniff(self, data: bytes) -> Shape:
        """Say how much `data` looks like this format. Never raises; reads little."""
        ...
