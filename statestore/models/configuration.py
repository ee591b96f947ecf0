"""The settings of a deployment."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs

from statestore.errors import ConfigurationError

AUTOSAVE_MODES = ("manual", "on-change")
MATERIALIZE_MODES = ("background", "now")
CONFLICT_POLICIES = ("error", "mine", "theirs", "merge")

LONGEST_LOCK_TIMEOUT_S = 86_400
"""The longest time, in seconds, that one can be told to wait for a lock."""

LONGEST_INTERVAL_S = 86_400
"""The longest time, in seconds, after which something can be done each time."""

_INTERVAL = f"a number of seconds above 0, at most {LONGEST_INTERVAL_S:,}"

MOST_HISTORY = 1_000_000_000
"""The largest number of days, or of megabytes, that history can be kept for."""


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


def _check_amount(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    # TOML writes 30 and 30.0, inf and nan; and True is an int, too.
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value <= MOST_HISTORY:  # type: ignore[operator] # a number, then
        raise ValueError(f"{attribute.name} is a number above 0, at most {MOST_HISTORY:,}")


def checked_interval(value: object, where: str) -> float:
    """Return after how many seconds, each time, something is done again.

    Args:
        value: a number of seconds, or a `timedelta`.
        where: what it was given for.
    Raises:
        ConfigurationError: it is no such time.
    """
    seconds = _seconds(value)
    if seconds is None:
        raise ConfigurationError(where, f"it is {_INTERVAL}")
    return seconds


def checked_autosave(value: object) -> str | float:
    """Return how changes are saved: one of `AUTOSAVE_MODES`, or after how many seconds each time.

    Raises:
        ConfigurationError: it is none of them.
    """
    if isinstance(value, str) and value in AUTOSAVE_MODES:
        return value
    seconds = _seconds(value)
    if seconds is None:
        raise ConfigurationError("autosave", f"it is {', '.join(AUTOSAVE_MODES)} or {_INTERVAL}")
    return seconds


def _seconds(value: object) -> float | None:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value <= LONGEST_INTERVAL_S else None


def check_lock_timeout(value: object) -> float:
    """Return how long to wait for a lock, in seconds.

    Raises:
        ValueError: it is no such time.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= LONGEST_LOCK_TIMEOUT_S:  # type: ignore[operator] # as above
        raise ValueError(
            f"lock_timeout_s is a number of seconds, from 0 to {LONGEST_LOCK_TIMEOUT_S:,}"
        )
    return float(value)  # type: ignore[arg-type] # a number, as was found


def _check_backups(_: object, attribute: attrs.Attribute[Any], value: str) -> None:
    inside = not value.startswith(("/", "../")) and value.split("/")[0] != "backups"
    if inside or not value:  # any other folder of the store would be taken for a kind of records
        raise ValueError(
            f"{attribute.name} is 'backups', a folder below it, or one outside of the store"
        )


@attrs.frozen(kw_only=True)
class Configuration:
    """What `statestore.toml` may say; an argument to `Store` overrules it.

    `autosave` is "manual" (changes are durable after `save_all()`), "on-change" (each operation is
    durable when it returns) or a number of seconds, above 0 and at most 86,400: what is unsaved is
    saved in the background, so long after the last time.
    `backups` is the folder for backups, absolute or relative to the store; within the store it is
    `backups` or below.
    `group_access` opens the files and folders of the store to their group.
    `materialize` says when the files of records follow a save: "background" (within a second) or
    "now" (before it returns). The save is durable either way.
    `on_conflict` says what a save does with a record that others have changed since it was read:
    "error" leaves it unsaved, "mine" saves it over theirs, "theirs" takes theirs for it, "merge"
    merges both and leaves unsaved what contradicts. What only adds items is always added.
    What was committed is kept as history for `history_days`, and at most `history_megabytes` of it
    (of 1,048,576 bytes each); what the files do not show yet is always kept.
    For `lock_timeout_s` seconds one waits for a lock that another process or thread has.
    """

    autosave: str | float = attrs.field(default="manual", converter=checked_autosave)
    backups: str = attrs.field(default="backups", validator=[_typed(str), _check_backups])
    group_access: bool = attrs.field(default=False, validator=_typed(bool))
    materialize: str = attrs.field(default="background", validator=_one_of(MATERIALIZE_MODES))
    on_conflict: str = attrs.field(default="error", validator=_one_of(CONFLICT_POLICIES))
    history_days: float = attrs.field(default=30.0, validator=_check_amount)
    history_megabytes: float = attrs.field(default=64.0, validator=_check_amount)
    lock_timeout_s: float = attrs.field(
        default=30.0, validator=lambda _, __, value: check_lock_timeout(value)
    )
