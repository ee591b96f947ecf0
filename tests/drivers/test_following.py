"""Readers see what is committed, whoever committed it, and whether its files are written or not."""

import os
import shutil
import threading
from contextlib import closing

import pytest

from statestore.drivers.directory import DirectoryDriver
from statestore.errors import StoreReplaced
from statestore.files.folders import Folder
from statestore.models.changes import Delete, Put
from statestore.testing.driver import contents, key, put


def test_record_can_be_put_twice_in_the_commit_after_its_deletion(tmp_path):
    driver = DirectoryDriver(tmp_path / "store")
    with closing(driver), driver.held_still():  # so that no file is written meanwhile
        driver.commit([put("a", n=1)], {})
        driver.commit([Delete(key("a"))], {})

        commit = driver.commit(
            [Put(key("a"), {"id": "a", "n": 2}, 1, {"later": 1}), put("a", n=3)], {}
        )

        stored = driver.read(key("a"))
    assert (stored.document["n"], dict(stored.extra)) == (3, {"later": 1})
    assert commit.revisions == {key("a"): 3}


def test_scan_and_read_see_what_another_process_has_committed_and_not_written(tmp_path):
    one, other = (DirectoryDriver(tmp_path / "store") for _ in range(2))
    reader = DirectoryDriver(tmp_path / "store", read_only=True)
    with closing(one), closing(other), closing(reader), one.held_still():
        for number in range(3):
            other.commit([put("a", n=number), put("b", f"kind{number}")], {})

            for driver in (one, reader):
                assert contents(driver) == {"a": {"id": "a", "n": number}}
                assert driver.read(key("a")).revision == number + 1
                assert f"kind{number}" in driver.kinds()
                assert driver.sequence == number + 1

        other.commit([Delete(key("a"))], {})
        assert contents(one) == contents(reader) == {}


def test_reader_sees_files_that_are_newer_than_the_commits_it_knows(tmp_path):
    writer = DirectoryDriver(tmp_path / "store")
    with closing(writer):
        with writer.held_still():
            writer.commit([put("a", n=0)], {})
            reader = DirectoryDriver(tmp_path / "store", read_only=True)
        with closing(reader):
            for number in range(1, 4):
                writer.commit([put("a", n=number)], {})
                writer.flush()

                assert contents(reader) == {"a": {"id": "a", "n": number}}
                assert reader.read(key("a")).document["n"] == number


def test_edits_come_in_their_place_in_a_scan(tmp_path):
    with closing(DirectoryDriver(tmp_path / "store", materialize="now")) as driver:
        driver.commit([put(id) for id in "abcd"], {})
        for id in "bd":
            os.utime(tmp_path / f"store/notes/{id}.json")
    with closing(DirectoryDriver(tmp_path / "store")) as driver:
        found = list(driver.scan("notes"))

        assert [(one.key.id, one.revision) for one in found] == [
            *(("a", 1), ("b", 2), ("c", 1), ("d", 2))
        ]
        [commit] = driver.changes(1)
        assert commit.source == "external"
        assert commit.revisions == {key("b"): 2, key("d"): 2}


def test_close_after_the_folder_is_gone_is_no_error_when_no_file_is_behind(tmp_path):
    driver = DirectoryDriver(tmp_path / "store")
    driver.commit([put("a")], {})
    driver.flush()
    shutil.rmtree(tmp_path / "store")

    driver.close()


def test_close_tells_of_files_that_are_behind_when_the_folder_is_gone(tmp_path):
    driver = DirectoryDriver(tmp_path / "store")
    with driver.held_still():
        driver.commit([put("a")], {})
        os.rename(tmp_path / "store", tmp_path / "moved")

    with pytest.raises(StoreReplaced):
        driver.close()

    with closing(DirectoryDriver(tmp_path / "moved")) as driver:
        assert contents(driver) == {"a": {"id": "a"}}


def test_record_that_is_deleted_while_its_file_is_written_keeps_its_revisions(
    tmp_path, monkeypatch
):
    true = Folder.write_temporary
    writing, go_on = threading.Event(), threading.Event()

    def write_temporary(self, name, *args, **more):
        if name == "a.json":
            writing.set()
            assert go_on.wait(20)
        return true(self, name, *args, **more)

    monkeypatch.setattr(Folder, "write_temporary", write_temporary)
    with closing(DirectoryDriver(tmp_path / "store")) as driver:
        driver.commit([put("a", n=1)], {})
        assert writing.wait(20)
        driver.commit([Delete(key("a"))], {})
        go_on.set()
        driver.flush()

        assert driver.commit([put("a", n=2)], {}).revisions == {key("a"): 3}
        driver.commit([Delete(key("a"))], {})
    with closing(DirectoryDriver(tmp_path / "store")) as driver:
        assert driver.commit([put("a", n=3)], {}).revisions == {key("a"): 5}


@pytest.mark.parametrize("there", [".statestore", "notes"])
def test_reader_that_came_before_the_store_was_made_sees_it_all_the_same(tmp_path, there):
    root = tmp_path / "store"
    (root / there).mkdir(0o700, parents=True)
    root.chmod(0o700)
    # A folder of a kind that is known makes it a store, though nothing else is there yet.
    (root / "tasks").mkdir(0o700)
    reader = DirectoryDriver(root, read_only=True)
    with closing(reader):
        assert reader.catch_up() == 0
        writer = DirectoryDriver(root)
        with closing(writer), writer.held_still():
            writer.commit([put("a", n=1)], {})

            assert reader.catch_up() == 1
            assert contents(reader) == {"a": {"id": "a", "n": 1}}
            assert reader.store_id == writer.store_id
            writer.commit([put("a", n=2)], {})
            assert contents(reader) == {"a": {"id": "a", "n": 2}}
