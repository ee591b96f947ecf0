"""Every error that the library raises on purpose: one tree, with fields and exit codes.

Exit codes (what the command line returns):
1 an error without a code of its own · 2 a wrong argument, name or setting · 3 not there ·
4 stored bytes that cannot be trusted · 5 refused because something else is in the way ·
6 the disk or the system said no · 7 done in part: the failures are listed.
"""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, ClassVar, Protocol


class StateStoreError(Exception):
    """Root of all errors of this library."""

    exit_code: ClassVar[int] = 1


class FailureLike(Protocol):
    """What an error needs to know of a failure that it carries."""

    @property
    def error(self) -> Exception: ...


class ProblemLike(Protocol):
    """What was found wrong with a record."""

    @property
    def field(self) -> str: ...

    @property
    def message(self) -> str: ...


class ReportLike(Protocol):
    """What an error needs to know of a report that it carries."""

    @property
    def failures(self) -> Sequence[FailureLike]: ...


def _listed(
    failures: Sequence[FailureLike], limit: int = 3, *, tell: Callable[[FailureLike], str] = str
) -> str:
    shown = "; ".join(tell(failure) for failure in failures[:limit])
    more = len(failures) - limit
    return f"{shown}; and {more} more" if more > 0 else shown


def _seen(failure: FailureLike) -> str:
    error = failure.error
    return error.seen if isinstance(error, Conflict) else str(failure)


def counted(count: int, what: str) -> str:
    """Return a number with its noun: `1 record`, `2 records`."""
    return f"{count} {what}{'s' * (count != 1)}"


def _plain_key(kind: str, id: str) -> str:
    """Return a key as text. What begins with a NUL is no id: see `SETTINGS_ID` of the models."""
    return f"{kind}/{id.replace(chr(0), '@', 1)}"


def _key(kind: str, id: str) -> str:
    """Return a key as it is shown: an id may hold line ends and the codes of a terminal."""
    key = _plain_key(kind, id)
    return key if key.isprintable() else ascii(key)[1:-1]


# --- wrong arguments, names, settings -------------------------------------------------


class ConfigurationError(StateStoreError, ValueError):
    """A setting has a value that cannot be used."""

    exit_code = 2

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(where, reason)
        self.where, self.reason = where, reason

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


class InvalidKind(StateStoreError, ValueError):
    """The name of a kind cannot be a subdirectory of a store."""

    exit_code = 2

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(kind, reason)
        self.kind, self.reason = kind, reason

    def __str__(self) -> str:
        return f"kind {self.kind!r} {self.reason}"


class InvalidId(StateStoreError, ValueError):
    """A record id cannot be stored; nothing was read or written."""

    exit_code = 2

    def __init__(self, id: object, reason: str) -> None:
        super().__init__(id, reason)
        self.id, self.reason = id, reason

    def __str__(self) -> str:
        return f"record id {ascii(self.id)[:120]} {self.reason}"


class InvalidRecord(StateStoreError, ValueError):
    """A record was given values that its class does not take.

    `field` names the field, and `allowed` the values that it takes, where these are known.
    """

    exit_code = 2

    def __init__(
        self,
        kind: str,
        id: str | None,
        reason: str,
        *,
        field: str | None = None,
        allowed: Iterable[str] = (),
    ) -> None:
        super().__init__(kind, id, reason)
        self.kind, self.id, self.reason = kind, id, reason
        self.field, self.allowed = field, tuple(allowed)

    def __str__(self) -> str:
        if self.id is None:
            return f"{self.kind}: {self.reason}"
        return f"record {_key(self.kind, self.id)!r} is not valid: {self.reason}"


class InvalidTransition(InvalidRecord):
    """A record cannot go from the status that it has to another; nothing was changed.

    `allowed` are the statuses that it can go to.
    """

    exit_code = 5

    def __init__(
        self, kind: str, id: str, status: str, wanted: str, allowed: Iterable[str] = ()
    ) -> None:
        self.status, self.wanted = str(status), str(wanted)
        known = tuple(str(one) for one in allowed)
        reason = f"from {self.status} it cannot become {self.wanted}"
        super().__init__(kind, id, reason, field="status", allowed=known)
        self.args = (kind, id, self.status, self.wanted, known)

    def __str__(self) -> str:
        ways = f"; it can become: {', '.join(self.allowed)}"
        return (
            f"{_key(self.kind, str(self.id))} is {self.status} and cannot become {self.wanted}"
            f"{ways if self.allowed else ', nor anything else any more'}"
        )


class SessionActive(InvalidTransition):
    """A session that is active cannot be deleted; nothing was changed."""

    def __init__(self, kind: str, id: str, allowed: Iterable[str] = ()) -> None:
        super().__init__(kind, id, "active", "deleted", allowed)
        self.args = (kind, id, self.allowed)

    def __str__(self) -> str:
        name = _key(self.kind, str(self.id))
        return f"{name} is active; pause it first, or delete it with force=True"


class CircularReference(InvalidRecord):
    """Records would depend on themselves; nothing was changed. `path` are the ids of the circle."""

    exit_code = 5

    def __init__(self, kind: str, id: str, field: str, path: Iterable[str]) -> None:
        self.path = tuple(path)
        reason = f"{field} would close a circle: {' -> '.join(self.path)}"
        super().__init__(kind, id, reason, field=field)
        self.args = (kind, id, field, self.path)


class ValidationFailed(InvalidRecord):
    """A validator of the host's own has found an error in a record; nothing was changed.

    `problems` are the errors that were found, `field` is the field of the first.
    """

    def __init__(self, kind: str, id: str, problems: Iterable[ProblemLike]) -> None:
        self.problems = tuple(problems)
        told = [
            f"{one.field}: {one.message}" if one.field else one.message for one in self.problems
        ]
        field = self.problems[0].field if self.problems else None
        super().__init__(kind, id, "; ".join(told), field=field or None)
        self.args = (kind, id, self.problems)


class ValidatorFailed(StateStoreError):
    """A validator of the host's own could not tell whether a record is valid; nothing was changed.

    `validator` is its name, `what` says what it did instead; what it raised is the cause.
    """

    exit_code = 2

    def __init__(self, kind: str, id: str, validator: str, what: str) -> None:
        super().__init__(kind, id, validator, what)
        self.kind, self.id, self.validator, self.what = kind, id, validator, what

    def __str__(self) -> str:
        name = _key(self.kind, self.id)
        return (
            f"validator {self.validator!r} {self.what} for {name}; nothing was changed; mend that "
            "function, or cancel its handle"
        )


class WouldShrink(InvalidRecord):
    """Messages that are there would be lost, as what was given does not hold them; nothing changed.

    `there` is how many there are, `given` how many would be left.
    """

    exit_code = 5

    def __init__(self, kind: str, id: str, there: int, given: int) -> None:
        self.there, self.given = there, given
        reason = f"its {given} messages do not begin with the {there} that are there"
        super().__init__(kind, id, reason, field="messages")
        self.args = (kind, id, there, given)

    def __str__(self) -> str:
        return (
            f"{_key(self.kind, str(self.id))} holds {self.there} messages, and was given "
            f"{self.given} that do not begin with them; to drop or change messages use truncate(), "
            f"clear_messages(), remove_message() or edit_message()"
        )


class HasChildren(InvalidRecord):
    """A record cannot be deleted, as others are below it; `children` are their ids."""

    exit_code = 5

    def __init__(self, kind: str, id: str, children: Iterable[str]) -> None:
        self.children = tuple(children)
        super().__init__(kind, id, "records are below it", field="parent_id")
        self.args = (kind, id, self.children)

    def __str__(self) -> str:
        below = ", ".join(_key(self.kind, one) for one in self.children[:3])
        more = ", …" if self.children[3:] else ""
        return (
            f"{_key(self.kind, str(self.id))} is not deleted: {len(self.children)} below it would "
            f'be left behind, {below}{more}; say children="delete" or children="detach"'
        )


class NotARecordClass(StateStoreError, TypeError):
    """A class cannot be managed: it is no attrs class with an `id: str`."""

    exit_code = 2

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name, self.reason = name, reason

    def __str__(self) -> str:
        return f"class {self.name!r} cannot be a record: {self.reason}"


class UnknownName(StateStoreError, LookupError):
    """Nothing is registered under a name."""

    exit_code = 2

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        self.what, self.name, self.known = what, name, tuple(known)
        super().__init__(what, name, self.known)

    def __str__(self) -> str:
        return f"no {self.what} is named {self.name!r}; known: {', '.join(self.known) or 'none'}"


class NameTaken(StateStoreError, ValueError):
    """A name is registered already."""

    exit_code = 5

    def __init__(self, what: str, name: str) -> None:
        super().__init__(what, name)
        self.what, self.name = what, name

    def __str__(self) -> str:
        return (
            f"the {self.what} {self.name!r} is registered already; use that one, or choose another "
            "name"
        )


class ManagerInUse(StateStoreError):
    """A manager belongs to another store: what it holds as saved is saved there."""

    exit_code = 5

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind

    def __str__(self) -> str:
        return f"this manager of {self.kind!r} belongs to another store; make a new one for this"


class ManagerMissing(StateStoreError, LookupError):
    """An operation needs the manager of another kind, and there is none."""

    exit_code = 2

    def __init__(self, kind: str, wanted: str) -> None:
        super().__init__(kind, wanted)
        self.kind, self.wanted = kind, wanted

    def __str__(self) -> str:
        return (
            f"the manager of {self.kind!r} needs a {self.wanted}, and has none; register one with "
            f"the store: store.register({self.wanted}())"
        )


class MissingExtra(StateStoreError, ImportError):
    """A known part of the library needs a package that is not installed."""

    exit_code = 2

    def __init__(self, what: str, name: str, install: str) -> None:
        super().__init__(what, name, install)
        self.what, self.name, self.install = what, name, install

    def __str__(self) -> str:
        return (
            f"{self.what} {self.name!r} needs a package that is not installed; "
            f"install it with: pip install '{self.install}'"
        )


class NotSupported(StateStoreError):
    """A driver cannot do what was asked; its traits say so."""

    exit_code = 2

    def __init__(self, driver: str, operation: str) -> None:
        super().__init__(driver, operation)
        self.driver, self.operation = driver, operation

    def __str__(self) -> str:
        return f"the {self.driver} driver does not support {self.operation}"


# --- documents and bytes --------------------------------------------------------------


class EncodeError(StateStoreError, ValueError):
    """A value cannot be stored; nothing was written.

    `where` is the path of the value in its document: `$.data.tags[3]`.
    """

    exit_code = 4

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(where, reason)
        self.where, self.reason = where, reason

    def __str__(self) -> str:
        return f"value at {self.where} cannot be stored: {self.reason}"


class DecodeError(StateStoreError, ValueError):
    """Bytes are not a document of a format."""

    exit_code = 4

    def __init__(self, format: str, reason: str) -> None:
        super().__init__(format, reason)
        self.format, self.reason = format, reason

    def __str__(self) -> str:
        return f"not a document in {self.format}: {self.reason}"


class TooLarge(DecodeError):
    """A document is larger, packed or unpacked, than the limit."""


class TooDeep(DecodeError):
    """A document is nested deeper than the limit."""


class UnknownFormat(DecodeError):
    """The content of some bytes says no format that is registered."""

    def __init__(self, reason: str) -> None:
        super().__init__("any known format", reason)
        self.args = (reason,)


class AmbiguousFormat(DecodeError):
    """The content of some bytes could be of several formats."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        super().__init__("one format", f"it could be {' or '.join(self.names)}")
        self.args = (self.names,)


# --- records --------------------------------------------------------------------------


class RecordNotFound(StateStoreError, KeyError):
    """There is no record of this kind with this id. `field` is what named it, where one did."""

    exit_code = 3

    def __init__(self, kind: str, id: str, field: str | None = None) -> None:
        super().__init__(kind, id, field)
        self.kind, self.id, self.field = kind, id, field

    def __str__(self) -> str:
        named = f", which {self.field} names" if self.field else ""
        return (
            f"there is no record {_key(self.kind, self.id)}{named}; "
            f"see what there is: statestore ls {self.kind}"
        )


class FocusNotFound(RecordNotFound):
    """There is no focus with this id in a chain, or not where it was looked for."""

    def __init__(self, kind: str, id: str, focus_id: str) -> None:
        super().__init__(kind, id)
        self.args = (kind, id, focus_id)
        self.focus_id = focus_id

    def __str__(self) -> str:
        name = _key(self.kind, self.id)
        return (
            f"there is no focus {ascii(self.focus_id)[:120]} in {name}, or not at this place; "
            f"see what there is: statestore show {name}"
        )


class MessageNotFound(RecordNotFound):
    """There is no message with this id in a conversation."""

    def __init__(self, kind: str, id: str, message_id: str) -> None:
        super().__init__(kind, id)
        self.args = (kind, id, message_id)
        self.message_id = message_id

    def __str__(self) -> str:
        name = _key(self.kind, self.id)
        return (
            f"there is no message {ascii(self.message_id)[:120]} in {name}; "
            f"see what there is: statestore show {name}"
        )


class NothingActive(StateStoreError, LookupError):
    """No record of this kind is the active one; nothing was changed."""

    exit_code = 3

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind

    def __str__(self) -> str:
        return f"no record of {self.kind!r} is active; make one so with activate()"


class TokensNotCounted(StateStoreError):
    """The host's counter of tokens failed at a message of a conversation; nothing was changed."""

    exit_code = 5

    def __init__(self, kind: str, id: str, reason: str) -> None:
        super().__init__(kind, id, reason)
        self.kind, self.id, self.reason = kind, id, reason

    def __str__(self) -> str:
        name = _key(self.kind, self.id)
        return f"the tokens of {name} could not be counted: {self.reason}; mend count_tokens"


class DuplicateId(StateStoreError, ValueError):
    """A record with this id exists."""

    exit_code = 5

    def __init__(self, kind: str, id: str) -> None:
        super().__init__(kind, id)
        self.kind, self.id = kind, id

    def __str__(self) -> str:
        name = _key(self.kind, self.id)
        return f"record {name} exists already; change it with update() or replace()"


class Conflict(StateStoreError):
    """A record was changed by somebody else since it was read.

    `expected` and `found` are revisions; 0 means that there is no record. `in_memory` says that it
    was changed in this process, and perhaps not saved yet, while a transaction wrote it. `fields`
    are those that both changes have given different values, where they were to be merged.
    """

    exit_code = 5

    def __init__(
        self,
        kind: str,
        id: str,
        expected: int,
        found: int,
        *,
        in_memory: bool = False,
        fields: Sequence[str] = (),
    ) -> None:
        super().__init__(kind, id, expected, found)
        self.kind, self.id, self.expected, self.found = kind, id, expected, found
        self.in_memory, self.fields = in_memory, tuple(fields)

    @property
    def key(self) -> str:
        """The key of the record, as `Store.raw` takes it: "kind/id"."""
        return _plain_key(self.kind, self.id)

    @property
    def seen(self) -> str:
        """What was found, without what to do about it: that depends on who made the change."""
        if self.in_memory:
            seen = "was changed by somebody else after the transaction first wrote it"
        elif self.expected == self.found:
            seen = f"was edited on disk after revision {self.expected}"
        elif not self.expected:
            seen = f"exists in the store already, at revision {self.found}"
        elif not self.found:
            seen = f"is gone from the store, which held revision {self.expected}"
        else:
            seen = f"is at revision {self.found}, not {self.expected} as it was read"
        if self.fields:
            seen += f", and both changes have set {', '.join(self.fields)}"
        return f"record {_key(self.kind, self.id)} {seen}"

    def __str__(self) -> str:
        if self.in_memory:
            return f"{self.seen}; repeat the transaction"
        ways = "'mine' or 'theirs'" if self.fields else "'mine', 'theirs' or 'merge'"
        return f"{self.seen}; save with on_conflict={ways}, or change it with modify()"


class StaleRecord(Conflict):
    """A record given to replace() was made from an older one than the manager holds.

    `expected` and `found` are both the revision that is known to be stored: the newer state may be
    in memory only.
    """

    def __init__(self, kind: str, id: str, revision: int = 0) -> None:
        super().__init__(kind, id, revision, revision, in_memory=True)
        self.args = kind, id, revision

    @property
    def seen(self) -> str:
        """What was found, without what to do about it."""
        name = _key(self.kind, self.id)
        return f"record {name} was made from an older state than the present one"

    def __str__(self) -> str:
        return f"{self.seen}; read it again and repeat the change"


class CorruptRecord(StateStoreError):
    """A record file is there but its bytes cannot be trusted. The file is left as it is."""

    exit_code = 4

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return (
            f"record file {self.path!r} is corrupt: {self.reason}; it is left in place: "
            "mend it by hand, or see what can be recovered with: statestore recover"
        )


class UndecodableRecord(CorruptRecord):
    """Bytes that no format reads, or that are no record: nobody can know what they were."""


class QuarantinedRecord(UndecodableRecord):
    """Bytes that nobody can read were moved out of the way. `place` is their path in the store."""

    def __init__(self, path: str, reason: str, place: str) -> None:
        super().__init__(path, reason)
        self.place = place
        self.args = (path, reason, place)

    def __str__(self) -> str:
        return (
            f"record file {self.path!r} was corrupt: {self.reason}; it was moved to "
            f"{self.place!r}; see what can be recovered with: statestore recover"
        )


class MisnamedRecord(CorruptRecord):
    """The id inside a record file is not the one its name says."""

    def __init__(self, path: str, id: str, expected: str) -> None:
        super().__init__(path, f"it holds the id {id!r}, whose file would be named {expected!r}")
        self.id, self.expected = id, expected
        self.args = (path, id, expected)


class UnsafeFile(StateStoreError):
    """A link, directory, pipe or device stands where a plain file or folder belongs."""

    exit_code = 4

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path!r} is refused: it {self.reason}; move it out of the store"


class RecordFileMissing(StateStoreError):
    """The file of a record is gone, though no commit has deleted the record.

    `revision` is its last one, `kept` the one that the history can bring back, 0 for none.
    """

    exit_code = 4

    def __init__(self, kind: str, id: str, revision: int, kept: int) -> None:
        super().__init__(kind, id, revision, kept)
        self.kind, self.id, self.revision, self.kept = kind, id, revision, kept

    def __str__(self) -> str:
        name = _key(self.kind, self.id)
        if self.kept:
            what = f"bring revision {self.kept} back with: statestore recover {shlex.quote(name)}"
        else:
            what = "the history holds no version of it: see statestore backup list"
        return f"the file of record {name} is missing, though nobody has deleted it; {what}"


class RecordNotLost(StateStoreError):
    """A record was to be brought back that is there and can be read; nothing was changed."""

    exit_code = 5

    def __init__(self, kind: str, id: str, revision: int) -> None:
        super().__init__(kind, id, revision)
        self.kind, self.id, self.revision = kind, id, revision

    def __str__(self) -> str:
        name = _key(self.kind, self.id)
        return (
            f"record {name} is not lost: it can be read, at revision {self.revision}; nothing was "
            f"changed; see it with: statestore show {shlex.quote(name)}"
        )


class NoVersionKept(StateStoreError, LookupError):
    """The history holds no whole version of a record; nothing was changed."""

    exit_code = 3

    def __init__(self, kind: str, id: str) -> None:
        super().__init__(kind, id)
        self.kind, self.id = kind, id

    def __str__(self) -> str:
        return (
            f"the history holds no whole version of record {_key(self.kind, self.id)} any more; "
            "look for it in quarantine/, or in a backup: statestore backup list"
        )


class StructureError(StateStoreError):
    """A document does not fit the class of its kind. A stored record is left in place.

    `problems` holds one line per field, each with its path. `is_stored` tells whether the document
    is in the store; one that was to be imported is not, and nothing was changed.
    """

    exit_code = 4

    def __init__(
        self, kind: str, id: str, problems: Iterable[str], *, is_stored: bool = True
    ) -> None:
        self.kind, self.id, self.problems = kind, id, tuple(problems)
        super().__init__(kind, id, self.problems)
        self.is_stored = is_stored

    def __str__(self) -> str:
        name, found = _key(self.kind, self.id), "; ".join(self.problems)
        if not self.is_stored:
            return (
                f"the document of {name} is not imported, as it does not fit its class: {found}; "
                "nothing was changed; mend the document, or export it again"
            )
        return (
            f"record {name} does not fit its class: {found}; "
            f"it is left in place: see it with raw() or: statestore show {shlex.quote(name)}"
        )


class NewerSchema(StateStoreError):
    """A record was written by a newer version of its class. It is left in place."""

    exit_code = 4

    def __init__(self, kind: str, id: str, found: int, known: int) -> None:
        super().__init__(kind, id, found, known)
        self.kind, self.id, self.found, self.known = kind, id, found, known

    def __str__(self) -> str:
        return (
            f"record {_key(self.kind, self.id)} has schema {self.found}, newer than {self.known}, "
            "the newest that this program knows; it is left in place: update the program"
        )


class HeldKey(StateStoreError):
    """A record may not be written: something that cannot be read has its place."""

    exit_code = 5

    def __init__(self, kind: str, id: str, path: str, reason: str) -> None:
        super().__init__(kind, id, path, reason)
        self.kind, self.id, self.path, self.reason = kind, id, path, reason

    def __str__(self) -> str:
        return (
            f"record {_key(self.kind, self.id)} is not written: {self.path!r} has its place and "
            f"cannot be read ({self.reason}); mend that file or move it out of the store"
        )


# --- stores and the disk --------------------------------------------------------------


class StorageError(StateStoreError):
    """The system refused an operation on a file. `errno` is its number, where it gave one."""

    exit_code = 6

    def __init__(self, path: str, operation: str, errno: int | None, reason: str) -> None:
        super().__init__(path, operation, errno, reason)
        self.path, self.operation, self.errno, self.reason = path, operation, errno, reason

    @classmethod
    def from_os(cls, path: str, operation: str, error: OSError) -> StorageError:
        """Return the typed form of an `OSError`."""
        reason = error.strerror or (os.strerror(error.errno) if error.errno else str(error))
        return cls(path, operation, error.errno, reason)

    def __str__(self) -> str:
        hint = _STORAGE_HINTS.get(self.errno or 0)
        return f"cannot {self.operation} {self.path!r}: {self.reason}" + (
            f"; {hint}" if hint else ""
        )


_STORAGE_HINTS = {
    errno.ENOSPC: "free some space and try again",
    errno.EDQUOT: "free some of the quota and try again",
    errno.EMFILE: "close some files or raise the limit (ulimit -n)",
    errno.EACCES: "check the owner and the permissions of the store",
    errno.EROFS: "open the store with read_only=True",
}


class StoreNotFound(StateStoreError):
    """There is no store at a path."""

    exit_code = 3

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return (
            f"there is no store at {self.path!r}; "
            f"make one with: statestore --store {shlex.quote(self.path)} init"
        )


class UnsafeStore(StateStoreError):
    """Other users could change the files of a store."""

    exit_code = 6

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return (
            f"the store at {self.path!r} is refused: {self.reason}; close it with: chmod go-w "
            f"{shlex.quote(self.path)}, or open it with allow_unsafe=True"
        )


class StoreReplaced(StateStoreError):
    """The folder of an open store was moved or removed, or another one has its place.

    `reason` says which. What is in memory stays there; nothing more is written or loaded.
    """

    exit_code = 6

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return (
            f"store {self.path!r}: {self.reason} since it was opened; nothing was written; "
            "when the right one is in its place, open the store again"
        )


class LockTimeout(StateStoreError):
    """Somebody else held a lock of the store for longer than one was ready to wait.

    `path` is that of the lock file, `waited_s` in seconds. `pid`, `host` and `started_at` (aware)
    are those of the process that holds it, each None where it is not known. Nothing was changed.
    """

    exit_code = 5

    def __init__(
        self,
        path: str,
        waited_s: float,
        pid: int | None = None,
        host: str | None = None,
        started_at: datetime | None = None,
    ) -> None:
        super().__init__(path, waited_s, pid, host, started_at)
        self.path, self.waited_s = path, waited_s
        self.pid, self.host, self.started_at = pid, host, started_at

    @property
    def seen(self) -> str:
        """Who has held what for how long, without what became of it."""
        who = "another process"
        if self.pid is not None:
            who = f"process {self.pid}"
            who += f" on {self.host!r}" if self.host else ""
            if self.started_at is not None:
                who += f", started at {self.started_at:%Y-%m-%d %H:%M:%S %Z},"
        return f"{who} has held {self.path!r} for the {self.waited_s:g} s that this one waited"

    def __str__(self) -> str:
        return (
            f"{self.seen}; nothing was changed; try again, and if that process hangs, end it: its "
            "lock goes with it"
        )


class UnsafeFilesystem(StateStoreError):
    """The locks of a file system do not keep processes apart, or not those of other machines.

    `filesystem` is its type, as the system calls it; empty where it is not known.
    """

    exit_code = 6

    def __init__(self, path: str, filesystem: str, reason: str) -> None:
        super().__init__(path, filesystem, reason)
        self.path, self.filesystem, self.reason = path, filesystem, reason

    def __str__(self) -> str:
        kind = f" ({self.filesystem})" if self.filesystem else ""
        return (
            f"the file system{kind} of {self.path!r} is not safe for a store: {self.reason}; put "
            "the store on a local disk, or, if only one process at a time will ever use it, open "
            "it with allow_unsafe=True"
        )


class NewerLayout(StateStoreError):
    """A store was laid out by a newer version of this library."""

    exit_code = 4

    def __init__(self, path: str, found: int, known: int) -> None:
        super().__init__(path, found, known)
        self.path, self.found, self.known = path, found, known

    def __str__(self) -> str:
        return (
            f"{self.path!r} has layout {self.found}, newer than {self.known}, the newest that "
            "this version knows; install a newer statestore"
        )


class CorruptStore(StateStoreError):
    """What a store says of itself cannot be read. Its records are not touched."""

    exit_code = 4

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return (
            f"{self.path!r} is corrupt: {self.reason}; nothing was changed; save the records into "
            "a new store with: statestore recover --salvage NEW-FOLDER"
        )


class ReadOnlyStore(StateStoreError):
    """A store that was opened for reading was asked to write."""

    exit_code = 6

    def __init__(self, path: str, operation: str) -> None:
        super().__init__(path, operation)
        self.path, self.operation = path, operation

    def __str__(self) -> str:
        return (
            f"cannot {self.operation}: the store at {self.path!r} is open for reading only; open "
            "it without read_only=True"
        )


class StoreClosed(StateStoreError):
    """A closed store was asked to do something."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"the store at {self.path!r} is closed; open it again"


class NotSalvaged(StateStoreError):
    """A part of a store could not be saved into a new one. The damaged store is as it was."""

    exit_code = 4

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path!r}: {self.reason}"


class FolderInUse(StateStoreError):
    """A folder that was to be made is there, and is not empty."""

    exit_code = 5

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"{self.path!r} is there and is not an empty folder; name a new one"


# --- many failures together -----------------------------------------------------------


class CorruptJournal(StateStoreError):
    """The journal of a store is damaged where later commits prove that it was whole once.

    Nothing was changed. `offset` is in bytes from the beginning of the file.
    """

    exit_code = 4

    def __init__(self, path: str, offset: int, reason: str) -> None:
        super().__init__(path, offset, reason)
        self.path, self.offset, self.reason = path, offset, reason

    def __str__(self) -> str:
        return (
            f"journal {self.path!r} is corrupt at byte {self.offset}: {self.reason}; nothing was "
            "changed; save what can be read into a new store with: "
            "statestore recover --salvage NEW-FOLDER"
        )


class StoreInDoubt(StateStoreError):
    """The disk failed while it made commits durable: whether the last ones are is not known.

    Nothing more is written through this opening of the store; reading goes on.
    """

    exit_code = 6

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return (
            f"store {self.path!r}: the disk failed while changes were made durable, and the last "
            "ones may or may not be on it; open the store again to find out, or type: "
            "statestore recover"
        )


class FilesBehind(StateStoreError):
    """The files of some records do not show what is committed, as they cannot be written.

    Nothing is lost: the changes are in the journal, and every reader of the store sees them.
    """

    exit_code = 6

    def __init__(self, failures: Iterable[FailureLike]) -> None:
        self.failures = tuple(failures)
        super().__init__(self.failures)

    def __str__(self) -> str:
        locked = [one.error.seen for one in self.failures if isinstance(one.error, LockTimeout)]
        why = locked[0] if locked else _listed(self.failures)  # a lock keeps from all files
        return (
            f"{counted(len(self.failures), 'file')} could not be written, though the changes are "
            f"safe in the journal: {why}; when the cause is gone, write them with: "
            "statestore recover"
        )


class StoreForked(StateStoreError):
    """What a process has begun with a store goes on there, and not in a child that it forks.

    A scan, a transaction, a commit that is on its way. The store itself can be used in the child.
    """

    exit_code = 5

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return (
            f"store {self.path!r}: what was begun before a fork goes on in the parent only; "
            "begin it anew in the child process"
        )


class NotPicklable(StateStoreError, TypeError):
    """A store, or a part of one, cannot be copied or sent to another process."""

    exit_code = 2

    def __init__(self, what: str, path: str) -> None:
        super().__init__(what, path)
        self.what, self.path = what, path

    def __str__(self) -> str:
        return (
            f"{self.what} cannot be pickled or copied; pass the path and open the store there: "
            f"Store({self.path!r})"
        )


class HistoryPruned(StateStoreError, LookupError):
    """Commits that were asked for are older than the history that the store keeps."""

    exit_code = 3

    def __init__(self, path: str, after: int, oldest: int) -> None:
        super().__init__(path, after, oldest)
        self.path, self.after, self.oldest = path, after, oldest

    def __str__(self) -> str:
        return (
            f"the history of store {self.path!r} begins with commit {self.oldest}, so those after "
            f"{self.after} are not all there; ask for those after {self.oldest - 1}"
        )


class TransactionFailed(StateStoreError):
    """A transaction was not made: nothing of it is in memory or in the store."""

    exit_code = 5

    def __init__(self, failures: Iterable[FailureLike]) -> None:
        self.failures = tuple(failures)
        super().__init__(self.failures)

    def __str__(self) -> str:
        again = any(isinstance(failure.error, Conflict) for failure in self.failures)
        return f"the transaction was rolled back: {_listed(self.failures, tell=_seen)}" + (
            "; take in what is stored with refresh(), and repeat the transaction" if again else ""
        )


class InTransaction(StateStoreError):
    """Something was asked for that cannot be done within a transaction; nothing was changed."""

    exit_code = 5

    def __init__(self, operation: str, reason: str = "do it before or after its block") -> None:
        super().__init__(operation, reason)
        self.operation, self.reason = operation, reason

    def __str__(self) -> str:
        return f"cannot {self.operation} within a transaction: {self.reason}"


class TaskClaimed(StateStoreError):
    """A task is in the hand of a worker; nothing was changed.

    `since` and `until` are aware times; `until` is None where the lease lasts as long as its run.
    """

    exit_code = 5

    def __init__(
        self, kind: str, id: str, worker: str, since: datetime, until: datetime | None
    ) -> None:
        super().__init__(kind, id, worker, since, until)
        self.kind, self.id, self.worker, self.since, self.until = kind, id, worker, since, until

    def __str__(self) -> str:
        until = "" if self.until is None else f", until {self.until.isoformat()}"
        return (
            f"{_key(self.kind, self.id)} is claimed by {self.worker!r} since "
            f"{self.since.isoformat()}{until}; wait for it, or take it away by "
            f"release(id, force=True)"
        )


class LeaseLost(StateStoreError):
    """A worker has a task no more that it had claimed; nothing was changed.

    `status` is what the task is now, `holder` the worker who has it; None: nobody has.
    """

    exit_code = 5

    def __init__(
        self, kind: str, id: str, worker: str, status: str, holder: str | None = None
    ) -> None:
        super().__init__(kind, id, worker, str(status), holder)
        self.kind, self.id, self.worker = kind, id, worker
        self.status, self.holder = str(status), holder

    def __str__(self) -> str:
        by = "" if self.holder is None else f", and claimed by {self.holder!r}"
        return (
            f"{_key(self.kind, self.id)} is no more in the hand of {self.worker!r}: it is "
            f"{self.status}{by}; drop what was done for it, and claim the next task"
        )


class CommitRefused(StateStoreError):
    """A commit was refused whole, before anything was written. `failures` says for which keys."""

    exit_code = 5

    def __init__(self, failures: Sequence[FailureLike]) -> None:
        self.failures = tuple(failures)
        super().__init__(self.failures)

    def __str__(self) -> str:
        return f"nothing was written: {_listed(self.failures)}"


class PartialCommit(StateStoreError):
    """Some changes of a commit are durable, `failures` names the others.

    Only a driver whose traits say that its commits are not atomic raises this. `commit` is the
    `Commit` of what is durable.
    """

    exit_code = 7

    def __init__(self, commit: Any, failures: Sequence[FailureLike]) -> None:
        self.commit, self.failures = commit, tuple(failures)
        super().__init__(commit, self.failures)

    def __str__(self) -> str:
        return f"a part was not written: {_listed(self.failures)}"


class _ReportedFailure(StateStoreError):
    exit_code = 7

    def __init__(self, report: ReportLike) -> None:
        super().__init__(report)
        self.report = report

    @property
    def failures(self) -> Sequence[FailureLike]:
        """The failures of the report, one per key."""
        return self.report.failures


class SaveFailed(_ReportedFailure):
    """Some records were not saved; they stay dirty, the others are durable. See `report`."""

    def __str__(self) -> str:
        return f"{counted(len(self.failures), 'record')} not saved: {_listed(self.failures)}"


class LoadFailed(_ReportedFailure):
    """Some records were not loaded; they stay where they are, the others are here. See `report`."""

    def __str__(self) -> str:
        return f"{counted(len(self.failures), 'record')} not loaded: {_listed(self.failures)}"


class CallbackFailed(StateStoreError):
    """Callbacks of the host raised. The operation that they were told of is complete."""

    def __init__(self, event: str, errors: Iterable[Exception]) -> None:
        self.event, self.errors = event, tuple(errors)
        super().__init__(event, self.errors)

    def __str__(self) -> str:
        shown = "; ".join(f"{type(error).__name__}: {error}" for error in self.errors)
        return f"the operation is complete, but its {self.event} callbacks raised: {shown}"


# --- backups and imports --------------------------------------------------------------


class ListenerFailed(StateStoreError):
    """A listener of a manager's events raised; the change that it was told of is made.

    `event` is the name of the event, `raised` that of the class of what it raised, its cause.
    """

    def __init__(self, kind: str, id: str, event: str, raised: str) -> None:
        super().__init__(kind, id, event, raised)
        self.kind, self.id, self.event, self.raised = kind, id, event, raised

    def __str__(self) -> str:
        return (
            f"a listener of {self.event!r} raised {self.raised} for {_key(self.kind, self.id)}; "
            "the change itself is made; mend the listener, or cancel its handle"
        )


class BackupExists(StateStoreError):
    """The place of a new backup is taken."""

    exit_code = 5

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"{self.path!r} exists already; name a new folder for the backup"


class BackupNotFound(StateStoreError):
    """There is no backup at a path."""

    exit_code = 3

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"there is no backup at {self.path!r}; see what there is: statestore backup list"


class InvalidBackup(StateStoreError):
    """A backup is not what its manifest says. Nothing was restored."""

    exit_code = 4

    def __init__(self, path: str, problems: Iterable[str]) -> None:
        self.path, self.problems = path, tuple(problems)
        super().__init__(path, self.problems)

    def __str__(self) -> str:
        shown = "; ".join(self.problems[:3])
        more = len(self.problems) - 3
        rest = f"; and {more} more" if more > 0 else ""
        return (
            f"the backup at {self.path!r} is not intact, nothing was restored from it: "
            f"{shown}{rest}"
        )


class UnknownTranscript(StateStoreError):
    """A file is no transcript that can be imported."""

    exit_code = 4

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(source, reason)
        self.source, self.reason = source, reason

    def __str__(self) -> str:
        return f"{self.source!r} cannot be imported: {self.reason}"
