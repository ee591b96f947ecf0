"""Stores to lay files into, and drivers that are closed when the test ends."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from statestore.drivers.directory import DirectoryDriver
from statestore.testing.driver import SteppedClock


@pytest.fixture
def clock():
    return SteppedClock()


@pytest.fixture
def root(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def opened(root, clock):
    """Open a driver on the store: `opened(format="yaml")`."""
    drivers = []

    def open_driver(path=root, **options):
        defaults = {"clock": clock, "materialize": "now"}  # tests look at the files
        drivers.append(DirectoryDriver(path, **{**defaults, **options}))
        return drivers[-1]

    yield open_driver
    for driver in drivers:
        driver.close()


@pytest.fixture
def lay(root, opened):
    """Put a record's file into the store by hand: `lay("a.json", revision=2)`. Return its path."""
    opened().close()

    def lay_file(name, raw=None, **fields):
        envelope = {
            "kind": "notes",
            "schema": 1,
            "revision": 1,
            "saved_at": "2026-01-01T00:00:00.000000Z",
            "data": {"id": name.split(".")[0]},
            **fields,
        }
        path = root / "notes" / name
        path.parent.mkdir(exist_ok=True, mode=0o700)
        path.write_bytes(json.dumps(envelope).encode() if raw is None else raw)
        if raw is None:  # else it is what somebody else has written
            saved_at = datetime.fromisoformat(envelope["saved_at"]).timestamp()
            os.utime(path, (saved_at, saved_at))
        return path

    return lay_file


@pytest.fixture
def side_by_side(tmp_path):
    """Run a program in several processes, which begin at once; return the lines that each says.

    `side_by_side(program, ("own", "arguments"), …)`. Each says "ready" and waits for a line.
    """
    started = []

    def run(program, *arguments):
        script = tmp_path / "program.py"
        script.write_text(program)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        started.extend(
            subprocess.Popen(
                [sys.executable, str(script), *own],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for own in arguments
        )
        for process in started:
            assert process.stdout.readline() == "ready\n"
        for process in started:
            process.stdin.write("go\n")
            process.stdin.flush()
        with ThreadPoolExecutor(len(started)) as readers:  # a full pipe would hold a process up
            told = list(readers.map(lambda process: process.communicate(timeout=100)[0], started))
        assert [process.returncode for process in started] == [0] * len(started)
        return [text.splitlines() for text in told]

    yield run
    for process in started:
        process.kill()
        process.communicate()
