"""The text of messages: what is searched, what tokens are estimated by, what people read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from statestore.managers.conversations.message import Message, Part, ToolCall

if TYPE_CHECKING:
    from statestore.managers.conversations.records import Conversation


def texts_of(message: Message) -> Iterator[str]:
    """Yield each text of a message: of its content, of its parts, of the tools that it calls.

    What a tool is given or has answered counts with the names of its fields, as they are text to a
    model. Images and other data do not count.
    """
    content = message.content
    if isinstance(content, str):
        yield content
    elif content is not None:
        for part in content:
            yield from (part,) if isinstance(part, str) else _texts_of_part(part)
    for call in message.tool_calls:
        yield from _texts_of_call(call)


def estimated_tokens(message: Message) -> int:
    """Return about how many tokens a message has: a quarter of its characters, rounded up."""
    content = message.content
    if isinstance(content, str) and not message.tool_calls:
        return -(-len(content) // 4)
    return -(-sum(map(len, texts_of(message))) // 4)


def text_of_message(message: Message) -> str:
    """Return a message as people read it: who speaks, what, and which tools are called how."""
    name = f" ({message.name})" if message.name else ""
    lines = [f"{message.role}{name}: {_said(message)}".rstrip()]
    for call in message.tool_calls:
        given = ", ".join(_values(call.arguments))
        lines.append(f"  -> {call.name or 'tool'}({given})")
    return "\n".join(lines)


def text_of(conversation: Conversation) -> str:
    """Return a conversation as people read it: its title, then its messages, with air between.

    It cannot be read back: times, ids and what is no text are not in it.
    """
    blocks = [f"# {conversation.title}"] if conversation.title else []
    blocks += map(text_of_message, conversation.messages)
    return "\n\n".join(blocks) + "\n" if blocks else ""


def _said(message: Message) -> str:
    content = message.content
    if content is None or isinstance(content, str):
        return content or ""
    said: list[str] = []
    for part in content:
        if isinstance(part, str):
            said.append(part)
        elif part.type == "tool_use":
            said.append(f"-> {part.name or 'tool'}({', '.join(_values(part.input))})")
        else:
            text = "\n".join(_texts_of_part(part))
            said.append(text or f"[{part.type or 'part'}]")
    return "\n".join(one for one in said if one)


def _texts_of_part(part: Part) -> Iterator[str]:
    """Yield the texts of a part. Of kinds that nobody here knows: what is called a text."""
    for field in ("text", "thinking", "name", "refusal", "transcript"):
        value = part.get(field)
        if isinstance(value, str):
            yield value
    yield from _words(part.get("input"))
    answered = part.get("content")
    if isinstance(answered, str):
        yield answered
    elif isinstance(answered, tuple):
        for one in answered:
            if isinstance(one, str):
                yield one
            elif isinstance(one, Mapping):
                yield from _texts_of_part(Part(one))


def _texts_of_call(call: ToolCall) -> Iterator[str]:
    if isinstance(call.name, str):
        yield call.name
    yield from _words(call.arguments)


def _words(value: Any) -> Iterator[str]:
    """Yield the texts of a JSON value, and its numbers as texts."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield key
            yield from _words(inner)
    elif isinstance(value, tuple | list):
        for inner in value:
            yield from _words(inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)


def _values(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield f"{key}={' '.join(_words(inner))}"
    else:
        yield from _words(value)
