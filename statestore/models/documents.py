"""Documents: the plain trees that records become, and what may stand in them.

A document is made of mappings with string keys, sequences, strings, integers, floats, booleans and
None. What may not be stored is refused before a byte is written, so that every format gives back
exactly what it was given.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import compress
from types import NoneType
from typing import Any, NoReturn, TypeAlias

import orjson

from statestore.errors import EncodeError
from statestore.models.sequences import Items

Json: TypeAlias = (
    "None | bool | int | float | str | list[Json] | tuple[Json, ...] | Mapping[str, Json]"
)
Document: TypeAlias = Mapping[str, Json]

MAX_LEVEL = 100
"""Containers around a value, at most. Both reading and writing keep to it."""

MAX_SIZE_BYTES = 256 * 1024 * 1024
"""Size of one document, packed or unpacked, at most. Both reading and writing keep to it."""

INT_MIN, INT_MAX = -(2**63), 2**64 - 1
"""The integers that every format holds exactly: those of 64 bits, signed or unsigned."""


def check_document(document: object) -> None:
    """Check that every format can hold `document` exactly.

    Raises:
        EncodeError: NaN or an infinity, an integer beyond 64 bits, a lone surrogate, a key that is
            no string, a type that is no part of a document, a value more than `MAX_LEVEL` deep.
            `where` is the path of the first such value.
    """
    # One flat loop, not recursion: a hostile depth must not reach the interpreter's own limit.
    # Each stack entry iterates over a container; `path` holds the keys that lead to it.
    path: list[str | int] = []
    stack: list[Iterator[tuple[str | int, object]]] = []
    _check(document, path, stack)
    while stack:
        step = next(stack[-1], None)
        if step is None:
            stack.pop()
            if path:
                path.pop()
            continue
        key, value = step
        if type(value) is str and value.isascii():
            continue
        path.append(key)
        if not _check(value, path, stack):
            path.pop()


def _check(
    value: object, path: list[str | int], stack: list[Iterator[tuple[str | int, object]]]
) -> bool:
    """Check one value; push the items of a container, and say that it is one."""
    if value is None or value is True or value is False:
        return False
    if type(value) is str:
        _check_text(value, path)
        return False
    if type(value) is int:
        if not INT_MIN <= value <= INT_MAX:
            _refuse(path, "it is an integer beyond 64 bits; store it as a string")
        return False
    if type(value) is float:
        if not math.isfinite(value):
            _refuse(path, f"it is {value}, which JSON has no word for")
        return False
    if isinstance(value, dict):
        items: Iterator[tuple[str | int, object]] = iter(value.items())
    elif type(value) is list or type(value) is tuple:
        items = enumerate(value)
    else:  # a named tuple too: it would come back as a list
        _refuse(path, f"it is of type {type(value).__name__}, which is no part of a document")
    if value and len(path) >= MAX_LEVEL:
        _refuse(path, f"it holds values more than {MAX_LEVEL} levels deep")
    if isinstance(value, dict):
        for key in value:
            if type(key) is not str:
                _refuse(path, f"it has the key {ascii(key)[:60]}, and keys are strings")
            if not key.isascii():
                _check_text(key, path)
    stack.append(items)
    return True


def _check_text(text: str, path: list[str | int]) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        _refuse(path, "it has a lone surrogate, which is no Unicode text")


def _refuse(path: list[str | int], reason: str) -> NoReturn:
    raise EncodeError(json_path(path), reason)


def dumps_checked(document: object, *, option: int = 0) -> bytes:
    """Return `document` as JSON text in UTF-8, if every format can hold it exactly.

    It costs a fraction of `check_document` and `orjson.dumps`, which it stands for; what is not
    plain at the first look is checked in the same way.

    Args:
        option: those of orjson that change no value: how to indent, a line end behind it.
    Raises:
        EncodeError: as `check_document`.
    """
    if not _is_plain(document):
        check_document(document)
    try:
        return orjson.dumps(document, option=option)
    except orjson.JSONEncodeError as error:
        check_document(document)
        raise EncodeError("$", "it cannot be written") from error


class CheckedDict(dict[str, Any]):
    """A document of which it is known that every format holds it, but for what orjson refuses.

    Whoever makes one has checked its values, or knows where they come from.
    """

    __slots__ = ()


def _is_plain(document: object) -> bool:
    """Say whether there is nothing in it that orjson would write as something else.

    It looks at all values of one depth at once, without a step of the interpreter for each. What
    orjson refuses itself need not be found: other keys than strings, surrogates, long integers.
    """
    values: list[Any] = [document]
    for _ in range(MAX_LEVEL):
        types = list(map(type, values))
        kinds = set(types)
        if float in kinds and not all(math.isfinite(v) for v in values if type(v) is float):
            return False
        holding = kinds - _LEAVES
        holding.discard(CheckedDict)
        if not all(kind in _HOLDING or issubclass(kind, FrozenDict) for kind in holding):
            return False
        holders = list(filter(None, compress(values, map(holding.__contains__, types))))
        if not holders:
            return True
        values = []
        for holder in holders:
            values += holder.values() if isinstance(holder, dict) else holder
    return False


def json_path(path: list[str | int]) -> str:
    """Return the way to a value as people write it: `$.data.tags[3]`."""
    parts = [f"[{step}]" if isinstance(step, int) else f".{ascii(step)[1:-1]}" for step in path]
    return "$" + "".join(parts)


# --- freezing -------------------------------------------------------------------------


class FrozenDict(dict[str, Any]):
    """A dict that refuses every change, so that a record that holds it cannot change unseen.

    A subclass of dict, because serializers write those at full speed. It is equal to the mapping
    that it was made from, whose lists are tuples in it; copying it by `copy` or pickling keeps it
    frozen, `dict()` and `thaw` give what can be changed.
    """

    __slots__ = ()

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError(
            "this mapping belongs to a record and cannot be changed; "
            "give the manager's update() a new one: {**old, key: value}"
        )

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, dict):
            return NotImplemented
        if isinstance(other, FrozenDict) or dict.__eq__(self, other):
            return dict.__eq__(self, other)
        try:
            return dict.__eq__(self, freeze(other))
        except ValueError:  # deeper than anything that was ever frozen
            return False

    def __ne__(self, other: object) -> bool:
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal

    def __hash__(self) -> int:  # type: ignore[override]  # its items are frozen, so it may
        return hash(frozenset(self.items()))

    def __copy__(self) -> FrozenDict:
        return self

    def __deepcopy__(self, memo: object) -> FrozenDict:
        return self

    def __reduce__(self) -> tuple[type[FrozenDict], tuple[dict[str, Any]]]:
        return type(self), (dict(self),)

    def __repr__(self) -> str:
        return dict.__repr__(self)


_EMPTY = FrozenDict()
_LEAVES = frozenset({str, int, float, bool, NoneType})
_HOLDING = frozenset({dict, list, tuple, FrozenDict})
_UNCHANGEABLE = frozenset({str, int, float, bool, type(None), FrozenDict})


def freeze(value: Any) -> Any:
    """Return `value` with each mapping in it as a `FrozenDict` and each list as a tuple.

    Other values are returned as they are; a save refuses those that cannot be stored.

    Raises:
        ValueError: it is nested too deeply to be looked through, or holds itself.
    """
    try:
        return _freeze(value)
    except RecursionError:
        raise ValueError("a value is nested too deeply, or holds itself") from None


def _freeze(value: Any) -> Any:
    kind = type(value)
    if kind in _UNCHANGEABLE:
        return value
    if kind is dict:
        if not value:
            return _EMPTY
        frozen = FrozenDict(value)
        if not _UNCHANGEABLE.issuperset(map(type, value.values())):  # most hold texts and numbers
            for key, item in value.items():
                if type(item) not in _UNCHANGEABLE:
                    dict.__setitem__(frozen, key, _freeze(item))
        return frozen
    if kind is list or kind is tuple:
        return tuple([_freeze(item) for item in value])
    if isinstance(value, FrozenDict):
        return value
    if isinstance(value, Mapping):
        return FrozenDict({key: _freeze(item) for key, item in value.items()})
    if isinstance(value, list | tuple | Items):
        return tuple([_freeze(item) for item in value])
    return value


def freeze_mapping(value: Mapping[str, Any] | None) -> FrozenDict:
    """Return a frozen copy of a mapping; None is the empty one.

    Raises:
        TypeError: `value` is no mapping.
    """
    if value is None:
        return _EMPTY
    if not isinstance(value, dict | Mapping):
        raise TypeError(f"a mapping is wanted, not {type(value).__name__}")
    frozen: FrozenDict = freeze(value)
    return frozen


def thaw(value: Any) -> Any:
    """Return `value` with plain dicts and lists for mappings and sequences: a copy to work on."""
    if isinstance(value, Mapping):
        return {key: thaw(item) for key, item in value.items()}
    if isinstance(value, list | tuple | Items):
        return [thaw(item) for item in value]
    return value
