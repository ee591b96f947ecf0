"""Types of fields: what can be stored comes back in every format, what cannot is told by field."""

import collections
import dataclasses
import fractions
import ipaddress
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum, IntFlag, StrEnum
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any, Literal, NamedTuple, NewType, TypedDict
from zoneinfo import ZoneInfo

import attrs
import pytest

from statestore import EncodeError, Manager, NotARecordClass, SaveFailed, Store
from statestore.managers import FrozenDict
from statestore.records.codec import Codec
from statestore.records.immutability import is_immutable
from statestore.records.misfit import Misfit


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 20


class Word(StrEnum):
    YES = "yes"
    NO = "no"


class Share(Enum):
    HALF = 0.5
    ALL = 1.0


class Rights(Flag):
    READ = 1
    WRITE = 2


class Bits(IntFlag):
    ONE = 1
    TWO = 2


@attrs.frozen
class Point:
    x: int
    y: float = 0.5


@dataclasses.dataclass(frozen=True)
class Span:
    begins: datetime
    note: str = ""


@dataclasses.dataclass(frozen=True)
class NamedSpan(Span):
    name: str = "n"


class Pair(NamedTuple):
    left: int
    right: Color = Color.RED


Loose = collections.namedtuple("Loose", "a b")  # a class without types is the point


class Options(TypedDict, total=False):
    word: Word
    count: int


Meters = NewType("Meters", int)
Ticket = NewType("Ticket", uuid.UUID)

AT = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
ID = uuid.UUID(int=7)

GOOD = {
    "text": (str, "ä"),
    "integer": (int, -5),
    "float": (float, 1.0),
    "flag": (bool, True),
    "enum": (Color, Color.BLUE),
    "int_enum": (Level, Level.HIGH),
    "str_enum": (Word, Word.NO),
    "float_enum": (Share, Share.ALL),
    "flags": (Rights, Rights.READ | Rights.WRITE),
    "int_flags": (Bits, Bits(0)),
    "datetime": (datetime, AT),
    "date": (date, date(2026, 1, 2)),
    "time": (time, time(1, 2, 3, 4)),
    "time_of_a_zone": (time, time(1, 2, tzinfo=timezone(timedelta(hours=-5)))),
    "timedelta": (timedelta, timedelta(days=-1, microseconds=3)),
    "uuid": (uuid.UUID, ID),
    "decimal": (Decimal, Decimal("1E+5")),
    "decimal_zero": (Decimal, Decimal("-0.00")),
    "decimal_long": (Decimal, Decimal("0.1234567890123456789012345678901234567890")),
    "path": (Path, Path("/a/b")),
    "pure_path": (PurePath, PurePath("c")),
    "posix_path": (PurePosixPath, PurePosixPath("c")),
    "windows_path": (PureWindowsPath, PureWindowsPath("c\\d")),
    "bytes": (bytes, b"\x00\xff"),
    "bytearray": (bytearray, bytearray(b"\x01")),
    "set": (set[int], {10, 9}),
    "frozenset": (frozenset[uuid.UUID], frozenset({ID})),
    "empty_tuple": (tuple[()], ()),
    "tuple": (tuple[int, str], (1, "a")),
    "tuples": (tuple[tuple[Color, ...], ...], ((Color.RED,), ())),
    "list": (list[date], [date(2026, 1, 2)]),
    "deque": (collections.deque[int], collections.deque([1])),
    "mapping": (Mapping[str, int], {"a": 1}),
    "dict_int": (dict[int, str], {1: "a", -20: "b", 0: ""}),
    "dict_int_enum": (dict[Level, int], {Level.HIGH: 1}),
    "dict_enum": (dict[Color, Level], {Color.RED: Level.LOW}),
    "dict_str_enum": (dict[Word, int], {Word.YES: 1}),
    "dict_uuid": (dict[uuid.UUID, int], {ID: 1}),
    "dict_date": (dict[date, int], {date(2026, 1, 2): 1}),
    "dict_literal": (dict[Literal["a"], int], {"a": 1}),
    "frozen_dict": (FrozenDict, FrozenDict(a=1)),
    "attrs": (Point, Point(1)),
    "dataclass": (Span, Span(AT)),
    "named_tuple": (Pair, Pair(1, Color.BLUE)),
    "loose_tuple": (Loose, Loose(1, "b")),
    "typed_dict": (Options, {"word": Word.YES, "count": 2}),
    "new_type": (Meters, Meters(5)),
    "new_type_uuid": (Ticket, Ticket(ID)),
    "literal": (Literal["a", 1], 1),
    "literal_enum": (Literal[Color.RED], Color.RED),
    "scalars": (int | str, "a"),
    "number": (int | float, 1),
    "class_or_text": (Point | str, Point(2)),
    "text_not_class": (Point | str, "a"),
    "list_or_text": (list[int] | str, [1]),
    "any": (Any, {"a": [1, None, 2.5]}),
    "object": (object, [True]),
}


def fields_of(type_):
    """Return a record class with a field of a type, and with fields that hold values of it."""
    optional = type_ | None
    return attrs.make_class(
        "Sample",
        {
            "id": attrs.field(type=str),
            "one": attrs.field(type=type_),
            "listed": attrs.field(type=list[type_]),
            "maybe": attrs.field(type=optional),
            "named": attrs.field(type=dict[str, type_]),
        },
        frozen=True,
    )


SAMPLES = {name: fields_of(type_) for name, (type_, _) in GOOD.items()}


def samples(name):
    value = GOOD[name][1]
    make = SAMPLES[name]
    return make("full", value, [value, value], value, {"k": value}), make(
        "empty", value, [], None, {}
    )


def same_types(one, other):
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return all(
            same_types(*pair)
            for pair in zip([*one, *one.values()], [*other, *other.values()], strict=True)
        )
    if isinstance(one, list | tuple):
        return all(map(same_types, one, other))
    return True


@pytest.mark.parametrize("name", GOOD)
def test_value_comes_back_as_it_was(name):
    codec = Codec(SAMPLES[name])
    for record in samples(name):
        document = codec.encode(record)
        codec.check_round_trip(record, document)

        again, unknown = codec.decode(document)

        assert again == record
        assert unknown == {}
        for field in attrs.fields(SAMPLES[name]):
            assert same_types(getattr(again, field.name), getattr(record, field.name))


@pytest.mark.parametrize("format", ["json", "compact", "gzip", "yaml"])
def test_values_of_all_types_come_back_from_files_of_a_format(tmp_path, format):
    kinds = [name.replace("_", "-") for name in GOOD]
    with Store(tmp_path / "s", format=format) as store:
        for kind, name in zip(kinds, GOOD, strict=True):
            manager = store.register(Manager(kind, SAMPLES[name]))
            for record in samples(name):
                manager.add(record)
        store.save_all()
        store.flush()

    with Store(tmp_path / "s", format=format) as store:
        managers = {
            kind: store.register(Manager(kind, SAMPLES[n]))
            for kind, n in zip(kinds, GOOD, strict=True)
        }
        report = store.load_all()

        assert report.failures == ()
        for kind, name in zip(kinds, GOOD, strict=True):
            for record in samples(name):
                again = managers[kind][record.id]
                assert again == record, name
                assert same_types(again.one, record.one), name
        assert store.save_all().items == 0


def test_shapes_are_the_documented_ones():
    def stored(name):
        return Codec(SAMPLES[name]).encode(samples(name)[0])["one"]

    assert stored("time") == "01:02:03.000004"
    assert stored("time_of_a_zone") == "01:02:00-05:00"
    assert stored("bytearray") == "AQ=="
    assert stored("dict_int") == {"1": "a", "-20": "b", "0": ""}
    assert stored("dict_int_enum") == {"20": 1}
    assert stored("named_tuple") == {"left": 1, "right": "blue"}
    assert stored("dataclass") == {"begins": "2026-01-02T03:04:05.000006Z", "note": ""}
    assert stored("windows_path") == "c\\d"


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("dict_int", {"01": "a"}),
        ("dict_int", {"1.0": "a"}),
        ("dict_int", {" 1": "a"}),
        ("dict_int", {"9" * 30: "a"}),
        ("dict_int_enum", {"2": 1}),
        ("dict_int_enum", {"LOW": 1}),
        ("named_tuple", [1, "red"]),
        ("named_tuple", {"right": "red"}),
        ("named_tuple", {"left": 1, "more": 2}),
        ("dataclass", {"begins": "2026-01-02T03:04:05Z", "more": 2}),
        ("dataclass", ["2026-01-02T03:04:05Z"]),
        ("typed_dict", [1]),
        ("typed_dict", {"word": "perhaps"}),
        ("time", "25:00"),
        ("decimal", "NaN"),
        ("bytearray", "AQ"),
    ],
)
def test_what_is_not_stored_so_is_not_read(name, document):
    codec = Codec(SAMPLES[name])
    whole = {**codec.encode(samples(name)[0]), "one": document}

    with pytest.raises(Misfit) as raised:
        codec.decode(whole)

    assert all("$.one" in problem for problem in raised.value.problems)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("decimal", Decimal("NaN")),
        ("decimal", Decimal("sNaN")),
        ("integer", 3.0),
        ("integer", True),
        ("bytes", bytearray(b"a")),
        ("bytearray", b"a"),
        ("text", Word.NO),
        ("date", AT),
        ("time", time(1, tzinfo=ZoneInfo("Europe/Berlin"))),
        ("dict_int", {True: "a"}),
        ("dict_int", {"1": "a"}),
        ("dataclass", NamedSpan(AT)),
        ("named_tuple", (1, Color.RED)),
        ("any", {1: 2}),
        ("object", fractions.Fraction(1, 3)),
        ("any", AT),
    ],
)
def test_value_that_would_not_come_back_is_refused_with_its_field(name, value):
    codec = Codec(SAMPLES[name])
    record = attrs.evolve(samples(name)[1], one=value)

    with pytest.raises(EncodeError) as raised:
        codec.check_round_trip(record, codec.encode(record))

    assert raised.value.where.startswith("$.one")


def test_whole_number_in_a_float_field_comes_back_as_a_float():
    codec = Codec(SAMPLES["float"])
    record = SAMPLES["float"]("1", 3, [3], None, {})

    assert type(codec.decode(codec.encode(record))[0].one) is float


# --- what cannot be stored at all -----------------------------------------------------


class Foreign:
    """A class of another library, as it may be."""


class OwnText(str):
    __slots__ = ()


class OwnTime(datetime):
    pass


class Places(Enum):
    HOME = (1, 2)


@attrs.frozen
class Holder:
    inner: Foreign


class Keys(TypedDict):
    inner: Foreign


BAD = {
    "foreign": (Foreign, "field 'x': its type Foreign is not known"),
    "listed": (list[Foreign], "field 'x': its type Foreign is not known"),
    "maybe": (Foreign | None, "field 'x': its type Foreign is not known"),
    "named": (dict[str, Foreign], "field 'x': its type Foreign is not known"),
    "within": (tuple[Holder, ...], "field 'x.inner': its type Foreign is not known"),
    "typed_dict": (Keys, "field 'x.inner': its type Foreign is not known"),
    "complex": (complex, "its type complex is not known"),
    "fraction": (fractions.Fraction, "its type Fraction is not known"),
    "address": (ipaddress.IPv4Address, "its type IPv4Address is not known"),
    "pattern": (re.Pattern, "its type Pattern is not known"),
    "callable": (Callable[[], int], "is not known"),
    "iterable": (Iterable[int], "is not known"),
    "a_class": (type, "its type type is not known"),
    "own_text": (OwnText, "a kind of str that would not come back"),
    "own_time": (OwnTime, "a kind of datetime that would not come back"),
    "float_keys": (dict[float, int], "keys of type float"),
    "bool_keys": (dict[bool, int], "keys of type bool"),
    "tuple_keys": (dict[tuple[int, int], int], "keys of type tuple"),
    "maybe_keys": (dict[str | None, int], "keys of type"),
    "time_or_text": (datetime | str, "datetime and str, which are both a text"),
    "enum_or_text": (Color | str, "which are both a text"),
    "two_enums": (Color | Word, "which are both a text"),
    "path_or_uuid": (Path | uuid.UUID, "which are both a text"),
    "class_or_dict": (Point | dict[str, int], "which are both a mapping"),
    "set_or_list": (set[int] | list[int], "which are both a list"),
    "enum_or_number": (Level | int, "which are both an integer"),
    "odd_enum": (Places, "whose values are not texts or numbers"),
}


@pytest.mark.parametrize("name", BAD)
def test_type_that_cannot_be_stored_is_refused_when_the_class_is_registered(name):
    type_, told = BAD[name]
    record_class = attrs.make_class("Odd", {"id": attrs.field(type=str), "x": field_of(type_)})

    with pytest.raises(NotARecordClass) as raised:
        Manager("odd", record_class)

    assert "class 'Odd'" in str(raised.value)
    assert "field 'x" in str(raised.value)
    assert told in str(raised.value)


def field_of(type_):
    return attrs.field(type=type_)


def test_refusal_of_a_type_says_what_to_do():
    record_class = attrs.make_class("Odd", {"id": field_of(str), "x": field_of(Foreign)})

    with pytest.raises(NotARecordClass, match=r"types=\[OwnType\(class, write, read\)\]"):
        Manager("odd", record_class)


def test_value_that_no_type_tells_of_is_refused_at_save_and_named(tmp_path):
    @attrs.frozen
    class Free:
        id: str
        x: Any = None

    with Store(tmp_path / "s") as store:
        manager = store.register(Manager("free", Free))
        manager.create(id="a", x=Foreign())
        manager.create(id="b", x=1)

        with pytest.raises(SaveFailed) as raised:
            store.save_all()

        (failure,) = raised.value.report.failures
        assert failure.key.id == "a"
        assert failure.error.where == "$.x"
        assert manager.unsaved == ("a",)
        manager.delete("a")


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        (time, True),
        (Span, True),
        (Pair, True),
        (Ticket, True),
        (Loose, False),
        (Options, False),
        (bytearray, False),
        (tuple[Span | Pair, ...], True),
        (dataclasses.make_dataclass("Open", [("a", int)]), False),
        (dataclasses.make_dataclass("OfList", [("a", list[int])], frozen=True), False),
    ],
    ids=str,
)
def test_types_that_cannot_change_are_known(type_, expected):
    assert is_immutable(type_) is expected
