"""Quarantine, read back: what was moved out of the way, and why."""

from __future__ import annotations

from datetime import datetime

import orjson

from statestore.drivers.layout import QUARANTINE
from statestore.errors import StateStoreError
from statestore.files.folders import Folder
from statestore.models.reports import QuarantinedFile
from statestore.models.times import format_time, parse_time

WHY_SUFFIX = ".why.json"
"""Ends the name of the file that says why another is in quarantine."""

_WHY_LIMIT_BYTES = 1 << 20


def why_bytes(origin: str, at: datetime, why: str) -> bytes:
    """Return the content of the file beside one in quarantine."""
    reason = {"from": origin, "at": format_time(at), "why": why}
    return orjson.dumps(reason, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def quarantined_in(folder: Folder) -> list[QuarantinedFile]:
    """Return what lies in a folder of quarantine, with the reasons beside it."""
    found = []
    for kind in folder.names():
        try:
            child = folder.child(kind)
        except StateStoreError:
            continue  # no folder: no store has put it there
        if child is None:
            continue
        with child:
            found += [
                _described(child, kind, name)
                for name in child.names()
                if not name.endswith(WHY_SUFFIX)
            ]
    return found


def _described(folder: Folder, kind: str, name: str) -> QuarantinedFile:
    path = f"{QUARANTINE}/{kind}/{name}"
    try:
        content = folder.read(name + WHY_SUFFIX, _WHY_LIMIT_BYTES)
        reason = orjson.loads(content.data) if content else {}
        at = parse_time(reason["at"]) if "at" in reason else None
        return QuarantinedFile(path, str(reason.get("from", "")), str(reason.get("why", "")), at)
    except (StateStoreError, ValueError, TypeError, AttributeError):
        return QuarantinedFile(path, "", "", None)
