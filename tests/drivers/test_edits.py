"""Edits by people: each becomes a commit of its own, and none is written over unseen."""

import errno
import json
import os
import time

import pytest

from statestore.errors import CommitRefused, Conflict, RecordNotFound, UndecodableRecord
from statestore.models.changes import Delete, Stored
from statestore.models.reports import Failure
from statestore.serializers import get
from statestore.testing.driver import contents, key, patch, put, refused
from statestore.testing.faulty import Fail, FaultyFiles, below, named


def quiet(driver):
    """Let a driver write no file until it is asked to."""
    driver.flush()
    driver._ledger._maker._committed = lambda: None
    return driver


def edit(path, **fields):
    """Change the data of a record as a person does: revision and saved_at stay."""
    envelope = json.loads(path.read_bytes())
    envelope["data"].update(fields)
    path.write_text(json.dumps(envelope))


def sources(driver, after=0):
    return [(one.source, list(one.revisions.values())) for one in driver.changes(after)]


@pytest.fixture
def driver(opened):
    driver = quiet(opened(materialize="background"))
    driver.commit([put("a", n=1, items=[1]), put("b", n=1)], {})
    driver.flush()
    return driver


@pytest.fixture
def path(root, driver):
    return root / "notes" / "a.json"


@pytest.mark.parametrize("way", ["read", "scan"])
def test_edit_is_adopted_as_a_commit_when_it_is_read(driver, path, way):
    edit(path, n=2)

    stored = driver.read(key("a")) if way == "read" else next(iter(driver.scan("notes")))

    assert (stored.document["n"], stored.revision) == (2, 2)
    assert sources(driver, 1) == [("external", [2])]
    driver.flush()
    envelope = json.loads(path.read_bytes())
    assert (envelope["revision"], envelope["data"]["n"]) == (2, 2)
    assert driver.read(key("a")).revision == 2
    assert driver.sequence == 2


def test_many_edits_are_one_commit(driver, path, root):
    edit(path, n=2)
    edit(root / "notes" / "b.json", n=3)

    assert {id: one["n"] for id, one in contents(driver).items()} == {"a": 2, "b": 3}
    assert sources(driver, 1) == [("external", [2, 2])]


def test_edit_before_a_save_is_a_conflict_for_who_did_not_see_it(driver, path):
    edit(path, n=2)

    error = refused(driver, [put("a", n=9)], {key("a"): 1})[key("a")]

    assert isinstance(error, Conflict)
    assert (error.expected, error.found) == (1, 2)
    assert driver.read(key("a")).document["n"] == 2
    assert driver.commit([put("a", n=3)], {key("a"): 2}).revisions == {key("a"): 3}
    assert sources(driver, 1) == [("external", [2]), ("commit", [3])]


def test_save_without_expectation_goes_on_top_of_the_edit(driver, path):
    edit(path, n=2)

    assert driver.commit([patch("a", m=1)], {}).revisions == {key("a"): 3}
    assert driver.read(key("a")).document == {"id": "a", "n": 2, "items": [1], "m": 1}
    assert sources(driver, 1) == [("external", [2]), ("commit", [3])]


def test_delete_of_an_edited_record_keeps_its_history(driver, path):
    edit(path, n=2)

    driver.commit([Delete(key("a"))], {})

    assert sources(driver, 1) == [("external", [2]), ("commit", [3])]


@pytest.mark.parametrize("change", [put("a", n=3), patch("a", n=3), Delete(key("a"))], ids=repr)
def test_edit_during_a_pending_write_is_kept_in_quarantine(driver, path, root, change):
    driver.commit([change], {})
    edit(path, n=777)

    driver.flush()

    kept = [one for one in (root / "quarantine" / "notes").iterdir() if "why" not in one.name]
    assert [json.loads(one.read_bytes())["data"]["n"] for one in kept] == [777]
    why = json.loads(kept[0].with_name(kept[0].name + ".why.json").read_bytes())
    assert why["from"] == "notes/a.json"
    assert "edited" in why["why"]


def test_edit_during_a_pending_write_does_not_change_what_is_committed(driver, path):
    driver.commit([put("a", n=3)], {})
    edit(path, n=777)

    assert driver.read(key("a")).document["n"] == 3
    driver.flush()
    assert json.loads(path.read_bytes())["data"]["n"] == 3


def test_file_removed_by_hand_is_no_deletion(driver, path, opened):
    path.unlink()

    with pytest.raises(RecordNotFound):
        driver.read(key("a"))
    assert sources(driver, 1) == []
    error = refused(driver, [put("a", n=9)], {key("a"): 1})[key("a")]
    assert (error.expected, error.found) == (1, 0)
    # Its number is not used again.
    assert driver.commit([put("a", n=2)], {key("a"): 0}).revisions == {key("a"): 2}


def test_file_put_back_is_there_again(driver, path):
    data, mark = path.read_bytes(), path.stat()
    path.unlink()
    assert sorted(contents(driver)) == ["b"]
    path.write_bytes(data)
    os.utime(path, ns=(mark.st_atime_ns, mark.st_mtime_ns))

    assert driver.read(key("a")).document["n"] == 1


def test_touched_file_is_no_edit(driver, path):
    assert driver.read(key("a")).revision == 1
    os.utime(path, (1, 1))

    assert driver.read(key("a")).revision == 1
    assert sources(driver, 1) == []


def test_older_version_that_comes_back_takes_the_next_number(driver, path):
    old, mark = path.read_bytes(), path.stat()
    for n in (2, 3):
        driver.commit([put("a", n=n)], {})
        driver.flush()
    path.write_bytes(old)  # as git checkout does, which sets the time anew
    os.utime(path, ns=(mark.st_atime_ns, mark.st_mtime_ns))

    stored = driver.read(key("a"))

    assert (stored.document["n"], stored.revision) == (1, 4)
    assert sources(driver, 3) == [("external", [4])]


@pytest.mark.parametrize("age_s", [0, 60])
def test_unreadable_file_goes_to_quarantine_when_it_is_older_than_two_seconds(
    driver, path, root, age_s
):
    path.write_bytes(b"{half")
    at = time.time() - age_s
    os.utime(path, (at, at))

    [failure] = [one for one in driver.scan("notes") if isinstance(one, Failure)]

    assert failure.key == key("a")
    assert isinstance(failure.error, UndecodableRecord)
    assert path.exists() == (age_s == 0)
    if age_s:
        [kept] = (root / "quarantine" / "notes").glob("*-a.json")
        assert kept.read_bytes() == b"{half"
        why = json.loads(kept.with_name(kept.name + ".why.json").read_bytes())
        assert why["from"] == "notes/a.json"
        assert str(kept.relative_to(root)) in str(failure.error)
        assert driver.commit([put("a", n=2)], {key("a"): 0}).revisions == {key("a"): 2}


def test_file_of_another_kind_is_never_moved(driver, path, root):
    envelope = {**json.loads(path.read_bytes()), "kind": "tasks"}
    path.write_text(json.dumps(envelope))
    os.utime(path, (1, 1))

    assert [type(one) for one in driver.scan("notes")] == [Failure, Stored]
    assert path.exists()
    assert not (root / "quarantine").exists()


def test_reading_only_adopts_nothing(driver, path, opened, listing, root):
    driver.close()
    edit(path, n=2)
    reader = opened(read_only=True)
    before = listing(root)

    assert reader.read(key("a")).document["n"] == 2
    assert contents(reader)["a"]["n"] == 2
    assert listing(root) == before


def test_edit_that_could_not_be_adopted_is_adopted_before_the_next_change(opened, root):
    """A patch that went on top of it alone would fit neither the file nor any commit."""
    files = FaultyFiles()
    driver = quiet(opened(files=files, materialize="background"))
    driver.commit([put("a", n=1)], {})
    driver.flush()
    path = root / "notes" / "a.json"
    edit(path, n=2)
    told = []
    driver.record_files.watch(told.append)
    files.arm(1, Fail(errno.ENOSPC), only=below(root / ".statestore", named("write_at")))
    assert driver.read(key("a")).document["n"] == 2
    assert len(told) == 1

    driver.commit([patch("a", m=1)], {})

    assert driver.read(key("a")).document == {"id": "a", "n": 2, "m": 1}
    driver.flush()
    driver.close()
    again = opened()
    assert again.read(key("a")).document == {"id": "a", "n": 2, "m": 1}
    assert [source for source, _ in sources(again, 1)] == ["external", "commit"]


def test_change_that_comes_between_seeing_an_edit_and_adopting_it(driver, path):
    edit(path, n=2)
    reader = driver._ledger.reader
    adopt = reader._adopt

    def change_first(edited):
        driver.commit([patch("a", m=1)], {})
        return adopt(edited)

    reader._adopt = change_first
    driver.read(key("a"))

    assert driver.read(key("a")).document == {"id": "a", "n": 2, "items": [1], "m": 1}
    driver.flush()
    assert json.loads(path.read_bytes())["data"]["m"] == 1
    assert sources(driver, 1) == [("external", [2]), ("commit", [3])]


def test_edit_that_is_rewritten_in_another_format_is_adopted_afterwards(driver, path, root):
    edit(path, n=2)
    driver.record_files.rewrite("notes", get("yaml"))

    driver.commit([patch("a", m=1)], {})

    assert driver.read(key("a")).document == {"id": "a", "n": 2, "items": [1], "m": 1}
    driver.flush()
    assert sources(driver, 1) == [("external", [2]), ("commit", [3])]


def test_edits_seen_by_two_processes_are_adopted_once(driver, path, opened):
    other = quiet(opened(materialize="background"))
    edit(path, n=2)

    assert driver.read(key("a")).revision == 2
    assert other.read(key("a")).revision == 2

    assert [one.source for one in other.changes(1)] == ["external"]
    with pytest.raises(CommitRefused):
        other.commit([put("a")], {key("a"): 1})
