"""Whereabouts: whether an open store is still the one that others find at its path."""

from __future__ import annotations

import os
from typing import NoReturn, TypeAlias

from statestore.drivers.layout import OWN_FOLDER
from statestore.errors import StoreReplaced
from statestore.files.folders import Folder
from statestore.files.open_files import OpenFile

Identity: TypeAlias = tuple[int, int]


class Whereabouts:
    """What an opening remembers of the place that it has opened.

    Were a file that it locks another one than the one at its path, those who open the store later
    would lock that one, and two groups of processes would write without knowing of each other.
    """

    def __init__(self, root: Folder, own: Folder | None) -> None:
        """Remember where the folders are; `own` is `.statestore`."""
        self._root = root
        self._folders = [(root, "folder", _identity(root.status()))]
        if own is not None:
            self._folders.append((own, f"folder {OWN_FOLDER!r}", _identity(own.status())))
        self._files: list[tuple[str, Identity]] = []

    def remember(self, name: str, file: OpenFile) -> None:
        """Remember which file of `.statestore` is held open, too."""
        path = os.path.join(self._root.path, OWN_FOLDER, name)
        self._files.append((path, _identity(file.status())))

    def want(self, most: int | None = None) -> None:
        """Check that folders and files are those that were opened.

        Args:
            most: look only at so many of the files, in the order in which they were remembered.
        Raises:
            StoreReplaced: something was moved, removed or replaced.
            StorageError: the system does not tell.
        """
        folder, _, identity = self._folders[-1]
        # What is innermost stands for all that is around it.
        if not self._files and self._root.identity_at(folder.path) != identity:
            self._want_folders()
        for path, identity in self._files[:most]:
            there = self._root.identity_at(path)
            if there != identity:
                self._want_folders()  # it is told where it begins
                name = os.path.relpath(path, self._root.path)
                self._refuse(repr(name), "was replaced by another" if there else "was removed")

    def _want_folders(self) -> None:
        for folder, what, identity in self._folders:
            there = self._root.identity_at(folder.path)
            if there is None:
                self._refuse(what, "was moved" if folder.status().st_nlink else "was removed")
            if there != identity:
                self._refuse(what, "was replaced by another")

    def _refuse(self, what: str, how: str) -> NoReturn:
        raise StoreReplaced(self._root.path, f"its {what} {how}")


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino
