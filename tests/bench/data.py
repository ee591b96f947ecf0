"""Seeded records of usual sizes, and the plain converter by which peers write and read them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import cattrs
import orjson
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from statestore.managers import Conversation, Focus, FocusChain, Message, Session

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)

_WORDS = (  # noqa: SIM905 # a word a line is no better to read
    "the a this that each build test file error branch parser token window plan step check reads "
    "writes returns raises opens closes moves because while before after until between without "
    "module function class value field record folder session message answer question path name "
    "server client request response cache index query table column number list order first last "
    "small large new old empty whole broken fixed missing slow fast safe plain quick agent tool"
).split()


class Data:
    """Makes records, the same ones for the same seed."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)

    def text(self, size: int) -> str:
        """Return words of `size` characters in all."""
        words: list[str] = []
        length = 0
        while length < size:
            word = self._random.choice(_WORDS)
            words.append(word)
            length += len(word) + 1
        return " ".join(words)[:size]

    def session(self, number: int) -> Session:
        """Return a session of 0.9 KB of compact JSON."""
        return Session(
            id=f"sess-{number:06d}",
            project_id="demo",
            name=self.text(24),
            description=self.text(180),
            tags=("first", "second"),
            context={"branch": self.text(20), "goal": self.text(120)},
            created_at=START,
            updated_at=START + timedelta(seconds=number),
        )

    def message(self, number: int) -> Message:
        """Return a message of 440 bytes in a record's file."""
        return Message(
            id=f"{self._random.getrandbits(128):032x}",
            role=("user", "assistant")[number % 2],
            content=self.text(120),
            created_at=START + timedelta(seconds=number),
        )

    def conversation(self, number: int, messages: int) -> Conversation:
        """Return a conversation of that many messages."""
        return Conversation(
            id=f"conv-{number:06d}",
            title=self.text(30),
            session_id=f"sess-{number:06d}",
            created_at=START,
            updated_at=START + timedelta(seconds=messages),
            messages=[self.message(n) for n in range(messages)],
        )

    def chain(self, number: int) -> FocusChain:
        """Return a focus chain of 2 KB in its file."""
        focuses = [
            Focus(
                id=f"{self._random.getrandbits(128):032x}",
                type="file",
                target=self.text(40),
                created_at=START,
                updated_at=START,
            )
            for _ in range(4)
        ]
        return FocusChain(
            id=f"focus-{number:06d}",
            name=self.text(24),
            current_id=focuses[-1].id,
            created_at=START,
            updated_at=START,
            focuses=focuses,
        )


# What these fields hold is JSON already, frozen by the class when a record is made.
_PLAIN = {"context", "metadata", "extra", "content", "tool_calls"}
_ITEMS = {Conversation: ("messages", Message), FocusChain: ("focuses", Focus)}


def plain_converter() -> cattrs.Converter:
    """Return cattrs as somebody would set it up who stores these records in a database."""
    converter = cattrs.Converter(detailed_validation=False)
    converter.register_unstructure_hook(datetime, datetime.isoformat)
    converter.register_structure_hook(datetime, lambda text, _: datetime.fromisoformat(text))
    for cls in (Message, Focus, Session, Conversation, FocusChain):
        names = [field.name for field in cls.__attrs_attrs__ if field.name in _PLAIN]
        plain = override(unstruct_hook=lambda value: value, struct_hook=lambda value, _: value)
        overrides = dict.fromkeys(names, plain)
        if cls in _ITEMS:
            name, item = _ITEMS[cls]
            overrides[name] = _items(converter, item)
        unstructure = make_dict_unstructure_fn(cls, converter, **overrides)
        structure = make_dict_structure_fn(cls, converter, **overrides)
        converter.register_unstructure_hook(cls, unstructure)
        converter.register_structure_hook(cls, structure)
    return converter


def _items(converter: cattrs.Converter, item: type) -> Any:
    write = converter.get_unstructure_hook(item)
    read = converter.get_structure_hook(item)
    return override(
        unstruct_hook=lambda items: [write(one) for one in items],
        struct_hook=lambda values, _: [read(value, item) for value in values],
    )


def encode_all(records: Sequence[Any], converter: cattrs.Converter) -> list[tuple[str, bytes]]:
    """Return the id and the compact JSON of each record."""
    return [(one.id, orjson.dumps(converter.unstructure(one))) for one in records]
