"""Append-only sequences, against tuples."""

import copy
import pickle
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from statestore.models.sequences import Items

VALUES = st.lists(st.integers(0, 3) | st.text(max_size=1), max_size=6)
INDEXES = st.none() | st.integers(-9, 9)


def grown(values, split):
    """Return items that share their list with a longer value, so that its end is not theirs."""
    items = Items(values[:split]).extended(values[split:])
    items.extended(["not", "one", "of", "them"])
    return items


GROWN = st.tuples(VALUES, st.integers(0, 6)).map(lambda pair: (pair[0], grown(*pair)))


@given(GROWN, VALUES)
def test_it_answers_as_a_tuple_of_its_items_does(pair, others):
    values, items = pair
    plain = tuple(values)

    assert (len(items), list(items), tuple(items)) == (len(plain), values, plain)
    assert list(reversed(items)) == list(reversed(plain))
    assert bool(items) is bool(plain)
    assert hash(items) == hash(plain)
    assert repr(items) == f"Items({values!r})"
    for other in (*others, *plain, "not"):
        assert (other in items) is (other in plain)
        assert items.count(other) == plain.count(other)


@given(GROWN, VALUES)
def test_it_is_equal_to_what_has_the_same_items(pair, others):
    values, items = pair

    for make in (tuple, list, Items):
        assert items == make(values)
        assert make(values) == items
        assert (items == make(others)) is (values == others)
        assert (items != make(others)) is (values != others)
    assert items != set(values)
    assert items != "".join(map(str, values))


@given(GROWN, INDEXES, INDEXES, st.integers(-3, 3).filter(bool))
def test_its_slices_are_those_of_a_tuple(pair, start, stop, step):
    values, items = pair

    assert items[start:stop:step] == tuple(values)[start:stop:step]
    assert items[start:stop] == tuple(values)[start:stop]


@given(GROWN, st.integers(-9, 9))
def test_its_items_are_found_by_number(pair, index):
    values, items = pair

    try:
        wanted = tuple(values)[index]
    except IndexError:
        with pytest.raises(IndexError, match="not so many"):
            items[index]
    else:
        assert items[index] is wanted


@given(GROWN, VALUES)
def test_adding_gives_both_and_leaves_both(pair, more):
    values, items = pair

    for sum_, wanted in (
        (items + tuple(more), values + more),
        (items + more, values + more),
        (items + Items(more), values + more),
        (tuple(more) + items, more + values),
        (more + items, more + values),
    ):
        assert isinstance(sum_, Items)
        assert list(sum_) == wanted
    assert list(items) == values


@given(GROWN, st.sampled_from([copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]))
def test_a_copy_is_equal_and_grows_by_itself(pair, copied):
    values, items = pair

    twin = copied(items)
    longer = twin.extended(["z"])

    assert twin == items
    assert list(longer) == [*values, "z"]
    assert list(items) == values


def test_a_deep_copy_copies_the_items():
    inner = [1]

    twin = copy.deepcopy(Items([inner]))
    inner.append(2)

    assert twin == [[1]]


def test_pickled_items_carry_nothing_that_others_have_added():
    items = Items(["a"])
    longer = items.extended(["secret"])

    assert b"secret" not in pickle.dumps(items)
    assert longer == ["a", "secret"]


def test_what_extends_the_tip_shares_its_list_and_continues_it():
    one = Items(["a"])
    two = one.extended(["b"])
    three = two.extended(["c", "d"])

    assert three.continues(one)
    assert three.continues(two)
    assert three.continues(three)
    assert not one.continues(three)
    assert three.since(1) == ("b", "c", "d")
    assert two.since(1) == ("b",)
    assert two.since(2) == ()


def test_a_fork_continues_only_what_it_was_copied_from_the_tip_of():
    one = Items(["a"])
    two = one.extended(["b"])
    other = one.extended(["c"])

    assert (one, two, other) == (("a",), ("a", "b"), ("a", "c"))
    assert not other.continues(one)
    assert not other.continues(two)
    assert other.extended(["d"]).continues(other)


def test_nothing_else_is_continued():
    items = Items(["a"])

    assert not items.continues(("a",))
    assert not items.continues(None)
    assert not Items(["a"]).continues(items)
    assert items.extended([]) is items


def test_adding_one_does_not_look_at_those_that_are_there():
    class Item:
        looked_at = 0

        @property
        def __class__(self):
            Item.looked_at += 1
            return type(self)

        def __eq__(self, other):
            Item.looked_at += 1
            return self is other

        __hash__ = None

    items = Items([Item() for _ in range(100)], Item)
    shared = items._list

    for _ in range(1000):
        longer = items.extended([Item()])
        assert longer.continues(items)
        items = longer

    assert len(items) == 1100
    assert Item.looked_at == 0
    assert items._list is shared


def test_items_of_another_class_are_refused_and_nothing_was_added():
    class Text(str):
        __slots__ = ()

    items = Items(["a"], str)

    for wrong in (1, Text("b"), None):
        with pytest.raises(TypeError, match="items of type str are wanted"):
            items.extended(["b", wrong])
        with pytest.raises(TypeError, match="items of type str are wanted"):
            Items(["a", wrong], str)
    assert items == ("a",)
    assert items.extended(["c"]).continues(items)


def test_what_it_was_made_from_can_be_changed_without_changing_it():
    source = ["a"]
    items = Items(source)

    source.append("b")

    assert items == ("a",)


@pytest.mark.parametrize("name", ["_list", "_length", "_right", "item_class", "new"])
def test_it_cannot_be_changed(name):
    items = Items(["a"])

    with pytest.raises(AttributeError, match="cannot be changed"):
        setattr(items, name, [])
    with pytest.raises(AttributeError, match="cannot be changed"):
        delattr(items, name)
    with pytest.raises(TypeError):
        items[0] = "b"
    assert items == ("a",)


def test_a_loop_ends_where_it_would_have_ended_when_items_are_added_in_it():
    items = Items([1, 2])

    seen = []
    for one in items:
        items.extended([one + 10])
        seen.append(one)

    assert seen == [1, 2]


def test_threads_that_extend_one_value_each_get_their_own():
    start = threading.Barrier(8)
    results = {}
    base = [Items(["x"]) for _ in range(200)]

    def extend(who):
        start.wait()
        results[who] = [
            items.extended([(who, number)]).extended([(who, "again")])
            for number, items in enumerate(base)
        ]

    threads = [threading.Thread(target=extend, args=(who,)) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for who, made in results.items():
        for number, items in enumerate(made):
            assert items == ("x", (who, number), (who, "again"))
    for number, items in enumerate(base):
        assert items == ("x",)
        assert sum(made[number].continues(items) for made in results.values()) == 1


class ViewsMachine(RuleBasedStateMachine):
    """Many values on shared lists: each stays what it was, and `continues` never lies."""

    views = Bundle("views")

    def __init__(self):
        super().__init__()
        self.known = []

    def note(self, items, values):
        assert tuple(items) == values
        self.known.append((items, values))
        return items, values

    @rule(target=views, values=VALUES)
    def make(self, values):
        return self.note(Items(values), tuple(values))

    @rule(target=views, view=views, values=VALUES)
    def extend(self, view, values):
        items, before = view
        return self.note(items.extended(iter(values)), (*before, *values))

    @rule(target=views, view=views, values=VALUES)
    def extend_in_threads(self, view, values):
        items, before = view
        made = {}

        def extend(who):
            made[who] = items.extended([who, *values])

        threads = [threading.Thread(target=extend, args=(who,)) for who in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for who in made:
            self.note(made[who], (*before, who, *values))
        return made[0], (*before, 0, *values)

    @rule(target=views, view=views, other=views)
    def join(self, view, other):
        return self.note(view[0] + other[0], view[1] + other[1])

    @rule(new=views, old=views)
    def compare(self, new, old):
        if new[0].continues(old[0]):
            assert new[1][: len(old[1])] == old[1]
            assert new[0].since(len(old[0])) == new[1][len(old[1]) :]
        assert (new[0] == old[0]) is (new[1] == old[1])

    @invariant()
    def every_value_is_what_it_was(self):
        for items, values in self.known:
            assert tuple(items) == values


TestViews = ViewsMachine.TestCase
