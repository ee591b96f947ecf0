"""Compression around any serializer: one gzip member (RFC 1952) with the inner text in it."""

from __future__ import annotations

import zlib

from statestore.errors import DecodeError, TooLarge
from statestore.models.documents import MAX_SIZE_BYTES, Json
from statestore.serializers.serializer import Serializer, Shape

MAGIC = b"\x1f\x8b"  # RFC 1952, section 2.3.1

# RFC 1952, section 2.3.1: deflate, no flags, no time, no extra flags, system 255 (unknown). zlib
# would name the system it runs on, and the same document must give the same header everywhere.
_HEADER = MAGIC + b"\x08\x00\x00\x00\x00\x00\x00\xff"
_GZIP_WINDOW = 31  # 15 bits of window, +16 for the gzip wrapper: the manual of zlib, inflateInit2


class GzipSerializer:
    """Another serializer's bytes, packed. Stateless if the inner one is.

    Equal documents give equal bytes on one version of zlib; the header, with time 0, is always
    the same.
    """

    def __init__(
        self,
        inner: Serializer,
        *,
        name: str | None = None,
        level: int = 1,
        max_size_bytes: int = MAX_SIZE_BYTES,
    ) -> None:
        """Wrap `inner`.

        Args:
            name: what the format is called; otherwise that of `inner` and "+gzip".
            level: 1 (fast) to 9 (small), as zlib has it.
            max_size_bytes: what is never exceeded, packed or unpacked.
        """
        self.inner = inner
        self.name = name or f"{inner.name}+gzip"
        self.extension = f"{inner.extension}.gz"
        self.takes_all = getattr(inner, "takes_all", False)
        self._level = level
        self._max_size_bytes = max_size_bytes

    def dumps(self, document: Json) -> bytes:
        """Return `document` as the inner serializer writes it, packed.

        Raises:
            EncodeError: some value cannot be stored (see `check_document`).
            TooLarge: it is over the limit before it is packed.
        """
        plain = self.inner.dumps(document)
        if len(plain) > self._max_size_bytes:
            raise _too_large(self.name, self._max_size_bytes)
        packed = zlib.compress(plain, self._level, _GZIP_WINDOW)
        return _HEADER + packed[len(_HEADER) :]

    def loads(self, data: bytes) -> Json:
        """Return the document that `data` holds.

        Raises:
            DecodeError: `data` is not exactly one whole gzip member, or what is in it is no
                document of the inner format.
            TooLarge: it is over the limit, packed or unpacked.
        """
        plain = unpack(data, format=self.name, max_size_bytes=self._max_size_bytes)
        return self.inner.loads(plain)

    def sniff(self, data: bytes) -> Shape:
        """Say MAGIC for anything packed; what is inside only unpacking tells."""
        return Shape.MAGIC if data.startswith(MAGIC) else Shape.NO


def unpack(data: bytes, *, format: str = "gzip", max_size_bytes: int = MAX_SIZE_BYTES) -> bytes:
    """Return what `data` packs; never makes more than one byte over the limit of it.

    Raises:
        DecodeError: `data` is not exactly one whole gzip member.
        TooLarge: it is over the limit, packed or unpacked.
    """
    if len(data) > max_size_bytes:
        raise _too_large(format, max_size_bytes)
    if not data.startswith(MAGIC):
        raise DecodeError(format, "it does not begin as gzip does" if data else "it is empty")
    unpacker = zlib.decompressobj(_GZIP_WINDOW)
    try:
        plain = unpacker.decompress(data, max_size_bytes + 1)
    except zlib.error as error:
        raise DecodeError(format, f"it is damaged ({error})") from error
    if len(plain) > max_size_bytes:
        raise _too_large(format, max_size_bytes)
    if not unpacker.eof:
        raise DecodeError(format, "it ends too early")
    if unpacker.unused_data:
        # The gzip tools accept a second member, or zeros, here; a record has neither.
        raise DecodeError(format, "there is something after its end")
    return plain


def _too_large(format: str, limit: int) -> TooLarge:
    return TooLarge(format, f"it is over the limit of {limit} bytes")
