"""The files and folders that one way of losing power leaves on a disk."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator

import attrs

from statestore.testing.disk import KEPT, ROOT, Content, Disk, Marking, Node, changed, set_name
from statestore.testing.outages import Choice

_REMEMBERED = 1000


@attrs.frozen
class Entry:
    """A file or folder below the root. `path` is relative to it; entries of one node are links."""

    path: str
    node: Node
    content: Content


class Trees:
    """Makes the trees of a disk. What was worked out for one is used again for the next."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._contents: dict[tuple[object, ...], Content] = {}
        self._digests: dict[Content, bytes] = {}

    def tree(self, choice: Choice) -> tuple[Entry, ...]:
        """Return all that is left, folders before what is in them."""
        names = dict(self._disk.names)
        marks: dict[Node, list[Marking]] = {}
        for change in self._disk.unsure:
            if change.number not in choice.names:
                continue
            if isinstance(change, Marking):
                marks.setdefault(change.node, []).append(change)
                continue
            for folder, name, node in change.sets:
                if names[folder] is self._disk.names[folder]:
                    names[folder] = dict(names[folder])
                set_name(names[folder], name, node)
        seen: set[Node] = set()

        def walk(folder: Node, path: str) -> Iterator[Entry]:
            for name, node in sorted(names[folder].items()):
                content = self._content(node, choice)
                for mark in marks.get(node, ()):
                    content = changed(content, mark, KEPT)
                # A folder has one name: of two the repair of a file system keeps one.
                if not content.is_folder or node not in seen:
                    seen.add(node)
                    yield Entry(path + name, node, content)
                    if content.is_folder:
                        yield from walk(node, f"{path}{name}/")

        return tuple(walk(ROOT, ""))

    def digest(self, tree: tuple[Entry, ...]) -> bytes:
        """Return what tells trees apart that look different to a program."""
        whole = hashlib.blake2b(digest_size=16)
        first: dict[Node, str] = {}
        for entry in tree:
            link = first.setdefault(entry.node, entry.path)
            if entry.content not in self._digests:
                if len(self._digests) > _REMEMBERED:
                    self._digests.clear()
                self._digests[entry.content] = _digest(entry.content)
            whole.update(os.fsencode(f"{entry.path}\0{link}\0"))
            whole.update(self._digests[entry.content])
        return whole.digest()

    def _content(self, node: Node, choice: Choice) -> Content:
        opened = self._disk.open_changes(node)
        fates = tuple(choice.fates.get(one.number, choice.default) for one in opened)
        key = (node, self._disk.version.get(node, 0), fates)
        if not opened:
            return self._disk.content(node, {}, KEPT)
        if len(self._contents) > _REMEMBERED:
            self._contents.clear()
        if key not in self._contents:
            self._contents[key] = self._disk.content(node, choice.fates, choice.default)
        return self._contents[key]


def _digest(content: Content) -> bytes:
    digest = hashlib.blake2b(f"{content.mode} {content.mtime_ns} ".encode(), digest_size=16)
    if content.data is not None:
        digest.update(b"file")
        digest.update(content.data)
    return digest.digest()


def build(tree: tuple[Entry, ...], path: str) -> None:
    """Make the tree in the folder `path`, which is made if it is missing. Nothing is synced."""
    os.makedirs(path, exist_ok=True)
    first: dict[Node, str] = {}
    folders: list[tuple[str, int]] = []
    for entry in tree:
        place = os.path.join(path, entry.path)
        content = entry.content
        if content.data is None:
            os.mkdir(place, 0o700)
            folders.append((place, content.mode))
            continue
        if entry.node in first:
            os.link(first[entry.node], place)
            continue
        first[entry.node] = place
        fd = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            rest = memoryview(content.data)
            while rest:
                rest = rest[os.write(fd, rest) :]
            os.fchmod(fd, stat.S_IMODE(content.mode))
            if content.mtime_ns is not None:
                os.utime(fd, ns=(content.mtime_ns, content.mtime_ns))
        finally:
            os.close(fd)
    for place, mode in reversed(folders):  # last: it may forbid to make what is in them
        os.chmod(place, stat.S_IMODE(mode))
