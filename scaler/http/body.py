"""Bodies of foreign answers: bounded also after decompression, and worked on away from the event loop that serves KEDA.

httpx would decompress whatever arrives, layer by layer: 194 kB of gzip in gzip became 1.7 GB. Here one layer of gzip is
read, up to a limit.
"""

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any, TypeVar

import httpx

from scaler.errors import HeadwayError

ON_LOOP_BYTES = 4096
"""at most this much is decoded or parsed on the event loop: some twenty microseconds"""

PLAIN, GZIP = "identity", "gzip"
"""what a request may accept as the encoding of its answer"""

MOST_PIECES = 256
"""of one body, and one more for each as many bytes: a piece costs some 50 microseconds, also where it is one byte"""
_PIECES_OF_ONE_TURN = 8
"""after which other work gets its turn; pieces that have arrived are read without a pause"""

_GZIP_WINDOW = 31
"""zlib's code for a gzip header and the largest window"""

_Result = TypeVar("_Result")

_reader = ThreadPoolExecutor(1, thread_name_prefix="answers")
"""one thread: each that parses holds the interpreter for a while, and several would take turns before an answer"""


class BodyTooLarge(HeadwayError):
    """More bytes than the caller takes; or, with a text, more pieces."""


async def off_loop(size: int, work: Callable[..., _Result], *arguments: object) -> _Result:
    """What `work` returns; it runs in the reading thread where `size` bytes are too many for the event loop."""
    if size <= ON_LOOP_BYTES:
        return work(*arguments)
    return await asyncio.get_running_loop().run_in_executor(_reader, work, *arguments)


async def _next_round() -> None:
    await asyncio.sleep(0)


async def bounded(
    answer: httpx.Response, most: int, cut: bool = False, turn: Callable[[], Awaitable[None]] = _next_round
) -> bytes:
    """The body of a streamed answer, decompressed. It waits for its turn after every few pieces.

    Raises BodyTooLarge for more than `most` bytes or too many pieces, or leaves out the rest where `cut` is set;
    httpx.DecodingError for damaged or unknown compression.
    """
    if answer.is_stream_consumed:  # in memory already, and so decompressed: a transport that stands for the network
        return answer.content[:most] if cut else _whole(answer.content, most)
    body, count, is_scattered = bytearray(), 0, False
    pieces: Any = answer.aiter_raw()
    async with aclosing(pieces):
        async for piece in pieces:
            body += piece
            count += 1
            is_scattered = count > MOST_PIECES + len(body) // MOST_PIECES
            if len(body) > most or is_scattered:
                break
            if count % _PIECES_OF_ONE_TURN == 0:
                await turn()
    if (len(body) > most or is_scattered) and not cut:
        size = len(body) // count
        body.clear()  # the error's traceback would keep it
        raise BodyTooLarge(f"comes in {count} pieces of {size} byte{'s' * (size != 1)}" if is_scattered else "")
    encoding = answer.headers.get("Content-Encoding", "")[:100].strip().lower()
    if encoding in ("", PLAIN):
        return bytes(body[:most])
    if encoding != GZIP:
        raise httpx.DecodingError("the encoding was not asked for")
    # whatever its size, it may unpack to `most` bytes
    return await off_loop(most, unpacked, bytes(body), most, cut)


def _whole(content: bytes, most: int) -> bytes:
    if len(content) > most:
        raise BodyTooLarge
    return content


def unpacked(body: bytes, most: int, cut: bool = False) -> bytes:
    """The content of one gzip stream, at most `most` bytes. Raises as `bounded`."""
    unpacking = zlib.decompressobj(_GZIP_WINDOW)
    try:
        content = unpacking.decompress(body, most + 1)
    except zlib.error as error:
        raise httpx.DecodingError("no gzip") from error
    if cut:
        return content[:most]
    if len(content) <= most and not unpacking.eof:
        raise httpx.DecodingError("the gzip stream ends early")
    return _whole(content, most)
