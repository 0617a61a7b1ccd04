"""Bodies of foreign answers: the limit holds for what comes out of the decompressor."""

import asyncio
import contextlib
import gzip
import threading
import tracemalloc
from collections.abc import AsyncIterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.http.body import MOST_PIECES, ON_LOOP_BYTES, BodyTooLarge, bounded, off_loop, unpacked

MOST = 10_000


def streamed(content: bytes, encoding: str = "") -> httpx.Response:
    """As it comes from the network: in pieces, and not decompressed yet."""

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 1000):
            yield content[start : start + 1000]

    return httpx.Response(200, content=pieces(), headers={"Content-Encoding": encoding} if encoding else {})


@pytest.mark.parametrize("encoding", ["", "identity", "gzip", "GZIP"])
async def test_a_body_within_the_limit_is_read(encoding: str) -> None:
    content = b"12345" * (MOST // 5)
    sent = gzip.compress(content) if encoding.lower() == "gzip" else content
    assert await bounded(streamed(sent, encoding), MOST) == content


@pytest.mark.parametrize("encoding", ["", "gzip"])
async def test_more_is_refused_or_cut(encoding: str) -> None:
    content = b"12345" * MOST
    sent = gzip.compress(content) if encoding else content
    with pytest.raises(BodyTooLarge):
        await bounded(streamed(sent, encoding), MOST)
    assert await bounded(streamed(sent, encoding), MOST, cut=True) == content[:MOST]


async def test_a_bomb_is_never_unpacked() -> None:
    """200 MB of zeros, once and twice compressed, cost no more memory than the limit."""
    once = gzip.compress(b"\0" * 200_000_000, 9)
    tracemalloc.start()
    with pytest.raises(BodyTooLarge):
        await bounded(streamed(once, "gzip"), 300_000)
    with pytest.raises(httpx.DecodingError):
        await bounded(streamed(gzip.compress(once), "gzip, gzip"), 300_000)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "x" * 100_000])
async def test_what_was_not_asked_for_is_not_unpacked(encoding: str) -> None:
    with pytest.raises(httpx.DecodingError):
        await bounded(streamed(b"\0" * 100, encoding), MOST)


async def test_damaged_compression_is_an_error() -> None:
    whole = gzip.compress(bytes(range(256)) * 20)
    for damaged in (whole[:-9], b"no gzip", whole[:20] + b"\xff\xff" + whole[22:]):
        with pytest.raises(httpx.DecodingError):
            await bounded(streamed(damaged, "gzip"), MOST)


@given(st.binary(max_size=2000), st.booleans())
def test_any_bytes_are_content_or_one_of_two_errors(body: bytes, cut: bool) -> None:
    with contextlib.suppress(BodyTooLarge, httpx.DecodingError):
        assert len(unpacked(body, 100, cut)) <= 100


async def test_large_work_runs_in_the_reading_thread() -> None:
    """Small work does not pay for the change of threads."""
    here = threading.get_ident()
    assert await off_loop(ON_LOOP_BYTES, threading.get_ident) == here
    assert await off_loop(ON_LOOP_BYTES + 1, threading.get_ident) != here


def byte_by_byte(count: int) -> httpx.Response:
    """A body of which each byte is a chunk of its own, and all have arrived."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(count):
            yield b"1"

    return httpx.Response(200, content=pieces())


async def test_small_pieces_leave_turns_to_others() -> None:
    """Reading pieces that have arrived waits for nothing, so nothing else would run."""
    reading = asyncio.create_task(bounded(byte_by_byte(250), MOST))
    turns = 0
    while not reading.done():
        await asyncio.sleep(0)
        turns += 1
    assert await reading == b"1" * 250
    assert turns > 25


async def test_a_body_in_many_pieces_is_read_while_they_are_of_some_size() -> None:
    """Whole samples for instance, as some adaptors write them."""

    async def samples() -> AsyncIterator[bytes]:
        for _ in range(20_000):
            yield b"1" * MOST_PIECES

    answer = httpx.Response(200, content=samples())
    assert len(await bounded(answer, 20_000 * MOST_PIECES)) == 20_000 * MOST_PIECES


async def test_too_many_pieces_are_refused_or_cut() -> None:
    """Each costs time, however small it is."""
    with pytest.raises(BodyTooLarge, match="comes in 258 pieces of 1 byte"):
        await bounded(byte_by_byte(MOST), MOST)
    assert len(await bounded(byte_by_byte(MOST), MOST, cut=True)) <= MOST_PIECES + 2
