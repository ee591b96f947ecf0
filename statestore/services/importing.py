from __future__ import annotations

from collections.abc import Sequence

from statestore.engine.engine import Engine
from statestore.models.reports import ImportReport


def import_transcripts(engine: Engine, sources: Sequence[str]) -> ImportReport:
    raise KeyError
