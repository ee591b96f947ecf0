"""Kinds, ids and keys."""

import pytest

from statestore.errors import InvalidId, InvalidKind
from statestore.models.keys import MAX_ID_BYTES, RESERVED_KINDS, Key, check_id, check_kind
from statestore.testing.driver import HOSTILE_IDS, INVALID_IDS, INVALID_KINDS


@pytest.mark.parametrize("kind", ["a", "ab", "sessions", "my-notes_2", "a" * 64, "com10", "x1"])
def test_name_of_a_folder_is_a_kind(kind):
    assert check_kind(kind) == kind


@pytest.mark.parametrize(
    "kind",
    [
        *(
            *INVALID_KINDS,
            *RESERVED_KINDS,
            "nul",
            "com1",
            "lpt9",
            "a-",
            "a_",
            "-a",
            "_a",
            "a b",
            "a\0",
        ),
        *("\u00e9", "a\u0661", ".statestore", "a" * 65, None, 1, b"notes", ["notes"]),
    ],
    ids=repr,
)
def test_anything_else_is_no_kind(kind):
    with pytest.raises(InvalidKind):
        check_kind(kind)


@pytest.mark.parametrize("id", HOSTILE_IDS, ids=lambda id: ascii(id)[:30])
def test_any_text_is_an_id(id):
    assert check_id(id) == id


@pytest.mark.parametrize(
    "id", [*INVALID_IDS, None, 1, b"a", ["a"], 1.5], ids=lambda id: ascii(id)[:30]
)
def test_anything_else_is_no_id(id):
    with pytest.raises(InvalidId) as raised:
        check_id(id)

    assert raised.value.id is id
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 250


@pytest.mark.parametrize(
    ("unit", "size"), [("x", 1), ("\u00e9", 2), ("\u4e2d", 3), ("\U0001f600", 4)]
)
def test_length_of_an_id_is_counted_in_utf_8(unit, size):
    most = MAX_ID_BYTES // size

    assert check_id(unit * most)
    with pytest.raises(InvalidId):
        check_id(unit * (most + 1))


def test_keys_are_ordered_by_kind_then_id():
    keys = [Key("b", "a"), Key("a", "b"), Key("a", "B"), Key("a", "a")]

    assert [str(key) for key in sorted(keys)] == ["a/B", "a/a", "a/b", "b/a"]


def test_equal_keys_are_one():
    assert len({Key("a", "b"), Key("a", "b"), Key("a", "B")}) == 2
