"""What others leave in the folders of a store: edits, copies, garbage, links."""

import codecs
import contextlib
import gzip
import json
import os
import shutil
import socket

import pytest

from statestore.errors import (
    CommitRefused,
    Conflict,
    CorruptRecord,
    HeldKey,
    MisnamedRecord,
    RecordNotFound,
    UndecodableRecord,
    UnsafeFile,
)
from statestore.models.changes import Delete, Put, Stored
from statestore.models.keys import Key, settings_key
from statestore.models.reports import Failure
from statestore.serializers import get
from statestore.testing.driver import contents, key, patch, put, refused
from statestore.testing.faulty import FaultyFiles, PowerOff, Stop


def split(driver, kind="notes"):
    """Return what a scan reads and what it cannot read."""
    found = list(driver.scan(kind))
    return (
        [one for one in found if isinstance(one, Stored)],
        [one for one in found if isinstance(one, Failure)],
    )


def edit(path, **fields):
    """Change the data of a record as a person does: revision and saved_at stay."""
    envelope = json.loads(path.read_bytes())
    envelope["data"].update(fields)
    path.write_text(json.dumps(envelope))


# --- what cannot be read --------------------------------------------------------------

RECORD = json.dumps(
    {
        "kind": "notes",
        "schema": 1,
        "revision": 1,
        "saved_at": "2026-01-01T00:00:00Z",
        "data": {"id": "bad"},
    }
)


def changed(**fields):
    return json.dumps({**json.loads(RECORD), **fields}).encode()


GARBAGE = {
    "empty": b"",
    "white space": b" \n",
    "truncated": RECORD.encode()[:-1],
    "zeros": b"\0" * 4096,
    "zeros at the end": RECORD.encode()[:40] + b"\0" * 60,
    "binary": bytes(range(256)),
    "no envelope": b"{}",
    "a list": b"[]",
    "a number": b"1",
    "prose": b"hello",
    "only data": b'{"data": {"id": "bad"}}',
    "utf-16": RECORD.encode("utf-16"),
    "utf-16 without a mark": RECORD.encode("utf-16-le"),
    "utf-32": RECORD.encode("utf-32"),
    "latin-1": RECORD.replace("bad", "b\u00e4d").encode("latin-1"),
    "two records": RECORD.encode() * 2,
    "twice a key": RECORD.replace('"schema": 1', '"schema": 1, "schema": 2').encode(),
    "another kind": changed(kind="tasks"),
    "kind of no string": changed(kind=1),
    "revision 0": changed(revision=0),
    "revision of no integer": changed(revision="1"),
    "revision that is true": changed(revision=True),
    "schema of no integer": changed(schema=1.0),
    "data of no mapping": changed(data=[1]),
    "no id": changed(data={}),
    "id of no string": changed(data={"id": 1}),
    "empty id": changed(data={"id": ""}),
    "time of no zone": changed(saved_at="2026-01-01T00:00:00"),
    "no time": changed(saved_at=None),
    "time before the first year": changed(saved_at="0001-01-01T00:00:00+10:00"),
    "time after the last year": changed(saved_at="9999-12-31T23:59:59-10:00"),
    "cut gzip": gzip.compress(RECORD.encode())[:-4],
    "gzip of garbage": gzip.compress(b"{"),
    "number beyond 64 bits": changed(data={"id": "bad", "n": 2**70}),
    "not finite": RECORD.replace('"bad"', '"bad", "n": NaN').encode(),
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE.keys())
def test_unreadable_file_is_one_failure_and_holds_its_key(opened, lay, data):
    path = lay("bad.json", data)
    lay("good.json")

    driver = opened()
    stored, failures = split(driver)

    assert [one.key.id for one in stored] == ["good"]
    assert [(one.key, one.operation) for one in failures] == [(key("bad"), "load")]
    assert isinstance(failures[0].error, CorruptRecord)
    assert failures[0].error.path == "notes/bad.json"
    with pytest.raises(CorruptRecord):
        driver.read(key("bad"))
    for change, expect in (
        (put("bad"), {}),
        (put("bad"), {key("bad"): 0}),
        (patch("bad", n=1), {key("bad"): 1}),
        (Delete(key("bad")), {key("bad"): 1}),
    ):
        assert isinstance(refused(driver, [put("good"), change], expect)[key("bad")], HeldKey)
    assert path.read_bytes() == data
    assert driver.read(key("good")).revision == 1


DECODABLE = {"another kind", "no id", "id of no string", "empty id"}
"""What is a whole envelope of something else: it may be of use where it is."""


@pytest.mark.parametrize("name", GARBAGE)
def test_old_file_that_nobody_can_decode_is_moved_to_quarantine(opened, lay, root, name):
    path = lay("bad.json", GARBAGE[name])
    os.utime(path, (1e9, 1e9))  # nobody is writing it any more
    lay("good.json")

    driver = opened()
    stored, [failure] = split(driver)

    assert [one.key.id for one in stored] == ["good"]
    assert failure.key == key("bad")
    assert isinstance(failure.error, UndecodableRecord) == (name not in DECODABLE)
    if name in DECODABLE:
        assert path.read_bytes() == GARBAGE[name]
        assert isinstance(refused(driver, [put("bad")], {})[key("bad")], HeldKey)
        return
    assert not path.exists()
    assert (root / failure.error.place).read_bytes() == GARBAGE[name]
    assert (root / (failure.error.place + ".why.json")).exists()
    assert failure.error.place in str(failure.error)
    assert driver.set_aside(failure) == failure.error.place
    assert split(driver)[1] == []
    driver.commit([put("bad", n=1)], {key("bad"): 0})
    assert contents(opened())["bad"] == {"id": "bad", "n": 1}


def test_opening_that_only_reads_moves_nothing(opened, lay, root, visible):
    os.utime(lay("bad.json", b"garbage"), (1e9, 1e9))
    two_files(lay, fields("old", 1), fields("new", 2))
    before = visible(root)

    stored, failures = split(opened(read_only=True))

    assert [one.document["text"] for one in stored] == ["new"]
    assert [one.error.path for one in failures] == ["notes/bad.json"]
    assert "older copy" in stored[0].notes[0]
    assert visible(root) == before


def test_files_that_are_held_still_are_not_moved(opened, lay, root, visible):
    os.utime(lay("bad.json", b"garbage"), (1e9, 1e9))
    two_files(lay, fields("old", 1), fields("new", 2))
    driver = opened()
    before = visible(root)

    with driver.held_still():
        stored, failures = split(driver)
        found = list(driver.entries("notes"))

    assert visible(root) == before
    assert [len(stored), len(failures), len(found)] == [1, 1, 2]


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE.keys())
def test_record_that_became_unreadable_is_not_overwritten(opened, root, data):
    driver = opened()
    driver.commit([put("bad", n=1)], {})
    (root / "notes" / "bad.json").write_bytes(data)

    error = refused(driver, [put("bad", n=2)], {key("bad"): 1})[key("bad")]

    assert isinstance(error, HeldKey)
    assert error.path == "notes/bad.json"
    assert (root / "notes" / "bad.json").read_bytes() == data


def a_folder(path):
    path.mkdir()
    (path / "inside.json").write_text("{}")


def a_link(path):
    (path.parent / "target").write_text(RECORD)
    path.symlink_to(path.parent / "target")


def a_socket(path):
    one = socket.socket(socket.AF_UNIX)
    one.bind(os.path.relpath(path))
    one.close()


STRANGE = {
    "folder": a_folder,
    "link": a_link,
    "dangling link": lambda path: path.symlink_to("/nowhere"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to a folder": lambda path: path.symlink_to(path.parent),
    "pipe": os.mkfifo,
    "socket": a_socket,
}


@pytest.mark.parametrize("place", STRANGE.values(), ids=STRANGE.keys())
def test_what_is_no_plain_file_is_refused_and_left(opened, lay, visible, root, place):
    lay("good.json")
    place(root / "notes" / "bad.json")
    before = visible(root)

    driver = opened()
    stored, failures = split(driver)

    assert [one.key.id for one in stored] == ["good"]
    assert [(one.key, type(one.error)) for one in failures] == [(key("bad"), UnsafeFile)]
    with pytest.raises(UnsafeFile):
        driver.read(key("bad"))
    for change in (put("bad"), Delete(key("bad"))):
        assert isinstance(refused(driver, [change], {})[key("bad")], HeldKey)
    assert visible(root) == before


@pytest.mark.parametrize("place", STRANGE.values(), ids=STRANGE.keys())
def test_what_is_no_plain_file_can_be_set_aside(opened, lay, root, place):
    lay("good.json")
    place(root / "notes" / "bad.json")
    driver = opened()
    [failure] = split(driver)[1]

    moved = driver.set_aside(failure)
    driver.commit([put("bad", n=1)], {key("bad"): 0})

    assert os.path.lexists(root / moved)
    assert driver.read(key("bad")).document["n"] == 1


def test_file_that_is_set_aside_keeps_its_bytes_and_the_reason(opened, lay, root):
    lay("bad.json", b"garbage")
    driver = opened()
    [failure] = split(driver)[1]

    moved = driver.set_aside(failure)

    assert moved.startswith("quarantine/notes/")
    assert moved.endswith("-bad.json")
    assert (root / moved).read_bytes() == b"garbage"
    why = json.loads((root / (moved + ".why.json")).read_bytes())
    assert list(why) == ["from", "at", "why"]
    assert why["from"] == "notes/bad.json"
    assert why["why"] == failure.error.reason
    assert split(driver) == ([], [])
    assert list(driver.kinds()) == ["notes"]
    driver.commit([put("bad")], {key("bad"): 0})


def test_copied_file_under_another_name_is_told_and_left(opened, lay):
    lay("a.json")
    copy = lay("b.json", revision=5)
    copy.write_bytes(lay("a.json").read_bytes())

    driver = opened()
    stored, [failure] = split(driver)

    assert [one.key.id for one in stored] == ["a"]
    assert type(failure.error) is MisnamedRecord
    assert (failure.error.path, failure.error.id) == ("notes/b.json", "a")
    assert failure.error.expected == "a.json"
    assert isinstance(refused(driver, [put("b")], {})[key("b")], HeldKey)


def test_name_of_a_misnamed_file_says_where_it_would_be(opened, lay):
    lay("A.json")

    [failure] = split(opened())[1]

    assert failure.error.expected.startswith("A~")
    assert failure.error.expected.endswith(".json")


def test_traversing_id_in_a_file_goes_nowhere(opened, lay, root):
    lay("x.json", changed(data={"id": "../../x"}))

    driver = opened()

    assert isinstance(split(driver)[1][0].error, MisnamedRecord)
    driver.commit([put("../../x")], {})
    assert os.listdir(root.parent) == ["store"]


# --- what can be read all the same ----------------------------------------------------

TEXT = {"id": "a", "text": "line\nGrüße\r\n\u2028end", "\ufeffkey": 1}


@pytest.mark.parametrize("format", ["json", "yaml"])
@pytest.mark.parametrize("how", ["BOM", "CRLF", "both"])
def test_file_of_another_editor_is_read_exactly(opened, lay, root, format, how):
    envelope = {**json.loads(RECORD), "data": TEXT}
    data = get(format).dumps(envelope)
    if how != "BOM":
        data = data.replace(b"\n", b"\r\n")
    if how != "CRLF":
        data = codecs.BOM_UTF8 + data
    path = lay(f"a{get(format).extension}", data)

    driver = opened(format=format)

    assert contents(driver) == {"a": TEXT}
    driver.commit([patch("a", n=1)], {key("a"): driver.read(key("a")).revision})
    assert not path.read_bytes().startswith(codecs.BOM_UTF8)
    assert b"\r\n" not in path.read_bytes()
    assert contents(driver) == {"a": {**TEXT, "n": 1}}


def test_fields_of_a_newer_version_are_kept(opened, lay):
    path = lay("a.json", checksum="abc", revision=3, later={"x": [1]})

    for revision, format in ((3, "json"), (4, "yaml"), (5, "json")):
        driver = opened(format=format)
        driver.commit([put("a", n=revision)], {key("a"): revision})
        driver.close()

    envelope = json.loads(path.read_bytes())
    assert list(envelope) == ["kind", "schema", "revision", "saved_at", "checksum", "later", "data"]
    assert (envelope["checksum"], envelope["later"]) == ("abc", {"x": [1]})


@pytest.mark.parametrize(
    "name",
    [
        *(
            "a.json.tmp",
            ".a.json.swp",
            "a.json~",
            "#a.json#",
            "README.md",
            "a",
            ".gitkeep",
            ".json",
        ),
        *("a.json.bak", "a (copy).txt", ".@0123456789abcdef.tmp", ".@0123456789abcdef.json"),
        *("@manager.txt", "@other.json"),
    ],
)
def test_file_of_others_is_no_record_and_is_left(opened, lay, root, name):
    lay("a.json")
    path = lay(name, changed(revision=9, data={"id": "a", "text": "stale"}))
    before = path.read_bytes(), os.stat(path).st_mtime_ns

    driver = opened()

    assert contents(driver) == {"a": {"id": "a"}}
    driver.commit([put("a", n=1)], {key("a"): 1})
    driver.commit([Delete(key("a"))], {key("a"): 2})
    driver.close()
    assert contents(opened()) == {}
    assert (path.read_bytes(), os.stat(path).st_mtime_ns) == before
    assert (f"notes/{name}" in opened().strangers("notes")) == (name != "@other.json")


def test_record_that_is_copied_to_the_place_of_settings_is_refused(opened, lay, root):
    lay("a.json")
    path = lay("@manager.json")
    before = path.read_bytes(), os.stat(path).st_mtime_ns

    driver = opened()
    [stored], [failure] = split(driver)

    assert stored.key == key("a")
    assert failure.key == settings_key("notes")
    assert isinstance(failure.error, MisnamedRecord)
    with pytest.raises(CommitRefused) as refused:
        driver.commit([Put(settings_key("notes"), {"limits": {}})], {})
    assert isinstance(refused.value.failures[0].error, HeldKey)
    driver.close()
    assert (path.read_bytes(), os.stat(path).st_mtime_ns) == before


def test_settings_that_are_copied_to_the_place_of_a_record_are_refused(opened, lay):
    lay("a.json", changed(data={"limits": {"most": 1}}))

    stored, [failure] = split(opened())

    assert stored == []
    assert failure.key == key("a")
    assert isinstance(failure.error, CorruptRecord)


def test_settings_are_not_those_of_another_kind(opened, lay):
    lay("@manager.json", changed(kind="tasks", data={"limits": {"most": 1}}))

    stored, [failure] = split(opened())

    assert stored == []
    assert "'tasks'" in str(failure.error)


def test_name_that_is_no_text_is_told_in_words_that_can_be_printed(opened, lay, root):
    lay("good.json")
    with open(os.fsencode(root / "notes") + b"/b\xffd.json", "wb") as file:
        file.write(b"{")

    stored, [failure] = split(opened())

    assert [one.key.id for one in stored] == ["good"]
    str(failure).encode()
    str(failure.key).encode()
    str(failure.error).encode()


def test_hard_link_is_read_and_not_written_through(opened, lay, root):
    path = lay("a.json")
    os.link(path, root / "elsewhere")
    before = path.read_bytes()

    driver = opened()
    driver.commit([put("a", n=1)], {key("a"): 1})

    assert (root / "elsewhere").read_bytes() == before
    assert contents(driver) == {"a": {"id": "a", "n": 1}}


# --- two files of one record ----------------------------------------------------------


def two_files(lay, one, other):
    """Lay a.json and a.yaml (in JSON, which is YAML too)."""
    return lay("a.json", **one), lay("a.yaml", **other)


def fields(text, revision=1, second=0):
    return {
        "revision": revision,
        "saved_at": f"2026-01-01T00:00:0{second}Z",
        "data": {"id": "a", "text": text},
    }


@pytest.mark.parametrize(("json_is", "yaml_is"), [(2, 3), (3, 2)])
def test_of_two_files_the_higher_revision_is_used(opened, lay, root, json_is, yaml_is):
    two_files(lay, fields("json", json_is, second=9 - json_is), fields("yaml", yaml_is))
    newer = "json" if json_is > yaml_is else "yaml"

    driver = opened()
    read = driver.read(key("a"))
    assert sorted(os.listdir(root / "notes")) == ["a.json", "a.yaml"], "one read moves nothing"
    [stored], failures = split(driver)

    assert (stored.document["text"], stored.revision, failures) == (newer, 3, [])
    assert (read.document, read.revision) == (stored.document, stored.revision)
    assert (len(read.notes), len(stored.notes)) == (1, 1)
    assert os.listdir(root / "notes") == [f"a.{newer}"]
    assert not (root / "quarantine").exists()
    assert split(driver)[0][0].notes == ()
    driver.commit([put("a", text="next")], {key("a"): 3})
    assert os.listdir(root / "notes") == ["a.json"]
    assert contents(opened()) == {"a": {"id": "a", "text": "next"}}


def test_older_file_that_was_edited_is_kept_in_quarantine(opened, lay, root):
    edited, _ = two_files(lay, fields("edited", 1), fields("new", 2))
    os.utime(edited)
    data = edited.read_bytes()

    [stored], _ = split(opened())

    assert (stored.document["text"], stored.revision) == ("new", 2)
    assert os.listdir(root / "notes") == ["a.yaml"]
    [moved] = (root / "quarantine" / "notes").glob("*-a.json")
    assert moved.read_bytes() == data
    assert moved.name in stored.notes[0]


@pytest.mark.parametrize("format", ["json", "yaml"])
def test_of_two_equal_files_that_in_the_stores_format_is_used(opened, lay, root, format):
    two_files(lay, fields("same"), fields("same", second=1))

    driver = opened(format=format)
    [stored], failures = split(driver)

    assert (stored.path, failures) == (f"notes/a.{format}", [])
    assert "removed" in stored.notes[0]
    assert os.listdir(root / "notes") == [f"a.{format}"]
    assert not (root / "quarantine").exists()
    driver.commit([put("a", text="next")], {key("a"): 1})
    assert os.listdir(root / "notes") == [f"a.{format}"]
    assert not (root / "quarantine").exists()


@pytest.mark.parametrize(("json_is", "yaml_is"), [(1, 2), (2, 1)])
def test_of_two_rivals_the_one_saved_later_is_used(opened, lay, root, json_is, yaml_is):
    two_files(lay, fields("json", second=json_is), fields("yaml", second=yaml_is))
    later, earlier = ("json", "yaml") if json_is > yaml_is else ("yaml", "json")
    rival = (root / "notes" / f"a.{earlier}").read_bytes()

    driver = opened()
    [stored], failures = split(driver)

    assert (stored.document["text"], failures) == (later, [])
    assert "differs" in stored.notes[0]
    assert os.listdir(root / "notes") == [f"a.{later}"]
    [moved] = (root / "quarantine" / "notes").glob(f"*-a.{earlier}")
    assert moved.read_bytes() == rival
    assert moved.with_name(moved.name + ".why.json").exists()
    driver.commit([put("a", text="next")], {key("a"): 1})
    assert os.listdir(root / "notes") == ["a.json"]


def test_second_file_goes_after_the_first_is_on_the_disk(opened, lay, root):
    two_files(lay, fields("old", 1), fields("new", 2))
    files = FaultyFiles()
    driver = opened(files=files)
    files.calls.clear()

    split(driver)

    notes = f"{root}/notes"
    made = [(call.name, call.path) for call in files.changing() if call.path.startswith(notes)]
    assert made == [
        ("sync", f"{notes}/a.yaml"),
        ("sync", notes),
        ("unlink", f"{notes}/a.json"),
        ("sync", notes),
    ]


@pytest.mark.parametrize("stop", range(1, 5))
@pytest.mark.parametrize("other", ["stale", "rival"])
def test_scan_that_dies_while_it_clears_away_loses_nothing(opened, lay, root, stop, other):
    two_files(lay, fields("old", 1 if other == "stale" else 2), fields("new", 2, second=1))
    files = FaultyFiles()
    driver = opened(files=files, materialize="background")
    files.arm(stop, Stop())

    with pytest.raises(PowerOff):
        split(driver)
    with contextlib.suppress(PowerOff):
        driver.close()

    [stored], failures = split(opened())
    assert (stored.document["text"], stored.revision, failures) == ("new", 2, [])
    assert len(os.listdir(root / "notes")) == 1


def test_file_of_an_older_format_that_a_crash_has_left_goes_with_the_next_opening(opened, root):
    first = opened(format="yaml", materialize="background")
    first.commit([put("a", n=1)], {})
    first.close()
    old = (root / "notes" / "a.yaml").read_bytes(), (root / "notes" / "a.yaml").stat().st_mtime_ns
    files = FaultyFiles()
    driver = opened(files=files, materialize="background")
    driver.commit([put("a", n=2)], {key("a"): 1})
    driver.flush()
    files.stopped = True  # dead before it could note that its files are written
    with contextlib.suppress(PowerOff):
        driver.close()
    (root / "notes" / "a.yaml").write_bytes(old[0])
    os.utime(root / "notes" / "a.yaml", ns=(old[1], old[1]))

    again = opened()
    again.flush()

    assert os.listdir(root / "notes") == ["a.json"]
    assert contents(again) == {"a": {"id": "a", "n": 2}}


@pytest.mark.parametrize("other", ["stale", "rival", "copy"])
def test_deleted_record_has_no_second_file_that_comes_back(opened, lay, root, other):
    second = {"stale": fields("x", 1), "rival": fields("x", 2), "copy": fields("new", 2, 5)}
    two_files(lay, fields("new", 2, second=5), second[other])

    driver = opened()
    driver.commit([Delete(key("a"))], {key("a"): 2})

    assert contents(driver) == contents(opened()) == {}
    assert os.listdir(root / "notes") == []
    assert (root / "quarantine").exists() == (other == "rival")


@pytest.mark.parametrize("left", ["a.json", "a.yaml"])
def test_no_file_of_a_deleted_record_comes_back_after_a_power_cut(opened, lay, root, left):
    paths = two_files(lay, fields("old", 1), fields("new", 2))
    files = FaultyFiles()
    driver = opened(files=files, materialize="background")
    kept = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}
    driver.commit([Delete(key("a"))], {key("a"): 2})
    files.stopped = True
    with contextlib.suppress(PowerOff):
        driver.close()
    for path in paths:
        path.unlink(missing_ok=True)
    data, mtime_ns = kept[left]  # one removal has reached the disk, and the other has not
    (root / "notes" / left).write_bytes(data)
    os.utime(root / "notes" / left, ns=(mtime_ns, mtime_ns))

    again = opened()

    assert contents(again) == {}
    again.flush()
    assert os.listdir(root / "notes") == []


def test_deletion_is_noted_as_written_after_its_folder_is_synced(opened, lay, root):
    two_files(lay, fields("old", 1), fields("new", 2))
    files = FaultyFiles()
    driver = opened(files=files)
    files.calls.clear()

    driver.commit([Delete(key("a"))], {key("a"): 2})
    driver.close()

    made = [(call.name, call.path) for call in files.changing()]
    notes, ends = f"{root}/notes", [("unlink", f"{root}/notes/{name}") for name in
                                    ("a.json", "a.yaml")]  # fmt: skip
    unlinked = max(made.index(one) for one in ends)
    assert made[unlinked + 1] == ("sync", notes)
    assert any("/.statestore/" in path for _, path in made[unlinked + 2 :])


def test_unreadable_second_file_is_told_and_does_not_hold_the_record(opened, lay, root):
    lay("a.json")
    garbage = lay("a.yaml", b"{")

    driver = opened()
    [stored], [failure] = split(driver)
    driver.commit([put("a", n=1)], {key("a"): stored.revision})

    assert failure.error.path == "notes/a.yaml"
    assert garbage.read_bytes() == b"{"
    assert driver.read(key("a")).document["n"] == 1


def test_unreadable_file_in_the_place_to_write_is_set_aside(opened, lay, root):
    lay("a.yaml")
    garbage = lay("a.json", b"{")

    driver = opened()

    assert driver.read(key("a")).path == "notes/a.yaml"
    assert isinstance(driver.rewrite("notes", get("json")).failures[-1].error, HeldKey)
    assert garbage.read_bytes() == b"{"
    assert [one.document for one in split(driver)[0]] == [{"id": "a"}]
    driver.commit([put("a", n=1)], {key("a"): 1})
    assert contents(driver) == contents(opened()) == {"a": {"id": "a", "n": 1}}
    [moved] = (root / "quarantine" / "notes").glob("*-a.json")
    assert moved.read_bytes() == b"{"


# --- edits ----------------------------------------------------------------------------


def test_edit_between_load_and_save_is_a_conflict(opened, root):
    driver = opened()
    driver.commit([put("a", n=1), put("b", n=1)], {})
    contents(driver)
    edit(root / "notes" / "a.json", n="edited")

    for change in (put("a", n=2), patch("a", n=2), Delete(key("a"))):
        with pytest.raises(CommitRefused) as raised:
            driver.commit([put("b", n=2), change], {key("a"): 1, key("b"): 1})
        [failure] = raised.value.failures
        assert isinstance(failure.error, Conflict)
        assert failure.key == key("a")

    assert contents(driver) == {"a": {"id": "a", "n": "edited"}, "b": {"id": "b", "n": 1}}


def test_edit_is_a_revision_of_its_own(opened, root):
    driver = opened()
    driver.commit([put("a", n=1)], {})
    edit(root / "notes" / "a.json", n="edited")

    revision = driver.read(key("a")).revision
    commit = driver.commit([patch("a", m=1)], {key("a"): revision})

    assert (revision, commit.revisions) == (2, {key("a"): 3})
    assert contents(driver) == {"a": {"id": "a", "n": "edited", "m": 1}}


def test_edit_of_equal_size_is_seen_by_its_time(opened, root):
    driver = opened()
    driver.commit([put("a", n=1)], {})
    path = root / "notes" / "a.json"
    before = os.stat(path)
    other = path.with_name("other")
    other.write_bytes(path.read_bytes().replace(b'"n": 1', b'"n": 7'))
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    os.replace(other, path)

    assert isinstance(refused(driver, [put("a", n=2)], {key("a"): 1})[key("a")], Conflict)


@pytest.mark.parametrize("how", ["touch", "copy", "same bytes"])
def test_touched_file_is_no_conflict(opened, root, how):
    driver = opened()
    driver.commit([put("a", n=1)], {})
    path = root / "notes" / "a.json"
    if how == "touch":
        os.utime(path)
    elif how == "copy":
        shutil.copy(path, path.with_name("x"))
        os.replace(path.with_name("x"), path)
    else:
        path.write_bytes(path.read_bytes())

    commit = driver.commit([put("a", n=2)], {key("a"): 1})

    assert commit.revisions == {key("a"): 2}


def test_edit_is_still_one_after_a_rewrite(opened, root):
    driver = opened()
    driver.commit([put("a", n=1)], {})
    edit(root / "notes" / "a.json", n="edited")

    driver.rewrite("notes", get("yaml"))

    assert isinstance(refused(driver, [put("a", n=2)], {key("a"): 1})[key("a")], Conflict)
    assert contents(driver) == {"a": {"id": "a", "n": "edited"}}


def test_new_file_of_others_is_a_record(opened, lay):
    driver = opened()
    driver.commit([put("b")], {})
    lay("a.json", revision=4)

    assert isinstance(refused(driver, [put("a")], {key("a"): 0})[key("a")], Conflict)
    assert driver.read(key("a")).revision == 4
    driver.commit([put("a")], {key("a"): 4})


def test_revision_of_a_file_that_others_removed_is_not_used_again(opened, root):
    driver = opened()
    driver.commit([put("a")], {})
    driver.commit([put("a")], {})
    (root / "notes" / "a.json").unlink()

    with pytest.raises(RecordNotFound):
        driver.read(key("a"))
    assert isinstance(refused(driver, [put("a")], {key("a"): 2})[key("a")], Conflict)
    assert driver.commit([put("a")], {key("a"): 0}).revisions == {key("a"): 3}


def test_deleted_file_that_others_put_back_has_a_new_revision(opened, root):
    driver = opened()
    driver.commit([put("a", n=1)], {})
    old = (root / "notes" / "a.json").read_bytes()
    driver.commit([Delete(key("a"))], {key("a"): 1})
    (root / "notes" / "a.json").write_bytes(old)

    assert driver.read(key("a")).revision == 3
    assert driver.read(key("a")).revision == 3
    assert isinstance(refused(driver, [put("a", n=2)], {key("a"): 1})[key("a")], Conflict)


def test_older_file_that_others_put_back_has_a_new_revision(opened, root):
    driver = opened()
    driver.commit([put("a", n=1)], {})
    old = (root / "notes" / "a.json").read_bytes()
    driver.commit([put("a", n=2)], {})
    (root / "notes" / "a.json").write_bytes(old)

    assert driver.read(key("a")).revision == 3
    assert isinstance(refused(driver, [put("a", n=3)], {key("a"): 2})[key("a")], Conflict)


# --- folders --------------------------------------------------------------------------


def test_linked_folder_of_a_kind_is_refused(opened, root, tmp_path):
    opened().close()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (root / "notes").symlink_to(elsewhere)

    driver = opened()

    with pytest.raises(UnsafeFile):
        list(driver.scan("notes"))
    assert isinstance(refused(driver, [put("a")], {})[key("a")], UnsafeFile)
    assert list(driver.kinds()) == []
    assert list(elsewhere.iterdir()) == []


def test_file_in_place_of_a_folder_is_refused_and_left(opened, root):
    opened().close()
    (root / "notes").write_text("mine")

    driver = opened()

    with pytest.raises(UnsafeFile):
        list(driver.scan("notes"))
    assert isinstance(refused(driver, [put("a")], {})[key("a")], UnsafeFile)
    assert (root / "notes").read_text() == "mine"


@pytest.mark.parametrize("name", ["archive", "backups", "Notes", ".git", "node.modules"])
def test_folder_that_is_no_kind_is_none(opened, root, name):
    (root / name).mkdir(parents=True)
    root.chmod(0o700)

    assert list(opened().kinds()) == []


def test_record_of_another_kind_stays_where_it_is(opened, lay, root):
    lay("a.json", kind="tasks")
    driver = opened()

    [failure] = split(driver)[1]

    assert failure.key == Key("notes", "a")
    assert "tasks" in str(failure.error)
    assert split(driver, "tasks") == ([], [])
