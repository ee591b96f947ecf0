"""Export and import of single records."""

import copy
import json
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statestore import (
    DuplicateId,
    InvalidId,
    InvalidRecord,
    NewerSchema,
    RecordNotFound,
    StaleRecord,
    StateStoreError,
    Store,
    StructureError,
)
from statestore.managers import ConversationManager, FocusManager, SessionManager, TaskManager
from statestore.managers.domain import DomainManager
from statestore.records.fields import time_field

MOMENT = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


@attrs.frozen
class Bare:
    """A class of a host without a field for what it does not know."""

    id: str
    text: str = ""
    created_at: datetime = time_field()
    updated_at: datetime = time_field()


def filled(manager):
    """Return one record with something in every place that is easily lost."""
    if isinstance(manager, SessionManager):
        return manager.create(name="One", tags=["a"], context={"x": [1, {"y": None}]}, agent="me")
    if isinstance(manager, ConversationManager):
        record = manager.create("One", metadata={"a": 1})
        manager.add_message(record.id, role="user", content="hi", metadata={"b": 2.5})
        return manager[record.id]
    if isinstance(manager, FocusManager):
        record = manager.create("One")
        manager.push(record.id, type="file", target="a.py", context={"line": 3})
        return manager[record.id]
    return manager.create(
        "One", result={"a": [1]}, tags=["x"], depends_on=["y"], allow_missing=True
    )


@pytest.mark.parametrize("make", [SessionManager, ConversationManager, FocusManager, TaskManager])
def test_what_is_exported_is_imported_as_the_same_record(make, tmp_path):
    here = make()
    record = filled(here)

    document = json.loads(json.dumps(here.export_document(record)))

    assert list(document) == ["kind", "schema", "data"]
    with Store(tmp_path) as store:
        there = store.register(make())
        assert there.import_document(document) == record
        store.save_all()
    with Store(tmp_path) as store:
        again = store.register(make())
        store.load_all(strict=True)
        assert again[record.id] == record


def test_unknown_fields_of_a_newer_program_are_kept():
    manager = SessionManager()
    document = manager.export_document(manager.create(id="a"))
    document["data"]["mood"] = {"good": [True]}

    manager.import_document(document, id="b")

    assert manager.export_document("b")["data"]["mood"] == {"good": [True]}


def test_unknown_fields_of_a_class_without_a_place_are_exported_and_refused_at_import(tmp_path):
    def make(store):
        return store.register(DomainManager("bare", Bare))

    with Store(tmp_path) as store:
        make(store).create(id="a")
        store.save_all()
        store.flush()
        file = tmp_path / "bare" / "a.json"
        stored = json.loads(file.read_text())
    stored["data"]["mood"] = "good"
    file.write_text(json.dumps(stored))
    with Store(tmp_path) as store:
        bare = make(store)
        store.load_all(strict=True)
        document = bare.export_document("a")
        assert document["data"]["mood"] == "good"

        with pytest.raises(StructureError, match="mood"):
            bare.import_document(document, id="b")
        with store.transaction():
            assert bare.export_document("a") == document
            bare.delete("a")
            bare.create(id="a")
            assert "mood" not in bare.export_document("a")["data"]


def test_the_content_of_a_record_file_is_a_document_too(tmp_path):
    with Store(tmp_path) as store:
        sessions = store.register(SessionManager())
        record = filled(sessions)
        store.save_all()
        store.flush()

    content = json.loads((tmp_path / "sessions" / f"{record.id}.json").read_text())

    assert SessionManager().import_document(content) == record


def test_a_document_may_be_any_mapping():
    manager = SessionManager()
    document = manager.export_document(manager.create(id="a"))
    document["data"] = MappingProxyType(document["data"])

    assert manager.import_document(MappingProxyType(document), id="b").id == "b"


def test_an_export_is_a_copy():
    manager = SessionManager()
    record = manager.create(context={"list": [1]})

    manager.export_document(record)["data"]["context"]["list"].append(2)

    assert manager[record].context == {"list": [1]}


def test_a_new_id_may_be_given():
    manager = SessionManager()
    first = manager.create(id="a", name="One")

    second = manager.import_document(manager.export_document(first), id="b")

    assert second == attrs.evolve(first, id="b")
    with pytest.raises(InvalidId):
        manager.import_document(manager.export_document(first), id="")


@pytest.mark.parametrize("make", [SessionManager, ConversationManager, FocusManager])
def test_a_record_that_is_there_is_replaced_only_if_that_was_asked_for(make):
    manager = make(clock=lambda: MOMENT)
    name = "name" if make in (SessionManager, FocusManager) else "title"
    old = manager.create(id="a", **{name: "One"})
    document = manager.export_document("a")
    new = manager.update("a", **{name: "Two"})

    with pytest.raises(DuplicateId):
        manager.import_document(document)
    assert manager["a"] is new
    back = manager.import_document(document, replace=True)

    assert back == manager["a"] == attrs.evolve(old, updated_at=back.updated_at)
    assert back.updated_at > new.updated_at
    with pytest.raises(StaleRecord):  # whoever has seen the other one has not seen this
        manager.replace(attrs.evolve(new, **{name: "Three"}))


def test_the_same_once_more_is_no_change(tmp_path):
    with Store(tmp_path) as store:
        manager = store.register(SessionManager())
        record = manager.create(id="a")
        store.save_all()

        assert manager.import_document(manager.export_document("a"), replace=True) is record
        assert manager.unsaved == ()


def test_a_newer_record_keeps_its_own_time():
    manager = SessionManager(clock=lambda: MOMENT)
    manager.create(id="a")
    document = manager.export_document("a")
    document["data"]["updated_at"] = (MOMENT + timedelta(days=1)).isoformat()

    assert manager.import_document(document, replace=True).updated_at == MOMENT + timedelta(days=1)


def test_an_import_is_a_part_of_a_transaction(tmp_path):
    with Store(tmp_path) as store:
        manager = store.register(SessionManager())
        document = manager.export_document(manager.create(id="a"))

        def fail():
            with store.transaction():
                manager.import_document(document, id="b")
                assert manager.export_document("b")["data"]["id"] == "b"
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()

        assert manager.ids() == ("a",)


def test_an_unknown_id_is_not_exported():
    with pytest.raises(RecordNotFound):
        SessionManager().export_document("a")


def broken(**changes):
    manager = SessionManager()
    made = manager.export_document(manager.create(id="a"))
    return {**made, **changes}


def with_data(**changes):
    return broken(data={**broken()["data"], **changes})


DEEP = current = []
for _ in range(100_000):
    current.append([])
    current = current[0]
CIRCLE = {}
CIRCLE["again"] = CIRCLE

REFUSED = {
    "nothing": (None, StructureError, "$"),
    "a list": ([], StructureError, "$"),
    "empty": ({}, StructureError, r"\$.kind.*\$.schema.*\$.data"),
    "another kind": (broken(kind="tasks"), InvalidRecord, "another kind"),
    "a kind that is no text": (broken(kind=["sessions"]), StructureError, r"\$.kind"),
    "a newer schema": (broken(schema=2), NewerSchema, "newer"),
    "schema zero": (broken(schema=0), StructureError, r"\$.schema"),
    "a schema that is a truth": (broken(schema=True), StructureError, r"\$.schema"),
    "data that is a list": (broken(data=[]), StructureError, r"\$.data"),
    "no id": (broken(data={}), StructureError, "id"),
    "an id that is a number": (with_data(id=7), StructureError, "id"),
    "an empty id": (with_data(id=""), StructureError, "id"),
    "an id with a NUL": (with_data(id="a\0b"), StructureError, "id"),
    "a name that is a number": (with_data(name=7), StructureError, "name"),
    "an unknown mode": (with_data(mode="dreaming"), StructureError, "mode"),
    "tags that are a text": (with_data(tags="abc"), StructureError, "tags"),
    "a time without zone": (with_data(created_at="2026-01-01T00:00:00"), StructureError, "created"),
    "not a number": (with_data(duration_s=float("nan")), StructureError, r"\$.data.duration_s"),
    "a long integer": (with_data(context={"n": 1 << 70}), StructureError, r"\$.data.context.n"),
    "a surrogate": (with_data(name="\ud800"), StructureError, r"\$.data.name"),
    "a key that is a number": (with_data(context={7: 1}), StructureError, r"\$.data.context"),
    "an object": (with_data(context={"x": object()}), StructureError, r"\$.data.context.x"),
    "much too deep": (with_data(context={"x": DEEP}), StructureError, "deep"),
    "a circle": (with_data(context=CIRCLE), StructureError, "deep"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_such_document_is_refused_by_name_and_changes_nothing(case, tmp_path):
    document, wanted, named = REFUSED[case]
    with Store(tmp_path) as store:
        manager = store.register(SessionManager())
        before = manager.create(id="a", name="One")
        store.save_all()

        with pytest.raises(wanted, match=named) as refused:
            manager.import_document(document, replace=True)
        # What is not in the store is not "left in place" there, to be seen with a command.
        if wanted is StructureError:
            assert not refused.value.is_stored
            assert "nothing was changed" in str(refused.value)

        assert "left in place" not in str(refused.value) or wanted is not StructureError
        assert manager.all() == (before,)
        assert manager["a"] is before
        assert manager.unsaved == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_any_field_may_hold_anything_and_is_taken_or_refused_by_a_typed_error(data):
    manager = TaskManager()
    document = manager.export_document(filled(manager))
    field = data.draw(st.sampled_from(sorted(document["data"])))
    document["data"][field] = data.draw(JSON)
    before = copy.copy(manager.all())

    try:
        record = manager.import_document(document, id="x")
    except StateStoreError:
        assert manager.all() == before
    else:
        assert manager.import_document(manager.export_document("x"), id="z") == attrs.evolve(
            record, id="z"
        )
