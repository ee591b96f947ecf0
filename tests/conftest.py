"""What tests of several rooms share."""

import os

import pytest


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
