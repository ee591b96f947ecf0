"""A process that stopped, or died, with the locks of a store: others read, and do what it left."""

import errno
import os
import threading
from contextlib import closing, contextmanager
from datetime import UTC, datetime

import pytest

from statestore.drivers import background, ledger
from statestore.drivers.making import CommitMaker, _payload
from statestore.errors import EncodeError, FilesBehind, StoreInDoubt
from statestore.files.open_files import OpenFile
from statestore.journal.entries import DeleteOp, Entry
from statestore.journal.journal import JournalOptions
from statestore.models.changes import Delete, Put
from statestore.models.reports import Failure
from statestore.serializers import get
from statestore.testing.driver import contents, key, patch, put
from statestore.testing.faulty import Fail, FaultyFiles, named

START = datetime(2026, 1, 1, tzinfo=UTC)


@contextmanager
def stopped_with_the_lock(driver):
    """Let a driver have the commit lock, as a process that is stopped in the middle of a commit."""
    with driver._ledger._journal.held():
        yield


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


def on_thread(act):
    """Do something on a thread of its own; return what waits for it."""
    results = []
    thread = threading.Thread(target=lambda: results.append(act()), daemon=True)
    thread.start()

    def wait():
        thread.join(20)
        assert results, "it waits for the process that is stopped"
        return results[0]

    return wait


def serving(waits):
    """Return a `serve_for` that tells that it was called: the lock is waited for."""
    true = CommitMaker.serve_for

    def serve_for(self, seconds):
        waits.set()
        true(self, seconds)

    return serve_for


# --- reading --------------------------------------------------------------------------


def test_readers_see_commits_while_another_process_has_the_lock(opened):
    stopped, reader = (quiet(opened(materialize="background")) for _ in range(2))
    look = opened(read_only=True)
    stopped.commit([put("a", n=1), put("b", "tasks")], {})

    with stopped_with_the_lock(stopped):
        for driver in (reader, look):
            assert on_thread(driver.catch_up)() == 1
            assert on_thread(lambda driver=driver: contents(driver))() == {"a": {"id": "a", "n": 1}}
            assert on_thread(lambda driver=driver: driver.read(key("a")).revision)() == 1
            assert on_thread(driver.kinds)() == ["notes", "tasks"]
            assert on_thread(lambda driver=driver: len(list(driver.changes(0))))() == 1


def test_readers_are_served_while_a_commit_of_their_process_waits_for_the_lock(opened, monkeypatch):
    stopped, reader = (quiet(opened(materialize="background")) for _ in range(2))
    stopped.commit([put("a", n=1)], {})
    waits = threading.Event()
    monkeypatch.setattr(type(reader._ledger._maker), "serve_for", serving(waits))
    with stopped_with_the_lock(stopped):
        commit = on_thread(lambda: reader.commit([put("mine")], {}))
        assert waits.wait(20)

        assert on_thread(lambda: contents(reader))() == {"a": {"id": "a", "n": 1}}
        assert on_thread(reader.catch_up)() == 1

    assert commit().sequence == 2


def test_files_are_written_while_another_process_has_the_lock(opened, root, monkeypatch):
    stopped, other = (quiet(opened(materialize="background")) for _ in range(2))
    other.commit([put("mine")], {})
    written = threading.Event()
    true = other._ledger._materialiser.write

    def write(folds):
        try:
            return true(folds)
        finally:
            written.set()

    other._ledger._materialiser.write = write
    waits = threading.Event()
    with stopped_with_the_lock(stopped):
        monkeypatch.setattr(type(other._ledger._maker), "serve_for", serving(waits))
        commit = on_thread(lambda: other.commit([put("later")], {}))
        assert waits.wait(20)
        flush = on_thread(lambda: other.flush() or "done")

        assert written.wait(20)
        assert (root / "notes" / "mine.json").exists()
    assert commit().sequence == 2
    assert flush() == "done"


def test_readers_are_served_while_a_pass_waits_for_the_lock(opened, monkeypatch):
    stopped, other = (quiet(opened(materialize="background")) for _ in range(2))
    other.commit([put("mine")], {})
    waits = threading.Event()
    monkeypatch.setattr(type(other._ledger._maker), "serve_for", serving(waits))
    with stopped_with_the_lock(stopped):
        flush = on_thread(lambda: other.flush() or "done")
        assert waits.wait(20)
        other._ledger._journal._shown = b""  # as after news

        assert on_thread(lambda: sorted(contents(other)))() == ["mine"]
    assert flush() == "done"


def test_edited_file_is_read_while_another_process_has_the_lock(opened, root, monkeypatch):
    monkeypatch.setattr(ledger, "ADOPTION_S", 0.01)
    stopped, reader = opened(), opened()
    stopped.commit([put("a"), put("b")], {})
    contents(reader)
    for id in "ab":
        path = root / "notes" / f"{id}.json"
        path.write_bytes(path.read_bytes().replace(b'"id":', b'"by": "hand", "id":'))
    with stopped_with_the_lock(stopped):
        assert on_thread(lambda: reader.read(key("a")).revision)() == 2
        assert on_thread(lambda: reader.read(key("b")).revision)() == 2
        assert on_thread(lambda: sorted(contents(reader)))() == ["a", "b"]

    reader.commit([put("c")], {})
    *edits, last = reader.changes(1)
    assert {commit.source for commit in edits} == {"external"}
    revisions = [one for commit in edits for one in commit.revisions.items()]
    assert sorted(revisions) == [(key("a"), 2), (key("b"), 2)]
    assert last.revisions == {key("c"): 1}


def test_rotation_that_somebody_died_in_does_not_stop_readers(opened):
    one, other = (quiet(opened(materialize="background")) for _ in range(2))
    one.commit([put("a")], {})
    journal = one._ledger._journal
    journal._block.rotating = journal._block.generation + 1
    journal._block.write(journal._shared)

    assert other.catch_up() == 1
    assert sorted(contents(other)) == ["a"]

    # And whoever next has the lock undoes it.
    other.commit([put("b")], {})
    assert other._ledger._journal._block.rotating == 0


def test_half_written_block_is_left_to_the_next_commit(opened):
    one, other = (quiet(opened(materialize="background")) for _ in range(2))
    one.commit([put("a")], {})
    other.catch_up()
    one.commit([put("b")], {})
    shared = one._ledger._journal._shared
    shared.write_at(8, b"\xff")

    assert other.catch_up() == 1
    assert sorted(contents(other)) == ["a"]
    with pytest.raises(StoreInDoubt):
        other.commit([put("c")], {})
    assert sorted(contents(other)) == ["a"]


def test_segment_that_is_left_while_it_is_looked_for_is_no_damage(opened, monkeypatch):
    options = JournalOptions(segment_bytes=1, history_bytes=0)
    one, other = (quiet(opened(materialize="background", journal=options)) for _ in range(2))
    one.commit([put("a")], {})
    other.catch_up()
    one.commit([put("b")], {})
    one.flush()  # a new segment
    one.commit([put("c")], {})
    true, looks = OpenFile.read_at, []

    def read_at(self, offset, size):
        data = true(self, offset, size)
        if self is other._ledger._journal._shared:
            looks.append(data)
            if len(looks) == 2:  # has_news() was the first
                one.flush()  # another one: that of the block which was read is gone
                one.commit([put("d")], {})
        return data

    monkeypatch.setattr(OpenFile, "read_at", read_at)

    assert other.catch_up() == 4
    assert len(looks) > 3
    assert sorted(contents(other)) == ["a", "b", "c", "d"]


def test_nothing_new_is_one_look_and_one_read(opened):
    files = FaultyFiles()
    with closing(opened(materialize="background")) as writer:
        for driver in (opened(files=files), opened(files=files, read_only=True)):
            writer.commit([put("a")], {})
            writer.flush()
            driver.catch_up()
            files.calls.clear()

            for _ in range(3):
                driver.catch_up()

            # Is the store still there, and has somebody done something?
            looks = [("status_of", 0), ("read_at", 72)]
            assert [(call.name, call.size_bytes) for call in files.calls] == looks * 3


# --- files ----------------------------------------------------------------------------


def test_files_of_one_process_are_not_looked_at_by_another(opened, root):
    files = FaultyFiles()
    one, other = opened(materialize="background"), opened(files=files, materialize="background")
    quiet(one), quiet(other)
    one.commit([put("a", n=1), put("gone")], {})
    one.commit([Delete(key("gone"))], {})
    assert other.catch_up() == 2
    one.flush()
    files.calls.clear()

    other.flush()

    assert [call for call in files.calls if call.path.startswith(f"{root}/notes")] == []
    locked = [call.path for call in files.calls if call.name == "lock"]
    assert [path for path in locked if path.endswith("/lock")] == []
    assert len(other._ledger._overlay) == 0
    assert contents(other) == {"a": {"id": "a", "n": 1}}


def test_revisions_go_on_where_another_process_has_written_the_files(opened):
    one, other = (quiet(opened(materialize="background")) for _ in range(2))
    other.commit([put("a", n=1), put("b")], {})
    contents(one)
    other.commit([put("a", n=2), Delete(key("b"))], {})
    one.catch_up()
    other.flush()
    one.catch_up()

    commit = one.commit([patch("a", n=3), put("b", again=True)], {key("a"): 2, key("b"): 0})

    assert commit.revisions == {key("a"): 3, key("b"): 3}


def test_older_file_that_is_put_back_is_an_edit_also_where_another_has_written_the_newer(
    opened, root
):
    one, other = (quiet(opened(materialize="background")) for _ in range(2))
    other.commit([put("a", n=1)], {})
    other.flush()
    contents(one)
    path = root / "notes" / "a.json"
    old, times = path.read_bytes(), path.stat()
    other.commit([put("a", n=2)], {})
    one.catch_up()
    other.flush()
    one.catch_up()

    path.write_bytes(old)
    os.utime(path, ns=(times.st_mtime_ns, times.st_mtime_ns))

    assert one.read(key("a")).revision == 3
    assert [commit.source for commit in one.changes(2)] == ["external"]


def test_fields_beside_a_document_stay_where_another_process_has_written_it(opened):
    one, other = (quiet(opened(materialize="background")) for _ in range(2))
    one.commit([put("a", n=1)], {})
    one.flush()
    other.commit([Put(key("a"), {"id": "a"}, 1, {"later": 1})], {})
    one.catch_up()
    other.flush()
    one.catch_up()
    other.commit([patch("a", n=2)], {})
    one.catch_up()

    one.commit([put("a", n=3)], {})

    assert dict(one.read(key("a")).extra) == {"later": 1}


# --- the dead -------------------------------------------------------------------------


def test_idle_process_writes_the_files_of_a_dead_one(opened, root, monkeypatch):
    monkeypatch.setattr(background, "LOOK_S", 0.01)
    idle = opened(materialize="background")
    idle.flush()
    shown = threading.Event()
    true = idle._ledger._materialiser.write

    def write(folds):
        try:
            return true(folds)
        finally:
            if folds:
                shown.set()

    idle._ledger._materialiser.write = write
    dead = quiet(opened(materialize="background"))
    dead.commit([put("a")], {})
    abandon(dead)

    assert shown.wait(20)
    assert (root / "notes" / "a.json").exists()


def test_commits_are_left_to_their_process_for_a_while(opened):
    one = opened(materialize="background")
    one.flush()
    other = quiet(opened(materialize="background"))
    is_left = one._ledger._is_left
    assert not is_left()
    other.commit([put("a")], {})

    assert not is_left()  # it may be writing them now
    assert is_left()
    other.flush()
    assert not is_left()
    assert not is_left()


def test_commits_of_others_make_a_pass_due_later(opened):
    runs, looked = threading.Event(), threading.Event()
    thread = background.Background(runs.set, lambda error: None, looked.is_set)
    thread.note_elsewhere()

    assert not runs.wait(background.SHORTEST_S / 2)
    assert runs.wait(20)
    runs.clear()
    thread.note_elsewhere()
    thread.note()  # one of this process does not wait for that

    assert runs.wait(20)
    thread.stop()


def test_looking_does_not_delay_the_end(monkeypatch):
    monkeypatch.setattr(background, "LOOK_S", 1000.0)
    thread = background.Background(lambda: None, lambda error: None, lambda: False)

    thread.stop()

    assert not thread._thread.is_alive()


# --- formats --------------------------------------------------------------------------


def test_format_that_another_process_remembered_is_taken_up(opened, root):
    one, other, chosen = opened(), opened(), opened(format="compact")
    one.commit([put("before")], {})
    other.use(get("yaml"), remember=True)

    one.commit([put("after")], {})
    chosen.commit([put("chosen")], {})

    names = sorted(path.name for path in (root / "notes").iterdir())
    assert names == ["after.yaml", "before.json", "chosen.json"]
    assert one.serializer.name == "yaml"


def test_unknown_format_of_another_process_is_told_once(opened, root):
    one, told = opened(), []
    one.watch(told.append)
    meta = root / ".statestore" / "meta.json"
    meta.write_bytes(meta.read_bytes().replace(b'"json"', b'"theirs"'))

    one.commit([put("a")], {})
    one.commit([put("b")], {})

    assert [failure.key for failure in told] == [None]
    assert "theirs" in str(told[0].error)
    assert sorted(path.name for path in (root / "notes").iterdir()) == ["a.json", "b.json"]


# --- what cannot be written here ------------------------------------------------------


def test_record_that_only_another_process_can_write_is_its_to_write(opened, root):
    """A patch on a file in a format that is not known here, until the other one has written it."""
    one, other = (quiet(opened(materialize="background")) for _ in range(2))
    other.commit([put("a", n=1)], {})
    other.flush()
    one.catch_up()
    other.commit([patch("a", n=2)], {})
    one.commit([put("mine")], {})
    path = root / "notes" / "a.json"
    theirs = path.rename(path.with_suffix(".theirs"))

    with pytest.raises(FilesBehind) as raised:
        one.flush()

    assert [failure.key for failure in raised.value.failures] == [key("a")]
    assert (root / "notes" / "mine.json").exists()

    theirs.rename(path)
    other.flush()
    path.rename(theirs)
    one.flush()


def test_failure_that_stays_is_told_once(opened, root, monkeypatch):
    one = opened(materialize="background")
    told = []
    one.watch(told.append)
    behind = [FilesBehind([_failure(key("a"))]), FilesBehind([_failure(key("a"))])]
    for error in behind:
        one._ledger._tell(error)

    assert [failure.key for failure in told] == [key("a")]
    one.flush()
    one._ledger._tell(FilesBehind([_failure(key("a"))]))
    assert len(told) == 2


def _failure(of):
    return Failure(of, "materialise", EncodeError("$.n", "it has no place in this format"))


# --- what wakes whom ------------------------------------------------------------------


def writes(driver):
    """Return an event that is set when a driver has written files."""
    written = threading.Event()
    true = driver._ledger._materialiser.write

    def write(folds):
        try:
            return true(folds)
        finally:
            if folds:
                written.set()

    driver._ledger._materialiser.write = write
    return written


def test_commit_has_its_files_written_without_a_look(opened, monkeypatch):
    monkeypatch.setattr(background, "LOOK_S", 1000.0)
    one = opened(materialize="background")
    written = writes(one)

    one.commit([put("a")], {})

    assert written.wait(20)


def test_commits_of_others_that_were_read_are_written_if_nobody_else_does(opened, monkeypatch):
    monkeypatch.setattr(background, "LOOK_S", 1000.0)
    one, other = opened(materialize="background"), quiet(opened(materialize="background"))
    one.flush()
    written = writes(one)
    other.commit([put("a")], {})

    one.catch_up()

    assert written.wait(20)


def test_block_that_is_being_written_is_read_again(opened, monkeypatch):
    one, other = (quiet(opened(materialize="background")) for _ in range(2))
    one.commit([put("a")], {})
    true, looks = OpenFile.read_at, []

    def read_at(self, offset, size):
        data = true(self, offset, size)
        if self is other._ledger._journal._shared:
            looks.append(data)
            return b"?" + data[1:] if len(looks) <= 5 else data
        return data

    monkeypatch.setattr(OpenFile, "read_at", read_at)

    assert other.catch_up() == 1


def test_what_is_taken_in_is_news_until_it_is_shown(opened):
    one, other = (quiet(opened(materialize="background")) for _ in range(2))
    one.commit([put("a")], {})
    journal = other._ledger._journal
    with journal.held():
        assert len(journal.catch_up_locked().entries) == 1
        journal.files_written_locked(1)  # which tells the others

    assert journal.is_behind
    journal.shown()
    assert not journal.is_behind


def test_format_that_was_asked_for_stays_whatever_another_process_remembers(opened):
    one, other = opened(), opened()
    one.use(get("compact"))
    other.use(get("yaml"), remember=True)

    one.commit([put("a")], {})

    assert one.serializer.name == "compact"


# --- reading only ---------------------------------------------------------------------


@pytest.fixture
def watched(opened):
    """A driver, its journal's block, and a read-only opening that fails on demand."""
    files = FaultyFiles()
    writer = quiet(opened(materialize="background"))
    writer.commit([put("a"), put("b")], {})
    return writer, opened(read_only=True, files=files), files


def test_reading_only_shows_no_commit_whose_sync_fails_until_a_new_segment(watched):
    writer, reader, files = watched
    syncs = writer._ledger._journal._syncs
    writer.commit([put("c")], {})
    syncs.forget()  # as if the writer had not told yet that it is on the disk
    files.arm(1, Fail(errno.EIO), only=named("sync_data"))

    assert reader.catch_up() == 1
    writer.commit([put("d")], {})
    syncs.forget()
    # The writer's next commit says that the one before it is on the disk.
    assert reader.catch_up() == 2
    assert sorted(contents(reader)) == ["a", "b", "c"]

    with writer._ledger._journal.held():
        writer._ledger._journal.rotate_locked()
    assert reader.catch_up() == 3


def test_reading_only_shows_nothing_of_a_segment_that_is_in_doubt(watched):
    writer, reader, _ = watched
    journal = writer._ledger._journal
    with journal.held():
        journal.append_locked([_payload(Entry(2, START, "commit", [DeleteOp(key("a"), 2)]))])
        journal._poison()

    assert reader.catch_up() == 1
    assert sorted(contents(reader)) == ["a", "b"]


def test_reading_only_forgets_what_is_in_files(watched):
    writer, reader, _ = watched
    writer.commit([put("a", n=2), Delete(key("b"))], {})
    assert sorted(contents(reader)) == ["a"]
    assert len(reader._opening.overlay) == 2
    assert reader._opening.catalogue.highest(key("b")) == 2

    writer.flush()
    reader.catch_up()

    assert len(reader._opening.overlay) == 0
    assert contents(reader) == {"a": {"id": "a", "n": 2}}
