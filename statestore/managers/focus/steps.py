"""The current focus of a chain, and steps from it to others."""

from __future__ import annotations

from statestore.errors import FocusNotFound
from statestore.managers.focus.base import FocusBase
from statestore.managers.focus.order import current_of, neighbour
from statestore.managers.focus.records import Focus, FocusChain, active_of, index_of


class FocusSteps(FocusBase):
    """The operations on the pointer of a chain. Only its own focuses count, none below them.

    A focus that has expired is stepped over, and is not the current one: in its stead the nearest
    before it is, or else the nearest behind it, as if it were gone. `expired=True` takes all.
    """

    def current(self, chain: str | FocusChain, *, expired: bool = False) -> Focus | None:
        """Return the current focus of a chain; None if there is none.

        Raises:
            RecordNotFound: there is no such chain.
        """
        found = self[chain]
        return found.current if expired else current_of(found, self._clock())

    @property
    def current_focus(self) -> Focus | None:
        """The current focus of the active chain; None if there is none, or no chain is active."""
        active = active_of(self.all())
        return None if active is None else current_of(active, self._clock())

    def set_current(self, chain: str | FocusChain, focus: str | Focus | None) -> Focus | None:
        """Make a focus of a chain the current one, and return it. None: there is none.

        One that has expired can be named, and is `chain.current`; see above for who counts.

        Raises:
            RecordNotFound: there is no such chain.
            FocusNotFound: it is not one of the chain's own focuses.
        """

        def pointed(current: FocusChain) -> tuple[FocusChain, Focus | None]:
            if focus is None:
                return self._pointing(current, None)
            id = self._focus_id(current.id, focus)
            at = index_of(current.focuses, id)
            if at is None:
                raise FocusNotFound(self.kind, current.id, id)
            return self._pointing(current, current.focuses[at])

        return self._altered(chain, pointed)

    def next(self, chain: str | FocusChain, *, expired: bool = False) -> Focus | None:
        """Go on to the focus behind the current one, which was added after it, and return it.

        At the end it returns None, and the current one stays. Without a current one it goes to the
        first.

        Raises:
            RecordNotFound: there is no such chain.
        """
        return self._step(chain, 1, expired=expired)

    def previous(self, chain: str | FocusChain, *, expired: bool = False) -> Focus | None:
        """Go back to the focus before the current one, and return it.

        At the beginning it returns None, and the current one stays. Without a current one it goes
        to the last.

        Raises:
            RecordNotFound: there is no such chain.
        """
        return self._step(chain, -1, expired=expired)

    def first(self, chain: str | FocusChain, *, expired: bool = False) -> Focus | None:
        """Make the oldest focus the current one, and return it; None if there is none.

        Only to look at it, take `chain.focuses[0]`.

        Raises:
            RecordNotFound: there is no such chain.
        """
        return self._end(chain, 0, expired=expired)

    def last(self, chain: str | FocusChain, *, expired: bool = False) -> Focus | None:
        """Make the newest focus the current one, and return it; None if there is none.

        Raises:
            RecordNotFound: there is no such chain.
        """
        return self._end(chain, -1, expired=expired)

    # --- inside -----------------------------------------------------------------------

    def _step(self, chain: str | FocusChain, step: int, *, expired: bool) -> Focus | None:
        def stepped(current: FocusChain) -> tuple[FocusChain, Focus | None]:
            now = self._clock()
            focus = neighbour(
                current, step, now=now, counts=lambda one: expired or not one.is_expired(now)
            )
            return (current, None) if focus is None else self._pointing(current, focus)

        return self._altered(chain, stepped)

    def _end(self, chain: str | FocusChain, at: int, *, expired: bool) -> Focus | None:
        def ended(current: FocusChain) -> tuple[FocusChain, Focus | None]:
            now = self._clock()
            some = [one for one in current.focuses if expired or not one.is_expired(now)]
            return self._pointing(current, some[at]) if some else (current, None)

        return self._altered(chain, ended)

    def _pointing(
        self, current: FocusChain, focus: Focus | None
    ) -> tuple[FocusChain, Focus | None]:
        id = None if focus is None else focus.id
        if id == current.current_id:
            return current, focus
        return self._evolved(current, current_id=id), focus
