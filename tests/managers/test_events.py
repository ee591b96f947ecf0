"""Events of managers: what became of a record, told once it is durable."""

import gc
import inspect
import itertools
import os
import sys
import threading

import attrs
import pytest

from statestore import ListenerFailed, Manager, Store, TransactionFailed, UnknownName
from statestore.managers import SessionManager, TaskManager


@attrs.frozen
class Note:
    id: str
    text: str = ""

    def __str__(self):
        return self.text


@attrs.frozen
class Talk:
    id: str
    text: str = ""
    topic: str = ""

    def __str__(self):
        return f"{self.text} {self.topic}".strip()


@attrs.define
class Loose:
    id: str
    text: str = ""

    def __str__(self):
        return self.text


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "state") as store:
        yield store


@pytest.fixture
def notes(store):
    return store.register(Manager("notes", Note))


@pytest.fixture
def talk(store):
    talk = store.register(Manager("notes", Talk))
    talk.create(id="a")
    store.save_all()
    store.load_all()
    return talk


def heard_of(manager, name="*", **filters):
    heard = []
    manager.on(name, lambda event: heard.append((event.name, event.id)), **filters)
    return heard


def steps_of(manager):
    """Return what will be told: names, records before and after, and who else has changed them."""
    told = []

    def note(event):
        texts = (None if one is None else str(one) for one in (event.before, event.after))
        told.append((event.name, *texts, event.theirs and event.theirs.source))

    manager.on("*", note)
    return told


def change_elsewhere(tmp_path, change, record_class=Note):
    with Store(tmp_path / "state", source="other") as other:
        theirs = other.register(Manager("notes", record_class))
        other.load_all()
        change(theirs)


def test_nothing_is_told_before_it_is_durable_and_then_each_operation(store, notes):
    events = []
    notes.on("*", events.append)

    notes.create(id="a", text="1")
    notes.update("a", text="2")
    notes.delete("a")
    notes.create(id="b")
    assert events == []
    store.save_all()

    assert [(one.name, one.id) for one in events] == [("created", "b")]


def test_before_and_after_of_each_operation_are_told_in_their_order(store, notes):
    events = []
    notes.on("*", events.append)

    first = notes.create(id="a", text="1")
    second = notes.update("a", text="2")
    store.save_all()
    notes.delete("a")
    store.save_all()

    assert [(one.name, one.before, one.after) for one in events] == [
        ("created", None, first),
        ("updated", first, second),
        ("deleted", second, None),
    ]
    assert all(one.kind == "notes" and one.theirs is None for one in events)


def test_every_operation_is_told_when_it_returns_with_on_change(tmp_path):
    with Store(tmp_path, autosave="on-change") as store:
        notes = store.register(Manager("notes", Note))
        heard = heard_of(notes)

        notes.create(id="a")
        assert heard == [("created", "a")]
        notes.modify("a", lambda one: attrs.evolve(one, text="x"))
        assert heard[1:] == [("updated", "a")]
        notes.delete_all()
        assert heard[2:] == [("deleted", "a")]


def test_a_transaction_is_told_whole_across_kinds_when_it_is_made(store, notes):
    others = store.register(Manager("others", Note))
    heard = []
    store.on("*", lambda event: heard.append((event.kind, event.name, event.id)))

    with store.transaction():
        notes.create(id="a")
        others.create(id="x")
        notes.update("a", text="y")
        assert heard == []

    assert heard == [
        ("notes", "created", "a"),
        ("others", "created", "x"),
        ("notes", "updated", "a"),
    ]


def test_what_a_transaction_undoes_is_not_told(store, notes):
    heard = heard_of(notes)

    def fail(operation):
        with store.transaction():
            operation()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail(lambda: notes.create(id="a"))
    with store.transaction():
        notes.create(id="b")
        with pytest.raises(ZeroDivisionError):
            fail(lambda: notes.update("b", text="x"))
        with store.transaction():
            notes.update("b", text="y")

    store.save_all()

    assert heard == [("created", "b"), ("updated", "b")]


def test_unsaved_operations_before_a_transaction_are_told_with_it(store, notes):
    heard = heard_of(notes)
    notes.create(id="a")
    notes.create(id="b")

    with store.transaction():
        notes.update("a", text="x")
    assert heard == [("created", "a"), ("updated", "a")]
    store.save_all()

    assert heard[2:] == [("created", "b")]


def test_of_what_is_loaded_over_unsaved_changes_nothing_is_told(store, notes):
    notes.create(id="a")
    store.save_all()
    heard = heard_of(notes)

    notes.update("a", text="x")
    store.load_all(discard=True)
    store.save_all()

    assert heard == []


def test_changes_of_others_are_told_at_a_refresh_with_who_made_them(tmp_path, store, notes):
    store.load_all()
    events = []
    notes.on("*", events.append)
    with Store(tmp_path / "state", source="other") as other:
        theirs = other.register(Manager("notes", Note))
        theirs.create(id="a", text="1")
        other.save_all()
        theirs.update("a", text="2")
        other.save_all()

        store.refresh()
        theirs.delete("a")
        other.save_all()
        store.refresh()

    assert [(one.name, one.theirs.source) for one in events] == [
        ("created", "other"),
        ("deleted", "other"),
    ]
    assert events[0].after == Note("a", "2")


def test_a_local_change_that_gives_way_to_theirs_is_not_told_as_own(tmp_path, store, notes):
    notes.create(id="a")
    store.save_all()
    store.load_all()
    told = steps_of(notes)
    change_elsewhere(tmp_path, lambda theirs: theirs.update("a", text="theirs"))

    notes.update("a", text="mine")
    store.save_all(on_conflict="theirs")
    notes.update("a", text="again")
    store.save_all()

    assert told == [("updated", "", "theirs", "other"), ("updated", "theirs", "again", None)]
    assert notes["a"].text == "again"


def test_a_deletion_that_a_local_change_gives_way_to_is_told(tmp_path, store, notes):
    notes.create(id="a", text="1")
    store.save_all()
    store.load_all()
    told = steps_of(notes)
    change_elsewhere(tmp_path, lambda theirs: theirs.delete("a"))

    notes.update("a", text="mine")
    store.save_all(on_conflict="theirs")

    assert told == [("deleted", "1", None, "other")]


def test_theirs_is_told_as_such_though_it_is_not_known_who_they_are(tmp_path, store, notes):
    notes.create(id="a")
    store.save_all()  # and nothing was ever loaded, so nobody has read the feed
    events = []
    notes.on("*", events.append)
    change_elsewhere(tmp_path, lambda theirs: theirs.update("a", text="theirs"))

    notes.update("a", text="mine")
    store.save_all(on_conflict="theirs")

    assert [(one.after.text, one.theirs.source) for one in events] == [("theirs", "")]


def test_what_a_merge_has_made_of_a_local_change_is_told_after_it(tmp_path, store, talk):
    told = steps_of(talk)
    change_elsewhere(tmp_path, lambda theirs: theirs.update("a", topic="theirs"), Talk)

    talk.update("a", text="mine")
    store.save_all(on_conflict="merge")
    store.refresh()

    assert told == [
        ("updated", "", "mine", None),
        ("updated", "mine", "mine theirs", "other"),
    ]
    assert str(talk["a"]) == "mine theirs"


def test_what_a_merge_has_made_of_a_transaction_is_told_after_it(tmp_path, store, talk):
    told = steps_of(talk)
    change_elsewhere(tmp_path, lambda theirs: theirs.update("a", topic="theirs"), Talk)

    with store.transaction(on_conflict="merge"):
        talk.update("a", text="mine")
    store.refresh()

    assert told == [
        ("updated", "", "mine", None),
        ("updated", "mine", "mine theirs", "other"),
    ]


def test_a_transaction_that_others_have_undone_tells_nothing(tmp_path, store, talk):
    told = steps_of(talk)
    change_elsewhere(tmp_path, lambda theirs: theirs.update("a", text="theirs"), Talk)

    with pytest.raises(TransactionFailed), store.transaction(on_conflict="merge"):
        talk.update("a", text="mine")

    assert told == []


def test_what_others_have_made_of_a_record_that_is_modified_is_told_before_it(
    tmp_path, store, notes
):
    notes.create(id="a")
    store.save_all()
    store.load_all()
    told = steps_of(notes)
    change_elsewhere(tmp_path, lambda theirs: theirs.update("a", text="theirs"))

    notes.modify("a", lambda one: attrs.evolve(one, text=f"{one.text}+mine"))
    change_elsewhere(tmp_path, lambda theirs: theirs.update("a", text="again"))
    notes.modify("a", lambda one: one)
    store.refresh()

    assert told == [
        ("updated", "", "theirs", "other"),
        ("updated", "theirs", "theirs+mine", None),
        ("updated", "theirs+mine", "again", "other"),
    ]


def test_clearing_the_store_tells_of_each_record_that_was_stored(tmp_path, store, notes):
    for id in "abc":
        notes.create(id=id, text=id)
    store.save_all()
    notes.update("b", text="unsaved")
    notes.create(id="d", text="unsaved")
    told = steps_of(notes)

    store.clear()

    assert told == [("deleted", id, None, None) for id in "abc"]


@pytest.mark.parametrize("record_class", [Note, Loose])
def test_a_restore_tells_what_it_has_made_of_each_record(tmp_path, record_class):
    with Store(tmp_path / "state") as store:
        notes = store.register(Manager("notes", record_class))
        for id in "abc":
            notes.create(id=id, text="1")
        store.backup(tmp_path / "backup")
        notes.delete("a")
        notes.update("b", text="2")
        notes.create(id="d", text="2")
        store.save_all()
        told = steps_of(notes)

        store.restore(tmp_path / "backup")

    assert sorted(told, key=str) == [
        ("created", None, "1", None),
        ("deleted", "2", None, None),
        ("updated", "2", "1", None),
    ]


def test_a_change_that_stays_in_conflict_is_told_when_it_is_saved(tmp_path, store, notes):
    notes.create(id="a")
    store.save_all()
    heard = heard_of(notes)
    with Store(tmp_path / "state") as other:
        theirs = other.register(Manager("notes", Note))
        other.load_all()
        theirs.update("a", text="theirs")
        other.save_all()
    notes.update("a", text="mine")

    assert store.save_all(strict=False).failures
    assert heard == []
    store.save_all(on_conflict="mine")

    assert heard == [("updated", "a")]


def test_only_the_wanted_names_and_ids_are_told(store, notes):
    created, of_a = heard_of(notes, "created"), heard_of(notes, id="a")
    for id in "ab":
        notes.create(id=id)
        store.save_all()
        notes.update(id, text="x")
        store.save_all()

    assert created == [("created", "a"), ("created", "b")]
    assert of_a == [("created", "a"), ("updated", "a")]


def test_a_store_listens_to_the_kinds_that_come_later_too(store, notes):
    heard = []
    store.on("created", lambda event: heard.append(event.kind))
    only = []
    store.on("created", lambda event: only.append(event.kind), kind="notes")
    store.register(Manager("others", Note)).create(id="x")
    notes.create(id="a")

    store.save_all()

    assert sorted(heard) == ["notes", "others"]
    assert only == ["notes"]


def test_a_cancelled_listener_is_called_no_more_even_by_one_before_it(store, notes):
    heard = []
    handles = []
    notes.on("created", lambda event: handles[0].cancel())
    handles.append(notes.on("created", heard.append))
    everywhere = store.on("created", heard.append)
    everywhere.cancel()
    everywhere.cancel()

    notes.create(id="a")
    store.save_all()

    assert heard == []


def test_who_listens_later_is_not_told_of_what_was_before(store, notes):
    first = notes.on("*", lambda event: None)
    notes.create(id="a")
    first.cancel()

    heard = heard_of(notes)
    store.save_all()

    assert heard == []


def test_an_unknown_name_or_kind_is_refused_with_those_that_are_known(store, notes):
    with pytest.raises(UnknownName, match="created, updated, deleted"):
        notes.on("craeted", print)
    with pytest.raises(UnknownName, match="created"):
        store.on("craeted", print)
    with pytest.raises(UnknownName, match="notes"):
        store.on("created", print, kind="nots")


def test_a_listener_that_fails_is_reported_and_harms_nobody(store, notes):
    failures, heard = [], []
    store.on_error(failures.append)
    notes.on("created", lambda event: 1 / 0)
    notes.on("created", heard.append)

    notes.create(id="a")
    report = store.save_all()

    assert report.items == 1
    assert len(heard) == 1
    [failure] = failures
    assert (str(failure.key), failure.operation) == ("notes/a", "listen")
    assert isinstance(failure.error, ListenerFailed)
    assert isinstance(failure.error.__cause__, ZeroDivisionError)


def test_a_listener_that_fails_is_logged_without_values_where_nobody_hears(store, notes, caplog):
    def fail(event):
        raise ValueError(event.after.text)

    notes.on("created", fail)
    notes.create(id="a", text="secret")
    store.save_all()

    assert "ValueError" in caplog.text
    assert "notes/a" in caplog.text
    assert "secret" not in caplog.text


def test_a_listener_may_use_the_store_and_is_told_of_that_afterwards(store, notes):
    heard = []

    def follow(event):
        heard.append((event.name, event.id))
        if event.id == "a":
            notes.create(id="b")
            with store.transaction():
                notes.create(id="c")
            store.save_all()
            heard.append("end of a")

    notes.on("created", follow)
    notes.create(id="a")
    store.save_all()

    assert heard == [("created", "a"), "end of a", ("created", "b"), ("created", "c")]


def test_a_save_does_not_wait_for_a_listener_of_another_thread(store, notes):
    telling, go_on = threading.Event(), threading.Event()
    heard = []

    def hold(event):
        heard.append(event.id)
        if event.id == "a":
            telling.set()
            assert go_on.wait(30)

    notes.on("created", hold)
    notes.create(id="a")
    saver = threading.Thread(target=store.save_all)
    saver.start()
    assert telling.wait(30)

    notes.create(id="b")
    store.save_all()  # would not end if it waited

    go_on.set()
    saver.join(30)
    assert heard == ["a", "b"]


def test_threads_that_save_at_once_lose_no_event_and_keep_the_order_of_a_record(tmp_path):
    with Store(tmp_path, autosave="on-change") as store:
        notes = store.register(Manager("notes", Note))
        heard = []
        notes.on("updated", lambda event: heard.append((event.id, event.after.text)))

        def work(id):
            notes.create(id=id)
            for n in range(50):
                notes.update(id, text=str(n))

        threads = [threading.Thread(target=work, args=(id,)) for id in "abcd"]
        for one in threads:
            one.start()
        for one in threads:
            one.join()

        # Another thread may still be telling when the last operation returns.
        store.save_all()

    for id in "abcd":
        assert [text for name, text in heard if name == id] == [str(n) for n in range(50)]


def test_a_manager_without_a_store_tells_after_each_operation():
    notes = Manager("notes", Note)
    heard = heard_of(notes)

    notes.create(id="a")
    assert heard == [("created", "a")]
    notes.delete_all()

    assert heard == [("created", "a"), ("deleted", "a")]


def test_a_record_that_was_changed_in_place_is_told_when_that_is_saved(store):
    loose = store.register(Manager("loose", Loose))
    record = loose.create(id="a")
    store.save_all()
    events = []
    loose.on("*", events.append)

    record.text = "x"
    store.save_all()
    store.save_all()

    assert [(one.name, one.before, one.after.text) for one in events] == [("updated", None, "x")]


def test_events_that_nobody_wants_hold_no_record_in_memory(store):
    tasks = store.register(TaskManager())
    handle = tasks.on("*", lambda event: None)
    task = tasks.create("a")
    tasks.update(task, title="b")
    handle.cancel()
    tasks.delete(task)
    store.save_all()

    gc.collect()

    assert [one for one in gc.get_referrers(task) if one is not globals()] == []


def test_a_forked_manager_leaves_what_is_to_be_told_to_the_parent(store, notes):
    heard = heard_of(notes)
    notes.create(id="a")

    notes.after_fork()
    notes.create(id="b")
    store.save_all()

    assert heard == [("created", "b")]


# --- interruptions --------------------------------------------------------------------


def test_an_interrupted_listener_keeps_an_event_from_nobody_else(store, notes):
    notes.create(id="a")
    store.save_all()
    calls = []

    def interrupted(event):
        calls.append(event.after.text)
        if len(calls) == 1:
            raise KeyboardInterrupt

    notes.on("updated", interrupted)
    told = steps_of(notes)
    notes.update("a", text="1")
    notes.update("a", text="2")

    with pytest.raises(KeyboardInterrupt):
        store.save_all()
    store.save_all()

    assert calls == ["1", "2"]
    assert [after for _, _, after, _ in told] == ["1", "2"]


def is_interrupted(at, work):
    """Do some work until the library calls its machinery of records for the `at`-th time."""
    calls = itertools.count(1)

    def trace(frame, event, argument):
        code = frame.f_code
        if code.co_flags & inspect.CO_GENERATOR:  # one that is closed could not pass it on
            return
        if f"{os.sep}records{os.sep}" in code.co_filename and next(calls) == at:
            sys.settrace(None)
            raise KeyboardInterrupt

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def test_no_interruption_loses_or_repeats_an_event():
    with Store("memory:") as store:
        notes, sessions = store.register(Manager("notes", Note)), store.register(SessionManager())
        for id in "ab":
            notes.create(id=id)
            sessions.create(id=id)
        store.save_all()
        chain = {}  # what each record was when it was last told of

        def note(event):
            key = event.kind, event.id
            assert event.before == chain.get(key, event.before)
            chain[key] = event.after

        failures = []
        store.on_error(failures.append)
        for name in ("created", "updated", "deleted"):
            store.on(name, note)

        def work():
            for one in sessions:
                if one is not sessions.active:
                    sessions.start(one)  # and so pause the other
                    break
            notes.update("a", text=f"{at}")
            notes.delete_all()
            for id in "ab":
                notes.create(id=id)
            store.save_all()

        for at in itertools.count(1):
            went_on = is_interrupted(at, work)
            store.save_all()
            for manager in (notes, sessions):
                for one in manager:
                    assert chain.get((manager.kind, one.id), one) == one
            for id in "ab":
                if id not in notes:
                    assert chain["notes", id] is None
                    notes.create(id=id)
            if not went_on:
                break

    assert at > 100
    assert not failures
