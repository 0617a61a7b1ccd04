"""What requests mean, remembered by their bytes, so that most calls parse nothing.

KEDA writes the metadata map in Go's random order, which for small maps is a rotation: a trigger of six keys arrives
in six spellings, again and again.
"""

import itertools
from typing import Generic, TypeVar

V = TypeVar("V")


class Memo(Generic[V]):
    """A bounded dictionary from request bytes to `V`.

    It keeps hashes, not requests: under 100 bytes an entry, however long the metadata is. They are Python's own 64-bit
    ones (SipHash under a random key, PEP 456): among all entries two agree by chance once in a billion processes, and
    no client can craft a request that agrees with another's. When full, the oldest eighth is dropped.
    """

    def __init__(self, entries: int = 160_000) -> None:
        self._entries = entries
        self._known: dict[int, V] = {}

    def __len__(self) -> int:
        return len(self._known)

    def get(self, request: bytes) -> V | None:
        return self._known.get(hash(request))

    def put(self, request: bytes, value: V) -> None:
        if len(self._known) >= self._entries:
            for oldest in list(itertools.islice(self._known, max(1, self._entries // 8))):
                del self._known[oldest]
        self._known[hash(request)] = value
