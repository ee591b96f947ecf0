"""Validating: the checks of the host's own, on records as an operation is about to make them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeAlias

import attrs

from statestore.errors import ConfigurationError, RecordNotFound, ValidatorFailed
from statestore.models.problems import LEVELS, Level, Problem, Severity
from statestore.records.keeping import R


class View(Generic[R]):
    """The records of one kind as they will be if the operation is done. Only for reading.

    Within a transaction it shows what the transaction sees.
    """

    def __init__(
        self,
        kind: str,
        get: Callable[[str], R | None],
        all: Callable[[], Iterable[R]],
        changes: Mapping[str, R | None],
    ) -> None:
        """Show `changes`, None for what is deleted, and else what `get` and `all` return."""
        self._kind, self._get, self._all, self._changes = kind, get, all, changes

    def __getitem__(self, id: str) -> R:
        """Return a record.

        Raises:
            RecordNotFound: there is none; it is a `KeyError` too.
        """
        record = self.get(id)
        if record is None:
            raise RecordNotFound(self._kind, id)
        return record

    def get(self, id: str) -> R | None:
        """Return a record; None if there is none."""
        return self._changes[id] if id in self._changes else self._get(id)

    def all(self) -> tuple[R, ...]:
        """Return all records. Those that are new stand at the end."""
        records = {one.id: one for one in self._all()}
        for id, one in self._changes.items():
            if one is None:
                records.pop(id, None)
            else:
                records[id] = one
        return tuple(records.values())

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and self.get(id) is not None

    def __iter__(self) -> Iterator[R]:
        return iter(self.all())

    def __len__(self) -> int:
        return len(self.all())


Validator: TypeAlias = Callable[[R, View[R]], Iterable[Problem] | None]
"""Returns what is wrong with a record. It changes nothing, and may be called more than once."""


@attrs.frozen
class _Registered(Generic[R]):
    call: Validator[R]
    level: Level
    severity: Severity
    name: str


class Validators(Generic[R]):
    """The validators of one kind, in the order of their levels, then as they were added.

    Adding and removing is done under the lock of the manager; running them, outside of it.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._all: dict[int, _Registered[R]] = {}
        self._next = 0
        self.are_wanted = False
        """Whether there is one that can keep a record from being changed."""

    def add(
        self, call: Validator[R], level: Level, severity: Severity, name: str | None
    ) -> Callable[[], None]:
        """Add a validator, and return what removes it.

        Raises:
            ConfigurationError: there is no such level or severity, or it cannot be called.
        """
        _want_callable(call)
        if level not in LEVELS:
            raise ConfigurationError("level", f"takes one of {', '.join(LEVELS)}")
        if severity not in ("error", "warning"):
            raise ConfigurationError("severity", "takes error or warning")
        told = name or getattr(call, "__name__", type(call).__name__)
        number, self._next = self._next, self._next + 1
        # A new mapping: somebody may be going through the old one.
        self._set({**self._all, number: _Registered(call, level, severity, str(told))})

        def remove() -> None:
            self._set({key: one for key, one in self._all.items() if key != number})

        return remove

    def _set(self, registered: dict[int, _Registered[R]]) -> None:
        self._all = registered
        self.are_wanted = any(one.severity == "error" for one in registered.values())

    def problems(
        self,
        record: R,
        view: View[R],
        *,
        level: Level = "rules",
        only_errors: bool = False,
        found: Iterable[Problem] = (),
    ) -> tuple[Problem, ...]:
        """Return what is wrong with a record, up to a level.

        A level is looked at only where those before it have found no error, so that its validators
        can rely on them.

        Args:
            only_errors: leave out what cannot keep a record from being changed.
            found: what was found before the validators.
        Raises:
            ValidatorFailed: one of them raised, or returned something else than problems.
        """
        problems = list(found)
        registered = self._all.values()
        for one_level in LEVELS[: LEVELS.index(level) + 1]:
            if any(problem.severity == "error" for problem in problems):
                break
            for one in registered:
                if one.level == one_level and (one.severity == "error" or not only_errors):
                    problems += self._run(one, record, view)
        if only_errors:
            problems = [problem for problem in problems if problem.severity == "error"]
        return tuple(problems)

    def _run(self, one: _Registered[R], record: R, view: View[R]) -> list[Problem]:
        try:
            found: list[Any] = list(one.call(record, view) or ())
        except Exception as error:
            raised = type(error).__name__
            raise ValidatorFailed(self._kind, record.id, one.name, f"raised {raised}") from error
        problems: list[Problem] = []
        for problem in found:
            if not isinstance(problem, Problem):
                told = f"returned a {type(problem).__name__}, where a Problem belongs"
                raise ValidatorFailed(self._kind, record.id, one.name, told)
            severity = problem.severity if one.severity == "error" else "warning"
            problems.append(attrs.evolve(problem, severity=severity, validator=one.name))
        return problems


def _want_callable(call: object) -> None:
    if not callable(call):
        reason = "takes a function of a record and a view of all of its kind"
        raise ConfigurationError("validator", reason)
