"""Statuses of tasks: every transition of the table, and every operation that makes one."""

from collections import deque
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from statestore import InvalidRecord, InvalidTransition, RecordNotFound, Store
from statestore.managers import TaskManager, TaskStatus
from statestore.managers.tasks.statuses import (
    CATEGORIES,
    ENDED,
    NEW_STATUSES,
    STATUS_ALIASES,
    STEPS,
    TASK_TRANSITIONS,
    TERMINAL,
    category_of,
    status_of,
)

PAIRS = [(old, new) for old in TaskStatus for new in TaskStatus]
LEGAL = [(old, new) for old, new in PAIRS if new in TASK_TRANSITIONS[old]]
ILLEGAL = [pair for pair in PAIRS if pair not in LEGAL]
MORE = {"fail": ("broken",), "delegate": ("somebody",)}


class Clock:
    def __init__(self):
        self.now = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)

    def __call__(self):
        self.now += timedelta(seconds=1)
        return self.now


def way_to(status):
    """Return the shortest way from the status of a new task to another."""
    ways = deque([[TaskStatus.PENDING]])
    seen = set()
    while ways:
        way = ways.popleft()
        if way[-1] is status:
            return way
        if way[-1] not in seen:
            seen.add(way[-1])
            ways.extend([*way, after] for after in TaskStatus if after in TASK_TRANSITIONS[way[-1]])
    return pytest.fail(f"no task can become {status}")


def brought_to(tasks, status, **fields):
    task = tasks.create("t", **fields)
    for step in way_to(status)[1:]:
        task = tasks.set_status(task, step)
    return task


# --- the tables -----------------------------------------------------------------------


def test_every_status_can_be_reached_and_has_transitions_and_one_category():
    assert set(TASK_TRANSITIONS) == set(TaskStatus)
    for status in TaskStatus:
        assert way_to(status)[-1] is status
        assert [name for name, of in CATEGORIES.items() if status in of] == [category_of(status)]
    assert {TaskStatus.SUCCEEDED, TaskStatus.CANCELLED} == TERMINAL
    assert TERMINAL < ENDED == CATEGORIES["completed"]


def test_matrix_is_that_of_the_tasks_it_comes_from_and_a_new_task_can_be_started():
    text = """
        pending: ready cancelled blocked running
        ready: running queued delegated cancelled
        queued: running cancelled
        running: paused interactive resumable idle succeeded failed cancelled blocked
        paused: running cancelled
        interactive: running paused cancelled
        resumable: running cancelled
        idle: running succeeded cancelled
        blocked: ready running cancelled
        delegated: running cancelled failed
        failed: ready running
        succeeded:
        cancelled:
    """
    lines = (line.split(":") for line in text.strip().splitlines())

    assert {
        TaskStatus(old.strip()): {TaskStatus(one) for one in new.split()} for old, new in lines
    } == TASK_TRANSITIONS


def test_tables_cannot_be_changed():
    with pytest.raises(TypeError):
        TASK_TRANSITIONS[TaskStatus.SUCCEEDED] = frozenset(TaskStatus)
    with pytest.raises(TypeError):
        STATUS_ALIASES["odd"] = TaskStatus.READY


# --- every pair -----------------------------------------------------------------------


@pytest.mark.parametrize("way", ["set_status", "update", "modify", "replace"])
def test_every_legal_transition_is_made_and_survives_a_restart(way, tmp_path):
    with Store(tmp_path) as store:
        tasks = store.register(TaskManager())
        made = {}
        for old, new in LEGAL:
            task = brought_to(tasks, old)
            made[task.id] = changed(tasks, way, task, new)
            assert made[task.id].status is new
            assert made[task.id].version == task.version + 1
        store.save_all()
    with Store(tmp_path) as store:
        again = store.register(TaskManager())
        store.load_all(strict=True)
        assert {one.id: one for one in again} == made


@pytest.mark.parametrize("way", ["set_status", "update", "modify", "replace"])
def test_no_illegal_transition_changes_anything(way):
    with Store("memory:") as store:
        tasks = store.register(TaskManager())
        for old, new in ILLEGAL:
            task = brought_to(tasks, old)
            store.save_all()
            if old is new and way != "set_status":
                continue  # it is no transition
            with pytest.raises(InvalidTransition) as caught:
                changed(tasks, way, task, new)
            assert tasks[task.id] is task
            assert tasks.unsaved == ()
            assert (caught.value.status, caught.value.wanted) == (old, new)
            assert set(caught.value.allowed) == TASK_TRANSITIONS[old]
            assert caught.value.field == "status"


def changed(tasks, way, task, status):
    if way == "set_status":
        return tasks.set_status(task, status)
    if way == "update":
        return tasks.update(task, status=status.value)
    if way == "modify":
        return tasks.modify(task, lambda current: attrs.evolve(current, status=status))
    return tasks.replace(attrs.evolve(task, status=status))


@pytest.mark.parametrize("name", STEPS)
def test_operation_leads_from_its_statuses_to_its_status_and_from_no_other(name):
    step = STEPS[name]
    tasks = TaskManager()
    for status in TaskStatus:
        task = brought_to(tasks, status)
        if status in step.since:
            new = getattr(tasks, name)(task, *MORE.get(name, ()))
            assert new.status is step.to
            assert new is tasks[task.id]
        else:
            with pytest.raises(InvalidTransition) as caught:
                getattr(tasks, name)(task, *MORE.get(name, ()))
            assert caught.value.wanted == step.called
            assert set(caught.value.allowed) == TASK_TRANSITIONS[status]
            assert tasks[task.id] is task


@pytest.mark.parametrize("name", STEPS)
def test_operation_on_a_task_that_is_not_there_says_so(name):
    with pytest.raises(RecordNotFound):
        getattr(TaskManager(), name)("none", *MORE.get(name, ()))


def test_operations_together_make_every_legal_transition():
    made = {(old, step.to) for step in STEPS.values() for old in step.since}

    assert made == set(LEGAL)


# --- what goes with a status ----------------------------------------------------------


def test_default_task_can_be_started():
    tasks = TaskManager()

    task = tasks.start(tasks.create("t"))

    assert task.status is TaskStatus.RUNNING


@pytest.mark.parametrize("status", TaskStatus)
def test_new_task_has_one_of_the_statuses_of_new_ones(status):
    tasks = TaskManager()

    if status in NEW_STATUSES:
        assert tasks.create("t", status=status).status is status
    else:
        with pytest.raises(InvalidRecord) as caught:
            tasks.create("t", status=status)
        assert caught.value.field == "status"
        assert set(caught.value.allowed) == NEW_STATUSES
        assert len(tasks) == 0


def test_time_of_the_first_start_stays_and_the_time_of_the_end_goes_with_a_retry():
    clock = Clock()
    tasks = TaskManager(clock=clock)
    task = tasks.create("t")
    assert (task.started_at, task.completed_at, task.duration_s) == (None, None, None)

    started = tasks.start(task)
    assert started.started_at == started.updated_at
    tasks.pause(task)
    assert tasks.resume(task).started_at == started.started_at
    failed = tasks.fail(task, "broken")
    assert (failed.error, failed.completed_at) == ("broken", failed.updated_at)
    again = tasks.retry(task)
    assert (again.error, again.completed_at, again.duration_s) == (None, None, None)
    tasks.start(task)
    done = tasks.complete(task, {"n": 1}, confidence=0.5)

    assert done.started_at == started.started_at
    assert done.completed_at == done.updated_at
    assert done.duration_s == (done.completed_at - started.started_at).total_seconds()
    assert (done.result, done.confidence) == ({"n": 1}, 0.5)


def test_start_of_a_task_that_failed_ends_its_end_too():
    tasks = TaskManager(clock=Clock())
    failed = brought_to(tasks, TaskStatus.FAILED)

    task = tasks.start(failed)

    assert (task.error, task.completed_at) == (None, None)
    assert task.started_at == failed.started_at


def test_task_that_is_cancelled_has_ended_without_having_begun():
    tasks = TaskManager(clock=Clock())

    task = tasks.cancel(tasks.create("t"), "not wanted", actor="me")

    assert (task.reason, task.started_at) == ("not wanted", None)
    assert task.completed_at == task.updated_at
    assert task.duration_s is None
    assert task.changes[-1].actor == "me"


def test_reason_is_that_of_the_present_status():
    tasks = TaskManager()
    task = tasks.create("t", status="running")

    assert tasks.block(task, "no key").reason == "no key"
    assert tasks.unblock(task).reason is None


def test_times_are_right_whoever_sets_the_status():
    tasks = TaskManager(clock=Clock())
    task = tasks.create("t")

    task = tasks.modify(task, lambda current: attrs.evolve(current, status="running"))
    assert task.started_at == task.updated_at
    task = tasks.update(task, status="failed")
    assert task.completed_at == task.updated_at
    task = tasks.replace(attrs.evolve(task, status="ready"))
    assert task.completed_at is None
    assert task.changes[-1].fields == ("status", "completed_at")


def test_clock_that_was_set_back_makes_no_negative_duration():
    tasks = TaskManager()
    later, earlier = datetime(2030, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)
    task = tasks.create("t", status="running", started_at=later)

    assert tasks.update(task, status="failed", completed_at=earlier).duration_s is None


@pytest.mark.parametrize("error", ["", "  ", None, 5], ids=repr)
def test_failure_wants_to_be_told_why(error):
    tasks = TaskManager()
    task = tasks.create("t", status="running")

    with pytest.raises(InvalidRecord) as caught:
        tasks.fail(task, error)

    assert caught.value.field == "error"
    assert tasks[task.id] is task


@pytest.mark.parametrize("confidence", [1.5, -0.1, "high", float("nan")], ids=repr)
def test_confidence_is_from_0_to_1(confidence):
    tasks = TaskManager()
    task = tasks.create("t", status="running")

    with pytest.raises(InvalidRecord) as caught:
        tasks.complete(task, confidence=confidence)

    assert caught.value.field == "confidence"
    assert tasks[task.id] is task


def test_result_that_is_left_out_stays_and_none_is_one():
    tasks = TaskManager()
    tasks.create("t", id="a", status="running", result="found", confidence=0.25)
    tasks.create("t", id="b", status="running", result="found", confidence=0.25)

    kept, cleared = tasks.complete("a"), tasks.complete("b", None, confidence=None)

    assert (kept.result, kept.confidence) == ("found", 0.25)
    assert (cleared.result, cleared.confidence) == (None, None)


# --- what others call them ------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("pending", TaskStatus.PENDING),
        ("in_progress", TaskStatus.RUNNING),
        ("InProgress", TaskStatus.RUNNING),
        ("IN PROGRESS", TaskStatus.RUNNING),
        ("in-progress", TaskStatus.RUNNING),
        ("waiting", TaskStatus.IDLE),
        ("Completed", TaskStatus.SUCCEEDED),
        ("archived", TaskStatus.SUCCEEDED),
        ("recovered", TaskStatus.RESUMABLE),
        ("recovery_needed", TaskStatus.RESUMABLE),
        ("Failed", TaskStatus.FAILED),
        ("canceled", TaskStatus.CANCELLED),
        (" running\n", TaskStatus.RUNNING),
        (TaskStatus.IDLE, TaskStatus.IDLE),
    ],
)
def test_status_of_another_system_is_understood(text, status):
    assert status_of(text) is status
    if status in NEW_STATUSES:
        assert TaskManager().create("t", status=text).status is status


def test_every_alias_is_understood_in_any_case_and_hides_no_status():
    for name, status in STATUS_ALIASES.items():
        assert status_of(name) is status_of(name.upper()) is status
    assert {status_of(one.value) for one in TaskStatus} == set(TaskStatus)


@pytest.mark.parametrize("status", ["", "odd", None, 5, b"ready", ["ready"]], ids=repr)
def test_status_that_nobody_knows_is_refused_with_those_that_are_known(status):
    tasks = TaskManager()
    task = tasks.create("t")

    for refused in (
        lambda: tasks.set_status(task, status),
        lambda: tasks.update(task, status=status),
        lambda: tasks.create("u", status=status),
    ):
        with pytest.raises(InvalidRecord) as caught:
            refused()
        assert caught.value.field == "status"
        assert set(caught.value.allowed) >= NEW_STATUSES
    assert tasks.all() == (task,)
