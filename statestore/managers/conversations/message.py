"""Messages: what people, agents and tools say to each other, kept without loss.

Parts of a content and tool calls are kept in the very shape in which they came: mappings with
convenient attributes. Whatever a provider adds to them stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import NoneType
from typing import Any, TypeAlias

import attrs

from statestore.models.documents import FrozenDict, freeze, freeze_mapping
from statestore.records.columns import (
    Unusual,
    filled_column,
    list_column,
    read_in_columns,
    stored_as_is,
    want_types,
)
from statestore.records.fields import (
    extra_field,
    integer_field,
    made_id_field,
    mapping_field,
    text_field,
    time_field,
    want_storable,
    want_unicode,
)
from statestore.records.shapes import own_shape


class Part(FrozenDict):
    """A part of a message's content: a text, an image, the use of a tool, its result, or another.

    A mapping of the fields as the provider writes them. The attributes read the usual ones and are
    None where a part has no such field.
    """

    __slots__ = ()

    @property
    def type(self) -> str | None:
        """What kind of part it is: `text`, `image`, `tool_use`, `tool_result`, …"""
        return self.get("type")

    @property
    def text(self) -> str | None:
        """The text of a text part."""
        return self.get("text")

    @property
    def name(self) -> str | None:
        """The tool that a tool use calls."""
        return self.get("name")

    @property
    def input(self) -> Any:
        """What a tool use gives to the tool."""
        return self.get("input")

    @property
    def tool_use_id(self) -> str | None:
        """Which tool use this is, or which one this is the result of."""
        return self.get("id") if self.type == "tool_use" else self.get("tool_use_id")


class ToolCall(FrozenDict):
    """A call of a tool by an assistant's message, in the shape in which it came.

    The attributes read both usual shapes: `{"id", "function": {"name", "arguments"}}` and
    `{"id", "name", "arguments"}`.
    """

    __slots__ = ()

    @property
    def id(self) -> str | None:
        """What the result of the call refers to."""
        return self.get("id")

    @property
    def name(self) -> str | None:
        """The tool that is called."""
        return self._called().get("name")

    @property
    def arguments(self) -> Any:
        """What the tool is given: most often a text with JSON in it."""
        return self._called().get("arguments")

    def _called(self) -> Mapping[str, Any]:
        function = self.get("function")
        return function if isinstance(function, Mapping) else self


Content: TypeAlias = str | tuple[str | Part, ...] | None


def text_part(text: str) -> Part:
    """Return a part that is a text."""
    return Part({"type": "text", "text": text})


def image_part(media_type: str, base64_data: str) -> Part:
    """Return a part that is an image: its media type ("image/png") and its bytes in base64."""
    source = FrozenDict({"type": "base64", "media_type": media_type, "data": base64_data})
    return Part({"type": "image", "source": source})


def tool_use_part(id: str, name: str, input: Mapping[str, Any]) -> Part:
    """Return a part by which an assistant uses a tool."""
    return Part({"type": "tool_use", "id": id, "name": name, "input": freeze_mapping(input)})


def tool_result_part(
    tool_use_id: str, content: str | Iterable[Mapping[str, Any]], *, is_error: bool = False
) -> Part:
    """Return a part that tells what a tool answered: a text, or parts."""
    result = content if isinstance(content, str) else tuple(freeze_mapping(c) for c in content)
    return Part(
        {"type": "tool_result", "tool_use_id": tool_use_id, "content": result, "is_error": is_error}
    )


def to_content(value: object) -> Content:
    """Return a text, or parts given in any sequence, as the content of a message.

    Raises:
        TypeError: it is neither.
    """
    if value is None or type(value) is str:
        return value
    if isinstance(value, Mapping):
        return (_to_part(value),)
    if isinstance(value, Iterable) and not isinstance(value, bytes | str):
        return tuple(part if type(part) is str else _to_part(part) for part in value)
    raise TypeError("content is a text, or a list of texts and parts")


def _to_part(value: object) -> Part:
    if isinstance(value, Part):
        return value
    if not isinstance(value, Mapping):
        raise TypeError("content is a text, or a list of texts and parts")
    return Part(freeze_mapping(value))


def _to_tool_calls(value: Iterable[Mapping[str, Any]] | None) -> tuple[ToolCall, ...]:
    if value is None:
        return ()
    if isinstance(value, str | Mapping):
        raise TypeError("tool_calls is a list of mappings")
    calls = tuple(value)
    if not all(isinstance(call, Mapping) for call in calls):
        raise TypeError("tool_calls is a list of mappings")
    return tuple(
        call if isinstance(call, ToolCall) else ToolCall(freeze_mapping(call)) for call in calls
    )


def _content_column(values: Sequence[Any]) -> Iterable[Any]:
    types = set(map(type, values))
    if types <= {str, NoneType}:
        return values
    if not types <= {str, NoneType, list}:
        raise Unusual
    return map(to_content, values)


def _read_tool_calls(values: list[Any]) -> tuple[ToolCall, ...]:
    want_types(values, dict)
    return tuple([ToolCall(freeze(call)) for call in values])


own_shape(Content, write=lambda content: content, read=to_content)


def role_field() -> Any:
    """Return the field of who speaks: any text that is not empty."""

    def check(_: object, __: object, value: object) -> None:
        if type(value) is not str or not value:
            raise TypeError("role takes a text: system, user, assistant, tool, …")
        want_unicode("role", value)

    return attrs.field(kw_only=True, validator=check, metadata=stored_as_is(filled_column))


@attrs.frozen(weakref_slot=False)  # or its slots could not be those of a class beside it: _Open
class Message:
    """One message of a conversation.

    `content` is a text, or a tuple of texts and parts, or None. `tool_calls` are those that an
    assistant makes, `tool_call_id` says which call a tool's message answers. `tokens` is their
    number where it is known. `extra` holds every field that this class does not know.
    """

    id: str = made_id_field()
    role: str = role_field()
    content: Content = attrs.field(
        default="",
        kw_only=True,
        converter=to_content,
        validator=want_storable,
        metadata=stored_as_is(_content_column),
    )
    name: str | None = text_field(None)
    tool_calls: tuple[ToolCall, ...] = attrs.field(
        default=(),
        kw_only=True,
        converter=_to_tool_calls,
        validator=want_storable,
        metadata=stored_as_is(list_column(_read_tool_calls)),
    )
    tool_call_id: str | None = text_field(None)
    tokens: int | None = integer_field(None, low=0)
    created_at: datetime | None = time_field(optional=True)
    metadata: FrozenDict = mapping_field()
    extra: FrozenDict = extra_field()

    @property
    def text(self) -> str:
        """All text of the content, its parts joined by line ends."""
        if self.content is None or isinstance(self.content, str):
            return self.content or ""
        texts = [part if isinstance(part, str) else part.text for part in self.content]
        return "\n".join(text for text in texts if isinstance(text, str) and text)


class _Open:
    """What becomes a message when its slots, which are the same, are set: it is not frozen yet."""

    __slots__ = tuple(field.name for field in attrs.fields(Message))


def _made(count: int, *columns: Iterable[Any]) -> list[Any]:
    # Three times as fast as to set the slots of frozen objects from outside, and there may be
    # a hundred thousand.
    made = [_Open() for _ in range(count)]
    for (
        one,
        one.id,
        one.role,
        one.content,
        one.name,
        one.tool_calls,
        one.tool_call_id,
        one.tokens,
        one.created_at,
        one.metadata,
        one.extra,
    ) in zip(made, *columns, strict=False):
        one.__class__ = Message
    return made


read_in_columns(Message, _made)
