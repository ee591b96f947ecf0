"""Names of record files: the rules of the layout, applied by hand."""

import base64
import hashlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statestore.drivers.names import file_stem, guess_id, stem_of
from statestore.errors import InvalidId
from statestore.models.keys import SETTINGS_ID, check_id
from statestore.testing.driver import HOSTILE_IDS


def suffix(id):
    return "~" + base64.b32encode(hashlib.sha256(id.encode()).digest()).decode()[:12].lower()


READABLE = {
    "a": "a",
    "sess-123": "sess-123",
    "a.b_c-d": "a.b_c-d",
    "-rf": "-rf",
    "_": "_",
    "0": "0",
    "manifest.json": "manifest.json",
    "console": "console",
    "com": "com",
    "com10": "com10",
    "a.con": "a.con",
    "x" * 120: "x" * 120,
}
ESCAPED = {
    "a/b": "a%2Fb",
    "/abs": "%2Fabs",
    "a b": "a%20b",
    "a%2fb": "a%252fb",
    "a~b": "a%7Eb",
    "@manager": "%40manager",
    "a:b": "a%3Ab",
    "a\nb": "a%0Ab",
    "\x7f": "%7F",
    "\u00e9": "%C3%A9",
    "e\u0301": "e%CC%81",
    "\u4e2d": "%E4%B8%AD",
    "\U0001f600": "%F0%9F%98%80",
    "\u00e9" * 20: "%C3%A9" * 20,
}
HASHED = {
    "A": "A",
    "Sess-1": "Sess-1",
    "\u00c9": "%C3%89",
    "\u0130": "%C4%B0",
    ".": ".",
    "..": "..",
    "../x": "..%2Fx",
    ".tmp": ".tmp",
    "a.": "a.",
    " a": "%20a",
    "a ": "a%20",
    "con": "con",
    "CON": "CON",
    "nul.txt": "nul.txt",
    "aux.tar.gz": "aux.tar.gz",
    "com1": "com1",
    "lpt0": "lpt0",
    "com\u00b9": "com%C2%B9",
    "conin$": "conin%24",
    "x" * 121: "x" * 120,
    "\u00e9" * 21: "%C3%A9" * 20,
    "x" + "\u00e9" * 20: "x" + "%C3%A9" * 19 + "%C3",
    "xx" + "\u00e9" * 20: "xx" + "%C3%A9" * 19 + "%C3",
    "xxxx" + "\u00e9" * 20: "xxxx" + "%C3%A9" * 19,
}


def name_of(value):
    return ascii(value)[:30]


@pytest.mark.parametrize(("id", "stem"), [*READABLE.items(), *ESCAPED.items()], ids=name_of)
def test_id_stays_readable(id, stem):
    assert file_stem(id) == stem


@pytest.mark.parametrize(("id", "stem"), HASHED.items(), ids=name_of)
def test_id_that_some_system_confuses_gets_a_hash(id, stem):
    assert file_stem(id) == stem + suffix(id)


def by_the_rules(id):
    """What the name is by the text of the rules, one after the other."""
    stem = re.sub(rb"[^A-Za-z0-9._-]", lambda m: b"%%%02X" % m[0][0], id.encode()).decode()
    device = re.fullmatch(
        r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])(\..*)?",
        id.lower(),
        re.S,
    )
    odd = id != id.lower() or device or id[0] in " ." or id[-1] in " ." or len(stem) > 120
    return re.sub(r"%.?\Z", "", stem[:120]) + suffix(id) if odd else stem


ids = st.one_of(
    st.sampled_from(HOSTILE_IDS),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1),
    st.text("aA.~% -@\u00e9\u00c9/", min_size=1, max_size=8),
    st.text("a\u00e9\u4e2d", min_size=30, max_size=130),
    st.sampled_from(["con", "nul", "com1"]).flatmap(
        lambda d: st.text("aA. 1").map(lambda t: d + t)
    ),
).filter(lambda id: len(id.encode()) <= 1024)


@settings(max_examples=400, deadline=None)
@given(ids)
def test_name_follows_the_rules(id):
    stem = file_stem(check_id(id))

    assert stem == by_the_rules(id)
    assert re.fullmatch(r"[A-Za-z0-9._%~-]{1,133}", stem)
    assert re.fullmatch(r"([^%]|%[0-9A-F]{2})*", stem), "an escape is cut"
    assert stem[0] != "." or "~" in stem
    assert stem[-1] not in ". "


@settings(max_examples=300, deadline=None)
@given(ids, ids)
def test_different_ids_have_different_names_on_every_system(one, other):
    same = file_stem(one).casefold() == file_stem(other).casefold()

    assert same == (one == other)


@settings(max_examples=200, deadline=None)
@given(st.text("aA", min_size=1, max_size=6))
def test_case_twins_have_different_names_on_every_system(id):
    assert len({file_stem(twin).casefold() for twin in {id, id.lower(), id.upper()}}) == len(
        {id, id.lower(), id.upper()}
    )


def test_hostile_ids_all_have_names_of_their_own():
    assert len({file_stem(id).casefold() for id in HOSTILE_IDS}) == len(HOSTILE_IDS)


@pytest.mark.parametrize("id", HOSTILE_IDS, ids=name_of)
def test_name_of_a_file_is_split_as_it_was_put_together(id):
    for extension in (".json", ".json.gz", ".yaml", ".yaml.gz"):
        assert stem_of(file_stem(id) + extension) == file_stem(id)


@pytest.mark.parametrize(
    "name",
    [
        *("@other.json", ".@1234.tmp", "a.tmp", "a.json.tmp", ".json", "a", "a.txt", "a@b.json"),
        *("@manager", "@manager.txt", "@manager2.json", "@manager.json.tmp", "@.json"),
    ],
)
def test_what_is_no_name_of_a_record_is_told(name):
    assert stem_of(name) is None


@pytest.mark.parametrize("extension", [".json", ".json.gz", ".yaml", ".yaml.gz"])
def test_settings_have_the_name_that_no_id_has(extension):
    assert file_stem(SETTINGS_ID) == "@manager"
    assert stem_of("@manager" + extension) == "@manager"
    assert guess_id("@manager") == SETTINGS_ID
    with pytest.raises(InvalidId):
        check_id(SETTINGS_ID)


@pytest.mark.parametrize("id", [*READABLE, *ESCAPED], ids=name_of)
def test_readable_name_says_the_id(id):
    assert guess_id(file_stem(id)) == id


def test_name_that_is_no_text_is_guessed_as_something_printable():
    guess_id(b"a\xff%FF".decode(errors="surrogateescape")).encode()
