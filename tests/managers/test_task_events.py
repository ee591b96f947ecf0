"""Events of tasks: told by name, whoever changed them and however."""

import attrs
import pytest

from statestore import Store, UnknownName
from statestore.managers import TaskManager
from statestore.managers.tasks.events import EVENTS
from statestore.managers.tasks.leases import LEASE_EVENTS
from statestore.managers.tasks.statuses import STEPS


@pytest.fixture
def tasks():
    return TaskManager()


def heard_of(tasks, name="*", **filters):
    heard = []
    tasks.on(
        name, lambda event: heard.append((event.id, event.name, dict(event.details))), **filters
    )
    return heard


def test_what_becomes_of_a_task_is_told_by_name(tasks):
    heard = []
    tasks.on("*", lambda event: heard.append(event.name))
    task = tasks.create("t")

    for operation in (
        lambda: tasks.ready(task),
        lambda: tasks.delegate(task, "other"),
        lambda: tasks.start(task),
        lambda: tasks.pause(task),
        lambda: tasks.resume(task),
        lambda: tasks.interrupt(task),
        lambda: tasks.resume(task),
        lambda: tasks.block(task),
        lambda: tasks.unblock(task),
        lambda: tasks.queue(task),
        lambda: tasks.start(task),
        lambda: tasks.fail(task, "broken"),
        lambda: tasks.retry(task),
        lambda: tasks.start(task),
        lambda: tasks.wait(task),
        lambda: tasks.complete(task),
        lambda: tasks.cancel(tasks.create("u")),
    ):
        operation()

    plain = ("created", "updated", "status_changed")
    assert [name for name in heard if name not in plain] == [
        "delegated",
        "started",
        "paused",
        "resumed",
        "interrupted",
        "resumed",
        "blocked",
        "unblocked",
        "queued",
        "started",
        "failed",
        "retried",
        "started",
        "completed",
        "cancelled",
    ]
    assert heard.count("status_changed") == 17


def test_details_say_what_the_name_does_not(tasks):
    task = tasks.create("t", id="t", status="running")
    heard = heard_of(tasks)

    tasks.set_progress("t", 40)
    tasks.append_output("t", "line")
    tasks.append_logs("t", task.logs)
    tasks.assign("t", "me", by="boss")
    tasks.assign("t", "you")
    tasks.unassign("t")
    tasks.block("t", "no key")
    tasks.start("t")
    tasks.fail("t", "broken")

    assert [one for one in heard if one[1] != "updated"] == [
        ("t", "progress_updated", {"percent": 40.0}),
        ("t", "output_appended", {"count": 1}),
        ("t", "assigned", {"to": "me", "by": "boss", "old": None}),
        ("t", "assigned", {"to": "you", "by": None, "old": "me"}),
        ("t", "unassigned", {"old": "you"}),
        ("t", "status_changed", {"old": "running", "new": "blocked", "reason": "no key"}),
        ("t", "blocked", {"reason": "no key"}),
        ("t", "status_changed", {"old": "blocked", "new": "running", "reason": None}),
        ("t", "resumed", {}),
        ("t", "status_changed", {"old": "running", "new": "failed", "reason": None}),
        ("t", "failed", {"error": "broken"}),
    ]


def test_who_is_below_whom_is_told_of_the_child(tasks):
    tasks.create("p", id="p")
    tasks.create("q", id="q")
    heard = heard_of(tasks)

    tasks.add_subtask("p", "c", id="c")
    tasks.link("c", "q")
    tasks.unlink("c")

    assert [one for one in heard if one[1].endswith("linked")] == [
        ("c", "linked", {"parent_id": "p"}),
        ("c", "unlinked", {"parent_id": "p"}),
        ("c", "linked", {"parent_id": "q"}),
        ("c", "unlinked", {"parent_id": "q"}),
    ]


def test_deletion_tells_why_and_by_whom_where_that_was_said(tasks):
    tasks.create("p", id="p")
    tasks.add_subtask("p", "c", id="c")
    tasks.create("x", id="x")
    heard = heard_of(tasks)

    tasks.delete("p", children="delete", reason="old", actor="me")
    tasks.delete("x")

    why = {"reason": "old", "actor": "me"}
    assert sorted(heard) == [
        ("c", "deleted", {}),
        ("c", "removed", why),
        ("p", "deleted", {}),
        ("p", "removed", why),
        ("x", "deleted", {}),
    ]


@pytest.mark.parametrize("way", ["update", "modify", "replace", "set_status"])
def test_names_are_told_however_the_change_was_made(way, tasks):
    task = tasks.create("t", id="t")
    heard = heard_of(tasks, "started")

    {
        "update": lambda: tasks.update("t", status="running"),
        "modify": lambda: tasks.modify("t", lambda one: attrs.evolve(one, status="running")),
        "replace": lambda: tasks.replace(attrs.evolve(task, status="running")),
        "set_status": lambda: tasks.set_status("t", "in_progress"),
    }[way]()

    assert heard == [("t", "started", {})]


def test_parents_that_follow_are_told_too_and_only_what_is_durable(tmp_path):
    with Store(tmp_path) as store:
        tasks = store.register(TaskManager())
        tasks.create("p", id="p")
        tasks.add_subtask("p", "c", id="c")
        store.save_all()
        heard = heard_of(tasks, "started")

        tasks.start("c")
        assert heard == []
        store.save_all()

        assert sorted(heard) == [("c", "started", {}), ("p", "started", {})]


def test_names_are_told_of_what_others_have_changed(tmp_path):
    with Store(tmp_path) as one, Store(tmp_path) as other:
        tasks, theirs = one.register(TaskManager()), other.register(TaskManager())
        tasks.create("t", id="t")
        one.save_all()
        one.load_all()
        other.load_all()
        heard = heard_of(tasks)

        theirs.start("t")
        theirs.append_output("t", "line")
        other.save_all()
        one.refresh()

        assert {name for _, name, _ in heard} == {
            "updated",
            "status_changed",
            "started",
            "output_appended",
        }


def test_refused_operation_is_not_told(tasks):
    task = tasks.create("t")
    heard = heard_of(tasks)

    for refused in (lambda: tasks.complete(task), lambda: tasks.update(task, title="")):
        with pytest.raises(ValueError):
            refused()

    assert heard == []


def test_only_the_names_of_the_table_can_be_heard(tasks):
    assert tasks.event_names == ("created", "updated", "deleted", *EVENTS, *LEASE_EVENTS)
    with pytest.raises(UnknownName):
        tasks.on("begun", print)
    assert len(STEPS) == 15
