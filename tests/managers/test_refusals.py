"""Refusals: what is told of values that a class of the host's own does not take."""

from enum import Enum

import attrs
import pytest

from statestore import InvalidRecord, Manager
from statestore.managers import FocusManager, SessionManager

SECRET = "s3cr3t"


class Color(Enum):
    RED = "red"
    BLUE = "blue"


def even(_, attribute, value):
    if value % 2:
        raise ValueError("an even number is wanted", attribute, value)


def short(_, __, value):
    if len(value) > 10:
        raise ValueError(f"the note {value} is too long")


@attrs.frozen
class Card:
    id: str
    title: str = attrs.field(default="", validator=attrs.validators.instance_of(str))
    color: Color = attrs.field(default=Color.RED, converter=Color)
    maybe: Color | None = attrs.field(default=None, converter=attrs.converters.optional(Color))
    count: int = attrs.field(default=0, converter=int, validator=attrs.validators.ge(0))
    even: int = attrs.field(default=0, validator=even)
    word: str = attrs.field(default="a", validator=attrs.validators.in_(["a", "b"]))
    note: str = attrs.field(default="", validator=short)
    _hidden: str = attrs.field(default="", validator=attrs.validators.instance_of(str))


FIELDS = ("id", "title", "color", "maybe", "count", "even", "word", "note", "hidden")

CASES = {
    "validator": ({"title": [SECRET]}, "title", ()),
    "enum": ({"color": SECRET}, "color", ("red", "blue")),
    "optional_enum": ({"maybe": SECRET}, "maybe", ("red", "blue")),
    "converter": ({"count": SECRET}, "count", ()),
    "range": ({"count": -12345}, "count", ()),
    "own_validator": ({"even": 12345}, "even", ()),
    "choice": ({"word": SECRET}, "word", ()),
    "alias": ({"hidden": [SECRET]}, "_hidden", ()),
    "unknown": ({"titel": SECRET}, "titel", FIELDS),
    "second": ({"title": "fine", "color": SECRET}, "color", ("red", "blue")),
}


@pytest.mark.parametrize("operation", ["create", "update"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_refusal_names_the_field_and_not_the_value(case, operation):
    fields, field, allowed = case
    cards = Manager("cards", Card)
    before = cards.create(id="a")

    with pytest.raises(InvalidRecord) as raised:
        cards.create(id="b", **fields) if operation == "create" else cards.update("a", **fields)

    assert raised.value.field == field
    assert raised.value.allowed == allowed
    assert field.strip("_") in str(raised.value)
    assert SECRET not in str(raised.value)
    assert "12345" not in str(raised.value)
    assert all(value in str(raised.value) for value in allowed)
    assert raised.value.__cause__ is not None
    assert cards.all() == (before,)


def test_field_that_cannot_be_told_is_left_open():
    cards = Manager("cards", Card)

    with pytest.raises(InvalidRecord, match="is too long") as raised:
        cards.create(id="a", note="a longer note")

    assert raised.value.field is None


def test_required_field_that_is_missing_is_told():
    @attrs.frozen
    class Needy:
        id: str
        title: str

    with pytest.raises(InvalidRecord) as raised:
        Manager("cards", Needy).create(id="a")

    assert raised.value.field == "title"


@pytest.mark.parametrize(
    ("fields", "field", "allowed"),
    [({"mode": "resting"}, "mode", 6), ({"name": 5}, "name", 0), ({"colour": "red"}, "colour", 21)],
)
def test_built_in_class_tells_the_field_too(fields, field, allowed):
    sessions = SessionManager()
    session = sessions.create()

    with pytest.raises(InvalidRecord) as created:
        sessions.create(**fields)
    with pytest.raises(InvalidRecord) as updated:
        sessions.update(session.id, **fields)

    assert created.value.field == updated.value.field == field
    assert len(created.value.allowed) == len(updated.value.allowed) == allowed


@pytest.mark.parametrize("value", [-1, 2**64, True, 1.0])
def test_integer_that_no_format_can_hold_is_refused_before_it_is_kept(value):
    chains = FocusManager()

    with pytest.raises(InvalidRecord, match="an integer") as refused:
        chains.create("x", max_size=value)
    with pytest.raises(InvalidRecord, match="an integer"):
        chains.set_limits(max_size=value)

    assert refused.value.field == "max_size"
    assert not len(chains)
    assert "None" not in refused.value.reason
