"""A row of `watched` as the database holds it → a record, or why it cannot be one. Pure.

Neither SQLite nor JSON checks types, and people and other programs write into databases: every value is looked at.
"""

import json
from math import isfinite
from typing import Any

from scaler.store import WatchedRecord

LONGEST_TEXT_BYTES = 1024
"""of a key or a name; names of Kubernetes have at most 253 characters"""
LONGEST_METADATA_BYTES = 256 * 1024
"""of metadata as JSON, where a character may take 12 bytes"""


class Unusable(ValueError):
    """Why a row is not what its table holds."""


def record_of(key: Any, namespace: Any, name: Any, metadata: Any, last_called: Any, history_key: Any) -> WatchedRecord:
    """The record in a row. `metadata` is text; a text that was too long to be read is None. Raises Unusable."""
    texts = {"key": key, "namespace": namespace, "name": name, "history_key": history_key}
    for column, text in texts.items():
        if text is None:
            raise Unusable(f"{column} is longer than {LONGEST_TEXT_BYTES} bytes, or missing")
        if not isinstance(text, str) or not _is_unicode(text):
            raise Unusable(f"{column} is no text")
    place = f"{namespace}/{name}/"
    if not key.startswith(place) or not (history_key.startswith(place) or not history_key):
        raise Unusable("the key belongs to another namespace or name")
    if not isinstance(last_called, float) or not isfinite(last_called):
        raise Unusable("last_called is no moment")
    return WatchedRecord(key, namespace, name, _metadata(metadata), last_called, history_key)


def _metadata(text: Any) -> dict[str, str]:
    if text is None:
        raise Unusable(f"metadata is longer than {LONGEST_METADATA_BYTES} bytes, or missing")
    try:
        found = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        raise Unusable("metadata is no JSON") from None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise Unusable("metadata is no JSON object of texts")
    if not _is_unicode("".join((*found, *found.values()))):
        raise Unusable("metadata holds half a character")
    return found


def _is_unicode(text: str) -> bool:
    """Whether it can be sent and hashed: JSON can spell halves of surrogate pairs."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
