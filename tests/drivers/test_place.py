"""The place of a store changes while it is open: folders go, come and are replaced."""

import os
import shutil

import pytest

from statestore.drivers.directory import DirectoryDriver
from statestore.errors import Conflict, StorageError, StoreReplaced, UnsafeFile
from statestore.models.changes import Delete
from statestore.testing.driver import contents, key, put, refused


def test_link_to_a_store_is_followed(opened, root, tmp_path):
    opened().commit([put("a", n=1)], {})
    (tmp_path / "link").symlink_to(root)

    driver = opened(tmp_path / "link")
    driver.commit([put("a", n=2)], {key("a"): 1})

    assert driver.path == str(root)
    assert contents(opened()) == {"a": {"id": "a", "n": 2}}


def test_link_that_is_turned_does_not_move_an_open_store(opened, root, tmp_path):
    opened().close()
    link = tmp_path / "link"
    link.symlink_to(root)
    driver = opened(link)
    link.unlink()
    (tmp_path / "other").mkdir()
    link.symlink_to(tmp_path / "other")

    driver.commit([put("a")], {})

    assert contents(opened()) == {"a": {"id": "a"}}
    assert os.listdir(tmp_path / "other") == []


def test_file_in_place_of_a_store_is_refused(root):
    root.write_text("mine")

    with pytest.raises(UnsafeFile):
        DirectoryDriver(root)
    with pytest.raises((UnsafeFile, StorageError)):
        DirectoryDriver(root / "below")
    assert root.read_text() == "mine"


@pytest.mark.parametrize("how", ["removed", "replaced", "moved"])
def test_root_that_went_away_takes_no_commit(opened, root, tmp_path, how):
    driver = opened()
    driver.commit([put("a", n=1)], {})
    if how == "removed":
        shutil.rmtree(root)
    else:
        os.rename(root, tmp_path / "moved")
    if how == "replaced":
        root.mkdir(mode=0o700)

    for changes in ([put("a", n=2)], [put("b")], [Delete(key("a"))]):
        with pytest.raises(StoreReplaced, match=rf"its folder was {how}") as raised:
            driver.commit(changes, {})
        assert raised.value.path == str(root)

    assert not root.exists() if how != "replaced" else os.listdir(root) == []
    if how != "removed":
        assert contents(opened(tmp_path / "moved")) == {"a": {"id": "a", "n": 1}}


def test_root_that_came_back_takes_commits_again(opened, root, tmp_path):
    driver = opened()
    driver.commit([put("a", n=1)], {})
    os.rename(root, tmp_path / "moved")
    with pytest.raises(StoreReplaced):
        driver.commit([put("a", n=2)], {key("a"): 1})
    os.rename(tmp_path / "moved", root)

    driver.commit([put("a", n=2)], {key("a"): 1})

    assert contents(opened()) == {"a": {"id": "a", "n": 2}}


def test_removed_folder_of_a_kind_is_made_again(opened, root):
    driver = opened()
    driver.commit([put("a", n=1)], {})
    shutil.rmtree(root / "notes")

    assert contents(driver) == {}
    assert isinstance(refused(driver, [put("a", n=2)], {key("a"): 1})[key("a")], Conflict)
    driver.commit([put("a", n=2)], {key("a"): 0})

    assert contents(driver) == contents(opened()) == {"a": {"id": "a", "n": 2}}


def test_replaced_folder_of_a_kind_is_the_one_that_counts(opened, root, tmp_path):
    driver = opened()
    driver.commit([put("a", n=1), put("b", n=1)], {})
    shutil.copytree(root / "notes", root / "copy")
    os.rename(root / "notes", tmp_path / "away")
    os.rename(root / "copy", root / "notes")
    (root / "notes" / "b.json").unlink()

    assert contents(driver) == {"a": {"id": "a", "n": 1}}
    driver.commit([put("a", n=2)], {key("a"): 1})

    assert contents(opened()) == {"a": {"id": "a", "n": 2}}
    assert b'"n": 1' in (tmp_path / "away" / "a.json").read_bytes()


def test_folder_of_a_kind_that_became_a_link_is_refused(opened, root, tmp_path):
    driver = opened()
    driver.commit([put("a", n=1)], {})
    os.rename(root / "notes", tmp_path / "away")
    (root / "notes").symlink_to(tmp_path / "away")

    assert isinstance(refused(driver, [put("a", n=2)], {})[key("a")], UnsafeFile)
    assert b'"n": 1' in (tmp_path / "away" / "a.json").read_bytes()


def test_folder_that_is_replaced_during_a_scan_mixes_nothing(opened, root, tmp_path):
    driver = opened()
    driver.commit([put(id, n=1) for id in "abc"], {})
    scan = driver.scan("notes")
    first = next(scan)
    os.rename(root / "notes", tmp_path / "away")
    driver.commit([put("a", n=2)], {})

    rest = list(scan)

    assert first.document["n"] == 1
    assert all(getattr(one, "document", {"n": 1})["n"] == 1 for one in rest)


def test_two_drivers_on_one_store_see_each_other(opened):
    one, other = opened(), opened()
    one.commit([put("a", n=1)], {key("a"): 0})

    assert contents(other) == {"a": {"id": "a", "n": 1}}
    other.commit([put("a", n=2)], {key("a"): 1})

    assert isinstance(refused(one, [put("a", n=3)], {key("a"): 1})[key("a")], Conflict)
    assert one.read(key("a")).revision == 2
    one.commit([Delete(key("a"))], {key("a"): 2})
    assert contents(other) == {}


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_journal_that_went_away_takes_no_commit(opened, root, tmp_path, how):
    driver = opened()
    driver.commit([put("a", n=1)], {})
    (segment,) = (root / ".statestore" / "journal").iterdir()
    if how == "removed":
        shutil.rmtree(segment.parent)
    else:  # as tools do that copy a file beside it first
        shutil.copy(segment, tmp_path / "copy")
        os.replace(tmp_path / "copy", segment)

    for _ in range(2):
        with pytest.raises(StoreReplaced, match="its journal was removed or replaced"):
            driver.commit([put("a", n=2)], {})
    assert contents(driver) == {"a": {"id": "a", "n": 1}}
