"""What the shell offers after a Tab: kinds, keys, formats. It never fails: it offers nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import click

from statestore.cli.options import current_settings
from statestore.errors import StateStoreError

_MOST = 500


def complete_kind(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the kinds of the store that begin so."""
    return [kind for kind in _kinds(ctx) if kind.startswith(incomplete)]


def complete_key(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return keys that begin so; kinds with a slash while no kind is typed."""
    kind, slash, begun = incomplete.partition("/")
    if not slash:
        return [f"{one}/" for one in _kinds(ctx) if one.startswith(kind)]
    found: list[str] = []
    with contextlib.suppress(StateStoreError, OSError, ValueError):
        for id in _ids(ctx, kind):
            if id.startswith(begun):
                found.append(f"{kind}/{id}")
            if len(found) == _MOST:
                break
    return found


def complete_format(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of the formats that begin so."""
    from statestore.serializers import names

    return [name for name in names() if name.startswith(incomplete)]


def _kinds(ctx: click.Context) -> list[str]:
    with (
        contextlib.suppress(StateStoreError, OSError, ValueError),
        current_settings(ctx).open_to_read() as store,
    ):
        return list(store.kinds())
    return []


def _ids(ctx: click.Context, kind: str) -> Iterator[str]:
    """Yield the ids of a kind by the names of its files; only a name that hides its id is read."""
    from statestore.drivers.kind_folder import KindFolder
    from statestore.drivers.names import file_stem, guess_id
    from statestore.files.folders import open_folder
    from statestore.models.keys import SETTINGS_ID, SETTINGS_NAME

    with current_settings(ctx).open_to_read() as store:
        root = open_folder(store.path)
        folder = root.child(kind) if root else None
    if root is None or folder is None:
        return
    with root, folder:
        reader = KindFolder(kind, folder)
        for stem, names in reader.stems():
            id = guess_id(stem)
            if id == SETTINGS_ID:
                yield SETTINGS_NAME
                continue
            if file_stem(id) == stem:
                yield id
                continue
            with contextlib.suppress(StateStoreError):
                record = reader.read(names[0])
                if record is not None:
                    yield record.key.id
