"""What the directory driver asks of the disk: cost as a part of the contract."""

from collections import Counter

import pytest

from statestore.models.changes import Delete
from statestore.testing.driver import INVALID_IDS, contents, key, patch, put, refused
from statestore.testing.faulty import FaultyFiles

COUNT = 20
IDS = [f"r{n}" for n in range(COUNT)]


@pytest.fixture
def files():
    return FaultyFiles()


@pytest.fixture
def driver(opened, files):
    before = opened()
    before.commit([put(id, n=1) for id in IDS], {})
    before.close()
    driver = opened(files=files)
    files.calls.clear()
    return driver


def opened_files(files):
    return Counter(
        call.path.rpartition("/")[2]
        for call in files.calls
        if call.name == "open" and call.path.endswith(".json")
    )


def count(files, name):
    return sum(call.name == name for call in files.calls)


def test_scan_reads_each_file_once(driver, files):
    assert len(list(driver.scan("notes"))) == COUNT

    assert opened_files(files) == {f"{id}.json": 1 for id in IDS}
    assert count(files, "read") == 2 * COUNT  # its bytes, and its end
    assert count(files, "names") == 1


def test_scan_holds_one_record_at_a_time(driver, files):
    scan = driver.scan("notes")

    next(scan)
    next(scan)

    assert len(opened_files(files)) == 2


def test_read_opens_one_file(driver, files):
    driver.read(key("r7"))

    assert opened_files(files) == {"r7.json": 1}
    assert count(files, "names") == 0


def test_save_of_one_record_reads_no_file(driver, files, root):
    contents(driver)
    files.calls.clear()

    driver.commit([put("r7", n=2)], {key("r7"): 1})

    assert opened_files(files) == {}
    assert count(files, "read") == count(files, "names") == 0
    journal = f"{root}/.statestore/journal/"
    own = [call for call in files.calls if not call.path.startswith(f"{root}/.statestore/")]
    assert [call.name for call in own if call.name in ("rename", "sync")] == [
        *("sync", "rename", "sync")  # the file and its folder
    ]
    first = next(call for call in own if call.name == "sync")
    acknowledged = files.calls[: files.calls.index(first)]
    assert any(
        call.name in ("sync", "sync_data") and call.path.startswith(journal)
        for call in acknowledged
    )


def test_commit_in_a_segment_that_is_begun_is_one_write_and_one_sync(opened, files, root):
    driver = opened(files=files, materialize="background")
    driver.commit([put("r7", n=1)], {})
    driver.flush()
    files.calls.clear()

    driver.commit([put("r7", n=2)], {key("r7"): 1})
    made = [
        call.name for call in files.calls if call.path.startswith(f"{root}/.statestore/journal/")
    ]

    assert made == ["status", "write_at", "sync_data"]  # is it still the one at its path?


def test_save_and_delete_of_many_sync_their_folder_once(driver, files):
    contents(driver)
    files.calls.clear()

    driver.commit([*(put(id, n=2) for id in IDS[:9]), *(Delete(key(id)) for id in IDS[9:])], {})

    made = [call.name for call in files.changing() if call.path.endswith(("/notes", ".json"))]
    # Once when the new files have their names, and once when those that are deleted are gone.
    assert made.count("unlink") == COUNT - 9
    assert [name for name in made if name in ("sync", "unlink")][-COUNT:] == [
        *("sync", *["unlink"] * (COUNT - 9), "sync")
    ][-COUNT:]
    folder = [call for call in files.calls if call.name == "sync" and call.path.endswith("notes")]
    assert len(folder) == 2
    assert count(files, "read") == 0


def test_save_of_what_was_not_read_reads_only_that(driver, files):
    driver.commit([put("r7", n=2)], {key("r7"): 1})

    assert opened_files(files) == {"r7.json": 1}


def test_patch_reads_only_its_record(driver, files):
    contents(driver)
    files.calls.clear()

    driver.commit([patch("r7", n=2)], {key("r7"): 1})

    assert opened_files(files) == {"r7.json": 1}


def test_refused_save_changes_nothing_on_the_disk(driver, files):
    contents(driver)
    files.calls.clear()

    refused(driver, [put("r7", n=2), put("r8", n=float("nan")), put("new", "tasks")], {})

    assert files.changing() == []


@pytest.mark.parametrize("id", INVALID_IDS, ids=lambda id: ascii(id)[:20])
def test_invalid_id_reaches_no_file(driver, files, root, id):
    refused(driver, [put(id)], {})

    assert files.changing() == []
    assert {(call.name, call.path) for call in files.calls} == {
        ("status_of", str(root / ".statestore" / "lock")),  # whether the store is in its place
        ("lock", str(root / ".statestore" / "lock")),
        (
            "read_at",
            str(root / ".statestore" / "lock"),
        ),  # what others have committed, and who it is
    }
