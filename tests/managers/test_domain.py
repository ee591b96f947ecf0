"""The operations of the four built-in managers."""

from datetime import UTC, datetime, timedelta

import attrs
import pytest

from statestore import InvalidRecord, RecordNotFound, StaleRecord, Store
from statestore.managers import (
    ConversationManager,
    Focus,
    FocusManager,
    LogEntry,
    Message,
    Part,
    Progress,
    SessionManager,
    SessionStatus,
    TaskManager,
    ToolCall,
    image_part,
    text_part,
    tool_result_part,
    tool_use_part,
)

MOMENT = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


class Clock:
    def __init__(self):
        self.now = MOMENT

    def __call__(self):
        return self.now

    def forward(self, **parts):
        self.now += timedelta(**parts)


@pytest.fixture
def clock():
    return Clock()


def reloaded(tmp_path, make, *records):
    """Save records in a store, and return what another store loads of them."""
    with Store(tmp_path) as store:
        manager = store.register(make())
        for record in records:
            manager.add(record)
        store.save_all()
    with Store(tmp_path) as store:
        manager = store.register(make())
        store.load_all(strict=True)
        return manager


# --- conversations --------------------------------------------------------------------


def test_added_messages_are_in_their_order(tmp_path):
    talks = ConversationManager()
    talk = talks.create("Hello", session_id="s")

    for number in range(5):
        talks.add_message(talk.id, role="user" if number % 2 else "assistant", content=f"m{number}")

    now = talks[talk.id]
    assert [message.content for message in now.messages] == ["m0", "m1", "m2", "m3", "m4"]
    assert talk.messages == ()
    assert now.updated_at > talk.updated_at
    assert (now.title, now.session_id) == ("Hello", "s")
    assert reloaded(tmp_path, ConversationManager, now)[talk.id] == now


def test_add_message_returns_the_message_with_all_that_was_given(clock):
    talks = ConversationManager(clock=clock)
    talk = talks.create("t")

    message = talks.add_message(
        talk,
        role="tool",
        content="4",
        id="m1",
        name="calculator",
        tool_call_id="call_1",
        tokens=3,
        metadata={"cost": 0.5},
        extra={"logprobs": None, "extra": {"k": 1}},
    )

    assert message is talks[talk.id].messages[0]
    assert (message.id, message.role, message.content, message.text) == ("m1", "tool", "4", "4")
    assert (message.name, message.tool_call_id, message.tokens) == ("calculator", "call_1", 3)
    assert message.created_at == MOMENT
    assert message.metadata == {"cost": 0.5}
    assert message.extra == {"logprobs": None, "extra": {"k": 1}}


def test_message_with_parts_and_tool_calls_survives_as_it_came(tmp_path):
    talks = ConversationManager()
    talk = talks.create("t")
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "abc="},
        {"type": "text", "text": "Let me look", "citations": None},
        "a bare text",
        {"type": "tool_use", "id": "tu_1", "name": "ls", "input": {"path": "/", "deep": [1, {}]}},
    ]
    calls = [
        {"id": "c1", "type": "function", "function": {"name": "run", "arguments": '{"a": 1}'}},
        {"id": "c2", "name": "look", "arguments": {"x": [1]}, "index": 0},
    ]
    source = {
        "role": "assistant",
        "content": content,
        "tool_calls": calls,
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 5, "cache": {"hit": True}},
        "extra_": {"response": {"id": "r"}},
    }

    talks.add_message(talk.id, **source)
    again = reloaded(tmp_path, ConversationManager, talks[talk.id])[talk.id]

    (message,) = again.messages
    assert message == talks[talk.id].messages[0]
    with Store(tmp_path) as store:
        (stored,) = store.raw(f"conversations/{talk.id}")["messages"]
    assert {name: stored[name] for name in source} == source
    assert message.text == "Let me look\na bare text"
    assert all(isinstance(part, Part | str) for part in message.content)
    assert all(isinstance(call, ToolCall) for call in message.tool_calls)


@pytest.mark.parametrize("content", ["", "text", None, [], [""], ["a", "b"]], ids=repr)
def test_content_of_every_kind_comes_back(content, tmp_path):
    talks = ConversationManager()
    talk = talks.create("t")
    talks.add_messages(talk.id, [Message(role="user", content=content)])

    (message,) = reloaded(tmp_path, ConversationManager, talks[talk.id])[talk.id].messages

    assert message.content == (tuple(content) if isinstance(content, list) else content)


def test_one_part_given_alone_is_a_content_of_one_part():
    talks = ConversationManager()
    talk = talks.create("t")

    message = talks.add_message(talk.id, role="user", content={"type": "text", "text": "a"})

    assert message.content == (Part({"type": "text", "text": "a"}),)


def test_many_messages_are_added_at_once_and_seen_as_one_change():
    talks = ConversationManager()
    talk = talks.create("t")
    calls = []
    talks.attach(object(), lambda ids: calls.append((ids, len(talks[talk.id].messages))))

    new = talks.add_messages(talk, (Message(role="user", content=str(n)) for n in range(10)))

    assert calls == [({talk.id}, 10)]
    assert talks[talk.id] is new
    assert [message.content for message in new.messages] == [str(n) for n in range(10)]


def test_refused_message_leaves_the_conversation_as_it_was():
    talks = ConversationManager()
    talk = talks.create("t")

    for operation in (
        lambda: talks.add_message(talk.id, role=""),
        lambda: talks.add_message(talk.id, role="user", content=5),
        lambda: talks.add_message(talk.id, role="user", name=1),
        lambda: talks.add_messages(talk.id, [Message(role="user"), "text"]),
    ):
        with pytest.raises(InvalidRecord, match=talk.id):
            operation()
    for operation in (
        lambda: talks.add_message("none", role="user"),
        lambda: talks.add_messages("none", [Message(role="user")]),
    ):
        with pytest.raises(RecordNotFound):
            operation()

    assert talks[talk.id] is talk


def test_record_given_in_place_of_its_id_is_only_its_name():
    talks = ConversationManager()
    old = talks.create("t")
    talks.add_message(old, role="user", content="1")

    talks.add_message(old, role="user", content="2")

    assert [message.content for message in talks[old.id].messages] == ["1", "2"]


# --- parts and tool calls -------------------------------------------------------------


def test_tool_call_is_read_in_both_shapes_of_providers():
    nested = ToolCall(
        {"id": "c1", "type": "function", "function": {"name": "run", "arguments": "{}"}}
    )
    flat = ToolCall({"id": "c2", "name": "look", "arguments": {"x": 1}})

    assert (nested.id, nested.name, nested.arguments) == ("c1", "run", "{}")
    assert (flat.id, flat.name, flat.arguments) == ("c2", "look", {"x": 1})


@pytest.mark.parametrize("source", [{}, {"function": "text"}, {"function": None}], ids=str)
def test_tool_call_without_the_usual_fields_has_none(source):
    call = ToolCall(source)

    assert (call.id, call.name, call.arguments) == (None, None, None)


def test_parts_that_are_made_have_the_shape_of_providers():
    assert text_part("a") == {"type": "text", "text": "a"}
    assert image_part("image/png", "AA==") == {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": "AA=="},
    }
    use = tool_use_part("tu", "ls", {"path": ["/"]})
    assert use == {"type": "tool_use", "id": "tu", "name": "ls", "input": {"path": ("/",)}}
    result = tool_result_part("tu", [text_part("out")], is_error=True)
    assert result == {
        "type": "tool_result",
        "tool_use_id": "tu",
        "content": (text_part("out"),),
        "is_error": True,
    }


def test_attributes_of_parts_read_the_usual_fields():
    use = tool_use_part("tu", "ls", {"path": "/"})
    result = tool_result_part("tu", "out")

    assert (use.type, use.name, use.input, use.tool_use_id) == (
        "tool_use",
        "ls",
        {"path": "/"},
        "tu",
    )
    assert (result.type, result.tool_use_id, result["content"]) == ("tool_result", "tu", "out")
    assert text_part("a").text == "a"
    assert (text_part("a").name, text_part("a").input, text_part("a").tool_use_id) == (
        None,
        None,
        None,
    )


def test_parts_cannot_be_changed():
    for part in (text_part("a"), image_part("image/png", ""), tool_use_part("t", "n", {"a": [1]})):
        with pytest.raises(TypeError, match="cannot be changed"):
            part["new"] = 1
    with pytest.raises(TypeError, match="cannot be changed"):
        tool_use_part("t", "n", {"a": 1}).input["b"] = 2


# --- focus ----------------------------------------------------------------------------


def test_tree_of_focuses_persists_whole(tmp_path):
    leaf = Focus(type="function", target="f", context={"line": 3}, tags=["t"])
    chain_manager = FocusManager()
    chain = chain_manager.create("work", session_id="s")
    root = chain_manager.push(
        chain.id,
        type="file",
        target="a.py",
        children=(Focus(type="class", target="C", children=(leaf, attrs.evolve(leaf, id="2"))),),
    )

    again = reloaded(tmp_path, FocusManager, chain_manager[chain.id])[chain.id]

    assert again == chain_manager[chain.id]
    assert again.current == root
    assert again.focuses[0].children[0].children[0] == leaf
    assert again.focuses[0].children[0].children[1].id == "2"


def test_pushed_focus_is_the_last_and_the_current_one(clock):
    chains = FocusManager(clock=clock)
    chain = chains.create("c")
    assert chain.current is None

    first = chains.push(chain.id, type="file", target="a", priority=10)
    second = chains.push(chain, type="odd type", context={"k": 1}, expires_at=MOMENT)

    now = chains[chain.id]
    assert now.focuses == (first, second)
    assert now.current is second
    assert (first.type, first.target, first.priority, first.created_at) == ("file", "a", 10, MOMENT)
    assert second.context == {"k": 1}


def test_full_chain_lets_the_oldest_go():
    chains = FocusManager()
    chain = chains.create("c", max_size=3)

    for number in range(5):
        chains.push(chain.id, target=str(number))

    assert [focus.target for focus in chains[chain.id].focuses] == ["2", "3", "4"]
    assert chains[chain.id].current.target == "4"


def test_chain_without_a_limit_keeps_all():
    chains = FocusManager()
    chain = chains.create("c")

    for number in range(50):
        chains.push(chain.id, target=str(number))

    assert len(chains[chain.id].focuses) == 50


def test_full_chain_lets_the_expired_go_first(clock):
    chains = FocusManager(clock=clock)
    chain = chains.create("c", max_size=3)
    chains.push(chain.id, target="old")
    chains.push(chain.id, target="expiring", expires_at=MOMENT + timedelta(minutes=1))
    chains.push(chain.id, target="young")
    clock.forward(minutes=1)

    chains.push(chain.id, target="new")

    assert [focus.target for focus in chains[chain.id].focuses] == ["old", "young", "new"]


def test_chain_that_is_not_full_keeps_the_expired(clock):
    chains = FocusManager(clock=clock)
    chain = chains.create("c", max_size=3)
    chains.push(chain.id, target="expiring", expires_at=MOMENT)
    clock.forward(hours=1)

    chains.push(chain.id, target="new")

    assert [focus.target for focus in chains[chain.id].focuses] == ["expiring", "new"]


def test_pushed_focus_stays_even_if_it_has_expired_already(clock):
    chains = FocusManager(clock=clock)
    chain = chains.create("c", max_size=1)
    chains.push(chain.id, target="old")

    focus = chains.push(
        chain.id, target="late", created_at=MOMENT - timedelta(hours=2), ttl_s=60 * 60
    )

    assert chains[chain.id].focuses == (focus,)
    assert chains[chain.id].current == focus


def test_refused_focus_leaves_the_chain_as_it_was():
    chains = FocusManager()
    chain = chains.create("c")

    for fields in ({"priority": 0}, {"type": 5}, {"nonsense": 1}, {"context": [1]}):
        with pytest.raises(InvalidRecord, match=chain.id):
            chains.push(chain.id, **fields)
    with pytest.raises(RecordNotFound):
        chains.push("none", target="a")

    assert chains[chain.id] is chain


# --- tasks ----------------------------------------------------------------------------


def test_task_belongs_to_a_parent_that_is_there():
    tasks = TaskManager()
    parent = tasks.create("parent")

    child = tasks.create("child", parent_id=parent.id, session_id="s", id="c")

    assert (child.title, child.parent_id, child.session_id) == ("child", parent.id, "s")
    with pytest.raises(RecordNotFound, match="none"):
        tasks.create("orphan", parent_id="none")
    assert tasks.ids() == (parent.id, "c")


def test_progress_logs_and_result_persist(tmp_path):
    tasks = TaskManager()
    task = tasks.create(
        "t",
        progress=Progress(percent=50, current_step="two", total_steps=4, remaining_s=1.5),
        logs=[LogEntry(text="out", type="stdout", at=MOMENT), LogEntry(text="é\n", type="odd")],
        result=[1, {"x": None}, 2.5],
        depends_on=["a", "b"],
        allow_missing=True,
        priority=20,
    )

    again = reloaded(tmp_path, TaskManager, task)[task.id]

    assert again == task
    assert again.progress.percent == 50.0
    assert [entry.text for entry in again.logs] == ["out", "é\n"]
    assert again.result == (1, {"x": None}, 2.5)


@pytest.mark.parametrize("result", [None, 0, False, "", "text", 1.5, [], {}, [[]]], ids=repr)
def test_result_of_every_kind_comes_back(result, tmp_path):
    tasks = TaskManager()
    task = tasks.create("t", result=result)

    again = reloaded(tmp_path, TaskManager, task)

    assert again[task.id].result == task.result
    assert type(again[task.id].result) is type(task.result)


# --- sessions -------------------------------------------------------------------------


def test_active_session_survives_a_restart(tmp_path):
    sessions = SessionManager()
    sessions.create(id="a")
    assert sessions.active is None
    sessions.update("a", status="active", started_at=MOMENT)
    sessions.create(id="b")
    assert sessions.active == sessions["a"]

    again = reloaded(tmp_path, SessionManager, *sessions)

    assert again.active == again["a"]
    assert again.active.status is SessionStatus.ACTIVE


def test_of_several_active_sessions_the_last_one_started_is_meant():
    sessions = SessionManager()
    later = MOMENT + timedelta(hours=1)
    sessions.create(id="b", status="active", started_at=later)
    sessions.create(id="a", status="active", started_at=MOMENT)
    sessions.create(id="c", status="completed", started_at=later + timedelta(hours=1))

    assert sessions.active is sessions["b"]
    sessions.update("b", status="paused")
    assert sessions.active is sessions["a"]
    sessions.delete("a", force=True)
    assert sessions.active is None


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (SessionManager, "sessions"),
        (ConversationManager, "conversations"),
        (FocusManager, "focus"),
        (TaskManager, "tasks"),
    ],
)
def test_manager_has_the_kind_of_its_folder_and_takes_a_maker_of_ids(make, kind):
    manager = make(make_id=lambda: "made")

    assert manager.kind == kind
    assert manager.create(**({"title": "t"} if make is TaskManager else {})).id == "made"


@pytest.mark.parametrize("make", [SessionManager, TaskManager])
def test_an_old_record_is_stale_before_it_is_anything_else(make):
    manager = make()
    old = manager.create(**({"title": "t"} if make is TaskManager else {"name": "s"}))
    manager.start(old)
    manager.complete(old.id)

    with pytest.raises(StaleRecord):
        manager.replace(old)
