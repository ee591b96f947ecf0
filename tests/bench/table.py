"""Shows results: a table for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from tests.bench.measuring import Outcome, Result


def shown_time(seconds: float) -> str:
    """Return a time with three digits in the unit that fits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            value = seconds / size
            digits = 0 if value >= 100 else 1 if value >= 10 else 2
            return f"{value:.{digits}f} {unit}"
    return f"{seconds / 1e-9:.0f} ns"


def table(result: Result) -> str:
    """Return the figures of a case as lines of text."""
    lines = [f"{result.name}: {result.title} ({result.rounds} rounds)"]
    width = max([len(row.name) for row in result.rows] + [24])
    lines.append(f"  {'':{width}}  {'median':>9}  {'p10':>9}  {'p90':>9}  samples")
    lines.extend(
        f"  {row.name:{width}}  {shown_time(row.median):>9}  {shown_time(row.p10):>9}"
        f"  {shown_time(row.p90):>9}  {row.samples:>7}"
        for row in result.rows
    )
    for name, metrics in result.metrics.items():
        lines.extend(f"  {name}: {what} {value:.2f}" for what, value in metrics.items())
    lines.extend(f"  {_line(outcome)}" for outcome in result.outcomes)
    lines.extend(f"  note: {note}" for note in result.notes)
    return "\n".join(lines)


def _line(outcome: Outcome) -> str:
    target = outcome.target
    sign = ">=" if target.at_least else "<="
    show = shown_time if target.against is None else _shown_ratio
    if outcome.value is None:
        value = "-"
    elif outcome.p10 is None or outcome.p90 is None:
        value = show(outcome.value)
    else:
        value = f"{show(outcome.value)} ({show(outcome.p10)} to {show(outcome.p90)})"
    what = target.row if target.against is None else f"{target.row} / {target.against}"
    limit = shown_time(target.limit) if target.against is None else f"{target.limit:.3g}"
    return f"{what:52}  {value:30}  target {sign} {limit}: {outcome.verdict}"


def _shown_ratio(value: float) -> str:
    return f"{value:.2f}"


def to_json(result: Result) -> Mapping[str, Any]:
    """Return a result as plain values; times in seconds."""
    return {
        "case": result.name,
        "title": result.title,
        "rounds": result.rounds,
        "rows": [attrs.asdict(row) for row in result.rows],
        "metrics": {name: dict(values) for name, values in result.metrics.items()},
        "targets": [
            {
                **attrs.asdict(outcome.target),
                "value": outcome.value,
                "p10": outcome.p10,
                "p90": outcome.p90,
                "verdict": outcome.verdict,
            }
            for outcome in result.outcomes
        ],
        "notes": list(result.notes),
    }
