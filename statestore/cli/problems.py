"""Errors that only the command line raises."""

from __future__ import annotations

from collections.abc import Iterable

from statestore.errors import StateStoreError


class KindNotFound(StateStoreError):
    """The store holds no records of a kind."""

    exit_code = 3

    def __init__(self, kind: str, known: Iterable[str]) -> None:
        self.kind, self.known = kind, tuple(known)
        super().__init__(kind, self.known)

    def __str__(self) -> str:
        return (
            f"the store holds no kind {self.kind!r}; "
            f"it holds: {', '.join(self.known) or 'nothing yet'}"
        )


class BadKey(StateStoreError, ValueError):
    """A word that should name a record is not of the form KIND/ID."""

    exit_code = 2

    def __init__(self, word: str, hint: str = "") -> None:
        super().__init__(word, hint)
        self.word, self.hint = word, hint

    def __str__(self) -> str:
        return f"{self.word!r} names no record; type KIND/ID{self.hint}"


class FormatSettled(StateStoreError):
    """A store that exists was to be made again in another format."""

    exit_code = 5

    def __init__(self, path: str, format: str, wanted: str) -> None:
        super().__init__(path, format, wanted)
        self.path, self.format, self.wanted = path, format, wanted

    def __str__(self) -> str:
        return (
            f"the store at {self.path!r} exists and has the format {self.format}; "
            f"change it with: statestore convert --to {self.wanted}"
        )


class NotConfirmed(StateStoreError):
    """The person at the terminal said no."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return f"{self.what} was not confirmed; nothing was changed"


class DemoFailed(StateStoreError):
    """A check of the demonstration did not hold."""

    def __init__(self, step: str, expectation: str) -> None:
        super().__init__(step, expectation)
        self.step, self.expectation = step, expectation

    def __str__(self) -> str:
        return (
            f"the demonstration failed at {self.step!r}: it does not hold that {self.expectation}; "
            "please report this with the output of: statestore -v info"
        )


class OutputFailed(StateStoreError):
    """The system refused what was written to stdout or stderr."""

    exit_code = 6

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"cannot write the output: {self.reason}"
