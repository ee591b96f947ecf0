"""Watching: a store refreshed in the background as others commit."""

from __future__ import annotations

import contextlib
import threading

from statestore import forks
from statestore.engine.engine import Engine
from statestore.errors import CallbackFailed, StoreClosed
from statestore.models.reports import Failure


class Watch:
    """Refreshes an engine at intervals, on a thread of its own which keeps no process alive."""

    def __init__(self, engine: Engine, interval_s: float) -> None:
        """Begin at once."""
        self._engine, self._interval_s = engine, interval_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="statestore-watch", daemon=True)
        self._thread.start()
        forks.note(self)

    def stop(self) -> None:
        """End it, after the refresh that is going on. Twice is harmless."""
        self._ended.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def after_fork(self) -> None:
        """Have ended, in a child: the thread is the parent's."""
        self._ended = threading.Event()
        self._ended.set()

    def _run(self) -> None:
        trouble: tuple[type[Exception], str] | None = None
        while not self._ended.wait(self._interval_s):
            try:
                self._engine.refresh()
                trouble = None
            except StoreClosed:
                return
            except CallbackFailed as error:
                self._tell(error)
            except Exception as error:  # noqa: BLE001 # a class of the host may raise anything
                # Each look would meet it again until somebody has seen to it.
                if (type(error), str(error)) != trouble:
                    trouble = type(error), str(error)
                    self._tell(error)
            except BaseException as error:  # noqa: BLE001 # exit() in a callback, say: it ends no watch
                raised = RuntimeError(f"{type(error).__name__} was raised in the background")
                raised.__cause__ = error
                self._tell(CallbackFailed("host's", [raised]))

    def _tell(self, error: Exception) -> None:
        with contextlib.suppress(
            BaseException
        ):  # who is told of troubles cannot be told of his own
            self._engine.callbacks.tell([Failure(None, "refresh", error)])
