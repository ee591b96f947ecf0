"""Backups: whole when they are there, true in what they say, and nothing where one failed."""

import hashlib
import json
import os
import stat
import threading
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from statestore import Manager, Store
from statestore.errors import (
    BackupExists,
    BackupNotFound,
    ConfigurationError,
    SaveFailed,
    StorageError,
)
from statestore.files.folders import Folder
from statestore.models.changes import Put
from statestore.models.keys import Key
from statestore.services.backup import PARTIAL_PREFIX, list_backups, read_manifest
from statestore.services.restore import verify_backup

KINDS = ["conversations", "focus", "notes", "sessions", "tasks"]


def test_copy_is_equal_in_bytes_and_times(world, record_files, tmp_path):
    w = world().fill()

    w.store.backup(tmp_path / "copy")

    assert record_files(tmp_path / "copy") == record_files(tmp_path / "state")
    assert sorted(os.listdir(tmp_path / "copy")) == sorted([*KINDS, "manifest.json"])


@pytest.mark.parametrize("format", ["json", "gzip", "yaml"])
def test_manifest_and_report_tell_the_truth(world, tmp_path, format):
    moment = datetime(2026, 5, 1, 8, tzinfo=UTC)
    w = world(format=format, clock=lambda: moment).fill()

    report = w.store.backup(tmp_path / "copy")

    manifest = json.loads((tmp_path / "copy/manifest.json").read_bytes())
    files = {
        str(path.relative_to(tmp_path / "copy")): path.read_bytes()
        for path in (tmp_path / "copy").glob("*/*")
    }
    assert manifest["files"] == {
        path: {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for path, data in files.items()
    }
    assert manifest["counts"] == {
        kind: len(list((tmp_path / "copy" / kind).iterdir())) for kind in KINDS
    }
    meta = json.loads((tmp_path / "state/.statestore/meta.json").read_bytes())
    assert (manifest["format"], manifest["store_id"]) == (format, meta["store_id"])
    assert manifest["created_at"] == "2026-05-01T08:00:00.000000Z"
    assert report.path == str(tmp_path / "copy")
    assert (report.items, report.size_bytes) == (len(files), sum(map(len, files.values())))
    assert (report.counts, report.format) == (manifest["counts"], format)
    assert (report.timestamp, report.failures) == (moment, ())
    assert verify_backup(str(tmp_path / "copy")).items == len(files)


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_only_the_owner_may_read_a_backup(world, tmp_path, umask):
    w = world().fill()
    before = os.umask(umask)
    try:
        w.store.backup(tmp_path / "copy")
    finally:
        os.umask(before)

    for path in [tmp_path / "copy", *(tmp_path / "copy").rglob("*")]:
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted


class Stopped(BaseException):
    """What stops a program at any moment, such as a signal."""


def _fail_at(monkeypatch, nth, error):
    """Let the `nth` call that writes to a folder fail; return the list of calls made."""
    calls = []
    for name in ("replace", "sync", "rename_child"):
        true = getattr(Folder, name)

        def call(self, *args, true=true, name=name, **more):
            calls.append(name)
            if len(calls) == nth:
                raise error
            return true(self, *args, **more)

        monkeypatch.setattr(Folder, name, call)
    return calls


@pytest.mark.parametrize(
    "error", [StorageError("x", "sync", 5, "no"), Stopped()], ids=["refused", "stopped"]
)
@pytest.mark.parametrize("where", ["outside", "inside"])
def test_failure_at_any_call_leaves_no_backup_and_no_rest(
    world, tmp_path, monkeypatch, listing, error, where
):
    w = world()
    w.sessions.create(id="s")
    w.conversations.create("c", id="c")
    w.notes.create(id="n")
    w.store.save_all()
    backups = tmp_path / "out" if where == "outside" else tmp_path / "state/backups"
    backups.mkdir(mode=0o700)
    target = backups / "copy"
    before, records = listing(tmp_path / "state"), w.records
    with monkeypatch.context() as patch:
        whole = len(_count_calls(patch, w, backups / "first"))
    first = listing(backups / "first")

    for nth in range(1, whole + 1):
        with monkeypatch.context() as patch:
            calls = _fail_at(patch, nth, error)
            with pytest.raises(type(error)):
                w.store.backup(target)
            assert len(calls) >= nth

        assert os.listdir(backups) == ["first"], f"after a failure at call {nth}"
        assert w.records == records

    assert listing(backups / "first") == first
    after = {
        path: one for path, one in listing(tmp_path / "state").items() if "backups" not in path
    }
    assert after == {path: one for path, one in before.items() if "backups" not in path}
    assert w.store.backup(target).items == 3
    assert whole > 8


def _count_calls(monkeypatch, w, path):
    calls = _fail_at(monkeypatch, 0, Stopped())
    w.store.backup(path)
    return calls


@pytest.mark.parametrize("make", ["folder", "full folder", "file", "link", "dangling link"])
def test_taken_place_is_refused_and_left_alone(world, tmp_path, listing, make):
    w, target = world().fill(), tmp_path / "there" / "copy"
    target.parent.mkdir()
    if "folder" in make:
        target.mkdir()
    if make == "full folder":
        (target / "x").write_text("mine")
    if make == "file":
        target.write_text("mine")
    if "link" in make:
        target.symlink_to(tmp_path if make == "link" else tmp_path / "nowhere")
    before = listing(target.parent)

    with pytest.raises(BackupExists, match="copy"):
        w.store.backup(target)

    assert listing(target.parent) == before
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    "inside", ["", "x", "sessions/x", ".statestore/x", "backups", "quarantine/x", "backups/../x"]
)
def test_place_among_the_records_is_refused(world, tmp_path, listing, inside):
    w = world().fill()
    before = listing(tmp_path / "state")

    with pytest.raises(ConfigurationError, match="inside of the store"):
        w.store.backup(tmp_path / "state" / inside)

    assert listing(tmp_path / "state") == before


def test_link_to_the_records_is_no_way_around(world, tmp_path):
    w = world().fill()
    (tmp_path / "link").symlink_to(tmp_path / "state/sessions")

    with pytest.raises(ConfigurationError):
        w.store.backup(tmp_path / "link/x")

    assert sorted(os.listdir(tmp_path / "state/sessions")) == ["s1.json"]


def test_folder_of_backups_within_the_store_is_allowed(world, tmp_path):
    w = world().fill()

    report = w.store.backup(tmp_path / "state/backups/mine")

    assert verify_backup(report.path).items == report.items
    assert w.store.verify().failures == ()
    assert "backups" not in w.store.kinds()


def test_backups_without_a_name_are_sorted_by_time(world):
    now = datetime(2026, 5, 1, 8, tzinfo=UTC)
    moments = [
        now + step for step in (timedelta(microseconds=1), timedelta(seconds=1), timedelta(days=40))
    ]
    w = world(clock=lambda: now)
    w.fill()
    paths = []
    for moment in moments:
        w.store._engine.clock = lambda moment=moment: moment
        paths.append(w.store.backup().path)

    assert paths == sorted(paths)
    assert {os.path.dirname(path) for path in paths} == {w.store.backups_path}
    infos = list_backups(w.store.backups_path)
    assert [one.path for one in infos] == paths
    assert [one.manifest.created_at for one in infos] == moments


def test_list_has_the_oldest_first_whatever_they_are_called_and_the_broken_last(world, tmp_path):
    moments = iter(datetime(2026, 5, day, tzinfo=UTC) for day in (2, 9, 5))
    w = world().fill()
    for name in ("b", "a", "c"):
        moment = next(moments)
        w.store._engine.clock = lambda moment=moment: moment
        w.store.backup(tmp_path / "out" / name)
    for name, manifest in (("0torn", b"{"), ("1other", b"[]"), ("2list", b'{"files": []}')):
        (tmp_path / "out" / name).mkdir()
        (tmp_path / "out" / name / "manifest.json").write_bytes(manifest)
    (tmp_path / "out/3dir/manifest.json").mkdir(parents=True)
    (tmp_path / "out/none").mkdir()
    (tmp_path / "out/file").write_text("x")
    partial = tmp_path / "out" / f"{PARTIAL_PREFIX}0123"
    partial.mkdir()
    (partial / "manifest.json").write_bytes((tmp_path / "out/a/manifest.json").read_bytes())

    infos = list_backups(str(tmp_path / "out"))

    assert [one.name for one in infos] == ["b", "c", "a", "0torn", "1other", "2list", "3dir"]
    assert all(one.manifest and not one.problem for one in infos[:3])
    assert all(one.manifest is None and one.name in one.problem for one in infos[3:])
    assert list_backups(str(tmp_path / "nowhere")) == ()


def test_what_is_not_saved_yet_is_saved_first(world, tmp_path):
    w = world().fill()
    w.sessions.create(id="new")
    w.tasks.delete("t1")

    w.store.backup(tmp_path / "copy")

    assert w.store.unsaved == ()
    assert (tmp_path / "copy/sessions/new.json").exists()
    assert not (tmp_path / "copy/tasks").exists()


def test_what_is_not_saved_stays_out_where_that_is_asked(world, tmp_path):
    w = world().fill()
    w.sessions.create(id="new")

    w.store.backup(tmp_path / "copy", save=False)

    assert not (tmp_path / "copy/sessions/new.json").exists()
    assert [str(key) for key in w.store.unsaved] == ["sessions/new"]


def test_nothing_is_made_where_something_cannot_be_saved(world, tmp_path):
    w = world().fill()
    w.notes.create(id="bad", values={"x": float("nan")})

    with pytest.raises(SaveFailed, match="notes/bad"):
        w.store.backup(tmp_path / "out/copy")
    with pytest.raises(SaveFailed):
        w.store.backup()

    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "state/backups").exists()


def test_what_cannot_be_read_is_told_and_not_copied(world, tmp_path):
    w = world().fill()
    errors = []
    w.store.on_error(errors.append)
    secret = tmp_path / "secret.json"
    secret.write_bytes((tmp_path / "state/sessions/s1.json").read_bytes().replace(b"s1", b"s2"))
    (tmp_path / "state/sessions/s2.json").symlink_to(secret)
    (tmp_path / "state/tasks/torn.json").write_text('{"kind": ')
    os.mkfifo(tmp_path / "state/notes/pipe.yaml")
    (tmp_path / "state/notes/.@left.tmp").write_text("x")
    (tmp_path / "state/notes/readme.txt").write_text("x")

    report = w.store.backup(tmp_path / "copy")

    named = ["notes/pipe.yaml", "sessions/s2.json", "tasks/torn.json"]
    assert len(report.failures) == 3
    for failure, name in zip(report.failures, named, strict=True):
        assert name in str(failure)
        assert failure.operation == "backup"
    assert errors == list(report.failures)
    assert report.items == len(w.records)
    assert not {path.name for path in (tmp_path / "copy").rglob("*")} & {
        *("s2.json", "torn.json", "pipe.yaml", ".@left.tmp", "readme.txt")
    }
    assert verify_backup(report.path).items == report.items


def test_folder_that_is_a_link_is_told_and_not_followed(world, tmp_path):
    w = world().fill()
    (tmp_path / "state/tasks").rename(tmp_path / "tasks")
    (tmp_path / "state/tasks").symlink_to(tmp_path / "tasks")

    report = w.store.backup(tmp_path / "copy")

    (failure,) = report.failures
    assert "tasks" in str(failure)
    assert not (tmp_path / "copy/tasks").exists()


def test_empty_store_gives_an_empty_backup(world, tmp_path):
    report = world().store.backup(tmp_path / "copy")

    assert (report.items, report.counts, os.listdir(tmp_path / "copy")) == (
        0,
        {},
        ["manifest.json"],
    )
    assert verify_backup(report.path).items == 0


def test_store_in_memory_is_copied_to_files(world, tmp_path):
    w = world("memory:").fill()

    report = w.store.backup(tmp_path / "copy")

    copy = world(tmp_path / "copy", read_only=True)
    assert (copy.records, copy.revisions) == (w.records, w.revisions)
    manifest = read_manifest(report.path)
    assert (manifest.format, report.format) == ("json", "json")
    assert manifest.store_id == w.store._engine.driver.store_id


def test_store_of_mixed_formats_stays_mixed(world, record_files, tmp_path):
    w = world().fill()
    for format, kind in (("yaml", "sessions"), ("gzip", "notes"), ("compact", "focus")):
        w.store.convert(format, [kind])

    w.store.backup(tmp_path / "copy")

    assert record_files(tmp_path / "copy") == record_files(tmp_path / "state")
    assert len({path.partition(".")[2] for path in record_files(tmp_path / "copy")}) >= 3


def test_backup_opens_as_a_store_that_is_only_read(world, tmp_path, listing):
    w = world().fill()
    w.store.backup(tmp_path / "copy")
    before = listing(tmp_path / "copy")

    copy = world(tmp_path / "copy", read_only=True)

    assert (copy.records, copy.revisions) == (w.records, w.revisions)
    assert listing(tmp_path / "copy") == before


def test_store_that_is_only_read_can_be_backed_up(world, tmp_path, record_files):
    world().fill()

    world(read_only=True).store.backup(tmp_path / "copy")

    assert record_files(tmp_path / "copy") == record_files(tmp_path / "state")


def test_kinds_without_a_manager_are_copied(world, tmp_path, record_files):
    world().fill()

    with Store(tmp_path / "state") as bare:
        bare.backup(tmp_path / "copy")

    assert record_files(tmp_path / "copy") == record_files(tmp_path / "state")


def test_partial_backup_is_none(world, tmp_path):
    w = world().fill()
    partial = tmp_path / f"{PARTIAL_PREFIX}0"
    os.rename(w.store.backup(tmp_path / "copy").path, partial)

    for path in (str(partial), f"{partial}/"):
        with pytest.raises(BackupNotFound):
            read_manifest(path)


@pytest.mark.parametrize(
    "change",
    [
        {"counts": {"sessions": 2}},
        {"format": "yaml"},
        {"sequence": 9},
        {"store_id": "other"},
        {"created_at": "2026-01-01T00:00:00.000000Z"},
        {"new": 1},
    ],
)
def test_manifest_that_was_changed_is_found_out(world, tmp_path, change):
    w = world()
    w.sessions.create(id="s")
    path = w.store.backup(tmp_path / "copy").path
    place = tmp_path / "copy/manifest.json"
    whole = orjson.loads(place.read_bytes())

    place.write_bytes(orjson.dumps(whole))  # another layout is no change
    assert read_manifest(path).counts == {"sessions": 1}

    place.write_bytes(orjson.dumps({**whole, **change}))
    assert [bool(one.problem) for one in list_backups(str(tmp_path))] == [True]


def test_backup_holds_both_records_of_a_transaction_or_none(world, note, tmp_path):
    w = world()
    w.notes.create(id="n")
    w.store.save_all()
    driver = w.store._engine.driver
    backups, stop, begun = 8, threading.Event(), threading.Event()

    def commit_pairs():
        number = 0
        while not stop.is_set():
            number += 1
            pair = (Key(kind, f"pair-{number % 7}") for kind in ("aaa", "zzz"))
            driver.submit([Put(key, {"id": key.id, "n": number}) for key in pair], {}, _ignored)
            if number % 20 == 0:
                driver.commit([], {})
                begun.set()

    thread = threading.Thread(target=commit_pairs)
    thread.start()
    try:
        begun.wait()
        paths = [w.store.backup(tmp_path / f"copy-{n}").path for n in range(backups)]
    finally:
        stop.set()
        thread.join()

    sequences = [read_manifest(path).sequence for path in paths]
    assert sequences == sorted(sequences)
    commits = {commit.sequence: commit for commit in driver.changes(0)}
    for path, sequence in zip(paths, sequences, strict=True):
        with Store(path, read_only=True) as copy:
            seen = {}
            for kind in ("aaa", "zzz"):
                for one in copy._engine.driver.scan(kind):
                    seen.setdefault(one.key.id, set()).add((one.document["n"], one.revision))
        assert seen
        assert all(len(pair) == 1 for pair in seen.values()), "one record without the other"
        assert Key("aaa", f"pair-{max(n for [(n, _)] in seen.values()) % 7}") in (
            commits[sequence].revisions
        )


def _ignored(_):
    """Take no note of how a commit was settled."""


def test_backup_has_what_was_committed_and_is_in_no_file_yet(tmp_path, note):
    with Store(tmp_path / "state") as store:
        notes = store.register(Manager("notes", note))
        for number in range(50):
            notes.add(note(f"n{number}"))
        store.save_all()

        report = store.backup(tmp_path / "copy")

        assert report.items == 50
        assert read_manifest(report.path).sequence == store._engine.driver.sequence


def test_backup_has_what_is_committed_although_its_file_cannot_be_written(
    world, tmp_path, monkeypatch
):
    w = world()
    w.notes.create(id="n", text="old")
    w.notes.create(id="m", text="old")
    w.store.save_all()
    true = Folder.write_temporary

    def write(self, name, *args, **more):
        if name == "n.json" and self.path.endswith("state/notes"):
            raise StorageError(name, "write", 28, "No space left on device")
        return true(self, name, *args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "write_temporary", write)
        w.notes.update("n", text="new")
        w.notes.update("m", text="new")
        w.store.save_all()
        assert b"old" in (tmp_path / "state/notes/n.json").read_bytes()
        report = w.store.backup(tmp_path / "copy")

    assert (report.items, report.failures) == (2, ())
    assert world(report.path, read_only=True).records == w.records


def test_backup_moves_nothing_in_the_store(world, tmp_path, visible):
    w = world().fill()
    broken = tmp_path / "state/tasks/torn.json"
    broken.write_text('{"kind": ')
    os.utime(broken, (1e9, 1e9))  # long ago: a load would set it aside
    before = visible(tmp_path / "state")

    report = w.store.backup(tmp_path / "copy")

    assert [one.error.path for one in report.failures] == ["tasks/torn.json"]
    assert visible(tmp_path / "state") == before
