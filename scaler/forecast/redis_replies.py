"""Replies of a Redis server, read up to a size: whatever answers there must not fill the memory of this process."""

from typing import Any

from redis._parsers import _AsyncRESP2Parser
from redis.exceptions import InvalidResponse

from scaler.forecast.record import MOST_RECORD_BYTES

MOST_REPLY_BYTES = 64 * MOST_RECORD_BYTES
"""of one reply; the largest that is asked for has 50 records"""
ELEMENT_BYTES = 64
"""what an element of a reply takes at least"""


class BoundedParser(_AsyncRESP2Parser):
    """redis-py's parser of RESP2. Raises InvalidResponse for a reply of more than MOST_REPLY_BYTES."""

    __slots__ = ("_left",)

    async def read_response(self, disable_decoding: bool = False) -> Any:
        self._left = MOST_REPLY_BYTES
        return await super().read_response(disable_decoding=disable_decoding)

    async def _read(self, length: int) -> bytes:
        self._spend(length)
        return await super()._read(length)

    async def _readline(self) -> bytes:
        line = await super()._readline()
        self._spend(len(line) + ELEMENT_BYTES)
        return line

    def _spend(self, size: int) -> None:
        self._left -= abs(size)
        if self._left < 0:
            raise InvalidResponse(f"a reply has more than {MOST_REPLY_BYTES // 2**20} MiB")
