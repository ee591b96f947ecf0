"""The tree of tasks: parents, children, roll-up, and what is deleted with what."""

import contextlib
from itertools import product

import attrs
import pytest

from statestore import (
    CircularReference,
    HasChildren,
    InvalidRecord,
    RecordNotFound,
    Store,
)
from statestore.managers import Task, TaskManager, TaskStatus
from statestore.managers.tasks.hierarchy import ROLL_UP, rolled_up
from statestore.managers.tasks.statuses import TASK_TRANSITIONS

DEEP = 10_000


@pytest.fixture
def tasks():
    return TaskManager()


def grown(tasks, shape, parent_id=None):
    """Make a tree of tasks of nested mappings of ids."""
    for id, below in shape.items():
        tasks.create(id, id=id, parent_id=parent_id)
        grown(tasks, below, id)
    return tasks


def ids(tasks):
    return [one.id for one in tasks]


def chain(tasks, length, **fields):
    """Make tasks each below the one before, as an import does."""
    make = tasks.create("0", id="0")
    for number in range(1, length):
        tasks.add(attrs.evolve(make, id=str(number), parent_id=str(number - 1), **fields))


def undone(store, change):
    """Make a change in a transaction that fails."""
    with contextlib.suppress(ZeroDivisionError), store.transaction():
        change()
        1 / 0  # noqa: B018


TREE = {"a": {"b": {"d": {}, "e": {}}, "c": {}}, "x": {}}


def test_tree_is_as_the_parents_say(tasks):
    grown(tasks, TREE)

    assert ids(tasks.children("a")) == ["b", "c"]
    assert ids(tasks.descendants("a")) == ["b", "d", "e", "c"]
    assert ids(tasks.ancestors("d")) == ["b", "a"]
    assert ids(tasks.path("d")) == ["a", "b", "d"]
    assert (tasks.root("e").id, tasks.root("x").id) == ("a", "x")
    assert (tasks.depth("d"), tasks.depth("a")) == (2, 0)
    assert ids(tasks.roots()) == ["a", "x"]
    assert tasks.children("d") == ()


@pytest.mark.parametrize(
    "name", ["children", "descendants", "ancestors", "path", "root", "depth", "children_status"]
)
def test_of_a_task_that_is_not_there_nothing_is_below(name, tasks):
    with pytest.raises(RecordNotFound):
        getattr(tasks, name)("none")


def test_children_stand_in_their_places(tasks):
    tasks.create("p", id="p")
    for id, position in (("last", None), ("second", 1), ("first", 0)):
        tasks.create(id, id=id, parent_id="p", position=position)

    assert ids(tasks.children("p")) == ["first", "second", "last"]


def test_subtask_is_in_the_session_of_its_parent(tasks):
    parent = tasks.create("p", session_id="s")

    child = tasks.add_subtask(parent, "c", priority="high")
    other = tasks.add_subtask(parent.id, "o", session_id="t")

    assert (child.parent_id, child.session_id, child.position) == (parent.id, "s", 1)
    assert (other.parent_id, other.session_id, other.position) == (parent.id, "t", 0)


def test_tree_survives_a_restart(tmp_path):
    with Store(tmp_path) as store:
        grown(store.register(TaskManager()), TREE)
        store.save_all()
    with Store(tmp_path) as store:
        again = store.register(TaskManager())
        store.load_all(strict=True)

        assert ids(again.descendants("a")) == ["b", "d", "e", "c"]


# --- moving ---------------------------------------------------------------------------


def test_task_that_is_moved_leaves_its_old_parent_and_takes_all_below_with_it(tasks):
    grown(tasks, TREE)

    moved = tasks.link("b", "x", actor="me")

    assert moved.parent_id == "x"
    assert moved.changes[-1].actor == "me"
    assert ids(tasks.children("a")) == ["c"]
    assert ids(tasks.descendants("x")) == ["b", "d", "e"]
    assert tasks.unlink("b").parent_id is None
    assert ids(tasks.roots()) == ["a", "b", "x"]
    assert tasks.unlink("b") is tasks["b"]


@pytest.mark.parametrize(
    ("id", "parent_id", "path"),
    [("a", "a", ("a", "a")), ("a", "b", ("a", "b", "a")), ("a", "d", ("a", "d", "b", "a"))],
)
@pytest.mark.parametrize("way", ["link", "update", "modify", "replace"])
def test_no_task_comes_below_itself(way, id, parent_id, path, tasks):
    grown(tasks, TREE)
    before = tasks.all()

    with pytest.raises(CircularReference) as caught:
        linked(tasks, way, id, parent_id)

    assert (caught.value.field, caught.value.path) == ("parent_id", path)
    assert tasks.all() == before


@pytest.mark.parametrize("way", ["link", "update", "modify", "replace"])
def test_no_task_comes_below_one_that_is_not_there(way, tasks):
    task = tasks.create("a", id="a")

    with pytest.raises(RecordNotFound) as caught:
        linked(tasks, way, "a", "none")

    assert (caught.value.id, caught.value.field) == ("none", "parent_id")
    assert tasks["a"] is task


def linked(tasks, way, id, parent_id):
    if way == "link":
        return tasks.link(id, parent_id)
    if way == "update":
        return tasks.update(id, parent_id=parent_id)
    if way == "modify":
        return tasks.modify(id, lambda one: attrs.evolve(one, parent_id=parent_id))
    return tasks.replace(attrs.evolve(tasks[id], parent_id=parent_id))


# --- deleting -------------------------------------------------------------------------


def test_task_with_children_is_not_deleted_unless_it_is_said_what_becomes_of_them(tasks):
    grown(tasks, TREE)
    before = tasks.all()

    with pytest.raises(HasChildren) as caught:
        tasks.delete("a")

    assert caught.value.children == ("b", "c")
    assert tasks.all() == before
    assert tasks.delete("c").id == "c"


def test_all_below_is_deleted_with_it_in_one_commit(tmp_path):
    with Store(tmp_path, autosave="on-change") as store:
        tasks = grown(store.register(TaskManager()), TREE)
        before = store.sequence

        assert tasks.delete("a", children="delete").id == "a"

        assert tasks.ids() == ("x",)
        assert store.sequence == before + 1
        assert {one.key.id for one in store.scan("tasks")} == {"x"}


def test_children_are_roots_when_they_are_detached(tasks):
    grown(tasks, TREE)

    tasks.delete("a", children="detach", actor="me")

    assert ids(tasks.roots()) == ["b", "c", "x"]
    assert ids(tasks.children("b")) == ["d", "e"]
    assert tasks["b"].changes[-1].actor == "me"


@pytest.mark.parametrize("children", ["", "keep", None, True], ids=repr)
def test_what_becomes_of_children_is_one_of_three(children, tasks):
    task = tasks.create("a")

    with pytest.raises(InvalidRecord) as caught:
        tasks.delete(task, children=children)

    assert caught.value.allowed == ("refuse", "delete", "detach")
    assert tasks.all() == (task,)


def test_delete_of_a_task_that_is_not_there_says_so(tasks):
    for children in ("refuse", "delete", "detach"):
        with pytest.raises(RecordNotFound):
            tasks.delete("none", children=children)


def test_deleting_is_undone_with_its_transaction(tasks):
    with Store("memory:") as store:
        grown(store.register(tasks), TREE)
        store.save_all()
        before = tasks.all()

        def change():
            tasks.delete("a", children="delete")
            assert tasks.ids() == ("x",)

        undone(store, change)

        assert tasks.all() == before


# --- roll-up --------------------------------------------------------------------------


def expected(statuses):
    """Say once more, in other words, what children give to their parent."""
    for strongest in ("failed", "running", "paused", "blocked"):
        if strongest in [one.value for one in statuses]:
            return TaskStatus(strongest)
    wanted = [one for one in statuses if one is not TaskStatus.CANCELLED]
    if wanted and all(one is TaskStatus.SUCCEEDED for one in wanted):
        return TaskStatus.SUCCEEDED
    return None


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_status_from_children_for_all_of_their_statuses(count):
    for statuses in product(TaskStatus, repeat=count):
        assert rolled_up(statuses) is expected(statuses)


def test_parent_and_its_parents_follow_in_the_same_commit(tmp_path):
    with Store(tmp_path, autosave="on-change") as store:
        tasks = store.register(TaskManager())
        grown(tasks, {"a": {"b": {"c": {}}}})
        before = store.sequence

        tasks.start("c", actor="me")

        assert [one.status for one in tasks] == [TaskStatus.RUNNING] * 3
        assert all(one.started_at is not None for one in tasks)
        assert tasks["a"].changes[-1].actor == "me"
        assert store.sequence == before + 1
        tasks.complete("c")
        assert [one.status for one in tasks] == [TaskStatus.SUCCEEDED] * 3
        assert all(one.completed_at is not None for one in tasks)


@pytest.mark.parametrize("status", TaskStatus)
@pytest.mark.parametrize("of_child", [*ROLL_UP, TaskStatus.SUCCEEDED])
def test_parent_that_cannot_go_there_stays_and_the_child_is_changed(status, of_child, tasks):
    parent = tasks.add(Task("p", title="p", status=status))
    before = TaskStatus.PAUSED if of_child is TaskStatus.RUNNING else TaskStatus.RUNNING
    child = tasks.add(Task("c", title="c", parent_id="p", status=before))

    new = tasks.set_status(child, of_child)

    assert new.status is of_child
    if of_child in TASK_TRANSITIONS[status]:
        assert tasks["p"].status is of_child
    else:
        assert tasks["p"] is parent


def test_siblings_count_and_a_retry_lets_the_parent_go_on(tasks):
    tasks.create("p", id="p")
    for id in ("a", "b"):
        tasks.add_subtask("p", id, id=id)
    tasks.start("a")
    tasks.start("b")
    tasks.fail("a", "broken")
    assert tasks["p"].status is TaskStatus.FAILED
    tasks.complete("b")
    assert tasks["p"].status is TaskStatus.FAILED
    tasks.retry("a")
    assert (tasks.children_status("p"), tasks["p"].status) == (None, TaskStatus.FAILED)
    tasks.start("a")
    assert tasks["p"].status is TaskStatus.RUNNING
    tasks.complete("a")

    assert tasks["p"].status is TaskStatus.SUCCEEDED


@pytest.mark.parametrize("how", ["delete", "unlink", "link", "update"])
def test_parent_follows_who_its_children_are(how, tasks):
    tasks.create("other", id="other")
    tasks.create("p", id="p", status="running")
    tasks.add_subtask("p", "done", id="done", status="running")
    tasks.add_subtask("p", "left", id="left")
    tasks.complete("done")
    assert tasks["p"].status is TaskStatus.RUNNING

    {
        "delete": lambda: tasks.delete("left"),
        "unlink": lambda: tasks.unlink("left"),
        "link": lambda: tasks.link("left", "other"),
        "update": lambda: tasks.update("left", parent_id="other"),
    }[how]()

    assert tasks["p"].status is TaskStatus.SUCCEEDED
    assert tasks["other"].status is TaskStatus.PENDING


def test_child_that_is_created_running_or_moved_so_starts_its_parent(tasks):
    for id in ("p", "q"):
        tasks.create(id, id=id)
    child = tasks.add_subtask("p", "c", status="running")
    assert tasks["p"].status is TaskStatus.RUNNING

    tasks.link(child, "q")

    assert tasks["q"].status is TaskStatus.RUNNING


def test_parents_are_left_alone_where_that_is_wanted():
    tasks = TaskManager(roll_up=False)
    tasks.create("p", id="p")
    child = tasks.add_subtask("p", "c")

    tasks.start(child)

    assert tasks["p"].status is TaskStatus.PENDING
    assert tasks.children_status("p") is TaskStatus.RUNNING


def test_roll_up_is_a_part_of_the_transaction(tasks):
    with Store("memory:") as store:
        grown(store.register(tasks), {"p": {"c": {}}})
        store.save_all()

        def change():
            tasks.start("c")
            assert tasks["p"].status is TaskStatus.RUNNING

        undone(store, change)

        assert [one.status for one in tasks] == [TaskStatus.PENDING] * 2
        with store.transaction():
            tasks.start("c")
        assert [one.status for one in tasks] == [TaskStatus.RUNNING] * 2
        assert tasks.unsaved == ()


# --- deep and wrong trees -------------------------------------------------------------


def test_trees_of_ten_thousand_levels_are_no_trouble(tasks):
    chain(tasks, DEEP)
    last = str(DEEP - 1)

    assert tasks.depth(last) == len(tasks.descendants("0")) == DEEP - 1
    assert tasks.root(last).id == "0"
    with pytest.raises(CircularReference) as caught:
        tasks.link("0", last)
    assert len(caught.value.path) == DEEP + 1
    tasks.start(last)
    assert tasks["0"].status is TaskStatus.RUNNING
    tasks.delete("1", children="delete")
    assert tasks.ids() == ("0",)


@pytest.mark.parametrize("field", ["parent_id", "depends_on"])
def test_who_is_named_before_he_is_there_closes_no_circle(field, tasks):
    name = {"parent_id": str, "depends_on": lambda id: (id,)}[field]
    base = tasks.create("a", id="a")
    tasks.add(attrs.evolve(base, id="b", **{field: name("c")}))

    with pytest.raises(CircularReference) as caught:
        tasks.create("c", id="c", **{field: name("b")})

    assert caught.value.path == ("c", "b", "c")
    assert tasks.ids() == ("a", "b")


def test_circle_that_came_from_elsewhere_is_gone_round_once(tasks):
    base = tasks.create("a", id="a")
    tasks.add(attrs.evolve(base, id="b", parent_id="c"))
    tasks.add(attrs.evolve(base, id="c", parent_id="b"))
    tasks.add(attrs.evolve(base, id="d", parent_id="d"))

    assert ids(tasks.descendants("b")) == ["c"]
    assert ids(tasks.ancestors("b")) == ["c", "b"][:1]
    assert tasks.ancestors("d") == tasks.descendants("d") == ()
    tasks.start("b")
    assert tasks["c"].status is TaskStatus.RUNNING
    tasks.unlink("c")
    tasks.delete("d", children="delete")
    tasks.delete("c", children="delete")
    assert tasks.ids() == ("a",)


def test_children_of_a_parent_that_is_gone_are_roots_and_go_on(tasks):
    base = tasks.create("a", id="a")
    tasks.add(attrs.evolve(base, id="b", parent_id="gone"))

    assert ids(tasks.roots()) == ["a", "b"]
    assert tasks.start("b").status is TaskStatus.RUNNING
    assert ids(tasks.by_parent("gone")) == ["b"]
    assert tasks.update("b", title="u").parent_id == "gone"


@pytest.mark.parametrize("last", ["complete", "cancel"])
def test_children_that_are_cancelled_keep_no_parent_open(tasks, last):
    parent = tasks.create("parent")
    one, other = (tasks.create(title, parent_id=parent) for title in ("one", "other"))
    tasks.start(one)
    assert tasks[parent].status is TaskStatus.RUNNING

    if last == "complete":
        tasks.cancel(other)
        tasks.complete(one)
    else:
        tasks.complete(one)
        tasks.cancel(other)

    assert tasks[parent].status is TaskStatus.SUCCEEDED


def test_a_parent_whose_children_are_all_cancelled_stays_as_it_is(tasks):
    parent = tasks.create("parent")
    tasks.cancel(tasks.create("one", parent_id=parent))

    assert tasks.children_status(parent) is None
    assert tasks[parent].status is TaskStatus.PENDING
