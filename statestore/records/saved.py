"""What is known to be stored of a record, which its next change is made from."""

from __future__ import annotations

import attrs

from statestore.models.documents import FrozenDict
from statestore.models.keys import Revision


@attrs.frozen
class Saved:
    """What is known to be stored of a record.

    `token` is the record itself where it cannot change, else a digest of its document. `is_exact`
    says that the stored document is what is written of it now, with unknown fields if
    `has_unknown`: then a patch is enough.
    """

    token: object
    revision: Revision
    is_exact: bool = False
    has_unknown: bool = False


@attrs.frozen
class Based:
    """What others have stored of a record, and what a transaction is to be saved over."""

    saved: Saved | None
    unknown: FrozenDict | None
