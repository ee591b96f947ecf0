"""Files of a system that may refuse locks, for those who are sure to be alone."""

from __future__ import annotations

from typing import Any, cast

from statestore.files.calls import Files


class _Lockless:
    """`Files` over others; a lock that these refuse for good is taken for held."""

    def __init__(self, files: Files, refusals: tuple[int, ...]) -> None:
        self._files, self._refusals = files, refusals

    def __getattr__(self, name: str) -> Any:
        return getattr(self._files, name)

    def lock(self, fd: int, *, shared: bool = False, wait: bool = True) -> bool:
        try:
            return self._files.lock(fd, shared=shared, wait=wait)
        except OSError as error:
            if error.errno not in self._refusals:
                raise
            return True

    def unlock(self, fd: int) -> None:
        try:
            self._files.unlock(fd)
        except OSError as error:
            if error.errno not in self._refusals:
                raise


def without_locks(files: Files, refusals: tuple[int, ...]) -> Files:
    """Return files that take a lock for held which the system refuses with one of these numbers."""
    return cast(Files, _Lockless(files, refusals))  # it has all methods of the one that it holds
