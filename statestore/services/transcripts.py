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
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs
import orjson

from statestore.errors import DecodeError, TooLarge, UnknownTranscript
from statestore.managers.conversations.message import Message
from statestore.models.documents import MAX_SIZE_BYTES
from statestore.serializers import get
from statestore.services.transcript_messages import (
    FIELDS,
    first_line,
    free_name,
    is_message,
    is_text,
    left_out,
    to_message,
    to_messages,
    usable_id,
)

_COUNTED = re.compile(r"(m|line-)\d+$")
"""What ends the ids that messages are given by the number of their line."""

_CLAUDE_ROLES = frozenset({"user", "assistant", "system"})


@attrs.frozen(kw_only=True)
class Transcript:
    """One conversation of an agent as it was found.

    `key` is its own name for itself, where it has one; `place` stands for the file, and the line,
    that it was read from, without telling it. `digest` tells equal contents. `other` holds
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
    place: str = ""
    digest: str = attrs.field(init=False)

    @digest.default
    def _digest(self) -> str:
        # Without what counts lines: an empty one more makes no other transcript.
        said = [
            {**attrs.asdict(one, recurse=False), "id": _COUNTED.sub("-", one.id)}
            for one in self.messages
        ]
        other = [one["value"] for one in self.other]
        whole = [self.type, self.key, said, self.summary, self.about, other]
        return hashlib.sha256(orjson.dumps(whole)).hexdigest()

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
    return [attrs.evolve(one, place=_place(path, one.source)) for one in found]


def _place(path: str, source: str) -> str:
    # Of the whole path, so that two files of one name are two; hashed, so that a store does not
    # tell where its transcripts were.
    place = f"{os.path.realpath(path)}\0{source}"
    return hashlib.sha256(os.fsencode(place)).hexdigest()[:16]


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
    messages, other = to_messages(items)
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
    if not isinstance(items, list) or not any(is_message(item) for item in items):
        return None
    messages, other = to_messages(items)
    title = about.get("title")
    return Transcript(
        type="chat",
        source=source,
        key=usable_id(about.get("id")),
        messages=messages,
        title=title if isinstance(title, str) and title else first_line(messages),
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
    if any(is_message(value) for value in objects):
        messages, other = to_messages([line.value for line in lines], [one.number for one in lines])
        return [
            Transcript(
                type="chat",
                source=source,
                messages=messages,
                title=first_line(messages),
                other=other,
                notes=left_out(source, other),
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
            key = key or usable_id(value.get("sessionId"))
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
        title=first_line(messages),
        summary=summary,
        project_id=project,
        other=tuple(other),
        notes=left_out(source, unexpected),
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
    if role is not None and not is_text(role):
        rest["role"] = role
    if rest:
        line["message"] = rest
    id = usable_id(line.get("uuid")) or f"line-{number}"
    if id in ids:
        id = f"{id}-line-{number}"
    ids.add(id)
    item = {
        **_apart(line),
        **timestamp,
        "id": id,
        "role": role if is_text(role) else line["type"],
        "content": said.get("content"),
    }
    return to_message(item, number)


def _apart(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return `fields` with those in a mapping of their own whose names `Message` uses itself."""
    taken = {k: v for k, v in fields.items() if k in FIELDS}
    free = {k: v for k, v in fields.items() if k not in FIELDS}
    return {**free, free_name(free): taken} if taken else free


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
