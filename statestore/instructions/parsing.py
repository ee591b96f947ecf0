"""Instructions: what a text asks for, one value for each task.

Read in three steps: its lines are told apart, then gathered to headings, items and plain text, then
decided on: which of these is a task, and which only says something about others.
"""

# ruff: noqa: RUF001 - marks of other scripts are meant

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import attrs

from statestore.errors import ConfigurationError
from statestore.instructions.blocks import Block, to_blocks
from statestore.instructions.marks import inline_items
from statestore.instructions.prose import begins_with_connector, is_order, split_prose
from statestore.instructions.types import detect_type

# An order with such a word right before a list speaks of that, and is none of its own.
_LISTING = re.compile(r"\b(?:following|these|below|tasks?|steps?|todos?|list|items?)\b", re.I)


@attrs.frozen
class Instruction:
    """One task that a text asks for.

    `text` is its title: whole, and on one line, unless it is but a block of code. `type` is one of
    `TASK_TYPES`. `details` are the lines that belong to it, as they were but for their common
    indentation: further lines, nested lists, code, quotations. `context` is what is said about it
    elsewhere: the headings and the words before its list, and the remarks after that. `done` tells
    that its box was ticked.
    """

    text: str
    type: str = "general"
    details: str = attrs.field(default="", kw_only=True)
    context: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    done: bool = attrs.field(default=False, kw_only=True)

    def __str__(self) -> str:
        return self.text


@attrs.define
class _Draft:
    text: str
    details: str
    done: bool
    context: list[str]


def parse_instructions(
    text: str, *, words: Mapping[str, Mapping[str, int]] | None = None
) -> tuple[Instruction, ...]:
    """Return the tasks that `text` asks for, in its order; of an empty text none.

    Items of lists, however they are marked; "first …, then …"; members of lists at semicolons, and
    at commas if verbs begin them; otherwise each line or wrapped paragraph is one. No word is lost
    but the marks of lists and connecting words (the tables of `statestore.instructions.prose`):
    each is in the text, the details or the context of a task. Time and space grow with the length
    of the text, no faster.

    Not promised: that a text is understood. Words are known in English only; where it is not sure,
    text stays together.

    Args:
        words: words of the host's own, for `detect_type`.
    Raises:
        ConfigurationError: it is no text.
    """
    if not isinstance(text, str):
        raise ConfigurationError("text", f"it is a {type(text).__name__}; instructions are a str")
    blocks = to_blocks(text)
    joined = sum(block.kind == "plain" and begins_with_connector(block.text) for block in blocks)
    drafts = [
        draft for section in _sections(blocks) for draft in section.drafts(in_series=joined > 1)
    ]
    contexts: dict[int, tuple[str, ...]] = {}  # shared, as it may be long
    return tuple(
        Instruction(
            draft.text,
            detect_type(draft.text, words=words),
            details=draft.details,
            context=contexts.setdefault(id(draft.context), tuple(draft.context)),
            done=draft.done,
        )
        for draft in drafts
    )


@attrs.define
class _Section:
    """What stands below a heading, to the next one."""

    headings: list[str]
    blocks: list[Block] = attrs.field(factory=list)

    def drafts(self, *, in_series: bool) -> Iterator[_Draft]:
        blocks = self.blocks
        last_item = max((at for at, block in enumerate(blocks) if block.kind == "item"), default=-1)
        leads: list[str] = []
        plain = self.headings  # what is said about plain lines
        listed: list[str] | None = None  # and about the items of the list that was read last
        at = 0
        while at < len(blocks):
            block, following = blocks[at], blocks[at + 1] if at + 1 < len(blocks) else None
            at += 1
            if block.kind == "item":
                if listed is None or leads:
                    listed, leads = [*self.headings, *leads], []
                yield from _of_item(block, listed)
            elif at <= last_item and _leads_to_list(block, following):
                leads.append(_whole(block))
            elif at > last_item and following and _announces(block):
                shown = _shown_by(block, blocks, at)
                if shown > at:
                    details = "\n".join(_whole(other) for other in blocks[at:shown])
                    yield _Draft(block.text, details, False, plain)
                    at = shown
                else:
                    leads.append(_whole(block))
            elif listed is not None and at > last_item and not is_order(block.text):
                listed.append(_whole(block))
            else:
                if leads:
                    plain, leads = [*self.headings, *leads], []
                yield from _of_plain(block, plain, in_series=in_series)
        if leads and listed is not None:
            listed.extend(leads)


def _sections(blocks: Sequence[Block]) -> Iterator[_Section]:
    above: list[Block] = []
    section = _Section([])
    for at, block in enumerate(blocks):
        if block.kind != "heading":
            section.blocks.append(block)
            continue
        yield section
        while above and above[-1].level >= block.level:
            above.pop()
        following = blocks[at + 1] if at + 1 < len(blocks) else None
        if following is None or (following.kind == "heading" and following.level <= block.level):
            # Nothing is below it, so it is what is asked for.
            yield _Section([one.text for one in above], [attrs.evolve(block, kind="plain")])
            section = _Section([])
            continue
        above.append(block)
        section = _Section([one.text for one in above])
    yield section


def _leads_to_list(block: Block, following: Block | None) -> bool:
    if _announces(block) or not is_order(block.text):
        return True
    return following is not None and following.kind == "item" and bool(_LISTING.search(block.text))


def _announces(block: Block) -> bool:
    return block.text.endswith((":", "：")) and not any(block.details)


def _shown_by(block: Block, blocks: Sequence[Block], at: int) -> int:
    """Return where the lines end that an order shows, as in "Fix this error:"."""
    if is_order(block.text) and not _LISTING.search(block.text) and not is_order(blocks[at].text):
        while at < len(blocks) and blocks[at].paragraph in (block.paragraph, block.paragraph + 1):
            at += 1
    return at


def _whole(block: Block) -> str:
    return f"{block.text}\n{block.shown()}".strip("\n")


def _of_item(block: Block, context: list[str]) -> Iterator[_Draft]:
    mark = block.mark
    text, details = block.text, block.shown()
    if mark is None:
        return
    if mark.number is not None and block.next_number != mark.number + 1 and len(block.parts) == 1:
        # The line goes on counting, and no later line does.
        _, items = inline_items(text, mark)
        if any(items):
            yield from _all(items, details, mark.done, context)
            return
    yield _draft(text, details, mark.done, context)


def _of_plain(block: Block, context: list[str], *, in_series: bool) -> Iterator[_Draft]:
    lead, items = inline_items(block.text)
    if not any(items):
        split = split_prose(block.text, in_series=in_series)
        lead, items = split.lead, split.parts
    yield from _all(items, block.shown(), False, [*context, lead] if lead else context)


def _all(items: Sequence[str], details: str, done: bool, context: list[str]) -> Iterator[_Draft]:
    """Yield the tasks of one line; the lines below it are told to the last of them."""
    kept = [item for item in items if item] or [""]
    for item in kept[:-1]:
        yield _draft(item, "", done, context)
    if kept[-1] or details:
        yield _draft(kept[-1], details, done, context)


def _draft(text: str, details: str, done: bool, context: list[str]) -> _Draft:
    if text:
        return _Draft(text, details, done, context)
    if details.lstrip().startswith(("```", "~~~")):
        return _Draft(details.strip(), "", done, context)
    text, _, details = details.lstrip().partition("\n")
    return _Draft(text.strip(), details, done, context)
