"""The states in which a power cut may leave a disk, from a log of all that was done to it."""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Collection, Iterator
from typing import Any

import attrs

from statestore.testing.disk import Disk, Event, Marking, Naming, Node, Promise
from statestore.testing.outages import MODELS, Choice, choices
from statestore.testing.recording import ChangeLog
from statestore.testing.trees import Entry, Trees, build

_TOLD = 40


@attrs.frozen(eq=False)
class DiskState:
    """What a disk may look like after the power went.

    `position` is how many events of the log had happened, `model` the one that allows this state,
    `acknowledged` what had been promised by then, in order.
    """

    model: str
    position: int
    acknowledged: tuple[Any, ...]
    digest: bytes
    _tree: tuple[Entry, ...] = attrs.field(repr=False)
    _choice: Choice = attrs.field(repr=False)
    _unsure: frozenset[int] = attrs.field(repr=False)
    _events: list[Event] = attrs.field(repr=False)

    def build(self, path: str | os.PathLike[str]) -> None:
        """Make the folder `path` look like the root of the log would: content, links, permissions,
        and the times of those files whose time was set. It must be empty or missing.
        """
        build(self._tree, os.fspath(path))

    def explain(self) -> str:
        """Return lines that tell what had been done, and what became of what was not synced."""
        lines = [f"power lost after event {self.position}, model {self.model!r}"]
        first = max(0, self.position - _TOLD)
        told = self._events[first : self.position]
        lines += [f"{event.number + 1:5} {event.text}{self._fate(event)}" for event in told]
        lines.append("left on the disk:")
        for entry in self._tree:
            content = entry.content
            size = "folder" if content.data is None else f"{len(content.data)} bytes"
            lines.append(f"      {entry.path}: {size}, {stat.S_IMODE(content.mode):04o}")
        return "\n".join(lines)

    def _fate(self, event: Event) -> str:
        if event.number not in self._unsure:
            return ""
        if event.number in self._choice.names:
            return "  [not synced: kept]"
        if isinstance(event, Naming) or (self.model == "ext4" and isinstance(event, Marking)):
            return "  [not synced: lost]"
        return f"  [not synced: {self._choice.fates.get(event.number, self._choice.default)}]"


class PowerLog(ChangeLog):
    """`Files` over others that log every change below one folder, in one order, with its bytes.

    Give it to a driver as its `files`. Any thread may use it. Everything that changes what is below
    the folder must go through it. What is outside of the folder is not looked at, and nothing may
    be moved in or out.

    Stand it before a `FaultyFiles` (`PowerLog(root, files=faulty)`) to log faults with their
    consequences: a torn write leaves its half; a sync that fails leaves what was written before it
    in doubt for ever, also where a later one succeeds, as systems drop such pages. A folder whose
    sync failed can be synced again.
    """

    def acknowledge(self, token: object) -> None:
        """Note that the caller has been promised something; states from here on have `token`."""
        with self._mutex:
            self._events.append(Promise(len(self._events), f"acknowledged {token!r:.60}", token))

    def states(
        self,
        models: Collection[str] = MODELS,
        *,
        limit: int | None = None,
        seed: int = 0,
        since: int = 0,
    ) -> Iterator[DiskState]:
        """Yield the states that a power cut after any event may leave, each once.

        Two states are one if the same is on the disk and the same had been promised. Models:

        - "prefix": all is there that was done. So it is when a process dies and the system lives.
        - "synced": only what was synced is there: the bytes of a file by a sync of it, names by one
          of their folder, everything by one of the file system.
        - "ext4": names, permissions and times are kept in one order, of which any beginning is
          there, and any sync makes the earlier ones stay; bytes that were not synced are there,
          not there, zeros, or cut off.
        - "posix": each change of names is there or not, whatever came before; each write is there
          or not, or cut off after a byte, a half or a sector with old bytes, zeros or garbage
          behind. All combinations for few changes, samples for many. Names of files whose content
          was synced may be missing, as the standard allows.

        Not modelled: disks that lie about syncs, sectors that break while a neighbour is written,
        times that nobody set.

        Args:
            limit: yield at most so many, chosen evenly; all are worked out first.
            seed: of what is sampled; the same seed and log give the same states.
            since: only states from this `position` on.
        """
        found = self._distinct(models, seed, since)
        if limit is None:
            yield from found
            return
        rng = random.Random(seed)  # noqa: S311 # a sample, no secret
        chosen: list[tuple[int, DiskState]] = []
        for at, state in enumerate(found):
            if len(chosen) < limit:
                chosen.append((at, state))
            elif (place := rng.randrange(at + 1)) < limit:
                chosen[place] = (at, state)
        yield from (state for _, state in sorted(chosen, key=lambda one: one[0]))

    def _distinct(self, models: Collection[str], seed: int, since: int) -> Iterator[DiskState]:
        with self._mutex:
            events, born = list(self._events), dict(self._born)
        seen: set[tuple[int, bytes]] = set()
        for model in (one for one in MODELS if one in models):
            rng = random.Random(f"{seed} {model}")  # noqa: S311 # a sample, no secret
            names: dict[Node, dict[str, Node]] = {
                node: dict(self._first_names.get(node, {}))
                for node, content in born.items()
                if content.is_folder
            }
            disk = Disk(born | self._first, names, ordered=model == "ext4")
            trees, promised = Trees(disk), []
            start = Promise(-1, "", None)  # before the first event, too, the power can go
            for position, event in enumerate([start, *events]):
                if position:
                    disk.take(event)
                if position and isinstance(event, Promise):
                    promised.append(event.token)
                if position < since:
                    continue
                unsure = frozenset(
                    [one.number for one in disk.unsure]
                    + [one.number for node in disk.waiting for one in disk.open_changes(node)]
                )
                for choice in choices(model, disk, event, rng):
                    tree = trees.tree(choice)
                    digest = trees.digest(tree)
                    if (len(promised), digest) in seen:
                        continue
                    seen.add((len(promised), digest))
                    yield DiskState(
                        model, position, tuple(promised), digest, tree, choice, unsure, events
                    )
