"""The console script: it starts the command line where its packages are installed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec

_MISSING = (
    "the command line needs packages that are not installed; "
    "install them with: pip install 'statestore[cli]'"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: what was typed after the name of the program; by default that of this process.
    """
    if any(find_spec(name) is None for name in ("click", "rich")):
        sys.stderr.write(f"{_MISSING}\n")
        return 2
    try:
        from statestore.cli.root import root, run
    except KeyboardInterrupt:
        return 130
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # what the terminal has no letters for is still shown
            stream.reconfigure(errors="backslashreplace")
    return run(root, sys.argv[1:] if arguments is None else arguments)
