"""The command `statestore`: its options, its commands, and how a run of it ends."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import click
from click.shell_completion import shell_complete

from statestore import __version__
from statestore.cli import output
from statestore.cli.backup_commands import backup
from statestore.cli.demo_command import demo
from statestore.cli.options import StoreGroup, current_settings
from statestore.cli.problems import OutputFailed
from statestore.cli.record_commands import list_records, show
from statestore.cli.recovery_commands import history_, recover
from statestore.cli.store_commands import info, init, stats, verify
from statestore.cli.transfer_commands import convert, import_
from statestore.cli.values import error_value
from statestore.errors import StateStoreError

PROGRAM = "statestore"
COMPLETION_VARIABLE = "_STATESTORE_COMPLETE"
INTERRUPTED = 130
READER_GONE = 141

_EPILOG = """\b
Exit codes:
  0  done
  1  an error without a code of its own
  2  a wrong argument, name or setting
  3  not there
  4  stored bytes that cannot be trusted
  5  refused because something else is in the way
  6  the disk or the system said no
  7  done in part: the failures are listed
  130  interrupted; 141  nobody reads the output any more

Begin with: statestore demo
"""


class Root(StoreGroup):
    """The whole command line. Errors of a run become a message and an exit code."""

    def main(self, args: Sequence[str] | None = None, *_: Any, **__: Any) -> Any:
        """Run a command, and end the program with its exit code."""
        sys.exit(run(self, list(sys.argv[1:] if args is None else args)))


@click.group(
    PROGRAM, cls=Root, invoke_without_command=True, subcommand_metavar="COMMAND …", epilog=_EPILOG
)
@click.option("--version", "wants_version", is_flag=True, help="Show the version and end.")
@click.pass_context
def root(ctx: click.Context, wants_version: bool) -> None:
    """Keep the state of an application in plain files, as safely as a database.

    The options before the command may stand after it too.
    """
    if wants_version:
        if current_settings(ctx).json:
            output.write_json({"statestore": __version__, "python": _python_version()})
        else:
            output.line(f"statestore {__version__} (Python {_python_version()})")
        ctx.exit()
    if ctx.invoked_subcommand is None:
        if not current_settings(ctx).json:
            output.note(ctx.get_help())
            ctx.exit(2)
        raise click.UsageError("no command is named", ctx)


for _command in (
    demo,
    init,
    info,
    list_records,
    show,
    import_,
    convert,
    backup,
    verify,
    recover,
    history_,
    stats,
):
    root.add_command(_command)


def run(command: click.Command, arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code; what went wrong is told, never raised."""
    instruction = os.environ.get(COMPLETION_VARIABLE)
    if instruction:
        return shell_complete(command, {}, PROGRAM, COMPLETION_VARIABLE, instruction)
    words = list(arguments)
    options = words[: words.index("--")] if "--" in words else words
    # The arguments themselves are asked, because an error may come before they are understood.
    told = _Told(json="--json" in options, verbose=bool({"-v", "--verbose"} & set(options)))
    try:
        return _run(command, words, told)
    except BrokenPipeError:
        _let_go_of_stdout()
        return READER_GONE
    except KeyboardInterrupt:
        with contextlib.suppress(OSError, OutputFailed):
            output.note("interrupted")
        return INTERRUPTED


class _Told:
    """How errors are told."""

    def __init__(self, *, json: bool, verbose: bool) -> None:
        self.json, self.verbose = json, verbose

    def __call__(self, error: Exception, message: str, exit_code: int) -> int:
        # What click calls its errors differs from version to version.
        kind = "UsageError" if isinstance(error, click.UsageError) else type(error).__name__
        if isinstance(error, OutputFailed):
            _let_go_of_stdout()  # what is left in it cannot be written either
            with contextlib.suppress(OutputFailed):
                output.note(f"error: {message}")
            return exit_code
        if self.verbose:
            output.note("".join(traceback.format_exception(error)).rstrip())
        output.note(f"error: {output.printable(message)}")
        if self.json:
            output.write_json(
                {"error": {**error_value(error, exit_code), "type": kind, "message": message}}
            )
        return exit_code


def _run(command: click.Command, arguments: list[str], told: _Told) -> int:
    try:
        with command.make_context(PROGRAM, arguments) as ctx:
            command.invoke(ctx)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.exceptions.Abort:  # Ctrl-C or the end of input at a question
        raise KeyboardInterrupt from None
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else PROGRAM
        message = " ".join(error.format_message().split()).rstrip(".")
        return told(error, f"{message}; see: {path} --help", error.exit_code)
    except click.ClickException as error:
        return told(error, error.format_message(), error.exit_code)
    except StateStoreError as error:
        return told(error, str(error), error.exit_code)
    except BrokenPipeError:
        raise
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return told(error, f"the system refused: {place}{error.strerror or error}", 6)
    except Exception as error:  # noqa: BLE001 # a fault of ours still ends in one line and a code
        text = f"{type(error).__name__}: {error}"
        hint = "" if told.verbose else "; see where with: statestore -v …"
        return told(error, f"a fault in statestore itself: {text}{hint}", 1)
    return 0


def _let_go_of_stdout() -> None:
    """Keep the interpreter from complaining when it flushes what is left."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _python_version() -> str:
    return ".".join(str(part) for part in sys.version_info[:3])
