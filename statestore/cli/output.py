"""What the command line writes: results to stdout, everything else to stderr.

With `--json` exactly one JSON value goes to stdout. Colours and rich's tables are for terminals
only; a pipe gets plain columns.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import click

from statestore.cli.problems import OutputFailed
from statestore.errors import counted as counted
from statestore.models.reports import Failure


def write(data: str | bytes, *, err: bool = False) -> None:
    """Write text or bytes as they are to stdout, or to stderr.

    Raises:
        BrokenPipeError: nobody reads it any more.
        OutputFailed: the system refused it.
    """
    with _told_apart():
        click.echo(data, nl=False, err=err)


def write_json(value: object) -> None:
    """Write one JSON value, readable, to stdout."""
    write(_json_text(value).encode() + b"\n")


def write_document(document: object) -> None:
    """Write a document to stdout as JSON: for people with colours, for programs without."""
    if not is_terminal():
        write_json(document)
        return
    from rich.console import Console
    from rich.highlighter import JSONHighlighter
    from rich.text import Text

    shown = Text(_json_text(document))
    JSONHighlighter().highlight(shown)
    with _told_apart():
        Console().print(shown, soft_wrap=True)


def line(text: str = "") -> None:
    """Write a line to stdout."""
    write(_escaped(text) + "\n")


def note(text: str) -> None:
    """Write a line to stderr."""
    write(_escaped(text) + "\n", err=True)


def failure(one: Failure) -> None:
    """Write what could not be done, on one line, to stderr."""
    note(f"failed: {printable(str(one))}")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: str = "") -> None:
    """Write rows in aligned columns with a header.

    Args:
        columns: the headers.
        rows: as many values as there are columns.
        right: the headers, separated by spaces, of the columns that are aligned to the right.
    """
    cells = [[printable(str(value)) for value in row] for row in rows]
    to_right = [name in right.split() for name in columns]
    if is_terminal():
        _table_for_terminal(columns, cells, to_right)
        return
    widths = [max(len(row[i]) for row in [list(columns), *cells]) for i in range(len(columns))]
    for row in [list(columns), *cells]:
        padded = [
            value.rjust(width) if is_right else value.ljust(width)
            for value, width, is_right in zip(row, widths, to_right, strict=True)
        ]
        write("  ".join(padded).rstrip() + "\n")


def pairs(values: Iterable[tuple[str, object]]) -> None:
    """Write names and values, one pair on a line."""
    listed = [(name, printable(str(value))) for name, value in values]
    width = max(len(name) for name, _ in listed)
    for name, value in listed:
        line(f"{name.ljust(width)}  {value}")


def printable(text: str) -> str:
    """Return `text` on one line, with escapes for what could steer a terminal."""
    return "".join(one if one.isprintable() else _escape(one) for one in text)


def moment(time: datetime | None) -> str:
    """Return a time to the second, in UTC, or a dash for none."""
    return "-" if time is None else f"{time:%Y-%m-%dT%H:%M:%SZ}"


def size(count_bytes: int) -> str:
    """Return a number of bytes as people say it."""
    value = float(count_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{count_bytes} B" if unit == "B" else f"{value:.1f} {unit}"


@contextlib.contextmanager
def working(what: str) -> Iterator[None]:
    """Show, on a terminal, that something is being done and for how long; then wipe it away."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        progress.add_task(printable(what), total=None)
        yield


def is_terminal() -> bool:
    """Say whether a person reads stdout."""
    return sys.stdout is not None and sys.stdout.isatty()


@contextlib.contextmanager
def _told_apart() -> Iterator[None]:
    """Tell an error of the output from those of the store."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputFailed(error.strerror or str(error)) from error


def _table_for_terminal(
    columns: Sequence[str], cells: Sequence[Sequence[str]], to_right: Sequence[bool]
) -> None:
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    widths = [max(map(cell_len, column)) for column in zip(columns, *cells, strict=True)]
    # The last column gives way to the others, where that leaves it something.
    left = console.width - sum(widths[:-1]) - _GAP * len(columns)
    shown = Table(box=None, header_style="bold", pad_edge=False, padding=(0, _GAP, 0, 0))
    for index, (name, is_right) in enumerate(zip(columns, to_right, strict=True)):
        shown.add_column(
            name,
            justify="right" if is_right else "left",
            style="cyan" if index == 0 else None,
            overflow="fold",
        )
    for row in cells:
        texts = [Text(value) for value in row]
        if left >= _NARROWEST:
            texts[-1].truncate(left, overflow="ellipsis")
        shown.add_row(*texts)
    with _told_apart():
        console.print(shown)


def _json_text(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escaped(text: str) -> str:
    return "".join(one if one.isprintable() or one in "\n\t" else _escape(one) for one in text)


def _escape(character: str) -> str:
    return _SHORT.get(character) or character.encode("unicode_escape").decode()


_STEERING = re.compile(r"[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What JSON leaves as it is and a terminal may obey; and what is no text, as in odd file names."""

_GAP = 2
"""Spaces between the columns of a table."""

_NARROWEST = 10
"""A last column that would be narrower is not cut: all columns are folded instead."""

_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
