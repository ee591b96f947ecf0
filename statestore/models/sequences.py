"""Append-only sequences: what a record holds of items that only ever become more."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Generic, NoReturn, SupportsIndex, TypeVar, get_args, overload

T_co = TypeVar("T_co", covariant=True)


class Items(Sequence[T_co], Generic[T_co]):
    """The first so many items of a list that it shares with those that continue it.

    Adding at the end costs what is added, not what is there; so does telling that one value
    continues another. What has become a part of a value never changes, whoever adds to the same
    list. Any thread may use it. It is equal to a tuple or list of the same items, and hashes as the
    tuple does; slices are tuples.

    The items that were added to a value keep their memory until the last value on their list is
    gone, also when the longer one is dropped.
    """

    __slots__ = ("_length", "_list", "_right", "item_class")

    _length: int
    _list: list[Any]
    _right: list[None]
    item_class: Any
    """The class, or the union of classes, that every item was checked to be of, of no subclass of
    one; None: not checked."""

    def __init__(self, items: Iterable[T_co] = (), item_class: Any = None) -> None:
        """Copy `items`.

        Raises:
            TypeError: an item is not of `item_class`, or is of a subclass of it.
        """
        own = list(items)
        _check_class(own, item_class)
        self._set(own, len(own), item_class)

    def _set(self, items: list[Any], length: int, item_class: Any) -> None:
        put = object.__setattr__
        put(self, "_list", items)
        put(self, "_length", length)
        # Whoever takes the one thing out of it may add to the list. That is a single step, where a
        # look at the length and adding are two, and unlike a lock no fork can leave it closed.
        put(self, "_right", [None])
        put(self, "item_class", item_class)

    def extended(self, items: Iterable[Any]) -> Items[T_co]:
        """Return a value with `items` behind those of this one, which stays as it is.

        Raises:
            TypeError: as at the making.
        """
        more = list(items)
        if not more:
            return self
        _check_class(more, self.item_class)
        new: Items[T_co] = Items.__new__(Items)
        try:
            self._right.pop()
        except IndexError:  # another value continues this one already: from here they differ
            shared = [*self, *more]
        else:
            shared = self._list
            shared.extend(more)
        new._set(shared, self._length + len(more), self.item_class)
        return new

    def continues(self, old: object) -> bool:
        """Whether this is `old` with nothing or more behind it, as far as that costs no comparing.

        True for what `extended` has made of `old`, in any number of steps without a fork; False
        also for what is equal by chance.
        """
        if not isinstance(old, Items) or self._list is not old._list:  # noqa: SLF001 # its own class
            return False
        return self._length >= len(old)

    def since(self, length: int) -> tuple[T_co, ...]:
        """Return the items behind the first `length`; costs what they are, not what is before."""
        return tuple(self._list[length : self._length])

    # --- a sequence -------------------------------------------------------------------

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[T_co]:
        return islice(self._list, self._length)  # the list itself may be longer, or become so

    def __reversed__(self) -> Iterator[T_co]:
        return reversed(tuple(self))

    def __contains__(self, value: object) -> bool:
        items: Iterator[Any] = iter(self)
        return value in items

    @overload
    def __getitem__(self, index: SupportsIndex) -> T_co: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T_co, ...]: ...
    def __getitem__(self, index: SupportsIndex | slice) -> T_co | tuple[T_co, ...]:
        if isinstance(index, slice):
            start, stop, step = index.indices(self._length)
            if step == 1:
                return tuple(self._list[start:stop])
            return tuple(map(self._list.__getitem__, range(start, stop, step)))
        at = index.__index__()
        if at < 0:
            at += self._length
        if not 0 <= at < self._length:
            raise IndexError("there are not so many items")
        item: T_co = self._list[at]
        return item

    def __add__(self, other: object) -> Items[T_co]:
        if not isinstance(other, Items | tuple | list):
            return NotImplemented
        return self.extended(other)

    def __radd__(self, other: object) -> Items[T_co]:
        if not isinstance(other, tuple | list):
            return NotImplemented
        return Items([*other, *self], self.item_class)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Items):
            if self._length != other._length:
                return False
            return self._list is other._list or tuple(self) == tuple(other)
        if isinstance(other, tuple):
            return len(other) == self._length and tuple(self) == other
        if isinstance(other, list):
            return len(other) == self._length and list(self) == other
        return NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"Items({list(self)!r})"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"items cannot be changed; {name} cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"items cannot be changed; {name} cannot be deleted")

    def __copy__(self) -> Items[T_co]:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Items[T_co]:
        return Items(copy.deepcopy(tuple(self), memo), self.item_class)

    def __reduce__(self) -> tuple[type, tuple[list[T_co], Any]]:
        return Items, (list(self), self.item_class)


def _check_class(items: Iterable[object], item_class: Any) -> None:
    if item_class is None:
        return
    wanted = {item_class} if isinstance(item_class, type) else {*get_args(item_class)}
    if not wanted.issuperset(map(type, items)):
        names = " or ".join(sorted(one.__name__ for one in wanted))
        raise TypeError(f"items of type {names} are wanted")
