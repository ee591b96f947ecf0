"""Trees of focuses: their operations, how deep they may be, and that they are stored whole."""

import copy
import json
import pickle

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statestore import (
    CircularReference,
    EncodeError,
    FocusNotFound,
    InvalidRecord,
    SaveFailed,
    Store,
    StructureError,
)
from statestore.managers import Focus, FocusChain, FocusManager
from statestore.managers.focus import tree
from statestore.managers.focus.tree import MAX_DEPTH

FORMATS = ["json", "compact", "gzip", "yaml"]


@pytest.fixture
def chains():
    chains = FocusManager()
    chains.create("work", id="c")
    chains.push("c", id="a")
    chains.add_child("c", "a", id="b")
    chains.add_child("c", "b", id="c")
    chains.add_child("c", "a", id="d")
    chains.push("c", id="e")
    return chains


def shape(focuses):
    return {focus.id: shape(focus.children) for focus in focuses}


def nested(levels, **leaf):
    """Return a tree of so many levels, one focus on each; the last is "1"."""
    focus = Focus(id="1", **leaf)
    for number in range(2, levels + 1):
        focus = Focus(id=str(number), children=(focus,))
    return focus


def nested_document(levels):
    document = {"children": []}
    manager = FocusManager()
    manager.add(FocusChain("c", focuses=[Focus(id="x")]))
    exported = manager.export_document("c")
    plain = exported["data"]["focuses"][0]
    for number in range(levels):
        below = [document] if number else []
        document = {**plain, "id": f"f{number}", "children": below}
    exported["data"]["focuses"] = [document]
    return exported


# --- operations -----------------------------------------------------------------------


def test_children_stand_below_their_parents_and_the_pointer_stays(chains):
    assert shape(chains["c"].focuses) == {"a": {"b": {"c": {}}, "d": {}}, "e": {}}
    assert chains["c"].current.id == "e"


def test_new_child_moves_the_time_of_its_parent_alone(chains):
    before = {one.id: one.updated_at for one in chains.walk("c")}

    child = chains.add_child("c", "b", target="t", type="file", ttl_s=5)

    after = {one.id: one.updated_at for one in chains.walk("c")}
    assert {id for id in before if after[id] != before[id]} == {"b"}
    assert chains.get_focus("c", child) == child
    assert (child.target, child.type) == ("t", "file")


def test_places_in_the_tree_are_told(chains):
    assert [one.id for one in chains.path("c", "c")] == ["a", "b", "c"]
    assert chains.root("c", "c").id == "a"
    assert chains.root("c", "e").id == "e"
    assert chains.parent_of("c", "d").id == "a"
    assert chains.parent_of("c", "a") is None
    assert [chains.depth("c", id) for id in "abcde"] == [0, 1, 2, 1, 0]
    assert [chains.count_descendants("c", id) for id in "abcde"] == [3, 1, 0, 0, 0]
    assert chains.find_child("c", "a", "c").id == "c"
    assert chains.find_child("c", "b", "d") is None
    assert chains.find_child("c", "a", "a") is None
    assert [one.id for one in chains.walk("c")] == ["a", "b", "c", "d", "e"]


def test_removed_child_takes_along_what_is_below_it(chains):
    removed = chains.remove_child("c", "a", "b")

    assert shape([removed]) == {"b": {"c": {}}}
    assert shape(chains["c"].focuses) == {"a": {"d": {}}, "e": {}}


def test_child_is_removed_only_from_where_it_is(chains):
    before = chains["c"]
    for parent, child in (("b", "d"), ("a", "a"), ("a", "e"), ("none", "b")):
        with pytest.raises(FocusNotFound):
            chains.remove_child("c", parent, child)
    assert chains["c"] is before

    assert chains.remove("c", "c").id == "c"
    assert shape(chains["c"].focuses) == {"a": {"b": {}, "d": {}}, "e": {}}


def test_focus_is_moved_with_its_tree(chains):
    chains.attach_child("c", "d", "b")
    assert shape(chains["c"].focuses) == {"a": {"d": {"b": {"c": {}}}}, "e": {}}

    moved = chains.attach_child("c", "b", chains.get_focus("c", "e"))
    assert shape(moved.focuses) == {"a": {"d": {"b": {"c": {}, "e": {}}}}}
    assert moved.current.id == "a"  # e is none of the chain's own now


def test_new_tree_is_attached(chains):
    chains.attach_child("c", "e", Focus(id="x", children=(Focus(id="y"),)))
    assert shape(chains["c"].focuses)["e"] == {"x": {"y": {}}}

    before = chains["c"]
    with pytest.raises(InvalidRecord, match="already"):
        chains.attach_child("c", "e", Focus(id="z", children=(Focus(id="a"),)))
    with pytest.raises(FocusNotFound):
        chains.attach_child("c", "e", "nobody")
    with pytest.raises(FocusNotFound):
        chains.attach_child("c", "nobody", Focus())
    assert chains["c"] is before


@pytest.mark.parametrize("parent", ["a", "b", "c"])
def test_focus_is_not_moved_below_itself(chains, parent):
    before = chains["c"]

    with pytest.raises(CircularReference):
        chains.attach_child("c", parent, "a")

    assert chains["c"] is before


# --- how deep -------------------------------------------------------------------------


def test_tree_is_as_deep_as_it_may_be_and_no_deeper():
    chains = FocusManager()
    chains.create(id="c")
    chains.push("c", id="s0")
    for number in range(1, MAX_DEPTH):
        chains.add_child("c", f"s{number - 1}", id=f"s{number}")
    before = chains["c"]
    assert tree.depth_of(before.focuses) == MAX_DEPTH

    last = f"s{MAX_DEPTH - 1}"
    for call in (
        lambda: chains.add_child("c", last),
        lambda: chains.attach_child("c", last, Focus()),
        lambda: chains.update_focus("c", last, children=(Focus(),)),
        lambda: chains.push("c", children=(nested(MAX_DEPTH),)),
    ):
        with pytest.raises(InvalidRecord, match=f"{MAX_DEPTH} levels") as error:
            call()
        assert error.value.field == "children"
    chains.push("c", id="wide", children=(nested(3),))
    with pytest.raises(InvalidRecord, match=f"{MAX_DEPTH} levels"):
        chains.attach_child("c", f"s{MAX_DEPTH - 4}", "wide")


def test_no_value_is_so_deep_that_calls_do_not_come_back():
    with pytest.raises(ValueError, match=f"{MAX_DEPTH} levels"):
        nested(10_000)

    deepest = nested(MAX_DEPTH)
    same = nested(MAX_DEPTH)
    same = attrs.evolve(deepest, children=copy.deepcopy(deepest.children), id=same.id)
    assert deepest == same
    assert hash(deepest) == hash(same)
    assert repr(deepest) == repr(same)
    assert pickle.loads(pickle.dumps(deepest)) == deepest


def test_value_in_many_places_is_measured_once():
    focus = Focus()
    for _ in range(MAX_DEPTH - 1):  # looked at place by place these are 2 ** 31
        focus = Focus(children=(focus, focus))

    assert tree.depth_of([focus]) == MAX_DEPTH


@pytest.mark.parametrize("format", FORMATS)
def test_deepest_tree_is_stored_whole_in_each_format(tmp_path, format):
    leaf = {"tags": ["t"], "context": {"a": {"b": [1, {"c": None}]}}, "type": "function"}
    with Store(tmp_path, format=format) as store:
        chains = store.register(FocusManager())
        chains.create("work", id="c", active=True)
        chains.push("c", id="first")
        store.save_all()
        # As a part of a patch, too.
        chains.push("c", id="root", children=(nested(MAX_DEPTH - 1, **leaf),))
        store.save_all()
        kept = chains["c"]
    with Store(tmp_path) as store:
        chains = store.register(FocusManager())
        assert chains.unsaved == ()
        store.load_all(strict=True)
        assert chains["c"] == kept
        assert [one.id for one in chains["c"].focuses] == ["first", "root"]
        assert chains.path("c", "1")[-1].context == {"a": {"b": (1, {"c": None})}}


def test_context_too_deep_at_the_bottom_is_refused_before_anything_is_written(tmp_path):
    context = {}
    for _ in range(60):
        context = {"k": context}
    with Store(tmp_path) as store:
        chains = store.register(FocusManager())
        chains.create(id="c")
        chains.push("c", id="root", children=(nested(MAX_DEPTH - 1, context=context),))
        with pytest.raises(SaveFailed) as error:
            store.save_all()
        assert isinstance(error.value.report.failures[0].error, EncodeError)
        assert list(store.scan("focus")) == []
        chains.delete("c")


def test_context_that_no_call_comes_back_from_is_refused(chains):
    context = {}
    for _ in range(10_000):
        context = {"k": context}
    before = chains["c"]

    for call in (
        lambda: chains.push("c", context=context),
        lambda: chains.update("c", context=context),
        lambda: chains.set_context("c", "k", context),
    ):
        with pytest.raises(InvalidRecord) as error:
            call()
        assert error.value.field == "context"

    assert chains["c"] is before


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 45, 60, 2_000])
def test_document_that_is_too_deep_is_not_taken_in(chains, levels):
    with pytest.raises(StructureError):
        chains.import_document(nested_document(levels), id="new")

    assert "new" not in chains
    chains.import_document(nested_document(MAX_DEPTH), id="new")
    assert tree.depth_of(chains["new"].focuses) == MAX_DEPTH


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 45])
def test_file_that_is_too_deep_is_told_and_stays(tmp_path, levels):
    with Store(tmp_path) as store:
        chains = store.register(FocusManager())
        chains.create(id="good")
        store.save_all()
    envelope = json.loads((tmp_path / "focus/good.json").read_text())
    envelope["data"] = {**nested_document(levels)["data"], "id": "deep"}
    path = tmp_path / "focus/deep.json"
    path.write_text(json.dumps(envelope))

    with Store(tmp_path) as store:
        chains = store.register(FocusManager())
        report = store.load_all()

        assert chains.ids() == ("good",)
        assert [failure.key.id for failure in report.failures] == ["deep"]
    assert json.loads(path.read_text())["data"]["id"] == "deep"


# --- pure functions -------------------------------------------------------------------


@st.composite
def forests(draw):
    """Return focuses whose ids are all different, and what is right above each."""
    above = draw(st.lists(st.integers(0, 10), max_size=12))
    parents = {str(n): None if one >= n else str(one) for n, one in enumerate(above)}

    def grown(parent):
        return tuple(
            Focus(id=id, children=grown(id)) for id, one in parents.items() if one == parent
        )

    return grown(None), parents


@given(forests())
def test_places_are_as_the_parents_say(forest):
    focuses, parents = forest

    def way(id):
        return [] if id is None else [*way(parents[id]), id]

    assert tree.count(focuses) == len(parents)
    assert sorted(focus.id for focus in tree.walk(focuses)) == sorted(parents)
    assert tree.depth_of(focuses) == max((len(way(id)) for id in parents), default=0)
    assert not tree.has_doubles(focuses)
    for id in parents:
        assert [focus.id for focus in tree.path_to(focuses, id)] == way(id)
        assert tree.find(focuses, id).id == id
        assert tree.has_doubles([*focuses, Focus(id=id)])
    assert tree.path_to(focuses, "none") == ()
    assert tree.find(focuses, "none") is None


@given(forests(), st.sets(st.integers(0, 12).map(str)))
def test_pruned_is_without_what_is_not_kept_and_what_is_below(forest, gone):
    focuses, parents = forest

    def is_gone(id):
        return id is not None and (id in gone or is_gone(parents[id]))

    left = tree.pruned(focuses, lambda focus: focus.id not in gone)

    assert {focus.id for focus in tree.walk(left)} == {id for id in parents if not is_gone(id)}
    for focus in left:
        if not any(below.id in gone for below in tree.walk([tree.find(focuses, focus.id)])):
            assert focus is tree.find(focuses, focus.id)
