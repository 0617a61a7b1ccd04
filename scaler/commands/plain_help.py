"""Help as plain text, for commands with long flags."""

from typing import Any

from typer.core import TyperCommand


class PlainHelp(TyperCommand):
    """Help without a table: a flag too long for its column gets a line of its own, where a table would cut it off."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self.rich_markup_mode = None
        super().format_help(ctx, formatter)
