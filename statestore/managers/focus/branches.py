"""Focuses below focuses: the trees of a chain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from statestore.errors import CircularReference, FocusNotFound
from statestore.managers.focus import tree as focus_tree
from statestore.managers.focus.base import FocusBase
from statestore.managers.focus.records import Focus, FocusChain


class FocusBranches(FocusBase):
    """The operations on the trees of a chain. Ids are unique among all focuses of a chain."""

    def add_child(
        self,
        chain: str | FocusChain,
        parent: str | Focus,
        *,
        type: str = "custom",
        target: str = "",
        context: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> Focus:
        """Add a focus below another, behind the children that it has, and return the new one.

        The current focus stays the same. The children do not count for `max_size`.

        Args:
            parent: a focus of the chain, or one below these.
            fields: as for `push`.
        Raises:
            RecordNotFound: there is no such chain.
            FocusNotFound: the parent is not in it.
            InvalidRecord: as for `push`; or the tree would have more than `MAX_DEPTH` levels.
        """
        fields.update(type=type, target=target, context=context)
        focus = self._made_focus(self._id(chain), fields)
        return self._altered(chain, lambda one: (self._with_child(one, parent, focus), focus))

    def attach_child(
        self, chain: str | FocusChain, parent: str | Focus, focus: str | Focus
    ) -> FocusChain:
        """Put a focus below another, with all below it, and return the chain.

        A focus that is in the chain, named by its id or given as it was, is moved as it is now; a
        value with another id is added.

        Raises:
            RecordNotFound: there is no such chain.
            FocusNotFound: the parent is not in it, or the focus is named and is not.
            CircularReference: the parent is the focus itself, or below it.
            InvalidRecord: an id below a new focus is in the chain already, or the tree would have
                more than `MAX_DEPTH` levels.
        """

        def attached(current: FocusChain) -> FocusChain:
            id = self._focus_id(current.id, focus)
            path = focus_tree.path_to(current.focuses, id)
            if not path:
                if not isinstance(focus, Focus):
                    raise FocusNotFound(self.kind, current.id, id)
                self._want_new(current, [focus])
                return self._with_child(current, parent, focus, sure=True)
            below = self._path(current, parent)
            if path[-1] in below:
                raise CircularReference(
                    self.kind, current.id, "children", [one.id for one in (*below, path[-1])]
                )
            without = self._rebuilt(current, path, None, updated_at=current.updated_at)
            return self._with_child(without, parent, path[-1], sure=True)

        return self._modify(chain, attached)

    def remove_child(
        self, chain: str | FocusChain, parent: str | Focus, child: str | Focus
    ) -> Focus:
        """Take a focus that is below another out of the chain, with all below it, and return it.

        Raises:
            RecordNotFound: there is no such chain.
            FocusNotFound: the parent is not in it, or the child is not below that.
        """

        def removed(current: FocusChain) -> tuple[FocusChain, Focus]:
            above = self._path(current, parent)
            id = self._focus_id(current.id, child)
            way = focus_tree.path_to(above[-1].children, id)
            if not way:
                raise FocusNotFound(self.kind, current.id, id)
            return self._rebuilt(current, (*above, *way), None), way[-1]

        return self._altered(chain, removed)

    # --- looking ----------------------------------------------------------------------

    def find_child(
        self, chain: str | FocusChain, parent: str | Focus, focus_id: str
    ) -> Focus | None:
        """Return the focus of an id that is below another, however far; None if it is not there.

        Raises:
            RecordNotFound: there is no such chain.
            FocusNotFound: the parent is not in it.
        """
        return focus_tree.find(self._path(self[chain], parent)[-1].children, focus_id)

    def path(self, chain: str | FocusChain, focus: str | Focus) -> tuple[Focus, ...]:
        """Return the way to a focus: the one in the chain first, itself last.

        Raises:
            RecordNotFound: there is no such chain.
            FocusNotFound: the focus is not in it.
        """
        return self._path(self[chain], focus)

    def root(self, chain: str | FocusChain, focus: str | Focus) -> Focus:
        """Return the focus of the chain that a focus is below, or is. See `path`."""
        return self.path(chain, focus)[0]

    def parent_of(self, chain: str | FocusChain, focus: str | Focus) -> Focus | None:
        """Return the focus right above another; None for one that is below none. See `path`."""
        return (None, *self.path(chain, focus))[-2]

    def depth(self, chain: str | FocusChain, focus: str | Focus) -> int:
        """Return how many focuses are above a focus: 0 for the chain's own. See `path`."""
        return len(self.path(chain, focus)) - 1

    def count_descendants(self, chain: str | FocusChain, focus: str | Focus) -> int:
        """Return how many focuses are below a focus, on all levels. See `path`."""
        return focus_tree.count(self.path(chain, focus)[-1].children)

    def walk(self, chain: str | FocusChain) -> Iterator[Focus]:
        """Iterate over all focuses of a chain as it is now, each before those below it.

        Raises:
            RecordNotFound: there is no such chain.
        """
        return focus_tree.walk(self[chain].focuses)

    # --- inside -----------------------------------------------------------------------

    def _with_child(
        self, current: FocusChain, parent: str | Focus, focus: Focus, *, sure: bool = False
    ) -> FocusChain:
        path = self._path(current, parent)
        if not sure:
            self._want_new(current, [focus])
        self._want_room(current.id, path, focus)
        above = self._changed_focus(current.id, path[-1], {"children": (*path[-1].children, focus)})
        return self._rebuilt(current, path, above)
