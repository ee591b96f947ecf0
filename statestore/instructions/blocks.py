"""Blocks: the lines of a text gathered to headings, items of lists and plain text."""

# ruff: noqa: RUF001 - marks of other scripts are meant

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import attrs

from statestore.instructions.marks import (
    BLANK,
    HEADED,
    START,
    Mark,
    mark_of,
    text_after,
)

_LINE_END = re.compile(r"\r\n|\r|\n")
_FENCE = re.compile(r"`{3,}|~{3,}")
_HEADING = re.compile(r"(#{1,6})\s+(?=\S)")
# A line of at least so many characters may have been broken where a word no longer fitted.
WRAPPED_AT = 60
# So much deeper is below; by one less a number stands that is written flush right.
_DEEPER = 2
_STOPS = (".", "!", "?", ":", ";", "…", "。")


@attrs.define
class Block:
    """A heading, an item or a plain line, with the lines that belong to it.

    `paragraph` is equal for plain lines without a blank one between. `level` is a heading's.
    """

    kind: str
    parts: list[str]
    details: list[str] = attrs.field(factory=list)
    mark: Mark | None = None
    indent: int = 0
    paragraph: int = 0
    level: int = 0
    next_number: int | None = None

    @property
    def text(self) -> str:
        """Its own words, on one line."""
        return " ".join(self.parts)

    def shown(self) -> str:
        """Return the lines that belong to it, without their common indentation."""
        return textwrap.dedent("\n".join(self.details)).strip("\n").rstrip()


@attrs.define
class _Line:
    raw: str
    kind: str
    indent: int
    body: str
    mark: Mark | None = None
    level: int = 0
    next_number: int | None = None
    leads: bool = False


def to_blocks(text: str) -> list[Block]:
    """Gather the lines of `text`; what is fenced or quoted is never taken apart."""
    lines = list(_lines(text))
    _drop_weak_marks(lines)
    _look_ahead(lines)
    gathering = _Gathering()
    for line in lines:
        gathering.take(line)
    gathering.finish()
    # A mark with nothing behind it is no item, so that what leads to it is not lost with it.
    blocks = [block for block in gathering.blocks if block.parts or any(block.details)]
    return list(_unwrapped(blocks))


def _lines(text: str) -> Iterator[_Line]:
    fence = ""
    for raw in _LINE_END.split(text):
        start = START.match(raw)
        body = raw[start.end() if start else 0 :].rstrip()
        indent = len(raw[: len(raw) - len(raw.lstrip())].expandtabs(4))
        if fence:
            if body.startswith(fence) and not body.strip(fence[0]):
                fence = ""
            yield _Line(raw, "code", indent, body)
            continue
        opening = _FENCE.match(body)
        if opening:
            # "```one line```" is no fence.
            fence = opening.group() if opening.group()[0] not in body[opening.end() :] else ""
            yield _Line(raw, "code" if fence else "text", indent, body)
        elif BLANK.match(raw) or _is_rule(body):
            yield _Line(raw, "blank", indent, "")
        elif body[0] in ">|":
            yield _Line(raw, "quote", indent, body)
        else:
            yield _words_line(raw, indent, body)


def _is_rule(body: str) -> bool:
    return len(body) > 2 and body[0] in "-=_*~+" and not body.strip(f"{body[0]} \t")


def _words_line(raw: str, indent: int, body: str) -> _Line:
    heading = _HEADING.match(body)
    if not heading:
        mark = mark_of(body)
        return _Line(raw, "mark" if mark else "text", indent, body, mark)
    level = len(heading.group(1))
    body = body[heading.end() :].rstrip("#").rstrip() or body
    mark = mark_of(body)
    if mark and mark.rank == HEADED:
        return _Line(raw, "mark", 0, body, mark, level)
    return _Line(raw, "heading", 0, body, None, level)


def _drop_weak_marks(lines: Iterable[_Line]) -> None:
    """Take as words what would only be a mark if one before or after it counted on."""
    weak: dict[tuple[str, int], list[_Line]] = {}
    for line in lines:
        if line.mark and line.mark.style in ("#n", "dashed", "a.", "A."):
            weak.setdefault((line.mark.style, line.indent), []).append(line)
    for group in weak.values():
        numbers = [line.mark.number or 0 if line.mark else 0 for line in group]
        for at, line in enumerate(group):
            if line.mark is None or not line.mark.weak:
                continue
            near = numbers[max(at - 1, 0) : at] + numbers[at + 1 : at + 2]
            if not any(abs(other - numbers[at]) == 1 for other in near):
                line.kind, line.mark = "text", None


def _look_ahead(lines: Sequence[_Line]) -> None:
    """Tell each mark the number of the next of its style, and each line whether a list follows."""
    numbers: dict[str, int | None] = {}
    list_follows = False
    for line in reversed(lines):
        if line.kind == "heading":
            numbers.clear()
        if line.mark:
            line.next_number = numbers.get(line.mark.style)
            numbers[line.mark.style] = line.mark.number
        line.leads = list_follows and line.body.endswith((":", "："))
        if line.kind != "blank":
            list_follows = line.mark is not None


class _Gathering:
    """The blocks read so far, and the one that the next line may belong to."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._open: Block | None = None
        self._waiting: list[str] = []  # code and quotations before the first words
        self._blank = False
        self._paragraph = 0
        self._nesting: set[str] = set()  # styles of items that have had lists below a blank line

    def take(self, line: _Line) -> None:
        if line.kind == "blank":
            self._blank = True
            self._paragraph += 1
            if self._open:
                self._open.details.append("")
            elif self._waiting:
                self._waiting.append("")
            return
        if line.kind in ("code", "quote"):
            self._keep(line)
        elif self._open and self._belongs(self._open, line):
            self._join(self._open, line)
        else:
            self._begin(line)
        self._blank = False

    def _keep(self, line: _Line) -> None:
        if self._open:
            self._open.details.append(line.raw)
        elif self.blocks:  # below a heading
            self._begin(attrs.evolve(line, body=""))
            self.blocks[-1].details.append(line.raw)
        else:
            self._waiting.append(line.raw)

    def _belongs(self, opened: Block, line: _Line) -> bool:
        below = line.indent >= opened.indent + _DEEPER
        if opened.kind == "plain":
            return below and line.kind == "text"
        if opened.level:  # a heading "Task 1": all below it, to the next that is no deeper
            return (not line.level or line.level > opened.level) and (
                line.mark is None or line.mark.rank < HEADED or bool(line.level)
            )
        if line.kind == "heading":
            return False
        if below:
            return True
        if line.mark is None:
            return not self._blank and not line.leads
        return opened.mark is not None and self._is_under(opened, opened.mark, line.mark)

    def _is_under(self, opened: Block, mark: Mark, other: Mark) -> bool:
        if other.rank >= mark.rank:
            return False
        if not self._blank:
            return True
        goes_on = opened.next_number is not None and opened.next_number == (mark.number or 0) + 1
        if goes_on:
            self._nesting.add(mark.style)
        return goes_on or mark.style in self._nesting

    def _join(self, opened: Block, line: _Line) -> None:
        text = opened.parts[-1] if opened.parts else ""
        goes_on = not opened.details and line.kind == "text" and opened.kind == "item"
        if goes_on and (not text or (line.body[0].islower() and not text.endswith(_STOPS))):
            opened.parts.append(line.body)
        else:
            opened.details.append(line.raw)

    def _begin(self, line: _Line) -> None:
        kind = {"mark": "item", "heading": "heading"}.get(line.kind, "plain")
        text = text_after(line.body, line.mark) if line.mark else line.body
        indent = line.indent
        if self._open and self._open.kind == kind == "item":
            indent = min(indent, self._open.indent)  # else each could be deeper than the one before
        block = Block(
            kind,
            [text] if text else [],
            self._waiting if kind != "heading" else [],
            line.mark,
            indent,
            self._paragraph,
            line.level,
            line.next_number,
        )
        if kind == "heading":
            self._nesting.clear()
        else:
            self._waiting = []
        self.blocks.append(block)
        self._open = None if kind == "heading" else block

    def finish(self) -> None:
        """Let code that nobody said a word about be a block of its own."""
        if self._waiting:
            self.blocks.append(Block("plain", [], self._waiting))


def _unwrapped(blocks: Sequence[Block]) -> Iterator[Block]:
    """Yield the blocks, paragraphs that were broken at a width in one piece."""
    at = 0
    while at < len(blocks):
        end = at + 1
        while (
            end < len(blocks)
            and blocks[at].kind == blocks[end].kind == "plain"
            and blocks[at].paragraph == blocks[end].paragraph
            and not any(blocks[end - 1].details)
        ):
            end += 1
        group = blocks[at:end]
        if end - at > 1 and _is_wrapped([block.text for block in group]):
            yield attrs.evolve(
                group[0], parts=[block.text for block in group], details=group[-1].details
            )
        else:
            yield from group
        at = end


def _is_wrapped(texts: Sequence[str]) -> bool:
    width = max(map(len, texts))
    if width < WRAPPED_AT:
        return False
    full = all(
        len(text) + 1 + len(after.split(maxsplit=1)[0]) > width for text, after in pairwise(texts)
    )
    return full and any(
        after[0].islower() and not text.endswith(_STOPS) for text, after in pairwise(texts)
    )
