"""Snapshots: the state of an application at one moment, and its figures."""

import copy
import itertools
import pickle
import threading
from datetime import UTC, datetime, timedelta

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statestore import EncodeError, Manager, Store, UnknownName
from statestore.managers import (
    LogManager,
    ReportManager,
    Session,
    SessionManager,
    SessionStatus,
    Task,
    TaskManager,
    TaskStatus,
)
from statestore.managers.metrics import (
    SessionMetrics,
    TaskMetrics,
    session_metrics,
    task_metrics,
)
from statestore.models.documents import freeze
from statestore.records.codec import codec_of

MOMENT = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
LIMIT_S = 60  # only against a hang


@attrs.define
class Board:
    """A class that can change in place."""

    id: str
    columns: list = attrs.field(factory=list)


@attrs.frozen
class Note:
    id: str
    text: str = ""


def task(id, status="pending", started=None, completed=None):
    """Return a task; its times are in seconds after `MOMENT`."""

    def at(seconds):
        return None if seconds is None else MOMENT + timedelta(seconds=seconds)

    return Task(id, status=status, started_at=at(started), completed_at=at(completed))


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "state") as store:
        for make in (SessionManager, TaskManager, ReportManager, LogManager):
            store.register(make())
        store.register(Manager("notes", Note, schema=3))
        yield store


def filled(store):
    """Put some records of each kind into a store."""
    managers = store.managers
    managers["sessions"].create(name="One", id="s1")
    for one in (task("t1", "succeeded", 0, 10), task("t2", "succeeded", 5, 25), task("t3")):
        managers["tasks"].add(one)
    managers["reports"].create("coverage", {"n": 1}, id="r1")
    managers["logs"].append("s1", "begun")
    managers["notes"].create(id="n1", text="mine")
    return store


# --- figures ------------------------------------------------------------------------------


def test_figures_of_nothing_are_zero_and_no_average():
    assert task_metrics(()) == TaskMetrics()
    assert session_metrics(()) == SessionMetrics()
    assert TaskMetrics().average_completion_s is SessionMetrics().average_active_s is None


def test_average_is_from_start_to_completion_of_what_succeeded():
    tasks = [
        task("a", "succeeded", 0, 10),
        task("b", "succeeded", 100, 130.5),
        task("c", "succeeded", None, 1000),  # nobody knows when it began
        task("d", "succeeded", 1000, None),
        task("e", "succeeded", 50, 40),  # the clock was set back
        task("f", "failed", 0, 9000),
        task("g", "cancelled", 0, 9000),
        task("h", "running", 0, None),
    ]
    old = [attrs.evolve(one, created_at=MOMENT, updated_at=datetime.now(UTC)) for one in tasks]

    assert task_metrics(tasks).average_completion_s == (10 + 30.5) / 2
    assert task_metrics(old) == task_metrics(tasks)
    assert task_metrics(tasks[2:]).average_completion_s is None


@given(st.lists(st.sampled_from(TaskStatus)))
def test_each_task_counts_once(statuses):
    figures = task_metrics(task(str(n), status) for n, status in enumerate(statuses))

    assert figures.total == len(statuses)
    assert figures.completed == statuses.count("succeeded")
    assert figures.failed == statuses.count("failed")
    assert figures.cancelled == statuses.count("cancelled")
    counted = figures.pending + figures.active + figures.completed
    assert counted + figures.failed + figures.cancelled == figures.total


@pytest.mark.parametrize("status", TaskStatus)
def test_every_status_of_a_task_is_pending_active_or_over(status):
    figures = task_metrics([task("a", status)])

    active = {"delegated", "running", "interactive"}
    over = {"succeeded": "completed", "failed": "failed", "cancelled": "cancelled"}
    wanted = "active" if status in active else over.get(status, "pending")
    assert attrs.asdict(figures) == attrs.asdict(TaskMetrics(total=1, **{wanted: 1}))


@given(st.lists(st.tuples(st.sampled_from(SessionStatus), st.floats(0, 1e6))))
def test_each_session_counts_once_with_its_active_time(given):
    figures = session_metrics(
        Session(str(n), status=status, duration_s=duration)
        for n, (status, duration) in enumerate(given)
    )
    times = [duration for status, duration in given if status == "completed"]

    counted = figures.active + figures.paused + figures.completed + figures.failed
    assert figures.total == counted == len(given)
    assert figures.completed == len(times)
    wanted = pytest.approx(sum(times) / len(times)) if times else None
    assert figures.average_active_s == wanted


# --- what it holds ------------------------------------------------------------------------


def test_snapshot_has_the_records_of_every_kind_and_their_figures(store):
    filled(store)
    snapshot = store.snapshot()

    assert set(snapshot.records) == {"sessions", "tasks", "reports", "logs", "notes"}
    assert snapshot.records == {kind: one.all() for kind, one in store.managers.items()}
    assert snapshot.sessions == store.managers["sessions"].all()
    assert snapshot.tasks == store.managers["tasks"].all()
    metrics = snapshot.metrics
    assert (metrics.total, metrics.completed, metrics.failed, metrics.pending) == (3, 2, 0, 1)
    assert metrics.average_completion_s == 15
    assert metrics.sessions == SessionMetrics(total=1, paused=1)


def test_snapshot_tells_when_it_was_taken_and_saved(tmp_path):
    now = [MOMENT]
    with Store(tmp_path, clock=lambda: now[0]) as store:
        notes = store.register(Manager("notes", Note))
        fresh = store.snapshot()
        notes.create(id="n")
        store.save_all()
        now[0] += timedelta(minutes=1)
        later = store.snapshot()

    assert (fresh.taken_at, fresh.last_saved_at, fresh.sequence) == (MOMENT, None, 0)
    assert (later.taken_at, later.last_saved_at) == (now[0], MOMENT)
    assert later.sequence == 1
    assert fresh.metrics.total == 0
    assert (fresh.sessions, fresh.tasks) == ((), ())


def test_unsaved_changes_are_in_it_and_later_ones_are_not(store):
    notes = store.managers["notes"]
    notes.create(id="a", text="saved")
    store.save_all()
    notes.update("a", text="unsaved")
    notes.create(id="b")

    snapshot = store.snapshot()
    notes.delete("a")
    notes.update("b", text="later")

    assert snapshot.records["notes"] == (Note("a", "unsaved"), Note("b"))
    assert store.raw("notes/a")["text"] == "saved"


def test_snapshot_is_a_value(store):
    filled(store)
    snapshot = store.snapshot()

    for change in (
        lambda: setattr(snapshot, "sequence", 5),
        lambda: snapshot.records.update(notes=()),
    ):
        with pytest.raises((AttributeError, TypeError)):
            change()
    for other in (pickle.loads(pickle.dumps(snapshot)), copy.deepcopy(snapshot)):  # own
        assert other == snapshot
        assert other.document() == snapshot.document()
    assert "mine" not in repr(snapshot)


def test_records_of_classes_that_can_change_are_copies(tmp_path):
    with Store(tmp_path) as store:
        boards = store.register(Manager("boards", Board))
        boards.create(id="b", columns=["doing"])
        snapshot = store.snapshot()
        boards["b"].columns.append("done")

        assert snapshot.records["boards"][0].columns == ["doing"]
        assert snapshot.document()["records"]["boards"] == [{"id": "b", "columns": ["doing"]}]


def test_limits_that_a_transaction_sets_are_no_record_in_it():
    with Store("memory:") as store:
        sessions = store.register(SessionManager())
        sessions.create(id="s")

        with store.transaction():
            sessions.set_limits(max_history=3)
            sessions.update("s", name="x")
            records = store.snapshot().records["sessions"]

    assert [type(one) for one in records] == [Session]


def test_transaction_sees_itself_in_it_and_nobody_else_does(store):
    notes = store.managers["notes"]
    notes.create(id="a")
    notes.create(id="b")
    store.save_all()
    seen = []

    with store.transaction():
        notes.update("a", text="inside")
        notes.delete("b")
        notes.create(id="c")
        thread = threading.Thread(target=lambda: seen.append(store.snapshot()))
        thread.start()
        thread.join(LIMIT_S)
        inside = store.snapshot()

    assert inside.records["notes"] == (Note("a", "inside"), Note("c"))
    assert seen[0].records["notes"] == (Note("a"), Note("b"))


class Slow(Manager):
    """Lets somebody look when it shows its part of a transaction, before the others show theirs."""

    look = None

    def publish(self, workspace, done):
        super().publish(workspace, done)
        if self.look is not None:
            self.look.start()
            self.look.join(0.2)  # it must not come to its end: it waits for the others


def test_transaction_of_others_is_in_it_wholly_or_not_at_all(tmp_path):
    with Store(tmp_path) as store:
        ones = store.register(Slow("ones", Note))
        twos = store.register(Manager("twos", Note))
        ones.create(id="n", text="old")
        twos.create(id="n", text="old")
        store.save_all()
        seen = []
        ones.look = threading.Thread(target=lambda: seen.append(store.snapshot().records))

        with store.transaction():
            ones.update("n", text="new")
            twos.update("n", text="new")
        ones.look.join(LIMIT_S)

        assert seen[0]["ones"] == seen[0]["twos"] == (Note("n", "new"),)


def test_change_is_not_in_it_without_the_one_before_it(tmp_path):
    """Outside of transactions too: who changes one kind and then another is never seen reversed."""
    with Store(tmp_path) as store:
        kinds = [store.register(Manager(f"kind-{n}", Note)) for n in range(5)]
        for kind in kinds:
            kind.create(id="n", text="0")
        stop = threading.Event()

        def work():
            for number in itertools.count():
                if stop.is_set():
                    return
                for kind in reversed(kinds):  # the other way round than they are copied
                    kind.update("n", text=str(number))

        thread = threading.Thread(target=work)
        thread.start()
        wrong = 0
        for _ in range(300):
            numbers = [int(one[0].text) for one in store.snapshot().records.values()]
            wrong += numbers != sorted(numbers) or numbers[-1] > numbers[0] + 1
        stop.set()
        thread.join(LIMIT_S)

        assert wrong == 0


# --- as a document ------------------------------------------------------------------------


def test_document_has_every_record_as_it_is_stored(store):
    filled(store)
    store.save_all()
    document = store.snapshot().document()

    assert orjson.loads(orjson.dumps(document)) == document
    assert set(document["records"]) == {"sessions", "tasks", "logs", "notes"}
    for kind, records in document["records"].items():
        for one in records:
            assert freeze(one) == freeze(store.raw(f"{kind}/{one['id']}"))
    assert document["version"] == 1
    assert document["schemas"] == dict.fromkeys(("sessions", "tasks", "logs"), 1) | {"notes": 3}
    assert document["metrics"]["average_completion_s"] == 15
    assert document["metrics"]["sessions"]["paused"] == 1


def test_document_has_the_fields_that_only_a_newer_version_knows(tmp_path, lay_note):
    lay_note(tmp_path, {"id": "n", "text": "x", "newer": [1]})
    with Store(tmp_path) as store:
        store.register(Manager("notes", Note))
        store.load_all(strict=True)
        with store.transaction():
            store.managers["notes"].update("n", text="y")
            inside = store.snapshot()

        assert inside.document()["records"]["notes"] == [{"id": "n", "text": "y", "newer": [1]}]


@pytest.fixture
def lay_note():
    @attrs.frozen
    class NewerNote:
        id: str
        text: str = ""
        newer: tuple[int, ...] = ()

    def lay(path, fields):
        with Store(path) as store:
            fields = {**fields, "newer": tuple(fields["newer"])}
            store.register(Manager("notes", NewerNote)).add(NewerNote(**fields))

    return lay


def test_snapshot_that_is_kept_as_a_report_is_equal_after_a_reload(store):
    filled(store)
    snapshot = store.snapshot()
    document = snapshot.document()
    report = store.managers["reports"].create("snapshot", document)
    store.save_all()

    with Store(store.path, read_only=True) as again:
        reports = again.register(ReportManager())
        again.load_all(strict=True)
        kept = reports.latest("snapshot")

    assert kept == report
    assert kept.data == document
    tasks = [codec_of(Task).decode(one)[0] for one in kept.data["records"]["tasks"]]
    sessions = [codec_of(Session).decode(one)[0] for one in kept.data["records"]["sessions"]]
    assert (tuple(tasks), tuple(sessions)) == (snapshot.tasks, snapshot.sessions)
    assert kept.data["metrics"] == attrs.asdict(snapshot.metrics)
    assert attrs.asdict(task_metrics(tasks)).items() <= dict(kept.data["metrics"]).items()


def test_snapshots_that_are_kept_do_not_hold_each_other(store):
    filled(store)
    reports = store.managers["reports"]
    sizes = []
    for _ in range(5):
        report = reports.create("snapshot", store.snapshot().document())
        sizes.append(len(orjson.dumps(report.data)))

    assert max(sizes) - min(sizes) < 100
    assert list(store.snapshot().document(["reports"])["records"]) == ["reports"]


def test_document_of_a_kind_that_is_none_is_refused(store):
    with pytest.raises(UnknownName, match="tasks"):
        store.snapshot().document(["task"])


def test_value_that_cannot_be_stored_is_told_with_its_place(tmp_path):
    store = Store(tmp_path)
    boards = store.register(Manager("boards", Board))
    boards.create(id="b", columns=[float("nan")])

    with pytest.raises(EncodeError, match=r"records\.boards\[0\]\.columns\[0\]"):
        store.snapshot().document()
    boards.delete("b")
    store.close()
    assert store.snapshot().records == {"boards": ()}  # what is in memory can still be looked at
