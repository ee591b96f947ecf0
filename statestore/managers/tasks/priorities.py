"""Priorities of tasks: numbers with names, so that they sort by what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs

from statestore.managers.field_checks import ALLOWED
from statestore.records.columns import number_column, stored_as_is

LOW: Final = 1
MEDIUM: Final = 5
HIGH: Final = 10
CRITICAL: Final = 20

PRIORITIES: Final[Mapping[str, int]] = MappingProxyType(
    {"critical": CRITICAL, "high": HIGH, "medium": MEDIUM, "low": LOW}
)
"""The names of priorities, the most urgent first. Any number from 1 to 20 is taken beside them."""


def to_priority(value: object) -> Any:
    """Return the number of a priority that is given by its name, in any case; a number as it is.

    Raises:
        ValueError: there is no priority of this name.
    """
    if not isinstance(value, str):
        return value
    number = PRIORITIES.get(value.strip().casefold())
    if number is None:
        known = ", ".join(PRIORITIES)
        raise ValueError(f"priority takes a number from {LOW} to {CRITICAL}, or one of: {known}")
    return number


def priority_name(priority: int) -> str:
    """Return the name of a priority; of one between two names that of the less urgent one."""
    return next(name for name, number in PRIORITIES.items() if priority >= number or number == LOW)


def priority_field() -> Any:
    """Return the field of a priority: a number from 1 to 20, or a name of one."""

    def check(_: object, __: object, value: object) -> None:
        if type(value) is not int:
            raise TypeError("priority takes an integer, or a name of a priority")
        if not LOW <= value <= CRITICAL:
            raise ValueError(f"priority takes an integer from {LOW} to {CRITICAL}")

    column = number_column(int, LOW, CRITICAL, optional=False)
    return attrs.field(
        default=MEDIUM,
        kw_only=True,
        converter=to_priority,
        validator=check,
        metadata={ALLOWED: tuple(PRIORITIES), **stored_as_is(column)},
    )
