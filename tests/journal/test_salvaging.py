"""Salvaging a journal: whatever part of it is damaged, each whole commit is found, and no other."""

import subprocess
import sys

import pytest

from statestore.drivers.directory import DirectoryDriver
from statestore.files.folders import open_folder
from statestore.journal.frames import FRAME_BYTES, HEADER_BYTES, SegmentHeader, decode_frame
from statestore.journal.journal import JournalOptions
from statestore.journal.salvaging import salvage_entries
from statestore.models.changes import Delete, Put
from statestore.models.keys import Key

COMMITS = 5


def fill(path, *, options=None, count=COMMITS):
    """Make commits whose sequences are 1 to `count`; return the folder of the journal."""
    driver = DirectoryDriver(path, materialize="now", journal=options)
    for number in range(1, count):
        id = f"n{number}"
        driver.commit([Put(Key("notes", id), {"id": id, "text": "x" * 50})], {})
    driver.commit([Delete(Key("notes", "n1"))], {})
    driver.close()
    return path / ".statestore" / "journal"


def places(segment):
    """Return offset and end of each frame of a segment."""
    data = segment.read_bytes()
    seed, at, found = SegmentHeader.from_bytes(data).seed, HEADER_BYTES, []
    while (frame := decode_frame(data, at, seed=seed, offset=at)) is not None:
        found.append((at, frame.end))
        at = frame.end
    return found


def salvaged(journal, store_id=None):
    with open_folder(str(journal)) as folder:
        found = salvage_entries(folder, store_id)
        return found, [entry.sequence for entry in found.entries()]


@pytest.fixture
def journal(tmp_path):
    return fill(tmp_path / "store")


@pytest.fixture
def segment(journal):
    (only,) = journal.iterdir()
    return only


def flip(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 0xFF]))


def test_sound_journal_has_all_commits_and_no_damage(journal):
    found, sequences = salvaged(journal)

    assert sequences == list(range(1, COMMITS + 1))
    assert (found.damages, found.files_upto, found.newest_at) == ([], COMMITS, COMMITS)
    assert [(key.id, at) for key, _, at in found.newest.deleted] == [("n1", COMMITS)]


@pytest.mark.parametrize("offset", range(HEADER_BYTES))
def test_any_damage_of_the_header_loses_no_commit(journal, segment, offset):
    flip(segment, offset)

    found, sequences = salvaged(journal)

    assert sequences == list(range(1, COMMITS + 1))
    assert [(one.offset, one.size_bytes) for one in found.damages] == [(0, HEADER_BYTES)]


@pytest.mark.parametrize("number", range(1, COMMITS + 1))
def test_any_damage_of_a_frame_loses_that_commit_alone(journal, segment, number):
    begin, end = places(segment)[number]  # the first is a checkpoint
    whole = segment.read_bytes()
    for offset in range(begin, end):
        flip(segment, offset)

        found, sequences = salvaged(journal)

        wanted = [one for one in range(1, COMMITS + 1) if one != number]
        if sequences == list(range(1, COMMITS + 1)):  # what fills a frame up to eight bytes
            assert offset >= end - 7 or begin + 33 <= offset < begin + FRAME_BYTES
        else:
            assert sequences == wanted
            assert [(one.offset, one.size_bytes) for one in found.damages] == [(begin, end - begin)]
        segment.write_bytes(whole)


def test_damaged_first_frame_and_header_lose_what_cannot_be_verified(journal, segment):
    flip(segment, 20)  # its generation or store, which the seed is made of
    flip(segment, HEADER_BYTES + 12)

    found, sequences = salvaged(journal)

    assert sequences == []
    assert len(found.damages) == 1
    assert "verified" in found.damages[0].reason


@pytest.mark.parametrize("share", [0, 0.2, 0.5, 0.9, 0.99])
def test_cut_journal_has_the_commits_before_the_cut(journal, segment, share):
    frames = places(segment)
    size = int(frames[-1][1] * share)
    with open(segment, "r+b") as file:
        file.truncate(size)

    found, sequences = salvaged(journal)

    ends = [end for _, end in frames[1 : COMMITS + 1]]
    assert sequences == [number for number, end in enumerate(ends, 1) if end <= size]
    assert all(one.is_end for one in found.damages) or share == 0


def test_commits_that_two_segments_hold_come_once_and_those_of_a_lost_one_are_missing(tmp_path):
    journal = fill(tmp_path / "store", options=JournalOptions(segment_bytes=1), count=9)
    segments = sorted(journal.iterdir())
    assert len(segments) > 3

    _, whole = salvaged(journal)
    for one in segments[1:3]:
        one.unlink()
    _, rest = salvaged(journal)

    assert whole == list(range(1, 10))
    assert set(rest) < set(whole)
    assert rest == sorted(rest)
    assert rest[-1] == 9


DIES = """
import os, sys
from statestore.drivers.directory import DirectoryDriver
from statestore.models.changes import Put
from statestore.models.keys import Key

driver = DirectoryDriver(sys.argv[1])
with driver.held_still():  # no file is written meanwhile
    driver.commit([Put(Key("notes", "a"), {"id": "a"})], {})
    os._exit(0)
"""


def test_commit_that_is_damaged_in_one_segment_is_found_in_the_next(tmp_path):
    subprocess.run([sys.executable, "-c", DIES, tmp_path / "store"], check=True)
    journal = fill(tmp_path / "store")  # it copies what is not in files to a new segment
    first, _ = sorted(journal.iterdir())
    begin, _ = places(first)[1]
    flip(first, begin + FRAME_BYTES)

    found, sequences = salvaged(journal)

    assert sequences == list(range(1, COMMITS + 2))
    assert [(one.path, one.offset) for one in found.damages] == [(str(first), begin)]


def test_segment_of_another_store_is_passed_over(journal, tmp_path):
    other = fill(tmp_path / "other")
    (foreign,) = other.iterdir()
    foreign.rename(journal / "00000000000000ff.log")
    own = (tmp_path / "store" / ".statestore" / "meta.json").read_text().split('"store_id": "')[1]

    found, sequences = salvaged(journal, own[:32])

    assert sequences == list(range(1, COMMITS + 1))
    assert [one.reason for one in found.damages] == ["it belongs to another store"]


def test_frame_within_a_document_is_no_commit(journal, segment):
    begin, end = places(segment)[2]
    inner = segment.read_bytes()[begin:end]
    driver = DirectoryDriver(journal.parents[1])
    driver.commit([Put(Key("notes", "x"), {"id": "x", "text": inner.decode("latin-1")})], {})
    driver.close()

    _, sequences = salvaged(journal)

    assert sequences == list(range(1, COMMITS + 2))
