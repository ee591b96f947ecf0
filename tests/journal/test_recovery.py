"""Opening a journal: what was acknowledged is there, and nothing is built on what may vanish."""

import errno
import itertools
import os
from contextlib import closing

import pytest

from statestore.errors import CorruptJournal, StorageError, StoreInDoubt
from statestore.files.folders import open_folder
from statestore.journal.frames import HEADER_BYTES, Chain, SegmentHeader, encode_frame
from statestore.journal.reading import JournalReader
from statestore.testing.faulty import Fail, FaultyFiles, PowerOff, Stop, named

STORE_ID = "5a" * 16


def frames_of(path):
    data = path.read_bytes()
    header = SegmentHeader.from_bytes(data)
    return list(Chain.of(header).follow(data, 0)), header


def ids_of(recovered):
    return [op.key.id for entry in recovered.window for op in entry.ops]


def change(path, at, mask=0x10):
    data = bytearray(path.read_bytes())
    data[at] ^= mask
    path.write_bytes(data)


# --- after an end ---------------------------------------------------------------------


def test_window_of_a_dead_process_comes_back(opened):
    one = opened()
    one.commit("a")
    one.commit("b", "c")
    one.die()

    other = opened()

    assert ids_of(other.recovered) == ["a", "b", "c"]
    assert other.recovered.sequence == 3
    assert other.recovered.alone


def test_commits_that_are_in_files_do_not_come_back(opened):
    one = opened()
    one.commit("a")
    one.files_written()
    one.rotate()
    one.commit("b")
    one.die()

    other = opened()

    assert ids_of(other.recovered) == ["b"]
    assert other.recovered.files_upto == 1


def test_recovery_puts_the_window_into_a_synced_segment_before_anything_else(opened):
    one = opened()
    one.commit("a")
    one.die()
    files = FaultyFiles()

    other = opened(files)
    [new] = other.segments()[1:]

    calls = [
        (call.name, os.path.basename(call.to or call.path))
        for call in files.changing()
        if "/journal" in call.path and call.name not in ("set_mode", "open")
    ]
    temporary = calls[1][1]
    assert calls == [
        ("sync", "journal"),
        ("write_at", temporary),
        ("sync", temporary),
        ("rename", new.name),
        ("sync", "journal"),
    ]
    frames, header = frames_of(new)
    assert header.generation == 2
    assert header.synced == frames[-1].end
    assert [frame.sequence for frame in frames] == [0, 1]


def test_nothing_is_appended_to_the_segment_of_a_dead_process(opened):
    one = opened()
    one.commit("a")
    one.die()
    [old] = one.segments()
    before = old.read_bytes()

    other = opened()
    other.commit("b")

    assert old.read_bytes() == before
    assert [frame.sequence for frame in frames_of(other.segments()[-1])[0]] == [0, 1, 2]


def test_each_unclean_end_raises_the_generation(opened):
    for turn in range(4):
        one = opened()
        one.commit(f"id-{turn}")
        one.die()

    assert [path.name for path in one.segments()] == [f"{n:016x}.log" for n in range(1, 5)]
    assert ids_of(opened().recovered) == [f"id-{turn}" for turn in range(4)]


def test_opening_twice_without_a_commit_changes_nothing(opened, listing, place):
    one = opened()
    one.commit("a")
    one.files_written()
    one.close()
    journal = place / "journal"
    before = listing(journal)

    for _ in range(2):
        other = opened()
        assert ids_of(other.recovered) == []
        assert other.recovered.sequence == 1
        other.close()

    assert listing(journal) == before


def test_commit_after_a_clean_end_goes_to_a_new_segment(opened):
    one = opened()
    one.commit("a")
    one.files_written()
    one.close()
    [old] = one.segments()
    before = old.read_bytes()

    other = opened()
    other.commit("b")
    other.die()

    assert old.read_bytes() == before
    assert ids_of(opened().recovered) == ["b"]


def test_last_one_out_leaves_a_checkpoint_that_vouches_for_all(opened):
    one, other = opened(), opened()
    one.commit("a")
    one.files_written()

    other.close()
    assert [frame.type for frame in frames_of(one.segments()[0])[0]] == [1, 0]
    end = one.journal._segment.chain.end
    one.close()

    frames, _ = frames_of(one.segments()[0])
    assert [frame.type for frame in frames] == [1, 0, 1]
    assert frames[-1].durable == end
    assert frames[-1].end == one.segments()[0].stat().st_size


def test_end_without_all_files_leaves_the_window(opened):
    one = opened()
    one.commit("a")
    one.commit("b")
    one.files_written(upto=1)
    one.close()

    assert "b" in ids_of(opened().recovered)


@pytest.mark.parametrize("kind", ["rotation", "close"])
def test_deletions_are_remembered(opened, kind):
    one = opened()
    one.commit("a", "b")
    one.commit("a", delete=True)
    one.files_written()
    if kind == "rotation":
        one.rotate()
        one.rotate()
    one.close()

    for _ in range(3):
        other = opened()
        [(key, revision, at)] = other.recovered.deleted
        assert (key.id, revision, at) == ("a", 9, 3)
        other.commit("c")
        other.files_written()
        other.close()

    other = opened()
    other.commit("a")
    other.files_written()
    other.rotate()
    other.die()
    assert opened().recovered.deleted == []


def test_leftovers_of_a_begun_segment_are_removed_by_whoever_is_alone(opened, place):
    one = opened()
    one.commit("a")
    left = place / "journal" / ".@0123456789abcdef.tmp"
    left.write_bytes(b"half")

    joined = opened()
    assert left.exists()
    for opening in (one, joined):
        opening.die()
    opened()

    assert not left.exists()


def test_last_commit_tells_the_time(opened):
    one = opened()
    one.commit("a", "b")
    last = one.last_time
    one.files_written()
    one.close()

    assert opened().recovered.committed_at == last


# --- torn, or damaged -----------------------------------------------------------------


def test_every_cut_of_the_last_commit_is_a_torn_tail(opened, place):
    one = opened()
    one.commit("a")
    start = one.journal._segment.chain.end
    one.append("b")
    end = one.journal._segment.chain.end
    one.die()
    [path] = one.segments()
    whole = path.read_bytes()

    for size in range(start, end - 7, 5):
        for new in one.segments():
            new.unlink()
        path.write_bytes(whole[:size] + bytes(200))
        other = opened()
        assert ids_of(other.recovered) == ["a"]
        other.commit("c")
        other.die()
        assert ids_of(opened_and_closed(opened)) == ["a", "c"]


def opened_and_closed(opened):
    opening = opened()
    opening.die()
    return opening.recovered


def test_damage_before_an_acknowledged_commit_fails_closed(opened, place, listing):
    one = opened()
    one.commit("a")
    start = one.journal._segment.chain.end
    one.commit("b")
    end = one.journal._segment.chain.end
    one.commit("c")  # knows that b is on the disk
    one.die()
    [path] = one.segments()
    whole = path.read_bytes()

    for at in itertools.chain(range(start, start + 33), range(start + 40, end - 8, 3)):
        change(path, at)
        before = listing(place)
        with pytest.raises(CorruptJournal) as caught:
            opened()
        assert caught.value.offset == start
        after = listing(place)
        assert {name: what[2] for name, what in after.items() if name != "lock"} == {
            name: what[2] for name, what in before.items() if name != "lock"
        }
        path.write_bytes(whole)


def test_damage_of_the_unsynced_first_of_two_is_a_torn_tail(opened):
    one = opened()
    one.commit("a")
    start = one.journal._segment.chain.end
    one.append("b")
    one.append("c")  # written while nobody knew that b is on the disk
    one.die()
    change(one.segments()[0], start + 45)

    assert ids_of(opened().recovered) == ["a"]


@pytest.mark.parametrize("at", [0, 9, 30, 60, 63])
def test_damaged_header_fails_closed(opened, at):
    one = opened()
    one.commit("a")
    one.die()
    change(one.segments()[0], at)

    with pytest.raises(CorruptJournal):
        opened()


def test_damage_in_what_recovery_has_copied_fails_closed(opened):
    one = opened()
    one.commit("a")
    one.die()
    opened().die()
    path = one.segments()[-1]
    change(path, frames_of(path)[0][1].offset + 45)

    with pytest.raises(CorruptJournal):
        opened()


def test_segment_under_another_number_is_refused(opened):
    one = opened()
    one.commit("a")
    one.die()
    [path] = one.segments()
    path.rename(path.with_name(f"{7:016x}.log"))

    with pytest.raises(CorruptJournal, match="number 1"):
        opened()


def test_segment_of_another_store_is_refused(opened):
    one = opened()
    one.commit("a")
    one.die()
    [path] = one.segments()
    header = SegmentHeader.from_bytes(path.read_bytes())
    foreign = SegmentHeader(b"x" * 16, 1, header.base, header.salt, header.synced)
    path.write_bytes(foreign.to_bytes() + path.read_bytes()[HEADER_BYTES:])

    with pytest.raises(CorruptJournal, match="another store"):
        opened()


def test_whole_frame_of_no_commit_fails_closed(opened):
    one = opened()
    one.commit("a")
    [path] = one.segments()
    chain = one.journal._segment.chain
    frame, _ = encode_frame(
        b"no commit", seed=chain.seed, previous=chain.checksum, sequence=2, durable=0
    )
    one.die()
    data = bytearray(path.read_bytes())
    data[chain.end : chain.end + len(frame)] = frame
    path.write_bytes(data)

    with pytest.raises(CorruptJournal):
        opened()


# --- dying in recovery ----------------------------------------------------------------


def test_recovery_may_be_stopped_at_every_call(opened, place):
    first = opened()
    first.commit("a")
    first.commit("b")
    first.die()

    for at in itertools.count(1):
        files = FaultyFiles()
        files.arm(at, Stop(), only=lambda call: True)
        try:
            opened(files)
        except PowerOff:
            files.release()
        else:
            files.disarm()
            break
        again = opened()
        assert ids_of(again.recovered) == ["a", "b"]
        assert again.history() == [(1, "a"), (2, "b")]
        again.die()
    assert at > 20


def test_recovery_refused_by_the_system_changes_no_answer(opened, place):
    first = opened()
    first.commit("a")
    first.die()

    for at in itertools.count(1):
        files = FaultyFiles()
        files.arm(at, Fail(errno.EIO))
        try:
            opening = opened(files)
        except StorageError:
            pass
        except StoreInDoubt:
            pass
        else:
            if files.armed:
                break
            opening.die()
        assert ids_of(opened_and_closed(opened)) == ["a"]
    assert at > 5


# --- several processes ----------------------------------------------------------------


def test_joining_process_sees_what_is_not_in_files_and_syncs_it(opened):
    one = opened()
    one.append("a")
    files = FaultyFiles()

    other = opened(files)

    assert not other.recovered.alone
    assert ids_of(other.recovered) == ["a"]
    assert [call.name for call in files.chosen(named("sync_data"))] == ["sync_data"]


def test_processes_see_each_others_commits_once_and_in_order(opened):
    one, other = opened(), opened()
    one.commit("a")
    other.commit("b")
    one.commit("c", "d")

    assert other.catch_up() == [3, 4]
    assert other.catch_up() == []
    assert one.seen == other.seen == {1: "a", 2: "b", 3: "c", 4: "d"}


def test_failed_sync_poisons_all_openings_and_the_next_one_recovers(opened, place):
    files = FaultyFiles()
    one, other = opened(files), opened()
    one.commit("a")
    other.catch_up()
    files.arm(1, Fail(errno.EIO), only=named("sync_data"))

    with pytest.raises(StoreInDoubt):
        one.commit("b")
    for opening in (one, other):
        with pytest.raises(StoreInDoubt):
            opening.commit("c")
        assert opening.journal.is_in_doubt
    assert len(files.chosen(named("sync_data"))) == 2  # never again after it failed

    third = opened()
    third.commit("d")

    assert ids_of(third.recovered) == ["a", "b"]
    assert third.seen == {1: "a", 2: "b", 3: "d"}
    with pytest.raises(StoreInDoubt):
        one.commit("e")


def test_opening_that_did_not_see_the_failure_goes_on_in_the_recovered_segment(opened):
    files = FaultyFiles()
    one, idle = opened(files), opened()
    one.commit("a")
    idle.catch_up()
    files.arm(1, Fail(errno.EIO), only=named("sync_data"))
    with pytest.raises(StoreInDoubt):
        one.commit("b")
    third = opened()
    third.commit("c")

    idle.commit("d")

    assert idle.seen == {1: "a", 2: "b", 3: "c", 4: "d"}
    assert third.catch_up() == [4]


def test_segment_whose_failed_sync_left_nothing_to_copy_is_left_too(opened, place):
    files = FaultyFiles()
    one = opened(files)
    one.commit("a")
    one.files_written()
    one.rotate()
    files.arm(1, Fail(errno.EIO), only=named("sync_data"))
    with pytest.raises(StoreInDoubt):
        one.commit("b")
    # The system forgets what it could not write.
    path = one.segments()[-1]
    first, _ = frames_of(path)
    path.write_bytes(path.read_bytes()[: first[0].end] + bytes(512))

    other = opened()
    other.commit("c")

    assert other.seen == {2: "c"}
    assert len(other.segments()) == 3


# --- reading only ---------------------------------------------------------------------


def read_only(place, files=None):
    with open_folder(str(place), files=files) as own, closing(JournalReader(own, STORE_ID)) as one:
        return one.open()


def test_reading_only_sees_the_window_and_writes_no_byte(opened, place, listing):
    one = opened()
    one.commit("a")
    one.files_written()
    one.rotate()
    one.commit("b")
    one.die()
    before = listing(place)
    files = FaultyFiles()
    files.arm(1, Fail(errno.EROFS), sticky=True)

    recovered = read_only(place, files)

    assert ids_of(recovered) == ["b"]
    assert (recovered.sequence, recovered.files_upto, recovered.alone) == (2, 1, False)
    assert listing(place) == before
    assert files.changing() == []


def test_reading_only_where_there_is_no_journal(place, opened):
    place.mkdir()
    assert read_only(place).window == ()
    opened()
    assert read_only(place).sequence == 0


def test_reading_only_fails_closed_too(opened, place):
    one = opened()
    one.commit("a")
    one.commit("b")
    one.die()
    frames, _ = frames_of(one.segments()[0])
    change(one.segments()[0], frames[1].offset + 50)

    with pytest.raises(CorruptJournal):
        read_only(place)


class Between(FaultyFiles):
    """Files that do something else each time after a part of a segment was read."""

    def __init__(self, act):
        super().__init__()
        self.act = act

    def read_at(self, fd, size, offset):
        data = super().read_at(fd, size, offset)
        if offset >= HEADER_BYTES and self.act:
            self.act()
        return data


def test_reading_only_beside_a_busy_writer_is_no_corruption(opened, place):
    one = opened()
    one.commit("a")
    numbers = iter(range(6))

    def commit_two():
        if next(numbers, None) is not None:
            one.commit("x")
            one.commit("y")

    recovered = read_only(place, Between(commit_two))

    assert ids_of(recovered)[0] == "a"
    assert recovered.sequence == len(ids_of(recovered)) <= one.journal.sequence


def test_reading_only_while_the_segment_is_replaced(opened, place):
    one = opened(history_bytes=0)
    one.commit("a")

    files = FaultyFiles()
    real = files.names

    def names(fd):
        found = real(fd)
        files.names = real
        one.files_written()
        one.rotate()
        one.commit("b")
        return found

    files.names = names
    recovered = read_only(place, files)

    assert recovered.sequence == 2
    assert ids_of(recovered) == ["b"]
