"""A process of its own that changes a session when it is told to.

It is told by lines on its input: `change`, a number and the name of the change; `settle`. Each is
answered by a line of JSON. It ends with its input.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import orjson

from statestore import Store
from statestore.managers import SessionManager
from tests.bench.case import OURS
from tests.bench.counting import Counted
from tests.bench.data import Data, plain_converter
from tests.bench.peers import LMDB, SQLITE, LmdbPeer, Peer, SqlitePeer

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Worker:
    """A process that is held by its pipes, ready for its first change when it is made."""

    def __init__(
        self, what: str, folder: str, number: int, environment: Mapping[str, str] | None = None
    ) -> None:
        """Begin a process that has what is called `what` open in a folder, for one session."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.working", what, folder, str(number)],
            cwd=_ROOT,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.id = self.answer()["id"]

    def tell(self, line: str) -> None:
        """Tell it to do something; `answer()` returns when it has."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def answer(self) -> Mapping[str, Any]:
        """Return what it says when it has done what it was told."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a process ended with {self._process.wait()}")
        return dict(json.loads(line))

    def close(self) -> None:
        """Let it close what it has open, and end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(60)
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()


class _Changing(Protocol):
    id: str

    def change(self, name: str) -> object: ...

    def settle(self) -> None: ...

    def close(self) -> None: ...


class _InStore:
    def __init__(self, folder: str, number: int) -> None:
        self._store = Store(folder, autosave="on-change")
        self._sessions = self._store.register(SessionManager())
        self.id = self._sessions.add(Data().session(number)).id

    def change(self, name: str) -> object:
        return self._sessions.update(self.id, name=name)

    def settle(self) -> None:
        self._store.flush()

    def close(self) -> None:
        self._store.close()


class _InPeer:
    def __init__(self, peer: Peer, number: int) -> None:
        self._peer = peer
        self._document = plain_converter().unstructure(Data().session(number))
        self.id = self._document["id"]
        self.change("new")

    def change(self, name: str) -> object:
        self._document["name"] = name
        self._peer.put(self.id, orjson.dumps(self._document))
        return None

    def settle(self) -> None: ...

    def close(self) -> None:
        self._peer.close()


_OPENED: Mapping[str, Callable[[str, int], _Changing]] = {
    OURS: _InStore,
    SQLITE: lambda folder, number: _InPeer(SqlitePeer(folder), number),
    LMDB: lambda folder, number: _InPeer(LmdbPeer(folder), number),
}


def main(arguments: Sequence[str]) -> None:
    """Do what the input says."""
    what, folder, number = arguments
    counted = Counted()
    with counted.watching():
        changing = _OPENED[what](folder, int(number))
        _answer(id=changing.id)
        for line in sys.stdin:
            order, *rest = line.rstrip("\n").split(" ", 2)
            before = counted.syncs("fdatasync")
            if order == "change":
                count, name = rest
                for turn in range(int(count)):
                    changing.change(f"{name}.{turn}")
            else:
                changing.settle()
            # The clock that all processes of the system have in common.
            _answer(at=time.monotonic(), syncs=counted.syncs("fdatasync") - before)
        changing.close()


def _answer(**fields: object) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
