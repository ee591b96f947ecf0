"""File names of records: readable, safe on every system, never two ids alike.

The rules: letters, digits, `.`, `_` and `-` stay, other bytes of the id's UTF-8 become `%XX`. An id
that some system could confuse or refuse (upper-case letters, a device's name, a dot or space at an
end, over 120 bytes) is cut to 120 at most and gets `~` and 12 characters of its SHA-256 in base32.
The id inside the file is the true one; the name is only ever computed from it. What a manager
remembers beside its records is in `@manager`, which is the name of no id, and has no id inside.
"""

from __future__ import annotations

import base64
import hashlib
import re
from urllib.parse import unquote

from statestore.models.keys import SETTINGS_ID, SETTINGS_NAME
from statestore.serializers import split_extension

MAX_STEM_BYTES = 120
_HASH_CHARACTERS = 12

_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
_READABLE = re.compile(r"[a-z0-9_-][a-z0-9._-]{0,119}")
# Windows takes these for devices, with any extension. Source: Naming Files, learn.microsoft.com.
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\..*)?", re.DOTALL)
_HASHED = re.compile(r"~[a-z2-7]{12}$")


def file_stem(id: str) -> str:
    """Return the name of a record's file without its extension. The id is one of a checked key."""
    if _READABLE.fullmatch(id) and id[-1] != "." and not _DEVICE.fullmatch(id):
        return id
    if id == SETTINGS_ID:
        return SETTINGS_NAME
    raw = id.encode()
    stem = "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in raw)
    if (
        id == id.lower()
        and not _DEVICE.fullmatch(id)
        and id[0] not in ". "
        and id[-1] not in ". "
        and len(stem) <= MAX_STEM_BYTES
    ):
        return stem
    digest = base64.b32encode(hashlib.sha256(raw).digest())[:_HASH_CHARACTERS].decode().lower()
    return f"{_cut(stem)}~{digest}"


def stem_of(name: str) -> str | None:
    """Return a file's name without its extension, or None if it is no record's name."""
    if "@" in name and not name.startswith(SETTINGS_NAME):
        return None  # temporary files and the like: no id has this sign in its name
    stem, extension = split_extension(name)
    return stem if extension and ("@" not in stem or stem == SETTINGS_NAME) else None


def guess_id(stem: str) -> str:
    """Return the id that a file's stem suggests: a word for messages where nothing better is."""
    if stem == SETTINGS_NAME:
        return SETTINGS_ID
    # A name put there by others may hold bytes that are no UTF-8, and a message must be printable.
    clean = stem.encode(errors="replace").decode()
    return unquote(_HASHED.sub("", clean), errors="replace")


def _cut(stem: str) -> str:
    if len(stem) <= MAX_STEM_BYTES:
        return stem
    cut = stem[:MAX_STEM_BYTES]
    for length in (1, 2):  # never through the middle of an escape
        if cut[-length] == "%":
            return cut[:-length]
    return cut
