"""Verification: every fault named, nothing changed."""

import os

import pytest

from statestore import Manager, Store
from statestore.errors import (
    CorruptRecord,
    MisnamedRecord,
    NewerSchema,
    StructureError,
    UndecodableRecord,
    UnsafeFile,
)


def test_sound_store_has_no_failures(world, listing, tmp_path):
    w = world().fill()
    before = listing(tmp_path)

    report = w.store.verify()

    assert (report.items, report.failures, report.notes) == (len(w.records), (), ())
    assert report.size_bytes == sum(path.stat().st_size for path in tmp_path.glob("state/[a-z]*/*"))
    assert listing(tmp_path) == before


@pytest.mark.parametrize("registered", [True, False])
def test_every_fault_is_named_once_and_told(world, tmp_path, visible, registered):
    w = world().fill()
    state = tmp_path / "state"
    record = (state / "tasks/t1.json").read_text()
    (state / "tasks/t2.json").write_text(record)
    (state / "tasks/t3.json").write_text(
        record.replace('"t1"', '"t3"').replace('"tasks"', '"cats"')
    )
    (state / "tasks/t4.json").write_text(record[: len(record) // 2])
    (state / "tasks/t5.json").write_text(
        record.replace('"t1"', '"t5"').replace('"title"', '"label"').replace('"Task"', "7")
    )
    (state / "tasks/t6.json").write_text(
        record.replace('"t1"', '"t6"').replace('"schema": 1', '"schema": 2')
    )
    os.mkfifo(state / "tasks/t7.json")
    (state / "tasks/t5.json").write_text(record.replace('"t1"', '"t5"').replace('"Task"', "7"))
    os.utime(state / "tasks/t4.json", (1e9, 1e9))  # long ago: a load would set it aside
    store = w.store if registered else Store(state)
    before = visible(tmp_path)
    errors = []
    store.on_error(errors.append)

    report = store.verify()

    wanted = {
        "tasks/t2": MisnamedRecord,
        "tasks/t3": CorruptRecord,
        "tasks/t4": UndecodableRecord,
        "tasks/t7": UnsafeFile,
    }
    if registered:
        wanted.update({"tasks/t5": StructureError, "tasks/t6": NewerSchema})
    assert {str(one.key): type(one.error) for one in report.failures} == wanted
    assert {one.operation for one in report.failures} == {"verify"}
    assert errors == list(report.failures)
    assert report.items == len(w.records) + (0 if registered else 2)
    assert visible(tmp_path) == before
    store.close()


def test_files_that_are_no_records_are_noted(world, tmp_path):
    w = world().fill()
    (tmp_path / "state/tasks/.@0123456789abcdef.tmp").write_text("half")
    (tmp_path / "state/tasks/readme.txt").write_text("hello")
    (tmp_path / "state/tasks/@other.json").write_text("{}")
    old = (tmp_path / "state/sessions/s1.json").read_bytes()
    w.store.convert("yaml", ["sessions"])
    (tmp_path / "state/sessions/s1.json").write_bytes(old)

    report = w.store.verify()

    assert (report.failures, report.items) == ((), len(w.records))
    assert len(report.notes) == 3
    for part in ("cut off", "readme.txt: no record", "older copy"):
        assert sum(part in note for note in report.notes) == 1


def test_what_a_store_keeps_for_itself_is_no_fault_and_no_note(world):
    w = world().fill()
    w.tasks.update("t1", title="once more")
    w.store.save_all()

    report = w.store.verify()

    assert (report.failures, report.notes) == ((), ())
    assert set(w.store.kinds()) == {"conversations", "focus", "notes", "sessions", "tasks"}


def test_files_are_verified_that_are_not_written_yet(tmp_path, note):
    with Store(tmp_path / "state") as store:
        notes = store.register(Manager("notes", note))
        for number in range(50):
            notes.add(note(f"n{number}"))
        store.save_all()

        report = store.verify()

        assert (report.items, report.failures, report.notes) == (50, (), ())
        files = list((tmp_path / "state/notes").iterdir())
        assert report.size_bytes == sum(file.stat().st_size for file in files)


def test_folder_that_is_a_link_is_a_fault(world, tmp_path):
    w = world().fill()
    (tmp_path / "state/tasks").rename(tmp_path / "elsewhere")
    (tmp_path / "state/tasks").symlink_to(tmp_path / "elsewhere")

    report = w.store.verify()

    assert [type(one.error) for one in report.failures] == [UnsafeFile]
    assert report.items == len(w.records) - 1


def test_store_in_memory_is_verified_too(world):
    w = world("memory:").fill()

    report = w.store.verify()

    assert (report.items, report.failures) == (len(w.records), ())
