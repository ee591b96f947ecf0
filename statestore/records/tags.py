"""Tags: the names by which documents say of which class their objects are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from statestore.errors import ConfigurationError, NotARecordClass
from statestore.records.classes import field_names, plain_class

C = TypeVar("C", bound=type)

TAG: Final = "class"
"""The key of the tag in a document. No field has this name, as it is a word of the language."""

_TAGS = "__statestore_tags__"


def tagged(name: str, *older: str) -> Callable[[C], C]:
    """Give a class a name of its own in documents, where one of several classes may stand.

    Without one it is the name of the class, so that a class that gets another name cannot be found.
    Above or below the decorator of attrs: `@tagged("circle")`.

    Args:
        name: what is written.
        older: what was written before, and is read all the same: `@tagged("circle", "Circle")`.
    Raises:
        ConfigurationError: a name is empty, or no text that can be stored.
    """
    names = (name, *older)
    for one in names:
        if type(one) is not str or not one or not one.isprintable():
            raise ConfigurationError(
                "tagged()", "takes texts that can be printed, and no empty one"
            )

    def tag(cls: C) -> C:
        setattr(cls, _TAGS, names)
        return cls

    return tag


def tags_of(type_: object) -> tuple[str, ...]:
    """Return the tag of a class, and those that it had before. A subclass does not inherit them."""
    plain = plain_class(type_)
    own: tuple[str, ...] = vars(plain).get(_TAGS, (plain.__name__,))
    return own


def classes_by_tag(classes: Iterable[Any], name: str, place: str) -> dict[str, Any]:
    """Return classes by the tags that are read.

    Args:
        name, place: the record class and what of it has these classes, for errors.
    Raises:
        NotARecordClass: two have the same tag, or one has a field where the tag belongs.
    """
    found: dict[str, Any] = {}
    for cls in classes:
        if TAG in field_names(cls, init=False):
            reason = f"{place}: the field {TAG!r} of {plain_class(cls).__name__} stands where the "
            raise NotARecordClass(name, f"{reason}name of the class belongs; call it otherwise")
        for tag in tags_of(cls):
            if found.setdefault(tag, cls) is not cls:
                both = f"{plain_class(found[tag]).__qualname__} and {plain_class(cls).__qualname__}"
                reason = f"{place}: {both} have the same name {tag!r} in documents"
                raise NotARecordClass(name, f"{reason}; give one another with @tagged(...)")
    return found


def listed(tags: Iterable[str]) -> str:
    """Return tags as they are told to people."""
    return ", ".join(sorted(tags))
