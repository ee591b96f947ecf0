"""What two openings of a store do in between each other's steps, one step at a time."""

import json

import pytest

from statestore.drivers.staging import Stages
from statestore.errors import StoreInDoubt
from statestore.journal.journal import JournalOptions
from statestore.models.changes import Delete
from statestore.testing.driver import contents, key, put
from statestore.testing.faulty import Fail, FaultyFiles, named

LARGE = JournalOptions(staged_bytes=1000)
TEXT = "x" * 2000


def quiet(driver):
    """Let a driver write no file until it is asked to."""
    driver.flush()
    driver._ledger._maker._committed = driver._ledger._maker._committed_elsewhere = lambda: None
    driver._ledger._background._look = lambda: False
    return driver


def once(monkeypatch, owner, name, act):
    """Do something else once, right before a method is called."""
    true, left = getattr(owner, name), [act]

    def method(self, *given, **options):
        if left:
            left.pop()()
        return true(self, *given, **options)

    monkeypatch.setattr(owner, name, method)


def edit(path, **fields):
    """Change the data of a record as a person does: revision and saved_at stay."""
    envelope = json.loads(path.read_bytes())
    envelope["data"].update(fields)
    path.write_text(json.dumps(envelope))


def made(driver):
    """Return the revisions that commits gave, in their order."""
    return [revision for commit in driver.changes(0) for revision in commit.revisions.values()]


# --- staged files ---------------------------------------------------------------------


def test_opener_sweeps_no_file_that_another_has_staged_since(opened, monkeypatch):
    opened(journal=LARGE).close()
    others = []

    def open_and_save():
        others.append(quiet(opened(journal=LARGE, materialize="background")))
        others[0].commit([put("a", text=TEXT)], {})

    once(monkeypatch, Stages, "sweep", open_and_save)
    opened(journal=LARGE)

    assert others[0].read(key("a")).document["text"] == TEXT
    others[0].flush()


@pytest.mark.parametrize("way", ["read", "scan"])
def test_staged_file_that_goes_while_it_is_looked_for_is_no_damage(opened, monkeypatch, way):
    writer, reader = (quiet(opened(journal=LARGE, materialize="background")) for _ in range(2))
    writer.commit([put("a", text=TEXT), put("b", text=TEXT)], {})
    reader.catch_up()

    def delete():
        writer.commit([Delete(key("a"))], {})
        writer.flush()

    once(monkeypatch, Stages, "read", delete)
    if way == "scan":
        assert sorted(contents(reader)) == ["b"]
    else:
        with pytest.raises(KeyError):
            reader.read(key("a"))


# --- edits ----------------------------------------------------------------------------


@pytest.mark.parametrize("is_in_file", [False, True])
@pytest.mark.parametrize("way", ["read", "scan"])
def test_edit_is_not_shown_as_the_commit_that_came_before_it(opened, root, way, is_in_file):
    one, other = (quiet(opened(materialize="background")) for _ in range(2))
    one.commit([put("a", n=1)], {})
    one.flush()
    other.read(key("a"))
    reader = other._ledger.reader
    catch_up, adopt = reader._catch_up, reader._adopt

    def overtaken():
        reader._catch_up = catch_up
        catch_up()
        one.commit([put("a", n="saved")], {})
        edit(root / "notes" / "a.json", n="edited")

    def written(edited):
        reader._adopt = adopt
        if is_in_file:
            one.flush()
            other.catch_up()
        return adopt(edited)

    reader._catch_up, reader._adopt = overtaken, written
    found = other.read(key("a")) if way == "read" else next(iter(other.scan("notes")))

    assert (found.revision, found.document["n"]) == (2, "saved")
    one.catch_up()
    assert made(one) == [1, 2]


def test_edit_that_two_come_upon_is_one_commit(opened, root):
    one, other = (quiet(opened(materialize="background")) for _ in range(2))
    one.commit([put("a", n=1)], {})
    one.flush()
    other.read(key("a"))
    edit(root / "notes" / "a.json", n="edited")
    reader = other._ledger.reader
    adopt = reader._adopt

    def late(edited):
        reader._adopt = adopt
        one.read(key("a"))
        one.flush()
        other.catch_up()
        return adopt(edited)

    reader._adopt = late
    found = other.read(key("a"))

    assert (found.revision, found.document["n"]) == (2, "edited")
    one.catch_up()
    assert made(one) == [1, 2]


# --- revisions of what is gone --------------------------------------------------------


def test_record_made_again_after_its_deletion_is_forgotten_is_no_edit(opened):
    options = JournalOptions(segment_bytes=1, history_bytes=0)
    one, other = (quiet(opened(journal=options, materialize="background")) for _ in range(2))
    one.commit([put("a", n=1)], {})
    one.commit([Delete(key("a"))], {})
    for number in range(3):
        other.catch_up()
        one.flush()
        one.commit([put(f"b{number}")], {})
    again = one.commit([put("a", n=2)], {}).revisions[key("a")]
    other.catch_up()
    one.flush()
    assert other.read(key("a")).revision == again
    assert one.sequence == other.catch_up()


# --- in doubt -------------------------------------------------------------------------


@pytest.mark.parametrize("commits_first", [False, True])
def test_what_was_on_the_disk_before_a_sync_failed_is_read_by_all(opened, commits_first):
    files = FaultyFiles()
    failing = quiet(opened(files=files, materialize="background"))
    other = quiet(opened(materialize="background"))
    other.commit([put("seen")], {})
    assert sorted(contents(failing)) == ["seen"]
    other.commit([put("by other")], {})
    failing.catch_up()
    failing.commit([put("by failing")], {})
    files.arm(1, Fail(), only=named("sync_data"))
    with pytest.raises(StoreInDoubt):
        failing.commit([put("in doubt")], {})
    if commits_first:
        with pytest.raises(StoreInDoubt):
            other.commit([put("never")], {})

    for driver in (other, failing):
        assert sorted(contents(driver)) == ["by failing", "by other", "seen"]
        assert driver.sequence == 3


def test_what_another_has_synced_is_read_where_the_next_sync_fails(opened):
    files = FaultyFiles()
    failing = quiet(opened(files=files, materialize="background"))
    other = quiet(opened(materialize="background"))
    other.commit([put("by other")], {})
    files.arm(1, Fail(), only=named("sync_data"))
    with pytest.raises(StoreInDoubt):
        failing.commit([put("in doubt")], {})

    assert sorted(contents(failing)) == ["by other"]
    assert failing.read(key("by other")).revision == 1
