"""JSON text: the serializers `json`, for people, and `compact`, for machines."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import orjson

from statestore.errors import DecodeError, EncodeError, TooDeep
from statestore.models.documents import INT_MAX, MAX_LEVEL, Json, check_document, dumps_checked
from statestore.serializers.serializer import Shape
from statestore.serializers.text import BOM, check_size, decode_text

_INDENTED = orjson.OPT_INDENT_2
_NEWLINE = orjson.OPT_APPEND_NEWLINE

# In what orjson indents, a value with L containers around it stands on a line of its own that
# begins with 2·L spaces, and no string holds a raw line break.
_TOO_DEEP_LINE = b"\n" + b"  " * (MAX_LEVEL + 1)

_BEGINNING = re.compile(
    rb"(?:\xef\xbb\xbf)?[ \t\r\n]*"  # white space: RFC 8259, section 2
    rb'(?:[{\["]|(?:-?[0-9][-+.0-9eE]*|null|true|false)[ \t\r\n]*\Z)'
)

_INTEGER_DIGITS = len(str(INT_MAX))  # a sign with the digits of the least one is as long
_CLOSING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|\}', re.DOTALL)


class JsonSerializer:
    """JSON as RFC 8259 has it: UTF-8, names once per object, numbers that come back exactly.

    `json` has one value per line, two spaces per level and a newline at the end; `compact` has no
    space at all. They are one syntax: each reads what the other wrote.
    """

    extension = ".json"
    takes_all = True
    """No document that may be stored is refused."""

    def __init__(self, *, indent: bool) -> None:
        """Make the serializer `json`, or without `indent` `compact`."""
        self.name = "json" if indent else "compact"
        self._option = _INDENTED | _NEWLINE if indent else 0

    def dumps(self, document: Json) -> bytes:
        """Return `document` as JSON text, keys in the order that they have.

        Raises:
            EncodeError: some value cannot be stored (see `check_document`).
            TooLarge: the text is over `MAX_SIZE_BYTES`.
        """
        data = dumps_checked(document, option=self._option)
        check_size(data, self.name)
        return data

    def loads(self, data: bytes) -> Json:
        """Return the document that `data` holds.

        A byte order mark is left out; no other encoding than UTF-8 is read. An integer stays an
        integer, and a number with a fraction or an exponent is a float.

        Raises:
            DecodeError: it is no whole JSON text, or holds a name twice in one object, a number
                that is not finite, an integer beyond 64 bits, or a lone surrogate.
            TooDeep: a value has more than `MAX_LEVEL` containers around it.
            TooLarge: it is over `MAX_SIZE_BYTES`.
        """
        check_size(data, self.name)
        plain = data.removeprefix(BOM)
        try:
            document: Json = orjson.loads(plain)
            if _is_canonical(document, plain):
                return document
        except (orjson.JSONDecodeError, orjson.JSONEncodeError):
            pass  # the strict way says what is wrong, and where
        return _loads_strictly(data, self.name)

    def sniff(self, data: bytes) -> Shape:
        """Say LIKELY if it begins as an object, a list or a string, or is a number or a word."""
        return Shape.LIKELY if _BEGINNING.match(data) else Shape.NO


def _is_canonical(document: Json, data: bytes) -> bool:
    """Whether `data` is what orjson makes of `document`, and not too deep.

    If it is, then orjson has lost nothing while reading: it neither dropped a name that was there
    twice nor turned a long integer into a float.
    """
    newline = _NEWLINE if data.endswith(b"\n") else 0
    indented = orjson.dumps(document, option=_INDENTED | newline)
    if indented != data and orjson.dumps(document, option=newline) != data:
        return False
    return _TOO_DEEP_LINE not in indented


def _loads_strictly(data: bytes, format: str) -> Json:
    text = decode_text(data, format)
    if not text.strip("\0"):
        raise DecodeError(format, "it holds nothing but zero bytes")
    objects = _Objects()
    decoder = json.JSONDecoder(object_pairs_hook=objects.make, parse_int=_integer)
    try:
        document: Json = decoder.decode(text)
    except json.JSONDecodeError as error:
        what = error.msg.rstrip(": ").lower()
        raise DecodeError(format, f"{what}: line {error.lineno} column {error.colno}") from error
    except _Repeated as error:
        where = _end_of_object(text, objects.count)
        raise DecodeError(format, f"the object that ends at {where} has a name twice") from error
    except RecursionError as error:
        raise _too_deep(format) from error
    if _is_too_deep(document):
        raise _too_deep(format)
    try:
        check_document(document)
    except EncodeError as error:
        raise DecodeError(format, f"value at {error.where}: {error.reason}") from error
    return document


class _Repeated(ValueError):
    """An object has a name twice."""


class _Objects:
    """Makes objects from pairs, and counts them in the order in which they end."""

    def __init__(self) -> None:
        self.count = 0

    def make(self, pairs: Sequence[tuple[str, Json]]) -> dict[str, Json]:
        self.count += 1
        made = dict(pairs)
        if len(made) != len(pairs):
            raise _Repeated
        return made


def _end_of_object(text: str, count: int) -> str:
    for match in _CLOSING.finditer(text):
        if match.group() == "}":
            count -= 1
            if not count:
                line = text.count("\n", 0, match.start()) + 1
                return f"line {line} column {match.start() - text.rfind(chr(10), 0, match.start())}"
    raise AssertionError("the parser ended more objects than there are")


def _integer(text: str) -> int:
    # The cost of int() grows with the square of the digits; what is too long is refused anyway.
    return int(text) if len(text) <= _INTEGER_DIGITS else INT_MAX + 1


def _is_too_deep(document: Json) -> bool:
    values: Sequence[Json] = (document,)
    for _ in range(MAX_LEVEL + 1):
        if not values:
            return False
        inner: list[Json] = []
        for value in values:
            if isinstance(value, dict):
                inner += value.values()
            elif isinstance(value, list):
                inner += value
        values = inner
    return bool(values)


def _too_deep(format: str) -> TooDeep:
    return TooDeep(format, f"it holds values more than {MAX_LEVEL} levels deep")
