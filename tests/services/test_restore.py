"""Restore: exactly what the backup holds, or nothing changed at all."""

import hashlib
import json
import os
import socket
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from statestore import Manager, Store
from statestore.errors import (
    BackupNotFound,
    InvalidBackup,
    ReadOnlyStore,
    SaveFailed,
    StateStoreError,
    StorageError,
)
from statestore.files.folders import Folder
from statestore.journal.segments import Segment
from statestore.managers import TaskManager
from statestore.models.documents import thaw
from statestore.services.restore import verify_backup
from statestore.testing.strategies import mappings, texts


@pytest.fixture
def saved(world, tmp_path):
    """A filled store and the path of a backup of it."""
    w = world().fill()
    return w, tmp_path, w.store.backup(tmp_path / "copy").path


# --- what is restored -----------------------------------------------------------------


def test_store_becomes_exactly_what_the_backup_holds(saved, record_files):
    w, tmp_path, path = saved
    wanted, revisions, before = w.records, w.revisions, record_files(tmp_path / "state")
    w.sessions.delete("s1")
    w.sessions.create(id="extra")
    w.notes.update("a/b", text="changed")
    w.store.save_all()

    report = w.store.restore(path)

    assert w.records == wanted
    after = record_files(tmp_path / "state")
    assert after.keys() == before.keys()
    changed = {name for name in before if before[name] != after[name]}
    assert {name.partition(".")[0] for name in changed} == {"sessions/s1", "notes/a%2Fb"}
    assert (report.items, report.deleted, report.unchanged) == (2, 1, len(wanted) - 2)
    assert (report.path, report.source) == (str(tmp_path / "state"), path)
    assert w.store.unsaved == ()
    grown = {key for key in revisions if w.revisions[key] > revisions[key]}
    assert grown == {("sessions", "s1"), ("notes", "a/b")}
    assert all(w.revisions[key] >= revisions[key] for key in revisions)


def test_same_state_is_found_by_whoever_opens_the_store_next(saved, world):
    w, _, path = saved
    wanted = w.records
    w.store.clear()

    w.store.restore(path)

    again = world()
    assert (again.records, again.revisions) == (wanted, w.revisions)


def test_revisions_never_fall_and_are_never_used_again(saved):
    w, _, path = saved
    for number in range(3):
        w.sessions.update("s1", name=f"{number}")
        w.store.save_all()
    w.tasks.delete("t1")
    w.store.save_all()
    assert w.sessions.revision("s1") == 4

    w.store.restore(path)

    assert w.sessions.revision("s1") == 5
    assert w.tasks.revision("t1") == 3  # 2 was its deletion
    w.sessions.update("s1", name="again")
    w.store.save_all()
    assert w.sessions.revision("s1") == 6


def test_second_restore_has_nothing_to_do(saved, listing, visible):
    w, tmp_path, path = saved
    w.store.clear()
    w.store.restore(path)
    before, copy = visible(tmp_path / "state"), listing(tmp_path / "copy")

    report = w.store.restore(path)

    assert (report.items, report.deleted, report.unchanged) == (0, 0, len(w.records))
    assert visible(tmp_path / "state") == before
    assert listing(tmp_path / "copy") == copy


def test_unsaved_changes_are_dropped(saved, record_files):
    w, tmp_path, path = saved
    wanted, before = w.records, record_files(tmp_path / "state")
    w.sessions.create(id="unsaved")
    w.tasks.delete("t1")
    w.notes.update("a", text="changed")

    w.store.restore(path)

    assert (w.records, w.store.unsaved) == (wanted, ())
    w.store.save_all()
    assert record_files(tmp_path / "state") == before


def test_kinds_without_a_manager_are_restored(saved, record_files):
    w, tmp_path, path = saved
    before = record_files(tmp_path / "state")
    w.store.clear()
    w.store.close()

    with Store(tmp_path / "state") as bare:
        bare.restore(path)

    assert record_files(tmp_path / "state").keys() == before.keys()


def test_kind_that_the_backup_lacks_is_emptied_with_or_without_a_manager(saved, note):
    w, tmp_path, path = saved
    w.store.close()
    with Store(tmp_path / "state") as other:
        other.register(Manager("more", note)).create(id="x")

    with Store(tmp_path / "state") as bare:
        report = bare.restore(path)

    assert report.deleted == 1
    assert os.listdir(tmp_path / "state/more") == []


@pytest.mark.parametrize("format", ["json", "compact", "gzip", "yaml"])
def test_format_of_the_store_stays(saved, world, format):
    _, tmp_path, path = saved
    w = world(tmp_path / "other")
    w.store.set_serializer(format, remember=True)

    w.store.restore(path)

    assert w.store.format == format
    assert {w.store.stored(f"{kind}/{id}").format for kind, id in w.records} == {
        "json" if format == "compact" else format
    }
    assert world(tmp_path / "other").store.format == format


@pytest.mark.parametrize("target", ["new", "memory:"])
def test_empty_store_is_filled(saved, world, tmp_path, target):
    w, _, path = saved
    other = world(target if ":" in target else tmp_path / target, load=False)

    report = other.store.restore(path)

    assert other.records == w.records
    assert (report.items, report.unchanged) == (len(w.records), 0)


def test_backup_of_a_store_in_memory_is_restored_to_files(world, tmp_path):
    w = world("memory:").fill()
    w.store.backup(tmp_path / "copy")
    other = world()

    other.store.restore(tmp_path / "copy")

    assert world().records == other.records == w.records


def test_backup_of_mixed_formats_is_restored(saved, world, tmp_path):
    w, _, _ = saved
    for format, kind in (("yaml", "sessions"), ("gzip", "notes"), ("compact", "focus")):
        w.store.convert(format, [kind])
    other = world(tmp_path / "new")

    other.store.restore(w.store.backup(tmp_path / "mixed").path)

    assert other.records == w.records


def test_host_is_told_of_the_load(saved, is_free):
    w, _, path = saved
    told, free = [], []
    w.store.on_load(told.append)
    w.store.on_load(lambda _: free.append(is_free(w.store)))

    w.store.restore(path)

    assert [one.items for one in told] == [len(w.records)]
    assert free == [True]


def test_what_cannot_be_read_moves_to_quarantine_whole(saved):
    w, tmp_path, path = saved
    state, wanted = tmp_path / "state", w.records
    bad = {"sessions/s1.json": b"\0\xff" * 50, "tasks/other.yaml": b"a: [", "notes/new.json": b"{}"}
    for name, data in bad.items():
        (state / name).write_bytes(data)
    (state / "focus/folder.json").mkdir()
    (state / "focus/folder.json/inner").write_text("kept")
    (state / "focus/link.json").symlink_to(tmp_path / "copy/manifest.json")
    os.mkfifo(state / "focus/pipe.json")

    report = w.store.restore(path)

    assert w.records == wanted
    assert w.store.verify().failures == ()
    assert report.failures == ()
    assert sum("quarantine/" in note for note in report.notes) == 6
    for name, data in bad.items():
        kind, _, file = name.partition("/")
        (kept,) = (state / "quarantine" / kind).glob(f"*-{file}")
        assert kept.read_bytes() == data
        why = orjson.loads(kept.with_name(kept.name + ".why.json").read_bytes())
        assert (why["from"], bool(why["why"]), bool(why["at"])) == (name, True, True)
    kept = {one.name.partition("-")[2]: one for one in (state / "quarantine/focus").iterdir()}
    assert (kept["folder.json"] / "inner").read_text() == "kept"
    assert kept["link.json"].is_symlink()
    assert kept["pipe.json"].is_fifo()
    assert (tmp_path / "copy/manifest.json").exists()


def test_link_in_the_place_of_a_folder_is_not_followed(saved):
    w, tmp_path, path = saved
    (tmp_path / "state/tasks").rename(tmp_path / "elsewhere")
    (tmp_path / "state/tasks").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/t1.json").write_text("mine")
    w.sessions.delete("s1")

    with pytest.raises(SaveFailed, match="tasks"):
        w.store.restore(path)

    assert (tmp_path / "elsewhere/t1.json").read_text() == "mine"
    assert "s1" in w.sessions


# --- what is refused ------------------------------------------------------------------


@pytest.fixture
def refused(saved, listing):
    """Check that a restore is refused and changes nothing."""
    w, tmp_path, path = saved
    w.sessions.create(id="unsaved")
    w.notes.update("a", text="changed")

    def check(source=path, error=InvalidBackup, match=None):
        before, live = listing(tmp_path), w.records
        unsaved, revisions = w.store.unsaved, w.revisions
        told = []
        handle = w.store.on_load(told.append)
        with pytest.raises(error, match=match) as raised:
            w.store.restore(source)
        handle.cancel()
        assert listing(tmp_path) == before
        assert w.records == live
        assert all(one is live[key] for key, one in w.records.items())
        assert (w.store.unsaved, w.revisions, told) == (unsaved, revisions, [])
        return raised.value

    return check


def test_wrong_places_are_refused(refused, saved, world):
    w, tmp_path, _ = saved
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    world(tmp_path / "plain").fill()
    os.rename(w.store.backup(tmp_path / "again", save=False).path, tmp_path / ".@0123")

    for wrong in ("missing", "empty", "file", "plain", "copy/sessions", ".@0123", ".@0123/"):
        error = refused(f"{tmp_path}/{wrong}", BackupNotFound)
        assert wrong in str(error)
    refused(tmp_path / "state", InvalidBackup, "the store itself")
    (tmp_path / "link").symlink_to(tmp_path / "state")
    refused(tmp_path / "link", InvalidBackup, "the store itself")


def test_every_flipped_byte_is_found_out(refused, saved):
    _, tmp_path, path = saved
    for file in sorted((tmp_path / "copy").rglob("*.json")):
        data, status = file.read_bytes(), file.stat()
        size = len(data)
        for offset in sorted({0, 1, size // 3, size // 2, size - 2, size - 1}):
            flipped = bytearray(data)
            flipped[offset] ^= 0x01
            file.write_bytes(flipped)
            error = refused()
            assert file.name[:40] in str(error)
        file.write_bytes(data)
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert verify_backup(path).items


@pytest.mark.parametrize("format", ["gzip", "yaml"])
def test_every_flipped_byte_of_other_formats_is_found_out(world, tmp_path, format):
    w = world(tmp_path / "s", format=format)
    w.sessions.create(id="s", name="x")
    path = w.store.backup(tmp_path / "b").path
    (file,) = (tmp_path / "b/sessions").iterdir()
    data = file.read_bytes()
    for offset in range(len(data)):
        flipped = bytearray(data)
        flipped[offset] ^= 0x40
        file.write_bytes(flipped)
        with pytest.raises(InvalidBackup):
            verify_backup(path)


def test_manifest_flipped_anywhere_is_found_out_or_says_the_same(world, tmp_path):
    w = world(tmp_path / "s")
    w.sessions.create(id="s")
    path = w.store.backup(tmp_path / "b").path
    file = tmp_path / "b/manifest.json"
    data = file.read_bytes()
    for offset in range(len(data)):
        flipped = bytearray(data)
        flipped[offset] ^= 0x04
        file.write_bytes(flipped)
        with pytest.raises(InvalidBackup):
            verify_backup(path)


def _a_record(tmp_path):
    return tmp_path / "copy/sessions/s1.json"


def _cut(tmp_path):
    _a_record(tmp_path).write_bytes(_a_record(tmp_path).read_bytes()[:-20])


def _swap(tmp_path):
    one, two = _a_record(tmp_path), tmp_path / "copy/tasks/t1.json"
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)


def _link(tmp_path):
    _a_record(tmp_path).rename(tmp_path / "outside.json")
    _a_record(tmp_path).symlink_to(tmp_path / "outside.json")


def _link_folder(tmp_path):
    (tmp_path / "copy/sessions").rename(tmp_path / "outside")
    (tmp_path / "copy/sessions").symlink_to(tmp_path / "outside")


def _pipe(tmp_path):
    _a_record(tmp_path).unlink()
    os.mkfifo(_a_record(tmp_path))


def _own_folder(tmp_path):
    (tmp_path / "copy/.statestore").mkdir()
    (tmp_path / "copy/.statestore/meta.json").write_text("{")


def _older_copy(tmp_path):
    copy = tmp_path / "copy/sessions/s1.yaml"
    copy.write_bytes(_a_record(tmp_path).read_bytes())


@pytest.mark.parametrize(
    "damage",
    [
        _cut,
        _swap,
        _link,
        _link_folder,
        _pipe,
        _own_folder,
        _older_copy,
        lambda tmp_path: _a_record(tmp_path).unlink(),
        lambda tmp_path: _a_record(tmp_path).write_bytes(b""),
        lambda tmp_path: _a_record(tmp_path).with_name("more.json").write_bytes(b"{}"),
        lambda tmp_path: _a_record(tmp_path).with_name("more.txt").write_bytes(b"x"),
        lambda tmp_path: _a_record(tmp_path).rename(tmp_path / "copy/sessions/s9.json"),
        lambda tmp_path: (tmp_path / "copy/manifest.json").write_bytes(b""),
        lambda tmp_path: (tmp_path / "copy/manifest.json").write_bytes(b"[1]"),
        lambda tmp_path: (tmp_path / "copy/manifest.json").write_bytes(b'{"a": ' * 5000),
    ],
)
def test_damaged_backup_is_refused(refused, saved, damage):
    _, tmp_path, _ = saved
    damage(tmp_path)

    refused(match="copy")


def test_socket_in_a_backup_is_refused(refused, saved, monkeypatch):
    _, tmp_path, _ = saved
    _a_record(tmp_path).unlink()
    monkeypatch.chdir(tmp_path / "copy/sessions")  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("s1.json")

    refused()


def test_manifest_that_is_a_link_is_refused(refused, saved):
    _, tmp_path, _ = saved
    (tmp_path / "copy/manifest.json").rename(tmp_path / "manifest")
    (tmp_path / "copy/manifest.json").symlink_to(tmp_path / "manifest")

    refused(error=StateStoreError, match="symbolic link")


def _forge(tmp_path, change):
    """Change a manifest and make its own digest fit, as somebody who knows the format would."""
    from statestore.services.backup import _own_digest

    place = tmp_path / "copy/manifest.json"
    fields = orjson.loads(place.read_bytes())
    del fields["sha256"]
    change(fields)
    place.write_bytes(orjson.dumps({**fields, "sha256": _own_digest(fields)}))


def _rename_entry(new):
    def change(fields):
        fields["files"][new] = fields["files"].pop("sessions/s1.json")

    return change


@pytest.mark.parametrize(
    "change",
    [
        *(
            _rename_entry(new)
            for new in (
                *("../state/sessions/s1.json", "/etc/passwd", "sessions/../sessions/s1.json"),
                *("sessions//s1.json", "./sessions/s1.json", "", "sessions/s2.json"),
            )
        ),
        lambda fields: fields["files"].update(
            {"sessions/s1.json": {"size_bytes": 1, "sha256": ""}}
        ),
        lambda fields: fields["files"].update({"sessions/s1.json": None}),
        lambda fields: fields.update(files=[]),
        lambda fields: fields.update(files={}),
        lambda fields: fields.update(statestore_backup=2),
        lambda fields: fields.update(statestore_backup=True),
        lambda fields: fields.update(created_at="today"),
        lambda fields: fields.pop("counts"),
    ],
)
def test_forged_manifest_is_refused(refused, saved, change):
    _, tmp_path, _ = saved
    _forge(tmp_path, change)

    refused()


def test_record_whose_inner_id_is_another_is_refused_though_the_manifest_fits(refused, saved):
    import hashlib

    _, tmp_path, _ = saved
    data = _a_record(tmp_path).read_bytes().replace(b'"s1"', b'"s2"')
    _a_record(tmp_path).write_bytes(data)
    entry = {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    _forge(tmp_path, lambda fields: fields["files"].update({"sessions/s1.json": entry}))

    refused(match="s2")


def test_store_that_is_only_read_is_not_restored(saved, world, listing):
    _, tmp_path, path = saved
    (tmp_path / "state/sessions/s1.json").write_bytes(b"broken")
    w = world(read_only=True)
    before = listing(tmp_path)

    with pytest.raises(ReadOnlyStore):
        w.store.restore(path)

    assert listing(tmp_path) == before


def test_restore_that_was_refused_changed_nothing_and_the_next_is_whole(saved, monkeypatch, world):
    w, _tmp_path, path = saved
    wanted = w.records
    w.sessions.create(id="extra")
    w.notes.delete("a/b")
    w.store.save_all()
    before = w.records

    def refuse(*args, **more):
        raise StorageError("journal", "write", 28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Segment, "append", refuse)
        with pytest.raises(SaveFailed) as raised:
            w.store.restore(path)

    assert {str(one.key) for one in raised.value.failures} == {"sessions/extra", "notes/a/b"}
    assert w.records == world().records == before
    w.store.restore(path)
    assert w.records == world().records == wanted


def test_restore_is_made_although_a_file_cannot_be_written(saved, monkeypatch, world):
    w, tmp_path, path = saved
    wanted = w.records
    true = Folder.write_temporary
    for nth in (1, 2, len(wanted)):
        w.store.clear()
        calls = []

        def write(self, name, *args, calls=calls, nth=nth, **more):
            calls.append(name)
            if len(calls) == nth:
                raise StorageError(name, "write", 28, "No space left on device")
            return true(self, name, *args, **more)

        with monkeypatch.context() as patch:
            patch.setattr(Folder, "write_temporary", write)
            w.store.restore(path)

        assert w.records == world().records == wanted
        w.store.flush()
        with Store(tmp_path / "state", read_only=True) as other:
            assert other.verify().items == len(wanted)


def test_restore_is_one_commit(saved):
    w, _, path = saved
    w.sessions.create(id="extra")
    w.notes.delete("a/b")
    w.tasks.update("t1", title="changed")
    w.store.save_all()
    driver = w.store._engine.driver
    before = driver.sequence

    w.store.restore(path)

    [commit] = driver.changes(before)
    assert {str(key) for key in commit.revisions} == {"sessions/extra", "notes/a/b", "tasks/t1"}


def test_what_could_not_be_read_is_in_quarantine_after_a_restore(saved):
    w, tmp_path, path = saved
    broken = tmp_path / "state/sessions/s1.json"
    broken.write_bytes(b"broken")
    os.utime(broken, (1e9, 1e9))  # long ago: nobody is writing it any more
    wanted = w.records

    report = w.store.restore(path)

    assert w.records == wanted
    [moved] = list((tmp_path / "state/quarantine/sessions").glob("*-s1.json"))
    assert moved.read_bytes() == b"broken"
    assert any(f"quarantine/sessions/{moved.name}" in note for note in report.notes)


# --- there and back -------------------------------------------------------------------

_IDS = texts().filter(lambda id: id and "\0" not in id and len(id.encode()) <= 1024)
_STATES = st.dictionaries(_IDS, mappings(), max_size=5)


@given(
    wanted=_STATES,
    other=_STATES,
    formats=st.tuples(*[st.sampled_from(["json", "compact", "gzip", "yaml"])] * 3),
)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_state_comes_back(wanted, other, formats, note, tmp_path_factory):
    root = tmp_path_factory.mktemp("any")

    def put(notes, state):
        for id in set(notes.ids()) - state.keys():
            notes.delete(id)
        for id, values in state.items():
            if id in notes:
                notes.update(id, values=values)
            else:
                notes.create(id=id, values=values)

    with Store(root / "state", format=formats[0]) as store:
        notes = store.register(Manager("notes", note))
        put(notes, wanted)
        store.backup(root / "copy")
        store.set_serializer(formats[1])
        put(notes, other)
        store.save_all()
        store.set_serializer(formats[2])

        report = store.restore(root / "copy")

        assert {one.id: thaw(one.values) for one in notes} == wanted
        assert report.items + report.unchanged == len(wanted)
        assert store.verify().failures == ()
    with Store(root / "state") as again:
        found = again.register(Manager("notes", note))
        again.load_all(strict=True)
        assert {one.id: thaw(one.values) for one in found} == wanted
        assert len(os.listdir(root / "state/notes")) == len(wanted)


def test_manifest_whose_counts_are_not_true_is_refused(saved, world, tmp_path):
    w, _, path = saved
    manifest = json.loads(Path(path, "manifest.json").read_bytes())
    manifest["counts"]["sessions"] += 1
    del manifest["sha256"]
    manifest["sha256"] = hashlib.sha256(
        orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS)
    ).hexdigest()
    Path(path, "manifest.json").write_bytes(orjson.dumps(manifest))

    with pytest.raises(InvalidBackup, match="counts"):
        w.store.restore(path)


def test_stranger_beside_the_kinds_of_a_backup_is_refused(saved):
    w, _, path = saved
    Path(path, "more").mkdir()

    with pytest.raises(InvalidBackup, match="more is not in its manifest"):
        w.store.restore(path)


def test_fields_of_the_envelope_that_are_not_known_come_back(tmp_path):
    with Store(tmp_path / "store") as store:
        tasks = store.register(TaskManager())
        tasks.create("t", id="t")
    path = tmp_path / "store" / "tasks" / "t.json"
    envelope = json.loads(path.read_bytes())
    path.write_text(json.dumps({**envelope, "future": {"a": [1]}}))

    with Store(tmp_path / "store") as store:
        tasks = store.register(TaskManager())
        store.load_all()
        tasks.update("t", title="changed")
        store.save_all()
        assert json.loads(path.read_bytes())["future"] == {"a": [1]}
        store.backup(tmp_path / "copy")
        tasks.delete("t")
        store.save_all()
        store.restore(tmp_path / "copy")

    assert json.loads(path.read_bytes())["future"] == {"a": [1]}
    assert json.loads(path.read_bytes())["data"]["title"] == "changed"


# --- beside others --------------------------------------------------------------------


def _beside(w, change):
    """Let `change` run once, after the store was compared and before the commit."""
    driver = w.store._engine.driver
    submit, done = driver.submit, []

    def submitting(changes, expect, settle):
        if changes and not done:
            done.append(True)
            change()
        return submit(changes, expect, settle)

    w.store._engine.flights._submit = submitting
    return done


def test_what_others_change_meanwhile_is_restored_all_the_same(saved, world):
    w, _, path = saved
    wanted = w.records
    w.notes.update("a/b", text="changed")
    w.notes.delete("A")
    w.sessions.create(id="extra")
    w.store.save_all()
    other = world()
    other.store.load_all()

    def change():
        other.notes.update("a/b", text="changed again")
        other.notes.create(id="A", text="made again")
        other.sessions.update("extra", name="changed")
        other.tasks.update("t1", title="untouched by the restore")
        other.store.save_all()

    done = _beside(w, change)
    report = w.store.restore(path)

    assert done
    assert report.failures == ()
    assert w.records[("notes", "a/b")] == wanted[("notes", "a/b")]
    assert {key for key in w.records if key[0] != "tasks"} == {
        key for key in wanted if key[0] != "tasks"
    }
    assert w.records[("notes", "A")] == wanted[("notes", "A")]
    # It was as in the backup when the restore looked, so their change comes after it.
    assert w.tasks["t1"].title == "untouched by the restore"
    other.store.refresh()
    assert other.records == w.records


def test_restore_is_one_commit_though_it_was_overtaken(saved, world):
    w, _, path = saved
    for name in ("A", "a/b"):
        w.notes.update(name, text="changed")
    w.store.save_all()
    other = world()
    other.store.load_all()

    def change():
        other.notes.update("A", text="changed again")
        other.store.save_all()

    _beside(w, change)
    w.store.restore(path)

    last = list(w.store.changes())[-1]
    assert {key.id for key in last.revisions} >= {"A", "a/b"}


def test_what_others_delete_meanwhile_is_made_again(saved, world):
    w, _, path = saved
    wanted = w.records
    w.notes.update("A", text="changed")
    w.store.save_all()
    other = world()
    other.store.load_all()

    def change():
        other.notes.delete("A")
        other.store.save_all()

    _beside(w, change)
    w.store.restore(path)

    assert w.records == wanted
    assert w.notes.revision("A") == 4  # made, changed, deleted, made again


def test_what_others_have_restored_meanwhile_is_left_alone(saved, world):
    w, _, path = saved
    wanted = w.records
    w.notes.update("A", text="changed")
    w.store.save_all()
    other = world()
    other.store.load_all()
    _beside(w, lambda: other.store.restore(path))

    report = w.store.restore(path)

    assert w.records == wanted
    assert (report.items, report.deleted) == (0, 0)
