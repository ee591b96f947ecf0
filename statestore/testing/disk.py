"""A model of a disk: what was changed on it, and which of that is there for good."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

import attrs

Node: TypeAlias = int
"""A file or folder, whatever its names. The root is 0."""

ROOT: Node = 0
_GARBAGE = b"\xa5\x5a\x00\xff"


@attrs.frozen
class Change:
    """Something that was done to the disk. `number` counts from 0; `text` is for people."""

    number: int
    text: str


@attrs.frozen
class Naming(Change):
    """Names in folders were given and taken: (folder, name, what has it now)."""

    sets: tuple[tuple[Node, str, Node | None], ...]


@attrs.frozen
class Writing(Change):
    """Bytes were written to a file."""

    node: Node
    offset: int
    data: bytes = attrs.field(repr=False)


@attrs.frozen
class Resizing(Change):
    """A file was made shorter, or longer by zeros."""

    node: Node
    size: int


@attrs.frozen
class Marking(Change):
    """The permissions or the time of a file or folder were set."""

    node: Node
    mode: int | None = None
    mtime_ns: int | None = None


@attrs.frozen
class Syncing(Change):
    """The system said that all changes below the number `before` are there for good.

    Of the file or folder `node`, or of everything; with `data_only` but for permissions and times.
    If it failed, what was written to files before is in doubt for ever.
    """

    node: Node | None
    before: int
    data_only: bool = False
    failed: bool = False


@attrs.frozen
class Promise(Change):
    """The caller has been promised something."""

    token: object


Event: TypeAlias = Naming | Writing | Resizing | Marking | Syncing | Promise
OnNode: TypeAlias = Writing | Resizing | Marking


@attrs.frozen
class Content:
    """What a file or folder is, besides its names. `mtime_ns` is None where nobody set it.

    `timed` is the number of the change that set it.
    """

    mode: int
    data: bytes | None = attrs.field(default=b"", repr=False)
    mtime_ns: int | None = None
    timed: int = attrs.field(default=-1, eq=False)

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder, which has no bytes."""
        return self.data is None


@attrs.frozen
class Fate:
    """What became of a change that was not synced: how many of its bytes are there, and what is in
    the place of the others: the "old" bytes, "zeros" or "garbage".
    """

    bytes: int | None = None
    rest: str = "old"

    def __str__(self) -> str:
        if self == KEPT:
            return "kept"
        if self == LOST:
            return "lost"
        return f"{'all' if self.bytes is None else self.bytes} bytes kept, then {self.rest}"


KEPT, LOST, ZEROED = Fate(), Fate(0), Fate(0, "zeros")


@attrs.define
class _Waiting:
    """A change of a file that is not folded into what is there for good."""

    change: OnNode
    synced: bool = False
    doubtful: bool = False


@attrs.define
class Disk:
    """What is on a disk for good, and what may be, after the changes that were given to `take`.

    With `ordered` names, permissions and times are kept in the order in which they were changed,
    and any sync makes the earlier ones stay; without, each folder and each file is on its own.
    """

    contents: dict[Node, Content]
    names: dict[Node, dict[str, Node]]
    ordered: bool = False
    unsure: list[Naming | Marking] = attrs.field(factory=list)
    """The changes of names (and if `ordered` of permissions and times) that may be lost."""
    waiting: dict[Node, list[_Waiting]] = attrs.field(factory=dict)
    version: dict[Node, int] = attrs.field(factory=dict)
    """Raised when a file is another than before, or what it may be."""

    def take(self, event: Event) -> None:
        """Let something happen to the disk."""
        if isinstance(event, Naming) or (self.ordered and isinstance(event, Marking)):
            self.unsure.append(event)
        elif isinstance(event, Syncing):
            self._sync(event)
        elif not isinstance(event, Promise):
            self.waiting.setdefault(event.node, []).append(_Waiting(event))
            self._touch(event.node)

    def open_changes(self, node: Node) -> list[OnNode]:
        """Return the changes of a file, without its names, that may be lost."""
        return [one.change for one in self.waiting.get(node, ()) if not one.synced]

    def content(self, node: Node, fates: Mapping[int, Fate], default: Fate) -> Content:
        """Return a file as it is if its unsure changes have these fates, by their numbers."""
        content = self.contents[node]
        for one in self.waiting.get(node, ()):
            fate = KEPT if one.synced else fates.get(one.change.number, default)
            content = changed(content, one.change, fate)
        return content

    # --- syncs ------------------------------------------------------------------------

    def _sync(self, sync: Syncing) -> None:
        if not sync.failed:
            self.unsure = [rest for one in self.unsure for rest in self._settled(one, sync)]
        for node in list(self.waiting) if sync.node is None else [sync.node]:
            self._sync_node(node, sync)

    def _settled(self, change: Naming | Marking, sync: Syncing) -> Iterator[Naming | Marking]:
        """Fold what the sync makes stay of a change into the disk; yield what may still be lost."""
        if change.number >= sync.before:
            yield change
        elif isinstance(change, Marking):
            self.contents[change.node] = changed(self.contents[change.node], change, KEPT)
            self._touch(change.node)
        else:
            left = []
            for one in change.sets:
                folder, name, node = one
                if self.ordered or sync.node in (None, folder):
                    set_name(self.names[folder], name, node)
                else:
                    left.append(one)
            if left:
                yield attrs.evolve(change, sets=tuple(left))

    def _sync_node(self, node: Node, sync: Syncing) -> None:
        waiting = self.waiting.get(node, [])
        for one in waiting:
            if one.change.number >= sync.before or one.doubtful:
                continue
            if sync.failed:
                one.doubtful = not isinstance(one.change, Marking)
            elif not (sync.data_only and isinstance(one.change, Marking)):
                one.synced = True
        while waiting and waiting[0].synced:
            self.contents[node] = changed(self.contents[node], waiting.pop(0).change, KEPT)
        if not waiting:
            self.waiting.pop(node, None)
        self._touch(node)

    def _touch(self, node: Node) -> None:
        self.version[node] = self.version.get(node, 0) + 1


def changed(content: Content, change: OnNode, fate: Fate) -> Content:
    """Return a file after a change that had this fate."""
    if fate == LOST:
        return content
    if isinstance(change, Marking):
        if fate != KEPT:
            return content
        if change.mode is not None:
            return attrs.evolve(content, mode=change.mode)
        return attrs.evolve(content, mtime_ns=change.mtime_ns, timed=change.number)
    old = content.data or b""
    if isinstance(change, Resizing):
        data = old[: change.size].ljust(change.size, b"\0") if fate == KEPT else old
    else:
        part = _torn(change.data, fate)
        end = change.offset + len(part)
        data = old[: change.offset].ljust(change.offset, b"\0") + part + old[end:]
    if change.number < content.timed:  # the time was set later, and its change is there already
        return attrs.evolve(content, data=data)
    return attrs.evolve(content, data=data, mtime_ns=None)


def set_name(names: dict[str, Node], name: str, node: Node | None) -> None:
    """Let a name in a folder stand for a file or folder, or for nothing."""
    if node is None:
        names.pop(name, None)
    else:
        names[name] = node


def _torn(data: bytes, fate: Fate) -> bytes:
    if fate.bytes is None:
        return data
    kept, size = data[: fate.bytes], len(data)
    if fate.rest == "zeros":
        return kept.ljust(size, b"\0")
    if fate.rest == "garbage":
        return kept + (_GARBAGE * (size // len(_GARBAGE) + 1))[: size - len(kept)]
    return kept
