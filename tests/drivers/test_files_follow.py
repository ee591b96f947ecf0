"""Files follow commits: over failures of single files, beside other processes, whoever dies."""

import errno
import json
import threading

import pytest

from statestore.drivers.directory import DirectoryDriver
from statestore.errors import FilesBehind, RecordNotFound, StorageError, StoreInDoubt, UnsafeFile
from statestore.journal.journal import JournalOptions
from statestore.models.changes import Delete
from statestore.testing.driver import contents, key, patch, put
from statestore.testing.faulty import Fail, FaultyFiles, below, named


def quiet(driver):
    """Let a driver write no file until it is asked to."""
    driver.flush()
    driver._ledger._maker._committed = driver._ledger._maker._committed_elsewhere = lambda: None
    driver._ledger._background._look = lambda: False
    return driver


def abandon(driver):
    """Let go of a driver as a process does that is killed: no file is written, nothing is noted."""
    driver._ledger._background.stop()
    driver._ledger._committer.stop()
    driver._closed = True
    driver._opening.let_go()


def on_disk(root, name):
    return json.loads((root / "notes" / name).read_bytes())


# --- failures -------------------------------------------------------------------------


def test_full_disk_leaves_files_behind_and_they_are_written_later(root, opened):
    files = FaultyFiles()
    driver = quiet(opened(files=files, materialize="background"))
    driver.commit([put("a", n=1), put("b", n=1)], {})
    files.arm(1, Fail(errno.ENOSPC), only=below(root / "notes", named("write")), sticky=True)

    with pytest.raises(FilesBehind) as caught:
        driver.flush()
    assert sorted(str(one.key) for one in caught.value.failures) == ["notes/a", "notes/b"]
    assert sorted(contents(driver)) == ["a", "b"]  # nothing is lost
    driver.commit([patch("a", n=2)], {})
    files.disarm()
    driver.flush()

    assert on_disk(root, "a.json")["data"]["n"] == 2
    assert on_disk(root, "b.json")["data"]["n"] == 1


def test_file_in_the_way_of_a_folder_holds_up_its_records_alone(root, opened):
    driver = quiet(opened(materialize="background"))
    driver.commit([put("a"), put("b", "tasks"), put("c")], {})
    (root / "tasks").write_text("not a folder")

    with pytest.raises(FilesBehind) as caught:
        driver.flush()

    assert [str(one.key) for one in caught.value.failures] == ["tasks/b"]
    assert isinstance(caught.value.failures[0].error, UnsafeFile)
    assert on_disk(root, "a.json")
    assert on_disk(root, "c.json")
    assert driver.read(key("b", "tasks")).revision == 1
    (root / "tasks").unlink()
    driver.flush()
    assert (root / "tasks" / "b.json").is_file()


def test_folder_with_the_name_of_a_file_goes_to_quarantine(root, opened):
    driver = quiet(opened(materialize="background"))
    driver.commit([put("b")], {})
    (root / "notes" / "b.json").mkdir(parents=True)
    (root / "notes" / "b.json" / "x").touch()

    driver.flush()

    assert on_disk(root, "b.json")
    [kept] = (root / "quarantine" / "notes").glob("*-b.json")
    assert (kept / "x").exists()
    assert kept.with_name(kept.name + ".why.json").is_file()


def test_what_stays_behind_survives_new_segments(root, opened):
    options = JournalOptions(segment_bytes=1, history_bytes=0)
    driver = quiet(opened(materialize="background", journal=options))
    driver.commit([put("b", "tasks", n=7)], {})
    (root / "tasks").write_text("not a folder")
    for number in range(4):
        driver.commit([put(f"n{number}")], {})
        with pytest.raises(FilesBehind):
            driver.flush()
    abandon(driver)
    (root / "tasks").unlink()

    again = opened()

    assert contents(again, "tasks") == {"b": {"id": "b", "n": 7}}
    again.close()
    assert json.loads((root / "tasks" / "b.json").read_bytes())["revision"] == 1


def test_failure_that_nobody_waits_for_is_told_to_who_watches(root, opened):
    files, told, failures = FaultyFiles(), threading.Event(), []
    driver = opened(files=files, materialize="background")
    driver.commit([put("first")], {})
    driver.flush()
    driver.record_files.watch(lambda failure: (failures.append(failure), told.set()))
    files.arm(1, Fail(errno.ENOSPC), only=below(root / "notes", named("write")), sticky=True)

    driver.commit([put("a")], {})
    assert told.wait(30)
    files.disarm()
    driver.flush()

    assert failures[0].key == key("a")
    assert failures[0].operation == "materialise"
    assert failures[0].error.errno == errno.ENOSPC
    assert on_disk(root, "a.json")


def test_files_that_cannot_be_removed_stay_behind(root, opened):
    files = FaultyFiles()
    driver = quiet(opened(files=files, materialize="background"))
    driver.commit([put("a")], {})
    driver.flush()
    driver.commit([Delete(key("a"))], {})
    files.arm(1, Fail(errno.EIO), only=below(root / "notes", named("unlink")), sticky=True)

    with pytest.raises(FilesBehind):
        driver.flush()
    with pytest.raises(RecordNotFound):
        driver.read(key("a"))
    files.disarm()
    driver.flush()

    assert not (root / "notes" / "a.json").exists()


def test_sync_of_a_folder_that_fails_notes_nothing_as_written(root, opened):
    files = FaultyFiles()
    options = JournalOptions(segment_bytes=1, history_bytes=0)
    driver = quiet(opened(files=files, materialize="background", journal=options))
    driver.commit([put("first")], {})
    driver.flush()
    driver.commit([put("a")], {})
    upto = driver._ledger._journal.files_upto
    files.arm(
        1,
        Fail(errno.EIO),
        only=lambda call: call.name == "sync" and call.path == str(root / "notes"),
    )

    with pytest.raises(StorageError):
        driver.flush()

    assert driver._ledger._journal.files_upto == upto
    assert sorted(contents(driver)) == ["a", "first"]
    driver.flush()
    assert driver._ledger._journal.files_upto == driver.sequence


def test_close_tells_of_files_that_stay_behind_and_the_next_opening_writes_them(
    root, clock, opened
):
    opened().close()
    files = FaultyFiles()
    driver = DirectoryDriver(root, files=files, clock=clock)
    quiet(driver)
    driver.commit([put("a")], {})
    files.arm(1, Fail(errno.ENOSPC), only=below(root / "notes", named("write")), sticky=True)

    with pytest.raises(FilesBehind):
        driver.close()
    again = opened()
    again.flush()

    assert on_disk(root, "a.json")


def test_segment_that_cannot_be_begun_loses_nobodys_commit(root, opened):
    """What others committed during a pass is taken in, also where the pass fails at its end."""
    files = FaultyFiles()
    options = JournalOptions(segment_bytes=1, history_bytes=0)
    one = quiet(opened(files=files, materialize="background", journal=options))
    other = quiet(opened(materialize="background", journal=options))
    one.commit([put("mine")], {})
    real = one._ledger._materialiser.write

    def write(folds):
        if not other._closed:
            other.commit([put("theirs")], {})
            abandon(other)
        return real(folds)

    one._ledger._materialiser.write = write
    files.arm(
        1,
        Fail(errno.ENOSPC),
        only=below(root / ".statestore" / "journal", lambda c: c.name == "sync"),
    )
    with pytest.raises(StorageError):
        one.flush()
    files.disarm()
    one.flush()
    one.commit([put("later")], {})
    one.flush()
    abandon(one)

    assert sorted(contents(opened())) == ["later", "mine", "theirs"]


# --- beside others --------------------------------------------------------------------


def test_one_process_writes_the_commits_of_another(root, opened):
    one = quiet(opened(materialize="background"))
    other = quiet(opened(materialize="background"))
    one.commit([put("a", n=1)], {})
    other.commit([patch("a", n=2)], {})

    one.flush()

    assert on_disk(root, "a.json")["revision"] == 2
    assert other.read(key("a")).document["n"] == 2
    before = (root / "notes" / "a.json").stat().st_ino
    other.flush()
    assert (root / "notes" / "a.json").stat().st_ino == before  # it shows it already


def test_what_others_commit_during_a_pass_does_not_grow_stale(root, opened):
    one = opened(materialize="background")
    one.flush()
    other = quiet(opened(materialize="background"))
    real, passed = one._ledger._materialiser.write, threading.Semaphore(0)

    def write(folds):
        if not contents(other):  # once
            other.commit([put("theirs", n=1)], {})
        try:
            return real(folds)
        finally:
            passed.release()

    one._ledger._materialiser.write = write
    one.flush()
    assert passed.acquire(timeout=30)
    assert passed.acquire(timeout=30)  # what others have left makes another one due
    one.flush()
    other.commit([patch("theirs", n=2)], {})
    other.flush()

    assert one.read(key("theirs")).document["n"] == 2


def test_conflict_takes_in_what_others_committed_until_it_is_in_files(root, opened):
    one, other = opened(materialize="background"), quiet(opened(materialize="background"))
    other.commit([put("a", n=1)], {})
    with pytest.raises(Exception, match="exists in the store already"):
        one.commit([put("a", n=0)], {key("a"): 0})
    other.commit([patch("a", n=2)], {})
    other.flush()

    one._ledger._background.flush()

    assert one.read(key("a")).document["n"] == 2


@pytest.mark.parametrize("history_bytes", [0, 1 << 20])
def test_process_that_slept_over_new_segments_lays_nothing_on_what_is_old(opened, history_bytes):
    options = JournalOptions(segment_bytes=1, history_bytes=history_bytes)
    sleeper = quiet(opened(materialize="background", journal=options))
    other = quiet(opened(materialize="background", journal=options))
    sleeper.commit([put("a", items=[], n=0), put("gone")], {})
    other.commit([Delete(key("gone"))], {})
    for turn in range(3):
        other.commit([patch("a", **{f"turn{turn}": turn})], {})
        other.flush()
    other.commit([patch("a", n=9)], {})

    revisions = sleeper.commit([patch("a", last=True), put("gone")], {}).revisions

    assert revisions[key("a")] == 6
    if history_bytes:  # numbers of what is gone are remembered as long as history is
        assert revisions[key("gone")] == 3
    expected = {"id": "a", "items": [], "n": 9, "turn0": 0, "turn1": 1, "turn2": 2, "last": True}
    assert contents(sleeper)["a"] == expected
    sleeper.flush()
    assert contents(other)["a"] == expected


def test_failure_of_the_journal_leaves_reading(root, opened):
    files = FaultyFiles()
    driver = quiet(opened(files=files, materialize="background"))
    driver.commit([put("a", n=1)], {})
    files.arm(1, Fail(errno.EIO), only=named("sync_data"))
    with pytest.raises(StoreInDoubt):
        driver.commit([patch("a", n=2)], {})

    assert driver.read(key("a")).document["n"] == 1
    with pytest.raises(StoreInDoubt):
        driver.flush()
    driver.close()

    again = opened()
    assert again.read(key("a")).document["n"] in (1, 2)
    again.commit([put("a", n=3)], {})


@pytest.mark.parametrize("has_syncfs", [True, False])
def test_many_files_are_on_the_disk_before_any_has_its_name(root, opened, has_syncfs):
    files = FaultyFiles()
    driver = quiet(opened(files=files, materialize="background"))
    driver.commit([put(f"n{number}") for number in range(40)], {})
    if not has_syncfs:
        files.arm(1, Fail(errno.ENOSYS), only=named("sync_file_system"), sticky=True)
    files.calls.clear()

    driver.flush()

    made = [
        (call.name, call.path) for call in files.calls if call.path.startswith(f"{root}/notes/")
    ]
    names = [name for name, _ in made]
    whole = [call.name for call in files.calls]
    assert names.count("rename") == 40
    if has_syncfs:
        synced = whole.index("sync_file_system")
        assert synced < whole.index("rename", synced)
        assert "write" not in whole[synced:]
        assert names.index("rename") > len(names) - names[::-1].index("write") - 1
        assert "rename" not in whole[:synced]
    else:
        written = {path for name, path in made if name == "write"}
        before = made[: names.index("rename")]
        assert {path for name, path in before if name == "sync"} == written
    driver.close()


def test_folder_that_a_dead_process_made_is_synced_into_the_root_before_files_count(root, opened):
    files = FaultyFiles()
    driver = quiet(opened(files=files, materialize="background"))
    (root / "tasks").mkdir(mode=0o700)
    files.calls.clear()

    driver.commit([put("a", "tasks")], {})
    driver.flush()

    made = [(call.name, call.path) for call in files.calls]
    assert ("sync", str(root)) in made[: [name for name, _ in made].index("rename")]


def test_commit_of_another_is_on_the_disk_before_it_is_shown(root, opened):
    files = FaultyFiles()
    one = quiet(opened(files=files, materialize="background"))
    one.commit([put("mine")], {})
    other = quiet(opened(materialize="background"))
    other.commit([put("theirs")], {})
    other._ledger._journal._syncs.forget()  # as if nobody had told yet that it is
    files.calls.clear()

    assert one.read(key("theirs")).revision == 1

    assert "sync_data" in [call.name for call in files.calls]
