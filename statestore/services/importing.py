"""Importing: transcripts of agents become sessions and conversations, each once."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import attrs

from statestore.engine.engine import Engine
from statestore.errors import (
    DuplicateId,
    SaveFailed,
    StateStoreError,
    UnknownName,
    UnknownTranscript,
)
from statestore.managers.conversations import Conversation, ConversationManager
from statestore.managers.sessions import Session, SessionManager
from statestore.models.documents import freeze_mapping
from statestore.models.reports import Failure, ImportReport
from statestore.services.transcripts import Transcript, read_transcripts

_ENDINGS = (".traj", ".json", ".jsonl")
_MARK = "imported"
"""The field of a conversation's metadata that says where it came from."""


@attrs.define
class _Tally:
    items: int = 0
    conversations: int = 0
    messages: int = 0
    unchanged: int = 0
    failures: list[Failure] = attrs.field(factory=list)
    notes: list[str] = attrs.field(factory=list)


def import_transcripts(engine: Engine, sources: Sequence[str]) -> ImportReport:
    """Take in transcripts, a session and a conversation for each, and save them.

    A transcript that was imported before adds nothing. One that has grown since adds its new
    messages. One that says something else under the same id is refused and is in the report.

    Raises:
        UnknownName: no managers of sessions and conversations are registered.
        SaveFailed: what was taken in could not be saved.
    """
    sessions, conversations = _managers(engine)
    started = time.monotonic()
    if not engine.is_loaded:
        engine.load({sessions.kind, conversations.kind})
    tally = _Tally()
    for path, was_named in _files(sources, tally):
        try:
            for transcript in read_transcripts(path):
                _take(sessions, conversations, transcript, path, tally)
        except StateStoreError as error:
            if was_named or not isinstance(error, UnknownTranscript):
                tally.failures.append(Failure(None, "import", error))
            else:
                tally.notes.append(str(error))
    saved = engine.save({sessions.kind, conversations.kind}, strict=False)
    report = ImportReport(
        path=engine.driver.path,
        format=engine.format,
        items=tally.items,
        conversations=tally.conversations,
        messages=tally.messages,
        unchanged=tally.unchanged,
        size_bytes=saved.size_bytes,
        timestamp=engine.clock(),
        duration_s=time.monotonic() - started,
        failures=tuple(tally.failures),
        notes=tuple(tally.notes),
    )
    engine.finish(report, None, StateStoreError, strict=False)
    if saved.failures:
        raise SaveFailed(saved)
    return report


def _managers(engine: Engine) -> tuple[SessionManager, ConversationManager]:
    sessions = engine.managers.get("sessions")
    conversations = engine.managers.get("conversations")
    if not isinstance(sessions, SessionManager):
        raise UnknownName("manager", "sessions", engine.managers)
    if not isinstance(conversations, ConversationManager):
        raise UnknownName("manager", "conversations", engine.managers)
    return sessions, conversations


def _files(sources: Sequence[str], tally: _Tally) -> Iterator[tuple[str, bool]]:
    """Yield each file to read, and whether it was named itself rather than found in a folder."""
    for source in sources:
        if not os.path.isdir(source):
            yield source, True
            continue
        found = False
        for folder, inner, names in os.walk(source):
            inner.sort()
            for name in sorted(names):
                if name.endswith(_ENDINGS):
                    found = True
                    yield os.path.join(folder, name), False
        if not found:
            error = UnknownTranscript(source, "there are no transcripts in this folder")
            tally.failures.append(Failure(None, "import", error))


def _take(
    sessions: SessionManager,
    conversations: ConversationManager,
    transcript: Transcript,
    path: str,
    tally: _Tally,
) -> None:
    known = _known(conversations, transcript)
    if known is None:
        _add(sessions, conversations, transcript)
        tally.conversations += 1
        tally.items += 1
        tally.messages += len(transcript.messages)
    elif known.metadata[_MARK]["digest"] == transcript.digest:
        tally.unchanged += 1
        return
    else:
        count = len(known.messages)
        if not _continues(transcript, known):
            reason = (
                f"conversation {known.id!r} has its id and says something else; delete it first"
            )
            raise UnknownTranscript(path, reason)
        conversations.update(
            known.id,
            messages=transcript.messages,
            summary=transcript.summary or known.summary,
            metadata={**known.metadata, **_metadata(transcript)},
        )
        tally.items += 1
        tally.messages += len(transcript.messages) - count
    tally.notes.extend(transcript.notes)


def _known(conversations: ConversationManager, transcript: Transcript) -> Conversation | None:
    """Return the conversation that a transcript was imported as before."""
    grown: Conversation | None = None
    for one in conversations.all():
        mark = one.metadata.get(_MARK)
        if not mark or mark["type"] != transcript.type:
            continue
        if mark["digest"] == transcript.digest:
            return one
        if transcript.key is not None:
            if mark["key"] == transcript.key:
                grown = one
        elif mark["source"] == transcript.source and _continues(transcript, one):
            grown = one
    return grown


def _continues(transcript: Transcript, known: Conversation) -> bool:
    return bool(known.messages) and transcript.messages[: len(known.messages)] == known.messages


def _add(
    sessions: SessionManager, conversations: ConversationManager, transcript: Transcript
) -> None:
    stem = os.path.splitext(transcript.source)[0]
    id = transcript.key or f"{stem}-{transcript.digest[:12]}"
    for manager in (sessions, conversations):
        if id in manager:
            raise DuplicateId(manager.kind, id)
    times = transcript.times
    created_at = times[0] if times else datetime.now(UTC)
    updated_at = max(times, default=created_at)
    title = transcript.title or stem
    session = Session(
        id=id,
        project_id=transcript.project_id,
        name=title,
        agent=None if transcript.type == "chat" else transcript.type,
        metadata=freeze_mapping({**transcript.about, _MARK: _mark(transcript)}),
        created_at=created_at,
        updated_at=updated_at,
        started_at=created_at if times else None,
        ended_at=updated_at if times else None,
    )
    conversation = Conversation(
        id=id,
        title=title,
        session_id=id,
        summary=transcript.summary,
        metadata=freeze_mapping(_metadata(transcript)),
        created_at=created_at,
        updated_at=updated_at,
        messages=transcript.messages,
    )
    sessions.add(session)
    conversations.add(conversation)


def _metadata(transcript: Transcript) -> dict[str, object]:
    metadata: dict[str, object] = {_MARK: _mark(transcript)}
    if transcript.other:
        metadata["other_lines"] = transcript.other
    return metadata


def _mark(transcript: Transcript) -> dict[str, object]:
    return {
        "type": transcript.type,
        "source": transcript.source,
        "key": transcript.key,
        "digest": transcript.digest,
    }
