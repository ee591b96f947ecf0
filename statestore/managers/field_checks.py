"""Field checks: which field of a record does not take what an operation was given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Final

import attrs

from statestore.errors import InvalidRecord, StateStoreError

ALLOWED: Final = "statestore.allowed"
"""Where the metadata of a field tell the words that it takes, if it is not of an enum."""


def want_fields(kind: str, id: str | None, cls: type[Any], fields: Mapping[str, object]) -> None:
    """Check each of some fields for itself, as a class whose fields check themselves would.

    Raises:
        InvalidRecord: there is no such field, or it does not take the value; `field` names it, and
            `allowed` tells the values of an enum.
        InvalidId: it is an id that cannot be one.
    """
    known = attrs.fields_dict(cls)
    for name, given in fields.items():
        attribute = known.get(name)
        if attribute is None:
            reason = f"{cls.__name__} has no field {name!r}; it has {', '.join(known)}"
            raise InvalidRecord(kind, id, reason, field=name, allowed=known)
        value: Any = given
        try:
            if attribute.converter is not None:
                convert: Any = attribute.converter
                value = convert(value)
            if attribute.validator is not None:
                attribute.validator(None, attribute, value)
        except StateStoreError:
            raise
        except (TypeError, ValueError, AttributeError) as error:
            # Only what the field itself says: other errors have the value in them.
            reason = str(error.args[0]) if error.args else type(error).__name__
            if name not in reason:
                reason = f"{name}: {reason}"
            allowed = _allowed(attribute)
            raise InvalidRecord(kind, id, reason, field=name, allowed=allowed) from error


def want_texts(
    kind: str, id: str | None, fields: Mapping[str, object], limits: Mapping[str, int]
) -> None:
    """Check that texts, alone or in lists, are neither empty nor longer than they may be.

    Fields of other types, and None, are left to `want_fields`.

    Args:
        limits: the longest text in characters by field; fields that are not in it are not checked.
    Raises:
        InvalidRecord: one is; `field` names it.
    """
    for name, longest in limits.items():
        for text in _texts(fields.get(name)):
            if not text.strip():
                raise InvalidRecord(kind, id, f"{name} must not be empty", field=name)
            if len(text) > longest:
                reason = f"{name} takes {longest:,} characters at most, not {len(text):,}"
                raise InvalidRecord(kind, id, reason, field=name)


def want_text(kind: str, id: str | None, name: str, value: object) -> None:
    """Check that an argument is a text that is not empty.

    Raises:
        InvalidRecord: it is not; `field` names it.
    """
    if not isinstance(value, str) or not value.strip():
        reason = f"{name} takes a text that is not empty"
        raise InvalidRecord(kind, id, reason, field=name)


def _texts(value: object) -> Iterable[str]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list | tuple):
        return [one for one in value if isinstance(one, str)]
    return ()


def _allowed(attribute: attrs.Attribute[Any]) -> Iterable[str]:
    if ALLOWED in attribute.metadata:
        return tuple(attribute.metadata[ALLOWED])
    default = attribute.default
    return [str(one.value) for one in type(default)] if isinstance(default, Enum) else ()
