"""The feed: who committed what, in order; recent commits from memory; never ahead of the disk."""

import errno
from contextlib import closing

import pytest

from statestore.drivers.directory import DirectoryDriver
from statestore.drivers.feed import Feed
from statestore.errors import HistoryPruned, StoreInDoubt
from statestore.journal.entries import Entry, PutOp
from statestore.journal.journal import JournalOptions
from statestore.models.changes import Append, Delete, Patch, Put
from statestore.testing.driver import key, patch, put
from statestore.testing.faulty import Fail, FaultyFiles, named


@pytest.fixture
def both(opened):
    """Two openings of one store, which write no files of themselves."""
    one, other = opened(materialize="background"), opened(materialize="background")
    with one.held_still():
        yield one, other


def runs(driver, after=0):
    return [(commit.sequence, commit.run) for commit in driver.changes(after)]


def test_commits_tell_the_opening_and_the_source(opened):
    one, other = opened(), opened(source="worker")
    assert one.run != other.run
    assert len(bytes.fromhex(one.run)) == 8

    made = [one.commit([put("a")], {}), other.commit([put("b")], {})]
    one.catch_up()

    assert [(commit.run, commit.source) for commit in made] == [
        *((one.run, "commit"), (other.run, "worker"))
    ]
    assert list(one.changes(0)) == made
    reader = opened(read_only=True)
    assert list(reader.changes(0)) == made


def test_run_and_source_are_in_the_history(opened):
    first = opened(source="import")
    made = first.commit([put("a")], {})
    first.close()

    assert list(opened().changes(0)) == [made]


def test_changes_tell_what_was_made_of_each_record(both):
    one, other = both
    other.commit([put("a", n=1, items=[1]), Put(key("b"), {"id": "b"}, 3, {"later": True})], {})
    other.commit([patch("a", Append("items", 1, (2, 3)), n=2), Delete(key("b"))], {})

    one.catch_up()

    for driver in (one, other):
        assert [list(commit.changes) for commit in driver.changes(0)] == [
            [
                Put(key("a"), {"id": "a", "n": 1, "items": [1]}),
                Put(key("b"), {"id": "b"}, 3, {"later": True}),
            ],
            [Patch(key("a"), {"n": 2}, (Append("items", 1, (2, 3)),)), Delete(key("b"))],
        ]


def test_documents_of_changes_are_made_anew_at_each_call(opened):
    driver = opened()
    driver.commit([put("a", items=[1])], {})
    [commit] = driver.changes(0)

    commit.changes[0].document["items"].append(2)

    assert commit.changes[0].document["items"] == [1]


def test_record_whose_file_was_staged_is_left_out_of_the_changes(opened):
    driver = opened(journal=JournalOptions(staged_bytes=1))
    commit = driver.commit([put("a", n=1)], {})

    assert (commit.revisions, list(commit.changes)) == ({key("a"): 1}, [])


def test_recent_commits_of_all_processes_come_from_memory(opened):
    files = FaultyFiles()
    one, other = opened(files=files, materialize="background"), opened()
    one.commit([put("a")], {})
    other.commit([put("b")], {})
    one.flush()
    assert one.catch_up() == 2
    files.calls.clear()

    assert [sequence for sequence, _ in runs(one)] == [1, 2]
    assert [sequence for sequence, _ in runs(one, 1)] == [2]
    assert runs(one, 2) == []
    assert [call.name for call in files.calls if call.name in ("open", "names", "read_at")] == []


def test_commits_that_memory_does_not_keep_come_from_the_journal(opened, monkeypatch):
    few = {"most_bytes": 9999, "most_entries": 2}
    monkeypatch.setattr(Feed.__init__, "__kwdefaults__", few)
    driver = opened()
    for number in range(5):
        driver.commit([put("a", n=number)], {})

    assert [sequence for sequence, _ in runs(driver)] == [1, 2, 3, 4, 5]
    assert [sequence for sequence, _ in runs(driver, 3)] == [4, 5]


def entry(sequence, size=10):
    op = PutOp(key(str(sequence)), 1, 1, b"x" * size)
    return Entry(sequence, None, "commit", [op])


def sequences(entries):
    return None if entries is None else [one.sequence for one in entries]


def test_feed_keeps_the_last_commits_only():
    feed = Feed(most_bytes=10_000, most_entries=3)
    feed.add([entry(number) for number in range(1, 6)])

    assert sequences(feed.between(2, 5)) == [3, 4, 5]
    assert sequences(feed.between(3, 4)) == [4]
    assert feed.between(1, 5) is None
    assert feed.between(4, 6) is None
    assert sequences(feed.between(5, 5)) == []

    feed.add([entry(6, 9000)])
    feed.add([entry(7, 9000)])
    assert feed.between(5, 7) is None
    assert sequences(feed.between(6, 7)) == [7]

    feed.add([entry(8, 20_000)])
    assert feed.between(7, 8) is None


def test_feed_begins_anew_behind_a_gap():
    feed = Feed(most_bytes=2000, most_entries=9)
    feed.add([entry(1, 1000), entry(2, 10)])

    feed.add([entry(9, 1000)])
    feed.add([entry(10)])

    assert feed.between(1, 10) is None
    assert sequences(feed.between(8, 10)) == [9, 10]


def test_commit_of_another_whose_sync_fails_here_is_in_no_feed(opened):
    files = FaultyFiles()
    one, other = opened(files=files, materialize="background"), opened(materialize="background")
    one.commit([put("a")], {})
    with one.held_still():
        other.commit([put("b")], {})
        other._ledger._journal._syncs.forget()  # as if that were not synced there yet
        files.arm(1, Fail(errno.EIO), only=named("sync_data"))

        assert one.catch_up() == 1

        assert [sequence for sequence, _ in runs(one)] == [1]
        with pytest.raises(StoreInDoubt):
            one.commit([put("c")], {})
        assert [sequence for sequence, _ in runs(one)] == [1]


def test_process_that_missed_rotations_reads_the_commits_between_in_closed_segments(opened):
    options = JournalOptions(segment_bytes=200)
    one, other = (opened(journal=options, materialize="background") for _ in range(2))
    one.commit([put("a")], {})
    for number in range(8):
        other.commit([put("b", n=number)], {})
        other.flush()  # and a new segment

    assert one.catch_up() == 9

    assert runs(one, 1) == [(sequence, other.run) for sequence in range(2, 10)]


def test_process_that_missed_what_is_not_kept_is_told(opened):
    options = JournalOptions(segment_bytes=200, history_bytes=0)
    one, other = (opened(journal=options, materialize="background") for _ in range(2))
    one.commit([put("a")], {})
    for number in range(8):
        other.commit([put("b", n=number)], {})
        other.flush()

    one.catch_up()

    with pytest.raises(HistoryPruned):
        list(one.changes(1))


def test_read_only_opening_serves_recent_commits_from_memory(tmp_path):
    files = FaultyFiles()
    with closing(DirectoryDriver(tmp_path / "store")) as writer, writer.held_still():
        writer.commit([put("a")], {})
        with closing(DirectoryDriver(tmp_path / "store", read_only=True, files=files)) as reader:
            writer.commit([put("b")], {})
            assert reader.catch_up() == 2
            files.calls.clear()

            assert runs(reader) == [(1, writer.run), (2, writer.run)]
            assert [call.name for call in files.calls if call.name == "open"] == []
