"""Named tuples: stored as mappings of their items, as an attrs class with these fields is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import attrs
import cattrs

from statestore.errors import EncodeError
from statestore.records.classes import field_names, field_types


def named_tuple_writer(cls: Any, converter: cattrs.Converter) -> Callable[[Any], dict[str, Any]]:
    """Return what writes named tuples of a class, as mappings."""
    write = converter.get_unstructure_hook(_as_attrs(cls))
    names = field_names(cls)

    def write_tuple(value: Any) -> dict[str, Any]:
        if type(value) is not cls:
            reason = f"it is a {type(value).__name__}, where a {cls.__name__} belongs"
            raise EncodeError("$", reason)
        return cast(dict[str, Any], write(_as_attrs(cls)(**dict(zip(names, value, strict=True)))))

    return write_tuple


def named_tuple_reader(cls: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    """Return what reads them."""
    same = _as_attrs(cls)
    read = converter.get_structure_hook(same)
    names = field_names(cls)

    def read_tuple(value: Any, _: Any) -> Any:
        found = read(value, same)
        return cls(*[getattr(found, name) for name in names])

    return read_tuple


_same_as: dict[Any, Any] = {}


def _as_attrs(cls: Any) -> Any:
    """Return an attrs class with the fields of a named tuple."""
    if cls not in _same_as:
        defaults: Mapping[str, Any] = cls._field_defaults
        fields = {
            name: attrs.field(type=type_, default=defaults.get(name, attrs.NOTHING))
            for name, type_ in field_types(cls).items()
        }
        _same_as[cls] = attrs.make_class(cls.__name__, fields, frozen=True)
    return _same_as[cls]
