"""Tasks: made, changed, counted by versions, deleted, and kept as they are."""

import threading
from datetime import UTC, datetime

import attrs
import pytest

from statestore import (
    CircularReference,
    Conflict,
    DuplicateId,
    InvalidRecord,
    RecordNotFound,
    SaveFailed,
    Store,
)
from statestore.managers import Progress, Task, TaskManager, TaskStatus
from statestore.managers.tasks.base import MAX_CHARACTERS
from statestore.managers.tasks.priorities import (
    CRITICAL,
    HIGH,
    LOW,
    MEDIUM,
    PRIORITIES,
    priority_name,
)
from statestore.managers.tasks.records import MAX_CHANGES, TaskChange

MOMENT = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.fixture
def tasks():
    return TaskManager(clock=lambda: MOMENT)


def reloaded(tmp_path, tasks):
    with Store(tmp_path) as store:
        store.register(tasks)
        store.save_all()
    with Store(tmp_path) as store:
        again = store.register(TaskManager())
        store.load_all(strict=True)
    return again


# --- creating -------------------------------------------------------------------------


def test_new_task_has_all_that_was_given(tasks, tmp_path):
    tasks.create("Whole", id="p")
    tasks.create("First", id="d", session_id="s")

    task = tasks.create(
        "Sort",
        id="t",
        description="by weight",
        parent_id="p",
        session_id="s",
        assigned_to="me",
        status="ready",
        priority="high",
        depends_on=["d", "d"],
        metadata={"n": 1},
        actor="boss",
        type="testing",
        tags=["a"],
        extra={"feature_id": "F-1", "score": 0.5},
    )

    assert task == Task(
        "t",
        title="Sort",
        description="by weight",
        parent_id="p",
        session_id="s",
        position=1,
        assigned_to="me",
        status=TaskStatus.READY,
        priority=10,
        depends_on=("d",),
        metadata={"n": 1},
        created_by="boss",
        type="testing",
        tags=("a",),
        created_at=MOMENT,
        updated_at=MOMENT,
        extra={"feature_id": "F-1", "score": 0.5},
    )
    assert reloaded(tmp_path, tasks)["t"] == task


def test_tasks_of_a_session_stand_one_behind_the_other(tasks):
    def place(**fields):
        return tasks.create("t", **fields).position

    assert [place(session_id="s") for _ in range(3)] == [0, 1, 2]
    assert place(session_id="other") == 0
    assert place() is None
    assert place(session_id="s", position=7) == 7
    assert place(session_id="s") == 8
    tasks.delete(tasks.by_session("s")[0])
    assert place(session_id="s") == 9


def test_places_in_a_transaction_count_what_it_has_made(tasks):
    with Store("memory:") as store:
        store.register(tasks)
        tasks.create("t", session_id="s")
        with store.transaction():
            assert [tasks.create("t", session_id="s").position for _ in range(2)] == [1, 2]
        assert tasks.create("t", session_id="s").position == 3


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "title"),
        ({"title": ""}, "title"),
        ({"title": " \n"}, "title"),
        ({"title": None}, "title"),
        ({"title": 5}, "title"),
        ({"title": "x" * (MAX_CHARACTERS["title"] + 1)}, "title"),
        ({"title": "t", "description": None}, "description"),
        ({"title": "t", "type": ""}, "type"),
        ({"title": "t", "priority": "urgent-ish"}, "priority"),
        ({"title": "t", "priority": 21}, "priority"),
        ({"title": "t", "priority": 5.0}, "priority"),
        ({"title": "t", "depends_on": "abc"}, "depends_on"),
        ({"title": "t", "tags": "abc"}, "tags"),
        ({"title": "t", "tags": [""]}, "tags"),
        ({"title": "t", "tags": ["x" * 101]}, "tags"),
        ({"title": "t", "tags": [1]}, "tags"),
        ({"title": "t", "metadata": [1]}, "metadata"),
        ({"title": "t", "assigned_to": ""}, "assigned_to"),
        ({"title": "t", "assigned_to": 7}, "assigned_to"),
        ({"title": "t", "confidence": 2}, "confidence"),
        ({"title": "t", "progress": 5}, "progress"),
        ({"title": "t", "logs": ["line"]}, "logs"),
        ({"title": "t", "created_at": datetime(2026, 1, 1)}, "created_at"),  # noqa: DTZ001
        ({"title": "t", "version": 9}, "version"),
        ({"title": "t", "changes": ()}, "changes"),
        ({"title": "t", "unheard_of": 1}, "unheard_of"),
        ({"title": "t", "extra": {"id": "other"}}, "extra"),
    ],
    ids=str,
)
def test_wrong_value_is_refused_with_the_name_of_its_field(fields, field, tasks):
    kept = tasks.create("kept", id="kept")

    with pytest.raises(InvalidRecord) as caught:
        tasks.create(**fields)
    assert caught.value.field == field
    if "title" in fields:
        with pytest.raises(InvalidRecord) as caught:
            tasks.update("kept", **fields)
        assert caught.value.field == field

    assert tasks.all() == (kept,)


def test_longest_title_is_taken(tasks):
    title = "x" * MAX_CHARACTERS["title"]

    assert tasks.create(title).title == title


def test_id_is_used_once_and_nothing_else_is_taken_for_it(tasks):
    task = tasks.create("t", id="a", metadata={"id": "b", "session_id": "x"}, session_id="s")

    assert (task.id, task.session_id) == ("a", "s")
    assert task.metadata == {"id": "b", "session_id": "x"}
    with pytest.raises(DuplicateId):
        tasks.create("u", id="a")
    assert tasks.all() == (task,)


def test_ids_that_are_made_at_one_moment_differ(tasks):
    assert len({tasks.create("t").id for _ in range(1000)}) == 1000


@pytest.mark.parametrize("id", ["task_1700000000_ab12", "../../etc/passwd", "a/b", "é", "task 1"])
def test_any_id_is_stored_within_the_folder_of_its_kind(id, tasks, tmp_path):
    task = tasks.create("t", id=id)

    assert reloaded(tmp_path / "state", tasks)[id] == task
    assert [one.name for one in tmp_path.iterdir()] == ["state"]
    assert len(list((tmp_path / "state" / "tasks").iterdir())) == 1


@pytest.mark.parametrize("field", ["parent_id", "depends_on"])
def test_unknown_task_is_refused_before_anything_is_made(field, tasks):
    with Store("memory:") as store:
        store.register(tasks)
        known = tasks.create("known")
        store.save_all()

        for refused in (
            lambda: tasks.create("t", **{field: ["x"] if field == "depends_on" else "x"}),
            lambda: tasks.update(known, **{field: ["x"] if field == "depends_on" else "x"}),
        ):
            with pytest.raises(RecordNotFound) as caught:
                refused()
            assert (caught.value.field, caught.value.id) == (field, "x")

        assert tasks.all() == (known,)
        assert tasks.unsaved == ()


# --- priorities -----------------------------------------------------------------------


def test_priorities_sort_by_what_they_mean():
    assert CRITICAL > HIGH > MEDIUM > LOW
    assert list(PRIORITIES) == ["critical", "high", "medium", "low"]
    assert [priority_name(number) for number in (20, 19, 10, 9, 5, 4, 1)] == [
        "critical",
        "high",
        "high",
        "medium",
        "medium",
        "low",
        "low",
    ]


@pytest.mark.parametrize(("given", "kept"), [("high", 10), ("CRITICAL", 20), (" low ", 1), (7, 7)])
def test_priority_is_taken_by_name_or_number(given, kept, tasks):
    task = tasks.create("t", priority=given)

    assert task.priority == kept
    assert tasks.update(tasks.create("u"), priority=given).priority == kept
    assert tasks.create("v").priority == MEDIUM


def test_word_that_is_no_priority_is_refused_with_those_that_are(tasks):
    with pytest.raises(InvalidRecord) as refused:
        tasks.create("t", priority="urgent")

    assert refused.value.field == "priority"
    assert refused.value.allowed == ("critical", "high", "medium", "low")
    assert len(tasks) == 0


def test_task_of_a_file_without_the_newer_fields_still_loads(tmp_path):
    with Store(tmp_path) as store:
        tasks = store.register(TaskManager())
        tasks.create("t", id="t", session_id="s")
        store.save_all()
    path = tmp_path / "tasks" / "t.json"
    newer = ("reason", "capabilities", "delegation", "created_by", "version", "changes")
    lines = path.read_text().splitlines(keepends=True)
    kept = [one for one in lines if not one.strip().startswith(tuple(f'"{n}"' for n in newer))]
    assert len(kept) == len(lines) - len(newer)
    path.write_text("".join(kept))

    with Store(tmp_path) as store:
        again = store.register(TaskManager())
        store.load_all(strict=True)

        assert (again["t"].version, again["t"].changes) == (1, ())
        assert again.start("t").version == 2


# --- updating -------------------------------------------------------------------------


def test_what_may_be_none_is_cleared(tasks):
    task = tasks.create("t", description="d", assigned_to="me", session_id="s")

    task = tasks.update(task, description="", assigned_to=None, session_id=None, position=None)

    assert (task.description, task.assigned_to, task.session_id) == ("", None, None)


def test_update_that_changes_nothing_is_none(tasks):
    with Store("memory:") as store:
        store.register(tasks)
        task = tasks.create("t", tags=["a"], metadata={"n": 1})
        store.save_all()

        assert tasks.update(task, title="t", tags=["a"], metadata={"n": 1}) is task
        assert tasks.unsaved == ()
        assert tasks.update(task, metadata={"n": 1.0}).version == 2


def test_fields_of_others_are_kept_and_set(tasks, tmp_path):
    task = tasks.create("t", id="t", extra={"feature_id": "F"})

    task = tasks.update(task, extra={**task.extra, "validation_status": "passed", "score": 0.9})

    again = reloaded(tmp_path, tasks)["t"]
    assert again == task
    assert again.extra == {"feature_id": "F", "validation_status": "passed", "score": 0.9}
    with Store(tmp_path) as store:
        assert store.raw("tasks/t")["score"] == 0.9


def test_id_cannot_be_changed(tasks):
    task = tasks.create("t")

    with pytest.raises(InvalidRecord, match="id"):
        tasks.update(task, id="other")
    assert tasks.all() == (task,)


# --- versions -------------------------------------------------------------------------


def test_version_counts_changes_and_tells_the_last_of_them(tmp_path):
    tasks = TaskManager()
    task = tasks.create("t", id="t")
    assert (task.version, task.changes) == (1, ())

    task = tasks.update(task, actor="me", title="u", priority="low")
    assert task.version == 2
    assert task.changes == (
        TaskChange(version=2, at=task.updated_at, fields=("title", "priority"), actor="me"),
    )
    task = tasks.start(task, actor="you")
    assert [(one.version, one.actor) for one in task.changes] == [(2, "me"), (3, "you")]
    for number in range(2 * MAX_CHANGES):
        task = tasks.update(task, description=str(number))

    assert task.version == 3 + 2 * MAX_CHANGES
    assert len(task.changes) == MAX_CHANGES
    assert [one.version for one in task.changes] == list(range(task.version - 19, task.version + 1))
    assert reloaded(tmp_path, tasks)["t"] == task


def test_values_are_not_in_the_changes(tasks):
    task = tasks.update(tasks.create("t"), description="a secret")

    assert "secret" not in repr(task.changes)


def test_log_lines_are_no_version(tasks):
    task = tasks.create("t")

    assert tasks.append_output(task, "line").version == 1
    assert tasks.set_progress(task, 5).version == 2


def test_version_is_the_managers_also_where_the_host_makes_the_record(tasks):
    task = tasks.create("t")

    task = tasks.replace(attrs.evolve(task, title="u", version=90))
    assert (task.version, task.changes[-1].fields) == (2, ("title",))
    task = tasks.replace(attrs.evolve(task, version=90, changes=()))
    assert task.version == 2
    task = tasks.modify(task, lambda current: attrs.evolve(current, title="v"))
    assert task.version == 3


def test_changes_of_several_threads_are_all_counted(tmp_path):
    with Store(tmp_path) as store:
        tasks = store.register(TaskManager())
        tasks.create("0", id="t")
        store.save_all()

        def count():
            for _ in range(5):
                tasks.modify("t", lambda one: attrs.evolve(one, title=str(int(one.title) + 1)))

        threads = [threading.Thread(target=count) for _ in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()

        assert (tasks["t"].title, tasks["t"].version) == ("20", 21)


# --- two processes --------------------------------------------------------------------


def two_stores(path, **settings):
    one, other = Store(path, **settings), Store(path, **settings)
    tasks, theirs = one.register(TaskManager()), other.register(TaskManager())
    tasks.create("t", id="t")
    one.save_all()
    other.load_all()
    return one, tasks, other, theirs


def test_modify_here_and_there_counts_both(tmp_path):
    one, tasks, other, theirs = two_stores(tmp_path)
    with one, other:
        theirs.modify("t", lambda task: attrs.evolve(task, title="theirs"))
        mine = tasks.modify("t", lambda task: attrs.evolve(task, description="mine"))

        assert (mine.title, mine.description, mine.version) == ("theirs", "mine", 3)
        assert [change.fields for change in mine.changes] == [("title",), ("description",)]


def test_different_fields_that_two_have_changed_are_merged_and_both_are_counted(tmp_path):
    one, tasks, other, theirs = two_stores(tmp_path, on_conflict="merge")
    with one, other:
        theirs.update("t", title="theirs", actor="they")
        theirs.update("t", priority="high")
        other.save_all()
        tasks.update("t", description="mine", actor="me")
        one.save_all()

        task = tasks["t"]
        assert (task.title, task.description, task.priority) == ("theirs", "mine", 10)
        assert task.version == 4
        assert [(one.version, one.fields, one.actor) for one in task.changes] == [
            (2, ("title",), "they"),
            (3, ("priority",), None),
            (4, ("description",), "me"),
        ]


def test_task_that_two_have_started_is_in_conflict(tmp_path):
    one, tasks, other, theirs = two_stores(tmp_path, on_conflict="merge")
    with one, other:
        theirs.start("t")
        other.save_all()
        tasks.start("t")

        with pytest.raises(SaveFailed) as caught:
            one.save_all()

        assert isinstance(caught.value.report.failures[0].error, Conflict)
        one.save_all(on_conflict="theirs")
        assert tasks["t"] == theirs["t"]


def test_log_lines_of_two_are_all_there(tmp_path):
    one, tasks, other, theirs = two_stores(tmp_path)
    with one, other:
        theirs.append_output("t", "theirs")
        other.save_all()
        tasks.append_output("t", "mine")
        one.save_all()

        assert [line.text for line in tasks["t"].logs] == ["theirs", "mine"]


# --- failures -------------------------------------------------------------------------


def test_result_that_cannot_be_stored_is_refused_and_the_task_goes_on(tmp_path):
    with Store(tmp_path) as store:
        tasks = store.register(TaskManager())
        tasks.create("good", id="good")
        running = tasks.create("bad", id="bad", status="running")

        with pytest.raises(InvalidRecord) as refused:
            tasks.complete("bad", {"value": float("nan")})

        assert refused.value.field == "result"
        assert tasks["bad"] is running
        store.save_all()
        assert tasks.complete("bad", {"value": None}).status == "succeeded"


def test_progress_is_as_it_was_where_an_operation_is_refused(tasks):
    task = tasks.create("t", progress=Progress(percent=5))

    with pytest.raises(InvalidRecord):
        tasks.update(task, title="u", progress="half")

    assert tasks[task.id] is task


# --- importing ------------------------------------------------------------------------


def test_task_that_is_imported_over_another_counts_as_its_next_version(tasks):
    task = tasks.create("t", id="t")
    old = tasks.export_document("t")
    tasks.update("t", title="u")

    again = tasks.import_document(old, replace=True)

    assert (again.title, again.version) == ("t", 3)
    assert [one.fields for one in again.changes] == [("title",), ("title",)]
    assert again.updated_at > task.updated_at
    assert tasks.import_document(old, id="other").version == 1


@pytest.mark.parametrize(("field", "value"), [("parent_id", "c"), ("depends_on", ["c"])])
def test_task_that_is_imported_closes_no_circle(field, value, tasks):
    tasks.create("p", id="p")
    tasks.create("c", id="c", parent_id="p", depends_on=["p"])
    document = tasks.export_document("p")
    document["data"][field] = value
    before = tasks.all()

    with pytest.raises(CircularReference) as caught:
        tasks.import_document(document, replace=True)

    assert caught.value.field == field
    assert tasks.all() == before
