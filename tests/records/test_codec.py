"""Records ↔ documents: every type comes back, and nothing is converted silently."""

import threading
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from pathlib import Path, PurePath
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import attrs
import orjson
import pytest
from hypothesis import strategies as st

from statestore import EncodeError, NotARecordClass
from statestore.managers import (
    Conversation,
    FocusChain,
    FrozenDict,
    Session,
    Task,
    extra_field,
)
from statestore.models.documents import freeze_mapping
from statestore.records.codec import Codec
from statestore.records.immutability import FROZEN, is_immutable
from statestore.records.misfit import Misfit
from statestore.records.shapes import EXTRA
from statestore.testing.strategies import documents, for_each, texts

SECRET = "s3cr3t"


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 20


class Word(StrEnum):
    YES = "yes"
    NO = "no"


class Mixed(str, Enum):  # noqa: UP042 # the older way to say it, which many hosts use
    A = "a"
    B = "b"


@attrs.frozen
class Point:
    x: float
    y: float | None = None


@attrs.frozen
class Everything:
    id: str
    text: str
    whole: int
    number: float
    flag: bool
    maybe: str | None
    either: int | str
    literal: Literal["one", "two"]
    listed: list[str]
    lists: dict[str, list[list[int]]]
    pair: tuple[str, int]
    numbers: tuple[float, ...]
    by_name: dict[str, int]
    point: Point
    points: tuple[Point, ...]
    named_points: dict[str, Point]
    maybe_point: Point | None
    color: Color
    level: Level
    word: Word
    mixed: Mixed
    words: list[Word]
    by_word: dict[Word, Level]
    maybe_mixed: Mixed | None
    at: datetime
    day: date
    span: timedelta
    data: bytes
    uuid: uuid.UUID
    amount: Decimal
    path: Path
    pure: PurePath
    names: set[str]
    codes: frozenset[int]
    frozen: FrozenDict
    anything: Any


def _floats():
    return st.floats(allow_nan=False, allow_infinity=False)


def _integers():
    return st.integers(-(2**63), 2**64 - 1)


def _points():
    return st.builds(Point, _floats(), st.none() | _floats())


_HUNDRED_YEARS = timedelta(days=36500)

EVERYTHING = st.builds(
    Everything,
    id=texts().filter(bool),
    text=texts(),
    whole=_integers(),
    number=_floats(),
    flag=st.booleans(),
    maybe=st.none() | texts(),
    either=_integers() | texts(),
    literal=st.sampled_from(["one", "two"]),
    listed=st.lists(texts(), max_size=3),
    lists=st.dictionaries(texts(), st.lists(st.lists(_integers(), max_size=2), max_size=2)),
    pair=st.tuples(texts(), _integers()),
    numbers=st.lists(_floats(), max_size=3).map(tuple),
    by_name=st.dictionaries(texts(), _integers(), max_size=3),
    point=_points(),
    points=st.lists(_points(), max_size=3).map(tuple),
    named_points=st.dictionaries(texts(), _points(), max_size=2),
    maybe_point=st.none() | _points(),
    color=st.sampled_from(Color),
    level=st.sampled_from(Level),
    word=st.sampled_from(Word),
    mixed=st.sampled_from(Mixed),
    words=st.lists(st.sampled_from(Word), max_size=3),
    by_word=st.dictionaries(st.sampled_from(Word), st.sampled_from(Level)),
    maybe_mixed=st.none() | st.sampled_from(Mixed),
    at=st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5))])).filter(
        lambda moment: 1 < moment.year < 9999
    ),
    day=st.dates(),
    span=st.timedeltas(-_HUNDRED_YEARS, _HUNDRED_YEARS),
    data=st.binary(max_size=20),
    uuid=st.uuids(),
    amount=st.decimals(allow_nan=False),
    path=texts().map(Path),
    pure=texts().map(PurePath),
    names=st.sets(texts(), max_size=4),
    codes=st.frozensets(_integers(), max_size=4),
    frozen=st.dictionaries(texts(), _integers(), max_size=3).map(FrozenDict),
    anything=documents(),
)


def everything(**fields):
    values = {
        "id": "e",
        "text": "t",
        "whole": 1,
        "number": 1.5,
        "flag": True,
        "maybe": None,
        "either": 1,
        "literal": "one",
        "listed": ["a"],
        "lists": {"k": [[1]]},
        "pair": ("a", 1),
        "numbers": (1.0,),
        "by_name": {"a": 1},
        "point": Point(1.0),
        "points": (Point(1.0), Point(2.0, 3.0)),
        "named_points": {"p": Point(1.0)},
        "maybe_point": None,
        "color": Color.RED,
        "level": Level.LOW,
        "word": Word.YES,
        "mixed": Mixed.A,
        "words": [Word.NO],
        "by_word": {Word.YES: Level.HIGH},
        "maybe_mixed": Mixed.B,
        "at": datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
        "day": date(2026, 1, 2),
        "span": timedelta(seconds=1.5),
        "data": b"\x00\xff",
        "uuid": uuid.UUID(int=1),
        "amount": Decimal("1.10"),
        "path": Path("/a/b"),
        "pure": PurePath("c"),
        "names": {"b", "a"},
        "codes": frozenset({10, 9}),
        "frozen": FrozenDict(a=1),
        "anything": None,
    }
    return Everything(**{**values, **fields})


CODEC = Codec(Everything)


def check(codec, record):
    codec.check_round_trip(record, codec.encode(record))


# --- round trips ----------------------------------------------------------------------


@for_each(record=EVERYTHING)
def test_every_type_comes_back_as_it_was(record):
    document = CODEC.encode(record)
    CODEC.check_round_trip(record, document)

    again, unknown = CODEC.decode(orjson.loads(orjson.dumps(document)))

    assert again == record
    assert unknown == {}
    for field in attrs.fields(Everything):
        value = getattr(record, field.name)
        assert type(getattr(again, field.name)) is type(value), field.name


def test_stored_shapes_are_the_documented_ones():
    document = CODEC.encode(everything())

    assert list(document) == [field.name for field in attrs.fields(Everything)]
    plain = {
        "pair": ("a", 1),
        "point": {"x": 1.0, "y": None},
        "color": "red",
        "level": 1,
        "word": "yes",
        "mixed": "a",
        "words": ["no"],
        "by_word": {"yes": 20},
        "maybe_mixed": "b",
        "at": "2026-01-02T03:04:05.000006Z",
        "day": "2026-01-02",
        "span": 1.5,
        "data": "AP8=",
        "uuid": "00000000-0000-0000-0000-000000000001",
        "amount": "1.10",
        "path": "/a/b",
        "pure": "c",
        "names": ["a", "b"],
    }
    assert {name: document[name] for name in plain} == plain


@pytest.mark.parametrize("name", ["level", "word", "mixed", "maybe_mixed"])
def test_enum_that_is_a_text_or_a_number_too_is_written_as_its_plain_value(name):
    value = CODEC.encode(everything())[name]

    assert type(value) in (str, int)


@pytest.mark.parametrize("name", ["level", "word", "mixed", "color"])
def test_enum_that_is_a_text_or_a_number_too_is_read_as_a_member(name):
    record = everything()

    again, _ = CODEC.decode(CODEC.encode(record))

    assert isinstance(getattr(again, name), Enum)
    assert isinstance(again.words[0], Word)
    assert all(isinstance(key, Word) for key in again.by_word)
    assert isinstance(again.by_word[Word.YES], Level)
    assert isinstance(again.maybe_mixed, Mixed)


def test_whole_number_in_a_float_field_is_stored_as_a_float():
    record = everything(number=2, numbers=(3, 4.5), point=Point(1))
    document = CODEC.encode(record)

    assert type(document["number"]) is float
    assert [type(number) for number in document["numbers"]] == [float, float]
    assert type(document["point"]["x"]) is float
    CODEC.check_round_trip(record, document)


def test_whole_number_that_was_written_by_hand_is_read_as_a_float():
    document = {**CODEC.encode(everything()), "number": 2}

    record, _ = CODEC.decode(document)

    assert type(record.number) is float
    assert record.number == 2.0


def test_equal_sets_are_stored_alike():
    one = CODEC.encode(everything(names=set("abcdefgh"), codes=frozenset(range(20))))
    other = CODEC.encode(everything(names=set("hgfedcba"), codes=frozenset(range(19, -1, -1))))

    assert one == other
    assert one["names"] == list("abcdefgh")


def test_time_of_another_zone_is_stored_in_utc():
    east = datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=2)))

    assert CODEC.encode(everything(at=east))["at"] == "2025-12-31T23:00:00.000000Z"


# --- strictness -----------------------------------------------------------------------

WRONG = {
    "text": [1, None, True, [SECRET], {"a": SECRET}],
    "whole": [SECRET, 1.0, True, None],
    "number": [SECRET, True, None],
    "flag": [SECRET, 0, 1, None],
    "maybe": [1, [SECRET]],
    "either": [1.5, [SECRET], None],
    "literal": [SECRET, 1],
    "listed": [SECRET, {SECRET: 1}, [1], None, 3],
    "lists": [{"k": SECRET}, {"k": [SECRET]}, {"k": [{SECRET: 1}]}, [SECRET], {"k": [[SECRET]]}],
    "pair": [SECRET, ["a"], ["a", 1, 2], ["a", SECRET], {"a": SECRET}],
    "numbers": [SECRET, [SECRET], [True]],
    "by_name": [SECRET, [SECRET], {"a": SECRET}],
    "point": [SECRET, [SECRET], {}, {"x": SECRET}, {"y": 1.0}, None],
    "points": [SECRET, [SECRET], {"x": 1.0}, [{"x": SECRET}]],
    "named_points": [SECRET, {"p": SECRET}, {"p": {"x": SECRET}}],
    "maybe_point": [SECRET, {"x": SECRET}],
    "color": [SECRET, 1, None],
    "level": [SECRET, 2, True, 1.0, None],
    "word": [SECRET, True, None],
    "mixed": [SECRET, 1, None],
    "words": [SECRET, [SECRET]],
    "by_word": [SECRET, {SECRET: 1}, {"yes": 3}],
    "maybe_mixed": [SECRET],
    "at": [SECRET, 1.0, "2026-01-02T03:04:05", "2026-13-02T03:04:05Z", None],
    "day": [SECRET, 20260101, "2026-02-30"],
    "span": [SECRET, True, None],
    "data": [SECRET + "*", 1, "AP8"],
    "uuid": [SECRET, 1],
    "amount": [SECRET, 1.1],
    "path": [1, None],
    "pure": [1],
    "names": [SECRET, {SECRET: 1}, [1]],
    "codes": [SECRET, [SECRET]],
    "frozen": [SECRET, [SECRET], None],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_wrong_value_is_refused_with_its_field_and_without_the_value(name, value):
    document = {**CODEC.encode(everything()), name: value}

    with pytest.raises(Misfit) as raised:
        CODEC.decode(document)

    (problem,) = raised.value.problems
    assert name in problem
    assert " at $" in problem
    told = problem.partition(" at $")[0]  # a path may have the key of a mapping in it
    assert SECRET not in told


def test_wrong_table_covers_every_field_but_the_free_one():
    fields = {field.name for field in attrs.fields(Everything)}

    assert fields - WRONG.keys() == {"id", "anything"}


def test_missing_required_field_is_named():
    document = CODEC.encode(everything())
    del document["whole"]

    with pytest.raises(Misfit) as raised:
        CODEC.decode(document)

    assert raised.value.problems == ("a required field is missing at $.whole",)


def test_every_problem_is_told_with_its_path():
    document = {
        **CODEC.encode(everything()),
        "whole": SECRET,
        "points": [{"x": 1.0}, {"x": SECRET}, {}],
        "named_points": {"p": {"x": 1.0, "y": SECRET}},
    }

    with pytest.raises(Misfit) as raised:
        CODEC.decode(document)

    paths = {problem.rpartition(" at ")[2] for problem in raised.value.problems}
    assert paths == {"$.whole", "$.points[1].x", "$.points[2].x", "$.named_points['p'].y"}
    assert SECRET not in "".join(raised.value.problems)


@pytest.mark.parametrize("document", [[], "text", 1, None])
def test_what_is_no_mapping_is_refused(document):
    @attrs.frozen
    class Holder:
        id: str
        points: dict[str, Point]

    with pytest.raises(Misfit):
        Codec(Holder).decode({"id": "1", "points": {"p": document}})


# --- what cannot be stored ------------------------------------------------------------


@attrs.frozen
class Free:
    id: str
    anything: Any = None


@pytest.mark.parametrize(
    "value",
    [
        {1, 2},
        datetime(2026, 1, 1, tzinfo=UTC),
        b"bytes",
        uuid.UUID(int=1),
        Decimal(1),
        Path("x"),
        Point(1.0),
        Word.YES,
        Level.LOW,
        object(),
        {1: "a"},
        float("nan"),
        2**64,
        "\ud800",
    ],
    ids=lambda value: ascii(value)[:20],
)
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: {"deep": [v]}], ids=["bare", "deep"])
def test_what_json_has_not_is_refused_in_a_field_of_any_type(value, wrap):
    codec = Codec(Free)

    with pytest.raises(EncodeError) as raised:
        check(codec, Free("1", wrap(value)))

    assert raised.value.where.startswith("$.anything")


def test_value_of_another_type_than_its_field_is_refused_at_save():
    codec = Codec(Everything)

    for change in ({"text": 5}, {"flag": 1}, {"listed": SECRET}, {"point": {"x": 1.0}}):
        with pytest.raises(EncodeError) as raised:
            check(codec, attrs.evolve(everything(), **change))
        assert SECRET not in str(raised.value)


def test_converter_that_changes_what_was_stored_is_found_out():
    @attrs.frozen
    class Drifting:
        id: str
        count: int = attrs.field(default=0, converter=lambda value: value + 1)

    codec = Codec(Drifting)

    with pytest.raises(EncodeError, match="read back as something else"):
        check(codec, Drifting("1", 4))


def test_span_that_would_lose_its_microseconds_is_refused():
    whole = timedelta(days=400 * 365)

    assert CODEC.decode(CODEC.encode(everything(span=whole)))[0].span == whole
    with pytest.raises(EncodeError, match="too long"):
        CODEC.encode(everything(span=whole + timedelta(microseconds=1)))


def test_time_without_a_zone_is_refused():
    with pytest.raises(EncodeError, match="zone"):
        CODEC.encode(everything(at=datetime(2026, 1, 1)))  # noqa: DTZ001 # that is the point


# --- unknown fields -------------------------------------------------------------------


@attrs.frozen
class Leaf:
    name: str
    extra: FrozenDict = extra_field()
    last: int = 0


@attrs.frozen
class Keeper:
    id: str
    leaves: tuple[Leaf, ...] = ()
    extra: FrozenDict = extra_field()
    end: str = ""


def test_unknown_fields_are_kept_at_any_depth_and_written_back_at_their_place():
    document = {
        "id": "1",
        "leaves": [{"name": "a", "color": "red", "nested": {"k": [1, None]}, "last": 2}],
        "added": [1, {"x": 2}],
        "end": "e",
    }
    codec = Codec(Keeper)

    record, unknown = codec.decode(document)

    assert unknown == {}
    assert record.extra == {"added": (1, {"x": 2})}
    assert record.leaves[0].extra["color"] == "red"
    again = codec.encode(record)
    assert orjson.dumps(again) == orjson.dumps(document)
    codec.check_round_trip(record, again)


@pytest.mark.parametrize("value", [1, "text", {"cost": 0.5}, [], None])
def test_unknown_field_called_as_the_field_that_keeps_them_comes_back(value):
    codec = Codec(Keeper)
    document = {
        "id": "1",
        "leaves": [{"name": "a", "extra": value, "last": 0}],
        "extra": value,
        "end": "",
    }

    record, _ = codec.decode(document)

    assert record.extra == {"extra": () if value == [] else value}
    assert orjson.dumps(codec.encode(record)) == orjson.dumps(document)


def test_extra_may_not_stand_for_a_field():
    @attrs.frozen
    class Unchecked:
        id: str
        extra: FrozenDict = attrs.field(converter=freeze_mapping, metadata={EXTRA: True})
        end: str = ""

    with pytest.raises(ValueError, match=r"extra\.end: it is a field"):
        Keeper("1", extra={"end": "other"})
    with pytest.raises(EncodeError) as raised:
        Codec(Unchecked).encode(Unchecked("1", extra={"end": "other"}))

    assert raised.value.where == "$.end"


def test_unknown_fields_of_the_root_are_given_to_the_caller():
    record, unknown = Codec(Free).decode({"id": "1", "anything": 2, "later": [SECRET]})

    assert record == Free("1", 2)
    assert unknown == {"later": (SECRET,)}


def test_unknown_field_without_a_place_is_refused_and_named():
    document = {**CODEC.encode(everything()), "point": {"x": 1.0, "z": SECRET}}

    with pytest.raises(Misfit) as raised:
        CODEC.decode(document)

    (problem,) = raised.value.problems
    assert "z is not known to Point" in problem
    assert "extra_field()" in problem
    assert problem.endswith("at $.point")
    assert SECRET not in problem


# --- classes --------------------------------------------------------------------------


@attrs.define
class Mutable:
    id: str


@attrs.frozen
class OfMutable:
    inner: Mutable


@attrs.frozen
class Tree:
    id: str
    children: "tuple[Tree, ...]" = ()


@attrs.frozen
class TreeOfLists:
    children: "tuple[TreeOfLists, ...]" = ()
    names: list[str] = attrs.field(factory=list)


B = TypeVar("B")


@attrs.frozen
class Box(Generic[B]):
    inner: B


@attrs.frozen
class FrozenAny:
    anything: Any = attrs.field(metadata={FROZEN: True})


@attrs.frozen
class Subclass(Point):
    z: tuple[str, ...] = ()


@pytest.mark.parametrize(
    "type_",
    [
        str,
        int,
        float,
        bool,
        bytes,
        type(None),
        None,
        datetime,
        date,
        timedelta,
        uuid.UUID,
        Decimal,
        Path,
        PurePath,
        Color,
        Level,
        Word,
        FrozenDict,
        str | None,
        int | str,
        tuple[str, ...],
        tuple[str, int],
        frozenset[str],
        tuple[tuple[frozenset[int], ...], ...],
        Literal["a", 1],
        Annotated[str, "note"],
        Point,
        Subclass,
        Tree,
        FrozenAny,
        Session,
        Conversation,
        FocusChain,
        Task,
    ],
    ids=str,
)
def test_type_whose_values_cannot_change_is_known(type_):
    assert is_immutable(type_)


@pytest.mark.parametrize(
    "type_",
    [
        Any,
        object,
        list,
        list[str],
        dict[str, str],
        set[str],
        Sequence[str],
        Mapping[str, str],
        tuple[list[str], ...],
        tuple[str, list[str]],
        frozenset[Any],
        str | list[str],
        Annotated[list[str], "note"],
        Mutable,
        OfMutable,
        TreeOfLists,
        Everything,
        Box,
        Free,
        tuple,
        B,
    ],
    ids=str,
)
def test_type_whose_values_may_change_is_not_trusted(type_):
    assert not is_immutable(type_)


@attrs.frozen
class Unresolved:
    id: str
    inner: "Nowhere"  # noqa: F821 # that is the point


@attrs.frozen
class UnresolvedWithin:
    id: str
    inner: Unresolved


@attrs.frozen
class NumberedId:
    id: int


@attrs.frozen
class NoId:
    name: str


@attrs.frozen
class OddField:
    id: str
    number: complex = 1j


class Plain:
    id: str = ""


@pytest.mark.parametrize(
    ("record_class", "told"),
    [
        (Plain, "attrs"),
        (int, "attrs"),
        (NoId, "id: str"),
        (NumberedId, "id: str"),
        (Unresolved, "Nowhere"),
        (UnresolvedWithin, "Nowhere"),
        (OddField, "complex"),
    ],
)
def test_class_that_cannot_be_managed_is_refused_at_once(record_class, told):
    with pytest.raises(NotARecordClass, match=told):
        Codec(record_class)


def test_one_codec_serves_many_threads():
    record = everything()
    document = CODEC.encode(record)
    wrong = []

    def work():
        for _ in range(50):
            again, _ = CODEC.decode(document)
            if again != record or CODEC.encode(again) != document:
                wrong.append(again)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []


@attrs.frozen
class Boxes:
    id: str
    numbers: Box[int]
    texts: Box[str]


def test_generic_class_is_read_by_its_argument():
    codec = Codec(Boxes)
    record = Boxes("1", Box(1), Box("a"))
    document = codec.encode(record)

    assert codec.decode(document) == (record, {})
    with pytest.raises(Misfit, match=r"at \$\.numbers\.inner"):
        codec.decode({**document, "numbers": {"inner": SECRET}})


def test_field_that_the_class_makes_itself_needs_no_value_to_be_stored():
    @attrs.define
    class Cached:
        id: str
        cache: list[str] = attrs.field(init=False)

    codec = Codec(Cached)

    assert codec.decode(codec.encode(Cached("1")))[0].id == "1"


class Point3(NamedTuple):
    x: int
    y: int


@attrs.frozen
class Loose:
    id: str
    when: date | None = None
    score: float = 0.0
    tags: tuple[str, ...] = ()
    numbers: list[int] = attrs.field(factory=list)
    anything: Any = None


@pytest.mark.parametrize(
    "changed",
    [
        {"when": datetime(2026, 1, 2, 3, tzinfo=UTC)},
        {"score": 2**53 + 1},
        {"tags": ["a"]},
        {"numbers": {1}},
        {"numbers": (1,)},
        {"anything": (1,)},
        {"anything": Point3(1, 2)},
    ],
    ids=repr,
)
def test_value_that_would_come_back_as_another_is_refused(changed):
    with pytest.raises(EncodeError) as raised:
        check(Codec(Loose), Loose("1", **changed))

    assert raised.value.where == f"$.{next(iter(changed))}"


@attrs.frozen
class MoreLoose(Loose):
    more: str = "s3cr3t"


@attrs.frozen
class Holder:
    id: str
    one: Loose | None = None
    many: tuple[Loose, ...] = ()


@pytest.mark.parametrize("part", [{"one": MoreLoose("1")}, {"many": (MoreLoose("1"),)}], ids=str)
def test_subclass_in_the_place_of_its_base_is_refused(part):
    with pytest.raises(EncodeError, match="MoreLoose"):
        Codec(Holder).encode(Holder("1", **part))


def test_field_that_is_not_given_to_init_is_not_lost_unseen():
    @attrs.define
    class Counter:
        id: str
        count: int = attrs.field(init=False, default=0)

    counter = Counter("1")
    check(Codec(Counter), counter)
    counter.count = 5

    with pytest.raises(EncodeError, match="count"):
        check(Codec(Counter), counter)
