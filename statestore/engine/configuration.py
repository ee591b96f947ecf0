"""Deployment configuration: the settings that `statestore.toml` gives a store."""

from __future__ import annotations

import tomllib
from typing import Any

import attrs

from statestore.drivers.layout import CONFIGURATION_FILE
from statestore.errors import ConfigurationError
from statestore.files.folders import open_folder
from statestore.models.configuration import Configuration

_LIMIT_BYTES = 1 << 20


def read_configuration(folder: str | None, file: str | None = None) -> Configuration:
    """Return the settings of the store in `folder`; the defaults where it has no file.

    Args:
        folder: that of the store; None where it has none.
        file: another file to read instead, which must exist.
    Raises:
        ConfigurationError: the file is no TOML, or has a setting that is not known or cannot be
            used; `where` names the file and the setting.
    """
    data = _read(folder, file)
    if data is None:
        return Configuration()
    where = file or CONFIGURATION_FILE
    try:
        settings = tomllib.loads(data.decode("utf-8-sig"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(where, f"it is no TOML: {error}") from error
    return _checked(where, settings)


def _read(folder: str | None, file: str | None) -> bytes | None:
    if file is not None:
        try:
            with open(file, "rb") as stream:
                data = stream.read(_LIMIT_BYTES + 1)
        except OSError as error:
            raise ConfigurationError(file, f"it cannot be read: {error.strerror}") from error
        if len(data) > _LIMIT_BYTES:
            raise ConfigurationError(file, f"it is larger than {_LIMIT_BYTES} bytes")
        return data
    opened = None if folder is None else open_folder(folder)
    if opened is None:
        return None
    with opened:
        content = opened.read(CONFIGURATION_FILE, _LIMIT_BYTES)
    return content.data if content else None


def _checked(where: str, settings: dict[str, Any]) -> Configuration:
    known = attrs.fields_dict(Configuration)
    for name in settings:
        if name not in known:
            raise ConfigurationError(
                f"{where}: {name}", f"there is no such setting; known: {', '.join(known)}"
            )
    try:
        return Configuration(**settings)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(where, str(error)) from error
