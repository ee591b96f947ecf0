"""Large saves: files written once, before the commit that names them."""

import itertools
import json
import threading

import pytest

from statestore.drivers import directory
from statestore.drivers.directory import DirectoryDriver
from statestore.errors import CorruptRecord, FilesBehind, UnsafeFile
from statestore.journal.entries import PutOp, StagedOp
from statestore.journal.journal import JournalOptions
from statestore.models.changes import Commit, Put
from statestore.models.reports import Failure
from statestore.serializers import get
from statestore.testing.driver import contents, key, patch, put
from statestore.testing.faulty import FaultyFiles, PowerOff, Stop, below

TEXT = "x" * 300


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Take saves of more than 1,000 bytes for large."""
    monkeypatch.setattr(directory, "JournalOptions", lambda: JournalOptions(staged_bytes=1000))


def large(*ids, kind="notes", **fields):
    return [put(id, kind, text=TEXT, **fields) for id in ids]


def quiet(driver):
    """Let a driver write no file until it is asked to."""
    driver.flush()
    driver._ledger._maker._committed = lambda: None
    return driver


def abandon(driver):
    """Let go of a driver as a process does that is killed: no file is written, nothing is noted."""
    driver._ledger._background.stop()
    driver._ledger._committer.stop()
    driver._closed = True
    driver._opening.let_go()


def ops(driver):
    return [
        type(op) for entry in driver._ledger.history(0) for op in entry.ops if op.key.id != "first"
    ]


def stages(root):
    return sorted((root / ".statestore" / "stage").glob("*/*"))


@pytest.fixture
def driver(opened):
    return quiet(opened(materialize="background"))


def test_large_save_is_staged_and_read_before_its_files_have_their_names(driver, root):
    commit = driver.commit(large("a", "b", "c", "d"), {})

    assert ops(driver) == [StagedOp] * 4
    assert len(stages(root)) == 4
    assert not (root / "notes").exists()
    assert contents(driver) == {id: {"id": id, "text": TEXT} for id in "abcd"}
    assert set(commit.revisions.values()) == {1}
    driver.flush()
    assert stages(root) == []
    assert json.loads((root / "notes" / "a.json").read_bytes())["revision"] == 1
    assert contents(driver) == {id: {"id": id, "text": TEXT} for id in "abcd"}


def test_files_are_moved_into_place_not_written_again(driver, root):
    driver.commit(large("a", "b", "c", "d"), {})
    before = {path.stat().st_ino for path in stages(root)}

    driver.flush()

    assert {path.stat().st_ino for path in (root / "notes").iterdir()} == before


def test_changes_on_top_of_a_staged_record(driver):
    driver.commit(large("a", "b", "c", "d"), {})
    driver.commit([patch("a", n=1)], {})
    driver.commit([put("b", n=2)], {})

    for _ in range(2):
        assert contents(driver)["a"] == {"id": "a", "text": TEXT, "n": 1}
        assert contents(driver)["b"] == {"id": "b", "n": 2}
        driver.flush()
    assert driver.read(key("a")).revision == 2


def test_wrong_guess_of_a_revision_goes_into_the_journal(opened, root):
    one = quiet(opened(materialize="background"))
    other = quiet(opened(materialize="background"))
    one.commit([put("a", n=0)], {})
    one.commit([put("a", n=1)], {})

    commit = other.commit(large("a", "b", "c", "d"), {})

    assert commit.revisions[key("a")] == 3
    kinds = {op.key.id: type(op) for entry in other._ledger.history(2) for op in entry.ops}
    assert kinds == {"a": PutOp, "b": StagedOp, "c": StagedOp, "d": StagedOp}
    other.flush()
    assert json.loads((root / "notes" / "a.json").read_bytes())["revision"] == 3
    assert stages(root) == []


def test_fields_beside_the_document_that_were_not_foreseen_are_kept(opened):
    one = quiet(opened(materialize="background"))
    other = quiet(opened(materialize="background"))
    one.commit([Put(key("a"), {"id": "a"}, 1, {"plugin": 1})], {})

    other.commit(large("a", "b", "c", "d"), {})
    other.flush()

    assert other.read(key("a")).extra == {"plugin": 1}


@pytest.mark.parametrize("alone", [True, False])
def test_orphans_are_swept_only_by_an_opener_who_is_alone(opened, root, alone):
    driver = quiet(opened(materialize="background"))
    driver.commit(large("a", "b", "c", "d"), {})
    orphan = root / ".statestore" / "stage" / "00112233445566ff" / "0"
    orphan.parent.mkdir()
    orphan.write_bytes(b"staged by a commit that never came")
    wanted = [path for path in stages(root) if path != orphan]
    if alone:
        abandon(driver)

    again = opened(materialize="background")

    assert orphan.exists() == (not alone)
    again.flush()
    assert sorted(contents(again)) == list("abcd")
    assert wanted
    assert all(not path.exists() for path in wanted)


def test_one_kind_that_cannot_be_written_keeps_its_staged_files(driver, root, opened):
    """Files of one save share a folder, which goes when the last of them has its name."""
    driver.commit([*large("a", "b"), *large("c", "d", kind="tasks")], {})
    (root / "tasks").write_text("not a folder")
    with pytest.raises(FilesBehind) as caught:
        driver.flush()
    assert {str(one.key) for one in caught.value.failures} == {"tasks/c", "tasks/d"}
    assert isinstance(caught.value.failures[0].error, UnsafeFile)

    assert len(stages(root)) == 2
    abandon(driver)
    (root / "tasks").unlink()
    again = opened()

    assert sorted(contents(again, "tasks")) == ["c", "d"]
    again.flush()
    assert sorted(path.name for path in (root / "tasks").iterdir()) == ["c.json", "d.json"]
    assert stages(root) == []


@pytest.mark.parametrize("damage", ["missing", "changed", "cut", "emptied"])
def test_staged_file_that_is_not_what_it_was_is_a_corrupt_record(driver, root, damage):
    driver.commit(large("a", "b", "c", "d"), {})
    path = stages(root)[0]
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        changed = {"changed": data.replace(b"xxx", b"xyx", 1), "cut": data[:-5], "emptied": b""}
        path.write_bytes(changed[damage])

    with pytest.raises(CorruptRecord):
        driver.read(key("a"))
    [failure] = [one for one in driver.scan("notes") if isinstance(one, Failure)]
    assert failure.key == key("a")
    assert isinstance(failure.error, CorruptRecord)
    assert driver.read(key("b")).revision == 1
    path.write_bytes(data)
    assert driver.read(key("a")).revision == 1


def test_death_between_the_commit_and_the_names(opened, root, clock):
    """Stop at every call that gives files their names; the next opening finds all of them."""
    for at in itertools.count(1):
        place = root / str(at)
        driver = quiet(DirectoryDriver(place, clock=clock, files=(files := FaultyFiles())))
        driver.commit(large("a", "b", "c", "d"), {})
        files.arm(at, Stop(), only=below(place))
        try:
            driver.flush()
        except PowerOff:
            files.release()
            abandon_dead(driver)
        else:
            files.disarm()
            driver.close()
            break
        again = opened(place)
        assert contents(again) == {id: {"id": id, "text": TEXT} for id in "abcd"}
        again.flush()
        assert sorted(path.name for path in (place / "notes").glob("[a-z]*")) == [
            f"{id}.json" for id in "abcd"
        ]
        assert stages(place) == []
        again.close()
    assert at > 8


def abandon_dead(driver):
    """Let go of a driver whose files raise whatever it calls."""
    driver._closed = True
    for end in (
        driver._ledger._background.stop,
        driver._ledger._committer.stop,
        driver._opening.let_go,
    ):
        try:
            end()
        except PowerOff:
            continue


def test_death_while_files_are_staged_leaves_no_record(opened, root, clock):
    opened().close()
    for at in (1, 5, 9):
        files = FaultyFiles()
        driver = quiet(DirectoryDriver(root, clock=clock, files=files))
        files.arm(at, Stop(torn=True), only=below(root / ".statestore" / "stage"))
        with pytest.raises(PowerOff):
            driver.commit(large("a", "b", "c", "d"), {})
        files.release()
        abandon_dead(driver)

        again = opened()
        assert contents(again) == {}
        assert stages(root) == []
        again.close()


def test_staged_saves_of_many_threads(opened, root):
    driver = opened(materialize="background", journal=JournalOptions(segment_bytes=2000))
    results, barrier = [], threading.Barrier(4)

    def work(name):
        barrier.wait(30)
        changes = large(f"{name}1", f"{name}2", "s1", "s2")
        results.extend(driver.commit(changes, {}) for _ in range(8))

    threads = [threading.Thread(target=work, args=(f"t{n}-",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    driver.close()

    assert sorted(one.sequence for one in results) == list(range(1, 33))
    assert all(isinstance(one, Commit) for one in results)
    again = opened()
    assert {one.key.id: one.revision for one in again.scan("notes")} == {
        **{f"t{n}-{m}": 8 for n in range(4) for m in (1, 2)},
        "s1": 32,
        "s2": 32,
    }
    assert stages(root) == []


def test_record_is_read_while_a_pass_writes_it_in_another_format(root, opened):
    """The staged file is gone by then, and the overlay does not know yet."""
    driver = quiet(opened(format="yaml", materialize="background"))
    driver.commit(large("a", "b", "c", "d"), {})
    driver.commit([patch("a", n=2)], {})
    driver.use(get("json"))
    real, seen = driver._ledger._note_written, []

    def noting(*told):
        seen.extend([contents(driver), driver.read(key("a")).document["n"]])
        real(*told)

    driver._ledger._note_written = noting
    driver.flush()

    assert seen[0]["a"]["n"] == seen[1] == 2
    assert seen[0]["b"]["text"] == TEXT
    assert (root / "notes" / "a.json").exists()


def test_many_staged_files_are_on_the_disk_before_their_commit(opened):
    files = FaultyFiles()
    driver = quiet(opened(files=files, materialize="background"))
    driver.commit([put("first")], {})
    files.calls.clear()

    driver.commit(large(*(f"n{number}" for number in range(40))), {})

    names = [call.name for call in files.calls]
    assert ops(driver) == [StagedOp] * 40
    synced = names.index("sync_file_system")
    assert "write" not in names[synced:]  # all forty were written before
    assert "write_at" not in names[:synced]  # and nothing was committed
    assert names.index("sync_data") > synced


def test_names_in_a_stage_are_on_the_disk_before_their_commit(opened):
    files = FaultyFiles()
    driver = quiet(opened(files=files, materialize="background"))
    driver.commit([put("first")], {})
    files.calls.clear()

    driver.commit(large("a", "b", "c", "d"), {})

    names = [call.name for call in files.calls]
    [stage] = {call.path.rpartition("/")[0] for call in files.calls if call.name == "write"}
    synced = [(call.name, call.path) for call in files.calls].index(("sync", stage))
    assert len(names) - 1 - names[::-1].index("write") < synced < names.index("write_at")
