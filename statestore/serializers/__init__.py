"""Serializers: document ↔ bytes, and telling formats apart by their content."""

from statestore.serializers.detection import decode, detect, validate
from statestore.serializers.registered import (
    extensions,
    get,
    known_extensions,
    names,
    register,
    split_extension,
)
from statestore.serializers.serializer import Serializer, Shape

__all__ = [
    "Serializer",
    "Shape",
    "decode",
    "detect",
    "extensions",
    "get",
    "known_extensions",
    "names",
    "register",
    "split_extension",
    "validate",
]
