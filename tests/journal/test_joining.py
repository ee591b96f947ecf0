"""Joining others beside which something goes wrong, or who leave at that moment."""

import errno
import fcntl
from contextlib import ExitStack, closing, suppress

import pytest

from statestore.errors import LockTimeout, StorageError, StoreInDoubt
from statestore.files.calls import SystemFiles
from statestore.files.folders import open_folder
from statestore.files.locks import share
from statestore.journal.journal import Journal
from statestore.journal.reading import JournalReader
from statestore.journal.shared import BLOCK_BYTES
from statestore.models.keys import Key
from statestore.testing.faulty import Fail, FaultyFiles, PowerOff, Stop, named


class Waking(SystemFiles):
    """The system, but for what happens when it has refused a lock."""

    def __init__(self, refused):
        self.refused = refused

    def lock(self, fd, *, shared=False, wait=True):
        is_locked = super().lock(fd, shared=shared, wait=wait)
        if not is_locked:
            self.refused()
        return is_locked


def ids_of(recovered):
    return [op.key.id for entry in recovered.window for op in entry.ops]


STORE_ID = "5a" * 16


def rename_of_segment(call):
    return call.name == "rename" and call.to.endswith(".log")


# --- who is alone ---------------------------------------------------------------------


def test_block_of_a_dead_opener_is_not_believed_while_the_system_takes_its_locks(opened, place):
    writer = opened()
    writer.commit("a")
    stale = (place / "lock").read_bytes()[:BLOCK_BYTES]
    writer.commit("b")
    writer.die()
    with open(place / "lock", "r+b") as file:
        file.write(stale)  # as it may be after a power cut
    with open(place / "alive", "r+b") as dying:  # the only one that had opened the store
        fcntl.flock(dying, fcntl.LOCK_EX)

        later = opened(Waking(dying.close))

    assert later.recovered.alone
    assert ids_of(later.recovered) == ["a", "b"]


def test_opener_that_fails_is_not_taken_for_one_at_work(opened, monkeypatch):
    one = opened()
    one.commit("a")
    one.die()
    files = FaultyFiles()
    files.arm(1, Fail(), only=lambda call: call.name == "read_at" and call.path.endswith(".log"))
    true, others = Journal.close, []

    def close(self):
        if not others:  # it has let go of the lock, and of nothing else yet
            others.append(None)
            others.append(opened())
        true(self)

    monkeypatch.setattr(Journal, "close", close)
    with pytest.raises(StorageError):
        opened(files)

    assert others[1].recovered.alone


def test_opener_waits_for_who_is_alone_no_longer_than_for_a_lock(place, tmp_path):
    with open(tmp_path / "alive", "w+b") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        folder = open_folder(str(tmp_path))
        file = folder.open_file("alive", write=True)
        times = iter([0.0, 0.0, 29.0, 30.0])
        with pytest.raises(LockTimeout) as raised:
            share(file, 30.0, lambda: next(times))
        assert raised.value.waited_s == 30
        file.close()
        folder.close()


# --- recovering beside others ---------------------------------------------------------


@pytest.mark.parametrize("fault", [Fail(errno.ENOSPC), Stop()], ids=["fails", "dies"])
def test_recovery_beside_others_that_comes_to_nothing_loses_no_commit(opened, fault):
    one, unaware = opened(), opened()
    one.commit("a")
    failing = FaultyFiles()
    doubtful = opened(failing)
    failing.arm(1, Fail(), only=named("sync_data"))
    with pytest.raises(StoreInDoubt):
        doubtful.commit("b")
    failing.disarm()
    files = FaultyFiles()
    files.arm(1, fault, only=rename_of_segment)
    with suppress(StorageError, PowerOff):
        opened(files)
    if files.stopped:
        files.release()
    with suppress(StoreInDoubt):
        unaware.commit("c")
    for each in (one, unaware, doubtful):
        each.die()

    last = opened()

    assert ids_of(last.recovered)[:1] == ["a"]


# --- closing --------------------------------------------------------------------------


def test_last_to_close_keeps_what_a_segment_begun_meanwhile_tells_of_the_dead(opened):
    last, other = opened(), opened(segment_bytes=1)
    other.commit("a")
    last.catch_up()
    other.commit("a", delete=True)
    with other.journal.held():
        other.journal.catch_up_locked()
        other.journal.files_written_locked(other.journal.sequence)
        other.journal.rotate_locked()
    other.journal.end()
    other.die()

    last.journal.end()
    last.die()

    assert [key for key, *_ in opened().recovered.deleted] == [Key("notes", "a")]


def test_segment_that_nobody_may_append_to_tells_of_the_dead_too(opened):
    idle, other = opened(), opened()
    other.commit("a")
    idle.catch_up()
    other.commit("a", delete=True)
    other.files_written()
    other.rotate()
    other.journal._poison()
    assert not opened().recovered.window

    idle.catch_up()
    idle.commit("b")

    for each in (idle, other):
        each.die()
    assert Key("notes", "a") in idle.gone
    assert [key for key, *_ in opened().recovered.deleted] == [Key("notes", "a")]


# --- reading only ---------------------------------------------------------------------


@pytest.fixture
def reader(opened, place):
    """Read the journal: `reader()`."""
    with ExitStack() as stack:

        def open_reader():
            own = stack.enter_context(open_folder(str(place)))
            reader = stack.enter_context(closing(JournalReader(own, STORE_ID)))
            return reader, reader.open()

        yield open_reader


def test_reader_leaves_a_segment_that_another_has_taken_the_place_of(opened, reader):
    files = FaultyFiles()
    dying, other = opened(files), opened()
    dying.commit("a")
    dying.files_written()
    files.arm(1, Stop(), only=lambda call: call.name == "sync" and call.path.endswith("/journal"))
    with pytest.raises(PowerOff):
        dying.rotate()
    files.release()
    one, recovered = reader()
    assert recovered.sequence == 1
    other.commit("b")
    other.files_written()
    other.rotate()

    assert one.catch_up().sequence == 2


def test_reader_believes_no_sync_where_another_has_failed(opened, reader):
    one = opened()
    one.commit("a")
    follower, _ = reader()
    one.append("b")
    one.journal._syncs.failed(one.journal._segment.generation)

    assert follower.catch_up() == ()


def test_reader_is_told_what_was_on_the_disk_before_a_sync_failed(opened, reader):
    one = opened()
    one.commit("a")
    follower, _ = reader()
    one.commit("b")
    one.append("c")
    one.journal._poison()

    assert [entry.sequence for entry in follower.catch_up()] == [2]
    assert follower.catch_up() == []
