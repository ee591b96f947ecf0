"""Settling conflicts: what somebody else was faster to change, by the policy of the host."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from statestore.engine.refreshing import Refresher
from statestore.errors import Conflict, StateStoreError
from statestore.models.managed import RecordManager, Unmergeable
from statestore.models.reports import Failure
from statestore.models.workspaces import Workspace


class Settler:
    """Settles conflicts: a change that others were faster than is made one of what they have made.

    What only adds items is added to what is stored, whatever the policy says: "error" refuses what
    else was changed by others, "mine" takes the change for theirs, "theirs" theirs for the change,
    "merge" merges both where they do not contradict each other. "never" settles nothing at all.
    """

    def __init__(
        self,
        managers: Mapping[str, RecordManager],
        refresher: Refresher,
        turn: AbstractContextManager[Any],
    ) -> None:
        """Settle conflicts of `managers` with what `refresher`, while `turn` is held, finds."""
        self._managers, self._refresher, self._turn = managers, refresher, turn

    def settle(
        self,
        failure: Failure,
        policy: str,
        failures: list[Failure],
        workspace: Workspace[Any] | None = None,
    ) -> str | None:
        """Settle a conflict, and return how: then the record is to be tried again.

        None says that it cannot be; `failures` get the reason.

        Args:
            workspace: what a transaction has written of the kind; by default the change is one of
                the manager's own.
        """
        key, conflict = failure.key, failure.error
        manager = self._managers.get(key.kind) if key is not None else None
        if key is None or manager is None or not isinstance(conflict, Conflict):
            failures.append(failure)
            return None
        try:
            if not manager.can_settle(key.id, policy, workspace):
                failures.append(failure)
                return None
            with self._turn:
                stored = self._refresher.newest(key)
                by = self._refresher.last_of(key)
            if workspace is not None:
                return manager.settle_within(workspace, key.id, stored, policy, by=by)
            how = manager.settle(key.id, stored, policy, by=by)
            if how or manager.known(key.id) != conflict.expected:
                return how
            failures.append(failure)  # what is stored is older than what was known: no way ahead
        except Unmergeable as error:
            conflict = Conflict(
                key.kind,
                key.id,
                conflict.expected,
                conflict.found,
                in_memory=conflict.in_memory,
                fields=error.fields,
            )
            failures.append(Failure(key, failure.operation, conflict))
        except StateStoreError as error:
            failures.append(Failure(key, failure.operation, error))
        except Exception as error:  # noqa: BLE001 # the host's function may raise anything
            conflict.__cause__ = error
            conflict.add_note(f"what merges or compares it raised {type(error).__name__}")
            failures.append(failure)
        return None
