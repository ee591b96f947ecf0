"""Hypothesis strategies for what a store may hold, with a taste for what breaks formats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from statestore.models.documents import INT_MAX, INT_MIN, Document, Json

NAUGHTY_TEXT = (
    # what YAML 1.1, YAML 1.2 or JSON could take for something else than a string
    *("", " ", "~", "null", "Null", "true", "True", "false", "yes", "No", "on", "OFF", "y", "N"),
    *("0", "-0", "1", "+1", "017", "0o17", "0x1F", "0b1", "1_000", "1.5", "1.", ".5", "1e5"),
    *("1.0e+5", ".inf", "-.INF", ".nan", "NaN", "Infinity", "1:30", "190:20:30.15", "2020-01-01"),
    *("2026-11-20T17:00:00.123456Z", "=", "<<", "18446744073709551616", "1e400"),
    # what begins, ends or interrupts something in YAML
    *(
        "-",
        "- x",
        "--- x",
        "---",
        "...",
        "? x",
        ": x",
        ":",
        "a:",
        "a: b",
        "a:b",
        "a :b",
        "#",
        "# x",
    ),
    *("a #b", "a#b", "&x", "*x", "!x", "!!int 1", "|", "|-", ">", "%TAG", "@x", "`x", "{", "{}"),
    *("}", "[", "[a, b]", "]", ",", "a, b", '"', '"x"', "'", "'x'", "it's", "\\", "\\n", "a\\"),
    *(" x", "x ", "\tx", "x\t", "a\tb", "a  b", "x:\t", "http://x/?a=b#c", "C:\\x", "key: |"),
    # lines
    *("\n", "\n\n", "a\n", "a\n\n", "a\n\n\n", "\na", "\n\na", "a\nb", "a\n\nb", "a \nb", "a\n b"),
    *(
        " a\nb",
        "  a\n b\n",
        "\ta\nb",
        "a\n\tb",
        "a\n \nb",
        "a\n  ",
        "a\n ",
        "\n a",
        "\n\ta\n",
        "# a\nb",
    ),
    *(
        "- a\n- b",
        "a: b\nc: d",
        "---\na",
        "...\n",
        "a\n---\nb",
        "a\n...\n",
        "a\rb",
        "a\r\nb",
        "\r",
        "\r\n",
    ),
    # characters
    *("\0", "\x07", "\x1b[0m", "\x7f", "\x85", "a\x85b", "\x9f", "\xa0", "\xa0x", "x\xa0", "\xad"),
    *(
        "\u2028",
        "a\u2028b",
        "a\n\u2029b",
        "\u200b",
        "\u202e",
        "\u3000",
        "x\u3000",
        "\ufeff",
        "a\ufeffb",
    ),
    *(
        "\ufffd",
        "\ufffe",
        "\uffff",
        "\ue000",
        "\ud7ff",
        "\U0001f600",
        "a\U0001f469\u200d\U0001f4bb",
    ),
    *("\U0010ffff", "é", "e\u0301", "ß", "中文", "שלום", "²", "٣", "ⅷ"),
    # lengths around the limits of keys in YAML
    *("k" * 127, "k" * 129, "k" * 998, "k" * 1001, "k" * 1025, "k " * 600 + "k", "é" * 1100),
    *("\0" * 300, "word " * 400 + "end", "line\n" * 300),
)
"""Strings that some format, reader or writer is known to get wrong."""

_TRICKY = " \n\t\r:#-?&*!|>'\"%@`{}[],\\~=<.0123456789eExyn\x00\x1b\x85\xa0\u2028\ufeffé\U0001f600"


def texts() -> SearchStrategy[str]:
    """Any string without lone surrogates."""
    whole = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
    tricky = st.text(st.sampled_from(_TRICKY), max_size=12)
    lines = st.lists(st.one_of(tricky, st.sampled_from(NAUGHTY_TEXT)), max_size=4).map("\n".join)
    return st.one_of(st.sampled_from(NAUGHTY_TEXT), whole, tricky, lines)


def scalars() -> SearchStrategy[Json]:
    """Any value that holds no others, with integers to 64 bits and finite floats."""
    return st.one_of(
        st.none(),
        st.booleans(),
        st.integers(INT_MIN, INT_MAX),
        st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from([0.0, -0.0, 1.0, 1e16, 1e22, 1e-7, 5e-324, 1.7976931348623157e308]),
        st.sampled_from([INT_MIN, INT_MAX, 2**63, 2**53 + 1, 0]),
        texts(),
    )


def documents() -> SearchStrategy[Json]:
    """Any document: a tree, or a single value."""
    return st.recursive(
        scalars(),
        lambda inner: st.one_of(
            st.lists(inner, max_size=5), st.dictionaries(texts(), inner, max_size=5)
        ),
        max_leaves=15,
    )


def mappings() -> SearchStrategy[Document]:
    """Any document whose root is a mapping with at least one key, as that of a record is."""
    return st.dictionaries(texts(), documents(), min_size=1, max_size=4)


def binaries() -> SearchStrategy[bytes]:
    """Any bytes, most often none that mean anything."""
    return st.binary(max_size=200)


def for_each(
    *, max_examples: int = 100, **strategies: SearchStrategy[Any]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run a test method once for each of many examples, without a limit of time.

    The fixtures of such a test are made once for all of its examples, so they must not keep
    anything between them.
    """
    # A contract is inherited by several classes, each of which runs the same function.
    checks = [HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]
    checks += [HealthCheck.too_slow, HealthCheck.data_too_large]

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        limits = settings(max_examples=max_examples, deadline=None, suppress_health_check=checks)
        return limits(given(**strategies)(test))

    return decorate
