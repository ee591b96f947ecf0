"""The front door: saving, loading, clearing, formats, callbacks, closing."""

import json
import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import attrs
import orjson
import pytest

from statestore import (
    CallbackFailed,
    ConfigurationError,
    Conflict,
    CorruptRecord,
    EncodeError,
    FilesBehind,
    HeldKey,
    InvalidId,
    InvalidKind,
    InvalidRecord,
    LoadFailed,
    Manager,
    NameTaken,
    NotSupported,
    ReadOnlyStore,
    RecordNotFound,
    SaveFailed,
    Store,
    StoreClosed,
    StoreNotFound,
    StructureError,
    UndecodableRecord,
    UnknownName,
)
from statestore.drivers.directory import DirectoryDriver
from statestore.engine.engine import Engine
from statestore.managers import (
    ConversationManager,
    FocusManager,
    Session,
    SessionManager,
    TaskManager,
)
from statestore.models.keys import Key
from statestore.serializers import detect, get
from statestore.serializers.serializer import Shape

pytestmark = pytest.mark.usefixtures("files_at_once")  # they look at the files


ALL = (SessionManager, ConversationManager, FocusManager, TaskManager)
LIMIT_S = 60  # only against a hang


@attrs.frozen
class Note:
    id: str
    text: str = ""


def open_all(path, **options):
    """Open a store with all built-in managers, and notes."""
    store = Store(path, **options)
    managers = [store.register(make()) for make in ALL]
    return store, *managers, store.register(Manager("notes", Note))


def open_notes(path, **options):
    store = Store(path, **options)
    return store, store.register(Manager("notes", Note))


def fill(sessions, conversations, chains, tasks, notes):
    """Make two records of each kind: ten in all."""
    session = sessions.create(id="s1", project_id="demo", name="First", mode="planning")
    sessions.create(id="s2", context={"k": [1, {"x": None}]})
    conversations.create("Hello", session_id=session.id, id="c1")
    conversations.add_message("c1", role="user", content="hi é")
    conversations.create("Other", id="C/2")
    chains.create("chain", id="f1")
    chains.push("f1", type="file", target="a.py")
    chains.create("empty", id="f2")
    tasks.create("parent", id="t1")
    tasks.create("child", id="t2", parent_id="t1", result=[1.5])
    notes.create(id="n1", text="one")
    notes.create(id="n2")


def record_files(path, kind="*"):
    return sorted(
        one
        for one in path.glob(f"{kind}/*")
        if one.is_file() and not one.parent.name.startswith(".")
    )


def names(path, kind):
    return [one.name for one in record_files(path, kind)]


def snapshot(path):
    """Return everything below a folder: what a file holds, and when it was changed."""
    return {
        one.relative_to(path).as_posix(): (
            one.stat().st_mtime_ns,
            one.read_bytes() if one.is_file() else None,
        )
        for one in sorted(path.rglob("*"))
    }


def edit(file, **fields):
    """Change a record file as a person would."""
    envelope = json.loads(file.read_text())
    envelope["data"].update(fields)
    file.write_text(json.dumps(envelope))


def stored_text(path, id="a"):
    """Read a note as another process would."""
    driver = DirectoryDriver(path, read_only=True)
    try:
        return driver.read(Key("notes", id)).document["text"]
    finally:
        driver.close()


def in_threads(*functions):
    """Run functions at the same time, and return what they returned; raise what they raised."""
    pool = ThreadPoolExecutor(len(functions))
    try:
        futures = [pool.submit(function) for function in functions]
        return [future.result(LIMIT_S) for future in futures]
    finally:
        pool.shutdown(wait=False)


@pytest.fixture(params=["directory", "memory"])
def place(request, tmp_path):
    return tmp_path / "state" if request.param == "directory" else "memory:"


# --- save and load --------------------------------------------------------------------


def test_all_kinds_come_back_from_a_directory(tmp_path):
    store, *managers = open_all(tmp_path / "deep" / "state")
    fill(*managers)
    store.save_all()
    before = [manager.all() for manager in managers]
    store.close()

    store, *managers = open_all(tmp_path / "deep" / "state")
    report = store.load_all()

    assert report.items == 10
    assert report.failures == ()
    for manager, records in zip(managers, before, strict=True):
        assert {one.id: one for one in manager} == {one.id: one for one in records}
    assert store.unsaved == ()
    store.close()


def test_all_kinds_come_back_from_memory():
    store, *managers = open_all("memory:")
    fill(*managers)
    store.save_all()

    again = Engine(store._engine.driver)
    fresh = [make() for make in ALL] + [Manager("notes", Note)]
    for manager in fresh:
        again.register(manager, read_only=False)
    report = again.load()

    assert report.items == 10
    assert report.failures == ()
    for manager, other in zip(managers, fresh, strict=True):
        assert {one.id: one for one in manager} == {one.id: one for one in other}
        assert other.unsaved == ()


def test_each_record_is_one_file_in_the_folder_of_its_kind(tmp_path):
    store, *managers = open_all(tmp_path)
    fill(*managers)

    report = store.save_all()

    assert report.items == len(record_files(tmp_path)) == 10
    assert names(tmp_path, "sessions") == ["s1.json", "s2.json"]
    envelope = json.loads((tmp_path / "sessions" / "s1.json").read_text())
    assert list(envelope) == ["kind", "schema", "revision", "saved_at", "data"]
    assert (envelope["kind"], envelope["schema"], envelope["revision"]) == ("sessions", 1, 1)
    assert list(envelope["data"]) == [
        field.name for field in attrs.fields(Session) if field.name != "extra"
    ]
    store.close()


@pytest.mark.parametrize("kind", ["sessions", "conversations", "focus", "tasks", "notes"])
def test_one_kind_can_be_saved_and_loaded_alone(kind, tmp_path):
    store, *managers = open_all(tmp_path)
    fill(*managers)

    report = store.save(kind)

    assert report.items == 2
    assert {key.kind for key in store.unsaved} == set(store.managers) - {kind}
    assert {one.parent.name for one in record_files(tmp_path)} == {kind}
    store.save_all()
    store.close()
    store, *managers = open_all(tmp_path)
    assert store.load(kind).items == 2
    assert {manager.kind: len(manager) for manager in managers} == {
        manager.kind: 2 * (manager.kind == kind) for manager in managers
    }
    store.close()


def test_kind_without_a_manager_is_told_apart_from_an_empty_one(place):
    with Store(place) as store:
        store.register(TaskManager())

        assert store.load("tasks").items == 0
        assert store.save("tasks").items == 0
        for operation in (store.save, store.load):
            with pytest.raises(UnknownName, match="sessions") as raised:
                operation("sessions")
            assert raised.value.known == ("tasks",)


def test_new_store_loads_nothing_without_a_fault(place):
    with Store(place) as store:
        for make in ALL:
            store.register(make())

        report = store.load_all(strict=True)

        assert (report.items, report.size_bytes, report.failures) == (0, 0, ())


def test_folder_of_a_kind_that_is_gone_loads_nothing(tmp_path):
    open_notes(tmp_path)[0].close()
    (tmp_path / "notes").rmdir()

    store, notes = open_notes(tmp_path)
    (tmp_path / "notes").rmdir()

    assert store.load_all(strict=True).items == 0
    notes.create(id="a", text="x")
    store.save_all()
    assert stored_text(tmp_path) == "x"
    store.close()


def test_register_makes_the_folder_of_the_kind(tmp_path):
    with Store(tmp_path) as store:
        store.register(FocusManager())

        assert (tmp_path / "focus").is_dir()
        assert not (tmp_path / "tasks").exists()


def test_nothing_to_save_touches_no_file(tmp_path, visible):
    store, *managers = open_all(tmp_path)
    fill(*managers)
    sequence = store.save_all().sequence
    before = visible(tmp_path)

    report = store.save_all()
    store.load_all()
    store.close()

    assert (report.items, report.deleted, report.size_bytes) == (0, 0, 0)
    assert report.sequence == sequence
    assert visible(tmp_path) == before


def test_only_what_changed_is_written(tmp_path):
    store, *managers = open_all(tmp_path)
    fill(*managers)
    store.save_all()
    before = snapshot(tmp_path)

    managers[0].update("s1", name="changed")
    report = store.save_all()

    after = snapshot(tmp_path)
    changed = {name for name in after if name.endswith(".json") and after[name] != before[name]}
    assert changed == {"sessions/s1.json"}
    assert report.items == 1
    store.close()


def test_register_after_a_load_loads_that_kind(tmp_path):
    store, *managers = open_all(tmp_path)
    fill(*managers)
    store.close()
    store = Store(tmp_path)
    store.register(TaskManager())
    store.load_all()
    heard = []
    store.on_load(heard.append)

    sessions = store.register(SessionManager())

    assert sorted(sessions.ids()) == ["s1", "s2"]
    assert [report.items for report in heard] == [2]
    store.close()


def test_register_before_a_load_loads_nothing(tmp_path):
    store, *managers = open_all(tmp_path)
    fill(*managers)
    store.close()
    store = Store(tmp_path)

    assert len(store.register(SessionManager())) == 0
    store.load("sessions")
    assert len(store.register(TaskManager())) == 0
    store.close()


def test_manager_stays_registered_when_a_callback_raises_over_its_load(tmp_path):
    store = Store(tmp_path)
    store.load_all()

    def fail(report):
        raise RuntimeError("host")

    handle = store.on_load(fail)
    notes = Manager("notes", Note)
    with pytest.raises(CallbackFailed):
        store.register(notes)
    handle.cancel()

    notes.create(id="a", text="x")
    assert store.managers == {"notes": notes}
    assert store.unsaved == (Key("notes", "a"),)
    store.close()
    assert stored_text(tmp_path) == "x"


def test_second_manager_of_a_kind_is_refused(place):
    with Store(place) as store:
        first = store.register(SessionManager())

        with pytest.raises(NameTaken, match="sessions"):
            store.register(SessionManager())

        assert store.managers == {"sessions": first}


# --- reports --------------------------------------------------------------------------


def test_save_report_tells_what_was_really_written(tmp_path):
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    store, notes = open_notes(tmp_path, clock=lambda: moment, format="yaml")
    for id in "abc":
        notes.create(id=id, text=id * 100)
    notes.create(id="bad", text="\ud800")

    report = store.save_all(strict=False)

    assert (report.path, report.format) == (str(tmp_path), "yaml")
    assert (report.items, report.deleted, report.sequence) == (3, 0, 1)
    [commit] = store._engine.driver.changes(0)
    assert report.size_bytes == commit.size_bytes > 300
    assert report.timestamp == moment
    assert report.duration_s >= 0
    assert [(failure.key, failure.operation) for failure in report.failures] == [
        (Key("notes", "bad"), "save")
    ]
    assert isinstance(report.failures[0].error, EncodeError)
    notes.delete("bad")
    notes.delete("a")
    notes.update("b", text="x")
    report = store.save_all()
    assert (report.items, report.deleted, report.sequence) == (1, 1, 2)
    [commit] = store._engine.driver.changes(1)
    assert report.size_bytes == commit.size_bytes > 0
    store.close()


def test_load_report_tells_what_was_really_read(tmp_path):
    store, notes = open_notes(tmp_path)
    for id in "abc":
        notes.create(id=id, text=id * 100)
    store.close()
    (tmp_path / "notes" / "bad.json").write_text("{}")

    store, notes = open_notes(tmp_path)
    report = store.load_all()

    assert (report.path, report.format, report.items) == (str(tmp_path), "json", 3)
    good = [one for one in record_files(tmp_path, "notes") if one.name != "bad.json"]
    assert report.size_bytes == sum(one.stat().st_size for one in good)
    assert report.timestamp.tzinfo is not None
    assert [str(failure.key) for failure in report.failures] == ["notes/bad"]
    assert report.kept == ()
    store.close()


def test_times_of_reports_are_aware(place):
    with Store(place) as store:
        notes = store.register(Manager("notes", Note))
        notes.create(id="a")

        for report in (store.save_all(), store.save_all(), store.load_all(), store.clear()):
            assert report.timestamp.utcoffset() == timedelta(0)


def test_sequence_grows_with_each_save_that_writes(place):
    with Store(place) as store:
        notes = store.register(Manager("notes", Note))
        sequences = [store.save_all().sequence]
        for number in range(3):
            notes.create(id=str(number))
            sequences.append(store.save_all().sequence)

        assert sequences == [0, 1, 2, 3]
        assert store.save_all().sequence == 3


def test_last_save_time_is_none_and_then_only_grows(place):
    start = datetime(2026, 1, 1, tzinfo=UTC)
    moments = [start + timedelta(seconds=s) for s in (5, 9, 3, 1)]
    clock = {"now": start}
    store = Store(place, clock=lambda: clock["now"])
    notes = store.register(Manager("notes", Note))
    store.load_all()
    assert store.last_save_time is None

    seen = []
    for number, moment in enumerate(moments):
        clock["now"] = moment
        notes.create(id=str(number))
        store.save_all()
        seen.append(store.last_save_time)
        store.save_all()  # of nothing
        seen.append(store.last_save_time)

    assert seen[:4:2] == moments[:2]
    assert all(earlier <= later for earlier, later in pairwise(seen))
    store.close()


def test_save_that_wrote_nothing_of_what_it_should_is_no_save(place):
    store = Store(place)
    notes = store.register(Manager("notes", Note))
    heard = []
    store.on_save(heard.append)
    notes.create(id="bad", text="\ud800")

    with pytest.raises(SaveFailed):
        store.save_all()

    assert store.last_save_time is None
    assert heard == []


# --- failures -------------------------------------------------------------------------


def test_failed_record_is_left_out_and_the_rest_is_durable(tmp_path):
    store, notes = open_notes(tmp_path)
    heard = []
    store.on_error(heard.append)
    notes.create(id="a", text="good")
    notes.create(id="bad", text=5)
    notes.create(id="z", text="good")

    with pytest.raises(SaveFailed, match="notes/bad") as raised:
        store.save_all()

    assert raised.value.report.items == 2
    assert [str(failure.key) for failure in raised.value.failures] == ["notes/bad"]
    assert heard == list(raised.value.report.failures)
    assert [stored_text(tmp_path, id) for id in "az"] == ["good", "good"]
    assert store.unsaved == (Key("notes", "bad"),)
    notes.update("bad", text="mended")
    assert store.save_all().items == 1
    assert stored_text(tmp_path, "bad") == "mended"
    store.close()


def test_save_that_is_not_strict_returns_the_report(place):
    store = Store(place)
    notes = store.register(Manager("notes", Note))
    notes.create(id="bad", text="\ud800")
    notes.create(id="good")

    report = store.save_all(strict=False)

    assert (report.items, len(report.failures)) == (1, 1)
    assert store.save("notes", strict=False).failures[0].key == Key("notes", "bad")


def test_load_goes_on_after_each_bad_file_and_tells_of_it_once(tmp_path, as_written):
    store, notes = open_notes(tmp_path)
    for id in "abc":
        notes.create(id=id)
    store.close()
    folder = tmp_path / "notes"
    (folder / "empty.json").write_bytes(b"")
    (folder / "zeros.json").write_bytes(b"\0" * 100)
    (folder / "braces.json").write_text("{}")
    edit_to = json.loads((folder / "a.json").read_text())
    edit_to["data"] = {"id": "misfit", "text": 5}
    (folder / "misfit.json").write_text(json.dumps(edit_to))
    as_written(folder)
    before = snapshot(tmp_path)

    store, notes = open_notes(tmp_path)
    heard = []
    store.on_error(heard.append)
    report = store.load_all()

    assert sorted(notes.ids()) == ["a", "b", "c"]
    errors = {failure.key.id: type(failure.error) for failure in report.failures}
    assert errors == {
        "empty": UndecodableRecord,
        "zeros": UndecodableRecord,
        "braces": UndecodableRecord,
        "misfit": StructureError,
    }
    assert heard == list(report.failures)
    assert {failure.operation for failure in heard} == {"load"}
    with pytest.raises(LoadFailed) as raised:
        store.load_all(strict=True)
    assert raised.value.report.items == 3
    store.close()
    after = snapshot(tmp_path)
    assert {name: after[name] for name in before if "notes/" in name} == {
        name: before[name] for name in before if "notes/" in name
    }


@pytest.mark.parametrize("content", [b"", b"garbage \xff", b'{"kind": "notes"'])
def test_record_that_cannot_be_read_any_more_stays_and_is_not_overwritten(tmp_path, content):
    store, notes = open_notes(tmp_path)
    notes.create(id="a", text="good")
    store.save_all()
    file = tmp_path / "notes" / "a.json"
    file.write_bytes(content)

    report = store.load_all()
    assert len(report.failures) == 1
    assert notes["a"].text == "good"

    notes.update("a", text="changed")
    with pytest.raises(SaveFailed) as raised:
        store.save_all()
    assert isinstance(raised.value.failures[0].error, HeldKey)
    assert file.read_bytes() == content
    notes.delete("a")
    assert len(store.save_all(strict=False).failures) == 1
    assert file.read_bytes() == content
    with pytest.raises(SaveFailed):
        store.close()
    assert file.read_bytes() == content


def test_record_whose_file_does_not_fit_any_more_stays_and_is_not_overwritten(tmp_path):
    store, notes = open_notes(tmp_path)
    notes.create(id="a", text="good")
    store.save_all()
    file = tmp_path / "notes" / "a.json"
    edit(file, text=["no text"])
    before = json.loads(file.read_bytes())["data"]

    report = store.load_all()
    assert [type(failure.error) for failure in report.failures] == [StructureError]
    assert notes["a"].text == "good"

    notes.update("a", text="changed")
    with pytest.raises(SaveFailed):
        store.save_all()
    assert json.loads(file.read_bytes())["data"] == before
    store._close()


def test_document_that_does_not_fit_is_not_overwritten_by_a_new_record_of_its_id(tmp_path):
    store, notes = open_notes(tmp_path)
    notes.create(id="a")
    store.close()
    file = tmp_path / "notes" / "a.json"
    edit(file, text=["no text"])
    before = json.loads(file.read_bytes())["data"]

    store, notes = open_notes(tmp_path)
    store.load_all()
    notes.create(id="a", text="new")
    with pytest.raises(SaveFailed):
        store.save_all()

    assert json.loads(file.read_bytes())["data"] == before
    assert store.raw("notes/a")["text"] == ["no text"]
    store._close()


def test_key_without_a_kind_is_told_what_a_key_is(tmp_path):
    store, _ = open_notes(tmp_path)

    with pytest.raises(InvalidId, match="a key is KIND/ID"):
        store.raw("a")
    store.close()


def test_file_edited_outside_is_a_conflict_and_not_overwritten(tmp_path):
    store, notes = open_notes(tmp_path)
    notes.create(id="a", text="mine")
    store.save_all()
    file = tmp_path / "notes" / "a.json"
    edit(file, text="theirs")
    before = json.loads(file.read_bytes())["data"]

    for _ in range(2):
        notes.update("a", text="mine again")
        with pytest.raises(SaveFailed) as raised:
            store.save_all()
        assert isinstance(raised.value.failures[0].error, Conflict)
        assert json.loads(file.read_bytes())["data"] == before

    assert store.load_all().kept == (Key("notes", "a"),)
    assert notes["a"].text == "mine again"
    with pytest.raises(SaveFailed):
        store.save_all()
    store._engine.take_in(discard=True)
    assert notes["a"].text == "theirs"
    notes.update("a", text="both")
    store.save_all()
    assert stored_text(tmp_path) == "both"
    store.close()


def test_file_edited_outside_is_taken_in_by_a_load(tmp_path):
    store, notes = open_notes(tmp_path)
    notes.create(id="a", text="mine")
    store.save_all()
    edit(tmp_path / "notes" / "a.json", text="theirs")

    assert store.load_all().kept == ()

    assert notes["a"].text == "theirs"
    revision = notes.revision("a")
    assert revision > 1
    notes.update("a", text="next")
    store.save_all()
    assert notes.revision("a") > revision
    store.close()


# --- deleting -------------------------------------------------------------------------


def test_deleted_record_does_not_come_back(tmp_path):
    store, notes = open_notes(tmp_path)
    notes.create(id="a")
    notes.create(id="last")
    store.save_all()

    notes.delete("a")
    assert store.save_all().deleted == 1
    store.load_all()
    assert notes.ids() == ("last",)
    notes.delete("last")
    assert store.save_all().deleted == 1
    store.load_all()
    assert notes.ids() == ()
    store.close()

    assert record_files(tmp_path, "notes") == []
    store, notes = open_notes(tmp_path)
    assert store.load_all().items == 0
    store.close()


def test_record_deleted_and_made_again_is_the_new_one(tmp_path):
    store, notes = open_notes(tmp_path)
    notes.create(id="a", text="old")
    store.save_all()

    notes.delete("a")
    notes.create(id="a", text="new")
    assert store.save_all().items == 1
    assert (stored_text(tmp_path), notes.revision("a")) == ("new", 2)
    notes.delete("a")
    store.save_all()
    notes.create(id="a", text="newest")
    store.save_all()

    assert stored_text(tmp_path) == "newest"
    assert notes.revision("a") > 2
    store.close()


def test_load_does_not_bring_back_what_was_deleted_but_not_saved(place):
    store = Store(place)
    notes = store.register(Manager("notes", Note))
    notes.create(id="a")
    store.save_all()
    notes.delete("a")

    report = store.load_all()

    assert "a" not in notes
    assert report.kept == (Key("notes", "a"),)
    store.save_all()
    assert store.load_all().items == 0
    store.close()


def test_load_keeps_what_is_not_saved_and_tells(tmp_path):
    store, notes = open_notes(tmp_path)
    notes.create(id="a", text="1")
    store.save_all()
    other, others = open_notes(tmp_path)
    other.load_all()
    others.update("a", text="theirs")
    others.create(id="b", text="theirs")
    other.close()
    notes.update("a", text="mine")
    notes.create(id="new", text="mine")

    report = store.load_all()

    assert sorted(map(str, report.kept)) == ["notes/a", "notes/new"]
    assert {note.id: note.text for note in notes} == {"a": "mine", "b": "theirs", "new": "mine"}
    with pytest.raises(SaveFailed) as raised:
        store.save_all()
    (failure,) = raised.value.failures
    assert (failure.key, type(failure.error)) == (Key("notes", "a"), Conflict)
    assert [stored_text(tmp_path, id) for id in ("a", "new")] == ["theirs", "mine"]
    store._close()


def test_stale_store_gets_a_conflict_and_loses_nobodys_change(tmp_path):
    first, first_notes = open_notes(tmp_path)
    first_notes.create(id="a", text="0")
    first.save_all()
    second, second_notes = open_notes(tmp_path)
    second.load_all()

    first_notes.update("a", text="first")
    first.save_all()
    second_notes.update("a", text="second")
    with pytest.raises(SaveFailed) as raised:
        second.save_all()

    assert isinstance(raised.value.failures[0].error, Conflict)
    assert stored_text(tmp_path) == "first"
    second_notes.delete("a")
    with pytest.raises(SaveFailed):
        second.save_all()
    assert stored_text(tmp_path) == "first"
    first.close()
    second._close()


def test_two_stores_that_make_the_same_id_do_not_overwrite(tmp_path):
    first, first_notes = open_notes(tmp_path)
    second, second_notes = open_notes(tmp_path)
    first_notes.create(id="a", text="first")
    second_notes.create(id="a", text="second")
    first.save_all()

    with pytest.raises(SaveFailed) as raised:
        second.save_all()

    error = raised.value.failures[0].error
    assert (type(error), error.expected, error.found) == (Conflict, 0, 1)
    assert stored_text(tmp_path) == "first"
    first.close()
    second._close()


# --- clear ----------------------------------------------------------------------------


def test_clear_empties_memory_and_store_and_nothing_comes_back(place):
    store, *managers = open_all(place)
    fill(*managers)
    store.save_all()
    managers[0].create(id="unsaved")
    managers[0].update("s1", name="changed")

    report = store.clear()

    assert (report.deleted, report.items) == (10, 0)
    assert store.unsaved == ()
    assert all(len(manager) == 0 for manager in managers)
    assert store.last_save_time is not None
    assert store.save_all().items == 0
    assert store.load_all().items == 0
    store.close()
    if place != "memory:":
        assert record_files(place) == []
        store, *managers = open_all(place)
        assert store.load_all().items == 0
        store.close()


def test_clear_of_one_kind_leaves_the_others(place):
    store, *managers = open_all(place)
    fill(*managers)
    store.save_all()
    managers[1].update("c1", title="unsaved")

    assert store.clear("sessions").deleted == 2

    assert [len(manager) for manager in managers] == [0, 2, 2, 2, 2]
    assert store.unsaved == (Key("conversations", "c1"),)
    assert store.load_all().items == 8
    store.close()


def test_clear_reaches_kinds_without_a_manager(tmp_path):
    store, *managers = open_all(tmp_path)
    fill(*managers)
    store.close()

    with Store(tmp_path) as store:
        assert store.clear().deleted == 10

    assert record_files(tmp_path) == []


def test_clear_leaves_what_cannot_be_read_and_says_so(tmp_path):
    store, notes = open_notes(tmp_path)
    notes.create(id="a")
    store.save_all()
    bad = tmp_path / "notes" / "bad.json"
    bad.write_bytes(b"garbage")
    heard = []
    store.on_error(heard.append)

    with pytest.raises(SaveFailed) as raised:
        store.clear()

    assert raised.value.report.deleted == 1
    assert [(str(one.key), one.operation) for one in heard] == [("notes/bad", "delete")]
    assert bad.read_bytes() == b"garbage"
    assert names(tmp_path, "notes") == ["bad.json"]
    assert len(notes) == 0
    store.close()


# --- formats --------------------------------------------------------------------------


def test_record_lives_in_one_file_after_a_switch_of_format(tmp_path):
    store, notes = open_notes(tmp_path)
    notes.create(id="a", text="1")
    notes.create(id="b", text="1")
    store.save_all()

    for format, extension in (("gzip", ".json.gz"), ("yaml", ".yaml"), ("compact", ".json")):
        store.set_serializer(format)
        assert store.format == format
        notes.update("a", text=format)
        report = store.save_all()
        assert report.format == format
        assert names(tmp_path, "notes") == sorted([f"a{extension}", "b.json"])
        assert detect((tmp_path / "notes" / f"a{extension}").read_bytes()).extension == extension
    store.close()

    store, notes = open_notes(tmp_path)
    assert store.load_all(strict=True).items == 2
    assert notes["a"].text == "compact"
    store.close()


def test_store_of_one_format_opened_with_another_loads_whole(tmp_path):
    store, *managers = open_all(tmp_path, format="gzip")
    fill(*managers)
    store.close()

    for format in (None, "yaml", "compact", "json"):
        store, *managers = open_all(tmp_path, format=format)
        assert store.load_all(strict=True).items == 10
        assert store.unsaved == ()
        store.close()


def test_store_goes_on_in_the_format_it_remembers(tmp_path):
    store, notes = open_notes(tmp_path, format="yaml")
    store.set_serializer("gzip", remember=True)
    notes.create(id="a")
    store.close()

    store, notes = open_notes(tmp_path)
    assert store.format == "gzip"
    store.load_all()
    notes.create(id="b")
    store.close()

    assert names(tmp_path, "notes") == ["a.json.gz", "b.json.gz"]


def test_format_argument_and_set_serializer_hold_for_their_process_only(tmp_path):
    open_notes(tmp_path)[0].close()
    store, notes = open_notes(tmp_path, format="yaml")
    notes.create(id="a")
    store.save_all()
    store.set_serializer("gzip")
    notes.create(id="b")
    store.close()

    store, notes = open_notes(tmp_path)

    assert store.format == "json"
    assert names(tmp_path, "notes") == ["a.yaml", "b.json.gz"]
    store.close()


class TabbedSerializer:
    """A third party's: JSON with a first line of its own."""

    name = "tabbed"
    extension = ".tabbed"

    def dumps(self, document):
        return b"%TABBED\n" + get("compact").dumps(document)

    def loads(self, data):
        return get("compact").loads(data.removeprefix(b"%TABBED\n"))

    def sniff(self, data):
        return Shape.MAGIC if data.startswith(b"%TABBED\n") else Shape.NO


@pytest.fixture
def fresh_serializers(monkeypatch):
    """Forget, after the test, what it has registered."""
    from statestore.serializers.registered import DEFAULT, Serializers

    kept = dict(vars(DEFAULT))
    vars(DEFAULT).update(vars(Serializers()))
    yield
    vars(DEFAULT).clear()
    vars(DEFAULT).update(kept)


def test_serializer_of_a_third_party_writes_and_loads_back(tmp_path, fresh_serializers):
    serializer = TabbedSerializer()
    store, notes = open_notes(tmp_path)
    notes.create(id="old", text="json")
    store.save_all()

    store.set_serializer(serializer)
    store.set_serializer(serializer)  # the same one again is no second one
    notes.create(id="new", text="tabbed")
    report = store.save_all()
    assert report.format == store.format == "tabbed"
    store.close()

    assert names(tmp_path, "notes") == ["new.tabbed", "old.json"]
    assert (tmp_path / "notes" / "new.tabbed").read_bytes().startswith(b"%TABBED\n")
    store, notes = open_notes(tmp_path, format="tabbed")
    assert store.load_all(strict=True).items == 2
    assert {note.text for note in notes} == {"json", "tabbed"}
    with pytest.raises(NameTaken, match="tabbed"):
        store.set_serializer(TabbedSerializer())
    store.close()


def test_unknown_format_is_refused_and_nothing_is_made(tmp_path):
    with pytest.raises(UnknownName, match="nonsense"):
        Store(tmp_path / "new", format="nonsense")

    with Store(tmp_path / "store") as store:
        with pytest.raises(UnknownName, match="nonsense"):
            store.set_serializer("nonsense")
        assert store.format == "json"
    assert not list((tmp_path / "new").glob("**/*.json"))


def test_store_without_files_has_no_serializer():
    with Store("memory:") as store:
        assert store.format == "memory"
        with pytest.raises(NotSupported):
            store.set_serializer("yaml")


# --- closing --------------------------------------------------------------------------


def test_close_saves_and_twice_is_harmless(tmp_path):
    store, notes = open_notes(tmp_path)
    notes.create(id="a", text="x")

    store.close()
    store.close()

    assert store.closed
    assert stored_text(tmp_path) == "x"


def test_closed_store_refuses_everything(place):
    store = Store(place)
    notes = store.register(Manager("notes", Note))
    store.load_all()
    notes.create(id="b")
    store.close()

    for operation in (
        lambda: notes.create(id="a"),
        lambda: notes.update("b", text="changed"),
        lambda: notes.delete("b"),
        store.save_all,
        store.load_all,
        lambda: store.save("notes"),
        lambda: store.load("notes"),
        store.clear,
        store.flush,
        store.kinds,
        store.stats,
        lambda: store.raw("notes/a"),
        lambda: list(store.scan("notes")),
    ):
        with pytest.raises(StoreClosed, match="closed"):
            operation()
    assert notes.ids() == ("b",)  # what was loaded can still be looked at


def test_close_that_could_not_save_raises_and_is_closed(tmp_path):
    store, notes = open_notes(tmp_path)
    notes.create(id="a", text="x")
    notes.create(id="bad", text="\ud800")

    with pytest.raises(SaveFailed):
        store.close()

    assert store.closed
    assert stored_text(tmp_path) == "x"
    store.close()


def test_leaving_by_an_exception_saves_nothing_and_warns_with_the_count(tmp_path):
    stores = []

    def work():
        with Store(tmp_path) as store:
            stores.append(store)
            notes = store.register(Manager("notes", Note))
            notes.create(id="saved")
            store.save_all()
            notes.create(id="a")
            notes.delete("saved")
            raise ZeroDivisionError

    with pytest.warns(RuntimeWarning, match="2 unsaved"), pytest.raises(ZeroDivisionError):
        work()

    assert stores[0].closed
    assert names(tmp_path, "notes") == ["saved.json"]


def test_leaving_by_an_exception_with_everything_saved_warns_of_nothing(place):
    stores = []

    def work():
        with Store(place) as store:
            stores.append(store)
            store.register(Manager("notes", Note)).create(id="a")
            store.save_all()
            raise ZeroDivisionError

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ZeroDivisionError):
            work()

    assert stores[0].closed


def test_leaving_in_peace_saves(tmp_path):
    with Store(tmp_path) as store:
        store.register(Manager("notes", Note)).create(id="a", text="x")

    assert stored_text(tmp_path) == "x"


# --- read only ------------------------------------------------------------------------


def test_read_only_store_loads_and_writes_nothing(tmp_path):
    store, *managers = open_all(tmp_path)
    fill(*managers)
    store.close()
    before = snapshot(tmp_path)

    store, *managers = open_all(tmp_path, read_only=True)
    assert store.load_all(strict=True).items == 10
    managers[0].create(id="new")
    managers[0].update("s1", name="changed")
    for operation in (
        store.save_all,
        lambda: store.save("sessions"),
        store.clear,
        lambda: store.convert("yaml"),
    ):
        with pytest.raises(ReadOnlyStore):
            operation()
    store.close()

    assert snapshot(tmp_path) == before


def test_read_only_store_that_is_missing_is_not_made(tmp_path):
    with pytest.raises(StoreNotFound, match="none"):
        Store(tmp_path / "none", read_only=True)

    assert list(tmp_path.iterdir()) == []


def test_folder_that_is_no_store_is_not_taken_for_one_to_read(tmp_path):
    (tmp_path / "letter.txt").write_text("x")

    with pytest.raises(StoreNotFound):
        Store(tmp_path, read_only=True)

    assert names(tmp_path.parent, tmp_path.name) == ["letter.txt"]


# --- on change ------------------------------------------------------------------------


def test_on_change_each_operation_is_durable_when_it_returns(tmp_path):
    store = Store(tmp_path, autosave="on-change")
    sessions, conversations, chains, tasks = [store.register(make()) for make in ALL]
    driver = DirectoryDriver(tmp_path, read_only=True)

    def on_disk(kind, id):
        return driver.read(Key(kind, id)).document

    sessions.create(id="s", name="1")
    assert on_disk("sessions", "s")["name"] == "1"
    sessions.update("s", name="2")
    assert on_disk("sessions", "s")["name"] == "2"
    sessions.replace(attrs.evolve(sessions["s"], name="3"))
    assert on_disk("sessions", "s")["name"] == "3"
    sessions.add(Session(id="added"))
    assert on_disk("sessions", "added")["id"] == "added"
    conversations.create("t", id="c")
    conversations.add_message("c", role="user", content="hi")
    assert [m["content"] for m in on_disk("conversations", "c")["messages"]] == ["hi"]
    chains.create("f", id="f")
    chains.push("f", target="a")
    assert [f["target"] for f in on_disk("focus", "f")["focuses"]] == ["a"]
    tasks.create("p", id="p")
    tasks.create("t", id="t", parent_id="p")
    assert on_disk("tasks", "t")["parent_id"] == "p"
    sessions.delete("s")
    with pytest.raises(RecordNotFound):
        on_disk("sessions", "s")
    tasks.delete_all()
    assert list(driver.scan("tasks")) == []
    assert store.unsaved == ()
    driver.close()
    store.close()


def test_on_change_a_failure_is_raised_and_the_change_stays_unsaved(tmp_path):
    store, notes = open_notes(tmp_path, autosave="on-change")
    heard = []
    store.on_error(heard.append)

    with pytest.raises(SaveFailed, match="notes/bad"):
        notes.create(id="bad", text="\ud800")

    assert "bad" in notes
    assert store.unsaved == (Key("notes", "bad"),)
    assert len(heard) == 1
    notes.update("bad", text="mended")
    assert stored_text(tmp_path, "bad") == "mended"
    assert store.unsaved == ()
    store.close()


def test_on_change_a_refused_operation_saves_nothing(tmp_path):
    store = Store(tmp_path, autosave="on-change")
    tasks = store.register(TaskManager())
    saves = []
    store.on_save(saves.append)

    with pytest.raises(RecordNotFound):
        tasks.create("orphan", parent_id="none")

    assert saves == []
    store.close()


def test_on_change_does_not_deadlock_with_saves_and_loads_of_other_threads(tmp_path):
    store = Store(tmp_path, autosave="on-change")
    conversations = store.register(ConversationManager())
    tasks = store.register(TaskManager())
    conversations.create("t", id="shared")
    tasks.create("p", id="p")

    def talk(number):
        for turn in range(8):
            conversations.add_message("shared", role="user", content=f"{number}-{turn}")
            tasks.create("t", id=f"{number}-{turn}", parent_id="p")

    def save():
        for _ in range(15):
            store.save_all()
            store.load_all()

    in_threads(lambda: talk(1), lambda: talk(2), lambda: talk(3), save, save)
    store.close()

    with Store(tmp_path) as store:
        conversations = store.register(ConversationManager())
        tasks = store.register(TaskManager())
        store.load_all(strict=True)
        said = [message.content for message in conversations["shared"].messages]
        expected = {f"{number}-{turn}" for number in (1, 2, 3) for turn in range(8)}
        assert sorted(said) == sorted(expected)
        assert set(tasks.ids()) == expected | {"p"}
        for number in (1, 2, 3):  # each thread's messages are in its order
            own = [text for text in said if text.startswith(f"{number}-")]
            assert own == [f"{number}-{turn}" for turn in range(8)]


# --- threads --------------------------------------------------------------------------


def test_threads_that_change_and_save_lose_nothing(place):
    store = Store(place)
    notes = store.register(Manager("notes", Note))
    saved = []
    store.on_save(lambda report: saved.append(report.items))

    def work(number):
        for turn in range(10):
            id = f"{number}-{turn}"
            notes.create(id=id)
            notes.update(id, text=id)
            store.save_all()
            assert store.raw(f"notes/{id}")["text"] == id  # whoever has saved it
            if turn % 2:
                notes.delete(id)

    in_threads(*[lambda number=number: work(number) for number in range(4)])
    store.save_all()

    expected = {f"{number}-{turn}" for number in range(4) for turn in range(0, 10, 2)}
    assert store.unsaved == ()
    assert {one.key.id: one.document["text"] for one in store.scan("notes")} == {
        id: id for id in expected
    }
    assert sum(saved) >= 40
    store.close()


def test_load_of_another_thread_never_shows_half_of_a_store(tmp_path):
    store, notes = open_notes(tmp_path)
    for number in range(20):
        notes.create(id=str(number))
    store.save_all()
    stop = threading.Event()

    def read():
        counts = set()
        while not stop.is_set():
            counts.add(len(notes.all()))
        return counts

    def load():
        try:
            for _ in range(30):
                store.load_all()
        finally:
            stop.set()

    counts, _ = in_threads(read, load)

    assert counts <= {20}
    store.close()


# --- looking --------------------------------------------------------------------------


def test_stored_record_is_seen_without_a_manager(tmp_path):
    store, *managers = open_all(tmp_path, format="yaml")
    fill(*managers)
    store.close()

    with Store(tmp_path) as store:
        assert list(store.kinds()) == ["conversations", "focus", "notes", "sessions", "tasks"]
        assert store.raw("notes/n1") == {"id": "n1", "text": "one"}
        assert store.raw("conversations/C/2")["title"] == "Other"
        assert store.raw(Key("notes", "n1")) == store.raw("notes/n1")
        found = store.stored("notes/n1")
        assert (found.revision, found.schema, found.format) == (1, 1, "yaml")
        assert found.path == "notes/n1.yaml"
        assert found.size_bytes == (tmp_path / found.path).stat().st_size
        assert [one.key.id for one in store.scan("notes")] == ["n1", "n2"]


def test_what_is_not_there_and_what_is_broken_are_different_answers(tmp_path):
    store, _ = open_notes(tmp_path)
    (tmp_path / "notes" / "bad.json").write_text("{")

    with pytest.raises(RecordNotFound):
        store.raw("notes/none")
    with pytest.raises(CorruptRecord):
        store.raw("notes/bad")
    with pytest.raises(InvalidKind):
        store.raw("Not A Kind/x")
    store.close()


def test_statistics_and_verification_count_what_is_stored(tmp_path, as_written, visible):
    store, *managers = open_all(tmp_path)
    fill(*managers)
    store.save_all()
    managers[4].create(id="unsaved")
    store.set_serializer("gzip")
    managers[0].update("s1", name="x")
    store.save("sessions")
    (tmp_path / "notes" / "bad.json").write_text("{}")
    edit(tmp_path / "notes" / "n2.json", text=5)
    as_written(tmp_path / "notes")
    before = visible(tmp_path)

    stats, report = store.stats(), store.verify()

    assert stats.records == 10
    assert stats.kinds["sessions"].formats == {"gzip": 1, "json": 1}
    assert stats.kinds["notes"].unreadable == 1
    good = [one for one in record_files(tmp_path) if one.name != "bad.json"]
    assert stats.size_bytes == sum(one.stat().st_size for one in good)
    assert report.items == 9
    assert {(str(one.key), one.operation) for one in report.failures} == {
        ("notes/bad", "verify"),
        ("notes/n2", "verify"),
    }
    assert visible(tmp_path) == before
    store._close()


@pytest.mark.parametrize("path", ["", "a\0b", "\ud800", b"bytes"], ids=repr)
def test_path_that_is_no_name_is_refused(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="path"):
        Store(path)

    with Store("here") as store:
        for operation in (store.backup, store.restore):
            with pytest.raises(ConfigurationError, match="path"):
                operation(path)
    assert os.listdir() == ["here"]


def test_store_without_a_folder_is_backed_up_only_where_one_is_named(tmp_path):
    with Store("memory:") as store:
        notes = store.register(Manager("notes", Note))
        notes.create(id="a")
        with pytest.raises(ConfigurationError, match="name one"):
            store.backup()
        assert store.backup(tmp_path / "copy").items == 1


def test_clearing_a_kind_that_is_not_there_is_refused(tmp_path):
    store, notes = open_notes(tmp_path)
    notes.create(id="a")
    store.save_all()

    with pytest.raises(UnknownName, match="nothing"):
        store.clear("nothing")
    assert "a" in notes


def test_record_stands_for_its_id(tmp_path):
    store, notes = open_notes(tmp_path)
    note = notes.create(id="a")
    store.save_all()
    newer = notes.update(note, text="x")

    assert notes[note] is newer
    assert notes.get(note) is newer
    assert note in notes
    assert notes.revision(note) == 1
    with pytest.raises(RecordNotFound, match="<object>"):
        notes[object()]
    assert object() not in notes
    assert [] not in notes


class Raising:
    """A serializer of others, with faults of its own."""

    name, extension = "raising", ".rsg"

    def dumps(self, document):
        if document["data"]["text"] == "bad":
            raise ValueError("s3cr3t")
        return b"RSG" + orjson.dumps(document)

    def loads(self, data):
        return orjson.loads(data.removeprefix(b"RSG"))  # raises an error that is not ours

    def sniff(self, data):
        return Shape.MAGIC if data.startswith(b"RSG") else Shape.NO


def test_serializer_that_raises_concerns_its_record_alone(tmp_path):
    store, notes = open_notes(tmp_path)
    notes.create(id="plain")
    store.save_all()
    store.set_serializer(Raising())
    notes.create(id="good", text="good")
    notes.create(id="bad", text="bad")

    with pytest.raises(SaveFailed) as raised:
        store.save_all()
    assert [failure.key.id for failure in raised.value.report.failures] == ["bad"]
    assert "s3cr3t" not in str(raised.value)
    notes.delete("bad")
    (tmp_path / "notes" / "torn.rsg").write_bytes(b'RSG{"kind"')

    report = store.load_all()

    assert sorted(notes.ids()) == ["good", "plain"]
    assert [failure.key.id for failure in report.failures] == ["torn"]


def test_load_that_drops_changes_drops_those_of_unreadable_records_too(tmp_path):
    store, notes = open_notes(tmp_path)
    for id in ("changed", "deleted"):
        notes.create(id=id)
    store.save_all()
    for id in ("changed", "deleted"):
        (tmp_path / "notes" / f"{id}.json").write_text("{")
    notes.update("changed", text="x")
    notes.delete("deleted")

    report = store.load_all(discard=True)

    assert len(report.failures) == 2
    assert store.unsaved == ()
    assert notes["changed"].text == ""
    store.close()


def test_subclass_of_the_record_class_is_refused(tmp_path):
    @attrs.frozen
    class More(Note):
        more: str = ""

    notes = open_notes(tmp_path)[1]

    with pytest.raises(InvalidRecord, match="More"):
        notes.add(More(id="a"))


def test_value_that_holds_itself_is_refused():
    sessions = SessionManager()
    loop = []
    loop.append(loop)

    with pytest.raises(InvalidRecord, match="nested too deeply"):
        sessions.create(context={"loop": loop})


def test_class_of_the_host_that_raises_keeps_no_other_record_from_being_saved(tmp_path):
    @attrs.define
    class Touchy:
        id: str
        broken: bool = False

        def __getattribute__(self, name):
            if name == "id" and object.__getattribute__(self, "broken"):
                raise RuntimeError("s3cr3t")
            return object.__getattribute__(self, name)

    store = Store(tmp_path)
    touchy = store.register(Manager("touchy", Touchy))
    touchy.create(id="good")
    touchy.create(id="bad").broken = True

    report = store.save_all(strict=False)

    assert (report.items, [str(one.key) for one in report.failures]) == (1, ["touchy/bad"])
    assert "s3cr3t" not in str(report.failures[0])
    with pytest.warns(RuntimeWarning, match="1 unsaved"):
        store.__exit__(KeyError, KeyError(), None)
    assert store.closed


def test_files_that_are_behind_do_not_hide_the_exception_that_left_the_store(tmp_path, monkeypatch):
    with pytest.raises(KeyError, match="mine") as caught:  # noqa: PT012, SIM117
        with Store(tmp_path) as store:
            notes = store.register(Manager("notes", Note))
            notes.add(Note("a"))
            store.save_all()
            behind = FilesBehind([])
            close = store._engine.driver.close

            def closed():
                close()
                raise behind

            monkeypatch.setattr(store._engine.driver, "close", closed)
            raise KeyError("mine")

    assert str(behind) in caught.value.__notes__
