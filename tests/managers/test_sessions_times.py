"""How long a session was active: through openings that end, die and run beside each other."""

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statestore import Conflict, InvalidTransition, SaveFailed, Store
from statestore.managers import SessionManager, SessionStatus

MOMENT = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


class Clock:
    def __init__(self):
        self.now = MOMENT

    def __call__(self):
        return self.now

    def forward(self, seconds):
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def open_store(tmp_path, clock):
    """Return a function that opens the store anew, beside those that it has opened."""
    stores = []

    def opened(**options):
        store = Store(tmp_path / "state", **options)
        stores.append(store)
        sessions = store.register(SessionManager(clock=clock))
        store.load_all(strict=True)
        return store, sessions

    yield opened
    for store in stores:
        store.close()


@pytest.fixture
def sessions(clock):
    return SessionManager(clock=clock)


def test_only_the_time_between_start_and_pause_counts(sessions, clock):
    sessions.create(id="a")
    clock.forward(100)
    started = sessions.start("a")
    assert (started.started_at, started.duration_s) == (clock.now, 0.0)
    clock.forward(10.25)
    assert sessions.duration_s("a") == 10.25
    paused = sessions.pause("a")
    assert paused.duration_s == 10.25
    clock.forward(1000)
    assert sessions.duration_s("a") == 10.25
    sessions.resume("a")
    clock.forward(0.000001)

    done = sessions.complete("a")

    assert done.duration_s == sessions.duration_s("a") == 10.250001
    assert done.ended_at == clock.now
    assert (done.run, done.alive_at) == (None, None)


def test_sums_of_many_spans_stay_exact(sessions, clock):
    sessions.create(id="a")
    for _ in range(100):
        sessions.start("a")
        clock.forward(0.1)
        sessions.pause("a")

    assert sessions["a"].duration_s == 10.0


@pytest.mark.parametrize("end", ["pause", "complete", "fail", "delete"])
def test_an_active_session_of_an_earlier_run_can_be_ended_and_the_time_between_does_not_count(
    open_store, clock, end
):
    store, sessions = open_store()
    sessions.create(id="a")
    sessions.start("a")
    clock.forward(60)
    sessions.touch("a")
    clock.forward(5)
    store.close()

    clock.forward(86_400)
    store, sessions = open_store()
    left = sessions.active

    assert left is sessions["a"]
    assert left.status is SessionStatus.ACTIVE
    assert sessions.duration_s("a") == 60.0  # up to its last sign of life
    clock.forward(100)
    assert sessions.statistics().active_s == 60.0
    if end == "delete":
        sessions.delete("a", force=True)
        assert sessions.active is None
    else:
        assert getattr(sessions, end)("a").duration_s == 60.0


def test_an_active_session_of_an_earlier_run_is_taken_over(open_store, clock):
    store, sessions = open_store()
    sessions.create(id="a")
    sessions.start("a")
    clock.forward(60)
    sessions.set_context("a", "file", "a.py")
    clock.forward(7)
    store.close()

    clock.forward(86_400)
    store, sessions = open_store()
    again = sessions.resume("a")
    assert (again.status, again.started_at, again.duration_s) == ("active", clock.now, 60.0)
    clock.forward(30)
    with pytest.raises(InvalidTransition):
        sessions.resume("a")  # this run has it active already

    assert sessions.pause("a").duration_s == 90.0


def test_what_a_later_run_does_to_an_active_session_is_no_sign_of_life_of_it(open_store, clock):
    store, sessions = open_store()
    sessions.create(id="a")
    sessions.start("a")
    clock.forward(60)
    sessions.touch("a")
    store.close()
    for _ in range(2):
        clock.forward(86_400)
        store, sessions = open_store()
        sessions.add_tag("a", f"seen {clock.now}")
        sessions.touch("a")
        clock.forward(10)
        store.close()

    store, sessions = open_store()

    assert sessions.pause("a").duration_s == 60.0


def test_a_file_that_knows_no_sign_of_life_counts_up_to_its_last_change(
    open_store, clock, tmp_path
):
    store, sessions = open_store()
    sessions.create(id="a")
    sessions.start("a")
    clock.forward(60)
    sessions.add_tag("a", "x")
    store.close()
    [file] = (tmp_path / "state" / "sessions").glob("a.*")
    content = json.loads(file.read_text())
    for name in ("run", "alive_at"):
        del content["data"][name]
    file.write_text(json.dumps(content))

    clock.forward(86_400)
    store, sessions = open_store()
    sessions.add_tag("a", "seen")
    clock.forward(500)
    store.save_all()
    assert sessions.pause("a").duration_s == 60.0
    copy = sessions.import_document(content, id="b")

    assert sessions.pause(copy).duration_s == 60.0


def test_a_file_that_took_the_place_of_a_newer_state_counts_up_to_its_own_last_change(
    sessions, clock
):
    sessions.create(id="a", status="active")
    document = sessions.export_document("a")
    del document["data"]["alive_at"]
    clock.forward(1000)
    sessions.add_tag("a", "newer")

    back = sessions.import_document(document, replace=True)

    assert back.updated_at > clock.now
    assert sessions.pause("a").duration_s == 0.0


def test_what_is_lost_with_a_process_is_not_active(open_store, clock):
    store, sessions = open_store()
    sessions.create(id="a")
    store.save_all()
    sessions.start("a")
    with pytest.warns(RuntimeWarning, match="1 unsaved"):
        store.__exit__(ZeroDivisionError, ZeroDivisionError(), None)

    _, sessions = open_store()

    assert sessions.active is None
    assert sessions["a"].duration_s == 0.0


def test_two_openings_may_each_have_a_session_and_one_pauses_the_other_if_it_wants(
    open_store, clock
):
    one, mine = open_store(autosave="on-change")
    other, theirs = open_store(autosave="on-change")
    mine.create(id="a")
    mine.create(id="b")
    other.refresh()
    mine.start("a")
    other.refresh()
    clock.forward(10)

    theirs.start("b", pause_others=False)
    one.refresh()
    assert {one.id for one in mine if one.is_active} == {"a", "b"}
    assert mine.active.id == theirs.active.id == "b"  # it was started last
    clock.forward(20)
    assert mine.duration_s("a") == 30.0
    assert theirs.duration_s("a") == 0.0  # up to its last sign of life
    mine.touch("a")
    other.refresh()
    assert theirs.duration_s("a") == 30.0

    clock.forward(5)
    theirs.pause("b")
    theirs.start("b")  # pauses what is known to be active, of whatever process
    one.refresh()

    assert mine["a"].status is SessionStatus.PAUSED
    assert mine["a"].duration_s == 30.0


def test_starting_pauses_the_other_one_in_the_same_commit(open_store, clock):
    store, sessions = open_store(autosave="on-change")
    sessions.create(id="a")
    sessions.create(id="b")
    sessions.start("a")
    commits = []
    store.on_save(commits.append)
    clock.forward(10)

    sessions.start("b")

    assert [report.items for report in commits] == [2]
    assert sessions["a"].status is SessionStatus.PAUSED
    assert sessions["a"].duration_s == 10.0
    assert sessions["a"].ended_at is None
    assert sessions.active is sessions["b"]


def test_signs_of_life_contradict_nothing(open_store, clock):
    one, mine = open_store()
    mine.create(id="a")
    mine.start("a")
    one.save_all()
    other, theirs = open_store()
    clock.forward(10)

    mine.touch("a")
    theirs.pause("a")
    other.save_all()
    report = one.save_all(on_conflict="merge")

    assert [str(settled.how) for settled in report.resolved] == ["merged"]
    assert mine["a"].status is SessionStatus.PAUSED
    assert mine["a"].alive_at is None


def test_a_sign_of_life_that_is_stored_does_not_stand_in_the_way_of_a_pause(open_store, clock):
    one, mine = open_store()
    mine.create(id="a")
    mine.start("a")
    one.save_all()
    other, theirs = open_store()
    clock.forward(10)

    mine.touch("a")
    one.save_all()
    theirs.pause("a")
    other.save_all(on_conflict="merge")

    assert (theirs["a"].status, theirs["a"].alive_at) == ("paused", None)


def test_two_ends_of_one_session_contradict_each_other(open_store, clock):
    one, mine = open_store()
    mine.create(id="a")
    one.save_all()
    other, theirs = open_store()
    mine.complete("a")
    theirs.fail("a", "no more")
    other.save_all()

    with pytest.raises(SaveFailed) as caught:
        one.save_all(on_conflict="merge")

    one.load_all(discard=True)
    error = caught.value.failures[0].error
    assert isinstance(error, Conflict)
    assert "status" in error.fields


def test_what_was_started_before_the_store_came_goes_on_in_it(tmp_path, clock):
    sessions = SessionManager(clock=clock)
    sessions.create(id="a")
    sessions.start("a")
    clock.forward(10)
    with Store(tmp_path) as store:
        store.register(sessions)
        clock.forward(10)
        assert sessions.duration_s("a") == 20.0
        store.save_all()
    clock.forward(100)

    with Store(tmp_path) as store:
        again = store.register(SessionManager(clock=clock))
        store.load_all(strict=True)
        assert again.duration_s("a") == 0.0


def test_an_import_runs_on_here_for_nobody(sessions, clock):
    sessions.create(id="a")
    sessions.start("a")
    clock.forward(10)
    sessions.touch("a")
    document = sessions.export_document("a")
    sessions.pause("a")
    clock.forward(1000)

    back = sessions.import_document(document, replace=True)

    assert back.status is SessionStatus.ACTIVE
    assert sessions.duration_s("a") == 10.0
    second = sessions.import_document(document, id="b")
    assert (second.status, second.duration_s) == ("paused", 10.0)  # there is an active one


def test_fields_that_a_host_sets_itself_stay_as_it_has_set_them(sessions, clock):
    sessions.create(id="a")
    sessions.update("a", status="active", started_at=MOMENT - timedelta(hours=1))
    assert sessions.duration_s("a") == 3600.0
    done = sessions.update("a", status="completed", duration_s=7.0, ended_at=MOMENT)

    assert (done.duration_s, done.ended_at) == (7.0, MOMENT)


def test_a_span_that_begins_in_the_future_lasts_no_time(sessions, clock):
    sessions.create(id="a")
    sessions.update("a", status="active", started_at=MOMENT + timedelta(hours=1))

    assert sessions.duration_s("a") == 0.0
    assert sessions.pause("a").duration_s == 0.0


def test_a_clock_that_is_set_back_takes_nothing_from_what_is_known(sessions, clock):
    sessions.create(id="a")
    sessions.start("a")
    clock.forward(100)
    sessions.touch("a")
    clock.forward(-5000)
    sessions.add_tag("a", "x")

    assert sessions.duration_s("a") == 100.0
    assert sessions.pause("a").duration_s == 100.0
    sessions.start("a")
    clock.forward(7)
    assert sessions.pause("a").duration_s == 107.0


def test_all_times_of_one_change_are_the_same(sessions, clock):
    def ticking():
        clock.forward(0.001)
        return clock.now

    sessions = SessionManager(clock=ticking)
    sessions.create(id="a")

    started = sessions.start("a")
    assert started.started_at == started.alive_at == started.updated_at
    done = sessions.complete("a")

    assert done.ended_at == done.updated_at
    assert done.duration_s == (done.ended_at - started.started_at).total_seconds()


def test_what_is_started_has_not_ended(sessions):
    sessions.create(id="a", ended_at=MOMENT)  # as imports of transcripts make them

    assert sessions.start("a").ended_at is None


def test_a_session_may_be_created_active(sessions, clock):
    made = sessions.create(id="a", status="active")
    clock.forward(10)

    assert made.started_at == MOMENT
    assert sessions.pause("a").duration_s == 10.0


STEPS = st.lists(
    st.tuples(st.sampled_from(["start", "pause", "touch", "reopen"]), st.integers(-3600, 3600)),
    max_size=12,
)


@settings(deadline=None, max_examples=150)
@given(STEPS)
def test_a_clock_that_is_set_back_never_makes_time_negative_nor_counts_a_rest(steps):
    clock = Clock()
    sessions = SessionManager(clock=clock)
    sessions.create(id="a")
    most, before = 0.0, 0.0
    for operation, seconds in steps:
        if sessions["a"].is_active and seconds > 0:
            most += seconds  # what the clock says has gone by while it was active
        clock.forward(seconds)
        if operation == "reopen":
            document = sessions.export_document("a")
            sessions = SessionManager(clock=clock)
            sessions.import_document(document)
        elif operation == "start" and (not sessions["a"].is_active or sessions["a"].run is None):
            sessions.start("a")
        elif operation == "pause" and sessions["a"].is_active:
            sessions.pause("a")
        elif operation == "touch":
            sessions.touch("a")

        stored = sessions["a"].duration_s
        assert before <= stored <= most + 0.001
        assert sessions.duration_s("a") >= stored
        before = stored


@pytest.mark.parametrize("autosave", ["manual", "on-change"])
def test_of_sessions_that_threads_start_at_once_one_is_active(tmp_path, autosave):
    ids = [f"s{number}" for number in range(8)]
    with Store(tmp_path, autosave=autosave) as store:
        sessions = store.register(SessionManager())
        for id in ids:
            sessions.create(id=id)
        together = threading.Barrier(len(ids))
        seen = []

        def start(id):
            together.wait()
            sessions.start(id)
            seen.append(sum(one.is_active for one in sessions))

        threads = [threading.Thread(target=start, args=(id,)) for id in ids]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert seen == [1] * len(ids)
        kept = {one.id: one for one in sessions}
    with Store(tmp_path) as store:
        again = store.register(SessionManager())
        store.load_all(strict=True)
        assert {one.id: one for one in again} == kept
