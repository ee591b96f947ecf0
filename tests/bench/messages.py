"""Cases of messages that are added to short and to long conversations."""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import orjson

from statestore import Store
from statestore.managers import Conversation, ConversationManager
from tests.bench.case import OURS, Case
from tests.bench.counting import JOURNAL, Counted
from tests.bench.data import plain_converter
from tests.bench.limits import WriteAndSync
from tests.bench.measuring import Contestant, Result, Target, timed
from tests.bench.peers import SqlitePeer

ROWS, WHOLE_FILE = "sqlite3 FULL, a row each", "whole file+fsync"
TEXT = "words that somebody says in the course of a talk about a piece of work, " * 2


class AddedToStore(Contestant):
    """The library, with a store that makes each change durable at once."""

    def __init__(
        self, folder: str, talks: Sequence[Conversation], burst: int, *, journal: bool = False
    ) -> None:
        self.name, self._burst, self._journal = OURS, burst, journal
        with Store(folder) as store:
            talks_at_first = store.register(ConversationManager())
            for talk in talks:
                talks_at_first.add(talk)
        self._store = Store(folder, autosave="on-change")
        self._talks = self._store.register(ConversationManager())
        self._store.load_all()
        self._ids = [talk.id for talk in talks]
        self._counted = Counted()
        self._grown: list[int] = []

    def turn(self, round: int) -> Mapping[str, Sequence[float]]:
        id = self._ids[round % len(self._ids)]

        def add(number: int) -> None:
            self._talks.add_message(id, role="user", content=TEXT)

        def add_counted(number: int) -> None:
            before = sum(self._counted.journal_writes)
            add(number)
            self._grown.append(sum(self._counted.journal_writes) - before)

        if not self._journal:
            return {self.name: timed(add, self._burst)}
        with self._counted.watching(journal=True):
            return {self.name: timed(add_counted, self._burst)}

    def settle(self) -> None:
        self._store.flush()

    def metrics(self) -> Mapping[str, float]:
        if not self._journal or not sum(self._grown):
            return {}
        message = self._talks[self._ids[0]].messages[-1]
        size = len(orjson.dumps(plain_converter().unstructure(message)))
        return {
            "bytes of a message": size,
            "bytes beside the message": statistics.median(self._grown) - size,
            "bytes of the journal per message, on average": statistics.mean(self._grown),
        }

    def close(self) -> None:
        self._store.close()


class AddedAsRow(Contestant):
    """A row for each message."""

    def __init__(
        self, folder: str, documents: Sequence[dict[str, Any]], message: bytes, burst: int
    ) -> None:
        self.name, self._burst = ROWS, burst
        self._peer = SqlitePeer(folder)
        self._lengths = {}
        for document in documents:
            encoded = [orjson.dumps(message) for message in document["messages"]]
            self._peer.add_all(document["id"], encoded)
            self._lengths[document["id"]] = len(encoded)
        self._ids = list(self._lengths)
        self._document = orjson.loads(message)

    def turn(self, round: int) -> Mapping[str, Sequence[float]]:
        id = self._ids[round % len(self._ids)]

        def add(number: int) -> None:
            self._peer.add(id, self._lengths[id], orjson.dumps(self._document))
            self._lengths[id] += 1

        return {self.name: timed(add, self._burst)}

    def close(self) -> None:
        self._peer.close()


class WrittenWhole(Contestant):
    """The whole conversation into its file, again for each message; not even atomic."""

    def __init__(
        self, folder: str, documents: Sequence[dict[str, Any]], message: bytes, burst: int
    ) -> None:
        self.name, self._burst = WHOLE_FILE, burst
        self._documents = [{**one, "messages": list(one["messages"])} for one in documents]
        self._paths = [os.path.join(folder, one["id"] + ".json") for one in documents]
        self._message = message

    def turn(self, round: int) -> Mapping[str, Sequence[float]]:
        place = round % len(self._paths)
        document, path = self._documents[place], self._paths[place]

        def add(number: int) -> None:
            document["messages"].append(orjson.loads(self._message))
            with open(path, "wb") as file:
                file.write(orjson.dumps(document))
                file.flush()
                os.fsync(file.fileno())

        return {self.name: timed(add, self._burst)}


class _Messages(Case):
    """What the cases of this module have in common: conversations that stay about as long."""

    length: int

    def talks(self) -> list[Conversation]:
        """Return as many conversations as keep each within a quarter of its length."""
        added = self.scale.burst * (1 + (self.scale.rounds or self.usual_rounds))
        length = self.scale.count(self.length)
        count = -(-added * 4 // length)
        self.notes.append(f"{count} conversations of {length:,} messages take turns")
        return [self.data.conversation(n, length) for n in range(count)]


class AddedMessage(_Messages):
    """A message is added, durable when the call returns."""

    targets = (Target(OURS, "limit", 1.4),)

    def contestants(self) -> Sequence[Contestant]:
        talks, burst, converter = self.talks(), self.scale.burst, plain_converter()
        documents = [converter.unstructure(talk) for talk in talks]
        message = orjson.dumps({**documents[0]["messages"][0], "content": TEXT})
        return [
            WriteAndSync(self.place.new("limit"), lambda number: message, burst),
            AddedToStore(self.place.new(OURS), talks, burst),
            AddedAsRow(self.place.new(ROWS), documents, message, burst),
            WrittenWhole(self.place.new(WHOLE_FILE), documents, message, burst),
        ]


class AddedToShort(AddedMessage):
    """See `AddedMessage`."""

    name, length = "message-100", 100
    title = "a message is added to a conversation of 100"


class AddedToMiddle(AddedMessage):
    """See `AddedMessage`."""

    name, length = "message-1000", 1_000
    title = "a message is added to a conversation of 1,000"


class AddedToLong(AddedMessage):
    """See `AddedMessage`."""

    name, length = "message-10000", 10_000
    title = "a message is added to a conversation of 10,000"


class JournalGrowth(_Messages):
    """What the journal grows by for each message; the times suffer from the counting."""

    usual_rounds = 4
    targets = (Target(OURS, "bytes beside the message", 512),)

    def contestants(self) -> Sequence[Contestant]:
        return [AddedToStore(self.place.new(OURS), self.talks(), self.scale.burst, journal=True)]

    def run(self) -> Result:
        result = super().run()
        if result.metrics:
            return result
        note = f"nothing was written to {JOURNAL}, or the system does not tell where to"
        return attrs.evolve(result, notes=(*result.notes, note))


class GrowthShort(JournalGrowth):
    """See `JournalGrowth`."""

    name, length = "growth-100", 100
    title = "what the journal grows by per message, in a conversation of 100"


class GrowthLong(JournalGrowth):
    """See `JournalGrowth`."""

    name, length = "growth-10000", 10_000
    title = "what the journal grows by per message, in a conversation of 10,000"
