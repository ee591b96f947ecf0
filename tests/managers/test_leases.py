"""Leases: exactly one worker has a task, for as long as it lives, and nobody ends another's."""

import threading
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from statestore import (
    CallbackFailed,
    Conflict,
    InTransaction,
    InvalidRecord,
    InvalidTransition,
    LeaseLost,
    ReadOnlyStore,
    RecordNotFound,
    Store,
    TaskClaimed,
    TransactionFailed,
    ValidationFailed,
)
from statestore.managers import Lease, SessionManager, TaskManager, TaskStatus
from statestore.models.problems import Problem

BEGIN = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


class Clock:
    def __init__(self):
        self.now = BEGIN

    def __call__(self):
        return self.now

    def passes(self, seconds):
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def opened(tmp_path, clock):
    stores = []

    def opened(**options):
        store = Store(tmp_path / "state", **options)
        stores.append(store)
        tasks = store.register(TaskManager(clock=clock))
        store.load_all()
        tasks.store = store
        return tasks

    yield opened
    for store in stores:
        store.close()


@pytest.fixture
def two(opened):
    one = opened()
    one.create("First", id="a", session_id="s")
    one.create("Second", id="b", session_id="s")
    one.store.save_all()
    return one, opened()


def stored(opened, id="a"):
    return opened(read_only=True)[id]


# --- which task is next ---------------------------------------------------------------


def test_the_most_urgent_is_next_then_the_first_in_place_then_the_oldest(clock):
    tasks = TaskManager(clock=clock)
    tasks.create("4", id="young", session_id="s", position=3)
    clock.passes(-10)
    tasks.create("3", id="old", session_id="s", position=3)
    clock.passes(-10)
    tasks.create("5", id="nowhere", session_id=None)
    tasks.create("2", id="place", session_id="s", position=1)
    tasks.create("1", id="urgent", session_id="s", position=9, priority="critical")

    given = []
    while (task := tasks.claim()) is not None:
        given.append(task.id)

    assert given == ["urgent", "place", "old", "young", "nowhere"]


def test_only_what_was_asked_for_is_given(clock):
    tasks = TaskManager(clock=clock)
    tasks.create("Other session", id="a", session_id="t", type="testing")
    tasks.create("Other type", id="b", session_id="s", type="general")
    tasks.create("Other tag", id="c", session_id="s", type="testing")
    tasks.create("Wanted", id="d", session_id="s", type="testing", tags=["gpu"])

    def claim():
        return tasks.claim("s", types="testing", where=lambda task: "gpu" in task.tags)

    assert claim().id == "d"
    assert claim() is None
    assert tasks.claim("s", types=["testing", "general"]).id == "b"


@pytest.mark.parametrize("status", ["pending", "ready", "queued"])
def test_what_was_not_begun_is_given_and_is_running_then(clock, status):
    tasks = TaskManager(clock=clock)
    tasks.create("Do", id="a", status=status)

    task = tasks.claim(worker="w")

    assert task is tasks["a"]
    assert (task.status, task.started_at, task.attempts) == (TaskStatus.RUNNING, task.updated_at, 1)
    assert (task.lease.worker, task.lease.claimed_at, task.lease.expires_at) == ("w", BEGIN, None)
    assert task.changes[-1].actor == "w"
    assert tasks.claim() is None


@pytest.mark.parametrize("status", ["running", "blocked"])
def test_what_somebody_has_begun_without_a_claim_is_not_given(clock, status):
    tasks = TaskManager(clock=clock)
    tasks.create("Do", status=status)

    assert tasks.claim() is None


def test_what_waits_for_others_is_given_when_they_have_succeeded(clock):
    tasks = TaskManager(clock=clock)
    tasks.create("First", id="a")
    tasks.create("Then", id="b", depends_on=["a"], priority="critical")
    tasks.create("Never", id="c", depends_on=["gone"], allow_missing=True)

    first = tasks.claim()
    assert first.id == "a"
    assert tasks.claim() is None
    tasks.complete(first)

    assert tasks.claim().id == "b"
    assert tasks.claim() is None


def test_a_parent_is_done_by_its_children(clock):
    tasks = TaskManager(clock=clock)
    tasks.create("All", id="a")
    tasks.create("Part", id="b", parent_id="a")

    part = tasks.claim()

    assert part.id == "b"
    assert tasks["a"].status == "running"
    assert tasks.claim() is None
    tasks.complete(part)
    assert tasks["a"].status == "succeeded"


def test_a_parent_that_does_not_follow_its_children_is_a_task_as_others(clock):
    tasks = TaskManager(clock=clock, roll_up=False)
    tasks.create("All", id="a")
    tasks.create("Part", id="b", parent_id="a")

    assert [tasks.claim().id, tasks.claim().id] == ["a", "b"]


def test_a_parent_in_hand_stays_with_its_worker_whatever_its_children_do(clock):
    tasks = TaskManager(clock=clock)
    tasks.create("All", id="p")
    whole = tasks.claim()
    tasks.create("Part", id="c", parent_id="p")

    tasks.fail(tasks.claim(), "no")

    assert tasks["p"].status == "running"
    assert tasks.complete(whole).status == "succeeded"


# --- exactly one ----------------------------------------------------------------------


def test_two_openings_are_given_different_tasks(two):
    one, other = two

    assert [one.claim("s").id, other.claim("s").id] == ["a", "b"]
    assert one.claim("s") is None is other.claim("s")


def test_a_task_that_somebody_else_has_added_is_found(two):
    one, other = two
    one.create("New", id="new", session_id="s", priority="high")
    one.store.save_all()

    assert other.claim("s").id == "new"


def test_a_claim_is_durable_when_it_returns(two, opened):
    one, _ = two

    task = one.claim("s")

    assert one.unsaved == ()
    assert stored(opened) == task


@pytest.mark.parametrize("autosave", ["manual", "on-change", 3600.0])
def test_a_claimed_task_is_ended_durably_in_every_autosave_mode(opened, autosave):
    one = opened(autosave=autosave)
    one.create("Do", id="a", parent_id=one.create("All", id="p").id)
    one.store.save_all()

    done = one.complete(one.claim(), {"n": 1}, confidence=0.5)

    assert (done.lease, done.result, done.confidence, done.attempts) == (None, {"n": 1}, 0.5, 1)
    assert stored(opened) == done
    assert stored(opened, "p").status == "succeeded"


def test_who_ends_the_last_children_elsewhere_at_the_same_time_ends_the_parent(opened):
    one = opened()
    one.create("All", id="p")
    one.create("Part", id="c", parent_id="p")
    one.create("Part", id="d", parent_id="p")
    one.store.save_all()
    other = opened()
    parts = one.claim(), other.claim()
    one.complete(parts[0])  # which the other has not seen

    other.complete(parts[1])

    assert other["p"].status == "succeeded" == stored(opened, "p").status


def test_unsaved_changes_of_a_task_go_along_with_its_claim(two, opened):
    one, _ = two
    one.update("a", title="Better")

    one.claim("s")

    assert stored(opened).title == "Better"


def test_a_task_whose_unsaved_change_stands_against_others_is_passed_over(two):
    one, other = two
    one.update("a", title="Mine")
    other.update("a", title="Theirs")
    other.store.save_all()

    assert one.claim("s").id == "b"
    with pytest.raises(Conflict):
        one.claim("s")
    assert one["a"].title == "Mine"
    assert one["a"].lease is None
    one.store.load_all(discard=True)
    assert one.claim("s").title == "Theirs"


def test_a_task_that_a_validator_refuses_is_passed_over(two):
    one, _ = two
    problem = Problem("status", "not now")
    one.add_validator(lambda task, _: [problem] if (task.id, task.attempts) == ("a", 1) else None)

    assert one.claim("s").id == "b"
    with pytest.raises(ValidationFailed):
        one.claim("s")
    assert one["a"].lease is None


def test_an_edit_beside_a_claim_is_merged_with_it(two, opened):
    one, other = two
    one.update("a", description="more")
    task = other.claim("s")

    one.store.save_all(on_conflict="merge")

    both = stored(opened)
    assert (both.description, both.lease, both.attempts) == ("more", task.lease, 1)
    assert other.complete(task).description == "more"


def test_a_claim_that_an_older_state_overwrote_ends_nothing(two):
    one, other = two
    one.update("a", description="more")
    task = other.claim("s", worker="w1")
    one.store.save_all(on_conflict="mine")

    again = one.claim("s", worker="w2")

    assert again.id == "a"
    with pytest.raises(LeaseLost):
        other.complete(task)
    assert one.complete(again).status == "succeeded"


def test_threads_of_one_opening_are_given_different_tasks(opened):
    one = opened()
    one.add_tasks("s", [str(number) for number in range(40)])
    one.store.save_all()
    done, lock, gate = [], threading.Lock(), threading.Barrier(6)

    def work():
        gate.wait(30)
        while (task := one.claim("s")) is not None:
            one.complete(task, task.lease.token)
            with lock:
                done.append(task)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sorted(task.id for task in done) == sorted(one.ids())
    assert {task.id: task.lease.token for task in done} == {one.id: one.result for one in one}
    assert {task.attempts for task in one} == {1}


# --- the dead and the slow ------------------------------------------------------------


def test_what_a_closed_opening_had_is_given_to_another_at_once(two):
    one, other = two
    lost = one.claim("s", worker="w1")
    one.store.close()

    task = other.claim("s", worker="w2")

    assert (task.id, task.attempts, task.lease.worker) == ("a", 2, "w2")
    assert task.lease.token != lost.lease.token
    assert task.logs[-1].text.startswith("claimed by w2, as the lease of w1 ")
    assert "its process is gone" in task.logs[-1].text


def test_who_lives_keeps_a_task_without_a_time_for_ever(two, clock):
    one, other = two
    one.claim("s")
    other.claim("s")

    clock.passes(50 * 365 * 86400)

    assert other.claim("s") is None
    assert other.abandoned() == ()


def test_past_its_time_a_task_is_given_to_another_and_its_worker_told(two, clock):
    one, other = two
    other.claim("s", where=lambda task: task.id == "b")
    slow = one.claim("s", worker="slow", lease_s=60)
    assert slow.lease.expires_at == clock.now + timedelta(seconds=60)
    clock.passes(59)
    assert other.claim("s") is None
    clock.passes(1)

    task = other.claim("s", worker="fast")

    assert (task.id, task.attempts) == ("a", 2)
    assert "has expired" in task.logs[-1].text
    with pytest.raises(LeaseLost) as lost:
        one.complete(slow, "wrong")
    assert (lost.value.worker, lost.value.holder, lost.value.status) == ("slow", "fast", "running")
    assert one["a"] == task
    assert one.unsaved == ()
    other.complete(task, "right")
    with pytest.raises(LeaseLost) as lost:
        one.complete(slow, "wrong")
    assert (lost.value.holder, lost.value.status) == (None, "succeeded")
    assert one["a"].result == "right"


def test_a_sign_of_life_keeps_a_task(two, clock):
    one, other = two
    other.claim("s", where=lambda task: task.id == "b")
    slow = one.claim("s", lease_s=60)
    version = slow.version
    clock.passes(59)

    longer = one.extend(slow, 60)

    assert longer.lease.expires_at == clock.now + timedelta(seconds=60)
    assert longer.lease.token == slow.lease.token
    assert (longer.version, longer.changes) == (version, slow.changes)
    clock.passes(59)
    assert other.claim("s") is None
    assert one.extend(slow, None).lease.expires_at is None  # an older record proves it, too
    clock.passes(1000)
    assert other.claim("s") is None
    assert one.complete(slow).status == "succeeded"


def test_who_is_late_but_was_not_overtaken_goes_on(two, clock):
    one, _ = two
    slow = one.claim("s", lease_s=1)
    clock.passes(100)

    assert one.extend(slow, 1).lease is not None
    clock.passes(100)

    assert one.complete(slow).status == "succeeded"


def test_a_lease_that_was_lost_cannot_be_extended_or_given_back(two, clock):
    one, other = two
    slow = one.claim("s", lease_s=1)
    clock.passes(1)
    task = other.claim("s")

    for operation in (lambda: one.extend(slow, 60), lambda: one.release(slow)):
        with pytest.raises(LeaseLost):
            operation()

    assert one["a"] == task


@pytest.mark.parametrize("policy", ["error", "mine", "merge"])
def test_unsaved_progress_of_a_lost_task_neither_hides_the_loss_nor_undoes_it(
    clock, opened, policy
):
    one, other = opened(on_conflict=policy), opened()
    one.create("First", id="a", session_id="s")
    one.create("Second", id="b", session_id="s")
    one.store.save_all()
    slow = one.set_progress(one.claim("s", worker="slow", lease_s=1), 40, message="half")
    clock.passes(1)
    task = other.set_progress(other.claim("s", worker="fast"), 10)
    other.store.save_all()

    with pytest.raises(LeaseLost) as lost:
        one.complete(slow, "wrong")

    assert lost.value.holder == "fast"
    assert one["a"] == task == stored(opened)
    assert one.unsaved == ()


def test_unsaved_progress_of_a_lost_task_does_not_stop_a_queue(two, clock):
    one, other = two
    one.set_progress(one.claim("s", lease_s=1), 40)
    clock.passes(1)
    task = other.claim("s")

    report = one.run_all("s", lambda task: task.id)

    assert [done.id for done in report.completed] == ["b"]
    assert one["a"] == task
    assert one.unsaved == ()


def test_a_session_is_resumed_beside_unsaved_progress_of_a_lost_task(two, clock):
    one, other = two
    one.set_progress(one.claim("s", lease_s=1), 40)
    clock.passes(1)
    task = other.claim("s", worker="fast")

    report = one.resume_session("s")

    assert report.resumed == ()
    assert [(left.id, left.worker) for left in report.skipped] == [("a", "fast"), ("b", None)]
    assert one["a"] == task


OPERATIONS = {
    "complete": lambda tasks, task: tasks.complete(task),
    "fail": lambda tasks, task: tasks.fail(task, "no"),
    "cancel": lambda tasks, task: tasks.cancel(task),
    "pause": lambda tasks, task: tasks.pause(task),
    "interact": lambda tasks, task: tasks.interact(task),
    "interrupt": lambda tasks, task: tasks.interrupt(task),
    "wait": lambda tasks, task: tasks.wait(task),
    "block": lambda tasks, task: tasks.block(task),
    "set_status": lambda tasks, task: tasks.set_status(task, "failed"),
    "update": lambda tasks, task: tasks.update(task, status="failed"),
}
KEEPING = {"pause", "interact", "wait"}


@pytest.mark.parametrize("name", OPERATIONS)
def test_no_status_is_changed_by_who_has_lost_the_task(two, clock, name):
    one, other = two
    slow = one.claim("s", lease_s=1)
    clock.passes(1)
    task = other.claim("s")

    with pytest.raises(LeaseLost):
        OPERATIONS[name](one, slow)

    assert one["a"] == task
    assert one.unsaved == ()


@pytest.mark.parametrize("name", OPERATIONS)
def test_no_status_is_changed_by_an_id_while_another_run_has_the_task(two, clock, name):
    one, other = two
    task = one.claim("s", worker="w", lease_s=60)
    other.store.refresh()

    with pytest.raises(TaskClaimed) as claimed:
        OPERATIONS[name](other, "a")

    error = claimed.value
    assert (error.id, error.worker, error.since) == ("a", "w", BEGIN)
    assert error.until == BEGIN + timedelta(seconds=60)
    assert other["a"] == task
    assert other.unsaved == ()


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_id_is_enough_in_the_same_run_or_when_the_lease_is_over(two, name, opened):
    one, other = two
    one.claim("s")
    assert (OPERATIONS[name](one, "a").lease is not None) == (name in KEEPING)
    other.claim_task("b")
    other.store.close()
    one.store.refresh()

    changed = OPERATIONS[name](one, "b")

    assert (changed.lease is not None) == (name in KEEPING)
    assert stored(opened, "b") == changed


def test_a_task_that_was_paused_stays_in_hand(two):
    one, other = two
    task = one.claim("s")
    one.pause(task)
    other.claim("s")

    assert other.claim("s") is None
    assert one.resume(task).lease.token == task.lease.token
    assert one.complete(task).lease is None


def test_what_was_paused_by_the_dead_is_given_to_another(two):
    one, other = two
    one.pause(one.claim("s"))
    one.store.close()

    assert other.claim("s").id == "a"


def test_abandoned_tasks_and_dead_runs_are_listed(two):
    one, other = two
    run = one.claim("s").lease.run
    other.claim("s")
    assert other.abandoned() == () == other.dead_runs()

    one.store.close()

    assert [task.id for task in other.abandoned()] == ["a"]
    assert [task.id for task in other.abandoned("s")] == ["a"]
    assert other.abandoned("t") == ()
    assert other.dead_runs() == (run,)


def test_a_task_fails_whose_workers_have_died_too_often(opened):
    first = opened()
    first.create("Deadly", id="a", priority="high")
    first.create("Next", id="b")
    first.store.save_all()
    for _ in range(2):
        tasks = opened()
        assert tasks.claim(max_attempts=2).id == "a"
        tasks.store.close()

    assert first.claim(max_attempts=2).id == "b"

    failed = stored(opened)
    assert (failed.status, failed.attempts, failed.lease) == ("failed", 2, None)
    assert failed.error.startswith("given up after 2 attempts: the lease of ")


# --- a certain task -------------------------------------------------------------------


def test_a_certain_task_is_claimed_also_one_that_failed_or_was_paused(two):
    one, _ = two
    one.fail(one.claim_task("b"), "no")

    again = one.claim_task("b", worker="w", lease_s=5)

    assert (again.lease.worker, again.attempts, again.error) == ("w", 2, None)
    one.start("a")
    one.pause("a")
    assert one.claim_task("a").status == "running"


def test_a_certain_task_is_refused_with_the_reason(two):
    one, other = two
    one.claim("s", worker="w")
    other.create("Waits", id="c", depends_on=["a"])
    other.cancel("b")

    with pytest.raises(TaskClaimed):
        other.claim_task("a")
    with pytest.raises(TaskClaimed):
        one.claim_task("a")
    with pytest.raises(InvalidTransition):
        other.claim_task("b")
    with pytest.raises(InvalidRecord) as refused:
        other.claim_task("c")
    assert (refused.value.field, "a" in refused.value.reason) == ("depends_on", True)
    with pytest.raises(RecordNotFound):
        other.claim_task("x")


def test_a_certain_task_is_found_that_somebody_else_has_added(two):
    one, other = two
    one.create("New", id="new")
    one.store.save_all()

    assert other.claim_task("new").attempts == 1


# --- giving back ----------------------------------------------------------------------


@pytest.mark.parametrize("leave", [None, "pause", "interact", "wait"])
def test_a_task_that_is_given_back_is_resumable_by_the_next(two, leave):
    one, other = two
    task = one.claim("s")
    if leave:
        OPERATIONS[leave](one, task)

    back = one.release(task, "no time")

    assert (back.status, back.lease, back.reason) == ("resumable", None, "no time")
    again = other.claim("s")
    assert (again.id, again.attempts) == ("a", 2)
    assert len(again.logs) == 0


def test_a_task_of_a_live_worker_is_only_taken_away_by_force(two):
    one, other = two
    task = one.claim("s", worker="w")
    other.store.refresh()
    with pytest.raises(TaskClaimed):
        other.release("a")

    other.release("a", force=True)

    assert other.cancel("a").status == "cancelled"
    other.store.save_all()
    with pytest.raises(LeaseLost):
        one.complete(task)


def test_what_nobody_has_claimed_is_neither_given_back_nor_extended(clock):
    tasks = TaskManager(clock=clock)
    tasks.create("Do", id="a")

    for operation in (lambda: tasks.release("a"), lambda: tasks.extend("a", 5)):
        with pytest.raises(InvalidRecord) as refused:
            operation()
        assert refused.value.field == "lease"


# --- transactions, other stores, arguments --------------------------------------------


def test_nothing_is_claimed_within_a_transaction(two):
    one, _ = two

    with one.store.transaction():
        for claim in (lambda: one.claim("s"), lambda: one.claim_task("a")):
            with pytest.raises(InTransaction):
                claim()

    assert one["a"].lease is None


def test_a_claimed_task_is_ended_together_with_what_belongs_to_it(two, opened):
    one, _ = two
    sessions = one.store.register(SessionManager())
    task = one.claim("s")

    def end(*, fails):
        with one.store.transaction():
            one.complete(task)
            sessions.create(id="result")
            if fails:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        end(fails=True)
    assert one["a"] == task == stored(opened)

    end(fails=False)

    assert stored(opened).status == "succeeded"
    assert stored(opened).lease is None


def test_a_transaction_does_not_end_what_was_taken_over(two, clock):
    one, other = two
    slow = one.claim("s", lease_s=1)
    clock.passes(1)
    task = other.claim("s")

    with pytest.raises(TransactionFailed), one.store.transaction():
        one.complete(slow)

    assert other["a"] == task
    one.store.refresh()
    assert one["a"] == task


def test_without_a_store_a_task_is_in_hand_until_its_time_is_over(clock):
    tasks = TaskManager(clock=clock)
    tasks.create("Do", id="a")
    slow = tasks.claim(lease_s=10)
    assert tasks.claim() is None
    clock.passes(10)

    fast = tasks.claim()

    assert fast.attempts == 2
    with pytest.raises(LeaseLost):
        tasks.complete(slow)
    assert tasks.complete(fast).status == "succeeded"


def test_nothing_is_claimed_in_a_store_that_is_read_only(two, opened):
    with pytest.raises(ReadOnlyStore, match="cannot claim a task: "):
        opened(read_only=True).claim("s")


def test_claims_in_a_store_in_memory(clock):
    with Store("memory:") as store:
        tasks = store.register(TaskManager(clock=clock))
        tasks.create("Do", id="a")

        task = tasks.claim()

        assert tasks.claim() is None
        assert tasks.complete(task).status == "succeeded"


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("worker", {"worker": ""}),
        ("worker", {"worker": 5}),
        ("lease_s", {"lease_s": 0}),
        ("lease_s", {"lease_s": -1.0}),
        ("lease_s", {"lease_s": True}),
        ("lease_s", {"lease_s": "60"}),
        ("lease_s", {"lease_s": float("nan")}),
        ("lease_s", {"lease_s": float("inf")}),
        ("lease_s", {"lease_s": 1e300}),
        ("max_attempts", {"max_attempts": 0}),
        ("max_attempts", {"max_attempts": 1.5}),
    ],
)
def test_arguments_are_checked_before_anything_is_claimed(clock, field, arguments):
    tasks = TaskManager(clock=clock)
    task = tasks.create("Do", id="a")

    with pytest.raises(InvalidRecord) as refused:
        tasks.claim(**arguments)

    assert refused.value.field == field
    assert tasks["a"] is task


def test_the_lease_is_kept_by_the_manager(clock):
    tasks = TaskManager(clock=clock)
    tasks.create("Do", id="a")
    lease = Lease(worker="w", run="r", token="t")

    for fields in ({"lease": lease}, {"attempts": 5}):
        with pytest.raises(InvalidRecord):
            tasks.update("a", **fields)
        with pytest.raises(InvalidRecord):
            tasks.create("Other", **fields)


def test_who_is_told_of_a_failing_callback_has_no_task_in_hand(two, opened):
    one, _ = two
    handle = one.store.on_save(lambda _: 1 / 0)

    with pytest.raises(CallbackFailed):
        one.claim("s")
    handle.cancel()

    assert one["a"].status == "resumable"
    assert one.claim("s").id == "a"


# --- events ---------------------------------------------------------------------------


def test_claims_are_told_with_their_workers(two, clock):
    one, other = two
    heard = []
    for name in ("claimed", "reclaimed", "released"):
        other.on(name, lambda event: heard.append((event.name, dict(event.details))))
    first = {"worker": "w1", "attempts": 1}

    one.claim("s", worker="w1", lease_s=1)
    other.store.refresh()
    assert heard == [("claimed", first)]

    clock.passes(1)
    heard.clear()
    task = other.claim("s", worker="w2")
    assert heard == [
        ("reclaimed", {"worker": "w2", "old": "w1"}),
        ("claimed", {"worker": "w2", "attempts": 2}),
    ]

    heard.clear()
    other.extend(task, 60)
    other.release(task, "tired")
    assert heard == [("released", {"worker": "w2", "reason": "tired"})]

    heard.clear()
    other.complete(other.claim("s", worker="w2"))
    assert [name for name, _ in heard] == ["claimed"]


# --- what a host does by itself -------------------------------------------------------


def paused(task):
    return attrs.evolve(task, status="paused")


BY_ID = {
    "modify": lambda tasks, id: tasks.modify(id, paused),
    "delete": lambda tasks, id: tasks.delete(id),
    "replace": lambda tasks, id: tasks.replace(attrs.evolve(tasks[id], lease=None, attempts=0)),
    "no lease": lambda tasks, id: tasks.modify(id, lambda task: attrs.evolve(task, lease=None)),
    "attempts": lambda tasks, id: tasks.modify(id, lambda task: attrs.evolve(task, attempts=0)),
    "import": lambda tasks, id: tasks.import_document(
        {"kind": "tasks", "schema": 1, "data": {**tasks.export_document(id)["data"], "title": "t"}},
        replace=True,
    ),
}


@pytest.mark.parametrize("name", BY_ID)
def test_a_host_does_not_take_a_task_from_a_worker_by_the_way(two, name):
    one, other = two
    task = one.claim("s")
    other.store.refresh()
    error = TaskClaimed if name in ("modify", "delete", "import") else InvalidRecord

    with pytest.raises(error):
        BY_ID[name](other, "a")

    assert other["a"] == task
    assert other.unsaved == ()
    assert one.complete(task).status == "succeeded"


@pytest.mark.parametrize("name", ["modify", "delete", "import"])
def test_a_host_does_what_it_likes_with_what_a_worker_left(two, name, opened):
    one, other = two
    one.claim("s")
    other.store.refresh()
    one.store.close()

    BY_ID[name](other, "a")

    assert other.store.save_all().failures == ()
    assert ("a" in opened()) == (name != "delete")


def test_a_task_that_is_in_hand_is_not_deleted_with_its_parent(opened):
    one, other = opened(), opened()
    one.create("Above", id="p", session_id="s")
    one.create("Below", id="c", parent_id="p", session_id="s")
    one.store.save_all()
    other.store.refresh()
    task = one.claim("s")
    assert task.id == "c"
    other.store.refresh()

    with pytest.raises(TaskClaimed):
        other.delete("p", children="delete")

    assert len(other) == 2
    assert one.delete("p", children="delete").id == "p"
    assert len(one) == 0


def test_what_is_no_status_is_changed_beside_a_worker(two):
    one, other = two
    task = one.claim("s")

    other.modify("a", lambda task: attrs.evolve(task, description="more"))

    assert one.complete(task).description == "more"


WRITES = {
    "progress": lambda tasks, task: tasks.set_progress(task, 90),
    "output": lambda tasks, task: tasks.append_output(task, "late"),
    "logs": lambda tasks, task: tasks.append_logs(task, task.logs),
    "update": lambda tasks, task: tasks.update(task, result="late"),
    "modify": lambda tasks, task: tasks.modify(task, lambda one: attrs.evolve(one, result=1)),
    "delete": lambda tasks, task: tasks.delete(task),
}


@pytest.mark.parametrize("has_ended", [False, True])
@pytest.mark.parametrize("name", WRITES)
def test_who_has_lost_a_task_writes_nothing_to_it(two, clock, name, has_ended):
    one, other = two
    slow = one.claim("s", lease_s=1)
    clock.passes(1)
    task = other.claim("s")
    if has_ended:
        task = other.complete(task, "right")
    one.store.refresh()

    with pytest.raises(LeaseLost):
        WRITES[name](one, slow)

    assert one["a"] == task
    assert one.unsaved == ()


@pytest.mark.parametrize("name", WRITES)
def test_who_has_ended_a_task_may_still_write_to_it(two, name):
    one, _ = two
    task = one.claim("s")
    one.complete(task, "right")

    WRITES[name](one, task)


@pytest.mark.parametrize("run", ["run_next", "run_all"])
def test_work_that_cannot_be_called_is_refused_before_a_task_is_claimed(two, run):
    one, _ = two

    with pytest.raises(InvalidRecord) as refused:
        getattr(one, run)("s", None)

    assert refused.value.field == "work"
    assert one["a"].attempts == 0
