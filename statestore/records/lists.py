"""Where a type wants a list: a text or a mapping in its place is told apart from one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from statestore.models.sequences import Items
from statestore.records.classes import bare_type, field_names, is_named_tuple


def list_checks(cls: type, hints: Mapping[str, Any]) -> dict[str, Callable[[Any], bool]]:
    """Return `list_check` of each field of a class in whose type there are lists."""
    checks = {name: list_check(hints[name]) for name in field_names(cls)}
    return {name: check for name, check in checks.items() if check is not None}


def list_check(type_: object) -> Callable[[Any], bool] | None:
    """Return what says that a text or a mapping is where a type wants a list, however deep.

    Python takes both apart as if they were lists. None for a type in which there are no lists.
    """
    type_ = bare_type(type_)
    origin, args = get_origin(type_), get_args(type_)
    if origin is Annotated:
        return list_check(args[0])
    if origin in (Union, UnionType):
        members = [arg for arg in args if arg is not NoneType]
        return list_check(members[0]) if len(members) == 1 else None
    plain = origin or type_
    if not isinstance(plain, type):
        return None
    if issubclass(plain, Mapping):
        inner = list_check(args[1]) if len(args) == 2 else None
        if inner is None:
            return None
        return lambda value: isinstance(value, dict) and any(map(inner, value.values()))
    texts_alike = str | bytes | bytearray
    if not issubclass(plain, Sequence | Set) or issubclass(plain, texts_alike):
        return None
    if is_named_tuple(plain):
        return None
    checks = [list_check(arg) for arg in args if arg is not Ellipsis]
    if not any(checks):
        return lambda value: isinstance(value, str | dict)

    def lacks_list(value: Any) -> bool:
        if not isinstance(value, list | tuple | Items):
            return isinstance(value, str | dict)
        of_items = checks * len(value) if len(checks) == 1 else checks
        pairs = zip(of_items, value, strict=False)  # a wrong number is told by whoever reads it
        return any(check is not None and check(one) for check, one in pairs)

    return lacks_list
