"""List marks: what stands before an item of a list, such as "10.", "(b)", "- [x]" or "Step 2:"."""

# ruff: noqa: RUF001 - marks of other scripts are meant

from __future__ import annotations

import re
from collections.abc import Sequence

import attrs

from statestore.instructions.wording import Word, table, to_words

# An item of a lower rank that stands among those of a higher one belongs to the one before it.
HEADED, COUNTED, BULLET = 3, 2, 1

_INVISIBLE = "\ufeff\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069"
BLANK = re.compile(rf"[\s{_INVISIBLE}]*\Z")
START = re.compile(rf"[\s{_INVISIBLE}]*")

_COUNTS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_HEADED = re.compile(
    r"(?P<word>task|step|item|subtask|instruction|action|todo)\s{0,3}(?:#|no\.?\s?)?"
    rf"(?P<n>\d{{1,9}}|{'|'.join(_COUNTS)})(?:\*\*|__)?"
    r"(?:\s?[:.)：．）]|\s{0,3}[-–—](?=\s)|(?=\s*\Z))",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(?P<open>[(（#]?)(?P<n>\d{1,9})(?P<close>[.):．）：、。]?)")
_LETTER = re.compile(r"(?P<open>[(（]?)(?P<n>[A-Za-z]|[ivxIVX]{2,5})(?P<close>[).）])(?=\s|\Z)")
_DASHED = re.compile(r"(?P<n>\d{1,9})\s[-–—](?=\s)")
_BULLET = re.compile(r"(?P<mark>[-*+–—·∙→✓✔✅☐☑☒](?=\s|\Z)|[•‣◦▪●○⁃►➤➢])\s*")
_BOX = re.compile(r"\s*\[(?P<done>[ xX✓✔]?)\](?=\s|\Z)\s*")
_CIRCLED = re.compile(r"[①-⑳]\s*")
_KEYCAP = re.compile(r"(?P<n>\d)\ufe0f?\u20e3\s*")  # the digits of emoji
_DONE_MARKS = frozenset("✓✔✅☑")
# "version 2. Then": a number after one of these counts nothing.
_COUNTED = table(
    """
    version v python step task item chapter section page line level phase part number no to of at
    is are than from and or in on by until till issue pr node java php release
    """
)


@attrs.frozen
class Mark:
    """The mark of an item: its style, its place in that style, and how far it reaches in the line.

    `weak` marks are such only among others that count on: "#2" may be the name of something.
    """

    style: str
    rank: int
    number: int | None
    end: int
    done: bool = False
    weak: bool = False


def mark_of(body: str) -> Mark | None:
    """Return the mark that `body`, a line without white space before it, begins with."""
    bold = 2 if body.startswith(("**", "__")) else 0
    mark = _headed(body, bold) or _counted(body, bold) or _lettered(body, bold)
    if mark is None and not bold:
        mark = _bullet(body)
    if mark is None:
        box = _BOX.match(body)
        if box and box["done"]:
            return Mark("bullet", BULLET, None, box.end(), done=box["done"] != " ")
        return None
    box = _BOX.match(body, mark.end)
    if box:
        mark = attrs.evolve(mark, end=box.end(), done=box["done"].strip() != "", weak=False)
    return mark


def text_after(body: str, mark: Mark) -> str:
    """Return the text of an item, without its mark and without the half of "**" that it took."""
    text = body[mark.end :].strip()
    if body.startswith(("**", "__")) and mark.style != "bullet":
        pair = body[:2]
        if text.count(pair) % 2:
            text = text.replace(pair, "", 1).strip()
    return text


def _headed(body: str, start: int) -> Mark | None:
    match = _HEADED.match(body, start)
    if not match:
        return None
    count = match["n"].casefold()
    number = _COUNTS.index(count) + 1 if count in _COUNTS else int(count)
    return Mark(match["word"].casefold(), HEADED, number, match.end())


def _counted(body: str, start: int) -> Mark | None:
    match = _CIRCLED.match(body, start)
    if match:
        return Mark("circled", COUNTED, ord(body[start]) - ord("①") + 1, match.end())
    match = _KEYCAP.match(body, start)
    if match:
        return Mark("keycap", COUNTED, int(match["n"]), match.end())
    match = _DASHED.match(body, start)
    if match:
        return Mark("dashed", COUNTED, int(match["n"]), match.end(), weak=True)
    match = _NUMBER.match(body, start)
    if not match:
        return None
    opening, close, end = match["open"], match["close"], match.end()
    if opening in ("(", "（") and close not in (")", "）"):
        return None
    if not close and opening != "#":
        return None
    if not _may_follow(body[end : end + 2], close):
        return None
    weak = opening == "#" and not close and int(match["n"]) != 1
    return Mark(f"{opening}n{close}", COUNTED, int(match["n"]), end, weak=weak)


def _may_follow(after: str, close: str) -> bool:
    """Tell whether a number may be a mark before this: "1. a", "1)a" and "1.A", but not "1.5"."""
    if not after or after[0].isspace() or after.startswith("**"):
        return True
    if close in (")", "）", "、", "．", "。", "："):
        return True
    if close != "." or not after[0].isalpha():
        return False
    return not after[0].isascii() or (after[0].isupper() and after[1:].islower())


def _lettered(body: str, start: int) -> Mark | None:
    match = _LETTER.match(body, start)
    if not match or (match["open"] and match["close"] == "."):
        return None
    place = match["n"].casefold()
    number = ord(place) - ord("a") + 1 if len(place) == 1 else None
    style = f"{match['open']}{'A' if match['n'].isupper() else 'a'}{match['close']}"
    return Mark(style, COUNTED, number, match.end(), weak=match["close"] == ".")


def _bullet(body: str) -> Mark | None:
    match = _BULLET.match(body)
    if not match:
        return None
    return Mark("bullet", BULLET, None, match.end(), done=match["mark"] in _DONE_MARKS)


def inline_items(text: str, after: Mark | None = None) -> tuple[str, tuple[str, ...]]:
    """Return what stands before a list within one line, and its items; () if there is none.

    If `after` is given, `text` is what follows that mark.

    Its marks count on by one in one style: "1) a 2) b", "Step 1: a. Step 2: b". A full stop after a
    number is a mark only behind another stop or comma, or among three.
    """
    words = to_words(text)
    found: list[tuple[int, int, bool]] = []
    style, number = "", 0
    if after:
        style, number = after.style, after.number or 0
        found.append((0, 0, True))
    for at in range(len(words)):
        mark = _inline_mark(text, words, at)
        if mark is None:
            continue
        if not found:
            if at and not words[at - 1].tail:
                continue
            style, number = mark.style, mark.number or 0
        elif mark.style != style or mark.number != number + 1:
            continue
        else:
            number += 1
        parted = at == 0 or bool(words[at - 1].tail)
        found.append((words[at].start, words[at].start + mark.end, parted))
    if len(found) < 2 or (len(found) == 2 and style == "n." and not found[1][2]):
        return text, ()
    ends = [*(start for start, _, _ in found[1:]), len(text)]
    items = (text[mark[1] : end].strip() for mark, end in zip(found, ends, strict=True))
    return text[: found[0][0]].strip(), tuple(item.rstrip(",; ").rstrip() for item in items)


def _inline_mark(text: str, words: Sequence[Word], at: int) -> Mark | None:
    if at + 1 == len(words):
        return None
    raw = text[words[at].start : words[at].end]
    if raw[0].isdigit() or raw[0] in "(（":
        mark = _counted(raw, 0)
        if mark is None or mark.weak or mark.end != len(raw) or mark.style == "n:":
            return None
        if at and not words[at - 1].tail and words[at - 1].bare in _COUNTED:
            return None
        return mark
    if raw[1:] == ")":
        mark = _lettered(raw, 0)
        return None if mark is None or mark.number is None else mark
    if words[at].bare in ("task", "step", "item", "subtask", "instruction", "action"):
        # Two words more are all that such a mark can take.
        return _headed(text[words[at].start : words[min(at + 3, len(words) - 1)].start], 0)
    return None
