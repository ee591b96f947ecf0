"""Unions: where one of several classes may stand, the document says which.

A value of a class with fields is written with its tag, where the union has several such classes. A
document without one, of before, is read if it fits exactly one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import cattrs

from statestore.errors import EncodeError
from statestore.records.classes import bare_type, has_fields, plain_class
from statestore.records.misfit import Misfit
from statestore.records.tags import TAG, classes_by_tag, listed, tags_of


def members_of(type_: object) -> tuple[Any, ...]:
    """Return the types in a union, those of unions in it among them; none for another type."""
    type_ = bare_type(type_)
    if get_origin(type_) not in (Union, UnionType):
        return ()
    members: list[Any] = []
    for arg in get_args(type_):
        members += members_of(arg) or [bare_type(arg)]
    return tuple(dict.fromkeys(members))


def parted(type_: object, own: Collection[Any] = ()) -> tuple[list[Any], list[Any]]:
    """Return the classes with fields in a union, and the other types in it.

    Args:
        own: classes that the host stores in a way of its own.
    """
    classes: list[Any] = []
    others: list[Any] = []
    for one in members_of(type_):
        (classes if has_fields(one) and one not in own else others).append(one)
    return classes, others


def is_union_of_classes(type_: object, own: Collection[Any] = ()) -> bool:
    """Say whether a type is a union with a class with fields and with something but None."""
    classes, others = parted(type_, own)
    return bool(classes) and len(classes) + len([one for one in others if one is not NoneType]) > 1


def union_writer(
    type_: Any, converter: cattrs.Converter, own: Collection[Any]
) -> Callable[[Any], Any]:
    """Return what writes values of such a union."""
    members, others = parted(type_, own)
    is_tagged = len(members) > 1
    tags = {plain_class(cls): tags_of(cls)[0] for cls in members}
    hooks: dict[type, Callable[[Any], Any]] = {}
    by_class = {plain_class(cls): cls for cls in members}
    allowed = _runtime_classes(others)

    def write(value: Any) -> Any:
        cls = type(value)
        member = by_class.get(cls)
        if member is None:
            if not isinstance(value, allowed):
                names = ", ".join(sorted(one.__name__ for one in by_class))
                raise EncodeError("$", f"it is a {cls.__name__}, where one of {names} belongs")
            return converter.unstructure(value)
        hook = hooks.get(cls)
        if hook is None:  # made late: a class may hold the union that it is in
            hook = hooks[cls] = converter.get_unstructure_hook(member)
        document = hook(value)
        if not is_tagged:
            return document
        if TAG in document:
            reason = "it is the name of the class, so no unknown field can have this name"
            raise EncodeError(f"$.{TAG}", reason)
        return {TAG: tags[cls], **document}

    return write


def union_reader(
    type_: Any, converter: cattrs.Converter, own: Collection[Any]
) -> Callable[[Any, Any], Any]:
    """Return what reads values of such a union."""
    members, others = parted(type_, own)
    by_tag = classes_by_tag(members, str(type_), "a union")
    rest: Any = Union[tuple(others)] if others else None  # noqa: UP007 # a runtime value

    def read(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            if rest is None:
                raise Misfit(["a mapping is wanted"])
            if value is None and NoneType in others:
                return None
            return converter.get_structure_hook(rest)(value, rest)
        if len(members) == 1:
            return converter.get_structure_hook(members[0])(value, members[0])
        if TAG not in value:
            return _untagged(value, members, converter)
        tag = value[TAG]
        member = by_tag.get(tag) if type(tag) is str else None
        if member is None:
            raise Misfit([f"its {TAG} is none of: {listed(by_tag)}"])
        document = {key: one for key, one in value.items() if key != TAG}
        return converter.get_structure_hook(member)(document, member)

    return read


def _untagged(value: Any, members: list[Any], converter: cattrs.Converter) -> Any:
    fitting = []
    for member in members:
        try:
            fitting.append(converter.get_structure_hook(member)(value, member))
        except Exception:  # noqa: BLE001, S112 # it does not fit this one
            continue
    if len(fitting) != 1:
        how = "more than one" if fitting else "none"
        tags = listed(tags_of(member)[0] for member in members)
        raise Misfit([f"it has no {TAG}, and fits {how} of: {tags}"])
    return fitting[0]


def _runtime_classes(types: list[Any]) -> tuple[type, ...]:
    classes: list[type] = []
    for one in types:
        if get_origin(one) is Literal:
            classes += map(type, get_args(one))
            continue
        plain = plain_class(one)
        classes += [plain] if isinstance(plain, type) else [object]
    return tuple(classes)
