"""The serializers that there are: built in, added at run time, or brought by installed packages."""

from __future__ import annotations

import threading

from statestore import forks
from statestore.errors import UnknownName
from statestore.registry import Registry
from statestore.serializers.compressed import GzipSerializer
from statestore.serializers.json_text import JsonSerializer
from statestore.serializers.serializer import Serializer

ENTRY_POINTS = "statestore.serializers"
"""The group in which a package names its serializers: each a class, called without arguments."""

_BUILT_IN = ("json", "compact", "gzip", "yaml")
_PACKED = "+gzip"


class Serializers:
    """A table of serializers by name. Any thread may use it.

    Entry points are looked up when a name asks for them that is neither built in nor added.
    """

    def __init__(self) -> None:
        self._registry: Registry[Serializer] = Registry("serializer", entry_points=ENTRY_POINTS)
        self._registry.add("json", JsonSerializer(indent=True))
        self._registry.add("compact", JsonSerializer(indent=False))
        self._registry.add("gzip", GzipSerializer(JsonSerializer(indent=False), name="gzip"))
        self._registry.add("yaml", "statestore.serializers.yaml_text:YamlSerializer")
        self._added: tuple[Serializer, ...] = ()
        self._packed: dict[str, Serializer] = {}
        self._extensions: dict[bool, tuple[str, ...]] = {}
        self._lock = threading.RLock()  # an import may register
        forks.note(self)

    def get(self, name: str) -> Serializer:
        """Return the serializer called `name`: the same object each time.

        `X+gzip` is any serializer `X`, packed.

        Raises:
            UnknownName: there is none.
            MissingExtra: it needs a package that is not installed.
        """
        if name in self._packed:
            return self._packed[name]
        try:
            return self._registry.get(name)
        except UnknownName:
            inner = name.removesuffix(_PACKED)
            if inner == name or inner.endswith(_PACKED) or inner not in self.names():
                raise
        found = self._registry.get(inner)
        if isinstance(found, GzipSerializer):
            raise UnknownName("serializer", name, self.names())
        with self._lock:
            return self._packed.setdefault(name, GzipSerializer(found, name=name))

    def after_fork(self) -> None:
        """Go on in a forked child, whoever looked something up in the parent meanwhile."""
        self._lock = threading.RLock()

    def register(self, serializer: Serializer) -> None:
        """Add a serializer under its name; it takes part in detection from now on.

        Raises:
            NameTaken: the name is registered already.
        """
        with self._lock:
            self._registry.add(serializer.name, serializer)
            self._added = (*self._added, serializer)
            self._packed.clear()
            self._extensions = {}

    def names(self) -> tuple[str, ...]:
        """Return all names: built in, then in the order in which they came."""
        return self._registry.names()

    def added(self) -> tuple[Serializer, ...]:
        """Return those that were added at run time."""
        return self._added

    def importable(self) -> tuple[tuple[Serializer, ...], tuple[str, ...]]:
        """Return all serializers that can be imported, and the names of those that cannot."""
        found, missing = [], []
        for name in self.names():
            try:
                found.append(self._registry.get(name))
            except (ImportError, AttributeError):
                missing.append(name)
        return tuple(found), tuple(missing)

    def extensions(self, *, installed: bool = True) -> tuple[str, ...]:
        """Return the ends of the names of files, longest first, each also with ".gz" after it.

        An installed serializer that cannot be imported has none here.

        Args:
            installed: whether those count too that only an entry point names.
        """
        with self._lock:
            if installed not in self._extensions:
                if installed:
                    serializers, _ = self.importable()
                else:
                    serializers = (*map(self._registry.get, _BUILT_IN), *self._added)
                ends = {serializer.extension for serializer in serializers}
                ends |= {f"{end}.gz" for end in ends if not end.endswith(".gz")}
                self._extensions[installed] = tuple(sorted(ends, key=lambda end: (-len(end), end)))
            return self._extensions[installed]

    def known_extensions(self) -> tuple[str, ...]:
        """Return `extensions()` as far as they are known: installed packages are not asked now."""
        return self.extensions(installed=True in self._extensions)

    def split_extension(self, file_name: str) -> tuple[str, str]:
        """Return a file's name without its known extension, and that ("" if it has none).

        Installed packages are asked only about a name that has no other known extension.
        """
        for installed in (False, True):
            for end in self.extensions(installed=installed):
                if file_name.endswith(end) and file_name != end:
                    return file_name[: -len(end)], end
        return file_name, ""


DEFAULT = Serializers()
"""The table of this process."""

get = DEFAULT.get
register = DEFAULT.register
names = DEFAULT.names
extensions = DEFAULT.extensions
known_extensions = DEFAULT.known_extensions
split_extension = DEFAULT.split_extension
