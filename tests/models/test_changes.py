"""Applying patches."""

import pytest

from statestore.errors import EncodeError
from statestore.models.changes import Append, Patch, apply_patch
from statestore.models.documents import freeze
from statestore.models.keys import Key

KEY = Key("notes", "a")
DOCUMENT = freeze({"id": "a", "n": 1, "log": ["x"], "text": "xy"})


def test_patch_gives_a_changed_copy():
    patch = Patch(KEY, {"n": 2, "new": None}, (Append("log", 1, ("y", "z")),))

    changed = apply_patch(DOCUMENT, patch)

    assert changed == {"id": "a", "n": 2, "log": ["x", "y", "z"], "text": "xy", "new": None}
    assert list(changed) == ["id", "n", "log", "text", "new"]
    assert DOCUMENT == {"id": "a", "n": 1, "log": ("x",), "text": "xy"}


def test_patch_of_nothing_changes_nothing():
    changed = apply_patch(DOCUMENT, Patch(KEY))

    assert changed == DOCUMENT
    assert changed is not DOCUMENT


def test_appends_happen_in_their_order_after_the_fields_are_set():
    patch = Patch(KEY, {"log": []}, (Append("log", 0, (1,)), Append("log", 1, (2, 3))))

    assert apply_patch(DOCUMENT, patch)["log"] == [1, 2, 3]


def test_list_that_is_appended_to_is_not_changed_itself():
    document = {"id": "a", "log": [1]}

    apply_patch(document, Patch(KEY, {}, (Append("log", 1, (2,)),)))

    assert document == {"id": "a", "log": [1]}


@pytest.mark.parametrize("length", [-1, 0, 2])
def test_append_to_a_list_of_another_length_is_refused(length):
    with pytest.raises(EncodeError, match="1 items") as raised:
        apply_patch(DOCUMENT, Patch(KEY, {}, (Append("log", length, (1,)),)))

    assert raised.value.where == "$.log"


@pytest.mark.parametrize("field", ["text", "n", "missing"])
def test_append_to_what_is_no_list_is_refused(field):
    with pytest.raises(EncodeError, match="no list") as raised:
        apply_patch(DOCUMENT, Patch(KEY, {}, (Append(field, 0, ()),)))

    assert raised.value.where == f"$.{field}"


@pytest.mark.parametrize("id", ["b", "", None, "A"])
def test_id_cannot_be_changed(id):
    with pytest.raises(EncodeError) as raised:
        apply_patch(DOCUMENT, Patch(KEY, {"id": id}))

    assert raised.value.where == "$.id"


def test_id_may_be_set_to_what_it_is():
    assert apply_patch(DOCUMENT, Patch(KEY, {"id": "a"})) == DOCUMENT
