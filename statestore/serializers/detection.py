"""Telling formats apart by content: what bytes are, never what a file is called."""

from __future__ import annotations

from collections.abc import Iterable

from statestore.errors import AmbiguousFormat, DecodeError, UnknownFormat
from statestore.models.documents import Json
from statestore.serializers.compressed import MAGIC, GzipSerializer, unpack
from statestore.serializers.json_text import JsonSerializer
from statestore.serializers.registered import DEFAULT, Serializers
from statestore.serializers.serializer import Serializer, Shape
from statestore.serializers.text import check_size


def detect(data: bytes, *, serializers: Serializers = DEFAULT) -> Serializer:
    """Return the serializer whose format `data` is in, having read it whole.

    `json` answers for compact JSON too, and `gzip` for any JSON that is packed; other formats,
    packed, are `yaml+gzip` and the like.

    Raises:
        UnknownFormat: no registered format: it is empty, or prose, or binary.
        AmbiguousFormat: several formats read it, as they do a single number or word.
        DecodeError: it looks like a format, but is damaged, cut off or not safe.
    """
    return decode(data, serializers=serializers)[0]


def validate(data: bytes, format: str, *, serializers: Serializers = DEFAULT) -> None:
    """Check that `data` is one whole document of the format called `format`.

    Raises:
        DecodeError: it is not.
        UnknownName: no serializer is called so.
    """
    serializers.get(format).loads(data)


def decode(data: bytes, *, serializers: Serializers = DEFAULT) -> tuple[Serializer, Json]:
    """Return what `detect` says, with the document: it is read only once.

    Serializers of installed packages are not looked up for JSON objects and lists.

    Raises:
        DecodeError: as `detect`.
    """
    if not data or data.isspace():
        raise UnknownFormat("it is empty")
    check_size(data, "any known format")
    if data.startswith(MAGIC):
        return _decode_packed(data, serializers)
    return _decode_plain(data, serializers)


def _decode_packed(data: bytes, serializers: Serializers) -> tuple[Serializer, Json]:
    gzip = serializers.get("gzip")
    claims = _claims(data, serializers.importable()[0])
    if claims:
        raise AmbiguousFormat([gzip.name, *(other.name for other in claims)])
    plain = unpack(data)
    if plain.startswith(MAGIC):
        raise UnknownFormat("it is packed twice")
    if not plain or plain.isspace():
        raise UnknownFormat("it is packed, and empty")
    inner, document = _decode_plain(plain, serializers)
    if isinstance(inner, JsonSerializer):
        return gzip, document
    return serializers.get(f"{inner.name}+gzip"), document


def _decode_plain(data: bytes, serializers: Serializers) -> tuple[Serializer, Json]:
    json = serializers.get("json")
    read: list[tuple[Serializer, Json]] = []
    failures: list[DecodeError] = []
    missing: tuple[str, ...] = ()
    if json.sniff(data):
        _try(json, data, read, failures)
    if read and _is_tree(read[0][1]):
        others = serializers.added()
    else:
        others, missing = serializers.importable()

    claims = _claims(data, others)
    if len(claims) > 1:
        raise AmbiguousFormat(claim.name for claim in claims)
    if claims:
        return claims[0], _loaded(claims[0], data)
    if read and not _is_tree(read[0][1]):
        # A single value is also YAML, which does not even have to be asked.
        raise AmbiguousFormat(["json", "yaml"])

    for other in _not_built_over(others):
        if other.sniff(data) is Shape.LIKELY:
            _try(other, data, read, failures)
    # What holds a single value in some format is most often prose.
    read = [(serializer, document) for serializer, document in read if _is_tree(document)]
    if len(read) > 1:
        raise AmbiguousFormat(serializer.name for serializer, _ in read)
    if read:
        return read[0]
    if len(failures) == 1 and not missing:
        raise failures[0]
    reasons = [str(failure) for failure in failures] or ["no registered format looks like it"]
    if missing:
        reasons.append(f"not asked, for they cannot be imported: {', '.join(missing)}")
    raise UnknownFormat("; ".join(reasons))


def _try(
    serializer: Serializer,
    data: bytes,
    read: list[tuple[Serializer, Json]],
    failures: list[DecodeError],
) -> None:
    try:
        read.append((serializer, _loaded(serializer, data)))
    except DecodeError as error:
        failures.append(error)


def _loaded(serializer: Serializer, data: bytes) -> Json:
    try:
        return serializer.loads(data)
    except DecodeError:
        raise
    except Exception as error:  # a serializer may be anybody's
        reason = f"its serializer raised {type(error).__name__}"
        raise DecodeError(serializer.name, reason) from error


def _is_tree(document: Json) -> bool:
    return isinstance(document, dict | list | tuple)


def _claims(data: bytes, serializers: Iterable[Serializer]) -> list[Serializer]:
    return [one for one in _not_built_over(serializers) if one.sniff(data) is Shape.MAGIC]


def _not_built_over(serializers: Iterable[Serializer]) -> list[Serializer]:
    """Leave out JSON, which is one syntax under several names, and packing, which wraps others."""
    return [one for one in serializers if not isinstance(one, JsonSerializer | GzipSerializer)]
