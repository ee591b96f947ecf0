"""The generic manager: a mapping of live records that knows which are not saved."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor

import attrs
import pytest

from statestore import (
    Conflict,
    DuplicateId,
    InvalidId,
    InvalidKind,
    InvalidRecord,
    Manager,
    ManagerInUse,
    NewerSchema,
    NotARecordClass,
    RecordNotFound,
    SaveFailed,
    StaleRecord,
    StateStoreError,
    Store,
    StructureError,
)
from statestore.managers import FrozenDict, extra_field
from statestore.models.changes import Delete, Put, Stored
from statestore.models.keys import Key
from statestore.models.times import parse_time
from statestore.records.codec import Codec

SAVED_AT = parse_time("2026-01-02T03:04:05Z")


@attrs.frozen
class Note:
    id: str
    text: str = attrs.field(default="", validator=attrs.validators.instance_of(str))
    tags: tuple[str, ...] = ()


@attrs.define
class Board:
    id: str
    cards: list[str] = attrs.field(factory=list)


@attrs.frozen
class Open:
    id: str
    text: str = ""
    extra: FrozenDict = extra_field()


@pytest.fixture
def notes():
    return Manager("notes", Note)


@pytest.fixture
def boards():
    return Manager("boards", Board)


def save(manager):
    """Note all changes as saved, as a store does, and return them by their ids."""
    pending, failures = manager.pending()
    assert failures == []
    for one in pending:
        manager.saved(one, one.expected + 1)
    return {one.change.key.id: one.change for one in pending}


def stored(kind, document, revision=1, schema=1):
    return Stored(Key(kind, document["id"]), document, schema, revision, SAVED_AT)


def load(manager, *documents, revision=1, unread=frozenset(), discard=False):
    loaded = {
        one["id"]: manager.decode(stored(manager.kind, one, revision=revision)) for one in documents
    }
    return manager.adopt(loaded, unread=unread, discard=discard)


def count_encodes(monkeypatch):
    calls = []
    encode = Codec.encode

    def counting(self, record):
        calls.append(record.id)
        return encode(self, record)

    monkeypatch.setattr(Codec, "encode", counting)
    return calls


# --- making and reading ---------------------------------------------------------------


def test_created_record_is_found_in_every_way(notes):
    note = notes.create(text="a")

    assert notes[note.id] is note
    assert notes.get(note.id) is note
    assert note.id in notes
    assert notes.all() == (note,)
    assert notes.ids() == (note.id,)
    assert list(notes) == [note]
    assert len(notes) == 1


def test_given_id_is_kept_and_a_made_one_is_new(notes):
    assert notes.create(id="mine").id == "mine"

    made = [notes.create().id for _ in range(100)]

    assert made == sorted(made)
    assert len({*made, "mine"}) == 101


def test_injected_maker_of_ids_is_used():
    ids = iter(["one", "two"])
    notes = Manager("notes", Note, make_id=lambda: next(ids))

    assert [notes.create().id, notes.create().id] == ["one", "two"]


@pytest.mark.parametrize(
    "id",
    [
        "a/b",
        "../../etc/passwd",
        "..",
        " ",
        "a b",
        "é",
        "e\u0301",
        "\U0001f600",
        "A",
        "CON",
        "a\nb",
        "%2e",
        "x" * 1024,
    ],
    ids=ascii,
)
def test_odd_id_is_taken_as_it_is(notes, id):
    note = notes.create(id=id, text="t")

    assert notes[id] is note
    assert notes.ids() == (id,)


@pytest.mark.parametrize("id", ["", "a\0b", "\ud800", "x" * 1025, 5, b"x"], ids=ascii)
def test_id_that_cannot_be_stored_is_refused(notes, id):
    with pytest.raises(InvalidId):
        notes.create(id=id)
    with pytest.raises(InvalidId):
        notes.add(Note(id))

    assert len(notes) == 0
    assert notes.unsaved == ()


def test_ids_that_differ_in_case_or_unicode_form_are_different_records(notes):
    for id in ("a", "A", "é", "e\u0301"):
        notes.create(id=id, text=id)

    assert [notes[id].text for id in ("a", "A", "é", "e\u0301")] == ["a", "A", "é", "e\u0301"]


def test_missing_record_is_a_key_error_that_names_it(notes):
    with pytest.raises(RecordNotFound, match="notes/none") as raised:
        notes["none"]

    assert isinstance(raised.value, KeyError)
    assert (raised.value.kind, raised.value.id) == ("notes", "none")
    for operation in (
        lambda: notes.update("none", text="x"),
        lambda: notes.delete("none"),
        lambda: notes.replace(Note("none")),
        lambda: notes.revision("none"),
    ):
        with pytest.raises(RecordNotFound):
            operation()
    assert notes.get("none") is None
    assert notes.get("none", "default") == "default"
    assert "none" not in notes
    assert len(notes) == 0


def test_empty_manager_is_true(notes):
    assert len(notes) == 0
    assert notes


def test_records_come_in_the_order_in_which_they_were_added(notes):
    for id in ("c", "a", "b"):
        notes.create(id=id)

    notes.update("a", text="changed")

    assert notes.ids() == ("c", "a", "b")


def test_iteration_is_over_the_records_that_were_there(notes):
    notes.create(id="a")
    notes.create(id="b")

    seen = []
    for note in notes:
        seen.append(note.id)
        notes.delete(note.id)
        notes.create(id=note.id + "!")

    assert seen == ["a", "b"]
    assert notes.ids() == ("a!", "b!")


def test_second_record_of_an_id_is_refused_and_the_first_stays(notes):
    first = notes.create(id="a", text="first")

    for operation in (lambda: notes.create(id="a"), lambda: notes.add(Note("a"))):
        with pytest.raises(DuplicateId, match="notes/a"):
            operation()

    assert notes["a"] is first


# --- changing -------------------------------------------------------------------------


def test_update_makes_a_new_record_and_leaves_the_old_one(notes):
    old = notes.create(id="a", text="old", tags=("t",))

    new = notes.update("a", text="new")

    assert old == Note("a", "old", ("t",))
    assert new == Note("a", "new", ("t",))
    assert notes["a"] is new


def test_operations_take_a_record_in_place_of_its_id(notes):
    note = notes.create(id="a")

    assert notes.update(note, text="x").text == "x"
    assert notes.delete(note).text == "x"
    assert len(notes) == 0


@pytest.mark.parametrize("fields", [{"text": 5}, {"nothing": 1}], ids=["value", "name"])
def test_what_the_class_does_not_take_is_refused_and_nothing_changes(notes, fields):
    old = notes.create(id="a", text="old")
    save(notes)

    with pytest.raises(InvalidRecord, match="notes/a"):
        notes.update("a", **fields)
    with pytest.raises(InvalidRecord):
        notes.create(id="b", **fields)

    assert notes.all() == (old,)
    assert notes.unsaved == ()


def test_id_cannot_be_changed(notes):
    notes.create(id="a")

    with pytest.raises(InvalidRecord, match="id"):
        notes.update("a", id="b")

    assert notes.update("a", id="a", text="same id").text == "same id"
    assert notes.ids() == ("a",)


def test_record_of_another_class_is_refused(notes):
    notes.create(id="a")

    for operation in (notes.add, notes.replace):
        with pytest.raises(InvalidRecord, match="Board"):
            operation(Board("a"))


def test_replaced_record_is_the_one_that_was_given(notes):
    notes.create(id="a", text="old")
    new = Note("a", "new")

    assert notes.replace(new) is new
    assert notes["a"] is new


def test_replace_can_make_sure_what_it_replaces(notes):
    first = notes.create(id="a", text="1")
    second = notes.replace(attrs.evolve(first, text="2"), expect=first)

    with pytest.raises(StaleRecord, match="notes/a"):
        notes.replace(attrs.evolve(first, text="3"), expect=first)

    assert notes["a"] is second


def test_replacing_a_record_by_itself_changes_nothing(notes):
    note = notes.create(id="a")
    save(notes)

    assert notes.replace(note) is note
    assert notes.unsaved == ()


def test_delete_returns_what_was_deleted(notes):
    note = notes.create(id="a", text="x")

    assert notes.delete("a") is note
    assert notes.all() == ()
    with pytest.raises(RecordNotFound):
        notes.delete("a")


def test_delete_all_leaves_nothing_and_says_how_many(notes):
    for id in "abc":
        notes.create(id=id)
    save(notes)
    notes.create(id="d")

    assert notes.delete_all() == 4
    assert len(notes) == 0
    assert sorted(save(notes)) == ["a", "b", "c"]
    assert notes.delete_all() == 0


# --- the manager itself ---------------------------------------------------------------


@pytest.mark.parametrize("kind", ["", "Notes", "a/b", "backups", ".hidden", "@x", "nul", 5])
def test_kind_that_cannot_be_a_folder_is_refused(kind):
    with pytest.raises(InvalidKind):
        Manager(kind, Note)


def test_class_without_an_id_is_refused():
    with pytest.raises(NotARecordClass):
        Manager("notes", int)


# --- what is not saved ----------------------------------------------------------------


def test_unsaved_are_the_changed_ones_until_they_are_saved(notes):
    notes.create(id="a")
    notes.create(id="b")
    assert sorted(notes.unsaved) == ["a", "b"]

    save(notes)
    assert notes.unsaved == ()

    notes.update("a", text="x")
    notes.delete("b")
    assert sorted(notes.unsaved) == ["a", "b"]

    save(notes)
    assert notes.unsaved == ()


def test_changes_are_put_and_delete_with_the_revision_they_were_made_from(notes):
    notes.create(id="a", text="1")
    pending, _ = notes.pending()
    assert [(one.change, one.expected) for one in pending] == [
        (Put(Key("notes", "a"), {"id": "a", "text": "1", "tags": []}, 1), 0)
    ]
    notes.saved(pending[0], 7)
    assert notes.revision("a") == 7

    notes.delete("a")
    pending, _ = notes.pending()
    assert [(one.change, one.expected) for one in pending] == [(Delete(Key("notes", "a")), 7)]


def test_revision_of_what_was_never_saved_is_0(notes):
    notes.create(id="a")

    assert notes.revision("a") == 0


def test_record_that_came_and_went_between_two_saves_is_no_change(notes):
    notes.create(id="a")
    notes.delete("a")

    assert notes.pending() == ([], [])


def test_deleted_and_made_again_is_one_change_of_the_stored_one(notes):
    notes.create(id="a", text="old")
    save(notes)
    notes.delete("a")
    notes.create(id="a", text="new")

    pending, _ = notes.pending()

    assert [(type(one.change), one.expected) for one in pending] == [(Put, 1)]


def test_record_changed_while_it_was_saved_stays_unsaved(notes):
    notes.create(id="a", text="1")
    (pending,), _ = notes.pending()
    notes.update("a", text="2")

    notes.saved(pending, 1)

    assert notes.unsaved == ("a",)
    assert save(notes)["a"].document["text"] == "2"
    assert notes.revision("a") == 2


def test_record_made_again_while_its_deletion_was_saved_is_new(notes):
    notes.create(id="a")
    save(notes)
    notes.delete("a")
    (pending,), _ = notes.pending()
    notes.create(id="a", text="again")

    notes.saved(pending, 2)

    (pending,), _ = notes.pending()
    assert isinstance(pending.change, Put)
    assert pending.expected == 0


def test_frozen_records_that_were_not_touched_cost_no_encoding(notes, monkeypatch):
    for number in range(50):
        notes.create(id=f"n{number}")
    save(notes)
    calls = count_encodes(monkeypatch)

    notes.update("n7", text="x")
    save(notes)

    assert set(calls) == {"n7"}
    calls.clear()
    assert notes.unsaved == ()
    assert calls == []


def test_mutable_record_changed_in_place_is_found(boards):
    board = boards.create(id="a")
    boards.create(id="b")
    save(boards)
    assert boards.unsaved == ()

    board.cards.append("card")

    assert boards.unsaved == ("a",)
    assert save(boards)["a"].document == {"id": "a", "cards": ["card"]}
    assert boards.unsaved == ()


def test_mutable_record_changed_and_changed_back_is_no_change(boards):
    board = boards.create(id="a")
    save(boards)

    board.cards.append("card")
    board.cards.pop()

    assert boards.unsaved == ()


def test_mutable_record_changed_after_a_load_is_found(boards):
    load(boards, {"id": "a", "cards": ["x"]})
    assert boards.unsaved == ()

    boards["a"].cards.clear()

    assert boards.unsaved == ("a",)


def test_id_changed_in_place_is_refused_at_save(boards):
    board = boards.create(id="a")
    boards.create(id="b")
    board.id = "c"

    pending, failures = boards.pending()

    assert [one.change.key.id for one in pending] == ["b"]
    assert [(failure.key, failure.operation) for failure in failures] == [
        (Key("boards", "a"), "save")
    ]
    assert "id" in str(failures[0].error)


def test_one_bad_record_does_not_hold_up_the_others(boards):
    boards.create(id="good")
    boards.create(id="bad", cards=[5])

    pending, failures = boards.pending()

    assert [one.change.key.id for one in pending] == ["good"]
    assert [failure.key for failure in failures] == [Key("boards", "bad")]
    assert sorted(boards.unsaved) == ["bad", "good"]


# --- what is loaded -------------------------------------------------------------------


def test_loaded_record_is_saved_already(notes):
    assert load(notes, {"id": "a", "text": "x", "tags": ["t"]}, revision=3) == []

    assert notes["a"] == Note("a", "x", ("t",))
    assert notes.revision("a") == 3
    assert notes.unsaved == ()


def test_record_that_lacks_a_field_with_a_default_is_not_unsaved(boards, notes):
    load(notes, {"id": "a"})
    load(boards, {"id": "a"})

    assert notes.unsaved == ()
    assert boards.unsaved == ()


def test_document_that_does_not_fit_is_refused_with_its_problems(notes):
    with pytest.raises(StructureError) as raised:
        notes.decode(stored("notes", {"id": "a", "tags": "s3cr3t", "text": "x"}))

    assert (raised.value.kind, raised.value.id) == ("notes", "a")
    assert raised.value.problems == ("tags is no list at $",)
    assert "s3cr3t" not in str(raised.value)


def test_document_of_a_newer_schema_is_refused():
    notes = Manager("notes", Note, schema=2)

    assert notes.decode(stored("notes", {"id": "a"}, schema=2)).record == Note("a")
    with pytest.raises(NewerSchema) as raised:
        notes.decode(stored("notes", {"id": "a"}, schema=3))
    assert (raised.value.found, raised.value.known) == (3, 2)


def test_schema_of_the_manager_is_written():
    notes = Manager("notes", Note, schema=4)
    notes.create(id="a")

    assert save(notes)["a"].schema == 4


@pytest.mark.parametrize("make", [Note, Board], ids=["frozen", "mutable"])
def test_unknown_fields_are_written_back_after_an_update(make):
    manager = Manager("things", make)
    load(manager, {"id": "a", "later": {"k": [1]}, "more": None})
    assert manager.unsaved == ()

    field = {"text": "x"} if make is Note else {"cards": ["x"]}
    manager.update("a", **field)
    document = save(manager)["a"].document

    assert document["later"] == {"k": (1,)}
    assert document["more"] is None
    assert manager.unsaved == ()


def test_unknown_fields_do_not_pass_to_a_new_record_of_the_same_id(notes):
    load(notes, {"id": "a", "later": 1})
    notes.delete("a")
    notes.create(id="a", text="new")

    assert save(notes)["a"].document == {"id": "a", "text": "new", "tags": []}


def test_unknown_fields_stay_with_a_change_that_is_kept_over_a_load(notes):
    load(notes, {"id": "a", "later": 1})
    notes.update("a", text="mine")

    load(notes, {"id": "a", "later": 2}, revision=2)

    assert notes.pending()[0][0].change.document["later"] == 1


def test_unknown_field_of_a_class_with_extra_is_its_own():
    opens = Manager("opens", Open)
    load(opens, {"id": "a", "text": "x", "later": 1})

    assert opens["a"].extra == {"later": 1}
    opens.update("a", extra={"later": 2})
    assert save(opens)["a"].document == {"id": "a", "text": "x", "later": 2}


def test_load_keeps_unsaved_changes_and_says_which(notes):
    load(notes, {"id": "a"}, {"id": "b"}, {"id": "c"})
    mine = notes.update("a", text="mine")
    notes.delete("b")
    notes.create(id="new")

    kept = load(notes, {"id": "a"}, {"id": "b"}, {"id": "c", "text": "theirs"}, revision=2)

    assert sorted(kept) == ["a", "b", "new"]
    assert notes["a"] is mine
    assert "b" not in notes
    assert notes["c"].text == "theirs"
    expected = {one.change.key.id: one.expected for one in notes.pending()[0]}
    assert expected == {"a": 1, "b": 1, "new": 0}


def test_load_can_drop_unsaved_changes(notes):
    load(notes, {"id": "a"}, {"id": "b"})
    notes.update("a", text="mine")
    notes.delete("b")
    notes.create(id="new")

    assert load(notes, {"id": "a"}, {"id": "b"}, discard=True) == []
    assert sorted(notes.ids()) == ["a", "b"]
    assert notes["a"].text == ""
    assert notes.unsaved == ()


def test_load_of_the_same_leaves_the_very_records(notes, boards):
    load(notes, {"id": "a"})
    load(boards, {"id": "a"})
    note, board = notes["a"], boards["a"]

    load(notes, {"id": "a"})
    load(boards, {"id": "a"})

    assert notes["a"] is note
    assert boards["a"] is board


def test_record_that_cannot_be_read_any_more_stays_in_memory(notes):
    load(notes, {"id": "a", "text": "good"}, {"id": "b"})

    load(notes, {"id": "b"}, unread={"a"})

    assert notes["a"].text == "good"
    assert notes.revision("a") == 1
    assert notes.unsaved == ()


def test_unsaved_change_of_a_record_that_cannot_be_read_is_kept_and_told(notes):
    load(notes, {"id": "a"})
    notes.update("a", text="mine")

    assert load(notes, unread={"a"}) == ["a"]
    assert notes["a"].text == "mine"
    assert notes.unsaved == ("a",)


# --- who listens ----------------------------------------------------------------------


def test_listener_is_called_once_per_operation_and_outside_the_lock(notes):
    calls = []

    def listen(ids):
        done = threading.Event()
        thread = threading.Thread(target=lambda: (notes.all(), done.set()))
        thread.start()
        assert done.wait(20)
        thread.join(20)
        calls.append((ids, notes.unsaved))

    notes.attach("a store", listen)

    notes.create(id="a")
    notes.update("a", text="x")
    notes.replace(Note("a", "y"))
    notes.delete("a")
    notes.delete_all()

    # The last one changed nothing.
    assert calls == [({"a"}, ("a",)), ({"a"}, ("a",)), ({"a"}, ("a",)), ({"a"}, ())]


def test_manager_belongs_to_one_store(notes):
    notes.attach("a store", None)
    notes.attach("a store", None)

    with pytest.raises(ManagerInUse, match="notes"):
        notes.attach("another", None)


def test_listener_is_not_called_for_what_was_refused(notes):
    notes.create(id="a")
    calls = []
    notes.attach("a store", calls.append)

    for operation in (
        lambda: notes.create(id="a"),
        lambda: notes.update("a", text=5),
        lambda: notes.delete("none"),
    ):
        with pytest.raises(StateStoreError):
            operation()

    assert calls == []


# --- threads --------------------------------------------------------------------------


def test_threads_that_change_at_once_lose_nothing(notes):
    notes.create(id="shared")

    def work(number):
        for turn in range(40):
            id = f"{number}-{turn}"
            notes.create(id=id)
            notes.update(id, text=f"{id} changed")
            if turn % 3 == 0:
                notes.delete(id)
            list(notes)
            notes.pending()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4), timeout=60))

    expected = {f"{n}-{t}" for n in range(4) for t in range(40) if t % 3}
    assert set(notes.ids()) == expected | {"shared"}
    assert all(notes[id].text == f"{id} changed" for id in expected)
    assert set(notes.unsaved) == expected | {"shared"}


def test_one_of_many_threads_adds_an_id(notes):
    won, lost = [], []
    start = threading.Barrier(8, timeout=20)

    def work(number):
        start.wait()
        try:
            won.append(notes.create(id="same", text=str(number)))
        except DuplicateId:
            lost.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert (len(won), len(lost)) == (1, 7)
    assert notes["same"] is won[0]


def test_conflict_is_told_by_the_store_and_the_change_stays(notes):
    with Store("memory:") as store:
        store.register(notes)
        notes.create(id="a", text="1")
        store.save_all()
        key = Key("notes", "a")
        store._engine.driver.commit([Put(key, {"id": "a", "text": "2", "tags": []})], {})
        notes.update("a", text="mine")

        with pytest.raises(SaveFailed, match=re.escape("notes/a")) as raised:
            store.save_all()

        (failure,) = raised.value.failures
        assert isinstance(failure.error, Conflict)
        assert (failure.error.expected, failure.error.found) == (1, 2)
        assert notes["a"].text == "mine"
        assert store.raw("notes/a")["text"] == "2"
        store._engine.take_in(discard=True)
        assert notes["a"].text == "2"
