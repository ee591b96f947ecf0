"""What agents wrote as messages, taken as `Message` without loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from statestore.errors import InvalidId
from statestore.managers.conversations.message import Message, to_content
from statestore.models.documents import freeze_mapping
from statestore.models.keys import check_id
from statestore.models.times import parse_time

_TITLE_CHARACTERS = 80
FIELDS = frozenset(field.name for field in attrs.fields(Message))
"""The names of the fields of `Message`."""


def is_text(value: object) -> bool:
    """Say whether a value is a text that is not empty."""
    return isinstance(value, str) and bool(value)


def is_message(value: object) -> bool:
    """Say whether a value has the least that a message has: who speaks."""
    return isinstance(value, dict) and is_text(value.get("role"))


def to_messages(
    items: Sequence[object], numbers: Sequence[int] | None = None
) -> tuple[tuple[Message, ...], tuple[Mapping[str, Any], ...]]:
    """Return the messages among some items, and what is none of them with its number."""
    messages: list[Message] = []
    other: list[Mapping[str, Any]] = []
    for number, item in zip(numbers or range(1, len(items) + 1), items, strict=True):
        message = to_message(item, number) if isinstance(item, dict) and is_message(item) else None
        if message is None:
            other.append({"line": number, "value": item})
        else:
            messages.append(message)
    return tuple(messages), tuple(other)


def to_message(item: Mapping[str, Any], number: int) -> Message | None:
    """Return an item as a message; a field that does not fit its own is kept among the extras."""
    fields: dict[str, Any] = {"id": usable_id(item.get("id")) or f"m{number:04d}"}
    misfits: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in item.items():
        if name == "id" and value == fields["id"]:
            continue
        if name in ("timestamp", "created_at"):
            moment = _exact_time(value)
            if moment is not None and "created_at" not in fields:
                fields["created_at"] = moment
            else:
                (misfits if name in FIELDS else extra)[name] = value
        elif name not in FIELDS:
            extra[name] = value
        elif _fits(name, value):
            fields[name] = value
        elif value is not None:
            misfits[name] = value
    if misfits:
        extra[free_name(extra)] = misfits
    ids = item.get("tool_call_ids")
    if "tool_call_id" not in fields and isinstance(ids, list) and len(ids) == 1 and is_text(ids[0]):
        fields["tool_call_id"] = ids[0]
    fields.setdefault("content", None)
    return Message(**fields, extra=freeze_mapping(extra))


def _fits(name: str, value: object) -> bool:
    if name == "role":
        return is_text(value)
    if name == "content":
        try:
            to_content(value)
        except TypeError:
            return False
        return value is None or isinstance(value, str | list)
    if name in ("name", "tool_call_id"):
        return isinstance(value, str)
    if name == "tool_calls":
        return isinstance(value, list) and all(isinstance(one, dict) for one in value)
    if name == "tokens":
        return type(value) is int and value >= 0
    return name == "metadata" and isinstance(value, dict)


def _exact_time(value: object) -> datetime | None:
    """Return a time that a text says, if none of its digits would be lost."""
    try:
        moment = parse_time(value)
    except ValueError:
        return None
    fraction = str(value).partition(".")[2].rstrip("Zz")
    return moment if len(fraction.partition("+")[0].partition("-")[0]) <= 6 else None


def usable_id(value: object) -> str | None:
    """Return a value if it may name a record, else None."""
    try:
        return check_id(value)
    except InvalidId:
        return None


def first_line(messages: Sequence[Message]) -> str:
    """Return the first line that a person said, cut to a title."""
    spoken = (text for one in messages if one.role == "user" for text in _texts(one))
    line = next((text.strip().splitlines()[0] for text in spoken if text.strip()), "")
    return line if len(line) <= _TITLE_CHARACTERS else line[: _TITLE_CHARACTERS - 1] + "…"


def _texts(message: Message) -> Iterator[str]:
    for part in (message.content,) if isinstance(message.content, str) else message.content or ():
        text = part if isinstance(part, str) else part.text
        if isinstance(text, str):  # a provider may have put anything there
            yield text


def left_out(source: str, other: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the note that tells which lines of a source are no messages."""
    if not other:
        return ()
    lines = ", ".join(str(one["line"]) for one in other[:5]) + ("…" if len(other) > 5 else "")
    return (f"{source}: no messages, kept in the metadata of its conversation: line {lines}",)


def free_name(fields: Mapping[str, Any]) -> str:
    """Return the name for fields that are kept apart: `source`, or where that is taken, longer."""
    name = "source"
    while name in fields:
        name += "_"
    return name
