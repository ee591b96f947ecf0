"""Building a folder whole or not at all: beside its place, and renamed when it is on the disk."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator

from statestore.errors import BackupNotFound, StateStoreError, UnsafeFile
from statestore.files.folders import Folder, Modes, open_folder

PARTIAL_PREFIX = ".@"
"""Begins the name of a folder that is being built. What still has it is not complete."""


@contextlib.contextmanager
def built_at(target: str, modes: Modes | None = None) -> Iterator[Folder]:
    """Give a new folder to fill; when the block ends it is at `target`, for good.

    The block syncs what it puts in. If it raises, or the system refuses, nothing is left.

    Args:
        target: a real path, without links, at which there is nothing or an empty folder.
    """
    parent, name = os.path.split(target)
    with wanted_folder(open_folder(parent, create=True, modes=modes), parent) as around:
        partial = f"{PARTIAL_PREFIX}{secrets.token_hex(8)}"
        try:
            with wanted_folder(around.child(partial, create=True), partial) as root:
                yield root
                try:
                    around.rename_child(partial, name)
                except BaseException:
                    if around.holds(name, root):  # renamed, but nobody knows for how long
                        _remove_tree(around, name)
                    raise
        except BaseException:
            _remove_tree(around, partial)
            raise


def is_within(path: str, folder: str) -> bool:
    """Say whether a path is below another; both are real ones."""
    return path.startswith(folder.rstrip(os.sep) + os.sep)


def wanted_folder(folder: Folder | None, path: str) -> Folder:
    """Return a folder that must be there.

    Raises:
        BackupNotFound: it is not.
    """
    if folder is None:
        raise BackupNotFound(path)
    return folder


def _remove_tree(around: Folder, name: str) -> None:
    """Remove what was being built, as far as the system lets us.

    The error that brought us here is the one to tell.
    """
    with contextlib.suppress(StateStoreError):
        root = around.child(name)
        if root is None:
            return
        with root:
            for inner in root.names():
                try:
                    child = root.child(inner)
                except UnsafeFile:
                    root.remove(inner)  # a file
                    continue
                if child is not None:
                    child.close()
                    _remove_tree(root, inner)
        around.drop_child(name)
