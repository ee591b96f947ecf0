"""Envelopes around documents."""

from datetime import UTC, datetime

import pytest

from statestore.models.documents import freeze
from statestore.models.envelopes import Envelope

DOCUMENT = {
    "kind": "notes",
    "schema": 2,
    "revision": 7,
    "saved_at": "2026-11-20T17:00:00.123456Z",
    "data": {"id": "a", "n": 1},
}
ENVELOPE = Envelope(
    "notes", 2, 7, datetime(2026, 11, 20, 17, 0, 0, 123456, tzinfo=UTC), {"id": "a", "n": 1}
)


def test_envelope_and_document_say_the_same():
    assert Envelope.from_document(DOCUMENT) == ENVELOPE
    assert list(ENVELOPE.to_document().items()) == list(DOCUMENT.items())
    assert Envelope.from_document(freeze(DOCUMENT)) == ENVELOPE


def test_unknown_fields_are_kept_before_the_data():
    document = {"x": 1, **DOCUMENT, "y": [2]}

    envelope = Envelope.from_document(document)

    assert envelope.extra == {"x": 1, "y": [2]}
    assert list(envelope.to_document()) == [
        *("kind", "schema", "revision", "saved_at", "x", "y", "data")
    ]
    assert Envelope.from_document(envelope.to_document()) == envelope


@pytest.mark.parametrize("field", DOCUMENT)
def test_missing_field_is_named(field):
    document = {name: value for name, value in DOCUMENT.items() if name != field}

    with pytest.raises(ValueError, match=f"{field} missing"):
        Envelope.from_document(document)


@pytest.mark.parametrize("document", [None, [], "x", 1, True, [DOCUMENT]], ids=repr)
def test_what_is_no_mapping_is_no_envelope(document):
    with pytest.raises(ValueError, match="no record"):
        Envelope.from_document(document)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("kind", value) for value in (None, 1, ["notes"])),
        *(("schema", value) for value in (0, -1, "1", 1.0, True, None)),
        *(("revision", value) for value in (0, -1, "1", 1.0, True, None)),
        *(("saved_at", value) for value in (None, 0, "", "today", "2026-01-01T00:00:00")),
        ("saved_at", "0001-01-01T00:00:00+01:00"),
        *(("data", value) for value in (None, [], "x", 1)),
    ],
    ids=repr,
)
def test_field_of_another_type_is_named_and_not_quoted(field, value):
    with pytest.raises(ValueError, match=field):
        Envelope.from_document({**DOCUMENT, field: value})
