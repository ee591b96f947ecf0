"""autosave="on-change": each operation is durable when it returns, or raises."""

import attrs
import pytest

from statestore import (
    InvalidRecord,
    Manager,
    ReadOnlyStore,
    RecordNotFound,
    SaveFailed,
    StorageError,
    Store,
    StoreClosed,
)
from statestore.errors import LockTimeout
from statestore.managers import (
    Conversation,
    ConversationManager,
    FocusChain,
    FocusManager,
    Message,
    Session,
    SessionManager,
    Task,
    TaskManager,
)
from statestore.models.keys import Key


@attrs.frozen
class Note:
    id: str
    text: str = ""


@attrs.define
class Board:
    id: str
    text: str = ""


class World:
    """A store with the managers of all built-in kinds, and two of the host's own."""

    def __init__(self, path, **options):
        self.store = Store(path, **options)
        self.sessions = self.store.register(SessionManager())
        self.conversations = self.store.register(ConversationManager())
        self.chains = self.store.register(FocusManager())
        self.tasks = self.store.register(TaskManager())
        self.notes = self.store.register(Manager("notes", Note))
        self.boards = self.store.register(Manager("boards", Board))

    @property
    def records(self):
        managers = self.store.managers.items()
        return {kind: {one.id: one for one in manager} for kind, manager in managers}

    def fill(self):
        for id in ("1", "2"):
            self.sessions.create(id=id)
            self.conversations.create("c", id=id)
            self.chains.create("f", id=id)
            self.tasks.create("t", id=id)
            self.notes.create(id=id)
            self.boards.create(id=id)
        return self


@pytest.fixture
def world(tmp_path):
    opened = []

    def open_(path=None, **options):
        made = World(tmp_path / "store" if path is None else path, **options)
        opened.append(made)
        return made

    yield open_
    for made in opened:
        made.store._close()  # what a test left unsaved is dropped


def same_manager(name, record_class):
    """Return the operations that every manager has, on one of them."""
    return {
        f"{name}.create": lambda w: _create(getattr(w, name)),
        f"{name}.add": lambda w: getattr(w, name).add(record_class(id="new")),
        f"{name}.replace": lambda w: getattr(w, name).replace(_other(getattr(w, name)["1"])),
        f"{name}.update": lambda w: getattr(w, name).update("1", **_changed(getattr(w, name)["1"])),
        f"{name}.modify": lambda w: getattr(w, name).modify("1", _other),
        f"{name}.delete": lambda w: getattr(w, name).delete("1"),
        f"{name}.delete_all": lambda w: getattr(w, name).delete_all(),
        f"{name}.add again": lambda w: _add_again(getattr(w, name)),
    }


def _create(manager):
    titled = {"title": "new"} if manager.kind == "tasks" else {}
    manager.create(id="new", **titled)


def _changed(record):
    name = "metadata" if hasattr(record, "metadata") else "text"
    return {name: {"new": True} if name == "metadata" else "new"}


def _other(record):
    return attrs.evolve(record, **_changed(record))


def _add_again(manager):
    manager.add(_other(manager.delete("1")))


OPERATIONS = {
    **same_manager("sessions", Session),
    **same_manager("conversations", Conversation),
    **same_manager("chains", FocusChain),
    **same_manager("tasks", Task),
    **same_manager("notes", Note),
    **same_manager("boards", Board),
    "conversations.add_message": lambda w: w.conversations.add_message(
        "1", role="user", content="hi"
    ),
    "conversations.add_messages": lambda w: w.conversations.add_messages(
        "1", [Message(role="user", content="1"), Message(role="assistant", content="2")]
    ),
    "chains.push": lambda w: w.chains.push("1", target="a.py"),
    "tasks.create below another": lambda w: w.tasks.create("c", parent_id="1", session_id="1"),
    "all in a transaction": lambda w: _in_a_transaction(w),
}


def _in_a_transaction(world):
    with world.store.transaction():
        world.sessions.delete("2")
        world.tasks.create("t", id="new")
        world.conversations.add_message("2", role="user", content="hi")
        world.chains.push("2", target="b.py")


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_what_an_operation_has_done_another_reads_when_it_returns(world, operation):
    one = world(autosave="on-change").fill()
    before = one.records

    operation(one)

    other = world(read_only=True)
    other.store.load_all(strict=True)
    assert other.records == one.records != before
    assert one.store.unsaved == ()


class Failing:
    """Fails the commits of a store, for as long as there is an `error`."""

    def __init__(self, store, monkeypatch, error):
        self.error = error
        flights = store._engine.flights
        submit = flights._submit

        def failing(changes, expect, settle):
            if self.error is None:
                submit(changes, expect, settle)
            else:
                settle(self.error)

        monkeypatch.setattr(flights, "_submit", failing)


@pytest.mark.parametrize(
    ("error", "raised", "key"),
    [
        (StorageError("journal", "write", None, "full"), SaveFailed, Key("notes", "1")),
        (LockTimeout("lock", 30.0), LockTimeout, None),
        (ReadOnlyStore("store", "save"), ReadOnlyStore, None),
    ],
)
@pytest.mark.parametrize("call", ["update", "delete", "replace"])
def test_a_failure_reaches_the_caller_and_on_error(world, monkeypatch, error, raised, key, call):
    one = world(autosave="on-change").fill()
    told = []
    one.store.on_error(told.append)
    disk = Failing(one.store, monkeypatch, error)

    with pytest.raises(raised):
        OPERATIONS[f"notes.{call}"](one)

    assert [(one.key, one.operation, one.error) for one in told] == [(key, "save", error)]
    assert one.store.unsaved == (Key("notes", "1"),)  # memory is ahead, and says so
    disk.error = None
    one.notes.create(id="next")  # the next operation of the manager takes it along
    assert one.store.unsaved == ()
    other = world(read_only=True)
    other.store.load_all(strict=True)
    assert other.records == one.records


def test_modify_that_meets_a_lock_tells_and_leaves_the_record_as_it_was(world, monkeypatch):
    one = world(autosave="on-change").fill()
    before, told, error = one.records, [], LockTimeout("lock", 30.0)
    one.store.on_error(told.append)
    Failing(one.store, monkeypatch, error)

    with pytest.raises(LockTimeout):
        one.notes.modify("1", _other)

    assert [(one.key, one.operation, one.error) for one in told] == [(None, "save", error)]
    assert (one.records, one.store.unsaved) == (before, ())


def test_a_failure_of_all_records_names_each(world, monkeypatch):
    one = world(autosave="on-change").fill()
    told = []
    one.store.on_error(told.append)
    Failing(one.store, monkeypatch, StorageError("journal", "write", None, "full"))

    with pytest.raises(SaveFailed) as raised:
        one.tasks.delete_all()

    keys = [Key("tasks", "1"), Key("tasks", "2")]
    assert [failure.key for failure in raised.value.failures] == keys
    assert [failure.key for failure in told] == keys
    assert set(one.store.unsaved) == set(keys)


def test_an_operation_is_not_blamed_for_another_record_that_cannot_be_saved(world):
    one = world(autosave="on-change").fill()
    with pytest.raises(SaveFailed, match="notes/bad"):
        one.notes.create(id="bad", text="\ud800")

    one.notes.create(id="good")

    assert one.store.unsaved == (Key("notes", "bad"),)
    assert one.store.raw("notes/good")["id"] == "good"


@pytest.mark.parametrize(
    ("operation", "error"),
    [
        (lambda w: w.notes.update("none", text="x"), RecordNotFound),
        (lambda w: w.notes.update("1", nothing="x"), InvalidRecord),
        (lambda w: w.notes.delete("none"), RecordNotFound),
        (lambda w: w.tasks.create("orphan", parent_id="none"), RecordNotFound),
        (lambda w: w.conversations.add_message("1", role=5, content=""), InvalidRecord),
    ],
)
def test_what_is_refused_has_changed_nothing_in_memory_or_in_the_store(world, operation, error):
    one = world(autosave="on-change").fill()
    before, sequence = one.records, one.store.sequence

    with pytest.raises(error):
        operation(one)

    assert (one.records, one.store.sequence) == (before, sequence)
    assert one.store.unsaved == ()


def test_an_operation_after_the_end_changes_nothing(world):
    one = world(autosave="on-change").fill()
    before = one.records
    one.store.close()

    with pytest.raises(StoreClosed):
        one.notes.create(id="late")

    assert one.records == before
