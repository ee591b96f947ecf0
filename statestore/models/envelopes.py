"""Envelopes: what surrounds a record's document in its file."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from statestore.models.documents import FrozenDict
from statestore.models.times import format_time, parse_time

_FIELDS = ("kind", "schema", "revision", "saved_at", "data")


@attrs.frozen
class Envelope:
    """The whole content of a record file.

    `extra` holds fields that this version does not know; they are written back.
    """

    kind: str
    schema: int
    revision: int
    saved_at: datetime
    data: Mapping[str, Any]
    extra: Mapping[str, Any] = attrs.field(factory=FrozenDict)

    def to_document(self) -> dict[str, Any]:
        """Return the envelope as a document, its fields in the order of the file, data last."""
        return {
            "kind": self.kind,
            "schema": self.schema,
            "revision": self.revision,
            "saved_at": format_time(self.saved_at),
            **self.extra,
            "data": self.data,
        }

    @classmethod
    def from_document(cls, document: object) -> Envelope:
        """Return the envelope that a document is.

        Raises:
            ValueError: it is none; the text says what is wrong.
        """
        if not isinstance(document, Mapping):
            raise ValueError("it holds no record: a mapping with kind, schema and data is wanted")
        missing = [name for name in _FIELDS if name not in document]
        if missing:
            raise ValueError(f"it holds no record: {', '.join(missing)} missing from its envelope")
        kind, data = document["kind"], document["data"]
        if not isinstance(kind, str):
            raise ValueError("the kind in its envelope is no string")
        if not isinstance(data, Mapping):
            raise ValueError("the data in its envelope is no mapping")
        try:
            saved_at = parse_time(document["saved_at"])
        except ValueError as error:
            raise ValueError(f"the saved_at in its envelope is no time: {error}") from error
        return cls(
            kind=kind,
            schema=_positive(document, "schema"),
            revision=_positive(document, "revision"),
            saved_at=saved_at,
            data=data,
            extra=FrozenDict({k: v for k, v in document.items() if k not in _FIELDS}),
        )


def _positive(document: Mapping[str, Any], name: str) -> int:
    value = document[name]
    if type(value) is not int or value < 1:
        raise ValueError(f"the {name} in its envelope is no positive integer")
    return value
