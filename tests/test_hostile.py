"""One bad thing among good records: named once, left as it is, and the rest works."""

import gzip
import logging
import os
import shutil
import socket
import zlib

import attrs
import orjson
import pytest

from statestore import Manager, Store
from statestore.errors import CorruptRecord, SaveFailed, StateStoreError, UnsafeFile
from statestore.managers import ConversationManager
from statestore.models.documents import FrozenDict, freeze_mapping
from statestore.serializers import compressed, get
from statestore.services.restore import verify_backup

pytestmark = pytest.mark.usefixtures("files_at_once")  # they look at the files


CANARY = "canary-4711"
FORMATS = ("json", "compact", "gzip", "yaml")


@attrs.frozen
class Note:
    id: str
    text: str
    values: FrozenDict = attrs.field(factory=FrozenDict, converter=freeze_mapping)


def envelope(id="bad", kind="notes", **data):
    return {
        "kind": kind,
        "schema": 1,
        "revision": 1,
        "saved_at": "2026-05-01T08:00:00.000000Z",
        "data": {"id": id, "text": CANARY, "values": {}, **data},
    }


def as_json(**more):
    return get("json").dumps(envelope(**more))


def with_value(text, before=""):
    """Return a record whose `values` is some text, which need not be JSON."""
    return as_json().replace(b'"values": {}', b'"values": ' + text.encode())


def as_yaml(values="{}", head=""):
    whole = get("yaml").dumps(envelope()).decode()
    assert "values: {}" in whole
    return (head + whole.replace("values: {}", f"values: {values}")).encode()


WHOLE = as_json()
PACKED = get("gzip").dumps(envelope())
BYTES = {
    "empty": ("bad.json", b""),
    "blank": ("bad.json", b" \n\n"),
    "byte order mark alone": ("bad.json", b"\xef\xbb\xbf"),
    "truncated": ("bad.json", WHOLE[:-30]),
    "garbage": ("bad.json", bytes(range(256)) * 3),
    "prose": ("bad.json", f"{CANARY}, said he.\nAnd left: so.".encode()),
    "zeros": ("bad.json", b"\0" * 400),
    "zeros in the middle": ("bad.json", WHOLE[:100] + b"\0" * 64 + WHOLE[164:]),
    "zeros at the end": ("bad.json", WHOLE + b"\0" * 64),
    "UTF-16": ("bad.json", WHOLE.decode().encode("utf-16")),
    "UTF-32": ("bad.json", WHOLE.decode().encode("utf-32")),
    "Latin-1": ("bad.json", as_json(text="caf\xe9").decode().encode("latin-1")),
    "two documents": ("bad.json", WHOLE + WHOLE),
    "JSON and YAML": ("bad.json", WHOLE + as_yaml()),
    "a name twice at the top": ("bad.json", WHOLE.replace(b'"kind"', b'"kind": "x", "kind"', 1)),
    "a name twice in the data": ("bad.json", WHOLE.replace(b'"text"', b'"text": "x", "text"')),
    "a name twice below": ("bad.json", with_value('{"a": [{"b": {"c": 1, "c": 1}}]}')),
    "NaN": ("bad.json", with_value('{"a": NaN}')),
    "Infinity": ("bad.json", with_value('{"a": [-Infinity]}')),
    "1e400": ("bad.json", with_value('{"a": 1e400}')),
    "20 digits": ("bad.json", with_value('{"a": 99999999999999999999}')),
    "5000 digits": ("bad.json", with_value('{"a": ' + "9" * 5000 + "}")),
    "lone surrogate": ("bad.json", with_value('{"a": "\\ud800"}')),
    "lone surrogate as a name": ("bad.json", with_value('{"\\udfff": 1}')),
    "deep JSON": ("bad.json", with_value("[" * 10**5 + "]" * 10**5)),
    "deep JSON, open": ("bad.json", b'{"a":' * 10**5),
    "deep YAML": ("bad.yaml", as_yaml("[" * 10**5)),
    "deep YAML block": ("bad.yaml", b"".join(b" " * n + b"a:\n" for n in range(300))),
    "gzip, truncated": ("bad.json.gz", PACKED[:-9]),
    "gzip, header alone": ("bad.json.gz", PACKED[:10]),
    "gzip, bad checksum": ("bad.json.gz", PACKED[:-8] + b"\0\0\0\0" + PACKED[-4:]),
    "gzip, bad length": ("bad.json.gz", PACKED[:-4] + b"\1\0\0\0"),
    "gzip, bytes after it": ("bad.json.gz", PACKED + b"x"),
    "gzip, zeros after it": ("bad.json.gz", PACKED + b"\0" * 8),
    "gzip, two members": ("bad.json.gz", PACKED + PACKED),
    "gzip, twice": ("bad.json.gz", gzip.compress(PACKED)),
    "gzip, empty": ("bad.json.gz", gzip.compress(b"")),
    "gzip, garbage": ("bad.json.gz", gzip.compress(b"\xff\0" * 99)),
    "YAML alias": ("bad.yaml", as_yaml("[&a [1], *a]")),
    "YAML laughs": (
        "bad.yaml",
        as_yaml("{a: &a [l, l], b: &b [*a, *a], c: &c [*b, *b], d: [*c, *c]}"),
    ),
    "YAML anchor": ("bad.yaml", as_yaml(f"&a [{CANARY}]")),
    "YAML merge": ("bad.yaml", as_yaml("{a: &a {b: 1}, c: {<<: *a}}")),
    "YAML tag": ("bad.yaml", as_yaml("!!set {a, b}")),
    "YAML call": (
        "bad.yaml",
        as_yaml('!!python/object/apply:os.system ["touch called-by-yaml"]'),
    ),
    "YAML name twice": ("bad.yaml", as_yaml("{a: 1, a: 2}")),
    "YAML documents": ("bad.yaml", as_yaml() + b"---\n" + as_yaml()),
    "YAML 1e400": ("bad.yaml", as_yaml("[1e400]")),
    "YAML 20 digits": ("bad.yaml", as_yaml("[99999999999999999999]")),
    "YAML list as a name": ("bad.yaml", as_yaml("{[a]: 1}")),
    "empty object": ("bad.json", b"{}"),
    "list": ("bad.json", b"[1, 2]"),
    "number": ("bad.json", b"42"),
    "data alone": ("bad.json", orjson.dumps(envelope()["data"])),
    "another kind": ("bad.json", as_json(kind="cats")),
    "no id": ("bad.json", WHOLE.replace(b'"id": "bad",', b"")),
    "another id": ("bad.json", as_json(id="good1")),
    "id of another type": ("bad.json", WHOLE.replace(b'"id": "bad"', b'"id": 5')),
    "empty id": ("bad.json", WHOLE.replace(b'"id": "bad"', b'"id": ""')),
    "way out as an id": ("bad.json", WHOLE.replace(b'"id": "bad"', b'"id": "../../bad"')),
    "revision 0": ("bad.json", WHOLE.replace(b'"revision": 1', b'"revision": 0')),
    "revision true": ("bad.json", WHOLE.replace(b'"revision": 1', b'"revision": true')),
    "schema of text": ("bad.json", WHOLE.replace(b'"schema": 1', b'"schema": "1"')),
    "time without a zone": ("bad.json", WHOLE.replace(b"000Z", b"000")),
    "data of text": ("bad.json", orjson.dumps({**envelope(), "data": CANARY})),
    # what is a record, but not of the class
    "required field missing": ("bad.json", WHOLE.replace(f'"text": "{CANARY}",'.encode(), b"")),
    "field of another type": ("bad.json", WHOLE.replace(b'"text": ', b'"text": 5, "was": ')),
    "values of text": ("bad.json", with_value(f'"{CANARY}"')),
    "newer schema": ("bad.json", WHOLE.replace(b'"schema": 1', b'"schema": 2')),
}
READABLE = {"required field missing", "field of another type", "values of text", "newer schema"}
"""Records in themselves, which only their class refuses: copied and converted as they are."""


def _symlink(path, outside):
    outside.write_bytes(as_json())
    path.symlink_to(outside)


def _dangling(path, outside):
    path.symlink_to(outside)


def _socket(path, outside):
    # The path of a socket must be short, so it is made from within.
    before = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    finally:
        os.chdir(before)


def _folder(path, outside):
    path.mkdir()
    (path / "inner.json").write_bytes(as_json())


THINGS = {
    "link": _symlink,
    "dangling link": _dangling,
    "link to itself": lambda path, outside: path.symlink_to(path),
    "pipe": lambda path, outside: os.mkfifo(path),
    "socket": _socket,
    "folder": _folder,
}


@pytest.fixture
def root(tmp_path):
    """A store with three good records."""
    with Store(tmp_path / "state") as store:
        notes = store.register(Manager("notes", Note))
        for number in range(3):
            notes.create(id=f"good{number}", text=f"text {number}")
    return tmp_path / "state"


def _state_of(path):
    status = os.lstat(path)
    shape = (status.st_mode, status.st_ino, status.st_mtime_ns)
    if path.is_symlink():
        return shape, os.readlink(path)
    return shape, path.read_bytes() if path.is_file() else None


def _said(error):
    """Return all that an error, what caused it and its notes say."""
    parts = []
    while error is not None:
        parts += [str(error), repr(error), repr(error.args), *getattr(error, "__notes__", [])]
        error = error.__cause__
    return "\n".join(parts)


def check_one_bad(root, name, caplog, *, is_readable=False):
    """Check all that a store must do with one bad thing, which is called `name`."""
    caplog.set_level(logging.DEBUG)
    bad = root / "notes" / name
    before, told, said = _state_of(bad), [], []

    with Store(root) as store:
        notes = store.register(Manager("notes", Note))
        store.on_error(told.append)

        report = store.load_all()

        (failure,) = report.failures
        assert told == [failure]
        assert failure.operation == "load"
        assert isinstance(failure.error, StateStoreError)
        assert "bad" in str(failure)
        assert any(way in str(failure) for way in ("left in place", "move it out", "update the"))
        assert [(one.id, one.text) for one in notes] == [
            (f"good{number}", f"text {number}") for number in range(3)
        ]
        assert report.items == 3
        said += [_said(failure.error), repr(report), str(failure)]

        notes.update("good1", text="changed")
        assert store.save_all().items == 1
        assert _state_of(bad) == before

        (fault,) = store.verify().failures
        assert type(fault.error) is type(failure.error)
        said.append(_said(fault.error))

        copied = store.backup(root.parent / "copy")
        assert len(copied.failures) == (not is_readable)
        assert copied.items == 3 + is_readable
        assert verify_backup(copied.path).items == copied.items
        said += [_said(one.error) for one in copied.failures]
        assert _state_of(bad) == before

        # A record of this very id must not take the place of what nobody can read.
        notes.create(id="bad", text="mine")
        with pytest.raises(SaveFailed) as raised:
            store.save_all()
        assert [str(one.key) for one in raised.value.failures] == ["notes/bad"]
        said += [_said(raised.value), *(_said(one.error) for one in raised.value.failures)]
        assert _state_of(bad) == before
        assert os.listdir(root / "notes").count(name) == len(os.listdir(root / "notes")) - 3
        notes.delete("bad")
        store.save_all()
        assert _state_of(bad) == before

        if not is_readable:
            converted = store.convert("yaml" if not name.endswith(".yaml") else "gzip")
            assert (converted.items, len(converted.failures)) == (3, 1)
            said += [_said(one.error) for one in converted.failures]
            assert _state_of(bad) == before

    with Store(root) as store:
        again = store.register(Manager("notes", Note))
        assert len(store.load_all().failures) == 1
        assert {one.text for one in again} == {"text 0", "changed", "text 2"}
    assert _state_of(bad) == before
    for text in (*said, caplog.text):
        assert CANARY not in text
    return failure.error


@pytest.mark.parametrize("what", BYTES)
def test_bad_bytes(root, caplog, what, monkeypatch, as_written):
    monkeypatch.chdir(root.parent)
    name, data = BYTES[what]
    (root / "notes" / name).write_bytes(data)
    as_written(root / "notes")  # what can be read is no edit, which would be written back

    error = check_one_bad(root, name, caplog, is_readable=what in READABLE)

    assert isinstance(error, CorruptRecord) == (what not in READABLE)
    assert not (root.parent / "called-by-yaml").exists()


@pytest.mark.parametrize("extension", [".json", ".json.gz", ".yaml"])
@pytest.mark.parametrize("what", THINGS)
def test_bad_things(root, tmp_path, caplog, what, extension):
    outside = tmp_path / "outside.json"
    THINGS[what](root / "notes" / f"bad{extension}", outside)

    error = check_one_bad(root, f"bad{extension}", caplog)

    assert isinstance(error, UnsafeFile)
    if what == "link":
        assert outside.read_bytes() == as_json()
    else:
        assert not outside.exists()


def _whole_when_cut(root, format, whole):
    """Return the lengths at which a record that is cut off loads without a failure."""
    bad = root / "notes" / f"bad{get(format).extension}"
    lengths = []
    for length in range(len(whole)):
        bad.write_bytes(whole[:length])
        with Store(root, read_only=True) as store:
            notes = store.register(Manager("notes", Note))
            report = store.load_all()
            assert len(notes) == 4 - len(report.failures)
            assert all("notes/bad" in str(one) for one in report.failures)
        if not report.failures:
            lengths.append(length)
    return lengths


@pytest.mark.parametrize("format", FORMATS)
def test_truncation_at_any_length_is_found_out(root, format):
    whole = get(format).dumps(envelope(values={"a": [1, "x"], "b": "last words"}))

    lengths = _whole_when_cut(root, format, whole)

    # Only the line end at the end of a text says nothing.
    assert lengths == ([len(whole) - 1] if whole.endswith(b"\n") else [])


def test_conversation_in_yaml_that_was_cut_off_is_not_loaded_short(root):
    with Store(root, format="yaml") as store:
        talks = store.register(ConversationManager())
        talk = talks.create("t", id="t")
        for number in range(3):
            talks.add_message(talk, role="user", content=f"line\n{number}")
    path = root / "conversations" / "t.yaml"
    whole = path.read_bytes()

    for length in range(len(whole) - 1):
        path.write_bytes(whole[:length])
        with Store(root, read_only=True) as store:
            talks = store.register(ConversationManager())
            report = store.load_all()
        assert (len(talks), len(report.failures)) == (0, 1), length


def test_yaml_by_hand_needs_no_mark_of_its_end(root):
    data = get("yaml").dumps(envelope())
    lines = data.decode().splitlines()[1:-1]
    (root / "notes" / "bad.yaml").write_text("\n".join(lines))

    with Store(root) as store:
        notes = store.register(Manager("notes", Note))
        assert store.load_all().failures == ()
        assert "bad" in notes


@pytest.mark.parametrize("format", FORMATS)
def test_wrong_extension_is_no_fault(root, format):
    data = get(format).dumps(envelope())
    for extension in (".json", ".yaml", ".json.gz"):
        (root / "notes" / f"bad{extension}").write_bytes(data)
        with Store(root) as store:
            notes = store.register(Manager("notes", Note))
            report = store.load_all()
            assert (report.failures, notes["bad"].text) == ((), CANARY)
        [written] = (root / "notes").glob("bad.*")  # it was taken for an edit, and written back
        assert written.name == "bad.json"
        written.unlink()


@pytest.mark.parametrize("format", ["json", "compact", "yaml"])
def test_byte_order_mark_and_crlf_are_read_exactly(root, format):
    values = {"lines": "a\nb\r\nc", "mark": "\ufeff", "n": 1.0}
    data = b"\xef\xbb\xbf" + get(format).dumps(envelope(values=values)).replace(b"\n", b"\r\n")
    path = root / "notes" / f"bad{get(format).extension}"
    path.write_bytes(data)

    with Store(root) as store:
        notes = store.register(Manager("notes", Note))
        assert store.load_all().failures == ()
        assert notes["bad"].values == values
        assert path.read_bytes() == data
        store.convert(format)

    assert b"\r\n" not in path.read_bytes()
    assert not path.read_bytes().startswith(b"\xef\xbb\xbf")


def test_leftover_of_a_save_is_never_a_record(root):
    older = as_json(id="good1", text="not committed")
    for name in (".@0123456789abcdef.tmp", "good1.json.tmp", "good1.json~", ".good1.json.swp"):
        (root / "notes" / name).write_bytes(older)
    before = sorted(os.listdir(root / "notes"))

    with Store(root) as store:
        notes = store.register(Manager("notes", Note))
        report = store.load_all()
        store.clear()

    assert (report.failures, report.items) == ((), 3)
    assert sorted(os.listdir(root / "notes")) == [
        one for one in before if one.endswith(("tmp", "~", "swp"))
    ]
    assert len(notes) == 0


def test_folder_of_a_kind_that_is_a_link_is_not_followed(root, tmp_path):
    (root / "notes").rename(tmp_path / "elsewhere")
    (root / "notes").symlink_to(tmp_path / "elsewhere")
    before = {path.name: path.read_bytes() for path in (tmp_path / "elsewhere").iterdir()}

    with Store(root) as store, pytest.raises(UnsafeFile, match="notes"):
        store.register(Manager("notes", Note))
    with Store(root, read_only=True) as store:
        notes = store.register(Manager("notes", Note))
        (failure,) = store.load_all().failures
        assert isinstance(failure.error, UnsafeFile)
        assert len(notes) == 0

    assert {path.name: path.read_bytes() for path in (tmp_path / "elsewhere").iterdir()} == before


@pytest.mark.parametrize("what", ["link", "pipe", "file"])
def test_store_that_is_no_folder_is_refused(tmp_path, root, what):
    own = root / ".statestore"
    shutil.move(own, tmp_path / "own")
    if what == "link":
        own.symlink_to(tmp_path / "own")
    elif what == "pipe":
        os.mkfifo(own)
    else:
        own.write_text("x")

    with pytest.raises(UnsafeFile, match="statestore"):
        Store(root)


def test_bomb_over_the_limit_is_refused(root, caplog, monkeypatch):
    limit = 1 << 16
    monkeypatch.setattr(compressed, "MAX_SIZE_BYTES", limit)
    monkeypatch.setattr(
        compressed.unpack, "__kwdefaults__", {"format": "gzip", "max_size_bytes": limit}
    )
    data = gzip.compress(as_json(values={"a": " " * limit}))
    assert len(data) < 1000
    (root / "notes/bad.json.gz").write_bytes(data)

    error = check_one_bad(root, "bad.json.gz", caplog)

    assert "limit" in str(error)


def test_real_bomb_is_refused(root):
    # A flushed block stands for itself, so one can be repeated without being packed again.
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    megabyte = b" " * (1 << 20)
    head = packer.compress(megabyte) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(megabyte) + packer.flush(zlib.Z_FULL_FLUSH)
    (root / "notes/bad.json.gz").write_bytes(head + block * 300)

    with Store(root) as store:
        notes = store.register(Manager("notes", Note))
        (failure,) = store.load_all().failures

    assert "limit" in str(failure)
    assert len(notes) == 3
