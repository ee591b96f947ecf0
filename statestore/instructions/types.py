"""Task types: what kind of work a text asks for, told by its words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from statestore.errors import ConfigurationError

GENERAL = "general"

TASK_TYPES = (
    "refactoring",
    "testing",
    "documentation",
    "review",
    "coding",
    "analysis",
    "research",
    "reasoning",
    GENERAL,
)
"""The types. Of those with equal scores the first one here is taken: the narrow before the wide."""

# 3: says the type by itself. 2: mostly. 1: a hint, which decides only where nothing else does.
_WORDS = {
    "refactoring": {
        3: "refactor refactors refactored refactoring restructure restructuring modularise "
        "modularize deduplicate",
        2: "simplify rename decouple reorganise reorganize untangle inline tidy",
        1: "cleanup clean",
    },
    "testing": {
        3: "test tests testing tested pytest unittest jest coverage regression|test "
        "unit|test unit|tests end-to-end",
        2: "fixture fixtures mock mocks assertion assertions",
        1: "verify validate check qa",
    },
    "documentation": {
        3: "document documentation docs docstring docstrings readme changelog tutorial",
        2: "doc manual guide wiki glossary release|notes report article essay",
        1: "describe comment comments",
    },
    "review": {
        3: "review reviews reviewing reviewed audit critique code|review",
        2: "proofread pull|request merge|request inspect",
        1: "feedback pr",
    },
    "coding": {
        3: "implement implements implementing code coding program",
        2: "fix fixes debug function class bug bugs endpoint script compile deploy patch",
        1: "add build create develop write make update upgrade change remove delete install "
        "configure integrate migrate api method feature component module error crash app python "
        "javascript typescript rust sql html css",
    },
    "analysis": {
        3: "analyse analyze analyses analysis analysing analyzing",
        2: "evaluate compare comparison measure profile benchmark assess diagnose examine "
        "statistics root|cause",
        1: "data trend trends metrics performance summarise summarize",
    },
    "research": {
        3: "research researching investigate investigation survey literature look|up",
        2: "find search explore discover gather sources papers best|practices",
        1: "learn who where list",
    },
    "reasoning": {
        3: "reason reasoning prove proof deduce infer derive",
        2: "why explain solve think decide logic logical conclude justify trade-off trade-offs",
        1: "how should whether plan design choose",
    },
}


def _weights(words: Mapping[str, Mapping[int, str]]) -> dict[str, dict[str, int]]:
    weights: dict[str, dict[str, int]] = {}
    for type_, by_weight in words.items():
        for weight, line in by_weight.items():
            for word in line.split():
                weights.setdefault(word.replace("|", " "), {})[type_] = weight
    return weights


_WEIGHTS = _weights(_WORDS)

TYPE_ALIASES: Mapping[str, str] = MappingProxyType(
    {
        **{name: name for name in TASK_TYPES},
        "query": "research",
        "question": "research",
        "code": "coding",
        "code_generation": "coding",
        "implementation": "coding",
        "bug_fix": "coding",
        "bugfix": "coding",
        "debugging": "coding",
        "code_review": "review",
        "reviewing": "review",
        "refactor": "refactoring",
        "test": "testing",
        "tests": "testing",
        "docs": "documentation",
        "custom": GENERAL,
        "other": GENERAL,
    }
)
"""Names that other systems give to types, in lower case with `_`, each with the type it is here."""

# A hyphen joins a word only where letters follow, so "--" and list marks never do.
_WORD = re.compile(r"[^\W_]+(?:-[^\W_]+)*")
# "codeReview" is two words, "API" is one.
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


def type_named(name: str) -> str:
    """Return the type that `name` stands for in `TYPE_ALIASES`, else `name` as it is.

    Letter case, spaces, hyphens and capitals within ("codeReview") make no difference to an alias.
    """
    plain = _HUMP.sub("_", name.strip()).casefold().replace("-", "_").replace(" ", "_")
    return TYPE_ALIASES.get(plain, TYPE_ALIASES.get(name.strip().casefold(), name))


def detect_type(text: str, *, words: Mapping[str, Mapping[str, int]] | None = None) -> str:
    """Return the type of work that `text` asks for, one of `TASK_TYPES`.

    Whole English words and pairs of words count, in any letter case: 3, 2 or 1 for each kind of
    word, once however often it is there. The first that counts is mostly the verb, so it counts
    twice. Of equal scores the first of `TASK_TYPES` wins; a text without any such word is
    "general". Words in code or in a name ("test_login") count too. No judgement is promised.

    Args:
        words: words of the host's own, with what they add: {"deployment": {"roll out": 3}}.
            They stand beside the table, or replace its weight for that word and type; types
            may be new, and win a tie among themselves in the order given, after ours.
    Raises:
        ConfigurationError: it is no text.
    """
    if not isinstance(text, str):
        raise ConfigurationError("text", f"it is a {type(text).__name__}; a str has a type of task")
    own = _own(words) if words else {}
    scores: dict[str, int] = {}
    seen: set[str] = set()
    before = ""
    for match in _WORD.finditer(text):
        word = match.group().casefold()
        for term in (f"{before} {word}", word, *(word.split("-") if "-" in word else ())):
            if term in seen:
                continue
            found = {**_WEIGHTS.get(term, {}), **own.get(term, {})}
            if found:
                factor = 1 if seen else 2
                seen.add(term)
                for type_, weight in found.items():
                    scores[type_] = scores.get(type_, 0) + factor * weight
        before = word
    order: list[str] = [*TASK_TYPES, *(words or {})]
    best = max(scores.values(), default=0)
    if best <= 0:
        return GENERAL
    return next(type_ for type_ in order if scores.get(type_) == best)


def _own(words: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    weights: dict[str, dict[str, int]] = {}
    for type_, added in words.items():
        for word, weight in added.items():
            weights.setdefault(" ".join(word.casefold().split()), {})[type_] = weight
    return weights
