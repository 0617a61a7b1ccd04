"""Work that nobody may do all at once: one piece of it in each round of the event loop, and calls in between."""

import asyncio


class Turns:
    """Lets one caller pass in each round of the event loop, in their order.

    asyncio runs all that is ready before it looks at the sockets again: of a crowd, all that have arrived would be
    served before any call that arrives meanwhile.
    """

    def __init__(self) -> None:
        self._one = asyncio.Lock()

    async def turn(self) -> None:
        """Return when it is this caller's turn."""
        async with self._one:
            await asyncio.sleep(0)
