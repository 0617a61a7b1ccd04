"""What a request was found to mean, remembered under the request's own bytes, so that most calls parse nothing.

KEDA writes the metadata map in Go's random order, which for small maps is a rotation: a trigger of six keys arrives
in six spellings, again and again.
"""

import itertools
from hashlib import blake2b
from typing import Generic, TypeVar

V = TypeVar("V")


class Memo(Generic[V]):
    """A bounded dictionary from request bytes to `V`.

    It keeps digests, not requests: about 100 bytes an entry, however long the metadata is. When full, the oldest
    eighth goes.
    """

    def __init__(self, entries: int = 160_000) -> None:
        self._entries = entries
        self._known: dict[bytes, V] = {}

    def __len__(self) -> int:
        return len(self._known)

    def get(self, request: bytes) -> V | None:
        return self._known.get(blake2b(request, digest_size=16).digest())

    def put(self, request: bytes, value: V) -> None:
        if len(self._known) >= self._entries:
            for oldest in list(itertools.islice(self._known, max(1, self._entries // 8))):
                del self._known[oldest]
        self._known[blake2b(request, digest_size=16).digest()] = value
