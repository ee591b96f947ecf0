"""Pieces: a document as texts of its fields and items, to which adding costs what is added."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, TypeGuard

import orjson

from statestore.errors import EncodeError
from statestore.models.changes import Patch
from statestore.models.documents import dumps_checked
from statestore.models.sequences import Items

Piece: TypeAlias = bytes | Items[bytes]
"""The JSON text of a value, or those of the items of a list."""


class Pieces:
    """A document in pieces, which never changes. `size_bytes` is the length of its text."""

    __slots__ = ("_fields", "size_bytes")

    def __init__(self, fields: Mapping[str, Piece], size_bytes: int) -> None:
        """Take over `fields`, in their order, which together make a text of `size_bytes`."""
        self._fields, self.size_bytes = fields, size_bytes

    @staticmethod
    def of(document: Mapping[str, Any]) -> Pieces:
        """Return a document that can be stored, taken to pieces."""
        fields: dict[str, Piece] = {}
        for name, value in document.items():
            dumps = orjson.dumps
            fields[name] = Items(map(dumps, value)) if _is_list(value) else dumps(value)
        size = sum(len(orjson.dumps(name)) + 1 + _size(one) for name, one in fields.items())
        return Pieces(fields, size + 1 + max(len(fields), 1))

    def patched(self, patch: Patch) -> Pieces | None:
        """Return the document with a patch applied; None where the patch is not plainly right.

        Then who applies it to the whole document is told what is wrong with it, and where.
        """
        fields, size = dict(self._fields), self.size_bytes
        if patch.set.get("id", patch.key.inner_id) != patch.key.inner_id:
            return None
        try:
            for name, value in patch.set.items():
                if name not in fields:
                    return None
                after = _checked_items(value) if _is_list(value) else _checked(value)
                size += _size(after) - _size(fields[name])
                fields[name] = after
            for append in patch.append:
                items = fields.get(append.field)
                if not isinstance(items, Items) or len(items) != append.from_length:
                    return None
                more = _checked_items(append.items)
                fields[append.field] = items.extended(more)
                size += sum(map(len, more)) + len(more) - (bool(more) and not items)
        except EncodeError:
            return None
        return Pieces(fields, size)

    def joined(self) -> bytes:
        """Return the text of the document."""
        named = (orjson.dumps(name) + b":" + _text(one) for name, one in self._fields.items())
        return b"{" + b",".join(named) + b"}"


def _checked(value: object) -> bytes:
    """Return the text of the value of a field.

    Raises:
        EncodeError: it cannot be stored.
    """
    return dumps_checked({"data": {"": value}})[len(b'{"data":{"":') : -len(b"}}")]


def _checked_items(values: Iterable[object]) -> Items[bytes]:
    return Items(_checked([one])[1:-1] for one in values)


def _is_list(value: object) -> TypeGuard[list[object] | tuple[object, ...]]:
    return isinstance(value, list | tuple)


def _text(piece: Piece) -> bytes:
    return piece if isinstance(piece, bytes) else b"[" + b",".join(piece) + b"]"


def _size(piece: Piece) -> int:
    if isinstance(piece, bytes):
        return len(piece)
    return 2 + sum(map(len, piece)) + max(len(piece) - 1, 0)
