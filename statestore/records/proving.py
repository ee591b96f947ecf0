"""Proving: what is asked of a record before it is put in the place of another."""

from __future__ import annotations

from collections.abc import Mapping

from statestore.errors import ConfigurationError, EncodeError, InvalidRecord, ValidationFailed
from statestore.models.handles import Handle
from statestore.models.keys import Key
from statestore.models.managed import Unmergeable
from statestore.models.problems import LEVELS, Level, Problem, Severity
from statestore.records.codec import Codec
from statestore.records.families import FamilyCodec
from statestore.records.keeping import R
from statestore.records.mapping import RecordMapping
from statestore.records.sharing import Merge
from statestore.records.validating import Validator, Validators, View


class Prover(RecordMapping[R]):
    """Asks of records of one kind whether they may be."""

    _checks_on_change = False
    """Whether an operation, not only a save, refuses what cannot be stored. See `Manager`."""

    def __init__(
        self,
        kind: str,
        record_class: type[R],
        schema: int,
        merge: Merge[R] | None,
        codec: Codec[R] | FamilyCodec[R] | None = None,
    ) -> None:
        """Begin empty. See `Manager`."""
        super().__init__(kind, record_class, schema, merge, codec)
        self._validators: Validators[R] = Validators(kind)

    def add_validator(
        self,
        validator: Validator[R],
        *,
        level: Level = "rules",
        severity: Severity = "error",
        name: str | None = None,
    ) -> Handle:
        """Let `validator` look at each record that an operation makes, until it is cancelled.

        It is called with the record and a view of all records of this kind as they will be, and
        returns the problems, if there are any. An error refuses the operation, which has changed
        nothing then. It is called outside of all locks, and again if somebody else was faster, so
        it is to do nothing but look. Records that were merged are looked at, too: what may not be
        stays a `Conflict`.
        Not looked at are records that are loaded or deleted, and what is changed in place. Not
        promised: that two changes made at once, each of which keeps a rule about several records,
        keep it together.

        Args:
            level: validators of a later level are asked only where those before found no error:
                "structure", then "semantics", then "rules".
            severity: "error", or "warning": that is told by `validate` alone.
            name: what it is called in errors; by default the name of the function.
        Raises:
            ConfigurationError: there is no such level or severity, or it cannot be called.
        """
        with self._lock:
            remove = self._validators.add(validator, level, severity, name)

        def cancel() -> None:
            with self._lock:
                remove()

        return Handle(cancel)

    def validate(self, record: str | R, *, level: Level = "rules") -> tuple[Problem, ...]:
        """Return what is wrong with a record, or with the one of an id, up to a level.

        At the level of "structure" it is also tried whether it can be stored. A later level is
        looked at only where no error was found before.

        Raises:
            RecordNotFound: there is none of this id.
            InvalidRecord, InvalidId: it is no record of this kind.
            ValidatorFailed: a validator could not tell.
        """
        if level not in LEVELS:
            raise ConfigurationError("level", f"takes one of {', '.join(LEVELS)}")
        one = self[record] if isinstance(record, str) else record
        self._check(one)
        found: list[Problem] = []
        try:
            self._want_storable(None, one)
        except InvalidRecord as error:
            found.append(Problem(error.field or "", error.reason, validator="storable"))
        view = self._view({one.id: one})
        return self._validators.problems(one, view, level=level, found=found)

    def validate_all(self, *, level: Level = "rules") -> dict[str, tuple[Problem, ...]]:
        """Return what is wrong with each record, by their ids; of those with a problem only.

        Raises:
            ValidatorFailed: a validator could not tell.
        """
        found = {one.id: self.validate(one, level=level) for one in self.all()}
        return {id: problems for id, problems in found.items() if problems}

    # --- for the operations -----------------------------------------------------------

    @property
    def _wants_proof(self) -> bool:
        """Whether something is to be asked before a record is put in the place of another."""
        return self._validators.are_wanted or self._checks_on_change

    def _prove(self, changes: Mapping[str, tuple[R | None, R | None]]) -> None:
        """Make sure that what an operation has made can be kept. No lock is held.

        Args:
            changes: what was there and what is to be, by ids; None for nothing.
        Raises:
            InvalidRecord: a record cannot be stored; this is only asked where the host wants it.
            ValidationFailed: a validator has found an error in one.
            ValidatorFailed: a validator could not tell.
        """
        view = self._view({id: new for id, (_, new) in changes.items()})
        for id, (old, new) in changes.items():
            if new is None:
                continue
            if self._checks_on_change:
                self._want_storable(old, new)
            problems = self._validators.problems(new, view, only_errors=True)
            if problems:
                raise ValidationFailed(self.kind, id, problems)

    def _prove_merged(self, id: str, record: R) -> None:
        if not self._validators.are_wanted:
            return
        problems = self._validators.problems(record, self._view({id: record}), only_errors=True)
        if problems:
            raise Unmergeable([problem.field for problem in problems if problem.field])

    def _want_storable(self, old: R | None, new: R) -> None:
        try:
            # Of what has only grown, what is new is enough.
            key = Key(self.kind, new.id)
            if old is None or not self._codec.is_immutable:
                grown = None
            else:
                grown = self._codec.patch(key, old, new, check=True)
            if grown is None:
                self._codec.check_round_trip(new, self._codec.encode(new))
        except EncodeError as error:
            field = error.where.removeprefix("$.") if error.where != "$" else None
            raise InvalidRecord(self.kind, new.id, str(error), field=field) from error

    def _view(self, changes: Mapping[str, R | None]) -> View[R]:
        return View(self.kind, self.get, self.all, changes)
