"""The settings of a deployment."""

from __future__ import annotations

from typing import Any

import attrs

AUTOSAVE_MODES = ("manual", "on-change")


def _one_of(choices: tuple[str, ...]) -> Any:
    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value not in choices:
            known = " or ".join(repr(choice) for choice in choices)
            raise ValueError(f"{attribute.name} is {known}")

    return check


def _typed(wanted: type) -> Any:
    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if type(value) is not wanted:
            raise TypeError(f"{attribute.name} takes a value of type {wanted.__name__}")

    return check


@attrs.frozen(kw_only=True)
class Configuration:
    """What `statestore.toml` may say; an argument to `Store` overrules it.

    `autosave` is "manual" (changes are durable after `save_all()`) or "on-change" (each operation
    is durable when it returns). `backups` is the folder for backups, relative to the store.
    `group_access` opens the files and folders of the store to their group.
    """

    autosave: str = attrs.field(default="manual", validator=_one_of(AUTOSAVE_MODES))
    backups: str = attrs.field(default="backups", validator=_typed(str))
    group_access: bool = attrs.field(default=False, validator=_typed(bool))
