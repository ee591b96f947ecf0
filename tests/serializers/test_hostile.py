"""Bytes that are wrong, or meant to do harm."""

import tracemalloc
import zlib

import orjson
import pytest
import yaml

from statestore.errors import DecodeError, TooDeep, TooLarge
from statestore.models.documents import MAX_LEVEL
from statestore.serializers import get, json_text, text
from statestore.serializers.compressed import GzipSerializer
from statestore.testing.serializer import SECRET, nested

JSON_REFUSED = {
    b'{"a": 1, "a": 2}': "line 1 column 16",
    b'{"a": "}",\n "b": [{"c": {}, "c": {}}]}': "line 2 column 25",
    b'{"a": {"b": 1, "\\u0062": 2}}': "name twice",
    b'{"a": NaN}': r"at \$\.a",
    b'{"a": [0, Infinity]}': r"at \$\.a\[1\]",
    b'{"a": -Infinity}': r"at \$\.a",
    b'{"a": 1e400}': r"at \$\.a",
    b'{"a": -1e400}': r"at \$\.a",
    b'{"a": 18446744073709551616}': "64 bits",
    b'{"a": -9223372036854775809}': "64 bits",
    b'{"a": ' + b"9" * 5000 + b"}": "64 bits",
    b'{"a": "\\ud800"}': "surrogate",
    b'{"\\udc00": 1}': "surrogate",
    b'{"a": 1': "line 1 column 8",
    b'{"a": 1} x': "extra data",
    b'{"a": 1}{}': "extra data",
    b"{'a': 1}": "column 2",
    b'{"a": 1,}': "line 1 column",
    b'{"a": 01}': "line 1 column",
    b'{"a": .5}': "line 1 column",
    b'{"a": +5}': "line 1 column",
    b'{"a": "\n"}': "line 1 column",
    b'{"a": "\\x"}': "line 1 column",
    b'// x\n{"a": 1}': "line 1 column 1",
    b'\xef\xbb\xbf\xef\xbb\xbf{"a": 1}': "column 1",
    b"\xef\xbb\xbf": "empty",
    b"   ": "expecting value",
    b'{"a": 1}\x0c': "extra data",
    b'{"a":\n"\xff"}': "line 2 is not UTF-8",
    '{"a": 1}'.encode("utf-16"): "UTF-16",
    '{"a": 1}'.encode("utf-32"): "UTF-32",
    '{"a": 1}'.encode("utf-16-le"): "line 1",
    b"\0" * 99: "zero bytes",
}


@pytest.mark.parametrize("name", ["json", "compact"])
@pytest.mark.parametrize(("data", "reason"), JSON_REFUSED.items(), ids=ascii)
def test_bad_json_is_refused_with_the_place(name, data, reason):
    with pytest.raises(DecodeError, match=reason):
        get(name).loads(data)


JSON_READ = {
    b'\xef\xbb\xbf{"a": 1}': {"a": 1},
    b'\xef\xbb\xbf{\n  "a": 1\n}\n': {"a": 1},
    b'{\r\n  "a": "x\\r\\ny"\r\n}\r\n': {"a": "x\r\ny"},
    b'\t{ "a" :\n[ ] }  ': {"a": []},
    b'{"a":1}\n': {"a": 1},
    b'{"a": "\\ud83d\\ude00\\/"}': {"a": "\U0001f600/"},
    b"[18446744073709551615, -9223372036854775808]": [2**64 - 1, -(2**63)],
    b"[1E5, 1.0, 1, -0.0, 100000000000000000000.0]": [1e5, 1.0, 1, -0.0, 1e20],
    b'{"": {"a": 1}, "b": {"a": 1}}': {"": {"a": 1}, "b": {"a": 1}},
}


@pytest.mark.parametrize("name", ["json", "compact"])
@pytest.mark.parametrize(("data", "document"), JSON_READ.items(), ids=ascii)
def test_json_of_others_is_read_exactly(name, data, document):
    assert repr(get(name).loads(data)) == repr(document)


def _spaced(document):
    return orjson.dumps(document).replace(b",", b" ,").replace(b"{", b"{ ").replace(b"[", b"[ ")


WRITERS = {
    "indented": lambda document: orjson.dumps(document, option=orjson.OPT_INDENT_2),
    "indented, newline": lambda document: orjson.dumps(
        document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    ),
    "compact": orjson.dumps,
    "compact, newline": lambda document: orjson.dumps(document) + b"\n",
    "otherwise": _spaced,
}


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS.keys())
@pytest.mark.parametrize("mappings", [False, True], ids=["lists", "mappings"])
@pytest.mark.parametrize("name", ["json", "compact", "yaml"])
def test_limit_of_depth_is_the_same_on_reading(name, mappings, writer):
    for value in (1, "x", [], {}, ["deepest"][:0]):
        deepest = nested(MAX_LEVEL, value, mappings=mappings)

        assert get(name).loads(writer(deepest)) == deepest
        with pytest.raises(TooDeep):
            get(name).loads(writer(nested(MAX_LEVEL + 1, value, mappings=mappings)))
        with pytest.raises(TooDeep):
            get(name).loads(writer([deepest, 1]))


def test_text_that_looks_deep_is_not():
    document = {"a": "\n" + " " * 500, "b": ["[" * 500, "{" * 500]}

    for name in ("json", "compact", "yaml"):
        assert get(name).loads(get(name).dumps(document)) == document


@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 10**5 + b"]" * 10**5])
@pytest.mark.parametrize("name", ["json", "compact", "yaml"])
def test_hostile_depth_is_refused(name, data):
    with pytest.raises(TooDeep):
        get(name).loads(data)


@pytest.mark.parametrize("data", [b"- " * 5000 + b"x", b"? " * 5000 + b"x"], ids=["lists", "keys"])
def test_hostile_depth_of_blocks_is_refused(data):
    with pytest.raises(DecodeError):
        get("yaml").loads(data)


def test_strict_reading_and_fast_reading_agree():
    document = {"a": [1, 1.0, True, None, "é\n", 2**64 - 1, {"b": {}}], "c": -0.0}
    data = get("json").dumps(document)

    assert repr(json_text._loads_strictly(data, "json")) == repr(get("json").loads(data))


@pytest.fixture(params=["libyaml", "python"])
def each_parser(request, monkeypatch):
    """Run with libyaml, where PyYAML has it, and without."""
    if request.param == "python":
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)


YAML_REFUSED = {
    b"a: &x [1]\nb: *x\n": "line 1 column 4 has an anchor",
    b"a: &x [x,x]\nb: &y [*x,*x]\n": "anchor",
    b"a: *x\n": "alias",
    b"*x : 1\n": "alias",
    b"&x a: 1\n": "anchor",
    b"a: !!python/object/apply:os.system [id]\n": "line 1 column 4 has a tag",
    b"a: !!str 1\n": "tag",
    b"a: ! x\n": "tag",
    b"!!map {a: 1}\n": "tag",
    b"!x a: 1\n": "tag",
    b"a: 1\nb: 2\na: 3\n": "line 3 column 1 has a key that is in its mapping",
    b"a: 1\n'a': 3\n": "line 2",
    b"x:\n  - a: 1\n    a: 1\n": "line 3 column 5",
    b"a: 1\n---\nb: 1\n": "second document",
    b"a: 1\n...\n---\n": "second document",
    b"a: 1\n...\nb: 1\n": "line 3",
    b"? [a, b]\n: 1\n": "no scalar",
    b"? {a: b}\n: 1\n": "no scalar",
    b"# only this\n": "empty",
    b"": "empty",
    b"\xef\xbb\xbf": "empty",
    b"a: [1\n": "line 2 column 1",
    b"a: 'x\n": "line",
    b"a: b: c\n": "line 1 column",
    b"a:\n\tb: 1\n": "line 2",
    b"a: 18446744073709551616\n": "64 bits",
    b"a: -9223372036854775809\n": "64 bits",
    b"a: " + b"9" * 5000: "64 bits",
    b"a: 1e400\n": "too large",
    b"a: -1.0e+400\n": "too large",
    b'a: "\\ud800"\n': "line 1",
    b'a: "\\ud83d\\ude00"\n': "line 1",
    b"a: 1\nb: \x07\n": "line 2 has a control character",
    b"a: 1\0\n": "control character",
    b"a: \xff\n": "line 1 is not UTF-8",
    "a: 1\n".encode("utf-16"): "UTF-16",
}


@pytest.mark.usefixtures("each_parser")
@pytest.mark.parametrize(("data", "reason"), YAML_REFUSED.items(), ids=ascii)
def test_bad_yaml_is_refused_with_the_place(data, reason):
    with pytest.raises(DecodeError, match=reason):
        get("yaml").loads(data)


YAML_READ = {
    b"no: no\n1: 1:30\ntrue: 017\nnull: 2026-11-20\n~: .inf\n<<: =\n": {
        "no": "no",
        "1": "1:30",
        "true": "017",
        "null": "2026-11-20",
        "~": ".inf",
        "<<": "=",
    },
    b"a: 1\nb: -1\nc: 1.5\nd: 1e5\ne: 1.0e+20\nf: -0.0\ng: 0\nh: -0\n": {
        "a": 1,
        "b": -1,
        "c": 1.5,
        "d": 1e5,
        "e": 1e20,
        "f": -0.0,
        "g": 0,
        "h": 0,
    },
    b"a: true\nb: false\nc: null\nd: ~\ne:\nf: True\ng: NULL\n": {
        "a": True,
        "b": False,
        "c": None,
        "d": None,
        "e": None,
        "f": "True",
        "g": "NULL",
    },
    b"a: '1'\nb: \"true\"\nc: ''\nd: |\n  1\ne: >-\n  2\n": {
        "a": "1",
        "b": "true",
        "c": "",
        "d": "1\n",
        "e": "2",
    },
    b"a: +1\nb: 0x1F\nc: 1_000\nd: .5\ne: 5.\nf: 0o17\n": {
        "a": "+1",
        "b": "0x1F",
        "c": "1_000",
        "d": ".5",
        "e": "5.",
        "f": "0o17",
    },
    b"\xef\xbb\xbf# note\r\n---\r\na: |\r\n  x\r\n  y\r\nb: [c, {d: e}]\r\n...\r\n": {
        "a": "x\ny\n",
        "b": ["c", {"d": "e"}],
    },
    b"%YAML 1.2\n---\na: 1\n": {"a": 1},
    b"a:\n- 1\n- b: 2\n  c: 3\n": {"a": [1, {"b": 2, "c": 3}]},
    b'{"a": [1, "x"], "b": {}}': {"a": [1, "x"], "b": {}},
}


@pytest.mark.usefixtures("each_parser")
@pytest.mark.parametrize(("data", "document"), YAML_READ.items(), ids=ascii)
def test_yaml_of_others_is_read_by_the_rules_of_json(data, document):
    assert repr(get("yaml").loads(data)) == repr(document)


def test_yaml_is_written_for_people():
    document = {
        "kind": "conversations",
        "saved_at": "2026-11-20T17:00:00.123456Z",
        "data": {
            "messages": [
                {"role": "user", "content": "Hello:\n\n  code\nbye", "name": None, "calls": []},
                {"role": "assistant", "content": "One line, with [all] 'sorts' of {signs}: no?"},
            ],
            "tags": ["a b", "no", "1"],
            "log": "kept\n\n",
            "raw": "  first\nthen\n",
            "matrix": [[1, 2.0], [1e16]],
        },
    }

    assert (
        get("yaml").dumps(document).decode()
        == """\
# whole with its last line, which is three dots
kind: conversations
saved_at: "2026-11-20T17:00:00.123456Z"
data:
  messages:
    - role: user
      content: |-
        Hello:

          code
        bye
      name: null
      calls: []
    - role: assistant
      content: "One line, with [all] 'sorts' of {signs}: no?"
  tags:
    - a b
    - "no"
    - "1"
  log: |+
    kept

  raw: |2
      first
    then
  matrix:
    - - 1
      - 2.0
    - - 1.0e+16
...
"""
    )


def test_repeated_containers_are_written_out():
    inner = {"a": [1]}

    data = get("yaml").dumps({"x": inner, "y": inner, "z": [inner, inner]})

    assert b"&" not in data
    assert b"*" not in data


# --- gzip -----------------------------------------------------------------------------


def _packed(data):
    return zlib.compress(data, 1, 31)


def _wrong_sum(data):
    return data[:-8] + bytes([data[-8] ^ 1]) + data[-7:]


def _wrong_length(data):
    return data[:-1] + bytes([data[-1] ^ 1])


def test_gzip_has_the_same_header_everywhere():
    data = get("gzip").dumps({"a": 1})

    assert data[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    assert zlib.decompress(data, 31) == b'{"a":1}'


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[:12],
        lambda data: data[:2],
        lambda data: data + b"x",
        lambda data: data + b"\0" * 512,
        lambda data: data + data,
        _wrong_sum,
        _wrong_length,
        lambda data: b"\x1f\x8b" + b"\xff" * 50,
        lambda data: b"\x1f\x8b\x08\x04" + data[4:],
        lambda data: data[2:],
        lambda data: _packed(data),
        lambda data: _packed(b""),
        lambda data: _packed(b"\0" * 100),
        lambda data: b'{"a":1}',
        lambda data: zlib.compress(b'{"a":1}'),
    ],
)
def test_damaged_gzip_is_refused(damage):
    data = get("gzip").dumps({"a": "x" * 100})

    with pytest.raises(DecodeError):
        get("gzip").loads(damage(data))


def test_gzip_bomb_is_refused_in_little_memory():
    limit = 100_000
    serializer = GzipSerializer(get("compact"), max_size_bytes=limit)
    bomb = zlib.compress(b"[" + b"0," * 25_000_000 + b"0]", 9, 31)
    assert len(bomb) < limit

    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            serializer.loads(bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 10 * limit


def test_gzip_keeps_to_its_limit_exactly():
    document = "x" * 98
    exact = GzipSerializer(get("compact"), max_size_bytes=100)
    less = GzipSerializer(get("compact"), max_size_bytes=99)

    data = exact.dumps(document)

    assert exact.loads(data) == document
    with pytest.raises(TooLarge):
        less.loads(data)
    with pytest.raises(TooLarge):
        less.dumps(document)


@pytest.mark.parametrize("name", ["json", "compact", "yaml"])
def test_size_has_a_limit_both_ways(name, monkeypatch):
    document = {"a": "x" * 200}
    data = get(name).dumps(document)
    monkeypatch.setattr(text, "MAX_SIZE_BYTES", 100)

    with pytest.raises(TooLarge):
        get(name).dumps(document)
    with pytest.raises(TooLarge):
        get(name).loads(data)


# --- what errors say ------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b'{"a": "SECRET", "a": "SECRET"}',
        b'{"a": "SECRET" "SECRET"}',
        b'{"a": SECRET}',
        b'{"a": ["SECRET", NaN]}',
        b'{"a": "SECRET\\ud800"}',
        b'{"a": "SECRET',
        b"a: SECRET\nb: [SECRET\n",
        b"a: SECRET: SECRET\n",
        b"a: &SECRET x\n",
        b"a: *SECRET\n",
        b"a: !SECRET x\n",
        b"a: |SECRET\n",
        b'a: "SECRET\\ud800"\n',
        b"a: 'SECRET\n",
        b"SECRET",
    ],
)
@pytest.mark.usefixtures("each_parser")
@pytest.mark.parametrize("name", ["json", "yaml"])
def test_errors_do_not_quote_values(name, data):
    data = data.replace(b"SECRET", SECRET.encode())

    message = ""
    try:
        get(name).loads(data)
    except DecodeError as error:
        message = str(error)

    assert SECRET not in message
