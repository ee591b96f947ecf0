"""Different programs on one store: each does its part, nothing of the others is lost or blocked."""

import os
import subprocess
import sys
import textwrap

import attrs
import pytest

from statestore import FilesBehind, Manager, NewerSchema, Store
from statestore.errors import CommitRefused, HeldKey
from statestore.managers import TaskManager
from statestore.models.changes import Put
from statestore.models.keys import Key


@attrs.frozen
class Note:
    id: str
    text: str = ""


@attrs.frozen
class LaterNote:
    id: str
    text: str = ""
    stars: int = 0


PLUGIN = """
    import os, sys
    import attrs
    from statestore import Manager, Store
    from statestore.models.changes import Patch, Put
    from statestore.models.keys import Key
    from statestore.serializers import get, register
    from statestore.serializers.serializer import Shape

    class Tabbed:
        name, extension = "tabbed", ".tabbed"

        def dumps(self, document):
            return b"%TABBED\\n" + get("compact").dumps(document)

        def loads(self, data):
            return get("compact").loads(data.removeprefix(b"%TABBED\\n"))

        def sniff(self, data):
            return Shape.MAGIC if data.startswith(b"%TABBED\\n") else Shape.NO

    register(Tabbed())

    @attrs.frozen
    class Note:
        id: str
        text: str = ""

    path, act = sys.argv[1:]
    store = Store(path)
    notes = store.register(Manager("notes", Note))
    assert store.load_all().failures == ()
    if act == "write":
        store.set_serializer("tabbed")
        notes.create(id="a", text="first")
        store.save_all()
    elif act == "die":
        with store._engine.driver.held_still():  # so that no file is written
            patch = Patch(Key("notes", "a"), {"text": "second"})
            put = Put(Key("notes", "b"), {"id": "b", "text": "plain"})
            store._engine.driver.commit([patch, put], {})
            os._exit(0)
    else:
        assert notes["a"].text == "second", notes["a"]
        assert sorted(notes.ids()) == ["a", "b", "c"]
    store.close()
"""


@pytest.fixture
def plugin(tmp_path):
    """Run a program that has a format which this one has not: `plugin("write")`."""
    script = tmp_path / "plugin.py"
    script.write_text(textwrap.dedent(PLUGIN))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def run(act):
        command = [sys.executable, str(script), str(tmp_path / "store"), act]
        subprocess.run(command, check=True, timeout=100, env=environment)

    return run


def test_record_in_a_format_that_one_has_not_waits_for_the_other(plugin, tmp_path):
    path = tmp_path / "store"
    plugin("write")
    plugin("die")
    why = "commits from 2 on are kept in the journal because notes/a cannot be written as a file: "

    store = Store(path)
    notes = store.register(Manager("notes", Note))
    report = store.load_all()
    notes.create(id="c", text="mine")
    store.save_all()
    with pytest.raises(FilesBehind):
        store.flush()

    assert [str(failure.key) for failure in report.failures] == ["notes/a"]
    assert sorted(notes.ids()) == ["b", "c"]
    assert (path / "notes" / "b.json").exists()
    assert (path / "notes" / "c.json").exists()
    for told in (store.verify(), store.recover()):
        assert [note[: len(why)] for note in told.notes if "kept in the journal" in note] == [why]
    with pytest.raises(FilesBehind):
        store.close()

    plugin("read")
    with Store(path) as store:
        assert [note for note in store.verify().notes if "kept in the journal" in note] == []


def test_record_that_another_wrote_in_its_own_format_is_not_made_anew(plugin, tmp_path):
    with Store(tmp_path / "store") as store:
        driver = store._engine.driver
        driver.commit([Put(Key("notes", "before"), {"id": "before"})], {})
        plugin("write")
        driver.catch_up()
        put = Put(Key("notes", "a"), {"id": "a"})

        with pytest.raises(CommitRefused) as refused:
            driver.commit([put], {put.key: 0})

        [failure] = refused.value.failures
        assert isinstance(failure.error, HeldKey)
        assert (tmp_path / "store" / "notes" / "a.tabbed").exists()


def test_kind_that_one_program_does_not_know_is_kept_by_it(tmp_path):
    """It has no manager for tasks, and still writes their files where nobody else does."""
    with Store(tmp_path / "store") as one, Store(tmp_path / "store") as other:
        notes = one.register(Manager("notes", Note))
        tasks = other.register(TaskManager())
        with one._engine.driver.held_still():
            tasks.create("theirs", id="t")
            other.save_all()
            notes.create(id="n")
            one.save_all()
        one.flush()

        assert (tmp_path / "store" / "tasks" / "t.json").exists()
        assert (tmp_path / "store" / "notes" / "n.json").exists()
        report = one.load_all()
        assert report.failures == ()
        assert sorted(notes.ids()) == ["n"]
        other.load_all()
        assert sorted(tasks.ids()) == ["t"]


def test_older_and_newer_program_save_beside_each_other(tmp_path):
    with Store(tmp_path / "store") as old, Store(tmp_path / "store") as new:
        olds = old.register(Manager("notes", Note))
        news = new.register(Manager("notes", LaterNote, schema=2))
        with old._engine.driver.held_still():
            olds.create(id="old", text="1")
            old.save_all()
            news.create(id="new", text="2", stars=5)
            new.save_all()
            olds.create(id="again")
            old.save_all()
        old.flush()  # the files of both

        report = old.load_all()
        assert [type(failure.error) for failure in report.failures] == [NewerSchema]
        assert sorted(olds.ids()) == ["again", "old"]
        olds.update("old", text="changed")
        old.save_all()

        assert new.load_all().failures == ()
        assert news["new"] == LaterNote("new", "2", 5)
        assert news["old"] == LaterNote("old", "changed", 0)
        old.flush()
        new.flush()
        assert new.load_all().failures == ()
        assert news["new"] == LaterNote("new", "2", 5)
