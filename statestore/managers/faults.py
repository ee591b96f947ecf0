"""Faults: which field of a class refuses what it was given."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, get_type_hints

import attrs

from statestore.errors import InvalidRecord


def named(
    error: InvalidRecord, record_class: type[Any], fields: Mapping[str, Any]
) -> InvalidRecord:
    """Return an error that says which of some fields is at fault, and what it takes, if one is.

    Args:
        error: what was raised when the class was given `fields`.
    """
    attributes: Mapping[str, Any] = attrs.fields_dict(record_class)
    if error.field is not None:
        return error
    for name, value in fields.items():
        attribute = attributes.get(name)
        if attribute is None:
            reason = f"it has no field {name}; there are {', '.join(attributes)}"
            return InvalidRecord(error.kind, error.id, reason, field=name, allowed=attributes)
        try:
            convert, validate = attribute.converter, attribute.validator
            converted = value if convert is None else convert(value)
            if validate is not None:
                validate(None, attribute, converted)
        except (TypeError, ValueError, AttributeError) as refused:
            # Validators put more than their message into an error, the value among it.
            reason = str(refused.args[0]) if refused.args else "it does not take the value"
            reason = reason if name in reason else f"{name}: {reason}"
            allowed = _allowed(get_type_hints(record_class)[name])
            return InvalidRecord(error.kind, error.id, reason, field=name, allowed=allowed)
    return error


def too_long(fields: Mapping[str, Any], most: Mapping[str, int]) -> tuple[str, str] | None:
    """Return the first field with a text, or a list with one, that is too long; and what is wrong.

    Args:
        most: how many characters a text in a field may have.
    """
    for name, limit in most.items():
        value = fields.get(name)
        texts = (value,) if isinstance(value, str) else value
        if not isinstance(texts, tuple | list | set | frozenset):
            continue
        if any(isinstance(text, str) and len(text) > limit for text in texts):
            return name, f"{name} takes {limit} characters at most"
    return None


def _allowed(hint: object) -> tuple[str, ...]:
    if isinstance(hint, type) and issubclass(hint, Enum):
        return tuple(str(member.value) for member in hint)
    return ()
