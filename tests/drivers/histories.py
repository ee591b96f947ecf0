"""Judges what concurrent transactions made of lists: is there a serial order that explains it?

Every transaction appends a token of its own to some lists, and notes what each of them held
before. As tokens are unique, a list tells in which order its transactions were made, and each read
which of them it had seen. The idea is that of Elle; source: Kingsbury and Alvaro, "Elle: Inferring
Isolation Anomalies from Experimental Observations", 2020.
"""

from collections import Counter
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

import attrs


@attrs.frozen
class Made:
    """A transaction that was acknowledged.

    `name` is the token that it has added to each list in `reads`, which holds what it read there
    before. `sequence` is that of its commit.
    """

    name: str
    sequence: int
    reads: dict[str, tuple[str, ...]]


def problems(made, lists):
    """Return why no serial order explains a history; nothing if there is one.

    Args:
        made: the transactions that were acknowledged.
        lists: what each list holds in the end.
    """
    return [
        *_wrong_tokens(made, lists),
        *_wrong_reads(made, lists),
        *_wrong_sequences(made, lists),
        *_cycle(made, lists),
    ]


def torn(made, seen):
    """Return which transactions a look at all lists shows in part, or before an earlier one."""
    shown = {one.name: {key for key in one.reads if one.name in seen[key]} for one in made}
    halves = [
        f"{one.name} is seen in {len(shown[one.name])} of {len(one.reads)} lists"
        for one in made
        if 0 < len(shown[one.name]) < len(one.reads)
    ]
    last = max((one.sequence for one in made if shown[one.name]), default=0)
    passed = [
        f"{one.name}, commit {one.sequence}, is not seen, and commit {last} is"
        for one in made
        if not shown[one.name] and one.sequence < last
    ]
    return halves + passed


def _wrong_tokens(made, lists):
    there = Counter((key, token) for key, tokens in lists.items() for token in tokens)
    known = {(key, one.name) for one in made for key in one.reads}
    for (key, token), count in there.items():
        if count > 1:
            yield f"{token} is in {key} {count} times"
        if (key, token) not in known:
            yield f"nobody has added {token} to {key}"
    for one in made:
        missing = [key for key in one.reads if not there[key, one.name]]
        if len(missing) == len(one.reads):
            yield f"{one.name} is lost"
        elif missing:
            yield f"of {one.name} a half is lost: {missing}"


def _wrong_reads(made, lists):
    for one in made:
        for key, read in one.reads.items():
            if tuple(lists[key][: len(read)]) != tuple(read):
                yield f"{one.name} has read in {key} what never was"


def _wrong_sequences(made, lists):
    sequences = {one.name: one.sequence for one in made}
    if len(set(sequences.values())) != len(sequences):
        yield "two transactions have one sequence"
    for key, tokens in lists.items():
        known = [token for token in tokens if token in sequences]
        if known != sorted(known, key=sequences.__getitem__):
            yield f"the order of {key} is not that of the commits"


def _cycle(made, lists):
    """Look for transactions of which each comes before the next, and the last before the first."""
    before = {one.name: set() for one in made}

    def comes_first(first, then):
        if first != then and first in before and then in before:
            before[then].add(first)

    for tokens in lists.values():
        for first, then in pairwise(tokens):
            comes_first(first, then)
    for one in made:
        for key, read in one.reads.items():
            if read:
                comes_first(read[-1], one.name)
            for later in lists[key][len(read) : len(read) + 1]:  # the first that it has not seen
                comes_first(one.name, later)
    try:
        TopologicalSorter(before).prepare()
    except CycleError as error:
        yield f"each comes before the next: {' < '.join(error.args[1])}"
