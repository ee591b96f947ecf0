"""Segments: room is made before it is needed, and what failed to be written never comes back."""

import errno
from datetime import UTC, datetime

import pytest

from statestore.errors import StorageError
from statestore.files.folders import open_folder
from statestore.journal.entries import Checkpoint
from statestore.journal.segments import (
    FIRST_ALLOCATION_BYTES,
    LARGEST_ALLOCATION_BYTES,
    Uncertain,
    generations,
    open_segment,
    segment_name,
    write_segment,
)
from statestore.testing.faulty import Fail, FaultyFiles, ShortWrite, named

STORE_ID = b"S" * 16
CHECKPOINT = Checkpoint(0, datetime(2026, 1, 1, tzinfo=UTC)).to_bytes()


@pytest.fixture
def files():
    return FaultyFiles()


@pytest.fixture
def folder(tmp_path, files):
    with open_folder(str(tmp_path), files=files) as folder:
        yield folder


@pytest.fixture
def segment(folder):
    temporary, segment = write_segment(
        folder, generation=1, store_id=STORE_ID, base=0, checkpoint=CHECKPOINT, window=[]
    )
    folder.move(temporary, folder, segment_name(1))
    yield segment
    segment.close()


def read_back(folder):
    segment = open_segment(folder, 1, STORE_ID)
    try:
        found = [frame.payload for frame in segment.read_to()[1:]]
        segment.check_end()
        return found
    finally:
        segment.close()


def test_segment_has_room_from_the_beginning(folder, segment):
    assert segment.file.size() == segment.chain.end + FIRST_ALLOCATION_BYTES

    segment.append([b"x" * 1000], durable=0)

    assert segment.file.size() == segment.allocated
    assert read_back(folder) == [b"x" * 1000]


def test_appends_within_the_room_are_one_write_each(segment, files):
    before = len(files.chosen(named("write_at")))

    for _ in range(10):
        segment.append([b"x" * 100, b"y" * 100], durable=0)

    assert len(files.chosen(named("write_at"))) == before + 10


def test_room_is_doubled_up_to_a_limit(segment):
    more = []
    for _ in range(80):
        before = segment.allocated
        segment.append([b"x" * 60_000], durable=0)
        if segment.allocated != before:
            more.append(segment.allocated - segment.chain.end)
            assert more[-1] == min(before, LARGEST_ALLOCATION_BYTES)

    assert more[0] < more[1] < LARGEST_ALLOCATION_BYTES == more[-1]


def test_commit_larger_than_what_is_read_at_once(folder, segment):
    payloads = [b"a", b"x" * (3 << 20), b"b" * (1 << 20), b"c"]
    for payload in payloads:
        segment.append([payload], durable=0)

    assert read_back(folder) == payloads


def test_short_writes_are_continued(folder, segment, files):
    files.arm(1, ShortWrite(), only=named("write_at"), sticky=True)

    segment.append([b"x" * 5000, b"y"], durable=0)

    assert read_back(folder) == [b"x" * 5000, b"y"]


@pytest.mark.parametrize("torn", [False, True])
def test_nothing_of_a_failed_batch_is_replayed(folder, segment, files, torn):
    segment.append([b"before"], durable=0)
    end = segment.chain.end
    files.arm(1, Fail(errno.ENOSPC, torn=torn), only=named("write_at"))

    with pytest.raises(StorageError):
        segment.append([b"one", b"two", b"three", b"four"], durable=0)

    assert segment.chain.end == end
    assert read_back(folder) == [b"before"]
    segment.append([b"after"], durable=0)
    assert read_back(folder) == [b"before", b"after"]


def test_room_that_cannot_be_made_refuses_the_commit_alone(folder, segment, files):
    segment.append([b"before"], durable=0)
    files.arm(1, Fail(errno.ENOSPC, torn=True), only=named("write_at"))

    with pytest.raises(StorageError):
        segment.append([b"x" * 100_000], durable=0)

    assert read_back(folder) == [b"before"]
    segment.append([b"y" * 100_000], durable=0)
    segment.append([b"after"], durable=0)
    assert read_back(folder) == [b"before", b"y" * 100_000, b"after"]


def test_failure_that_cannot_be_taken_back_is_uncertain(segment, files):
    files.arm(1, Fail(errno.EIO, torn=True), only=named("write_at"), sticky=True)

    with pytest.raises(Uncertain):
        segment.append([b"one", b"two"], durable=0)


def test_segment_that_cannot_be_written_leaves_nothing(folder, files, tmp_path):
    for name in ("open", "write_at", "sync"):
        files.arm(1, Fail(errno.ENOSPC), only=lambda call, name=name: call.name == name)

        with pytest.raises(StorageError):
            write_segment(
                folder, generation=1, store_id=STORE_ID, base=0, checkpoint=CHECKPOINT, window=[]
            )

        files.disarm()
        assert list(tmp_path.iterdir()) == []


def test_generations_are_those_of_segments_alone(folder, tmp_path):
    for name in (
        "00000000000000ff.log",
        f"{2:016x}.log",
        "x.log",
        "1.log",
        ".@00.tmp",
        "0.log.bak",
    ):
        (tmp_path / name).touch()

    assert generations(folder) == [2, 255]
