"""Commands of the offline package: shown where it is installed, absent elsewhere."""

import contextlib
from importlib.metadata import entry_points

import typer

GROUP = "headway.commands"
"""entry points of this group are functions that take the Typer application and add commands to it"""


def add_offline_commands(app: typer.Typer) -> None:
    """Let every installed package with entry points in GROUP add its commands (train, replay, models …).

    A package that is registered but was left out of an image adds none.
    """
    for entry in entry_points(group=GROUP):
        with contextlib.suppress(ModuleNotFoundError):
            entry.load()(app)
