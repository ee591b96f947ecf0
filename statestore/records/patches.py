"""Patches: how a record with growing fields has changed, found without looking at what it holds."""

from __future__ import annotations

from collections.abc import Callable
from types import NoneType
from typing import Annotated, Any, Final, TypeVar, get_origin, get_type_hints

import attrs
import orjson

from statestore.models.changes import Append, Patch
from statestore.models.documents import Json, dumps_checked
from statestore.models.keys import Key
from statestore.models.sequences import Items
from statestore.records.lists import list_check
from statestore.records.shapes import (
    ShapeConverter,
    extra_field_of,
    is_items,
    item_type,
    shape_converter,
)

_COMPARED = (str, int, bool, NoneType)
"""Types whose equal values are stored alike if they are of the very same type."""


class Patcher:
    """Tells how a record of one frozen class has become another. Any thread may use it.

    It costs what the fields and the added items do, whatever else the record holds.
    """

    def __init__(self, record_class: type, converter: ShapeConverter | None = None) -> None:
        """Prepare a class that a codec was made for; it need not have a growing field."""
        converter = converter or shape_converter(detailed=False)
        self._growing: dict[str, _Shape] = {}
        self._small: dict[str, _Shape] = {}
        self._extra = extra_field_of(record_class)
        if get_origin(record_class) is not None:
            return
        hints = get_type_hints(record_class, include_extras=True)
        types = {field.name: hints[field.name] for field in attrs.fields(record_class)}
        if not any(map(is_items, types.values())) or any(map(_is_special, types.values())):
            return
        for field in attrs.fields(record_class):
            type_ = types[field.name]
            if not field.init or field.name == self._extra:
                continue
            if is_items(type_):
                self._growing[field.name] = _Shape(item_type(type_), converter)
            else:
                self._small[field.name] = _Shape(type_, converter)

    def patch(self, key: Key, old: Any, new: Any, *, check: bool) -> Patch | None:
        """Return what makes the document of `new` from that of `old`.

        None if that is more than to set small fields and to add to growing ones that held an item,
        or if a value cannot be stored.

        Args:
            check: make sure that what is set and added will be read back as the same.
        """
        if not any(len(getattr(old, name)) for name in self._growing):
            return None
        if self._extra is not None and getattr(old, self._extra) is not getattr(new, self._extra):
            return None  # its fields stand among those of the record
        appends: list[Append] = []
        fields: dict[str, Json] = {}
        try:
            for name, shape in self._growing.items():
                before, after = getattr(old, name), getattr(new, name)
                if after is before:
                    continue
                if not isinstance(after, Items) or not after.continues(before):
                    return None
                more = after.since(len(before))
                if more:
                    items = tuple([shape.write(one, check=check) for one in more])
                    appends.append(Append(name, len(before), items))
            for name, shape in self._small.items():
                before, after = getattr(old, name), getattr(new, name)
                if not _is_alike(before, after):
                    fields[name] = shape.write(after, check=check)
        except Exception:  # noqa: BLE001 # whoever writes the whole record tells what is wrong, and where
            return None
        return Patch(key, fields, tuple(appends))

    def patched(self, record: Any, patch: Patch) -> Any | None:
        """Return a record as a patch has made it, at the cost of what the patch holds.

        None if the patch is not one of small fields and of items behind those of the record, or
        does not fit the class.
        """
        if not self._growing:
            return None
        changes: dict[str, Any] = {}
        try:
            for append in patch.append:
                items = getattr(record, append.field)
                shape = self._growing[append.field]
                if len(items) != append.from_length:
                    return None
                changes[append.field] = items.extended(map(shape.read, append.items))
            for name, value in patch.set.items():
                changes[name] = self._small[name].read(value)
            named = {field.name: field.alias for field in attrs.fields(type(record))}
            return attrs.evolve(record, **{named[name]: one for name, one in changes.items()})
        except Exception:  # noqa: BLE001 # whoever reads the whole record tells what is wrong, and where
            return None


class _Shape:
    """What values of one type look like in a document."""

    def __init__(self, type_: Any, converter: ShapeConverter) -> None:
        self._type = type_
        self._write: Callable[[Any], Json] = converter.get_unstructure_hook(type_)
        self._read: Callable[[Any, Any], Any] = converter.get_structure_hook(type_)
        self._lacks_list = list_check(type_)

    def read(self, value: Any) -> Any:
        return self._read(value, self._type)

    def write(self, value: Any, *, check: bool) -> Json:
        if self._lacks_list is not None and self._lacks_list(value):
            raise ValueError
        written = self._write(value)
        if check:
            data = dumps_checked(written)
            back = self._read(orjson.loads(data), self._type)
            if orjson.dumps(self._write(back)) != data or not back == value:
                raise ValueError
        return written


def _is_alike(before: object, after: object) -> bool:
    if before is after:
        return True
    return type(before) is type(after) and type(before) in _COMPARED and before == after


def _is_special(type_: object) -> bool:
    """Say whether cattrs treats a field of this type in a way that only a whole record shows."""
    return isinstance(type_, TypeVar) or type_ is Final or get_origin(type_) in (Annotated, Final)
