"""The contract of serializers, as tests to inherit."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from statestore.errors import DecodeError, EncodeError
from statestore.models.documents import INT_MAX, INT_MIN, MAX_LEVEL, Json, freeze, thaw
from statestore.serializers.serializer import Serializer, Shape
from statestore.testing.strategies import binaries, documents, for_each, mappings

SECRET = "correct-horse-battery-staple"  # noqa: S105  # a value to look for, no password

SAMPLE: dict[str, Json] = {
    "kind": "notes",
    "schema": 1,
    "revision": 7,
    "saved_at": "2026-11-20T17:00:00.123456Z",
    "data": {
        "id": "note-1",
        "title": "no",
        "text": "First line\n\n  indented\nGrüße, 中文 \U0001f600\n",
        "done": False,
        "due": None,
        "ratio": 0.1,
        "count": 18446744073709551615,
        "tags": ["a", "1:30", ""],
        "context": {"nested": {"list": [[1, 2], [], {}]}},
        "secret": SECRET,
    },
}
"""A document as records have it: long enough to be cut anywhere."""


def nested(level: int, value: Json = 1, *, mappings: bool = False) -> Json:
    """Return `value` with `level` containers around it."""
    for _ in range(level):
        value = {"k": value} if mappings else [value]
    return value


def alike(one: Json, other: Json) -> bool:
    """Whether two documents are equal, with types, the signs of zeros and the order of keys.

    Frozen mappings are like plain ones, and tuples like lists.
    """
    return repr(thaw(one)) == repr(thaw(other))


_REFUSED = {
    "nan": float("nan"),
    "infinity": float("inf"),
    "minus infinity": float("-inf"),
    "integer over 64 bits": INT_MAX + 1,
    "integer under 64 bits": INT_MIN - 1,
    "lone surrogate": "a\ud800b",
    "lone surrogate in a key": {"\udfff": 1},
    "key that is no string": {1: 2},
    "key that is None": {None: 2},
    "bytes": b"x",
    "set": {1},
    "object": object(),
    "class of its own": type("Text", (str,), {})("x"),
}


class SerializerContract:
    """What every serializer does.

    Inherit it in a test module under a name that begins with "Test", and give the serializer as
    the fixture `serializer`.
    """

    @pytest.fixture
    def serializer(self) -> Serializer:
        raise NotImplementedError("give the serializer to test")

    # --- what goes in comes out -------------------------------------------------------

    @for_each(max_examples=200, document=documents())
    def test_gives_back_what_it_was_given(self, serializer: Serializer, document: Json) -> None:
        data = serializer.dumps(document)

        assert type(data) is bytes
        assert alike(serializer.loads(data), document)

    @for_each(max_examples=50, document=mappings())
    def test_equal_documents_give_equal_bytes(self, serializer: Serializer, document: Json) -> None:
        data = serializer.dumps(document)

        assert serializer.dumps(copy.deepcopy(document)) == data
        assert serializer.dumps(serializer.loads(data)) == data

    @for_each(max_examples=50, document=documents())
    def test_frozen_documents_are_written_as_plain_ones(
        self, serializer: Serializer, document: Json
    ) -> None:
        assert serializer.dumps(freeze(document)) == serializer.dumps(document)

    @pytest.mark.parametrize(
        "document",
        [None, True, False, 0, 1, 1.0, -0.0, INT_MIN, INT_MAX, "", [], {}, [[]], [{}], {"": ""}],
        ids=repr,
    )
    def test_types_are_kept(self, serializer: Serializer, document: Json) -> None:
        assert alike(serializer.loads(serializer.dumps(document)), document)

    @pytest.mark.parametrize("mappings", [False, True], ids=["lists", "mappings"])
    def test_deepest_document_is_kept(self, serializer: Serializer, mappings: bool) -> None:
        document = nested(MAX_LEVEL, mappings=mappings)

        assert serializer.loads(serializer.dumps(document)) == document

    def test_empty_container_at_the_deepest_level_is_kept(self, serializer: Serializer) -> None:
        document = nested(MAX_LEVEL, [])

        assert serializer.loads(serializer.dumps(document)) == document

    # --- what may not be stored -------------------------------------------------------

    @pytest.mark.parametrize("value", _REFUSED.values(), ids=_REFUSED.keys())
    def test_what_cannot_be_stored_is_refused(self, serializer: Serializer, value: Any) -> None:
        documents: list[Any] = [value, [value], {"secret": SECRET, "a": [1, {"b": value}]}]
        for document in documents:
            with pytest.raises(EncodeError) as raised:
                serializer.dumps(document)

            assert SECRET not in str(raised.value)

    @pytest.mark.parametrize("mappings", [False, True], ids=["lists", "mappings"])
    @pytest.mark.parametrize("more", [1, 1000])
    def test_too_deep_document_is_refused(
        self, serializer: Serializer, more: int, mappings: bool
    ) -> None:
        with pytest.raises(EncodeError, match="levels deep"):
            serializer.dumps(nested(MAX_LEVEL + more, mappings=mappings))

    def test_document_that_holds_itself_is_refused(self, serializer: Serializer) -> None:
        document: dict[str, Any] = {}
        document["self"] = document

        with pytest.raises(EncodeError):
            serializer.dumps(document)

    # --- what cannot be read ----------------------------------------------------------

    def test_cut_text_is_refused_wherever_it_is_cut(self, serializer: Serializer) -> None:
        data = serializer.dumps(SAMPLE)

        for end in range(len(data)):
            message = ""
            try:
                document = serializer.loads(data[:end])
            except DecodeError as error:
                message = str(error)
            else:  # nothing is lost with, say, a newline at the end
                assert alike(document, SAMPLE), end
            assert SECRET not in message

    @pytest.mark.parametrize(
        "data",
        [b"", b"\0", b"\0" * 4096, b"\xff\xfe{\0}\0", b"\xfe\xff\0{\0}", b"\x80\x81\x82", b"\xc3("],
        ids=["empty", "zero", "zeros", "utf-16-le", "utf-16-be", "no utf-8", "bad utf-8"],
    )
    def test_garbage_is_refused(self, serializer: Serializer, data: bytes) -> None:
        with pytest.raises(DecodeError):
            serializer.loads(data)

    @pytest.mark.parametrize("tail", [b"\0", b"\0" * 512, b"\x80"], ids=["zero", "zeros", "byte"])
    def test_anything_after_the_end_is_refused(self, serializer: Serializer, tail: bytes) -> None:
        with pytest.raises(DecodeError):
            serializer.loads(serializer.dumps(SAMPLE) + tail)

    def test_two_documents_are_refused(self, serializer: Serializer) -> None:
        with pytest.raises(DecodeError):
            serializer.loads(serializer.dumps(SAMPLE) * 2)

    def test_zeros_in_place_of_the_end_are_refused(self, serializer: Serializer) -> None:
        data = serializer.dumps(SAMPLE)
        half = len(data) // 2

        with pytest.raises(DecodeError):
            serializer.loads(data[:half] + bytes(len(data) - half))

    @for_each(data=binaries())
    def test_any_bytes_are_read_or_refused(self, serializer: Serializer, data: bytes) -> None:
        try:
            document = serializer.loads(data)
        except DecodeError:
            return
        assert alike(serializer.loads(serializer.dumps(document)), document)

    # --- what it says of itself -------------------------------------------------------

    def test_has_a_name_and_an_extension(self, serializer: Serializer) -> None:
        assert serializer.name
        assert serializer.extension.startswith(".")

    @for_each(max_examples=50, document=mappings())
    def test_knows_its_own_mappings(self, serializer: Serializer, document: Json) -> None:
        assert serializer.sniff(serializer.dumps(document)) is not Shape.NO

    @for_each(data=binaries())
    def test_looks_at_any_bytes(self, serializer: Serializer, data: bytes) -> None:
        assert serializer.sniff(data) in Shape
