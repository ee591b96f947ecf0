"""Tells what the figures were measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sqlite3
from collections.abc import Mapping

import statestore

MEMORY_FILE_SYSTEMS = ("tmpfs", "ramfs")


def file_system_of(path: str) -> str:
    """Return the type of the file system that a path lies on; "unknown" where it is not told."""
    wanted = os.path.realpath(path)
    best, found = "", "unknown"
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="replace") as mounts:
            for line in mounts:
                _, place, kind, *_ = line.split()
                inside = place == "/" or wanted == place or wanted.startswith(place + "/")
                if inside and len(place) >= len(best):
                    best, found = place, kind
    except OSError:  # another system than Linux
        return "unknown"
    return found


def describe(folder: str) -> Mapping[str, str]:
    """Return what matters for the figures: machine, system, and versions of all that is used."""
    return {
        "processors": str(os.cpu_count()),
        "machine": platform.machine(),
        "kernel": f"{platform.system()} {platform.release()}",
        "file system": file_system_of(folder),
        "python": platform.python_version(),
        "statestore": statestore.__version__,
        "sqlite3": sqlite3.sqlite_version,
        **{name: _version(name) for name in ("attrs", "cattrs", "orjson", "lmdb")},
    }


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "missing"
