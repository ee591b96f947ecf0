"""Merging: one record of two that different hands have made of the same one, field by field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar, cast

import attrs

from statestore.models.documents import FrozenDict
from statestore.models.managed import Unmergeable
from statestore.models.sequences import Items
from statestore.records.tags import TAG

R = TypeVar("R")

_STAMPS = frozenset({"updated_at"})
"""Fields that say when a record was changed last: the later time is right for both changes."""

_GONE: Final = object()


def only_adds(base: Any, mine: Any) -> bool:
    """Say whether `mine` is `base` with items added to growing fields, and nothing else.

    But for the time at which a record was changed.
    """
    if type(base) is not type(mine):
        return False
    adds = False
    for name in _names(type(mine)):
        before, after = getattr(base, name), getattr(mine, name)
        if after is before or _is_stamp(name, before, after):
            continue
        if not isinstance(after, Items):
            if type(after) is not type(before) or after != before:
                return False
        elif len(after) < len(before) or not _continues(after, before):
            return False
        else:
            adds = adds or len(after) > len(before)
    return adds


def merged(base: R | None, mine: R, theirs: R) -> R:
    """Return a record with the changes that `mine` and `theirs` have made of `base`.

    What only one of them has changed is as that one has it. Items that both have added stand one
    behind the other, theirs first, those with the same id once. Of mappings each key counts for
    itself. Of two times of the last change the later one is taken.

    Args:
        base: what both were made of; None where each was made by itself.
    Raises:
        Unmergeable: both have changed the same thing in different ways, or are of two classes.
    """
    if type(mine) is not type(theirs) or (base is not None and type(base) is not type(theirs)):
        raise Unmergeable([TAG])
    changes: dict[str, Any] = {}
    contradicting: list[str] = []
    for name in _names(type(theirs)):
        before = getattr(base, name) if base is not None else _GONE
        ours, other = getattr(mine, name), getattr(theirs, name)
        try:
            value = _value(name, before, ours, other)
        except Unmergeable as error:
            contradicting += error.fields
            continue
        if value is not other:
            changes[name] = value
    if contradicting:
        raise Unmergeable(contradicting)
    if not changes:
        return theirs
    return cast(R, attrs.evolve(cast(Any, theirs), **_arguments(type(theirs), changes)))


def _value(name: str, base: Any, mine: Any, theirs: Any) -> Any:
    if isinstance(mine, Items) and isinstance(theirs, Items):
        return _items(name, base if isinstance(base, Items) else Items(), mine, theirs)
    if _is_same(mine, theirs) or (base is not _GONE and _is_same(mine, base)):
        return theirs
    if base is not _GONE and _is_same(theirs, base):
        return mine
    if _is_stamp(name, mine, theirs):
        return max(mine, theirs)
    if isinstance(mine, FrozenDict) and isinstance(theirs, FrozenDict):
        return _mapping(name, base if isinstance(base, FrozenDict) else {}, mine, theirs)
    raise Unmergeable([name])


def _mapping(
    name: str, base: Mapping[str, Any], mine: Mapping[str, Any], theirs: Mapping[str, Any]
) -> FrozenDict:
    both: dict[str, Any] = dict(theirs)
    contradicting: list[str] = []
    for key in {**base, **mine}:
        before, ours = base.get(key, _GONE), mine.get(key, _GONE)
        other = theirs.get(key, _GONE)
        if _is_same(ours, other) or _is_same(ours, before):
            continue
        if not _is_same(other, before):
            contradicting.append(f"{name}.{key}")
        elif ours is _GONE:
            del both[key]
        else:
            both[key] = ours
    if contradicting:
        raise Unmergeable(contradicting)
    return FrozenDict(both)


def _items(name: str, base: Items[Any], mine: Items[Any], theirs: Items[Any]) -> Items[Any]:
    if mine is base or theirs.continues(mine):
        return theirs
    if mine.continues(theirs):
        return mine
    if _continues(mine, base) and _continues(theirs, base):
        length = len(base)
        there = {_id_of(item): item for item in theirs.since(length)}
        return theirs.extended(_not_there(name, mine.since(length), there))
    return _by_each(name, base, mine, theirs)


def _by_each(name: str, base: Items[Any], mine: Items[Any], theirs: Items[Any]) -> Items[Any]:
    """Merge items that were not only added, each for itself, by their ids."""
    before, own, other = tuple(base), tuple(mine), tuple(theirs)
    if _is_same(own, other) or _is_same(own, before):
        return theirs
    if _is_same(other, before):
        return mine
    was, ours, others = _by_id(before), _by_id(own), _by_id(other)
    if was is None or ours is None or others is None:
        raise Unmergeable([name])
    kept: list[Any] = []
    for id, item in others.items():
        old, new = was.get(id, _GONE), ours.get(id, _GONE)
        if _is_same(new, item) or _is_same(new, old):
            kept.append(item)
        elif not _is_same(item, old):
            raise Unmergeable([name])
        elif new is not _GONE:
            kept.append(new)
    for id, new in ours.items():
        if id in others:
            continue
        if id not in was:
            kept.append(new)
        elif not _is_same(new, was[id]):  # changed here, removed there
            raise Unmergeable([name])
    return Items(kept, theirs.item_class)


def _not_there(name: str, items: Iterable[Any], there: Mapping[str | None, Any]) -> Iterable[Any]:
    """Yield those of `items` that are not there yet. Those without an id never are."""
    for item in items:
        id = _id_of(item)
        same = _GONE if id is None else there.get(id, _GONE)
        if same is _GONE:
            yield item
        elif not _is_same(same, item):
            raise Unmergeable([name])


def _by_id(items: Iterable[Any]) -> dict[str, Any] | None:
    """Return items by their ids; None if they cannot be told apart by them."""
    found: dict[str, Any] = {}
    for item in items:
        id = _id_of(item)
        if id is None or id in found:
            return None
        found[id] = item
    return found


def _id_of(item: Any) -> str | None:
    id = getattr(item, "id", None)
    return id if isinstance(id, str) else None


def _continues(items: Items[Any], base: Items[Any]) -> bool:
    return items.continues(base) or items[: len(base)] == tuple(base)


def _is_same(one: Any, other: Any) -> bool:
    """Say whether two values are stored alike: 1, 1.0 and True are equal, and are not."""
    if one is other:
        return True
    if type(one) is not type(other) or one != other:
        return False
    if isinstance(one, Mapping):
        return all(_is_same(value, other[key]) for key, value in one.items())
    if isinstance(one, tuple):
        return all(map(_is_same, one, other))
    return True


def _is_stamp(name: str, one: Any, other: Any) -> bool:
    return name in _STAMPS and isinstance(one, datetime) and isinstance(other, datetime)


def _names(cls: type[Any]) -> list[str]:
    return [field.name for field in attrs.fields(cls) if field.init]


def _arguments(cls: type[Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return values of fields under the names that the class takes them by."""
    return {
        field.alias: changes[field.name] for field in attrs.fields(cls) if field.name in changes
    }
