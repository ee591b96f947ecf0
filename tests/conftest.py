"""What tests of several rooms share."""

import os

import pytest

from statestore.drivers.registered import DriverOptions
from statestore.engine import opening
from statestore.models.envelopes import Envelope
from statestore.models.times import time_ns
from statestore.serializers import decode

_INTERNAL = ("alive", "lock", "materialise", "turnstile", "journal", "stage")


def _listing(root):
    """Return all below a folder: path → type and mode, time of change, and content."""
    found = {}
    for folder, _, files in os.walk(root):
        for path in [folder, *(os.path.join(folder, name) for name in files)]:
            status = os.lstat(path)
            data = None
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    data = file.read()
            found[os.path.relpath(path, root)] = (status.st_mode, status.st_mtime_ns, data)
    return found


@pytest.fixture
def listing():
    return _listing


@pytest.fixture
def visible():
    """Return what `listing` does, but for the journal and the locks of a store."""

    def read(root):
        found = {}
        for path, (mode, mtime_ns, data) in _listing(root).items():
            inside, _, name = path.rpartition(".statestore/")
            if path.endswith(".statestore"):
                found[path] = (mode, None, data)  # names come and go in it
            elif not (inside or path.startswith(".statestore/")) or (
                name.partition("/")[0] not in _INTERNAL
            ):
                found[path] = (mode, mtime_ns, data)
        return found

    return read


@pytest.fixture
def files_at_once(monkeypatch):
    """Let a save of any `Store` wait for its record files, too: for tests that look at them."""

    def options(**given):
        return DriverOptions(**{**given, "materialize": "now"})

    monkeypatch.setattr(opening, "DriverOptions", options)


@pytest.fixture
def as_written():
    """Give record files below a store the times at which their records were saved.

    A store writes them so, and takes a file with another time for an edit. Who lays files, or
    copies them, chooses another.
    """

    def set_times(root):
        for folder, _, names in os.walk(root):
            for name in names:
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    data = file.read()
                try:
                    at = time_ns(Envelope.from_document(decode(data)[1]).saved_at)
                except ValueError:
                    continue
                os.utime(path, ns=(at, at))
        return root

    return set_times
