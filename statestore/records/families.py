"""Families: records of one kind that are of several classes, told apart by a tag."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypeVar

from statestore.errors import EncodeError, NotARecordClass
from statestore.models.changes import Patch
from statestore.models.documents import FrozenDict
from statestore.models.keys import Key
from statestore.records.codec import Codec, codec_of
from statestore.records.misfit import Misfit
from statestore.records.own_types import OwnType
from statestore.records.tags import TAG, classes_by_tag, listed, tags_of

R = TypeVar("R")


class FamilyCodec(Generic[R]):
    """Turns records of a class and of known subclasses into documents and back. See `Codec`.

    Each document says by its tag of which class its record is. One without a tag is of the class
    itself, as it was written before there were subclasses.
    """

    def __init__(
        self,
        record_class: type[R],
        subclasses: Iterable[type[R]],
        types: Iterable[OwnType] = (),
    ) -> None:
        """Prepare the classes. An abstract class has no records of its own.

        Raises:
            NotARecordClass: one of them is none, or no subclass, or two have the same tag.
        """
        name = getattr(record_class, "__qualname__", repr(record_class))
        own: tuple[OwnType, ...] = tuple(types)
        others: tuple[Any, ...] = tuple(subclasses)
        for cls in others:
            if not isinstance(cls, type) or not issubclass(cls, record_class):
                told = getattr(cls, "__qualname__", repr(cls))
                raise NotARecordClass(told, f"it is no subclass of {name}")
        members = [cls for cls in (record_class, *others) if not inspect.isabstract(cls)]
        if not members:
            raise NotARecordClass(name, "it is abstract, and has no subclasses that are not")
        self.record_class = record_class
        self._codecs: dict[type[Any], Codec[Any]] = {cls: Codec(cls, own) for cls in members}
        self._by_tag: dict[str, type[Any]] = classes_by_tag(self._codecs, name, "its subclasses")
        self._tags = {cls: tags_of(cls)[0] for cls in self._codecs}
        self.classes: frozenset[type[Any]] = frozenset(self._codecs)
        self.is_immutable = all(codec.is_immutable for codec in self._codecs.values())
        self._made_of = (record_class, others, own)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as what it was made of: its code is made again."""
        return FamilyCodec, self._made_of

    def encode(self, record: R) -> dict[str, Any]:
        """See `Codec.encode`."""
        document = self._codec(record).encode(record)
        if TAG in document:
            reason = "it is the name of the class, so no unknown field can have this name"
            raise EncodeError(f"$.{TAG}", reason)
        return {TAG: self._tags[type(record)], **document}

    def encode_checked(self, record: R) -> dict[str, Any]:
        """See `Codec.encode_checked`. Nothing is known of the document."""
        return self.encode(record)

    def read_exact(self, document: Mapping[str, Any]) -> R | None:
        """See `Codec.read_exact`."""
        cls = self._by_tag.get(str(document.get(TAG)))
        if cls is None or document[TAG] != self._tags[cls]:
            return None
        read: R | None = self._codecs[cls].read_exact(_untagged(document))
        return read

    def decode(self, document: Mapping[str, Any]) -> tuple[R, FrozenDict]:
        """See `Codec.decode`."""
        return self._codecs[self._class_of(document)].decode(_untagged(document))

    def patch(self, key: Key, old: R, new: R, *, check: bool) -> Patch | None:
        """See `Codec.patch`. A record of another class is written whole."""
        if type(old) is not type(new):
            return None
        return self._codec(new).patch(key, old, new, check=check)

    def patched(self, record: R, patches: Iterable[Patch]) -> R | None:
        """See `Codec.patched`."""
        return self._codec(record).patched(record, patches)

    def knows(self, document: Mapping[str, Any]) -> bool:
        """See `Codec.knows`."""
        try:
            cls = self._class_of(document)
        except Misfit:
            return False
        return self._codecs[cls].knows(_untagged(document))

    def check_round_trip(self, record: R, document: Mapping[str, Any]) -> None:
        """See `Codec.check_round_trip`."""
        self._codec(record).check_round_trip(record, _untagged(document))

    # --- inside -----------------------------------------------------------------------

    def _codec(self, record: R) -> Codec[Any]:
        codec = self._codecs.get(type(record))
        if codec is None:
            names = ", ".join(sorted(cls.__name__ for cls in self._codecs))
            reason = f"it is a {type(record).__name__}, where one of {names} belongs"
            raise EncodeError("$", reason)
        return codec

    def _class_of(self, document: Mapping[str, Any]) -> type[Any]:
        tag = document.get(TAG)
        if TAG not in document and self.record_class in self._codecs:
            return self.record_class
        cls = self._by_tag.get(tag) if type(tag) is str else None
        if cls is None:
            what = "it is none of" if TAG in document else "it is missing, and one of"
            raise Misfit([f"{what}: {listed(self._by_tag)} at $.{TAG}"])
        return cls


def codec_for(
    record_class: type[R], subclasses: tuple[type[R], ...], types: tuple[OwnType, ...]
) -> Codec[R] | FamilyCodec[R]:
    """Return what reads and writes records of a class, and of some of its subclasses.

    Raises:
        NotARecordClass: as `Codec` and `FamilyCodec`.
    """
    if subclasses:
        return FamilyCodec(record_class, subclasses, types)
    return Codec(record_class, types) if types else codec_of(record_class)


def _untagged(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != TAG}
