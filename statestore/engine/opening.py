"""Opening a store: from a path or a URL to a driver."""

from __future__ import annotations

import os
import re

from statestore.drivers.driver import Clock, Driver
from statestore.drivers.registered import DriverOptions, get
from statestore.errors import ConfigurationError
from statestore.files.folders import Modes
from statestore.journal.journal import JournalOptions
from statestore.models.configuration import Configuration, check_lock_timeout

# Two characters at least before the colon: the drive of a Windows path is no scheme.
_URL = re.compile(r"([a-z][a-z0-9+.-]+):(.*)", re.DOTALL)
_MEGABYTE = 1024 * 1024
_GROUP_MODES = Modes(file=0o660, folder=0o770)


def folder_of(target: str | os.PathLike[str]) -> str | None:
    """Return the folder that a store's path or URL names, or None if it names something else."""
    url = _split(target)
    return url[1] if url[0] == "directory" else None


def open_driver(
    target: str | os.PathLike[str],
    *,
    configuration: Configuration,
    format: str | None,
    read_only: bool,
    allow_unsafe: bool,
    clock: Clock,
    source: str = "commit",
    lock_timeout_s: float | None = None,
) -> Driver:
    """Return the driver for a path, or for a URL: `memory:`, `directory:/path/of/it`.

    Args:
        lock_timeout_s: overrules what the configuration says.
    Raises:
        ConfigurationError: one cannot wait for so long.
        UnknownName: the URL names no driver that is known.
        StateStoreError: what the driver says when it cannot open the place.
    """
    scheme, rest = _split(target)
    options = DriverOptions(
        target=rest,
        format=format,
        read_only=read_only,
        allow_unsafe=allow_unsafe,
        modes=modes_of(configuration),
        clock=clock,
        journal=JournalOptions(
            history_bytes=int(configuration.history_megabytes * _MEGABYTE),
            history_days=configuration.history_days,
        ),
        materialize=configuration.materialize,
        source=source,
        lock_timeout_s=_timeout_s(configuration, lock_timeout_s),
    )
    return get(scheme)(options)


def modes_of(configuration: Configuration) -> Modes:
    """Return the permissions that the files and folders of a store have."""
    return _GROUP_MODES if configuration.group_access else Modes()


def _timeout_s(configuration: Configuration, lock_timeout_s: float | None) -> float:
    if lock_timeout_s is None:
        return float(configuration.lock_timeout_s)
    try:
        return check_lock_timeout(lock_timeout_s)
    except ValueError as error:
        raise ConfigurationError("Store", str(error)) from error


def _split(target: str | os.PathLike[str]) -> tuple[str, str]:
    """Return the scheme of a URL and what stands behind it. Only a text is taken for a URL."""
    url = _URL.fullmatch(target) if isinstance(target, str) else None
    return (url[1], url[2]) if url else ("directory", os.fspath(target))
