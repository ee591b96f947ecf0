"""Recovery: what is lost is told and brought back, and a damaged store is saved as a new one."""

import json
import os
import subprocess
import sys

import attrs
import pytest

from statestore import Manager, Store
from statestore.errors import (
    ConfigurationError,
    CorruptJournal,
    CorruptStore,
    FolderInUse,
    HeldKey,
    NotSupported,
    NoVersionKept,
    RecordNotFound,
    RecordNotLost,
    StorageError,
    StoreNotFound,
)
from statestore.files.folders import Folder
from statestore.models.keys import Key
from statestore.services.recovery import salvage

DIES = """
import os, sys
from statestore.drivers.directory import DirectoryDriver
from statestore.models.changes import Append, Delete, Patch, Put
from statestore.models.keys import Key

driver = DirectoryDriver(sys.argv[1])
with driver.held_still():  # no file is written meanwhile
    exec(sys.argv[2])
    os._exit(0)
"""


def die_after(path, changes):
    """Commit changes in a process that dies before it writes any file."""
    subprocess.run([sys.executable, "-c", DIES, path, changes], check=True)


@attrs.frozen
class Note:
    id: str
    text: str = ""
    lines: tuple[str, ...] = ()


class Place:
    """A store of notes in a folder."""

    def __init__(self, path):
        self.path = path

    def save(self, **texts):
        """Save some notes, each as a commit of its own."""
        with self.open() as store:
            notes = store.managers["notes"]
            for id, text in texts.items():
                notes.add(Note(id, text)) if id not in notes else notes.update(id, text=text)
                store.save_all()

    def open(self, **options):
        store = Store(self.path, **options)
        store.register(Manager("notes", Note))
        store.load_all()
        return store

    def texts(self):
        """Return the texts of all notes, as a reader finds them."""
        with self.open(read_only=True) as store:
            assert store.verify().failures == ()
            return {note.id: note.text for note in store.managers["notes"]}

    def file(self, id):
        return self.path / "notes" / f"{id}.json"

    @property
    def segments(self):
        return sorted((self.path / ".statestore" / "journal").iterdir())

    def damage(self, word):
        """Change a byte of the journal, where it says `word` for the first time."""
        for segment in self.segments:
            data = segment.read_bytes()
            at = data.find(word.encode())
            if at >= 0:
                segment.write_bytes(data[:at] + b"\xff" + data[at + 1 :])
                return
        raise AssertionError("the journal does not say that")


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path / "state")


@pytest.fixture
def new(tmp_path):
    return Place(tmp_path / "new")


# --- what is lost -----------------------------------------------------------------------


def test_sound_store_has_nothing_to_recover(place):
    place.save(a="one", b="two")

    with place.open() as store:
        report = store.recover()

    assert (report.items, report.commits, report.failures) == (2, 0, ())
    assert (report.absent, report.quarantined) == ((), ())


def test_commits_that_a_dead_process_has_left_are_counted_and_taken_up(place):
    place.save(a="one")
    die_after(place.path, "driver.commit([Put(Key('notes', 'b'), {'id': 'b', 'text': 'two'})], {})")
    assert not place.file("b").exists()

    with place.open(read_only=True) as store:
        notes = store.verify().notes
    with place.open() as store:
        report = store.recover()

    assert any("1 commit in the journal" in note for note in notes)
    assert (report.commits, report.items) == (1, 2)
    assert json.loads(place.file("b").read_text())["data"]["text"] == "two"


def test_file_that_vanished_is_told_and_brought_back_with_a_new_revision(place):
    place.save(a="one", b="two")
    place.save(a="three")
    place.file("a").unlink()

    with place.open() as store:
        (absent,) = store.recover().absent
        (failure,) = store.verify().failures
        report = store.bring_back("notes/a")
        live = store.managers["notes"]["a"]

    assert (absent.key, absent.revision, absent.kept) == (Key("notes", "a"), 2, 2)
    assert "statestore recover notes/a" in str(failure)
    assert (report.key, report.copied, report.revision) == (Key("notes", "a"), 2, 3)
    assert live.text == "three"
    assert json.loads(place.file("a").read_text())["revision"] == 3
    assert place.texts() == {"a": "three", "b": "two"}


def test_file_that_vanished_before_the_store_was_opened_is_brought_back_above_its_revision(place):
    place.save(a="one")
    place.save(a="two")
    place.file("a").unlink()
    place.save(b="other")

    with place.open() as store:
        assert store.bring_back(Key("notes", "a")).revision == 3


def test_unreadable_file_goes_to_quarantine_and_its_record_is_brought_back(place):
    place.save(a="one")
    place.file("a").write_bytes(b"\0\0\0")

    with place.open() as store:
        report = store.bring_back("notes/a")
        (kept,) = store.recover().quarantined

    assert "quarantine/notes/" in report.notes[0]
    assert (place.path / kept.path).read_bytes() == b"\0\0\0"
    assert (kept.origin, bool(kept.why), bool(kept.moved_at)) == ("notes/a.json", True, True)
    assert place.texts() == {"a": "one"}


def test_file_in_quarantine_is_told_with_its_reason(place):
    place.save(a="one", b="two")
    place.file("a").write_bytes(b"nonsense")
    os.utime(place.file("a"), (1, 1))  # nobody is writing it any more

    with place.open() as store:
        report = store.recover()

    assert [one.origin for one in report.quarantined] == ["notes/a.json"]
    assert [one.key for one in report.absent] == [Key("notes", "a")]
    with place.open(read_only=True) as store:
        assert any("1 file in quarantine" in note for note in store.verify().notes)


def test_deleted_record_is_no_loss_and_can_be_brought_back(place):
    place.save(a="one", b="two")
    with place.open() as store:
        store.managers["notes"].delete("a")
        store.save_all()
        assert store.recover().absent == ()

        report = store.bring_back("notes/a")

    assert (report.copied, report.revision) == (1, 3)
    assert "deleted" in report.notes[0]
    assert place.texts() == {"a": "one", "b": "two"}


def test_record_that_is_brought_back_is_shown_where_only_its_kind_was_loaded(place):
    place.save(a="one")
    with Store(place.path) as store:
        notes = store.register(Manager("notes", Note))
        store.load("notes")
        notes.delete("a")
        store.save_all()

        store.bring_back("notes/a")

        assert notes["a"].text == "one"


def test_patched_record_is_brought_back_with_its_patches(place):
    place.save(a="one")
    code = "driver.commit([Patch(Key('notes', 'a'), {}, (Append('lines', %d, ('%s',)),))], {})"
    die_after(place.path, code % (0, "x"))
    die_after(place.path, code % (1, "y"))
    with place.open():
        pass
    place.file("a").unlink()

    with place.open() as store:
        assert store.bring_back("notes/a").copied == 3
        assert store.raw("notes/a")["lines"] == ["x", "y"]


def test_record_that_is_not_lost_is_not_touched(place, listing):
    place.save(a="one")

    with place.open() as store:
        before = listing(place.path / "notes")
        with pytest.raises(RecordNotLost, match="notes/a"):
            store.bring_back("notes/a")
        with pytest.raises(RecordNotFound):
            store.bring_back("notes/nobody")
        with pytest.raises(RecordNotFound):
            store.bring_back("other/a")

    assert listing(place.path / "notes") == before


def test_record_whose_place_is_held_is_not_brought_back(place):
    place.save(a="one", b="two")
    place.file("a").write_bytes(place.file("b").read_bytes())

    with place.open() as store, pytest.raises(HeldKey, match=r"notes/a\.json"):
        store.bring_back("notes/a")


def test_record_of_which_history_holds_no_version_is_told_so(place):
    place.save(a="one")
    for segment in place.segments:
        segment.unlink()
    place.save(b="two")
    with place.open() as store:
        place.file("a").write_bytes(b"\0")
        with pytest.raises(NoVersionKept):
            store.bring_back("notes/a")
        assert place.file("a").read_bytes() == b"\0"


def test_store_in_memory_has_nothing_to_recover(place):
    with pytest.raises(NotSupported):
        Store("memory:").recover()


# --- salvage ----------------------------------------------------------------------------


def whole(path):
    """Return everything below a folder: names, contents, times, modes."""
    found = {}
    for folder, folders, files in os.walk(path):
        for name in (".", *folders, *files):
            place = os.path.join(folder, name)
            status = os.lstat(place)
            data = None
            if name in files and not os.path.islink(place):
                with open(place, "rb") as file:
                    data = file.read()
            found[os.path.normpath(place)] = (status.st_mode, status.st_mtime_ns, data)
    return found


def copied(path):
    """Return what of a folder a copy of it has: names, contents, the times of files."""
    found = whole(path).items()
    return {os.path.relpath(name, path): one[1:] for name, one in found if one[2] is not None}


@pytest.fixture
def saved(place, new):
    """Salvage the store; what it was before must be what it is after."""

    def save(**options):
        before = whole(place.path)
        try:
            return salvage(place.path, new.path, **options)
        finally:
            assert whole(place.path) == before

    return save


def test_sound_store_is_salvaged_byte_for_byte(place, new, saved):
    place.save(a="one", b="two")
    place.save(b="three")
    (place.path / "statestore.toml").write_text('materialize = "now"\n')
    (place.path / "notes" / "@other.json").write_text("{}")
    (place.path / "archive" / "notes").mkdir(parents=True)
    (place.path / "archive" / "notes" / "old.json").write_text("{}")

    report = saved()

    assert (report.items, report.from_journal, report.failures, report.lost) == (2, 0, (), ())
    assert report.commits == 3
    for folder in ("notes", "archive"):
        assert copied(place.path / folder) == copied(new.path / folder)
    assert (new.path / "statestore.toml").read_text() == 'materialize = "now"\n'
    assert new.texts() == {"a": "one", "b": "three"}
    with new.open() as store:
        assert store.sequence == 3
        store.managers["notes"].update("a", text="four")
        assert store.save_all().sequence == 4
        assert store.managers["notes"].revision("a") == 2


def test_journal_that_is_damaged_in_its_middle_is_salvaged(place, new, saved):
    place.save(a="before")
    die_after(
        place.path,
        "for id in 'bcd':\n"
        "  driver.commit([Put(Key('notes', id), {'id': id, 'text': 'text of ' + id})], {})",
    )
    place.damage("text of c")
    with pytest.raises(CorruptJournal, match="recover --salvage"):
        place.open()

    report = saved()

    assert new.texts() == {"a": "before", "b": "text of b", "d": "text of d"}
    assert (report.items, report.from_journal, report.lost) == (3, 2, ((3, 3),))
    assert len(report.failures) == 1
    assert "damaged" in str(report.failures[0])


def test_change_of_a_record_that_is_lost_is_told_and_not_guessed(place, new, saved):
    die_after(
        place.path,
        "driver.commit([Put(Key('notes', 'a'), {'id': 'a', 'text': 'lost'})], {})\n"
        "driver.commit([Patch(Key('notes', 'a'), {'text': 'changed'})], {})\n"
        "driver.commit([Put(Key('notes', 'b'), {'id': 'b', 'text': 'there'})], {})\n",
    )
    place.damage("lost")

    report = saved()

    assert new.texts() == {"b": "there"}
    told = [str(one) for one in report.failures if one.key == Key("notes", "a")]
    assert len(told) == 1
    assert "revision 2" in told[0]
    assert "changed" not in told[0]


def test_damaged_meta_is_made_anew(place, new, saved):
    place.save(a="one")
    die_after(place.path, "driver.commit([Put(Key('notes', 'b'), {'id': 'b', 'text': 'x'})], {})")
    (place.path / ".statestore" / "meta.json").write_bytes(b"\0\0")
    with pytest.raises(CorruptStore, match="recover --salvage"):
        place.open()

    report = saved()

    assert new.texts() == {"a": "one", "b": "x"}
    assert report.failures == ()
    assert any("meta.json" in note for note in report.notes)


def test_meta_that_was_made_anew_does_not_cost_the_journal(place, new, saved):
    place.save(a="one")
    die_after(place.path, "driver.commit([Put(Key('notes', 'b'), {'id': 'b', 'text': 'x'})], {})")
    meta = place.path / ".statestore" / "meta.json"
    meta.write_text(json.dumps({**json.loads(meta.read_text()), "store_id": "0" * 32}))
    with pytest.raises(CorruptJournal):
        place.open()

    report = saved()

    assert new.texts() == {"a": "one", "b": "x"}
    assert any("another store id" in note for note in report.notes)


def test_files_without_a_journal_are_salvaged(place, new, saved):
    place.save(a="one")
    for segment in place.segments:
        segment.unlink()
    (place.path / ".statestore" / "journal").rmdir()

    assert saved().items == 1
    assert new.texts() == {"a": "one"}


def test_files_without_their_own_folder_are_salvaged(place, new, saved):
    place.save(a="one")
    (place.path / "statestore.toml").write_text("")
    subprocess.run(["rm", "-r", place.path / ".statestore"], check=True)

    assert saved().items == 1
    assert new.texts() == {"a": "one"}


def test_unreadable_file_is_kept_in_quarantine_and_its_record_taken_from_the_journal(
    place, new, saved
):
    place.save(a="one", b="two")
    place.file("a").write_bytes(b"\0\0")

    report = saved()

    (kept,) = report.quarantined
    assert (new.path / kept).read_bytes() == b"\0\0"
    why = json.loads((new.path / f"{kept}.why.json").read_text())
    assert why["from"] == "notes/a.json"
    assert report.failures == ()
    assert new.texts() == {"a": "one", "b": "two"}


def test_unreadable_file_of_which_nothing_else_is_known_is_a_failure(place, new, saved):
    place.save(a="one")
    place.file("x").write_bytes(b"\0\0")
    place.file("y").symlink_to(place.file("a"))

    report = saved()

    assert {str(one.key) for one in report.failures} == {"notes/x", "notes/y"}
    assert len(report.quarantined) == 1
    assert new.texts() == {"a": "one"}


def test_file_that_vanished_comes_back(place, new, saved):
    place.save(a="one", b="two")
    place.file("a").unlink()

    assert saved().from_journal == 1
    assert new.texts() == {"a": "one", "b": "two"}


def test_deleted_record_stays_deleted_and_its_revision_is_not_used_again(place, new, saved):
    place.save(a="one", b="two")
    with place.open() as store:
        store.managers["notes"].delete("a")
        store.save_all()

    saved()

    assert new.texts() == {"b": "two"}
    with new.open() as store:
        store.managers["notes"].add(Note("a", "again"))
        store.save_all()
        assert store.managers["notes"].revision("a") == 3


def test_deletion_that_no_file_shows_yet_is_one(place, new, saved):
    place.save(a="one", b="two")
    die_after(place.path, "driver.commit([Delete(Key('notes', 'a'))], {})")
    assert place.file("a").exists()

    saved()

    assert new.texts() == {"b": "two"}


def test_edited_file_that_the_journal_has_newer_is_kept_in_quarantine(place, new, saved):
    place.save(a="one")
    die_after(
        place.path, "driver.commit([Put(Key('notes', 'a'), {'id': 'a', 'text': 'newer'})], {})"
    )
    place.file("a").write_text(place.file("a").read_text().replace("one", "edited"))

    report = saved()

    assert new.texts() == {"a": "newer"}
    assert b"edited" in (new.path / report.quarantined[0]).read_bytes()


def test_edited_file_is_an_edit_in_the_new_store_too(place, new, saved):
    place.save(a="one")
    place.file("a").write_text(place.file("a").read_text().replace("one", "edited"))

    assert saved().quarantined == ()

    with new.open() as store:
        assert store.managers["notes"]["a"].text == "edited"
        assert store.managers["notes"].revision("a") == 2


def test_staged_files_of_a_large_save_are_found(place, new, saved, monkeypatch):
    die_after(
        place.path,
        "driver._ledger._large._staged_bytes = 10\n"
        "driver.commit([Put(Key('notes', 'a'), {'id': 'a', 'text': 'x' * 100})], {})\n"
        "driver.commit([Patch(Key('notes', 'a'), {'text': 'y'})], {})",
    )
    assert list((place.path / ".statestore" / "stage").iterdir())

    assert saved().failures == ()
    assert new.texts() == {"a": "y"}


def test_staged_file_that_is_damaged_is_told(place, new, saved):
    die_after(
        place.path,
        "driver._ledger._large._staged_bytes = 10\n"
        "driver.commit([Put(Key('notes', 'a'), {'id': 'a', 'text': 'x' * 100})], {})\n",
    )
    (stage,) = (place.path / ".statestore" / "stage").iterdir()
    (stage / "0").write_bytes(b"\0")

    report = saved()

    assert [one.key for one in report.failures] == [Key("notes", "a")]
    assert new.texts() == {}


@pytest.mark.parametrize("format", ["yaml", "gzip"])
def test_new_store_has_the_format_of_the_old_one(place, new, saved, format):
    with Store(place.path) as store:
        store.set_serializer(format, remember=True)
        notes = store.register(Manager("notes", Note))
        notes.create(id="a", text="one")
        store.save_all()
    (place.path / ".statestore" / "meta.json").write_text("{}")

    assert saved().format == format
    with new.open() as store:
        assert store.format == format


def test_lost_segment_is_told(place, new, saved):
    place.save(a="one")
    die_after(place.path, "driver.commit([Put(Key('notes', 'b'), {'id': 'b', 'text': 'x'})], {})")
    place.segments[-1].write_bytes(b"\0" * 500)

    report = saved()

    assert any(place.segments[-1].name in str(one) for one in report.failures)
    assert new.texts()["a"] == "one"


@pytest.mark.parametrize("inside", ["state/new", ".", "state"])
def test_new_store_is_neither_in_the_old_one_nor_around_it(place, tmp_path, inside):
    place.save(a="one")
    before = whole(tmp_path)

    with pytest.raises(ConfigurationError):
        salvage(place.path, tmp_path / inside)

    assert whole(tmp_path) == before


def test_place_of_the_new_store_must_be_free(place, new, tmp_path):
    place.save(a="one")
    new.path.mkdir()
    assert salvage(place.path, new.path).items == 1

    with pytest.raises(FolderInUse):
        salvage(place.path, new.path)
    with pytest.raises(StoreNotFound):
        salvage(tmp_path / "nowhere", tmp_path / "other")
    with pytest.raises(StoreNotFound):
        salvage(tmp_path, tmp_path.parent / "other")


def test_failure_at_any_call_leaves_nothing(place, new, saved, monkeypatch):
    place.save(a="one", b="two")
    place.file("b").write_bytes(b"\0")
    calls = []
    fails_at = [0]
    for name in ("write_new", "sync", "rename_child", "move", "replace"):
        true = getattr(Folder, name)

        def call(self, *args, true=true, **more):
            calls.append(true)
            if len(calls) == fails_at[0]:
                raise StorageError("x", "write", 28, "no space")
            return true(self, *args, **more)

        monkeypatch.setattr(Folder, name, call)
    salvage(place.path, new.path.parent / "whole")

    for nth in range(1, len(calls) + 1):
        calls.clear()
        fails_at[0] = nth
        with pytest.raises(StorageError):
            saved()
        assert sorted(os.listdir(new.path.parent)) == ["state", "whole"]
