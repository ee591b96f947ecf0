"""Bytes that must be text: strict UTF-8, a byte order mark left out."""

from __future__ import annotations

from statestore.errors import DecodeError, TooLarge
from statestore.models.documents import MAX_SIZE_BYTES

BOM = b"\xef\xbb\xbf"  # RFC 3629, section 6

_OTHER_ENCODINGS = (
    # RFC 2781, section 3.2; the four-byte mark begins with the two-byte one, so it comes first.
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)


def check_size(data: bytes, format: str) -> None:
    """Check that `data` is within the limit.

    Raises:
        TooLarge: it is over `MAX_SIZE_BYTES`.
    """
    if len(data) > MAX_SIZE_BYTES:
        raise TooLarge(format, f"it is over the limit of {MAX_SIZE_BYTES} bytes")


def decode_text(data: bytes, format: str) -> str:
    """Return `data` as text without its byte order mark, line ends as they are.

    Raises:
        DecodeError: it is empty, or not UTF-8; the reason says where, and never quotes the bytes.
    """
    data = data.removeprefix(BOM)
    if not data:
        raise DecodeError(format, "it is empty")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        for mark, name in _OTHER_ENCODINGS:
            if data.startswith(mark):
                raise DecodeError(format, f"it is {name} text; only UTF-8 is read") from error
        line = data.count(b"\n", 0, error.start) + 1
        raise DecodeError(format, f"line {line} is not UTF-8 text") from error
