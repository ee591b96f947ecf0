"""A reader that a pass overtakes, between its look at a file and what it makes of it."""

import threading
from contextlib import ExitStack, closing

import pytest

from statestore.drivers.directory import DirectoryDriver
from statestore.drivers.ledger import Ledger
from statestore.drivers.materialising import Materialiser
from statestore.drivers.reading import Reader
from statestore.journal.journal import Journal
from statestore.models.changes import Delete, Patch
from statestore.serializers import get
from statestore.testing.driver import contents, key, put


@pytest.fixture
def driver(tmp_path):
    with closing(DirectoryDriver(tmp_path / "store")) as opened:
        opened.commit([put("a", n=1)], {})
        opened.flush()
        yield opened


@pytest.fixture
def overtake(monkeypatch):
    """Do something once when a reader has found a file, before it goes on: `overtake(name, act)`.

    `name` is that of the method with which the reader goes on.
    """

    def patch(name, act):
        true, acts = getattr(Reader, name), [act]

        def go_on(self, *args):
            if acts:
                acts.pop()()
            return true(self, *args)

        monkeypatch.setattr(Reader, name, go_on)

    return patch


def commit_and_write(driver, change):
    def act():
        driver.commit([change], {})
        driver.flush()

    return act


def test_scan_does_not_take_a_file_that_was_just_replaced_for_an_edit(driver, overtake):
    overtake("_unreadable", commit_and_write(driver, put("a", n=2)))

    list(driver.scan("notes"))

    assert contents(driver) == {"a": {"id": "a", "n": 2}}
    assert [commit.source for commit in driver.changes(0)] == ["commit", "commit"]


def test_read_does_not_take_a_file_that_was_just_replaced_for_an_edit(driver, overtake):
    overtake("_merged", commit_and_write(driver, put("a", n=2)))

    driver.read(key("a"))

    assert contents(driver) == {"a": {"id": "a", "n": 2}}
    assert [commit.source for commit in driver.changes(0)] == ["commit", "commit"]


def test_revisions_go_on_without_a_gap_after_a_deletion_that_overtook_a_scan(driver, overtake):
    with driver.held_still():  # so that the file is still there
        overtake("_looked_at", lambda: driver.commit([Delete(key("a"))], {}))

        assert list(driver.scan("notes")) == []

    assert driver.commit([put("a", n=3)], {}).revisions == {key("a"): 3}
    assert contents(driver) == {"a": {"id": "a", "n": 3}}


# --- another process --------------------------------------------------------------------


@pytest.fixture
def other(driver, tmp_path):
    with closing(DirectoryDriver(tmp_path / "store")) as opened:
        yield opened


@pytest.fixture
def rotating(monkeypatch):
    """Let every pass begin a new segment, so that what it knows is all that is left."""
    monkeypatch.setattr(Journal, "wants_rotation", property(lambda self: self._segment is not None))


def created_again(tmp_path):
    with closing(DirectoryDriver(tmp_path / "store")) as again:
        return again.commit([put("a", n=9)], {}).revisions[key("a")]


@pytest.mark.parametrize("again", [False, True])
def test_scan_that_a_deletion_overtakes_misses_no_file(driver, other, overtake, monkeypatch, again):
    monkeypatch.setattr(driver._ledger._background, "_run", lambda: None)  # others write the files
    held = ExitStack()
    held.enter_context(other.held_still())
    other.commit([Patch(key("a"), {"n": 2})], {})

    def delete():
        held.close()
        other.commit([Delete(key("a"))], {})
        other.flush()
        if again:
            other.commit([put("a", n=3)], {})

    overtake("_looked_at", delete)
    found = list(driver.scan("notes"))

    assert [(one.document["n"], one.revision) for one in found] == ([(3, 4)] if again else [])


def test_revisions_go_on_after_a_deletion_that_overtook_a_conversion(
    driver, other, tmp_path, rotating, monkeypatch
):
    true = Ledger.write_files

    def write_files(self):
        upto = true(self)
        other.commit([Delete(key("a"))], {})
        self.catch_up()  # the deletion is known here, and the file is there
        return upto

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "write_files", write_files)
        driver.rewrite("notes", get("yaml"))
    driver.flush()
    other.close()
    driver.close()  # the last one says what is left

    assert created_again(tmp_path) == 3


def test_revisions_go_on_after_a_deletion_that_overtook_a_pass(
    driver, other, tmp_path, rotating, monkeypatch
):
    true, done = Materialiser.write, threading.Event()

    def write(self, folds):
        if folds and not done.is_set():
            done.set()
            true(self, folds)  # as somebody else has who died before he could say so
            other.commit([Delete(key("a"))], {})
            driver.catch_up()
        return true(self, folds)

    monkeypatch.setattr(Materialiser, "write", write)
    driver.commit([put("a", n=2)], {})
    assert done.wait(20)
    driver.flush()
    other.close()
    driver.close()  # the last one says what is left

    assert created_again(tmp_path) == 4
