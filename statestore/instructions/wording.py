"""Wording: the words of a request, and which of them are orders."""

# ruff: noqa: RUF001 - marks of other scripts are meant

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple


def table(words: str) -> frozenset[str]:
    """Return the words of a text as a set."""
    return frozenset(words.split())


# Clear: a word that starts an order and is hardly ever a noun.
VERBS = table(
    """
    add adapt adjust allow analyse analyze append apply ask assess assign avoid bump calculate
    choose clarify collect combine compare compile compute configure connect convert create
    decide define delete deploy describe detect determine develop diagnose disable discuss download
    draft drop edit eliminate enable ensure estimate evaluate examine execute expand explain
    explore expose extend extract fetch find fix format gather generate get give handle identify
    implement import improve inform initialise initialize insert inspect install integrate
    introduce invent investigate keep launch learn load look make merge migrate modify move
    optimise optimize organise organize parse pick post prepare print propose prove provide publish
    push put read rebuild reduce refactor remove rename render reorganise reorganize replace reply
    replicate reproduce resolve restart restore restructure retrieve revert revise rewrite run save
    scan search select send show simplify solve sort split start stop submit suggest summarise
    summarize tell think translate try turn uninstall update upgrade upload use validate verify
    visit wire wrap write
    """
)
# Orders that are as often nouns: "build scripts", "test names".
NOUN_VERBS = table(
    """
    clean open separate
    archive audit back backup benchmark book break bring build buy call change check close code
    comment commit complete cook copy cover debug design document estimate export file focus go
    import lint list log measure mock name note order plan process profile query rank record
    release report request research reset return review schedule set sign store study tag take test
    tidy trace track view walk wash
    """
)
# Words after which what looks like a noun is an order: "test the login".
DETERMINERS = table(
    """
    the a an all any each every it its this that these those them our my your their his her both
    everything whether if how what which up out for
    """
)
# What a request may begin with before its verb.
POLITE = table(
    """
    please kindly can could would will want need like i'd we'd to let's lets let us me help should
    must have now just hey hi hello ok okay so also ahead and then be sure
    """
)
_SUBJECTS = frozenset({"i", "we", "you"})
_BEGINNINGS = {"make": "sure", "try": "to", "go": "ahead"}
_MODALS = table(
    """
    want need would should must can could will have like please
    """
)
CONDITIONS = table(
    """
    if when whenever once unless until while because since although whether
    """
)
# After these words a list belongs to what they describe: "a page that loads, shows and …".
RELATIVES = table(
    """
    that which who whose where should must will would may might
    """
)
# "Write a script to read it, print it": what comes after the "to" is what is made, no task.
CREATING = table(
    """
    add build code create design develop draft generate implement make write
    """
)
MAKINGS = table(
    """
    agent algorithm api app application bot button class cli client code command component endpoint
    feature form framework function helper hook job library macro method model module package page
    parser pipeline program python query script server service site something system test tool
    utility way website workflow
    """
)
ENABLING = table(
    """
    ability able allow allows allowing enable enables enabling let lets
    """
)
# What begins a remark on the part before it, and no part of its own.
REMARKS = table(
    """
    don't don’t dont never without do
    it this that they he she we i there but however otherwise so because since which see e.g. i.e.
    e.g i.e for also not no only if when unless although though or hence thus
    """
)
ABBREVIATIONS = table(
    """
    e.g i.e etc vs cf approx dr mr mrs ms prof fig eq sec no vol ver v al resp inc ltd st a.m p.m
    """
)

_STOPS = ".!?…。！？"
_EDGES = "\"'“”‘’«»`*_()[]{}<>,;:.!?…。！？，；：、"
_PAIRS = {"(": ")", "[": "]", "{": "}", "“": "”", "«": "»", "（": "）"}
_CLOSERS = frozenset(_PAIRS.values())
_SIGN = re.compile(r"""`+|["'“”«»()\[\]{}（）]|://\S+""")
_HIDDEN = "\ufffc"


class Word(NamedTuple):
    """A word, where it stands, what it is without marks, and the marks that it ends with."""

    start: int
    end: int
    bare: str
    tail: str

    @property
    def ends_sentence(self) -> bool:
        """Tell whether a sentence ends with it."""
        return any(mark in _STOPS for mark in self.tail) and self.bare not in ABBREVIATIONS


def hide(text: str) -> str:
    """Return `text` with all that is not to be read, each character made one of no meaning.

    That is what stands in brackets, quotation marks and backticks, and addresses.
    """
    hidden: list[tuple[int, int]] = []
    runs: dict[str, list[int]] = {}
    signs = list(_SIGN.finditer(text))
    for match in reversed(signs):  # the next of a kind is then at the end of its list
        if match.group()[0] in "`\"'":
            runs.setdefault(match.group(), []).append(match.start())
    stack: list[tuple[str, int]] = []
    done = 0
    for match in signs:
        sign, start = match.group(), match.start()
        if start < done:
            continue
        if sign[0] in "`\"'":
            waiting = runs[sign]
            while waiting and waiting[-1] <= start:
                waiting.pop()
            if sign == "'" and not _opens(text, start):
                continue
            while sign == "'" and waiting and not _closes(text, waiting[-1]):
                waiting.pop()
            if waiting:
                done = waiting[-1] + len(sign)
                hidden.append((start, done))
        elif sign in _PAIRS:
            stack.append((_PAIRS[sign], start))
        elif sign in _CLOSERS:
            if stack and stack[-1][0] == sign:
                hidden.append((stack.pop()[1], match.end()))
        elif len(sign) > 1:
            done = start + len(sign.rstrip(_EDGES))
            hidden.append((start, done))
    return _with_hidden(text, hidden)


def _opens(text: str, at: int) -> bool:
    return at == 0 or not text[at - 1].isalnum()


def _closes(text: str, at: int) -> bool:
    return at + 1 == len(text) or not text[at + 1].isalnum()


def _with_hidden(text: str, hidden: list[tuple[int, int]]) -> str:
    pieces: list[str] = []
    at = 0
    for start, end in sorted(hidden):
        if end > at:
            start = max(start, at)
            pieces += (text[at:start], _HIDDEN * (end - start))
            at = end
    return "".join((*pieces, text[at:]))


def to_words(text: str) -> list[Word]:
    """Return the words of `text`; what is hidden is no end of a word."""
    words = []
    for match in re.finditer(r"\S+", hide(text)):
        raw = match.group()
        tail = raw[len(raw.rstrip(_EDGES)) :]
        words.append(Word(match.start(), match.end(), raw.strip(_EDGES).casefold(), tail))
    return words


def skip_polite(words: Sequence[Word], at: int, end: int) -> int:
    """Return where the request begins that may be wrapped in polite words."""
    begin, last = at, min(end, at + 10)
    while at < last:
        bare = words[at].bare
        following = words[at + 1].bare if at + 1 < end else ""
        if bare in _SUBJECTS:  # "I want", "you can", but not "I get"
            before = words[at - 1].bare if at > begin else ""
            taken = following in _MODALS or following == "to" or before in _MODALS
        elif bare in _BEGINNINGS:
            taken = following == _BEGINNINGS[bare]
        else:
            taken = bare in POLITE
        if not taken or words[at].ends_sentence:
            break
        at += 1
    return at


def starts_order(words: Sequence[Word], at: int, end: int, *, clear: bool = False) -> bool:
    """Tell whether a verb stands at `at`, after polite words; if `clear`, one that is no noun."""
    at = skip_polite(words, at, end)
    if at >= end:
        return False
    if words[at].bare in VERBS:
        return True
    if words[at].bare not in NOUN_VERBS:
        return False
    return not clear or (at + 1 < end and words[at + 1].bare in DETERMINERS)
