"""Prose: a sentence that asks for several things is taken apart into them.

Where it is not sure, a text stays whole: a task too few can be told from its text, one that was cut
in the wrong place makes no sense.
"""

# ruff: noqa: RUF001 - marks of other scripts are meant

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from statestore.instructions.wording import (
    CONDITIONS,
    CREATING,
    DETERMINERS,
    ENABLING,
    MAKINGS,
    RELATIVES,
    REMARKS,
    Word,
    skip_polite,
    starts_order,
    to_words,
)

# The phrases that stand between tasks and are left out of them, also with "and", "but" or "then"
# before them.
OPENING = ("first", "firstly", "first of all", "to begin with", "to start", "to start with")
FOLLOWING = (
    "second",
    "secondly",
    "third",
    "thirdly",
    "fourth",
    "fifth",
    "then",
    "next",
    "after that",
    "after this",
    "afterwards",
    "afterward",
    "when done",
    "once done",
    "when that is done",
    "once that is done",
    "when that's done",
    "once that's done",
    "finally",
    "lastly",
    "last of all",
)
# These only at the start of a sentence: elsewhere they add to what stands before.
ADDING = ("also", "additionally", "in addition")
JOINERS = frozenset({"and", "but", "then"})

_PHRASES: dict[str, list[tuple[str, ...]]] = {}
for _phrase in sorted((*OPENING, *FOLLOWING, *ADDING), key=len, reverse=True):
    _PHRASES.setdefault(_phrase.split()[0], []).append(tuple(_phrase.split()))


class Split(NamedTuple):
    """What a text asks for, part by part, and what it says before that is no order."""

    parts: tuple[str, ...]
    lead: str = ""


class _Connector(NamedTuple):
    phrase: str
    end: int
    joined: bool
    marked: bool

    @property
    def opens(self) -> bool:
        return self.phrase in OPENING


def split_prose(text: str, *, in_series: bool = False) -> Split:
    """Take a text apart at "first … then …", semicolons, and commas before verbs.

    Connecting words at its beginning go only if another part follows, or if it is `in_series`.
    """
    words = to_words(text)
    if not words:
        return Split(())
    lead, ranges = _series(words, in_series=in_series)
    if ranges == [(0, len(words))]:
        colon = next((at + 1 for at, word in enumerate(words) if word.tail[-1:] in (":", "：")), 0)
        if 0 < colon < len(words) and len(list(_pieces(words, colon, len(words)))) > 1:
            lead, ranges = colon, [(colon, len(words))]
    found = [piece for start, end in ranges for piece in _pieces(words, start, end)]
    parts = tuple(filter(None, (_between(text, words, start, end) for start, end in found)))
    if not parts:  # nothing but connecting words, which then connect nothing
        return Split((text.strip(),))
    return Split(parts, text[: words[lead].start].strip() if lead else "")


def is_order(text: str) -> bool:
    """Tell whether `text` begins with a verb, so that it asks for something."""
    words = to_words(text)
    return starts_order(words, 0, len(words))


def begins_with_connector(text: str) -> bool:
    """Tell whether `text` begins with such a phrase as joins it to the tasks around it."""
    words = to_words(text)
    return bool(words) and _connector(words, 0) is not None


def _between(text: str, words: Sequence[Word], start: int, end: int) -> str:
    while end > start and words[end - 1].bare in JOINERS and not words[end - 1].tail:
        end -= 1
    if end <= start:
        return ""
    part = text[words[start].start : words[end - 1].end]
    return part.rstrip(",; ").rstrip() if end < len(words) else part


def _connector(words: Sequence[Word], at: int) -> _Connector | None:
    """Return the phrase that stands at `at` and is followed by an order."""
    begin = at
    limit = min(len(words), at + 2)
    while at < limit and words[at].bare in JOINERS and not words[at].tail:
        found = _phrase_at(words, at, joined=at > begin)
        if found:
            return found
        at += 1
    return _phrase_at(words, at, joined=at > begin) if at < len(words) else None


def _phrase_at(words: Sequence[Word], at: int, *, joined: bool) -> _Connector | None:
    for phrase in _PHRASES.get(words[at].bare, ()):
        end = at + len(phrase)
        taken = words[at:end]
        if end >= len(words) or tuple(word.bare for word in taken) != phrase:
            continue
        if any(word.tail for word in taken[:-1]):
            continue
        marked = taken[-1].tail in (",", ":")
        if marked and _tells(words, end):
            continue
        if marked or (not taken[-1].tail and _is_ordered(words, at, end)):
            return _Connector(" ".join(phrase), end, joined, marked)
    return None


def _is_ordered(words: Sequence[Word], at: int, end: int) -> bool:
    """Tell whether an order follows, be it one that no table knows: ", then unzip the archive"."""
    if starts_order(words, end, len(words), clear=True):
        return True
    if end + 1 >= len(words) or (at and not words[at - 1].tail) or words[end].tail:
        return False
    verb, object_ = words[end].bare, words[end + 1].bare
    known = verb in DETERMINERS or verb in REMARKS or verb in _SUBJECTS
    return not known and object_ in DETERMINERS and not verb.endswith(("s", "ed", "ing"))


def _tells(words: Sequence[Word], at: int) -> bool:
    """Tell whether a report begins at `at`, such as "it crashed", and no order."""
    at = skip_polite(words, at, len(words))
    return at == len(words) or words[at].bare in _SUBJECTS


_SUBJECTS = frozenset({"i", "it", "he", "she", "they", "we", "there"})


class _Guard:
    """Whether what is read now belongs to a condition or a description, and is no order."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.condition = self.description = self._creating = self._making = False

    def read(self, words: Sequence[Word], at: int) -> None:
        bare = words[at].bare
        self.condition |= bare in CONDITIONS
        self.description |= bare in RELATIVES or (self._creating and bare in ENABLING)
        self._creating |= bare in CREATING
        self._making |= bare in ENABLING
        self._making |= self._creating and (bare in MAKINGS or bare[:-1] in MAKINGS)
        if bare == "to" and self._making:
            self.description |= starts_order(words, at + 1, len(words))


def _series(words: Sequence[Word], *, in_series: bool) -> tuple[int, list[tuple[int, int]]]:
    """Return how many words lead into the series, and where its parts start and end."""
    cuts: list[tuple[int, int]] = []
    opened = False
    first: _Connector | None = None
    guard = _Guard()
    at = 0
    while at < len(words):
        sentence = at == 0 or words[at - 1].ends_sentence or words[at - 1].tail[-1:] in (";", ":")
        if sentence:
            guard.reset()
            # The polite words of a request are none of what it describes.
            skipped = skip_polite(words, at, len(words))
        found = _connector(words, at)
        if found and (sentence or _goes_on(words, at, found, guard, opened=opened)):
            first = first or found
            opened |= found.opens
            cuts.append((at, found.end))
            guard.reset()
            at = found.end
            skipped = skip_polite(words, at, len(words))
            continue
        if at >= skipped:
            guard.read(words, at)
        at += 1
    if not first:
        return 0, [(0, len(words))]
    begins = cuts[0][0]
    leads = first.opens and begins > 0 and not starts_order(words, 0, begins)
    if len(cuts) == 1 and (leads or not begins) and not in_series:
        return 0, [(0, len(words))]
    ends = [*(start for start, _ in cuts[1:]), len(words)]
    ranges = [(content, end) for (_, content), end in zip(cuts, ends, strict=True)]
    if begins and not leads:
        ranges.insert(0, (0, begins))
    return (begins if leads else 0), ranges


def _goes_on(
    words: Sequence[Word], at: int, found: _Connector, guard: _Guard, *, opened: bool
) -> bool:
    """Tell whether a phrase within a sentence parts two orders."""
    if guard.condition or (guard.description and not opened) or found.phrase in ADDING:
        return False
    return words[at - 1].tail[-1:] == "," or found.joined or found.phrase == "then"


def _pieces(words: Sequence[Word], start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the members of the list that the first sentence of a part is, if it is one."""
    stop = next((at + 1 for at in range(start, end) if words[at].ends_sentence), end)
    cuts = _at_semicolons(words, start, stop) or _at_commas(words, start, stop)
    for cut in cuts:
        yield start, cut
        start = cut
        while start < end and words[start].bare in JOINERS and not words[start].tail:
            start += 1
    yield start, end


def _shares(words: Sequence[Word], at: int, stop: int) -> bool:
    """Tell whether the word at `at` stands alone, sharing the object of the next."""
    return at + 1 < stop and (bool(words[at].tail) or words[at + 1].bare in ("and", "or"))


def _at_semicolons(words: Sequence[Word], start: int, stop: int) -> list[int]:
    cuts = [
        at
        for at in range(start + 1, stop)
        if words[at - 1].tail[-1:] in (";", "；")
        and words[at].bare not in REMARKS
        and not words[at - 1].bare.startswith("&")
    ]
    if starts_order(words, start, stop):
        return cuts
    # Orders behind what is none stay with it; it says what they are about.
    tells = words[start].bare in REMARKS or any(
        starts_order(words, cut, stop, clear=True) for cut in cuts
    )
    return [] if tells else cuts


def _at_commas(words: Sequence[Word], start: int, stop: int) -> list[int]:
    if not starts_order(words, start, stop):
        return []
    firm: list[int] = []
    soft: list[int] = []
    joined: list[int] = []
    others = False
    guard = _Guard()
    for at in range(skip_polite(words, start, stop), stop - 1):
        guard.read(words, at)
        if guard.condition or guard.description:
            break
        begins = at + 1
        listed = words[at].tail[-1:] == ","
        if listed:
            guard.reset()
            while begins < stop and words[begins].bare in JOINERS:
                begins += 1
            if starts_order(words, begins, stop, clear=True):
                firm.append(at + 1)
            elif starts_order(words, begins, stop) and not _shares(words, begins, stop):
                soft.append(at + 1)
            else:
                others = True
        elif words[begins].bare == "and" and starts_order(words, begins + 1, stop, clear=True):
            joined.append(begins)
    cuts = sorted(firm if others else firm + soft)
    if not cuts or words[skip_polite(words, start, stop)].tail:
        return []  # "build, test and deploy the app": one object for all of them
    return sorted((*cuts, *(at for at in joined if at > cuts[-1])))
