"""Refusals: what is told of values that a class of the host's own does not take."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_type_hints

import attrs

from statestore.errors import InvalidRecord
from statestore.records.classes import bare_type, plain_class
from statestore.records.scalars import is_enum
from statestore.records.unions import members_of

_SHORT = 2


def refusal(
    kind: str, id: str, error: Exception, cls: type[Any], values: Mapping[str, Any]
) -> InvalidRecord:
    """Return what is told of a record whose class raised `error`, without the value.

    Args:
        values: those that the class was given, by the names of its parameters.
    """
    reason = str(error.args[0]) if error.args else type(error).__name__
    attribute = _attribute_of(error, reason, cls, values)
    if attribute is None:
        unknown = _unknown(cls, values)
        if unknown is None:
            return InvalidRecord(kind, id, reason)
        known = [str(field.alias) for field in attrs.fields(plain_class(cls)) if field.init]
        reason = f"{cls.__name__} has no field {unknown!r}; it has {', '.join(known)}"
        return InvalidRecord(kind, id, reason, field=unknown, allowed=known)
    alias = str(attribute.alias)
    if alias in values:
        reason = _without(reason, values[alias])
    allowed = _allowed(cls, attribute)
    if allowed and ", ".join(allowed) not in reason:
        reason = f"{reason}; {attribute.name} is one of: {', '.join(allowed)}"
    if not re.search(rf"\b{re.escape(attribute.name)}\b", reason):
        reason = f"{attribute.name}: {reason}"
    return InvalidRecord(kind, id, reason, field=attribute.name, allowed=allowed)


def _attribute_of(error: Exception, reason: str, cls: type[Any], values: Mapping[str, Any]) -> Any:
    for arg in error.args[1:]:
        if isinstance(arg, attrs.Attribute):  # so do the validators of attrs tell it
            return arg
    if not attrs.has(cls):
        return None
    fields = attrs.fields(plain_class(cls))
    by_alias = {field.alias: field for field in fields if field.init}
    for alias, value in values.items():
        if alias in by_alias and _is_refused_by_converter(by_alias[alias], value, error):
            return by_alias[alias]
    by_name = {field.name: field for field in fields}
    if _unknown(cls, values) is None:
        for word in re.findall(r"^\w+|'\w+'", reason):
            if word.strip("'") in by_name:
                return by_name[word.strip("'")]
    return None


def _is_refused_by_converter(
    attribute: attrs.Attribute[Any], value: object, error: Exception
) -> bool:
    converter: Any = attribute.converter
    if converter is None or isinstance(converter, attrs.Converter):
        return False
    try:
        converter(value)
    except Exception as again:  # noqa: BLE001 # the host's function, asked once more
        return type(again) is type(error) and again.args == error.args
    return False


def _unknown(cls: type[Any], values: Mapping[str, Any]) -> str | None:
    if not attrs.has(cls):
        return None
    known = {field.alias for field in attrs.fields(plain_class(cls)) if field.init}
    return next((name for name in values if name not in known), None)


def _allowed(cls: type[Any], attribute: attrs.Attribute[Any]) -> tuple[str, ...]:
    try:
        type_ = bare_type(get_type_hints(plain_class(cls)).get(attribute.name))
    except NameError:
        return ()
    enums: list[Any] = [one for one in members_of(type_) or (type_,) if is_enum(one)]
    return tuple(str(member.value) for enum in enums for member in enum)


def _without(reason: str, value: object) -> str:
    """Return a reason without the value, which may be a secret."""
    try:
        texts = (repr(value), str(value))
    except Exception:  # noqa: BLE001 # the host's function; deep values have none either
        return reason
    for text in texts:
        if len(text) > _SHORT or text in reason.split():
            reason = re.sub(rf"(?<!\w){re.escape(text)}(?!\w)", "…", reason)
    return reason
