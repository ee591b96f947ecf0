"""Importing: transcripts of agents become sessions and conversations, each once."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeGuard

import attrs

from statestore.engine.engine import Engine
from statestore.errors import (
    EncodeError,
    SaveFailed,
    StateStoreError,
    UnknownName,
    UnknownTranscript,
)
from statestore.managers.conversations.manager import Conversation, ConversationManager
from statestore.managers.sessions.manager import SessionManager
from statestore.managers.sessions.records import Session
from statestore.models.documents import check_document, freeze_mapping
from statestore.models.reports import Failure, ImportReport
from statestore.records.codec import Codec
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
        ReadOnlyStore, StoreClosed: nothing was taken in.
    """
    engine.want_no_transaction("import")
    sessions, conversations = _managers(engine)
    engine.driver.commit([], {})  # nothing is taken in that could not be saved
    started = time.monotonic()
    if not engine.is_loaded:
        engine.load({sessions.kind, conversations.kind})
    imported = _Imported(conversations)
    tally = _Tally()
    for path, was_named in _files(sources, tally):
        try:
            transcripts = read_transcripts(path)
        except UnknownTranscript as error:
            # In a folder other files may lie too; but one that is damaged may be a transcript.
            if was_named or error.__cause__ is not None:
                tally.failures.append(Failure(None, "import", error))
            else:
                tally.notes.append(str(error))
            continue
        for transcript in transcripts:
            try:
                _take(sessions, conversations, imported, transcript, path, tally)
            except StateStoreError as error:
                tally.failures.append(Failure(None, "import", error))
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
    imported: _Imported,
    transcript: Transcript,
    path: str,
    tally: _Tally,
) -> None:
    known = imported.find(transcript)
    if known is None:
        imported.note(_add(sessions, conversations, transcript, path))
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
        grown = attrs.evolve(
            known,
            messages=transcript.messages,
            summary=transcript.summary or known.summary,
            metadata=freeze_mapping({**known.metadata, **_metadata(transcript)}),
        )
        _want_storable(grown, path)
        imported.note(conversations.replace(grown, expect=known))
        _grow_session(sessions, known.session_id, transcript)
        tally.items += 1
        tally.messages += len(transcript.messages) - count
    tally.notes.extend(transcript.notes)


class _Imported:
    """Which conversations were imported, by what their transcripts say of themselves.

    Read once for an import: looking through every conversation for every transcript would cost
    their product.
    """

    def __init__(self, conversations: ConversationManager) -> None:
        self._conversations = conversations
        self._digests: dict[tuple[object, object], str] = {}
        self._keys: dict[tuple[object, object], str] = {}
        self._places: dict[tuple[object, object], str] = {}
        for one in conversations.all():
            self.note(one)

    def note(self, conversation: Conversation) -> None:
        """Note a conversation, if it was imported."""
        mark = conversation.metadata.get(_MARK)
        if not _is_mark(mark):
            return
        self._digests[mark["type"], mark["digest"]] = conversation.id
        if mark["key"] is not None:
            self._keys[mark["type"], mark["key"]] = conversation.id
        else:
            self._places[mark["type"], mark["place"]] = conversation.id

    def find(self, transcript: Transcript) -> Conversation | None:
        """Return the conversation that a transcript was imported as before."""
        type, get = transcript.type, self._conversations.get
        known = get(self._digests.get((type, transcript.digest), ""))
        if known is None and transcript.key is not None:
            known = get(self._keys.get((type, transcript.key), ""))
        elif known is None:
            there = get(self._places.get((type, transcript.place), ""))
            known = there if there is not None and _continues(transcript, there) else None
        return known


def _continues(transcript: Transcript, known: Conversation) -> bool:
    return bool(known.messages) and transcript.messages[: len(known.messages)] == known.messages


def _is_mark(mark: object) -> TypeGuard[Mapping[str, object]]:
    # Metadata is the host's own: it may have a field of this name that means something else.
    return isinstance(mark, Mapping) and {"type", "key", "place", "digest"} <= mark.keys()


def _add(
    sessions: SessionManager, conversations: ConversationManager, transcript: Transcript, path: str
) -> Conversation:
    stem = os.path.splitext(transcript.source)[0]
    id = transcript.key or f"{stem}-{transcript.digest[:12]}"
    for manager in (sessions, conversations):
        if id in manager:
            reason = f"there is a record {manager.kind}/{id} that is not from it; delete it first"
            raise UnknownTranscript(path, reason)
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
    _want_storable(session, path)
    _want_storable(conversation, path)
    sessions.add(session)
    return conversations.add(conversation)


def _grow_session(sessions: SessionManager, id: str | None, transcript: Transcript) -> None:
    """Note in the session of a transcript that has grown what it says of it now."""
    session = sessions.get(id) if id is not None else None
    if session is None or not _is_mark(session.metadata.get(_MARK)):
        return
    sessions.update(
        session.id,
        ended_at=max(transcript.times, default=session.ended_at),
        metadata={**session.metadata, **transcript.about, _MARK: _mark(transcript)},
    )


def _want_storable(record: Session | Conversation, path: str) -> None:
    """Check that a save will take a record: one that it refuses would stay in its way for good.

    Raises:
        UnknownTranscript: it will not.
    """
    try:
        check_document({"data": _codecs()[type(record)].encode(record)})
    except EncodeError as error:
        raise UnknownTranscript(path, str(error)) from error


@functools.cache
def _codecs() -> Mapping[type, Codec[Any]]:
    return {Session: Codec(Session), Conversation: Codec(Conversation)}


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
        "place": transcript.place,
        "digest": transcript.digest,
    }
