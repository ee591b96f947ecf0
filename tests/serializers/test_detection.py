"""Telling formats apart, and the table of serializers."""

import subprocess
import sys
import zlib
from importlib import metadata

import orjson
import pytest

from statestore.errors import (
    AmbiguousFormat,
    DecodeError,
    NameTaken,
    UnknownFormat,
    UnknownName,
)
from statestore.serializers import Shape, decode, detect, get, names, validate
from statestore.serializers.compressed import GzipSerializer
from statestore.serializers.json_text import JsonSerializer
from statestore.serializers.registered import Serializers
from statestore.testing.serializer import SAMPLE, alike
from statestore.testing.strategies import binaries, for_each, mappings


@pytest.mark.parametrize(
    ("written", "detected"),
    [
        ("json", "json"),
        ("compact", "json"),
        ("gzip", "gzip"),
        ("yaml", "yaml"),
        ("yaml+gzip", "yaml+gzip"),
        ("json+gzip", "gzip"),
    ],
)
@for_each(max_examples=60, document=mappings())
def test_what_was_written_is_recognised(written, detected, document):
    data = get(written).dumps(document)

    found, read = decode(data)

    assert found is get(detected)
    assert alike(read, document)
    assert detect(data) is found


def _packed(data):
    return zlib.compress(data, 1, 31)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"{}", "json"),
        (b"[]", "json"),
        (b"[1]", "json"),
        (b'\xef\xbb\xbf{"a":1}', "json"),
        (b'\r\n{"a":1}\r\n', "json"),
        (b"a: 1", "yaml"),
        (b"a:\n", "yaml"),
        (b"a:", "yaml"),
        (b"---\na: 1\n", "yaml"),
        (b"# by hand\n\n--- # x\n# y\na: 1\n", "yaml"),
        (b"%YAML 1.2\n---\na: 1\n", "yaml"),
        (b"\xef\xbb\xbfa: 1\r\nb: 2\r\n", "yaml"),
        (b'"a b": 1\n', "yaml"),
        (b"'a: b': 1\n", "yaml"),
        (b"? a\n: 1\n", "yaml"),
        (b"true: 1\n", "yaml"),
        (b"42: 1\n", "yaml"),
        (b"  a: 1\n  b: 2\n", "yaml"),
        (_packed(b'{"a": 1}'), "gzip"),
        (_packed(b"[]"), "gzip"),
        (_packed(b"a: 1\n"), "yaml+gzip"),
    ],
    ids=ascii,
)
def test_content_says_the_format(data, name):
    assert detect(data).name == name


NOT_A_RECORD = {
    UnknownFormat: [
        *(b"", b" ", b"\n\t\r\n", b"\xef\xbb\xbf", b"\0" * 100, b"---\n", b"# x\n"),
        *(b"hello", b"Some prose.\nMore of it.\n", b"note", b"2026 was a year.\n"),
        *(b"- a\n- b\n", b"-\ta: b", b"- a: b\n", b"'x'\n", b"'a: b'\n", b"|\n  a: b\n"),
        *(b"# x\n{}\n", b"--- {a: 1}\n", b"---\n[a]\n", b"--- 42\n"),
        *(b"\x89PNG\r\n\x1a\n", b"\x80\x04\x95", b"SQLite format 3\0", b"PK\x03\x04: \n"),
        *("a: 1\n".encode("utf-16"), "{}".encode("utf-16"), "a: 1\n".encode("utf-16-le")),
        *map(_packed, (b"", b" ", b"x", b"\0", b"- a\n", _packed(b"{}"))),
    ],
    AmbiguousFormat: [
        *(b"42", b" 1.5\n", b'"x"', b"true", b"null", b"-1", b'"a: b"\n', _packed(b"42")),
    ],
    DecodeError: [
        *(b"{", b"[", b'{"a": 1', b"{a: 1}", b"[a, b]", b"{}{}", b"{}\0", b'"x', b"[]\n- a\n"),
        *(b"a: [", b"a: 'x", b"a: 1\na: 2", b"a: *x", b"a: 1\n\0\0", b"a: \xff", b"a: 1\n- b\n"),
        *(b"\x1f\x8b", b"\x1f\x8b\x08\0\0", _packed(b"{}")[:-1], _packed(b"{}") + b"\0"),
        *(_packed(b"{}") * 2, _packed(b'{"a"'), _packed(b"a: [")),
    ],
}


@pytest.mark.parametrize(
    ("data", "error"),
    [(data, error) for error, table in NOT_A_RECORD.items() for data in table],
    ids=ascii,
)
def test_nothing_is_guessed(data, error):
    with pytest.raises(error):
        detect(data)


@pytest.mark.parametrize("name", ["json", "compact", "gzip"])
def test_cut_text_is_not_recognised(name):
    data = get(name).dumps(SAMPLE)

    for end in range(len(data) - 1):
        with pytest.raises(DecodeError):
            detect(data[:end])


@for_each(data=binaries())
def test_any_bytes_are_recognised_or_refused(data):
    try:
        detect(data)
    except DecodeError:
        return


@pytest.mark.parametrize(
    ("written", "format", "valid"),
    [
        ("json", "json", True),
        ("json", "compact", True),
        ("compact", "json", True),
        ("json", "yaml", True),  # JSON is YAML, if seldom the other way round
        ("gzip", "gzip", True),
        ("yaml+gzip", "yaml+gzip", True),
        ("yaml", "json", False),
        ("yaml", "gzip", False),
        ("gzip", "json", False),
        ("gzip", "yaml", False),
        ("json", "gzip", False),
        ("yaml+gzip", "gzip", False),
    ],
)
def test_validate_goes_by_the_named_format(written, format, valid):
    data = get(written).dumps(SAMPLE)

    if valid:
        validate(data, format)
    else:
        with pytest.raises(DecodeError):
            validate(data, format)


def test_validate_wants_a_known_format():
    with pytest.raises(UnknownName):
        validate(b"{}", "xml")


# --- the table ------------------------------------------------------------------------


class Marked:
    """A format of somebody else: JSON after a mark."""

    def __init__(self, name="marked", mark=b"MARK", shape=Shape.MAGIC, extension=".mark"):
        self.name, self.extension, self._mark, self._shape = name, extension, mark, shape

    def dumps(self, document):
        return self._mark + orjson.dumps(document)

    def loads(self, data):
        if not data.startswith(self._mark):
            raise DecodeError(self.name, "it has no mark")
        try:
            return orjson.loads(data[len(self._mark) :])
        except orjson.JSONDecodeError as error:
            raise DecodeError(self.name, "it is damaged") from error

    def sniff(self, data):
        return self._shape if data.startswith(self._mark) else Shape.NO


def _table(*added):
    table = Serializers()
    for serializer in added:
        table.register(serializer)
    return table


def test_names_are_in_order():
    assert _table().names() == ("json", "compact", "gzip", "yaml")
    assert names()[:4] == ("json", "compact", "gzip", "yaml")


def test_any_serializer_can_be_packed():
    table = _table(Marked())

    for name, extension in [
        ("yaml+gzip", ".yaml.gz"),
        ("json+gzip", ".json.gz"),
        ("compact+gzip", ".json.gz"),
        ("marked+gzip", ".mark.gz"),
    ]:
        packed = table.get(name)
        assert (packed.name, packed.extension) == (name, extension)
        assert table.get(name) is packed
        assert packed.loads(packed.dumps(SAMPLE)) == SAMPLE


@pytest.mark.parametrize(
    "name", ["", "xml", "+gzip", "xml+gzip", "gzip+gzip", "yaml+gzip+gzip", "gzip+yaml", "JSON"]
)
def test_unknown_names_are_refused(name):
    with pytest.raises(UnknownName):
        _table().get(name)


def test_added_serializer_takes_part():
    table = _table(Marked())
    data = table.get("marked").dumps(SAMPLE)

    assert table.names()[-1] == "marked"
    assert detect(data, serializers=table).name == "marked"
    assert detect(table.get("marked+gzip").dumps(SAMPLE), serializers=table).name == "marked+gzip"
    assert decode(data, serializers=table)[1] == SAMPLE
    with pytest.raises(DecodeError):
        detect(data[:-1], serializers=table)
    with pytest.raises(UnknownFormat):
        detect(data, serializers=_table())


@pytest.mark.parametrize("name", ["json", "gzip", "yaml"])
def test_taken_name_is_refused(name):
    with pytest.raises(NameTaken):
        _table(Marked(name=name))
    with pytest.raises(NameTaken):
        _table(Marked(), Marked())


@pytest.mark.parametrize(
    ("added", "data", "names"),
    [
        ([Marked("one"), Marked("two")], b"MARK{}", ("one", "two")),
        (
            [Marked("one", shape=Shape.LIKELY), Marked("two", shape=Shape.LIKELY)],
            b"MARK{}",
            ("one", "two"),
        ),
        ([Marked("one", b"", Shape.LIKELY)], b"{}", ("json", "one")),
        ([Marked("one", _packed(b"{}"))], _packed(b"{}"), ("gzip", "one")),
    ],
)
def test_two_that_claim_the_same_are_ambiguous(added, data, names):
    with pytest.raises(AmbiguousFormat) as raised:
        detect(data, serializers=_table(*added))

    assert raised.value.names == names


def test_magic_is_stronger_than_likeness():
    table = _table(Marked("one", b"{}"), Marked("two", shape=Shape.LIKELY, mark=b"{}"))

    assert detect(b"{}[]", serializers=table).name == "one"


def test_likely_format_that_cannot_read_it_is_out():
    table = _table(Marked("one", b"[", Shape.LIKELY), Marked("two", b"[x]", Shape.LIKELY))

    assert detect(b"[x]{}", serializers=table).name == "two"
    assert detect(b"[1, 2]", serializers=table).name == "json"


def test_other_json_is_no_second_format():
    class Sorted(JsonSerializer):
        def __init__(self):
            super().__init__(indent=True)
            self.name = "sorted"

    packed = GzipSerializer(get("yaml"), name="small", level=9)
    table = _table(Sorted(), packed)

    assert detect(b"{}", serializers=table).name == "json"
    assert detect(packed.dumps(SAMPLE), serializers=table).name == "yaml+gzip"


def test_extensions_are_longest_first():
    table = _table(Marked(extension=".m"))

    assert table.extensions() == (".json.gz", ".yaml.gz", ".json", ".m.gz", ".yaml", ".m")


@pytest.mark.parametrize(
    ("file_name", "split"),
    [
        ("a.json", ("a", ".json")),
        ("a.json.gz", ("a", ".json.gz")),
        ("a.b.yaml", ("a.b", ".yaml")),
        ("a.json.json", ("a.json", ".json")),
        ("a.gz", ("a.gz", "")),
        ("a", ("a", "")),
        (".json", (".json", "")),
        ("a.mark", ("a", ".mark")),
    ],
)
def test_file_names_lose_their_extension(file_name, split):
    table = _table()
    assert table.split_extension("a.yaml") == ("a", ".yaml")
    table.register(Marked())

    assert table.split_extension(file_name) == split


# --- installed packages ---------------------------------------------------------------


class FakePoint:
    def __init__(self, name, made):
        self.name, self.value, self._made = name, f"package:{name}", made

    def load(self):
        if isinstance(self._made, Exception):
            raise self._made
        return self._made


@pytest.fixture
def installed(monkeypatch):
    points = []
    asked = []

    def entry_points(*, group):
        asked.append(group)
        return points if group == "statestore.serializers" else []

    monkeypatch.setattr(metadata, "entry_points", entry_points)
    return points, asked


def test_installed_serializer_is_found(installed):
    points, asked = installed
    points.append(FakePoint("marked", Marked))
    table = _table()

    assert detect(b"{}", serializers=table).name == "json"
    assert table.split_extension("a.json") == ("a", ".json")
    assert not asked

    assert detect(b"MARK{}", serializers=table).name == "marked"
    assert table.get("marked") is table.get("marked")
    assert table.get("marked+gzip").extension == ".mark.gz"
    assert table.names() == ("json", "compact", "gzip", "yaml", "marked")
    assert ".mark.gz" in table.extensions()
    assert table.split_extension("a.mark") == ("a", ".mark")
    assert asked == ["statestore.serializers"]


def test_installed_serializer_with_a_taken_name_is_left_out_with_a_warning(installed):
    installed[0].append(FakePoint("json", Marked))
    installed[0].append(FakePoint("mark", Marked))
    table = _table()

    with pytest.warns(RuntimeWarning, match="'json' is registered already"):
        names = table.names()

    assert names[-1] == "mark"
    assert table.get("json").dumps([]) == b"[]\n"


def test_serializer_that_cannot_be_imported_is_named_and_hinders_no_other(installed):
    installed[0].append(FakePoint("broken", ImportError("no such module")))
    table = _table()

    assert detect(b"a: 1\n", serializers=table).name == "yaml"
    assert table.extensions()[0] == ".json.gz"
    with pytest.raises(UnknownFormat, match="broken"):
        detect(b"BROKEN", serializers=table)
    with pytest.raises(ImportError):
        table.get("broken")


def test_plain_json_needs_nothing_more():
    code = """
import sys
before = set(sys.modules)
from statestore.serializers import decode, detect, get, split_extension
for name in ("json", "compact", "gzip"):
    get(name).loads(get(name).dumps({"a": [1, "x"]}))
for name in ("json", "compact"):
    assert detect(get(name).dumps({"a": [1, "x"]})).name == "json"
split_extension("a.json")
get("yaml").dumps({"a": [1, "x"]})
for module in ("yaml", "gzip", "importlib.metadata", "hypothesis", "pytest"):
    assert module in before or module not in sys.modules, module
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_module_functions_share_one_table():
    code = """
from statestore.errors import NameTaken
from statestore.serializers import detect, extensions, get, names, register
class Mine:
    name, extension = "mine", ".mine"
    def dumps(self, document): return b"MINE"
    def loads(self, data): return {}
    def sniff(self, data): return 2 if data.startswith(b"MINE") else 0
mine = Mine()
register(mine)
assert get("mine") is mine and names()[-1] == "mine" and ".mine.gz" in extensions()
try:
    register(Mine())
except NameTaken:
    pass
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True)
