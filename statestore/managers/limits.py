"""Limits: how much a manager keeps, said by its maker, remembered by the store, else by default."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar, cast

import attrs

from statestore.errors import InvalidRecord
from statestore.managers.domain import D, DomainManager
from statestore.managers.settings import Remembering, Settings
from statestore.models.documents import FrozenDict, freeze_mapping
from statestore.models.keys import SETTINGS_ID
from statestore.records.ids import new_id
from statestore.records.sharing import Merge

L = TypeVar("L")


class Limited(Remembering[D], DomainManager[D], Generic[D, L]):
    """A manager with limits, which its store remembers in `<kind>/@manager.json`.

    In effect is, limit by limit: what the constructor was given, for this process; else what is
    stored; else the default of `limits_class`.
    """

    limits_class: ClassVar[type[Any]]
    """A frozen attrs class whose fields are the limits. Each has a default, and checks its values,
    which are such as JSON has, by itself; the class says which of them means "without limit"."""

    def __init__(
        self,
        kind: str,
        record_class: type[D],
        *,
        schema: int = 1,
        clock: Callable[[], datetime] | None = None,
        make_id: Callable[[], str] = new_id,
        merge: Merge[D] | None = None,
        limits: L | Mapping[str, Any] | None = None,
    ) -> None:
        """See `Manager`.

        Args:
            limits: limits that hold for this process, whatever is stored, and are not stored
                themselves: by name, or as a `limits_class`, of which a field that has its default
                says nothing.
        Raises:
            InvalidRecord: there is no such limit, or it does not take this value.
        """
        super().__init__(
            kind, record_class, schema=schema, clock=clock, make_id=make_id, merge=merge
        )
        self._given: Mapping[str, Any] = self._checked(self._by_name(limits))
        self._in_effect: tuple[Settings | None, Mapping[str, Any], L] | None = None

    @property
    def limits(self) -> L:
        """The limits in effect; in a transaction with those that it has set."""
        settings, given, before = self._settings, self._given, self._in_effect
        if before is not None and before[0] is settings and before[1] is given:
            return before[2]
        stored = {} if settings is None else self._known(settings.limits)
        chosen = () if settings is None else settings.chosen
        stored.update((name, one) for name, one in given.items() if name not in chosen)
        limits = cast(L, self.limits_class(**stored))
        self._in_effect = settings, given, limits
        return limits

    def set_limits(self, **changes: Any) -> L:
        """Set limits by name, from now on, and return those in effect.

        The store remembers them: they are an unsaved change until the next save, or a part of a
        transaction, as a change of a record is. What the constructor was given for them is over.
        What two processes have set of different limits is merged where saves merge. Records that
        are there already stay as they are.

        Args:
            changes: new values by the names of the limits, the fields of `limits`; None or 0 is
                without limit where the class says so.
        Raises:
            InvalidRecord: there is no such limit, or it does not take the value; nothing changed.
        """
        wanted = self._checked(changes)

        def make(settings: Settings) -> Settings:
            limits = FrozenDict({**settings.limits, **wanted})
            if not self._memory.is_in_transaction:
                self._give_up(wanted)
            elif not self._given.keys().isdisjoint(wanted):
                # Others go on with what was given until the transaction is made.
                chosen = settings.chosen.union(wanted)
                return attrs.evolve(settings, limits=limits, chosen=chosen)
            return settings if limits == settings.limits else attrs.evolve(settings, limits=limits)

        self._set(make)
        return self.limits

    # --- inside -----------------------------------------------------------------------

    def _checked(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return limits as they are stored.

        Raises:
            InvalidRecord: there is no such limit, or it does not take the value.
        """
        known = attrs.fields_dict(self.limits_class)
        for name, value in values.items():
            if name not in known:
                reason = f"there is no limit {name}; there are {', '.join(known)}"
                raise InvalidRecord(self.kind, SETTINGS_ID, reason, field=name, allowed=known)
            self._check_one(name, value)
        made = self.limits_class(**values)
        return freeze_mapping({name: getattr(made, name) for name in values})

    def _check_one(self, name: str, value: Any) -> None:
        try:
            freeze_mapping({name: getattr(self.limits_class(**{name: value}), name)})
        except (TypeError, ValueError, AttributeError) as error:
            # Validators put more than their message into an error, the value among it.
            reason = str(error.args[0]) if error.args else f"{name} does not take it"
            raise InvalidRecord(self.kind, SETTINGS_ID, reason, field=name) from error

    def _by_name(self, limits: L | Mapping[str, Any] | None) -> Mapping[str, Any]:
        if limits is None:
            return {}
        if isinstance(limits, Mapping):
            return limits
        if not isinstance(limits, self.limits_class):
            reason = f"limits takes a {self.limits_class.__name__}, or limits by name"
            raise InvalidRecord(self.kind, SETTINGS_ID, reason, field="limits")
        defaults = self.limits_class()
        names = attrs.fields_dict(self.limits_class)
        return {
            name: getattr(limits, name)
            for name in names
            if getattr(limits, name) != getattr(defaults, name)
        }

    def _known(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of some stored limits that the class knows; the others are left alone."""
        known = attrs.fields_dict(self.limits_class)
        return {name: value for name, value in stored.items() if name in known}

    def _give_up(self, names: Collection[str]) -> None:
        """End what the constructor was given for some limits."""
        if not self._given.keys().isdisjoint(names):
            self._given = {name: one for name, one in self._given.items() if name not in names}

    def _settings_shown(self, settings: Settings) -> None:
        self._give_up(settings.chosen)

    def _settings_problems(self, settings: Settings) -> Sequence[str]:
        problems = []
        for name, value in self._known(settings.limits).items():
            try:
                self._check_one(name, value)
            except InvalidRecord as error:
                problems.append(f"{error.reason} at $.limits.{name}")
        return problems
