"""`headway train recipes`."""

import inspect

import typer

from training.commands.shared import command_errors

EXIT_TEXT = "Exit status: 0 fine."


def list_recipes() -> None:
    """List what can be trained."""
    with command_errors():
        from training.recipes import RECIPES

        width = max(map(len, RECIPES))
        for name, recipe in RECIPES.items():
            typer.echo(f"{name:<{width}}  {inspect.getdoc(recipe) or ''}".partition("\n")[0])
