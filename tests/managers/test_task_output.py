"""What tasks put out: progress, logs, results; and who works at them."""

from datetime import UTC, datetime, timedelta

import pytest

from statestore import InvalidRecord, RecordNotFound, Store
from statestore.managers import LogEntry, Progress, TaskManager
from statestore.managers.tasks.output import FoundResult, result_in
from statestore.models.changes import Patch

MOMENT = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


class Clock:
    def __init__(self):
        self.now = MOMENT

    def __call__(self):
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def tasks():
    return TaskManager(clock=Clock())


# --- progress -------------------------------------------------------------------------


def test_what_is_left_out_of_a_progress_stays(tasks):
    task = tasks.create("t")

    tasks.set_progress(task, 10, current_step="one", total_steps=4, remaining_s=9, message="m")
    task = tasks.set_progress(task, 20)
    assert task.progress == Progress(
        percent=20.0, current_step="one", total_steps=4, remaining_s=9.0, message="m"
    )
    task = tasks.set_progress(task, current_step=None, remaining_s=None)

    assert task.progress == Progress(percent=20.0, total_steps=4, message="m")
    assert tasks.set_progress(task) is task


@pytest.mark.parametrize(
    ("percent", "kept"),
    [(-5, 0.0), (0, 0.0), (55.5, 55.5), (100, 100.0), (101, 100.0), (float("inf"), 100.0)],
)
def test_percent_is_from_0_to_100(percent, kept, tasks):
    assert tasks.set_progress(tasks.create("t"), percent).progress.percent == kept


@pytest.mark.parametrize(
    "fields",
    [
        {"percent": "half"},
        {"percent": None},
        {"percent": True},
        {"percent": float("nan")},
        {"total_steps": -1},
        {"total_steps": 1.5},
        {"remaining_s": -1},
        {"message": None},
        {"current_step": 5},
    ],
    ids=str,
)
def test_progress_of_another_kind_is_refused(fields, tasks):
    task = tasks.create("t")

    with pytest.raises(InvalidRecord) as caught:
        tasks.set_progress(task, **fields)

    assert caught.value.field == next(iter(fields))
    assert tasks[task.id] is task


def test_progress_of_nothing_is_refused(tasks):
    with pytest.raises(RecordNotFound):
        tasks.set_progress("none", 5)


# --- logs -----------------------------------------------------------------------------


def test_lines_stand_in_their_order_with_their_types(tasks, tmp_path):
    task = tasks.create("t", id="t")
    types = ["stdout", "stderr", "log", "error", "info", "debug", "of-my-own"]

    for type in types:
        tasks.append_output(task, f"{type}\n", type=type, source="me")
    task = tasks.append_logs(task, [LogEntry(text="a", at=MOMENT), LogEntry(text="b", at=MOMENT)])

    assert [line.type for line in task.logs] == [*types, "log", "log"]
    assert [line.text for line in task.logs] == [*(f"{one}\n" for one in types), "a", "b"]
    assert task.logs[0].source == "me"
    assert task.logs[0].at > MOMENT
    with Store(tmp_path) as store:
        store.register(tasks)
        store.save_all()
    with Store(tmp_path) as store:
        again = store.register(TaskManager())
        store.load_all(strict=True)
        assert again["t"] == task


def test_lines_are_found_by_type_time_and_number(tasks):
    task = tasks.create("t")
    for number in range(6):
        task = tasks.append_output(task, str(number), type="error" if number % 2 else "log")

    def found(**filters):
        return "".join(line.text for line in tasks.logs(task, **filters))

    assert found() == "012345"
    assert found(types="error") == "135"
    assert found(types=["error", "log"]) == "012345"
    assert found(since=task.logs[2].at) == "2345"
    assert found(last=2) == "45"
    assert found(last=0) == found(types="error", last=0) == ""
    assert found(last=99) == "012345"
    assert found(types="error", since=task.logs[2].at, last=1) == "5"


@pytest.mark.parametrize(
    ("filters", "field"),
    [
        ({"last": -1}, "last"),
        ({"last": "5"}, "last"),
        ({"since": datetime(2026, 1, 1)}, "since"),  # noqa: DTZ001
        ({"since": "yesterday"}, "since"),
    ],
    ids=str,
)
def test_filter_of_lines_that_makes_no_sense_is_refused(filters, field, tasks):
    task = tasks.create("t")

    with pytest.raises(InvalidRecord) as caught:
        tasks.logs(task, **filters)

    assert caught.value.field == field


@pytest.mark.parametrize(
    ("add", "field"),
    [
        (lambda tasks: tasks.append_output("t", None), "text"),
        (lambda tasks: tasks.append_output("t", b"bytes"), "text"),
        (lambda tasks: tasks.append_output("t", "x", type=5), "type"),
        (lambda tasks: tasks.append_output("t", "x", source=5), "source"),
        (lambda tasks: tasks.append_logs("t", ["line"]), "logs"),
        (lambda tasks: tasks.append_logs("t", [LogEntry(text="x"), None]), "logs"),
    ],
)
def test_line_of_another_kind_is_refused(add, field, tasks):
    task = tasks.create("t", id="t")

    with pytest.raises(InvalidRecord) as caught:
        add(tasks)

    assert caught.value.field == field
    assert tasks["t"] is task


def test_no_lines_are_no_change(tasks):
    task = tasks.create("t")

    assert tasks.append_logs(task, []) is task


def test_ten_thousand_lines_cost_what_they_are(tmp_path):
    """Each is a patch of its own, no larger for all that are before it."""
    with Store(tmp_path) as store:
        tasks = store.register(TaskManager())
        tasks.create("t", id="t")
        tasks.append_output("t", "0" * 50)
        for number in range(40):  # a full list of changes weighs nothing on a line
            tasks.update("t", description=str(number))
        store.save_all()
        sizes = set()
        for number in range(1, 10_000):
            tasks.append_output("t", f"{number:050}")
            if number in (1, 100, 9_999):
                pending, _ = tasks.pending()
                (change,) = [one.change for one in pending]
                assert isinstance(change, Patch)
                assert set(change.set) == {"updated_at"}
                (append,) = change.append
                sizes.add(len(append.items))
                store.save_all()
        assert sizes == {1, 99, 9_899}
        assert len(tasks["t"].logs) == 10_000


def test_each_line_of_an_on_change_store_is_one_small_commit(tmp_path):
    with Store(tmp_path, autosave="on-change") as store:
        tasks = store.register(TaskManager())
        tasks.create("t", id="t")
        tasks.append_output("t", "first")
        sizes = []
        store.on_save(lambda report: sizes.append(report.size_bytes))

        for _ in range(200):
            tasks.append_output("t", "x" * 50)

        assert len(sizes) == 200
        assert max(sizes) - min(sizes) < 10  # digits of a number that grows, no more
        assert max(sizes) < 1000


# --- results --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('RESULT: {"n": 1}', FoundResult("RESULT", {"n": 1})),
        ("RESULT: done, all of it", FoundResult("RESULT", "done, all of it")),
        ("[PROCESS_END] 0", FoundResult("PROCESS_END", 0)),
        ('CLAUDE_RESULT={"ok":true}\n', FoundResult("CLAUDE_RESULT", {"ok": True})),
        ("  CLAUDE_RESULT [1, 2]", FoundResult("CLAUDE_RESULT", [1, 2])),
        ("RESULT: null", FoundResult("RESULT", None)),
        ('RESULT: {"broken"', FoundResult("RESULT", '{"broken"')),
        ("RESULT: 1e999", FoundResult("RESULT", "1e999")),
        ("RESULT: NaN", FoundResult("RESULT", "NaN")),
        ("RESULT: " + "[" * 5000, FoundResult("RESULT", "[" * 5000)),
        ("RESULT: " + "[" * 200 + "]" * 200, FoundResult("RESULT", "[" * 200 + "]" * 200)),
        ("RESULT: two\nlines", FoundResult("RESULT", "two\nlines")),
        ("RESULT:", None),
        ("RESULTS: 5", None),
        ("the RESULT: 5", None),
        ("result: 5", None),
        ("", None),
    ],
    ids=lambda value: str(value)[:30],
)
def test_result_in_a_line(line, found):
    assert result_in(line) == found


def test_result_is_taken_where_that_is_wanted(tasks, tmp_path):
    task = tasks.create("t", id="t")

    assert tasks.append_output(task, "RESULT: 5").result is None
    assert tasks.append_output(task, "RESULT: 5", take_result=True).result == 5
    assert tasks.append_output(task, "no result", take_result=True).result == 5
    lines = [LogEntry(text=one, at=MOMENT) for one in ("RESULT: 6", "x", "RESULT: [7]", "y")]
    task = tasks.append_logs(task, lines, take_result=True)

    assert task.result == (7,)
    assert len(task.logs) == 7


# --- assignment -----------------------------------------------------------------------


def test_task_is_assigned_and_no_more(tasks):
    task = tasks.create("t")

    task = tasks.assign(task, "coder", by="boss", capabilities=["python", "git"])
    assert (task.assigned_to, task.assigned_by) == ("coder", "boss")
    assert task.capabilities == ("python", "git")
    assert task.changes[-1].actor == "boss"
    task = tasks.assign(task, "tester")
    assert (task.assigned_to, task.assigned_by) == ("tester", None)
    assert task.capabilities == ("python", "git")
    task = tasks.unassign(task, actor="boss")

    assert (task.assigned_to, task.assigned_by) == (None, None)


@pytest.mark.parametrize("to", ["", " ", None, 5, "x" * 1001], ids=lambda to: str(to)[:5])
def test_assignee_has_a_name(to, tasks):
    task = tasks.create("t")

    with pytest.raises(InvalidRecord) as caught:
        tasks.assign(task, to)

    assert caught.value.field == "assigned_to"
    assert tasks[task.id] is task


def test_task_that_is_given_away_tells_to_whom(tasks, tmp_path):
    task = tasks.create("t", id="t", status="ready", assigned_to="boss")

    task = tasks.delegate(task, "remote", by="boss", instructions="by noon")
    assert (task.status, task.assigned_to) == ("delegated", "boss")
    given = task.delegation
    assert (given.to, given.by, given.instructions) == ("remote", "boss", "by noon")
    assert given.at > MOMENT
    task = tasks.start(task)

    assert task.delegation == given
    with Store(tmp_path) as store:
        store.register(tasks)
        tasks.create("without", id="w")
        store.save_all()
    with Store(tmp_path) as store:
        again = store.register(TaskManager())
        store.load_all(strict=True)
        assert again["t"] == task
        assert again["w"].delegation is None


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"to": ""}, "to"),
        ({"to": None}, "to"),
        ({"to": "x", "by": 5}, "by"),
        ({"to": "x", "instructions": None}, "instructions"),
    ],
    ids=str,
)
def test_delegation_of_another_kind_is_refused(fields, field, tasks):
    task = tasks.create("t", status="ready")

    with pytest.raises(InvalidRecord) as caught:
        tasks.delegate(task, **fields)

    assert caught.value.field == field
    assert tasks[task.id] is task
