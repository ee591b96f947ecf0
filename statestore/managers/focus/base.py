"""What the operations on focus chains are made of: values checked, records looked up."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final, TypeVar, cast

import attrs

from statestore.errors import FocusNotFound, InvalidId, InvalidRecord
from statestore.managers.focus import tree as focus_tree
from statestore.managers.focus.order import fitted, pointer_after
from statestore.managers.focus.records import (
    MAX_LENGTHS,
    PRIORITIES,
    Focus,
    FocusChain,
    FocusLimits,
)
from statestore.managers.limits import Limited
from statestore.records.changing import later
from statestore.records.fields import to_items
from statestore.records.ids import new_id

T = TypeVar("T")

_FIELDS: Final = attrs.fields_dict(Focus)
_CHAIN_FIELDS: Final = attrs.fields_dict(FocusChain)
_TTL: Final = "ttl_s"
_NEVER_EMPTY: Final = ("type", "session_id")


class FocusBase(Limited[FocusChain, FocusLimits]):
    """A manager of focus chains without its operations."""

    limits_class: ClassVar[type[FocusLimits]] = FocusLimits

    def _altered(
        self, chain: str | FocusChain, change: Callable[[FocusChain], tuple[FocusChain, T]]
    ) -> T:
        """Put what `change` makes of a chain in its place, and return what it says beside."""
        said: list[T] = []

        def make(current: FocusChain) -> FocusChain:
            new, result = change(current)
            said.append(result)
            return new

        self._modify(chain, make)
        return said[-1]

    def _holding(self, current: FocusChain, focuses: Sequence[Focus], **changes: Any) -> FocusChain:
        """Return a chain with other focuses, and with a current one that is among them."""
        pointer = pointer_after(current.focuses, focuses, current.current_id)
        return self._evolved(
            current, **{"focuses": to_items(focuses, Focus), "current_id": pointer, **changes}
        )

    def _within_size(self, current: FocusChain, now: datetime, *, newest: int = 0) -> FocusChain:
        """Return a chain without what is too much in it."""
        kept = fitted(current.focuses, current.max_size, now=now, newest=newest)
        if kept is current.focuses:
            return current
        return self._holding(current, kept, updated_at=current.updated_at)

    # --- focuses ----------------------------------------------------------------------

    def _path(self, chain: FocusChain, focus: str | Focus) -> tuple[Focus, ...]:
        """Return the way to a focus, from the one in the chain to itself.

        Raises:
            FocusNotFound: it is not in the chain.
        """
        id = self._focus_id(chain.id, focus)
        path = focus_tree.path_to(chain.focuses, id)
        if not path:
            raise FocusNotFound(self.kind, chain.id, id)
        return path

    def _focus_id(self, chain_id: str, focus: object) -> str:
        if isinstance(focus, str):
            return focus
        if isinstance(focus, Focus):
            return focus.id
        raise FocusNotFound(self.kind, chain_id, f"<{type(focus).__name__}>")

    def _made_focus(self, chain_id: str, fields: Mapping[str, Any]) -> Focus:
        """Return a new focus of the fields that a host has given, checked one by one.

        Raises:
            InvalidRecord: there is no such field, or it does not take the value.
        """
        given = dict(fields)
        if "id" not in given:
            given["id"] = self._make_id()
        given.setdefault("created_at", self._clock())
        given.setdefault("updated_at", given["created_at"])
        return Focus(**self._checked_focus(chain_id, given))

    def _changed_focus(self, chain_id: str, focus: Focus, changes: Mapping[str, Any]) -> Focus:
        """Return a focus with other values of some fields.

        Raises:
            InvalidRecord: there is no such field, or it does not take the value.
        """
        if changes.get("id", focus.id) != focus.id:
            raise self._refused(chain_id, "id", "it cannot be changed")
        now = self._clock()
        given = self._checked_focus(chain_id, changes, focus, since=now)
        given.setdefault("updated_at", later(focus.updated_at, now))
        return attrs.evolve(focus, **given)

    def _checked_focus(
        self,
        chain_id: str,
        given: Mapping[str, Any],
        focus: Focus | None = None,
        *,
        since: datetime | None = None,
    ) -> dict[str, Any]:
        """Return the fields of a focus as they are kept.

        Args:
            focus: what has those that are not given; None where a focus is made of these alone.
            since: when the span of `ttl_s` begins, by default at `created_at`.
        """
        values: dict[str, Any] = {}
        for name, value in given.items():
            if name != _TTL:
                values[name] = self._checked_field(chain_id, name, value)
        if _TTL in given and given[_TTL] is not None:
            if values.get("expires_at") is not None:
                raise self._refused(chain_id, _TTL, "it cannot be given beside expires_at")
            begin = since or values["created_at"]
            values["expires_at"] = self._expiry(chain_id, begin, given[_TTL])
        created_at = values.get("created_at", focus and focus.created_at)
        expires_at = values.get("expires_at", focus and focus.expires_at)
        if expires_at is not None and expires_at < created_at:
            raise self._refused(chain_id, "expires_at", "it is before created_at")
        return values

    def _checked_field(self, chain_id: str, name: str, value: Any) -> Any:
        attribute = _FIELDS.get(name)
        if attribute is None:
            known = (*_FIELDS, _TTL)
            reason = f"there is no field {name}; there are {', '.join(known)}"
            raise self._refused(chain_id, name, reason, known)
        if name == "priority" and isinstance(value, str):
            word = value.casefold()
            if word not in PRIORITIES:
                words = tuple(PRIORITIES)
                reason = f"it is an integer from 1 to 20, or one of: {', '.join(words)}"
                raise self._refused(chain_id, name, reason, words)
            value = PRIORITIES[word]
        if name == "children" and isinstance(value, list):
            value = tuple(value)
        fault = _fault_of(name, value)
        if fault is None:
            value, fault = _taken(attribute, value)
        if fault is not None:
            raise self._refused(chain_id, name, fault)
        return value

    def _expiry(self, chain_id: str, since: datetime, ttl_s: object) -> datetime:
        if type(ttl_s) not in (int, float) or not isinstance(ttl_s, int | float):
            raise self._refused(chain_id, _TTL, "it takes a number of seconds")
        if not math.isfinite(ttl_s) or ttl_s < 0:
            raise self._refused(chain_id, _TTL, "it takes a finite number of seconds from 0 on")
        try:
            return since + timedelta(seconds=ttl_s)
        except OverflowError as error:
            raise self._refused(chain_id, _TTL, "that is beyond the year 9999") from error

    def _want_new(self, chain: FocusChain, focuses: Iterable[Focus]) -> None:
        """Refuse focuses whose ids, or those below them, are not new in a chain."""
        added = list(focuses)
        self._want_unique(chain.id, added)
        ids = {focus.id for focus in focus_tree.walk(added)}
        if any(focus.id in ids for focus in focus_tree.walk(chain.focuses)):
            raise self._refused(chain.id, "id", "a focus with this id is in the chain already")

    def _is_surely_new(self, fields: Mapping[str, Any]) -> bool:
        """Say whether a focus that is made of some fields cannot be in any chain.

        Then nobody need look through the chain, which would cost what is in it.
        """
        return "id" not in fields and not fields.get("children") and self._make_id is new_id

    def _want_room(self, chain_id: str, path: Sequence[Focus], below: Focus) -> None:
        """Refuse what would make a tree too deep."""
        if len(path) + focus_tree.depth_of([below]) > focus_tree.MAX_DEPTH:
            reason = f"a tree of focuses has at most {focus_tree.MAX_DEPTH} levels"
            raise self._refused(chain_id, "children", reason)

    def _rebuilt(
        self, chain: FocusChain, path: Sequence[Focus], new: Focus | None, **changes: Any
    ) -> FocusChain:
        """Return a chain with `new` in the place of the last of a path; None: that one is gone."""
        root = focus_tree.rebuilt(path, new)
        put = () if root is None else (root,)
        focuses = [one for old in chain.focuses for one in (put if old is path[0] else (old,))]
        return self._holding(chain, focuses, **changes)

    # --- chains -----------------------------------------------------------------------

    def _checked_chain(self, id: str | None, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return fields of a chain as they are kept.

        Raises:
            InvalidRecord: there is no such field, or it does not take the value.
        """
        values: dict[str, Any] = {}
        for name, value in given.items():
            attribute = _CHAIN_FIELDS.get(name)
            if attribute is None:
                reason = f"there is no field {name}; there are {', '.join(_CHAIN_FIELDS)}"
                raise InvalidRecord(self.kind, id, reason, field=name, allowed=_CHAIN_FIELDS)
            fault = _fault_of(name, value)
            if fault is None:
                values[name], fault = _taken(attribute, value)
            if fault is not None:
                told = fault if fault.startswith(name) else f"{name}: {fault}"
                raise InvalidRecord(self.kind, id, told, field=name)
        return values

    def _want_unique(self, chain_id: str, focuses: Iterable[Focus]) -> None:
        if focus_tree.has_doubles(focuses):
            raise self._refused(chain_id, "id", "two of the focuses have one id")

    def _refused(
        self, chain_id: str, field: str, reason: str, allowed: Iterable[str] = ()
    ) -> InvalidRecord:
        told = reason if reason.startswith(field) else f"{field}: {reason}"
        return InvalidRecord(self.kind, chain_id, f"focus: {told}", field=field, allowed=allowed)


def _taken(attribute: attrs.Attribute[Any], value: Any) -> tuple[Any, str | None]:
    """Return a value as a field keeps it, and why it does not take it, if so."""
    convert = cast("Callable[[Any], Any] | None", attribute.converter)  # ours take one argument
    try:
        value = value if convert is None else convert(value)
        if attribute.validator is not None:
            attribute.validator(None, attribute, value)
    except InvalidId as error:
        return None, error.reason
    except (TypeError, ValueError) as error:
        # Validators put more than their message into an error, the value among it.
        return None, str(error.args[0]) if error.args else type(error).__name__
    return value, None


def _fault_of(name: str, value: object) -> str | None:
    """Return what is wrong with the length of a text, or of one of several; None if nothing is."""
    most = MAX_LENGTHS.get(name)
    if most is None:
        return None
    is_many = isinstance(value, list | tuple)
    texts: Iterable[object] = value if isinstance(value, list | tuple) else (value,)
    for text in texts:
        if not isinstance(text, str):
            continue
        if len(text) > most:
            return f"{name} takes at most {most} characters, not {len(text)}"
        if not text and (is_many or name in _NEVER_EMPTY):
            return f"{name} takes no empty text"
    return None
