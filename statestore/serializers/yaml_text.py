"""YAML in block style: the serializer `yaml`, for people who read and edit their records.

Writing is our own: the few forms below need no library, are the same on every machine, and are
chosen so that YAML 1.1 and YAML 1.2 read them alike. Reading builds the document from the events
of PyYAML's parser, which is imported when the first text is read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from statestore.errors import DecodeError, TooDeep
from statestore.models.documents import INT_MAX, INT_MIN, MAX_LEVEL, Json, check_document
from statestore.serializers.serializer import Shape
from statestore.serializers.text import check_size, decode_text

if TYPE_CHECKING:
    from yaml import Mark

_NAME = "yaml"


class YamlSerializer:
    """YAML 1.2 with the scalars of its JSON schema, and nothing that only YAML has.

    Text that is cut off at the end of a line is often whole YAML. So what is written begins with a
    comment which says that it ends with three dots; read with that comment and without the dots, it
    was cut off. Text by others, without the comment, is taken as it is.
    """

    name = _NAME
    extension = ".yaml"
    takes_all = True
    """No document that may be stored is refused."""

    def dumps(self, document: Json) -> bytes:
        """Return `document` in block style, keys in the order that they have.

        Strings of several lines are literal blocks where that is exact and shows all there is in
        them; lines are never folded. Whatever any YAML could take for something else is quoted.

        Raises:
            EncodeError: some value cannot be stored (see `check_document`).
            TooLarge: the text is over `MAX_SIZE_BYTES`.
        """
        check_document(document)
        data = f"{_HEAD}{_Writer().write(document)}{_END}\n".encode()
        check_size(data, _NAME)
        return data

    def loads(self, data: bytes) -> Json:
        """Return the document that `data` holds.

        Plain scalars are what JSON says: null (also `~` and nothing), true, false, numbers;
        everything else is a string, such as `no`, `1:30`, `017`, `2026-11-20` and `.inf`. Keys are
        always the text that is written: `1:` is the key "1", and `<<` merges nothing.

        Raises:
            DecodeError: it was cut off, is not exactly one document in UTF-8, or holds an alias,
                an anchor, a tag, a key twice in one mapping, a key that is no scalar, an integer
                beyond 64 bits, or a number that is not finite.
            TooDeep: a value has more than `MAX_LEVEL` containers around it.
            TooLarge: it is over `MAX_SIZE_BYTES`.
        """
        check_size(data, _NAME)
        text = decode_text(data, _NAME)
        if text.startswith(_HEAD.rstrip()) and not _ENDED.search(text):
            raise DecodeError(_NAME, "it was cut off: the three dots of its last line are missing")
        return _loads(text)

    def sniff(self, data: bytes) -> Shape:
        """Say LIKELY if the first line that is no comment begins a mapping in block style.

        A record is such a mapping. The single values, lists and flow style that YAML has too look
        like JSON, or like prose, and are no sign of YAML.
        """
        start = _PREAMBLE.match(data)
        if _BINARY.search(data, 0, _LOOK) or start is None:
            return Shape.NO
        return Shape.LIKELY if _FIRST_KEY.match(data, start.end()) else Shape.NO


_HEAD = "# whole with its last line, which is three dots\n"
_END = "..."  # the end of a document: YAML 1.2, section 9.1.2
_ENDED = re.compile(r"\n\.\.\.[ \t\r\n]*\Z")

_LOOK = 4096
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_PREAMBLE = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:[ \t]*(?:#[^\n]*)?\r?\n|%[^\n]*\n|---[ \t]*(?:#[^\n]*)?\r?\n)*"
)
_FIRST_KEY = re.compile(
    rb"[ ]*(?:\?[ \r\n]|(?!-[ \t\r\n]|---|[\[\]{},#&*!|>%@`])[^\n]*?:(?:[ \t\r\n]|\Z))"
)


# --- writing --------------------------------------------------------------------------

# What YAML cannot hold as it is (YAML 1.2, section 5.1), and the line breaks that only 1.1 has.
_RAW = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff"

_PLAIN = re.compile(rf"[^\W\d][^\t\n\xa0{_RAW}]*(?<![ :])")
_ESCAPED = re.compile(rf'["\\\t\n{_RAW}]')
_NO_BLOCK = re.compile(rf"[{_RAW}]|[ \t]$", re.MULTILINE)  # spaces at the end of a line do not show

_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))
_LONGEST_WORD = 5

_SHORT_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\0"}

# A key before ":" must end within 1024 characters: YAML 1.2, section 7.4.2.
_LONGEST_SIMPLE_KEY = 1000


class _Writer:
    """Writes one document."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._heads: dict[str, str] = {}

    def write(self, document: Json) -> str:
        if isinstance(document, dict | list | tuple) and document:
            self._container(document, "", "")
        else:
            self._parts.append(_scalar(document, "") + "\n")
        return "".join(self._parts)

    def _container(self, container: Any, pad: str, lead: str) -> None:
        """Write a container whose items stand at `pad`; the first after `lead` on its line."""
        # As deep as the document, which is checked: MAX_LEVEL calls at most.
        add, inner = self._parts.append, pad + "  "
        if isinstance(container, dict):
            for key, value in container.items():
                head = self._heads.get(key) or self._head(key)
                if head[0] == "?":
                    head = f"{head}\n{pad}:"
                if type(value) is str:
                    add(f"{lead}{head} {_string(value, pad)}\n")
                elif value and isinstance(value, dict | list | tuple):
                    add(f"{lead}{head}\n")
                    self._container(value, inner, inner)
                else:
                    add(f"{lead}{head} {_scalar(value, pad)}\n")
                lead = pad
        else:
            for value in container:
                if value and isinstance(value, dict | list | tuple):
                    self._container(value, inner, f"{lead}- ")
                else:
                    add(f"{lead}- {_scalar(value, pad)}\n")
                lead = pad

    def _head(self, key: str) -> str:
        text = key if _is_plain(key) else _quoted(key)
        head = f"{text}:" if len(text) <= _LONGEST_SIMPLE_KEY else f"? {text}"
        self._heads[key] = head
        return head


def _scalar(value: Json, pad: str) -> str:
    if type(value) is str:
        return _string(value, pad)
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if type(value) is float:
        text = repr(value)
        # YAML 1.1 takes a number without a dot for a string.
        return text if "." in text else text.replace("e", ".0e")
    if type(value) is int:
        return str(value)
    return "{}" if isinstance(value, dict) else "[]"


def _string(text: str, pad: str) -> str:
    if _is_plain(text):
        return text
    if "\n" in text and not _NO_BLOCK.search(text) and text.strip("\n"):
        return _block(text, pad + "  ")
    return _quoted(text)


def _is_plain(text: str) -> bool:
    return (
        _PLAIN.fullmatch(text) is not None
        and ": " not in text
        and " #" not in text
        and (len(text) > _LONGEST_WORD or text.lower() not in _WORDS)
    )


def _block(text: str, pad: str) -> str:
    # YAML 1.2, section 8.1.1: the digit says the indentation where the first line cannot show it;
    # "-" no newline at the end, nothing one, "+" all that are there.
    indent = "2" if text[0] in " \t\n" else ""
    if not text.endswith("\n"):
        chomp = "-"
    else:
        chomp = "+" if text.endswith("\n\n") else ""
        text = text[:-1]
    if "\n\n" in text or text[0] == "\n" or text[-1] == "\n":
        lines = "\n".join([pad + line if line else "" for line in text.split("\n")])
    else:
        lines = pad + text.replace("\n", "\n" + pad)
    return f"|{indent}{chomp}\n{lines}"


def _quoted(text: str) -> str:
    if _ESCAPED.search(text):
        text = _ESCAPED.sub(_escape, text)
    return f'"{text}"'


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    code = ord(character)
    return _SHORT_ESCAPES.get(character) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


# --- reading --------------------------------------------------------------------------

_CONSTANTS: dict[str, Json] = {"": None, "~": None, "null": None, "true": True, "false": False}
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")  # RFC 8259, section 6
_INTEGER_DIGITS = len(str(INT_MAX))  # a sign with the digits of the least one is as long

# YAML 1.2, section 5.1.
_FORBIDDEN = re.compile(
    r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)

_Parser: TypeAlias = Callable[[str], Any]


def _parser() -> _Parser:
    """Return the class that makes events: libyaml's where PyYAML was built with it."""
    import yaml  # slow to import, and only this format needs it

    parser: _Parser = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return parser


def _loads(text: str) -> Json:
    from yaml import YAMLError

    parser = None
    try:
        parser = _parser()(text)
        return _build(parser.get_event)
    except YAMLError as error:
        raise DecodeError(_NAME, _reason(error, text)) from error
    finally:
        if parser is not None:
            parser.dispose()


def _build(next_event: Callable[[], Any]) -> Json:
    """Build the one document that the events tell of.

    One flat loop, because a hostile depth must not reach the interpreter's own limit, and events,
    because what an alias would multiply must not be made before it is refused.
    """
    from yaml import events

    next_event()  # the beginning of the stream
    if type(next_event()) is events.StreamEndEvent:
        raise DecodeError(_NAME, "it is empty")

    scalar, mapping = events.ScalarEvent, events.MappingStartEvent
    ends = (events.MappingEndEvent, events.SequenceEndEvent)
    root: list[Json] = []
    container: Any = root
    stack: list[Any] = []  # the containers around that one
    key: str | None = None  # of the value to come, where the container is a mapping
    while True:
        event = next_event()
        kind = type(event)
        if kind in ends:
            container = stack.pop()
        else:
            _check_node(event, len(stack))
            if type(container) is dict and key is None:
                key = _key(event, container)
                continue
            value: Any = _resolve(event) if kind is scalar else {} if kind is mapping else []
            if key is not None:
                container[key] = value
                key = None
            else:
                container.append(value)
            if kind is not scalar:
                stack.append(container)
                container = value
        if not stack:
            break
    next_event()  # the end of the document
    if type(after := next_event()) is not events.StreamEndEvent:
        _refuse(after.start_mark, "begins a second document")
    return root[0]


def _check_node(event: Any, level: int) -> None:
    if event.anchor is not None:  # an alias has its name here
        _refuse(event.start_mark, "has an anchor or an alias")
    if event.tag is not None:
        _refuse(event.start_mark, "has a tag")
    if level > MAX_LEVEL:
        raise TooDeep(_NAME, f"it holds values more than {MAX_LEVEL} levels deep")


def _key(event: Any, mapping: dict[str, Json]) -> str:
    text = getattr(event, "value", None)
    if not isinstance(text, str):
        _refuse(event.start_mark, "has a key that is no scalar")
    if text in mapping:
        _refuse(event.start_mark, "has a key that is in its mapping already")
    if not text.isascii():
        _check_text(event)
    return text


def _resolve(event: Any) -> Json:
    text: str = event.value
    if not text.isascii():
        _check_text(event)
    if event.style:  # quoted, or a block
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] not in "-0123456789":
        return text
    number = _NUMBER.fullmatch(text)
    if number is None:
        return text
    if number.group(1) is None and number.group(2) is None:
        # Length first: the cost of int() grows with the square of the digits.
        if len(text) <= _INTEGER_DIGITS and INT_MIN <= (integer := int(text)) <= INT_MAX:
            return integer
        _refuse(event.start_mark, "has an integer beyond 64 bits; quote it to make it a string")
    value = float(text)
    if not math.isfinite(value):
        _refuse(event.start_mark, "has a number that is too large; quote it to make it a string")
    return value


def _check_text(event: Any) -> None:
    try:
        event.value.encode()
    except UnicodeEncodeError as error:
        reason = f"{_place(event.start_mark)} has a lone surrogate, which is no Unicode text"
        raise DecodeError(_NAME, reason) from error


def _refuse(mark: Mark, what: str) -> NoReturn:
    raise DecodeError(_NAME, f"{_place(mark)} {what}")


def _place(mark: Mark) -> str:
    return f"line {mark.line + 1} column {mark.column + 1}"


def _reason(error: Exception, text: str) -> str:
    from yaml import MarkedYAMLError

    if isinstance(error, MarkedYAMLError):
        problem = error.problem or "it is no YAML"
        return f"{_place(error.problem_mark)}: {problem}" if error.problem_mark else problem
    found = _FORBIDDEN.search(text)
    line = text.count("\n", 0, found.start()) + 1 if found else 1
    return f"line {line} has a control character, which YAML has only escaped"
