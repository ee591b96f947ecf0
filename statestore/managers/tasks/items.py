"""Items of queues: what hosts hand over in a list becomes the fields of tasks. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from statestore.instructions.parsing import Instruction

QueueItem: TypeAlias = str | Instruction | Mapping[str, Any]
"""A task to be added: its title, an instruction, or arguments of `TaskManager.create` by name."""

LONGEST_TITLE: Final = 200
"""The characters of a title that is made of a text; the whole text is in the description then."""


def fields_of_item(item: object) -> tuple[dict[str, Any], bool]:
    """Return the fields of a task that an item asks for, and whether it is done already.

    Of an instruction the details are in the description, below a text that is too long for a
    title, and what was said about it is in `metadata["context"]`.

    Raises:
        TypeError: it is no `QueueItem`.
    """
    if isinstance(item, str):
        return {"title": item}, False
    if isinstance(item, Mapping):
        return dict(item), False
    if not isinstance(item, Instruction):
        raise TypeError("a title is wanted, or an Instruction, or a mapping of fields")
    title = title_of(item.text)
    parts = [item.text] * (title != item.text) + [item.details] * bool(item.details)
    metadata = {"context": list(item.context)} if item.context else {}
    fields = {
        "title": title,
        "type": item.type,
        "description": "\n\n".join(parts),
        "metadata": metadata,
    }
    return fields, item.done


def title_of(text: str) -> str:
    """Return the first line of a text that is not empty, cut off where it is too long."""
    line = next((one.strip() for one in text.splitlines() if one.strip()), "")
    if len(line) <= LONGEST_TITLE:
        return line
    return line[: LONGEST_TITLE - 1].rstrip() + "…"
