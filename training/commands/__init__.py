"""What the training package adds to the command line, one file per command.

Heavy packages are imported when a command runs: `headway serve` starts without them, installed or not.
"""

import typer

from scaler.commands.models.cli import app as models
from scaler.commands.plain_help import PlainHelp
from scaler.commands.server_flags import with_all_flags, with_index_flags, with_server_flags
from training.commands import (
    data_pull,
    models_demo,
    models_publish,
    replay,
    retrain,
    train_compare,
    train_publish,
    train_recipes,
    train_run,
)


def add_commands(app: typer.Typer) -> None:
    """Add all commands of this package to the application."""
    train = typer.Typer(no_args_is_help=True, help="Train models on recorded demand, and compare them.")
    train.command("run", epilog=train_run.EXIT_TEXT)(train_run.run)
    train.command("publish", epilog=train_publish.EXIT_TEXT)(train_publish.publish)
    train.command("compare", epilog=train_compare.EXIT_TEXT)(train_compare.compare)
    train.command("recipes", epilog=train_recipes.EXIT_TEXT)(train_recipes.list_recipes)
    app.add_typer(train, name="train")
    data = typer.Typer(no_args_is_help=True, help="Get recorded demand.")
    data.command("pull", cls=PlainHelp, epilog=data_pull.EXIT_TEXT)(with_server_flags(data_pull.pull))
    app.add_typer(data, name="data")
    app.command("replay", cls=PlainHelp, epilog=replay.EXIT_TEXT)(with_server_flags(replay.replay))
    retraining = with_all_flags(retrain.retrain)
    app.command("retrain", cls=PlainHelp, epilog=retrain.EXIT_TEXT)(retraining)
    publishing = with_index_flags(models_publish.publish)
    models.command("publish", cls=PlainHelp, epilog=models_publish.EXIT_TEXT)(publishing)
    models.command("demo", cls=PlainHelp, epilog=models_demo.EXIT_TEXT)(models_demo.demo)
