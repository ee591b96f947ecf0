"""Evolving: a record with other values of some fields, the rest taken over as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import attrs

T = TypeVar("T")


class Evolver:
    """Does for records of one class what `attrs.evolve` does, without looking again at what stays.

    For frozen classes with slots whose fields are checked one by one: each for itself by its
    converter and validator, nothing by the whole.
    """

    def __init__(self, cls: type[Any]) -> None:
        """Prepare a class."""
        self._class = cls
        self._attributes = attrs.fields_dict(cls)
        # The slots themselves: records of a frozen class refuse every other way.
        self._slots = [
            (getattr(cls, name).__get__, getattr(cls, name).__set__) for name in self._attributes
        ]
        self._set: dict[str, Callable[[Any, Any], None]] = {
            name: getattr(cls, name).__set__ for name in self._attributes
        }
        self._convert: dict[str, Callable[[Any], Any] | None] = {
            name: cast(Any, attribute.converter) for name, attribute in self._attributes.items()
        }

    def evolve(self, record: T, changes: Mapping[str, Any]) -> T:
        """Return a record with `changes`.

        Raises:
            TypeError: there is no such field, or it does not take the value.
            ValueError: a field does not take the value.
        """
        new: T = object.__new__(self._class)
        for get, set in self._slots:
            set(new, get(record))
        for name, value in changes.items():
            if name not in self._set:
                raise TypeError(f"{self._class.__name__} has no field {name!r}")
            convert = self._convert[name]
            self._set[name](new, value if convert is None else convert(value))
        for name in changes:
            validator = self._attributes[name].validator
            if validator is not None:
                validator(new, self._attributes[name], getattr(new, name))
        return new
