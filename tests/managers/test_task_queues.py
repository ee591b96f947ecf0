"""Queues of tasks: filled, looked at, run, and gone on with where they stopped."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statestore import DuplicateId, InTransaction, InvalidRecord, LeaseLost, Store
from statestore.managers import (
    QueueProgress,
    SessionManager,
    SkippedTask,
    TaskManager,
    parse_instructions,
)
from statestore.managers.tasks.items import LONGEST_TITLE, title_of

BEGIN = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.fixture
def tasks():
    return TaskManager()


@pytest.fixture
def opened(tmp_path):
    stores = []

    def opened(**options):
        store = Store(tmp_path / "state")
        stores.append(store)
        tasks = store.register(TaskManager(**options))
        store.load_all()
        tasks.store = store
        return tasks

    yield opened
    for store in stores:
        store.close()


def titles(tasks):
    return [task.title for task in tasks]


# --- filling --------------------------------------------------------------------------


def test_tasks_are_added_behind_those_that_a_session_has(tasks):
    tasks.add_tasks("s", ["a", "b"])
    tasks.create("other", session_id="t")

    added = tasks.add_tasks("s", [{"title": "c", "type": "testing", "id": "own"}, "d"], actor="me")

    assert titles(tasks.queue_of("s")) == ["a", "b", "c", "d"]
    assert [task.position for task in tasks.queue_of("s")] == [0, 1, 2, 3]
    assert (added[0].id, added[0].type, added[1].created_by) == ("own", "testing", "me")
    assert len({task.id for task in tasks}) == 5


def test_a_later_item_can_depend_on_an_earlier_one(tasks):
    tasks.add_tasks("s", [{"id": "x", "title": "x"}, {"title": "y", "depends_on": ["x"]}])

    assert tasks.claim("s").id == "x"
    assert tasks.claim("s") is None


@pytest.mark.parametrize(
    "bad",
    [
        "",
        5,
        None,
        {"title": ""},
        {"title": "x", "colour": "red"},
        {"title": "x", "priority": "very"},
        {"title": "x", "depends_on": 5},
        {"title": "x", "session_id": "other"},
        {"title": "x", "lease": None},
    ],
    ids=repr,
)
def test_all_items_are_added_or_none(tasks, bad):
    with pytest.raises(InvalidRecord):
        tasks.add_tasks("s", ["good", bad])

    assert len(tasks) == 0


@pytest.mark.parametrize("items", ["abc", b"abc", 5, None], ids=repr)
def test_items_are_a_list_and_no_text_of_which_each_letter_is_one(tasks, items):
    with pytest.raises(InvalidRecord) as refused:
        tasks.add_tasks("s", items)

    assert refused.value.field == "items"
    assert len(tasks) == 0


def test_a_known_id_refuses_all_items(tasks):
    tasks.create("Known", id="a")

    with pytest.raises(DuplicateId):
        tasks.add_tasks("s", ["good", {"title": "x", "id": "a"}])

    assert len(tasks) == 1


def test_what_is_added_is_one_commit(tmp_path):
    with Store(tmp_path / "state", autosave="on-change") as store:
        tasks = store.register(TaskManager())
        before = store._engine.driver.sequence

        tasks.add_tasks("s", ["a", "b", "c"])

        assert store._engine.driver.sequence == before + 1


def test_a_text_becomes_tasks_with_all_that_it_says(tasks):
    text = "# Release\n\n- [x] Write notes\n- [ ] Run the tests:\n      make check\n- Deploy\n"
    wanted = parse_instructions(text)

    added = tasks.add_instructions("s", text)

    assert titles(added) == [one.text for one in wanted]
    assert [task.type for task in added] == [one.type for one in wanted]
    assert [task.status for task in added] == ["succeeded", "pending", "pending"]
    for task, one in zip(added, wanted, strict=True):
        assert one.details in task.description
        assert tuple(task.metadata.get("context", ())) == one.context
    assert titles([tasks.claim("s"), tasks.claim("s")]) == titles(added[1:])


def test_a_text_that_is_too_long_for_a_title_is_in_the_description(tasks):
    text = "Explain " + "very " * 500 + "much"

    (task,) = tasks.add_tasks("s", parse_instructions(text))

    assert len(task.title) <= LONGEST_TITLE
    assert task.title.endswith("…")
    assert text in task.description


def test_a_title_is_the_first_line_that_says_something():
    assert title_of("\n\n  make check \nmake all") == "make check"


def test_instructions_that_are_no_text_are_refused(tasks):
    with pytest.raises(InvalidRecord):
        tasks.add_instructions("s", ["a"])


# --- looking --------------------------------------------------------------------------


def test_progress_tells_of_each_task_once(tasks):
    made = tasks.add_tasks("s", [str(number) for number in range(7)])
    tasks.create("Other", session_id="t")
    tasks.complete(tasks.claim_task(made[0]))
    tasks.fail(tasks.claim_task(made[1]), "no")
    tasks.cancel(made[2])
    tasks.start(made[3])
    tasks.block(made[4])
    tasks.pause(tasks.start(made[5]))

    assert tasks.progress("s") == QueueProgress(
        total=7, completed=1, failed=1, cancelled=1, running=1, waiting=2, pending=1
    )
    assert tasks.progress("s").percent == pytest.approx(100 * 3 / 7)
    assert not tasks.progress("s").all_done
    assert tasks.progress().total == 8


def test_all_is_done_when_all_has_ended_in_whatever_way(tasks):
    assert tasks.progress("s").all_done
    assert tasks.progress("s").percent == 100.0
    made = tasks.add_tasks("s", ["a", "b", "c"])
    assert not tasks.progress("s").all_done

    tasks.complete(tasks.claim_task(made[0]))
    tasks.fail(tasks.claim_task(made[1]), "no")
    tasks.cancel(made[2])

    assert tasks.progress("s").all_done
    assert tasks.progress("s").percent == 100.0


@given(
    st.lists(st.tuples(st.sampled_from([1, 5, 10, 20]), st.none() | st.integers(0, 3)), max_size=12)
)
def test_tasks_are_claimed_in_the_order_of_the_queue(places):
    tasks = TaskManager()
    for priority, position in places:
        tasks.create("t", priority=priority, position=position)
    order = [task.id for task in tasks.queue_of(None)]

    claimed = list(iter(tasks.claim, None))

    assert [task.id for task in claimed] == order


def test_the_next_task_is_shown_and_not_claimed(tasks):
    assert tasks.next_task("s") is None
    tasks.add_tasks("s", ["a", "b"])

    assert titles([tasks.next_task("s"), tasks.next_task("s")]) == ["a", "a"]
    claimed = tasks.claim("s")

    assert tasks.next_task("s").title == "b"
    assert tasks.current("s") == (claimed,) == tasks.current()
    assert tasks.current("t") == ()
    assert titles([tasks.next_task(where=lambda task: task.title != "a")]) == ["b"]


def test_figures_of_all_sessions(tmp_path):
    with Store(tmp_path / "state") as store:
        sessions, tasks = store.register(SessionManager()), store.register(TaskManager())
        sessions.create(id="empty")
        sessions.create(id="done")
        tasks.create("Nobody's")
        tasks.complete(tasks.start(tasks.create("a", session_id="done")))
        tasks.add_tasks("half", ["b", "c"])
        tasks.complete(tasks.claim("half"))

        stats = tasks.queue_stats()

    assert (stats.sessions, stats.active_sessions, stats.completed_sessions) == (3, 1, 1)
    assert (stats.tasks.total, stats.tasks.completed, stats.tasks.pending) == (4, 2, 2)


def test_figures_without_a_store(tasks):
    tasks.add_tasks("s", ["a"])

    assert tasks.queue_stats().sessions == 1


# --- going on where it stopped --------------------------------------------------------


def test_tasks_of_a_dead_run_are_resumable_in_the_order_of_their_dependencies(opened):
    one = opened()
    for name in "edcba":
        one.create(name, id=name, session_id="s")
    one.create("Done", id="z", session_id="s")
    one.store.save_all()
    dead = opened()
    dead.complete(dead.claim_task("z"))
    for name in "abcde":
        dead.claim_task(name)
    for before, after in ("ab", "bc", "cd", "de"):
        dead.set_dependencies(after, [before])
    dead.pause("c")
    dead.interact("d")
    dead.store.close()

    report = one.resume_session("s")

    assert [task.id for task in report.resumed] == list("abcde")
    assert {task.status for task in report.resumed} == {"resumable"}
    assert {task.lease for task in report.resumed} == {None}
    assert (report.skipped, report.failed) == ((), ())
    assert (report.total_found, report.eligible) == (5, 5)
    assert one["z"].status == "succeeded"
    assert one.unsaved == ()
    order = []
    while (task := one.claim("s")) is not None:
        order.append(one.complete(task).id)
    assert order == list("abcde")
    again = one.resume_session("s")
    assert (again.resumed, again.total_found) == ((), 0)


def test_what_is_not_to_be_resumed_is_told_with_the_reason(opened):
    one = opened()
    one.add_tasks("s", [{"id": name, "title": name} for name in "abcdef"])
    one.create("Part", id="part", session_id="s", parent_id="f")
    one.create("Other", id="other", session_id="t")
    one.store.save_all()
    alive, dead = opened(), opened()
    alive.claim_task("a", worker="ada")
    dead.claim_task("b")
    dead.claim_task("other")
    dead.claim_task("part")
    dead.store.close()
    one.store.refresh()
    one.start("c")
    one.block("d")
    one.store.save_all()

    report = one.resume_session("s")

    assert [task.id for task in report.resumed] == ["b", "part"]
    assert set(report.skipped) == {
        SkippedTask("a", "claimed", "ada"),
        SkippedTask("c", "unclaimed"),
        SkippedTask("d", "blocked"),
        SkippedTask("e", "pending"),
        SkippedTask("f", "parent"),
    }
    assert (report.total_found, report.eligible) == (7, 2)
    assert one["other"].status == "running"
    assert [task.id for task in one.resume_session("s", unclaimed=True).resumed] == ["c"]


def test_what_was_claimed_too_often_fails_when_a_session_is_resumed(opened):
    one = opened()
    one.add_tasks("s", [{"id": "a", "title": "a"}, {"id": "b", "title": "b"}])
    one.store.save_all()
    dead = opened()
    dead.release(dead.claim_task("a"))
    dead.claim_task("a")
    dead.pause("a")
    dead.claim_task("b")
    dead.store.close()

    report = one.resume_session("s", max_attempts=2)

    assert [task.id for task in report.resumed] == ["b"]
    assert [(task.id, task.status) for task in report.failed] == [("a", "failed")]
    assert report.failed[0].error.startswith("given up after 2 attempts")
    assert report.eligible == 2


def test_no_session_is_resumed_within_a_transaction(opened):
    one = opened()

    with one.store.transaction(), pytest.raises(InTransaction):
        one.resume_session("s")


# --- running --------------------------------------------------------------------------


def test_a_task_is_stored_as_running_before_work_on_it_begins(opened):
    one, other = opened(), opened()
    one.add_tasks("s", ["a"])
    one.store.save_all()
    seen = []

    def work(task):
        other.store.refresh()
        seen.append((other[task.id], task))
        return {"n": 1}, 0.5

    done = one.run_next("s", work, worker="w")

    assert seen[0][0] == seen[0][1]
    assert (seen[0][1].status, seen[0][1].lease.worker) == ("running", "w")
    assert (done.status, done.result, done.confidence) == ("succeeded", {"n": 1}, 0.5)
    other.store.refresh()
    assert other[done.id] == done
    assert one.run_next("s", work) is None


@pytest.mark.parametrize("result", [None, 5, "text", [1, 2], {"a": [1]}])
def test_what_work_returns_is_the_result(tasks, result):
    tasks.add_tasks("s", ["a"])

    done = tasks.run_next("s", lambda _: result)

    assert (done.status, done.confidence) == ("succeeded", None)
    assert done.result == (tuple(result) if isinstance(result, list) else result)


def test_what_work_raises_is_why_a_task_failed(tasks):
    tasks.add_tasks("s", ["a", "b"])

    def work(task):
        raise KeyError(task.title) if task.title == "a" else AssertionError

    assert tasks.run_next("s", work).error == "KeyError: 'a'"
    assert tasks.run_next("s", work).error == "AssertionError"
    assert tasks.progress("s").failed == 2


@pytest.mark.parametrize("returned", [object(), (1, 7.0), (1, "sure"), ({1: object()}, 0.5)])
def test_what_cannot_be_kept_fails_the_task(opened, returned):
    tasks = opened()
    tasks.add_tasks("s", ["a"])

    done = tasks.run_next("s", lambda _: returned)

    assert done.status == "failed"
    assert done.error.startswith("what it returned cannot be kept: ")


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_who_is_stopped_leaves_a_task_that_can_be_resumed(opened, stop):
    one, other = opened(), opened()
    one.add_tasks("s", ["a"])
    one.store.save_all()

    def work(_):
        raise stop

    with pytest.raises(stop):
        one.run_next("s", work)

    assert one.current("s") == ()
    task = other.claim("s")
    assert (task.title, task.attempts, task.changes[-1].actor) == ("a", 2, other.store._engine.run)


@pytest.mark.parametrize("run", ["run_next", "run_all"])
def test_work_that_cannot_be_called_is_refused_before_a_task_is_claimed(run, tasks):
    before = tasks.add_tasks("s", ["a", "b"])

    with pytest.raises(InvalidRecord) as refused:
        getattr(tasks, run)("s", "work")

    assert refused.value.field == "work"
    assert tasks.by_session("s") == before


class Silent(Exception):
    def __str__(self):
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (FileNotFoundError("no file 'a\udcff'"), "FileNotFoundError: no file 'a\\udcff'"),
        (Silent(), "Silent"),
    ],
    ids=["name of a file", "silent"],
)
def test_an_error_that_cannot_be_told_as_it_is_fails_its_task_all_the_same(opened, error, told):
    tasks = opened()
    tasks.add_tasks("s", ["a", "b"])

    def work(task):
        if task.title == "a":
            raise error

    report = tasks.run_all("s", work)

    assert [task.error for task in report.failed] == [told]
    assert report.progress.all_done


def test_work_that_deletes_its_task_does_not_stop_the_rest(opened):
    tasks = opened()
    tasks.add_tasks("s", [{"title": "a", "id": "a"}, "b"])

    report = tasks.run_all("s", lambda task: tasks.delete(task) if task.id == "a" else 1)

    assert report.lost == ("a",)
    assert [task.title for task in report.completed] == ["b"]


def test_work_may_bring_its_task_to_a_status_itself(tasks):
    tasks.add_tasks("s", ["a", "b", "c"])

    def work(task):
        return {"a": tasks.pause, "b": tasks.cancel, "c": tasks.release}[task.title](task)

    report = tasks.run_all("s", work)

    statuses = {task.title: task.status for task in tasks}
    assert statuses == {"a": "paused", "b": "cancelled", "c": "resumable"}
    assert (report.completed, report.failed) == ((), ())


def test_all_is_run_in_order_and_what_fails_does_not_stop_the_rest(tasks):
    tasks.add_tasks("s", [{"id": "a", "title": "a"}, "b", {"title": "c", "depends_on": ["a"]}, "d"])
    order = []

    def work(task):
        order.append(task.title)
        if task.title == "b":
            raise ValueError("broken")
        return task.title

    report = tasks.run_all("s", work)

    assert order == ["a", "b", "c", "d"]
    assert titles(report.completed) == ["a", "c", "d"]
    assert [(task.title, task.error) for task in report.failed] == [("b", "ValueError: broken")]
    assert report.lost == ()
    assert report.progress.all_done


def test_running_all_beside_another_worker_ends_with_a_report(opened):
    one, other = opened(), opened()
    one.add_tasks("s", ["a"])
    one.store.save_all()
    other.claim("s")

    report = one.run_all("s", lambda _: None)

    assert report.completed == ()
    assert (report.progress.running, report.progress.pending) == (1, 0)
    assert not report.progress.all_done


def test_who_was_overtaken_drops_its_work_and_goes_on(opened):
    now = [BEGIN]
    one, other = opened(clock=lambda: now[0]), opened(clock=lambda: now[0])
    one.add_tasks("s", ["a", "b"])
    one.store.save_all()

    def work(task):
        if task.title == "a":
            now[0] += timedelta(seconds=10)
            other.complete(other.claim("s"), "other")
        return "one"

    report = one.run_all("s", work, lease_s=5)

    assert [(task.title, task.result) for task in one.queue_of("s")] == [
        ("a", "other"),
        ("b", "one"),
    ]
    assert report.lost == (one.queue_of("s")[0].id,)
    assert titles(report.completed) == ["b"]


def test_running_one_tells_who_was_overtaken(opened):
    now = [BEGIN]
    one, other = opened(clock=lambda: now[0]), opened(clock=lambda: now[0])
    one.add_tasks("s", ["a"])
    one.store.save_all()

    def work(_):
        now[0] += timedelta(seconds=10)
        other.claim("s")

    with pytest.raises(LeaseLost):
        one.run_next("s", work, lease_s=5)

    assert len(one.current("s")) == 1


def test_work_can_use_the_store_and_other_threads(opened):
    one = opened()
    one.add_tasks("s", ["a"])

    def work(task):
        one.set_progress(task, 50.0)
        one.add_tasks("s", ["b"]) if task.title == "a" else None
        one.store.save_all()

    report = one.run_all("s", work)

    assert titles(report.completed) == ["a", "b"]
    assert report.completed[0].progress.percent == 50.0
