"""Refusing: why a change of a record may not be made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from statestore.drivers.drafts import DeleteDraft, Draft
from statestore.drivers.kind_folder import Found, KindFolder
from statestore.errors import Conflict, HeldKey
from statestore.models.keys import Key, Revision


def refuse_unreadable(key: Key, name: str, found: Found) -> None:
    """Check that what has the name of a record's file can be read.

    Raises:
        HeldKey: it cannot.
    """
    if name in found.unreadable_names:
        error = found.unreadable[found.unreadable_names.index(name)].error
        raise HeldKey(key.kind, key.id, f"{key.kind}/{name}", str(error)) from error


def refuse_unknown(key: Key, stem: str, folder: KindFolder) -> None:
    """Check that another process has not written a record's file in a format of its own.

    Raises:
        HeldKey: it has.
    """
    for name in folder.strangers():
        if name.startswith(f"{stem}."):
            reason = "another process has written it, in a format that is not known here"
            raise HeldKey(key.kind, key.id, f"{key.kind}/{name}", reason)


def refuse_mismatch(
    key: Key, expect: Mapping[Key, Revision], found: Revision, drafts: Sequence[Draft]
) -> None:
    """Check that a key has the revision that is expected of it; a delete of what is gone is right.

    Raises:
        Conflict: it has another.
    """
    expected = expect.get(key)
    if expected is None or expected == found:
        return
    if not found and drafts and all(isinstance(draft, DeleteDraft) for draft in drafts):
        return
    raise Conflict(key.kind, key.id, expected, found)
