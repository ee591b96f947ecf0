"""New segments: what is not in files goes with them, whoever dies on the way; and the history."""

import errno
import itertools
import os

import pytest

from statestore.errors import CorruptJournal, HistoryPruned, StorageError, StoreInDoubt
from statestore.journal.frames import Chain, SegmentHeader
from statestore.testing.faulty import Fail, FaultyFiles, PowerOff, Stop, named


def sequences_in(path):
    data = path.read_bytes()
    header = SegmentHeader.from_bytes(data)
    return [frame.sequence for frame in Chain.of(header).follow(data, 0) if frame.type == 0]


def ids_of(recovered):
    return [op.key.id for entry in recovered.window for op in entry.ops]


# --- what goes along ------------------------------------------------------------------


@pytest.mark.parametrize("upto", range(5))
def test_new_segment_has_exactly_what_is_not_in_files(opened, upto):
    one = opened()
    one.commit("a")
    one.commit("b", "c")
    one.commit("d")
    one.files_written(upto=upto)

    one.rotate()

    assert [sequences_in(path) for path in one.segments()] == [
        [1, 2, 3, 4],
        list(range(upto + 1, 5)),
    ]
    one.commit("e")
    one.die()
    assert ids_of(opened().recovered) == ["a", "b", "c", "d", "e"][upto:]


def test_rotation_is_wanted_when_the_segment_is_longer_than_set(opened):
    one = opened(segment_bytes=1000)
    assert not one.journal.wants_rotation
    one.commit("a")
    assert not one.journal.wants_rotation
    one.commit("b" * 1000)
    assert one.journal.wants_rotation
    one.files_written()
    one.rotate()
    assert not one.journal.wants_rotation


def test_closed_segment_is_cut_to_what_is_in_it(opened):
    one = opened()
    one.commit("a")
    end = one.journal._segment.chain.end
    one.rotate()

    assert one.segments()[0].stat().st_size == end


def test_rotation_of_a_damaged_segment_changes_nothing(opened):
    one = opened()
    one.commit("a")
    start = one.journal._segment.chain.end
    one.commit("b")
    one.commit("c")
    [path] = one.segments()
    data = bytearray(path.read_bytes())
    data[start + 45] ^= 1
    path.write_bytes(data)

    with pytest.raises(CorruptJournal):
        one.rotate()

    assert one.segments() == [path]
    assert path.read_bytes() == data


@pytest.mark.parametrize("name", ["open", "write_at", "sync", "rename"])
def test_rotation_that_the_system_refuses_leaves_the_old_segment(opened, name):
    files = FaultyFiles()
    one, other = opened(files), opened()
    one.commit("a")
    files.arm(1, Fail(errno.ENOSPC), only=lambda call: call.name == name and call.changing)

    with pytest.raises(StorageError):
        one.rotate()
    files.disarm()
    one.commit("b")
    other.commit("c")

    assert len(one.segments()) == 1
    assert other.seen == {1: "a", 2: "b", 3: "c"}
    assert not list(one.path.glob("journal/.@*"))


# --- dying on the way -----------------------------------------------------------------


@pytest.mark.parametrize("torn", [False, True])
def test_rotator_may_die_at_every_call_and_the_others_go_on(opened, tmp_path, torn):
    # A write as short as that to the lock file is not torn by the death of a process.
    def counted(call):
        return not torn or (call.name == "write_at" and not call.path.endswith("/lock"))

    for at in itertools.count(1):
        place = tmp_path / str(at)
        one = opened(path=place)
        one.commit("a")
        one.die()
        files = FaultyFiles()
        rotator, survivor = opened(files, place), opened(path=place)
        rotator.commit("b")
        survivor.catch_up()
        files.arm(at, Stop(torn=torn), only=counted)
        try:
            rotator.rotate()
        except PowerOff:
            files.release()
        else:
            files.disarm()
            break

        survivor.commit("y")
        joined = opened(path=place)
        joined.commit("z")
        survivor.catch_up()

        assert survivor.seen == joined.seen == {1: "a", 2: "b", 3: "y", 4: "z"}
        survivor.die()
        joined.die()
        last = opened(path=place)  # nobody is left: the newest segment alone tells what there is
        assert last.seen == survivor.seen
        assert last.history() == sorted(last.seen.items())
        last.die()
    assert at == 2 if torn else at > 15


def test_segment_of_a_dead_rotator_is_removed_before_anybody_commits(opened):
    files = FaultyFiles()
    rotator, survivor = opened(files), opened()
    rotator.commit("a")
    survivor.catch_up()
    after_rename = named("sync")

    def second_sync(call):
        return after_rename(call) and os.path.basename(call.path) == "journal"

    files.arm(1, Stop(), only=second_sync)
    with pytest.raises(PowerOff):
        rotator.rotate()
    files.release()
    assert len(survivor.segments()) == 2

    survivor.commit("b")

    [path] = survivor.segments()
    assert sequences_in(path) == [1, 2]


def test_process_that_dies_between_write_and_telling_leaves_no_ghost(opened):
    files = FaultyFiles()
    dead, survivor, idle = opened(files), opened(), opened()
    dead.commit("a")
    for opening in (survivor, idle):
        opening.catch_up()
    files.arm(2, Stop(), only=named("write_at"))  # the frame is written, and nobody is told
    with pytest.raises(PowerOff):
        dead.append("ghost")
    files.release()

    survivor.rotate()
    survivor.commit("b")
    idle.commit("c")

    assert idle.seen == survivor.seen | {3: "c"} == {1: "a", 2: "b", 3: "c"}


def test_ghost_of_a_dead_process_is_not_taken_for_a_commit_where_nothing_was_cut(opened):
    files, refusing = FaultyFiles(), FaultyFiles()
    dead, survivor, idle = opened(files), opened(refusing), opened()
    dead.commit("a")
    for opening in (survivor, idle):
        opening.catch_up()
    files.arm(2, Stop(), only=named("write_at"))
    with pytest.raises(PowerOff):
        dead.append("ghost")
    files.release()
    refusing.arm(1, Fail(errno.EIO), only=named("truncate"))

    survivor.rotate()
    survivor.commit("b")
    idle.commit("c")

    assert idle.seen == {1: "a", 2: "b", 3: "c"}


# --- those who were idle --------------------------------------------------------------


def test_idle_process_follows_over_one_rotation(opened):
    one, idle = opened(), opened()
    one.commit("a")
    one.files_written()
    one.commit("b")
    one.rotate()
    one.commit("c")

    idle.catch_up()

    # What was in files before the new segment began is read from there.
    assert {2: "b", 3: "c"}.items() <= idle.seen.items() <= one.seen.items()
    assert idle.journal.files_upto == 1
    idle.commit("d")
    assert one.catch_up() == [4]


@pytest.mark.parametrize("history_bytes", [0, 1 << 20])
def test_process_that_missed_rotations_is_told_what_is_in_files_and_the_rest(opened, history_bytes):
    one, idle = opened(history_bytes=history_bytes), opened()
    one.commit("a")
    idle.catch_up()
    for turn in range(3):
        one.commit(f"gone-{turn}", delete=True)
        one.files_written()
        one.rotate()
    one.commit("z")

    with idle.journal.held():
        news = idle.journal.catch_up_locked()

    assert [entry.sequence for entry in news.entries] == [5]
    assert news.checkpoint.files_upto == 4
    assert sorted(key.id for key, _, _ in news.checkpoint.deleted) == ["gone-0", "gone-1", "gone-2"]
    assert idle.journal.sequence == 5


def test_news_that_could_not_be_read_are_told_the_next_time(opened):
    files = FaultyFiles()
    one, idle = opened(), opened(files)
    one.commit("a")
    one.rotate()
    one.commit("b")

    for only, at in (("open", 1), ("read_at", 2)):  # the first read asks who had the lock
        files.arm(at, Fail(errno.EMFILE), only=named(only))
        with pytest.raises(StorageError):
            idle.catch_up()
        files.disarm()
        files.arm(3, Fail(errno.EIO), only=named("read_at"))
        with pytest.raises(StorageError):
            idle.catch_up()
        files.disarm()

    assert idle.catch_up() == [1, 2]


def test_damaged_news_are_corruption_each_time_and_all_told_when_mended(opened):
    one, other = opened(), opened()
    one.commit("a")
    other.catch_up()
    one.commit("b")
    start = one.journal._segment.chain.end
    one.commit("c")
    one.commit("d")
    [path] = one.segments()
    whole = path.read_bytes()
    data = bytearray(whole)
    data[start + 45] ^= 1
    path.write_bytes(data)

    for _ in range(2):
        with pytest.raises(CorruptJournal):
            other.commit("e")
    path.write_bytes(whole)

    assert other.catch_up() == [2, 3, 4]


def test_commits_that_are_known_are_not_told_again_with_a_new_segment(opened):
    one, other = opened(), opened()
    one.commit("a")
    other.catch_up()
    one.commit("b")
    one.rotate()

    assert other.catch_up() == [2]


def test_sync_that_fails_in_a_rotation_poisons_it(opened):
    files = FaultyFiles()
    one, other = opened(files), opened()
    one.append("a")
    files.arm(1, Fail(errno.EIO), only=named("sync_data"))

    with pytest.raises(StoreInDoubt):
        one.rotate()
    with pytest.raises(StoreInDoubt):
        other.commit("b")


# --- history --------------------------------------------------------------------------


def test_history_goes_over_all_segments_each_commit_once_and_in_order(opened):
    one, other = opened(), opened()
    expected = []
    for turn in range(5):
        for name in ("x", "y"):
            one.commit(f"{name}{turn}")
            other.catch_up()
            other.commit(f"{name}{turn}'")
            expected += [f"{name}{turn}", f"{name}{turn}'"]
        one.files_written(upto=one.journal.sequence - 2)
        one.rotate()
    one.catch_up()
    other.catch_up()

    assert len(one.segments()) == 6
    for after in range(len(expected) + 1):
        assert other.history(after) == list(enumerate(expected, 1))[after:]
    one.die()
    other.die()
    assert opened().history() == list(enumerate(expected, 1))


def filled(opening, turns):
    for turn in range(turns):
        opening.commit(f"{turn}", "x" * 500)
        opening.files_written()
        forgotten = opening.rotate()
    return forgotten


def test_history_is_kept_up_to_its_size(opened):
    one = opened(history_bytes=2500)
    forgotten = filled(one, 8)
    kept = one.segments()[:-1]

    assert 0 < sum(path.stat().st_size for path in kept) <= 2500
    assert one.history(forgotten)[0][0] == forgotten + 1
    with pytest.raises(HistoryPruned) as caught:
        one.history(forgotten - 1)
    assert caught.value.oldest == forgotten + 1
    with pytest.raises(HistoryPruned):
        one.history()


def test_history_is_kept_up_to_its_age(opened):
    now = [0.0]
    one = opened(now_s=lambda: now[0], history_days=10)
    filled(one, 3)
    for number, path in enumerate(one.segments()):
        os.utime(path, (number * 86400, number * 86400))
    now[0] = 11.5 * 86400

    one.commit("a")
    one.rotate()

    assert [path.name for path in one.segments()] == [f"{n:016x}.log" for n in (3, 4, 5)]


def test_history_is_forgotten_from_its_beginning_alone(opened):
    now = [0.0]
    one = opened(now_s=lambda: now[0], history_days=10)
    filled(one, 4)
    for path, day in zip(one.segments(), (9, 1, 9, 9, 9), strict=True):
        os.utime(path, (day * 86400, day * 86400))
    now[0] = 12 * 86400

    one.rotate()

    assert [path.name for path in one.segments()] == [f"{n:016x}.log" for n in (3, 4, 5, 6)]


def test_history_of_nothing(opened):
    one = opened()
    assert one.history() == []
    one.commit("a")
    assert one.history(1) == one.history(5) == []


def test_damage_in_a_closed_segment_is_corruption_of_the_history_alone(opened):
    one = opened()
    one.commit("a")
    start = one.journal._segment.chain.end
    one.commit("b")
    one.commit("c")
    one.files_written()
    one.rotate()
    path = one.segments()[0]
    data = bytearray(path.read_bytes())
    data[start + 45] ^= 1
    path.write_bytes(data)

    with pytest.raises(CorruptJournal):
        one.history()
    one.commit("d")
    one.die()

    assert ids_of(opened().recovered) == ["d"]


def test_half_a_block_of_who_has_appended_nothing_is_made_whole_again(opened):
    files = FaultyFiles()
    one = opened(files)
    one.commit("a")
    files.arm(1, Fail(errno.EDQUOT, torn=True), only=named("write_at"))
    with pytest.raises(StorageError):
        one.files_written()
    files.arm(1, Fail(errno.EDQUOT), only=named("write_at"))
    with pytest.raises(StorageError):  # not yet: the disk still refuses
        one.commit("b")

    one.commit("b")

    assert not one.journal.is_in_doubt
    one.files_written(upto=1)
    other = opened()
    assert ids_of(other.recovered) == ["b"]
    other.commit("c")
    assert one.catch_up() == [3]


def test_half_a_block_of_another_is_never_made_whole(opened):
    """He may have appended what he could not tell of."""
    files, theirs = FaultyFiles(), FaultyFiles()
    one, other = opened(files), opened(theirs)
    one.commit("a")
    files.arm(1, Fail(errno.EDQUOT), only=named("write_at"))
    with pytest.raises(StorageError):
        one.files_written()
    # Everything but the frames fails for the other from now on.
    theirs.arm(
        1,
        Fail(errno.EIO, torn=True),
        only=lambda call: call.name == "write_at" and call.path.endswith("lock"),
        sticky=True,
    )
    with pytest.raises(StoreInDoubt):
        other.commit("b")
    theirs.disarm()

    with pytest.raises(StoreInDoubt):
        one.commit("c")
