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


def _check_backups(_: object, attribute: attrs.Attribute[Any], value: str) -> None:
    inside = not value.startswith(("/", "../")) and value.split("/")[0] != "backups"
    if inside or not value:  # any other folder of the store would be taken for a kind of records
        raise ValueError(
            f"{attribute.name} is 'backups', a folder below it, or one outside of the store"
        )


@attrs.frozen(kw_only=True)
class Configuration:
    """What `statestore.toml` may say; an argument to `Store` overrules it.

    `autosave` is "manual" (changes are durable after `save_all()`) or "on-change" (each operation
    is durable when it returns). `backups` is the folder for backups, absolute or relative to the
    store; within the store it is `backups` or below.
    `group_access` opens the files and folders of the store to their group.
    """

    autosave: str = attrs.field(default="manual", validator=_one_of(AUTOSAVE_MODES))
    backups: str = attrs.field(default="backups", validator=[_typed(str), _check_backups])
    group_access: bool = attrs.field(default=False, validator=_typed(bool))
