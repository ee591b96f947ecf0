"""Handles: what a registration returns, to take it back by."""

from __future__ import annotations

from collections.abc import Callable


class Handle:
    """A registered callback."""

    def __init__(self, cancel: Callable[[], None]) -> None:
        self._cancel = cancel

    def cancel(self) -> None:
        """Do not call it any more. Twice is harmless."""
        self._cancel()
