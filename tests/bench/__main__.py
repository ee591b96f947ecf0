"""The command line of the bench: runs cases, shows a table, writes JSON."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence

from tests.bench.case import Case, Place
from tests.bench.changes import ChangeOfOne, ChangesByThreads, SaveOfOneDirty
from tests.bench.following import RefreshOfNothing, SeenElsewhere
from tests.bench.machine import MEMORY_FILE_SYSTEMS, describe
from tests.bench.measuring import Scale
from tests.bench.messages import (
    AddedToLong,
    AddedToMiddle,
    AddedToShort,
    GrowthLong,
    GrowthShort,
)
from tests.bench.processes import ChangesByProcesses, ChangesOnSlowDisk
from tests.bench.table import table, to_json
from tests.bench.whole import ColdSave, LoadAll

CASES: dict[str, type[Case]] = {
    case.name: case
    for case in (
        ChangeOfOne,
        ChangesByThreads,
        ChangesByProcesses,
        ChangesOnSlowDisk,
        RefreshOfNothing,
        SeenElsewhere,
        SaveOfOneDirty,
        AddedToShort,
        AddedToMiddle,
        AddedToLong,
        GrowthShort,
        GrowthLong,
        ColdSave,
        LoadAll,
    )
}
QUICK = Scale(part=0.02, rounds=2, burst=5)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds of little, as a trial")
    parser.add_argument(
        "--only", action="append", choices=list(CASES), help="this case; may be repeated"
    )
    parser.add_argument("--rounds", type=int, help="turns of each contestant")
    parser.add_argument("--dir", help="measure the disk of this folder; by default the present one")
    parser.add_argument("--json", metavar="FILE", help="write the results to a file")
    options = parser.parse_args(arguments)
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds takes a number from 1 on")
    return options


def _say(text: str = "") -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; 0 whatever the figures are."""
    options = _options(arguments)
    scale = QUICK if options.quick else Scale()
    if options.rounds is not None:
        scale = Scale(scale.part, options.rounds, scale.burst)
    folder = tempfile.mkdtemp(prefix=".bench-", dir=options.dir or os.getcwd())
    try:
        machine = describe(folder)
        for name, value in machine.items():
            _say(f"{name:12} {value}")
        if machine["file system"] in MEMORY_FILE_SYSTEMS:
            _say("warning: this is no disk but memory, so syncing costs nothing; use --dir")
        if options.quick:
            _say("warning: a trial with little data; the figures mean nothing")
        results, place = [], Place(folder)
        for name in options.only or CASES:
            _say()
            result = CASES[name](place, scale).run()
            results.append(to_json(result))
            _say(table(result))
        if options.json:
            with open(options.json, "w", encoding="utf-8") as file:
                json.dump(
                    {"machine": machine, "quick": options.quick, "cases": results}, file, indent=2
                )
                file.write("\n")
    finally:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
