"""Merging: both changes are kept, nothing twice, and what contradicts is said."""

from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statestore.models.documents import FrozenDict
from statestore.models.managed import Unmergeable
from statestore.models.sequences import Items
from statestore.records.merging import merged, only_adds

THEN = datetime(2026, 1, 1, tzinfo=UTC)


@attrs.frozen
class Item:
    id: str | None
    text: str = ""


@attrs.frozen
class Note:
    id: str = "a"
    title: str = ""
    count: object = 0
    data: FrozenDict = attrs.field(factory=FrozenDict)
    updated_at: datetime = THEN
    items: Items[Item] = attrs.field(factory=Items)
    _hidden: str = ""


BASE = Note(title="base", items=Items([Item("1"), Item("2")]))


def added(note, *ids, **changes):
    items = note.items.extended([Item(id) for id in ids])
    return attrs.evolve(note, items=items, **changes)


def ids_of(note):
    return [item.id for item in note.items]


def test_changes_of_different_fields_are_both_kept():
    mine = attrs.evolve(BASE, title="mine", hidden="mine")
    theirs = attrs.evolve(BASE, count=2)

    assert merged(BASE, mine, theirs) == attrs.evolve(BASE, title="mine", hidden="mine", count=2)


def test_the_same_change_on_both_sides_is_no_contradiction():
    both = attrs.evolve(BASE, title="both")

    assert merged(BASE, both, attrs.evolve(BASE, title="both")) == both


def test_contradictions_are_named_all_of_them():
    mine = attrs.evolve(BASE, title="mine", count=1, hidden="h")
    theirs = attrs.evolve(BASE, title="theirs", count=2)

    with pytest.raises(Unmergeable) as raised:
        merged(BASE, mine, theirs)

    assert raised.value.fields == ("title", "count")


def test_values_that_are_equal_and_not_alike_contradict():
    base = attrs.evolve(BASE, count=5)

    with pytest.raises(Unmergeable):
        merged(base, attrs.evolve(base, count=1), attrs.evolve(base, count=True))
    mine = attrs.evolve(base, data=FrozenDict({"n": 1}))
    before = attrs.evolve(base, data=FrozenDict({"n": True}))
    both = merged(before, mine, attrs.evolve(before, title="theirs"))
    assert type(both.data["n"]) is int


def test_later_of_two_times_of_change_is_taken():
    early, late = THEN + timedelta(1), THEN + timedelta(2)

    for mine, theirs in ((early, late), (late, early)):
        both = merged(
            BASE, attrs.evolve(BASE, updated_at=mine), attrs.evolve(BASE, updated_at=theirs)
        )
        assert both.updated_at == late


def test_items_that_both_have_added_stand_theirs_first():
    both = merged(BASE, added(BASE, "m1", "m2"), added(BASE, "t1"))

    assert ids_of(both) == ["1", "2", "t1", "m1", "m2"]


def test_item_that_both_have_added_is_there_once():
    both = merged(BASE, added(BASE, "x", "m"), added(BASE, "t", "x"))

    assert ids_of(both) == ["1", "2", "t", "x", "m"]


def test_same_id_with_other_content_is_a_contradiction():
    mine = attrs.evolve(BASE, items=BASE.items.extended([Item("x", "mine")]))
    theirs = attrs.evolve(BASE, items=BASE.items.extended([Item("x", "theirs")]))

    with pytest.raises(Unmergeable) as raised:
        merged(BASE, mine, theirs)

    assert raised.value.fields == ("items",)


def test_items_without_ids_are_all_kept():
    both = merged(BASE, added(BASE, None), added(BASE, None))

    assert ids_of(both) == ["1", "2", None, None]


def test_items_read_anew_are_known_for_the_same():
    theirs = attrs.evolve(BASE, items=Items([*BASE.items, Item("t")]))

    assert ids_of(merged(BASE, added(BASE, "m"), theirs)) == ["1", "2", "t", "m"]


def test_records_that_both_have_made_join_their_items():
    mine = Note(title="same", items=Items([Item("1"), Item("m")]))
    theirs = Note(title="same", items=Items([Item("1"), Item("t")]))

    assert ids_of(merged(None, mine, theirs)) == ["1", "t", "m"]


def test_items_that_were_removed_or_changed_count_each_for_itself():
    mine = attrs.evolve(BASE, items=Items([Item("2", "changed"), Item("m")]))
    theirs = added(BASE, "t")

    both = merged(BASE, mine, theirs)

    assert [(item.id, item.text) for item in both.items] == [
        ("2", "changed"),
        ("t", ""),
        ("m", ""),
    ]


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ([Item("1", "mine"), Item("2")], [Item("1", "theirs"), Item("2")]),
        ([Item("1", "mine"), Item("2")], [Item("2")]),
        ([Item("2")], [Item("1", "theirs"), Item("2")]),
        ([Item(None)], [Item("1")]),
    ],
)
def test_items_that_both_have_changed_contradict(mine, theirs):
    with pytest.raises(Unmergeable):
        merged(
            BASE,
            attrs.evolve(BASE, items=Items(mine)),
            attrs.evolve(BASE, items=Items(theirs)),
        )


def test_keys_of_mappings_count_each_for_itself():
    base = attrs.evolve(BASE, data=FrozenDict({"a": 1, "b": 2, "c": 3}))
    mine = attrs.evolve(base, data=FrozenDict({"a": 9, "b": 2, "mine": 1}))
    theirs = attrs.evolve(base, data=FrozenDict({"a": 1, "b": 8, "c": 3, "theirs": 1}))

    assert merged(base, mine, theirs).data == {"a": 9, "b": 8, "mine": 1, "theirs": 1}

    with pytest.raises(Unmergeable) as raised:
        merged(base, mine, attrs.evolve(base, data=FrozenDict({"a": 7, "b": 2, "c": 3})))
    assert raised.value.fields == ("data.a",)


def test_only_adding_is_told_from_all_else():
    later = THEN + timedelta(1)

    assert only_adds(BASE, added(BASE, "x"))
    assert only_adds(BASE, added(BASE, "x", updated_at=later))
    assert not only_adds(BASE, BASE)
    assert not only_adds(BASE, attrs.evolve(BASE, updated_at=later))
    assert not only_adds(BASE, added(BASE, "x", title="new"))
    assert not only_adds(BASE, added(BASE, "x", count=False))
    assert not only_adds(BASE, attrs.evolve(BASE, items=Items([Item("1")])))


IDS = st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=6)


@given(base=IDS, mine=IDS, theirs=IDS)
def test_merge_of_items_is_a_merge_of_sets_in_their_order(base, mine, theirs):
    def note(ids):
        return Note(items=Items([Item(id) for id in ids]))

    both = ids_of(merged(note(base), note(mine), note(theirs)))

    removed = (set(base) - set(mine)) | (set(base) - set(theirs))
    assert len(both) == len(set(both))
    assert set(both) == (set(mine) | set(theirs)) - removed
    leading = mine if theirs == base else theirs
    assert [id for id in both if id in leading] == [id for id in leading if id in both]


@pytest.mark.parametrize("ids", ["21", "021", "2", "201"])
def test_items_that_one_has_put_elsewhere_stay_there(ids):
    """The other one has only read them anew, and changed something else."""
    moved = attrs.evolve(BASE, items=Items([Item(id) for id in ids]))
    renamed = attrs.evolve(BASE, title="new", items=Items([Item("1"), Item("2")]))

    assert ids_of(merged(BASE, moved, renamed)) == list(ids)
    assert ids_of(merged(BASE, renamed, moved)) == list(ids)


@given(st.dictionaries(st.sampled_from(["title", "count"]), st.integers(0, 2)))
def test_what_only_one_has_changed_is_taken_from_that_one(changes):
    new = attrs.evolve(BASE, **changes)

    assert merged(BASE, new, BASE) == new
    assert merged(BASE, BASE, new) == new
