"""The command line, as `python -m statestore`."""

import sys

from statestore.cli.entry import main

if __name__ == "__main__":
    sys.exit(main())
