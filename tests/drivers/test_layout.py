"""What the directory driver leaves on the disk, byte by byte."""

import json
import os
import shutil
import stat

import orjson
import pytest

from statestore.drivers.names import file_stem
from statestore.errors import (
    CorruptStore,
    NewerLayout,
    ReadOnlyStore,
    StoreNotFound,
    UnknownName,
    UnsafeStore,
)
from statestore.files.folders import Modes
from statestore.models.changes import Delete, Put, Stored
from statestore.serializers import get
from statestore.testing.driver import HOSTILE_IDS, contents, key, put

GOLDEN = """\
{
  "kind": "notes",
  "schema": 2,
  "revision": 1,
  "saved_at": "2026-11-20T17:00:00.123456Z",
  "data": {
    "id": "a",
    "title": "Grüße",
    "tags": [
      "x"
    ],
    "due": null
  }
}
"""
DOCUMENT = {"id": "a", "title": "Grüße", "tags": ["x"], "due": None}


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def files_below(root):
    return sorted(
        os.path.relpath(os.path.join(folder, name), root)
        for folder, _, names in os.walk(root)
        for name in names
    )


# --- record files ---------------------------------------------------------------------


def test_record_file_is_an_envelope_for_people(root, opened):
    opened().commit([Put(key("a"), DOCUMENT, schema=2)], {})

    assert (root / "notes" / "a.json").read_text() == GOLDEN


def test_store_holds_record_files_and_what_it_says_of_itself(root, opened):
    opened().commit([put("a"), put("b", "tasks")], {})

    own = ["alive", "journal/0000000000000001.log", "lock", "materialise", "meta.json"]
    assert files_below(root) == [
        *(f".statestore/{name}" for name in (*own, "turnstile")),
        *("notes/a.json", "tasks/b.json"),
    ]


@pytest.mark.parametrize("format", ["json", "compact", "gzip", "yaml", "yaml+gzip"])
def test_every_format_holds_the_same_envelope_in_the_same_order(root, opened, format):
    opened(format=format).commit([Put(key("a"), DOCUMENT, schema=2)], {})
    serializer = get(format)

    envelope = serializer.loads((root / "notes" / f"a{serializer.extension}").read_bytes())

    assert list(envelope.items()) == list(json.loads(GOLDEN).items())
    assert list(envelope["data"]) == list(DOCUMENT)


@pytest.mark.parametrize("format", ["json", "compact", "gzip", "yaml", "yaml+gzip"])
def test_file_was_changed_when_its_record_was_saved(root, opened, clock, format):
    driver = opened(format=format)
    for step in range(3):
        clock.move(seconds=step, microseconds=1)
        driver.commit([put("a", n=step)], {})

        [path] = (root / "notes").iterdir()
        now_us = round(clock.now.timestamp() * 1_000_000)
        assert os.stat(path).st_mtime_ns == now_us * 1000
        assert driver.read(key("a")).saved_at == clock.now


def test_names_of_files_are_the_ids_encoded(root, opened):
    opened().commit([put(id) for id in HOSTILE_IDS], {})

    assert set(os.listdir(root / "notes")) == {f"{file_stem(id)}.json" for id in HOSTILE_IDS}
    assert set(os.listdir(root)) == {".statestore", "notes"}
    assert os.listdir(root.parent) == ["store"]


def test_deleted_record_has_no_file(root, opened):
    driver = opened()
    driver.commit([put("a"), put("b")], {})

    driver.commit([Delete(key("a"))], {})

    assert os.listdir(root / "notes") == ["b.json"]


def test_equal_commits_give_equal_bytes(tmp_path, opened):
    for name in "xy":
        opened(tmp_path / name, format="gzip").commit([Put(key("a"), DOCUMENT)], {})

    x, y = ((tmp_path / name / "notes" / "a.json.gz").read_bytes() for name in "xy")
    assert x == y


# --- the store's format ---------------------------------------------------------------


def test_new_store_writes_and_remembers_json(root, opened, clock):
    driver = opened()

    meta = orjson.loads((root / ".statestore" / "meta.json").read_bytes())

    assert list(meta) == ["layout", "store_id", "format", "created_at"]
    assert (meta["layout"], meta["format"]) == (1, "json")
    assert meta["store_id"] == driver.store_id
    assert len(bytes.fromhex(meta["store_id"])) == 16
    assert meta["created_at"] == "2026-11-20T17:00:00.123456Z"


def test_new_store_remembers_json_whatever_it_is_opened_with(root, opened):
    first = opened(format="yaml")
    first.commit([put("a")], {})
    first.close()

    driver = opened()
    driver.commit([put("b")], {})

    assert driver.serializer.name == "json"
    assert sorted(os.listdir(root / "notes")) == ["a.yaml", "b.json"]


def test_format_of_an_opening_is_not_remembered(root, opened):
    opened(format="yaml").close()
    before = (root / ".statestore" / "meta.json").read_bytes()

    driver = opened(format="compact")
    driver.commit([put("a")], {})

    assert (root / ".statestore" / "meta.json").read_bytes() == before
    assert (root / "notes" / "a.json").read_bytes().count(b"\n") == 0


def test_format_that_is_chosen_for_good_is_remembered(opened):
    driver = opened()
    identity = driver.store_id

    driver.use(get("yaml"), remember=True)

    assert opened().serializer.name == "yaml"
    assert opened().store_id == identity


def test_files_of_every_format_are_read_from_one_folder(root, opened):
    formats = ("json", "compact", "gzip", "yaml", "yaml+gzip")
    for n, format in enumerate(formats):
        driver = opened(format=format)
        driver.commit([put(f"r{n}", own=format)], {})
        driver.close()

    found = list(opened().scan("notes"))

    assert [one.document["own"] for one in found] == list(formats)
    assert [one.format for one in found] == ["json", "json", "gzip", "yaml", "yaml+gzip"]
    assert [one.path for one in found] == [
        "notes/r0.json",
        "notes/r1.json",
        "notes/r2.json.gz",
        "notes/r3.yaml",
        "notes/r4.yaml.gz",
    ]


def test_content_of_a_file_and_not_its_name_says_the_format(root, opened):
    for format in ("json", "yaml", "gzip"):
        driver = opened(format=format)
        driver.commit([put(format)], {})
        driver.close()
    notes = root / "notes"
    os.rename(notes / "json.json", notes / "json.yaml")
    os.rename(notes / "yaml.yaml", notes / "yaml.json.gz")
    os.rename(notes / "gzip.json.gz", notes / "gzip.json")

    driver = opened()

    assert [one.format for one in driver.scan("notes")] == ["gzip", "json", "yaml"]
    driver.commit([put(name, n=2) for name in ("json", "yaml", "gzip")], {})
    assert sorted(os.listdir(notes)) == ["gzip.json", "json.json", "yaml.json"]


def test_record_lives_in_one_file_after_a_switch_of_formats(root, opened):
    formats = ("json", "yaml", "gzip", "compact", "yaml+gzip", "json")
    for revision, format in enumerate(formats):
        driver = opened(format=format)
        driver.commit([put("a", own=format)], {key("a"): revision})
        driver.close()

        assert os.listdir(root / "notes") == [f"a{get(format).extension}"]
    assert contents(opened()) == {"a": {"id": "a", "own": "json"}}


def test_rewriting_keeps_content_revision_and_time(root, opened, clock):
    driver = opened()
    driver.commit([put("a", n=1)], {})
    driver.commit([put("a", n=2), put("b")], {})
    before = [(one.key, one.document, one.revision, one.saved_at) for one in driver.scan("notes")]
    times = {path.stem: os.stat(path).st_mtime_ns for path in (root / "notes").iterdir()}
    clock.move(days=1)

    done = driver.rewrite("notes", get("yaml"))

    assert (done.items, done.unchanged, done.failures) == (2, 0, ())
    after = [(one.key, one.document, one.revision, one.saved_at) for one in driver.scan("notes")]
    assert after == before
    assert {p.stem: os.stat(p).st_mtime_ns for p in (root / "notes").iterdir()} == times
    assert sorted(os.listdir(root / "notes")) == ["a.yaml", "b.yaml"]
    assert driver.rewrite("notes", get("yaml")).unchanged == 2


# --- permissions ----------------------------------------------------------------------


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o777], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize(
    ("modes", "file", "folder"),
    [
        (None, 0o600, 0o700),
        (Modes(0o660, 0o770), 0o660, 0o770),
        (Modes(0o660, 0o2770), 0o660, 0o2770),
    ],
    ids=["own", "group", "setgid"],
)
def test_permissions_do_not_depend_on_the_umask(root, opened, modes, file, folder):
    driver = opened(root / "deep" / "er", modes=modes)
    driver.commit([put("a")], {})
    driver.commit([put("a", n=2)], {})

    for path in [root, *root.rglob("*")]:
        assert mode(path) == (folder if path.is_dir() else file), path


@pytest.mark.parametrize("bits", [0o777, 0o775, 0o722, 0o1777], ids=oct)
@pytest.mark.parametrize("part", [".", ".statestore"])
def test_store_that_others_may_write_to_is_refused(root, opened, listing, part, bits):
    opened().close()
    (root / part).chmod(bits)
    before = listing(root)

    for read_only in (False, True):
        with pytest.raises(UnsafeStore) as raised:
            opened(read_only=read_only)
        assert raised.value.path == str((root / part).resolve())
    assert listing(root) == before

    driver = opened(allow_unsafe=True)
    driver.commit([put("a")], {})
    assert mode(root / part) == bits, "not ours to change"


@pytest.mark.parametrize("bits", [0o700, 0o750, 0o755, 0o500], ids=oct)
def test_store_that_others_may_only_read_is_opened(root, opened, bits):
    root.mkdir()
    root.chmod(bits)

    opened().commit([put("a")], {})

    assert mode(root) == bits
    assert mode(root / "notes") == 0o700


def test_store_of_a_group_is_opened_for_it_only(root, opened):
    root.mkdir()
    root.chmod(0o2770)

    opened(modes=Modes(0o660, 0o2770)).close()
    with pytest.raises(UnsafeStore):
        opened()
    root.chmod(0o2777)
    with pytest.raises(UnsafeStore):
        opened(modes=Modes(0o660, 0o2770))


# --- meta.json ------------------------------------------------------------------------


def write_meta(root, data):
    path = root / ".statestore" / "meta.json"
    path.write_bytes(data if isinstance(data, bytes) else orjson.dumps(data))
    return path


META = {
    "layout": 1,
    "store_id": "0" * 32,
    "format": "json",
    "created_at": "2026-01-01T00:00:00.000000Z",
}


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{", b"\0" * 100, b"[]", b"null", b"{}", b"\xff\xfe{\0}\0"),
        *({**META, "layout": "1"}, {**META, "layout": True}, {**META, "store_id": 1}),
        *({**META, "format": None}, {**META, "created_at": "yesterday"}, {**META, "created_at": 1}),
        {**META, "created_at": "0001-01-01T00:00:00+23:00"},
    ],
    ids=lambda data: ascii(data)[-40:],
)
def test_corrupt_meta_file_is_told_and_left(root, opened, listing, data):
    opened().commit([put("a")], {})
    path = write_meta(root, data)
    before = listing(root)

    for read_only in (False, True):
        with pytest.raises(CorruptStore) as raised:
            opened(read_only=read_only)
        assert raised.value.path == str(path.resolve())
    assert listing(root) == before


def test_store_of_a_newer_layout_is_refused_and_left(root, opened, listing):
    opened().commit([put("a")], {})
    write_meta(root, {**META, "layout": 2, "store_id": {"new": "shape"}})
    before = listing(root)

    with pytest.raises(NewerLayout) as raised:
        opened()

    assert (raised.value.found, raised.value.known) == (2, 1)
    assert listing(root) == before


def test_store_in_a_format_that_is_not_known_is_refused(root, opened):
    opened().close()
    write_meta(root, {**META, "format": "klingon"})

    with pytest.raises(UnknownName):
        opened()


def test_store_without_a_meta_file_is_given_one(root, opened):
    opened().commit([put("a", n=1)], {})
    shutil.rmtree(root / ".statestore")

    driver = opened()

    assert contents(driver) == {"a": {"id": "a", "n": 1}}
    assert opened().store_id == driver.store_id


# --- read-only ------------------------------------------------------------------------


def test_reading_changes_nothing(root, opened, listing):
    driver = opened()
    driver.commit([put(id) for id in HOSTILE_IDS], {})
    driver.close()
    (root / "notes" / "bad.json").write_bytes(b"{")
    (root / "notes" / ".@0123456789abcdef.tmp").write_bytes(b"left over")
    before = listing(root)

    driver = opened(read_only=True)
    stored = [one for one in driver.scan("notes") if isinstance(one, Stored)]
    for id in HOSTILE_IDS:
        driver.read(key(id))
    driver.kinds()
    driver.flush()
    driver.close()

    assert len(stored) == len(HOSTILE_IDS)
    assert listing(root) == before


def test_store_that_may_not_be_written_is_read(root, opened, listing):
    opened().commit([put("a", "sessions", n=1)], {})
    shutil.rmtree(root / ".statestore")
    for path in (root / "sessions" / "a.json", root / "sessions", root):
        path.chmod(0o500 if path.is_dir() else 0o400)
    before = listing(root)

    driver = opened(read_only=True)

    assert contents(driver, "sessions") == {"a": {"id": "a", "n": 1}}
    with pytest.raises(ReadOnlyStore):
        driver.commit([put("a", "sessions", n=2)], {})
    with pytest.raises(ReadOnlyStore):
        driver.rewrite("sessions", get("yaml"))
    with pytest.raises(ReadOnlyStore):
        driver.use(get("yaml"), remember=True)
    with pytest.raises(ReadOnlyStore):
        driver.prepare("notes")
    assert listing(root) == before


@pytest.mark.parametrize("made", [False, True], ids=["missing", "empty"])
def test_no_store_is_made_by_reading(root, opened, made):
    if made:
        root.mkdir()

    with pytest.raises(StoreNotFound):
        opened(read_only=True)

    assert root.exists() == made
    assert not made or list(root.iterdir()) == []
