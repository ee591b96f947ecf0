"""Opening a store: from a path or a URL to a driver."""

from __future__ import annotations

import os
import re

from statestore.drivers.driver import Clock, Driver
from statestore.errors import UnknownName
from statestore.files.folders import Modes
from statestore.models.configuration import Configuration

_URL = re.compile(r"([a-z][a-z0-9+.-]+):(.*)", re.DOTALL)
_GROUP_MODES = Modes(file=0o660, folder=0o770)


def is_memory(target: str | os.PathLike[str]) -> bool:
    """Say whether a target names a store without files. Only a text is taken for a URL."""
    return isinstance(target, str) and target.startswith("memory:")


def open_driver(
    target: str | os.PathLike[str],
    *,
    configuration: Configuration,
    format: str | None,
    read_only: bool,
    allow_unsafe: bool,
    clock: Clock,
) -> Driver:
    """Return the driver for a path, or for a URL: `memory:`, `directory:/path/of/it`.

    Raises:
        UnknownName: the URL names no driver that is known.
        StateStoreError: what the driver says when it cannot open the place.
    """
    from statestore.drivers.directory import DirectoryDriver
    from statestore.drivers.memory import MemoryDriver

    url = _URL.fullmatch(target) if isinstance(target, str) else None
    if url is not None and url[1] == "memory":
        return MemoryDriver(url[0], clock=clock)
    if url is not None and url[1] != "directory":
        raise UnknownName("driver", url[1], ("directory", "memory"))
    return DirectoryDriver(
        url[2] if url else target,
        format=format,
        read_only=read_only,
        allow_unsafe=allow_unsafe,
        modes=_GROUP_MODES if configuration.group_access else Modes(),
        clock=clock,
    )
