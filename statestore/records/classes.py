"""Classes with fields: attrs classes, dataclasses and named tuples, seen alike."""

from __future__ import annotations

import dataclasses
from typing import Any, NewType, get_origin, get_type_hints

import attrs


def plain_class(type_: object) -> Any:
    """Return the class of a generic class with its arguments; anything else as it is."""
    return get_origin(type_) or type_


def bare_type(type_: object) -> Any:
    """Return what a new type, or an alias of a type, stands for."""
    while True:
        if isinstance(type_, NewType):
            type_ = type_.__supertype__
        elif type(type_).__name__ == "TypeAliasType":  # of `type X = …`, from Python 3.12
            type_ = getattr(type_, "__value__", None)
        else:
            return type_


def is_named_tuple(type_: object) -> bool:
    """Say whether a type is a class of tuples whose items have names."""
    return isinstance(type_, type) and issubclass(type_, tuple) and hasattr(type_, "_fields")


def is_dataclass(type_: object) -> bool:
    """Say whether a type is a dataclass, and no attrs class."""
    plain = plain_class(type_)
    return isinstance(plain, type) and dataclasses.is_dataclass(plain) and not attrs.has(plain)


def has_fields(type_: object) -> bool:
    """Say whether values of a type are stored as mappings of their fields."""
    plain = plain_class(type_)
    if not isinstance(plain, type):
        return False
    return attrs.has(plain) or dataclasses.is_dataclass(plain) or is_named_tuple(plain)


def field_names(type_: object, *, init: bool = True) -> list[str]:
    """Return the names of the fields of a class, in its order.

    Args:
        init: leave out those that `__init__` does not take.
    """
    plain = plain_class(type_)
    if is_named_tuple(plain):
        return list(plain._fields)
    fields: Any = attrs.fields(plain) if attrs.has(plain) else dataclasses.fields(plain)
    return [field.name for field in fields if field.init or not init]


def field_types(type_: object) -> dict[str, Any]:
    """Return the type of each field that `__init__` takes; Any where the class names none.

    Raises:
        NameError: a type in it is not known.
    """
    plain = plain_class(type_)
    hints = get_type_hints(plain)
    return {name: hints.get(name, Any) for name in field_names(plain)}


def is_frozen(type_: object) -> bool:
    """Say whether fields of an object of a class cannot be set."""
    plain = plain_class(type_)
    if attrs.has(plain):
        return bool(attrs.inspect(plain).is_frozen)
    if is_dataclass(plain):
        return bool(plain.__dataclass_params__.frozen)
    return is_named_tuple(plain)
