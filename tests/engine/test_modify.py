"""modify(): the newest record in, its successor committed, whoever else changes it."""

# ruff: noqa: PT012 -- the whole block is what raises
import threading

import attrs
import pytest

from statestore import (
    Conflict,
    EncodeError,
    HistoryPruned,
    InvalidRecord,
    Manager,
    NewerSchema,
    ReadOnlyStore,
    RecordNotFound,
    StaleRecord,
    Store,
    TransactionFailed,
)
from statestore.managers import ConversationManager, TaskManager
from statestore.models.keys import Key


@attrs.frozen
class Counter:
    id: str
    count: int | str = 0
    by: str = ""


@attrs.define
class Board:
    id: str
    count: int = 0
    parts: list[str] = attrs.field(factory=list)


@pytest.fixture
def side(tmp_path):
    opened = []

    def open_(*, load=True, record_class=Counter, **options):
        store = Store(tmp_path / "store", **options)
        opened.append(store)
        counters = store.register(Manager("counters", record_class))
        if load:
            store.load_all()
        return store, counters

    yield open_
    for store in reversed(opened):
        store.load_all(discard=True)
        store.close()


def plus_one(record):
    return attrs.evolve(record, count=record.count + 1)


def never_again():
    """Return what may be called once; a second call would go on for ever."""
    calls = []

    def change(record):
        calls.append(record)
        assert len(calls) == 1
        return plus_one(record)

    return change


def stored(store, id="n"):
    return store.raw(f"counters/{id}")["count"]


def test_successor_is_committed_at_once_in_manual_mode(side):
    one, counters = side()
    counters.create(id="n")
    counters.create(id="unsaved")
    one.save("counters")
    counters.update("unsaved", count=7)
    told = []
    one.on_save(told.append)

    new = counters.modify("n", plus_one)

    assert (new.count, counters["n"], stored(one)) == (1, new, 1)
    assert counters.revision("n") == 2
    assert one.unsaved == (Key("counters", "unsaved"),)
    assert [report.items for report in told] == [1]


def test_newest_record_is_given_though_nobody_has_refreshed(side):
    one, counters = side()
    counters.create(id="n")
    one.save_all()
    _, theirs = side()

    for _ in range(5):
        counters.modify("n", plus_one)
        theirs.modify("n", plus_one)

    assert theirs["n"].count == 10
    assert counters["n"].count == 9
    one.refresh()
    assert counters["n"].count == 10


def test_record_of_a_kind_that_was_never_loaded_is_found(side):
    one, counters = side()
    counters.create(id="n")
    one.save_all()
    _, theirs = side(load=False)

    assert theirs.modify("n", plus_one).count == 1
    counters.modify("n", plus_one)
    assert theirs.modify("n", plus_one).count == 3
    assert theirs.ids() == ("n",)


def test_function_is_called_again_when_somebody_else_was_faster(side):
    one, counters = side()
    counters.create(id="n")
    one.save_all()
    _, theirs = side()
    seen = []

    def change(record):
        seen.append(record.count)
        if len(seen) < 4:
            theirs.modify("n", plus_one)
        return plus_one(record)

    assert counters.modify("n", change).count == 4
    assert seen == [0, 1, 2, 3]
    assert stored(one) == 4


def test_being_overtaken_is_no_trouble_to_be_told_of(side):
    one, counters = side()
    counters.create(id="n")
    one.save_all()
    _, theirs = side()
    told, overtaken = [], []
    one.on_error(told.append)

    def change(counter):
        if not overtaken:
            overtaken.append(theirs.modify("n", plus_one))
        return plus_one(counter)

    counters.modify("n", change)

    assert told == []
    with pytest.raises(EncodeError):
        counters.modify("n", lambda counter: attrs.evolve(counter, by="\ud800"))
    assert [type(failure.error) for failure in told] == [EncodeError]


def test_function_is_called_again_when_another_thread_was_faster(side):
    one, counters = side()
    counters.create(id="n")
    one.save_all()
    calls = []

    def change(record):
        calls.append(record.count)
        if len(calls) == 1:
            counters.update("n", by="another")
        return plus_one(record)

    assert counters.modify("n", change) == Counter("n", 1, "another")
    assert calls == [0, 0]
    assert one.unsaved == ()


def test_threads_of_two_openings_count_every_one(side, running):
    one, counters = side()
    counters.create(id="n")
    one.save_all()
    _, theirs = side()

    def work(manager):
        for _ in range(25):
            manager.modify("n", plus_one)

    for thread in [running(lambda m=m: work(m)) for m in (counters, theirs) for _ in range(3)]:
        thread.result()

    assert stored(one) == 150
    assert one.stored("counters/n").revision == 151


def test_task_is_claimed_by_one_of_many(side, running):
    """Whoever looks and changes in one step cannot run what another runs already."""
    one, _ = side()
    tasks = one.register(TaskManager())
    for number in range(10):
        tasks.create(str(number), id=str(number))
    one.save_all()

    class Taken(Exception):
        pass

    def worker(name):
        store, _ = side()
        own, mine = store.register(TaskManager()), []

        def claim(task):
            if task.assigned_to is not None:
                raise Taken
            return attrs.evolve(task, assigned_to=name)

        for number in range(10):
            try:
                own.modify(str(number), claim)
            except Taken:
                continue
            mine.append(str(number))
        return mine

    workers = [running(lambda name=name: worker(name)) for name in ("ada", "bob", "cy")]
    claimed = {name: one.result() for name, one in zip(("ada", "bob", "cy"), workers, strict=True)}

    assert sorted(id for ids in claimed.values() for id in ids) == sorted(map(str, range(10)))
    one.refresh()
    for name, ids in claimed.items():
        assert {tasks[id].assigned_to for id in ids} <= {name}


def test_added_items_of_others_do_not_hide_from_the_function(side):
    """What only adds is not simply added here: the function may look at what is there."""
    one, _ = side()
    talks = one.register(ConversationManager())
    talks.create("talk", id="c")
    talks.add_message("c", role="user", content="0")
    one.save_all()
    other, _ = side()
    theirs = other.register(ConversationManager())
    other.load_all()
    seen = []

    def change(conversation):
        seen.append(len(conversation.messages))
        if len(seen) == 1:
            theirs.add_message("c", role="user", content="theirs")
            other.save_all()
        last = conversation.messages[-1]
        again = attrs.evolve(last, id=f"after-{last.id}", content=f"after {last.content}")
        return attrs.evolve(conversation, messages=conversation.messages.extended([again]))

    talks.modify("c", change)

    assert seen == [1, 2]
    assert [m.content for m in talks["c"].messages] == ["0", "theirs", "after theirs"]


def test_function_runs_outside_of_all_locks(side, running):
    one, counters = side()
    counters.create(id="n")
    counters.create(id="m")
    one.save_all()

    def change(record):
        assert running(lambda: counters.update("m", count=5)).result().count == 5
        running(one.save_all).result()
        running(one.load_all).result()
        return plus_one(record)

    assert counters.modify("n", change).count == 1


def test_same_record_is_no_commit(side):
    one, counters = side()
    counters.create(id="n")
    one.save_all()
    before = one.sequence

    assert counters.modify("n", lambda record: record) is counters["n"]
    assert one.sequence == before


def test_unsaved_changes_of_the_record_go_along(side):
    one, counters = side()
    counters.create(id="n")
    one.save_all()
    counters.update("n", by="me")

    assert counters.modify("n", plus_one) == Counter("n", 1, "me")
    assert one.unsaved == ()
    assert one.raw("counters/n")["by"] == "me"


def test_record_of_a_kind_that_was_never_loaded_may_be_deleted_by_others(side):
    one, counters = side(load=False)
    counters.create(id="n")
    one.save_all()
    other, theirs = side()
    theirs.delete("n")
    other.save_all()

    with pytest.raises(RecordNotFound):
        counters.modify("n", never_again())


@pytest.mark.parametrize("how", ["refresh", "load_all"])
def test_record_that_others_have_stored_in_a_newer_form_is_refused(side, how, tmp_path):
    """Also after it was told that it cannot be read, and this opening has an older one."""
    one, counters = side()
    counters.create(id="n")
    one.save_all()
    with Store(tmp_path / "store") as newer:
        theirs = newer.register(Manager("counters", Counter, schema=2))
        theirs.create(id="m")
        newer.load_all()
        theirs.update("n", by="newer")
        newer.save_all()
    assert {failure.key.id for failure in getattr(one, how)().failures} == {"m", "n"}

    with pytest.raises(NewerSchema):
        counters.modify("n", never_again())
    assert counters["n"].by == ""


def test_record_that_was_never_saved_is_made(side):
    one, counters = side()
    counters.create(id="n")

    counters.modify("n", plus_one)

    assert (stored(one), counters.revision("n")) == (1, 1)


@pytest.mark.parametrize("policy", ["error", "mine", "theirs", "merge"])
def test_unsaved_change_that_contradicts_is_settled_by_the_policy_of_the_store(side, policy):
    one, counters = side(on_conflict=policy)
    counters.create(id="n")
    one.save_all()
    _, theirs = side()
    theirs.modify("n", lambda record: attrs.evolve(record, count=10))
    counters.update("n", by="me")
    calls = []

    def change(record):
        calls.append(record)
        return plus_one(record)

    if policy == "error":
        with pytest.raises(Conflict) as raised:
            counters.modify("n", change)
        assert (raised.value.expected, raised.value.found) == (1, 2)
        assert (calls, counters["n"]) == ([], Counter("n", 0, "me"))
        return
    counters.modify("n", change)
    expected = {"mine": (1, "me"), "theirs": (11, ""), "merge": (11, "me")}[policy]
    assert (counters["n"].count, counters["n"].by) == expected
    assert len(calls) == 1


def test_within_a_transaction_it_is_a_part_of_it(side):
    one, counters = side()
    counters.create(id="n")
    one.save_all()
    _, theirs = side()
    theirs.modify("n", plus_one)

    with one.transaction():
        assert counters.modify("n", plus_one).count == 2
        assert counters.modify("n", plus_one).count == 3
        assert stored(one) == 1

    assert stored(one) == 3


def test_transaction_that_is_rolled_back_takes_it_along(side):
    one, counters = side()
    counters.create(id="n")
    one.save_all()

    with pytest.raises(ZeroDivisionError), one.transaction():
        counters.modify("n", plus_one)
        raise ZeroDivisionError

    assert (counters["n"].count, stored(one)) == (0, 0)


def test_transaction_that_is_overtaken_after_it_fails(side):
    one, counters = side()
    counters.create(id="n")
    one.save_all()
    _, theirs = side()

    with pytest.raises(TransactionFailed), one.transaction():
        counters.modify("n", plus_one)
        theirs.modify("n", plus_one)

    assert stored(one) == 1


def test_missing_and_deleted_records_are_not_found(side):
    one, counters = side()
    counters.create(id="n")
    one.save_all()
    other, theirs = side()

    with pytest.raises(RecordNotFound):
        counters.modify("none", plus_one)

    def change(record):
        if "n" in theirs:
            theirs.delete("n")
            other.save_all()
        return plus_one(record)

    with pytest.raises(RecordNotFound):
        counters.modify("n", change)
    assert "n" not in counters
    assert one.unsaved == ()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda record: None, InvalidRecord),
        (lambda record: Board("n"), InvalidRecord),
        (lambda record: Counter("other"), InvalidRecord),
        (lambda record: 1 / 0, ZeroDivisionError),
        (lambda record: Counter("n", "\ud800"), EncodeError),
    ],
)
def test_function_that_gives_no_successor_changes_nothing(side, change, error):
    one, counters = side()
    before = counters.create(id="n")
    one.save_all()

    with pytest.raises(error):
        counters.modify("n", change)

    assert counters["n"] is before
    assert (one.unsaved, stored(one)) == ((), 0)


def test_successor_of_an_older_record_is_refused(side):
    one, _ = side()
    tasks = one.register(TaskManager())
    old = tasks.create("first", id="t")
    tasks.update("t", title="second")

    with pytest.raises(StaleRecord):
        tasks.modify("t", lambda task: attrs.evolve(old, title="third"))
    assert tasks["t"].title == "second"


def test_time_of_change_is_noted(side):
    one, _ = side()
    tasks = one.register(TaskManager())
    before = tasks.create("first", id="t")

    after = tasks.modify("t", lambda task: attrs.evolve(task, title="second"))

    assert after.updated_at > before.updated_at
    assert after is tasks["t"]


def test_unsaved_change_that_nobody_contradicts_goes_along_though_history_is_forgotten(
    side, monkeypatch
):
    one, counters = side()
    for id in ("n", "m"):
        counters.create(id=id)
    one.save_all()
    other, theirs = side()
    counters.update("n", by="me")
    theirs.modify("m", plus_one)

    def pruned(after):
        raise HistoryPruned(one.path, after, after + 2)

    monkeypatch.setattr(one._engine.driver, "changes", pruned)

    assert counters.modify("n", plus_one) == Counter("n", 1, "me")
    assert other.raw("counters/n")["count"] == 1


def test_record_whose_file_was_removed_by_hand_is_a_conflict_and_no_loop(side, tmp_path):
    one, counters = side()
    counters.create(id="n")
    one.save_all()
    one.flush()
    (tmp_path / "store" / "counters" / "n.json").unlink()

    with pytest.raises(Conflict) as raised:
        counters.modify("n", plus_one)

    assert (raised.value.expected, raised.value.found) == (1, 0)
    assert counters["n"].count == 0


def test_store_that_may_not_be_written_says_so(side):
    one, counters = side()
    counters.create(id="n")
    one.save_all()
    _, theirs = side(read_only=True)

    with pytest.raises(ReadOnlyStore):
        theirs.modify("n", plus_one)
    assert theirs["n"].count == 0


def test_manager_without_a_store_changes_memory():
    counters = Manager("counters", Counter)
    counters.create(id="n")

    assert counters.modify("n", plus_one).count == 1


def test_record_of_a_class_that_can_change_is_given_as_a_copy(side):
    one, boards = side(record_class=Board)
    boards.create(id="n", parts=["a"])
    one.save_all()
    other, theirs = side(record_class=Board)
    before = boards["n"]
    calls = []

    def change(board):
        calls.append(board.count)
        if len(calls) == 1:
            theirs.modify("n", lambda board: attrs.evolve(board, count=10))
        board.count += 1
        board.parts.append("b")
        return board

    after = boards.modify("n", change)

    assert calls == [0, 10]
    assert (after.count, after.parts) == (11, ["a", "b"])
    assert (before.count, before.parts) == (0, ["a"])
    assert one.raw("counters/n")["parts"] == ["a", "b"]
    other.refresh()
    assert theirs["n"] == after

    def failing(board):
        board.count = 99
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        boards.modify("n", failing)
    assert boards["n"].count == 11


def test_memory_of_others_news_stays_small(side):
    """Whoever only modifies does not gather what others do for ever."""
    one, counters = side()
    counters.create(id="n")
    counters.create(id="m")
    one.save_all()
    _, theirs = side()
    for _ in range(200):
        counters.modify("m", plus_one)
    theirs.modify("n", plus_one)

    waiting = theirs._owner._intake._refresher._steps
    assert sum(map(len, waiting.values())) == 1  # the last one tells all of it
    assert threading.active_count() < 50
