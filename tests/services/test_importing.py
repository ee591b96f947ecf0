"""Transcripts of agents: taken in whole, once, and nothing else touched."""

import json
import os

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from statestore import Store
from statestore.errors import UnknownName, UnknownTranscript
from statestore.managers import ConversationManager, SessionManager
from statestore.services.transcripts import read_transcripts
from statestore.testing.strategies import texts

HISTORY = [
    {"role": "system", "content": "You mend bicycles.", "agent": "primary"},
    {"role": "user", "content": "The chain squeaks.", "agent": "primary", "is_demo": True},
    {
        "role": "assistant",
        "content": "I look at it.",
        "thought": "oil?",
        "action": "look",
        "tool_calls": [{"id": "k1", "type": "function", "function": {"name": "look"}}],
    },
    {"role": "tool", "content": "dry", "tool_call_ids": ["k1"]},
]
TRAJECTORY = {
    "environment": "workshop",
    "trajectory": [{"action": "look", "observation": "dry"}],
    "history": HISTORY,
    "info": {"exit_status": "done", "cost": 0.5},
}
STEPS_ONLY = {
    "environment": "workshop",
    "trajectory": [
        {"response": "I look.", "observation": "dry", "thought": "oil?", "state": "{}"},
        {"response": "I oil.", "observation": None, "role": "nurse", "tokens": "few"},
    ],
}


def claude(uuid, message, *, type="user", session="ride", at="2026-05-01T08:00:00Z", **more):
    line = {"type": type, "uuid": uuid, "sessionId": session, "timestamp": at, "cwd": "/shed"}
    return {**line, "message": message, **more}


CLAUDE = [
    claude("u1", {"role": "user", "content": [{"type": "text", "text": "Mend it\nnow"}]}),
    claude(
        "u2",
        {
            "id": "said_1",
            "role": "assistant",
            "model": "m",
            "content": [{"type": "tool_use", "id": "k1", "name": "Oil", "input": {"drops": 3}}],
            "usage": {"output_tokens": 7},
        },
        type="assistant",
        at="2026-05-01T08:00:01.250Z",
        requestId="r1",
    ),
    claude(
        "u3",
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "k1", "content": "oiled"}],
        },
        toolUseResult={"stdout": "oiled"},
    ),
    {"type": "summary", "summary": "The chain was oiled.", "leafUuid": "u3"},
]
CHAT = [
    {"role": "developer", "content": "Be brief."},
    {"role": "user", "content": "Is it dry?", "name": "ann"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "k1", "type": "function", "function": {"name": "feel"}}],
        "refusal": None,
    },
    {"role": "tool", "content": "dry", "tool_call_id": "k1"},
]


def as_lines(values, end="\n"):
    return "".join(json.dumps(value) + end for value in values)


KINDS = {
    "swe-agent": (json.dumps(TRAJECTORY), 4),
    "swe-agent, steps": (json.dumps(STEPS_ONLY), 3),
    "claude-code": (as_lines(CLAUDE), 3),
    "chat, list": (json.dumps(CHAT), 4),
    "chat, object": (json.dumps({"id": "talk", "title": "Chain", "messages": CHAT}), 4),
    "chat, message per line": (as_lines(CHAT), 4),
    "chat, one line": (as_lines(CHAT[:1]), 1),
    "chat, conversation per line": (as_lines([{"messages": CHAT}, {"messages": CHAT[1:]}]), 7),
}


@pytest.fixture
def put(tmp_path):
    def write(name, content):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(content, str | bytes):
            content = json.dumps(content)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def messages_of(path):
    (transcript,) = read_transcripts(str(path))
    return transcript.messages


@pytest.mark.parametrize("name", ["x.traj", "x.jsonl", "x.json", "notes.txt", "bare"])
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_known_by_its_content_whatever_it_is_called(put, kind, name):
    content, count = KINDS[kind]

    transcripts = read_transcripts(str(put(name, content)))

    assert {one.type for one in transcripts} == {kind.partition(",")[0]}
    assert sum(len(one.messages) for one in transcripts) == count


@pytest.mark.parametrize("kind", KINDS)
def test_byte_order_mark_crlf_and_blank_lines_change_nothing(put, kind):
    content, _ = KINDS[kind]
    plain = read_transcripts(str(put("x", content)))

    for other in (
        "\ufeff" + content,
        content.replace("\n", "\r\n"),
        "\n\n" + content.replace("\n", "\n \r\n\t\n"),
    ):
        assert [one.digest for one in read_transcripts(str(put("x", other)))] == [
            one.digest for one in plain
        ]


# --- what is kept ---------------------------------------------------------------------


def test_swe_agent_history_becomes_messages_with_all_their_fields(put, world):
    w = world()

    report = w.store.import_transcripts(put("bike.traj", TRAJECTORY))

    (conversation,), (session,) = w.conversations.all(), w.sessions.all()
    assert [(m.role, m.content) for m in conversation.messages] == [
        (m["role"], m["content"]) for m in HISTORY
    ]
    assert conversation.messages[0].extra == {"agent": "primary"}
    assert conversation.messages[1].extra == {"agent": "primary", "is_demo": True}
    assert conversation.messages[2].extra == {"thought": "oil?", "action": "look"}
    assert conversation.messages[2].tool_calls[0].name == "look"
    assert conversation.messages[3].tool_call_id == "k1"
    assert conversation.session_id == session.id
    assert (session.project_id, session.agent, session.name) == ("workshop", "swe-agent", "bike")
    assert session.metadata["info"] == {"exit_status": "done", "cost": 0.5}
    assert (report.items, report.conversations, report.messages) == (1, 1, 4)
    assert any("1 steps" in note for note in report.notes)


def test_swe_agent_steps_alone_become_messages(put):
    first, second, third = messages_of(put("bike.traj", STEPS_ONLY))

    assert (first.role, first.content) == ("assistant", "I look.")
    assert first.extra == {"thought": "oil?", "state": "{}"}
    assert (second.role, second.content) == ("user", "dry")
    assert (third.role, third.content) == ("assistant", "I oil.")
    assert third.extra["source"] == {"role": "nurse", "tokens": "few"}


@pytest.mark.parametrize(
    ("whole", "kept"),
    [
        ({"history": HISTORY, "trajectory": 5}, {"trajectory": 5}),
        ({"history": {"a": 1}, "trajectory": STEPS_ONLY["trajectory"]}, {"history": {"a": 1}}),
    ],
)
def test_swe_agent_fields_of_another_shape_are_kept_beside(put, whole, kept):
    (transcript,) = read_transcripts(str(put("x", whole)))

    assert transcript.messages
    assert transcript.about == kept


def test_claude_code_session_keeps_parts_times_and_every_field_of_a_line(put, world):
    w = world()

    w.store.import_transcripts(put("a.jsonl", as_lines(CLAUDE)))

    conversation, session = w.conversations["ride"], w.sessions["ride"]
    user, assistant, result = conversation.messages
    assert (user.id, assistant.id, result.id) == ("u1", "u2", "u3")
    assert user.content[0].text == "Mend it\nnow"
    assert assistant.content[0].input == {"drops": 3}
    assert assistant.extra["message"] == {
        "id": "said_1",
        "model": "m",
        "usage": {"output_tokens": 7},
    }
    assert assistant.extra["requestId"] == "r1"
    assert assistant.created_at.microsecond == 250_000
    assert result.content[0].tool_use_id == "k1"
    assert result.extra["toolUseResult"] == {"stdout": "oiled"}
    assert conversation.title == "Mend it"
    assert conversation.summary == "The chain was oiled."
    assert conversation.metadata["other_lines"] == ({"line": 4, "value": CLAUDE[3]},)
    assert (session.project_id, session.agent) == ("/shed", "claude-code")
    assert (session.started_at, session.ended_at) == (user.created_at, assistant.created_at)


def test_odd_lines_of_claude_code_are_kept(put, world):
    w = world()
    lines = [
        claude("u1", "only a text"),
        claude("u1", {"role": "user", "content": ["plain", {"type": "text", "text": "part"}]}),
        claude("u4", {"role": "user"}),
        claude("u5", {"role": 7, "content": "odd role"}),
        {"type": "system", "content": "compacted", "uuid": "u6", "level": "info"},
        claude("u7", None),
        {"type": "weather", "uuid": "u8", "rain": True},
        claude("u9", {"content": "own"}, source="web", name=5, metadata="m", id=9),
        42,
    ]
    torn = '{"type": "user", "message": {"ro'

    report = w.store.import_transcripts(put("a.jsonl", as_lines(lines) + torn))

    conversation = w.conversations["ride"]
    said = {m.id: m for m in conversation.messages}
    assert list(said) == ["u1", "u1-line-2", "u4", "u5", "u6", "u9"]
    assert said["u1"].content == "only a text"
    assert said["u1-line-2"].content == ("plain", {"type": "text", "text": "part"})
    assert said["u4"].content is None
    assert (said["u5"].role, said["u5"].extra["message"]) == ("user", {"role": 7})
    assert (said["u6"].role, said["u6"].content) == ("system", "compacted")
    assert said["u6"].extra["level"] == "info"
    assert said["u9"].extra["source"] == "web"
    assert said["u9"].extra["source_"] == {"name": 5, "metadata": "m", "id": 9}
    assert conversation.metadata["other_lines"] == (
        {"line": 6, "value": lines[5]},
        {"line": 7, "value": lines[6]},
        {"line": 9, "value": 42},
        {"line": 10, "value": torn},
    )
    assert any("line 6, 7, 9, 10" in note for note in report.notes)
    assert not report.failures


def test_chat_object_gives_its_id_title_and_other_fields(put, world):
    w = world()
    whole = {"id": "talk/1", "title": "Chain", "model": "m", "messages": CHAT}

    w.store.import_transcripts(put("x.json", whole))

    conversation = w.conversations["talk/1"]
    developer, user, assistant, tool = conversation.messages
    assert (conversation.title, w.sessions["talk/1"].metadata["model"]) == ("Chain", "m")
    assert (developer.role, user.name) == ("developer", "ann")
    assert (assistant.content, assistant.tool_calls) == (None, tuple(CHAT[2]["tool_calls"]))
    assert (tool.role, tool.tool_call_id) == ("tool", "k1")


def test_conversations_of_one_file_are_apart(put, world):
    w = world()
    lines = [{"id": "one", "messages": CHAT}, {"other": 1}, CHAT[:2]]

    report = w.store.import_transcripts(put("x.jsonl", as_lines(lines)))

    assert [len(one.messages) for one in w.conversations] == [4, 2]
    assert (report.conversations, report.messages) == (2, 6)
    assert any("1 lines hold no conversation" in note for note in report.notes)


def test_fields_named_as_ours_but_of_other_types_are_kept(put):
    odd = {
        "role": "user",
        "content": {"a": 1},
        "metadata": "text",
        "name": None,
        "id": 5,
        "tokens": -1,
        "tool_calls": "none",
        "tool_call_id": 3,
        "created_at": "yesterday",
        "timestamp": 17,
        "extra": "more",
        "source": "web",
    }

    (message,) = messages_of(put("x.json", [odd]))

    assert (message.role, message.content, message.name) == ("user", None, None)
    assert message.extra["timestamp"] == 17
    assert message.extra["source"] == "web"
    assert message.extra["source_"] == {
        name: odd[name]
        for name in (
            *("content", "metadata", "id", "tokens", "tool_calls", "tool_call_id", "created_at"),
            "extra",
        )
    }


@pytest.mark.parametrize("text", [{"value": "hi", "annotations": []}, 5, None, ["a"]])
def test_text_parts_of_any_shape_are_kept(put, text):
    content = [{"type": "text", "text": text}, {"type": "text", "text": "title"}]

    (transcript,) = read_transcripts(str(put("x.json", [{"role": "user", "content": content}])))

    (message,) = transcript.messages
    assert orjson.loads(orjson.dumps(message.content)) == content
    assert transcript.title == "title"


_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), texts())
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(), inner, max_size=3),
    max_leaves=6,
)
_NAMES = st.sampled_from(
    (
        *("id", "content", "name", "tool_calls", "tool_call_id", "tokens", "created_at"),
        *("timestamp", "metadata", "extra", "source", "source_", "agent", "type", "uuid"),
    )
)
_TIMES = st.sampled_from(["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.123456789Z"])
_MESSAGES = st.dictionaries(_NAMES | texts(), _VALUES | _TIMES, max_size=6).map(
    lambda fields: {**fields, "role": "user"}
)


def _paths(value, path=()):
    """Yield each value that holds no others, with the last name on the way to it."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _paths(inner, (*path, key))
    elif isinstance(value, list | tuple) and value:
        for inner in value:
            yield from _paths(inner, path)
    else:
        yield (path[-1] if path else None), repr(list(value) if value == () else value)


def _wanted(message):
    """Yield what must be found again; a known field that is null or empty is as good as none."""
    for name, value in message.items():
        if value is None or value == [] or value == {}:
            continue
        if value == "2026-01-02T03:04:05Z" and name in ("timestamp", "created_at"):
            value = "2026-01-02T03:04:05.000000Z"
            yield from {"timestamp": [("created_at", repr(value))]}.get(name, [(name, repr(value))])
            continue
        yield from _paths(value, (name,))


@given(messages=st.lists(_MESSAGES, min_size=1, max_size=4), lines=st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_field_of_any_message_is_found_in_the_stored_document(messages, lines, tmp_path):
    path = tmp_path / "in.json"
    path.write_text(as_lines(messages) if lines else json.dumps(messages), encoding="utf-8")
    with Store("memory:") as store:
        store.register(SessionManager())
        conversations = store.register(ConversationManager())

        report = store.import_transcripts(path)

        assert report.messages == len(messages)
        stored = store.raw(f"conversations/{conversations.all()[0].id}")["messages"]
    for sent, kept in zip(messages, stored, strict=True):
        found = list(_paths(kept))
        for name, value in _wanted(sent):
            stamps = {"timestamp", "created_at"}
            assert any(
                value == other and (name == key or {name, key} <= stamps) for key, other in found
            ), (name, value, kept)


# --- once -----------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["json", "yaml", "gzip"])
@pytest.mark.parametrize("kind", KINDS)
def test_importing_twice_adds_nothing(put, world, record_files, tmp_path, kind, format):
    content, count = KINDS[kind]
    path, copy = put("x.jsonl", content), put("elsewhere/other name", content)
    w = world(format=format)
    first = w.store.import_transcripts(path)
    before = record_files(tmp_path / "state")
    assert (first.messages, first.unchanged, first.size_bytes > 0) == (count, 0, True)

    for again in (w.store, world(load=False).store, world().store):
        report = again.import_transcripts(path, copy)

        assert (report.items, report.conversations, report.messages) == (0, 0, 0)
        assert (report.unchanged, report.failures) == (2 * first.conversations, ())
        assert again.unsaved == ()
    assert record_files(tmp_path / "state") == before


def test_import_before_load_all_keeps_what_is_stored(put, world):
    world().fill()

    w = world(load=False)
    w.store.import_transcripts(put("x.json", CHAT))

    assert "s1" in w.sessions
    assert len(w.conversations) == 2


@pytest.mark.parametrize("kind", ["swe-agent", "claude-code", "chat, object", "chat, list"])
def test_grown_transcript_adds_its_new_messages_and_changes_each_record_once(put, world, kind):
    grown = {
        "swe-agent": json.dumps({**TRAJECTORY, "history": [*HISTORY, CHAT[1]]}),
        "claude-code": as_lines(
            [*CLAUDE, claude("u4", {"content": "thanks"}, at="2027-01-01T00:00:00Z")]
        ),
        "chat, object": json.dumps({"id": "talk", "title": "T", "messages": [*CHAT, CHAT[1]]}),
        "chat, list": json.dumps([*CHAT, CHAT[1]]),
    }[kind]
    content, count = KINDS[kind]
    path, w = put("x", content), world()
    w.store.import_transcripts(path)
    (before,) = w.conversations.all()

    put("x", grown)
    report = w.store.import_transcripts(path)

    (after,) = w.conversations.all()
    assert after.messages[:count] == before.messages
    assert len(after.messages) == count + 1
    assert (report.items, report.conversations, report.messages) == (1, 0, 1)
    assert w.conversations.revision(after.id) == 2
    assert w.sessions.revision(after.session_id) == 2
    if kind == "claude-code":
        assert w.sessions[after.session_id].ended_at == after.messages[-1].created_at
    assert w.store.import_transcripts(path).unchanged == 1


@pytest.mark.parametrize("kind", ["claude-code", "chat, object"])
def test_transcript_that_says_something_else_under_its_id_is_refused(
    put, world, record_files, tmp_path, kind
):
    other = {
        "claude-code": as_lines([claude("u1", {"content": "another story"})]),
        "chat, object": json.dumps({"id": "talk", "messages": CHAT[1:]}),
    }[kind]
    w = world()
    w.store.import_transcripts(put("x", KINDS[kind][0]))
    before, live = record_files(tmp_path / "state"), w.records
    path = put("y", other)

    report = w.store.import_transcripts(path, put("z.json", CHAT[:2]))

    (failure,) = report.failures
    assert isinstance(failure.error, UnknownTranscript)
    assert failure.error.source == str(path)
    assert "delete it first" in str(failure.error)
    assert {key: one for key, one in w.records.items() if key in live} == live
    assert before.items() <= record_files(tmp_path / "state").items()
    assert report.conversations == 1


def test_refused_transcript_is_a_failure_in_a_folder_too(put, world):
    w = world()
    w.store.import_transcripts(put("x.json", {"id": "talk", "messages": CHAT}))
    put("more/y.json", {"id": "talk", "messages": CHAT[1:]})

    report = w.store.import_transcripts(put("more/z.json", CHAT[:2]).parent)

    assert [type(one.error) for one in report.failures] == [UnknownTranscript]
    assert report.conversations == 1


def test_record_that_is_not_from_the_transcript_is_left_alone(put, world):
    w = world()
    w.sessions.create(id="talk", name="mine")
    path = put("x.jsonl", as_lines([{"id": "talk", "messages": CHAT}, {"messages": CHAT[1:]}]))

    report = w.store.import_transcripts(path)

    (failure,) = report.failures
    assert isinstance(failure.error, UnknownTranscript)
    assert str(path) in str(failure.error)
    assert "sessions/talk" in str(failure.error)
    assert (w.sessions["talk"].name, report.conversations) == ("mine", 1)


def test_messages_that_were_added_by_hand_stay(put, world):
    w = world()
    path = put("x.jsonl", as_lines(CLAUDE))
    w.store.import_transcripts(path)
    w.conversations.add_message("ride", role="user", content="by hand")
    w.store.save_all()

    report = w.store.import_transcripts(path)
    assert report.unchanged == 1
    assert w.conversations["ride"].messages[-1].content == "by hand"

    put("x.jsonl", as_lines([*CLAUDE, claude("u4", {"content": "more"})]))
    report = w.store.import_transcripts(path)

    assert len(report.failures) == 1
    assert [m.content for m in w.conversations["ride"].messages[3:]] == ["by hand"]


@pytest.mark.parametrize("mark", ["yes", True, {"type": "chat"}, 7, ["chat"]])
def test_metadata_of_the_host_is_not_taken_for_that_of_an_import(put, world, mark):
    w = world()
    w.sessions.create(id="s", metadata={"imported": mark})
    w.conversations.create("mine", id="c", metadata={"imported": mark})

    report = w.store.import_transcripts(put("x.json", CHAT))

    assert (report.conversations, report.failures) == (1, ())


# --- what cannot be imported ----------------------------------------------------------

SECRET = "canary-4711"
BAD = {
    "empty": b"",
    "blank": b" \n\r\n ",
    "mark only": b"\xef\xbb\xbf",
    "zeros": b"\0" * 500,
    "binary": bytes(range(256)),
    "prose": f"It says {SECRET}.".encode(),
    "UTF-16": json.dumps(CHAT).encode("utf-16"),
    "torn": json.dumps([{"role": "user", "content": SECRET}])[:-4].encode(),
    "torn, indented": json.dumps(CHAT, indent=2)[:-9].encode(),
    "torn, a message per line": b'[\n{"role":"user","content":"a"},\n{"role":"user","content":"b"}',
    "NaN": f'[{{"role": "user", "content": "{SECRET}", "p": NaN}}]'.encode(),
    "NaN, a message per line": (
        b'[\n{"role":"user","p":NaN},\n{"role":"user","p":1},\n{"role":"user","p":2}\n]'
    ),
    "1e400": b'{"messages": [{"role": "user", "content": "x", "p": 1e400}]}',
    "a name twice": f'[{{"role": "user", "content": "{SECRET}", "content": "b"}}]'.encode(),
    "20 digits": b'[{"role": "user", "content": "x", "n": 99999999999999999999}]',
    "surrogate": b'[{"role": "user", "content": "\\ud800"}]',
    "too deep": b'[{"role": "user", "content": ' + b"[" * 10**5,
    "too deep for a record": json.dumps(
        [{"role": "user", "content": json.loads("[" * 97 + "]" * 97)}]
    ).encode(),
    "number": b"42",
    "unknown object": json.dumps({"name": SECRET}).encode(),
    "no messages": json.dumps({"messages": []}).encode(),
    "messages of another shape": json.dumps({"messages": {"role": "user"}}).encode(),
    "history without messages": b'{"history": [1, {"a": 2}], "trajectory": []}',
    "log lines": as_lines([{"type": "error", "message": SECRET, "uuid": "1"}] * 3).encode(),
    "roles of another type": b'[{"role": 1}, {"role": ""}, {"role": null}]',
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("autosave", ["manual", "on-change"])
def test_bad_file_is_one_failure_that_names_it_and_the_others_come_in(put, world, bad, autosave):
    w = world(autosave=autosave)
    errors = []
    w.store.on_error(errors.append)
    path = put("bad.jsonl", BAD[bad])

    report = w.store.import_transcripts(put("a.json", CHAT), path, put("z", as_lines(CLAUDE)))

    (failure,) = report.failures
    assert errors == [failure]
    assert (failure.key, failure.operation) == (None, "import")
    assert isinstance(failure.error, UnknownTranscript)
    assert str(path) in str(failure.error)
    assert SECRET not in f"{failure!r} {failure} {report!r}"
    assert (report.conversations, len(w.conversations), len(w.sessions)) == (2, 2, 2)
    assert w.store.unsaved == ()
    assert path.read_bytes() == BAD[bad]


def test_missing_file_and_folder_without_transcripts_are_failures(put, world, tmp_path):
    w = world()
    put("empty/readme.md", "nothing")
    sources = [tmp_path / "missing.json", tmp_path / "in/empty", "", put("ok", CHAT)]

    report = w.store.import_transcripts(*sources)

    assert [type(one.error) for one in report.failures] == [UnknownTranscript] * 3
    for failure, source in zip(report.failures, sources, strict=False):
        assert repr(str(source)) in str(failure)
    assert report.conversations == 1


def test_pipe_is_refused_at_once(world, tmp_path):
    os.mkfifo(tmp_path / "pipe.json")

    report = world().store.import_transcripts(tmp_path / "pipe.json")

    assert len(report.failures) == 1


def test_folder_is_taken_in_sorted_order_and_other_files_are_noted(put, world):
    w = world()
    for name in ("b.json", "a.jsonl", "sub/0.traj", "c.traj"):
        put(name, [{"role": "user", "content": name}])
    put("package.json", {"name": "x"})
    put("damaged.json", b'{"messages": [')
    root = put("readme.md", "no transcript").parent

    report = w.store.import_transcripts(root)

    assert [one.title for one in w.conversations] == ["a.jsonl", "b.json", "c.traj", "sub/0.traj"]
    assert [str(root / "damaged.json") in str(one) for one in report.failures] == [True]
    assert any("package.json" in note for note in report.notes)


def test_one_bad_conversation_of_a_file_does_not_keep_the_others_out(put, world):
    w = world()
    w.store.import_transcripts(put("x.json", {"id": "two", "messages": CHAT}))
    lines = [{"id": id, "messages": CHAT[1:]} for id in ("one", "two", "three")]

    report = w.store.import_transcripts(put("y.jsonl", as_lines(lines)))

    assert len(report.failures) == 1
    assert {"one", "three"} <= set(w.conversations.ids())


@pytest.mark.parametrize("content", [CHAT, {"id": "key", "messages": CHAT[2:]}])
def test_name_that_is_no_text_is_no_hindrance(tmp_path, world, content):
    path = os.fsencode(tmp_path) + b"/caf\xe9.json"
    with open(path, "wb") as file:
        file.write(orjson.dumps(content))
    w = world()

    report = w.store.import_transcripts(os.fsdecode(path))

    assert (report.conversations, report.failures, w.store.unsaved) == (1, (), ())


# --- with the store -------------------------------------------------------------------


def test_store_that_saves_on_change_holds_what_was_imported(put, world):
    w = world(autosave="on-change")

    w.store.import_transcripts(put("x.json", CHAT))

    assert w.store.unsaved == ()
    assert world().records == w.records


def test_import_without_its_managers_is_refused(put):
    with Store("memory:") as store:
        with pytest.raises(UnknownName, match="sessions"):
            store.import_transcripts(put("x", CHAT))
        store.register(SessionManager())
        with pytest.raises(UnknownName, match="conversations"):
            store.import_transcripts(put("x", CHAT))


def test_callbacks_of_an_import_hold_no_lock(put, world, is_free):
    w = world()
    free = []
    w.store.on_error(lambda _: free.append(is_free(w.store)))
    w.store.on_save(lambda _: free.append(is_free(w.store)))

    w.store.import_transcripts(put("x.json", CHAT), put("bad", b""))

    assert len(free) >= 2
    assert all(free)


def test_files_of_one_name_in_two_folders_are_two_transcripts(tmp_path):
    lines = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    for name, count in (("a", 1), ("b", 2)):
        (tmp_path / name).mkdir()
        text = "".join(json.dumps(line) + "\n" for line in lines[:count])
        (tmp_path / name / "chat.jsonl").write_text(text)

    with Store(tmp_path / "store") as store:
        store.register(SessionManager())
        talks = store.register(ConversationManager())
        report = store.import_transcripts(tmp_path / "a", tmp_path / "b")

        assert report.conversations == 2
        assert sorted(len(talk.messages) for talk in talks) == [1, 2]


def test_runs_that_differ_only_in_what_they_say_of_themselves_are_two(tmp_path):
    for seed in (1, 2):
        whole = {"messages": [{"role": "user", "content": "Hi"}], "seed": seed}
        (tmp_path / f"{seed}.json").write_text(json.dumps(whole))

    with Store(tmp_path / "store") as store:
        sessions = store.register(SessionManager())
        store.register(ConversationManager())
        assert store.import_transcripts(tmp_path / "1.json", tmp_path / "2.json").items == 2
        assert {session.metadata["seed"] for session in sessions} == {1, 2}
