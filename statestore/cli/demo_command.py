"""The command demo: it tells the story of a store, and checks every word of it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator

import click

from statestore.cli import output
from statestore.cli.options import StoreCommand, pass_settings
from statestore.cli.settings import Settings
from statestore.errors import FolderInUse


@click.command(cls=StoreCommand)
@click.option(
    "--keep",
    metavar="DIR",
    type=click.Path(),
    help="Leave the store, the transcripts and the backup in this new folder.",
)
@pass_settings
def demo(settings: Settings, keep: str | None) -> None:
    """Show in a few seconds what a store does.

    It works on a store of its own, which is removed afterwards. Each step says what was checked;
    a check that fails ends it with 1.
    """
    from statestore.cli.story import tell
    from statestore.cli.telling import Story

    story = Story(quiet=settings.json)
    with _folder(keep) as folder:
        tell(story, folder)
    kept = os.path.realpath(keep) if keep else None
    if settings.json:
        output.write_json({**story.value(), "kept": kept})
        return
    output.line()
    output.line(
        f"demo: {output.counted(len(story.steps), 'step')}, "
        f"{output.counted(story.checks, 'check')} passed"
    )
    if kept:
        from shlex import quote

        store = quote(os.path.join(kept, "store"))
        output.note(f"kept in {kept}; look around with: statestore --store {store} ls")


@contextlib.contextmanager
def _folder(keep: str | None) -> Iterator[str]:
    """Yield the folder for the story: `keep`, or one that is removed afterwards."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="statestore-demo-") as folder:
            yield folder
        return
    if keep == "" or (os.path.lexists(keep) and not (os.path.isdir(keep) and not os.listdir(keep))):
        raise FolderInUse(keep)
    os.makedirs(keep, mode=0o700, exist_ok=True)
    yield os.path.realpath(keep)
