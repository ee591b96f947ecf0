"""The payload of a data frame: which records a commit changed, then their documents.

The first line is an index of keys and revisions; documents stand behind it, one after the other, as
canonical JSON. Who only wants to know what changed reads one line.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeAlias

import attrs
import orjson

from statestore.models.keys import Key, Revision
from statestore.models.times import format_time, parse_time


@attrs.frozen
class PutOp:
    """A record's whole document. `extra` is JSON too, empty bytes where there is none."""

    key: Key
    revision: Revision
    schema: int
    data: bytes
    extra: bytes = b""


@attrs.frozen
class PatchOp:
    """A patch as JSON: `{"set": {field: value}, "append": [[field, from_length, [item, …]], …]}`.

    `schema` is that of the record that it changes.
    """

    key: Key
    revision: Revision
    schema: int
    data: bytes


@attrs.frozen
class DeleteOp:
    """A record is gone."""

    key: Key
    revision: Revision


@attrs.frozen
class StagedOp:
    """A record's whole file, which lies ready under another name.

    `stage` is its name in the folder of staged files, `name` that in the folder of its kind;
    `checksum` is the CRC-32 of its `size_bytes` bytes.
    """

    key: Key
    revision: Revision
    schema: int
    stage: str
    name: str
    size_bytes: int
    checksum: int


Op: TypeAlias = PutOp | PatchOp | DeleteOp | StagedOp


@attrs.frozen
class Entry:
    """What one data frame holds: a commit. `run` is the opening that made it, if that is told."""

    sequence: int
    committed_at: datetime
    source: str
    ops: Sequence[Op]
    run: str = ""

    @property
    def size_bytes(self) -> int:
        """The bytes of the documents in it."""
        return sum(map(size_of, self.ops))


def size_of(op: Op) -> int:
    """Return the bytes of the document that an operation has."""
    if isinstance(op, StagedOp):
        return op.size_bytes
    return 0 if isinstance(op, DeleteOp) else len(op.data)


def encode_entry(committed_at: datetime, source: str, ops: Sequence[Op], run: str = "") -> bytes:
    """Return the payload of a commit's frame."""
    rows: list[tuple[object, ...]] = []
    parts: list[bytes] = [b""]
    for op in ops:
        kind, id = op.key.kind, op.key.id
        if isinstance(op, PutOp):
            sizes = (len(op.data), len(op.extra)) if op.extra else (len(op.data),)
            rows.append(("put", kind, id, op.revision, op.schema, *sizes))
            parts.append(op.data)
            parts.append(op.extra)
        elif isinstance(op, PatchOp):
            rows.append(("patch", kind, id, op.revision, op.schema, len(op.data)))
            parts.append(op.data)
        elif isinstance(op, DeleteOp):
            rows.append(("delete", kind, id, op.revision))
        else:
            file = (op.stage, op.name, op.size_bytes, op.checksum)
            rows.append(("staged", kind, id, op.revision, op.schema, *file))
    told = {"run": run} if run else {}
    index = {"at": format_time(committed_at), "by": source, **told, "ops": rows}
    parts[0] = orjson.dumps(index) + b"\n"
    return b"".join(parts)


def decode_entry(sequence: int, payload: bytes) -> Entry:
    """Return the commit that a frame's payload holds.

    Raises:
        ValueError: it holds none; it was written by something else than a store.
    """
    line, _, rest = payload.partition(b"\n")
    try:
        index = orjson.loads(line)
        ops, at = [], 0
        for row in index["ops"]:
            op, size = _decode_op(row, rest, at)
            ops.append(op)
            at += size
        run = str(index.get("run", ""))
        return Entry(sequence, parse_time(index["at"]), str(index["by"]), ops, run)
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError("its index is not one that a store writes") from error


def _decode_op(row: Sequence[Any], rest: bytes, at: int) -> tuple[Op, int]:
    what, kind, id, revision = row[:4]
    key = Key(kind, id)
    if what == "delete":
        return DeleteOp(key, revision), 0
    schema = row[4]
    if what == "staged":
        return StagedOp(key, revision, schema, *row[5:9]), 0
    size = row[5]
    data = rest[at : at + size]
    if what == "patch":
        return PatchOp(key, revision, schema, data), size
    if what != "put":
        raise ValueError("it has a change of a kind that this version does not know")
    extra = rest[at + size : at + size + (row[6] if len(row) > 6 else 0)]
    return PutOp(key, revision, schema, data, extra), size + len(extra)


@attrs.frozen
class Checkpoint:
    """What a checkpoint frame says.

    Every commit up to `files_upto` is in synced record files; `committed_at` is the time of the
    last one before the frame. `deleted` has the revision, and the sequence, that the deletion of
    each record took which was not made again.
    """

    files_upto: int
    committed_at: datetime
    deleted: Sequence[tuple[Key, Revision, int]] = ()

    def to_bytes(self) -> bytes:
        """Return the payload of the frame."""
        rows = [(key.kind, key.id, revision, at) for key, revision, at in self.deleted]
        at = format_time(self.committed_at)
        return orjson.dumps({"files_upto": self.files_upto, "at": at, "deleted": rows})

    @classmethod
    def from_bytes(cls, payload: bytes) -> Checkpoint:
        """Return what the payload says.

        Raises:
            ValueError: it is no checkpoint.
        """
        try:
            fields = orjson.loads(payload)
            rows = [(Key(kind, id), revision, at) for kind, id, revision, at in fields["deleted"]]
            return cls(int(fields["files_upto"]), parse_time(fields["at"]), rows)
        except (KeyError, TypeError) as error:
            raise ValueError("it is no checkpoint that a store writes") from error
