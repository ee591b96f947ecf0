"""Focuses of a chain: pushed, popped, stepped through, expired, changed, joined."""

from datetime import UTC, datetime, timedelta

import pytest

from statestore import FocusNotFound, InvalidRecord, RecordNotFound, Store
from statestore.managers import Focus, FocusChain, FocusManager
from statestore.managers.focus.records import FOCUS_TYPES, MAX_LENGTHS
from statestore.models.changes import Patch

MOMENT = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


class Clock:
    def __init__(self):
        self.now = MOMENT

    def __call__(self):
        return self.now

    def forward(self, **parts):
        self.now += timedelta(**parts)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def chains(clock):
    return FocusManager(clock=clock)


@pytest.fixture
def chain(chains):
    return chains.create("work", id="c")


def push(chains, *targets, **fields):
    return [chains.push("c", target=target, id=target, **fields) for target in targets]


def ids(chains, chain="c"):
    return [focus.id for focus in chains[chain].focuses]


# --- pushing and popping --------------------------------------------------------------


def test_push_is_a_patch_of_what_was_added_however_many_there_are():
    store = Store("memory:")
    chains = store.register(FocusManager())
    chain = chains.create("c", max_size=500)
    for number in range(100):
        chains.push(chain.id, target=str(number))
    store.save_all()

    focus = chains.push(chain.id, target="new")
    (pending,), failures = chains.pending()

    assert failures == []
    assert isinstance(pending.change, Patch)
    assert set(pending.change.set) == {"current_id", "updated_at"}
    (append,) = pending.change.append
    assert (append.from_length, len(append.items)) == (100, 1)
    assert append.items[0]["id"] == focus.id


def test_push_into_a_chain_with_room_looks_at_no_other_focus(chains, chain, monkeypatch):
    push(chains, "a", "b")
    looked_at = []
    monkeypatch.setattr(Focus, "is_expired", lambda focus, at: looked_at.append(focus))
    before = chains["c"].focuses

    chains.push("c", target="new")

    assert looked_at == []
    assert chains["c"].focuses.continues(before)


def test_full_chain_is_exactly_full_and_the_newest_stay(chains):
    chains.create("c", id="c", max_size=2)

    push(chains, "a", "b", "c", "d")

    assert ids(chains) == ["c", "d"]
    assert chains["c"].current.id == "d"


def test_expired_ones_go_before_older_ones_that_have_not(chains, clock):
    chains.create("c", id="c", max_size=3)
    push(chains, "old")
    push(chains, "short", "short too", ttl_s=60)
    clock.forward(seconds=60)

    push(chains, "new")

    assert ids(chains) == ["old", "new"]


def test_push_that_just_fills_a_chain_lets_nothing_go(chains, clock):
    chains.create("c", id="c", max_size=2)
    push(chains, "short", ttl_s=0)

    push(chains, "new")

    assert ids(chains) == ["short", "new"]


def test_new_focus_stays_in_a_full_chain_though_it_has_expired(chains):
    chains.create("c", id="c", max_size=1)

    push(chains, "a", "b", ttl_s=0)

    assert ids(chains) == ["b"]
    assert chains.current("c") is None


def test_id_that_is_in_the_chain_is_refused_however_deep(chains, chain):
    push(chains, "a")
    chains.add_child("c", "a", id="below")
    before = chains["c"]

    for id in ("a", "below"):
        with pytest.raises(InvalidRecord, match="already") as error:
            chains.push("c", id=id)
        assert error.value.field == "id"
        with pytest.raises(InvalidRecord, match="already"):
            chains.push("c", id="fresh", children=(Focus(id=id),))
    with pytest.raises(InvalidRecord, match="one id"):
        chains.push("c", id="twice", children=(Focus(id="twice"),))

    assert chains["c"] is before


def test_made_ids_that_collide_are_refused_and_not_put_over_each_other():
    chains = FocusManager(make_id=lambda: "same")
    chains.create("c", id="c")
    first = chains.push("c")

    with pytest.raises(InvalidRecord, match="already"):
        chains.push("c")

    assert chains["c"].focuses == (first,)


def test_pop_takes_the_newest_and_the_pointer_goes_to_the_one_before(chains, chain):
    _, b, c = push(chains, "a", "b", "c")

    assert chains.pop("c") == c
    assert chains["c"].current == b
    chains.set_current("c", "a")
    assert chains.pop("c") == b
    assert chains["c"].current.id == "a"
    chains.pop("c")
    assert chains["c"].current_id is None
    empty = chains["c"]
    assert chains.pop("c") is None
    assert chains["c"] is empty


@pytest.mark.parametrize(
    ("pointed", "removed", "then"),
    [("b", "b", "a"), ("a", "a", "b"), ("c", "a", "c"), ("c", "c", "b")],
)
def test_removed_current_focus_gives_way_to_the_one_before_or_behind(
    chains, chain, pointed, removed, then
):
    push(chains, "a", "b", "c")
    chains.set_current("c", pointed)

    assert chains.remove("c", removed).id == removed

    assert removed not in ids(chains)
    assert chains["c"].current.id == then


def test_cleared_chain_holds_nothing_and_points_nowhere(chains, chain):
    push(chains, "a", "b")

    cleared = chains.clear_focuses("c")

    assert (cleared.focuses, cleared.current_id) == ((), None)
    assert chains.clear_focuses("c") is cleared


def test_what_is_not_there_is_said_to_be_so(chains, chain):
    push(chains, "a")
    before = chains["c"]

    for call in (
        lambda: chains.remove("c", "x"),
        lambda: chains.get_focus("c", "x"),
        lambda: chains.set_current("c", "x"),
        lambda: chains.update_focus("c", "x", target="y"),
        lambda: chains.remove("c", 5),
    ):
        with pytest.raises(FocusNotFound, match="focus/c"):
            call()
    for call in (chains.pop, chains.current, chains.next, chains.clear_focuses, chains.recent):
        with pytest.raises(RecordNotFound):
            call("no chain")

    assert chains["c"] is before


# --- the pointer ----------------------------------------------------------------------


def test_steps_stay_at_the_ends(chains, chain):
    push(chains, "a", "b", "c")
    end = chains["c"]

    assert chains.next("c") is None
    assert chains["c"] is end
    assert [chains.previous("c").id for _ in range(2)] == ["b", "a"]
    assert chains.previous("c") is None
    assert chains.current("c").id == "a"
    assert chains.last("c").id == "c"
    assert chains.first("c").id == "a"
    assert chains.next("c").id == "b"
    assert chains["c"].current.id == "b"


def test_steps_without_a_current_focus_begin_at_an_end(chains, chain):
    push(chains, "a", "b")
    assert chains.set_current("c", None) is None
    assert chains.current("c") is None

    assert chains.next("c").id == "a"
    chains.set_current("c", None)
    assert chains.previous("c").id == "b"


def test_steps_in_an_empty_chain_find_nothing(chains, chain):
    for step in (chains.next, chains.previous, chains.first, chains.last, chains.current):
        assert step("c") is None
    assert chains["c"] is chain


def test_pointing_where_it_points_already_is_no_change(chains, chain):
    _, b = push(chains, "a", "b")
    before = chains["c"]

    assert chains.set_current("c", b) == b
    assert chains.last("c") == b
    assert chains["c"] is before


def test_only_the_own_focuses_of_a_chain_can_be_the_current_one(chains, chain):
    push(chains, "a")
    chains.add_child("c", "a", id="below")

    with pytest.raises(FocusNotFound):
        chains.set_current("c", "below")


# --- expiry ---------------------------------------------------------------------------


def test_focus_expires_at_the_very_moment_and_not_before(chains, chain, clock):
    (focus,) = push(chains, "a", ttl_s=1.5)
    assert focus.expires_at == MOMENT + timedelta(seconds=1.5)

    clock.forward(seconds=1.5, microseconds=-1)
    assert chains.current("c") == focus
    assert chains.clean_expired("c") == 0
    clock.forward(microseconds=1)
    assert chains.current("c") is None
    assert chains.current("c", expired=True) == focus == chains["c"].current
    assert chains.clean_expired("c") == 1
    assert ids(chains) == []


def test_expired_ones_are_stepped_over_unless_they_are_asked_for(chains, chain, clock):
    push(chains, "a")
    push(chains, "b", ttl_s=1)
    push(chains, "c")
    clock.forward(seconds=1)

    assert chains.previous("c").id == "a"
    assert chains.next("c").id == "c"
    assert chains.previous("c", expired=True).id == "b"
    # It points at b, which has expired, so a is the one from which it goes on.
    assert chains.current("c").id == "a"
    assert chains.previous("c") is None
    assert chains.next("c").id == "c"
    chains.set_current("c", "b")
    assert chains.next("c", expired=True).id == "c"


def test_expired_ends_are_not_gone_to(chains, chain, clock):
    push(chains, "a", ttl_s=1)
    push(chains, "b", "c")
    push(chains, "d", ttl_s=1)
    clock.forward(seconds=1)

    assert chains.first("c").id == "b"
    assert chains.last("c").id == "c"
    assert chains.first("c", expired=True).id == "a"
    assert chains.current("c").id == "b"  # the nearest behind it: none before it is left
    assert chains.last("c", expired=True).id == "d"


def test_cleaning_takes_expired_children_and_what_is_below_them(chains, chain, clock):
    push(chains, "a")
    chains.add_child("c", "a", id="short", ttl_s=1)
    chains.add_child("c", "short", id="long")
    chains.add_child("c", "a", id="other")
    clock.forward(seconds=1)

    assert chains.clean_expired("c") == 2

    assert [focus.id for focus in chains.walk("c")] == ["a", "other"]
    assert chains.current("c").id == "a"


def test_all_chains_are_cleaned_at_once_and_the_rest_is_not_touched(chains, chain, clock):
    push(chains, "a", ttl_s=1)
    other = chains.create("other")
    chains.push(other.id, target="b", ttl_s=1)
    stays = chains.create("stays")
    clock.forward(seconds=1)

    assert chains.clean_expired() == 2

    assert len(chains["c"].focuses) == len(chains[other.id].focuses) == 0
    assert chains[stays.id] is stays
    assert chains.clean_expired() == 0


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"ttl_s": -1}, "ttl_s"),
        ({"ttl_s": float("nan")}, "ttl_s"),
        ({"ttl_s": float("inf")}, "ttl_s"),
        ({"ttl_s": True}, "ttl_s"),
        ({"ttl_s": "60"}, "ttl_s"),
        ({"ttl_s": 1e300}, "ttl_s"),
        ({"ttl_s": 1e12}, "ttl_s"),
        ({"ttl_s": 1, "expires_at": MOMENT}, "ttl_s"),
        ({"expires_at": MOMENT - timedelta(microseconds=1)}, "expires_at"),
        ({"expires_at": MOMENT.replace(tzinfo=None)}, "expires_at"),
        ({"priority": 0}, "priority"),
        ({"priority": 21}, "priority"),
        ({"priority": True}, "priority"),
        ({"priority": 5.0}, "priority"),
        ({"priority": "urgent"}, "priority"),
        ({"type": ""}, "type"),
        ({"type": "t" * 101}, "type"),
        ({"type": 5}, "type"),
        ({"target": "t" * 10_001}, "target"),
        ({"tags": ["ok", ""]}, "tags"),
        ({"tags": ["t" * 101]}, "tags"),
        ({"tags": "one"}, "tags"),
        ({"context": [1]}, "context"),
        ({"id": ""}, "id"),
        ({"children": [5]}, "children"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_bad_values_are_refused_by_the_name_of_the_field(chains, chain, fields, field):
    push(chains, "a")
    before = chains["c"]

    for call in (
        lambda: chains.push("c", **fields),
        lambda: chains.add_child("c", "a", **fields),
        lambda: chains.update_focus("c", "a", **fields),
    ):
        with pytest.raises(InvalidRecord, match=f"focus: .*{field}") as error:
            call()
        assert error.value.field == field

    assert chains["c"] is before


def test_allowed_values_are_named(chains, chain):
    with pytest.raises(InvalidRecord) as error:
        chains.push("c", priority="urgent")
    assert error.value.allowed == ("low", "normal", "high", "critical")
    with pytest.raises(InvalidRecord) as error:
        chains.push("c", colour="red")
    assert {"type", "ttl_s"} <= set(error.value.allowed)


def test_values_do_not_stand_in_errors(chains, chain):
    for fields in (
        {"priority": "secret"},
        {"type": ["secret"]},
        {"tags": "secret"},
        {"target": "secret" * 5000},
        {"context": "secret"},
    ):
        with pytest.raises(InvalidRecord) as error:
            chains.push("c", **fields)
        assert "secret" not in str(error.value)


# --- priorities, types, queries -------------------------------------------------------


def test_words_stand_for_priorities(chains, chain):
    words = {"low": 1, "normal": 5, "HIGH": 10, "critical": 20}

    for word, number in words.items():
        assert chains.push("c", priority=word).priority == number
    assert [one.priority for one in chains.by_priority("c", "high")] == [10, 20]
    assert [one.priority for one in chains.by_priority("c", 2)] == [5, 10, 20]
    with pytest.raises(InvalidRecord):
        chains.by_priority("c", 0)


def test_any_text_is_a_type_and_ten_are_usual(chains, chain):
    assert len(set(FOCUS_TYPES)) == 10

    for type in (*FOCUS_TYPES, "of my own"):
        chains.push("c", type=type)

    assert [len(chains.by_type("c", type)) for type in FOCUS_TYPES] == [1] * 10
    assert len(chains.by_type("c", "of my own")) == 1


def test_queries_look_into_the_trees_in_their_order(chains, chain):
    push(chains, "a", "b", tags=["t"])
    chains.add_child("c", "a", id="a1", tags=["T", "t"])

    assert [one.id for one in chains.by_tag("c", "t")] == ["a", "a1", "b"]
    assert [one.id for one in chains.by_type("c", "custom")] == ["a", "a1", "b"]
    assert chains.get_focus("c", "a1").tags == ("T", "t")
    assert [one.id for one in chains.recent("c", 1)] == ["b"]
    assert [one.id for one in chains.recent("c")] == ["b", "a"]
    assert chains.recent("c", 0) == ()
    for most in (-1, True, "2"):
        with pytest.raises(InvalidRecord):
            chains.recent("c", most)


# --- changing -------------------------------------------------------------------------


def test_changed_focus_stays_where_it_stands(chains, chain, clock):
    push(chains, "a", "b", "c")
    clock.forward(seconds=5)

    new = chains.update_focus("c", "b", target="else", priority="low", ttl_s=10)

    assert ids(chains) == ["a", "b", "c"]
    assert chains.get_focus("c", "b") == new
    assert (new.target, new.priority) == ("else", 1)
    assert new.expires_at == clock.now + timedelta(seconds=10)
    assert (new.created_at, new.updated_at) == (MOMENT, clock.now)
    assert chains.update_focus("c", "b", expires_at=None).expires_at is None


def test_changed_focus_keeps_its_id_and_a_sensible_expiry(chains, chain):
    push(chains, "a", "b")

    for changes, field in (
        ({"id": "b"}, "id"),
        ({"id": "other"}, "id"),
        ({"created_at": MOMENT, "expires_at": MOMENT - timedelta(1)}, "expires_at"),
        ({"children": (Focus(id="b"),)}, "id"),
    ):
        with pytest.raises(InvalidRecord) as error:
            chains.update_focus("c", "a", **changes)
        assert error.value.field == field


def test_details_are_set_one_by_one(chains, chain):
    chains.set_context("c", "k", {"deep": [1]})
    chains.set_context("c", "other", None)
    chains.set_metadata("c", "m", 2)

    assert chains.get_context("c", "k") == {"deep": (1,)}
    assert chains.get_context("c", "none", "default") == "default"
    assert chains.get_metadata("c", "m") == 2
    assert dict(chains.remove_context("c", "k").context) == {"other": None}
    assert dict(chains.remove_metadata("c", "m").metadata) == {}
    before = chains["c"]
    assert chains.remove_context("c", "none") is before
    for value in (float("nan"), 2**70, {1: 2}, object()):
        with pytest.raises(InvalidRecord) as error:
            chains.set_context("c", "bad", value)
        assert error.value.field == "context"
    assert chains["c"] is before


# --- joining --------------------------------------------------------------------------


def test_merge_adds_what_is_not_there_and_the_context_of_the_source_wins(chains, chain):
    push(chains, "a", "b")
    chains.add_child("c", "a", id="shared")
    chains.update("c", context={"k": 1, "mine": 1})
    source = chains.create("s", id="s", context={"k": 2, "theirs": 2}, metadata={"m": 1})
    chains.push("s", id="b", target="another b")
    chains.push("s", id="x", children=(Focus(id="shared"), Focus(id="y")))
    source = chains["s"]

    merged = chains.merge("c", source)

    assert [focus.id for focus in chains.walk("c")] == ["a", "shared", "b", "x", "y"]
    assert chains.get_focus("c", "b").target == "b"
    assert merged.context == {"k": 2, "mine": 1, "theirs": 2}
    assert merged.metadata == {"m": 1}
    assert merged.current.id == "b"
    assert chains["s"] is source
    assert chains.merge("c", "s") is merged


def test_merge_keeps_to_the_size_of_the_target(chains):
    chains.create("c", id="c", max_size=3)
    push(chains, "a", "b", "c")
    chains.set_current("c", "a")
    chains.create("s", id="s")
    for id in ("x", "y"):
        chains.push("s", id=id)

    merged = chains.merge("c", "s")

    assert [one.id for one in merged.focuses] == ["c", "x", "y"]
    assert merged.current.id == "c"


def test_merge_into_a_full_chain_lets_the_expired_of_both_go_first(chains, clock):
    chains.create("c", id="c", max_size=2)
    push(chains, "a", "b")
    chains.create("s", id="s")
    chains.push("s", id="short", ttl_s=1)
    clock.forward(seconds=1)

    merged = chains.merge("c", "s")

    assert [one.id for one in merged.focuses] == ["a", "b"]
    assert merged.current.id == "b"


def test_merge_into_an_empty_chain_takes_the_pointer_over(chains, chain):
    chains.create("s", id="s")
    chains.push("s", id="x")
    chains.push("s", id="y")
    chains.set_current("s", "x")

    assert chains.merge("c", "s").current.id == "x"


def test_chain_is_not_merged_with_itself_or_nothing(chains, chain):
    with pytest.raises(InvalidRecord) as error:
        chains.merge("c", chain)
    assert error.value.field == "source"
    for pair in (("c", "none"), ("none", "c")):
        with pytest.raises(RecordNotFound):
            chains.merge(*pair)


def test_split_moves_the_tail_to_a_chain_of_its_own(chains, clock):
    chains.create("c", id="c", session_id="s", max_size=9, context={"k": 1}, active=True)
    push(chains, "a", "b", "c", "d")
    chains.set_current("c", "c")
    clock.forward(seconds=1)

    head, tail = chains.split("c", 2)

    assert [one.id for one in head.focuses] == ["a", "b"]
    assert [one.id for one in tail.focuses] == ["c", "d"]
    assert (head.current.id, tail.current.id) == ("b", "c")
    assert (tail.name, tail.session_id, tail.max_size) == ("c-split", "s", 9)
    assert tail.context == {"k": 1}
    assert tail.created_at == clock.now
    assert (chains["c"], chains[tail.id]) == (head, tail)
    assert chains.active == head


def test_split_at_the_beginning_leaves_an_empty_head(chains, chain):
    push(chains, "a", "b")

    head, tail = chains.split("c", 0, name="rest", id="t")

    assert (head.focuses, head.current_id) == ((), None)
    assert (tail.id, tail.name, tail.current.id) == ("t", "rest", "b")


@pytest.mark.parametrize("index", [-1, 2, True, "1", 1.0])
def test_split_where_nothing_stands_is_refused(chains, chain, index):
    push(chains, "a", "b")
    before = chains["c"]

    with pytest.raises(InvalidRecord) as error:
        chains.split("c", index)

    assert error.value.field == "index"
    assert chains.all() == (before,)


def test_reverse_mirrors_the_pointer(chains, chain):
    push(chains, "a", "b", "c")
    chains.set_current("c", "a")

    turned = chains.reverse("c")

    assert [one.id for one in turned.focuses] == ["c", "b", "a"]
    assert turned.current.id == "a"
    assert chains.next("c") is None
    assert chains.previous("c").id == "b"


# --- chains ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "n" * (MAX_LENGTHS["name"] + 1)}, "name"),
        ({"name": 5}, "name"),
        ({"session_id": ""}, "session_id"),
        ({"max_size": -1}, "max_size"),
        ({"max_size": True}, "max_size"),
        ({"current_id": "x"}, "current_id"),
        ({"focuses": [5]}, "focuses"),
        ({"focuses": [Focus(id="a"), Focus(id="b", children=(Focus(id="a"),))]}, "id"),
        ({"colour": "red"}, "colour"),
        ({"context": 5}, "context"),
    ],
)
def test_bad_values_of_a_chain_are_refused_by_the_name_of_the_field(chains, chain, fields, field):
    with pytest.raises(InvalidRecord) as error:
        chains.create(**fields)
    assert error.value.field == field
    with pytest.raises(InvalidRecord) as error:
        chains.update("c", **fields)
    assert error.value.field == field

    assert chains.all() == (chain,)
    assert chains["c"] is chain


def test_smaller_chain_lets_the_expired_and_then_the_oldest_go(chains, chain, clock):
    push(chains, "a", "b")
    push(chains, "short", ttl_s=1)
    push(chains, "c")
    chains.set_current("c", "a")
    clock.forward(seconds=1)

    smaller = chains.update("c", max_size=2)

    assert [one.id for one in smaller.focuses] == ["b", "c"]
    assert smaller.current.id == "b"


def test_chain_that_is_made_too_large_keeps_the_newest(chains):
    focuses = [Focus(id=str(number)) for number in range(5)]

    made = chains.create("c", max_size=2, focuses=focuses, current_id="0")

    assert [one.id for one in made.focuses] == ["3", "4"]
    assert made.current.id == "3"


def test_replaced_focuses_keep_a_pointer_that_points(chains, chain):
    push(chains, "a", "b")

    assert chains.update("c", focuses=[Focus(id="a")]).current.id == "a"
    assert chains.update("c", focuses=[Focus(id="x")]).current.id == "x"
    assert chains.update("c", focuses=()).current_id is None


def test_pointer_that_a_stranger_left_nowhere_is_none(chains):
    chains.add(FocusChain("c", current_id="gone", focuses=[Focus(id="a"), Focus(id="b")]))

    assert chains["c"].current is None
    assert chains.current("c") is None
    assert chains.next("c").id == "a"


@pytest.mark.parametrize(
    ("id", "told"), [("", "is empty"), ("secret\ud800", "Unicode"), (5, "str")]
)
def test_an_id_of_a_focus_is_refused_with_the_reason_and_not_with_the_id(id, told):
    chains = FocusManager()
    chain = chains.create("A")

    with pytest.raises(InvalidRecord, match=f"focus: id: .*{told}") as refused:
        chains.push(chain, id=id)

    assert refused.value.field == "id"
    assert "secret" not in str(refused.value)


def test_a_range_without_an_end_is_told_as_one():
    with pytest.raises(InvalidRecord, match=r"max_size takes an integer from 0 on\Z"):
        FocusManager().create("A", max_size=-1)
