"""Problems: what a check of a record has found."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import attrs

Level: TypeAlias = Literal["structure", "semantics", "rules"]
"""How much of a record a check looks at: whether it can be stored and its values are of their
kinds; whether they fit each other; whether it keeps the rules of the host, other records included.
Each level comes after the one before."""

LEVELS: tuple[Level, ...] = get_args(Level)

Severity: TypeAlias = Literal["error", "warning"]
"""An error keeps a record from being changed so; a warning is only told."""


@attrs.frozen
class Problem:
    """What is wrong with a record: in which field, in words. The words should not hold its value.

    `field` is empty where it is the record as a whole. `validator` is the name of what found it.
    """

    field: str
    message: str
    severity: Severity = "error"
    validator: str = ""
