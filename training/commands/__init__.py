"""What the training package adds to the command line: `headway train`, `headway data`, `headway replay`.

Heavy packages are imported when a command runs: `headway serve` starts without them, installed or not.
"""

import typer


def add_commands(app: typer.Typer) -> None:
    """Add all commands of this package to the application."""
    from training.commands.train import add_commands as add

    add(app)
