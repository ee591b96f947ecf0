"""Records ↔ documents: what a class's fields look like when they are stored.

Strict both ways: nothing is converted silently. A number where a text belongs, a text where a list
belongs, an unknown enum value: each is a problem with a path, and the record stays where it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import (
    Any,
    Generic,
    TypeVar,
    get_origin,
    get_type_hints,
)
from weakref import WeakKeyDictionary

import attrs
import cattrs
import orjson

from statestore.errors import EncodeError, NotARecordClass, StateStoreError
from statestore.models.changes import Patch
from statestore.models.documents import (
    CheckedDict,
    FrozenDict,
    dumps_checked,
    freeze_mapping,
)
from statestore.models.keys import Key
from statestore.records.classes import field_names
from statestore.records.columns import Columns, columns_of
from statestore.records.immutability import is_immutable
from statestore.records.known import check_types
from statestore.records.misfit import Misfit
from statestore.records.own_types import OwnType, checked_types
from statestore.records.patches import Patcher
from statestore.records.plainness import Test, plainness_of
from statestore.records.shapes import extra_field_of, made_converter, shape_converter

R = TypeVar("R")


class Codec(Generic[R]):
    """Turns records of one class into documents and back. Without state: any thread may use it.

    Texts, integers, floats, booleans, None, lists, tuples, dicts with text keys, nested attrs
    classes, enums (as their values), `datetime` (RFC 3339), `date`, `timedelta` (seconds), `bytes`
    (base64), `UUID`, `Decimal`, paths and sets (as sorted lists) are stored. A field of type `Any`
    takes only what JSON has; anything else in it is refused, as it would come back as another type.
    """

    def __init__(self, record_class: type[R], types: Iterable[OwnType] = ()) -> None:
        """Prepare the class.

        Args:
            types: how values of classes of the host's own are stored.
        Raises:
            NotARecordClass: it is no attrs class with an `id: str`, or has a field whose values
                cannot be stored.
        """
        self.record_class = record_class
        self.classes: frozenset[type[Any]] = frozenset({record_class})
        """Those that a record may be of."""
        name = getattr(record_class, "__qualname__", repr(record_class))
        if not attrs.has(record_class):
            raise NotARecordClass(name, "it is no attrs class; decorate it with @attrs.frozen")
        try:
            self._hints = get_type_hints(record_class)
        except NameError as error:
            raise NotARecordClass(name, f"a type in it is not known: {error}") from error
        if self._hints.get("id") is not str:
            raise NotARecordClass(name, "it has no field `id: str`")
        self._plain_class: type[Any] = get_origin(record_class) or record_class
        fields = attrs.fields(self._plain_class)
        self._names = frozenset(field.name for field in fields if field.init)
        self._extra = extra_field_of(record_class)
        self._is_plain: Test | None = None
        own = checked_types(types, name)
        self._types = tuple(own.values())
        if own:
            plain, detailed = (made_converter(detailed=how, own=own) for how in (False, True))
        else:
            plain, detailed = (shape_converter(detailed=how) for how in (False, True))
        self._converter = plain
        try:
            check_types(record_class, plain)
            self.is_immutable = is_immutable(record_class, own)
            self._encode = plain.get_unstructure_hook(record_class)
            self._decode = plain.get_structure_hook(record_class)
            self._explain = detailed.get_structure_hook(record_class)
            self._columns: Columns[R] | None = None if own else columns_of(record_class)
            self._patcher = Patcher(record_class, plain) if self.is_immutable else None
        except NameError as error:
            raise NotARecordClass(name, f"a type within it is not known: {error}") from error
        except (cattrs.errors.StructureHandlerNotFoundError, TypeError, ValueError) as error:
            if isinstance(error, StateStoreError):
                raise
            raise NotARecordClass(name, f"its fields cannot be stored: {error}") from error

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as what it was made of: its code is made again."""
        if self._types:
            return Codec, (self.record_class, self._types)
        return codec_of, (self.record_class,)

    def encode(self, record: R) -> dict[str, Any]:
        """Return a record as a document, its fields in the order of the class.

        Raises:
            EncodeError: a value of it cannot be stored.
        """
        try:
            encoded: dict[str, Any] = self._encode(record)
        except Exception as error:  # a class of the host may raise anything
            raise self._refusal(record, error) from error
        return encoded

    def encode_checked(self, record: R) -> dict[str, Any]:
        """Do as `encode`, for a class that checks its fields when a record is made.

        The document says of itself that it needs no look, where it is known to need none.

        Raises:
            EncodeError: a value of it cannot be stored.
        """
        if self._is_plain is None:
            self._is_plain = plainness_of(self._plain_class)
        document = self.encode(record)
        return CheckedDict(document) if self._is_plain(record) else document

    def read_exact(self, document: Mapping[str, Any]) -> R | None:
        """Return the record that a document holds, if it is what `encode` gives of it.

        None says nothing: it may be so all the same, or the document may not even fit the class.
        """
        if self._columns is None:
            return None
        try:
            return self._columns.read([document])[0]
        except Exception:  # noqa: BLE001 # the strict way, `decode`, says what is wrong and where
            return None

    def decode(self, document: Mapping[str, Any]) -> tuple[R, FrozenDict]:
        """Return the record that a document holds, and its fields that the class has none for.

        Raises:
            Misfit: it does not fit the class.
        """
        unknown = FrozenDict()
        if self._extra is None and not self._names.issuperset(document):
            unknown = freeze_mapping({k: v for k, v in document.items() if k not in self._names})
            document = {k: v for k, v in document.items() if k in self._names}
        try:
            record: R = self._decode(document, self.record_class)
        except Exception as error:
            raise Misfit(self._problems(document, error)) from error
        return record, unknown

    def patch(self, key: Key, old: R, new: R, *, check: bool) -> Patch | None:
        """Return what makes the document of `new` from that of `old`, if it is a small change.

        See `Patcher.patch`.
        """
        return None if self._patcher is None else self._patcher.patch(key, old, new, check=check)

    def patched(self, record: R, patches: Iterable[Patch]) -> R | None:
        """Return a record as patches have made it; None if only the whole document tells.

        See `Patcher.patched`.
        """
        for patch in patches:
            if self._patcher is None:
                return None
            changed: R | None = self._patcher.patched(record, patch)
            if changed is None:
                return None
            record = changed
        return record

    def knows(self, document: Mapping[str, Any]) -> bool:
        """Say whether the class has a field, or a place, for each field of a document."""
        return self._extra is not None or self._names.issuperset(document)

    def check_round_trip(self, record: R, document: Mapping[str, Any]) -> None:
        """Check that a record will be read back from its document as the same.

        Compared are the document that the one read back gives and, where the class has `eq`, the
        values of its fields.

        Raises:
            EncodeError: a value cannot be stored, or would come back as something else.
        """
        data = dumps_checked(document)
        try:
            back, unknown = self.decode(orjson.loads(data))
        except Misfit as error:
            what, _, where = error.problems[0].rpartition(" at $")
            if not what or len(error.problems) > 1:
                raise EncodeError("$", "; ".join(error.problems)) from error
            raise EncodeError(f"${where}", what) from error
        again = {**self.encode(back), **unknown}
        for name, value in document.items():
            if orjson.dumps(again.get(name)) != orjson.dumps(value):
                raise EncodeError(f"$.{name}", "it would be read back as something else")
        if not attrs.inspect(self._plain_class).added_eq:
            return
        for field in attrs.fields(self._plain_class):
            mine, read = getattr(record, field.name), getattr(back, field.name)
            if field.eq and not _is_same(mine, read):
                reason = f"it would be read back as something else, a {type(read).__name__}"
                raise EncodeError(f"$.{field.name}", reason)

    def _refusal(self, record: R, error: Exception) -> EncodeError:
        """Return what is told of a record that cannot be written: the field in which it is."""
        where, cause = "$", error
        names = field_names(self._plain_class) if type(record) is self._plain_class else ()
        for name in names:
            try:
                self._converter.unstructure(getattr(record, name), self._hints[name])
            except Exception as found:  # noqa: BLE001 # the one that is looked for
                where, cause = f"$.{name}", found
                break
        if isinstance(cause, EncodeError):
            return EncodeError(f"{where}{cause.where[1:]}", cause.reason)
        return EncodeError(where, f"its class cannot be written ({type(cause).__name__})")

    def _problems(self, document: Mapping[str, Any], error: Exception) -> list[str]:
        try:
            self._explain(document, self.record_class)
        except Exception as explained:  # noqa: BLE001 # to be told in the words of a Misfit
            problems = cattrs.transform_error(explained, format_exception=_worded)
            return [problem.replace(" @ $", " at $") for problem in problems]
        return [f"it cannot be read ({type(error).__name__})"]


# A codec is made of generated code, which takes milliseconds to make. It goes with its class.
_CODECS: WeakKeyDictionary[type[Any], Codec[Any]] = WeakKeyDictionary()


def codec_of(record_class: type[R]) -> Codec[R]:
    """Return the codec of a class, which is made once.

    Raises:
        NotARecordClass: as `Codec`.
    """
    try:
        codec: Codec[R] | None = _CODECS.get(record_class)
        if codec is None:
            codec = _CODECS[record_class] = Codec(record_class)
    except TypeError:  # a generic class with its arguments, which nothing can go with
        return Codec(record_class)
    return codec


def _is_same(value: Any, other: Any) -> bool:
    try:
        return bool(value == other)
    except Exception:  # noqa: BLE001 # what a class of the host does when it is compared
        return False


def _worded(error: BaseException, type_: type | None) -> str:
    """Say what is wrong with a field, without its value."""
    if isinstance(error, Misfit):
        return "; ".join(error.problems)
    if isinstance(error, KeyError):
        return "a required field is missing"
    wanted = getattr(type_, "__name__", None)
    return f"it is no {wanted}" if wanted else f"its class refuses it ({type(error).__name__})"
