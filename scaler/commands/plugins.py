"""Commands of other installed packages, such as `headway train` of the training package."""

import contextlib
from importlib.metadata import entry_points

import typer

GROUP = "headway.commands"
"""entry points of this group are functions that take the Typer application and add commands to it"""


def add_plugin_commands(app: typer.Typer) -> None:
    """Let every installed package with entry points in GROUP add its commands (train, replay, models …).

    A package that is registered but missing (in a slim image) adds none.
    """
    for entry in entry_points(group=GROUP):
        with contextlib.suppress(ModuleNotFoundError):
            entry.load()(app)
