"""Shapes: what values of each type look like in a document, strictly both ways."""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Callable, Sequence, Set
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from functools import partial
from pathlib import Path, PurePath
from typing import (
    Any,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import attrs
import cattrs
import orjson
from cattrs.fns import identity
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override
from cattrs.strategies import configure_union_passthrough

from statestore.errors import EncodeError
from statestore.models.documents import FrozenDict, freeze_mapping
from statestore.models.sequences import Items
from statestore.models.times import format_time, parse_time
from statestore.records.lists import list_checks

EXTRA = "statestore.extra"
"""Metadata of the field, a `FrozenDict`, in which a class keeps fields that it does not know."""


PLAIN = "statestore.plain"
"""Metadata of a field that lets nothing in but what is stored as it is."""


class Misfit(ValueError):
    """A document does not fit a class; `problems` has a line for each field, with its path."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(problems)
        self.problems = tuple(problems)


def own_shape(type_: object, *, write: Callable[[Any], Any], read: Callable[[Any], Any]) -> None:
    """Make fields annotated with `type_` be stored as `write` says; `read` is its inverse.

    For the shapes of the built-in records, before the first codec of a class that has them is made.
    """
    for detailed in (False, True):
        converter = shape_converter(detailed=detailed)
        converter.register_unstructure_hook_func(partial(_equals, type_), write)
        converter.register_structure_hook_func(partial(_equals, type_), partial(_read_own, read))


_converters: dict[bool, cattrs.Converter] = {}


def shape_converter(*, detailed: bool) -> cattrs.Converter:
    """Return the converter of this process; a `detailed` one tells every problem, and is slower."""
    if detailed not in _converters:
        _converters[detailed] = _made_converter(detailed=detailed)
    return _converters[detailed]


def _made_converter(*, detailed: bool) -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=detailed)
    # What stands in a field of type Any goes through as it is: converted, it would come back as
    # another type, and nobody would know.
    converter.register_unstructure_hook_func(lambda t: t is Any, _as_it_is)
    for scalar in (str, int, bool):
        converter.register_structure_hook(scalar, partial(_exactly, scalar))
    converter.register_structure_hook(float, _to_float)
    converter.register_unstructure_hook(float, _from_float)
    for type_, write, read in _TEXTS:
        converter.register_unstructure_hook(type_, write)
        converter.register_structure_hook(type_, partial(_from_text, read))
    converter.register_unstructure_hook(timedelta, _write_span)
    converter.register_structure_hook(timedelta, lambda v, _: timedelta(seconds=_to_float(v, _)))
    converter.register_structure_hook_func(_is_enum, _to_enum)
    converter.register_unstructure_hook_func(_is_frozen_dict, _as_it_is)
    converter.register_structure_hook_func(_is_frozen_dict, _to_frozen_dict)
    configure_union_passthrough(Union[str, int, float, bool, None], converter)  # noqa: UP007 # a runtime value
    converter.register_unstructure_hook_factory(_is_set, _set_writer)
    converter.register_unstructure_hook_factory(is_items, _items_writer)
    converter.register_structure_hook_factory(is_items, _items_reader)
    converter.register_unstructure_hook_factory(attrs.has, _attrs_writer)
    converter.register_structure_hook_factory(attrs.has, _attrs_reader)
    return converter


def _attrs_writer(cls: type, converter: cattrs.Converter) -> Callable[[Any], dict[str, Any]]:
    hints = get_type_hints(get_origin(cls) or cls)
    for enum in _enums(tuple(hints.values())):
        # By class: as a text, which many enums are too, a member would be written as itself.
        converter.register_unstructure_hook(enum, _from_enum)
    as_it_is = override(unstruct_hook=identity)  # which costs no call
    plain_fields: dict[str, Any] = {
        field.name: as_it_is for field in attrs.fields(cls) if field.metadata.get(PLAIN)
    }
    write_fields: Callable[[Any], dict[str, Any]] = make_dict_unstructure_fn(
        cls, converter, **plain_fields
    )
    extra = extra_field_of(cls)
    checks = list_checks(cls, hints)
    lists = {name: check for name, check in checks.items() if name not in plain_fields}
    plain = get_origin(cls) or cls

    def write(record: Any) -> dict[str, Any]:
        if type(record) is not plain:  # what a subclass adds would not come back
            reason = f"it is a {type(record).__name__}, where a {plain.__name__} belongs"
            raise EncodeError("$", reason)
        for name, lacks_list in lists.items():
            if lacks_list(getattr(record, name)):
                raise EncodeError(f"$.{name}", "it is no list")
        return write_fields(record)

    if extra is None:
        return write
    # A field of the very name of `extra` may be in it: that name is never written for itself.
    names = {field.name for field in attrs.fields(cls)} - {extra}

    def write_with_extra(record: Any) -> dict[str, Any]:
        fields = write(record)
        more = fields[extra]
        if not more:
            del fields[extra]
            return fields
        taken = names.intersection(more)
        if taken:
            raise EncodeError(f"$.{min(taken)}", f"it is a field, so it cannot be in {extra} too")
        spliced: dict[str, Any] = {}
        for name, value in fields.items():
            if name == extra:
                spliced.update(more)
            else:
                spliced[name] = value
        return spliced

    return write_with_extra


def _attrs_reader(cls: type, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    hints = get_type_hints(get_origin(cls) or cls)
    for enum in _enums(tuple(hints.values())):
        # By class: as a text, which many enums are too, any text would be taken for a member.
        converter.register_structure_hook(enum, _to_enum)
    read: Callable[[Any, Any], Any] = make_dict_structure_fn(cls, converter)
    extra = extra_field_of(cls)
    names = frozenset(field.name for field in attrs.fields(cls) if field.init)
    lists = list_checks(cls, hints)

    def checked(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise Misfit(["a mapping is wanted"])
        for name, lacks_list in lists.items():
            if lacks_list(value.get(name)):
                raise Misfit([f"{name} is no list"])
        if extra is None:
            if not names.issuperset(value):
                unknown = min(str(key) for key in value if key not in names)
                reason = (
                    f"{unknown} is not known to {cls.__name__}, which has no field to keep it in; "
                    "add `extra: FrozenDict = extra_field()` to the class"
                )
                raise Misfit([reason])
            return read(value, cls)
        known = {key: item for key, item in value.items() if key in names and key != extra}
        if len(known) != len(value):
            more = {key: item for key, item in value.items() if key not in known}
            known[extra] = freeze_mapping(more)
        return read(known, cls)

    return checked


def _enums(types: Sequence[Any]) -> set[type[Enum]]:
    found = {type_ for type_ in types if _is_enum(type_)}
    return found.union(*(_enums(get_args(type_)) for type_ in types))


def extra_field_of(cls: type) -> str | None:
    """Return the name of the field in which a class keeps what it does not know, if it has one."""
    for field in attrs.fields(cls):
        if field.metadata.get(EXTRA):
            return str(field.name)
    return None


def _exactly(wanted: type, value: Any, _: Any) -> Any:
    if type(value) is not wanted:
        raise Misfit([f"a value of type {wanted.__name__} is wanted"])
    return value


def _to_float(value: Any, _: Any) -> float:
    if type(value) is not float and type(value) is not int:
        raise Misfit(["a number is wanted"])
    return float(value)


def _from_float(value: Any) -> Any:
    return float(value) if type(value) is int else value


def _from_text(read: Callable[[str], Any], value: Any, _: Any) -> Any:
    if type(value) is not str:
        raise Misfit(["a text is wanted"])
    try:
        return read(value)
    except (ValueError, InvalidOperation, binascii.Error) as error:
        raise Misfit([f"the text is not of the form wanted ({type(error).__name__})"]) from error


def _write_time(moment: datetime) -> str:
    try:
        return format_time(moment)
    except ValueError as error:
        raise EncodeError("$", str(error)) from error


def _write_span(span: timedelta) -> float:
    seconds = span.total_seconds()
    if timedelta(seconds=seconds) != span:  # a float holds the microseconds of 270 years
        raise EncodeError("$", "it is a span too long to be stored to the microsecond")
    return seconds


def _write_bytes(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _read_bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


_TEXTS: tuple[tuple[Any, Callable[[Any], Any], Callable[[str], Any]], ...] = (
    (datetime, _write_time, parse_time),
    (date, date.isoformat, date.fromisoformat),
    (bytes, _write_bytes, _read_bytes),
    (uuid.UUID, str, uuid.UUID),
    (Decimal, str, Decimal),
    (Path, str, Path),
    (PurePath, str, PurePath),
)


def _equals(wanted: object, type_: object) -> bool:
    return type_ == wanted


def _read_own(read: Callable[[Any], Any], value: Any, _: Any) -> Any:
    try:
        return read(value)
    except (TypeError, ValueError) as error:
        raise Misfit([str(error)]) from error


def _as_it_is(value: Any) -> Any:
    return value


def _is_enum(type_: object) -> bool:
    return isinstance(type_, type) and issubclass(type_, Enum)


def _from_enum(member: Enum) -> Any:
    return member.value


def _to_enum(value: Any, type_: Any) -> Any:
    known = ", ".join(str(member.value) for member in type_)
    try:
        member = type_(value)
    except ValueError as error:
        raise Misfit([f"it is none of {known}"]) from error
    if isinstance(member.value, int) and type(value) is not int:  # 1.0 and true equal 1
        raise Misfit([f"it is none of {known}"])
    return member


def _is_frozen_dict(type_: object) -> bool:
    return isinstance(type_, type) and issubclass(type_, FrozenDict)


def _to_frozen_dict(value: Any, type_: Any) -> FrozenDict:
    if not isinstance(value, dict):
        raise Misfit(["a mapping is wanted"])
    return cast(FrozenDict, type_(freeze_mapping(value)))  # its type is a subclass, as was asked


def _is_set(type_: object) -> bool:
    plain = get_origin(type_) or type_
    return isinstance(plain, type) and issubclass(plain, Set)


def is_items(type_: object) -> bool:
    """Say whether a type is that of a growing field."""
    return (get_origin(type_) or type_) is Items


def _items_writer(type_: Any, converter: cattrs.Converter) -> Callable[[Any], list[Any]]:
    write = converter.get_unstructure_hook(item_type(type_))
    return lambda value: [write(one) for one in value]


def _items_reader(type_: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Items[Any]]:
    item = item_type(type_)
    whole = tuple[item, ...]  # type: ignore[valid-type]  # a runtime value
    read = converter.get_structure_hook(whole)
    item_class = item if isinstance(item, type) and get_origin(item) is None else None
    return lambda value, _: Items(read(value, whole), item_class)


def item_type(type_: object) -> Any:
    """Return the type of the items of a growing field."""
    return (*get_args(type_), Any)[0]


def _set_writer(type_: Any, converter: cattrs.Converter) -> Callable[[Any], list[Any]]:
    args = get_args(type_)
    write = converter.get_unstructure_hook(args[0]) if args else _as_it_is
    return lambda value: sorted(map(write, value), key=orjson.dumps)
