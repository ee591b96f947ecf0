"""JSON of what was checked: refused is exactly what `check_document` refuses."""

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import types
import uuid

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statestore.errors import EncodeError
from statestore.models.documents import (
    INT_MAX,
    INT_MIN,
    MAX_LEVEL,
    FrozenDict,
    check_document,
    dumps_checked,
    freeze,
)
from statestore.models.sequences import Items
from statestore.testing.strategies import documents, for_each


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Ratio(float):
    __slots__ = ()


class Row(list):
    pass


class Part(FrozenDict):
    __slots__ = ()


class Colour(enum.Enum):
    RED = "red"


class Word(enum.StrEnum):
    ONE = "one"


Pair = collections.namedtuple("Pair", "a b")


@dataclasses.dataclass
class Data:
    a: int = 1


@attrs.frozen
class Value:
    a: int = 1


NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
HOSTILE = [
    *(float("nan"), float("inf"), -float("inf"), INT_MAX + 1, INT_MIN - 1, 10**400),
    *("\ud800", "ok\udc80", {"\ud800": 1}, {1: 1}, {None: 1}, {True: 1}, {b"x": 1}, {(): 1}),
    *({Text("x"): 1}, {Word.ONE: 1}, {Colour.RED: 1}, {NOW: 1}, {uuid.UUID(int=1): 1}, {1.5: 1}),
    *(NOW, NOW.date(), NOW.time(), dt.timedelta(1), uuid.UUID(int=1), decimal.Decimal(1)),
    *(Colour.RED, Word.ONE, enum.IntEnum("E", "a").a, Data(), Value(), Data, object(), 1j, b"x"),
    *(bytearray(b"x"), memoryview(b"x"), {1}, frozenset({1}), range(3), iter([1]), len),
    *(Text("x"), Number(1), Ratio(1.0), Row([1]), Row(), Pair(1, 2), collections.deque([1])),
    *(types.MappingProxyType({"a": 1}), collections.UserDict(a=1), collections.UserList([1])),
    *(Items(["x"]), Items(), orjson.Fragment(b"1"), orjson.Fragment(b"{"), NotImplemented, ...),
]
ALLOWED = [
    *(
        None,
        True,
        False,
        0,
        1,
        INT_MIN,
        INT_MAX,
        0.0,
        -0.0,
        5e-324,
        1e308,
        "",
        "\0",
        "é",
        "\U0010ffff",
    ),
    *([], (), {}, FrozenDict(), Part({"a": (1, [None])}), collections.OrderedDict(b=1, a=[2])),
    *(collections.defaultdict(list, a=[1]), collections.Counter("ab"), {"": {"": ""}}),
]


def refusal_of(function, document):
    try:
        function(document)
    except EncodeError as error:
        return error.where, error.reason
    return None


def assert_judged_alike(document):
    refused = refusal_of(check_document, document)
    assert refusal_of(dumps_checked, document) == refused
    if refused is None:
        assert dumps_checked(document) == orjson.dumps(document)
    return refused


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda one: type(one).__name__)
def test_what_cannot_be_stored_is_refused_at_any_place(hostile):
    for document in (
        hostile,
        [hostile],
        (1, "x", hostile),
        {"a": hostile},
        {"a": [1, {"b": (hostile,)}], "c": 1.5},
        FrozenDict({"a": (hostile, FrozenDict({"b": hostile}))}),
        [{"n": n, "a": hostile if n == 9 else {}} for n in range(10)],
        {"before": hostile, "later": float("nan")},
    ):
        assert assert_judged_alike(document) is not None


@pytest.mark.parametrize("value", ALLOWED, ids=lambda one: type(one).__name__)
def test_what_can_be_stored_is_written_at_any_place(value):
    for document in (value, [value], {"a": (value,)}, [{"a": value, "b": [value]}] * 3):
        assert assert_judged_alike(document) is None


@for_each(max_examples=200, document=documents())
def test_documents_are_written_as_orjson_writes_them(document):
    assert assert_judged_alike(document) is None
    assert assert_judged_alike(freeze(document)) is None


@pytest.mark.parametrize("level", [0, 1, MAX_LEVEL - 2, MAX_LEVEL - 1, MAX_LEVEL, MAX_LEVEL + 1])
@pytest.mark.parametrize("inner", [1, "\ud800", [], [1], {}, {"a": 1}, NOW], ids=repr)
@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: {"k": v}, lambda v: (v,)])
def test_depth_is_judged_alike(level, inner, wrap):
    document = inner
    for _ in range(level):
        document = wrap(document)

    assert_judged_alike(document)


def test_what_holds_itself_is_refused():
    document = {}
    document["self"] = [document]

    assert "levels deep" in assert_judged_alike(document)[1]


def test_options_are_those_of_orjson():
    option = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE

    assert dumps_checked({"a": [1]}, option=option) == b'{\n  "a": [\n    1\n  ]\n}\n'


LEAVES = st.sampled_from([*HOSTILE, *ALLOWED]) | st.text(max_size=2) | st.integers() | st.floats()
TREES = st.recursive(
    LEAVES | st.none() | st.booleans(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text("ab\ud800", max_size=2), inner, max_size=3)
        | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3).map(FrozenDict)
    ),
    max_leaves=8,
)


@given(TREES)
def test_any_tree_is_judged_alike(document):
    assert_judged_alike(document)
