"""Syncs beside those of other processes: none is believed that should not be, none is awaited."""

import errno
import threading
from contextlib import suppress

import pytest

from statestore.errors import StoreInDoubt
from statestore.files.calls import SystemFiles
from statestore.journal.segments import FIRST_ALLOCATION_BYTES
from statestore.journal.shared import BLOCK_BYTES
from statestore.journal.syncing import NOTES_BYTES, NOTES_OFFSET, Notes
from statestore.testing.faulty import FaultyFiles


class Interrupted(SystemFiles):
    """The system, but for what happens before or after a sync of a segment."""

    def __init__(self):
        self.before = self.after = lambda: None
        self.count = 0

    def sync_data(self, fd):
        self.count += 1
        self.before()
        super().sync_data(fd)
        self.after()


def fail():
    raise OSError(errno.EIO, "the disk is gone")


def ids_of(recovered):
    return [op.key.id for entry in recovered.window for op in entry.ops]


def notes_of(place):
    data = (place / "lock").read_bytes()
    return Notes.from_bytes(data[NOTES_OFFSET : NOTES_OFFSET + NOTES_BYTES])


# --- how often ------------------------------------------------------------------------


def test_what_its_writer_has_synced_is_not_synced_again_by_readers(opened):
    one, files = opened(), Interrupted()
    reader = opened(files)
    reader.commit("own")
    assert files.count == 1
    for number in range(3):
        one.commit(str(number))

        reader.catch_up()
        reader.journal.sync()

    assert reader.seen == {1: "own", 2: "0", 3: "1", 4: "2"}
    assert opened(files).seen == one.seen
    assert files.count == 1


def test_reader_syncs_what_its_writer_has_not_synced_yet(opened):
    one, files = opened(), Interrupted()
    reader = opened(files)
    one.commit("a")
    one.append("b")

    reader.catch_up()
    reader.journal.sync()
    reader.journal.sync()

    assert files.count == 1


def test_sync_by_a_reader_counts_for_other_readers_and_not_for_more_than_it_read(opened):
    one, files, others = opened(), Interrupted(), Interrupted()
    reader, other = opened(files), opened(others)
    one.append("a")
    reader.catch_up()
    files.before = lambda: one.append("b")  # behind what this sync is known to cover
    reader.journal.sync()

    assert notes_of(one.path).durable == reader.journal._segment.chain.end
    other.catch_up()
    other.journal.sync()
    assert others.count == 1


def test_own_commit_is_synced_by_its_own_process(opened):
    one, files = opened(), Interrupted()
    other = opened(files)
    one.commit("a")

    other.append("b")
    one.catch_up()
    one.journal.sync()
    other.journal.sync()

    assert files.count == 1


def test_marks_of_one_segment_say_nothing_of_the_next(opened):
    one, files = opened(), Interrupted()
    other = opened(files)
    for number in range(9):
        one.commit("a" * 999 + str(number))
    one.files_written()
    one.rotate()
    one.append("b")

    other.catch_up()
    other.journal.sync()

    assert notes_of(one.path).generation == 2
    assert files.count == 1


# --- failures -------------------------------------------------------------------------


def test_sync_that_succeeds_after_that_of_another_has_failed_is_not_believed(opened):
    # The system has told the other one of the error, and need not tell it again.
    files, failing = Interrupted(), Interrupted()
    one, other = opened(files), opened(failing)
    other.commit("a")
    failing.before = fail

    def fail_other():
        files.after = lambda: None
        with pytest.raises(StoreInDoubt):
            other.commit("c")

    files.after = fail_other
    with pytest.raises(StoreInDoubt):
        one.commit("b")

    assert one.journal.is_in_doubt
    third = opened()
    assert not third.recovered.alone
    assert ids_of(third.recovered) == ["a", "b", "c"]
    assert len(third.segments()) == 2


@pytest.mark.parametrize("generation", [1, 2])
def test_failure_that_was_told_counts_more_than_any_sync(opened, generation):
    one, reader = opened(), opened()
    one.commit("a")
    reader.catch_up()
    # Of a later segment too: its note may have taken the place of one of this segment.
    opened().journal._syncs.failed(generation)

    with pytest.raises(StoreInDoubt):
        reader.journal.sync()
    with pytest.raises(StoreInDoubt):
        one.commit("b")


def test_failure_is_known_although_a_commit_overwrites_the_shared_block_at_that_moment(opened):
    files = Interrupted()
    one, other, third = opened(files), opened(), opened()
    one.commit("a")
    other.catch_up()
    third.catch_up()
    files.before = fail
    write = one.journal._shared.write_at

    def write_at(offset, data):
        write(offset, data)
        if offset == 0:  # as if the other one had read the block before, and written it after
            other.journal._shared.write_at(0, told)

    one.append("b")
    told = one.journal._shared.read_at(0, BLOCK_BYTES)
    one.journal._shared.write_at = write_at
    with pytest.raises(StoreInDoubt):
        one.journal.sync()

    for opening in (other, third):
        with pytest.raises(StoreInDoubt):
            opening.commit("c")
        assert opening.journal.is_in_doubt
    later = opened()
    later.commit("d")
    assert ids_of(later.recovered) == ["a", "b", "c"]  # in doubt is not gone
    assert len(later.segments()) == 2


def test_opening_beside_a_failure_that_only_its_note_tells_of_recovers(opened):
    files = Interrupted()
    one = opened(files)
    one.commit("a")
    told = one.journal._shared.read_at(0, BLOCK_BYTES)
    files.before = fail
    with pytest.raises(StoreInDoubt):
        one.commit("b")
    one.journal._shared.write_at(0, told)

    later = opened(Interrupted())

    assert not later.recovered.alone
    assert len(later.segments()) == 2
    later.commit("c")
    assert later.history() == [(1, "a"), (2, "b"), (3, "c")]


def test_failure_in_a_segment_that_was_left_does_not_stop_those_in_the_next(opened):
    files = Interrupted()
    slow, quick = opened(files), opened()
    quick.commit("a")
    slow.append("b")
    quick.rotate()
    quick.commit("c")
    files.before = fail

    with pytest.raises(StoreInDoubt):
        slow.journal.sync()

    # Not even a note in their block: it could undo what they write at the same moment.
    assert quick.journal._shared.read_at(0, BLOCK_BYTES) == quick.journal._taken
    quick.commit("d")
    assert opened().seen == {1: "a", 2: "b", 3: "c", 4: "d"}


def test_opener_who_is_alone_heeds_no_note_of_the_dead(opened):
    files = Interrupted()
    one = opened(files)
    one.commit("a")
    files.before = fail
    with pytest.raises(StoreInDoubt):
        one.commit("b")
    one.die()

    again = opened()

    assert notes_of(again.path) == Notes()
    again.commit("c")
    assert opened().seen == {1: "a", 2: "b", 3: "c"}


@pytest.mark.parametrize("offset", range(12))
def test_note_of_a_failure_that_is_only_half_written_is_believed(opened, offset):
    files = Interrupted()
    one, other = opened(files), opened()
    one.commit("a")
    files.before = fail
    with pytest.raises(StoreInDoubt):
        one.commit("b")
    data = bytearray(one.journal._shared.read_at(NOTES_OFFSET, NOTES_BYTES))
    data[offset] ^= 1

    assert Notes.from_bytes(bytes(data)).failed > 1
    assert other.journal._syncs.has_failed(1)


@pytest.mark.parametrize("offset", range(12, NOTES_BYTES))
def test_mark_that_is_only_half_written_counts_for_nothing(opened, offset):
    one = opened()
    one.commit("a")
    data = bytearray(one.journal._shared.read_at(NOTES_OFFSET, NOTES_BYTES))
    assert Notes.from_bytes(bytes(data)).durable == one.journal._segment.chain.end
    data[offset] ^= 1

    assert Notes.from_bytes(bytes(data)) == Notes()


# --- those who do not go on -----------------------------------------------------------


def test_process_that_is_stopped_in_its_sync_keeps_no_other_from_committing(opened):
    files = Interrupted()
    one, other = opened(files), opened()
    stopped, go_on = threading.Event(), threading.Event()

    def stop():
        stopped.set()
        assert go_on.wait(30)

    files.before = stop
    thread = threading.Thread(target=one.commit, args=("a",))
    thread.start()
    try:
        assert stopped.wait(30)
        other.commit("b")
        assert notes_of(other.path).durable == other.journal._segment.chain.end
    finally:
        go_on.set()
        thread.join(30)
    assert other.seen == {1: "a", 2: "b"}
    assert opened().seen == {1: "a", 2: "b"}


@pytest.mark.parametrize("where", ["before", "after"])
def test_process_that_dies_in_its_sync_leaves_nothing_that_others_wait_for(opened, where):
    files = Interrupted()
    one, other = opened(files), opened()

    def die():
        one.die()
        raise KeyboardInterrupt

    setattr(files, where, die)
    with suppress(KeyboardInterrupt):
        one.commit("a")

    other.commit("b")

    assert other.seen == {1: "a", 2: "b"}
    assert opened().seen == {1: "a", 2: "b"}


# --- what a catch-up costs ------------------------------------------------------------


def test_catching_up_asks_no_size_of_a_segment_that_has_room(opened):
    files = FaultyFiles()
    one, other = opened(files), opened()
    other.commit("a")
    one.catch_up()
    other.commit("b")
    made = len(files.calls)

    assert one.catch_up() == [2]

    segment = [call.name for call in files.calls[made:] if call.path.endswith(".log")]
    assert segment == ["read_at"]


def test_segment_that_another_process_has_extended_is_not_extended_again(opened):
    files = FaultyFiles()
    one, other = opened(files), opened()
    one.commit("a")
    other.commit("b" * FIRST_ALLOCATION_BYTES)
    size = other.journal._segment.file.size()

    one.commit("c")

    assert one.journal._segment.allocated == size == one.journal._segment.file.size()
    assert one.seen.keys() == opened().seen.keys() == {1, 2, 3}
