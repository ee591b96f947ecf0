"""Types of the host's own: how values of a class that the library does not know are stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs

from statestore.errors import EncodeError, NotARecordClass
from statestore.models.documents import FrozenDict, Json
from statestore.models.sequences import Items
from statestore.records.misfit import Misfit

_TAKEN = (str, int, float, bool, type(None), object, list, dict, tuple, set, frozenset)


@attrs.frozen
class OwnType:
    """How values of a class are stored, for `Manager(..., types=[...])`.

    Args:
        type: the class: values of it alone, of no subclass.
        write: returns what JSON has for a value: a text, a number, a list, a mapping of texts.
        read: its inverse; it raises `ValueError` or `TypeError` for what it does not take.
        is_frozen: whether no value can change in place, which the host knows. Records that hold one
            that can are compared by what they hold, at each save, and no transaction takes them.
    """

    type: type[Any]
    write: Callable[[Any], Json]
    read: Callable[[Any], Any]
    is_frozen: bool = attrs.field(default=False, kw_only=True)


def written(own: OwnType, value: Any) -> Json:
    """Return what is stored of a value.

    Raises:
        EncodeError: it is of another class, or the host's function refuses it.
    """
    if type(value) is not own.type:
        reason = f"it is a {type(value).__name__}, where a {own.type.__name__} belongs"
        raise EncodeError("$", reason)
    try:
        return own.write(value)
    except EncodeError:
        raise
    except Exception as error:
        reason = f"what writes a {own.type.__name__} raised {type(error).__name__}"
        raise EncodeError("$", reason) from error


def was_read(own: OwnType, value: Any, _: Any = None) -> Any:
    """Return the value that is stored so.

    Raises:
        Misfit: the host's function refuses it, or gives something else.
    """
    try:
        made = own.read(value)
    except Exception as error:
        told = f"it is no {own.type.__name__} ({type(error).__name__})"
        raise Misfit([told]) from error
    if type(made) is not own.type:
        raise Misfit([f"what reads a {own.type.__name__} gave a {type(made).__name__}"])
    return made


def checked_types(types: Iterable[object], name: str) -> dict[type[Any], OwnType]:
    """Return types of the host's own by their classes.

    Args:
        name: the record class, for errors.
    Raises:
        NotARecordClass: one is no `OwnType`, its class is there twice, or is one of JSON's own.
    """
    found: dict[type[Any], OwnType] = {}
    for one in types:
        if not isinstance(one, OwnType) or not isinstance(one.type, type):
            reason = "types takes OwnType(class, write, read) for classes"
            raise NotARecordClass(name, reason)
        if one.type in _TAKEN or issubclass(one.type, FrozenDict | Items):
            raise NotARecordClass(name, f"how a {one.type.__name__} is stored cannot be changed")
        if one.type in found:
            raise NotARecordClass(name, f"{one.type.__name__} is in types more than once")
        found[one.type] = one
    return found
