"""Autosave: what is unsaved is saved in the background, whatever happens meanwhile."""

# ruff: noqa: PT012, PT031 -- the whole block is what raises
import errno
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
import weakref
from datetime import timedelta
from queue import SimpleQueue

import attrs
import pytest

from statestore import (
    CallbackFailed,
    ConfigurationError,
    InTransaction,
    Manager,
    ReadOnlyStore,
    SaveFailed,
    StorageError,
    Store,
    StoreClosed,
)
from statestore.drivers.directory import DirectoryDriver
from statestore.engine.engine import Engine
from statestore.errors import LockTimeout
from statestore.managers import TaskManager
from statestore.models.keys import Key
from statestore.services.autosaving import Autosaving, Pause
from statestore.testing.faulty import Fail, FaultyFiles, named

LIMIT_S = 60  # only against a hang
DAY_S = 86_400


@attrs.frozen
class Note:
    id: str
    text: str = ""


@attrs.define
class Board:
    id: str
    text: str = ""


class Turns:
    """What is waited on in a test: each `pass_()` lets the time pass once.

    It returns when what is done then has ended: when the time is waited for again, or no more.
    """

    made = None

    def __init__(self):
        self._orders, self._waits = SimpleQueue(), SimpleQueue()
        self.timeouts = []
        self.is_ended = False

    def wait(self, timeout_s):
        self.timeouts.append(timeout_s)
        self._waits.put(None)
        return self._orders.get(timeout=LIMIT_S)

    def end(self):
        self.is_ended = True
        self._orders.put(True)

    def pass_(self, times=1):
        for _ in range(times):
            self._waits.get(timeout=LIMIT_S)
            self._orders.put(False)
        self._waits.get(timeout=LIMIT_S)
        self._waits.put(None)


class Paced:
    """A store whose autosave goes by `Turns`."""

    def __init__(self, path, record_class=Note, *, driver=None, **options):
        self.store = Store(path, **options)
        if driver is not None:
            self.store._engine = Engine(driver)
        self.turns = []
        self.store._autosaving = Autosaving(
            self.store._engine, read_only=False, make_waiting=self._make
        )
        self.notes = self.store.register(Manager("notes", record_class))
        self.saves, self.failures = [], []
        self.store.on_save(self.saves.append)
        self.store.on_error(self.failures.append)

    def _make(self):
        self.turns.append(Turns())
        return self.turns[-1]

    def pass_(self, times=1):
        self.turns[-1].pass_(times)

    def stored(self):
        return {one.key.id: one.document["text"] for one in self.store.scan("notes")}


@pytest.fixture
def paced(tmp_path):
    opened = []

    def open_(*args, path=None, **options):
        one = Paced(tmp_path / "store" if path is None else path, *args, **options)
        opened.append(one)
        return one

    yield open_
    for one in opened:
        one.store._close()  # what a test left unsaved is dropped


@pytest.fixture
def opened(tmp_path):
    """Open a store with a manager of notes."""
    stores = []

    def open_(path=None, **options):
        store = Store(tmp_path / "store" if path is None else path, **options)
        stores.append(store)
        return store, store.register(Manager("notes", Note))

    yield open_
    for store in stores:
        store._close()


def savers():
    return [one for one in threading.enumerate() if one.name == "statestore-autosave"]


@pytest.fixture(autouse=True)
def _leaves_no_thread():
    yield
    assert savers() == []


# --- it saves -------------------------------------------------------------------------


def test_what_is_unsaved_is_saved_each_time_the_interval_has_passed(paced):
    one = paced()
    one.store.enable_autosave(5)
    one.notes.create(id="a", text="1")
    assert one.store.autosave_interval_s == 5.0
    assert one.stored() == {}

    one.pass_()
    assert one.stored() == {"a": "1"}
    one.notes.update("a", text="2")
    one.notes.create(id="b")
    one.pass_()
    one.notes.delete("b")
    one.pass_()

    assert one.stored() == {"a": "2"}
    assert one.store.unsaved == ()
    assert [(report.items, report.deleted) for report in one.saves] == [(1, 0), (2, 0), (0, 1)]
    assert one.failures == []
    assert set(one.turns[0].timeouts) == {5.0}
    assert one.store.last_save_time == one.saves[-1].timestamp


def test_all_kinds_are_saved_as_one_commit(paced):
    one = paced()
    tasks = one.store.register(TaskManager())
    one.store.enable_autosave(5)
    tasks.create("t")
    one.notes.create(id="a")

    one.pass_()

    assert [report.items for report in one.saves] == [2]
    assert one.store.sequence == 1


@pytest.mark.parametrize("record_class", [Note, Board])
def test_where_nothing_is_unsaved_nothing_is_committed_or_told(paced, record_class):
    one = paced(record_class)
    one.notes.create(id="a")
    one.store.save_all()
    told, sequence = len(one.saves), one.store.sequence
    submitted = []
    submit = one.store._engine.flights._submit
    one.store._engine.flights._submit = lambda *args: (submitted.append(args), submit(*args))

    one.store.enable_autosave(5)
    one.pass_(20)

    assert (len(one.saves), one.store.sequence, submitted) == (told, sequence, [])


def test_where_nothing_is_unsaved_frozen_records_are_not_looked_at(paced, monkeypatch):
    one = paced()
    for number in range(50):
        one.notes.create(id=str(number))
    one.store.save_all()
    looked = []
    monkeypatch.setattr(one.notes, "_tried", lambda *args: looked.append(args))

    one.store.enable_autosave(5)
    one.pass_(3)

    assert looked == []


def test_records_that_are_changed_in_place_are_saved_too(paced):
    one = paced(Board)
    board = one.notes.add(Board("a", "1"))
    one.store.enable_autosave(5)
    one.pass_()

    board.text = "2"
    one.pass_()

    assert one.stored() == {"a": "2"}


def test_at_50_ms_it_saves_again_and_again(opened):
    store, notes = opened(autosave=0.05)
    saved = SimpleQueue()
    store.on_save(saved.put)

    for text in ("1", "2"):
        notes.create(id=text)
        assert saved.get(timeout=LIMIT_S).items == 1

    assert store.unsaved == ()


def test_an_open_transaction_is_neither_disturbed_nor_saved_in_part(paced):
    one = paced()
    one.notes.create(id="a", text="before")
    one.notes.create(id="b", text="before")
    one.store.save_all()
    one.store.enable_autosave(5)

    with one.store.transaction():
        one.notes.update("a", text="new")
        one.pass_(2)
        assert one.stored() == {"a": "before", "b": "before"}
        one.notes.update("b", text="new")
        one.pass_()
        assert one.notes["a"].text == "new"
    assert one.stored() == {"a": "new", "b": "new"}

    with pytest.raises(ZeroDivisionError), one.store.transaction():
        one.notes.update("a", text="wrong")
        one.pass_()
        _ = 1 / 0
    one.pass_()
    assert one.stored() == {"a": "new", "b": "new"}
    assert one.failures == []


def test_other_changes_are_saved_while_a_transaction_is_open(paced, running):
    one = paced()
    one.store.enable_autosave(5)

    with one.store.transaction():
        one.notes.create(id="own")
        running(lambda: one.notes.create(id="other")).result()
        one.pass_()
        assert one.stored() == {"other": ""}

    assert one.stored() == {"other": "", "own": ""}


@pytest.fixture
def running():
    def run(function):
        return _Running(function)

    return run


class _Running(threading.Thread):
    def __init__(self, function):
        super().__init__(daemon=True)
        self._function, self._error = function, None
        self.start()

    def run(self):
        try:
            self._function()
        except BaseException as error:  # noqa: BLE001 # raised again by result()
            self._error = error

    def result(self):
        self.join(LIMIT_S)
        assert not self.is_alive(), "it hangs"
        if self._error is not None:
            raise self._error


# --- on and off -----------------------------------------------------------------------


def test_on_and_off_for_ever(opened):
    store, notes = opened()
    saved = SimpleQueue()
    store.on_save(saved.put)

    for turn in range(5):
        store.enable_autosave(0.002)
        assert store.autosave_interval_s == 0.002
        assert len(savers()) == 1
        notes.create(id=str(turn))
        saved.get(timeout=LIMIT_S)
        store.disable_autosave()
        store.disable_autosave()
        assert store.autosave_interval_s is None
        assert savers() == []

    assert store.unsaved == ()


def test_a_second_call_takes_the_new_interval_at_once(paced):
    one = paced()
    one.store.enable_autosave(DAY_S)
    first = one.turns[0]

    one.store.enable_autosave(timedelta(milliseconds=1500))

    assert one.store.autosave_interval_s == 1.5
    assert first.is_ended
    assert len(savers()) == 1
    one.notes.create(id="a")
    one.pass_()
    assert one.stored() == {"a": ""}
    assert set(one.turns[1].timeouts) == {1.5}


def test_an_interval_of_a_day_does_not_hold_up_the_end(opened):
    store, notes = opened(autosave=DAY_S)
    notes.create(id="a")

    store.disable_autosave()
    store.enable_autosave(DAY_S)
    store.close()

    assert savers() == []


def test_switching_off_saves_once_more_and_only_where_something_is_unsaved(paced):
    one = paced()
    one.store.enable_autosave(5)
    one.notes.create(id="a")

    one.store.disable_autosave()
    assert one.stored() == {"a": ""}
    assert [report.items for report in one.saves] == [1]
    one.store.enable_autosave(5)
    one.store.disable_autosave()
    assert len(one.saves) == 1

    one.notes.create(id="b")
    one.store.disable_autosave()  # it is off: nothing at all is done
    assert one.stored() == {"a": ""}


def test_switching_off_waits_for_the_save_under_way(paced, running):
    one = paced()
    one.store.enable_autosave(5)
    entered, go_on = threading.Event(), threading.Event()

    def linger(report):
        entered.set()
        assert go_on.wait(LIMIT_S)

    one.store.on_save(linger)
    one.notes.create(id="a")
    one.turns[0]._waits.get(timeout=LIMIT_S)
    one.turns[0]._orders.put(False)
    assert entered.wait(LIMIT_S)
    ends = [running(one.store.disable_autosave), running(one.store.close)]

    assert all(end.is_alive() for end in ends)
    go_on.set()
    for end in ends:
        end.result()
    assert savers() == []


def test_switching_off_raises_what_could_not_be_saved_and_is_off_all_the_same(paced):
    one = paced()
    one.store.enable_autosave(5)
    one.notes.create(id="bad", text="\ud800")
    one.notes.create(id="good")

    with pytest.raises(SaveFailed, match="notes/bad"):
        one.store.disable_autosave()

    assert one.store.autosave_interval_s is None
    assert one.stored() == {"good": ""}
    assert one.store.unsaved == (Key("notes", "bad"),)
    one.store.disable_autosave()


def test_within_a_transaction_it_is_not_switched_off(paced):
    one = paced()
    one.store.enable_autosave(5)

    with pytest.raises(InTransaction), one.store.transaction():
        one.store.disable_autosave()

    assert one.store.autosave_interval_s == 5.0
    assert len(savers()) == 1


@pytest.mark.parametrize("call", ["disable_autosave", "close"])
@pytest.mark.parametrize("event", ["on_save", "on_error"])
def test_a_callback_in_the_background_may_end_it(paced, call, event):
    one = paced()
    done, raised = threading.Event(), []

    def end(news):
        one.notes.delete("bad") if "bad" in one.notes else one.notes.create(id="late")
        try:
            getattr(one.store, call)()
        except Exception as error:  # noqa: BLE001 # looked at below
            raised.append(error)
        done.set()

    getattr(one.store, event)(end)
    one.notes.create(id="bad" if event == "on_error" else "a")
    if event == "on_error":
        one.notes.update("bad", text="\ud800")
    one.store.enable_autosave(5)
    one.turns[0]._orders.put(False)

    assert done.wait(LIMIT_S)
    for thread in savers():
        thread.join(LIMIT_S)
    assert (raised, savers(), one.store.autosave_interval_s) == ([], [], None)
    with Store(one.store.path, read_only=True) as store:
        found = {stored.key.id for stored in store.scan("notes")}
    assert found == ({"a", "late"} if event == "on_save" else set())


def test_a_callback_in_the_background_may_change_the_interval(paced):
    one = paced()
    changed = threading.Event()

    def change(report):
        one.store.enable_autosave(7)
        changed.set()

    handle = one.store.on_save(change)
    one.notes.create(id="a")
    one.store.enable_autosave(5)
    one.turns[0]._orders.put(False)
    assert changed.wait(LIMIT_S)
    handle.cancel()

    one.notes.create(id="b")
    one.pass_()

    assert one.store.autosave_interval_s == 7.0
    assert one.stored() == {"a": "", "b": ""}
    one.store.disable_autosave()
    assert savers() == []


@pytest.mark.parametrize(
    "interval",
    [0, -1, -0.5, 86_400.5, 10**400, float("inf"), float("nan"), "1", "5s", None, True, b"1",
     timedelta(0), timedelta(seconds=-1), timedelta(days=2), [1]],
)  # fmt: skip
def test_interval_that_is_none_is_refused_and_changes_nothing(paced, interval):
    one = paced()
    one.store.enable_autosave(5)

    with pytest.raises(ConfigurationError, match=r"interval_s: .*seconds above 0, at most 86,400"):
        one.store.enable_autosave(interval)

    assert one.store.autosave_interval_s == 5.0
    assert len(one.turns) == 1


def test_an_interval_of_next_to_nothing_keeps_no_processor_busy(paced):
    one = paced()
    one.store.enable_autosave(300e-9)

    one.pass_(2)

    assert one.store.autosave_interval_s == 300e-9
    assert set(one.turns[0].timeouts) == {0.001}


def test_a_thread_that_cannot_be_started_leaves_what_was_on(paced, monkeypatch):
    one = paced()
    one.store.enable_autosave(5)

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            one.store.enable_autosave(6)

    assert one.store.autosave_interval_s == 5.0
    one.notes.create(id="a")
    one.turns[0].pass_()
    assert one.stored() == {"a": ""}


def test_many_threads_switch_it_while_others_change_records(opened, running):
    store, notes = opened()

    def switch(number):
        for turn in range(10):
            store.enable_autosave(0.001 * (1 + (number + turn) % 3))
            if turn % 2:
                store.disable_autosave()

    def change(number):
        for turn in range(40):
            notes.create(id=f"{number}-{turn}")

    works = [running(lambda n=n: switch(n)) for n in range(4)]
    works += [running(lambda n=n: change(n)) for n in range(2)]
    for work in works:
        work.result()
    store.enable_autosave(1)
    assert len(savers()) == 1
    store.disable_autosave()

    assert savers() == []
    assert len(list(store.scan("notes"))) == 80
    assert store.unsaved == ()


# --- troubles -------------------------------------------------------------------------


def test_what_cannot_be_saved_is_told_once_and_tried_each_time(paced):
    one = paced()
    one.store.enable_autosave(5)
    one.notes.create(id="bad", text="\ud800")
    one.notes.create(id="good")

    one.pass_(4)
    assert [str(failure.key) for failure in one.failures] == ["notes/bad"]
    assert [report.items for report in one.saves] == [1]
    one.notes.create(id="more")
    one.pass_()
    assert one.stored() == {"good": "", "more": ""}
    assert [len(report.failures) for report in one.saves] == [1, 1]  # reports tell all of it
    assert len(one.failures) == 1

    one.notes.update("bad", text="mended")
    one.pass_()
    assert one.stored()["bad"] == "mended"
    one.notes.update("bad", text="\ud800")
    one.pass_(2)
    assert len(one.failures) == 2  # it was over in between


class FullDisk:
    """Fails the commits of a store, for as long as `error` is there."""

    def __init__(self, store, monkeypatch, error):
        self.error, self.tries = error, 0
        submit = store._engine.flights._submit

        def failing(changes, expect, settle):
            self.tries += 1
            if self.error is None:
                submit(changes, expect, settle)
            else:
                settle(self.error)

        monkeypatch.setattr(store._engine.flights, "_submit", failing)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (StorageError("journal", "write", errno.ENOSPC, "full"), ["notes/a", "notes/b"]),
        (LockTimeout("lock", 30.0), ["None"]),
        (ZeroDivisionError("x"), ["None"]),
    ],
    ids=lambda one: type(one).__name__,
)
def test_nothing_is_dropped_while_the_disk_is_full(paced, monkeypatch, error, told):
    one = paced()
    one.store.enable_autosave(5)
    disk = FullDisk(one.store, monkeypatch, error)

    one.notes.create(id="a")
    one.pass_(3)
    one.notes.create(id="b")
    one.pass_(3)
    assert (one.stored(), disk.tries) == ({}, 6)
    assert [str(failure.key) for failure in one.failures] == told
    assert {(failure.operation, failure.error) for failure in one.failures} == {("save", error)}
    assert one.saves == []

    disk.error = None
    one.pass_()
    assert one.stored() == {"a": "", "b": ""}
    assert len(one.saves) == 1
    disk.error = error
    one.notes.create(id="c")
    one.pass_(2)
    assert len(one.failures) == len(told) + 1


def test_a_disk_that_has_room_again_takes_all_that_was_changed_meanwhile(tmp_path, paced):
    files = FaultyFiles()
    one = paced(path="memory:", driver=DirectoryDriver(tmp_path / "full", files=files))
    one.notes.create(id="before")
    one.store.save_all()
    one.store.flush()
    one.store.enable_autosave(5)
    files.arm(1, Fail(errno.ENOSPC, torn=True), only=named("write_at", "write"), sticky=True)

    text = "x" * 500_000  # more than the journal has room for: it has to grow, and cannot
    for number in range(60):
        if number % 20 == 0:
            one.notes.create(id=str(number), text=text)
        one.pass_()
    assert set(one.store.unsaved) == {Key("notes", id) for id in ("0", "20", "40")}
    assert [str(failure.key) for failure in one.failures] == ["notes/0", "notes/20", "notes/40"]
    assert {failure.error.errno for failure in one.failures} == {errno.ENOSPC}

    files.disarm()
    one.pass_()
    assert one.store.unsaved == ()
    one.store.close()
    with Store(tmp_path / "full") as store:
        assert {stored.key.id for stored in store.scan("notes")} == {"before", "0", "20", "40"}


@pytest.mark.parametrize("error", [ValueError("broken"), SystemExit(3), KeyboardInterrupt()])
def test_a_callback_that_raises_is_told_once_and_ends_nothing(paced, error):
    one = paced()

    def raising(report):
        raise error

    handle = one.store.on_save(raising)
    one.store.enable_autosave(5)
    for id in "abc":
        one.notes.create(id=id)
        one.pass_(2)

    assert set(one.stored()) == set("abc")
    assert [(failure.key, type(failure.error)) for failure in one.failures] == [
        (None, CallbackFailed)
    ]
    handle.cancel()
    one.notes.create(id="d")
    one.pass_()
    assert one.store.unsaved == ()
    assert len(one.failures) == 1


@pytest.mark.parametrize("error", [ValueError("broken"), SystemExit(3)])
def test_a_callback_for_troubles_that_raises_itself_ends_nothing(paced, error):
    one = paced()

    def raising(news):
        raise error

    one.store.on_error(raising)
    one.store.enable_autosave(5)
    one.notes.create(id="bad", text="\ud800")
    one.pass_(3)
    one.notes.create(id="good")
    one.pass_()

    assert one.stored() == {"good": ""}


def test_conflicts_are_told_and_the_rest_is_saved(paced):
    one, other = paced(), paced()
    one.notes.create(id="a")
    one.store.save_all()
    other.store.load_all()
    other.notes.update("a", text="theirs")
    other.store.save_all()
    one.store.enable_autosave(5)
    one.notes.update("a", text="mine")
    one.notes.create(id="b")

    one.pass_(3)

    assert [str(failure.key) for failure in one.failures] == ["notes/a"]
    assert one.stored() == {"a": "theirs", "b": ""}
    assert one.store.unsaved == (Key("notes", "a"),)


# --- the end of the store -------------------------------------------------------------


def test_closing_saves_and_ends_it(paced):
    one = paced()
    one.store.enable_autosave(5)
    one.notes.create(id="a")

    one.store.close()

    assert savers() == []
    assert one.store.autosave_interval_s is None
    assert len(one.saves) == 1
    one.store.disable_autosave()
    with pytest.raises(StoreClosed):
        one.store.enable_autosave(5)
    with Store(one.store.path) as store:
        assert [stored.key.id for stored in store.scan("notes")] == ["a"]


def test_closing_saves_what_the_last_callback_has_changed(paced, running):
    one = paced()
    one.store.enable_autosave(5)
    entered, go_on = threading.Event(), threading.Event()

    def linger(report):
        entered.set()
        assert go_on.wait(LIMIT_S)
        one.notes.create(id="late")

    handle = one.store.on_save(linger)
    one.notes.create(id="a")
    one.turns[0]._orders.put(False)
    assert entered.wait(LIMIT_S)
    handle.cancel()
    closing = running(one.store.close)
    go_on.set()
    closing.result()

    with Store(one.store.path) as store:
        assert {stored.key.id for stored in store.scan("notes")} == {"a", "late"}


def test_a_store_that_is_closed_meanwhile_is_no_trouble(paced):
    one = paced()
    one.store.enable_autosave(5)
    (thread,) = savers()
    one.notes.create(id="a")

    one.store._engine.close()
    one.turns[0]._orders.put(False)
    thread.join(LIMIT_S)

    assert not thread.is_alive()
    assert one.failures == []


def test_a_block_left_by_an_exception_is_saved_where_autosave_is_on(tmp_path):
    with pytest.raises(ZeroDivisionError) as raised, Store(tmp_path, autosave=DAY_S) as store:
        store.register(Manager("notes", Note)).create(id="a")
        _ = 1 / 0

    assert getattr(raised.value, "__notes__", []) == []
    assert store.closed
    with Store(tmp_path) as store:
        assert [stored.key.id for stored in store.scan("notes")] == ["a"]


def test_what_an_exception_leaves_unsaved_is_told_beside_it(tmp_path):
    with (
        pytest.warns(RuntimeWarning, match="1 unsaved changes"),
        pytest.raises(ZeroDivisionError) as raised,
        Store(tmp_path, autosave=DAY_S) as store,
    ):
        notes = store.register(Manager("notes", Note))
        notes.create(id="good")
        notes.create(id="bad", text="\ud800")
        _ = 1 / 0

    assert "notes/bad" in "".join(raised.value.__notes__)
    with Store(tmp_path) as store:
        assert [stored.key.id for stored in store.scan("notes")] == ["good"]


def test_autosave_that_was_switched_off_saves_nothing_after_an_exception(tmp_path):
    with (
        pytest.warns(RuntimeWarning, match="1 unsaved changes"),
        pytest.raises(ZeroDivisionError),
        Store(tmp_path, autosave=DAY_S) as store,
    ):
        store.disable_autosave()
        store.register(Manager("notes", Note)).create(id="a")
        _ = 1 / 0


def test_an_interrupted_save_at_the_end_leaves_the_store_closed(tmp_path, monkeypatch):
    def interrupted(engine):
        raise KeyboardInterrupt

    monkeypatch.setattr(Engine, "save_unsaved", interrupted)
    with pytest.raises(KeyboardInterrupt), Store(tmp_path, autosave=DAY_S) as store:
        store.register(Manager("notes", Note)).create(id="a")
        _ = 1 / 0

    assert store.closed


def test_a_store_that_nobody_uses_any_more_is_let_go():
    store = Store("memory:", autosave=DAY_S)
    store.register(Manager("notes", Note)).create(id="a")
    (thread,) = savers()
    engine = weakref.ref(store._engine)

    del store
    gc.collect()

    assert engine() is None
    thread.join(LIMIT_S)
    assert not thread.is_alive()


def test_it_goes_on_while_only_a_manager_is_left():
    store = Store("memory:", autosave=0.001)
    notes = store.register(Manager("notes", Note))
    saved = SimpleQueue()
    store.on_save(saved.put)

    del store
    gc.collect()
    notes.create(id="a")

    assert saved.get(timeout=LIMIT_S).items == 1
    (thread,) = savers()
    del notes
    gc.collect()
    thread.join(LIMIT_S)


PROGRAM = """
import sys, threading
from statestore import Store
from statestore.managers import TaskManager

store = Store(sys.argv[1], autosave=float(sys.argv[2]))
tasks = store.register(TaskManager())
saved = threading.Event()
store.on_save(lambda report: saved.set())
tasks.create("One", id="one")
if float(sys.argv[2]) < 1:
    assert saved.wait(60)
print(store.autosave_interval_s, threading.active_count())
"""


@pytest.mark.parametrize(("interval", "kept"), [(0.01, ["one"]), (DAY_S, [])])
def test_a_process_that_ends_without_closing_is_not_kept_alive(tmp_path, interval, kept):
    """What was saved by then is there; the rest is not: nothing is done at the exit."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, str(tmp_path / "s"), str(interval)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )

    assert (done.returncode, done.stderr) == (0, "")
    with Store(tmp_path / "s", read_only=True) as store:
        assert [stored.key.id for stored in store.scan("tasks")] == kept


# --- forks ----------------------------------------------------------------------------


def in_child(act):
    """Run `act` in a forked child, and return the exit status: 0 where it raised nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads is the point
        pid = os.fork()
    if not pid:
        status = 1
        try:
            signal.alarm(LIMIT_S)
            act()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_forked_child_has_none_and_can_have_its_own(opened):
    store, notes = opened(autosave=DAY_S)
    notes.create(id="parent")

    def child():
        assert store.autosave_interval_s is None
        store.disable_autosave()
        saved = SimpleQueue()
        store.on_save(saved.put)
        store.enable_autosave(0.001)
        notes.create(id="child")
        assert saved.get(timeout=LIMIT_S).items == 1
        store.close()
        assert not savers()

    assert in_child(child) == 0
    assert store.autosave_interval_s == DAY_S
    assert len(savers()) == 1
    store.disable_autosave()
    assert {stored.key.id for stored in store.scan("notes")} == {"parent", "child"}


def test_a_callback_in_the_background_may_fork(paced):
    one = paced()
    status = SimpleQueue()

    def forking(report):
        def child():
            assert one.store.autosave_interval_s is None
            one.store.disable_autosave()
            # What it comes back to when the callback returns is over.
            assert threading.current_thread()._target.__self__._waiting.wait(0)

        status.put(in_child(child))

    one.store.on_save(forking)
    one.store.enable_autosave(5)
    one.notes.create(id="a")
    one.pass_()

    assert status.get(timeout=LIMIT_S) == 0
    assert one.store.autosave_interval_s == 5.0


# --- settings -------------------------------------------------------------------------


@pytest.mark.parametrize("value", [2, 2.0, timedelta(seconds=2)])
def test_the_argument_of_a_store_switches_it_on(opened, value):
    store, _ = opened(autosave=value)

    assert store.autosave_interval_s == 2.0
    assert len(savers()) == 1


def test_the_setting_of_a_store_switches_it_on_and_an_argument_overrules(tmp_path, opened):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "statestore.toml").write_text("autosave = 300")

    store, notes = opened()
    assert store.autosave_interval_s == 300.0
    notes.create(id="a")
    store.close()
    for mode in ("manual", "on-change"):
        store, notes = opened(autosave=mode)
        assert (store.autosave_interval_s, savers()) == (None, [])
        store.close()


def test_a_store_that_is_only_read_has_none(tmp_path, opened):
    opened()[0].close()
    (tmp_path / "store" / "statestore.toml").write_text("autosave = 300")

    for options in ({}, {"autosave": 5}):
        store, _ = opened(read_only=True, **options)
        assert (store.autosave_interval_s, savers()) == (None, [])
        with pytest.raises(ReadOnlyStore, match="enable autosave"):
            store.enable_autosave(5)
        store.disable_autosave()


def test_in_a_store_that_saves_on_change_it_tries_again_what_failed(paced, monkeypatch):
    one = paced(autosave="on-change")
    one.store.enable_autosave(5)
    disk = FullDisk(one.store, monkeypatch, LockTimeout("lock", 30.0))
    with pytest.raises(LockTimeout):
        one.notes.create(id="a")
    assert one.store.unsaved == (Key("notes", "a"),)
    disk.error = None

    one.pass_()

    assert one.stored() == {"a": ""}
    assert one.store.unsaved == ()
    one.store.disable_autosave()
    one.notes.create(id="b")
    assert one.store.unsaved == ()


def test_a_pause_is_over_at_its_end_and_when_the_time_is():
    pause = Pause()

    assert pause.wait(0.0) is False
    began = time.monotonic()
    pause.end()
    assert pause.wait(LIMIT_S) is True
    assert time.monotonic() - began < LIMIT_S
