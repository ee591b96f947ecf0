"""Conversion: another format, the same records, at any moment."""

import pytest

from statestore import Store
from statestore.errors import NotSupported, ReadOnlyStore, UnknownName, UnsafeFile
from statestore.files.folders import Folder

ROUND = ("gzip", "yaml", "compact", "json")


def test_all_formats_and_back_give_the_same_bytes_and_times(world, record_files, tmp_path):
    w = world().fill()
    before, revisions = record_files(tmp_path / "state"), w.revisions

    for format in ROUND:
        report = w.store.convert(format)

        assert (report.items, report.unchanged, report.failures) == (len(before), 0, ())
        assert report.format == w.store.format == format
        files = record_files(tmp_path / "state")
        assert len(files) == len(before)
        assert report.size_bytes == sum(len(data) for data, _ in files.values())
        again = world()
        assert again.store.format == format
        assert (again.records, again.revisions) == (w.records, revisions)
        assert {world_.store.verify().failures for world_ in (w, again)} == {()}

    assert record_files(tmp_path / "state") == before


def test_conversion_to_the_present_format_changes_nothing(world, listing, tmp_path):
    w = world().fill()
    before = listing(tmp_path / "state")

    report = w.store.convert("json")

    assert (report.items, report.unchanged) == (0, len(w.records))
    assert listing(tmp_path / "state") == before


def test_saves_go_on_after_a_conversion_without_a_load(world):
    w = world().fill()

    for number, format in enumerate(ROUND, 2):
        w.store.convert(format)
        w.sessions.update("s1", name=format)
        report = w.store.save_all()

        assert (report.items, w.sessions.revision("s1")) == (1, number)
    assert world().records == w.records


def test_some_kinds_are_converted_and_the_format_stays(world, tmp_path, record_files):
    w = world().fill()

    report = w.store.convert("yaml", ["sessions", "tasks"])

    assert report.items == 2
    assert w.store.format == world().store.format == "json"
    assert {
        name.partition("/")[0]
        for name in record_files(tmp_path / "state")
        if name.endswith(".yaml")
    } == {"sessions", "tasks"}
    assert world().records == w.records
    assert w.store.convert("yaml").unchanged == 2
    assert world().store.format == "yaml"


@pytest.mark.parametrize("kinds", [["nothing"], ["sessions", "../sessions"], "nothing", [""]])
def test_unknown_kind_is_refused_and_nothing_changes(world, listing, tmp_path, kinds):
    w = world().fill()
    before = listing(tmp_path)

    with pytest.raises(UnknownName, match="kind"):
        w.store.convert("yaml", kinds)

    assert listing(tmp_path) == before


def test_unknown_format_is_refused_and_nothing_changes(world, listing, tmp_path):
    w = world().fill()
    before = listing(tmp_path)

    with pytest.raises(UnknownName, match="toml-ish"):
        w.store.convert("toml-ish")

    assert (w.store.format, listing(tmp_path)) == ("json", before)


def test_store_that_is_only_read_is_not_converted(world, listing, tmp_path):
    world().fill()
    w = world(read_only=True)
    before = listing(tmp_path)

    for kinds in (None, ["sessions"]):
        with pytest.raises(ReadOnlyStore):
            w.store.convert("yaml", kinds)

    assert listing(tmp_path) == before


def test_store_in_memory_has_no_format():
    with Store("memory:") as store, pytest.raises(NotSupported, match="memory"):
        store.convert("yaml")


def test_kinds_without_a_manager_are_converted(world, tmp_path):
    w = world().fill()
    w.store.close()

    with Store(tmp_path / "state") as bare:
        assert bare.convert("yaml").items == len(w.records)

    assert world().records == w.records


def test_unsaved_changes_stay_unsaved(world):
    w = world().fill()
    w.sessions.update("s1", name="changed")
    w.tasks.create("t", id="new")
    w.notes.delete("a")
    unsaved, stored = w.store.unsaved, w.store.raw("sessions/s1")

    w.store.convert("yaml")

    assert w.store.unsaved == unsaved
    assert w.store.raw("sessions/s1") == stored
    assert "new" not in world().tasks
    w.store.save_all()
    assert world().records == w.records


class Stopped(BaseException):
    """What stops a program at any moment, such as a signal."""


@pytest.mark.parametrize("call", ["replace", "remove", "sync"])
def test_conversion_that_was_stopped_anywhere_leaves_a_whole_mixed_store(
    world, tmp_path, monkeypatch, call
):
    w = world()
    for number in range(3):
        w.sessions.create(id=f"S{number}")
        w.notes.create(id=f"n/{number}")
    w.store.save_all()
    records, revisions, true = w.records, w.revisions, getattr(Folder, call)
    formats = ["yaml", "gzip"]
    for nth in range(1, 100):
        calls = []

        def counted(self, *args, calls=calls, nth=nth, **more):
            calls.append(args)
            if len(calls) == nth:
                raise Stopped
            return true(self, *args, **more)

        formats.reverse()
        with monkeypatch.context() as patch:
            patch.setattr(Folder, call, counted)
            try:
                w.store.convert(formats[0])
            except Stopped:
                pass
            else:
                break

        mixed = world()
        report = mixed.store.load_all()
        assert (mixed.records, mixed.revisions, report.failures) == (records, revisions, ())
        assert report.items == len(records)

        mixed.store.convert(formats[0])
        files = [path.name for path in tmp_path.glob("state/[sn]*/*")]
        assert len(files) == len(records)
        assert {name.rpartition(".")[2] for name in files} == {
            "yaml" if formats[0] == "yaml" else "gz"
        }
        assert world().records == records
    assert nth > 4


def test_what_cannot_be_read_is_told_and_left_alone(world, tmp_path):
    w = world().fill()
    errors = []
    w.store.on_error(errors.append)
    bad = tmp_path / "state/tasks/torn.json"
    bad.write_text('{"kind": ')
    in_the_way = tmp_path / "state/sessions/s1.yaml"
    in_the_way.write_text("a: [")
    before = (tmp_path / "state/sessions/s1.json").read_bytes()

    report = w.store.convert("yaml")

    assert {failure.operation for failure in report.failures} == {"convert"}
    assert {str(failure.key) for failure in report.failures} == {"tasks/torn", "sessions/s1"}
    assert errors == list(report.failures)
    assert (bad.read_text(), in_the_way.read_text()) == ('{"kind": ', "a: [")
    assert (tmp_path / "state/sessions/s1.json").read_bytes() == before
    assert report.items == len(w.records) - 1
    assert world().records == w.records


def test_folder_that_is_a_link_is_told_and_not_followed(world, tmp_path):
    w = world().fill()
    (tmp_path / "state/tasks").rename(tmp_path / "elsewhere")
    (tmp_path / "state/tasks").symlink_to(tmp_path / "elsewhere")

    report = w.store.convert("yaml")

    assert [type(failure.error) for failure in report.failures] == [UnsafeFile]
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["t1.json"]


def test_one_kind_may_be_named_by_itself(world):
    w = world().fill()

    report = w.store.convert("yaml", "tasks")

    assert report.items == sum(kind == "tasks" for kind, _ in w.records) > 0
    assert {one.format for one in w.store.scan("sessions")} == {"json"}
