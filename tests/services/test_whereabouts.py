"""The path of the file that holds a record."""

import os

import attrs
import pytest

from statestore import (
    FilesBehind,
    InvalidKind,
    Manager,
    NotSupported,
    ReadOnlyStore,
    RecordNotFound,
    Store,
)
from statestore.drivers.directory import DirectoryDriver
from statestore.engine.engine import Engine
from statestore.files.calls import SystemFiles
from statestore.models.keys import Key
from statestore.serializers import decode


@attrs.frozen
class Note:
    id: str
    text: str = ""


def opened(path, **options):
    store = Store(path, **options)
    return store, store.register(Manager("notes", Note))


def text_in(path):
    """Return what the file of a note says, as anybody would read it."""
    with open(path, "rb") as file:
        return decode(file.read())[1]["data"]["text"]


@pytest.mark.parametrize("format", ["json", "compact", "gzip", "yaml"])
@pytest.mark.parametrize("id", ["n", "../up", "A/b", "x" * 1000])
def test_file_at_the_path_holds_what_was_saved(tmp_path, format, id):
    store, notes = opened(tmp_path, format=format)
    with store:
        notes.create(id=id, text="saved")
        store.save_all()
        notes.update(id, text="unsaved")

        path = store.path_of(Key("notes", id))

        assert store.path_of(f"notes/{id}") == path
        assert os.path.isabs(path)
        assert os.path.dirname(path) == os.path.realpath(tmp_path / "notes")
        assert text_in(path) == "saved"


def test_path_follows_the_format_of_the_file(tmp_path):
    store, notes = opened(tmp_path)
    with store:
        notes.create(id="n", text="1")
        store.save_all()
        assert store.path_of("notes/n").endswith("n.json")
        store.set_serializer("yaml")
        assert store.path_of("notes/n").endswith("n.json")
        notes.update("n", text="2")
        store.save_all()

        path = store.path_of("notes/n")

        assert path.endswith("n.yaml")
        assert text_in(path) == "2"


def test_path_is_that_of_what_others_have_saved_too(tmp_path):
    one, notes = opened(tmp_path)
    two, _ = opened(tmp_path)
    with one, two:
        notes.create(id="n", text="theirs")
        one.save_all()

        assert text_in(two.path_of("notes/n")) == "theirs"


def test_record_that_is_not_stored_has_no_path(tmp_path):
    store, notes = opened(tmp_path)
    with store:
        notes.create(id="unsaved")
        notes.create(id="deleted")
        store.save_all()
        notes.delete("deleted")
        notes.create(id="new")
        store.save("notes")
        notes.create(id="newer")

        for id in ("deleted", "newer", "none"):
            with pytest.raises(RecordNotFound):
                store.path_of(f"notes/{id}")
        with pytest.raises(RecordNotFound):
            store.path_of("others/n")
        with pytest.raises(InvalidKind):
            store.path_of("../up")


def test_store_without_files_has_no_paths():
    store, notes = opened("memory:")
    with store:
        notes.create(id="n")
        store.save_all()

        with pytest.raises(NotSupported, match="paths"):
            store.path_of("notes/n")


class Stuck(SystemFiles):
    """Files of which some names cannot be written."""

    stuck: tuple[str, ...] = ()

    def rename(self, old, new, **folders):
        if new in self.stuck:
            raise OSError(28, "No space left on device")
        return super().rename(old, new, **folders)


def test_file_of_another_record_that_cannot_be_written_is_no_obstacle(tmp_path):
    files = Stuck()
    store = Store("memory:")
    store._engine = Engine(DirectoryDriver(tmp_path, files=files))
    notes = store.register(Manager("notes", Note))
    files.stuck = ("bad.json",)
    notes.create(id="bad", text="b")
    notes.create(id="good", text="g")
    store.save_all()

    assert text_in(store.path_of("notes/good")) == "g"
    with pytest.raises(FilesBehind):
        store.path_of("notes/bad")

    files.stuck = ()
    assert text_in(store.path_of("notes/bad")) == "b"
    store.close()


def test_reader_is_told_where_only_the_journal_has_it_yet(tmp_path):
    files = Stuck()
    store = Store("memory:")
    store._engine = Engine(DirectoryDriver(tmp_path, files=files))
    notes = store.register(Manager("notes", Note))
    files.stuck = ("n.json",)
    notes.create(id="n", text="x")
    store.save_all()

    with Store(tmp_path, read_only=True) as reader:
        with pytest.raises(FilesBehind) as behind:
            reader.path_of("notes/n")
        assert isinstance(behind.value.failures[0].error, ReadOnlyStore)
        files.stuck = ()
        store.flush()
        assert text_in(reader.path_of("notes/n")) == "x"
    store.close()
