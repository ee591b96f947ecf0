"""Transfer: one record as a plain JSON document, to be taken into this or another store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from statestore.errors import DuplicateId, EncodeError, InvalidRecord, StructureError
from statestore.models.changes import Stored
from statestore.models.documents import FrozenDict, dumps_checked
from statestore.models.keys import Key, check_id
from statestore.records.changing import Changer
from statestore.records.keeping import R

_NOBODY: Final = "?"
"""Stands in errors for the id of a document that has none."""

_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Transfer(Changer[R]):
    """The export and import of single records."""

    def export_document(self, id: str | R) -> dict[str, Any]:
        """Return a record as a document of its own: plain dicts and lists that `json` can write.

        Shape: {"kind": str, "schema": int, "data": {…}}, where data holds what a record file holds,
        fields that the class does not know included. It is a copy.

        Raises:
            RecordNotFound: there is none.
            EncodeError: a value of it cannot be stored, so not be exported either.
        """
        record = self[id]
        data = {**self._codec.encode(record), **self._unknown_of(record.id)}
        return {
            "kind": self.kind,
            "schema": self.schema,
            "data": orjson.loads(dumps_checked(data)),
        }

    def import_document(
        self, document: Mapping[str, Any], *, id: str | None = None, replace: bool = False
    ) -> R:
        """Add the record that a document holds, and return it. What refuses it changes nothing.

        It comes from `export_document`, or is the content of a record file; what else the file
        tells of the record does not count. Of the documents of hostile strangers nothing is run.

        Args:
            id: the id that the record is to have here; by default its own.
            replace: put it in the place of the record that has this id, if there is one. It is
                then the newest state of that record, whenever it was exported.
        Raises:
            DuplicateId: there is a record of this id, and `replace` was not asked for.
            InvalidRecord: the document is of another kind.
            NewerSchema: it was written by a newer version of the class.
            StructureError: it does not fit the class; `problems` name the fields.
            InvalidId: `id` cannot be one.
        """
        record = self._imported(document, None if id is None else check_id(id))
        made: list[R] = []

        def make(current: R | None) -> R:
            if current is not None and not replace:
                raise DuplicateId(self.kind, record.id)
            # The same once more is no change.
            if current is not None and record == current:
                new = current
            else:
                new = self._received(record, current)
            self._check(new, record.id)
            made.append(new)
            return new

        self._change(record.id, make, anew=True)
        return made[-1]

    # --- for the managers of a domain -------------------------------------------------

    def _received(self, record: R, current: R | None) -> R:
        """Return an imported record as it is to stand here. Called under the lock; only computes.

        Args:
            current: the record whose place it takes; None if it is added.
        """
        del current
        return record

    def _imported(self, document: object, id: str | None) -> R:
        """Return the record that a document holds.

        Args:
            id: the id that it is to have; None for its own.
        Raises:
            InvalidRecord, NewerSchema, StructureError: as for `import_document`.
        """
        try:
            return self._read(document, id)
        except StructureError as error:  # as of a stored one, which this is not
            raise self._misfit(error.id, error.problems) from error

    # --- inside -----------------------------------------------------------------------

    def _read(self, document: object, id: str | None) -> R:
        head = document if isinstance(document, Mapping) else {}
        kind, schema, data = (head.get(name) for name in ("kind", "schema", "data"))
        own = data.get("id") if isinstance(data, Mapping) else None
        name = id or (own if isinstance(own, str) and own else _NOBODY)
        if not isinstance(document, Mapping):
            raise self._misfit(name, ["a mapping is wanted at $"])
        if type(kind) is str and kind != self.kind:
            reason = f"the document is of another kind; this manager takes {self.kind}"
            raise InvalidRecord(self.kind, name, reason, field="kind", allowed=(self.kind,))
        problems = []
        if type(kind) is not str:
            problems.append("a text is wanted at $.kind")
        if type(schema) is not int or schema < 1:
            problems.append("a whole number from 1 is wanted at $.schema")
        if not isinstance(data, Mapping):
            problems.append("a mapping is wanted at $.data")
        if problems or type(schema) is not int or not isinstance(data, Mapping):
            raise self._misfit(name, problems)
        try:
            # Through text: it is certain then what it is made of, and it is nobody else's.
            plain = orjson.loads(dumps_checked(dict(data)))
        except EncodeError as error:
            problem = f"{error.reason} at $.data{error.where.removeprefix('$')}"
            raise self._misfit(name, [problem]) from error
        if id is not None:
            plain["id"] = id
        try:
            loaded = self.decode(Stored(Key(self.kind, name), plain, schema, 0, _NEVER))
        except StructureError as error:
            raise self._misfit(name, error.problems) from error
        if loaded.unknown:
            reason = f"{self.record_class.__name__} has no field to keep it in"
            problems = [f"{reason} at $.data.{field}" for field in loaded.unknown]
            raise self._misfit(name, problems)
        record = loaded.record
        if not isinstance(record, self.record_class):  # what `decode` promises
            raise self._misfit(name, ["it is of another class"])
        return record

    def _misfit(self, id: str, problems: Iterable[str]) -> StructureError:
        return StructureError(self.kind, id, problems, is_stored=False)

    def _unknown_of(self, id: str) -> Mapping[str, Any]:
        """Return the stored fields of a record that its class has no place for."""
        scope = self._scope()
        space = scope.workspace(self.kind) if scope is not None else None
        if space is not None and id in space.made:
            return FrozenDict()
        if space is not None and id in space.based:
            return space.based[id].unknown or FrozenDict()
        return self._unknown.get(id, FrozenDict())
