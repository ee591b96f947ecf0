"""Frames and headers: whatever a disk leaves of a segment, what is read of it was written."""

import os
import struct
from datetime import UTC, datetime

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statestore.errors import CorruptJournal
from statestore.files.folders import open_folder
from statestore.journal.entries import Checkpoint
from statestore.journal.frames import (
    CHECKPOINT,
    DATA,
    FRAME_BYTES,
    FRAME_MAGIC,
    HEADER_BYTES,
    Chain,
    SegmentHeader,
    decode_frame,
    encode_frame,
    vouching_frame,
)
from statestore.journal.segments import read_segment, segment_name, write_segment

NUMBERS = st.integers(0, 2**64 - 1)
STORE_ID = b"S" * 16
HEADER = SegmentHeader(STORE_ID, 1, 0, 7, HEADER_BYTES)
TIME = datetime(2026, 1, 1, tzinfo=UTC)


def frames_of(payloads, header=HEADER, chain=None, durable=0):
    """Return the bytes of frames that continue a chain, and move it."""
    chain = chain or Chain.of(header)
    data = b""
    for payload in payloads:
        chain.sequence += 1
        frame, chain.checksum = encode_frame(
            payload,
            seed=header.seed,
            previous=chain.checksum,
            sequence=chain.sequence,
            durable=durable,
        )
        chain.end += len(frame)
        data += frame
    return data


def payloads_in(data, header=HEADER):
    return [frame.payload for frame in Chain.of(header).follow(data, 0)]


@given(st.binary(min_size=16, max_size=16), NUMBERS, NUMBERS, NUMBERS, NUMBERS)
def test_header_comes_back(store_id, generation, base, salt, synced):
    header = SegmentHeader(store_id, generation, base, salt, synced)

    assert SegmentHeader.from_bytes(header.to_bytes()) == header
    assert len(header.to_bytes()) == HEADER_BYTES


def test_damaged_or_short_header_is_refused():
    data = HEADER.to_bytes()

    for bit in range(HEADER_BYTES * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ValueError):
            SegmentHeader.from_bytes(bytes(damaged))
    for size in range(HEADER_BYTES):
        with pytest.raises(ValueError):
            SegmentHeader.from_bytes(data[:size])


@given(
    st.binary(max_size=200),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    NUMBERS,
    NUMBERS,
    st.sampled_from([DATA, CHECKPOINT]),
)
def test_frame_comes_back(payload, seed, previous, sequence, durable, type):
    data, checksum = encode_frame(
        payload, seed=seed, previous=previous, sequence=sequence, durable=durable, type=type
    )

    frame = decode_frame(b"before" + data, 6, seed=seed, offset=640)

    assert frame is not None
    assert attrs.astuple(frame) == (
        *(640, 640 + len(data), checksum),
        *(previous, sequence, durable, type, payload),
    )
    assert len(data) % 8 == 0
    assert decode_frame(data, 0, seed=seed ^ 1, offset=0) is None


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_chain_gives_what_was_written_in_order(payloads):
    assert payloads_in(HEADER.to_bytes() + frames_of(payloads) + bytes(64)) == payloads


SMALL = [b"one", b"second one", b""]


def test_every_flipped_bit_ends_the_chain_before_its_frame():
    data = HEADER.to_bytes() + frames_of(SMALL) + bytes(40)

    for bit in range(HEADER_BYTES * 8, len(data) * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        found = payloads_in(bytes(damaged))

        assert found == SMALL[: len(found)]
        if found == SMALL:  # then it was in what fills a frame up, or behind the last
            before, inside = HEADER_BYTES, False
            for payload in SMALL:
                end = before + FRAME_BYTES + len(payload)
                # Seven bytes at the end of a frame's head are zeros that say nothing.
                inside |= before <= bit // 8 < before + 33 or before + 40 <= bit // 8 < end
                before = end + -end % 8
            assert not inside


@pytest.mark.parametrize("tail", [b"", bytes(48), b"\xff" * 48, FRAME_MAGIC * 12])
def test_every_cut_gives_the_whole_frames_before_it(tail):
    data = HEADER.to_bytes() + frames_of(SMALL)
    # What is behind the cut may happen to be what was there: it is compared, not counted.
    said, start = [], HEADER_BYTES
    for payload in SMALL:
        end = start + FRAME_BYTES + len(payload)
        said.append([slice(start, start + 33), slice(start + FRAME_BYTES, end)])
        start = end + -end % 8

    for size in range(HEADER_BYTES, len(data)):
        cut = data[:size] + tail
        whole = [all(cut[part] == data[part] for part in parts) for parts in said]
        whole = [
            is_whole and len(cut) >= parts[1].stop
            for is_whole, parts in zip(whole, said, strict=True)
        ]

        assert payloads_in(cut) == SMALL[: [*whole, False].index(False)]


def test_leftovers_of_longer_frames_never_come_back():
    chain = Chain.of(HEADER)
    first = frames_of([b"acknowledged"], chain=chain)
    tail = attrs.evolve(chain)
    # A process dies with three frames behind the tail that nobody was told of; the next one
    # writes one there, of the same length as the first of them.
    lost = frames_of([b"lost 1", b"lost 2", b"lost 3"], chain=attrs.evolve(tail))
    new = frames_of([b"new  1"], chain=tail)

    data = HEADER.to_bytes() + first + new + lost[len(new) :]

    assert payloads_in(data) == [b"acknowledged", b"new  1"]


def test_shorter_frame_over_a_longer_one_ends_the_chain_behind_itself():
    long = frames_of([b"x" * 400, b"later"])
    short = frames_of([b"y"])

    assert payloads_in(HEADER.to_bytes() + short + long[len(short) :]) == [b"y"]


@pytest.mark.parametrize(
    "other",
    [
        {"generation": 2},
        {"salt": 8},
        {"store_id": b"T" * 16},
        {"base": 3},
    ],
    ids=str,
)
def test_frame_of_another_segment_never_replays(other):
    foreign = attrs.evolve(HEADER, **other)
    chain = Chain.of(foreign)
    chain.sequence = 0  # it is no other sequence that keeps it out

    data = HEADER.to_bytes() + frames_of([b"foreign"], header=foreign, chain=chain)

    assert payloads_in(data) == []


def test_frame_out_of_sequence_is_no_continuation():
    frame, _ = encode_frame(b"x", seed=HEADER.seed, previous=HEADER.seed, sequence=2, durable=0)

    assert payloads_in(HEADER.to_bytes() + frame) == []


def test_frame_that_claims_more_than_there_is_or_may_be_is_none():
    data = bytearray(frames_of([b"abc"]))
    for length in (4, 1 << 30, (1 << 32) - 1):
        struct.pack_into("<I", data, 4, length)

        assert decode_frame(bytes(data), 0, seed=HEADER.seed, offset=0) is None


# --- torn, or damaged -----------------------------------------------------------------


def three_frames(durable):
    """Return a segment of three frames, the last of which knows of `durable` bytes."""
    chain = Chain.of(HEADER)
    data = HEADER.to_bytes() + frames_of([b"first", b"second"], chain=chain)
    return data + frames_of([b"third"], chain=chain, durable=durable)


SECOND = HEADER_BYTES + 48


def test_damage_that_a_later_frame_vouches_for_is_told_from_a_torn_tail():
    damaged = bytearray(three_frames(durable=SECOND + 48))
    damaged[SECOND + FRAME_BYTES] ^= 1
    chain = Chain.of(HEADER)

    assert [one.payload for one in chain.follow(bytes(damaged), 0)] == [b"first"]
    vouching = vouching_frame(bytes(damaged[SECOND:]), SECOND, chain)

    assert vouching is not None
    assert vouching.payload == b"third"


@pytest.mark.parametrize("durable", [0, HEADER_BYTES, SECOND])
def test_later_frame_that_did_not_know_of_the_damaged_one_proves_nothing(durable):
    damaged = bytearray(three_frames(durable))
    damaged[SECOND : SECOND + 48] = bytes(48)
    chain = Chain.of(HEADER)
    list(chain.follow(bytes(damaged), 0))

    assert vouching_frame(bytes(damaged[SECOND:]), SECOND, chain) is None


@pytest.fixture
def folder(tmp_path):
    with open_folder(str(tmp_path)) as folder:
        yield folder


def test_damage_in_what_was_synced_before_the_segment_had_its_name_is_corruption(folder):
    checkpoint = Checkpoint(0, TIME).to_bytes()
    temporary, segment = write_segment(
        folder,
        generation=1,
        store_id=STORE_ID,
        base=0,
        checkpoint=checkpoint,
        window=[b"one", b"two"],
    )
    synced = segment.header.synced
    segment.close()
    folder.move(temporary, folder, segment_name(1))
    path = os.path.join(folder.path, segment_name(1))
    with open(path, "rb") as file:
        whole = file.read()

    for at in range(HEADER_BYTES, synced):
        damaged = bytearray(whole)
        damaged[at] ^= 0x10
        with open(path, "wb") as file:
            file.write(damaged)
        segment = read_segment(folder, 1, STORE_ID)
        try:
            frames = segment.read_to()
            if len(frames) == 3:  # the byte says nothing: it fills a frame up
                segment.check_end()
            else:
                with pytest.raises(CorruptJournal):
                    segment.check_end()
        finally:
            segment.close()
