"""Refreshing: what other openings have committed is taken in, and nothing of one's own is lost."""

import sys
import threading

import attrs
import pytest

from statestore import (
    CallbackFailed,
    ConfigurationError,
    CorruptRecord,
    InTransaction,
    Manager,
    SaveFailed,
    StorageError,
    Store,
    StoreClosed,
    StructureError,
)
from statestore.drivers.memory import MemoryDriver
from statestore.journal.journal import JournalOptions
from statestore.managers import ConversationManager, SessionManager, TaskManager
from statestore.models.keys import Key

LIMIT_S = 60  # only against a hang


@attrs.frozen
class Note:
    id: str
    text: str = ""


@attrs.define
class Board:
    id: str
    text: str = ""


@pytest.fixture
def side(tmp_path):
    """Open the store once more, with managers of notes and conversations."""
    opened = []

    def open_(*, load=True, **options):
        store = Store(tmp_path / "store", **options)
        opened.append(store)
        managers = store.register(Manager("notes", Note)), store.register(ConversationManager())
        if load:
            store.load_all()
        return store, *managers

    yield open_
    for store in reversed(opened):
        if not store.closed:
            store.load_all(discard=True)
            store.close()


def texts(notes):
    return {note.id: note.text for note in notes}


def test_what_others_create_change_and_delete_is_taken_in(side):
    one, notes, _ = side()
    for id in "abc":
        notes.create(id=id, text="old")
    one.save_all()
    other, theirs, _ = side()
    unchanged = theirs["c"]
    notes.update("a", text="new")
    notes.delete("b")
    notes.create(id="d", text="new")
    one.save_all()

    report = other.refresh()

    assert texts(theirs) == {"a": "new", "c": "old", "d": "new"}
    assert (report.items, report.deleted, report.kept, report.failures) == (2, 1, (), ())
    assert theirs["c"] is unchanged
    assert {id: theirs.revision(id) for id in "acd"} == {"a": 2, "c": 1, "d": 1}
    assert other.unsaved == ()


def test_changes_tell_what_became_of_which_record_and_by_whom(side):
    one, notes, _ = side(source="worker-7")
    before = notes.create(id="a", text="old")
    notes.create(id="b", text="old")
    one.save_all()
    other, *_ = side()
    notes.update("a", text="new")
    notes.delete("b")
    saved = one.save_all()

    changes = {one.key.id: one for one in other.refresh().changes}

    assert (changes["a"].before, changes["a"].after) == (before, Note("a", "new"))
    assert (changes["b"].before, changes["b"].after) == (Note("b", "old"), None)
    for id, change in changes.items():
        assert change.key == Key("notes", id)
        assert (change.source, change.sequence) == ("worker-7", saved.sequence)
        assert change.run == one._engine.driver.run != other._engine.driver.run
        assert change.committed_at == saved.timestamp
        assert change.revision == 2


@pytest.mark.parametrize("source", ["", "external", "a\nb", "\ud800", "x" * 201, 7, None])
def test_source_that_is_no_name_is_refused(tmp_path, source):
    with pytest.raises(ConfigurationError, match="source"):
        Store(tmp_path / "new", source=source)
    assert not (tmp_path / "new").exists()


def test_edit_by_hand_is_told_as_one(side, tmp_path):
    one, notes, _ = side()
    notes.create(id="a", text="old")
    one.save_all()
    one.flush()
    file = tmp_path / "store" / "notes" / "a.json"
    file.write_bytes(file.read_bytes().replace(b"old", b"new"))
    assert one.raw("notes/a")["text"] == "new"  # whoever reads it takes it up

    (change,) = one.refresh().changes

    assert (change.source, texts(notes)) == ("external", {"a": "new"})


def test_own_commits_are_no_news(side):
    one, notes, _ = side()
    notes.create(id="a")
    one.save_all()
    notes.delete("a")
    one.save_all()
    notes.create(id="a", text="again")
    kept = notes.update("a", text="last")
    one.save_all()
    told = []
    one.on_load(told.append)

    report = one.refresh()

    assert (report.items, report.deleted, report.changes, told) == (0, 0, (), [])
    assert notes["a"] is kept


def test_refresh_without_news_reads_nothing(side, monkeypatch):
    one, notes, _ = side()
    notes.create(id="a")
    one.save_all()
    one.refresh()
    driver = one._engine.driver

    for name in ("read", "scan", "changes"):
        monkeypatch.setattr(driver, name, None)

    assert one.refresh().items == 0


def test_unsaved_changes_stay_and_are_named_until_they_are_settled(side):
    one, notes, _ = side()
    for id in "ab":
        notes.create(id=id, text="old")
    one.save_all()
    other, theirs, _ = side()
    for id in "ab":
        notes.update(id, text="new")
    one.save_all()
    theirs.update("a", text="unsaved")

    first, second = other.refresh(), other.refresh()

    assert first.kept == second.kept == (Key("notes", "a"),)
    assert texts(theirs) == {"a": "unsaved", "b": "new"}
    assert [change.key.id for change in first.changes] == ["b"]
    assert second.changes == ()
    with pytest.raises(SaveFailed):
        other.save_all()
    other.save_all(on_conflict="mine")
    assert other.refresh().kept == ()
    assert (texts(theirs)["a"], theirs.revision("a")) == ("unsaved", 3)


def test_record_whose_change_was_taken_back_is_taken_in_then(side):
    one, notes, _ = side()
    notes.create(id="a", text="old")
    one.save_all()
    other, theirs, _ = side()
    saved = theirs["a"]
    notes.update("a", text="new")
    one.save_all()
    theirs.update("a", text="unsaved")
    other.refresh()

    theirs.replace(saved)
    (change,) = other.refresh().changes

    assert (texts(theirs), change.source) == ({"a": "new"}, "commit")


def test_what_a_load_has_kept_is_taken_in_when_it_is_settled(side):
    one, notes, _ = side()
    notes.create(id="a", text="old")
    one.save_all()
    other, theirs, _ = side()
    saved = theirs["a"]
    notes.update("a", text="new")
    one.save_all()
    theirs.update("a", text="unsaved")

    assert other.load_all().kept == (Key("notes", "a"),)
    assert other.refresh().kept == (Key("notes", "a"),)
    theirs.replace(saved)
    assert [change.key.id for change in other.refresh().changes] == ["a"]
    assert texts(theirs) == {"a": "new"}


def test_what_a_first_load_has_kept_is_taken_in_when_it_is_taken_back(side):
    one, notes, _ = side()
    notes.create(id="a", text="theirs")
    one.save_all()
    other, mine, _ = side(load=False)
    mine.create(id="a", text="mine")

    assert other.load_all().kept == (Key("notes", "a"),)
    assert other.refresh().kept == (Key("notes", "a"),)
    mine.delete("a")

    assert other.refresh().items == 1
    assert texts(mine) == {"a": "theirs"}


def test_records_that_stay_are_not_read_at_each_look(side, monkeypatch):
    one, notes, _ = side()
    notes.create(id="a", text="old")
    notes.create(id="b", text="old")
    one.save_all()
    other, theirs, _ = side()
    theirs.update("a", text="unsaved")
    notes.update("a", text="new")
    one.save_all()
    read = []
    driver = other._engine.driver
    monkeypatch.setattr(driver, "read", lambda key: read.append(key))
    monkeypatch.setattr(theirs, "decode", lambda stored: read.append(stored))

    for _ in range(3):
        assert other.refresh().kept == (Key("notes", "a"),)
    assert read == []


def test_change_that_lands_while_others_are_looked_at_is_not_undone(side, monkeypatch):
    """A deletion leaves nothing in memory that says how old the news of others are."""
    one, notes, _ = side()
    notes.create(id="a", text="old")
    notes.create(id="b", text="old")
    one.save_all()
    other, theirs, _ = side()
    theirs.delete("a")
    notes.update("a", text="new")
    one.save_all()
    theirs.modify("b", lambda note: attrs.evolve(note, text="own"))  # a look, but not at a
    flights = other._engine.flights
    carried = flights.carried
    saves = [lambda: other.save_all(on_conflict="mine")]

    def landed(kind):
        if saves and kind == "notes":
            saves.pop()()
        return carried(kind)

    monkeypatch.setattr(flights, "carried", landed)

    other.refresh()

    assert texts(theirs) == {"b": "own"}
    assert [one.key.id for one in other.scan("notes")] == ["b"]


def test_record_that_could_not_be_read_is_read_with_the_next_news(side, monkeypatch):
    one, notes, _ = side()
    notes.create(id="a", text="old")
    notes.create(id="b", text="old")
    one.save_all()
    other, theirs, _ = side()
    notes.update("a", text="new")
    one.save_all()
    decode = theirs.decode

    def failing(stored):
        raise StorageError.from_os(other.path, "read", OSError(5, "no"))

    monkeypatch.setattr(theirs, "decode", failing)
    assert [failure.key.id for failure in other.refresh().failures] == ["a"]
    monkeypatch.setattr(theirs, "decode", decode)
    notes.update("b", text="new")
    one.save_all()

    assert {change.key.id for change in other.refresh().changes} == {"a", "b"}
    assert texts(theirs) == {"a": "new", "b": "new"}


@pytest.mark.parametrize("what", ["create", "delete"])
def test_unsaved_creation_and_deletion_stay(side, what):
    one, notes, _ = side()
    if what == "delete":
        notes.create(id="a", text="old")
        one.save_all()
    other, theirs, _ = side()
    if what == "delete":
        theirs.delete("a")
        notes.update("a", text="new")
    else:
        theirs.create(id="a", text="mine")
        notes.create(id="a", text="new")
    one.save_all()

    report = other.refresh()

    assert report.kept == (Key("notes", "a"),)
    assert texts(theirs) == ({} if what == "delete" else {"a": "mine"})


def test_change_that_is_on_its_way_is_kept(side, running):
    """A refresh does not wait for commits of its own process."""
    one, notes, _ = side()
    notes.create(id="a", text="old")
    one.save_all()
    other, theirs, _ = side()
    notes.update("a", text="new")
    one.save_all()
    theirs.update("a", text="mine")
    driver = other._engine.driver
    submitted, go = threading.Event(), threading.Event()
    submit = driver.submit

    def held(changes, expect, settle):
        def later():
            submitted.set()
            assert go.wait(LIMIT_S)
            submit(changes, expect, settle)

        threading.Thread(target=later).start()

    other._engine.flights._submit = held
    saving = running(lambda: other.save_all(strict=False))
    assert submitted.wait(LIMIT_S)

    report = other.refresh()
    go.set()

    assert report.kept == (Key("notes", "a"),)
    assert len(saving.result().failures) == 1
    other._engine.flights._submit = submit


def test_messages_are_brought_in_at_the_cost_of_what_was_added(side, monkeypatch):
    one, _, conversations = side()
    conversations.create("talk", id="c")
    conversations.add_message("c", role="user", content="first")
    one.save_all()
    other, _, theirs = side()
    before = theirs["c"]
    for number in range(3):
        conversations.add_message("c", role="user", content=str(number))
        one.save_all()
    monkeypatch.setattr(theirs, "decode", None)  # the whole conversation is not read

    other.refresh()

    after = theirs["c"]
    assert after == conversations["c"]
    assert after.messages.continues(before.messages)
    assert theirs.revision("c") == conversations.revision("c")


def test_record_that_was_changed_often_is_read_once(side):
    one, notes, conversations = side()
    conversations.create("talk", id="c")
    conversations.add_message("c", role="user", content="hi")
    one.save_all()
    other, theirs, talks = side()
    for number in range(150):
        conversations.add_message("c", role="user", content=str(number))
        notes.create(id="a", text=str(number)) if not number else notes.update(
            "a", text=str(number)
        )
        one.save_all()

    report = other.refresh()

    assert report.items == 2
    assert talks["c"] == conversations["c"]
    assert texts(theirs) == {"a": "149"}


def test_transaction_is_taken_in_whole(side):
    one, notes, conversations = side()
    other, theirs, talks = side()
    with one.transaction():
        notes.create(id="a")
        conversations.create("talk", id="c")

    assert other.refresh().items == 2
    assert ("a" in theirs, "c" in talks) == (True, True)


def test_kinds_that_were_never_loaded_are_loaded(side):
    one, notes, _ = side()
    notes.create(id="a", text="old")
    one.save_all()
    other, theirs, _ = side(load=False)

    assert other.refresh().items == 1
    assert texts(theirs) == {"a": "old"}

    tasks = one.register(TaskManager())
    tasks.create("late", id="t")
    one.save_all()
    late = other.register(TaskManager())
    other.refresh()
    assert "t" in late


def test_kind_without_a_manager_is_left_alone(side):
    one, *_ = side()
    other, *_ = side()
    one.register(SessionManager()).create(project_id="p", id="s")
    one.save_all()

    assert other.refresh().items == 0
    assert other.raw("sessions/s")["project_id"] == "p"


def test_commit_that_does_not_tell_what_it_changed_is_made_up_for(side):
    one, notes, _ = side()
    notes.create(id="a", text="old")
    notes.create(id="b", text="old")
    one.save_all()
    other, theirs, _ = side()
    notes.update("a", text="new")
    notes.delete("b")
    one.save_all()
    driver = other._engine.driver
    changes = driver.changes

    def damaged():
        raise CorruptRecord("notes/a.json", "a change of it cannot be read")

    driver.changes = lambda after: (attrs.evolve(one, made=damaged) for one in changes(after))

    report = other.refresh()

    assert (report.items, report.deleted, texts(theirs)) == (1, 1, {"a": "new"})


def test_record_that_does_not_fit_is_told_once_and_stays(side, tmp_path):
    one, notes, _ = side()
    kept = notes.create(id="a", text="old")
    one.save_all()

    @attrs.frozen
    class Other:
        id: str
        text: int

    with Store(tmp_path / "store") as store:
        store.register(Manager("notes", Other)).create(id="b", text=1)
        store.save_all()
    failures = []
    one.on_error(failures.append)

    first, second = one.refresh(), one.refresh()

    assert [type(failure.error) for failure in first.failures] == [StructureError]
    assert failures == list(first.failures)
    assert second.failures == ()
    assert notes.all() == (kept,)


def test_records_of_a_class_that_can_change_are_compared_by_content(tmp_path):
    with Store(tmp_path / "s") as one, Store(tmp_path / "s") as other:
        mine, theirs = one.register(Manager("b", Board)), other.register(Manager("b", Board))
        for id in "ab":
            mine.create(id=id, text="old")
        one.save_all()
        other.load_all()
        theirs["a"].text = "unsaved"
        for id in "ab":
            mine[id].text = "new"
        one.save_all()

        report = other.refresh()

        assert report.kept == (Key("b", "a"),)
        assert texts(theirs) == {"a": "unsaved", "b": "new"}
        other.save_all(on_conflict="mine")
        one.refresh()
        assert texts(mine) == {"a": "unsaved", "b": "new"}


def test_load_shows_what_was_committed_while_it_was_reading(side):
    """All that is there when it returns is as one commit has left it."""
    one, notes, _ = side()
    for id in "ab":
        notes.create(id=id, text="old")
    one.save_all()
    other, theirs, _ = side()
    driver = other._engine.driver
    scan = driver.scan

    def scanning(kind):
        records = list(scan(kind))
        if kind == "notes":
            with one.transaction():
                for id in "ab":
                    notes.update(id, text="new")
                notes.create(id="c", text="new")
        yield from records

    driver.scan = scanning
    other.load_all(discard=True)

    assert texts(theirs) == {"a": "new", "b": "new", "c": "new"}


def test_history_that_was_forgotten_is_made_up_for(tmp_path, monkeypatch):
    """Who has slept through more than is kept reads everything, and misses nothing."""
    small = JournalOptions(segment_bytes=64, history_bytes=1)
    monkeypatch.setattr("statestore.engine.opening.JournalOptions", lambda **_: small)
    with Store(tmp_path / "s") as one, Store(tmp_path / "s") as other:
        notes, theirs = one.register(Manager("notes", Note)), other.register(Manager("notes", Note))
        for id in "abc":
            notes.create(id=id, text="old")
        one.save_all()
        other.load_all()
        theirs.update("c", text="unsaved")
        for number in range(6):
            notes.update("a", text=str(number))
            one.save_all()
            one.flush()
        notes.delete("b")
        one.save_all()
        one.flush()

        report = other.refresh()

        assert texts(theirs) == {"a": "5", "c": "unsaved"}
        assert report.failures == ()
        notes.update("a", text="more")
        one.save_all()
        other.refresh()
        assert texts(theirs)["a"] == "more"


def test_callbacks_are_told_of_what_came_in(side):
    one, notes, _ = side()
    other, *_ = side()
    told = []
    other.on_load(told.append)
    notes.create(id="a")
    one.save_all()

    report = other.refresh()

    assert told == [report]
    raising = other.on_load(lambda report: 1 / 0)
    notes.update("a", text="new")
    one.save_all()
    with pytest.raises(CallbackFailed):
        other.refresh()
    raising.cancel()
    assert other.refresh().items == 0


def test_refresh_within_a_transaction_is_refused(side):
    one, *_ = side()

    with pytest.raises(InTransaction), one.transaction():
        one.refresh()


def test_reader_that_may_not_write_goes_on_reading(side):
    one, notes, _ = side()
    notes.create(id="a", text="old")
    one.save_all()
    other, theirs, _ = side(read_only=True)
    notes.update("a", text="new")
    one.save_all()

    other.refresh()

    assert texts(theirs) == {"a": "new"}


def test_memory_has_no_others():
    with Store("memory:") as store:
        notes = store.register(Manager("notes", Note))
        notes.create(id="a")
        store.save_all()

        assert (store.refresh().changes, store.refresh().items) == ((), 0)
        assert texts(notes) == {"a": ""}


def test_openings_of_one_driver_see_each_other(over):
    """Whatever the driver, by its feed; here the commits come from another run."""
    driver = MemoryDriver()
    one = over(driver)
    notes = one.register(Manager("notes", Note))
    one.load_all()
    other = over(driver)
    theirs = other.register(Manager("notes", Note))
    theirs.create(id="a", text="new")
    other.save_all()
    driver.run = "another"

    assert one.refresh().items == 1
    assert texts(notes) == {"a": "new"}


# --- watching -------------------------------------------------------------------------


def test_watching_brings_in_what_others_commit(side):
    one, notes, _ = side()
    other, theirs, _ = side()
    seen = threading.Event()
    other.on_load(lambda report: seen.set())
    handle = other.watch(0.001)

    notes.create(id="a", text="new")
    one.save_all()

    assert seen.wait(LIMIT_S)
    assert texts(theirs) == {"a": "new"}
    handle.cancel()
    notes.update("a", text="newer")
    one.save_all()
    assert texts(theirs) == {"a": "new"}
    handle.cancel()


def test_watches_of_many_threads_leave_one_that_ends_with_the_store(side, running):
    one, *_ = side()
    for thread in [running(lambda: one.watch(0.001)) for _ in range(8)]:
        thread.result()

    watching = [thread for thread in threading.enumerate() if thread.name == "statestore-watch"]
    assert len(watching) == 1
    one.close()
    assert not watching[0].is_alive()


def test_watching_ends_with_the_store_also_from_a_callback(side):
    one, notes, _ = side()
    other, *_ = side()
    closed = threading.Event()

    def close(report):
        other.close()
        closed.set()

    other.on_load(close)
    other.watch(0.001)
    notes.create(id="a")
    one.save_all()

    assert closed.wait(LIMIT_S)
    assert not [thread for thread in threading.enumerate() if thread.name == "statestore-watch"]


@pytest.mark.parametrize("error", [StructureError("notes", "a", []), ZeroDivisionError("x")])
def test_watching_tells_of_a_trouble_once_and_goes_on(side, monkeypatch, error):
    one, notes, _ = side()
    other, theirs, _ = side()
    failures, seen = [], threading.Event()
    other.on_error(failures.append)
    other.on_load(lambda report: seen.set())
    driver = other._engine.driver
    catch_up, looks, enough = driver.catch_up, [], threading.Event()

    def failing():
        looks.append(None)
        if len(looks) < 20:
            raise error
        enough.set()
        return catch_up()

    monkeypatch.setattr(driver, "catch_up", failing)
    other.watch(0.001)
    assert enough.wait(LIMIT_S)
    notes.create(id="a")
    one.save_all()

    assert seen.wait(LIMIT_S)
    assert [(one.operation, one.error) for one in failures] == [("refresh", error)]
    assert "a" in theirs


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt()])
def test_watching_goes_on_after_a_callback_that_would_end_the_thread(side, error):
    one, notes, _ = side()
    other, theirs, _ = side()
    failures, loads, told, both = [], [], threading.Event(), threading.Event()

    def ending_too(failure):
        failures.append(failure)
        told.set()
        sys.exit(2)

    other.on_error(ending_too)

    def ending(report):
        loads.append(report.items)
        if len(loads) == 1:
            raise error
        both.set()

    other.on_load(ending)
    other.watch(0.001)
    notes.create(id="a")
    one.save_all()
    assert told.wait(LIMIT_S)
    notes.create(id="b")
    one.save_all()

    assert both.wait(LIMIT_S)
    assert [type(one.error) for one in failures] == [CallbackFailed]
    assert "b" in theirs


@pytest.mark.parametrize("interval", [0, -1, 1e12, float("inf"), float("nan"), "1", True])
def test_interval_that_is_none_is_refused(side, interval):
    one, *_ = side()

    with pytest.raises(ConfigurationError, match="interval_s"):
        one.watch(interval)


def test_closed_store_is_not_watched(side):
    one, *_ = side()
    one.close()

    with pytest.raises(StoreClosed):
        one.watch()
