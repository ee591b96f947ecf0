"""Transactions: all or nothing, in memory and in the store, for the code that is in them only."""

# ruff: noqa: PT012 -- the whole block is what raises
import asyncio
import threading
from contextlib import ExitStack

import attrs
import pytest

from statestore import (
    CallbackFailed,
    Conflict,
    DuplicateId,
    EncodeError,
    InTransaction,
    Manager,
    NotSupported,
    RecordNotFound,
    SaveFailed,
    StorageError,
    Store,
    StoreClosed,
    StoreInDoubt,
    TransactionFailed,
)
from statestore.engine.flights import Flight, Flights
from statestore.engine.transactions import Transaction
from statestore.managers import ConversationManager, SessionManager
from statestore.models.changes import Put
from statestore.models.keys import Key


@attrs.frozen
class Note:
    id: str
    text: str = ""


@attrs.define
class Board:
    id: str
    text: str = ""


FULL = StorageError("/srv/x", "write", 28, "full")
PLACES = ["memory", "queue", "directory"]


@pytest.fixture(params=PLACES)
def store(request, tmp_path, over, driver):
    if request.param == "queue":
        store = over(driver)
    else:
        store = Store("memory:" if request.param == "memory" else tmp_path / "state")
    if not store._engine.driver.traits.atomic:
        store.close()
        pytest.skip("its commits are not atomic")
    yield store
    if not store.closed:
        store._close()


@pytest.fixture
def notes(store):
    return store.register(Manager("notes", Note))


@pytest.fixture
def queued(driver, over):
    store = over(driver)
    return store, store.register(Manager("notes", Note))


def contents(store, kind="notes"):
    return {one.key.id: one.document["text"] for one in store.scan(kind)}


def texts(manager):
    return {one.id: one.text for one in manager}


# --- all or nothing -------------------------------------------------------------------


def test_changes_of_several_kinds_are_one_commit(store, notes):
    sessions = store.register(SessionManager())
    conversations = store.register(ConversationManager())
    notes.create(id="old")
    notes.create(id="gone")
    store.save_all()
    before = store._engine.driver.sequence
    reports = []
    store.on_save(reports.append)

    with store.transaction():
        session = sessions.create(id="s", name="First")
        conversations.create("Hello", session_id=session.id, id="c")
        conversations.add_message("c", role="user", content="hi")
        notes.update("old", text="new")
        notes.delete("gone")

    assert store._engine.driver.sequence == before + 1
    assert contents(store) == texts(notes) == {"old": "new"}
    assert store.raw("conversations/c")["messages"][0]["content"] == "hi"
    assert store.raw("sessions/s")["name"] == "First"
    assert store.unsaved == ()
    assert notes.revision("old") == 2
    assert [(one.items, one.deleted, one.sequence) for one in reports] == [(3, 1, before + 1)]


def test_exception_leaves_everything_as_it_was(store, notes):
    old = notes.create(id="a", text="old")
    store.save_all()
    sequence = store._engine.driver.sequence

    with pytest.raises(ZeroDivisionError), store.transaction():
        notes.update("a", text="new")
        notes.create(id="b")
        notes.delete("a")
        raise ZeroDivisionError

    assert notes.all() == (old,)
    assert notes["a"] is old
    assert store.unsaved == ()
    assert store._engine.driver.sequence == sequence


def test_empty_transaction_commits_nothing(store, notes):
    notes.create(id="unsaved")
    reports = []
    store.on_save(reports.append)

    with store.transaction():
        pass
    with store.transaction():
        notes.create(id="came")
        notes.delete("came")

    assert store._engine.driver.sequence == 0
    assert reports == []
    assert store.unsaved == (Key("notes", "unsaved"),)


def test_what_was_unsaved_before_stays_so_unless_it_is_written(store, notes):
    notes.create(id="a", text="unsaved")
    notes.create(id="b", text="unsaved")
    notes.create(id="c")
    notes.delete("c")

    with store.transaction():
        notes.update("b", text=notes["b"].text + " and written")

    assert store.unsaved == (Key("notes", "a"),)
    assert contents(store) == {"b": "unsaved and written"}
    store.save_all()
    assert contents(store) == texts(notes) == {"a": "unsaved", "b": "unsaved and written"}


def test_what_was_unsaved_before_is_unsaved_after_a_transaction_that_failed(store, notes):
    saved = notes.create(id="a", text="saved")
    store.save_all()
    mine = notes.update("a", text="unsaved")

    with pytest.raises(TransactionFailed), store.transaction():
        notes.replace(saved)
        notes.create(id="bad", text="\ud800")

    assert notes["a"] is mine
    assert store.unsaved == (Key("notes", "a"),)


def test_writing_back_what_is_saved_is_no_commit_and_saves_nothing_later(store, notes):
    saved = notes.create(id="a", text="saved")
    store.save_all()
    notes.update("a", text="unsaved")

    with store.transaction():
        notes.replace(saved)

    assert notes["a"] is saved
    assert store.unsaved == ()
    assert store._engine.driver.sequence == 1


def test_deleted_and_added_again_is_the_new_record_at_the_end(store, notes):
    for id in "abc":
        notes.create(id=id, text="old")
    store.save_all()

    with store.transaction():
        notes.delete("a")
        notes.create(id="a", text="new")
        notes.update("b", text="changed")
        assert notes.ids() == ("b", "c", "a")

    assert notes.ids() == ("b", "c", "a")
    assert contents(store) == {"a": "new", "b": "changed", "c": "old"}


def test_delete_all_is_of_the_transaction(store, notes):
    notes.create(id="a")
    store.save_all()

    with pytest.raises(ZeroDivisionError), store.transaction():
        notes.create(id="b")
        assert notes.delete_all() == 2
        assert len(notes) == 0
        raise ZeroDivisionError
    assert notes.ids() == ("a",)
    with store.transaction():
        assert notes.delete_all() == 1

    assert contents(store) == {}
    assert len(notes) == 0


def test_unknown_fields_stay_with_an_update_and_go_with_the_record(store, notes):
    key = Key("notes", "a")
    store._engine.driver.commit([Put(key, {"id": "a", "text": "x", "later": 1})], {})
    store.load_all()

    with store.transaction():
        notes.update("a", text="y")
    assert store.raw(key) == {"id": "a", "text": "y", "later": 1}
    with store.transaction():
        notes.delete("a")
        notes.create(id="a", text="z")

    assert store.raw(key)["text"] == "z"
    assert "later" not in store.raw(key)
    notes.update("a", text="again")
    store.save_all()
    assert "later" not in store.raw(key)


# --- what is seen ---------------------------------------------------------------------


def test_reads_show_the_transactions_own_state(store, notes):
    for id in ("a", "b", "c"):
        notes.create(id=id)
    store.save_all()

    with store.transaction():
        notes.update("a", text="new")
        notes.delete("b")
        made = notes.create(id="d")

        assert notes["a"].text == notes.get("a").text == "new"
        assert notes.get("b", "none") == "none"
        with pytest.raises(RecordNotFound):
            notes["b"]
        assert "b" not in notes
        assert made in notes
        assert notes.ids() == ("a", "c", "d")
        assert [one.id for one in notes] == ["a", "c", "d"]
        assert notes.all()[-1] is made
        assert len(notes) == 3
        assert (notes.revision("a"), notes.revision("d")) == (1, 0)
        with pytest.raises(DuplicateId):
            notes.create(id="d")


def test_active_session_is_that_of_the_transaction(store):
    sessions = store.register(SessionManager())
    sessions.create(id="s")

    with store.transaction():
        sessions.update("s", status="active")
        assert sessions.active.id == "s"
        seen = []
        thread = threading.Thread(target=lambda: seen.append(sessions.active))
        thread.start()
        thread.join()

    assert seen == [None]
    assert sessions.active.id == "s"


def test_others_see_the_old_state_and_are_not_held_up(store, notes, running):
    notes.create(id="a", text="old")

    def other():
        seen = texts(notes), notes.get("b"), len(notes), store.unsaved
        notes.create(id="other")
        return seen

    with store.transaction():
        notes.update("a", text="new")
        notes.create(id="b")
        seen = running(other).result()
        assert "other" in notes  # what others write is seen, where it is not written here

    assert seen == ({"a": "old"}, None, 1, (Key("notes", "a"),))
    assert texts(notes) == {"a": "new", "b": "", "other": ""}
    assert contents(store) == {"a": "new", "b": ""}


def test_others_can_save_beside_an_open_transaction(store, notes, running):
    notes.create(id="a", text="old")

    with store.transaction():
        notes.create(id="b")
        assert running(store.save_all).result().items == 1
        assert contents(store) == {"a": "old"}

    assert contents(store) == {"a": "old", "b": ""}


# --- nesting --------------------------------------------------------------------------


def test_inner_block_is_undone_alone(store, notes):
    notes.create(id="a", text="0")

    with store.transaction():
        notes.update("a", text="1")
        with pytest.raises(ZeroDivisionError), store.transaction():
            notes.update("a", text="2")
            notes.create(id="b")
            with store.transaction():
                notes.create(id="c")
            assert set(notes.ids()) == {"a", "b", "c"}
            raise ZeroDivisionError
        assert texts(notes) == {"a": "1"}
        with store.transaction():
            notes.create(id="d")

    assert contents(store) == texts(notes) == {"a": "1", "d": ""}
    assert store._engine.driver.sequence == 1


def test_outer_exception_undoes_the_inner_block(store, notes):
    with pytest.raises(ZeroDivisionError), store.transaction():
        with store.transaction():
            notes.create(id="a")
        assert "a" in notes
        assert store._engine.driver.sequence == 0
        raise ZeroDivisionError

    assert len(notes) == 0


def test_blocks_of_two_stores_nest(store, notes):
    with Store("memory:") as second:
        others = second.register(Manager("notes", Note))
        with store.transaction():
            notes.create(id="a")
            with pytest.raises(ZeroDivisionError), second.transaction():
                notes.create(id="b")
                others.create(id="x")
                raise ZeroDivisionError
            others.create(id="y")
            assert others.unsaved == ("y",)

        assert contents(store) == {"a": "", "b": ""}
        assert texts(others) == {"y": ""}


def test_block_can_be_entered_by_an_exit_stack(store, notes):
    with ExitStack() as stack:
        stack.enter_context(store.transaction())
        notes.create(id="a")
        assert contents(store) == {}

    assert contents(store) == {"a": ""}


# --- what fails -----------------------------------------------------------------------


def test_record_changed_by_somebody_else_is_a_conflict_and_nothing_is_made(store, notes, running):
    notes.create(id="a", text="0")
    notes.create(id="b", text="0")
    store.save_all()
    heard = []
    store.on_error(heard.append)

    with pytest.raises(TransactionFailed, match="notes/a") as raised, store.transaction():
        notes.update("a", text="mine")
        notes.update("b", text="mine")
        running(lambda: notes.update("a", text="theirs")).result()

    (failure,) = raised.value.failures
    assert isinstance(failure.error, Conflict)
    assert raised.value.__cause__ is failure.error
    assert heard == [failure]
    assert texts(notes) == {"a": "theirs", "b": "0"}
    assert contents(store) == {"a": "0", "b": "0"}
    assert notes.unsaved == ("a",)
    notes.update("a", text="goes on")
    store.save_all()
    assert contents(store)["a"] == "goes on"


@pytest.mark.parametrize("theirs", ["create", "delete"])
def test_record_made_or_deleted_by_somebody_else_is_a_conflict(store, notes, running, theirs):
    if theirs == "delete":
        notes.create(id="a")
    change = notes.delete if theirs == "delete" else lambda id: notes.create(id=id)

    with pytest.raises(TransactionFailed, match="notes/a"), store.transaction():
        notes.update("a", text="x") if theirs == "delete" else notes.create(id="a", text="x")
        running(lambda: change("a")).result()

    assert texts(notes) == ({} if theirs == "delete" else {"a": ""})


def test_record_changed_in_the_store_is_a_conflict(store, notes):
    notes.create(id="a", text="0")
    store.save_all()
    store._engine.driver.commit([Put(Key("notes", "a"), {"id": "a", "text": "theirs"})], {})

    with pytest.raises(TransactionFailed) as raised, store.transaction():
        notes.update("a", text="mine")
        notes.create(id="b")

    assert [type(one.error) for one in raised.value.failures] == [Conflict]
    assert texts(notes) == {"a": "0"}
    assert contents(store) == {"a": "theirs"}
    assert store.unsaved == ()


def test_record_that_cannot_be_stored_undoes_all(store, notes):
    heard = []
    store.on_error(heard.append)

    with pytest.raises(TransactionFailed) as raised, store.transaction():
        notes.create(id="good")
        notes.create(id="bad", text="\ud800")

    assert [type(one.error) for one in raised.value.failures] == [EncodeError]
    assert heard == list(raised.value.failures)
    assert len(notes) == 0
    assert contents(store) == {}
    notes.create(id="bad")  # nobody waits for the one that failed


def test_failures_are_told_once_and_callbacks_may_use_the_store(queued, driver):
    store, notes = queued
    heard, told = [], []
    store.on_error(lambda failure: (heard.append(failure), store.save_all()))
    store.on_save(told.append)
    driver.answers = [FULL]

    with pytest.raises(TransactionFailed) as raised, store.transaction():
        notes.create(id="a")
        notes.create(id="b")

    assert [str(one.key) for one in raised.value.failures] == ["notes/a", "notes/b"]
    assert heard == list(raised.value.failures)
    assert len(notes) == 0
    assert [one.items for one in told] == [0, 0]  # those of the callback


def test_doubt_is_told_as_such(queued, driver):
    store, notes = queued
    driver.answers = [StoreInDoubt("/srv/store")]

    with pytest.raises(StoreInDoubt), store.transaction():
        notes.create(id="a")

    assert len(notes) == 0


def test_callback_that_raises_undoes_nothing(store, notes):
    def fail(report):
        raise ValueError("the host's")

    store.on_save(fail)

    with pytest.raises(CallbackFailed), store.transaction():
        notes.create(id="a")

    assert contents(store) == texts(notes) == {"a": ""}


def test_store_closed_meanwhile_is_told(store, notes):
    with pytest.raises(StoreClosed), store.transaction():
        notes.create(id="a")
        store._close()

    assert len(notes) == 0


def test_driver_that_is_not_atomic_has_none(tmp_path):
    with Store(tmp_path) as store:
        driver = store._engine.driver
        driver.traits = attrs.evolve(driver.traits, atomic=False)
        with pytest.raises(NotSupported, match="transactions"):
            store.transaction()


# --- what is not done within ----------------------------------------------------------


def test_operations_on_the_store_are_refused_within(store, notes, tmp_path):
    notes.create(id="a", text="old")
    store.save_all()
    notes.create(id="unsaved")

    with store.transaction():
        notes.update("a", text="new")
        for operation in (
            store.save_all,
            lambda: store.save("notes"),
            store.load_all,
            lambda: store.load("notes", discard=True),
            store.clear,
            lambda: store.convert("yaml"),
            lambda: store.backup(tmp_path / "backup"),
            lambda: store.restore(tmp_path / "backup"),
            lambda: store.import_transcripts(tmp_path / "none"),
            lambda: store.register(Manager("more", Note)),
            store.close,
        ):
            with pytest.raises(InTransaction, match="within a transaction"):
                operation()
        assert not store.closed
        assert contents(store) == {"a": "old"}

    assert contents(store) == {"a": "new"}
    assert store.unsaved == (Key("notes", "unsaved"),)
    assert not (tmp_path / "backup").exists()


def test_on_change_is_off_within_and_all_is_durable_at_the_end(driver, over):
    store = over(driver, save_on_change=True)
    notes = store.register(Manager("notes", Note))

    with store.transaction():
        notes.create(id="a")
        notes.update("a", text="x")
        assert driver.sequence == 0

    assert driver.sequence == 1
    assert contents(store) == {"a": "x"}
    notes.create(id="b")
    assert driver.sequence == 2


def test_records_that_change_in_place_are_refused(store):
    boards = store.register(Manager("boards", Board))
    boards.create(id="a")

    with store.transaction():
        for operation in (
            lambda: boards["a"],
            lambda: boards.get("a"),
            boards.all,
            lambda: "a" in boards,
            lambda: boards.create(id="b"),
            lambda: boards.update("a", text="x"),
            lambda: boards.delete("a"),
            boards.delete_all,
        ):
            with pytest.raises(InTransaction, match="frozen"):
                operation()

    assert texts(boards) == {"a": ""}


def test_transaction_is_used_once_and_says_where_it_stands(store, notes):
    transaction = store.transaction()
    assert "not begun" in repr(transaction)
    with transaction as entered:
        assert entered is transaction
        notes.create(id="a")
        assert "open, 1 record" in repr(transaction)
        with pytest.raises(InTransaction, match="twice"), transaction:
            pass
    assert "committed" in repr(transaction)
    assert store.path in repr(transaction)

    with pytest.raises(InTransaction, match="twice"), transaction:
        pass
    with pytest.raises(InTransaction, match="not open"):
        transaction.leave()
    failed = store.transaction()
    with pytest.raises(ZeroDivisionError), failed:
        raise ZeroDivisionError
    assert "rolled back" in repr(failed)


def test_block_left_in_another_thread_is_undone(store, notes, running):
    transaction = store.transaction()
    transaction.__enter__()
    notes.create(id="a")

    with pytest.raises(InTransaction, match="another thread"):
        running(transaction.leave).result()

    assert len(notes) == 0
    assert contents(store) == {}


# --- threads and tasks ----------------------------------------------------------------


def test_tasks_have_their_own(store, notes):
    seen = {}

    async def child():
        seen["child"] = notes.get("a")
        with store.transaction():
            notes.create(id="of the child")

    async def main():
        async def other(opened, looked):
            await opened.wait()
            seen["other"] = notes.get("a")
            looked.set()

        opened, looked = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(other(opened, looked))
        with store.transaction():
            notes.create(id="a")
            opened.set()
            await looked.wait()
            await asyncio.create_task(child())
            seen["thread"] = await asyncio.to_thread(notes.get, "a")
            seen["own"] = notes.get("a")
        await task

    asyncio.run(main())

    assert seen == {"other": None, "child": None, "thread": None, "own": Note("a")}
    assert contents(store) == texts(notes) == {"a": "", "of the child": ""}


def test_task_that_is_cancelled_undoes_its_block(store, notes):
    async def work(opened):
        with store.transaction():
            notes.create(id="a")
            opened.set()
            await asyncio.Event().wait()

    async def main():
        opened = asyncio.Event()
        task = asyncio.create_task(work(opened))
        await opened.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())

    assert len(notes) == 0
    assert contents(store) == {}


def test_writer_waits_while_a_transaction_that_writes_the_record_lands(queued, driver, running):
    store, notes = queued
    notes.create(id="a", text="0")
    notes.create(id="b", text="0")
    store.save_all()
    driver.gate.clear()
    driver.forget_queued()

    def work():
        with store.transaction():
            notes.update("a", text="1")

    landing = running(work)
    driver.wait_queued()
    assert notes["a"].text == "0"  # not durable yet
    notes.update("b", text="at once")
    add = lambda old: attrs.evolve(old, text=old.text + " and 2")  # noqa: E731
    writer = running(lambda: notes._modify("a", add))
    writer.join(0.05)
    assert writer.is_alive()

    driver.gate.set()

    assert writer.result().text == "1 and 2"
    landing.result()
    store.save_all()
    assert contents(store) == {"a": "1 and 2", "b": "at once"}


def test_writer_goes_on_when_the_transaction_fails(queued, driver, running):
    store, notes = queued
    notes.create(id="a", text="0")
    store.save_all()
    driver.gate.clear()
    driver.forget_queued()
    driver.answers = [FULL]

    def work():
        with store.transaction():
            notes.update("a", text="1")

    landing = running(work)
    driver.wait_queued()
    writer = running(lambda: notes.update("a", text="mine"))
    driver.gate.set()

    with pytest.raises(TransactionFailed):
        landing.result()
    assert writer.result().text == "mine"
    store.save_all()
    assert contents(store) == {"a": "mine"}


def test_transaction_waits_for_a_save_of_its_records(queued, driver, running):
    store, notes = queued
    notes.create(id="a", text="0")
    driver.gate.clear()
    save = running(store.save_all)
    driver.wait_queued()

    def work():
        with store.transaction():
            notes.update("a", text="1")

    landing = running(work)
    landing.join(0.05)
    driver.gate.set()
    save.result()
    landing.result()

    assert contents(store) == texts(notes) == {"a": "1"}
    assert notes.revision("a") == 2
    assert store.unsaved == ()


def test_save_waits_for_a_transaction_that_lands(queued, driver, running):
    store, notes = queued
    notes.create(id="a", text="unsaved")
    driver.gate.clear()

    def work():
        with store.transaction():
            notes.update("a", text="1")

    landing = running(work)
    driver.wait_queued()
    save = running(store.save_all)
    save.join(0.05)
    assert save.is_alive()
    driver.gate.set()
    landing.result()

    assert save.result().items == 0
    assert contents(store) == {"a": "1"}
    assert store.unsaved == ()


def test_threads_lose_nothing(store, running):
    store._engine._save_on_change = True
    notes = store.register(Manager("notes", Note))
    conversations = store.register(ConversationManager())
    conversations.create("t", id="shared")

    refusals = set()

    def alone(number):
        for turn in range(10):
            conversations.add_message("shared", role="user", content=f"{number}-{turn}")
            notes.create(id=f"{number}-{turn}")

    def together(number):
        for turn in range(10):
            while True:
                try:
                    with store.transaction():
                        conversations.add_message("shared", role="user", content=f"{number}-{turn}")
                        notes.create(id=f"{number}-{turn}")
                    break
                except TransactionFailed as error:
                    refusals.update(type(one.error) for one in error.failures)

    threads = [running(lambda n=n: alone(n)) for n in range(3)]
    threads += [running(lambda n=n: together(n)) for n in range(3, 6)]
    for thread in threads:
        thread.result()

    assert refusals <= {Conflict}
    expected = sorted(f"{number}-{turn}" for number in range(6) for turn in range(10))
    said = [one["content"] for one in store.raw("conversations/shared")["messages"]]
    assert sorted(said) == expected
    assert sorted(contents(store)) == sorted(notes.ids()) == expected
    for number in range(6):
        assert [one for one in said if one.startswith(f"{number}-")] == [
            f"{number}-{turn}" for turn in range(10)
        ]
    assert store.unsaved == ()


# --- interruptions --------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["before", "after"])
def test_interrupted_while_the_driver_takes_it(queued, driver, moment):
    store, notes = queued
    notes.create(id="a", text="old")
    store.save_all()
    driver.interrupt = moment

    with pytest.raises(KeyboardInterrupt), store.transaction():
        notes.update("a", text="new")
        notes.create(id="b")

    # Who writes one of its records waits until it is known what became of it.
    notes._modify("a", lambda old: attrs.evolve(old, text=old.text + " and on"))
    if moment == "before":
        assert texts(notes) == {"a": "old and on"}
    else:
        assert texts(notes) == {"a": "new and on", "b": ""}
    store.save_all()
    assert contents(store) == texts(notes)


def test_interrupted_before_it_is_sent(queued, driver, monkeypatch, running):
    store, notes = queued
    notes.create(id="a", text="old")

    def interrupted(self, *args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Flights, "send", interrupted)
        with pytest.raises(KeyboardInterrupt), store.transaction():
            notes.update("a", text="new")

    assert notes["a"].text == "old"
    assert running(lambda: notes.update("a", text="goes on")).result().text == "goes on"
    store.save_all()
    assert contents(store) == {"a": "goes on"}


def test_interrupted_while_it_lands_is_made(queued, driver, monkeypatch):
    store, notes = queued
    driver.gate.clear()

    def interrupted(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Flight, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt), store.transaction():
            notes.create(id="a", text="new")
    assert len(notes) == 0

    driver.gate.set()
    store.save_all()

    assert contents(store) == texts(notes) == {"a": "new"}
    assert store.unsaved == ()


def test_block_whose_end_is_interrupted_at_once_is_over(queued, monkeypatch):
    store, notes = queued

    def interrupted(self, *error):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Transaction, "leave", interrupted)
        try:
            with store.transaction():
                notes.create(id="a")
        except KeyboardInterrupt:
            store.save_all()  # though its traceback is still there: not within it any more

    assert len(notes) == 0
    notes.create(id="b")
    store.save_all()
    assert contents(store) == {"b": ""}


def test_inner_block_whose_end_is_interrupted_has_changed_nothing(queued, monkeypatch):
    store, notes = queued

    def interrupted(self, *error):
        raise KeyboardInterrupt

    with store.transaction():
        notes.create(id="outer")
        with monkeypatch.context() as patch:
            patch.setattr(Transaction, "leave", interrupted)
            with pytest.raises(KeyboardInterrupt), store.transaction():
                notes.create(id="inner")
        notes.create(id="more")

    assert contents(store) == {"outer": "", "more": ""}


def test_failure_of_a_save_beside_is_its_own(queued, running):
    store, notes = queued
    notes.create(id="bad", text="\ud800")

    with store.transaction():
        notes.create(id="good")
        with pytest.raises(SaveFailed):
            running(store.save_all).result()

    assert contents(store) == {"good": ""}
