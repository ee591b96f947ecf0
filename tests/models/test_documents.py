"""What may stand in a document, and freezing."""

import collections
import copy
import enum
import pickle
from datetime import UTC, datetime
from types import MappingProxyType

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statestore.errors import EncodeError
from statestore.models.documents import (
    INT_MAX,
    INT_MIN,
    MAX_LEVEL,
    FrozenDict,
    check_document,
    freeze,
    freeze_mapping,
    thaw,
)
from statestore.testing.strategies import documents, for_each


def nested(level, value, kind):
    for _ in range(level):
        value = {"dict": {"k": value}, "list": [value], "tuple": (value,)}[kind]
    return value


def refusal(document):
    with pytest.raises(EncodeError) as raised:
        check_document(document)
    return raised.value


# --- check_document -------------------------------------------------------------------


@for_each(max_examples=200, document=documents())
def test_document_is_accepted_plain_and_frozen(document):
    check_document(document)
    check_document(freeze(document))


@pytest.mark.parametrize("kind", ["dict", "list", "tuple"])
@pytest.mark.parametrize("value", [1, "x", "\u00e9", None, [], {}, ()], ids=repr)
def test_value_with_a_hundred_containers_around_it_is_accepted(kind, value):
    check_document(nested(MAX_LEVEL, value, kind))


@pytest.mark.parametrize("kind", ["dict", "list", "tuple"])
@pytest.mark.parametrize("value", [1, "x", "\u00e9", None, [], {}], ids=repr)
@pytest.mark.parametrize("level", [MAX_LEVEL + 1, MAX_LEVEL * 1000])
def test_value_with_more_containers_around_it_is_refused(kind, value, level):
    error = refusal(nested(level, value, kind))

    assert f"{MAX_LEVEL} levels deep" in error.reason
    assert error.where.count("[0]") + error.where.count(".k") == MAX_LEVEL


def test_document_that_holds_itself_is_refused():
    document = {}
    document["self"] = [document]

    assert "levels deep" in refusal(document).reason


@pytest.mark.parametrize("value", [0, 1, -1, INT_MIN, INT_MAX, 2**63 - 1, 2**63, True, False])
def test_integer_of_64_bits_is_accepted(value):
    check_document(value)
    check_document({"n": [value]})


@pytest.mark.parametrize("value", [INT_MIN - 1, INT_MAX + 1, 10**5000, -(10**5000)], ids=hash)
def test_integer_beyond_64_bits_is_refused(value):
    assert "64 bits" in refusal({"n": value}).reason


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), -float("nan")])
def test_float_that_is_not_finite_is_refused(value):
    assert refusal([0, {"n": value}]).where == "$[1].n"


@pytest.mark.parametrize("value", [0.0, -0.0, 1.5, 5e-324, 1.7976931348623157e308])
def test_finite_float_is_accepted(value):
    check_document({"n": value})


@pytest.mark.parametrize("text", ["\ud800", "ok\udc80", "\ud83d \ude00"])
def test_lone_surrogate_is_refused_in_values_and_keys(text):
    assert refusal({"a": [text]}).where == "$.a[0]"
    assert refusal({"a": {text: 1}}).where == "$.a"


@pytest.mark.parametrize("text", ["", "\0", "\u00e9", "\U0001f600", "\uffff", "\U0010ffff"])
def test_any_other_text_is_accepted(text):
    check_document({text: [text]})


@pytest.mark.parametrize("key", [1, None, True, 1.5, b"x", ("a",), type("S", (str,), {})("x")])
def test_key_that_is_no_string_is_refused(key):
    error = refusal({"ok": {key: 1}})

    assert error.where == "$.ok"
    assert "keys are strings" in error.reason


@pytest.mark.parametrize(
    "value",
    [
        *(b"x", bytearray(b"x"), {1}, frozenset(), object(), object, 1j, iter([]), range(3)),
        *(datetime(2026, 1, 1, tzinfo=UTC), collections.deque(), MappingProxyType({})),
        *(enum.IntEnum("E", "a").a, type("I", (int,), {})(1), type("S", (str,), {})("x")),
        type("F", (float,), {})(1.0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_part_of_a_document_is_refused(value):
    assert type(value).__name__ in refusal({"a": [value]}).reason


@pytest.mark.parametrize(
    ("document", "where"),
    [
        (1j, "$"),
        ([1j], "$[0]"),
        ({"a": 1j}, "$.a"),
        ({"a": [{}, {"b": [1, 2, 1j]}]}, "$.a[1].b[2]"),
        ({"a": {"b": {}}, "c": [[], [[1j]]]}, "$.c[1][0][0]"),
        ({"a": ["\u00e9", [], 1j]}, "$.a[2]"),
        ({"\u00e9\n": 1j}, "$.\\xe9\\n"),
    ],
    ids=str,
)
def test_refusal_says_where(document, where):
    assert refusal(document).where == where


@pytest.mark.parametrize("bad", [INT_MAX + 12345, "s3cret\ud800", b"s3cret", {"s3cret"}])
def test_refusal_never_quotes_a_value(bad):
    error = refusal({"before": "s3cret", "here": ["s3cret", bad]})

    assert "s3cret" not in str(error)
    assert "12345" not in str(error)
    assert str(error).isascii()


# --- freezing -------------------------------------------------------------------------

FROZEN = FrozenDict({"a": 1, "b": (1, FrozenDict({"c": None}))})

MUTATIONS = {
    "set": lambda d: d.__setitem__("a", 2),
    "new": lambda d: d.__setitem__("z", 2),
    "del": lambda d: d.__delitem__("a"),
    "clear": lambda d: d.clear(),
    "pop": lambda d: d.pop("a"),
    "pop with default": lambda d: d.pop("z", None),
    "popitem": lambda d: d.popitem(),
    "setdefault": lambda d: d.setdefault("z", 1),
    "setdefault of what is there": lambda d: d.setdefault("a", 1),
    "update": lambda d: d.update(a=2),
    "update with nothing": lambda d: d.update(),
    "or": lambda d: d.__ior__({"a": 2}),
    "attribute": lambda d: setattr(d, "x", 1),
}


@pytest.mark.parametrize("mutate", MUTATIONS.values(), ids=MUTATIONS.keys())
def test_frozen_mapping_refuses_every_change(mutate):
    frozen = FrozenDict(FROZEN)

    with pytest.raises((TypeError, AttributeError)):
        mutate(frozen)

    assert frozen == {"a": 1, "b": (1, {"c": None})}


def test_every_method_that_changes_a_dict_is_refused():
    harmless = {
        *("copy", "fromkeys", "get", "items", "keys", "values"),
        *(name for name in dir(dict) if name.startswith("__")),
    }
    changing = (set(dir(dict)) - harmless) | {"__setitem__", "__delitem__", "__ior__"}

    assert {name for name in changing if getattr(FrozenDict, name) is getattr(dict, name)} == set()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickled_mapping_stays_frozen(protocol):
    again = pickle.loads(pickle.dumps(FROZEN, protocol))

    assert again == FROZEN
    assert type(again) is type(again["b"][1]) is FrozenDict


def test_copies_of_a_frozen_mapping_are_itself():
    assert copy.copy(FROZEN) is FROZEN
    assert copy.deepcopy(FROZEN) is FROZEN
    assert copy.deepcopy([FROZEN])[0] is FROZEN


def test_frozen_mapping_is_equal_to_a_plain_one_and_can_be_hashed():
    assert FrozenDict(a=1, b=2) == {"b": 2, "a": 1}
    assert hash(FrozenDict(a=1, b=2)) == hash(FrozenDict(b=2, a=1))
    assert FrozenDict(a=1) != {"a": 2}
    assert {FROZEN: 1}[FrozenDict(FROZEN)] == 1


def test_plain_copy_of_a_frozen_mapping_can_be_changed():
    for plain in (dict(FROZEN), {**FROZEN}, FROZEN | {}):
        plain["a"] = 2

    assert FROZEN["a"] == 1


def test_frozen_mapping_is_written_as_a_plain_one():
    assert orjson.dumps(FROZEN) == b'{"a":1,"b":[1,{"c":null}]}'
    assert repr(FROZEN) == "{'a': 1, 'b': (1, {'c': None})}"


def test_freezing_reaches_every_level():
    frozen = freeze({"a": [{"b": [1]}], "c": ({"d": []},), "e": MappingProxyType({"f": [{}]})})

    assert frozen == {"a": ({"b": (1,)},), "c": ({"d": ()},), "e": {"f": ({},)}}
    assert type(frozen) is type(frozen["a"][0]) is type(frozen["c"][0]) is FrozenDict
    assert type(frozen["e"]) is type(frozen["e"]["f"][0]) is FrozenDict
    hash(frozen)


def test_frozen_value_does_not_follow_its_origin():
    origin = {"a": [1], "b": {"c": 1}}
    frozen = freeze(origin)

    origin["a"].append(2)
    origin["b"]["c"] = 2
    origin["z"] = 1

    assert frozen == {"a": (1,), "b": {"c": 1}}


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        ),
        max_leaves=10,
    )
)
def test_thawing_undoes_freezing(value):
    assert repr(thaw(freeze(value))) == repr(value)
    assert freeze(freeze(value)) == freeze(value)


def test_thawed_value_is_a_copy_to_work_on():
    origin = {"a": [1], "b": {"c": []}}

    thawed = thaw(origin)
    thawed["a"].append(2)
    thawed["b"]["c"].append(2)

    assert origin == {"a": [1], "b": {"c": []}}


def test_frozen_mapping_of_nothing_is_empty():
    assert freeze_mapping(None) == {}
    assert type(freeze_mapping(None)) is type(freeze_mapping({"a": 1})) is FrozenDict


@pytest.mark.parametrize("value", [[], "x", 1, [("a", 1)]], ids=repr)
def test_what_is_no_mapping_is_refused(value):
    with pytest.raises(TypeError):
        freeze_mapping(value)


@pytest.mark.parametrize(
    "plain", [{}, {"a": [1, {"b": [[], {}]}]}, {"a": (1, [2])}, {"a": None, "b": "x"}], ids=repr
)
def test_frozen_mapping_equals_what_it_was_made_from(plain):
    frozen = freeze(plain)

    assert frozen == plain
    assert plain == frozen
    assert (frozen != plain) is False
    assert frozen == freeze(plain)
    assert [frozen] == [plain]


def test_frozen_mapping_differs_from_others():
    frozen = freeze({"a": [1]})
    loop = {}
    loop["a"] = loop

    for other in (
        {"a": [2]},
        {"a": [1], "b": 0},
        {},
        {"a": 1},
        [1],
        None,
        loop,
        freeze({"a": [2]}),
    ):
        assert frozen != other
        assert (frozen == other) is False
