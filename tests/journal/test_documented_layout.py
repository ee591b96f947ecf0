"""The tables of docs/concepts/journal.md are what the code writes."""

import itertools
import re
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from statestore.drivers import background
from statestore.files.folders import open_folder
from statestore.files.holders import HOLDER_BYTES, HOLDER_OFFSET, Holder
from statestore.files.locks import LOCK_TIMEOUT_S
from statestore.journal.entries import (
    Checkpoint,
    DeleteOp,
    PatchOp,
    PutOp,
    StagedOp,
    decode_entry,
    encode_entry,
)
from statestore.journal.frames import (
    CHECKPOINT,
    DATA,
    FRAME_BYTES,
    FRAME_MAGIC,
    HEADER_BYTES,
    MAX_PAYLOAD_BYTES,
    SEGMENT_MAGIC,
    SegmentHeader,
    encode_frame,
)
from statestore.journal.journal import JournalOptions
from statestore.journal.segments import (
    FIRST_ALLOCATION_BYTES,
    LARGEST_ALLOCATION_BYTES,
    segment_name,
)
from statestore.journal.shared import BLOCK_BYTES, SharedBlock
from statestore.journal.syncing import NOTES_BYTES, NOTES_OFFSET, Syncs
from statestore.models.keys import Key
from statestore.models.times import time_ns

PAGE = (Path(__file__).parents[2] / "docs" / "concepts" / "journal.md").read_text()
TIME = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def table(before):
    """Return the first table behind a text: name of the field → (offset, size, meaning)."""
    lines = PAGE.split(before, 1)[1].splitlines()
    behind = itertools.dropwhile(lambda line: not line.startswith("|"), lines)
    rows = list(itertools.takewhile(lambda line: line.startswith("|"), behind))[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {name: (int(offset), size, meaning) for offset, size, name, meaning in cells}


def number(data, field):
    offset, size, _ = field
    return int.from_bytes(data[offset : offset + int(size)], "little")


def magic(field):
    return bytes.fromhex(re.search(r"`([0-9a-f ]+)`", field[2])[1])


def covers(fields, end):
    """Say whether fields lie one behind the other, up to `end`."""
    at = min(offset for offset, _, _ in fields.values())
    for offset, size, _ in fields.values():
        if offset != at:
            return False
        at += int(size) if size.isdigit() else 0
    return at == end


def test_header():
    fields = table("### Header")
    data = SegmentHeader(b"0123456789abcdef", 11, 12, 13, 14).to_bytes()

    assert covers(fields, HEADER_BYTES)
    assert magic(fields["magic"]) == SEGMENT_MAGIC == data[:8]
    assert data[fields["store id"][0] :][:16] == b"0123456789abcdef"
    names = ("generation", "base", "salt", "synced", "zeros")
    assert [number(data, fields[name]) for name in names] == [11, 12, 13, 14, 0]
    assert number(data, fields["crc"]) == zlib.crc32(data[: fields["crc"][0]])


def test_seed_is_of_the_bytes_that_are_named():
    first, last = map(int, re.search(r"bytes (\d+) to (\d+) of the header", PAGE).groups())
    header = SegmentHeader(b"0123456789abcdef", 11, 12, 13, 14)

    assert header.seed == zlib.crc32(header.to_bytes()[first : last + 1])


@pytest.mark.parametrize("type", [DATA, CHECKPOINT])
def test_frame(type):
    fields = table("### Frame")
    data, checksum = encode_frame(b"abc", seed=5, previous=6, sequence=7, durable=8, type=type)

    assert covers(fields, FRAME_BYTES)
    assert magic(fields["magic"]) == FRAME_MAGIC == data[:4]
    names = ("length", "checksum", "previous", "sequence", "durable", "type", "zeros")
    assert [number(data, fields[name]) for name in names] == [3, checksum, 6, 7, 8, type, 0]
    assert data[fields["payload"][0] :] == b"abc" + bytes(5)
    checked = b"".join(
        data[fields[name][0] :][: int(fields[name][1])]
        for name in ("length", "previous", "sequence", "durable", "type")
    )
    assert checksum == zlib.crc32(checked + b"abc", 5)
    assert "at most 2³⁰" in fields["length"][2]
    assert MAX_PAYLOAD_BYTES == 2**30
    assert (DATA, CHECKPOINT) == (0, 1)


@pytest.fixture
def file(tmp_path):
    with open_folder(str(tmp_path)) as folder:
        file = folder.open_file("lock", create=True)
        yield file
        file.close()


def test_shared_block(file):
    fields = table("### The shared block")
    SharedBlock(11, 12, 13, 14, 15, 16, 17, 18).write(file)
    data = file.read_at(0, 1000)

    assert covers(fields, BLOCK_BYTES)
    assert len(data) == BLOCK_BYTES
    assert magic(fields["magic"]) == data[:8]
    names = (
        *("generation", "tail", "sequence", "files upto"),
        *("poisoned", "rotating", "durable", "checksum"),
    )
    assert [number(data, fields[name]) for name in names] == [11, 12, 13, 14, 15, 16, 17, 18]
    assert number(data, fields["crc"]) == zlib.crc32(data[: fields["crc"][0]])


def test_holder():
    fields = table("### The holder")
    data = bytes(HOLDER_OFFSET) + Holder(11, "näme", TIME).to_bytes()

    assert min(offset for offset, _, _ in fields.values()) == HOLDER_OFFSET >= BLOCK_BYTES
    assert covers(fields, HOLDER_OFFSET + HOLDER_BYTES)
    assert len(data) == HOLDER_OFFSET + HOLDER_BYTES
    assert magic(fields["magic"]) == data[HOLDER_OFFSET:][:8]
    assert number(data, fields["pid"]) == 11
    assert number(data, fields["started"]) == time_ns(TIME) // 1000
    offset, size, _ = fields["host"]
    assert data[offset : offset + int(size)].rstrip(b"\0").decode() == "näme"
    assert number(data, fields["crc"]) == zlib.crc32(data[HOLDER_OFFSET : fields["crc"][0]])


def test_notes_of_syncs(file):
    fields = table("two notes of syncs")
    syncs = Syncs(file)
    syncs.sync(file, 11, 12, is_own=True)
    syncs.failed(13)
    data = file.read_at(0, 1000)

    assert covers(fields, NOTES_OFFSET + NOTES_BYTES)
    assert BLOCK_BYTES <= NOTES_OFFSET == fields["failed"][0]
    assert len(data) == NOTES_OFFSET + NOTES_BYTES <= HOLDER_OFFSET
    names = ("failed", "synced generation", "synced")
    assert [number(data, fields[name]) for name in names] == [13, 11, 12]
    at = fields["failed crc"][0]
    assert number(data, fields["failed crc"]) == zlib.crc32(data[at - 8 : at])
    at = fields["synced generation"][0]
    assert number(data, fields["synced crc"]) == zlib.crc32(data[at : at + 16])


def test_name_of_a_segment():
    assert "`.statestore/journal/<generation, 16 hexadecimal digits>.log`" in PAGE
    assert segment_name(255) == "00000000000000ff.log"


OPS = [
    PutOp(Key("notes", "a"), 3, 1, b'{"id":"a","n":12}'),
    PutOp(Key("notes", "b"), 3, 1, b"{}", b'{"x":1}'),
    PatchOp(Key("notes", "c"), 3, 1, b'{"set":{},"append":[]}'),
    DeleteOp(Key("notes", "d"), 3),
    StagedOp(Key("notes", "e"), 3, 1, "00/1", "e.json", 5, 6),
]


def test_payload_of_a_commit():
    line = encode_entry(TIME, "commit", OPS, "0123456789abcdef").partition(b"\n")[0].decode()
    shown = re.search(r"^    (\{\"at\".*\"by\".*)$", PAGE, re.MULTILINE)[1]
    rows = re.findall(r"^\| `\[(\".*?)\]` \|", PAGE, re.MULTILINE)

    assert line.startswith(shown[: shown.index(",…")])
    written = re.findall(r"\[(\"[^\[\]]*)\]", line)
    assert [row.split(",")[0] for row in written] == [row.split(", ")[0] for row in rows]
    assert [len(row.split(",")) for row in written] == [len(row.split(", ")) for row in rows]
    entry = decode_entry(1, line.encode() + b"\n")
    assert (entry.source, entry.run) == ("commit", "0123456789abcdef")


def test_payload_of_a_checkpoint():
    data = Checkpoint(7, TIME, [(Key("notes", "a"), 3, 6)]).to_bytes().decode()
    shown = re.search(r"^    (\{\"files_upto.*)$", PAGE, re.MULTILINE)[1]

    assert data == shown.replace(",…", "")


def test_sizes():
    told = dict(re.findall(r"^\| (.*?) \| (.*?) \|$", PAGE.split("## Sizes")[1], re.MULTILINE))
    options = JournalOptions()

    assert told["header, head of a frame, shared block, holder"] == (
        f"{HEADER_BYTES}, {FRAME_BYTES}, {BLOCK_BYTES}, {HOLDER_BYTES}"
    )
    assert told["`lock_timeout_s`"] == f"{LOCK_TIMEOUT_S:g} s"
    assert told["zeros at the end of a new segment"] == (
        f"{FIRST_ALLOCATION_BYTES >> 10} KiB, "
        f"doubled up to {LARGEST_ALLOCATION_BYTES >> 20} MiB at a time"
    )
    assert told["`segment_bytes`"] == f"{options.segment_bytes >> 20} MiB"
    assert told["`history_bytes`"] == f"{options.history_bytes >> 20} MiB"
    assert told["`history_days`"] == f"{options.history_days:.0f}"
    assert told["a save is staged above"] == f"{options.staged_bytes >> 20} MiB of documents"
    assert told["shortest, longest time between passes under load"].startswith(
        f"{background.SHORTEST_S:g} s, {background.LONGEST_S:g} s;"
    )
