"""Limits: what a manager keeps its records within."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, TypeVar, cast

import attrs

from statestore.errors import InvalidRecord
from statestore.managers.domain import D, DomainManager

L = TypeVar("L")


class Limited(DomainManager[D], Generic[D, L]):
    """A manager with limits: an attrs value of `limits_class`, whose fields all have defaults."""

    limits_class: ClassVar[type[Any]]

    _own_limits: Any = None

    @property
    def limits(self) -> L:
        """The limits in effect."""
        return cast(L, self.limits_class() if self._own_limits is None else self._own_limits)

    def set_limits(self, **changes: Any) -> L:
        """Change limits from now on, and return those in effect.

        Raises:
            InvalidRecord: there is no such limit, or it does not take the value.
        """
        known = attrs.fields_dict(self.limits_class)
        for name in changes:
            if name not in known:
                reason = f"there is no limit {name}; there are {', '.join(known)}"
                raise InvalidRecord(self.kind, None, reason, field=name, allowed=known)
        current: Any = self.limits
        self._own_limits = self._made("@manager", lambda: attrs.evolve(current, **changes))
        return self.limits
