"""Dependencies of tasks: circles, order, and what can be begun."""

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statestore import CircularReference, InvalidRecord, RecordNotFound
from statestore.managers import TaskManager
from statestore.managers.tasks.order import DependencyProblem

DEEP = 10_000


@pytest.fixture
def tasks():
    return TaskManager()


def ids(tasks):
    return [one.id for one in tasks]


def made(tasks, **needs):
    for id, depends_on in needs.items():
        tasks.create(id, id=id, depends_on=depends_on.split(), allow_missing=True)
    return tasks


def test_dependencies_are_set_each_once(tasks):
    made(tasks, a="", b="", c="a")

    task = tasks.set_dependencies("c", ["b", "a", "b"], actor="me")

    assert task.depends_on == ("b", "a")
    assert task.changes[-1].actor == "me"
    assert tasks.update("c", depends_on=[]).depends_on == ()


@pytest.mark.parametrize("way", ["set", "update", "modify", "replace"])
@pytest.mark.parametrize(
    ("id", "depends_on", "path"),
    [
        ("a", ("a",), ("a", "a")),
        ("a", ("b",), ("a", "b", "a")),
        ("a", ("x", "c"), ("a", "c", "b", "a")),
    ],
)
def test_no_task_depends_on_itself(way, id, depends_on, path, tasks):
    made(tasks, x="", a="", b="a", c="b")
    before = tasks.all()

    with pytest.raises(CircularReference) as caught:
        changed(tasks, way, id, depends_on)

    assert (caught.value.field, caught.value.path) == ("depends_on", path)
    assert tasks.all() == before


def changed(tasks, way, id, depends_on):
    if way == "set":
        return tasks.set_dependencies(id, depends_on)
    if way == "update":
        return tasks.update(id, depends_on=depends_on)
    if way == "modify":
        return tasks.modify(id, lambda one: attrs.evolve(one, depends_on=depends_on))
    return tasks.replace(attrs.evolve(tasks[id], depends_on=depends_on))


def test_missing_dependency_is_refused_unless_it_is_allowed(tasks):
    task = tasks.create("a", id="a")

    with pytest.raises(RecordNotFound) as caught:
        tasks.set_dependencies("a", ["later"])
    assert (caught.value.id, caught.value.field) == ("later", "depends_on")
    assert tasks["a"] is task

    assert tasks.set_dependencies("a", ["later"], allow_missing=True).depends_on == ("later",)
    made(tasks, x="")
    assert tasks.set_dependencies("a", ["later", "x"]).depends_on == ("later", "x")


@pytest.mark.parametrize("depends_on", ["abc", [1], [""]], ids=repr)
def test_dependencies_are_a_list_of_ids(depends_on, tasks):
    task = tasks.create("a", id="a")

    with pytest.raises(InvalidRecord) as caught:
        tasks.set_dependencies("a", depends_on)

    assert caught.value.field == "depends_on"
    assert tasks["a"] is task


# --- what is the matter ---------------------------------------------------------------


def test_what_a_task_waits_for_is_told(tasks):
    made(tasks, done="", failed="", off="", open="", t="done failed off open none")
    for id in ("done", "failed"):
        tasks.start(id)
    tasks.complete("done")
    tasks.fail("failed", "broken")
    tasks.cancel("off")

    assert tasks.blocked_by("t") == (
        DependencyProblem("t", "failed", "failed"),
        DependencyProblem("t", "off", "failed"),
        DependencyProblem("t", "open", "unfinished"),
        DependencyProblem("t", "none", "missing"),
    )
    assert [one.why for one in tasks.check_dependencies("t")] == ["failed", "failed", "missing"]
    assert tasks.blocked_by("done") == tasks.check_dependencies("open") == ()


def test_circle_that_came_from_elsewhere_is_told_and_cannot_be_ordered(tasks):
    base = tasks.create("a", id="a")
    tasks.add(attrs.evolve(base, id="b", depends_on=("c",)))
    tasks.add(attrs.evolve(base, id="c", depends_on=("b",)))
    tasks.add(attrs.evolve(base, id="d", depends_on=("c",)))

    assert tasks.check_dependencies("b") == (
        DependencyProblem("b", "c", "circular", ("b", "c", "b")),
    )
    assert tasks.check_dependencies("d") == ()
    with pytest.raises(CircularReference) as caught:
        tasks.order()
    assert caught.value.path == ("b", "c", "b")
    assert ids(tasks.order(["a", "b"])) == ["a", "b"]
    assert ids(tasks.resumable_tasks()) == ["a", "b", "c", "d"]


# --- order ----------------------------------------------------------------------------


def test_dependencies_come_first_then_priority_then_place(tasks):
    tasks.create("z", id="z", session_id="s", position=5)
    tasks.create("y", id="y", session_id="s", position=4)
    tasks.create("urgent", id="urgent", session_id="s", priority="critical", depends_on=["z"])
    tasks.create("x", id="x", session_id="s", priority="high")
    tasks.create("other", id="other", priority="critical")

    assert ids(tasks.order()) == ["other", "x", "y", "z", "urgent"]
    assert ids(tasks.order(session_id="s")) == ["x", "y", "z", "urgent"]
    assert ids(tasks.order(["urgent", "y"])) == ["urgent", "y"]
    with pytest.raises(RecordNotFound):
        tasks.order(["none"])


def test_what_can_be_begun_is_what_waits_for_nothing(tasks):
    made(tasks, a="", b="a", c="none")
    tasks.create("e", id="e", session_id="s", priority="high")

    assert ids(tasks.ready_tasks()) == ["e", "a"]
    assert ids(tasks.ready_tasks(session_id="s")) == ["e"]
    tasks.start("a")
    assert ids(tasks.ready_tasks()) == ["e"]
    tasks.complete("a")
    assert ids(tasks.ready_tasks()) == ["e", "b"]


def test_after_a_restart_there_is_to_do_what_has_not_ended(tasks):
    made(tasks, c="", b="c", a="b", done="", broken="")
    for id in ("done", "broken", "b"):
        tasks.start(id)
    tasks.complete("done")
    tasks.fail("broken", "x")
    tasks.interrupt("b")

    assert ids(tasks.resumable_tasks()) == ["c", "b", "a"]


def test_ten_thousand_tasks_in_a_row_are_no_trouble(tasks):
    base = tasks.create("0", id="0")
    for number in range(1, DEEP):
        tasks.add(attrs.evolve(base, id=str(number), depends_on=(str(number - 1),)))

    assert ids(tasks.order()) == [str(number) for number in range(DEEP)]
    with pytest.raises(CircularReference) as caught:
        tasks.set_dependencies("0", [str(DEEP - 1)])
    assert len(caught.value.path) == DEEP + 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sets(st.integers(0, 9), max_size=3), st.integers(1, 20)), max_size=10),
    st.randoms(use_true_random=False),
)
def test_order_is_right_for_any_tasks(wanted, random):
    tasks = TaskManager()
    numbers = list(range(len(wanted)))
    random.shuffle(numbers)
    for number in numbers:
        needs, priority = wanted[number]
        on = [str(one) for one in sorted(needs) if one < number]
        tasks.create(
            str(number), id=str(number), depends_on=on, priority=priority, allow_missing=True
        )

    ordered = tasks.order()

    assert sorted(ids(ordered)) == sorted(map(str, numbers))
    done = set()
    for at, task in enumerate(ordered):
        assert done.issuperset(set(task.depends_on) & set(ids(ordered)))
        free = [one for one in ordered[at:] if done.issuperset(one.depends_on)]
        assert task.priority == max(one.priority for one in free)
        done.add(task.id)
