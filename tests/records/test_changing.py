"""Operations on several records of a kind: wholly or not at all."""

import threading

import attrs
import pytest

from statestore import (
    Conflict,
    DuplicateId,
    InvalidRecord,
    Manager,
    ReadOnlyStore,
    RecordNotFound,
    SaveFailed,
    Store,
)
from statestore.models.workspaces import Workspace


@attrs.frozen
class Note:
    id: str
    text: str = ""


class Notes(Manager[Note]):
    def __init__(self):
        super().__init__("notes", Note)

    def swap(self, one, other):
        def make(draft):
            texts = draft[one].text, draft[other].text
            draft.put(Note(one, texts[1]))
            draft.put(Note(other, texts[0]))

        self._change_all(make)

    def do(self, make):
        return self._change_all(make)


def texts(manager):
    return {one.id: one.text for one in manager}


@pytest.fixture(params=["alone", "manual", "on-change", "transaction"])
def notes(request, tmp_path):
    manager = Notes()
    if request.param == "alone":
        yield manager
        return
    autosave = "on-change" if request.param == "on-change" else "manual"
    with Store(tmp_path / "state", autosave) as store:
        store.register(manager)
        if request.param == "transaction":
            with store.transaction():
                yield manager
        else:
            yield manager


def test_all_changes_are_made(notes):
    notes.create(id="a", text="1")
    notes.create(id="b", text="2")

    notes.swap("a", "b")

    assert texts(notes) == {"a": "2", "b": "1"}


def test_an_operation_that_raises_has_changed_nothing(notes):
    notes.create(id="a", text="1")

    def make(draft):
        draft.put(Note("a", "2"))
        draft.add(Note("b"))
        draft.delete("a")
        draft["missing"]

    with pytest.raises(RecordNotFound, match="notes/missing"):
        notes.do(make)

    assert texts(notes) == {"a": "1"}


def test_a_draft_shows_what_the_operation_has_made_so_far(notes):
    notes.create(id="a", text="1")
    notes.create(id="b", text="2")
    seen = []

    def make(draft):
        draft.add(Note("c", "3"))
        draft.put(Note("a", "9"))
        draft.delete("b")
        seen.append({one.id: one.text for one in draft.all()})
        assert "b" not in draft
        assert draft.get("b") is None
        draft.add(Note("b", "new"))
        draft.delete("c")
        draft.add(Note("c", "again"))
        seen.append([(one.id, one.text) for one in draft.all()])
        return "done"

    assert notes.do(make) == "done"

    assert seen == [
        {"a": "9", "c": "3"},
        [("a", "9"), ("b", "new"), ("c", "again")],
    ]
    assert [(one.id, one.text) for one in notes] == [("a", "9"), ("b", "new"), ("c", "again")]


def test_a_record_that_is_made_and_deleted_again_was_never_there(notes):
    def make(draft):
        draft.add(Note("a"))
        draft.delete("a")

    notes.do(make)

    assert texts(notes) == {}


def test_what_is_no_record_of_the_kind_is_refused(notes):
    notes.create(id="a")
    for make, error in [
        (lambda draft: draft.add(Note("a")), DuplicateId),
        (lambda draft: draft.add("a"), InvalidRecord),
        (lambda draft: draft.put(Note("b")), RecordNotFound),
        (lambda draft: draft.delete("b"), RecordNotFound),
    ]:
        with pytest.raises(error):
            notes.do(make)
    assert texts(notes) == {"a": ""}


def test_it_is_one_commit_with_on_change(tmp_path):
    with Store(tmp_path, "on-change") as store:
        notes = store.register(Notes())
        notes.create(id="a", text="1")
        notes.create(id="b", text="2")
        before = store.sequence

        notes.swap("a", "b")

        assert store.sequence == before + 1
        assert store.unsaved == ()
        assert notes.revision("a") == notes.revision("b") == 2


def test_what_the_disk_refuses_is_not_shown_with_on_change(tmp_path):
    with Store(tmp_path / "state", "on-change") as store:
        notes = store.register(Notes())
        notes.create(id="a", text="1")
        notes.create(id="b", text="2")
    with Store(tmp_path / "state", "on-change", read_only=True) as store:
        notes = store.register(Notes())
        store.load_all()

        with pytest.raises(ReadOnlyStore):
            notes.swap("a", "b")

        assert texts(notes) == {"a": "1", "b": "2"}


def test_what_others_have_changed_is_taken_in_and_the_operation_made_again(tmp_path):
    with Store(tmp_path, "on-change") as store, Store(tmp_path) as other:
        notes = store.register(Notes())
        notes.create(id="a", text="1")
        notes.create(id="b", text="2")
        theirs = other.register(Notes())
        other.load_all()
        theirs.update("b", text="theirs")
        other.save_all()

        notes.swap("a", "b")
        other.refresh()

        assert texts(notes) == texts(theirs) == {"a": "theirs", "b": "1"}


def test_an_unsaved_change_that_contradicts_theirs_stops_it(tmp_path):
    with Store(tmp_path, "on-change") as store, Store(tmp_path) as other:
        notes = store.register(Notes())
        notes.create(id="a", text="1")
        notes.create(id="b", text="2")
        theirs = other.register(Notes())
        other.load_all()
        theirs.update("b", text="theirs")
        other.save_all()
        with pytest.raises(SaveFailed):
            notes.update("b", text="mine")

        with pytest.raises(Conflict, match="notes/b"):
            notes.swap("a", "b")

        assert texts(notes) == {"a": "1", "b": "mine"}
        store.load_all(discard=True)


def test_threads_that_swap_lose_nothing(tmp_path):
    with Store(tmp_path, "on-change") as store:
        notes = store.register(Notes())
        ids = "abcd"
        for id in ids:
            notes.create(id=id, text=id)

        def work(number):
            for n in range(25):
                one, other = ids[(number + n) % 4], ids[(number + 2 * n + 1) % 4]
                if one != other:
                    notes.swap(one, other)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(texts(notes).values()) == list(ids)
        live = texts(notes)
    with Store(tmp_path, read_only=True) as store:
        notes = store.register(Notes())
        store.load_all()
        assert texts(notes) == live


def test_it_waits_for_a_transaction_that_is_just_becoming_durable(tmp_path):
    with Store(tmp_path) as store:
        notes = store.register(Notes())
        notes.create(id="a", text="1")
        notes.create(id="b", text="2")
        store.save_all()
        started = threading.Event()

        class Landing:
            def wait(self):
                started.set()
                with notes._lock:
                    notes._landings.clear()
                    notes._live["a"] = Note("a", "landed")

        notes._landings["a"] = Landing()
        notes.swap("a", "b")

        assert started.is_set()
        assert texts(notes) == {"a": "2", "b": "landed"}


def test_all_of_it_is_told_in_one_go(tmp_path):
    with Store(tmp_path) as store:
        notes = store.register(Notes())
        notes.create(id="a", text="1")
        store.save_all()
        heard = []
        notes.on("*", lambda event: heard.append((event.name, event.id, dict(event.details))))

        def make(draft):
            draft.add(Note("b"))
            draft.delete("a")

        notes.do(make)
        assert heard == []
        store.save_all()

    assert heard == [("created", "b", {}), ("deleted", "a", {})]


def test_an_operation_in_a_transaction_does_not_go_through_all_records(monkeypatch):
    with Store("memory:") as store:
        notes = store.register(Notes())
        for id in "abc":
            notes.create(id=id)
        monkeypatch.setattr(Workspace, "over", lambda *_: pytest.fail("it went through all"))
        monkeypatch.setattr(Workspace, "copy", lambda *_: pytest.fail("it copied what was written"))

        with store.transaction():
            notes.swap("a", "b")
            notes.update("a", text="1")
            notes.swap("a", "b")
            notes.do(lambda draft: (draft.delete("a"), draft.add(Note("a", "2"))))
            notes.do(lambda draft: draft.add(Note("d", "3")))

        assert texts(notes) == {"b": "1", "c": "", "a": "2", "d": "3"}


def test_what_a_transaction_sees_is_what_everybody_sees_when_it_is_made():
    with Store("memory:") as store:
        notes = store.register(Notes())
        for id in "abcd":
            notes.create(id=id)
        store.save_all()

        with store.transaction():
            notes.delete("b")
            notes.do(lambda draft: (draft.delete("a"), draft.add(Note("a", "new"))))
            notes.do(lambda draft: (draft.add(Note("e")), draft.put(Note("c", "2"))))
            with pytest.raises(RecordNotFound):
                notes.do(lambda draft: draft["b"])
            seen = notes.do(lambda draft: [(one.id, one.text) for one in draft.all()])
            assert notes.ids() == tuple(id for id, _ in seen)
            assert len(notes) == 4

        assert seen == [("c", "2"), ("d", ""), ("a", "new"), ("e", "")]
        assert [(one.id, one.text) for one in notes] == seen


def test_what_an_operation_adds_or_deletes_costs_no_look_at_the_others():
    class Counted(dict):
        def items(self):
            pytest.fail("it went through all")

    notes = Notes()
    for id in "abc":
        notes.create(id=id)
    notes._live = Counted(notes._live)

    notes.do(lambda draft: (draft.add(Note("d")), draft.put(Note("a", "1"))))
    notes.do(lambda draft: (draft.delete("b"), draft.put(Note("c", "2"))))

    assert texts(notes) == {"a": "1", "c": "2", "d": ""}
