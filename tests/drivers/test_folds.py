"""Reading while files are behind: what is committed is seen, whatever its file says."""

from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statestore.drivers.background import Background
from statestore.drivers.folding import Base
from statestore.drivers.overlay import Overlay, begun, patched
from statestore.errors import RecordNotFound
from statestore.journal.entries import DeleteOp, PatchOp, PutOp
from statestore.journal.journal import JournalOptions
from statestore.models.changes import Append, Delete, Put, Stored
from statestore.models.keys import Key
from statestore.testing.driver import contents, key, patch, put, refused

KEY = Key("notes", "a")
TIME = datetime(2026, 1, 1, tzinfo=UTC)


# --- folds against a plain model ------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 9)),
        st.tuples(st.just("set"), st.integers(0, 9)),
        st.tuples(st.just("add"), st.integers(1, 3)),
        st.tuples(st.just("delete"), st.just(0)),
    ),
    max_size=8,
)


class Model:
    """A record by plain means: the document, or None, at each revision."""

    def __init__(self, documents=None):
        self.documents = list(documents or [{"id": "a", "items": []}])

    def step(self, what, number):
        """Make one step; return its operation."""
        now, revision = self.documents[-1], len(self.documents) + 1
        if what == "delete" or (now is None and what != "put"):
            self.documents.append(None)
            return DeleteOp(KEY, revision)
        if what == "put":
            self.documents.append({"id": "a", "n": number, "items": list(range(number))})
            return PutOp(KEY, revision, 1, orjson.dumps(self.documents[-1]))
        if what == "set":
            body = {"set": {"n": number, "x": revision}, "append": []}
            self.documents.append({**now, **body["set"]})
        else:
            items = [f"r{revision}"] * number
            body = {"set": {}, "append": [["items", len(now["items"]), items]]}
            self.documents.append({**now, "items": now["items"] + items})
        return PatchOp(KEY, revision, 1, orjson.dumps(body))


def shown(fold, documents):
    """Return the document that a fold makes on the files at all revisions that it may meet."""
    if fold.is_gone:
        return [None]
    if fold.begin is not None:
        return [patched(Base(1, orjson.loads(fold.begin.data)), fold.patched).document]
    found = []
    for revision in range(fold.base, fold.revision + 1):
        rest = [one for one in fold.patched if one.revision > revision]
        found.append(patched(Base(1, documents[revision - 1]), rest).document)
    return found


def followed(fold, model, steps):
    for what, number in steps:
        op = model.step(what, number)
        fold = (
            begun(op, op.revision, TIME)
            if fold is None
            else fold.followed(op, op.revision, TIME, None)
        )
    return fold


@given(STEPS.filter(bool))
def test_fold_makes_what_the_commits_made_of_a_record(steps):
    model = Model()
    fold = followed(None, model, steps)

    assert fold.revision == len(model.documents)
    assert all(one == model.documents[-1] for one in shown(fold, model.documents))


@given(STEPS.filter(bool), STEPS, STEPS)
def test_two_folds_that_go_on_from_one_do_not_mix(common, left, right):
    model = Model()
    fold = followed(None, model, common)
    before = shown(fold, model.documents)
    ours, theirs = Model(model.documents), Model(model.documents)

    left_fold = followed(fold, ours, left)
    right_fold = followed(fold, theirs, right)

    for one, of in ((left_fold, ours), (right_fold, theirs), (fold, model)):
        assert all(document == of.documents[-1] for document in shown(one, of.documents))
    assert shown(fold, model.documents) == before


@given(STEPS.filter(bool), st.integers(0, 10))
def test_what_is_left_behind_a_file_makes_the_same(steps, back):
    model = Model()
    fold = followed(None, model, steps)
    revision = max(fold.revision - back, 1)

    rest = fold.after(revision)

    if rest is None:
        assert revision >= fold.revision
    elif rest.begin is None:
        assert rest.base >= revision
        assert model.documents[rest.base - 1] is not None
        assert all(one == model.documents[-1] for one in shown(rest, model.documents))
    else:
        assert rest is fold
    if rest is not None:
        assert (rest.revision, rest.sequence) == (fold.revision, fold.sequence)


def test_patches_that_somebody_looks_at_do_not_change_under_him():
    model = Model()
    fold = followed(None, model, [("set", 1), ("set", 2)])
    seen = fold.patched

    later = followed(fold, model, [("set", 3)])

    assert [one.revision for one in seen] == [2, 3]
    assert [one.revision for one in later.patched] == [2, 3, 4]


def test_overlay_keeps_what_came_after_the_files_were_written():
    model, overlay = Model(), Overlay()
    written = followed(None, model, [("put", 1), ("set", 2)])
    overlay.update({KEY: written})
    newer = followed(written, model, [("set", 3)])
    overlay.update({KEY: newer})

    overlay.settle({KEY: written})

    left = overlay.get(KEY)
    assert [one.revision for one in left.patched] == [4]
    assert left.base == 3
    overlay.settle({KEY: newer})
    assert overlay.get(KEY) is None


def test_overlay_drops_what_is_in_files_by_others():
    model, overlay = Model(), Overlay()
    overlay.update({KEY: followed(None, model, [("put", 1)])})

    overlay.drop_upto(1)
    assert len(overlay) == 1
    overlay.drop_upto(2)
    assert len(overlay) == 0


# --- through the driver ---------------------------------------------------------------


@pytest.fixture
def behind(opened):
    """A driver whose files stay behind until `flush()`."""
    driver = opened(materialize="background")
    driver.flush()
    driver._ledger._maker._committed = lambda: None
    return driver


def added(driver, count):
    length = len(driver.read(key("a")).document["items"])
    driver.commit([patch("a", Append("items", length, tuple(range(count))))], {})


def test_patches_on_a_put_are_read_without_a_file(behind, root):
    behind.commit([put("a", items=[], n=0)], {})
    for turn in range(5):
        added(behind, turn)
        behind.commit([patch("a", n=turn)], {})

    expected = {"id": "a", "items": [*[0], 0, 1, 0, 1, 2, 0, 1, 2, 3], "n": 4}
    assert contents(behind) == {"a": expected}
    assert behind.read(key("a")).revision == 11
    assert not (root / "notes").exists()
    behind.flush()
    assert contents(behind) == {"a": expected}
    assert behind.read(key("a")).revision == 11


def test_patches_on_a_file_are_read_on_top_of_it(behind, root, opened):
    behind.commit([put("a", items=[1], n=0), put("b")], {})
    behind.flush()
    before = (root / "notes" / "a.json").read_bytes()
    for _ in range(3):
        added(behind, 2)

    assert contents(behind)["a"]["items"] == [1, 0, 1, 0, 1, 0, 1]
    assert behind.read(key("a")).revision == 4
    assert (root / "notes" / "a.json").read_bytes() == before
    # Another opening sees the same, on the same file.
    assert contents(opened(materialize="background"))["a"]["items"] == [1, 0, 1, 0, 1, 0, 1]


def test_deleted_record_is_gone_while_its_file_is_there(behind, root):
    behind.commit([put("a"), put("b")], {})
    behind.flush()
    behind.commit([Delete(key("a"))], {})

    assert (root / "notes" / "a.json").exists()
    assert list(contents(behind)) == ["b"]
    with pytest.raises(RecordNotFound):
        behind.read(key("a"))
    behind.flush()
    assert not (root / "notes" / "a.json").exists()


def test_record_made_again_goes_on_counting(behind, opened):
    behind.commit([put("a", n=1)], {})
    behind.flush()
    assert behind.commit([Delete(key("a"))], {}).revisions == {key("a"): 2}
    assert behind.commit([put("a", n=2)], {key("a"): 0}).revisions == {key("a"): 3}
    assert contents(behind) == {"a": {"id": "a", "n": 2}}
    behind.commit([Delete(key("a"))], {})
    behind.flush()
    behind.close()

    for turn in range(3):  # the number of the deletion survives closing and opening
        again = opened()
        if turn == 2:
            assert again.commit([put("a")], {}).revisions == {key("a"): 5}
        again.close()


def test_conflicts_are_found_while_files_are_behind(behind):
    behind.commit([put("a", n=1)], {})
    behind.commit([patch("a", n=2)], {key("a"): 1})

    error = refused(behind, [put("a", n=3)], {key("a"): 1})[key("a")]
    assert (error.expected, error.found) == (1, 2)


def test_kinds_of_what_has_no_folder_yet(behind):
    behind.commit([put("a", "tasks"), put("b")], {})
    assert behind.kinds() == ["notes", "tasks"]
    behind.commit([Delete(key("b"))], {})
    assert behind.kinds() == ["tasks"]


def test_scan_while_a_record_with_pending_changes_is_deleted_tells_of_no_damage(behind):
    behind.commit([put("a", n=1), put("b", n=1)], {})
    behind.flush()
    behind.commit([patch("a", n=2), patch("b", n=2)], {})
    scan = behind.scan("notes")
    first = next(scan)

    behind.commit([Delete(key("b"))], {})
    behind.flush()

    assert isinstance(first, Stored)
    assert list(scan) == []


def test_scan_misses_nothing_that_is_written_meanwhile(behind):
    behind.commit([put(f"n{number}", n=number) for number in range(6)], {})
    scan = behind.scan("notes")
    found = [next(scan)]

    behind.flush()
    behind.commit([patch("n5", n=50)], {})

    found += list(scan)
    assert [one.key.id for one in found] == [f"n{number}" for number in range(6)]
    assert found[-1].document["n"] in (5, 50)


UNKNOWN = {"plugin": {"version": 3}}


def test_unknown_fields_stay_while_changes_are_pending(opened, monkeypatch):
    options = JournalOptions(segment_bytes=1)
    driver = opened(materialize="background", journal=options)
    driver.flush()
    monkeypatch.setattr(Background, "note", lambda self: None)
    driver.commit([Put(key("a"), {"id": "a", "n": 1}, 1, UNKNOWN)], {})
    driver.commit([put("a", n=2)], {})
    assert driver.read(key("a")).extra == UNKNOWN
    driver.flush()
    driver.commit([patch("a", n=3)], {})
    driver._ledger._background.stop()
    driver._ledger._committer.stop()
    driver._closed = True
    driver._opening.let_go()

    again = opened(materialize="background")
    again.commit([put("a", n=4)], {})  # nobody has read its file since

    assert again.read(key("a")).extra == UNKNOWN
    again.flush()
    assert again.read(key("a")).extra == UNKNOWN
