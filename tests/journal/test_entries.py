"""Entries: what commits changed comes back as it was; garbage never passes for a commit."""

from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statestore.journal.entries import (
    Checkpoint,
    DeleteOp,
    Entry,
    PatchOp,
    PutOp,
    StagedOp,
    decode_entry,
    encode_entry,
)
from statestore.models.keys import Key
from statestore.testing.driver import HOSTILE_IDS

TIME = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

IDS = st.one_of(st.sampled_from(HOSTILE_IDS), st.text(st.characters(exclude_categories=["Cs"])))
KEYS = st.builds(Key, st.sampled_from(["notes", "tasks"]), IDS)
REVISIONS = st.integers(1, 2**63 - 1)
SCHEMAS = st.integers(1, 99)
# What a document may hold is all the same to an entry, line ends too.
DOCUMENTS = st.binary(max_size=50) | st.just(b'{"id":"a\\nb"}\n')
OPS = st.one_of(
    st.builds(PutOp, KEYS, REVISIONS, SCHEMAS, DOCUMENTS, st.just(b"") | DOCUMENTS),
    st.builds(PatchOp, KEYS, REVISIONS, SCHEMAS, DOCUMENTS),
    st.builds(DeleteOp, KEYS, REVISIONS),
    st.builds(
        StagedOp,
        *(KEYS, REVISIONS, SCHEMAS, st.just("0011223344556677/5"), IDS),
        *(st.integers(0, 2**40), st.integers(0, 2**32 - 1)),
    ),
)


@given(
    st.lists(OPS, max_size=8),
    st.sampled_from(["commit", "external", "restore"]),
    st.sampled_from(["", "0123456789abcdef"]),
)
def test_entry_comes_back(ops, source, run):
    payload = encode_entry(TIME, source, ops, run)

    assert decode_entry(7, payload) == Entry(7, TIME, source, ops, run)


def test_first_line_says_what_changed_without_the_documents():
    put = PutOp(Key("notes", "a"), 3, 2, b'{"id":"a","secret":1}', b'{"x":1}')
    payload = encode_entry(TIME, "commit", [put, DeleteOp(Key("notes", "b"), 4)])

    line, _, rest = payload.partition(b"\n")

    assert orjson.loads(line) == {
        "at": "2026-01-02T03:04:05.678901Z",
        "by": "commit",
        "ops": [["put", "notes", "a", 3, 2, 21, 7], ["delete", "notes", "b", 4]],
    }
    assert rest == put.data + put.extra


GARBAGE = [
    b"",
    b"\n",
    b"null\n",
    b"[]\n",
    b"{}\n",
    b'{"ops":[]}\n',
    b'{"at":"2026-01-01T00:00:00Z","by":"x"}\n',
    b'{"at":"noon","by":"x","ops":[]}\n',
    b'{"at":1,"by":"x","ops":[]}\n',
    b'{"at":"2026-01-01T00:00:00Z","by":"x","ops":[[]]}\n',
    b'{"at":"2026-01-01T00:00:00Z","by":"x","ops":[["put"]]}\n',
    b'{"at":"2026-01-01T00:00:00Z","by":"x","ops":[["put","notes","a",1,1]]}\n',
    b'{"at":"2026-01-01T00:00:00Z","by":"x","ops":[["put","notes","a",1,1,"x"]]}\n',
    b'{"at":"2026-01-01T00:00:00Z","by":"x","ops":[["grow","notes","a",1,1,0]]}\n',
    b'{"at":"2026-01-01T00:00:00Z","by":"x","ops":[["staged","notes","a",1,1]]}\n',
    b'{"at":"2026-01-01T00:00:00Z","by":"x","ops":[null]}\n',
    b'{"at":"2026-01-01T00:00:00Z","by":"x","ops":5}\n',
    b"\xff\xfe\n",
]


@pytest.mark.parametrize("payload", GARBAGE)
def test_garbage_is_no_commit(payload):
    with pytest.raises(ValueError):
        decode_entry(1, payload)


@given(st.binary(max_size=200))
def test_random_bytes_are_no_commit_and_no_checkpoint(payload):
    for decode in (lambda: decode_entry(1, payload), lambda: Checkpoint.from_bytes(payload)):
        with pytest.raises(ValueError):
            decode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(JSON, JSON, JSON)
def test_other_json_raises_nothing_but_value_errors(ops, at, upto):
    fields = {"ops": ops, "at": at, "by": "x", "files_upto": upto, "deleted": ops}
    data = orjson.dumps(fields)
    for decode in (lambda: decode_entry(1, data + b"\n"), lambda: Checkpoint.from_bytes(data)):
        try:
            decode()
        except ValueError:
            continue


@given(
    st.integers(0, 2**63 - 1),
    st.lists(st.tuples(KEYS, REVISIONS, st.integers(1, 2**63 - 1)), max_size=5),
)
def test_checkpoint_comes_back(files_upto, deleted):
    checkpoint = Checkpoint(files_upto, TIME, deleted)

    assert Checkpoint.from_bytes(checkpoint.to_bytes()) == checkpoint


@pytest.mark.parametrize(
    "payload",
    [b"{}", b"[]", b"1", b'{"files_upto":1,"at":"2026-01-01T00:00:00Z","deleted":[1]}', b"x"],
)
def test_other_json_is_no_checkpoint(payload):
    with pytest.raises(ValueError):
        Checkpoint.from_bytes(payload)
