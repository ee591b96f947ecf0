"""Transcripts of agents: what kind a file is, by its content, and the messages in it.

Known kinds, and where their shapes come from:

- SWE-agent trajectories (`.traj`): an object with `history`, a list of messages; older or trimmed
  files have only `trajectory`, a list of steps. Source: the project's documented output format.
- Claude Code sessions (`.jsonl`): an object per line, with `type`, `message`, `uuid`, `timestamp`.
- Chat messages as OpenAI's chat API writes them: a list, or an object with `messages` (`.json`);
  or a conversation, or a message, per line (`.jsonl`).

Nothing is dropped silently: fields that `Message` does not know are its `extra`, lines that are no
message are in the conversation's metadata, and a note says what was left out on purpose.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs
import orjson

from statestore.errors import DecodeError, InvalidId, TooLarge, UnknownTranscript
from statestore.managers.messages import Message, to_content
from statestore.models.documents import MAX_SIZE_BYTES, freeze_mapping
from statestore.models.keys import check_id
from statestore.models.times import parse_time
from statestore.serializers import get

_TITLE_CHARACTERS = 80
_FIELDS = frozenset(field.name for field in attrs.fields(Message))
_CLAUDE_ROLES = frozenset({"user", "assistant", "system"})


@attrs.frozen(kw_only=True)
class Transcript:
    """One conversation of an agent as it was found.

    `key` is its own name for itself, where it has one. `digest` tells equal contents. `other` holds
    what is no message, with its line; `about` what the file says of the session as a whole.
    """

    type: str
    source: str
    messages: tuple[Message, ...]
    key: str | None = None
    title: str = ""
    summary: str = ""
    project_id: str = ""
    about: Mapping[str, Any] = attrs.field(factory=dict)
    other: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    digest: str = attrs.field(init=False)

    @digest.default
    def _digest(self) -> str:
        said = [
            [one.role, one.content, one.tool_calls, one.tool_call_id, one.name, one.extra]
            for one in self.messages
        ]
        return hashlib.sha256(orjson.dumps([self.type, self.key, said])).hexdigest()

    @property
    def times(self) -> tuple[datetime, ...]:
        """The times of its messages, in their order, where they have any."""
        return tuple(one.created_at for one in self.messages if one.created_at is not None)


def read_transcripts(path: str) -> list[Transcript]:
    """Return the transcripts in a file; more than one where it has a conversation per line.

    Raises:
        UnknownTranscript: it cannot be read, or holds none that is known.
    """
    # A name may hold bytes that are no UTF-8, and what is stored must be text.
    source = os.fsencode(os.path.basename(path)).decode(errors="replace")
    text = _read_text(path)
    try:
        whole = get("json").loads(text)
    except TooLarge as error:
        raise UnknownTranscript(path, error.reason) from error
    except DecodeError as error:
        lines = _lines(text)
        # The last line of a list that is damaged may be JSON too; in lines of JSON most are.
        if 2 * sum(line.is_json for line in lines) < len(lines) or len(lines) == 1:
            raise UnknownTranscript(path, f"it is {error}") from error
        found = _from_lines(source, lines)
    else:
        found = _from_whole(source, whole)
    if not any(one.messages for one in found):
        raise UnknownTranscript(path, "it is no transcript of a kind that is known")
    return found


def _from_whole(source: str, whole: object) -> list[Transcript]:
    if isinstance(whole, dict) and "messages" not in whole:
        if isinstance(whole.get("history"), list) or isinstance(whole.get("trajectory"), list):
            return [_from_trajectory(source, whole)]
        return _from_lines(source, [_Line(1, whole, is_json=True)])
    found = _from_chat(source, whole)
    return [] if found is None else [found]


# --- SWE-agent ------------------------------------------------------------------------


def _from_trajectory(source: str, whole: Mapping[str, Any]) -> Transcript:
    history, steps = whole.get("history"), whole.get("trajectory")
    notes: list[str] = []
    about = dict(whole)
    for name in ("history", "trajectory"):
        if isinstance(whole.get(name), list):
            del about[name]
    if isinstance(history, list) and history:
        items = history
        if isinstance(steps, list) and steps:
            notes.append(f"{source}: the {len(steps)} steps beside its messages are not taken in")
    else:
        items = [
            item
            for step in (steps if isinstance(steps, list) else ())
            for item in _step_messages(step)
        ]
    messages, other = _messages(items)
    environment = whole.get("environment")
    return Transcript(
        type="swe-agent",
        source=source,
        messages=messages,
        title=os.path.splitext(source)[0],
        project_id=environment if isinstance(environment, str) else "",
        about=about,
        other=other,
        notes=tuple(notes),
    )


def _step_messages(step: object) -> Iterator[object]:
    if not isinstance(step, dict):
        yield step
        return
    more = {k: v for k, v in step.items() if k not in ("response", "observation")}
    yield {**_apart(more), "role": "assistant", "content": step.get("response") or ""}
    if step.get("observation") is not None:
        yield {"role": "user", "content": step["observation"]}


# --- chat messages --------------------------------------------------------------------


def _from_chat(source: str, whole: object) -> Transcript | None:
    about: dict[str, Any] = {}
    items = whole
    if isinstance(whole, dict):
        items = whole.get("messages")
        about = {k: v for k, v in whole.items() if k != "messages"}
    if not isinstance(items, list) or not any(_is_message(item) for item in items):
        return None
    messages, other = _messages(items)
    title = about.get("title")
    return Transcript(
        type="chat",
        source=source,
        key=_usable_id(about.get("id")),
        messages=messages,
        title=title if isinstance(title, str) and title else _title(messages),
        about=about,
        other=other,
    )


# --- lines ----------------------------------------------------------------------------


@attrs.frozen
class _Line:
    number: int
    value: Any
    is_json: bool


def _lines(text: bytes) -> list[_Line]:
    loads = get("json").loads
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            lines.append(_Line(number, loads(line), is_json=True))
        except DecodeError:
            value = line.decode("utf-8", errors="replace").replace(
                "\0", "\N{REPLACEMENT CHARACTER}"
            )
            lines.append(_Line(number, value, is_json=False))
    return lines


def _from_lines(source: str, lines: Sequence[_Line]) -> list[Transcript]:
    objects = [line.value for line in lines if line.is_json and isinstance(line.value, dict)]
    if any(_is_claude(value) for value in objects):
        return [_from_claude(source, lines)]
    if any(_is_message(value) for value in objects):
        messages, other = _messages([line.value for line in lines], [one.number for one in lines])
        return [
            Transcript(
                type="chat",
                source=source,
                messages=messages,
                title=_title(messages),
                other=other,
                notes=_left_out(source, other),
            )
        ]
    found = []
    for line in lines:
        one = _from_chat(f"{source}:{line.number}", line.value) if line.is_json else None
        if one is not None:
            found.append(one)
    if found and len(found) < len(lines):
        note = f"{source}: {len(lines) - len(found)} lines hold no conversation and were left out"
        found[0] = attrs.evolve(found[0], notes=(*found[0].notes, note))
    return found


# --- Claude Code ----------------------------------------------------------------------


def _is_claude(value: Mapping[str, Any]) -> bool:
    return "message" in value and "type" in value and ("uuid" in value or "sessionId" in value)


def _from_claude(source: str, lines: Sequence[_Line]) -> Transcript:
    messages: list[Message] = []
    other: list[Mapping[str, Any]] = []
    ids: set[str] = set()
    summary, key, project = "", None, ""
    for line in lines:
        value = line.value
        message = _claude_message(value, line.number, ids) if line.is_json else None
        if message is not None:
            messages.append(message)
            key = key or _usable_id(value.get("sessionId"))
            project = project or (value["cwd"] if isinstance(value.get("cwd"), str) else "")
            continue
        other.append({"line": line.number, "value": value})
        if isinstance(value, dict) and isinstance(value.get("summary"), str):
            summary = value["summary"]
    unexpected = [one for one in other if not _is_summary(one["value"])]
    return Transcript(
        type="claude-code",
        source=source,
        key=key,
        messages=tuple(messages),
        title=_title(messages),
        summary=summary,
        project_id=project,
        other=tuple(other),
        notes=_left_out(source, unexpected),
    )


def _is_summary(value: object) -> bool:
    return isinstance(value, dict) and value.get("type") == "summary"


def _claude_message(value: object, number: int, ids: set[str]) -> Message | None:
    if not isinstance(value, dict) or value.get("type") not in _CLAUDE_ROLES:
        return None
    line = dict(value)
    said = line.pop("message", None)
    if said is None and line["type"] == "system":
        said = {"content": line.pop("content", None)}
    if isinstance(said, str):
        said = {"content": said}
    if not isinstance(said, dict):
        return None
    timestamp = {"timestamp": line.pop("timestamp")} if "timestamp" in line else {}
    rest = {k: v for k, v in said.items() if k not in ("role", "content")}
    role = said.get("role")
    if role is not None and not _is_text(role):
        rest["role"] = role
    if rest:
        line["message"] = rest
    id = _usable_id(line.get("uuid")) or f"line-{number}"
    if id in ids:
        id = f"{id}-line-{number}"
    ids.add(id)
    item = {
        **_apart(line),
        **timestamp,
        "id": id,
        "role": role if _is_text(role) else line["type"],
        "content": said.get("content"),
    }
    return _message(item, number)


def _apart(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return `fields` with those in a mapping of their own whose names `Message` uses itself."""
    taken = {k: v for k, v in fields.items() if k in _FIELDS}
    free = {k: v for k, v in fields.items() if k not in _FIELDS}
    return {**free, _free_name(free): taken} if taken else free


def _free_name(fields: Mapping[str, Any]) -> str:
    """Return the name for fields that are kept apart: `source`, or where that is taken, longer."""
    name = "source"
    while name in fields:
        name += "_"
    return name


# --- messages -------------------------------------------------------------------------


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _is_message(value: object) -> bool:
    return isinstance(value, dict) and _is_text(value.get("role"))


def _messages(
    items: Sequence[object], numbers: Sequence[int] | None = None
) -> tuple[tuple[Message, ...], tuple[Mapping[str, Any], ...]]:
    """Return the messages among some items, and what is none of them with its number."""
    messages: list[Message] = []
    other: list[Mapping[str, Any]] = []
    for number, item in zip(numbers or range(1, len(items) + 1), items, strict=True):
        message = _message(item, number) if isinstance(item, dict) and _is_message(item) else None
        if message is None:
            other.append({"line": number, "value": item})
        else:
            messages.append(message)
    return tuple(messages), tuple(other)


def _message(item: Mapping[str, Any], number: int) -> Message | None:
    """Return an item as a message; a field that does not fit its own is kept among the extras."""
    fields: dict[str, Any] = {"id": _usable_id(item.get("id")) or f"m{number:04d}"}
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
                (misfits if name in _FIELDS else extra)[name] = value
        elif name not in _FIELDS:
            extra[name] = value
        elif _fits(name, value):
            fields[name] = value
        elif value is not None:
            misfits[name] = value
    if misfits:
        extra[_free_name(extra)] = misfits
    ids = item.get("tool_call_ids")
    if (
        "tool_call_id" not in fields
        and isinstance(ids, list)
        and len(ids) == 1
        and _is_text(ids[0])
    ):
        fields["tool_call_id"] = ids[0]
    fields.setdefault("content", None)
    return Message(**fields, extra=freeze_mapping(extra))


def _fits(name: str, value: object) -> bool:
    if name == "role":
        return _is_text(value)
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


def _usable_id(value: object) -> str | None:
    try:
        return check_id(value)
    except InvalidId:
        return None


def _title(messages: Sequence[Message]) -> str:
    """Return the first line that a person said, cut to a title."""
    spoken = (text for one in messages if one.role == "user" for text in _texts(one))
    line = next((text.strip().splitlines()[0] for text in spoken if text.strip()), "")
    return line if len(line) <= _TITLE_CHARACTERS else line[: _TITLE_CHARACTERS - 1] + "…"


def _texts(message: Message) -> Iterator[str]:
    for part in (message.content,) if isinstance(message.content, str) else message.content or ():
        text = part if isinstance(part, str) else part.text
        if isinstance(text, str):  # a provider may have put anything there
            yield text


def _left_out(source: str, other: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    if not other:
        return ()
    lines = ", ".join(str(one["line"]) for one in other[:5]) + ("…" if len(other) > 5 else "")
    return (f"{source}: no messages, kept in the metadata of its conversation: line {lines}",)


def _read_text(path: str) -> bytes:
    try:
        if not os.path.isfile(path):
            raise UnknownTranscript(path, "there is no such file")
        with open(path, "rb") as stream:
            data = stream.read(MAX_SIZE_BYTES + 1)
    except OSError as error:
        raise UnknownTranscript(path, error.strerror or str(error)) from error
    if len(data) > MAX_SIZE_BYTES:
        raise UnknownTranscript(path, f"it is larger than {MAX_SIZE_BYTES} bytes")
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not data.strip():
        raise UnknownTranscript(path, "it is empty")
    return data
