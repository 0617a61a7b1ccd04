"""Work in pieces: between two of them, a call that has arrived gets its answer."""

import asyncio

from scaler.turns import in_pieces

ROUNDS = 5
"""of the event loop, from the arrival of a call of gRPC to its answer"""


async def test_a_waiting_call_is_answered_between_two_pieces() -> None:
    answered_after: list[int] = []
    pieces: list[int] = []

    async def call() -> None:
        for _ in range(ROUNDS - 1):
            await asyncio.sleep(0)
        answered_after.append(len(pieces))

    async for piece in in_pieces(list(range(25)), 10):
        pieces += piece
        calling = asyncio.create_task(call())
    await calling
    assert pieces == list(range(25))
    assert answered_after == [10, 20, 25]


async def test_a_single_piece_waits_for_nobody() -> None:
    others: list[str] = []
    asyncio.get_running_loop().call_soon(others.append, "ran")
    async for _ in in_pieces([1, 2, 3], 10):
        pass
    assert others == []
