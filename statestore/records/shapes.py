"""Shapes: what values of each type look like in a document, strictly both ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from enum import Enum
from functools import partial
from types import MappingProxyType
from typing import Any, TypeAlias, cast, get_args, get_origin, get_type_hints, is_typeddict

import attrs
import cattrs
import orjson
from cattrs.fns import identity
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override
from cattrs.gen.typeddicts import make_dict_structure_fn as make_typed_dict_fn

from statestore.errors import EncodeError
from statestore.models.documents import FrozenDict, freeze_mapping
from statestore.models.sequences import Items
from statestore.records.classes import (
    bare_type,
    field_names,
    field_types,
    is_dataclass,
    is_named_tuple,
    plain_class,
)
from statestore.records.lists import list_checks
from statestore.records.mapping_keys import register_number_keys
from statestore.records.misfit import Misfit
from statestore.records.named_tuples import named_tuple_reader, named_tuple_writer
from statestore.records.own_types import OwnType, was_read, written
from statestore.records.scalars import as_it_is, from_enum, is_enum, register_scalars, to_enum
from statestore.records.unions import is_union_of_classes, members_of, union_reader, union_writer

EXTRA = "statestore.extra"
"""Metadata of the field, a `FrozenDict`, in which a class keeps fields that it does not know."""


PLAIN = "statestore.plain"
"""Metadata of a field that lets nothing in but what is stored as it is."""


def own_shape(type_: object, *, write: Callable[[Any], Any], read: Callable[[Any], Any]) -> None:
    """Make fields annotated with `type_` be stored as `write` says; `read` is its inverse.

    For the shapes of the built-in records, before the first codec of a class that has them is made.
    """
    _shapes.append((type_, write, read))
    for detailed in (False, True):
        _register_shape(shape_converter(detailed=detailed), type_, write, read)


class ShapeConverter(cattrs.Converter):
    """A converter that knows the shapes.

    `own` are the types that the host stores in its own way, `shapes` those of the built-in records.
    """

    def __init__(self, *, detailed: bool, own: Mapping[type[Any], OwnType]) -> None:
        """Know nothing yet. See `made_converter`."""
        super().__init__(detailed_validation=detailed)
        self.own = own
        self.shapes: list[object] = []


_Shape: TypeAlias = tuple[object, Callable[[Any], Any], Callable[[Any], Any]]
_shapes: list[_Shape] = []
_converters: dict[bool, ShapeConverter] = {}


def shape_converter(*, detailed: bool) -> ShapeConverter:
    """Return the converter of this process; a `detailed` one tells every problem, and is slower."""
    if detailed not in _converters:
        _converters[detailed] = made_converter(detailed=detailed)
    return _converters[detailed]


def made_converter(
    *, detailed: bool, own: Mapping[type[Any], OwnType] = MappingProxyType({})
) -> ShapeConverter:
    """Return a new converter, which knows types of the host's own besides."""
    converter = ShapeConverter(detailed=detailed, own=own)
    register_scalars(converter)
    register_number_keys(converter)
    converter.register_unstructure_hook_func(_is_frozen_dict, as_it_is)
    converter.register_structure_hook_func(_is_frozen_dict, _to_frozen_dict)
    converter.register_unstructure_hook_factory(_is_set, _set_writer)
    converter.register_unstructure_hook_factory(is_items, _items_writer)
    converter.register_structure_hook_factory(is_items, _items_reader)
    is_class = partial(_is_class, own)
    converter.register_unstructure_hook_factory(is_class, _class_writer)
    converter.register_structure_hook_factory(is_class, _class_reader)
    converter.register_unstructure_hook_factory(is_named_tuple, named_tuple_writer)
    converter.register_structure_hook_factory(is_named_tuple, named_tuple_reader)
    converter.register_structure_hook_factory(is_typeddict, _typed_dict_reader)
    is_union = partial(is_union_of_classes, own=own)
    converter.register_unstructure_hook_factory(is_union, _union_writer)
    converter.register_structure_hook_factory(is_union, _union_reader)
    for shape in _shapes:
        _register_shape(converter, *shape)
    for type_, one in own.items():
        converter.register_unstructure_hook(type_, partial(written, one))
        converter.register_structure_hook(type_, partial(was_read, one))
    return converter


def _register_shape(
    converter: ShapeConverter,
    type_: object,
    write: Callable[[Any], Any],
    read: Callable[[Any], Any],
) -> None:
    converter.shapes.append(type_)
    converter.register_unstructure_hook_func(partial(_equals, type_), write)
    converter.register_structure_hook_func(partial(_equals, type_), partial(_read_own, read))


def _is_class(own: Mapping[type[Any], OwnType], type_: Any) -> bool:
    return (attrs.has(type_) or is_dataclass(type_)) and type_ not in own


def _union_writer(type_: Any, converter: cattrs.Converter) -> Callable[[Any], Any]:
    return union_writer(type_, converter, _own_types(converter))


def _union_reader(type_: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    return union_reader(type_, converter, _own_types(converter))


def _class_writer(cls: type, converter: cattrs.Converter) -> Callable[[Any], dict[str, Any]]:
    hints = field_types(cls)
    for enum in _enums(tuple(hints.values()), converter):
        # By class: as a text, which many enums are too, a member would be written as itself.
        converter.register_unstructure_hook(enum, from_enum)
    unchanged = override(unstruct_hook=identity)  # which costs no call
    plain_fields: dict[str, Any] = {
        field.name: unchanged for field in _attributes(cls) if field.metadata.get(PLAIN)
    }
    write_fields: Callable[[Any], dict[str, Any]] = make_dict_unstructure_fn(
        cls, converter, **plain_fields
    )
    extra = extra_field_of(cls)
    checks = list_checks(cls, hints)
    lists = {name: check for name, check in checks.items() if name not in plain_fields}
    plain = plain_class(cls)

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
    names = {*field_names(cls, init=False)} - {extra}

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


def _class_reader(cls: type, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    hints = field_types(cls)
    for enum in _enums(tuple(hints.values()), converter):
        # By class: as a text, which many enums are too, any text would be taken for a member.
        converter.register_structure_hook(enum, to_enum)
    read: Callable[[Any, Any], Any] = make_dict_structure_fn(cls, converter)
    extra = extra_field_of(cls)
    names = frozenset(field_names(cls))
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
                raise Misfit([_unknown_field(unknown, cls)])
            return read(value, cls)
        known = {key: item for key, item in value.items() if key in names and key != extra}
        if len(known) != len(value):
            more = {key: item for key, item in value.items() if key not in known}
            known[extra] = freeze_mapping(more)
        return read(known, cls)

    return checked


def _typed_dict_reader(type_: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    read = make_typed_dict_fn(type_, converter)

    def checked(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise Misfit(["a mapping is wanted"])
        return read(value, type_)

    return checked


def _unknown_field(unknown: str, cls: Any) -> str:
    reason = f"{unknown} is not known to {plain_class(cls).__name__}, which has no field to keep "
    if not attrs.has(cls):
        return f"{reason}it in; make it an attrs class with `extra: FrozenDict = extra_field()`"
    return f"{reason}it in; add `extra: FrozenDict = extra_field()` to the class"


def _enums(types: Sequence[Any], converter: cattrs.Converter) -> set[type[Enum]]:
    own = _own_types(converter)
    found: set[type[Enum]] = set()
    for type_ in map(bare_type, types):
        if is_enum(type_) and type_ not in own:
            found.add(type_)
        elif is_typeddict(type_):
            found |= _enums(tuple(get_type_hints(type_).values()), converter)
        else:
            found |= _enums(get_args(type_), converter)
    return found


def _own_types(converter: cattrs.Converter) -> Mapping[type[Any], OwnType]:
    return converter.own if isinstance(converter, ShapeConverter) else {}


def _attributes(cls: Any) -> tuple[Any, ...]:
    return attrs.fields(plain_class(cls)) if attrs.has(cls) else ()


def extra_field_of(cls: type) -> str | None:
    """Return the name of the field in which a class keeps what it does not know, if it has one."""
    for field in _attributes(cls):
        if field.metadata.get(EXTRA):
            return str(field.name)
    return None


def _equals(wanted: object, type_: object) -> bool:
    return type_ == wanted


def _read_own(read: Callable[[Any], Any], value: Any, _: Any) -> Any:
    try:
        return read(value)
    except (TypeError, ValueError) as error:
        raise Misfit([str(error)]) from error


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
    item_class = item if _can_be_checked(item) else None
    return lambda value, _: Items(read(value, whole), item_class)


def _can_be_checked(item: Any) -> bool:
    """Say whether the class of an item tells that it is one of this type."""
    if isinstance(item, type):
        return get_origin(item) is None
    members = members_of(item)
    return bool(members) and all(map(_can_be_checked, members))


def item_type(type_: object) -> Any:
    """Return the type of the items of a growing field."""
    return (*get_args(type_), Any)[0]


def _set_writer(type_: Any, converter: cattrs.Converter) -> Callable[[Any], list[Any]]:
    args = get_args(type_)
    write = converter.get_unstructure_hook(args[0]) if args else as_it_is
    return lambda value: sorted(map(write, value), key=orjson.dumps)
