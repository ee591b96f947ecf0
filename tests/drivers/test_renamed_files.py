"""Files that another process gives another name, in the moment in which they are looked for."""

import os
from contextlib import closing

import pytest

from statestore.drivers.directory import DirectoryDriver
from statestore.files.folders import Folder
from statestore.models.changes import Delete
from statestore.serializers import get
from statestore.testing.driver import contents, key, put


@pytest.fixture
def other(tmp_path):
    """Another process, which has written one record as YAML."""
    with closing(DirectoryDriver(tmp_path / "store", format="yaml")) as opened:
        opened.commit([put("a", n=1)], {})
        opened.flush()
        yield opened


@pytest.fixture
def driver(tmp_path, other):
    with closing(DirectoryDriver(tmp_path / "store")) as opened:
        yield opened


@pytest.fixture
def renamed_in_between(other, monkeypatch):
    """Let the other process write it as JSON just when it was seen that there is no such file."""
    true, done = Folder.mark, []

    def mark(self, name):
        found = true(self, name)
        if name == "a.json" and found is None and not done:
            done.append(name)
            other.rewrite("notes", get("json"))
        return found

    monkeypatch.setattr(Folder, "mark", mark)
    yield
    assert done


def test_read_finds_it(driver, renamed_in_between):
    assert driver.read(key("a")).document["n"] == 1


def test_deletion_deletes_it(driver, renamed_in_between):
    commit = driver.commit([Delete(key("a"))], {})

    assert commit.revisions == {key("a"): 2}
    assert contents(driver) == {}


def test_change_of_it_goes_on_from_its_revision(driver, renamed_in_between):
    commit = driver.commit([put("a", n=2)], {key("a"): 1})

    assert commit.revisions == {key("a"): 2}
    assert contents(driver) == {"a": {"id": "a", "n": 2}}


@pytest.fixture
def many(tmp_path, other):
    """More files than the system lists in one call, and a record of each."""
    other.commit([put(f"r{number:03}") for number in range(300)], {})
    other.flush()
    os.utime(tmp_path / "store" / "notes", (1, 1))  # as if nothing had happened for long


@pytest.fixture
def renamed_in_a_listing(other, monkeypatch):
    """Let a listing end without a file that was renamed from what it had still to what it had."""
    true, done = Folder.names, []

    def names(self):
        found = true(self)
        if self.path.endswith("notes") and not done:
            done.append(found.remove("a.yaml"))
            other.rewrite("notes", get("json"))
        return found

    monkeypatch.setattr(Folder, "names", names)
    yield
    assert done


def test_scan_of_many_misses_none(driver, many, renamed_in_a_listing):
    assert len(contents(driver)) == 301


def test_save_of_many_misses_none(driver, many, renamed_in_a_listing):
    keys = [key("a"), *(key(f"r{number:03}") for number in range(300))]

    commit = driver.commit([Delete(one) for one in keys], dict.fromkeys(keys, 1))

    assert commit.revisions == dict.fromkeys(keys, 2)
