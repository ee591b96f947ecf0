"""The drivers that there are: built in, added at run time, or brought by installed packages."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import attrs

from statestore.drivers.driver import Clock, Driver, utc_now
from statestore.files.folders import Modes
from statestore.files.locks import LOCK_TIMEOUT_S
from statestore.journal.journal import JournalOptions
from statestore.registry import Registry

ENTRY_POINTS = "statestore.drivers"
"""The group in which a package names its drivers: each a `DriverFactory`, by its URL's scheme."""


@attrs.frozen(kw_only=True)
class DriverOptions:
    """What a store asks of a driver that it opens.

    `target` is the URL behind its scheme and colon: a path, a server. `format` is the name of the
    serializer to write with, None for the one that the place remembers. `journal` and `materialize`
    are for drivers that keep a journal, and files that follow it. `source` is who asks for commits.
    `lock_timeout_s` is how long a
    driver waits for a lock that another process or thread has; then it raises `LockTimeout`.
    """

    target: str
    format: str | None = None
    read_only: bool = False
    allow_unsafe: bool = False
    modes: Modes = attrs.field(factory=Modes)
    clock: Clock = utc_now
    journal: JournalOptions = attrs.field(factory=JournalOptions)
    materialize: str = "background"
    source: str = "commit"
    lock_timeout_s: float = LOCK_TIMEOUT_S


DriverFactory: TypeAlias = Callable[[DriverOptions], Driver]
"""Opens a driver. It raises what `Store` says of a place that cannot be opened."""

_DRIVERS: Registry[DriverFactory] = Registry("driver", entry_points=ENTRY_POINTS, call=False)
_DRIVERS.add("directory", "statestore.drivers.directory:open_directory")
_DRIVERS.add("memory", "statestore.drivers.memory:open_memory")

get = _DRIVERS.get
names = _DRIVERS.names


def register(scheme: str, factory: DriverFactory) -> None:
    """Let `Store("scheme:target")` open its driver with `factory`.

    Raises:
        NameTaken: the scheme is registered already.
    """
    _DRIVERS.add(scheme, factory)
