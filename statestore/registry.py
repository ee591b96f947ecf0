"""A table of named implementations, imported when they are named.

Third parties add to it at run time, or through an entry point of their package; a taken name is
refused. Nothing is imported, and no entry point looked up, before a name asks for it.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from statestore import forks
from statestore.errors import MissingExtra, NameTaken, UnknownName

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")


class Registry(Generic[T]):
    """Names and the objects behind them. All methods may be called from any thread."""

    def __init__(self, what: str, *, entry_points: str | None = None, call: bool = True) -> None:
        """Make an empty table.

        Args:
            what: what the entries are, for messages: "serializer".
            entry_points: the group in which installed packages add theirs.
            call: whether what is imported by its path makes the entry when called without
                arguments, as a class does, or is the entry itself.
        """
        self._call = call
        self._what = what
        self._group = entry_points
        self._makers: dict[str, Callable[[], T]] = {}
        self._made: dict[str, T] = {}
        self._extras: dict[str, str] = {}
        self._lock = threading.RLock()
        self._scanned = entry_points is None
        forks.note(self)

    def add(self, name: str, value: T | str, *, install: str | None = None) -> None:
        """Register `value` under `name`.

        Args:
            value: the object, or "package.module:attribute", imported when first named.
            install: what pip installs if that import fails: "statestore[zstd]".
        Raises:
            NameTaken: the name is registered already, by whomever.
        """
        with self._lock:
            if name in self._makers:
                raise NameTaken(self._what, name)
            if isinstance(value, str):
                path = value
                self._makers[name] = lambda: self._import(path)
            else:
                made = value
                self._makers[name] = lambda: made
            if install is not None:
                self._extras[name] = install

    def get(self, name: str) -> T:
        """Return what is registered under `name`: the same object each time.

        Raises:
            UnknownName: nothing is, not even in an installed package.
            MissingExtra: it needs a package that is not installed.
        """
        with self._lock:
            if name not in self._makers:
                self._scan()
            if name not in self._makers:
                raise UnknownName(self._what, name, self.names())
            if name not in self._made:
                try:
                    self._made[name] = self._makers[name]()
                except ImportError as error:
                    if name not in self._extras:
                        raise
                    raise MissingExtra(self._what, name, self._extras[name]) from error
            return self._made[name]

    def names(self) -> tuple[str, ...]:
        """Return all names, in the order of their registration."""
        with self._lock:
            self._scan()
            return tuple(self._makers)

    def _scan(self) -> None:
        if self._scanned or self._group is None:
            return
        from importlib.metadata import entry_points  # slow to import, and seldom needed

        self._scanned = True
        refused = []
        for point in entry_points(group=self._group):
            if point.name in self._makers:
                refused.append(point)
            else:
                self._makers[point.name] = partial(self._load, point)
        # One package that takes a name must not keep a host from all the others.
        for point in refused:
            text = f"{NameTaken(self._what, point.name)}; {point.value!r} is left out"
            warnings.warn(text, RuntimeWarning, stacklevel=2)

    def _import(self, path: str) -> T:
        module, _, attribute = path.partition(":")
        return self._entry(getattr(import_module(module), attribute))

    def _load(self, point: EntryPoint) -> T:
        return self._entry(point.load())

    def _entry(self, imported: Any) -> T:
        entry: T = imported() if self._call else imported
        return entry

    def after_fork(self) -> None:
        """Go on in a forked child, whoever looked something up in the parent meanwhile."""
        self._lock = threading.RLock()
