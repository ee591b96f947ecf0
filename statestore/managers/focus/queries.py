"""Focuses and chains looked up."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from statestore.errors import InvalidRecord
from statestore.managers.focus import tree as focus_tree
from statestore.managers.focus.base import FocusBase
from statestore.managers.focus.records import Focus, FocusChain, active_of
from statestore.managers.focus.statistics import FocusStatistics, statistics_of


class FocusQueries(FocusBase):
    """The queries. They change nothing, and show what has expired, too, until it is cleaned."""

    # --- focuses ----------------------------------------------------------------------

    def get_focus(self, chain: str | FocusChain, focus: str | Focus) -> Focus:
        """Return a focus of a chain as it is now, wherever it stands.

        Raises:
            RecordNotFound: there is no such chain.
            FocusNotFound: it is not in the chain.
        """
        return self._path(self[chain], focus)[-1]

    def recent(self, chain: str | FocusChain, most: int = 10) -> tuple[Focus, ...]:
        """Return the newest focuses of a chain itself, the newest first.

        Raises:
            RecordNotFound: there is no such chain.
            InvalidRecord: `most` is no integer from 0 on.
        """
        focuses = self[chain].focuses
        self._want_number(most)
        return focuses[max(0, len(focuses) - most) :][::-1]

    def by_type(self, chain: str | FocusChain, type: str) -> tuple[Focus, ...]:
        """Return the focuses of a type, those below others too: each before those below it.

        Raises:
            RecordNotFound: there is no such chain.
        """
        return self._where(chain, lambda one: one.type == type)

    def by_tag(self, chain: str | FocusChain, tag: str) -> tuple[Focus, ...]:
        """Return the focuses with a tag, written in just this way. See `by_type`."""
        return self._where(chain, lambda one: tag in one.tags)

    def by_priority(self, chain: str | FocusChain, minimum: int | str) -> tuple[Focus, ...]:
        """Return the focuses of a priority or a higher one, in their order. See `by_type`.

        Args:
            minimum: 1 to 20, or a word: low, normal, high, critical.
        Raises:
            InvalidRecord: it is none of these.
        """
        id = self._id(chain)
        least = self._checked_field(id, "priority", minimum)
        return self._where(chain, lambda one: one.priority >= least)

    # --- chains -----------------------------------------------------------------------

    def find(self, text: str) -> tuple[FocusChain, ...]:
        """Return the chains with a text in their name, in whatever case, the newest first.

        That is by `updated_at`. An empty text is in all of them.

        Raises:
            InvalidRecord: it is no text.
        """
        if not isinstance(text, str):
            raise InvalidRecord(self.kind, None, "text takes a text", field="text")
        wanted = text.casefold()
        return _newest(one for one in self.all() if wanted in one.name.casefold())

    def recent_chains(self, most: int = 10) -> tuple[FocusChain, ...]:
        """Return the chains that were changed last, the newest first.

        Raises:
            InvalidRecord: `most` is no integer from 0 on.
        """
        self._want_number(most)
        return _newest(self.all())[:most]

    def by_session(self, session_id: str) -> tuple[FocusChain, ...]:
        """Return the chains of a session, in the order in which they were made."""
        found = (one for one in self.all() if one.session_id == session_id)
        return tuple(sorted(found, key=lambda one: (one.created_at, one.id)))

    def statistics(self) -> FocusStatistics:
        """Return the figures of all chains, as they are now."""
        chains = self.all()
        return statistics_of(chains, has_active=active_of(chains) is not None)

    # --- inside -----------------------------------------------------------------------

    def _want_number(self, most: object) -> None:
        if type(most) is not int or most < 0:
            reason = "most takes an integer from 0 on"
            raise InvalidRecord(self.kind, None, reason, field="most")

    def _where(self, chain: str | FocusChain, test: Callable[[Focus], bool]) -> tuple[Focus, ...]:
        return tuple(one for one in focus_tree.walk(self[chain].focuses) if test(one))


def _newest(chains: Iterable[FocusChain]) -> tuple[FocusChain, ...]:
    return tuple(sorted(chains, key=lambda one: (one.updated_at, one.id), reverse=True))
