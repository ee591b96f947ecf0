"""Saves of many threads at once: shared commits, shared failures, and interruptions."""

import threading

import attrs
import pytest

from statestore import Conflict, Manager, ReadOnlyStore, SaveFailed, StorageError, Store
from statestore.drivers.memory import MemoryDriver
from statestore.engine.flights import Flight, Flights
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


def contents(driver, kind="notes"):
    return {one.key.id: one.document["text"] for one in driver.scan(kind)}


# --- sharing --------------------------------------------------------------------------


def test_saves_of_many_threads_go_together(driver, over, running):
    store = over(driver, save_on_change=True)
    notes = store.register(Manager("notes", Note))
    for number in range(8):
        notes.create(id=str(number))
    driver.gate.clear()
    driver.batches.clear()
    driver.forget_queued()

    # The first one may take others' changes with it; what is changed later needs its own commit.
    threads = [running(lambda n=n: notes.update(str(n), text="new")) for n in range(8)]
    driver.wait_queued()
    assert all(thread.is_alive() for thread in threads)
    store.unsaved  # nothing that only reads waits  # noqa: B018
    driver.gate.set()
    for thread in threads:
        thread.result()

    assert contents(driver) == {str(n): "new" for n in range(8)}
    assert sum(driver.batches) <= 8
    assert store.unsaved == ()


def test_saves_that_were_queued_are_one_batch(driver, over, running):
    store = over(driver, save_on_change=True)
    kinds = [store.register(Manager(f"notes{n}", Note)) for n in range(6)]
    driver.gate.clear()

    threads = [running(lambda notes=notes: notes.create(id="a")) for notes in kinds]
    driver.wait_queued(6)
    driver.gate.set()
    for thread in threads:
        thread.result()

    assert driver.batches == [6]


def test_save_waits_for_what_another_is_saving(driver, over, running):
    store = over(driver)
    notes = store.register(Manager("notes", Note))
    notes.create(id="a")
    driver.gate.clear()
    first = running(store.save_all)
    driver.wait_queued()
    second = running(store.save_all)
    second.join(0.05)
    assert second.is_alive()

    driver.gate.set()

    assert (first.result().items, first.result().sequence) == (1, 1)
    assert (second.result().items, second.result().sequence) == (0, 1)
    assert driver.sequence == 1


def test_record_changed_while_it_is_on_its_way_is_saved_by_the_next_save(driver, over, running):
    store = over(driver)
    notes = store.register(Manager("notes", Note))
    notes.create(id="a", text="1")
    driver.gate.clear()
    first = running(store.save_all)
    driver.wait_queued()
    notes.update("a", text="2")
    second = running(store.save_all)

    driver.gate.set()
    first.result()

    assert second.result().items == 1
    assert contents(driver) == {"a": "2"}
    assert store.unsaved == ()
    assert notes.revision("a") == 2


def test_save_does_not_pursue_what_changes_after_it_began(driver, over, running):
    store = over(driver)
    notes = store.register(Manager("notes", Note))
    notes.create(id="a", text="1")
    driver.gate.clear()
    save = running(store.save_all)
    driver.wait_queued()
    notes.update("a", text="2")
    notes.create(id="b")

    driver.gate.set()

    assert save.result().items == 1
    assert sorted(notes.unsaved) == ["a", "b"]


@pytest.mark.parametrize("make", [Note, Board], ids=["frozen", "mutable"])
def test_failure_of_anothers_commit_is_tried_again(driver, over, running, make):
    store = over(driver)
    notes = store.register(Manager("notes", make))
    heard = []
    store.on_error(heard.append)
    notes.create(id="a", text="x")
    driver.gate.clear()
    driver.answers = [FULL]
    first = running(store.save_all)
    driver.wait_queued()
    second = running(store.save_all)
    second.join(0.05)

    driver.gate.set()

    with pytest.raises(SaveFailed, match="notes/a"):
        first.result()
    assert second.result().items == 1
    assert contents(driver) == {"a": "x"}
    assert [failure.error for failure in heard] == [FULL]
    assert store.unsaved == ()


def test_failure_that_stays_is_told_by_each_save_for_itself(driver, over, running):
    store = over(driver)
    notes = store.register(Manager("notes", Note))
    heard = []
    store.on_error(heard.append)
    notes.create(id="a")
    driver.gate.clear()
    driver.answers = [FULL, FULL]
    saves = [running(store.save_all)]
    driver.wait_queued()
    saves.append(running(store.save_all))
    saves[1].join(0.05)

    driver.gate.set()

    for save in saves:
        with pytest.raises(SaveFailed) as raised:
            save.result()
        assert [str(failure.key) for failure in raised.value.failures] == ["notes/a"]
    assert len(heard) == 2
    assert store.unsaved == (Key("notes", "a"),)


def test_refused_record_is_left_out_and_the_rest_goes(driver, over):
    store = over(driver)
    notes = store.register(Manager("notes", Note))
    heard = []
    store.on_error(heard.append)
    driver.commit([Put(Key("notes", "bad"), {"id": "bad", "text": "theirs"})], {})
    for id in ("a", "bad", "c"):
        notes.create(id=id, text="mine")

    report = store.save_all(strict=False)

    assert report.items == 2
    assert [(str(one.key), type(one.error)) for one in report.failures] == [("notes/bad", Conflict)]
    assert heard == list(report.failures)
    assert contents(driver) == {"a": "mine", "bad": "theirs", "c": "mine"}
    assert notes.unsaved == ("bad",)


def test_on_change_does_not_wait_for_records_of_others(driver, over, running):
    store = over(driver, save_on_change=True)
    notes = store.register(Manager("notes", Note))
    driver.gate.clear()
    other = running(lambda: notes.create(id="other"))
    driver.wait_queued()
    mine = running(lambda: notes.create(id="mine"))
    driver.wait_queued()
    driver.answers = [FULL, None]

    driver.gate.set()

    with pytest.raises(SaveFailed, match="notes/other"):
        other.result()
    assert mine.result() == Note("mine")
    assert contents(driver) == {"mine": ""}
    notes.update("mine", text="x")  # takes along what could not be saved before
    assert contents(driver) == {"mine": "x", "other": ""}


def test_load_waits_for_what_is_being_saved(driver, over, running):
    store = over(driver)
    notes = store.register(Manager("notes", Note))
    notes.create(id="a", text="x")
    driver.gate.clear()
    save = running(store.save_all)
    driver.wait_queued()
    load = running(store.load_all)
    load.join(0.05)
    assert load.is_alive()

    driver.gate.set()
    save.result()

    assert load.result().items == 1
    assert load.result().kept == ()
    assert notes["a"].text == "x"


def test_clear_takes_what_is_being_saved(driver, over, running):
    store = over(driver)
    notes = store.register(Manager("notes", Note))
    notes.create(id="a")
    driver.gate.clear()
    save = running(store.save_all)
    driver.wait_queued()
    clear = running(store.clear)

    driver.gate.set()
    save.result()

    assert clear.result().deleted == 1
    assert contents(driver) == {}
    assert len(notes) == 0


def test_what_concerns_the_whole_store_is_raised(driver, over):
    store = over(driver)
    store.register(Manager("notes", Note)).create(id="a")
    driver.answers = [ReadOnlyStore("memory:", "save")]

    with pytest.raises(ReadOnlyStore):
        store.save_all()


def test_threads_that_share_a_record_lose_nothing(driver, over, running):
    store = over(driver, save_on_change=True)
    notes = store.register(Manager("notes", Note))
    notes.create(id="shared")

    def work(number):
        for turn in range(20):
            notes._modify("shared", lambda old: attrs.evolve(old, text=old.text + f"{number} "))
            text = store.raw("notes/shared")["text"]
            assert text.split().count(str(number)) == turn + 1
            notes.create(id=f"{number}-{turn}")

    for thread in [running(lambda n=n: work(n)) for n in range(8)]:
        thread.result()

    stored = contents(driver)
    assert sorted(stored.pop("shared").split()) == sorted(
        str(n) for n in range(8) for _ in range(20)
    )
    assert len(stored) == 160
    assert store.unsaved == ()


# --- drivers that cannot queue --------------------------------------------------------


def test_commit_of_the_main_thread_is_made_by_another(monkeypatch, running):
    seen = []
    commit = MemoryDriver.commit

    def noting(self, changes, expect):
        seen.append(threading.get_ident())
        return commit(self, changes, expect)

    monkeypatch.setattr(MemoryDriver, "commit", noting)
    with Store("memory:") as store:
        notes = store.register(Manager("notes", Note))
        notes.create(id="a")
        store.save_all()
        notes.create(id="b")
        other = running(lambda: (store.save_all(), threading.get_ident()))
        _, ident = other.result()

    assert threading.get_ident() not in seen
    assert seen[-1] == ident


def test_whatever_a_driver_raises_reaches_who_saves(monkeypatch):
    def fail(self, changes, expect):
        raise ZeroDivisionError

    with Store("memory:") as store:
        notes = store.register(Manager("notes", Note))
        notes.create(id="a")
        with monkeypatch.context() as patch:
            patch.setattr(MemoryDriver, "commit", fail)
            with pytest.raises(ZeroDivisionError):
                store.save_all()
        assert notes.unsaved == ("a",)
        assert store.save_all().items == 1


# --- interruptions --------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("by", ["same", "other"])
def test_interrupted_while_the_driver_takes_it(driver, over, running, moment, by):
    store = over(driver)
    notes = store.register(Manager("notes", Note))
    notes.create(id="a", text="x")
    driver.interrupt = moment
    driver.gate.clear()
    with pytest.raises(KeyboardInterrupt):
        store.save_all()

    save = running(store.save_all) if by == "other" else None
    driver.gate.set()
    report = save.result() if save else store.save_all()

    assert contents(driver) == {"a": "x"}
    assert report.items == (1 if moment == "before" else 0)
    assert store.unsaved == ()
    assert notes.revision("a") == 1


@pytest.mark.parametrize("step", ["announce", "send"])
def test_interrupted_before_it_was_sent(driver, over, monkeypatch, step):
    store = over(driver)
    notes = store.register(Manager("notes", Note))
    notes.create(id="a", text="x")

    original = getattr(Flights, step)

    def interrupted(self, *args):
        if step == "announce":
            original(self, *args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Flights, step, interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.save_all()

    assert store.load_all().kept == (Key("notes", "a"),)  # and it does not wait for ever
    assert store.save_all().items == 1
    assert contents(driver) == {"a": "x"}


def test_commit_is_booked_when_nobody_waits_any_more(driver, over, monkeypatch):
    store = over(driver)
    notes = store.register(Manager("notes", Note))
    notes.create(id="a", text="x")
    driver.gate.clear()

    def interrupted(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Flight, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.save_all()
    assert notes.unsaved == ("a",)

    driver.gate.set()
    assert store.save_all().items == 0

    assert notes.unsaved == ()
    assert contents(driver) == {"a": "x"}
