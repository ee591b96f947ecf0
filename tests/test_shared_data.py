"""Real transcripts and naughty strings, where a folder of them is at hand."""

import json
import os
import unicodedata
from pathlib import Path

import attrs
import pytest

from statestore import Manager, Store
from statestore.errors import InvalidId
from statestore.managers import ConversationManager, SessionManager
from statestore.models.documents import FrozenDict, freeze_mapping, thaw

SHARED = Path(os.environ.get("STATESTORE_SHARED", ""))
FORMATS = ("json", "gzip", "yaml", "compact")

pytestmark = [
    pytest.mark.skipif(
        "STATESTORE_SHARED" not in os.environ, reason="STATESTORE_SHARED names no folder"
    ),
    pytest.mark.usefixtures("files_at_once"),  # they look at the files
]

TRANSCRIPTS = SHARED / "data" / "transcripts"
SWE_AGENT = sorted(TRANSCRIPTS.glob("swe-agent/*.traj"))
CLAUDE_CODE = sorted(TRANSCRIPTS.glob("claude-code/*.jsonl"))


@attrs.frozen
class Note:
    id: str
    values: FrozenDict = attrs.field(factory=FrozenDict, converter=freeze_mapping)


class Imported:
    def __init__(self, path, **options):
        self.store = Store(path, **options)
        self.sessions = self.store.register(SessionManager())
        self.conversations = self.store.register(ConversationManager())
        self.store.load_all(strict=True)

    def of(self, source):
        """Return the conversation that was made of a file, as it is stored."""
        (one,) = [
            one for one in self.conversations if one.metadata["imported"]["source"] == source.name
        ]
        return self.store.raw(f"conversations/{one.id}")

    @property
    def records(self):
        return {*self.sessions.all(), *self.conversations.all()}


@pytest.fixture
def imported(tmp_path):
    made = Imported(tmp_path / "state")
    made.report = made.store.import_transcripts(TRANSCRIPTS)
    with made.store:
        yield made


def test_all_transcripts_come_in(imported):
    report = imported.report

    assert len(SWE_AGENT) == 15
    assert len(CLAUDE_CODE) == 2
    assert report.failures == ()
    assert report.conversations == len(imported.sessions) == len(imported.conversations) == 17
    assert report.messages == sum(len(one.messages) for one in imported.conversations)
    assert {one.session_id for one in imported.conversations} == set(imported.sessions.ids())
    assert imported.store.import_transcripts(TRANSCRIPTS).unchanged == 17


def test_messages_of_trajectories_have_every_field_of_their_sources(imported):
    for source in SWE_AGENT:
        whole = json.loads(source.read_text(encoding="utf-8"))
        stored = imported.of(source)

        assert len(stored["messages"]) == len(whole["history"]), source.name
        for kept, said in zip(stored["messages"], whole["history"], strict=True):
            assert {name: kept[name] for name in said if said[name] is not None} == {
                name: value for name, value in said.items() if value is not None
            }
            more = kept.keys() - said.keys()
            ids = said.get("tool_call_ids") or [None]
            assert kept["tool_call_id"] == (ids[0] if len(ids) == 1 else None)
            assert all(not kept[name] for name in more - {"id", "tool_call_id"})
        about = {k: v for k, v in whole.items() if k not in ("history", "trajectory")}
        session = imported.store.raw(f"sessions/{stored['session_id']}")
        assert about.items() <= session["metadata"].items()


def test_lines_of_claude_code_have_every_field_of_their_sources(imported):
    for source in CLAUDE_CODE:
        lines = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
        stored = imported.of(source)
        said = [
            line for line in lines if isinstance(line, dict) and line.get("message") is not None
        ]
        other = [line for line in lines if line not in said]

        assert [one["value"] for one in stored["metadata"]["other_lines"]] == other
        assert len(stored["messages"]) == len(said), source.name
        for kept, line in zip(stored["messages"], said, strict=True):
            message = line["message"]
            message = {"content": message} if isinstance(message, str) else message
            assert kept["role"] == message.get("role", line["type"])
            assert kept["content"] == message.get("content")
            rest = {k: v for k, v in message.items() if k not in ("role", "content")}
            assert kept.get("message", {}) == rest
            if "timestamp" in line:
                assert kept["created_at"] == line["timestamp"].replace("Z", ".000000Z")
            for name in line.keys() - {"message", "timestamp"}:
                assert kept[name] == line[name]


def _files(root):
    return {
        str(path.relative_to(root)): (path.read_bytes(), path.stat().st_mtime_ns)
        for kind in ("sessions", "conversations")
        for path in (root / kind).iterdir()
    }


def test_conversion_through_all_formats_ends_in_the_same_bytes(imported, tmp_path):
    before = _files(tmp_path / "state")
    assert len(before) == 34

    for format in ("gzip", "yaml", "compact", "json"):
        report = imported.store.convert(format)
        assert (report.items, report.failures) == (34, ())
        other = Imported(tmp_path / "state", read_only=True)
        assert other.records == imported.records
        other.store.close()

    assert _files(tmp_path / "state") == before


@pytest.mark.parametrize("format", FORMATS)
def test_store_with_each_file_in_another_format_loads_whole(imported, tmp_path, format, as_written):
    from statestore.serializers import get

    for number, path in enumerate(sorted((tmp_path / "state").glob("[sc]*/*"))):
        serializer = get(FORMATS[number % 4])
        document = get("json").loads(path.read_bytes())
        path.unlink()
        path.with_suffix(serializer.extension).write_bytes(serializer.dumps(document))
    as_written(tmp_path / "state")

    mixed = Imported(tmp_path / "state", format=format)

    assert mixed.records == imported.records
    assert set(mixed.store.stats().kinds["sessions"].formats) == {"json", "gzip", "yaml"}
    assert mixed.store.convert(format).failures == ()
    assert mixed.records == imported.records
    mixed.store.close()


# --- strings --------------------------------------------------------------------------


def _strings():
    with (SHARED / "data" / "strings" / "blns.json").open(encoding="utf-8") as file:
        strings = json.load(file)
    assert len(strings) > 500
    return sorted(set(strings))


def _twins(strings):
    """Return strings with others that differ from them in case or in Unicode form only."""
    found = set(strings)
    for text in strings:
        forms = (unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC", "NFKD"))
        found |= {text.upper(), text.lower(), text.title(), text.casefold(), *forms}
    return sorted(found)


@pytest.mark.parametrize("format", FORMATS)
def test_every_string_is_an_id_that_comes_back_or_is_refused_at_once(tmp_path, format):
    ids = _twins(_strings())
    refused = []
    with Store(tmp_path / "state", format=format) as store:
        notes = store.register(Manager("notes", Note))
        for id in ids:
            try:
                notes.create(id=id, values={"was": id})
            except InvalidId:
                refused.append(id)
                assert id not in notes
        assert os.listdir(tmp_path / "state/notes") == []  # nothing was written, whatever the id
        assert store.save_all().items == len(ids) - len(refused)
        for id in refused:
            with pytest.raises(InvalidId):
                store.raw(f"notes/{id}")

    assert refused == [""]
    files = os.listdir(tmp_path / "state/notes")
    assert len({name.casefold() for name in files}) == len(ids) - 1
    assert all(name.isascii() and len(name) <= 160 for name in files)
    assert sorted(os.listdir(tmp_path)) == ["state"]
    with Store(tmp_path / "state", read_only=True) as store:
        notes = store.register(Manager("notes", Note))
        assert store.load_all().failures == ()
        assert {one.id: one.values["was"] for one in notes} == {id: id for id in ids if id}


@pytest.mark.parametrize("format", FORMATS)
def test_every_string_comes_back_as_a_value_and_as_a_name(tmp_path, format):
    strings = _strings()
    values = {
        "list": strings,
        "names": {text: number for number, text in enumerate(strings)},
        "both": {text: text for text in strings},
    }
    with Store(tmp_path / "state", format=format) as store:
        sessions = store.register(SessionManager())
        sessions.create(id="s", metadata=values, tags=strings, name=strings[-1])
        for number, text in enumerate(strings):
            sessions.create(id=f"n{number}", name=text, metadata={text: [text]})

    with Store(tmp_path / "state", read_only=True) as store:
        sessions = store.register(SessionManager())
        assert store.load_all().failures == ()

        assert thaw(sessions["s"].metadata) == values
        assert list(sessions["s"].metadata["names"]) == strings
        assert list(sessions["s"].tags) == strings
        for number, text in enumerate(strings):
            one = sessions[f"n{number}"]
            assert (one.name, thaw(one.metadata)) == (text, {text: [text]})
