"""What a user asks the running service, with Headway's own commands."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

NAMESPACE, WORKLOAD = "shop", "checkout"


@dataclass(frozen=True, slots=True)
class Asking:
    """Commands and their output go to `say`. address: of the HTTP port. data_dir, bundles: as in the settings."""

    address: str
    data_dir: str
    bundles: str
    say: Callable[[str], None]

    async def why(self) -> None:
        """Why the workload is answered what it is."""
        await self._show(["why", NAMESPACE, WORKLOAD, "--address", self.address])

    async def everything(self) -> None:
        """Which model serves, what was decided, why the answer is what it is, and what it was worth."""
        index = ["--data-dir", self.data_dir, "--bundle", self.bundles]
        await self._show(["models", "list", *index])
        await self._show(["models", "log", *index])
        await self.why()
        await self._show(["savings", NAMESPACE, WORKLOAD, "--days", "1", "--address", self.address])

    async def _show(self, arguments: Sequence[str]) -> None:
        output = await _output(arguments)
        self.say(f"\n$ headway {' '.join(arguments)}\n{output.rstrip()}\n")


async def _output(arguments: Sequence[str]) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scaler.cli", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return output.decode()
