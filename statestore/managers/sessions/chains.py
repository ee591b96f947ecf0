"""The focus chain of a session: what the agent has its mind on in it, kept once, in `focus/`."""

from __future__ import annotations

from statestore.errors import DuplicateId, ManagerMissing
from statestore.managers.focus.manager import FocusChain, FocusManager
from statestore.managers.sessions.lifecycle import SessionLifecycle
from statestore.managers.sessions.records import Session
from statestore.models.keys import check_id


class SessionChains(SessionLifecycle):
    """The operations on the focus chains of sessions."""

    _own_chains: FocusManager | None = None

    def focus_chain(self, id: str | Session) -> FocusChain:
        """Return the focus chain of a session, which is made when it is first asked for.

        It is the one that the session names as its `focus_chain_id`, or else "session-" with the
        id of the session, which then names it. It is a record of the manager of focus chains, and
        changed there. Chain and session are saved together by the next save, or in a transaction.

        Raises:
            RecordNotFound: there is no such session.
            ManagerMissing: there is no manager of focus chains.
            InvalidId: the id of the session is too long to make one of a chain.
        """
        session = self[id]
        chains = self._chains()
        chain_id = check_id(_chain_id(session))
        if session.focus_chain_id is None:
            # First, as a name without a chain does no harm: it is made when it is asked for.
            session = self._modify(session, lambda current: self._naming(current, chain_id))
            chain_id = _chain_id(session)
        chain = chains.get(chain_id)
        if chain is not None:
            return chain
        try:
            return chains.create(session.name, id=chain_id, session_id=session.id)
        except DuplicateId:  # another thread has made it
            return chains[chain_id]

    def delete(
        self, id: str | Session, *, force: bool = False, with_chain: bool = False
    ) -> Session:
        """Remove a session and return what it was. See `Manager.delete`.

        Args:
            force: even if it is active.
            with_chain: and its focus chain, if there is one. With `autosave="on-change"` that is
                done first, and durable before; in a transaction both are one step.
        Raises:
            RecordNotFound: there is none.
            SessionActive: it is active.
            ManagerMissing: there is no manager of focus chains to delete its chain.
        """
        if not with_chain:
            return super().delete(id, force=force)
        session = self[id]
        if not force:
            self._want_inactive(session)
        chains = self._chains()
        if _chain_id(session) in chains:
            chains.delete(_chain_id(session))
        return super().delete(session, force=force)

    def _chains(self) -> FocusManager:
        """Return the manager of focus chains: the one that was given, or that of the store."""
        if self._own_chains is not None:
            return self._own_chains
        owner = self._owner
        found = None if owner is None else owner.record_managers.get("focus")
        if not isinstance(found, FocusManager):
            raise ManagerMissing(self.kind, FocusManager.__name__)
        return found

    def _naming(self, current: Session, chain_id: str) -> Session:
        if current.focus_chain_id is not None:
            return current
        return self._evolved(current, focus_chain_id=chain_id)


def _chain_id(session: Session) -> str:
    return session.focus_chain_id or f"session-{session.id}"
